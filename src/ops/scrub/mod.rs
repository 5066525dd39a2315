//! Scrub: each night reads a part of the published files again, and repairs bad ones.
//!
//! `inventory` lists the files of all registered models and their kept revisions, with
//! the dates of their proofs. `domain::scrub` chooses those proven longest ago. `reading`
//! hashes them in the background, in order, within the limits of the run; a file that
//! does not fit is continued the next night, from a saved state of its hash. `run` repairs
//! bad files at the commit that they are of, through `ops::verify`. `chunk_record` keeps the
//! chunk lengths of large files for the next delta, because the bytes are read anyway.
//!
//! Invariants: a proof is dated at the first byte that was read for it. A position counts
//! while the file has the stamp that it had then. A session is opened only for a model
//! with a bad file, so that a night over ten thousand models writes no ten thousand
//! sessions; good files leave their proofs, and the scrub as a whole one row.
//!
//! Deliberately absent: missing files, which the next check fetches; files that a person
//! has edited; the Xet hash as a second witness, because a part of a file has none.

mod chunk_record;
mod inventory;
mod permission;
mod reading;
mod run;

pub use permission::has_work;
pub use run::{ScrubReport, Scrubbing, plan};
