//! The table of settings keys and their value kinds.

use super::url::{check_ping, check_url, without_credentials, without_path};
use super::value::{SettingError, SettingValue};
use crate::domain::allowance::BLOCK;
use crate::domain::argv::Argv;
use crate::domain::guard::GuardError;
use crate::domain::nearest::nearest;
use crate::domain::outcome::words;
use crate::domain::schedule::{RateTable, find_zone};
use crate::domain::units::{ByteSize, Seconds};

/// The value of a setting that is switched off.
const OFF: &str = "off";

words! {
    /// The key of a setting.
    SettingKey {
        CacheDir = "cache.dir",
        CacheMaxSize = "cache.max_size",
        CheckMaxAge = "check.max_age",
        DiskReserve = "disk.reserve",
        Connections = "download.connections",
        Files = "download.files",
        LimitRate = "download.limit_rate",
        MinRate = "download.min_rate",
        Retries = "download.retries",
        StallAfter = "download.stall_after",
        Xet = "download.xet",
        HooksFinally = "hooks.finally",
        HooksGate = "hooks.gate",
        HooksGateTimeout = "hooks.gate_timeout",
        HooksOnFailure = "hooks.on_failure",
        HooksOnHold = "hooks.on_hold",
        HooksOnRecovery = "hooks.on_recovery",
        HooksOnRefMoved = "hooks.on_ref_moved",
        HooksOnSkip = "hooks.on_skip",
        HooksOnUpdate = "hooks.on_update",
        HooksTimeout = "hooks.timeout",
        HubEndpoint = "hub.endpoint",
        KeepLogs = "keep.logs",
        KeepRevisions = "keep.revisions",
        KeepSessions = "keep.sessions",
        LimitBillingDay = "limit.billing_day",
        LimitDaily = "limit.daily",
        LimitKind = "limit.kind",
        LimitMonthly = "limit.monthly",
        LimitZone = "limit.zone",
        MetricsFile = "metrics.file",
        PingUrl = "ping.url",
        PruneAuto = "prune.auto",
        RunMaxDuration = "run.max_duration",
        RunMaxTransfer = "run.max_transfer",
        StatusFile = "status.file",
        TimerEvery = "timer.every",
        UpdateGuards = "update.guards",
        UpdateSizeChange = "update.size_change",
        VerifyBudget = "verify.budget",
        VerifyEvery = "verify.every",
    }
}

/// The kind of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    Count {
        min: u64,
        max: u64,
    },
    /// A number of bytes; `min` is the smallest useful one.
    Size {
        min: u64,
    },
    /// Bytes of a day or a month.
    Allowance,
    /// The name of a time zone.
    Zone,
    /// A span of time; `min` is the shortest useful one.
    Duration {
        min: u64,
    },
    /// A number of bytes or a span of time. A small letter is a unit of time: `10m` is
    /// ten minutes, and `10M` ten mebibytes.
    SizeOrDuration,
    /// A span of time that divides an hour, so that a timer can tick evenly.
    TickPeriod,
    Rate,
    Choice(&'static [&'static str]),
    Url,
    /// A URL that works without further credentials; only its host is shown.
    SecretUrl,
    Path,
    /// A file to be written, in a directory that exists.
    File,
    /// A program and its arguments.
    Argv,
    /// A selection of guards.
    Guards,
    /// A percentage, or `off`.
    Percent,
}

/// The definition of one key.
#[derive(Clone, Copy, Debug)]
pub struct SettingSpec {
    pub kind: ValueKind,
    /// `None`: unlimited, or computed from the environment.
    pub default: Option<&'static str>,
    pub help: &'static str,
}

impl SettingKey {
    pub fn spec(self) -> SettingSpec {
        use ValueKind::{
            Allowance, Argv, Choice, Count, Duration, File, Guards, Path, Percent, Rate, SecretUrl,
            Size, SizeOrDuration, TickPeriod, Url, Zone,
        };
        let spec = |kind, default, help| SettingSpec {
            kind,
            default,
            help,
        };
        match self {
            Self::HubEndpoint => spec(
                Url,
                Some("https://huggingface.co"),
                "base URL of the Hub or of a mirror",
            ),
            Self::CacheDir => spec(Path, None, "the Hub cache that models go to"),
            Self::CacheMaxSize => spec(
                Size { min: 0 },
                None,
                "how much the cache may hold, files of other programs included; a download that would exceed it is not started",
            ),
            Self::PruneAuto => spec(
                Choice(&["off", "on"]),
                Some("off"),
                "make room for a download that `cache.max_size` or `disk.reserve` leaves no room for: remove old \
                 revisions, oldest first, until it fits. If it cannot fit, remove nothing. These stay: \
                 revisions that were published in the last 7 days, or are published, pinned, locked, held, \
                 waiting for approval, shown by a view, a rollback target or the only copy",
            ),
            Self::Connections => spec(
                Count { min: 1, max: 256 },
                Some("16"),
                "connections of a whole run, over all files",
            ),
            Self::Files => spec(
                Count { min: 1, max: 256 },
                Some("4"),
                "large files in progress at a time",
            ),
            Self::LimitRate => spec(
                Rate,
                Some("off"),
                "bytes per second of a whole run, or a timetable",
            ),
            Self::MinRate => spec(
                Size { min: 0 },
                Some("1K"),
                "a connection slower than this for `download.stall_after` is dropped",
            ),
            Self::StallAfter => spec(
                Duration { min: 1 },
                Some("1m"),
                "how long a connection may be silent or too slow",
            ),
            Self::Retries => spec(
                Count { min: 0, max: 100 },
                Some("5"),
                "attempts without progress before a file fails",
            ),
            Self::Xet => spec(
                Choice(&["auto", "off"]),
                Some("auto"),
                "whether Xet storage may be used",
            ),
            Self::DiskReserve => spec(
                Size { min: 0 },
                Some("5G"),
                "space that downloads leave free",
            ),
            Self::RunMaxDuration => spec(Duration { min: 1 }, None, "how long a run may take"),
            Self::RunMaxTransfer => spec(Size { min: 1 }, None, "how many bytes a run may fetch"),
            Self::LimitDaily => spec(
                Allowance,
                Some("off"),
                "how many bytes all runs of a day may fetch",
            ),
            Self::LimitMonthly => spec(
                Allowance,
                Some("off"),
                "how many bytes all runs of a month may fetch",
            ),
            Self::LimitBillingDay => spec(
                Count { min: 1, max: 31 },
                Some("1"),
                "the day on which `limit.monthly` begins anew; 31 is the last day of a shorter month",
            ),
            Self::LimitKind => spec(
                Choice(&["hard", "soft"]),
                Some("hard"),
                "hard stops a download when an allowance is spent, soft starts no further file",
            ),
            Self::LimitZone => spec(
                Zone,
                None,
                "the time zone of days and months (default: the system's)",
            ),
            Self::CheckMaxAge => spec(
                Duration { min: 60 },
                Some("7d"),
                "a model not checked for longer needs a person",
            ),
            Self::KeepRevisions => spec(
                Count { min: 1, max: 1_000 },
                Some("2"),
                "revisions kept of each model, the published one included",
            ),
            Self::KeepSessions => spec(
                Duration { min: 86_400 },
                Some("180d"),
                "how long the history of sessions is kept",
            ),
            Self::KeepLogs => spec(
                Duration { min: 3_600 },
                Some("30d"),
                "how long log files are kept",
            ),
            Self::HooksOnUpdate => spec(Argv, None, "program for each published update"),
            Self::HooksOnFailure => spec(
                Argv,
                None,
                "program for a model that begins to fail, fails in another way, or still fails",
            ),
            Self::HooksOnRecovery => spec(Argv, None, "program for a model that works again"),
            Self::HooksOnHold => spec(Argv, None, "program for a new revision that is held"),
            Self::HooksOnRefMoved => spec(
                Argv,
                None,
                "program for a ref of the cache that another program moved or removed",
            ),
            Self::HooksOnSkip => spec(
                Argv,
                None,
                "program for a run that found the lock taken or ticks paused",
            ),
            Self::HooksFinally => spec(
                Argv,
                None,
                "program after each `hfdl run-due` that had work",
            ),
            Self::HooksGate => spec(
                Argv,
                None,
                "program that checks each new revision before it is published",
            ),
            Self::HooksGateTimeout => spec(
                Duration { min: 1 },
                Some("30m"),
                "how long the gate may take",
            ),
            Self::HooksTimeout => spec(Duration { min: 1 }, Some("1m"), "how long a hook may take"),
            Self::MetricsFile => spec(
                File,
                None,
                "Prometheus text file, such as for the node exporter",
            ),
            Self::PingUrl => spec(
                SecretUrl,
                None,
                "URL pinged for each run, such as of Healthchecks",
            ),
            Self::StatusFile => spec(File, None, "JSON file with the last state of everything"),
            Self::TimerEvery => spec(
                TickPeriod,
                Some("15m"),
                "how often the timer starts `hfdl run-due`",
            ),
            Self::UpdateGuards => spec(
                Guards,
                Some("all"),
                "guards that hold an update for a person: `all`, `off`, a list, or `all,-WORD`",
            ),
            Self::UpdateSizeChange => spec(
                Percent,
                Some("off"),
                "hold an update if the selected bytes change by more than this",
            ),
            // Shorter than the period of the timer: no tick finds the lock held by a
            // run that only reads. Time fits every disk: ten minutes a night read
            // 2.7 TB in a month at 150 MB/s.
            Self::VerifyBudget => spec(
                SizeOrDuration,
                Some("10m"),
                "bytes or time that one run may spend on reading files again",
            ),
            Self::VerifyEvery => spec(
                Duration { min: 86_400 },
                Some("30d"),
                "how often every published file is read again and hashed",
            ),
        }
    }

    /// Reports whether a value of this key grants access to something.
    pub fn is_secret(self) -> bool {
        matches!(self.spec().kind, ValueKind::SecretUrl)
    }

    /// Tells whether `off` means that there is no such limit, program or file.
    fn can_be_off(self) -> bool {
        let spec = self.spec();
        match self {
            // Without a value the system decides about these.
            Self::CacheDir | Self::LimitZone => false,
            Self::VerifyEvery => true,
            _ => spec.default.is_none() || spec.kind == ValueKind::Allowance,
        }
    }

    /// Tells whether a value switches this key off.
    pub fn is_off(self, value: &str) -> bool {
        self.can_be_off() && value.eq_ignore_ascii_case(OFF)
    }

    /// Returns a value of this key in the form for lists and messages.
    pub fn shown(self, value: &str) -> String {
        if self.is_secret() && !self.is_off(value) {
            without_path(value)
        } else {
            value.to_owned()
        }
    }

    /// Returns the environment variable of this key, such as
    /// `HFDL_DOWNLOAD_CONNECTIONS`.
    pub fn variable(self) -> String {
        format!("HFDL_{}", self.as_str().replace('.', "_").to_uppercase())
    }

    /// Finds a key by name; the error suggests the nearest one.
    pub fn find(name: &str) -> Result<Self, SettingError> {
        name.parse().map_err(|_| SettingError::UnknownKey {
            key: name.chars().take(80).flat_map(char::escape_debug).collect(),
            nearest: nearest(name, Self::ALL.iter().map(|key| key.as_str())),
        })
    }

    /// Parses a value for this key and returns it in its canonical spelling.
    pub fn check(self, value: &str) -> Result<SettingValue, SettingError> {
        let value = value.trim();
        if self.is_off(value) {
            return Ok(SettingValue::Choice(OFF));
        }
        let refuse = |why: String| SettingError::WrongValue {
            key: self,
            value: self
                .shown(&without_credentials(value))
                .chars()
                .take(80)
                .flat_map(char::escape_debug)
                .collect(),
            why: if self.can_be_off() {
                format!("{why}, or `{OFF}`")
            } else {
                why
            },
        };
        match self.spec().kind {
            ValueKind::Count { min, max } => match value.parse::<u64>() {
                Ok(count) if (min..=max).contains(&count) => Ok(SettingValue::Count(count)),
                _ => Err(refuse(format!(
                    "it must be a whole number from {min} to {max}"
                ))),
            },
            ValueKind::Size { min } => match value.parse::<ByteSize>() {
                Ok(size) if size.bytes() >= min => Ok(SettingValue::Size(size)),
                Ok(_) => Err(refuse("it must be more than 0".to_owned())),
                Err(err) => Err(refuse(err.to_string())),
            },
            ValueKind::Allowance => match value.parse::<ByteSize>() {
                Ok(size) if size.bytes() >= BLOCK => Ok(SettingValue::Size(size)),
                Ok(_) => Err(refuse("it must be at least 1M".to_owned())),
                Err(err) => Err(refuse(err.to_string())),
            },
            ValueKind::Zone => find_zone(value)
                .map(|zone| SettingValue::Text(zone.iana_name().unwrap_or(value).to_owned()))
                .map_err(|err| refuse(err.to_string())),
            ValueKind::Duration { min } => match value.parse::<Seconds>() {
                Ok(span) if span.get() >= min => Ok(SettingValue::Duration(span)),
                Ok(_) => Err(refuse(format!("it must be at least {}", Seconds(min)))),
                Err(err) => Err(refuse(err.to_string())),
            },
            ValueKind::SizeOrDuration => match (value.parse(), value.parse()) {
                (Ok(span), _) if span > Seconds(0) => Ok(SettingValue::Duration(span)),
                (_, Ok(size)) if size > ByteSize(0) => Ok(SettingValue::Size(size)),
                _ => Err(refuse(
                    "it must be a size such as 20G, or a time such as 10m".to_owned(),
                )),
            },
            ValueKind::TickPeriod => match value.parse::<Seconds>() {
                Ok(span) if span.get() >= 60 && 3_600 % span.get() == 0 && span.get() % 60 == 0 => {
                    Ok(SettingValue::Duration(span))
                }
                _ => Err(refuse(
                    "it must be 1m, 2m, 3m, 4m, 5m, 6m, 10m, 12m, 15m, 20m, 30m or 1h".to_owned(),
                )),
            },
            ValueKind::Rate => value
                .parse::<RateTable>()
                .map(SettingValue::Rate)
                .map_err(|err| refuse(err.to_string())),
            ValueKind::Choice(words) => match words.iter().find(|word| **word == value) {
                Some(word) => Ok(SettingValue::Choice(word)),
                None => Err(refuse(format!("it must be one of {}", words.join(", ")))),
            },
            ValueKind::Url => check_url(value).map(SettingValue::Text).map_err(refuse),
            ValueKind::SecretUrl => check_ping(value).map(SettingValue::Text).map_err(refuse),
            ValueKind::Argv => value
                .parse::<Argv>()
                .map(SettingValue::Argv)
                .map_err(|err| refuse(err.to_string())),
            ValueKind::Guards => value
                .parse()
                .map(SettingValue::Guards)
                .map_err(|err: GuardError| refuse(err.to_string())),
            ValueKind::Percent => percent(value)
                .map(SettingValue::Percent)
                .ok_or_else(|| refuse("it must be `off` or a percentage, such as 30%".to_owned())),
            ValueKind::Path => match value {
                "" => Err(refuse("it must be a directory".to_owned())),
                path if path.contains('\0') => Err(refuse("it contains a NUL".to_owned())),
                path => Ok(SettingValue::Text(path.to_owned())),
            },
            ValueKind::File => match value {
                path if path.is_empty() || path.ends_with(['/', std::path::MAIN_SEPARATOR]) => {
                    Err(refuse("it must be the path of a file".to_owned()))
                }
                path if path.contains('\0') => Err(refuse("it contains a NUL".to_owned())),
                path => Ok(SettingValue::Text(path.to_owned())),
            },
        }
    }
}

/// Parses `off`, `30%` or `30`; `None` for any other text.
fn percent(value: &str) -> Option<Option<u32>> {
    const MOST: u32 = 1_000_000;
    if value == "off" {
        return Some(None);
    }
    let number = value.strip_suffix('%').unwrap_or(value).trim_end();
    let number = number.parse().ok();
    number.filter(|n| (1..=MOST).contains(n)).map(Some)
}
