//! The byte source of one file.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use thiserror::Error;

use crate::domain::outcome::ErrorKind;
use crate::domain::ranges::ByteRange;
use crate::domain::retry::{AttemptError, Prospect};
use crate::domain::session::FileSource;

/// The origin of one file's bytes.
///
/// A source makes one attempt per call; the engine retries. A stalled read must end with an
/// error by itself, because no other thread can interrupt it.
pub trait ByteSource: Send + Sync {
    /// Opens a range of the file; `None` opens the whole file.
    fn open(&self, range: Option<ByteRange>) -> Result<ByteStream, SourceError>;

    /// Tells whether answers take long, so that all connections should start together instead
    /// of after the first answer.
    fn is_far(&self) -> bool {
        false
    }

    /// Called after a hash mismatch: use the simplest route from now on.
    fn distrust(&self) {}

    /// Returns the route that currently provides the bytes.
    fn way(&self) -> FileSource {
        FileSource::Http
    }
}

/// An open response and its metadata.
pub struct ByteStream {
    /// File offset of the first byte that the reader yields.
    pub starts_at: u64,
    /// Size of the whole file, if the server states it.
    pub total_size: Option<u64>,
    /// The server ignored the range and sends the whole file.
    pub whole_file: bool,
    /// Bytes on the wire not charged yet, where they differ from the bytes read. The engine
    /// resets the counter when it charges them.
    pub wire_bytes: Option<Arc<AtomicU64>>,
    /// Bytes on the wire for the whole response, if known and different from the requested size.
    pub wire_total: Option<u64>,
    /// Errors may carry a [`SourceError`]; all others count as transient network errors.
    pub reader: Box<dyn Read + Send>,
}

impl fmt::Debug for ByteStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteStream")
            .field("starts_at", &self.starts_at)
            .field("total_size", &self.total_size)
            .field("whole_file", &self.whole_file)
            .finish_non_exhaustive()
    }
}

/// The reason why a source failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct SourceError {
    pub kind: ErrorKind,
    /// A retry may succeed.
    pub transient: bool,
    /// Delay requested by the server.
    pub retry_after: Option<Duration>,
    /// The server refused the range (416): the bytes on disk do not fit its file.
    pub range_refused: bool,
    pub message: String,
    /// The message in a few words, for a line that names the file and the wait.
    pub brief: Option<String>,
    /// The next step of a person, where one is certain.
    pub hint: Option<String>,
}

impl SourceError {
    pub fn transient(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            transient: true,
            retry_after: None,
            range_refused: false,
            message: message.into(),
            brief: None,
            hint: None,
        }
    }

    pub fn permanent(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            transient: false,
            ..Self::transient(kind, message)
        }
    }

    pub fn range_refused(message: impl Into<String>) -> Self {
        Self {
            range_refused: true,
            ..Self::permanent(ErrorKind::Hub, message)
        }
    }

    /// Returns the [`SourceError`] inside a read error, or a network error.
    pub(crate) fn from_read(err: &io::Error) -> Self {
        match err.get_ref().and_then(|inner| inner.downcast_ref::<Self>()) {
            Some(inner) => inner.clone(),
            None => Self::transient(ErrorKind::Network, format!("the connection broke: {err}")),
        }
    }
}

impl AttemptError for SourceError {
    fn prospect(&self) -> Prospect {
        if self.transient {
            Prospect::Transient {
                wait: self.retry_after,
            }
        } else {
            Prospect::Permanent
        }
    }
}

impl From<SourceError> for io::Error {
    fn from(error: SourceError) -> Self {
        Self::other(error)
    }
}
