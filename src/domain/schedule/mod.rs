//! When to look, under which limits, and for which models.
//!
//! Slots are a set of instants and due-ness is a pure function of plain
//! values; nothing depends on when ticks happened. Parsing needs no time
//! zone; evaluating takes one as an argument, so that tests do not age with
//! the zone data of the machine.

mod cadence;
mod clock;
mod cron_expr;
mod entry;
mod rate_table;
mod window;

pub use cadence::{Cadence, CadenceKind, MonthDay, OnceAt, TimesOfDay};
pub use clock::{SpecError, Weekdays};
pub use cron_expr::CronExpr;
pub use entry::{CatchUp, Schedule, ScheduleId, ScheduleSpec, ScheduleState, Selection};
pub use rate_table::RateTable;
pub use window::{Window, Windows};
