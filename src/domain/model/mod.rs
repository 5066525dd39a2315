//! Models: the repositories to keep on disk, and their state as runs recorded it.
//!
//! A `ModelSpec` is the entry of a person: a repository at a revision, with
//! filters and a destination. Its table of fields defines the reading and
//! writing of each field. A `ModelState` is the record of runs; it survives an
//! edit as long as the entry means the same copy.
//!
//! Deliberately absent: the files of a model (`snapshot`, `plan`) and the
//! schedules that select it (`schedule`).

mod entry;
mod spec;

pub use entry::{EntryName, Model, ModelId, ModelState, ModelSummary, Tag};
pub use spec::{Destination, ModelSpec, Priority};
