//! The state of a large file under its lock.

use std::time::Instant;

use super::messages::ClaimStatus;
use crate::domain::ranges::RangeSet;
use crate::download::connection_scaler::ConnectionScaler;
use crate::download::event::FileError;
use crate::download::failures::FailureTracker;
use crate::download::hash_buffers::HashBuffer;
use crate::download::segments::SegmentMap;

/// Most unreported bytes over all connections of a file.
const MAX_UNREPORTED: u64 = 256 << 10;

/// Bytes hashed between two checks for a restart or a stop.
pub(super) const HASH_STEP: u64 = 8 << 20;

/// The mutable state of a large file, under its lock.
pub(super) struct LargeFileState {
    pub(super) segments: SegmentMap,
    /// A stream from a server that ignores ranges counts as one connection for all its claims.
    pub(super) scaler: ConnectionScaler,
    pub(super) mode: RequestMode,
    pub(super) restart: Restart,
    pub(super) failure: Option<FileError>,
    pub(super) ended: bool,
    /// Ranges are being copied from old files; nothing is fetched in the meantime.
    pub(super) copying: bool,
    pub(super) failures: FailureTracker,
    pub(super) hashed_up_to: u64,
    /// Received bytes after `hashed` that are still in memory, sorted by offset.
    pub(super) buffers: Vec<HashBuffer>,
    pub(super) evicted_up_to: u64,
    pub(super) unjournaled: u64,
    pub(super) journaled_at: Instant,
    pub(super) unflushed: u64,
    pub(super) unflushed_since: Instant,
    /// Incremented whenever all received bytes are discarded.
    pub(super) epoch: u32,
}

/// The kind of requests that the file needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestMode {
    /// Range requests on several connections.
    Ranges,
    /// The server ignores ranges and sends the whole file. One connection reads it and skips the
    /// ranges that are on disk.
    RangesIgnored,
    /// One stream from the start of the file, after a hash mismatch.
    SingleStream,
}

/// The restart after a refused range, at most one per file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restart {
    Unused,
    /// Discard all bytes as soon as the last connection has ended.
    Pending,
    Used,
}

impl LargeFileState {
    pub(super) fn new(size_bytes: u64, on_disk: &RangeSet) -> Self {
        let now = Instant::now();
        Self {
            segments: SegmentMap::new(size_bytes, on_disk),
            scaler: ConnectionScaler::new(),
            mode: RequestMode::Ranges,
            restart: Restart::Unused,
            failure: None,
            ended: false,
            copying: false,
            failures: FailureTracker::default(),
            hashed_up_to: 0,
            buffers: Vec::new(),
            evicted_up_to: 0,
            unjournaled: 0,
            journaled_at: now,
            unflushed: 0,
            unflushed_since: now,
            epoch: 0,
        }
    }

    /// Counts bytes that are written but not flushed.
    pub(super) fn add_unflushed(&mut self, bytes: u64) {
        if self.unflushed == 0 {
            self.unflushed_since = Instant::now();
        }
        self.unflushed += bytes;
    }

    pub(super) fn claim_status(&self, position: u64, end: u64) -> ClaimStatus {
        let is_at_front = position == self.segments.contiguous_end();
        ClaimStatus {
            end,
            keep_for_hash: is_at_front && position - self.hashed_up_to.min(position) <= HASH_STEP,
            report_at: MAX_UNREPORTED / self.scaler.connections().max(1) as u64,
        }
    }

    pub(super) fn is_open(&self, now: Instant) -> bool {
        self.failure.is_none()
            && !self.ended
            && !self.copying
            && self.restart != Restart::Pending
            && self.failures.not_before().is_none_or(|then| then <= now)
    }
}
