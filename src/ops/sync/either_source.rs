//! One file by plain HTTP or out of its Xet chunks, whichever is better.
//!
//! Plain HTTP comes first, because it needs no token and any range of it can
//! be asked for. Chunks are better where they move clearly fewer bytes, and
//! where the storage refuses the plain file: very large ones are. Both give
//! the same bytes, so a file may change from one to the other at any place.

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

/// Smaller parts are not worth a question about them.
const SMALLEST: u64 = 8 << 20;

/// After so many failures without a byte between them, chunks are given up.
const MOST_FAILURES: u32 = 2;

pub struct EitherSource {
    plain: HubFile,
    xet: XetClient,
    hash: XetHash,
    size_bytes: u64,
    state: Mutex<State>,
    /// Failures of chunks since they last brought a byte.
    failures: Arc<AtomicU32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The two routes have not been compared yet.
    Open,
    Plain,
    Chunks,
    /// Plain HTTP, for chunks were tried and are of no use.
    OnlyPlain,
}

impl EitherSource {
    /// `is_settled` when plain HTTP shall be used unless it is refused.
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
            // The engine counts attempts by progress, so every failure is told at once.
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

    /// Compares the two routes, if that is worth a question.
    fn compare(&self, range: ByteRange) -> Option<XetStream> {
        if range.len() < SMALLEST {
            return None;
        }
        // Whoever else asks meanwhile goes by plain HTTP.
        self.set(State::Plain);
        let routes = self.xet.routes();
        let mut needed = [Way::XetAnswers, Way::XetChunks].into_iter();
        if needed.any(|way| routes.is_unusable(way, 0)) {
            return None;
        }
        let stream = match self.xet.read(self.hash, range) {
            Ok(stream) => stream,
            Err(err) => {
                log::debug!("the storage was asked in vain: {err}");
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
            reader: Box::new(Reader {
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
            // Asked for when bytes were wrong: by the plainest way, then.
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
                log::info!("chunks are of no use here; going on by plain HTTP");
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
        log::info!("{refused}; trying its chunks");
        // What was wrong with the plain file is the better reason, if they fail, too.
        let stream = self.open_chunks(range).map_err(|error| {
            log::info!("its chunks cannot be had either: {error}");
            refused
        })?;
        self.set(State::Chunks);
        // It is known now that the file can be had at all.
        self.xet
            .routes()
            .mark_unusable(Way::PlainFiles, self.size_bytes);
        Ok(stream)
    }
}

struct Reader {
    stream: XetStream,
    client: XetClient,
    failures: Arc<AtomicU32>,
}

impl Read for Reader {
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

/// Every failure is told as a passing one: another attempt asks for new links,
/// and after a few of them plain HTTP takes over.
fn source_error(error: &XetError) -> SourceError {
    SourceError {
        retry_after: error.retry_after(),
        ..SourceError::transient(error.kind(), error.to_string())
    }
}
