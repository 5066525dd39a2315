//! Finds the undamaged parts of a damaged file.
//!
//! The name of a xorb is the hash over its chunks. Where a file contains all chunks of a xorb,
//! its bytes can be verified: they are chunked and hashed, and the hash must be that name. A
//! xorb that the file contains only in part cannot be verified and counts as damaged.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::ops::ControlFlow;

use super::chunking::Chunker;
use super::hashes::MerkleTree;
use crate::domain::ranges::{ByteRange, RangeSet};
use crate::domain::xet::{FileMap, Term, XetHash};
use crate::sys::file_io;

/// The hash and the length of a chunk.
type HashedChunk = (XetHash, u32);

/// The verified parts of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedTerms {
    pub ranges: RangeSet,
    /// The verified terms and their chunk lengths, under the hash of the whole file.
    pub map: FileMap,
}

/// Reads a file that should consist of these terms and returns the verified ones. `on_read`
/// gets the length of each term; `None` when it breaks off.
pub fn verify_terms(
    file: &File,
    hash: XetHash,
    terms: &[Term],
    on_read: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> io::Result<Option<VerifiedTerms>> {
    let mut found: Vec<Vec<HashedChunk>> = Vec::with_capacity(terms.len());
    let mut at = 0;
    for term in terms {
        let range = ByteRange::new(at, at + u64::from(term.length));
        found.push(chunks_of(file, range)?);
        at = range.end;
        if on_read(range.len()).is_break() {
            return Ok(None);
        }
    }
    let mut xorbs: HashMap<XetHash, BTreeMap<u32, HashedChunk>> = HashMap::new();
    for (term, chunks) in terms.iter().zip(&found) {
        let known = xorbs.entry(term.xorb).or_default();
        for (number, chunk) in term.chunks().zip(chunks) {
            known.entry(number).or_insert(*chunk);
        }
    }
    xorbs.retain(|name, chunks| is_whole(name, chunks));
    let mut verified = VerifiedTerms {
        ranges: RangeSet::new(),
        map: FileMap {
            hash,
            terms: Vec::new(),
            chunk_lengths: None,
        },
    };
    let (mut at, mut lengths) = (0, Vec::new());
    for (term, chunks) in terms.iter().zip(found) {
        let range = ByteRange::new(at, at + u64::from(term.length));
        at = range.end;
        // A chunk can occur several times and be damaged in one place only.
        let is_it = xorbs.get(&term.xorb).is_some_and(|known| {
            let should = term.chunks().filter_map(|number| known.get(&number));
            should.eq(&chunks)
        });
        if is_it {
            verified.ranges.insert(range);
            verified.map.terms.push(*term);
            lengths.extend(chunks.iter().map(|(_, length)| *length));
        }
    }
    verified.map.chunk_lengths = Some(lengths);
    Ok(Some(verified))
}

/// Chunks a part of a file that starts at a chunk boundary.
fn chunks_of(file: &File, range: ByteRange) -> io::Result<Vec<HashedChunk>> {
    let mut chunks = Vec::new();
    let mut chunker = Chunker::new();
    let mut buffer = vec![0; 256 << 10];
    let mut at = range.start;
    while at < range.end {
        let n = (range.end - at).min(buffer.len() as u64) as usize;
        file_io::read_exact_at(file, &mut buffer[..n], at)?;
        chunker.update(&buffer[..n], &mut |hash, length| {
            chunks.push((hash, length))
        });
        at += n as u64;
    }
    chunker.finish(&mut |hash, length| chunks.push((hash, length)));
    Ok(chunks)
}

/// Returns whether these are all chunks of a xorb.
fn is_whole(name: &XetHash, chunks: &BTreeMap<u32, HashedChunk>) -> bool {
    let has_all = chunks.keys().copied().eq(0..chunks.len() as u32);
    let mut tree = MerkleTree::new();
    for (hash, length) in chunks.values() {
        tree.push(*hash, u64::from(*length));
    }
    has_all && tree.root() == Some(*name)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn noise(n: usize, seed: u64) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(seed);
        std::iter::repeat_with(|| random.u8(..)).take(n).collect()
    }

    /// Returns noise that ends at a chunk boundary, and its chunks.
    fn part(n: usize, seed: u64) -> (Vec<u8>, Vec<HashedChunk>) {
        let mut bytes = noise(n, seed);
        let mut chunks = Vec::new();
        Chunker::new().update(&bytes, &mut |hash, length| chunks.push((hash, length)));
        bytes.truncate(chunks.iter().map(|(_, length)| *length as usize).sum());
        (bytes, chunks)
    }

    fn name(chunks: &[HashedChunk]) -> XetHash {
        let mut tree = MerkleTree::new();
        for (hash, length) in chunks {
            tree.push(*hash, u64::from(*length));
        }
        tree.root().unwrap()
    }

    fn term(xorb: XetHash, start: usize, chunks: &[HashedChunk]) -> Term {
        Term {
            xorb,
            start: start as u32,
            end: (start + chunks.len()) as u32,
            length: chunks.iter().map(|(_, length)| length).sum(),
        }
    }

    fn prove(bytes: &[u8], terms: &[Term]) -> VerifiedTerms {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let mut n_terms = 0;
        let mut count = |_| {
            n_terms += 1;
            ControlFlow::Continue(())
        };
        let verified = verify_terms(&file, XetHash::ZERO, terms, &mut count);
        let verified = verified.unwrap().unwrap();
        assert_eq!(n_terms, terms.len());
        let mut stop = |_| ControlFlow::Break(());
        let stopped = verify_terms(&file, XetHash::ZERO, terms, &mut stop);
        assert_eq!(stopped.unwrap(), None);
        verified
    }

    fn range(start: usize, end: usize) -> RangeSet {
        [ByteRange::new(start as u64, end as u64)]
            .into_iter()
            .collect()
    }

    #[test]
    fn a_flipped_bit_damages_only_its_xorb() {
        let (first, second) = (part(900_000, 1), part(700_000, 2));
        let terms = [&first, &second].map(|(_, chunks)| term(name(chunks), 0, chunks));
        let whole = [first.0.clone(), second.0.clone()].concat();
        let cut = first.0.len();
        let verified = prove(&whole, &terms);
        assert_eq!(verified.ranges, range(0, whole.len()));
        assert!(verified.map.is_sound(whole.len() as u64));
        for (at, left) in [
            (0, range(cut, whole.len())),
            (cut - 1, range(cut, whole.len())),
            (cut, range(0, cut)),
            (whole.len() - 1, range(0, cut)),
        ] {
            let mut rotten = whole.clone();
            rotten[at] ^= 1;
            let verified = prove(&rotten, &terms);
            assert_eq!(verified.ranges, left, "byte {at}");
            assert_eq!(verified.map.terms.len(), 1);
        }
    }

    #[test]
    fn a_part_of_a_xorb_is_never_verified() {
        let (bytes, chunks) = part(900_000, 3);
        let xorb = name(&chunks);
        let first = chunks[0].1 as usize;
        let tail = prove(&bytes[first..], &[term(xorb, 1, &chunks[1..])]);
        assert_eq!(tail.ranges, RangeSet::new());
        let head = chunks.len() - 1;
        let length = bytes.len() - chunks[head].1 as usize;
        let head = prove(&bytes[..length], &[term(xorb, 0, &chunks[..head])]);
        assert_eq!(head.ranges, RangeSet::new());
    }

    #[test]
    fn repeated_and_reordered_chunks_are_verified_where_they_are_intact() {
        let (bytes, chunks) = part(900_000, 4);
        let xorb = name(&chunks);
        let first = chunks[0].1 as usize;
        let terms = [
            term(xorb, 1, &chunks[1..]),
            term(xorb, 0, &chunks),
            term(xorb, 0, &chunks[..1]),
        ];
        let mut whole = [&bytes[first..], &bytes[..], &bytes[..first]].concat();
        assert_eq!(prove(&whole, &terms).ranges, range(0, whole.len()));
        let last = whole.len() - 1;
        whole[last] ^= 1;
        let verified = prove(&whole, &terms);
        assert_eq!(verified.ranges, range(0, whole.len() - first));
    }
}
