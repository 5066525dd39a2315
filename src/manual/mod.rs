//! The manual: topics in Markdown, shown on a terminal and as manual pages of section 7.
//!
//! Each topic is a file `NAME.md` in this folder and one line of the table in
//! `topic.rs`. Its text enters at build time; [`markdown`] parses it into blocks, and
//! [`terminal`] and [`roff`] render these. `hfdl help TOPIC` and `hfdl man` are the users.
//!
//! Invariants, which `tests/it/manual.rs` checks: each topic stays in the small subset of
//! Markdown that both renderers know, is plain ASCII, and shows no command that a test
//! does not run or parse. Tables of settings, exit codes, metrics, hook variables and
//! documents are those of the code.
//!
//! Deliberately absent: the help of commands (doc comments in `cli`), a pager, and any
//! Markdown that a topic does not use.

mod code;
pub mod markdown;
pub mod roff;
pub mod terminal;
mod topic;

pub use topic::{TOPICS, Topic};
