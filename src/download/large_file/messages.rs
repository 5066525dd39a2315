//! Values that pass between a large file and its connections.

use std::time::Instant;

use crate::domain::outcome::ErrorKind;
use crate::domain::ranges::ByteRange;
use crate::download::event::FileError;
use crate::download::hash_buffers::HashBuffer;
use crate::download::segments::SegmentClaim;
use crate::download::source::SourceError;

/// A claim and the range to request for it; `None` requests the whole file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentRequest {
    pub(crate) claim: SegmentClaim,
    pub(crate) range: Option<ByteRange>,
    pub(crate) issued_at: Instant,
}

/// The reason why a connection ended.
#[derive(Debug)]
pub(crate) enum ConnectionEnd {
    /// The segment is complete, another connection has the rest, or the run is stopping.
    Done,
    Source(SourceError),
    /// A retry cannot help.
    Fatal(FileError),
}

/// The status of a claim after a report.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClaimStatus {
    pub(crate) end: u64,
    /// The next bytes extend the contiguous range and the hash is close behind, so they are kept in
    /// memory for it.
    pub(crate) keep_for_hash: bool,
    /// Unreported bytes after which the connection reports again.
    pub(crate) report_at: u64,
}

/// Input for the hash thread.
#[derive(Debug)]
pub(crate) enum HashInput {
    /// Hash up to this offset; the buffers hold parts of that range.
    Ready(u64, Vec<HashBuffer>),
    /// Hash again from the start of the file.
    Restarted,
    Ended,
}

/// Returns the error for a remote file whose size differs from the listing.
pub(crate) fn wrong_size(expected: u64, found: u64) -> SourceError {
    SourceError::transient(
        ErrorKind::Integrity,
        format!("wrong file size: expected {expected} bytes, the server has {found} bytes"),
    )
}
