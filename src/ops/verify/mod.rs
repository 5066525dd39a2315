//! `hfdl verify`: reads again what is published, and fetches again what is bad.
//!
//! Three steps: `look` finds out what should be there and sees what is missing
//! or has the wrong size, `prove` hashes the rest on all cores, `repair` hands
//! the bad files to the engine that every download uses, pinned at the commit
//! that is published. Bad bytes stay under their name until good ones replace
//! them by a rename: broken is better than gone, and readers never see less.

mod look;
mod prove;
mod repair;
mod report;
mod run;

pub use look::{BadFile, Listed, Reason};
pub use report::{Verified, VerifyReport};
pub use run::{MayReplace, Verify};
