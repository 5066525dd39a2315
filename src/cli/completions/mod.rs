//! `hfdl completions`: the scripts of the shells, and the words that they ask for.
//!
//! The scripts of bash, zsh and fish run `hfdl completions SHELL -- LINE` at each Tab:
//! `line` finds the words of the line, clap's engine the commands and flags, `values` the
//! kind of each value, and `known` the values of this home. The database is opened only for
//! names that it has, never made and never migrated; the network is not used, and an error
//! is an empty list. `values` has the table that a new value name needs.
//!
//! Deliberately absent: the scripts of PowerShell and elvish, which clap generates and which
//! know commands and flags only.

mod command;
mod known;
mod line;
mod values;

pub use command::Completions;
