//! `hfdl schedules`: one file a command.
//!
//! `command` has the subcommands and `find` the look-ups by name; `check`,
//! `report` and `text` are shared by two commands each. The flags of `add` and
//! `set` and most rows of `show` come from the table of fields in
//! `domain::schedule`.
//!
//! Deliberately absent: decisions about slots (`domain::schedule`), and the
//! shape of the JSON documents.

mod add;
mod check;
mod command;
mod find;
mod list;
mod next;
mod remove;
mod report;
mod set;
mod show;
mod switch;
mod text;

pub use command::SchedulesCommand;
pub use text::zone_of;
