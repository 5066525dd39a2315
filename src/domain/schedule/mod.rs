//! Schedules: when to update which models, under which limits.
//!
//! A cadence defines *slots*, a set of instants; *windows* are the hours of
//! transfers. `assess` decides whether a slot is due and `due_jobs`
//! turns due slots into an ordered list of models. `claimed` and `after_slot`
//! return the new state when a run starts and ends a slot.
//!
//! All functions are pure: the current time and the state are arguments, and
//! nothing depends on when ticks happened. Parsing needs no time zone;
//! evaluation takes one as an argument, so that tests do not depend on the zone
//! data of the machine.
//!
//! Decision: cron expressions are parsed here and not by a package. The packages differ
//! in day-of-month together with day-of-week, steps and names, and a schedule must mean
//! the same as in the user's crontab; a test compares with another parser.
//!
//! Deliberately absent: the rate limits of the Hub and the budgets of a run;
//! they apply to a whole process.

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
mod overlaps;
mod planned;
mod rate_table;
mod serve;
mod shards;
mod slots;
mod spec;
mod unusable;
mod window;
mod zone;

pub use cadence::{Cadence, CadenceKind, MonthDay, OnceAt, TimesOfDay};
pub use clock::Weekdays;
pub use conflicts::{check_possible, check_tick, has_passed};
pub use cron_expr::CronExpr;
pub use due::{ClockEvent, Due, DueContext, DueDecision, DueState, assess};
pub use entry::{Schedule, ScheduleId, ScheduleState};
pub use jitter::jitter_offset;
pub use jobs::{DueJob, DueSchedule, due_jobs};
pub use overlaps::{Overlap, duplicate_of, overlaps};
pub use planned::{NextStart, PlannedSlot, WaitReason, longest_gap, next_start, planned};
pub use rate_table::RateTable;
pub use serve::{LONGEST_RETRY, ModelEnd, SlotEnd, after_slot, claimed};
pub use shards::{ShardSlots, SlotsByShard};
pub use slots::Slots;
pub use spec::{CADENCE_KEYS, CatchUp, SELECTION_KEYS, ScheduleSpec, Selection};
pub use unusable::{StoredSchedules, Unusable, UnusableKind, usable_zone};
pub use window::{Window, Windows};
pub use zone::{find_zone, shift};
