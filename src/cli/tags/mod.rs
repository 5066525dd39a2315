//! `hfdl tags`: the tags of models, and the defaults that they give.
//!
//! One file a command; `command` has the subcommands. The flags of `set` and the rows of
//! `show` come from the table of fields in `domain::tag`. A tag exists when a model has it
//! or when it has defaults.
//!
//! Deliberately absent: putting tags on models (`hfdl models set --tag`), and the rules
//! in force for a model (`domain::policy`).

mod command;
mod list;
mod set;
mod show;
mod unset;

pub use command::TagsCommand;
