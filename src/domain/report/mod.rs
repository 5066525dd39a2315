//! Reports: the figures of a period, by day and by model.
//!
//! Rows of the history enter one by one and are added up, so that a report over years
//! needs the memory of its days and models only. A day is a calendar day of the reader's
//! zone: where the clocks change it has 23 or 25 hours. Verifications are counted apart
//! from outcomes, and bytes that an unchanged model has on disk are not reused bytes.
//!
//! Deliberately absent: the text of a report (`cli`) and the queries (`store`).

mod days;
mod period;
mod tally;

pub use days::{Day, LONGEST_PERIOD, days};
pub use period::{DiskSample, Offer, PeriodReport, ProofFigures, PublishedUpdate};
pub use tally::{
    DayFigures, FailureFigures, ModelFigures, MovedBytes, ReportedTarget, RunFigures, RunRow,
    SessionRow, Tally,
};
