//! The bytes of a file out of its chunks, front to back.

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

/// So much is asked for at once: links are good for an hour, and a slow line
/// must not be left with old ones.
const WINDOW: u64 = 256 << 20;

/// Reads a part of a file through the storage. Its errors hold a [`XetError`].
pub struct XetStream {
    client: XetClient,
    file: XetHash,
    /// What is still to be asked for, and how much of it at once.
    left: ByteRange,
    window: u64,
    /// What was asked for and is not read yet.
    parts: Reconstruction,
    terms: VecDeque<Term>,
    open: Option<Run>,
    unpacker: Unpacker,
    chunk: Vec<u8>,
    /// Which one that is: zeros are the same chunk again and again, and each
    /// time it was asked for anew it would cost a request.
    held: Option<(XetHash, u32)>,
    /// Bytes of the chunk that were handed out, or are before the range.
    used: usize,
    /// Bytes before the range in the chunks to come.
    skip: u64,
    /// Bytes of the window that are still to be handed out.
    window_left: u64,
    wire_bytes: Arc<AtomicU64>,
}

/// A run of chunks that arrives.
struct Run {
    xorb: XetHash,
    /// The next chunk, and the one behind the last.
    chunks: Range<u32>,
    body: Counted,
}

/// Counts what comes over the line.
struct Counted {
    body: Body,
    wire_bytes: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.body.read(buffer)?;
        self.wire_bytes.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

impl XetClient {
    /// Begins to read a part of a file; asks for the first of what it is made of.
    pub fn read(&self, file: XetHash, range: ByteRange) -> Result<XetStream, XetError> {
        self.read_by(file, range, WINDOW)
    }

    /// As `read`, with other windows; open to tests, whose files are small.
    #[doc(hidden)]
    pub fn read_by(
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
            held: None,
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
    /// Counts the bytes that came over the line and were not taken from it yet.
    pub fn wire_bytes(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.wire_bytes)
    }

    /// Returns how many bytes come over the line for the window that is open, and for how many.
    pub fn price(&self) -> (u64, u64) {
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
            return Err(self.bad_answer("its terms are shorter than the bytes asked for"));
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

    /// Forgets what is under way: after trouble no byte of it can be trusted.
    fn give_up(&mut self) {
        self.open = None;
        self.held = None;
        self.terms.clear();
        self.chunk.clear();
        self.used = 0;
    }

    /// Gets the next chunk that has bytes of the range.
    fn next_chunk(&mut self) -> Result<(), XetError> {
        while self.used == self.chunk.len() {
            let Some(term) = self.terms.front().copied() else {
                return Err(self.bad_answer("its terms end too early"));
            };
            let address = Some((term.xorb, term.start));
            if self.held != address {
                self.read_chunk_of(&term)?;
                self.held = address;
            }
            let length = self.chunk.len() as u64;
            let skipped = self.skip.min(length);
            self.skip -= skipped;
            self.used = skipped as usize;
            let consumed = u32::try_from(length).unwrap_or(u32::MAX);
            let Some(rest) = term.length.checked_sub(consumed) else {
                return Err(self.bad_data("a term is longer than it was said to be"));
            };
            self.terms.pop_front();
            if term.start + 1 < term.end {
                self.terms.push_front(Term {
                    start: term.start + 1,
                    length: rest,
                    ..term
                });
            } else if rest > 0 {
                return Err(self.bad_data("a term is shorter than it was said to be"));
            }
        }
        Ok(())
    }

    /// Reads the first chunk of a term: from the run that is open, if it is the
    /// next one there, or from a new one.
    fn read_chunk_of(&mut self, term: &Term) -> Result<(), XetError> {
        let goes_on = |run: &Run| {
            run.xorb == term.xorb && run.chunks.start <= term.start && term.start < run.chunks.end
        };
        if !self.open.as_ref().is_some_and(goes_on) {
            let first = Term {
                end: term.start + 1,
                ..*term
            };
            let Some(fetch) = self.parts.fetch_for(&first).cloned() else {
                return Err(self.bad_answer("it does not say where a term is"));
            };
            self.open = Some(Run {
                xorb: term.xorb,
                chunks: fetch.chunks.clone(),
                body: Counted {
                    body: self.client.open(self.file, &fetch)?,
                    wire_bytes: Arc::clone(&self.wire_bytes),
                },
            });
        }
        let Some(run) = &mut self.open else {
            return Err(self.bad_answer("nothing is open"));
        };
        // What lies before the term in the same run is of no use here.
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
            self.give_up();
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
