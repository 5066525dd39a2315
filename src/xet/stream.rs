//! Reads a range of a file from its chunks, front to back.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::client::XetClient;
use super::error::{XetError, XetFault};
use super::reconstruction::Reconstruction;
use super::xorb::{BadChunk, Unpacker};
use crate::domain::ranges::ByteRange;
use crate::domain::xet::{Term, XetHash};
use crate::sys::http::{Body, HttpError};

/// Bytes per reconstruction request. Signed URLs expire after an hour, so a slow connection
/// must not hold too many.
const WINDOW: u64 = 256 << 20;

/// Reads a range of a file from the storage. Its errors contain a [`XetError`].
pub struct XetStream {
    client: XetClient,
    file: XetHash,
    /// The range that is not requested yet, and the size of one request.
    left: ByteRange,
    window: u64,
    /// The terms of the current window that are not read yet.
    parts: Reconstruction,
    terms: VecDeque<Term>,
    open: Option<ChunkRun>,
    unpacker: Unpacker,
    chunk: Vec<u8>,
    /// The xorb and index of the decoded chunk. Zeros repeat the same chunk many times; requesting
    /// it again would cost a request each time.
    decoded: Option<(XetHash, u32)>,
    /// Bytes of the chunk that were returned or lie before the range.
    used: usize,
    /// Bytes before the range in the next chunks.
    skip: u64,
    /// Bytes of the window that are not returned yet.
    window_left: u64,
    wire_bytes: Arc<AtomicU64>,
}

/// A run of chunks that is being received.
struct ChunkRun {
    xorb: XetHash,
    /// From the next chunk to the end of the run.
    chunks: Range<u32>,
    body: CountingBody,
}

/// Counts the bytes on the wire.
struct CountingBody {
    body: Body,
    wire_bytes: Arc<AtomicU64>,
}

impl Read for CountingBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.body.read(buffer)?;
        self.wire_bytes.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

impl XetClient {
    /// Opens a range of a file and requests its first window.
    pub fn read(&self, file: XetHash, range: ByteRange) -> Result<XetStream, XetError> {
        self.read_with_window(file, range, WINDOW)
    }

    /// Like `read`, with another window; for tests, whose files are small.
    #[doc(hidden)]
    pub fn read_with_window(
        &self,
        file: XetHash,
        range: ByteRange,
        window: u64,
    ) -> Result<XetStream, XetError> {
        let mut stream = XetStream {
            client: self.clone(),
            file,
            left: range,
            window,
            parts: Reconstruction::default(),
            terms: VecDeque::new(),
            open: None,
            unpacker: Unpacker::new(),
            chunk: Vec::new(),
            decoded: None,
            used: 0,
            skip: 0,
            window_left: 0,
            wire_bytes: Arc::default(),
        };
        stream.next_window()?;
        Ok(stream)
    }
}

impl XetStream {
    /// Returns the counter of bytes on the wire; the caller resets it.
    pub fn wire_bytes(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.wire_bytes)
    }

    /// Returns the bytes on the wire for the current window, and its unpacked bytes.
    pub fn window_sizes(&self) -> (u64, u64) {
        (self.parts.packed_bytes(), self.window_left)
    }

    fn next_window(&mut self) -> Result<(), XetError> {
        let end = self
            .left
            .end
            .min(self.left.start.saturating_add(self.window));
        let window = ByteRange::new(self.left.start, end);
        let parts = self.client.reconstruction(self.file, Some(window))?;
        if parts.total() - parts.offset < window.len() {
            return Err(self.bad_answer("its terms are shorter than the requested range"));
        }
        self.left.start = end;
        self.window_left = window.len();
        self.skip = parts.offset;
        self.terms = parts.terms.iter().copied().collect();
        self.parts = parts;
        self.open = None;
        self.used = self.chunk.len();
        Ok(())
    }

    /// Drops the current state: after an error none of its bytes can be trusted.
    fn reset(&mut self) {
        self.open = None;
        self.decoded = None;
        self.terms.clear();
        self.chunk.clear();
        self.used = 0;
    }

    /// Decodes the next chunk that contains bytes of the range.
    fn next_chunk(&mut self) -> Result<(), XetError> {
        while self.used == self.chunk.len() {
            let Some(term) = self.terms.front().copied() else {
                return Err(self.bad_answer("it has too few terms"));
            };
            let address = Some((term.xorb, term.start));
            if self.decoded != address {
                self.read_chunk_of(&term)?;
                self.decoded = address;
            }
            let length = self.chunk.len() as u64;
            let skipped = self.skip.min(length);
            self.skip -= skipped;
            self.used = skipped as usize;
            let consumed = u32::try_from(length).unwrap_or(u32::MAX);
            let Some(rest) = term.length.checked_sub(consumed) else {
                return Err(self.bad_data("a term is longer than its stated length"));
            };
            self.terms.pop_front();
            if term.start + 1 < term.end {
                self.terms.push_front(Term {
                    start: term.start + 1,
                    length: rest,
                    ..term
                });
            } else if rest > 0 {
                return Err(self.bad_data("a term is shorter than its stated length"));
            }
        }
        Ok(())
    }

    /// Decodes the first chunk of a term, from the open run if it contains the chunk, or from a new
    /// request.
    fn read_chunk_of(&mut self, term: &Term) -> Result<(), XetError> {
        let goes_on = |run: &ChunkRun| {
            run.xorb == term.xorb && run.chunks.start <= term.start && term.start < run.chunks.end
        };
        if !self.open.as_ref().is_some_and(goes_on) {
            let first = Term {
                end: term.start + 1,
                ..*term
            };
            let Some(fetch) = self.parts.fetch_for(&first).cloned() else {
                return Err(self.bad_answer("it has no URL for a term"));
            };
            self.open = Some(ChunkRun {
                xorb: term.xorb,
                chunks: fetch.chunks.clone(),
                body: CountingBody {
                    body: self.client.open(self.file, &fetch)?,
                    wire_bytes: Arc::clone(&self.wire_bytes),
                },
            });
        }
        let Some(run) = &mut self.open else {
            return Err(self.bad_answer("no run of chunks is open"));
        };
        // Skip the chunks of the run before the term.
        while run.chunks.start <= term.start {
            let read = self.unpacker.read_chunk(&mut run.body, &mut self.chunk);
            run.chunks.start += 1;
            if let Err(err) = read {
                return Err(self.read_error(&err));
            }
        }
        Ok(())
    }

    fn read_error(&self, err: &io::Error) -> XetError {
        let bad = err
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<BadChunk>());
        let fault = match (bad, HttpError::in_io(err)) {
            (Some(bad), _) => XetFault::BadData(bad.to_string()),
            (None, Some(http)) => XetFault::Network(http.clone()),
            (None, None) => XetFault::BadData(format!("the chunks end too early: {err}")),
        };
        XetError::new(self.file, fault)
    }

    fn bad_answer(&self, why: &str) -> XetError {
        XetError::new(self.file, XetFault::BadAnswer(why.to_owned()))
    }

    fn bad_data(&self, why: &str) -> XetError {
        XetError::new(self.file, XetFault::BadData(why.to_owned()))
    }
}

impl Read for XetStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.window_left == 0 && !self.left.is_empty() {
            self.next_window().map_err(io::Error::other)?;
        }
        if self.window_left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        if self.used == self.chunk.len()
            && let Err(error) = self.next_chunk()
        {
            self.reset();
            return Err(io::Error::other(error));
        }
        let ready = &self.chunk[self.used..];
        let most = usize::try_from(self.window_left).unwrap_or(usize::MAX);
        let n = ready.len().min(buffer.len()).min(most);
        buffer[..n].copy_from_slice(&ready[..n]);
        self.used += n;
        self.window_left -= n as u64;
        Ok(n)
    }
}
