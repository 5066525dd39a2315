//! One connection: takes work from the board, and bytes from a source to their
//! place in a file. Its one buffer serves all files.

use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::board::{End, Shared, Task};
use super::budget::Grant;
use super::costs::Costs;
use super::coverage::STRIDE;
use super::event::{Event, FetchJob, FileError};
use super::fresh::BUFFER_BYTES;
use super::large::{Aftermath, Large, Leaving, Order, SAVE_AT, wrong_size};
use super::pace::SlowWatch;
use super::partial::{Opening, Partial};
use super::source::{ByteStream, SourceError};
use super::{copies, follower, small};
use crate::domain::outcome::ErrorKind;
use crate::domain::ranges::ByteRange;

/// Whoever watches wants to see slow lines move, too.
const REPORT_EVERY: Duration = Duration::from_millis(250);

/// Reports cost a lock and a line in the journal: a hundred a second and
/// connection are not felt.
const REPORT_NO_SOONER: Duration = Duration::from_millis(10);

/// Works until the run stops or the engine is closed.
pub(crate) fn work(shared: &Arc<Shared>) {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match shared.next_task() {
            Task::Leave => break,
            Task::Small((index, job), grant) => {
                fetch_small(shared, index, &job, grant, &mut buffer);
            }
            Task::Begin((index, job)) => begin(shared, index, job),
            Task::Piece(large, order, grant) => {
                fetch_piece(shared, &large, &order, grant, &mut buffer);
            }
        }
    }
}

pub(crate) fn panicked() -> FileError {
    FileError::new(
        ErrorKind::Internal,
        "a programming error ended the download of this file",
    )
}

fn fetch_small(
    shared: &Arc<Shared>,
    index: usize,
    job: &FetchJob,
    mut grant: Grant,
    buffer: &mut [u8],
) {
    let costs = Costs::default();
    let end = catch_unwind(AssertUnwindSafe(|| {
        small::fetch(shared, index, job, &costs, &mut grant, buffer)
    }));
    // Before others look for work: it may be what they need.
    drop(grant);
    shared.small_done(&job.lane);
    let end = end.unwrap_or_else(|_| End::Failed(panicked()));
    shared.report(index, &costs, end);
}

/// Opens a large file's partial, and puts a thread behind it that hashes.
fn begin(shared: &Arc<Shared>, index: usize, job: FetchJob) {
    let lane = job.lane.clone();
    let (partial, on_disk) = match Partial::open(&job.partial, job.content, job.size_bytes) {
        Ok(Opening::Ready(partial, on_disk)) => (partial, on_disk),
        Ok(Opening::Busy) => {
            shared.begun(&lane, None);
            return shared.report(index, &Costs::default(), End::Busy);
        }
        Err(err) => {
            shared.begun(&lane, None);
            let what = format!("could not open `{}`", job.partial.display());
            let error = FileError::disk(&what, &err);
            return shared.report(index, &Costs::default(), End::Failed(error));
        }
    };
    let large = Arc::new(Large::new(index, job, partial, &on_disk));
    shared.send(Event::Started {
        job: index,
        reused: on_disk.total(),
    });
    if large.job.copies.is_some() {
        large.begin_copying();
    }
    shared.begun(&lane, Some(large.clone()));
    if let Err(err) = follower::start(shared.clone(), large.clone()) {
        let message = format!("could not start a thread: {err}");
        large.fail(FileError::new(ErrorKind::Internal, message));
        shared.close_if_failed(&large);
    }
    if let Some(copies) = &large.job.copies {
        let brought = catch_unwind(AssertUnwindSafe(|| {
            copies::bring_in(shared, &large, copies, &on_disk);
        }));
        if brought.is_err() {
            large.fail(panicked());
        }
        large.end_copying();
        shared.close_if_failed(&large);
        shared.call_workers();
    }
}

fn fetch_piece(
    shared: &Arc<Shared>,
    large: &Arc<Large>,
    order: &Order,
    mut grant: Grant,
    buffer: &mut Vec<u8>,
) {
    let mut claim_id = order.claim.id;
    let leaving = catch_unwind(AssertUnwindSafe(|| {
        receive_piece(shared, large, order, &mut grant, &mut claim_id, buffer)
    }));
    drop(grant);
    let leaving = match leaving {
        Ok(Ok(())) => Leaving::Quietly,
        Ok(Err(Trouble::Stopped)) => Leaving::Quietly,
        Ok(Err(Trouble::Source(error))) => Leaving::Source(error),
        Ok(Err(Trouble::Fatal(error))) => Leaving::Fatal(error),
        Err(_) => Leaving::Fatal(panicked()),
    };
    let aftermath = large.leave(order, claim_id, leaving, &shared.options.retry);
    if let Aftermath::Retry(after, error) = aftermath {
        let job = large.index;
        shared.send(Event::Retrying { job, after, error });
    }
    shared.close_if_failed(large);
    shared.call_workers();
}

/// Why a connection ends early.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Nothing more is to come, or somebody else has the bytes.
    Stopped,
    Source(SourceError),
    Fatal(FileError),
}

impl From<SourceError> for Trouble {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

fn receive_piece(
    shared: &Shared,
    large: &Large,
    order: &Order,
    grant: &mut Grant,
    claim_id: &mut u64,
    buffer: &mut Vec<u8>,
) -> Result<(), Trouble> {
    let mut stream = large.job.source.open(order.request)?;
    check_answer(&stream, order.claim.range.start, large.job.size_bytes)?;
    if large.answered(Instant::now()) {
        shared.call_workers();
    }
    if let Some(total) = stream.wire_total {
        // Only now it is known that chunks come; the next order allows for them.
        let is_news = grant.left() == Some(order.claim.range.len());
        grant.keep(total);
        let is_granted = match is_news {
            true => grant.grow_to(total),
            false => shared.wait_for_budget(grant, total),
        };
        if !is_granted {
            return Err(Trouble::Stopped);
        }
    }
    let mut intake = Intake::new(shared, large.index, grant, &large.costs);
    if order.request.is_none() || !stream.whole_file {
        let claim = order.claim;
        let end = write_piece(
            large,
            &mut intake,
            &mut stream,
            claim.id,
            claim.range,
            buffer,
        )?;
        if end == claim.range.end {
            drain(&mut stream, buffer);
        }
        return Ok(());
    }
    if !large.become_the_only_stream(order.claim.id) {
        return Ok(());
    }
    let mut position = 0;
    while let Some(claim) = large.next_piece(position) {
        *claim_id = claim.id;
        while position < claim.range.start {
            let wanted = (claim.range.start - position).min(buffer.len() as u64) as usize;
            position += intake.read(&mut stream, &mut buffer[..wanted])? as u64;
        }
        position = write_piece(
            large,
            &mut intake,
            &mut stream,
            claim.id,
            claim.range,
            buffer,
        )?;
    }
    if position == large.job.size_bytes {
        drain(&mut stream, buffer);
    }
    Ok(())
}

/// Checks that an answer is about our file and begins where it was asked to.
pub(crate) fn check_answer(
    stream: &ByteStream,
    start: u64,
    size_bytes: u64,
) -> Result<(), SourceError> {
    if let Some(total) = stream.total_size
        && total != size_bytes
    {
        return Err(wrong_size(size_bytes, total));
    }
    let start = if stream.whole_file { 0 } else { start };
    if stream.starts_at != start {
        return Err(SourceError::transient(
            ErrorKind::Hub,
            format!(
                "asked for bytes from {start}, the server sent bytes from {}",
                stream.starts_at
            ),
        ));
    }
    Ok(())
}

/// Writes a piece, as far as it stays ours; returns where it ended.
///
/// Bytes are reported often, so that a killed process loses few of them, but not
/// so often that it costs speed. What costs more is done once in a stride.
fn write_piece(
    large: &Large,
    intake: &mut Intake<'_>,
    stream: &mut ByteStream,
    claim_id: u64,
    range: ByteRange,
    buffer: &mut Vec<u8>,
) -> Result<u64, Trouble> {
    let (mut position, mut reported, mut filled) = (range.start, range.start, 0);
    let mut standing = large.standing(range);
    let mut fresh = Vec::new();
    let mut stride = Stride::begin(range.start);
    let mut reported_at = Instant::now();
    while position < standing.end {
        // Late reports do not move the places of the others.
        let stride_end = range.start + ((position - range.start) / STRIDE + 1) * STRIDE;
        let most = (standing.end.min(stride_end) - position).min(buffer.len() as u64) as usize;
        let received = intake.read(stream, &mut buffer[filled..most]);
        filled += received.as_ref().map_or(0, |n| *n);
        let waited = reported_at.elapsed();
        let unreported = position + filled as u64 - reported;
        let is_much = unreported >= standing.report_at && waited >= REPORT_NO_SOONER;
        let is_late = is_much || waited >= REPORT_EVERY;
        // An encrypted line brings less at once than is good to write at once.
        if filled < most && received.is_ok() && !is_late {
            continue;
        }
        if filled > 0 {
            write_at(large, &buffer[..filled], position)?;
            if standing.is_hashed_next {
                fresh.extend(intake.shared.buffers.keep(position, buffer, filled));
            }
            position += filled as u64;
            filled = 0;
        }
        let is_last = position == stride_end || position == standing.end || received.is_err();
        if (is_last || is_late) && position > reported {
            let advanced = large.advance(claim_id, reported, position, &mut fresh);
            standing = advanced.ok_or(Trouble::Stopped)?;
            (reported, reported_at) = (position, Instant::now());
            if is_last || stride.began.elapsed() >= REPORT_EVERY {
                stride.end(large, intake, position);
            }
        }
        received?;
    }
    Ok(position)
}

fn write_at(large: &Large, bytes: &[u8], position: u64) -> Result<(), Trouble> {
    large.partial.write_at(bytes, position).map_err(|err| {
        let what = format!("could not write `{}`", large.partial.path().display());
        Trouble::Fatal(FileError::disk(&what, &err))
    })
}

/// Bytes of which nobody has been told and that the disk has not begun to write.
struct Stride {
    from: u64,
    began: Instant,
}

impl Stride {
    fn begin(from: u64) -> Self {
        Self {
            from,
            began: Instant::now(),
        }
    }

    fn end(&mut self, large: &Large, intake: &mut Intake<'_>, to: u64) {
        intake.report();
        let range = ByteRange::new(self.from, to);
        large.partial.start_write_back(range);
        if large.unsaved() >= SAVE_AT {
            intake.shared.save_now();
        }
        *self = Self::begin(to);
    }
}

/// Reads the end of an answer, which lets the connection serve again.
pub(crate) fn drain(stream: &mut ByteStream, buffer: &mut [u8]) {
    let _ = stream.reader.read(&mut buffer[..1]);
}

/// Reads from streams under the rules of the run and the lane, and counts.
pub(crate) struct Intake<'a> {
    shared: &'a Shared,
    job: usize,
    grant: &'a mut Grant,
    costs: &'a Costs,
    watch: SlowWatch,
    began: Instant,
    paused: Duration,
    unreported: u64,
}

impl<'a> Intake<'a> {
    pub(crate) fn new(
        shared: &'a Shared,
        job: usize,
        grant: &'a mut Grant,
        costs: &'a Costs,
    ) -> Self {
        let options = &shared.options;
        Self {
            shared,
            job,
            grant,
            costs,
            watch: SlowWatch::new(options.min_rate, options.stall_after, Duration::ZERO),
            began: Instant::now(),
            paused: Duration::ZERO,
            unreported: 0,
        }
    }

    /// Reads at least one byte.
    pub(crate) fn read(
        &mut self,
        stream: &mut ByteStream,
        buffer: &mut [u8],
    ) -> Result<usize, Trouble> {
        if self.shared.is_over_for(self.grant.lane()) {
            return Err(Trouble::Stopped);
        }
        let most = self.may_come(stream, buffer.len() as u64)?;
        let portion = self.shared.portion(self.grant.lane(), most as usize);
        let n = loop {
            match stream.reader.read(&mut buffer[..portion]) {
                Ok(0) => {
                    let message = "the connection closed early";
                    return Err(SourceError::transient(ErrorKind::Network, message).into());
                }
                Ok(n) => break n,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => {
                    self.pay(stream, 0);
                    return Err(SourceError::from_read(&err).into());
                }
            }
        };
        let bytes = n as u64;
        self.unreported += bytes;
        self.pay(stream, bytes);
        let receiving = self.began.elapsed().saturating_sub(self.paused);
        if self.watch.is_too_slow(bytes, receiving) {
            let message = format!(
                "the connection brought less than {} bytes a second",
                self.shared.options.min_rate
            );
            return Err(SourceError::transient(ErrorKind::Network, message).into());
        }
        Ok(n)
    }

    /// Returns how much of the wanted bytes may come. Only a server that sends
    /// more than it was asked for brings a grant to its end.
    fn may_come(&mut self, stream: &ByteStream, wanted: u64) -> Result<u64, Trouble> {
        // Chunks are paid for when their bytes have come.
        if stream.wire_bytes.is_some() {
            return Ok(wanted);
        }
        if self.grant.left() == Some(0) {
            self.grant.add(wanted);
            if !self.grant.covers(1) && !self.shared.wait_for_budget(self.grant, 1) {
                return Err(Trouble::Stopped);
            }
        }
        Ok(self.grant.left().map_or(wanted, |left| left.min(wanted)))
    }

    /// Counts what came over the line for some bytes that were read.
    fn pay(&mut self, stream: &ByteStream, bytes: u64) {
        let counter = stream.wire_bytes.as_ref();
        let bytes = counter.map_or(bytes, |counter| counter.swap(0, Ordering::Relaxed));
        self.costs.fetched.fetch_add(bytes, Ordering::Relaxed);
        self.paused += self.shared.take_in(self.grant, bytes);
    }

    /// Tells the caller of the engine how many bytes came since the last time.
    pub(crate) fn report(&mut self) {
        let bytes = std::mem::take(&mut self.unreported);
        if bytes > 0 {
            let job = self.job;
            self.shared.send(Event::Progress { job, bytes });
        }
    }
}

impl Drop for Intake<'_> {
    fn drop(&mut self) {
        self.report();
    }
}
