//! `hfdl verify`: hashes published files again, and repairs bad ones.
//!
//! Three steps: `look` lists the expected files and finds those that are missing or
//! have the wrong size, `prove` hashes the rest on all cores, with the Xet hash as a
//! second `witness` in the same pass if it is known, `repair` gives the bad files to the
//! syncer, pinned to the published commit. Bad bytes keep their name until a rename
//! replaces them, so that readers never miss a file.
//!
//! The result is a [`VerifyOutcome`](crate::domain::outcome::VerifyOutcome) and never the
//! outcome of a check, because a verification does not ask for the current commit. Bad
//! and unreadable files are recorded, because a download compares names and sizes only
//! and would keep them; the record lasts until good files have replaced them. A file
//! that a person has edited in a plain directory is not recorded: `--repair` replaces it
//! only with `--yes`.

mod look;
mod prove;
mod repair;
mod report;
mod run;
mod witness;

pub use look::{BadFile, BadReason, Listed, is_in_cache};
pub(in crate::ops) use look::{Expected, Look, look};
pub(in crate::ops) use prove::HashResult;
pub(in crate::ops) use repair::{blame_damage, failed};
pub use report::{Verified, VerifyReport};
pub(in crate::ops) use run::{FileRead, close};
pub use run::{MayReplace, Verify};
pub(in crate::ops) use witness::HashFinding;
