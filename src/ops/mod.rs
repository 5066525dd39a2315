//! Use cases: the only place where store, hub, cache and engine meet.

pub mod apply;
mod apply_models;
mod apply_schedules;
pub mod doctor;
pub mod document;
pub mod download;
pub mod entries;
mod entry_fields;
mod entry_items;
pub mod export;
pub mod hub;
pub mod models;
pub mod notify;
pub mod outdated;
pub mod parallel;
pub mod rate_limits;
pub mod records;
pub mod run;
pub mod schedules;
pub mod settings;
pub mod sync;
pub mod verify;
pub mod watch;
