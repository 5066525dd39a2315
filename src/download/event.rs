//! Input and output types of the engine.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::copies::Copies;
use super::limits::LimitGroup;
use super::partial::VerifiedFile;
use super::source::{ByteSource, SourceError};
use crate::domain::content::ContentId;
use crate::domain::outcome::ErrorKind;
use crate::domain::retry::RetryPolicy;
use crate::sys::file_limit;
use crate::sys::files::{FORBIDDEN_ADVICE, is_forbidden};

/// One file to fetch. Jobs of a run must not share a partial path.
#[derive(Clone)]
pub struct FetchJob {
    /// Display name for messages.
    pub name: Arc<str>,
    pub content: ContentId,
    pub size_bytes: u64,
    /// Path of the partial file; its directory exists. A small file is not resumed and not
    /// locked: no other process may use its path.
    pub partial: PathBuf,
    /// Path for bytes with the wrong hash, on the same file system.
    pub evidence: Arc<Path>,
    pub source: Arc<dyn ByteSource>,
    /// Limits shared with other files: those of the run or a descendant.
    pub limits: LimitGroup,
    /// Ranges that old files can provide; `None` fetches the whole file.
    pub copies: Option<Arc<Copies>>,
    /// Lower ranks come first; equal ranks in the order in which they were added.
    pub rank: u64,
}

/// Limits of one engine run.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Most concurrent requests over all files.
    pub connections: usize,
    /// Most concurrent large files.
    pub files: usize,
    /// A connection that stays below this rate, in bytes per second ...
    pub min_rate: u64,
    /// ... for this time span is closed.
    pub stall_after: Duration,
    /// Retries of a file without progress.
    pub retry: RetryPolicy,
    /// Limits of the run: the root of those of all files.
    pub limits: LimitGroup,
    /// Time that a stopped run waits for stuck connections.
    pub grace: Duration,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            connections: 16,
            files: 4,
            min_rate: 1024,
            stall_after: Duration::from_secs(60),
            retry: RetryPolicy::default(),
            limits: LimitGroup::default(),
            grace: Duration::from_secs(5),
        }
    }
}

/// The number of a file within one engine; the engine assigns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub(super) usize);

impl FileId {
    /// Returns how many files were numbered before this one.
    #[cfg(any(test, debug_assertions))]
    pub fn index(self) -> usize {
        self.0
    }
}

/// A progress event; `id` is the number returned by `Engine::add`.
#[derive(Debug)]
pub enum EngineEvent {
    /// A file was started; `reused` of its bytes are already on disk.
    Started { id: FileId, reused: u64 },
    /// More bytes were received.
    Progress { id: FileId, bytes: u64 },
    /// More bytes were copied from an old file; `source` is its index in `Copies`.
    Copied {
        id: FileId,
        source: usize,
        bytes: u64,
    },
    /// The total of bytes that are flushed to disk and recorded for a later run.
    Saved { id: FileId, bytes: u64 },
    /// A request failed and is retried.
    Retrying {
        id: FileId,
        after: Duration,
        error: SourceError,
    },
    /// A file is complete and its hash matches: it can be published.
    Verified {
        report: FileReport,
        file: VerifiedFile,
    },
    /// A file ended without being verified.
    Ended { report: FileReport },
}

impl EngineEvent {
    pub fn id(&self) -> FileId {
        match self {
            Self::Started { id, .. }
            | Self::Progress { id, .. }
            | Self::Copied { id, .. }
            | Self::Saved { id, .. }
            | Self::Retrying { id, .. } => *id,
            Self::Verified { report, .. } | Self::Ended { report } => report.id,
        }
    }

    /// Returns whether this is the last event of a job.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Verified { .. } | Self::Ended { .. })
    }
}

/// The result and the counters of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileReport {
    pub id: FileId,
    pub result: FetchResult,
    /// Received bytes, including discarded ones.
    pub fetched: u64,
    /// Bytes reused from earlier runs and copied from old files.
    pub reused: u64,
    /// Bytes copied from each old file, indexed like `Copies`; may be shorter.
    pub copied: Vec<u64>,
    /// The file assembled from copies had the wrong hash and was discarded.
    pub copies_were_wrong: bool,
    pub retries: u32,
}

impl FileReport {
    /// Describes the end of a file of which no byte was fetched.
    pub fn unfetched(id: FileId, result: FetchResult) -> Self {
        Self {
            id,
            result,
            fetched: 0,
            reused: 0,
            copied: Vec::new(),
            copies_were_wrong: false,
            retries: 0,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchResult {
    /// Size and hash match. With `durable`, the bytes are flushed; small files rely on one sync of
    /// the file system.
    Verified {
        durable: bool,
    },
    /// The run or the limit group was stopped; `kept` bytes remain on disk for the next run.
    Partial {
        kept: u64,
    },
    /// Another process is fetching the same file.
    Busy,
    Failed(FileError),
}

/// The reason why a file failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct FileError {
    pub kind: ErrorKind,
    pub message: String,
    /// Path of the kept bytes with the wrong hash.
    pub evidence: Option<PathBuf>,
    /// The next step of a person, where one is certain.
    pub hint: Option<String>,
}

impl FileError {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            evidence: None,
            hint: None,
        }
    }

    pub(crate) fn disk(what: &str, err: &std::io::Error) -> Self {
        if file_limit::is_reached(err) {
            let advice = file_limit::ADVICE;
            return Self::new(ErrorKind::Internal, format!("{what}: {err}; {advice}"));
        }
        Self {
            hint: is_forbidden(err).then(|| FORBIDDEN_ADVICE.to_owned()),
            ..Self::new(ErrorKind::Disk, format!("{what}: {err}"))
        }
    }
}

impl From<SourceError> for FileError {
    fn from(error: SourceError) -> Self {
        Self {
            hint: error.hint,
            ..Self::new(error.kind, error.message)
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn too_many_open_files_is_not_a_disk_error() {
        for (code, kind) in [
            (24, ErrorKind::Internal),
            (23, ErrorKind::Internal),
            (28, ErrorKind::Disk),
            (5, ErrorKind::Disk),
        ] {
            let err = std::io::Error::from_raw_os_error(code);
            assert_eq!(FileError::disk("could not write", &err).kind, kind);
        }
    }
}
