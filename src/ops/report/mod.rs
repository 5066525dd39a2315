//! The report of a period, and the daily sample of the disk use that it shows.
//!
//! Reads the database only: a report asks the Hub nothing and reads no file of a model.
//! The sample is taken at the end of a run with work, while the run holds the lock: once
//! a day, and again after a run that changed files.

mod disk_sample;
mod gather;

pub use disk_sample::sample_disk;
pub use gather::{ReportRequest, report};
