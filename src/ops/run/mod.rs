//! The life of one run, for `run-due`, `download`, `verify` and `prune` alike.
//!
//! [`ActiveRun`] is the only code that opens and closes a row of the table `runs`
//! and the sessions that belong to it. The caller holds the lock of the home. A run
//! begins by closing the runs that crashed, keeps a heartbeat while it works, records
//! the result of each target in one transaction, and ends once. Results come from
//! `ops::sync`; the facts of the ended run go to `ops::notify` and to the report.
//!
//! A failure to record one result does not stop the others: the first such error is
//! returned at the end. Deliberately absent: the choice of targets (`run_due`,
//! `download`, `verify` make it) and the printing of results.

mod active;
mod closing;
mod crashed;
mod engine_options;
mod home_files;
mod record;
mod result;
mod room;
mod skipped;
mod syncing;
mod views;
mod watchdog;

pub use active::{ActiveRun, Bounds, Opening};
pub use crashed::close_crashed_runs;
pub use result::run_outcome;
pub use skipped::record_skipped_run;
