//! `hfdl adopt`: files of other programs as a source of later downloads.
//!
//! [`Adoption`] walks the given folders, hashes files once on all cores and records
//! each as soon as it is hashed. [`match_models`] compares the record with the
//! listings of registered models. Downloads look contents up in the record
//! (`sync::check`).
//!
//! Invariants: a record with another stamp than its file is not used, and a file is
//! hashed again when its bytes are taken, because a stamp can be forged. An adopted
//! file is never deleted; with `--move` it goes into the cache when it is wanted.
//! Deliberately absent: the lock of the home. Hashing takes hours, writes rows of its
//! own only, and must not keep a tick from running.

mod find;
mod index;
mod matching;
mod record;

pub use index::{Adoption, AdoptionReport};
pub use matching::{ModelMatch, match_models};
pub use record::{
    adopted_files, changed_files, finish_moves, forget_changed, has_two_names, is_changed,
};
