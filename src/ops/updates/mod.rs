//! Updates that a hold keeps back, and a person's decisions about them.
//!
//! Runs write the rows of the table `updates`; this room reads them and records
//! decisions. An approved commit is published by the next run or download, whatever is
//! found about it. A rejected one stays held without a notice, also when upstream comes
//! back to it; the next commit upstream is a new update. A commit that waits for the end of
//! a delay becomes a row when a person decides about it. Each decision is one event.
//!
//! Deliberately absent: the reasons to hold an update (`ops::sync`), and the publication.

mod decide;
mod offered;
mod show;

pub use decide::{DecisionRequest, NothingWaits, OtherUpdate, accept, ask_gate_again, decide};
pub use offered::offered;
pub use show::{UpdateDetails, details};
