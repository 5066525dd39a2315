//! What survives the process: one SQLite file.
//!
//! Everything about one table is in the file of its name; `open` and
//! `migrations` make sure that the file is there, private, and of today's
//! form. Methods that change several rows are all or nothing by themselves,
//! and `Store::transaction` makes any number of them one step.
//!
//! Deliberately absent: partial downloads. Their state lies in a file beside
//! the bytes, where a crash cannot part the two.

mod alerts;
mod blobs;
mod dead_ends;
mod error;
mod events;
mod history;
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
mod revisions;
mod runs;
mod schedules;
mod sessions;
mod settings;
mod shards;
mod totals;
mod value;
mod wire;

pub use blobs::Blob;
pub use dead_ends::DeadEnd;
pub use error::{Result, StoreError};
pub use history::Pruned;
pub use journal::Journal;
pub use meta::MetaKey;
pub use migrations::{MIGRATIONS, Migration};
pub use models::ModelFilter;
pub use open::Store;
pub use places::PublishedModel;
pub use rate_limits::RateLimit;
pub use runs::{RunFilter, Stranded};
pub use sessions::{SessionFilter, SessionsOf};
pub use settings::Setting;
