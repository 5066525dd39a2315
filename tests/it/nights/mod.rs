//! A table of nights: each row is one tick of the timer with the expected outputs.
//!
//! A night has eight outputs: the exit code, the outcomes in the database,
//! `status` and its exit code, the status file, the metrics file, the hooks, the
//! pings, and the first line of the mail that cron sends. A row passes when all
//! outputs match. A reviewer of a row checks that a reader of any one output gets
//! the same message.

mod budgets;
mod clocks;
mod disks;
mod ends;
mod hub;
mod places;
mod reporting;
mod schedules;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use crate::support::disk::{RemovableDisk, SmallDisk};
use crate::support::env::{Ran, TestEnv};
use crate::support::inbox::Inbox;
use crate::support::process::Victim;
use crate::support::sound::say;

/// When worlds are set up, and the usual first tick comes.
pub const FIRST_TICK: &str = "2026-03-01T09:00:00Z";

/// The tick that a row is about.
pub const TICK: &str = "2026-03-01T10:00:00Z";

/// One night and its world.
pub struct Night {
    pub env: TestEnv,
    pub inbox: Inbox,
    /// A run that goes on beside the tick.
    pub victim: Option<Victim>,
    pub disks: Vec<SmallDisk>,
    pub removable: Option<RemovableDisk>,
    /// Another program that holds the database.
    pub writer: Option<Connection>,
    /// Further arguments of the tick.
    pub args: Vec<String>,
    /// Why this machine cannot stage the night.
    pub impossible: Option<String>,
    /// Where the metrics file goes.
    pub metrics_file: PathBuf,
    /// When people look, if the clock has run on since the tick began.
    pub asked_at: Option<&'static str>,
}

impl Night {
    /// Returns a world with a hook script, a ping inbox and a metrics file.
    fn new() -> Self {
        let env = TestEnv::new();
        let inbox = Inbox::answering(200);
        let metrics_file = env.root().join("metrics.prom");
        let reported = env.root().join("reported");
        let script = env.root().join("hook");
        let text = format!(
            "#!/bin/sh\necho \"$HFDL_EVENT $HFDL_REASON\" >> '{}'\n",
            reported.display()
        );
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let hook = format!("[\"{}\"]", script.display());
        for name in ["UPDATE", "FAILURE", "RECOVERY", "HOLD", "SKIP"] {
            env.set(&format!("HFDL_HOOKS_ON_{name}"), &hook);
        }
        env.set("HFDL_HOOKS_FINALLY", &hook)
            .set("HFDL_PING_URL", &format!("{}/check", inbox.base()))
            .set("HFDL_DISK_RESERVE", "0")
            .set("PATH", "/usr/bin:/bin");
        Self {
            env,
            inbox,
            victim: None,
            disks: Vec::new(),
            removable: None,
            writer: None,
            args: Vec::new(),
            impossible: None,
            metrics_file,
            asked_at: None,
        }
    }

    /// Publishes a commit whose small file holds this text.
    pub fn publish(&self, text: &str) -> String {
        let commit = self.env.hub().repo("acme/tiny").commit("main");
        commit.file("config.json", text.as_bytes()).publish()
    }

    /// Registers a model that an hourly schedule covers.
    pub fn keep(&self) {
        self.publish("one");
        self.line("models add acme/tiny");
        self.line("schedules add hourly --every 1h --all");
    }

    /// As `keep`, with a first night that went well.
    pub fn usual(&self) {
        self.keep();
        self.tick_at(FIRST_TICK).succeeds();
        self.env.now(TICK);
        self.forget();
    }

    /// Runs a command that succeeds.
    pub fn line(&self, line: &str) -> Ran {
        let ran = self.env.line(line);
        ran.succeeds();
        ran
    }

    /// Has the timer start a run at a time.
    pub fn tick_at(&self, at: &str) -> Ran {
        self.env.now(at);
        self.tick()
    }

    fn tick(&self) -> Ran {
        let mut args = vec!["run-due", "--trigger", "timer", "--metrics-file"];
        let metrics = self.metrics_file.to_string_lossy();
        args.push(&metrics);
        args.extend(self.args.iter().map(String::as_str));
        self.env.hfdl(args)
    }

    /// Discards the reports of hooks and pings so far.
    pub fn forget(&self) {
        let _ = fs::remove_file(self.env.root().join("reported"));
        self.inbox.take();
    }

    /// Asks the eight witnesses.
    fn witnesses(&self, tick: &Ran) -> String {
        if let Some(at) = self.asked_at {
            self.env.now(at);
        }
        let status = self.env.line("status --json");
        let document: Value = serde_json::from_str(status.stdout()).unwrap_or_default();
        [
            format!("exit {}", tick.code().unwrap_or(-1)),
            format!("run {}", self.last_run()),
            format!(
                "status {} {}",
                status.code().unwrap_or(-1),
                judgement(&document)
            ),
            format!("file {}", self.status_file(&document)),
            format!("metrics {}", self.metrics()),
            format!("hooks {}", self.reported()),
            format!("ping {}", self.pings()),
            format!("mail {}", self.mail(tick)),
        ]
        .join("\n")
    }

    /// Returns outcome and sessions of the newest run, as the database has them.
    fn last_run(&self) -> String {
        let read = || -> rusqlite::Result<String> {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
            let database = Connection::open_with_flags(self.env.database(), flags)?;
            let sql = "SELECT id, coalesce(outcome, 'in progress') FROM runs ORDER BY started_at > unixepoch(?1) + 60, id DESC";
            let (id, outcome): (String, String) =
                database.query_row(sql, [self.env.clock()], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?;
            let sql = "SELECT model_name || ' ' || coalesce(outcome, 'running')
                    || coalesce(' ' || error_kind, '')
                FROM sessions WHERE run_id = ?1 ORDER BY model_name";
            let mut statement = database.prepare(sql)?;
            let sessions = statement.query_map([id], |row| row.get(0))?;
            let sessions: Vec<String> = sessions.collect::<rusqlite::Result<_>>()?;
            Ok(match sessions.is_empty() {
                true => outcome,
                false => format!("{outcome}: {}", sessions.join(", ")),
            })
        };
        read().unwrap_or_else(|_| "unreadable".to_owned())
    }

    fn status_file(&self, status: &Value) -> String {
        let Ok(text) = fs::read_to_string(self.env.home().join("status.json")) else {
            return "none".to_owned();
        };
        let file: Value = serde_json::from_str(&text).unwrap();
        let judged = judgement(&file);
        match judged == judgement(status) {
            true => "same".to_owned(),
            false => judged,
        }
    }

    fn metrics(&self) -> String {
        let Ok(text) = fs::read_to_string(&self.metrics_file) else {
            return "none".to_owned();
        };
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.map_or("-", str::trim).to_owned()
        };
        let mut words = vec![value("hfdl_run_last_exit_code ")];
        let is_outcome =
            |line: &&str| line.starts_with("hfdl_model_outcome{") && line.ends_with(" 1");
        for line in text.lines().filter(is_outcome) {
            let outcome = line.split("outcome=\"").nth(1).unwrap();
            words.push(outcome.split('"').next().unwrap().to_owned());
        }
        words.join(" ")
    }

    fn reported(&self) -> String {
        let reported = fs::read_to_string(self.env.root().join("reported")).unwrap_or_default();
        let reported: Vec<&str> = reported.lines().collect();
        or_dash(reported.join(", "))
    }

    fn pings(&self) -> String {
        let pings = self.inbox.take();
        let signals = pings.iter().map(|ping| {
            let path = ping.target.split('?').next().unwrap();
            match path.strip_prefix("/check").unwrap() {
                "" => "success".to_owned(),
                signal => signal.trim_start_matches('/').to_owned(),
            }
        });
        or_dash(signals.collect::<Vec<_>>().join(", "))
    }

    /// Returns the first line that cron would mail, with paths and host names
    /// replaced.
    fn mail(&self, tick: &Ran) -> String {
        let mail = format!("{}{}", tick.stdout(), tick.stderr());
        let first = mail.lines().next().unwrap_or_default();
        let first = first.replace(&*self.env.root().to_string_lossy(), "[ROOT]");
        let host = rustix::system::uname();
        let host = format!(" on {})", host.nodename().to_string_lossy());
        let first = first.replace(&host, " on [HOST])");
        // How much is free differs from minute to minute.
        let first = first.split(", which has ").next().unwrap().to_owned();
        let first = match self.env.hub_endpoint() {
            Some(endpoint) => first.replace(&endpoint, "[HUB]"),
            None => first,
        };
        let words = first.split_inclusive([' ', '/']).map(|word| {
            let bare = word.trim_matches(|c: char| "`,:()/ ".contains(c));
            let is_hex = |c: char| c.is_ascii_hexdigit() || c == '-';
            let is_id = bare.len() == 36 && bare.chars().all(is_hex);
            let is_commit = matches!(bare.len(), 10 | 12 | 40)
                && bare.chars().all(|c| c.is_ascii_hexdigit())
                && bare.chars().any(|c| c.is_ascii_digit());
            let is_number = bare.len() >= 3 && bare.chars().all(|c| c.is_ascii_digit());
            match (is_id, is_commit, is_number) {
                (true, ..) => word.replace(bare, "[ID]"),
                (_, true, _) => word.replace(bare, "[COMMIT]"),
                (.., true) if first.contains(&format!("process {bare}")) => {
                    word.replace(bare, "[PID]")
                }
                _ => word.to_owned(),
            }
        });
        or_dash(words.collect::<String>())
    }
}

fn or_dash(text: String) -> String {
    match text.is_empty() {
        true => "-".to_owned(),
        false => text,
    }
}

/// Returns how a status document judges: healthy, or its kinds of warnings.
fn judgement(document: &Value) -> String {
    let Some(warnings) = document["warnings"].as_array() else {
        return "unreadable".to_owned();
    };
    let kinds = warnings
        .iter()
        .map(|warning| warning["kind"].as_str().unwrap());
    let mut words: Vec<&str> = kinds.collect();
    assert_eq!(document["healthy"], words.is_empty(), "{document}");
    if words.is_empty() {
        words.push("healthy");
    }
    if !document["run"].is_null() {
        words.push("run-in-progress");
    }
    words.join(" ")
}

/// Stages a night, lets the tick come, and compares the witnesses with the row.
pub fn check(stage: impl FnOnce(&mut Night), expected: &str) {
    let mut night = Night::new();
    night.env.now(FIRST_TICK);
    stage(&mut night);
    if let Some(why) = &night.impossible {
        return say(why);
    }
    let tick = night.tick();
    let seen = night.witnesses(&tick);
    let lines = expected.lines().map(str::trim);
    let expected: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    assert!(
        expected.join("\n") == seen,
        "the night read\n{seen}\n\nand not\n{}\n\n{}",
        expected.join("\n"),
        tick.report()
    );
}

/// Makes a test of each row.
macro_rules! nights {
    ($($name:ident: $stage:expr => $expected:expr;)*) => {
        $(
            #[test]
            fn $name() {
                $crate::nights::check($stage, $expected);
            }
        )*
    };
}
pub(crate) use nights;
