//! The database: one SQLite file in the home directory.
//!
//! Each table has a file of its name. `open` and `migrations` make sure that the
//! database exists, is private and has the newest schema. A method that changes
//! several rows changes all or none, and `Store::transaction` makes one
//! transaction of several methods. Only the coordinating thread has a `Store`,
//! and for a long list a thread that reads a part of it.
//!
//! Rows enter as domain values and are parsed again when they are read. A row
//! that cannot be read is passed over and named by `Store::bad_rows`; it is an
//! error only where it was asked for by name or decides about a deletion. Words
//! are checked here and not by the schema, so that a new word needs no migration.
//!
//! Deliberately absent: the state of partial downloads, which lies in a journal
//! beside the bytes, and any decision about the rows.

mod adopted;
mod alerts;
mod blobs;
mod change_notes;
mod checked_models;
mod dead_ends;
mod error;
mod events;
mod file_hashes;
mod gguf_patterns;
mod history;
mod integrity;
mod journal;
mod meta;
mod migrations;
mod models;
mod open;
mod pause;
mod places;
#[cfg(test)]
mod plans;
mod rate_limits;
mod removals;
mod report;
mod revisions;
mod row;
mod rows;
mod runs;
mod schedules;
mod scrubs;
mod seen_commits;
mod sessions;
mod settings;
mod shards;
mod tags;
mod totals;
mod transfers;
mod updates;
mod value;
mod views;
mod way_back;
mod wire;

pub use blobs::Blob;
pub use dead_ends::DeadEnd;
pub use error::{Result, StoreError};
pub use history::Pruned;
pub use integrity::IntegrityCheck;
pub use journal::Journal;
pub use meta::MetaKey;
pub use migrations::{MIGRATIONS, Migration};
pub use models::ModelFilter;
pub use open::Store;
pub use places::PublishedModel;
pub use rate_limits::RateLimit;
pub use report::Period;
pub use runs::{CrashedWork, RunFilter};
pub use sessions::{SessionFilter, SessionsOf};
pub use settings::Setting;
