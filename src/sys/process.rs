//! Other programs: the one door to start them, and to tell one process from another.
//!
//! Helpers such as `crontab` and `systemctl` get an argument vector and no
//! shell, English messages, what is meant for their stdin or nothing, and a
//! limit of time. Their stdout and stderr stay apart: a warning that ends up
//! in what is taken for a crontab would be installed with the next write.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;

use super::host::Host;

/// What the environment of a helper must not hold: it has no business with it.
pub const SECRETS: [&str; 2] = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"];

/// Where helpers lie when `PATH` does not say, as for whoever cron started.
#[cfg(not(windows))]
const KNOWN_FOLDERS: [&str; 6] = [
    "/usr/bin",
    "/bin",
    "/usr/local/bin",
    "/usr/sbin",
    "/sbin",
    "/run/current-system/sw/bin",
];

/// Why a helper has no answer.
#[derive(Debug, Error)]
pub enum HelperError {
    #[error("there is no program `{0}` on this machine")]
    Missing(String),
    #[error("cannot start `{}`: {source}", .path.display())]
    Start {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("`{line}` did not end within {seconds} s and was killed")]
    TimedOut { line: String, seconds: u64 },
}

/// What a helper said before it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// `None` when a signal ended it.
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Ended {
    pub fn is_success(&self) -> bool {
        self.code == Some(0)
    }

    /// Returns the exit code and the complaint in one line, for a message to a person.
    pub fn complaint(&self) -> String {
        let said = String::from_utf8_lossy(&self.stderr);
        let said: Vec<&str> = said.split_whitespace().collect();
        let code = self.code.map_or_else(
            || "it was killed".to_owned(),
            |code| format!("exit code {code}"),
        );
        if said.is_empty() {
            code
        } else {
            format!("{code}, {}", said.join(" "))
        }
    }
}

/// Finds a program: in the absolute folders of `PATH`, then where such programs lie.
pub fn find(host: &Host, name: &str) -> Option<PathBuf> {
    if let Some(folder) = host.test_variable("HFDL_TEST_PROGRAMS") {
        // A test never meets the programs of the machine that it runs on.
        return Some(Path::new(folder).join(name)).filter(|path| is_program(path));
    }
    find_in_path(host, OsStr::new(name)).or_else(|| {
        known_folders(host)
            .into_iter()
            .map(|folder| folder.join(file_name(name)))
            .find(|path| is_program(path))
    })
}

/// Finds a program in the absolute folders of `PATH`, as a shell would.
pub fn find_in_path(host: &Host, name: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(host.variable("PATH")?)
        // A relative folder means another program for each current directory.
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(file_name(name)))
        .find(|path| is_program(path))
}

#[cfg(windows)]
fn file_name(name: impl AsRef<OsStr>) -> PathBuf {
    let name = Path::new(name.as_ref());
    match name.extension() {
        Some(_) => name.to_path_buf(),
        None => name.with_extension("exe"),
    }
}

#[cfg(not(windows))]
fn file_name(name: impl AsRef<OsStr>) -> PathBuf {
    PathBuf::from(name.as_ref())
}

#[cfg(windows)]
fn known_folders(host: &Host) -> Vec<PathBuf> {
    let system = host.variable("SystemRoot").map(PathBuf::from);
    system
        .map(|root| root.join("System32"))
        .into_iter()
        .collect()
}

#[cfg(not(windows))]
fn known_folders(_host: &Host) -> Vec<PathBuf> {
    KNOWN_FOLDERS.iter().map(PathBuf::from).collect()
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}

/// Runs a helper to its end. Without `stdin` it reads from nothing.
pub fn run<A: AsRef<str>>(
    host: &Host,
    name: &str,
    arguments: &[A],
    stdin: Option<&[u8]>,
) -> Result<Ended, HelperError> {
    // Long enough for a machine that has just booted; a test need not sit it out.
    let limit = Duration::from_secs(if host.takes_pauses() { 15 } else { 5 });
    let path = find(host, name).ok_or_else(|| HelperError::Missing(name.to_owned()))?;
    let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
    log::debug!("running {} {}", path.display(), arguments.join(" "));
    let mut command = Command::new(&path);
    command.args(&arguments).env("LC_ALL", "C");
    for secret in SECRETS {
        command.env_remove(secret);
    }
    match run_limited(command, stdin, limit) {
        Ok(Some(ended)) => {
            log::debug!("{name} ended: {}", ended.complaint());
            Ok(ended)
        }
        Ok(None) => Err(HelperError::TimedOut {
            line: format!("{name} {}", arguments.join(" ")),
            seconds: limit.as_secs(),
        }),
        Err(source) => Err(HelperError::Start { path, source }),
    }
}

/// Runs a command; `None` when it had to be killed.
fn run_limited(
    mut command: Command,
    stdin: Option<&[u8]>,
    limit: Duration,
) -> std::io::Result<Option<Ended>> {
    let end = Instant::now() + limit;
    command
        .stdin(if stdin.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    hide_window(&mut command);
    let mut child = command.spawn()?;
    if let (Some(bytes), Some(mut pipe)) = (stdin, child.stdin.take()) {
        let bytes = bytes.to_vec();
        // In a thread of its own: a helper that talks before it listens would
        // else wait for us while we wait for it. That it does not listen at
        // all shows in its exit code.
        thread::spawn(move || {
            let _ = pipe.write_all(&bytes);
        });
    }
    let stdout = gather(child.stdout.take());
    let stderr = gather(child.stderr.take());
    let collected = collect(&stdout, end).zip(collect(&stderr, end));
    let code = wait_until(&mut child, end)?;
    match (collected, code) {
        (Some((stdout, stderr)), Some(status)) => Ok(Some(Ended {
            code: status.code(),
            stdout,
            stderr,
        })),
        _ => {
            let _ = child.kill();
            let _ = child.wait();
            Ok(None)
        }
    }
}

/// Reads a pipe to its end, in a thread that nobody has to wait for.
fn gather(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        let _ = sender.send(bytes);
    });
    receiver
}

fn collect(pipe: &Receiver<Vec<u8>>, end: Instant) -> Option<Vec<u8>> {
    match pipe.recv_timeout(end.saturating_duration_since(Instant::now())) {
        Ok(bytes) => Some(bytes),
        Err(RecvTimeoutError::Disconnected) => Some(Vec::new()),
        Err(RecvTimeoutError::Timeout) => None,
    }
}

fn wait_until(
    child: &mut Child,
    end: Instant,
) -> std::io::Result<Option<std::process::ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Keeps a console window from flashing up when we ourselves have none.
pub(super) fn hide_window(command: &mut Command) {
    #[cfg(windows)]
    {
        const CREATE_NO_WINDOW: u32 = 0x0800_0000;
        std::os::windows::process::CommandExt::creation_flags(command, CREATE_NO_WINDOW);
    }
    #[cfg(not(windows))]
    let _ = command;
}

/// Returns when a process started, as its platform counts; `None` when there
/// is none, or the platform does not tell.
///
/// Process ids are used again; an id together with this is not.
pub fn start_of(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    start_in_stat(&stat)
}

/// Finds field 22. The second field is the program's name in brackets, which
/// may itself hold spaces and brackets.
fn start_in_stat(stat: &str) -> Option<String> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_whitespace().nth(19).map(str::to_owned)
}

/// Sends SIGTERM to a process if it is still the one that started then; tells
/// whether it was sent.
#[cfg(unix)]
pub fn terminate(pid: u32, start: &str) -> bool {
    use rustix::process::{Pid, Signal, kill_process};
    let Some(target) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return false;
    };
    // Held open, a descriptor means this very process, even if it ends between
    // the look and the signal.
    #[cfg(target_os = "linux")]
    if let Ok(process) = rustix::process::pidfd_open(target, rustix::process::PidfdFlags::empty()) {
        return start_of(pid).as_deref() == Some(start)
            && rustix::process::pidfd_send_signal(process, Signal::TERM).is_ok();
    }
    start_of(pid).as_deref() == Some(start) && kill_process(target, Signal::TERM).is_ok()
}

/// No signal reaches a process on another console; it hears of the wish
/// through the database.
#[cfg(not(unix))]
pub fn terminate(_pid: u32, _start: &str) -> bool {
    false
}

/// Tells whether a program with one of these names runs; `None` where the
/// platform has no list to read.
pub fn is_running(host: &Host, names: &[&str]) -> Option<bool> {
    let list = host.test_variable("HFDL_TEST_PROCESSES").unwrap_or("/proc");
    let mut has_seen_any = false;
    for entry in std::fs::read_dir(list).ok()?.flatten() {
        if let Ok(name) = std::fs::read_to_string(entry.path().join("comm")) {
            has_seen_any = true;
            if names.contains(&name.trim_end()) {
                return Some(true);
            }
        }
    }
    has_seen_any.then_some(false)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn both_streams_and_the_code_are_told_apart() {
        let ended = run_limited(shell("cat; echo no >&2; exit 3"), Some(b"in\xff"), LONG);
        let ended = ended.unwrap().expect("it ends at once");
        assert_eq!(ended.stdout, b"in\xff");
        assert_eq!(ended.complaint(), "exit code 3, no");
        assert!(!ended.is_success());
    }

    #[test]
    fn a_helper_that_does_not_listen_or_that_talks_first_is_no_problem() {
        let much = vec![b'x'; 1 << 20];
        let deaf = run_limited(shell("exit 0"), Some(&much), LONG).unwrap();
        assert!(deaf.expect("it ends").is_success());
        let talker = "head -c 1000000 /dev/zero; cat >/dev/null";
        let talker = run_limited(shell(talker), Some(&much), LONG).unwrap();
        assert_eq!(talker.expect("it ends").stdout.len(), 1_000_000);
    }

    #[test]
    fn a_helper_that_hangs_is_killed_and_so_is_one_whose_child_holds_the_pipe() {
        let limit = Duration::from_millis(100);
        for script in ["exec sleep 60", "sleep 60 & exit 0"] {
            let began = Instant::now();
            assert_eq!(run_limited(shell(script), None, limit).unwrap(), None);
            assert!(began.elapsed() < LONG, "{script}");
        }
    }

    #[test]
    fn the_start_of_a_process_is_found_behind_any_name() {
        let fields: Vec<String> = (4..=52).map(|field| field.to_string()).collect();
        let stat = format!("7 (a ) (b) S {}", fields.join(" "));
        assert_eq!(start_in_stat(&stat).as_deref(), Some("22"));
        assert_eq!(start_in_stat("7 (cut"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn only_the_process_that_started_then_gets_the_signal() {
        let mut child = shell("exec sleep 60").spawn().unwrap();
        let start = start_of(child.id()).expect("it runs");
        assert!(!terminate(child.id(), "1"));
        assert!(child.try_wait().unwrap().is_none());
        assert!(terminate(child.id(), &start));
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(child.wait().unwrap().signal(), Some(15));
        assert!(!terminate(child.id(), &start));
    }
}
