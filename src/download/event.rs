//! What goes into the engine and what comes out.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use thiserror::Error;

use super::copies::Copies;
use super::lane::Lane;
use super::partial::VerifiedFile;
use super::source::{ByteSource, SourceError};
use crate::domain::content::ContentId;
use crate::domain::outcome::ErrorKind;
use crate::domain::retry::RetryPolicy;
use crate::sys::file_limit;
use crate::sys::stop::StopFlag;

/// One file to fetch. No two jobs of a run may share a partial path.
#[derive(Clone)]
pub struct FetchJob {
    /// What the file is called in messages.
    pub name: String,
    pub content: ContentId,
    pub size_bytes: u64,
    /// Where the bytes gather; its folder exists.
    pub partial: PathBuf,
    pub source: Arc<dyn ByteSource>,
    /// The limits that it shares with others, besides those of the run.
    pub lane: Lane,
    /// What old files have of it; `None` to fetch all of it.
    pub copies: Option<Arc<Copies>>,
    /// Lower comes first; equal ones in the order of their adding.
    pub rank: u64,
}

/// The bounds that a run of the engine keeps.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// The most requests under way at any time, over all files.
    pub connections: usize,
    /// The most large files under way at any time.
    pub files: usize,
    /// A connection that brings less than so many bytes a second ...
    pub min_rate: u64,
    /// ... over such a span is given up.
    pub stall_after: Duration,
    /// How often a file is tried again without progress.
    pub retry: RetryPolicy,
    /// Bytes a second for all connections together, changed at will from
    /// outside; zero is no limit.
    pub rate: Arc<AtomicU64>,
    /// After so many bytes the run stops with `TransferBudget`.
    pub max_transfer: Option<u64>,
    pub stop: StopFlag,
    /// How long a stopped run waits for connections that say nothing.
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
            rate: Arc::default(),
            max_transfer: None,
            stop: StopFlag::new(),
            grace: Duration::from_secs(5),
        }
    }
}

/// What happens while files are fetched; `job` is the number from its adding.
#[derive(Debug)]
pub enum Event {
    /// Work on a file begins; so many of its bytes are there already.
    Started { job: usize, reused: u64 },
    /// Further bytes came over the line.
    Progress { job: usize, bytes: u64 },
    /// Further bytes were copied from an old file, which has this place in `Copies`.
    Copied {
        job: usize,
        source: usize,
        bytes: u64,
    },
    /// So many bytes of a file are on disk for a later run, whatever happens.
    Saved { job: usize, bytes: u64 },
    /// Something went wrong and is tried again.
    Retrying {
        job: usize,
        after: Duration,
        error: SourceError,
    },
    /// A file is whole and has its hash: now it can be published.
    Verified {
        report: FileReport,
        file: VerifiedFile,
    },
    /// A file ended in any other way.
    Ended { report: FileReport },
}

impl Event {
    pub fn job(&self) -> usize {
        match self {
            Self::Started { job, .. }
            | Self::Progress { job, .. }
            | Self::Copied { job, .. }
            | Self::Saved { job, .. }
            | Self::Retrying { job, .. } => *job,
            Self::Verified { report, .. } | Self::Ended { report } => report.job,
        }
    }

    /// Tells whether this is the last that is heard of a file.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Verified { .. } | Self::Ended { .. })
    }
}

/// How one file ended, and what it cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileReport {
    pub job: usize,
    pub result: FileResult,
    /// Bytes that came over the line, the useless ones too.
    pub fetched: u64,
    /// Bytes of earlier runs that were used again, and those copied from old files.
    pub reused: u64,
    /// Bytes copied from each of the old files, in the order of `Copies`; may be
    /// shorter.
    pub copied: Vec<u64>,
    /// What was made of copies did not have the hash and was thrown away.
    pub copies_were_wrong: bool,
    pub retries: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileResult {
    /// Size and hash match. `durable` when the bytes were forced to disk;
    /// small files are left to one sync of the file system.
    Verified {
        durable: bool,
    },
    /// The run or the lane was stopped; so many bytes wait on disk for the next one.
    Partial {
        kept: u64,
    },
    /// Another process fetches the same file at this moment.
    Busy,
    Failed(FileError),
}

/// Why a file could not be had.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct FileError {
    pub kind: ErrorKind,
    pub message: String,
    /// Where bytes with a wrong hash were put.
    pub evidence: Option<PathBuf>,
}

impl FileError {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            evidence: None,
        }
    }

    pub(crate) fn disk(what: &str, err: &std::io::Error) -> Self {
        if file_limit::is_reached(err) {
            let advice = file_limit::ADVICE;
            return Self::new(ErrorKind::Internal, format!("{what}: {err}; {advice}"));
        }
        Self::new(ErrorKind::Disk, format!("{what}: {err}"))
    }
}

impl From<SourceError> for FileError {
    fn from(error: SourceError) -> Self {
        Self::new(error.kind, error.message)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn too_many_open_files_are_no_matter_of_the_disk() {
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
