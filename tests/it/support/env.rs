//! The environment of one test: the real binary with an empty environment, its
//! own directories, a fixed clock, and a hub on 127.0.0.1 that starts on demand.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hfdl::sys::host::has_links;
use hfdl_test_hub::{Builder, TestHub};
use serde_json::Value;

use super::cache::tree;
use super::schema;

/// The default time of a test: a Sunday morning.
pub const NOW: &str = "2026-03-01T09:00:00Z";

/// A closed port: a test without a hub cannot reach a real one.
const NO_HUB: &str = "http://127.0.0.1:1";

pub struct TestEnv {
    root: tempfile::TempDir,
    hub: OnceCell<TestHub>,
    variables: RefCell<BTreeMap<String, String>>,
}

impl TestEnv {
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let place = |name: &str| root.path().join(name).to_string_lossy().into_owned();
        for name in ["user", "work"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        let mut variables = BTreeMap::from(
            [
                ("HOME", place("user")),
                ("HFDL_HOME", place("state")),
                ("HF_HUB_CACHE", place("hub")),
                ("HF_ENDPOINT", NO_HUB.to_owned()),
                ("TZ", "UTC".to_owned()),
                ("HFDL_TEST_NOW", NOW.to_owned()),
                ("HFDL_TEST_NO_PAUSES", "1".to_owned()),
                // No test reads or writes the crontab of the user who runs it.
                ("HFDL_TEST_PROGRAMS", place("programs")),
                ("HFDL_TEST_PROCESSES", place("processes")),
                // Weights in tests are arbitrary bytes, and tests count requests. Those of
                // guards remove this.
                ("HFDL_UPDATE_GUARDS", "off".to_owned()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        // The form of links with which the tests are run.
        if let Ok(links) = std::env::var("HFDL_TEST_LINKS") {
            variables.insert("HFDL_TEST_LINKS".to_owned(), links);
        }
        if cfg!(windows) {
            variables.insert("USERPROFILE".to_owned(), place("user"));
            variables.insert("LOCALAPPDATA".to_owned(), place("user"));
            // Pictures are those of a terminal without Unicode.
            variables.insert("LC_ALL".to_owned(), "C".to_owned());
            // Without the first Windows gives no sockets; the second is the name of the host.
            for name in ["SystemRoot", "COMPUTERNAME"] {
                let value = std::env::var(name).unwrap_or_default();
                variables.insert(name.to_owned(), value);
            }
        }
        // Under `cargo llvm-cov` the program writes its own part.
        if let Ok(place) = std::env::var("LLVM_PROFILE_FILE") {
            variables.insert("LLVM_PROFILE_FILE".to_owned(), place);
        }
        Self {
            root,
            hub: OnceCell::new(),
            variables: RefCell::new(variables),
        }
    }

    /// Returns the hub; from the first call on `HF_ENDPOINT` points at it.
    pub fn hub(&self) -> &TestHub {
        self.hub.get_or_init(|| {
            let hub = TestHub::start();
            self.set("HF_ENDPOINT", &hub.endpoint());
            hub
        })
    }

    /// As `hub`, for a hub with settings of its own.
    pub fn start_hub(&self, builder: Builder) -> &TestHub {
        assert!(self.hub.get().is_none(), "there is a hub already");
        self.hub.get_or_init(|| builder.start());
        self.set("HF_ENDPOINT", &self.hub().endpoint());
        self.hub()
    }

    /// Returns the address of the hub that the program uses.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    pub fn hub_endpoint(&self) -> Option<String> {
        self.variables.borrow().get("HF_ENDPOINT").cloned()
    }

    pub fn set(&self, name: &str, value: &str) -> &Self {
        let mut variables = self.variables.borrow_mut();
        variables.insert(name.to_owned(), value.to_owned());
        drop(variables);
        self
    }

    pub fn unset(&self, name: &str) -> &Self {
        self.variables.borrow_mut().remove(name);
        self
    }

    /// Sets the clock that the program sees.
    pub fn now(&self, at: &str) -> &Self {
        self.set("HFDL_TEST_NOW", at)
    }

    /// Returns the time that the program sees when it starts.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    pub fn clock(&self) -> String {
        let now = self.variables.borrow()["HFDL_TEST_NOW"].clone();
        now.split('+').next().unwrap().to_owned()
    }

    /// Returns the directory that holds all files of this test.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Returns the state directory, `HFDL_HOME`.
    pub fn home(&self) -> PathBuf {
        self.root().join("state")
    }

    /// Returns the Hub cache, `HF_HUB_CACHE`.
    pub fn cache(&self) -> PathBuf {
        self.root().join("hub")
    }

    pub fn database(&self) -> PathBuf {
        self.home().join("hfdl.db")
    }

    /// Returns the command that `hfdl` would run, for tests with their own pipes.
    pub fn command<A: AsRef<str>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hfdl"));
        command
            .args(args.into_iter().map(|arg| arg.as_ref().to_owned()))
            .env_clear()
            .envs(&*self.variables.borrow())
            .current_dir(self.root().join("work"))
            .stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub fn hfdl<A: AsRef<str>>(&self, args: impl IntoIterator<Item = A>) -> Ran {
        let args: Vec<String> = args
            .into_iter()
            .map(|arg| arg.as_ref().to_owned())
            .collect();
        let command = self.command(&args);
        self.run(command, format!("hfdl {}", args.join(" ")))
    }

    /// Runs the program from a shell that ran other commands before.
    #[cfg(target_os = "linux")]
    pub fn hfdl_after<A: AsRef<str>>(&self, words: &str, args: impl IntoIterator<Item = A>) -> Ran {
        let program = self.command(args);
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", &format!("{words} && exec \"$0\" \"$@\"")])
            .arg(program.get_program())
            .args(program.get_args())
            .env_clear()
            .envs(&*self.variables.borrow())
            .current_dir(self.root().join("work"))
            .stdin(Stdio::null());
        self.run(shell, format!("{words} && hfdl ..."))
    }

    fn run(&self, mut command: Command, line: String) -> Ran {
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| {
            String::from_utf8(bytes).unwrap_or_else(|err| panic!("output is not UTF-8: {err}"))
        };
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        schema::check_stream(&stdout);
        schema::check_stream(&stderr);
        schema::check_file(&self.home().join("status.json"));
        Ran {
            line,
            code: output.status.code(),
            stdout,
            stderr,
            tree: tree(self.root()),
            endpoint: self.variables.borrow().get("HF_ENDPOINT").cloned(),
            root: self.root().to_path_buf(),
        }
    }

    /// Runs a command line as a person would type it, without the `hfdl`.
    pub fn line(&self, line: &str) -> Ran {
        self.hfdl(words(line))
    }

    /// Returns every row of every table as text, independent of the layout of
    /// the file.
    pub fn database_content(&self) -> String {
        let mut content = String::new();
        if !self.database().exists() {
            return content;
        }
        let connection = rusqlite::Connection::open(self.database()).unwrap();
        let mut names = connection
            .prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
            .unwrap();
        let names: Vec<String> = names
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        for name in names {
            let mut rows = connection
                .prepare(&format!("SELECT * FROM {name} ORDER BY 1, 2"))
                .unwrap();
            let columns = rows.column_count();
            let mut rows = rows.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                let cell = |n| format!("{:?}", row.get::<_, rusqlite::types::Value>(n).unwrap());
                let cells: Vec<String> = (0..columns).map(cell).collect();
                writeln!(content, "{name}: {}", cells.join(" | ")).unwrap();
            }
        }
        content
    }
}

/// Splits a line at its spaces, except between single quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut is_quoted = false;
    for c in line.chars() {
        match c {
            '\'' => {
                is_quoted = !is_quoted;
                word.get_or_insert_default();
            }
            ' ' if !is_quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Writes the paths of a picture as on systems other than Windows.
pub fn with_slashes(picture: &str) -> String {
    if !cfg!(windows) {
        return picture.to_owned();
    }
    let picture = without_backslashes(picture, "[ROOT]", "[ROOT]");
    without_backslashes(&picture, "C:", "")
}

/// Replaces the start of each path, and the backslashes behind it.
fn without_backslashes(picture: &str, start: &str, shown: &str) -> String {
    let mut parts = picture.split(start);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_end = |c: char| c.is_whitespace() || "`'\"".contains(c);
        let (path, rest) = part.split_at(part.find(is_end).unwrap_or(part.len()));
        text.push_str(shown);
        text.push_str(&path.replace("\\\\", "/").replace('\\', "/"));
        text.push_str(rest);
    }
    text
}

/// An ended program with its exit code and output.
pub struct Ran {
    line: String,
    code: Option<i32>,
    stdout: String,
    stderr: String,
    tree: Vec<String>,
    endpoint: Option<String>,
    root: PathBuf,
}

impl Ran {
    pub fn succeeds(&self) -> &Self {
        self.exits(0)
    }

    pub fn exits(&self, code: i32) -> &Self {
        assert!(
            self.code == Some(code),
            "expected exit code {code}\n{}",
            self.report()
        );
        self
    }

    /// Checks that stderr contains a text.
    pub fn explains(&self, text: &str) -> &Self {
        assert!(
            self.stderr.contains(text),
            "expected `{text}` on stderr\n{}",
            self.report()
        );
        self
    }

    /// Checks that stdout contains a text.
    pub fn prints(&self, text: &str) -> &Self {
        assert!(
            self.stdout.contains(text),
            "expected `{text}` on stdout\n{}",
            self.report()
        );
        self
    }

    /// Checks that stderr is empty.
    pub fn silently(&self) -> &Self {
        assert!(
            self.stderr.is_empty(),
            "expected an empty stderr\n{}",
            self.report()
        );
        self
    }

    pub fn stdout(&self) -> &str {
        &self.stdout
    }

    pub fn stderr(&self) -> &str {
        &self.stderr
    }

    pub fn code(&self) -> Option<i32> {
        self.code
    }

    /// Returns stdout as the JSON document that it must be.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|err| panic!("stdout is no JSON: {err}\n{}", self.report()))
    }

    /// Returns command line, code and both streams as one text to compare
    /// with a snapshot; parts that differ between machines are replaced.
    pub fn picture(&self) -> String {
        let mut picture = format!("$ {}\n", self.line);
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                let end = if text.ends_with('\n') { "" } else { "⏎\n" };
                write!(picture, "--- {name}\n{text}{end}").unwrap();
            }
        }
        writeln!(picture, "--- exit {:?}", self.code.unwrap_or(-1)).unwrap();
        let root = self.root.to_string_lossy();
        // A document has its backslashes twice.
        let picture = picture
            .replace(&*root, "[ROOT]")
            .replace(&root.replace('\\', "\\\\"), "[ROOT]");
        let picture = match &self.endpoint {
            Some(endpoint) if endpoint.contains("127.0.0.1") => picture.replace(endpoint, "[HUB]"),
            _ => picture,
        };
        with_slashes(&picture).replace("hfdl.exe", "hfdl")
    }

    /// Returns command line, exit code, output and files, for the message of a failure.
    pub fn report(&self) -> String {
        format!(
            "$ {}\ncode: {:?}\n--- stdout\n{}\n--- stderr\n{}\n--- files below {}\n{}\n",
            self.line,
            self.code,
            self.stdout,
            self.stderr,
            self.root.display(),
            self.tree.join("\n"),
        )
    }
}

/// Tells whether the tests are run as on a disk without links, where each revision has a copy
/// of each file.
pub fn is_without_links() -> bool {
    !has_links("hard") && !has_links("symbolic")
}
