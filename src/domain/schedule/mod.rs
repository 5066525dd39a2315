//! When to look, under which limits, and for which models.
//!
//! Slots are a set of instants and due-ness is a pure function of plain
//! values; nothing depends on when ticks happened. Parsing needs no time
//! zone; evaluating takes one as an argument, so that tests do not age with
//! the zone data of the machine.

mod cadence;
mod clock;
mod conflicts;
mod cron_expr;
mod cron_field;
mod due;
mod entry;
#[cfg(test)]
mod fixture;
mod jitter;
mod jobs;
mod planned;
mod rate_table;
mod serve;
mod shards;
mod slots;
mod unusable;
mod window;
mod zone;

pub use cadence::{Cadence, CadenceKind, MonthDay, OnceAt, TimesOfDay};
pub use clock::{SpecError, Weekdays};
pub use conflicts::{Impossible, Overlap, check_possible, check_tick, duplicate_of, overlaps};
pub use cron_expr::CronExpr;
pub use due::{ClockEvent, Due, DueState, Look, Verdict, assess};
pub use entry::{CatchUp, Schedule, ScheduleId, ScheduleSpec, ScheduleState, Selection};
pub use jitter::jitter_offset;
pub use jobs::{DueJob, DueJobs, DueSchedule, due_jobs};
pub use planned::{NextStart, PlannedSlot, Waiting, longest_gap, next_start, planned};
pub use rate_table::RateTable;
pub use serve::{LONGEST_RETRY, LookEnd, SlotEnd, after_slot, claimed};
pub use shards::{ShardSlots, SlotsByShard};
pub use slots::Slots;
pub use unusable::{Schedules, Unusable, UnusableKind, usable_zone};
pub use window::{Window, Windows};
pub use zone::{find_zone, shift};
