//! The commits that models were offered, with the decisions about them.

use super::changes::FileChange;
use super::filter::Filter;
use super::hold::{Decision, Finding};
use super::model::{EntryName, ModelId};
use super::outcome::words;
use super::repo::{CommitSha, RepoPath};
use super::snapshot::RemoteSnapshot;
use super::time::Timestamp;

words! {
    /// The state of a commit that a model was offered.
    UpdateState {
        /// It is not old enough yet; a run publishes it later.
        Delayed = "delayed",
        /// It is held, and no person has decided.
        Waiting = "waiting",
        /// The next run publishes it.
        Approved = "approved",
        Rejected = "rejected",
        Published = "published",
        /// A newer commit came before a decision.
        Superseded = "superseded",
    }
}

/// A commit that a model was offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedUpdate {
    pub model_id: ModelId,
    pub model: EntryName,
    pub commit: CommitSha,
    /// The commit that was published then.
    pub old_commit: Option<CommitSha>,
    pub found_at: Timestamp,
    pub findings: Vec<Finding>,
    pub decision: Decision,
    pub decided_at: Option<Timestamp>,
    /// The text that a person left with the decision.
    pub note: Option<String>,
    pub published_at: Option<Timestamp>,
    /// The end of the delay that the commit waits for.
    pub waits_until: Option<Timestamp>,
    /// The model holds this commit now, or has approved it.
    pub is_current: bool,
}

impl OfferedUpdate {
    pub fn state(&self) -> UpdateState {
        match self.decision {
            Decision::Waiting if self.waits_until.is_some() => UpdateState::Delayed,
            Decision::Waiting if self.is_current => UpdateState::Waiting,
            _ if self.published_at.is_some() => UpdateState::Published,
            Decision::Rejected => UpdateState::Rejected,
            Decision::Approved if self.is_current => UpdateState::Approved,
            Decision::Approved | Decision::Waiting => UpdateState::Superseded,
        }
    }

    /// Tells whether a person or a run has still to act.
    pub fn is_open(&self) -> bool {
        use UpdateState::{Approved, Delayed, Waiting};
        matches!(self.state(), Delayed | Waiting | Approved)
    }
}

/// A file that differs between two commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDifference {
    pub path: RepoPath,
    pub change: FileChange,
    pub old_bytes: Option<u64>,
    pub new_bytes: Option<u64>,
}

/// Returns the selected files that differ between two commits, by path.
pub fn file_differences(
    old: Option<&RemoteSnapshot>,
    new: &RemoteSnapshot,
    filter: &Filter,
) -> Vec<FileDifference> {
    let mut changed = Vec::new();
    for file in new.selected(filter) {
        let before = old.and_then(|old| old.find(&file.path));
        if before.is_none_or(|before| before.content != file.content) {
            changed.push(FileDifference {
                path: file.path.clone(),
                change: match before {
                    Some(_) => FileChange::Changed,
                    None => FileChange::Added,
                },
                old_bytes: before.map(|before| before.size_bytes),
                new_bytes: Some(file.size_bytes),
            });
        }
    }
    let removed = old.into_iter().flat_map(|old| old.selected(filter));
    let removed = removed.filter(|file| new.find(&file.path).is_none());
    changed.extend(removed.map(|file| FileDifference {
        path: file.path.clone(),
        change: FileChange::Removed,
        old_bytes: Some(file.size_bytes),
        new_bytes: None,
    }));
    changed.sort_by(|one, other| one.path.cmp(&other.path));
    changed
}
