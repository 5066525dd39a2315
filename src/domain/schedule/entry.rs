//! A schedule as a person writes it and as the database keeps it.

use std::collections::BTreeSet;

use super::{Cadence, RateTable, Windows};
use crate::domain::model::{EntryName, Priority, Tag};
use crate::domain::time::Timestamp;
use crate::domain::units::{ByteSize, Seconds};

/// The database's number of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScheduleId(pub i64);

/// What happens to a slot that passed while nobody looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CatchUp {
    /// Run once for all missed slots, unless the latest is older than the limit.
    Once { within: Option<Seconds> },
    /// Leave missed slots out; two ticks of lateness are tolerated.
    Skip,
}

/// Which models a schedule covers; the three ways add up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    pub all: bool,
    pub models: BTreeSet<EntryName>,
    pub tags: BTreeSet<Tag>,
}

/// What a person says about a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleSpec {
    pub name: EntryName,
    pub cadence: Cadence,
    /// An IANA name that `jiff` knows.
    pub time_zone: String,
    pub windows: Windows,
    pub catch_up: CatchUp,
    pub jitter: Seconds,
    pub limit_rate: Option<RateTable>,
    pub max_duration: Option<Seconds>,
    pub max_transfer: Option<ByteSize>,
    pub priority: Priority,
    pub enabled: bool,
    pub selection: Selection,
}

/// What runs have done about a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleState {
    /// Where an interval's grid starts; stays on edit and on enable.
    pub anchor_at: Timestamp,
    /// Slots before this do not count: moved when the schedule is created,
    /// enabled, or when its cadence, zone or windows change.
    pub not_before_at: Timestamp,
    /// A cache of the next look; may be early, never late.
    pub next_due_at: Option<Timestamp>,
    /// The last slot that was served.
    pub last_slot_at: Option<Timestamp>,
    /// A slot that was started and not served.
    pub open_slot_at: Option<Timestamp>,
    pub retry_at: Option<Timestamp>,
    pub retry_count: u32,
}

/// A registered schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub id: ScheduleId,
    pub spec: ScheduleSpec,
    pub state: ScheduleState,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}
