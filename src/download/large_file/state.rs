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
    pub(super) phase: Phase,
    pub(super) mode: RequestMode,
    /// A range was refused before, and the file was restarted for it.
    pub(super) was_refused: bool,
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

/// The phase of a large file.
#[derive(Debug)]
pub(super) enum Phase {
    /// Ranges are copied from old files; nothing is fetched in the meantime.
    Copying,
    Fetching,
    /// A range was refused: all bytes are discarded as soon as the last connection has ended.
    Restarting,
    /// The file ends with this error as soon as its last connection has ended.
    Failed(FileError),
    Ended,
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

impl LargeFileState {
    pub(super) fn new(size_bytes: u64, on_disk: &RangeSet, is_far: bool) -> Self {
        let now = Instant::now();
        Self {
            segments: SegmentMap::new(size_bytes, on_disk),
            scaler: ConnectionScaler::new(is_far),
            phase: Phase::Fetching,
            mode: RequestMode::Ranges,
            was_refused: false,
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

    /// Keeps the first error of the file.
    pub(super) fn fail(&mut self, error: FileError) {
        if !self.is_over() {
            self.phase = Phase::Failed(error);
        }
    }

    /// Returns whether the file has failed or ended.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Failed(_) | Phase::Ended)
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
        matches!(self.phase, Phase::Fetching)
            && self.failures.not_before().is_none_or(|then| then <= now)
    }
}
