//! A source with two routes: plain HTTP and Xet chunks.
//!
//! Plain HTTP is preferred: it needs no token and serves any range. Chunks are
//! used when they transfer clearly fewer bytes, or when the storage does not serve
//! the plain file: it refuses very large files, answers with an error of its own,
//! or breaks the connection. Both routes give the same bytes, so a file can change
//! its route at any offset. A route that fails while the other one works is avoided
//! by all files of the run, and by later runs.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::source::HubFile;
use crate::domain::outcome::ErrorKind;
use crate::domain::ranges::ByteRange;
use crate::domain::retry::RetryPolicy;
use crate::domain::session::FileSource;
use crate::domain::way::Way;
use crate::domain::xet::XetHash;
use crate::download::{ByteSource, ByteStream, SourceError};
use crate::xet::{XetClient, XetError, XetFault, XetStream};

/// Smaller ranges are not worth a comparison of the routes.
const SMALLEST: u64 = 8 << 20;

/// Consecutive failures without a received byte after which a route is abandoned.
const MOST_FAILURES: u32 = 2;

pub struct EitherSource {
    plain: HubFile,
    xet: XetClient,
    hash: XetHash,
    size_bytes: u64,
    state: Mutex<State>,
    plain_failures: Failures,
    chunk_failures: Failures,
}

/// Failures of a route since the last received byte.
type Failures = Arc<AtomicU32>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The two routes have not been compared yet.
    Open,
    Plain,
    Chunks,
    /// Plain HTTP, because chunks have failed.
    OnlyPlain,
}

impl EitherSource {
    /// With `is_settled`, plain HTTP is used unless it is refused.
    pub fn new(
        plain: HubFile,
        xet: &XetClient,
        hash: XetHash,
        size_bytes: u64,
        is_settled: bool,
    ) -> Self {
        let state = if is_settled {
            State::Plain
        } else {
            State::Open
        };
        Self {
            plain,
            // The engine retries by progress, so the client reports every failure at once.
            xet: xet.with_retry(RetryPolicy::never()),
            hash,
            size_bytes,
            state: Mutex::new(state),
            plain_failures: Failures::default(),
            chunk_failures: Failures::default(),
        }
    }

    /// Returns the state; another file may have found that plain HTTP fails.
    fn state(&self) -> State {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_plain = matches!(*state, State::Open | State::Plain);
        if is_plain && self.is_unusable(Way::PlainFiles) {
            *state = State::Chunks;
        }
        *state
    }

    fn is_unusable(&self, way: Way) -> bool {
        self.xet.routes().is_unusable(way, self.size_bytes)
    }

    fn set(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Compares the two routes, if the range is large enough.
    fn compare(&self, range: ByteRange) -> Option<XetStream> {
        if range.len() < SMALLEST {
            return None;
        }
        // Other connections use plain HTTP meanwhile.
        self.set(State::Plain);
        if self.is_unusable(Way::XetAnswers) || self.is_unusable(Way::XetChunks) {
            return None;
        }
        let stream = match self.xet.read(self.hash, range) {
            Ok(stream) => stream,
            Err(err) => {
                log::debug!("the chunks could not be listed: {err}");
                return None;
            }
        };
        let (packed, unpacked) = stream.window_sizes();
        let is_cheaper = packed.saturating_mul(10) <= unpacked.saturating_mul(9);
        log::debug!("{packed} bytes in chunks, {unpacked} bytes plain");
        is_cheaper.then(|| {
            self.set(State::Chunks);
            stream
        })
    }

    fn open_chunks(&self, range: ByteRange) -> Result<ByteStream, SourceError> {
        let stream = self.xet.read(self.hash, range);
        stream
            .map(|stream| self.chunk_bytes(stream, range))
            .map_err(|error| {
                self.chunk_failures.fetch_add(1, Ordering::Relaxed);
                source_error(&error)
            })
    }

    fn chunk_bytes(&self, stream: XetStream, range: ByteRange) -> ByteStream {
        ByteStream {
            starts_at: range.start,
            total_size: Some(self.size_bytes),
            whole_file: false,
            wire_bytes: Some(stream.wire_bytes()),
            wire_total: Some(stream.window_sizes().0),
            reader: self.reader(ChunkReader(stream), Way::XetChunks, &self.chunk_failures),
        }
    }

    fn open_plain(&self, range: Option<ByteRange>) -> Result<ByteStream, SourceError> {
        if self.plain_failures.load(Ordering::Relaxed) >= MOST_FAILURES {
            // Failed responses had a good head, so opening another one proves nothing.
            self.plain_failures.store(0, Ordering::Relaxed);
            let message = "plain downloads end before their first byte";
            return Err(SourceError::transient(ErrorKind::Network, message));
        }
        let stream = self.plain.open(range)?;
        Ok(ByteStream {
            reader: self.reader(stream.reader, Way::PlainFiles, &self.plain_failures),
            ..stream
        })
    }

    fn reader(
        &self,
        bytes: impl Read + Send + 'static,
        way: Way,
        failures: &Failures,
    ) -> Box<dyn Read + Send> {
        Box::new(RouteReader {
            bytes,
            way,
            size_bytes: self.size_bytes,
            client: self.xet.clone(),
            failures: Arc::clone(failures),
            has_bytes: false,
        })
    }

    /// Tells whether chunks may help after a failure of plain HTTP. A temporary one
    /// is no reason to ask a storage that fails, too.
    fn may_try_chunks(&self, failure: &SourceError) -> bool {
        if failure.range_refused || self.state() == State::OnlyPlain {
            return false;
        }
        let is_refusal = !failure.transient;
        let is_limit = failure.kind == ErrorKind::RateLimit;
        let is_xet_good =
            || !self.is_unusable(Way::XetAnswers) && !self.is_unusable(Way::XetChunks);
        is_refusal || !is_limit && is_xet_good()
    }
}

impl ByteSource for EitherSource {
    fn distrust(&self) {
        self.set(State::OnlyPlain);
    }

    fn way(&self) -> FileSource {
        let state = *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state {
            State::Chunks => FileSource::Xet,
            State::Open | State::Plain | State::OnlyPlain => FileSource::Http,
        }
    }

    fn open(&self, range: Option<ByteRange>) -> Result<ByteStream, SourceError> {
        let bytes = range.unwrap_or(ByteRange::new(0, self.size_bytes));
        match (self.state(), range) {
            (State::Open, Some(range)) => {
                if let Some(stream) = self.compare(range) {
                    return Ok(self.chunk_bytes(stream, range));
                }
            }
            (State::Chunks, _) if self.chunk_failures.load(Ordering::Relaxed) < MOST_FAILURES => {
                return self.open_chunks(bytes);
            }
            (State::Chunks, _) => {
                log::info!("the chunks cannot be read; continuing with plain HTTP");
                self.set(State::OnlyPlain);
            }
            (State::Open | State::Plain | State::OnlyPlain, _) => {}
        }
        let failure = match self.open_plain(range) {
            Err(failure) if self.may_try_chunks(&failure) => failure,
            result => return result,
        };
        log::info!("{failure}; trying the chunks");
        // The storage refuses files by their size; another failure concerns all files.
        let from_size = if failure.transient {
            0
        } else {
            self.size_bytes
        };
        // If chunks fail as well, report the error of the plain file.
        let stream = self.open_chunks(bytes).map_err(|error| {
            log::info!("the chunks cannot be read either: {error}");
            failure
        })?;
        self.set(State::Chunks);
        // The chunks have shown that the file exists.
        let routes = self.xet.routes();
        routes.mark_unusable(Way::PlainFiles, from_size);
        Ok(stream)
    }
}

/// Reads the bytes of a route, and records whether any arrive.
struct RouteReader<R> {
    bytes: R,
    way: Way,
    size_bytes: u64,
    client: XetClient,
    failures: Failures,
    has_bytes: bool,
}

impl<R: Read> Read for RouteReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.bytes.read(buffer);
        let routes = self.client.routes();
        match &result {
            Ok(n) if *n > 0 && !self.has_bytes => {
                self.has_bytes = true;
                self.failures.store(0, Ordering::Relaxed);
                routes.record_success(self.way, self.size_bytes);
            }
            Err(_) if !self.has_bytes => {
                let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
                if self.way == Way::XetChunks && failures >= MOST_FAILURES {
                    routes.mark_unusable(Way::XetChunks, 0);
                }
            }
            _ => {}
        }
        result
    }
}

/// Converts read errors of chunks to those of the engine.
struct ChunkReader(XetStream);

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|err| {
            let inner = err.get_ref().and_then(|inner| inner.downcast_ref());
            match inner.map(source_error) {
                Some(error) => error.into(),
                None => err,
            }
        })
    }
}

/// Every failure is transient: a retry requests new links, and after a few
/// failures plain HTTP takes over.
fn source_error(error: &XetError) -> SourceError {
    SourceError {
        retry_after: error.retry_after(),
        brief: Some(match &error.fault {
            XetFault::RateLimited { .. } => "rate limited".to_owned(),
            XetFault::Network(http) => http.reason().to_owned(),
            fault => fault.to_string(),
        }),
        ..SourceError::transient(error.kind(), error.to_string())
    }
}
