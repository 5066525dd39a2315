//! The contents of Xet storage: xorbs of chunks, and files composed of them.

use std::collections::HashMap;
use std::ops::Range;

use super::content::Content;
use super::xet::{Hash, chunk_hash, each_chunk, file_hash, pack, root, text};

const XORB_CHUNKS: usize = 8192;
const XORB_BYTES: u64 = 64 * 1024 * 1024;

#[derive(Default)]
pub(crate) struct Store {
    /// The position of each chunk: xorb and index.
    chunks: HashMap<Hash, (usize, u32)>,
    xorbs: Vec<Xorb>,
    /// Files by the text form of their hash.
    files: HashMap<String, Vec<Term>>,
}

/// A closed xorb, or the one being filled by an upload.
#[derive(Default)]
pub(crate) struct Xorb {
    /// The text form of its hash.
    pub(crate) name: String,
    pub(crate) content: Option<Content>,
    packed: Vec<u8>,
    chunks: Vec<(Hash, u64)>,
    /// The end of each chunk's record.
    ends: Vec<u64>,
}

/// A run of chunks of one xorb.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    pub(crate) xorb: usize,
    pub(crate) chunks: Range<u32>,
}

impl Xorb {
    pub(crate) fn unpacked(&self, chunks: &Range<u32>) -> u64 {
        let chunks = &self.chunks[chunks.start as usize..chunks.end as usize];
        chunks.iter().map(|(_, length)| length).sum()
    }

    /// Returns the first and the last byte of a run of chunks.
    pub(crate) fn bytes(&self, chunks: &Range<u32>) -> (u64, u64) {
        let start = match chunks.start {
            0 => 0,
            n => self.ends[n as usize - 1],
        };
        (start, self.ends[chunks.end as usize - 1] - 1)
    }

    fn length(&self) -> u64 {
        self.chunks.iter().map(|(_, length)| length).sum()
    }
}

impl Store {
    pub(crate) fn xorb(&self, index: usize) -> &Xorb {
        &self.xorbs[index]
    }

    pub(crate) fn file(&self, hash: &str) -> Option<&[Term]> {
        self.files.get(hash).map(Vec::as_slice)
    }

    /// Stores a file chunk by chunk and returns the text form of its hash. Known chunks are not
    /// stored again.
    pub(crate) fn add(&mut self, content: &Content) -> String {
        let mut hashes = Vec::new();
        let mut places: Vec<(usize, u32)> = Vec::new();
        let mut open: Option<usize> = None;
        each_chunk(content, &mut |chunk| {
            let hash = chunk_hash(chunk);
            hashes.push((hash, chunk.len() as u64));
            if let Some(place) = self.chunks.get(&hash) {
                places.push(*place);
                return;
            }
            let is_full = open.is_some_and(|index| {
                let xorb: &Xorb = &self.xorbs[index];
                xorb.chunks.len() == XORB_CHUNKS || xorb.length() + chunk.len() as u64 > XORB_BYTES
            });
            if is_full {
                self.close(open.take());
            }
            let index = *open.get_or_insert_with(|| {
                self.xorbs.push(Xorb::default());
                self.xorbs.len() - 1
            });
            let xorb = &mut self.xorbs[index];
            xorb.packed.extend(pack(chunk));
            xorb.ends.push(xorb.packed.len() as u64);
            xorb.chunks.push((hash, chunk.len() as u64));
            let place = (index, xorb.chunks.len() as u32 - 1);
            self.chunks.insert(hash, place);
            places.push(place);
        });
        self.close(open);
        let hash = text(&file_hash(&hashes));
        self.files.insert(hash.clone(), terms(&places));
        hash
    }

    fn close(&mut self, open: Option<usize>) {
        if let Some(xorb) = open.and_then(|index| self.xorbs.get_mut(index)) {
            xorb.name = root(xorb.chunks.clone())
                .map(|root| text(&root))
                .unwrap_or_default();
            xorb.content = Some(Content::bytes(std::mem::take(&mut xorb.packed)));
        }
    }
}

/// Computes the Xet hash of a content without storing it.
pub(crate) fn hash_of(content: &Content) -> String {
    let mut hashes = Vec::new();
    each_chunk(content, &mut |chunk| {
        hashes.push((chunk_hash(chunk), chunk.len() as u64));
    });
    text(&file_hash(&hashes))
}

fn terms(places: &[(usize, u32)]) -> Vec<Term> {
    let mut terms: Vec<Term> = Vec::new();
    for &(xorb, chunk) in places {
        match terms.last_mut() {
            Some(last) if last.xorb == xorb && last.chunks.end == chunk => last.chunks.end += 1,
            _ => terms.push(Term {
                xorb,
                chunks: chunk..chunk + 1,
            }),
        }
    }
    terms
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn known_chunks_are_not_stored_again() {
        let mut store = Store::default();
        // Not `generated_bytes`, which repeats itself.
        let noise = |n: u32| Sha256::digest(n.to_le_bytes());
        let old: Vec<u8> = (0..62_500).flat_map(noise).collect();
        let mut new = old.clone();
        new.splice(900_000..900_000, *b"inserted");
        store.add(&Content::bytes(old));
        let first = store.xorbs[0].length();
        let hash = store.add(&Content::bytes(new));
        assert_eq!(store.xorbs.len(), 2);
        assert!(store.xorbs[1].length() < first / 4);
        let terms = store.file(&hash).unwrap();
        assert_eq!(
            terms.iter().map(|term| term.xorb).collect::<Vec<_>>(),
            [0, 1, 0]
        );
        let total: u64 = terms
            .iter()
            .map(|t| store.xorb(t.xorb).unpacked(&t.chunks))
            .sum();
        assert_eq!(total, 2_000_008);
    }
}
