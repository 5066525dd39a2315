/* Makes calls to the disk fail, for tests: preloaded into hfdl by faults.rs.
 *
 * FAULT_BELOW  a path: calls on files that begin so count; with a $ at its end, on that file alone
 * FAULT_CALLS  names of calls, each between commas (",fsync,"); unset: all of them
 * FAULT_AT     the number of the call that fails, from 1; 0: none
 * FAULT_HOW    EIO, ENOSPC, EDQUOT, or short: a write of half the bytes
 * FAULT_STAYS  set: the calls after it fail, too
 * FAULT_LOG    a file that gets the name and path of each counted call
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum verdict { PASS, SHORT, FAIL };

static atomic_long n_calls;

static int is_watched(const char *path)
{
    const char *below = getenv("FAULT_BELOW");
    size_t length = below ? strlen(below) : 0;
    if (length == 0)
        return 0;
    if (below[length - 1] == '$')
        return strlen(path) == length - 1 && strncmp(path, below, length - 1) == 0;
    return strncmp(path, below, length) == 0;
}

static void note(const char *call, const char *path)
{
    const char *log = getenv("FAULT_LOG");
    char line[PATH_MAX + 64];
    if (!log)
        return;
    int fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    int length = snprintf(line, sizeof line, "%s %s\n", call, path);
    syscall(SYS_write, fd, line, length);
    syscall(SYS_close, fd);
}

static enum verdict judge(const char *call, const char *path)
{
    const char *calls = getenv("FAULT_CALLS"), *how = getenv("FAULT_HOW");
    const char *text = getenv("FAULT_AT");
    char name[32];
    snprintf(name, sizeof name, ",%s,", call);
    if (!is_watched(path) || (calls && !strstr(calls, name)))
        return PASS;
    note(call, path);
    long at = text ? atol(text) : 0, n = atomic_fetch_add(&n_calls, 1) + 1;
    if (at == 0 || n < at || (n > at && !getenv("FAULT_STAYS")))
        return PASS;
    if (how && strcmp(how, "short") == 0 && strstr(call, "write"))
        return SHORT;
    errno = EIO;
    if (how && strcmp(how, "ENOSPC") == 0)
        errno = ENOSPC;
    if (how && strcmp(how, "EDQUOT") == 0)
        errno = EDQUOT;
    return FAIL;
}

static enum verdict judge_fd(const char *call, int fd)
{
    char link[64], path[PATH_MAX];
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = before;
    if (length < 0)
        return PASS;
    path[length] = 0;
    return judge(call, path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *bytes, size_t n)
{
    enum verdict verdict = judge_fd("write", fd);
    return verdict == FAIL ? -1 : REAL(write)(fd, bytes, verdict == SHORT ? (n + 1) / 2 : n);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    enum verdict verdict = judge_fd("pwrite", fd);
    return verdict == FAIL ? -1 : REAL(pwrite)(fd, bytes, verdict == SHORT ? (n + 1) / 2 : n, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at)
{
    enum verdict verdict = judge_fd("pwrite", fd);
    return verdict == FAIL ? -1 : REAL(pwrite64)(fd, bytes, verdict == SHORT ? (n + 1) / 2 : n, at);
}

#define ON_FD(name, parameters, arguments) \
    int name parameters { return judge_fd(#name, fd) == FAIL ? -1 : REAL(name) arguments; }

ON_FD(fsync, (int fd), (fd))
ON_FD(fdatasync, (int fd), (fd))
ON_FD(syncfs, (int fd), (fd))
ON_FD(ftruncate, (int fd, off_t size), (fd, size))
ON_FD(ftruncate64, (int fd, off64_t size), (fd, size))
ON_FD(fchmod, (int fd, mode_t mode), (fd, mode))

#define ON_PATH(name, parameters, path, arguments) \
    int name parameters { return judge(#name, path) == FAIL ? -1 : REAL(name) arguments; }

ON_PATH(rename, (const char *from, const char *to), to, (from, to))
ON_PATH(symlink, (const char *to, const char *link), link, (to, link))
ON_PATH(mkdir, (const char *path, mode_t mode), path, (path, mode))
ON_PATH(unlink, (const char *path), path, (path))
ON_PATH(linkat, (int f, const char *from, int t, const char *to, int flags), to, (f, from, t, to, flags))

static int opened(const char *path, int flags)
{
    return (flags & O_CREAT) && judge("create", path) == FAIL;
}

int open(const char *path, int flags, ...)
{
    __builtin_va_list list;
    __builtin_va_start(list, flags);
    mode_t mode = (flags & O_CREAT) ? __builtin_va_arg(list, mode_t) : 0;
    __builtin_va_end(list);
    return opened(path, flags) ? -1 : REAL(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    __builtin_va_list list;
    __builtin_va_start(list, flags);
    mode_t mode = (flags & O_CREAT) ? __builtin_va_arg(list, mode_t) : 0;
    __builtin_va_end(list);
    return opened(path, flags) ? -1 : REAL(open64)(path, flags, mode);
}
