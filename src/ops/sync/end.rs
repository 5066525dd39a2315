//! What the sync of many targets tells while it goes on, and how one of them ends.

use std::path::PathBuf;

use crate::domain::content::ContentId;
use crate::domain::hold::HeldUpdate;
use crate::domain::outcome::{Outcome, VerifyOutcome};
use crate::domain::proof::ProofStamp;
use crate::domain::session::{SessionFile, SessionProgress, Trouble};
use crate::sys::stop::StopReason;

/// What happens meanwhile, for whoever shows or records it.
#[derive(Debug)]
pub enum Progress<'e> {
    /// So many more are to come over the line.
    Comes {
        n_files: u64,
        n_bytes: u64,
    },
    FileStarted {
        name: &'e str,
        n_bytes: u64,
        have: u64,
    },
    /// So many more are to be read on this machine.
    ToRead {
        n_files: u64,
        n_bytes: u64,
    },
    /// Bytes of a file on this machine that were hashed.
    Read {
        name: &'e str,
        n_bytes: u64,
    },
    /// Bytes that came over the line.
    Bytes {
        name: &'e str,
        n_bytes: u64,
    },
    /// Bytes that need not be fetched, for an old file has them.
    Copied {
        name: &'e str,
        n_bytes: u64,
    },
    FileEnded {
        name: &'e str,
    },
    Retrying {
        name: &'e str,
        why: String,
    },
    /// Bytes are on disk for a later run.
    Kept {
        target: usize,
        progress: SessionProgress,
    },
    /// A model has ended.
    Ended {
        target: usize,
        end: &'e SyncEnd,
    },
}

/// A file that was hashed, with its stamp since then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenFile {
    pub path: PathBuf,
    pub content: ContentId,
    pub stamp: ProofStamp,
}

/// How the sync of one target ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncEnd {
    pub outcome: Outcome,
    /// Set by a verification only.
    pub verify_outcome: Option<VerifyOutcome>,
    pub trouble: Option<Trouble>,
    pub progress: SessionProgress,
    pub files: Vec<SessionFile>,
    /// Proven files that have got another name: the old one and the new one.
    pub named: Vec<(PathBuf, PathBuf)>,
    /// Old names of proven files that are gone.
    pub moved: Vec<PathBuf>,
    /// What cut it short, when it is partial.
    pub stopped: Option<StopReason>,
    /// The Hub's present name of the repository, when it was renamed.
    pub renamed_to: Option<String>,
    /// The commit that is held because it looks like a loss.
    pub held_update: Option<HeldUpdate>,
    /// This machine had no network at all.
    pub is_offline: bool,
    /// Files that old ones were of no use for, in words.
    pub abandoned_deltas: Vec<String>,
}

impl SyncEnd {
    /// Describes the end of a target for which no file was touched.
    pub fn without_files(
        outcome: Outcome,
        trouble: Option<Trouble>,
        progress: SessionProgress,
    ) -> Self {
        Self {
            outcome,
            verify_outcome: None,
            trouble,
            progress,
            files: Vec::new(),
            named: Vec::new(),
            moved: Vec::new(),
            stopped: None,
            renamed_to: None,
            held_update: None,
            is_offline: false,
            abandoned_deltas: Vec::new(),
        }
    }

    /// Describes the end of a target that was stopped before it was looked at.
    pub fn unseen(stopped: StopReason) -> Self {
        Self {
            stopped: Some(stopped),
            ..Self::without_files(Outcome::Partial, None, SessionProgress::default())
        }
    }
}
