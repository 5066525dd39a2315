//! `hfdl updates`: new commits that a hold keeps back, and decisions about them.
//!
//! Names of models enter; a table or a document leaves. `approve`, `reject` and `retry`
//! record a decision and start nothing: the next run or `hfdl download` acts on it.
//! A model without an update that waits ends with exit code 1, an unknown one with 2.

mod command;
mod decide;
mod list;
mod show;

pub use command::Updates;
