//! Clock, environment, terminal and pauses of this process.
//!
//! Builds with debug assertions read these variables; release builds ignore
//! them:
//!
//! - `HFDL_TEST_NOW`: the clock. `2026-03-01T09:00:00Z` stands still; with
//!   `+60` appended it runs sixty times as fast, with `+-60` backwards.
//! - `HFDL_TEST_NO_PAUSES`: pauses end at once.
//! - `HFDL_TEST_CRASH_AT`: the checkpoint that kills the process (`run ends`,
//!   or `checked:3` for its third occurrence).
//! - `HFDL_TEST_HANG_AT`: the checkpoint at which the thread blocks for ever.
//! - `HFDL_TEST_IDLE_LIMIT`: milliseconds that replace the longest idle time of a
//!   run and its grace.
//! - `HFDL_TEST_LINKS`: the only form of links that a folder seems to have: `symbolic`,
//!   `hard` or `none`.
//! - `HFDL_TEST_READ_RATE`: bytes per second when local files are hashed.
//! - `HFDL_TEST_PROGRAMS`, `HFDL_TEST_PROCESSES`: folders that replace the
//!   machine's helper programs and its process list.
//! - `HFDL_TEST_REMOVALS`: the file to which removals are appended.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use console::Term;
use thiserror::Error;

use super::file_io;
use crate::domain::time::Timestamp;

/// The arguments and environment of the process.
#[derive(Clone, Debug)]
pub struct Host {
    arguments: Vec<OsString>,
    environment: BTreeMap<String, String>,
    /// Variables whose value is not UTF-8; values are never altered to fit.
    not_utf8: Vec<String>,
}

/// A variable that hfdl reads is not UTF-8. The database keeps paths as text, so
/// the value is refused rather than altered.
#[derive(Debug, Error)]
#[error("the variable `{0}` holds bytes that are not UTF-8")]
pub struct VariableNotUtf8(String);

impl Host {
    /// Reads the arguments and environment of this process.
    pub fn from_process() -> Self {
        let mut environment = BTreeMap::new();
        let mut not_utf8 = Vec::new();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else {
                continue;
            };
            match value.into_string() {
                Ok(value) => drop(environment.insert(name, value)),
                Err(_) => not_utf8.push(name),
            }
        }
        Self {
            arguments: std::env::args_os().collect(),
            environment,
            not_utf8,
        }
    }

    /// Refuses an environment in which a variable that decides about paths is not
    /// UTF-8; variables of other programs do not matter.
    pub fn check_variables(&self) -> std::result::Result<(), VariableNotUtf8> {
        const STARTS: [&str; 4] = ["HF_", "HFDL_", "HUGGINGFACE_", "XDG_"];
        const NAMES: [&str; 8] = [
            "HOME",
            "USERPROFILE",
            "LOCALAPPDATA",
            "PATH",
            "SSL_CERT_FILE",
            "REQUESTS_CA_BUNDLE",
            "CURL_CA_BUNDLE",
            "TZ",
        ];
        let is_read = |name: &&String| {
            STARTS.iter().any(|start| name.starts_with(start)) || NAMES.contains(&name.as_str())
        };
        match self.not_utf8.iter().find(is_read) {
            Some(name) => Err(VariableNotUtf8(name.clone())),
            None => Ok(()),
        }
    }

    /// Returns the arguments of this process with another environment.
    #[cfg(debug_assertions)]
    pub fn with_variables(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self {
            arguments: std::env::args_os().collect(),
            environment: variables.into_iter().collect(),
            not_utf8: Vec::new(),
        }
    }

    pub fn arguments(&self) -> &[OsString] {
        &self.arguments
    }

    /// Returns a variable's value; an empty one counts as unset, as it does
    /// for the official client.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Returns the test variables that are set, to pass them to a child process.
    pub fn test_variables(&self) -> impl Iterator<Item = (&str, &str)> {
        let is_test_variable =
            |(name, _): &(&str, &str)| cfg!(debug_assertions) && name.starts_with("HFDL_TEST_");
        let all = self.environment.iter();
        all.map(|(name, value)| (name.as_str(), value.as_str()))
            .filter(is_test_variable)
    }

    /// Tells whether a variable of the Hub's client is true: `1`, `ON`, `YES` or
    /// `TRUE`.
    pub fn is_on(&self, name: &str) -> bool {
        let yes = ["1", "ON", "YES", "TRUE"];
        self.variable(name)
            .is_some_and(|value| yes.contains(&value.trim().to_uppercase().as_str()))
    }

    /// Returns the current time, in whole seconds.
    pub fn now(&self) -> Timestamp {
        crate::domain::time::whole_seconds(self.precise_now())
    }

    /// Returns the current time with its fraction of a second, for ids that sort by
    /// it.
    pub fn precise_now(&self) -> Timestamp {
        let now = self.test_variable("HFDL_TEST_NOW").and_then(test_clock);
        now.unwrap_or_else(Timestamp::now)
    }

    /// Sleeps, unless a test has disabled pauses.
    pub fn pause(&self, duration: Duration) {
        if self.takes_pauses() {
            std::thread::sleep(duration);
        }
    }

    /// Tells whether pauses are real, for callers that wait by other means.
    pub fn takes_pauses(&self) -> bool {
        self.test_variable("HFDL_TEST_NO_PAUSES").is_none()
    }

    /// Returns a long limit of time, or the short one that a test has set.
    pub fn idle_limit(&self, limit: Duration) -> Duration {
        let short = self.test_variable("HFDL_TEST_IDLE_LIMIT");
        let short = short.and_then(|millis| millis.parse().ok());
        short.map_or(limit, Duration::from_millis)
    }

    pub(super) fn test_variable(&self, name: &str) -> Option<&str> {
        if cfg!(debug_assertions) {
            self.variable(name)
        } else {
            None
        }
    }

    pub fn stdin_is_terminal(&self) -> bool {
        std::io::stdin().is_terminal()
    }

    pub fn stdout_is_terminal(&self) -> bool {
        std::io::stdout().is_terminal()
    }

    pub fn stderr_is_terminal(&self) -> bool {
        std::io::stderr().is_terminal()
    }

    /// Returns the width set by `COLUMNS`.
    pub fn columns(&self) -> Option<u16> {
        self.variable("COLUMNS")?
            .parse()
            .ok()
            .filter(|columns| *columns >= 20)
    }

    /// Returns the height of the terminal behind stdout, where it is known.
    pub fn rows(&self) -> Option<u16> {
        Term::stdout().size_checked().map(|(rows, _)| rows)
    }

    /// Tells whether the locale is one of UTF-8. Windows has consoles of Unicode, and no
    /// locale in its environment.
    pub fn has_unicode(&self) -> bool {
        let names = ["LC_ALL", "LC_CTYPE", "LANG"].iter();
        let locale = names
            .filter_map(|name| self.variable(name))
            .find(|value| !value.is_empty());
        let locale = locale.unwrap_or_default().to_lowercase();
        let is_windows = cfg!(windows) && locale != "c";
        is_windows || locale.contains("utf-8") || locale.contains("utf8")
    }

    /// Returns the host name, or an empty text where there is none.
    pub fn name(&self) -> String {
        #[cfg(unix)]
        let name = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        #[cfg(not(unix))]
        let name = self.variable("COMPUTERNAME").unwrap_or_default().to_owned();
        name
    }

    /// Returns an id that changes with each boot, where the platform has one.
    pub fn boot_id(&self) -> Option<String> {
        file_io::boot_id()
    }

    /// Returns the numeric user id, on platforms that have one.
    pub fn user_id(&self) -> Option<u32> {
        #[cfg(unix)]
        let id = Some(rustix::process::getuid().as_raw());
        #[cfg(not(unix))]
        let id = None;
        id
    }

    pub fn current_dir(&self) -> Result<PathBuf> {
        std::env::current_dir().context("cannot determine the current directory")
    }

    /// Returns the IANA name of the system's time zone, if it has one.
    pub fn time_zone_name(&self) -> Option<String> {
        if let Some(name) = self.variable("TZ").map(|name| name.trim_start_matches(':'))
            && jiff::tz::TimeZone::get(name).is_ok()
        {
            return Some(name.to_owned());
        }
        jiff::tz::TimeZone::system().iana_name().map(str::to_owned)
    }

    /// Returns the zone of programs without a `TZ`, such as those started by a
    /// timer.
    pub fn system_zone_name(&self) -> Option<String> {
        if cfg!(not(unix)) {
            // Windows does not use `TZ`.
            return self.time_zone_name();
        }
        let Ok(link) = std::fs::read_link("/etc/localtime") else {
            // A regular file may be a copy of any zone; no file means UTC.
            let has_copy = std::path::Path::new("/etc/localtime").exists();
            return (!has_copy).then(|| "UTC".to_owned());
        };
        let link = link.to_string_lossy();
        link.split_once("zoneinfo/")
            .map(|(_, name)| name.to_owned())
    }

    pub fn time_zone(&self) -> jiff::tz::TimeZone {
        self.time_zone_name()
            .and_then(|name| jiff::tz::TimeZone::get(&name).ok())
            .unwrap_or_else(jiff::tz::TimeZone::system)
    }
}

/// Reads the test clock: fixed, or running by a factor.
fn test_clock(text: &str) -> Option<Timestamp> {
    let Some((start, factor)) = text.split_once("Z+") else {
        return text.parse().ok();
    };
    let start: Timestamp = format!("{start}Z").parse().ok()?;
    let factor: f64 = factor.parse().ok()?;
    let passed = elapsed().mul_f64(factor.abs());
    if factor < 0.0 {
        start.checked_sub(passed).ok()
    } else {
        start.checked_add(passed).ok()
    }
}

/// Marks a step after which a crash must be recoverable. If a test has chosen this
/// step, the process is killed here as by `kill -9`: no destructor runs.
///
/// A free function, because steps are in layers that have no `Host`.
pub fn checkpoint(step: &str) {
    static HANGS_AT: OnceLock<Option<String>> = OnceLock::new();
    static CHOSEN: OnceLock<Option<(String, usize)>> = OnceLock::new();
    static SEEN: AtomicUsize = AtomicUsize::new(0);
    if !cfg!(debug_assertions) {
        return;
    }
    let hangs_at = HANGS_AT.get_or_init(|| std::env::var("HFDL_TEST_HANG_AT").ok());
    while hangs_at.as_deref() == Some(step) {
        std::thread::park();
    }
    let chosen = CHOSEN.get_or_init(|| {
        let text = std::env::var("HFDL_TEST_CRASH_AT").ok()?;
        let counted = text
            .rsplit_once(':')
            .and_then(|(step, times)| Some((step.to_owned(), times.parse().ok()?)));
        Some(counted.unwrap_or((text, 1)))
    });
    let Some((chosen, times)) = chosen else {
        return;
    };
    if chosen == step && SEEN.fetch_add(1, Ordering::Relaxed) + 1 == *times {
        super::process::kill_this();
    }
}

/// Appends a removal and its reason to the test's audit file.
///
/// A free function like `checkpoint`, because files are removed in layers that
/// have no `Host`.
pub fn note_removal(path: &std::path::Path, reason: &str) {
    static AUDIT: OnceLock<Option<PathBuf>> = OnceLock::new();
    if !cfg!(debug_assertions) {
        return;
    }
    let audit = AUDIT.get_or_init(|| std::env::var_os("HFDL_TEST_REMOVALS").map(PathBuf::from));
    if let Some(audit) = audit {
        use std::io::Write;
        let mut options = std::fs::File::options();
        let file = options.create(true).append(true).open(audit);
        let line = format!("{reason}\t{}\n", path.display());
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}

/// Tells whether a test leaves a folder its links of a form, `symbolic` or `hard`.
pub fn has_links(form: &str) -> bool {
    static ONLY: OnceLock<Option<String>> = OnceLock::new();
    if !cfg!(debug_assertions) {
        return true;
    }
    let only = ONLY.get_or_init(|| std::env::var("HFDL_TEST_LINKS").ok());
    only.as_ref().is_none_or(|only| only == form)
}

/// Limits the rate at which a test reads local files.
pub fn slow_down_reading(bytes: usize) {
    static RATE: OnceLock<Option<f64>> = OnceLock::new();
    if !cfg!(debug_assertions) {
        return;
    }
    let rate = RATE.get_or_init(|| std::env::var("HFDL_TEST_READ_RATE").ok()?.parse().ok());
    if let Some(rate) = rate {
        std::thread::sleep(Duration::from_secs_f64(bytes as f64 / rate));
    }
}

/// Returns the time since the first call, for measurements only.
pub fn elapsed() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// Returns the number of threads that can run in parallel.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
