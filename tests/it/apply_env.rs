//! The real program with an empty environment and a home of its own.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::support::schema;
use hfdl::domain::time::Timestamp;
use hfdl::store::Store;

pub struct ApplyEnv {
    directory: tempfile::TempDir,
}

/// The time of every run.
pub const NOW: &str = "2026-06-01T10:00:00Z";

pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl ApplyEnv {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { directory }
    }

    pub fn home(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    pub fn database(&self) -> PathBuf {
        self.home().join("hfdl.db")
    }

    /// Returns what `~/NAME` stands for.
    pub fn below(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    pub fn store(&self) -> Store {
        Store::open(&self.database(), now()).unwrap()
    }

    /// Runs the program; its stdin is the text, and no terminal.
    pub fn hfdl(&self, arguments: &[&str], stdin: &[u8]) -> Ended {
        self.hfdl_with(arguments, stdin, &[])
    }

    pub fn hfdl_with(&self, arguments: &[&str], stdin: &[u8], variables: &[(&str, &str)]) -> Ended {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hfdl"))
            .args(arguments)
            .env_clear()
            .env("HOME", self.directory.path())
            .env("USERPROFILE", self.directory.path())
            .env("HFDL_HOME", self.home())
            .env("TZ", "Europe/Berlin")
            .env("HFDL_TEST_NOW", NOW)
            .envs(variables.iter().copied())
            .current_dir(self.directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that has seen enough may close its end before the last byte.
        let _ = child.stdin.take().unwrap().write_all(stdin);
        let output: Output = child.wait_with_output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        schema::check_stream(&stdout);
        Ended {
            code: output.status.code().unwrap_or(-1),
            stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Applies a file that is right, and returns what is printed.
    pub fn applies(&self, arguments: &[&str], file: &str) -> String {
        let arguments = [&["apply", "-f", "-"], arguments].concat();
        let ended = self.hfdl(&arguments, file.as_bytes());
        assert_eq!(ended.code, 0, "{file}\n{}{}", ended.stdout, ended.stderr);
        ended.stdout
    }

    /// Applies a file that is refused, and returns what people are told.
    pub fn refuses(&self, arguments: &[&str], file: &str) -> String {
        let arguments = [&["apply", "-f", "-"], arguments].concat();
        let ended = self.hfdl(&arguments, file.as_bytes());
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (2, ""),
            "{file}\n{}",
            ended.stderr
        );
        ended.stderr
    }

    pub fn exports(&self) -> String {
        let ended = self.hfdl(&["export"], b"");
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
        ended.stdout
    }
}

pub fn now() -> Timestamp {
    NOW.parse().unwrap()
}
