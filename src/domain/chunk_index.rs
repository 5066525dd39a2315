//! The chunks of old files by their Xet address, and the parts of a new file that they have.

use std::collections::HashMap;

use super::delta::RangeCopy;
use super::ranges::{ByteRange, RangeSet};
use super::xet::{FileMap, Term, XetHash};

/// The position of a chunk or term in an old file.
#[derive(Clone, Copy)]
pub(super) struct ChunkPosition {
    source: usize,
    offset: u64,
    length: u32,
}

/// The chunks and terms of the old files, by address.
pub(super) struct ChunkIndex {
    /// The chunks of each xorb, by chunk number.
    chunks: HashMap<XetHash, Vec<Option<ChunkPosition>>>,
    terms: HashMap<Term, ChunkPosition>,
}

impl ChunkIndex {
    pub(super) fn new(old: &[FileMap]) -> Self {
        let mut index = Self {
            chunks: HashMap::new(),
            terms: HashMap::new(),
        };
        for (source, map) in old.iter().enumerate() {
            let mut lengths = map.chunk_lengths.as_deref().map(|lengths| lengths.iter());
            let mut offset = 0;
            for term in &map.terms {
                let spot = |offset, length| ChunkPosition {
                    source,
                    offset,
                    length,
                };
                index
                    .terms
                    .entry(*term)
                    .or_insert_with(|| spot(offset, term.length));
                if let Some(lengths) = &mut lengths {
                    let chunks = index.chunks.entry(term.xorb).or_default();
                    let end = term.end as usize;
                    if chunks.len() < end {
                        chunks.resize(end, None);
                    }
                    let mut at = offset;
                    for (chunk, length) in term.chunks().zip(lengths) {
                        chunks[chunk as usize].get_or_insert_with(|| spot(at, *length));
                        at += u64::from(*length);
                    }
                }
                offset += u64::from(term.length);
            }
        }
        index
    }

    /// Reports whether an old file has the same term.
    pub(super) fn has_term(&self, term: &Term) -> bool {
        self.terms.contains_key(term)
    }

    /// Returns the length of a chunk, if an old file has it.
    pub(super) fn length(&self, xorb: &XetHash, chunk: u32) -> Option<u32> {
        self.chunk(xorb, chunk).map(|spot| spot.length)
    }

    fn chunk(&self, xorb: &XetHash, chunk: u32) -> Option<ChunkPosition> {
        *self.chunks.get(xorb)?.get(chunk as usize)?
    }

    /// Splits a term into known chunks at its start, known chunks at its end,
    /// and the part between.
    ///
    /// Offsets behind an unknown chunk cannot be computed, so known chunks
    /// between two unknown ones are fetched as well.
    pub(super) fn look_up(&self, term: &Term, pieces: &mut Pieces) {
        let total = u64::from(term.length);
        if let Some(spot) = self.terms.get(term) {
            pieces.copy(spot);
            return;
        }
        let known = |chunk: u32| self.chunk(&term.xorb, chunk);
        let front: Vec<ChunkPosition> = term.chunks().map_while(known).collect();
        let rest = term.start + front.len() as u32..term.end;
        let mut back: Vec<ChunkPosition> = rest.rev().map_while(known).collect();
        back.reverse();
        let length =
            |spots: &[ChunkPosition]| -> u64 { spots.iter().map(|s| u64::from(s.length)).sum() };
        let found = length(&front) + length(&back);
        let is_whole = front.len() == term.n_chunks() as usize;
        // Contradictory lengths: use none of them.
        if found > total || is_whole != (found == total) {
            pieces.miss(total);
            return;
        }
        front.iter().for_each(|spot| pieces.copy(spot));
        pieces.miss(total - found);
        back.iter().for_each(|spot| pieces.copy(spot));
    }
}

/// The parts of the new file, collected from its start to its end.
#[derive(Default)]
pub(super) struct Pieces {
    pub(super) position: u64,
    pub(super) copies: Vec<RangeCopy>,
    pub(super) missing: RangeSet,
}

impl Pieces {
    fn copy(&mut self, spot: &ChunkPosition) {
        let length = u64::from(spot.length);
        let to = self.position;
        self.position += length;
        if let Some(last) = self.copies.last_mut()
            && last.source == spot.source
            && last.from + last.length == spot.offset
            && last.to + last.length == to
        {
            last.length += length;
            return;
        }
        self.copies.push(RangeCopy {
            source: spot.source,
            from: spot.offset,
            to,
            length,
        });
    }

    fn miss(&mut self, length: u64) {
        let end = self.position + length;
        self.missing.insert(ByteRange::new(self.position, end));
        self.position = end;
    }
}
