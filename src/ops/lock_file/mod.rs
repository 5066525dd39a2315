//! The lock file `hfdl.lock`: made from the published commits, written, read, reproduced.
//!
//! - `wire` is the text: JSON with one file a line, so that a change of one file is a
//!   change of one line. It is read strictly: another order, an unknown field or a second
//!   entry of a name is an error.
//! - `make` reads the published commits and their stored listings; it needs no network.
//! - `reproduce` compares a lock file with the models that `apply --locked` wants, before
//!   anything is changed.
//!
//! Deliberately absent: the comparison (`domain::lock_file`), and the lock of the home
//! (`ops::lock`).

mod digest;
mod make;
mod reproduce;
mod wire;

pub use digest::{NotAsLocked, files_digest};
pub use make::{NotLocked, make};
pub use reproduce::differences;
pub use wire::{LockFileFault, MAX_BYTES, parse, render};
