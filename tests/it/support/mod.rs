//! What the tests share.

pub mod cache;
pub mod database;
pub mod env;
pub mod http_source;
pub mod process;
pub mod small_disk;
pub mod sound;
pub mod source;
pub mod truth_table;
