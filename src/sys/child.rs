//! Programs that people name: they are given facts, and cannot hang us.
//!
//! A child gets facts on stdin and has what it prints collected, as much as is
//! worth keeping. It may leave stdin unread, print without end, start children
//! of its own that keep its pipes open, or never end; none of that holds us
//! longer than its time limit and a moment. The pipes are served by threads
//! that nobody waits for.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// What is kept of what a child prints.
const MOST_OUTPUT_BYTES: usize = 16 << 10;

/// How long a child has to end after it was asked to.
const GRACE: Duration = Duration::from_secs(2);

/// How long its last words may take after its end; a grandchild that holds the
/// pipe open could keep us waiting for ever.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A program to run, with everything that it is given.
#[derive(Clone, Debug)]
pub struct Errand<'a> {
    pub program: &'a OsStr,
    pub arguments: Vec<&'a OsStr>,
    /// Variables of ours that it does not get.
    pub removed: Vec<String>,
    pub added: Vec<(String, String)>,
    pub directory: &'a Path,
    pub stdin: Vec<u8>,
    pub timeout: Duration,
}

/// How a child ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with a code.
    Code(i32),
    /// By a signal, named by its number where the platform tells.
    Signal(Option<i32>),
    /// It took too long, and was ended with all of its group.
    TimedOut,
}

/// What became of a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Returned {
    pub ended: Ended,
    /// The beginning of what it printed on stdout and stderr.
    pub output: String,
    /// Whether it printed more than that.
    pub is_cut: bool,
}

/// Runs a program to its end or to its time limit; fails where it cannot be started.
pub fn run(errand: Errand<'_>) -> io::Result<Returned> {
    let mut command = Command::new(errand.program);
    command
        .args(&errand.arguments)
        .current_dir(errand.directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for name in &errand.removed {
        command.env_remove(name);
    }
    command.envs(errand.added.iter().map(|(name, value)| (name, value)));
    // A group of its own, so that its children can be ended with it, and so
    // that a Ctrl-C for us is not one for it.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let started_at = Instant::now();
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        let facts = errand.stdin;
        // Most children do not read; then this ends with them, or with us.
        std::thread::spawn(move || {
            let _ = stdin.write_all(&facts);
        });
    }
    let (sender, receiver) = sync_channel(16);
    listen(child.stdout.take(), sender.clone());
    listen(child.stderr.take(), sender);

    let mut heard = Heard::default();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        let left = errand.timeout.saturating_sub(started_at.elapsed());
        if left.is_zero() {
            end(&mut child)?;
            break None;
        }
        heard.listen(&receiver, left.min(poll_after(started_at.elapsed())));
    };
    let since = Instant::now();
    while !heard.is_over && since.elapsed() < LAST_WORDS {
        heard.listen(&receiver, LAST_WORDS.saturating_sub(since.elapsed()));
    }
    let is_cut = heard.bytes.len() > MOST_OUTPUT_BYTES;
    heard.bytes.truncate(MOST_OUTPUT_BYTES);
    Ok(Returned {
        ended: status.map_or(Ended::TimedOut, ended),
        output: String::from_utf8_lossy(&heard.bytes).into_owned(),
        is_cut,
    })
}

/// Starts a program in an environment of its own, with our stdout and stderr,
/// and waits for its end.
pub fn stand_in(
    program: &Path,
    arguments: &[std::ffi::OsString],
    environment: &[(String, String)],
    directory: &Path,
) -> io::Result<Ended> {
    let status = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .current_dir(directory)
        .stdin(Stdio::null())
        .status()?;
    Ok(ended(status))
}

/// Looks often at first: most children end at once.
fn poll_after(elapsed: Duration) -> Duration {
    (elapsed / 4).clamp(Duration::from_millis(2), Duration::from_millis(100))
}

/// What the child has printed so far.
#[derive(Default)]
struct Heard {
    bytes: Vec<u8>,
    is_over: bool,
}

impl Heard {
    /// Collects what comes within a span of time.
    fn listen(&mut self, receiver: &Receiver<Vec<u8>>, span: Duration) {
        if self.is_over {
            // Its pipes are closed, but it still runs.
            std::thread::sleep(span);
            return;
        }
        match receiver.recv_timeout(span) {
            // One byte more than is kept tells that there was more.
            Ok(piece) => {
                let room = (MOST_OUTPUT_BYTES + 1).saturating_sub(self.bytes.len());
                self.bytes.extend(piece.iter().take(room));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.is_over = true,
        }
    }
}

/// Reads a pipe to its end, also what nobody keeps: a child that cannot print
/// would wait for us.
fn listen(pipe: Option<impl Read + Send + 'static>, sender: SyncSender<Vec<u8>>) {
    let Some(mut pipe) = pipe else { return };
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        let mut is_heard = true;
        while let Ok(n @ 1..) = pipe.read(&mut buffer) {
            is_heard = is_heard && sender.send(buffer[..n].to_vec()).is_ok();
        }
    });
}

fn ended(status: ExitStatus) -> Ended {
    match status.code() {
        Some(code) => Ended::Code(code),
        #[cfg(unix)]
        None => Ended::Signal(std::os::unix::process::ExitStatusExt::signal(&status)),
        #[cfg(not(unix))]
        None => Ended::Signal(None),
    }
}

/// Asks a child and its group to end, and makes them.
#[cfg(unix)]
fn end(child: &mut Child) -> io::Result<()> {
    use rustix::process::{Pid, Signal, kill_process_group};
    // Until we have waited for it, the number cannot be another process's.
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let tell = |signal| {
        if let Some(group) = group {
            let _ = kill_process_group(group, signal);
        }
    };
    tell(Signal::TERM);
    let asked_at = Instant::now();
    while asked_at.elapsed() < GRACE {
        // Waiting without taking the status: the group is told once more
        // below, and must not be another one by then.
        if has_ended(child) {
            break;
        }
        std::thread::sleep(poll_after(asked_at.elapsed()));
    }
    tell(Signal::KILL);
    child.wait().map(drop)
}

#[cfg(unix)]
fn has_ended(child: &Child) -> bool {
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| matches!(waitid(WaitId::Pid(pid), options), Ok(Some(_))))
}

/// Ends a child with its children, as far as the system's own tool can.
#[cfg(not(unix))]
fn end(child: &mut Child) -> io::Result<()> {
    if cfg!(windows) {
        let _ = Command::new("taskkill")
            .args(["/T", "/F", "/PID", &child.id().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
    let _ = child.kill();
    child.wait().map(drop)
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, stdin: &[u8], timeout: Duration) -> Returned {
        run(Errand {
            program: OsStr::new("sh"),
            arguments: vec![OsStr::new("-c"), OsStr::new(script)],
            removed: vec!["HOME".to_owned()],
            added: vec![("FACT".to_owned(), "a b".to_owned())],
            directory: Path::new("/"),
            stdin: stdin.to_vec(),
            timeout,
        })
        .unwrap()
    }

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn a_child_is_given_facts_and_heard() {
        let ran = sh(
            "cat; echo \"$FACT|$HOME|$PWD\" >&2; exit 3",
            b"facts\n",
            LONG,
        );
        assert_eq!(ran.ended, Ended::Code(3));
        assert_eq!(
            (ran.output.as_str(), ran.is_cut),
            ("facts\na b||/\n", false)
        );
        let ran = sh("kill -9 $$", b"", LONG);
        assert_eq!(ran.ended, Ended::Signal(Some(9)));
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let errand = Errand {
            program: OsStr::new("/nowhere/at/all"),
            arguments: Vec::new(),
            removed: Vec::new(),
            added: Vec::new(),
            directory: Path::new("/"),
            stdin: Vec::new(),
            timeout: LONG,
        };
        assert_eq!(run(errand).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn neither_unread_facts_nor_endless_words_nor_open_pipes_hang_us() {
        let before = Instant::now();
        // More than a pipe holds, and nobody reads.
        let ran = sh("exit 0", &vec![b'x'; 1 << 20], LONG);
        assert_eq!(ran.ended, Ended::Code(0));
        let ran = sh("yes | head -c 1000000; exit 4", b"", LONG);
        assert_eq!((ran.ended, ran.is_cut), (Ended::Code(4), true));
        assert_eq!(ran.output.len(), MOST_OUTPUT_BYTES);
        // A grandchild keeps all pipes.
        let ran = sh("sleep 60 & echo done", b"", LONG);
        assert_eq!(ran.output, "done\n");
        assert_eq!(ran.ended, Ended::Code(0));
        // Its own pipes are closed, and it goes on.
        let ran = sh("exec >&- 2>&-; sleep 0.2; exit 5", b"", LONG);
        assert_eq!(ran.ended, Ended::Code(5));
        assert!(before.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn who_takes_too_long_is_ended_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!(
            "trap '' TERM; (trap '' TERM; sleep 60) & echo $! > '{}'; echo begun; wait",
            file.display()
        );
        let before = Instant::now();
        let ran = sh(&script, b"", Duration::from_millis(300));
        assert_eq!(ran.ended, Ended::TimedOut);
        assert_eq!(ran.output, "begun\n");
        assert!(before.elapsed() < Duration::from_secs(20));
        let pid = std::fs::read_to_string(file).unwrap();
        let status = format!("/proc/{}/stat", pid.trim());
        // Gone, or a body that nobody has taken yet; killing takes a moment.
        let is_alive = |text: String| !text.contains(") Z ") && !text.contains(") X ");
        while std::fs::read_to_string(&status).is_ok_and(is_alive) {
            assert!(before.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
