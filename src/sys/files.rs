//! Atomic replacement of files, links, and folders that stay below a root.
//!
//! All writers of final names use this module, so that a crash leaves either the
//! old file or the new one, and no link redirects a write out of its root.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::open;

/// Identifies a file independently of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileIdentity {
    device: u64,
    number: u64,
}

/// Flushes a file and renames it, replacing the target.
///
/// The flush comes first: after a power cut the name must not refer to an empty
/// file. The folder is flushed by `sync_dir`, once for many files.
pub fn rename_synced(from: &Path, to: &Path) -> io::Result<()> {
    // Data only: a change of permissions is not worth a full sync.
    open::flushable(from)?.sync_data()?;
    rename_over(from, to)
}

/// As `rename_synced`, and flushes the folder as well.
pub fn rename_durably(from: &Path, to: &Path) -> io::Result<()> {
    rename_synced(from, to)?;
    to.parent().map_or(Ok(()), sync_dir)
}

/// Flushes the names in a folder, where the platform can.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    if cfg!(windows) {
        // Windows has no such call; NTFS journals its names.
        return Ok(());
    }
    match File::open(dir)?.sync_all() {
        // Some network and user-space file systems do not support the request.
        Err(err) if matches!(err.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
            Ok(())
        }
        result => result,
    }
}

/// Replaces a file atomically: the bytes are written to a temporary file in
/// `aside`, which is on the same file system, and both bytes and name are flushed.
///
/// The caller chooses the folder, because readers of the target's folder must never
/// see a temporary file.
pub fn write_atomically(path: &Path, bytes: &[u8], aside: &Path) -> io::Result<()> {
    write_aside(path, aside, |file| file.write_all(bytes), rename_durably)
}

/// As `write_atomically`, without flushing: a power cut may leave an empty file.
///
/// For records that can be rebuilt, of which there are thousands.
pub fn write_unsynced(path: &Path, bytes: &[u8], aside: &Path) -> io::Result<()> {
    write_aside(path, aside, |file| file.write_all(bytes), rename_over)
}

/// Replaces a world-readable file atomically, such as a metrics file that a
/// monitoring agent reads.
///
/// A target that is no regular file, such as `/dev/null`, is refused.
pub fn write_for_all(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_for_all_with(path, |file| file.write_all(bytes))
}

/// As `write_for_all`, with bytes that are made while they are written.
pub fn write_for_all_with(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    if path.metadata().is_ok_and(|found| !found.is_file()) {
        let why = "it exists and is not a regular file";
        return Err(io::Error::new(ErrorKind::AlreadyExists, why));
    }
    let aside = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    write_aside(path, aside, write, |temporary, path| {
        // Independent of the umask: cron's often excludes other users.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(temporary, fs::Permissions::from_mode(0o644))?;
        }
        rename_over(temporary, path)
    })
}

fn write_aside(
    path: &Path,
    aside: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    rename: impl FnOnce(&Path, &Path) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = unused_name(aside);
    create_new(&temporary)
        .map(BufWriter::new)
        .and_then(|mut file| write(&mut file).and_then(|()| file.flush()))
        .and_then(|()| rename(&temporary, path))
        .inspect_err(|_| {
            let _ = fs::remove_file(&temporary);
        })
}

/// The prefix of names from `unused_name`. A file with it that is left after a
/// crash may be deleted.
pub const TEMPORARY_PREFIX: &str = "tmp-";

/// Returns an unused name in a folder.
pub fn unused_name(dir: &Path) -> PathBuf {
    dir.join(format!("{TEMPORARY_PREFIX}{:016x}", fastrand::u64(..)))
}

/// Creates a file; fails if the name exists, even as a dangling link.
pub fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Reads a small file, through links; `None` when it is missing.
pub fn read_if_present(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        // `NotADirectory`: a parent of the path is a file.
        Err(err) if is_absent(&err) => Ok(None),
        Err(err) => Err(err),
    }
}

/// Removes a file or link; tells whether there was one.
pub fn remove_if_present(path: &Path) -> io::Result<bool> {
    let retry = |err| allow_writing(path, err).and_then(|()| fs::remove_file(path));
    match fs::remove_file(path).or_else(retry) {
        Ok(()) => Ok(true),
        Err(err) if is_absent(&err) => Ok(false),
        Err(err) => Err(err),
    }
}

/// Renames a file over another one, even if that is read-only.
///
/// On Windows a program that has one of them open, such as a virus scanner, may prevent
/// it for a moment.
pub fn rename_over(from: &Path, to: &Path) -> io::Result<()> {
    let rename_writable = |err| allow_writing(to, err).and_then(|()| fs::rename(from, to));
    let rename = || fs::rename(from, to).or_else(rename_writable);
    match retry_on_windows(rename, |err| is_in_use(err) && !to.is_dir()) {
        // The system says only that access is denied.
        Err(_) if cfg!(windows) && to.is_dir() => Err(ErrorKind::IsADirectory.into()),
        result => result,
    }
}

/// Removes a folder with everything in it.
///
/// On Windows a program that looks at one of its files, such as a virus scanner, may prevent
/// it for a moment.
pub fn remove_folder(folder: &Path) -> io::Result<()> {
    let is_temporary =
        |err: &io::Error| is_in_use(err) || err.kind() == ErrorKind::DirectoryNotEmpty;
    retry_on_windows(|| fs::remove_dir_all(folder), is_temporary)
}

fn retry_on_windows(
    action: impl Fn() -> io::Result<()>,
    is_temporary: impl Fn(&io::Error) -> bool,
) -> io::Result<()> {
    const ATTEMPTS: usize = 20;
    for _ in 1..ATTEMPTS {
        match action() {
            Err(err) if cfg!(windows) && is_temporary(&err) => {
                std::thread::sleep(Duration::from_millis(25));
            }
            result => return result,
        }
    }
    action()
}

/// Clears the read-only attribute of a file, which on Windows prevents deletion and
/// replacement. Without the attribute, and on all other systems, the error had
/// another cause and is returned.
#[cfg_attr(windows, allow(clippy::permissions_set_readonly_false))]
fn allow_writing(path: &Path, err: io::Error) -> io::Result<()> {
    #[cfg(windows)]
    if let Ok(found) = fs::symlink_metadata(path)
        && found.is_file()
        && found.permissions().readonly()
    {
        let mut permissions = found.permissions();
        permissions.set_readonly(false);
        return fs::set_permissions(path, permissions);
    }
    let _ = path;
    Err(err)
}

/// Tells whether an error means that there is no such file.
pub fn is_absent(err: &io::Error) -> bool {
    matches!(err.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Tells whether a file cannot be removed because a program has it open. On other
/// systems than Windows this happens only with mount points and running programs.
pub fn is_in_use(err: &io::Error) -> bool {
    // ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION, ERROR_USER_MAPPED_FILE; for a
    // folder with an open file it is ERROR_ACCESS_DENIED.
    let on_windows = cfg!(windows) && matches!(err.raw_os_error(), Some(5 | 32 | 33 | 1224));
    on_windows || err.kind() == ErrorKind::ResourceBusy
}

/// Tells whether an error means that the disk failed, or that a path is not the
/// plain file it must be: both need a person to look at the disk.
pub fn is_disk_failure(err: &io::Error) -> bool {
    #[cfg(unix)]
    let failed = err.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error());
    // ERROR_CRC, ERROR_WRITE_FAULT, ERROR_READ_FAULT, ERROR_GEN_FAILURE, ERROR_IO_DEVICE.
    #[cfg(windows)]
    let failed = matches!(err.raw_os_error(), Some(23 | 29 | 30 | 31 | 1117));
    failed || open::is_not_plain(err)
}

/// The next step where `is_forbidden` holds.
pub const FORBIDDEN_ADVICE: &str =
    "the file system does not allow this; use another place, or mount it otherwise";

/// Tells whether no user may do this, as opposed to this user: `EPERM`.
pub fn is_forbidden(err: &io::Error) -> bool {
    #[cfg(unix)]
    let is_forbidden = err.raw_os_error() == Some(rustix::io::Errno::PERM.raw_os_error());
    #[cfg(not(unix))]
    let is_forbidden = {
        let _ = err;
        false
    };
    is_forbidden
}

/// Returns the metadata of a path, through links; `None` when it is missing.
pub fn metadata_if_present(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::metadata(path) {
        // The file system stores the link and refuses to follow it.
        Err(err) if is_forbidden(&err) && path.is_symlink() => Ok(None),
        found => present(found),
    }
}

/// Returns the metadata of a path without following a link; `None` when it is
/// missing.
pub fn link_metadata_if_present(path: &Path) -> io::Result<Option<Metadata>> {
    present(fs::symlink_metadata(path))
}

fn present(result: io::Result<Metadata>) -> io::Result<Option<Metadata>> {
    match result {
        Ok(metadata) => Ok(Some(metadata)),
        Err(err) if is_absent(&err) => Ok(None),
        // A link cycle refers to no file.
        Err(err) if is_link_cycle(&err) => Ok(None),
        Err(err) => Err(err),
    }
}

/// Tells whether symbolic links on a path lead round in a circle.
#[cfg(unix)]
pub fn is_link_cycle(err: &io::Error) -> bool {
    err.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

/// Tells whether symbolic links on a path lead round in a circle.
#[cfg(not(unix))]
pub fn is_link_cycle(_err: &io::Error) -> bool {
    false
}

/// Returns the permissions of a new file, as the umask leaves them.
///
/// Used for files in a shared cache whose bytes came from a private or read-only
/// file. A process can read its umask only by changing it for all threads, so a new
/// file is created and inspected, as the official client does.
pub fn permissions_of_new_files(dir: &Path) -> io::Result<fs::Permissions> {
    let probe = unused_name(dir);
    let permissions = create_new(&probe)?.metadata()?.permissions();
    fs::remove_file(&probe)?;
    Ok(permissions)
}

/// Returns the permissions without write access.
///
/// On Windows they stay unchanged: a read-only file cannot be deleted there, and
/// `hf cache rm` would leave it behind.
pub fn read_only(permissions: &fs::Permissions) -> fs::Permissions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::Permissions::from_mode(permissions.mode() & !0o222)
    }
    #[cfg(not(unix))]
    {
        permissions.clone()
    }
}

/// Creates a symbolic link to a file.
#[cfg(unix)]
pub fn symlink_file(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

/// Creates a symbolic link to a file.
#[cfg(windows)]
pub fn symlink_file(target: &Path, link: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, link)?;
    // Wine reports success and creates nothing.
    fs::read_link(link)
        .map(drop)
        .map_err(|_| ErrorKind::Unsupported.into())
}

/// Returns the identity and the number of hard links of the file at a path, through
/// links, with the metadata that was read for it.
#[cfg(unix)]
pub fn identity(_path: &Path, metadata: &Metadata) -> Option<(FileIdentity, u64)> {
    use std::os::unix::fs::MetadataExt;
    let (device, number) = (metadata.dev(), metadata.ino());
    Some((FileIdentity { device, number }, metadata.nlink()))
}

/// Returns the identity and the number of hard links of the file at a path, through
/// links. Windows tells them for open files only.
#[cfg(windows)]
pub fn identity(path: &Path, _metadata: &Metadata) -> Option<(FileIdentity, u64)> {
    open_identity(&File::open(path).ok()?)
}

/// Returns the identity and the number of hard links of an open file.
#[cfg(windows)]
#[allow(unsafe_code)]
pub fn open_identity(file: &File) -> Option<(FileIdentity, u64)> {
    use std::os::windows::io::AsRawHandle;
    use windows_sys::Win32::Storage::FileSystem::{
        BY_HANDLE_FILE_INFORMATION, GetFileInformationByHandle,
    };
    let mut found = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: the handle is that of an open file, and the buffer is the structure.
    let is_known = unsafe { GetFileInformationByHandle(file.as_raw_handle(), &raw mut found) } != 0;
    let number = u64::from(found.nFileIndexHigh) << 32 | u64::from(found.nFileIndexLow);
    let device = u64::from(found.dwVolumeSerialNumber);
    is_known.then_some((FileIdentity { device, number }, found.nNumberOfLinks.into()))
}

/// Creates a folder below a root; fails if a link leads out of the root.
///
/// `below` is relative, without `..`. Links that stay inside the root are followed:
/// a user may have moved a folder. The names are untrusted, and so is a link that
/// an earlier download or an archive left on the path.
pub fn create_dirs_inside(root: &Path, below: &Path) -> io::Result<PathBuf> {
    let mut dir = root.to_path_buf();
    for part in below.components() {
        let std::path::Component::Normal(part) = part else {
            return Err(outside(below, root));
        };
        dir.push(part);
        match link_metadata_if_present(&dir)? {
            None => match fs::create_dir(&dir) {
                // Another process has created it meanwhile.
                Err(err) if err.kind() == ErrorKind::AlreadyExists && dir.is_dir() => {
                    check_inside(root, &dir)?;
                }
                result => result?,
            },
            Some(found) if found.is_dir() => {}
            Some(found) if found.is_symlink() => check_inside(root, &dir)?,
            Some(_) => {
                let text = format!("`{}` is not a folder", dir.display());
                return Err(io::Error::new(ErrorKind::NotADirectory, text));
            }
        }
    }
    Ok(dir)
}

/// Checks that the real path of a folder lies below a root.
pub fn check_inside(root: &Path, dir: &Path) -> io::Result<()> {
    if fs::canonicalize(dir)?.starts_with(fs::canonicalize(root)?) {
        Ok(())
    } else {
        Err(outside(dir, root))
    }
}

fn outside(dir: &Path, root: &Path) -> io::Error {
    io::Error::other(format!(
        "`{}` leads out of `{}`",
        dir.display(),
        root.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_atomic_write_replaces_a_file_and_leaves_no_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        let (aside, path) = (dir.path().join("aside"), dir.path().join("file"));
        fs::create_dir(&aside).unwrap();
        for text in ["old", "new and longer"] {
            write_atomically(&path, text.as_bytes(), &aside).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::read_dir(&aside).unwrap().count(), 0);
    }

    #[test]
    fn a_write_that_fails_cleans_up_and_keeps_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let taken = dir.path().join("folder");
        fs::create_dir_all(taken.join("full")).unwrap();
        assert!(write_atomically(&taken, b"x", dir.path()).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(taken.join("full").is_dir());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_the_outside_is_refused_and_one_inside_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
        fs::create_dir_all(root.join("real")).unwrap();
        fs::create_dir(&outside).unwrap();
        symlink_file(&outside, &root.join("out")).unwrap();
        symlink_file(Path::new("real"), &root.join("in")).unwrap();
        symlink_file(Path::new("circle"), &root.join("circle")).unwrap();
        fs::write(root.join("file"), "").unwrap();

        assert!(create_dirs_inside(&root, Path::new("real/a/b")).is_ok());
        assert!(create_dirs_inside(&root, Path::new("in/c")).is_ok());
        assert!(root.join("real/c").is_dir());
        for bad in ["out", "out/deep", "circle/x", "file/x", "../outside/x"] {
            assert!(create_dirs_inside(&root, Path::new(bad)).is_err(), "{bad}");
        }
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }
}
