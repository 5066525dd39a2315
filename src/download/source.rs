//! Where the bytes of one file come from.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use thiserror::Error;

use crate::domain::outcome::ErrorKind;
use crate::domain::ranges::ByteRange;
use crate::domain::session::FileSource;

/// The origin of one file's bytes.
///
/// A source makes one attempt per call: repeating is the engine's business. A
/// read that gets nothing for long must end by itself with an error, because no
/// other thread can end it.
pub trait ByteSource: Send + Sync {
    /// Opens a part of the file, or with `None` all of it.
    fn open(&self, range: Option<ByteRange>) -> Result<ByteStream, SourceError>;

    /// Hears that bytes were wrong: the plainest way is best from now on.
    fn distrust(&self) {}

    /// Returns by which way bytes come at present.
    fn way(&self) -> FileSource {
        FileSource::Http
    }
}

/// An answer with bytes, and what it says about them.
pub struct ByteStream {
    /// Position in the file of the first byte that the reader yields.
    pub starts_at: u64,
    /// The size of the whole file, where the server names it.
    pub total_size: Option<u64>,
    /// The server sends everything, whatever part was asked for.
    pub whole_file: bool,
    /// Counts the bytes over the line, where those are not the ones that the
    /// reader yields; whoever reads takes them from it.
    pub wire_bytes: Option<Arc<AtomicU64>>,
    /// How many bytes come over the line for all of it, where that is known and
    /// is another number than that of the bytes asked for.
    pub wire_total: Option<u64>,
    /// Errors may carry a [`SourceError`]; all others count as passing trouble
    /// of the network.
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

/// Why a source gave no bytes, or no more.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct SourceError {
    pub kind: ErrorKind,
    /// Another attempt may succeed.
    pub transient: bool,
    /// The server's wish how long to wait first.
    pub retry_after: Option<Duration>,
    /// The server has no such range (416): what is on disk does not fit its file.
    pub range_refused: bool,
    pub message: String,
}

impl SourceError {
    pub fn transient(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            transient: true,
            retry_after: None,
            range_refused: false,
            message: message.into(),
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

    /// Returns what a failed read says: the error inside, or trouble of the network.
    pub(crate) fn from_read(err: &io::Error) -> Self {
        match err.get_ref().and_then(|inner| inner.downcast_ref::<Self>()) {
            Some(inner) => inner.clone(),
            None => Self::transient(ErrorKind::Network, format!("the connection broke: {err}")),
        }
    }
}

impl From<SourceError> for io::Error {
    fn from(error: SourceError) -> Self {
        Self::other(error)
    }
}
