//! A source with two routes: plain HTTP and Xet chunks.
//!
//! Plain HTTP is preferred: it needs no token and serves any range. Chunks are
//! used when they transfer clearly fewer bytes, or when the storage refuses the
//! plain file, as it does for very large files. Both routes give the same bytes,
//! so a file can change its route at any offset.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::source::HubFile;
use crate::domain::ranges::ByteRange;
use crate::domain::retry::RetryPolicy;
use crate::domain::session::FileSource;
use crate::domain::way::Way;
use crate::domain::xet::XetHash;
use crate::download::{ByteSource, ByteStream, SourceError};
use crate::xet::{XetClient, XetError, XetStream};

/// Smaller ranges are not worth a comparison of the routes.
const SMALLEST: u64 = 8 << 20;

/// Consecutive failures without a received byte after which chunks are abandoned.
const MOST_FAILURES: u32 = 2;

pub struct EitherSource {
    plain: HubFile,
    xet: XetClient,
    hash: XetHash,
    size_bytes: u64,
    state: Mutex<State>,
    /// Failures of chunks since the last received byte.
    failures: Arc<AtomicU32>,
}

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
        let state = if xet.routes().is_unusable(Way::PlainFiles, size_bytes) {
            State::Chunks
        } else if is_settled {
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
            failures: Arc::default(),
        }
    }

    fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
        let routes = self.xet.routes();
        let mut needed = [Way::XetAnswers, Way::XetChunks].into_iter();
        if needed.any(|way| routes.is_unusable(way, 0)) {
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
            .map(|stream| self.as_bytes(stream, range))
            .map_err(|error| {
                self.failures.fetch_add(1, Ordering::Relaxed);
                source_error(&error)
            })
    }

    fn as_bytes(&self, stream: XetStream, range: ByteRange) -> ByteStream {
        ByteStream {
            starts_at: range.start,
            total_size: Some(self.size_bytes),
            whole_file: false,
            wire_bytes: Some(stream.wire_bytes()),
            wire_total: Some(stream.window_sizes().0),
            reader: Box::new(EitherReader {
                stream,
                client: self.xet.clone(),
                failures: Arc::clone(&self.failures),
            }),
        }
    }
}

impl ByteSource for EitherSource {
    fn distrust(&self) {
        self.set(State::OnlyPlain);
    }

    fn way(&self) -> FileSource {
        match self.state() {
            State::Chunks => FileSource::Xet,
            State::Open | State::Plain | State::OnlyPlain => FileSource::Http,
        }
    }

    fn open(&self, range: Option<ByteRange>) -> Result<ByteStream, SourceError> {
        let Some(range) = range else {
            // The whole file is requested after wrong bytes: use the simplest route.
            self.set(State::OnlyPlain);
            return self.plain.open(None);
        };
        match self.state() {
            State::Open => {
                if let Some(stream) = self.compare(range) {
                    return Ok(self.as_bytes(stream, range));
                }
            }
            State::Chunks if self.failures.load(Ordering::Relaxed) < MOST_FAILURES => {
                return self.open_chunks(range);
            }
            State::Chunks => {
                log::info!("the chunks cannot be read; continuing with plain HTTP");
                self.set(State::OnlyPlain);
            }
            State::Plain | State::OnlyPlain => {}
        }
        let refused = match self.plain.open(Some(range)) {
            Err(error) if !error.transient && !error.range_refused => error,
            Ok(stream) => {
                self.xet
                    .routes()
                    .record_success(Way::PlainFiles, self.size_bytes);
                return Ok(stream);
            }
            Err(error) => return Err(error),
        };
        if self.state() == State::OnlyPlain {
            return Err(refused);
        }
        log::info!("{refused}; trying the chunks");
        // If chunks fail as well, report the error of the plain file.
        let stream = self.open_chunks(range).map_err(|error| {
            log::info!("the chunks cannot be read either: {error}");
            refused
        })?;
        self.set(State::Chunks);
        // The chunks have shown that the file exists.
        self.xet
            .routes()
            .mark_unusable(Way::PlainFiles, self.size_bytes);
        Ok(stream)
    }
}

struct EitherReader {
    stream: XetStream,
    client: XetClient,
    failures: Arc<AtomicU32>,
}

impl Read for EitherReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.stream.read(buffer) {
            Ok(n) => {
                self.failures.store(0, Ordering::Relaxed);
                if n > 0 {
                    self.client.routes().record_success(Way::XetChunks, 0);
                }
                Ok(n)
            }
            Err(err) => {
                let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
                if failures >= MOST_FAILURES {
                    self.client.routes().mark_unusable(Way::XetChunks, 0);
                }
                let inner = err
                    .get_ref()
                    .and_then(|inner| inner.downcast_ref::<XetError>());
                Err(match inner {
                    Some(error) => source_error(error).into(),
                    None => err,
                })
            }
        }
    }
}

/// Every failure is transient: a retry requests new links, and after a few
/// failures plain HTTP takes over.
fn source_error(error: &XetError) -> SourceError {
    SourceError {
        retry_after: error.retry_after(),
        ..SourceError::transient(error.kind(), error.to_string())
    }
}
