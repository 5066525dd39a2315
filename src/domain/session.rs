//! Sessions: one attempt at one model, and the result for each file.

use std::path::PathBuf;

use super::content::ContentId;
use super::model::{Destination, EntryName, Model, ModelId};
use super::origin::{Reused, with_in_place};
use super::outcome::{Effect, ErrorKind, ExitStatus, Outcome, Trigger, VerifyOutcome, words};
use super::repo::{CommitSha, Repo, RepoPath, Revision};
use super::run::RunId;
use super::schedule::ScheduleId;
use super::snapshot::Amount;
use super::time::Timestamp;

/// The database's number of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub i64);

/// The facts known when a session starts.
///
/// Names are copied beside the ids, because the history outlives models and
/// schedules: the id becomes `None` when its entry is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionStart {
    pub run_id: RunId,
    /// `None` for a repository that is not registered.
    pub model_id: Option<ModelId>,
    pub model_name: Option<EntryName>,
    pub repo: Repo,
    pub revision: Revision,
    pub destination: Destination,
    pub schedule_id: Option<ScheduleId>,
    pub schedule_name: Option<EntryName>,
    pub slot_at: Option<Timestamp>,
    pub trigger: Trigger,
    /// The commit that was published before.
    pub old_commit: Option<CommitSha>,
    pub at: Timestamp,
}

impl SessionStart {
    /// Returns the target's label for messages: the model's name, or the
    /// repository.
    pub fn label(&self) -> String {
        match &self.model_name {
            Some(name) => name.to_string(),
            None => self.repo.to_string(),
        }
    }
}

/// The progress of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionProgress {
    /// The commit being fetched, once it is known.
    pub new_commit: Option<CommitSha>,
    /// The path of the published files.
    pub path: Option<PathBuf>,
    pub files: FileCounts,
    pub bytes: ByteCounts,
    /// The origins of reused bytes that were not in place.
    pub reused_from: Vec<Reused>,
    pub retries: u32,
}

impl SessionProgress {
    /// Returns all origins of reused bytes; their sum is `bytes.reused`.
    pub fn all_reused(&self) -> Vec<Reused> {
        with_in_place(&self.reused_from, self.bytes.reused)
    }
}

/// Counts of files in a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileCounts {
    pub total: u64,
    pub fetched: u64,
    pub reused: u64,
    pub deleted: u64,
}

/// Counts of bytes in a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByteCounts {
    pub total: u64,
    pub fetched: u64,
    pub reused: u64,
    pub left: u64,
}

/// The failure of a session, as stored for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub kind: ErrorKind,
    pub message: String,
    pub hint: Option<String>,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionEnd {
    /// For a crashed session: the time of its run's last heartbeat.
    pub at: Timestamp,
    pub outcome: Outcome,
    /// The result of a verification; `None` for every other session.
    pub verify_outcome: Option<VerifyOutcome>,
    pub trouble: Option<Trouble>,
}

impl SessionEnd {
    /// Returns the effect of the end on the health of the model.
    pub fn effect(&self) -> Effect {
        let trouble = self.trouble.as_ref();
        self.outcome.effect(trouble.map(|trouble| trouble.kind))
    }

    /// Returns the word that people read: of a verification that found its
    /// files, its own; a repair is worth telling as one.
    pub fn word(&self) -> &'static str {
        match (self.verify_outcome, self.outcome) {
            (Some(VerifyOutcome::Verified), Outcome::Repaired) | (None, _) => self.outcome.as_str(),
            (Some(word), _) => word.as_str(),
        }
    }
}

/// How a limit or a signal has ended a session before its files were published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionStop {
    /// The exit status that the session alone would give its run.
    pub status: ExitStatus,
    /// `None` if the run was not asked to stop.
    pub cause: Option<StopCause>,
    /// All files are here, and the gate has not finished its check.
    pub in_gate: bool,
}

/// The limit or the signal that has ended a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopCause {
    CtrlC,
    Sigterm,
    Sighup,
    StopCommand,
    /// The flag or the setting that limits the run, with its value.
    RunLimit(String),
    /// `--max-duration` of the session's schedule.
    ScheduleDuration,
    /// `--max-transfer` of the session's schedule.
    ScheduleTransfer,
    WindowClosed,
}

/// A session as stored in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub id: SessionId,
    pub start: SessionStart,
    pub progress: SessionProgress,
    /// `None` while it runs.
    pub end: Option<SessionEnd>,
}

impl Session {
    /// Returns how the session ended, if it has.
    pub fn outcome(&self) -> Option<Outcome> {
        self.end.as_ref().map(|end| end.outcome)
    }

    /// Returns the label of the session's target for messages.
    pub fn label(&self) -> String {
        self.start.label()
    }
}

/// The part of a model's last check that tells its state. Whole sessions of ten thousand
/// models take much time and memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastCheck {
    pub new_commit: Option<CommitSha>,
    pub n_files: u64,
    pub bytes: ByteCounts,
    /// `None` while it runs.
    pub end: Option<SessionEnd>,
}

impl LastCheck {
    pub fn of(session: &Session) -> Self {
        Self {
            new_commit: session.progress.new_commit.clone(),
            n_files: session.progress.files.total,
            bytes: session.progress.bytes,
            end: session.end.clone(),
        }
    }

    /// Returns how the check ended, if it has.
    pub fn outcome(&self) -> Option<Outcome> {
        self.end.as_ref().map(|end| end.outcome)
    }

    /// Returns the files of the published revision, if the check was about it as a whole.
    pub fn published_amount(&self, model: &Model) -> Option<Amount> {
        let is_published = self.new_commit == model.state.published_commit;
        // A session that ended before the listing has no sizes.
        (is_published && self.bytes.total > 0).then_some(Amount {
            files: self.n_files,
            bytes: self.bytes.total,
        })
    }
}

words! {
    /// Where the bytes of a file came from.
    FileSource {
        Http = "http",
        Xet = "xet",
        /// Bytes from the cache or from a partial file.
        Reused = "reused",
        /// A link to a blob that was already there and proven.
        Linked = "linked",
        /// A copy of bytes from elsewhere on this machine, hashed while
        /// copying.
        Copied = "copied",
        /// In place, but not written or proven by this program; it was read and
        /// its hash was right.
        Found = "found",
    }
}

words! {
    /// The state of a file at the end of a session.
    FileResult {
        Verified = "verified",
        Partial = "partial",
        Failed = "failed",
        /// Only in the old commit.
        Deleted = "deleted",
    }
}

/// The record of one file in a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionFile {
    pub path: RepoPath,
    pub content: ContentId,
    pub size_bytes: u64,
    pub bytes_fetched: u64,
    pub bytes_reused: u64,
    /// `None` when no bytes were needed.
    pub source: Option<FileSource>,
    pub retries: u32,
    pub result: FileResult,
    /// The bytes previously on this machine did not match the hash.
    pub found_bad: bool,
}
