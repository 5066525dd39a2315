//! Allowances: the rules of home, schedules and tags, and the accounts of a run.
//!
//! Settings, schedules and tags give an `AllowanceRule` each; the ledger of the
//! database gives the bytes of its period. A run has an account for each rule that
//! applies to its files. The account limits the files through a `TransferBudget` in
//! the tree of limits, and keeps the ledger.
//!
//! A hard limit holds although a run may be killed at any moment: the account records
//! bytes before connections may request them, a second ahead of the transfer, and takes
//! the unused rest back. Without a hard limit it records once a second. After a kill the
//! rest stays recorded: at most the requested bytes and those of a second. No file tells
//! later how many of them came, and a smaller count could exceed the limit.
//!
//! Deliberately absent: the choice of ticks that wait for an allowance (`run_due`).

mod accounts;
mod rules;
mod told;
#[cfg(test)]
mod year;

pub use accounts::Accounts;
pub use rules::{all_in_force, in_force, rule_of_home, rule_of_schedule, rules_of_tags};
pub use told::note_told;
