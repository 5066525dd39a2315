//! A real terminal, by tmux: keys go in, screens come out as a person sees them.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::env::TestEnv;

/// The prompt of the shell in the terminal.
const PROMPT: &str = "$";

/// Longest wait for a screen.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    /// Opens a terminal with a shell that has the variables of the environment and `hfdl`
    /// on its path. `None` where tmux is not installed; CI installs it.
    pub fn open(env: &TestEnv, columns: u16, rows: u16) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            assert!(std::env::var_os("CI").is_none(), "tmux is not installed");
            return None;
        }
        let socket = env.root().join(format!("tmux-{}", socket_number()));
        let terminal = Self { socket };
        let command = env.command(["x"]);
        let program = PathBuf::from(command.get_program());
        let folder = program.parent().unwrap().to_string_lossy().into_owned();
        let mut shell = vec!["env".to_owned(), "-i".to_owned()];
        let mut variables = vec![
            (
                "PATH".to_owned(),
                format!("{folder}:/usr/local/bin:/usr/bin:/bin"),
            ),
            ("TERM".to_owned(), "screen-256color".to_owned()),
            ("LC_ALL".to_owned(), "C.UTF-8".to_owned()),
            ("PS1".to_owned(), format!("{PROMPT} ")),
        ];
        for (name, value) in command.get_envs() {
            let value = value.unwrap_or_default().to_string_lossy().into_owned();
            let name = name.to_string_lossy().into_owned();
            variables.retain(|(other, _)| *other != name);
            variables.push((name, value));
        }
        shell.extend(
            variables
                .iter()
                .map(|(name, value)| format!("{name}={value}")),
        );
        shell.push("/bin/sh".to_owned());
        let work = env.root().join("work").to_string_lossy().into_owned();
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let mut open = vec!["-f", "/dev/null", "new-session", "-d", "-c", &work];
        open.extend(["-x", &columns, "-y", &rows]);
        open.extend(shell.iter().map(String::as_str));
        terminal.tmux(&open);
        terminal.wait_for(PROMPT);
        Some(terminal)
    }

    /// Types a line on an empty screen, and returns the screen once the shell waits for
    /// the next one.
    pub fn run(&self, line: &str) -> String {
        self.begin(line);
        self.wait_until("the prompt", |screen| {
            let screen = screen.trim_end();
            screen.lines().count() > 1 && screen.lines().last() == Some(PROMPT)
        })
    }

    /// Types a line on an empty screen.
    pub fn begin(&self, line: &str) {
        self.clear();
        self.type_line(line);
    }

    /// Empties the screen, also of the prompt.
    pub fn clear(&self) {
        self.tmux(&["send-keys", "-R"]);
    }

    pub fn type_line(&self, line: &str) {
        self.tmux(&["send-keys", "-l", line]);
        self.keys(&["Enter"]);
    }

    /// Presses keys by their names in tmux, such as `C-c`, `Enter` or `Tab`.
    pub fn keys(&self, names: &[&str]) {
        let mut line = vec!["send-keys"];
        line.extend(names);
        self.tmux(&line);
    }

    /// Returns the screen once it contains a text.
    pub fn wait_for(&self, text: &str) -> String {
        self.wait_until(text, |screen| screen.contains(text))
    }

    /// Returns the screen once it is as wanted.
    pub fn wait_until(&self, wanted: &str, is_there: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let screen = self.screen();
            if is_there(&screen) {
                return screen;
            }
            let waited = start.elapsed();
            assert!(waited < PATIENCE, "no `{wanted}` on the screen:\n{screen}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Returns the screen as text.
    pub fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Returns the screen with the escape sequences of its colours.
    pub fn coloured_screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-e"])
    }

    /// Returns the screen with its colours, where a folded line is one line again.
    pub fn whole_lines(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-e", "-J"])
    }

    pub fn resize(&self, columns: u16, rows: u16) {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        self.tmux(&["resize-window", "-x", &columns, "-y", &rows]);
    }

    fn tmux(&self, args: &[&str]) -> String {
        let Output {
            status,
            stdout,
            stderr,
        } = Command::new("tmux")
            .arg("-u")
            .arg("-S")
            .arg(&self.socket)
            .args(args)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "tmux {args:?}: {said}");
        String::from_utf8_lossy(&stdout).into_owned()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let mut kill = Command::new("tmux");
        let _ = kill.arg("-S").arg(&self.socket).arg("kill-server").output();
    }
}

/// Several terminals of one environment have sockets of their own.
fn socket_number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
