//! Sessions and their files.

use serde::Serialize;

use super::document::time;
use crate::domain::changes::FileChange;
use crate::domain::origin::Reused;
use crate::domain::repo::Repo;
use crate::domain::session::{ByteCounts, FileCounts, Session, SessionFile};
use crate::domain::time::render_utc;

/// A session: `hfdl.session/1`.
#[derive(Debug, Serialize)]
pub struct SessionView {
    pub session_id: i64,
    pub run_id: String,
    pub model: Option<String>,
    pub repo: String,
    pub repo_type: &'static str,
    pub revision: String,
    pub schedule: Option<String>,
    pub slot_at: Option<String>,
    pub trigger: &'static str,
    pub outcome: Option<&'static str>,
    /// Result of a verification; null for other sessions.
    pub verify_outcome: Option<&'static str>,
    pub error_kind: Option<&'static str>,
    pub error: Option<String>,
    pub hint: Option<String>,
    pub old_commit: Option<String>,
    pub new_commit: Option<String>,
    pub path: Option<String>,
    pub files: FilesView,
    pub bytes: BytesView,
    /// The sum of their bytes is `bytes.reused`.
    pub reused_from: Vec<ReusedView>,
    pub retries: u32,
    pub started_at: String,
    pub finished_at: Option<String>,
}

impl From<&Session> for SessionView {
    fn from(session: &Session) -> Self {
        let (start, progress, end) = (&session.start, &session.progress, session.end.as_ref());
        let trouble = end.and_then(|end| end.trouble.as_ref());
        Self {
            session_id: session.id.0,
            run_id: start.run_id.to_string(),
            model: start.model_name.as_ref().map(ToString::to_string),
            repo: start.repo.to_string(),
            repo_type: start.repo.kind.as_str(),
            revision: start.revision.to_string(),
            schedule: start.schedule_name.as_ref().map(ToString::to_string),
            slot_at: time(start.slot_at),
            trigger: start.trigger.as_str(),
            outcome: end.map(|end| end.outcome.as_str()),
            verify_outcome: end.and_then(|end| Some(end.verify_outcome?.as_str())),
            error_kind: trouble.map(|trouble| trouble.kind.as_str()),
            error: trouble.map(|trouble| trouble.message.clone()),
            hint: trouble.and_then(|trouble| trouble.hint.clone()),
            old_commit: start.old_commit.as_ref().map(ToString::to_string),
            new_commit: progress.new_commit.as_ref().map(ToString::to_string),
            path: progress
                .path
                .as_ref()
                .map(|path| path.display().to_string()),
            files: progress.files.into(),
            bytes: progress.bytes.into(),
            reused_from: progress
                .all_reused()
                .iter()
                .map(|reused| ReusedView::new(reused, &start.repo))
                .collect(),
            retries: progress.retries,
            started_at: render_utc(start.at),
            finished_at: end.map(|end| render_utc(end.at)),
        }
    }
}

/// Number of files by their treatment.
#[derive(Debug, Serialize)]
pub struct FilesView {
    total: u64,
    fetched: u64,
    reused: u64,
    deleted: u64,
}

impl From<FileCounts> for FilesView {
    fn from(files: FileCounts) -> Self {
        Self {
            total: files.total,
            fetched: files.fetched,
            reused: files.reused,
            deleted: files.deleted,
        }
    }
}

/// Number of bytes by their treatment.
#[derive(Debug, Serialize)]
pub struct BytesView {
    total: u64,
    fetched: u64,
    reused: u64,
    left: u64,
}

impl From<ByteCounts> for BytesView {
    fn from(bytes: ByteCounts) -> Self {
        Self {
            total: bytes.total,
            fetched: bytes.fetched,
            reused: bytes.reused,
            left: bytes.left,
        }
    }
}

/// Bytes that were not fetched, and their origin.
#[derive(Debug, Serialize)]
pub struct ReusedView {
    pub kind: &'static str,
    pub repo: String,
    pub repo_type: &'static str,
    pub revision: Option<String>,
    pub path: Option<String>,
    pub content: Option<String>,
    /// Number of files in this entry; of kind `others`, the number of origins.
    pub origins: u64,
    pub bytes: u64,
}

impl ReusedView {
    fn new(reused: &Reused, own: &Repo) -> Self {
        let repo = reused.repo.as_ref().unwrap_or(own);
        Self {
            kind: reused.kind.as_str(),
            repo: repo.to_string(),
            repo_type: repo.kind.as_str(),
            revision: None,
            path: None,
            content: None,
            origins: reused.n_files,
            bytes: reused.bytes,
        }
    }
}

/// A file of a session.
#[derive(Debug, Serialize)]
pub struct SessionFileView {
    pub path: String,
    pub size: u64,
    /// Expected hash; the bytes have it if `result` is `verified`.
    pub content: String,
    pub bytes_fetched: u64,
    pub bytes_reused: u64,
    pub source: Option<&'static str>,
    pub retries: u32,
    pub result: &'static str,
    /// Whether a file on this machine had another hash than expected.
    pub found_bad: bool,
    /// Change since the commit before; `None` if its listing is no longer kept.
    pub change: Option<&'static str>,
}

impl SessionFileView {
    pub fn new(file: &SessionFile, change: Option<FileChange>) -> Self {
        Self {
            path: file.path.to_string(),
            size: file.size_bytes,
            content: file.content.to_string(),
            bytes_fetched: file.bytes_fetched,
            bytes_reused: file.bytes_reused,
            source: file.source.map(|source| source.as_str()),
            retries: file.retries,
            result: file.result.as_str(),
            found_bad: file.found_bad,
            change: change.map(|change| change.as_str()),
        }
    }
}
