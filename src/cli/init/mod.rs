//! `hfdl init`: sets a home up by questions, or by flags with `--yes`.
//!
//! The answers become an apply file. From there the command does the work of
//! `hfdl apply` and `hfdl start` through their own functions: nothing is added in
//! another way. Nothing is written before the last answer.
//!
//! `command` has the flags and the order, `questions` asks until an answer is
//! right, `answers` has one function for each question. Deliberately absent: a
//! question for a token. `hf auth login` keeps it, and hfdl reads it there.

mod answers;
mod command;
mod questions;

pub use command::InitCommand;
