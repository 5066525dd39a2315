//! `hfdl run-due`: one tick of the timer.
//!
//! The caller holds the lock of the home. `tick` records the tick and asks `due_finder`
//! for the due slots. A pause or the Hub's `Retry-After` ends the tick; otherwise
//! `active_slots` claims the slots before the first byte and gives each model to the run
//! once, however many schedules include it. A slot is served in the database when its
//! last model has ended. While downloads are active the schedules are read again every
//! few seconds, so that a long download does not delay a small one. `plan` answers a dry
//! run from the same decisions. The decisions themselves are pure and stand in
//! `domain::schedule`; the bookkeeping of the run is in `ops::run`.

mod active_slots;
mod due_finder;
mod plan;
mod tick;
mod unusable;
mod waiting;

pub use plan::{DuePlan, PlannedModel, PlannedSchedule, plan};
pub use tick::{RunDueOptions, Tick, TickOutcome, WrongClock, believable_now, run_due};
pub use unusable::UnusableSchedules;
