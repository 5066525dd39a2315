//! The table of settings: the kind, the default and the help of each key.

use super::key::SettingKey;
use super::kind::ValueKind::{
    self, Allowance, Argv, Choice, Count, Duration, File, Guards, Path, Percent, Rate, SecretUrl,
    Size, SizeOrDuration, TickPeriod, Url, Zone,
};

/// The definition of one key.
#[derive(Clone, Copy, Debug)]
pub struct SettingSpec {
    pub kind: ValueKind,
    /// `None`: unlimited, or computed from the environment.
    pub default: Option<&'static str>,
    pub help: &'static str,
}

const fn spec(
    key: SettingKey,
    kind: ValueKind,
    default: Option<&'static str>,
    help: &'static str,
) -> (SettingKey, SettingSpec) {
    let spec = SettingSpec {
        kind,
        default,
        help,
    };
    (key, spec)
}

/// One row for each key, in the order of the keys.
pub(super) const SPECS: [(SettingKey, SettingSpec); SettingKey::ALL.len()] = [
    spec(
        SettingKey::CacheDir,
        Path,
        None,
        "the Hub cache that models go to",
    ),
    spec(
        SettingKey::CacheMaxSize,
        Size { min: 0 },
        None,
        "how much the cache may hold, files of other programs included; a download that would exceed it is not started",
    ),
    spec(
        SettingKey::CheckMaxAge,
        Duration { min: 60 },
        Some("7d"),
        "a model not checked for longer needs a person",
    ),
    spec(
        SettingKey::DiskReserve,
        Size { min: 0 },
        Some("5G"),
        "space that downloads leave free",
    ),
    spec(
        SettingKey::Connections,
        Count { min: 1, max: 256 },
        Some("16"),
        "connections of a whole run, over all files",
    ),
    spec(
        SettingKey::Files,
        Count { min: 1, max: 256 },
        Some("4"),
        "large files in progress at a time",
    ),
    spec(
        SettingKey::LimitRate,
        Rate,
        Some("off"),
        "bytes per second of a whole run, or a timetable",
    ),
    spec(
        SettingKey::MinRate,
        Size { min: 0 },
        Some("1K"),
        "a connection slower than this for `download.stall_after` is dropped",
    ),
    spec(
        SettingKey::Retries,
        Count { min: 0, max: 100 },
        Some("5"),
        "attempts without progress before a file fails",
    ),
    spec(
        SettingKey::StallAfter,
        Duration { min: 1 },
        Some("1m"),
        "how long a connection may be silent or too slow",
    ),
    spec(
        SettingKey::Xet,
        Choice(&["auto", "off"]),
        Some("auto"),
        "whether Xet storage may be used",
    ),
    spec(
        SettingKey::HooksFinally,
        Argv,
        None,
        "program after each `hfdl run-due` that had work",
    ),
    spec(
        SettingKey::HooksGate,
        Argv,
        None,
        "program that checks each new revision before it is published",
    ),
    spec(
        SettingKey::HooksGateTimeout,
        Duration { min: 1 },
        Some("30m"),
        "how long the gate may take",
    ),
    spec(
        SettingKey::HooksOnFailure,
        Argv,
        None,
        "program for a model that begins to fail, fails in another way, or still fails",
    ),
    spec(
        SettingKey::HooksOnHold,
        Argv,
        None,
        "program for a new revision that is held",
    ),
    spec(
        SettingKey::HooksOnRecovery,
        Argv,
        None,
        "program for a model that works again",
    ),
    spec(
        SettingKey::HooksOnRefMoved,
        Argv,
        None,
        "program for a ref of the cache that another program moved or removed",
    ),
    spec(
        SettingKey::HooksOnSkip,
        Argv,
        None,
        "program for a run that found the lock taken or ticks paused",
    ),
    spec(
        SettingKey::HooksOnUpdate,
        Argv,
        None,
        "program for each published update",
    ),
    spec(
        SettingKey::HooksTimeout,
        Duration { min: 1 },
        Some("1m"),
        "how long a hook may take",
    ),
    spec(
        SettingKey::HubEndpoint,
        Url,
        Some("https://huggingface.co"),
        "base URL of the Hub or of a mirror",
    ),
    spec(
        SettingKey::KeepLogs,
        Duration { min: 3_600 },
        Some("30d"),
        "how long log files are kept",
    ),
    spec(
        SettingKey::KeepRevisions,
        Count { min: 1, max: 1_000 },
        Some("2"),
        "revisions kept of each model, the published one included",
    ),
    spec(
        SettingKey::KeepSessions,
        Duration { min: 86_400 },
        Some("180d"),
        "how long the history of sessions is kept",
    ),
    spec(
        SettingKey::LimitBillingDay,
        Count { min: 1, max: 31 },
        Some("1"),
        "the day on which `limit.monthly` begins anew; 31 is the last day of a shorter month",
    ),
    spec(
        SettingKey::LimitDaily,
        Allowance,
        Some("off"),
        "how many bytes all runs of a day may fetch",
    ),
    spec(
        SettingKey::LimitKind,
        Choice(&["hard", "soft"]),
        Some("hard"),
        "hard stops a download when an allowance is spent, soft starts no further file",
    ),
    spec(
        SettingKey::LimitMonthly,
        Allowance,
        Some("off"),
        "how many bytes all runs of a month may fetch",
    ),
    spec(
        SettingKey::LimitZone,
        Zone,
        None,
        "the time zone of days and months (default: the system's)",
    ),
    spec(
        SettingKey::MetricsFile,
        File,
        None,
        "Prometheus text file, such as for the node exporter",
    ),
    spec(
        SettingKey::PingUrl,
        SecretUrl,
        None,
        "URL pinged for each run, such as of Healthchecks",
    ),
    spec(
        SettingKey::PruneAuto,
        Choice(&["off", "on"]),
        Some("off"),
        "make room for a download that `cache.max_size` or `disk.reserve` leaves no room for: remove old \
                 revisions, oldest first, until it fits. If it cannot fit, remove nothing. These stay: \
                 revisions that were published in the last 7 days, or are published, pinned, locked, held, \
                 waiting for approval, shown by a view, a rollback target or the only copy",
    ),
    spec(
        SettingKey::RunMaxDuration,
        Duration { min: 1 },
        None,
        "how long a run may take",
    ),
    spec(
        SettingKey::RunMaxTransfer,
        Size { min: 1 },
        None,
        "how many bytes a run may fetch",
    ),
    spec(
        SettingKey::StatusFile,
        File,
        None,
        "JSON file with the last state of everything",
    ),
    spec(
        SettingKey::TimerEvery,
        TickPeriod,
        Some("15m"),
        "how often the timer starts `hfdl run-due`",
    ),
    spec(
        SettingKey::UpdateGuards,
        Guards,
        Some("all"),
        "guards that hold an update for a person: `all`, `off`, a list, or `all,-WORD`",
    ),
    spec(
        SettingKey::UpdateSizeChange,
        Percent,
        Some("off"),
        "hold an update if the selected bytes change by more than this",
    ),
    // Shorter than the period of the timer: no tick finds the lock held by a
    // run that only reads. Time fits every disk: ten minutes a night read
    // 2.7 TB in a month at 150 MB/s.
    spec(
        SettingKey::VerifyBudget,
        SizeOrDuration,
        Some("10m"),
        "bytes or time that one run may spend on reading files again",
    ),
    spec(
        SettingKey::VerifyEvery,
        Duration { min: 86_400 },
        Some("30d"),
        "how often every published file is read again and hashed",
    ),
];

// The key of a row is its index, so that each key finds its own row.
const _: () = {
    let mut index = 0;
    while index < SPECS.len() {
        assert!(SPECS[index].0 as usize == index);
        index += 1;
    }
};
