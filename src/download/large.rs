//! A file that arrives in pieces: its state, shared by its connections, the
//! thread that hashes it and the one that saves it.

mod exchange;

use std::sync::atomic::Ordering;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(crate) use exchange::{Aftermath, Front, Leaving, Order, Standing, wrong_size};

use super::budget::LEAST_REQUEST;
use super::costs::Costs;
use super::coverage::{Claim, Coverage, LAST_SEGMENT, LEAST_PIECE, SEGMENT};
use super::crew::Crew;
use super::event::{FetchJob, FileError};
use super::fresh::Fresh;
use super::partial::Partial;
use super::setbacks::{Setbacks, Weighed};
use crate::domain::ranges::{ByteRange, RangeSet};
use crate::domain::retry::RetryPolicy;
use crate::domain::session::FileSource;

/// So many bytes wait for the disk before they are saved ahead of time.
pub(crate) const SAVE_AT: u64 = 64 << 20;

/// A killed run loses at most so much of each file, and what its connections
/// have not reported yet.
const NOTE_AT: u64 = 2 << 20;

/// Less is noted, too, but not more often. A gigabyte a second brings that much in
/// this time, so on all slower lines a killed run loses less.
const NOTE_EVERY: Duration = Duration::from_millis(2);

/// So much may have come over all connections of a file and not be reported.
const UNREPORTED: u64 = 256 << 10;

/// Two chunks of the largest size, at both ends of a range, and the headers of
/// those between them.
const CHUNK_OVERHEAD: u64 = (2 * 128 + 64) << 10;

/// Hashed between two looks whether that is still wanted.
const STEP: u64 = 8 << 20;

pub(crate) struct Large {
    pub(crate) index: usize,
    pub(crate) job: FetchJob,
    pub(crate) partial: Box<Partial>,
    pub(crate) costs: Costs,
    state: Mutex<State>,
    /// The front moved, or the file ended.
    moved: Condvar,
}

struct State {
    coverage: Coverage,
    /// The stream of a server that ignores ranges stays one while it changes claims.
    crew: Crew,
    shape: Shape,
    restart: Restart,
    failure: Option<FileError>,
    ended: bool,
    /// Old files are being copied from; nothing is fetched before that is over.
    copying: bool,
    setbacks: Setbacks,
    hashed: u64,
    /// Bytes behind that, in their order, which need not be read back.
    fresh: Vec<Fresh>,
    forgotten: u64,
    unnoted: u64,
    noted_at: Instant,
    unsaved: u64,
    unsaved_since: Instant,
    /// Changes when everything that came is thrown away.
    epoch: u32,
}

/// How the file may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// In ranges, by several connections.
    Ranges,
    /// The server sends everything whatever is asked, so one connection is
    /// enough; it skips what is there.
    RangesIgnored,
    /// From the beginning in one stream, for bytes that were wrong before.
    OneStream,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Restart {
    Unused,
    /// As soon as nobody writes any more.
    Wanted,
    Used,
}

impl Large {
    pub(crate) fn new(
        index: usize,
        job: FetchJob,
        partial: Box<Partial>,
        on_disk: &RangeSet,
    ) -> Self {
        let costs = Costs::default();
        costs.reused.store(on_disk.total(), Ordering::Relaxed);
        let now = Instant::now();
        let state = State {
            coverage: Coverage::new(job.size_bytes, on_disk),
            crew: Crew::new(),
            shape: Shape::Ranges,
            restart: Restart::Unused,
            failure: None,
            ended: false,
            copying: false,
            setbacks: Setbacks::default(),
            hashed: 0,
            fresh: Vec::new(),
            forgotten: 0,
            unnoted: 0,
            noted_at: now,
            unsaved: 0,
            unsaved_since: now,
            epoch: 0,
        };
        Self {
            index,
            job,
            partial,
            costs,
            state: Mutex::new(state),
            moved: Condvar::new(),
        }
    }

    pub(crate) fn holders(&self) -> usize {
        self.state().crew.working()
    }

    /// Keeps connections away while old files are copied from.
    pub(crate) fn begin_copying(&self) {
        let mut state = self.state();
        state.copying = true;
        state.crew.join(Instant::now());
    }

    pub(crate) fn end_copying(&self) {
        let mut state = self.state();
        state.copying = false;
        state.crew.leave();
        drop(state);
        self.moved.notify_all();
    }

    /// Notes what was copied; false if nothing more is wanted.
    pub(crate) fn copied(&self, source: usize, range: ByteRange) -> bool {
        let mut state = self.state();
        if state.failure.is_some() || state.ended {
            return false;
        }
        state.coverage.insert(range);
        state.wait_for_disk(range.len());
        // Before the lock goes: with the last copy the file may end at once.
        self.costs.add_copied(source, range.len());
        drop(state);
        self.moved.notify_all();
        true
    }

    /// Returns how many connections may work on it.
    pub(crate) fn target(&self) -> usize {
        self.state().crew.target()
    }

    /// Returns the fewest bytes that it has to ask for at once; zero while that
    /// is not known, and `None` if it needs nothing.
    pub(crate) fn least_need(&self) -> Option<u64> {
        let state = self.state();
        if state.ended || state.failure.is_some() || state.coverage.is_complete() {
            return None;
        }
        let is_known = !state.copying && state.restart != Restart::Wanted;
        let part = state.coverage.free().min(LEAST_REQUEST);
        Some(if is_known { part + self.overhead() } else { 0 })
    }

    /// Returns how much more than a range of the file has to come over the line
    /// for it: chunks come whole.
    pub(crate) fn overhead(&self) -> u64 {
        match self.job.source.way() {
            FileSource::Xet => CHUNK_OVERHEAD,
            _ => 0,
        }
    }

    /// Gives a connection something to fetch, if another one helps here.
    ///
    /// With `allowed`, no more than so many bytes: what is claimed is asked for
    /// and sent, so nothing of it is given to another connection later.
    pub(crate) fn order(
        &self,
        now: Instant,
        connections: usize,
        held_back: bool,
        allowed: Option<u64>,
    ) -> Option<Order> {
        let mut state = self.state();
        let fetched = self.costs.fetched.load(Ordering::Relaxed);
        state.crew.look(now, fetched, connections, held_back);
        if !state.is_open(now) {
            return None;
        }
        let most = if state.shape == Shape::Ranges {
            state.crew.target()
        } else {
            1
        };
        if state.crew.working() >= most {
            return None;
        }
        let limit = match (most, allowed) {
            (1, None) => u64::MAX,
            (1, Some(allowed)) => allowed.min(SEGMENT),
            (_, None) => state.coverage.segment(most, LAST_SEGMENT),
            (_, Some(allowed)) => state.coverage.segment(most, LEAST_PIECE).min(allowed),
        };
        let claim = match (state.coverage.claim(limit), allowed) {
            (Some(claim), _) => claim,
            (None, None) => state.coverage.steal()?,
            (None, Some(_)) => return None,
        };
        state.crew.join(now);
        // After a cut even the one stream is continued, not begun again.
        let is_all = claim.range == ByteRange::new(0, self.job.size_bytes);
        let is_whole = state.shape == Shape::OneStream && is_all;
        let request = (!is_whole).then_some(claim.range);
        Some(Order {
            claim,
            request,
            given_at: now,
        })
    }

    /// Notes that a source has begun to answer; tells whether this is news.
    pub(crate) fn answered(&self, now: Instant) -> bool {
        let fetched = self.costs.fetched.load(Ordering::Relaxed);
        self.state().crew.answered(now, fetched)
    }

    /// Returns when it is to be looked at again whether more connections help,
    /// and whether it may be asked for again.
    pub(crate) fn next_looks(&self) -> [Option<Instant>; 2] {
        let state = self.state();
        [state.crew.next_look(), state.setbacks.not_before()]
    }

    /// Returns where a connection stands that begins with a piece.
    pub(crate) fn standing(&self, piece: ByteRange) -> Standing {
        self.state().standing(piece.start, piece.end)
    }

    /// Notes what a connection has written up to `to`, of which `fresh` is in
    /// memory still; returns where it stands, or `None` if it shall leave.
    pub(crate) fn advance(
        &self,
        id: u64,
        from: u64,
        to: u64,
        fresh: &mut Vec<Fresh>,
    ) -> Option<Standing> {
        let mut state = self.state();
        let before = state.coverage.front();
        let end = state.coverage.advance(id, to)?;
        // What was thrown away meanwhile is not among them: that claim is void.
        state.fresh.append(fresh);
        let bytes = to - from;
        state.setbacks.progressed(bytes, to >= end);
        state.wait_for_disk(bytes);
        state.unnoted += bytes;
        if state.unnoted >= NOTE_AT || state.noted_at.elapsed() >= NOTE_EVERY {
            (state.unnoted, state.noted_at) = (0, Instant::now());
            // Under the lock, so that this is not about bytes of before a restart.
            self.partial.note(&state.coverage.done());
        }
        let leave = state.failure.is_some() || state.ended || state.restart == Restart::Wanted;
        let front_moved = state.coverage.front() > before;
        let standing = state.standing(to, end);
        drop(state);
        if front_moved {
            self.moved.notify_all();
        }
        (!leave).then_some(standing)
    }

    /// Turns a claim into the one stream of a server that ignores ranges;
    /// false if there is such a stream already.
    pub(crate) fn become_the_only_stream(&self, id: u64) -> bool {
        let mut state = self.state();
        state.coverage.release(id);
        match state.shape {
            Shape::RangesIgnored if state.crew.working() > 1 => return false,
            Shape::Ranges | Shape::RangesIgnored => state.shape = Shape::RangesIgnored,
            // It must be known later that this was the second try.
            Shape::OneStream => {}
        }
        true
    }

    /// Gives that stream the next piece behind its position.
    pub(crate) fn next_piece(&self, position: u64) -> Option<Claim> {
        let mut state = self.state();
        if state.failure.is_some() || state.ended || state.restart == Restart::Wanted {
            return None;
        }
        state.coverage.claim_from(position)
    }

    /// Takes a connection off the file; the last one to leave clears up.
    pub(crate) fn leave(
        &self,
        order: &Order,
        claim_id: u64,
        leaving: Leaving,
        policy: &RetryPolicy,
    ) -> Aftermath {
        let now = Instant::now();
        let mut state = self.state();
        state.coverage.release(claim_id);
        state.crew.leave();
        let mut aftermath = Aftermath::Nothing;
        match leaving {
            Leaving::Quietly => {}
            _ if state.coverage.is_complete() => {}
            Leaving::Fatal(error) => {
                state.failure.get_or_insert(error);
            }
            Leaving::Source(error) if error.range_refused => {
                if state.restart == Restart::Used {
                    state.failure.get_or_insert(error.into());
                } else {
                    state.restart = Restart::Wanted;
                }
            }
            Leaving::Source(error) => {
                match state.setbacks.weigh(error, order.given_at, now, policy) {
                    Weighed::Nothing => {}
                    Weighed::Retry(pause, error) => aftermath = Aftermath::Retry(pause, error),
                    Weighed::GiveUp(error) => {
                        state.failure.get_or_insert(error.into());
                    }
                }
            }
        }
        if matches!(aftermath, Aftermath::Retry(..)) {
            self.costs.retries.fetch_add(1, Ordering::Relaxed);
        }
        if state.crew.working() == 0 && state.restart == Restart::Wanted && state.failure.is_none()
        {
            state.restart = Restart::Used;
            self.costs.retries.fetch_add(1, Ordering::Relaxed);
            self.throw_away(&mut state);
        }
        drop(state);
        self.moved.notify_all();
        aftermath
    }

    /// Starts over in one stream after a wrong hash; false if that was done before.
    pub(crate) fn try_once_more(&self) -> bool {
        let mut state = self.state();
        if state.shape == Shape::OneStream {
            return false;
        }
        self.costs.retries.fetch_add(1, Ordering::Relaxed);
        self.throw_away(&mut state);
        true
    }

    pub(crate) fn fail(&self, error: FileError) {
        self.state().failure.get_or_insert(error);
        self.moved.notify_all();
    }

    /// Returns the error of a failed file once, when its last connection has left.
    pub(crate) fn take_failure(&self) -> Option<FileError> {
        let mut state = self.state();
        if state.ended || state.crew.working() > 0 {
            return None;
        }
        let failure = state.failure.take()?;
        state.ended = true;
        drop(state);
        self.moved.notify_all();
        Some(failure)
    }

    /// Ends the file unless it has ended; tells whether this call did.
    pub(crate) fn end(&self) -> bool {
        let ended_before = std::mem::replace(&mut self.state().ended, true);
        self.moved.notify_all();
        !ended_before
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.state().coverage.is_complete()
    }

    /// Waits until the front is behind `hashed` in the given epoch, or `over`
    /// says that nothing more is to come.
    pub(crate) fn wait_for_front(&self, hashed: u64, epoch: u32, over: impl Fn() -> bool) -> Front {
        let mut state = self.state();
        loop {
            if state.ended || state.failure.is_some() {
                return Front::Over;
            }
            if state.epoch != epoch {
                return Front::Restarted;
            }
            state.hashed = hashed;
            let front = state.coverage.front();
            if front > hashed {
                let mut stop_at = front.min(hashed + STEP);
                let n_ready = state.fresh.partition_point(|piece| piece.end() <= stop_at);
                if let Some(next) = state.fresh.get(n_ready) {
                    // Not in its middle; it lies ahead, for it is shorter than a step.
                    stop_at = stop_at.min(next.start());
                }
                return Front::At(stop_at, state.fresh.drain(..n_ready).collect());
            }
            // A connection on its way out may still bring the last byte.
            if state.crew.working() == 0 && over() {
                return Front::Over;
            }
            state = self
                .moved
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(crate) fn epoch(&self) -> u32 {
        self.state().epoch
    }

    /// Wakes whoever waits, to look whether the run stops.
    pub(crate) fn wake(&self) {
        drop(self.state());
        self.moved.notify_all();
    }

    /// Tells whether enough bytes, or old enough ones, wait for the disk.
    pub(crate) fn wants_saving(&self, longest: Duration) -> bool {
        let state = self.state();
        !state.ended
            && (state.unsaved >= SAVE_AT
                || state.unsaved > 0 && state.unsaved_since.elapsed() >= longest)
    }

    pub(crate) fn unsaved(&self) -> u64 {
        self.state().unsaved
    }

    /// Forces what has come to disk and records it; returns how much that is.
    pub(crate) fn save(&self) -> Result<u64, FileError> {
        let (done, epoch, finished_with) = {
            let mut state = self.state();
            state.unsaved = 0;
            let front = state.hashed.min(state.coverage.front());
            let behind = ByteRange::new(state.forgotten.min(front), front);
            state.forgotten = front;
            (state.coverage.done(), state.epoch, behind)
        };
        let saved = self
            .partial
            .save(&done, epoch)
            .map_err(|err| FileError::disk("could not save what has come", &err))?;
        self.partial.forget(finished_with);
        Ok(saved)
    }

    fn throw_away(&self, state: &mut State) {
        state.epoch += 1;
        if let Err(err) = self.partial.restart(state.epoch) {
            state.failure = Some(FileError::disk("could not start over", &err));
        }
        self.job.source.distrust();
        self.costs.nothing_reused();
        state.coverage.reset();
        state.fresh.clear();
        state.shape = Shape::OneStream;
        (state.hashed, state.forgotten) = (0, 0);
        (state.unsaved, state.unnoted) = (0, 0);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Notes bytes that are written and not forced to disk.
    fn wait_for_disk(&mut self, bytes: u64) {
        if self.unsaved == 0 {
            self.unsaved_since = Instant::now();
        }
        self.unsaved += bytes;
    }

    fn standing(&self, position: u64, end: u64) -> Standing {
        let is_at_front = position == self.coverage.front();
        Standing {
            end,
            is_hashed_next: is_at_front && position - self.hashed.min(position) <= STEP,
            report_at: UNREPORTED / self.crew.working().max(1) as u64,
        }
    }

    fn is_open(&self, now: Instant) -> bool {
        self.failure.is_none()
            && !self.ended
            && !self.copying
            && self.restart != Restart::Wanted
            && self.setbacks.not_before().is_none_or(|then| then <= now)
    }
}

#[cfg(test)]
mod tests;
