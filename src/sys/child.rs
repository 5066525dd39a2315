//! Child processes: started without a shell, without secrets, with a time limit.
//!
//! A child is started from an argument vector. It inherits our environment except
//! for secrets. Its output is collected up to a limit.
//!
//! A child may leave stdin unread, print without end, leave grandchildren that hold
//! its pipes open, or never end. None of these blocks the caller for longer than
//! the time limit and a short grace period: the pipes are served by detached
//! threads, which are never joined.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::process_group::ProcessGroup;
use super::stop::StopFlag;
use crate::domain::settings::SettingKey;

/// How long to wait for remaining output after the child has ended. A grandchild
/// that holds the pipe open could otherwise block for ever.
const OUTPUT_GRACE: Duration = Duration::from_millis(500);

/// A program to run, with its arguments, environment and limits.
#[derive(Clone, Debug)]
pub struct ChildCommand<'a> {
    pub program: &'a OsStr,
    pub arguments: Vec<&'a OsStr>,
    /// Changes to the inherited environment; `None` removes the variable.
    pub variables: Vec<(&'a str, Option<String>)>,
    /// `None`: the current directory.
    pub directory: Option<&'a Path>,
    /// `None`: stdin is empty.
    pub stdin: Option<Vec<u8>>,
    pub timeout: Duration,
    /// Ends the child with its process group when this is raised.
    pub stop: StopFlag,
    /// Output beyond this size is dropped.
    pub most_output_bytes: usize,
    pub pipes: Pipes,
}

/// Whether `run` may return while another process still holds the child's stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pipes {
    /// For programs that may start background processes, such as hooks.
    MayStayOpen,
    /// For programs whose output counts only when it is complete.
    MustEnd,
}

/// How a child ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It exited with a code.
    Code(i32),
    /// It was ended by a signal; the number is known on Unix.
    Signal(Option<i32>),
    /// It exceeded its time limit; its process group was ended.
    TimedOut,
    /// A stop was requested; its process group was ended.
    Stopped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Out,
    Err,
}

/// The exit and the output of a child process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildOutput {
    pub ended: Ended,
    /// The output up to the limit, in order of arrival.
    pub pieces: Vec<(Stream, Vec<u8>)>,
    /// Whether output was dropped because of the limit.
    pub is_cut: bool,
}

impl ChildOutput {
    /// Returns the output of one stream.
    pub fn of(&self, stream: Stream) -> Vec<u8> {
        let pieces = self.pieces.iter().filter(|(from, _)| *from == stream);
        pieces.flat_map(|(_, bytes)| bytes).copied().collect()
    }

    /// Returns the output of both streams, for display.
    pub fn text(&self) -> String {
        let bytes: Vec<u8> = self.pieces.iter().flat_map(|(_, b)| b).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Runs a program to its end or to its time limit; fails where it cannot be started.
pub fn run(command: ChildCommand<'_>) -> io::Result<ChildOutput> {
    let started_at = Instant::now();
    let mut group = ProcessGroup::start(std_command(&command))?;
    if let (Some(input), Some(mut stdin)) = (command.stdin, group.child().stdin.take()) {
        // In a separate thread: a child that fills its stdout before it reads stdin
        // would deadlock with us. The thread ends when the child closes stdin, or
        // with this process.
        std::thread::spawn(move || {
            let _ = stdin.write_all(&input);
        });
    }
    let (sender, receiver) = sync_channel(16);
    read_pipe(Stream::Out, group.child().stdout.take(), sender.clone());
    read_pipe(Stream::Err, group.child().stderr.take(), sender);

    let mut output = OutputBuffer::new(command.most_output_bytes);
    let is_in_time = loop {
        let is_done = output.is_closed || command.pipes == Pipes::MayStayOpen;
        if is_done && group.has_ended()? {
            break true;
        }
        let left = command.timeout.saturating_sub(started_at.elapsed());
        if left.is_zero() || command.stop.is_raised() {
            break false;
        }
        output.receive(&receiver, left.min(poll_after(started_at.elapsed())));
    };
    let status = if is_in_time {
        group.wait()?
    } else {
        group.terminate()?
    };
    let since = Instant::now();
    while !output.is_closed && since.elapsed() < OUTPUT_GRACE {
        output.receive(&receiver, OUTPUT_GRACE.saturating_sub(since.elapsed()));
    }
    Ok(ChildOutput {
        ended: if is_in_time {
            exit_of(status)
        } else if command.stop.is_raised() {
            Ended::Stopped
        } else {
            Ended::TimedOut
        },
        pieces: output.pieces,
        is_cut: output.is_cut,
    })
}

fn std_command(spec: &ChildCommand<'_>) -> Command {
    let mut command = Command::new(spec.program);
    command
        .args(&spec.arguments)
        .stdin(match spec.stdin {
            Some(_) => Stdio::piped(),
            None => Stdio::null(),
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(directory) = spec.directory {
        command.current_dir(directory);
    }
    for (name, value) in std::env::vars_os() {
        if is_secret_variable(&name.to_string_lossy()) || holds_secret(&value.to_string_lossy()) {
            command.env_remove(name);
        }
    }
    for (name, value) in &spec.variables {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    hide_window(&mut command);
    command
}

/// Tells whether a variable is removed from the environment of children: tokens,
/// paths of token files, and URLs that are secrets. Variables of other programs are
/// passed on, because a hook may need them.
pub fn is_secret_variable(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let is_ours = ["HF_", "HFDL_", "HUGGING", "XET_"]
        .iter()
        .any(|start| name.starts_with(start));
    let has_token = ["TOKEN", "SECRET", "PASSWORD"]
        .iter()
        .any(|word| name.contains(word));
    (is_ours && has_token) || name == SettingKey::PingUrl.variable()
}

/// Secret values, removed from children whichever variable holds them.
static SECRETS: OnceLock<Vec<String>> = OnceLock::new();

/// Registers secret values that no child process may receive. Called once, at the
/// start of the process; later calls have no effect.
pub fn register_secrets(secrets: Vec<String>) {
    // A shorter value is no token, and would match many unrelated variables.
    const SHORTEST: usize = 8;
    let secrets = secrets.into_iter();
    let _ = SECRETS.set(secrets.filter(|text| text.len() >= SHORTEST).collect());
}

fn holds_secret(value: &str) -> bool {
    let mut secrets = SECRETS.get().into_iter().flatten();
    secrets.any(|secret| value.contains(secret))
}

/// Runs a program in the given environment and no other, with our stdout and
/// stderr, and waits for its end.
pub fn run_in_environment(
    program: &Path,
    arguments: &[OsString],
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
    Ok(exit_of(status))
}

/// Prevents a console window from opening when this process has none.
pub(super) fn hide_window(command: &mut Command) {
    #[cfg(windows)]
    {
        const CREATE_NO_WINDOW: u32 = 0x0800_0000;
        std::os::windows::process::CommandExt::creation_flags(command, CREATE_NO_WINDOW);
    }
    #[cfg(not(windows))]
    let _ = command;
}

/// Returns the polling interval. It is short at first, because most children end
/// quickly.
pub(super) fn poll_after(elapsed: Duration) -> Duration {
    (elapsed / 4).clamp(Duration::from_millis(2), Duration::from_millis(100))
}

/// Collects output up to a limit.
struct OutputBuffer {
    pieces: Vec<(Stream, Vec<u8>)>,
    room: usize,
    is_cut: bool,
    /// All pipes are closed.
    is_closed: bool,
}

impl OutputBuffer {
    fn new(room: usize) -> Self {
        Self {
            pieces: Vec::new(),
            room,
            is_cut: false,
            is_closed: false,
        }
    }

    /// Collects the output that arrives within a time span.
    fn receive(&mut self, receiver: &Receiver<(Stream, Vec<u8>)>, span: Duration) {
        if self.is_closed {
            // The pipes are closed, and the child still runs.
            std::thread::sleep(span);
            return;
        }
        match receiver.recv_timeout(span) {
            Ok((stream, mut piece)) => {
                self.is_cut |= piece.len() > self.room;
                piece.truncate(self.room);
                self.room -= piece.len();
                if !piece.is_empty() {
                    self.pieces.push((stream, piece));
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.is_closed = true,
        }
    }
}

/// Reads a pipe to its end in a new thread. Dropped output is read as well, because
/// a child blocks on a full pipe.
fn read_pipe(
    stream: Stream,
    pipe: Option<impl Read + Send + 'static>,
    sender: SyncSender<(Stream, Vec<u8>)>,
) {
    let Some(mut pipe) = pipe else { return };
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        let mut is_received = true;
        while let Ok(n @ 1..) = pipe.read(&mut buffer) {
            is_received = is_received && sender.send((stream, buffer[..n].to_vec())).is_ok();
        }
    });
}

fn exit_of(status: ExitStatus) -> Ended {
    match status.code() {
        Some(code) => Ended::Code(code),
        #[cfg(unix)]
        None => Ended::Signal(std::os::unix::process::ExitStatusExt::signal(&status)),
        #[cfg(not(unix))]
        None => Ended::Signal(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tokens_and_secret_urls_are_removed_from_the_environment() {
        for secret in [
            "HF_TOKEN",
            "HUGGING_FACE_HUB_TOKEN",
            "HUGGINGFACE_HUB_TOKEN",
            "HF_TOKEN_PATH",
            "HFDL_TOKEN",
            "hf_token",
            "HFDL_PING_URL",
        ] {
            assert!(is_secret_variable(secret), "{secret}");
        }
        for open in [
            "PATH",
            "HF_HOME",
            "SLACK_TOKEN",
            "HFDL_METRICS_FILE",
            "HTTPS_PROXY",
        ] {
            assert!(!is_secret_variable(open), "{open}");
        }
    }

    #[test]
    fn a_missing_program_is_an_error() {
        let command = ChildCommand {
            program: OsStr::new("/nowhere/at/all"),
            arguments: Vec::new(),
            variables: Vec::new(),
            directory: None,
            stdin: None,
            timeout: Duration::from_secs(30),
            stop: StopFlag::new(),
            most_output_bytes: 0,
            pipes: Pipes::MustEnd,
        };
        assert_eq!(run(command).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}

/// Child processes that are shell scripts, or batch lines on Windows.
#[cfg(test)]
mod children {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);
    const MOST: usize = 16 << 10;

    fn shell(script: &str) -> ChildCommand<'_> {
        let (program, flag) = if cfg!(windows) {
            ("cmd.exe", "/C")
        } else {
            ("sh", "-c")
        };
        ChildCommand {
            program: OsStr::new(program),
            arguments: vec![OsStr::new(flag), OsStr::new(script)],
            variables: vec![("FACT", Some("a b".to_owned())), ("HOME", None)],
            directory: None,
            stdin: None,
            timeout: LONG,
            stop: StopFlag::new(),
            most_output_bytes: MOST,
            pipes: Pipes::MayStayOpen,
        }
    }

    #[test]
    fn output_and_exit_code_are_returned() {
        let script = if cfg!(windows) {
            "echo text& exit 3"
        } else {
            "echo text; exit 3"
        };
        let ran = run(shell(script)).unwrap();
        assert_eq!(ran.ended, Ended::Code(3));
        assert_eq!(ran.text().trim_end(), "text");
    }

    #[test]
    fn a_child_that_never_ends_times_out() {
        let script = if cfg!(windows) {
            "echo begun& ping -n 60 127.0.0.1 >nul"
        } else {
            "echo begun; sleep 60"
        };
        let before = Instant::now();
        let ran = run(ChildCommand {
            timeout: Duration::from_millis(700),
            stop: StopFlag::new(),
            ..shell(script)
        });
        let ran = ran.unwrap();
        assert_eq!(ran.ended, Ended::TimedOut);
        assert_eq!(ran.text().trim_end(), "begun");
        assert!(before.elapsed() < LONG / 2);
    }

    #[cfg(unix)]
    #[test]
    fn stdin_is_written_and_stdout_and_stderr_stay_apart() {
        let ran = run(ChildCommand {
            directory: Some(Path::new("/")),
            stdin: Some(b"facts\xff\n".to_vec()),
            ..shell("cat; echo \"$FACT|$HOME|$PWD\" >&2; exit 3")
        });
        let ran = ran.unwrap();
        assert_eq!(ran.of(Stream::Out), b"facts\xff\n");
        assert_eq!(ran.of(Stream::Err), b"a b||/\n");
        assert!(!ran.is_cut);
        let ran = run(shell("kill -9 $$")).unwrap();
        assert_eq!(ran.ended, Ended::Signal(Some(9)));
        let ran = run(shell("cat")).unwrap();
        assert_eq!((ran.ended, ran.pieces), (Ended::Code(0), Vec::new()));
    }

    #[cfg(unix)]
    #[test]
    fn unread_stdin_endless_output_and_open_pipes_do_not_block() {
        let before = Instant::now();
        // More than a pipe holds: never read, or read only after as much output.
        let much = Some(vec![b'x'; 1 << 20]);
        for script in ["exit 0", "head -c 1000000 /dev/zero; cat >/dev/null"] {
            let ran = run(ChildCommand {
                stdin: much.clone(),
                most_output_bytes: 2 << 20,
                ..shell(script)
            });
            let ran = ran.unwrap();
            assert_eq!((ran.ended, ran.is_cut), (Ended::Code(0), false));
        }
        let ran = run(shell("yes | head -c 1000000; exit 4")).unwrap();
        assert_eq!(ran.text().len(), MOST);
        assert_eq!((ran.ended, ran.is_cut), (Ended::Code(4), true));
        // A grandchild holds all pipes open.
        let ran = run(shell("sleep 60 & echo done")).unwrap();
        assert_eq!(ran.text(), "done\n");
        assert_eq!(ran.ended, Ended::Code(0));
        // The child closes its pipes and goes on.
        let ran = run(shell("exec >&- 2>&-; sleep 0.2; exit 5")).unwrap();
        assert_eq!(ran.ended, Ended::Code(5));
        assert!(before.elapsed() < Duration::from_secs(20));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_timeout_ends_the_whole_process_group() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let stubborn = "trap '' TERM; (trap '' TERM; sleep 60) & echo $! >PID; echo begun; wait";
        // The child has ended, and its background process holds the pipes.
        let leaving = "sleep 60 & echo $! >PID; echo begun";
        for (script, pipes) in [(stubborn, Pipes::MayStayOpen), (leaving, Pipes::MustEnd)] {
            let script = script.replace("PID", &format!("'{}'", file.display()));
            let before = Instant::now();
            let ran = run(ChildCommand {
                timeout: Duration::from_millis(300),
                stop: StopFlag::new(),
                pipes,
                ..shell(&script)
            });
            let ran = ran.unwrap();
            assert_eq!(ran.ended, Ended::TimedOut);
            assert_eq!(ran.text(), "begun\n");
            assert!(before.elapsed() < Duration::from_secs(20));
            let pid = std::fs::read_to_string(&file).unwrap();
            let status = format!("/proc/{}/stat", pid.trim());
            // Gone, or a zombie that has not been reaped; ending it takes a moment.
            let is_alive = |text: String| !text.contains(") Z ") && !text.contains(") X ");
            while std::fs::read_to_string(&status).is_ok_and(is_alive) {
                assert!(before.elapsed() < Duration::from_secs(20));
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}
