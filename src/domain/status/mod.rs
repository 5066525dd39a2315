//! How things stand, and whether a person is needed.
//!
//! Everything is gathered first, by `ops::status`; [`assess`] only judges.

mod age;
mod facts;
mod failed_tick;
mod health;
mod trouble;

pub use facts::{
    DatabaseTrouble, DiskFacts, DiskUse, ModelStatus, NextDue, RunInProgress, Status, TimerFacts,
};
pub use failed_tick::FailedTick;
pub use health::{Warning, WarningKind, assess, missed_ticks};
