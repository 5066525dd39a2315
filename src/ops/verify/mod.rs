//! `hfdl verify`: reads again what is published, and fetches again what is bad.
//!
//! Three steps: `look` finds out what should be there and sees what is missing
//! or has the wrong size, `prove` hashes the rest on all cores, with the Xet hash
//! as a second `witness` in the same pass where it is known, `repair` hands the
//! bad files to the engine that every download uses, pinned at the commit
//! that is published. Bad bytes stay under their name until good ones replace
//! them by a rename: broken is better than gone, and readers never see less.
//!
//! The result is a word of its own (`VerifyOutcome`), kept apart from the outcomes
//! of checks, because no verification asks what is current. Files with wrong bytes
//! and files that cannot be read are written down until good ones have replaced
//! them. A download looks at names and sizes only, and would call such a file
//! current; so it is told which files not to believe. In a directory, a file that
//! somebody changed is not written down: `--repair` replaces it only with `--yes`,
//! and a download, which is asked for the files of a commit, says that it does.

mod look;
mod prove;
mod repair;
mod report;
mod run;
mod witness;

pub use look::{BadFile, Listed, Reason, is_in_cache};
pub use report::{Verified, VerifyReport};
pub use run::{MayReplace, Verify};
pub use witness::Word;
