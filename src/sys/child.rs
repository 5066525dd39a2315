//! Other programs: the one door to start them. They get no secrets, and cannot hang us.
//!
//! A child is started by an argument vector, without a shell. It gets our
//! environment without what is secret in it, and has what it prints collected,
//! as much as is worth keeping. It may leave stdin unread, print without end,
//! start children of its own that keep its pipes open, or never end; none of
//! that holds us longer than its time limit and a moment. The pipes are served
//! by threads that nobody waits for.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::family::Family;
use super::stop::StopFlag;
use crate::domain::settings::SettingKey;

/// How long the last words of a child may take after its end; a grandchild
/// that holds the pipe open could keep us waiting for ever.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A program to run, with everything that it is given.
#[derive(Clone, Debug)]
pub struct Errand<'a> {
    pub program: &'a OsStr,
    pub arguments: Vec<&'a OsStr>,
    /// What it gets besides our environment; `None`: it must not have that one.
    pub variables: Vec<(&'a str, Option<String>)>,
    /// `None`: where we are.
    pub directory: Option<&'a Path>,
    /// `None`: it has nothing to read.
    pub stdin: Option<Vec<u8>>,
    pub timeout: Duration,
    /// Ends it, with all of its family, when this is raised.
    pub stop: StopFlag,
    /// What is kept of what it prints.
    pub most_output_bytes: usize,
    pub pipes: Pipes,
}

/// Whether a child has ended while somebody still holds its stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pipes {
    /// It has: it may have started what goes on without it.
    MayStayOpen,
    /// It has not: what it says counts only when it is whole.
    MustEnd,
}

/// How a child ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with a code.
    Code(i32),
    /// By a signal, named by its number where the platform tells.
    Signal(Option<i32>),
    /// It took too long, and was ended with all of its family.
    TimedOut,
    /// We were asked to end, and ended it with all of its family.
    Stopped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Out,
    Err,
}

/// What became of a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Returned {
    pub ended: Ended,
    /// The beginning of what it printed, piece by piece as it came.
    pub pieces: Vec<(Stream, Vec<u8>)>,
    /// Whether it printed more than that.
    pub is_cut: bool,
}

impl Returned {
    /// Returns what it printed on one stream.
    pub fn of(&self, stream: Stream) -> Vec<u8> {
        let pieces = self.pieces.iter().filter(|(from, _)| *from == stream);
        pieces.flat_map(|(_, bytes)| bytes).copied().collect()
    }

    /// Returns what it printed on both streams, for people.
    pub fn text(&self) -> String {
        let bytes: Vec<u8> = self.pieces.iter().flat_map(|(_, b)| b).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Runs a program to its end or to its time limit; fails where it cannot be started.
pub fn run(errand: Errand<'_>) -> io::Result<Returned> {
    let started_at = Instant::now();
    let mut family = Family::start(command(&errand))?;
    if let (Some(facts), Some(mut stdin)) = (errand.stdin, family.child().stdin.take()) {
        // In a thread of its own: a child that talks before it listens would
        // else wait for us while we wait for it. Many do not listen at all;
        // then this ends with them, or with us.
        std::thread::spawn(move || {
            let _ = stdin.write_all(&facts);
        });
    }
    let (sender, receiver) = sync_channel(16);
    listen(Stream::Out, family.child().stdout.take(), sender.clone());
    listen(Stream::Err, family.child().stderr.take(), sender);

    let mut heard = Heard::new(errand.most_output_bytes);
    let is_in_time = loop {
        let is_done = heard.is_over || errand.pipes == Pipes::MayStayOpen;
        if is_done && family.has_ended()? {
            break true;
        }
        let left = errand.timeout.saturating_sub(started_at.elapsed());
        if left.is_zero() || errand.stop.is_raised() {
            break false;
        }
        heard.listen(&receiver, left.min(poll_after(started_at.elapsed())));
    };
    let status = if is_in_time {
        family.wait()?
    } else {
        family.end()?
    };
    let since = Instant::now();
    while !heard.is_over && since.elapsed() < LAST_WORDS {
        heard.listen(&receiver, LAST_WORDS.saturating_sub(since.elapsed()));
    }
    Ok(Returned {
        ended: match is_in_time {
            true => ended(status),
            false if errand.stop.is_raised() => Ended::Stopped,
            false => Ended::TimedOut,
        },
        pieces: heard.pieces,
        is_cut: heard.is_cut,
    })
}

fn command(errand: &Errand<'_>) -> Command {
    let mut command = Command::new(errand.program);
    command
        .args(&errand.arguments)
        .stdin(match errand.stdin {
            Some(_) => Stdio::piped(),
            None => Stdio::null(),
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(directory) = errand.directory {
        command.current_dir(directory);
    }
    for (name, value) in std::env::vars_os() {
        if is_withheld(&name.to_string_lossy()) || holds_secret(&value.to_string_lossy()) {
            command.env_remove(name);
        }
    }
    for (name, value) in &errand.variables {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    hide_window(&mut command);
    command
}

/// Tells whether a variable is kept from other programs: tokens, where they
/// lie, and addresses that are secrets. What belongs to others is handed on,
/// because a hook may be about just that.
pub fn is_withheld(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let is_ours = ["HF_", "HFDL_", "HUGGING", "XET_"]
        .iter()
        .any(|start| name.starts_with(start));
    let has_token = ["TOKEN", "SECRET", "PASSWORD"]
        .iter()
        .any(|word| name.contains(word));
    (is_ours && has_token) || name == SettingKey::PingUrl.variable()
}

/// The texts that no other program gets, in whatever variable they stand.
static SECRETS: OnceLock<Vec<String>> = OnceLock::new();

/// Keeps some texts from all programs that this process starts. Called once,
/// at the start of the process; later calls change nothing.
pub fn withhold(secrets: Vec<String>) {
    // What is shorter is no token, and would take many variables with it.
    const SHORTEST: usize = 8;
    let secrets = secrets.into_iter();
    let _ = SECRETS.set(secrets.filter(|text| text.len() >= SHORTEST).collect());
}

fn holds_secret(value: &str) -> bool {
    let mut secrets = SECRETS.get().into_iter().flatten();
    secrets.any(|secret| value.contains(secret))
}

/// Starts this program anew in an environment of its own, with our stdout and
/// stderr, and waits for its end.
pub fn stand_in(
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
    Ok(ended(status))
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

/// Looks often at first: most children end at once.
pub(super) fn poll_after(elapsed: Duration) -> Duration {
    (elapsed / 4).clamp(Duration::from_millis(2), Duration::from_millis(100))
}

/// What the child has printed so far.
struct Heard {
    pieces: Vec<(Stream, Vec<u8>)>,
    room: usize,
    is_cut: bool,
    /// Nobody can print any more.
    is_over: bool,
}

impl Heard {
    fn new(room: usize) -> Self {
        Self {
            pieces: Vec::new(),
            room,
            is_cut: false,
            is_over: false,
        }
    }

    /// Collects what comes within a span of time.
    fn listen(&mut self, receiver: &Receiver<(Stream, Vec<u8>)>, span: Duration) {
        if self.is_over {
            // Its pipes are closed, but it still runs.
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
            Err(RecvTimeoutError::Disconnected) => self.is_over = true,
        }
    }
}

/// Reads a pipe to its end, also what nobody keeps: a child that cannot print
/// would wait for us.
fn listen(
    stream: Stream,
    pipe: Option<impl Read + Send + 'static>,
    sender: SyncSender<(Stream, Vec<u8>)>,
) {
    let Some(mut pipe) = pipe else { return };
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        let mut is_heard = true;
        while let Ok(n @ 1..) = pipe.read(&mut buffer) {
            is_heard = is_heard && sender.send((stream, buffer[..n].to_vec())).is_ok();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_secret_addresses_are_withheld_and_nothing_else() {
        for secret in [
            "HF_TOKEN",
            "HUGGING_FACE_HUB_TOKEN",
            "HUGGINGFACE_HUB_TOKEN",
            "HF_TOKEN_PATH",
            "HFDL_TOKEN",
            "hf_token",
            "HFDL_PING_URL",
        ] {
            assert!(is_withheld(secret), "{secret}");
        }
        for open in [
            "PATH",
            "HF_HOME",
            "SLACK_TOKEN",
            "HFDL_METRICS_FILE",
            "HTTPS_PROXY",
        ] {
            assert!(!is_withheld(open), "{open}");
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let errand = Errand {
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
        assert_eq!(run(errand).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}

/// Children that are shell scripts, or batch lines where there is no `sh`.
#[cfg(test)]
mod children {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);
    const MOST: usize = 16 << 10;

    fn shell(script: &str) -> Errand<'_> {
        let (program, flag) = match cfg!(windows) {
            true => ("cmd.exe", "/C"),
            false => ("sh", "-c"),
        };
        Errand {
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
    fn a_child_is_heard_and_its_code_is_told() {
        let script = match cfg!(windows) {
            true => "echo told& exit 3",
            false => "echo told; exit 3",
        };
        let ran = run(shell(script)).unwrap();
        assert_eq!(ran.ended, Ended::Code(3));
        assert_eq!(ran.text().trim_end(), "told");
    }

    #[test]
    fn who_never_ends_is_ended() {
        let script = match cfg!(windows) {
            true => "echo begun& ping -n 60 127.0.0.1 >nul",
            false => "echo begun; sleep 60",
        };
        let before = Instant::now();
        let ran = run(Errand {
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
    fn a_child_is_given_facts_and_both_streams_are_told_apart() {
        let ran = run(Errand {
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
    fn neither_unread_facts_nor_endless_words_nor_open_pipes_hang_us() {
        let before = Instant::now();
        // More than a pipe holds, and nobody reads; or it is read only after
        // as much has been said.
        let much = Some(vec![b'x'; 1 << 20]);
        for script in ["exit 0", "head -c 1000000 /dev/zero; cat >/dev/null"] {
            let ran = run(Errand {
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
        // A grandchild keeps all pipes.
        let ran = run(shell("sleep 60 & echo done")).unwrap();
        assert_eq!(ran.text(), "done\n");
        assert_eq!(ran.ended, Ended::Code(0));
        // Its own pipes are closed, and it goes on.
        let ran = run(shell("exec >&- 2>&-; sleep 0.2; exit 5")).unwrap();
        assert_eq!(ran.ended, Ended::Code(5));
        assert!(before.elapsed() < Duration::from_secs(20));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn who_takes_too_long_is_ended_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let stubborn = "trap '' TERM; (trap '' TERM; sleep 60) & echo $! >PID; echo begun; wait";
        // The child is gone, and what it has left behind could say more.
        let leaving = "sleep 60 & echo $! >PID; echo begun";
        for (script, pipes) in [(stubborn, Pipes::MayStayOpen), (leaving, Pipes::MustEnd)] {
            let script = script.replace("PID", &format!("'{}'", file.display()));
            let before = Instant::now();
            let ran = run(Errand {
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
            // Gone, or a body that nobody has taken yet; killing takes a moment.
            let is_alive = |text: String| !text.contains(") Z ") && !text.contains(") X ");
            while std::fs::read_to_string(&status).is_ok_and(is_alive) {
                assert!(before.elapsed() < Duration::from_secs(20));
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}
