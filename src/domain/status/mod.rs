//! The status of a home, and its warnings.
//!
//! `ops::status` gathers the facts into a [`Status`]; [`assess`] is a pure function
//! from it to the warnings that need a person. No warning means healthy.
//!
//! The next tick retries after temporary trouble, so that it becomes a warning only
//! when it lasts. Deliberately absent: text layout and JSON (`cli`, `ui`).

mod age;
mod facts;
mod failed_tick;
mod health;
mod timer_health;
mod trouble;

pub use age::empty_schedule;
pub use facts::{
    CacheSize, CacheUse, DatabaseCheck, DatabaseTrouble, DiskFacts, DiskUse, EmptySchedule,
    FailedView, ModelStatus, NextDue, RunInProgress, Status, TimerFacts,
};
pub use failed_tick::FailedTick;
pub use health::{Warning, WarningKind, assess};
pub use timer_health::{missed_ticks, missing_timer};
pub use trouble::next_for_ref;
