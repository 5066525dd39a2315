//! Requests the terms of a file, window by window, and positions of chunks within them.

use super::client::XetClient;
use super::error::{XetError, XetFault};
use crate::domain::chunk_search::ChunkStart;
use crate::domain::ranges::ByteRange;
use crate::domain::xet::{MAX_CHUNK, Term, XetHash};

/// The official documentation advises against larger requests.
const WINDOW: u64 = 8 << 30;

/// Upper limit for any file; it bounds the memory to less than a gigabyte.
const MAX_TERMS: usize = 8 << 20;

/// The terms of a whole file and their total packed size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllTerms {
    pub terms: Vec<Term>,
    pub packed_bytes: u64,
}

impl XetClient {
    /// Requests all terms of a file; their total length is exactly `size_bytes`.
    pub fn terms(&self, file: XetHash, size_bytes: u64) -> Result<AllTerms, XetError> {
        self.terms_with_window(file, size_bytes, WINDOW)
    }

    /// Like `terms`, with another window. Each window starts at the end of the last term, which is
    /// a chunk boundary, so no chunk is counted twice.
    ///
    /// For tests, which have no files of many gigabytes.
    #[doc(hidden)]
    pub fn terms_with_window(
        &self,
        file: XetHash,
        size_bytes: u64,
        window: u64,
    ) -> Result<AllTerms, XetError> {
        let bad = |why: &str| XetError::new(file, XetFault::BadAnswer(why.to_owned()));
        let mut all = AllTerms {
            terms: Vec::new(),
            packed_bytes: 0,
        };
        let mut at = 0;
        while at < size_bytes {
            let end = size_bytes.min(at.saturating_add(window));
            let whole = at == 0 && end == size_bytes;
            let asked = (!whole).then(|| ByteRange::new(at, end));
            let part = self.reconstruction(file, asked)?;
            if part.offset != 0 {
                return Err(bad(
                    "its terms do not start at the end of the previous ones",
                ));
            }
            let total = part.total();
            if total < end - at {
                return Err(bad("its terms are shorter than the file"));
            }
            all.packed_bytes += part.packed_bytes();
            all.terms.extend(part.terms);
            at += total;
            if all.terms.len() > MAX_TERMS {
                return Err(bad("it has too many terms"));
            }
        }
        if at != size_bytes {
            return Err(bad("its terms are longer than the file"));
        }
        Ok(all)
    }

    /// Requests the chunk that contains a byte, and its start; `None` if the storage answers with
    /// a whole term instead.
    pub fn chunk_at(&self, file: XetHash, offset: u64) -> Result<Option<ChunkStart>, XetError> {
        let byte = ByteRange::new(offset, offset + 1);
        let answer = self.reconstruction(file, Some(byte))?;
        let is_in_first_chunk = answer.offset < MAX_CHUNK as u64;
        let start = offset.checked_sub(answer.offset);
        let term = answer.terms.first().filter(|_| is_in_first_chunk);
        Ok(term.zip(start).map(|(term, offset)| ChunkStart {
            xorb: term.xorb,
            chunk: term.start,
            offset,
        }))
    }
}
