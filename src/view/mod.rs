//! Views on disk: makes, compares and removes the files of a view.
//!
//! `look` reads the disk for `domain::view`, which decides. `make` creates each file
//! under a temporary name in the folder of its final name, by the first method that
//! works there: reflink, hard link, symbolic link, and a copy only where that is
//! allowed. The caller saves the records of these files before `put` or `swap` gives
//! them their names, so that a crash leaves a record without a file and never a file
//! without a record.
//!
//! Invariants: nothing is written into a file that has a name; a file that is not of
//! the view is never replaced; every removal has a `Permit`. Temporary names carry the
//! id of the home, which removes its own after a crash.
//!
//! Deliberately absent: the database, and the choice of the revision (`ops::views`).

mod look;
mod make;
mod manifests;
mod remove;
mod tree;

pub use look::{look, stamp_at};
pub use make::{Job, JobSource, LADDER, Maker, NoMethod, Staged, put};
pub use manifests::named_by_others;
pub use remove::{Removed, clear_leftovers, remove_files};
pub use tree::{holds_only, retire, stage_tree, swap};
