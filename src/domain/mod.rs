//! Pure values and decisions: no file, no socket, no clock.
//!
//! Parsing is the only way into these types, so whoever holds one need not
//! check it again. Nothing here derives serde: what others read has structs
//! of its own in `ui::json` and the wire modules.

pub mod alert;
pub mod argv;
pub mod changes;
pub mod content;
pub mod deletion;
pub mod delta;
pub mod filter;
pub mod hold;
pub mod model;
pub mod nearest;
pub mod origin;
pub mod outcome;
pub mod pause;
pub mod place;
pub mod placement;
pub mod plan;
pub mod proof;
pub mod ranges;
pub mod repo;
pub mod repo_arg;
pub mod retention;
pub mod retry;
pub mod run;
pub mod sample;
pub mod schedule;
pub mod session;
pub mod settings;
pub mod shard;
pub mod share;
pub mod snapshot;
pub mod status;
pub mod time;
pub mod timer;
pub mod units;
pub mod way;
pub mod xet;
