//! A table of nights about updates: each row is a happening upstream, and the expected
//! state after the next tick of the timer.
//!
//! A row has a name, a function that brings the happening about, and one line with four
//! columns: the published commit, the reasons of the held update, the reports to people,
//! and the exit code of the tick.
//!
//! - Published: `first` (the commit that was there when the row began), `new` (the newest
//!   one upstream), `other`, or `none`.
//! - Held: the words of the findings, `+` between them, or `-`.
//! - Told: the events of hooks without `on_`, then `mail` if the tick printed anything, then `status` if
//!   `hfdl status` warns; or `-`.
//!
//! With several models the first two columns have one part for each, by name. The world of
//! a row begins with one published model, `acme/tiny`, under a schedule, unless the row
//! makes another one. To append rows, add a file with a `nights!` of its own to the list
//! below and to `TABLES`.

mod code;
mod decisions;
mod facts;
mod files;
mod gates;
mod headers;
mod policies;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use hfdl_test_hub::{CommitDraft, Repo, generated_bytes};
use serde_json::Value;

use crate::support::env::{Ran, TestEnv};

/// The names of the rows, by file.
const TABLES: &[&[&str]] = &[
    code::ROWS,
    decisions::ROWS,
    facts::ROWS,
    files::ROWS,
    gates::ROWS,
    headers::ROWS,
    policies::ROWS,
];

/// A check after the tick.
type After = Box<dyn Fn(&World)>;

/// The machine and the Hub of a row.
pub struct World {
    pub env: TestEnv,
    repo: &'static str,
    first: String,
    n_nights: u8,
    after: Option<After>,
}

impl World {
    /// Makes a world with one published model, `acme/tiny`.
    fn usual() -> Self {
        let mut world = Self::empty();
        world.publish(|draft| draft.file("config.json", b"{}"));
        world.keep("models add acme/tiny");
        world
    }

    /// Makes a world whose Hub is empty. Guards have their default.
    fn empty() -> Self {
        let env = TestEnv::new();
        let script = env.root().join("hook");
        let text = format!(
            "#!/bin/sh\necho \"$HFDL_EVENT\" >> '{}/told'\n",
            env.root().display()
        );
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["UPDATE", "FAILURE", "RECOVERY", "HOLD"] {
            let hook = format!("[\"{}\"]", script.display());
            env.set(&format!("HFDL_HOOKS_ON_{name}"), &hook);
        }
        env.unset("HFDL_UPDATE_GUARDS")
            .set("HFDL_DISK_RESERVE", "0")
            .set("PATH", "/usr/bin:/bin");
        Self {
            env,
            repo: "acme/tiny",
            first: String::new(),
            n_nights: 0,
            after: None,
        }
    }

    /// Begins anew with another repository.
    pub fn of(repo: &'static str, files: impl FnOnce(CommitDraft) -> CommitDraft) -> Self {
        let mut world = Self::empty();
        world.repo = repo;
        world.publish(files);
        world
    }

    /// Begins anew with these files in `acme/tiny`, and publishes them on this machine.
    pub fn with(files: impl FnOnce(CommitDraft) -> CommitDraft) -> Self {
        let mut world = Self::of("acme/tiny", files);
        world.keep("models add acme/tiny");
        world
    }

    /// Registers models by commands, under one schedule, and publishes them.
    pub fn keep(&mut self, commands: &str) {
        for line in commands.lines() {
            self.line(line.trim());
        }
        self.line("schedules add often --every 6h --all");
        self.night().succeeds();
        self.first = self.repo().head("main").unwrap();
        self.forget();
    }

    /// Registers a model by a command, under a schedule, without a first night.
    pub fn add(&mut self, command: &str) {
        self.line(command);
        self.line("schedules add often --every 6h --all");
    }

    pub fn repo(&self) -> Repo {
        self.env.hub().repo(self.repo)
    }

    /// Adds a commit upstream, and returns it.
    pub fn publish(&self, change: impl FnOnce(CommitDraft) -> CommitDraft) -> String {
        change(self.repo().commit("main")).publish()
    }

    /// Runs a command that succeeds.
    pub fn line(&self, line: &str) -> Ran {
        let ran = self.env.line(line);
        ran.succeeds();
        ran
    }

    /// Has the timer start a run on the next day.
    pub fn night(&mut self) -> Ran {
        self.n_nights += 1;
        self.env
            .now(&format!("2026-03-{:02}T09:00:00Z", self.n_nights));
        self.env.line("run-due --trigger timer")
    }

    /// Has a night in which the newest commit is held.
    pub fn held_night(&mut self) {
        self.night().succeeds();
        assert_ne!(self.held(), "-", "nothing was held");
        self.forget();
    }

    /// Approves the newest commit of `acme/tiny` for the next run.
    pub fn approve(&self) {
        let newest = self.repo().head("main").unwrap();
        self.line(&format!("download acme/tiny --accept {newest}"));
        self.forget();
    }

    /// Checks more after the tick.
    pub fn then(&mut self, after: impl Fn(&World) + 'static) {
        self.after = Some(Box::new(after));
    }

    /// Returns a model's entry as `models show` has it.
    pub fn model(&self, name: &str) -> Value {
        self.line(&format!("models show {name} --json")).json()
    }

    fn forget(&self) {
        let _ = fs::remove_file(self.env.root().join("told"));
    }

    fn models(&self) -> Vec<Value> {
        let list = self.line("models list --json").json();
        let models = list["models"].as_array().unwrap();
        let names = models.iter().map(|model| model["name"].as_str().unwrap());
        names.map(|name| self.model(name)).collect()
    }

    /// Returns one text for each model, with its name if there are several.
    fn of_models(&self, text: impl Fn(&Value) -> String) -> String {
        let models = self.models();
        let texts = models.iter().map(|model| match models.len() {
            1 => text(model),
            _ => format!("{} {}", model["name"].as_str().unwrap(), text(model)),
        });
        texts.collect::<Vec<_>>().join(", ")
    }

    fn published(&self) -> String {
        let head = self.repo().head("main");
        self.of_models(|model| match model["published_commit"].as_str() {
            None => "none".to_owned(),
            Some(commit) if commit == self.first => "first".to_owned(),
            Some(commit) if Some(commit) == head.as_deref() => "new".to_owned(),
            Some(_) => "other".to_owned(),
        })
    }

    fn held(&self) -> String {
        self.of_models(|model| {
            let update = &model["held_update"];
            let findings = update["findings"]
                .as_array()
                .filter(|_| update["decision"] == "waiting");
            let reasons = findings.into_iter().flatten();
            let reasons = reasons.map(|finding| finding["reason"].as_str().unwrap());
            or_dash(reasons.collect::<Vec<_>>().join("+"))
        })
    }

    fn told(&self, tick: &Ran) -> String {
        let heard = fs::read_to_string(self.env.root().join("told")).unwrap_or_default();
        let events = heard.lines();
        let events = events.map(|event| event.strip_prefix("on_").unwrap_or(event));
        let mut words: Vec<&str> = events.collect();
        if !tick.stdout().is_empty() || !tick.stderr().is_empty() {
            words.push("mail");
        }
        if self.env.line("status").code() != Some(0) {
            words.push("status");
        }
        or_dash(words.join(" "))
    }
}

/// Returns a safetensors file with one tensor of this many bytes.
pub fn safetensors(n_bytes: usize, seed: u64) -> Vec<u8> {
    let header = format!(
        r#"{{"weight":{{"dtype":"U8","shape":[{n_bytes}],"data_offsets":[0,{n_bytes}]}}}}"#
    );
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.into_bytes());
    bytes.extend(generated_bytes(n_bytes, seed));
    bytes
}

fn or_dash(text: String) -> String {
    if text.is_empty() {
        return "-".to_owned();
    }
    text
}

/// Brings a happening about, lets the tick come, and compares the four columns.
pub fn check(happens: impl FnOnce(&mut World), expected: &str) {
    let mut world = World::usual();
    happens(&mut world);
    let tick = world.night();
    let told = world.told(&tick);
    let seen = [
        world.published(),
        world.held(),
        told,
        tick.code().unwrap_or(-1).to_string(),
    ];
    let seen = seen.join(" | ");
    assert!(
        seen == expected,
        "the night ended with\n  {seen}\nand not with\n  {expected}\n\n{}\n{:#}",
        tick.report(),
        Value::from(world.models())
    );
    if let Some(after) = world.after.take() {
        after(&world);
    }
}

/// Makes a test of each row, and a list of their names.
macro_rules! nights {
    ($($name:ident: $happens:expr => $expected:expr;)*) => {
        pub const ROWS: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                $crate::guards::check($happens, $expected);
            }
        )*
    };
}
pub(crate) use nights;

#[test]
fn the_table_has_a_hundred_rows() {
    let n_rows: usize = TABLES.iter().map(|rows| rows.len()).sum();
    assert!(n_rows >= 100, "{n_rows} rows");
}
