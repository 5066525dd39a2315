//! Change notes: the changes of an update.

use serde::Serialize;

use super::document::time;
use crate::domain::changes::{ChangeNote, ChangedAmount, ChangedFile, TitledCommit};
use crate::domain::time::render_utc;

/// A change note, in sessions, hooks and reports.
#[derive(Debug, Serialize)]
pub struct ChangeNoteView {
    summary: String,
    old_commit: String,
    commit: String,
    /// Newest first; null if the Hub did not tell them.
    commits: Option<Vec<TitledCommitView>>,
    /// The history has commits that the list does not name.
    more_commits: bool,
    /// The published commit is no ancestor of the new one.
    history_rewritten: bool,
    /// Null if the listing of the older commit was not kept.
    files: Option<ChangedFilesView>,
    bytes_fetched: u64,
    bytes_reused: u64,
    noted_at: String,
    licence: ChangedTermView,
    gating: ChangedTermView,
}

/// A fact of the repository before and after; null if unknown.
#[derive(Debug, Serialize)]
struct ChangedTermView {
    before: Option<String>,
    after: Option<String>,
}

#[derive(Debug, Serialize)]
struct TitledCommitView {
    commit: String,
    title: String,
    at: Option<String>,
}

#[derive(Debug, Serialize)]
struct ChangedFilesView {
    added: ChangedAmountView,
    changed: ChangedAmountView,
    removed: ChangedAmountView,
    with_code: u64,
    list: Vec<ChangedFileView>,
    /// Number of changed files that the list does not name.
    more: u64,
}

#[derive(Debug, Serialize)]
struct ChangedAmountView {
    files: u64,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct ChangedFileView {
    path: String,
    change: &'static str,
    size: u64,
    runs_code: bool,
}

impl ChangeNoteView {
    /// Names at most so many commits, and so many files.
    pub fn new(note: &ChangeNote, most: usize) -> Self {
        let changes = &note.changes;
        let commits = changes.commits.as_ref();
        let n_commits = commits.map_or(0, |new| new.commits.len());
        let is_more = commits.is_some_and(|new| new.has_more) || n_commits > most;
        Self {
            summary: note.summary(),
            old_commit: changes.old_commit.to_string(),
            commit: changes.commit.to_string(),
            commits: commits.map(|new| {
                let first = new.commits.iter().take(most);
                first.map(TitledCommitView::from).collect()
            }),
            more_commits: is_more,
            history_rewritten: commits.is_some_and(|new| new.is_rewritten),
            files: changes.files.as_ref().map(|files| ChangedFilesView {
                added: files.added.into(),
                changed: files.changed.into(),
                removed: files.removed.into(),
                with_code: files.n_with_code,
                list: files.files.iter().take(most).map(Into::into).collect(),
                more: files.n_more + files.files.len().saturating_sub(most) as u64,
            }),
            bytes_fetched: note.bytes_fetched,
            bytes_reused: note.bytes_reused,
            noted_at: render_utc(note.noted_at),
            licence: ChangedTermView {
                before: changes.old_terms.licence.clone(),
                after: changes.terms.licence.clone(),
            },
            gating: ChangedTermView {
                before: changes.old_terms.gating.clone(),
                after: changes.terms.gating.clone(),
            },
        }
    }
}

impl From<&TitledCommit> for TitledCommitView {
    fn from(commit: &TitledCommit) -> Self {
        Self {
            commit: commit.commit.to_string(),
            title: commit.title.clone(),
            at: time(commit.at),
        }
    }
}

impl From<ChangedAmount> for ChangedAmountView {
    fn from(amount: ChangedAmount) -> Self {
        Self {
            files: amount.files,
            bytes: amount.bytes,
        }
    }
}

impl From<&ChangedFile> for ChangedFileView {
    fn from(file: &ChangedFile) -> Self {
        Self {
            path: file.path.to_string(),
            change: file.change.as_str(),
            size: file.size_bytes,
            runs_code: file.has_code,
        }
    }
}
