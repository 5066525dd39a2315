//! Runs: the record of one `hfdl` process, from start to end.

use std::fmt;
use std::str::FromStr;

use super::model::ModelId;
use super::outcome::{RunOutcome, Trigger, words};
use super::time::Timestamp;
use super::units::Seconds;
use crate::domain::invalid_value::InvalidValue;

/// The id of a run: a UUID of version 7, so that ids sort by start time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(String);

impl RunId {
    /// Builds an id from the start time and 74 random bits, taken from the low
    /// end of `random`.
    pub fn from_parts(started_at: Timestamp, random: u128) -> Self {
        let count = (random >> 62) & 0xfff;
        Self::assemble(millis(started_at) << 12 | count, random)
    }

    /// Builds the id of a run that started after another one. Within one
    /// millisecond, or after a small step of the clock backwards, the counter
    /// of the previous id continues.
    pub fn following(previous: Option<Self>, started_at: Timestamp, random: u128) -> Self {
        let own = Self::from_parts(started_at, random);
        match previous {
            Some(previous) if own.order() <= previous.order() => {
                Self::assemble(previous.order() + 1, random)
            }
            _ => own,
        }
    }

    /// Returns the smallest id of a millisecond; all ids of earlier
    /// milliseconds sort before it.
    pub fn first_at(at: Timestamp) -> Self {
        Self::assemble(millis(at) << 12, 0)
    }

    /// Returns the sort key of an id: milliseconds and a counter of 12 bits.
    fn order(&self) -> u128 {
        let hex: String = self.0.chars().filter(|c| *c != '-').collect();
        // Cannot fail: an id consists of hexadecimal digits.
        let bits = u128::from_str_radix(&hex, 16).unwrap_or(0);
        bits >> 80 << 12 | (bits >> 64 & 0xfff)
    }

    fn assemble(order: u128, random: u128) -> Self {
        let (millis, count) = (order >> 12 & 0xffff_ffff_ffff, order & 0xfff);
        let low_random = random & 0x3fff_ffff_ffff_ffff;
        let bits = millis << 80 | 0x7 << 76 | count << 64 | 0b10 << 62 | low_random;
        let hex = format!("{bits:032x}");
        Self(format!(
            "{}-{}-{}-{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..]
        ))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the last part of an id, which identifies the run.
    pub fn ending(&self) -> &str {
        self.0.rsplit('-').next().unwrap_or(&self.0)
    }

    /// The shortest suffix that may name a run. Ids begin with the time, so
    /// only their ends differ visibly.
    pub const SHORTEST_ENDING: usize = 4;
}

fn millis(at: Timestamp) -> u128 {
    u128::try_from(at.as_millisecond()).unwrap_or(0)
}

impl FromStr for RunId {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let well_formed = text.len() == 36
            && text.bytes().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => byte == b'-',
                14 => byte == b'7',
                _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
            });
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            let why = "it must be a UUID of version 7, as `hfdl runs list` shows it";
            Err(InvalidValue::not_valid("run id", text).because(why))
        }
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

words! {
    /// The command that a run executes.
    RunCommand {
        RunDue = "run-due",
        Download = "download",
        Verify = "verify",
        Prune = "prune",
        Adopt = "adopt",
        Models = "models",
    }
}

/// The process of a run, recorded so that `stop` never signals another process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunProcess {
    pub host: String,
    pub pid: u32,
    /// The id of the current boot, where the platform provides one.
    pub boot_id: Option<String>,
    /// The start time of the process in the platform's own format: compared
    /// only, never computed with.
    pub process_start: Option<String>,
    /// The version of `hfdl`.
    pub version: String,
}

/// The facts known when a run starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunStart {
    pub command: RunCommand,
    pub trigger: Trigger,
    pub process: RunProcess,
    pub at: Timestamp,
}

/// The totals of a run over all its sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunTotals {
    pub n_due: u64,
    pub n_sessions: u64,
    pub n_failed: u64,
    pub files_fetched: u64,
    pub bytes_fetched: u64,
    pub bytes_reused: u64,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunEnd {
    /// For a crashed run: the time of its last heartbeat.
    pub at: Timestamp,
    pub outcome: RunOutcome,
    /// `None` for a crashed run, whose exit code is unknown.
    pub exit_code: Option<u8>,
}

/// A run as stored in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub id: RunId,
    pub start: RunStart,
    pub heartbeat_at: Timestamp,
    pub stop_requested_at: Option<Timestamp>,
    pub totals: RunTotals,
    /// `None` while the run is in progress, or after a crash until the next run
    /// notices.
    pub end: Option<RunEnd>,
}

/// A run in progress without a heartbeat for so long is a warning: it beats
/// every second, and waits for nothing longer than the database allows.
pub const SILENT_AFTER: Seconds = Seconds(5 * 60);

/// A run in progress without a heartbeat for so long has failed: ticks that
/// find its lock speak.
pub const HUNG_AFTER: Seconds = Seconds(3_600);

/// A run in which nothing moved for so long ends itself: no byte came or was
/// read, and no file or model ended.
pub const IDLE_LIMIT: Seconds = Seconds(6 * 3_600);

impl Run {
    /// Returns how long the run has given no heartbeat. A heartbeat of the
    /// future was dated by a wrong clock and tells nothing.
    pub fn silence(&self, now: Timestamp) -> Seconds {
        let silent = now.duration_since(self.heartbeat_at).as_secs();
        Seconds(u64::try_from(silent).unwrap_or(0))
    }

    pub fn is_silent(&self, now: Timestamp) -> bool {
        self.silence(now) >= SILENT_AFTER
    }

    pub fn is_hung(&self, now: Timestamp) -> bool {
        self.silence(now) >= HUNG_AFTER
    }
}

words! {
    /// The kind of an event in the history.
    EventKind {
        MissedTick = "missed-tick",
        MissedSlot = "missed-slot",
        Skipped = "skipped",
        Crashed = "crashed",
        /// A model's first failure after a success.
        Failing = "failing",
        /// A model's first success after failures.
        Recovered = "recovered",
        Orphaned = "orphaned",
        Gated = "gated",
        Renamed = "renamed",
        Held = "held",
        RolledBack = "rolled-back",
        Released = "released",
        /// A person keeps a held update back.
        Rejected = "rejected",
        /// A ref names another commit than the published one.
        RefMoved = "ref-moved",
        Pruned = "pruned",
        /// The Hub has a kept commit no more, or has it again.
        OnlyCopy = "only-copy",
        /// A published file whose bytes no longer match their hash.
        Corrupt = "corrupt",
        DeltaAbandoned = "delta-abandoned",
        HookFailed = "hook-failed",
        /// A view does not show the published revision.
        ViewFailed = "view-failed",
        DiskLow = "disk-low",
        ClockBack = "clock-back",
        ClockReset = "clock-reset",
        ZoneDataChanged = "zone-data-changed",
    }
}

/// An event that the user should be able to look up later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub at: Timestamp,
    pub kind: EventKind,
    pub model_id: Option<ModelId>,
    pub run_id: Option<RunId>,
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_id_is_a_version_7_uuid_that_sorts_by_time() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let early = RunId::from_parts(at(1_700_000_000), u128::MAX);
        let late = RunId::from_parts(at(1_700_000_001), 0);
        assert_eq!(early.as_str(), "018bcfe5-6800-7fff-bfff-ffffffffffff");
        assert_eq!(late.as_str(), "018bcfe5-6be8-7000-8000-000000000000");
        assert!(early < late);
        for id in [early, late] {
            assert_eq!(id.as_str().parse::<RunId>().unwrap(), id);
        }
    }

    #[test]
    fn ids_of_one_millisecond_keep_their_order() {
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        let mut ids = vec![RunId::from_parts(at, u128::MAX)];
        for random in [0, u128::MAX, 7] {
            let previous = ids.last().cloned();
            // A clock that is set back by a second changes nothing.
            let second = 1_700_000_000 - i64::from(random == 7);
            let at = Timestamp::from_second(second).unwrap();
            ids.push(RunId::following(previous, at, random));
        }
        assert!(ids.is_sorted() && ids[3] > ids[2], "{ids:?}");
        // The counter was exhausted, so the next millisecond follows.
        assert_eq!(ids[1].as_str(), "018bcfe5-6801-7000-8000-000000000000");
        let later = Timestamp::from_second(1_700_000_009).unwrap();
        let next = RunId::following(ids.pop(), later, 0);
        assert_eq!(next, RunId::from_parts(later, 0));
        assert!(RunId::first_at(later) <= next);
    }

    #[test]
    fn other_texts_are_no_run_id() {
        for bad in [
            "",
            "018bcfe5",
            "018BCFE5-6800-7fff-bfff-ffffffffffff",
            "018bcfe5-6800-4fff-bfff-ffffffffffff",
            "018bcfe5x6800-7fff-bfff-ffffffffffff",
            "018bcfe5-6800-7fff-bfff-fffffffffff\u{e9}",
        ] {
            assert!(bad.parse::<RunId>().is_err(), "{bad}");
        }
    }
}
