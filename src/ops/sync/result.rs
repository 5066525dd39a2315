//! The events of a sync, and the result of one target.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::target::TargetId;
use crate::domain::changes::Changes;
use crate::domain::gate::GateRecord;
use crate::domain::guard::Terms;
use crate::domain::hold::Hold;
use crate::domain::outcome::{Outcome, VerifyOutcome};
use crate::domain::policy::PolicyNote;
use crate::domain::session::{SessionFile, SessionProgress, Trouble};
use crate::domain::units::ByteSize;
use crate::sys::stop::StopReason;

/// An event of a sync, for display and for the database.
#[derive(Debug)]
pub enum SyncEvent {
    /// The Hub is asked about a target.
    CheckStarted {
        target: TargetId,
        label: String,
    },
    CheckEnded {
        target: TargetId,
    },
    /// More files and bytes will be fetched; `have` more bytes of them are here from an
    /// earlier run.
    FetchPlanned {
        n_files: u64,
        n_bytes: u64,
        have: u64,
    },
    FileStarted {
        name: Arc<str>,
        n_bytes: u64,
        have: u64,
    },
    /// More files on this machine will be read.
    ReadPlanned {
        n_files: u64,
        n_bytes: u64,
    },
    /// Bytes of a file on this machine were hashed.
    BytesRead {
        name: Arc<str>,
        n_bytes: u64,
    },
    /// Bytes were received from the network.
    BytesFetched {
        name: Arc<str>,
        n_bytes: u64,
    },
    /// Bytes were copied from an old file and need not be fetched.
    BytesCopied {
        name: Arc<str>,
        n_bytes: u64,
    },
    /// Files of a plan that need no fetch, with their bytes if no revision was published
    /// before: the bytes of an update are only those that it fetches.
    FilesHere {
        n_files: u64,
        n_bytes: u64,
    },
    /// The fetch of a file has ended.
    FileEnded {
        name: Arc<str>,
        /// The files that are whole by it; 0 if it has failed or was stopped.
        n_files: u64,
        /// Announced bytes that another process has stored meanwhile.
        n_stored: u64,
    },
    /// The reading of a file on this machine has ended.
    ReadEnded {
        name: Arc<str>,
        /// The rest is not left for another run.
        is_whole: bool,
    },
    /// The sync waits for so long until a retry; without `span` it waits for another
    /// process, and the event is repeated meanwhile.
    Waiting {
        /// The file that waits, if it is only one.
        file: Option<Arc<str>>,
        message: String,
        span: Option<Duration>,
    },
    /// A moment has passed, perhaps without any other event.
    Moment,
    /// A target does not fit on the disk or into the cache, and waits for the caller to
    /// make room or to end it.
    Short {
        target: TargetId,
        missing: ByteSize,
    },
    /// Bytes are on disk and a later run can resume from them.
    ProgressSaved {
        target: TargetId,
        progress: SessionProgress,
    },
    /// The sync of a target has ended; sent exactly once for each target.
    Ended {
        target: TargetId,
        result: Box<SyncResult>,
    },
}

/// The result of the sync of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncResult {
    pub outcome: Outcome,
    /// Set by a verification only.
    pub verify_outcome: Option<VerifyOutcome>,
    pub failure: Option<Trouble>,
    pub progress: SessionProgress,
    pub files: Vec<SessionFile>,
    /// Proven files that got another name: the old and the new one.
    pub named: Vec<(PathBuf, PathBuf)>,
    /// Old names of proven files that are gone.
    pub moved: Vec<PathBuf>,
    /// The reason of a partial result.
    pub stopped: Option<StopReason>,
    /// All files are here, and the gate has not finished its check.
    pub in_gate: bool,
    /// The Hub's present name of the repository, when it was renamed.
    pub renamed_to: Option<String>,
    /// The facts about the policy, if the Hub has answered.
    pub note: Option<PolicyNote>,
    /// The newer commit that is held, and why.
    pub hold: Option<Hold>,
    /// The terms of the repository at the check.
    pub terms: Terms,
    /// The gate that holds the commit.
    pub gate: Option<GateRecord>,
    /// This machine had no network at all.
    pub is_offline: bool,
    /// Messages about deltas that gave wrong bytes.
    pub abandoned_deltas: Vec<String>,
    /// The changes since the published commit, if this was an update of a model.
    pub changes: Option<Box<Changes>>,
}

impl SyncResult {
    /// Describes the result of a target for which no file was touched.
    pub fn without_files(
        outcome: Outcome,
        failure: Option<Trouble>,
        progress: SessionProgress,
    ) -> Self {
        Self {
            outcome,
            verify_outcome: None,
            failure,
            progress,
            files: Vec::new(),
            named: Vec::new(),
            moved: Vec::new(),
            stopped: None,
            in_gate: false,
            renamed_to: None,
            note: None,
            hold: None,
            terms: Terms::default(),
            gate: None,
            is_offline: false,
            abandoned_deltas: Vec::new(),
            changes: None,
        }
    }

    /// Describes the result of a target that was stopped before its check ended.
    pub fn unseen(stopped: StopReason) -> Self {
        Self {
            stopped: Some(stopped),
            ..Self::without_files(Outcome::Partial, None, SessionProgress::default())
        }
    }
}
