//! When to look, under which limits, and for which models.
//!
//! Slots are a set of instants and due-ness is a pure function of plain
//! values; nothing depends on when ticks happened.

mod cadence;
mod entry;
mod window;

pub use cadence::{Cadence, CadenceKind, MonthDay};
pub use entry::{CatchUp, Schedule, ScheduleId, ScheduleSpec, ScheduleState, Selection};
pub use window::{Window, Windows};
