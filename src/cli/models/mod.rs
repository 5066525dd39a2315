//! `hfdl models`: one file a command.
//!
//! `command` has the subcommands, `find` the look-ups by name that the commands
//! and other nouns share. The flags of `add` and `set` and most rows of `show`
//! come from the table of fields in `domain::model`.
//!
//! Deliberately absent: decisions about models (`ops::models`, `ops::rollback`,
//! `ops::outdated`) and the shape of the JSON documents.

mod add;
mod command;
mod find;
mod list;
mod outdated;
mod path;
mod release;
mod remove;
mod rollback;
mod set;
mod show;
mod switch;

pub use add::{amount, check_view, warn_about};
pub use command::ModelsCommand;
pub use find::{find, known, named_or_all, open_for, unknown};
