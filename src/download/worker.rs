//! A connection thread: takes tasks from the scheduler and writes the bytes of a source to the
//! partial file. One buffer serves all files of the thread.

use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::budget::Grant;
use super::counters::FileCounters;
use super::engine_state::{EngineState, FileEnd};
use super::event::{EngineEvent, FetchJob, FileError, FileId};
use super::hash_buffers::BUFFER_BYTES;
use super::large_file::{ConnectionEnd, FLUSH_AT, LargeFile, SegmentRequest, wrong_size};
use super::pace::StallDetector;
use super::partial::PartialFile;
use super::scheduler::FetchTask;
use super::segments::STRIDE;
use super::source::{ByteStream, SourceError};
use super::{copies, hash_thread, small_file};
use crate::domain::outcome::ErrorKind;
use crate::domain::ranges::{ByteRange, RangeSet};
use crate::domain::retry::{AttemptError, Prospect};
use crate::domain::units::ByteSize;

/// The buffer of a thread that fetches small files only: the HTTP client gives no more at a time.
const SMALL_BUFFER_BYTES: usize = 32 << 10;

/// Longest interval between two reports, so that progress on slow connections is visible.
const REPORT_INTERVAL: Duration = Duration::from_millis(250);

/// Shortest interval between two reports of a connection. A report costs a lock and a line in
/// the journal.
const MIN_REPORT_INTERVAL: Duration = Duration::from_millis(10);

/// Runs tasks until the run stops or the engine is closed.
pub(crate) fn work(engine: &Arc<EngineState>) {
    let mut buffer = vec![0; SMALL_BUFFER_BYTES];
    loop {
        match engine.next_task() {
            FetchTask::Exit => break,
            FetchTask::SmallFile((id, job), grant) => {
                fetch_small_file(engine, id, &job, grant, &mut buffer);
            }
            FetchTask::OpenLarge((id, job)) => open_large_file(engine, id, job),
            FetchTask::Segment(large, request, grant) => {
                buffer.resize(BUFFER_BYTES, 0);
                fetch_segment(engine, &large, &request, grant, &mut buffer);
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

fn fetch_small_file(
    engine: &Arc<EngineState>,
    id: FileId,
    job: &FetchJob,
    mut grant: Grant,
    buffer: &mut [u8],
) {
    let counters = FileCounters::default();
    let end = catch_unwind(AssertUnwindSafe(|| {
        small_file::fetch(engine, id, job, &counters, &mut grant, buffer)
    }));
    // Return the grant before other connections look for work: they may need its bytes.
    drop(grant);
    engine.small_file_done(&job.limits);
    let end = end.unwrap_or_else(|_| FileEnd::Failed(panicked()));
    engine.report(id, &counters, end);
}

/// Opens the partial file of a large file and starts its hash thread.
fn open_large_file(engine: &Arc<EngineState>, id: FileId, job: Arc<FetchJob>) {
    let limits = job.limits.clone();
    let copies = job.copies.as_deref().zip(job.partial.parent());
    let shared = copies.map_or_else(RangeSet::new, |(copies, folder)| {
        copies.shared_ranges(folder)
    });
    let opened = PartialFile::open(&job.partial, job.content, job.size_bytes, &shared);
    let (partial, on_disk) = match opened {
        Ok(Some(opened)) => opened,
        Ok(None) => {
            engine.large_opened(&limits, None);
            return engine.report(id, &FileCounters::default(), FileEnd::Busy);
        }
        Err(err) => {
            engine.large_opened(&limits, None);
            let what = format!("could not open `{}`", job.partial.display());
            let error = FileError::disk(&what, &err);
            return engine.report(id, &FileCounters::default(), FileEnd::Failed(error));
        }
    };
    let large = Arc::new(LargeFile::new(id, job, partial, &on_disk));
    engine.send(EngineEvent::Started {
        id,
        reused: on_disk.total(),
    });
    if large.job.copies.is_some() {
        large.begin_copying();
    }
    engine.large_opened(&limits, Some(large.clone()));
    if let Err(err) = hash_thread::start(engine.clone(), large.clone()) {
        let message = format!("could not start a thread: {err}");
        large.fail(FileError::new(ErrorKind::Internal, message));
        engine.close_if_failed(&large);
    }
    if let Some(copies) = &large.job.copies {
        let copied = catch_unwind(AssertUnwindSafe(|| {
            copies::copy_ranges(engine, &large, copies, &on_disk);
        }));
        if copied.is_err() {
            large.fail(panicked());
        }
        large.end_copying();
        engine.close_if_failed(&large);
        engine.wake_workers();
    }
}

fn fetch_segment(
    engine: &Arc<EngineState>,
    large: &Arc<LargeFile>,
    request: &SegmentRequest,
    mut grant: Grant,
    buffer: &mut Vec<u8>,
) {
    let mut claim_id = request.claim.id;
    let end = catch_unwind(AssertUnwindSafe(|| {
        receive_segment(engine, large, request, &mut grant, &mut claim_id, buffer)
    }));
    drop(grant);
    let end = match end {
        Ok(Ok(())) => ConnectionEnd::Done,
        Ok(Err(ReceiveError::Stopped)) => ConnectionEnd::Done,
        Ok(Err(ReceiveError::Source(error))) => ConnectionEnd::Source(error),
        Ok(Err(ReceiveError::Fatal(error))) => ConnectionEnd::Fatal(error),
        Err(_) => ConnectionEnd::Fatal(panicked()),
    };
    let retry = large.connection_ended(request, claim_id, end, &engine.options.retry);
    if let Some((after, error)) = retry {
        let id = large.id;
        engine.send(EngineEvent::Retrying { id, after, error });
    }
    engine.close_if_failed(large);
    engine.wake_workers();
}

/// The reason why receiving ended early.
#[derive(Debug)]
pub(crate) enum ReceiveError {
    /// The run is stopping, or the claim is no longer valid.
    Stopped,
    Source(SourceError),
    Fatal(FileError),
}

impl AttemptError for ReceiveError {
    fn prospect(&self) -> Prospect {
        match self {
            Self::Source(error) => error.prospect(),
            Self::Stopped | Self::Fatal(_) => Prospect::Permanent,
        }
    }
}

impl From<SourceError> for ReceiveError {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

fn receive_segment(
    engine: &EngineState,
    large: &LargeFile,
    request: &SegmentRequest,
    grant: &mut Grant,
    claim_id: &mut u64,
    buffer: &mut Vec<u8>,
) -> Result<(), ReceiveError> {
    let mut stream = large.job.source.open(request.range)?;
    check_response(&stream, request.claim.range.start, large.job.size_bytes)?;
    if large.response_started(Instant::now()) {
        engine.wake_workers();
    }
    if let Some(total) = stream.wire_total {
        // The wire size is known only now; the next request includes the overhead.
        let lacks_overhead = grant.left() == Some(request.claim.range.len());
        grant.keep(total);
        let is_granted = if lacks_overhead {
            grant.grow_to(total)
        } else {
            engine.wait_for_budget(grant, total)
        };
        if !is_granted {
            return Err(ReceiveError::Stopped);
        }
    }
    let mut reader = StreamReader::new(engine, large.id, grant, &large.counters);
    if request.range.is_none() || !stream.whole_file {
        let claim = request.claim;
        let end = write_segment(
            large,
            &mut reader,
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
    if large.become_single_stream(request.claim.id) {
        receive_whole(large, &mut reader, &mut stream, claim_id, buffer)?;
    }
    Ok(())
}

/// Writes the missing ranges of a file from a response that has all of it.
fn receive_whole(
    large: &LargeFile,
    reader: &mut StreamReader<'_>,
    stream: &mut ByteStream,
    claim_id: &mut u64,
    buffer: &mut Vec<u8>,
) -> Result<(), ReceiveError> {
    let mut position = 0;
    while let Some(claim) = large.next_claim(position) {
        *claim_id = claim.id;
        while position < claim.range.start {
            let wanted = (claim.range.start - position).min(buffer.len() as u64) as usize;
            position += reader.read(stream, &mut buffer[..wanted])? as u64;
        }
        position = write_segment(large, reader, stream, claim.id, claim.range, buffer)?;
    }
    if position == large.job.size_bytes {
        drain(stream, buffer);
    }
    Ok(())
}

/// Checks the size and the start offset of a response.
pub(crate) fn check_response(
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
                "requested bytes from {start}, the server sent bytes from {}",
                stream.starts_at
            ),
        ));
    }
    Ok(())
}

/// Writes a segment while its claim is valid; returns the end of the written range.
///
/// Frequent reports keep the loss of a killed process small. Expensive steps are done once per
/// stride.
fn write_segment(
    large: &LargeFile,
    reader: &mut StreamReader<'_>,
    stream: &mut ByteStream,
    claim_id: u64,
    range: ByteRange,
    buffer: &mut Vec<u8>,
) -> Result<u64, ReceiveError> {
    let (mut position, mut reported, mut filled) = (range.start, range.start, 0);
    let mut claim_status = large.claim_status(range);
    let mut buffers = Vec::new();
    let mut stride = Stride::begin(range.start);
    let mut reported_at = Instant::now();
    while position < claim_status.end {
        // Strides stay aligned to the segment, whatever the time of the reports.
        let stride_end = range.start + ((position - range.start) / STRIDE + 1) * STRIDE;
        let most = (claim_status.end.min(stride_end) - position).min(buffer.len() as u64) as usize;
        let received = reader.read(stream, &mut buffer[filled..most]);
        filled += received.as_ref().map_or(0, |n| *n);
        let waited = reported_at.elapsed();
        let unreported = position + filled as u64 - reported;
        let is_enough = unreported >= claim_status.report_at && waited >= MIN_REPORT_INTERVAL;
        let is_late = is_enough || waited >= REPORT_INTERVAL;
        // TLS records are smaller than a good write; collect several of them.
        if filled < most && received.is_ok() && !is_late {
            continue;
        }
        if filled > 0 {
            write_at(large, &buffer[..filled], position)?;
            if claim_status.keep_for_hash {
                buffers.extend(reader.engine.buffers.keep(position, buffer, filled));
            }
            position += filled as u64;
            filled = 0;
        }
        let is_last = position == stride_end || position == claim_status.end || received.is_err();
        if (is_last || is_late) && position > reported {
            let advanced = large.advance(claim_id, reported, position, &mut buffers);
            claim_status = advanced.ok_or(ReceiveError::Stopped)?;
            (reported, reported_at) = (position, Instant::now());
            if is_last || stride.started_at.elapsed() >= REPORT_INTERVAL {
                stride.end(large, reader, position);
            }
        }
        received?;
    }
    Ok(position)
}

fn write_at(large: &LargeFile, bytes: &[u8], position: u64) -> Result<(), ReceiveError> {
    large.partial.write_at(bytes, position).map_err(|err| {
        let what = format!("could not write `{}`", large.partial.path().display());
        ReceiveError::Fatal(FileError::disk(&what, &err))
    })
}

/// Bytes of a segment that are not yet reported or in write-back.
struct Stride {
    from: u64,
    started_at: Instant,
}

impl Stride {
    fn begin(from: u64) -> Self {
        Self {
            from,
            started_at: Instant::now(),
        }
    }

    fn end(&mut self, large: &LargeFile, reader: &mut StreamReader<'_>, to: u64) {
        reader.report();
        let range = ByteRange::new(self.from, to);
        large.partial.start_write_back(range);
        if large.unflushed() >= FLUSH_AT {
            reader.engine.request_flush();
        }
        *self = Self::begin(to);
    }
}

/// Reads the end of a response, so that the HTTP connection can be reused.
pub(crate) fn drain(stream: &mut ByteStream, buffer: &mut [u8]) {
    let _ = stream.reader.read(&mut buffer[..1]);
}

/// Reads from streams under the limits of the run and the group, and counts the bytes.
pub(crate) struct StreamReader<'a> {
    engine: &'a EngineState,
    id: FileId,
    grant: &'a mut Grant,
    counters: &'a FileCounters,
    stall_detector: StallDetector,
    started_at: Instant,
    paused: Duration,
    unreported: u64,
}

impl<'a> StreamReader<'a> {
    pub(crate) fn new(
        engine: &'a EngineState,
        id: FileId,
        grant: &'a mut Grant,
        counters: &'a FileCounters,
    ) -> Self {
        let options = &engine.options;
        Self {
            engine,
            id,
            grant,
            counters,
            stall_detector: StallDetector::new(
                options.min_rate,
                options.stall_after,
                Duration::ZERO,
            ),
            started_at: Instant::now(),
            paused: Duration::ZERO,
            unreported: 0,
        }
    }

    /// Reads at least one byte.
    pub(crate) fn read(
        &mut self,
        stream: &mut ByteStream,
        buffer: &mut [u8],
    ) -> Result<usize, ReceiveError> {
        if self.engine.is_stopped_for(self.grant.limits()) {
            return Err(ReceiveError::Stopped);
        }
        let most = self.granted_bytes(stream, buffer.len() as u64)?;
        let read_size = self.grant.limits().read_size(most as usize);
        let n = loop {
            match stream.reader.read(&mut buffer[..read_size]) {
                Ok(0) => {
                    let message = "the connection closed early";
                    return Err(SourceError::transient(ErrorKind::Network, message).into());
                }
                Ok(n) => break n,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => {
                    self.charge(stream, 0);
                    return Err(SourceError::from_read(&err).into());
                }
            }
        };
        let bytes = n as u64;
        self.unreported += bytes;
        self.charge(stream, bytes);
        let receiving = self.started_at.elapsed().saturating_sub(self.paused);
        if self.stall_detector.is_too_slow(bytes, receiving) {
            let message = format!(
                "the connection was slower than {}/s",
                ByteSize(self.engine.options.min_rate).render_short()
            );
            return Err(SourceError::transient(ErrorKind::Network, message).into());
        }
        Ok(n)
    }

    /// Returns how many of the wanted bytes fit the grant. A grant is used up only when the server
    /// sends more than was requested.
    fn granted_bytes(&mut self, stream: &ByteStream, wanted: u64) -> Result<u64, ReceiveError> {
        // Chunks are charged when their bytes have been received.
        if stream.wire_bytes.is_some() {
            return Ok(wanted);
        }
        if self.grant.left() == Some(0) {
            self.grant.add(wanted);
            if !self.grant.covers(1) && !self.engine.wait_for_budget(self.grant, 1) {
                return Err(ReceiveError::Stopped);
            }
        }
        Ok(self.grant.left().map_or(wanted, |left| left.min(wanted)))
    }

    /// Charges the bytes on the wire for the bytes that were read.
    fn charge(&mut self, stream: &ByteStream, bytes: u64) {
        let counter = stream.wire_bytes.as_ref();
        let bytes = counter.map_or(bytes, |counter| counter.swap(0, Ordering::Relaxed));
        self.counters.fetched.fetch_add(bytes, Ordering::Relaxed);
        self.paused += self.engine.charge(self.grant, bytes);
    }

    /// Sends the bytes received since the last progress event.
    pub(crate) fn report(&mut self) {
        let bytes = std::mem::take(&mut self.unreported);
        if bytes > 0 {
            let id = self.id;
            self.engine.send(EngineEvent::Progress { id, bytes });
        }
    }
}

impl Drop for StreamReader<'_> {
    fn drop(&mut self) {
        self.report();
    }
}
