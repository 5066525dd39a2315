//! A session: one attempt at one model, and what it did to each file.

use std::path::PathBuf;

use super::content::ContentId;
use super::model::{Destination, EntryName, ModelId};
use super::origin::{Reused, with_those_in_place};
use super::outcome::{ErrorKind, Outcome, Trigger, VerifyOutcome, words};
use super::repo::{CommitSha, Repo, RepoPath, Revision};
use super::run::RunId;
use super::schedule::ScheduleId;
use super::time::Timestamp;

/// The database's number of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub i64);

/// What is known of a session when it begins.
///
/// Names are copied beside the ids: the history outlives models and schedules,
/// and the id becomes `None` when its entry is removed.
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
    /// What was published before.
    pub old_commit: Option<CommitSha>,
    pub at: Timestamp,
}

impl SessionStart {
    /// Returns what people call the target: the model's name, or the repository.
    pub fn label(&self) -> String {
        match &self.model_name {
            Some(name) => name.to_string(),
            None => self.repo.to_string(),
        }
    }
}

/// How far a session has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionProgress {
    /// The commit that is being fetched, as soon as it is known.
    pub new_commit: Option<CommitSha>,
    /// Where the published files are.
    pub path: Option<PathBuf>,
    pub files: FileCounts,
    pub bytes: ByteCounts,
    /// Where the reused bytes came from that were not in place.
    pub reused_from: Vec<Reused>,
    pub retries: u32,
}

impl SessionProgress {
    /// Returns where all reused bytes came from; the sum is that of `bytes`.
    pub fn all_reused(&self) -> Vec<Reused> {
        with_those_in_place(&self.reused_from, self.bytes.reused)
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

/// What went wrong in a session, for the person who reads it later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub kind: ErrorKind,
    pub message: String,
    pub hint: Option<String>,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionEnd {
    /// For a crashed session: when its run was last seen alive.
    pub at: Timestamp,
    pub outcome: Outcome,
    /// The result of a verification; `None` for every other session.
    pub verify_outcome: Option<VerifyOutcome>,
    pub trouble: Option<Trouble>,
}

impl SessionEnd {
    /// Returns the word that people read: of a verification that found its
    /// files, its own; a repair is worth telling as one.
    pub fn word(&self) -> &'static str {
        match (self.verify_outcome, self.outcome) {
            (Some(VerifyOutcome::Verified), Outcome::Repaired) | (None, _) => self.outcome.as_str(),
            (Some(word), _) => word.as_str(),
        }
    }
}

/// A session as the database keeps it.
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
}

impl Session {
    /// Returns what its model is called in messages.
    pub fn label(&self) -> String {
        let start = &self.start;
        match &start.model_name {
            Some(name) => name.to_string(),
            None => start.repo.to_string(),
        }
    }
}

words! {
    /// Where the bytes of a file came from.
    FileSource {
        Http = "http",
        Xet = "xet",
        /// Bytes that lay in the cache or in a partial file.
        Reused = "reused",
        /// Another name of a blob that was there already and proven.
        Linked = "linked",
        /// A copy of bytes that lay elsewhere on this machine, hashed meanwhile.
        Copied = "copied",
        /// In place, but not written or not proven by this program: it was read
        /// and had its hash.
        Found = "found",
    }
}

words! {
    /// How a session left a file.
    FileResult {
        Verified = "verified",
        Partial = "partial",
        Failed = "failed",
        /// Part of the old commit only.
        Deleted = "deleted",
    }
}

/// What a session did to one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionFile {
    pub path: RepoPath,
    pub content: ContentId,
    pub size_bytes: u64,
    pub bytes_fetched: u64,
    pub bytes_reused: u64,
    /// `None` when no byte came from anywhere.
    pub source: Option<FileSource>,
    pub retries: u32,
    pub result: FileResult,
    /// What was on this machine before did not have its hash.
    pub found_bad: bool,
}
