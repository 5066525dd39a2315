//! A large file in progress. Its state is shared by its connections, the hash thread and the
//! flush thread.

mod messages;
mod state;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(crate) use messages::{ClaimStatus, ConnectionEnd, HashInput, SegmentRequest, wrong_size};

use self::state::{HASH_STEP, LargeFileState, Phase, RequestMode};
use super::budget::MIN_REQUEST;
use super::counters::FileCounters;
use super::event::{FetchJob, FileError, FileId};
use super::failures::FailureDecision;
use super::hash_buffers::HashBuffer;
use super::partial::PartialFile;
use super::segments::{MAX_SEGMENT, SegmentClaim};
use super::source::SourceError;
use crate::domain::ranges::{ByteRange, RangeSet};
use crate::domain::retry::RetryPolicy;
use crate::domain::session::FileSource;

/// Unflushed bytes that trigger a flush before its time.
pub(crate) const FLUSH_AT: u64 = 64 << 20;

/// Bytes after which the journal records what was written. A killed process loses at most these
/// bytes of a file, and the unreported bytes of its connections.
const JOURNAL_AT: u64 = 2 << 20;

/// Interval after which fewer bytes are recorded too. Up to a gigabyte per second, a killed
/// process loses less than `JOURNAL_AT`.
const JOURNAL_INTERVAL: Duration = Duration::from_millis(2);

/// Two chunks of the largest size, at both ends of a range, and the headers of the chunks
/// between them.
const CHUNK_OVERHEAD: u64 = (2 * 128 + 64) << 10;

pub(crate) struct LargeFile {
    pub(crate) id: FileId,
    pub(crate) job: Arc<FetchJob>,
    pub(crate) partial: Box<PartialFile>,
    pub(crate) counters: FileCounters,
    state: Mutex<LargeFileState>,
    /// Notified when the contiguous range grew, or the file ended.
    changed: Condvar,
}

impl LargeFile {
    pub(crate) fn new(
        id: FileId,
        job: Arc<FetchJob>,
        partial: Box<PartialFile>,
        on_disk: &RangeSet,
    ) -> Self {
        let counters = FileCounters::default();
        counters.reused.store(on_disk.total(), Ordering::Relaxed);
        let state = LargeFileState::new(job.size_bytes, on_disk, job.source.is_far());
        Self {
            id,
            job,
            partial,
            counters,
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    pub(crate) fn connections(&self) -> usize {
        self.state().scaler.connections()
    }

    /// Prevents new connections while ranges are copied from old files.
    pub(crate) fn begin_copying(&self) {
        let mut state = self.state();
        state.phase = Phase::Copying;
        state.scaler.connection_started(Instant::now());
    }

    pub(crate) fn end_copying(&self) {
        let mut state = self.state();
        if let Phase::Copying = state.phase {
            state.phase = Phase::Fetching;
        }
        state.scaler.connection_ended();
        drop(state);
        self.changed.notify_all();
    }

    /// Marks a copied range as received; false when the file has failed or ended.
    pub(crate) fn record_copied(&self, source: usize, range: ByteRange) -> bool {
        let mut state = self.state();
        if state.is_over() {
            return false;
        }
        state.segments.insert(range);
        state.add_unflushed(range.len());
        // Count before unlocking: the last copy may end the file.
        self.counters.add_copied(source, range.len());
        drop(state);
        self.changed.notify_all();
        true
    }

    /// Returns the target number of connections.
    pub(crate) fn target(&self) -> usize {
        self.state().scaler.target()
    }

    /// Returns the smallest possible request in bytes. Zero while that is unknown; `None` if the
    /// file needs no more requests.
    pub(crate) fn min_request(&self) -> Option<u64> {
        let state = self.state();
        if state.is_over() || state.segments.is_complete() {
            return None;
        }
        let is_known = matches!(state.phase, Phase::Fetching);
        let part = state.segments.unclaimed_bytes().min(MIN_REQUEST);
        Some(if is_known { part + self.overhead() } else { 0 })
    }

    /// Returns the bytes a range costs on the wire beyond its own size: Xet chunks are sent whole.
    pub(crate) fn overhead(&self) -> u64 {
        match self.job.source.way() {
            FileSource::Xet => CHUNK_OVERHEAD,
            _ => 0,
        }
    }

    /// Returns the next request for a connection, if another connection helps this file.
    ///
    /// `allowed` bounds the request by the budget. The server sends all requested bytes, so a
    /// bounded claim is never split for another connection.
    pub(crate) fn next_request(
        &self,
        now: Instant,
        connections: usize,
        rate_limited: bool,
        allowed: Option<u64>,
    ) -> Option<SegmentRequest> {
        let mut state = self.state();
        let fetched = self.counters.fetched.load(Ordering::Relaxed);
        state
            .scaler
            .evaluate(now, fetched, connections, rate_limited);
        if !state.is_open(now) {
            return None;
        }
        let most = if state.mode == RequestMode::Ranges {
            state.scaler.target()
        } else {
            1
        };
        if state.scaler.connections() >= most {
            return None;
        }
        let limit = match (most, allowed) {
            (1, None) => u64::MAX,
            (1, Some(allowed)) => allowed.min(MAX_SEGMENT),
            (_, allowed) => state
                .segments
                .segment_size(most)
                .min(allowed.unwrap_or(u64::MAX)),
        };
        let claim = match (state.segments.claim(limit), allowed) {
            (Some(claim), _) => claim,
            (None, None) => state.segments.steal()?,
            (None, Some(_)) => return None,
        };
        state.scaler.connection_started(now);
        // A single stream that broke is resumed with a range request.
        let is_all = claim.range == ByteRange::new(0, self.job.size_bytes);
        let is_whole = state.mode == RequestMode::SingleStream && is_all;
        let range = (!is_whole).then_some(claim.range);
        Some(SegmentRequest {
            claim,
            range,
            issued_at: now,
        })
    }

    /// Records the start of a response; true for the first one.
    pub(crate) fn response_started(&self, now: Instant) -> bool {
        let fetched = self.counters.fetched.load(Ordering::Relaxed);
        self.state().scaler.response_started(now, fetched)
    }

    /// Returns the time of the next connection count evaluation and the end of the retry delay.
    pub(crate) fn next_wakeups(&self) -> [Option<Instant>; 2] {
        let state = self.state();
        [state.scaler.next_evaluation(), state.failures.not_before()]
    }

    /// Returns the status of a claim before its first byte.
    pub(crate) fn claim_status(&self, segment: ByteRange) -> ClaimStatus {
        self.state().claim_status(segment.start, segment.end)
    }

    /// Records that a connection wrote up to `to`; `buffers` holds the last bytes of that in
    /// memory. Returns the claim's status, or `None` if the connection has to end.
    pub(crate) fn advance(
        &self,
        id: u64,
        from: u64,
        to: u64,
        buffers: &mut Vec<HashBuffer>,
    ) -> Option<ClaimStatus> {
        let mut state = self.state();
        let before = state.segments.contiguous_end();
        let end = state.segments.advance(id, to)?;
        // Buffers from before a restart do not get here: their claim is invalid.
        state.buffers.append(buffers);
        let bytes = to - from;
        state.failures.record_progress(bytes, to >= end);
        state.add_unflushed(bytes);
        state.unjournaled += bytes;
        if state.unjournaled >= JOURNAL_AT || state.journaled_at.elapsed() >= JOURNAL_INTERVAL {
            (state.unjournaled, state.journaled_at) = (0, Instant::now());
            // Keep the lock: a restart must not happen between `done` and the journal entry.
            self.partial.record_written(&state.segments.done());
        }
        let must_end = !matches!(state.phase, Phase::Fetching);
        let has_grown = state.segments.contiguous_end() > before;
        let claim_status = state.claim_status(to, end);
        drop(state);
        if has_grown {
            self.changed.notify_all();
        }
        (!must_end).then_some(claim_status)
    }

    /// Turns a claim into the single stream of a server that ignores ranges; false if another
    /// connection already has that stream.
    pub(crate) fn become_single_stream(&self, id: u64) -> bool {
        let mut state = self.state();
        state.segments.release(id);
        match state.mode {
            RequestMode::RangesIgnored if state.scaler.connections() > 1 => return false,
            RequestMode::Ranges | RequestMode::RangesIgnored => {
                state.mode = RequestMode::RangesIgnored
            }
            // Keep this mode: it marks the second attempt after a mismatch.
            RequestMode::SingleStream => {}
        }
        true
    }

    /// Claims the next segment at or after the position of the single stream.
    pub(crate) fn next_claim(&self, position: u64) -> Option<SegmentClaim> {
        let mut state = self.state();
        if !matches!(state.phase, Phase::Fetching) {
            return None;
        }
        state.segments.claim_from(position)
    }

    /// Removes a connection from the file. The last one carries out a pending restart. Returns the
    /// delay and the error when the request is retried.
    pub(crate) fn connection_ended(
        &self,
        request: &SegmentRequest,
        claim_id: u64,
        end: ConnectionEnd,
        policy: &RetryPolicy,
    ) -> Option<(Duration, SourceError)> {
        let now = Instant::now();
        let mut state = self.state();
        state.segments.release(claim_id);
        state.scaler.connection_ended();
        let mut retry = None;
        match end {
            ConnectionEnd::Done => {}
            _ if state.segments.is_complete() => {}
            ConnectionEnd::Fatal(error) => state.fail(error),
            ConnectionEnd::Source(error) if error.range_refused => {
                if state.was_refused {
                    state.fail(error.into());
                } else if !state.is_over() {
                    state.phase = Phase::Restarting;
                }
            }
            ConnectionEnd::Source(error) => {
                match state
                    .failures
                    .record_failure(error, request.issued_at, now, policy)
                {
                    FailureDecision::AlreadyCounted => {}
                    FailureDecision::Retry(pause, error) => retry = Some((pause, error)),
                    FailureDecision::GiveUp(error) => state.fail(error.into()),
                }
            }
        }
        if retry.is_some() {
            self.counters.retries.fetch_add(1, Ordering::Relaxed);
        }
        if state.scaler.connections() == 0
            && let Phase::Restarting = state.phase
        {
            (state.phase, state.was_refused) = (Phase::Fetching, true);
            self.counters.retries.fetch_add(1, Ordering::Relaxed);
            self.discard(&mut state);
        }
        drop(state);
        self.changed.notify_all();
        retry
    }

    /// Restarts the file as a single stream after a hash mismatch; false if that was done before.
    pub(crate) fn restart_as_single_stream(&self) -> bool {
        let mut state = self.state();
        if state.mode == RequestMode::SingleStream {
            return false;
        }
        self.counters.retries.fetch_add(1, Ordering::Relaxed);
        self.discard(&mut state);
        true
    }

    pub(crate) fn fail(&self, error: FileError) {
        self.state().fail(error);
        self.changed.notify_all();
    }

    /// Returns the error of a failed file once, after its last connection has ended.
    pub(crate) fn take_failure(&self) -> Option<FileError> {
        let mut state = self.state();
        let Phase::Failed(error) = &state.phase else {
            return None;
        };
        if state.scaler.connections() > 0 {
            return None;
        }
        let error = error.clone();
        state.phase = Phase::Ended;
        drop(state);
        self.changed.notify_all();
        Some(error)
    }

    /// Marks the file as ended; false if it was ended before.
    pub(crate) fn mark_ended(&self) -> bool {
        let before = std::mem::replace(&mut self.state().phase, Phase::Ended);
        self.changed.notify_all();
        !matches!(before, Phase::Ended)
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.state().segments.is_complete()
    }

    /// Waits until bytes after `hashed` are received in this epoch, or the file ends. `is_stopped`
    /// returns whether the run or the group is stopped.
    pub(crate) fn wait_for_hash_input(
        &self,
        hashed: u64,
        epoch: u32,
        is_stopped: impl Fn() -> bool,
    ) -> HashInput {
        let mut state = self.state();
        loop {
            if state.is_over() {
                return HashInput::Ended;
            }
            if state.epoch != epoch {
                return HashInput::Restarted;
            }
            state.hashed_up_to = hashed;
            let contiguous_end = state.segments.contiguous_end();
            if contiguous_end > hashed {
                let mut stop_at = contiguous_end.min(hashed + HASH_STEP);
                let n_ready = state
                    .buffers
                    .partition_point(|buffer| buffer.end() <= stop_at);
                if let Some(next) = state.buffers.get(n_ready) {
                    // Stop before a buffer that would be split. It starts after `hashed`, because
                    // it is shorter than a step.
                    stop_at = stop_at.min(next.start());
                }
                return HashInput::Ready(stop_at, state.buffers.drain(..n_ready).collect());
            }
            // A connection that is ending may still deliver the last byte.
            if state.scaler.connections() == 0 && is_stopped() {
                return HashInput::Ended;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(crate) fn epoch(&self) -> u32 {
        self.state().epoch
    }

    /// Wakes the waiting threads to check the stop flags.
    pub(crate) fn wake(&self) {
        drop(self.state());
        self.changed.notify_all();
    }

    /// Returns whether the unflushed bytes are many enough or old enough for a flush.
    pub(crate) fn needs_flush(&self, longest: Duration) -> bool {
        let state = self.state();
        !matches!(state.phase, Phase::Ended)
            && (state.unflushed >= FLUSH_AT
                || state.unflushed > 0 && state.unflushed_since.elapsed() >= longest)
    }

    pub(crate) fn unflushed(&self) -> u64 {
        self.state().unflushed
    }

    /// Flushes the received bytes to disk and records them in the journal; returns the flushed
    /// total.
    pub(crate) fn flush(&self) -> Result<u64, FileError> {
        let (done, epoch, hashed_range) = {
            let mut state = self.state();
            state.unflushed = 0;
            let contiguous_end = state.hashed_up_to.min(state.segments.contiguous_end());
            let hashed_range =
                ByteRange::new(state.evicted_up_to.min(contiguous_end), contiguous_end);
            state.evicted_up_to = contiguous_end;
            (state.segments.done(), state.epoch, hashed_range)
        };
        let saved = self
            .partial
            .flush(&done, epoch)
            .map_err(|err| FileError::disk("could not flush received bytes", &err))?;
        self.partial.evict(hashed_range);
        Ok(saved)
    }

    fn discard(&self, state: &mut LargeFileState) {
        state.epoch += 1;
        if let Err(err) = self.partial.restart(state.epoch) {
            state.fail(FileError::disk("could not restart the file", &err));
        }
        self.job.source.distrust();
        self.counters.clear_reused();
        state.segments.reset();
        state.buffers.clear();
        state.mode = RequestMode::SingleStream;
        (state.hashed_up_to, state.evicted_up_to) = (0, 0);
        (state.unflushed, state.unjournaled) = (0, 0);
    }

    fn state(&self) -> MutexGuard<'_, LargeFileState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
