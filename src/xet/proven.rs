//! Which parts of a damaged file are still right.
//!
//! A xorb is named by the hash over its chunks. So where a file has all chunks
//! of one, its bytes prove themselves: they are cut and hashed, and the hash
//! over them must be that name. Of a xorb of which the file has only a part
//! nothing can be told, and nothing of it is believed.

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
type Chunk = (XetHash, u32);

/// What of a file is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    pub ranges: RangeSet,
    /// The terms that are, with their chunks' lengths; under the hash of the whole file.
    pub map: FileMap,
}

/// Reads a file that should be made of these terms, and tells which of them it
/// has; `None` when the listener, who hears of each term, broke off.
pub fn prove_terms(
    file: &File,
    hash: XetHash,
    terms: &[Term],
    on_read: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> io::Result<Option<Proven>> {
    let mut found: Vec<Vec<Chunk>> = Vec::with_capacity(terms.len());
    let mut at = 0;
    for term in terms {
        let range = ByteRange::new(at, at + u64::from(term.length));
        found.push(chunks_of(file, range)?);
        at = range.end;
        if on_read(range.len()).is_break() {
            return Ok(None);
        }
    }
    let mut xorbs: HashMap<XetHash, BTreeMap<u32, Chunk>> = HashMap::new();
    for (term, chunks) in terms.iter().zip(&found) {
        let known = xorbs.entry(term.xorb).or_default();
        for (number, chunk) in term.chunks().zip(chunks) {
            known.entry(number).or_insert(*chunk);
        }
    }
    xorbs.retain(|name, chunks| is_whole(name, chunks));
    let mut proven = Proven {
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
        // The same chunk may stand at several places, and be damaged at one of them.
        let is_it = xorbs.get(&term.xorb).is_some_and(|known| {
            let should = term.chunks().filter_map(|number| known.get(&number));
            should.eq(&chunks)
        });
        if is_it {
            proven.ranges.insert(range);
            proven.map.terms.push(*term);
            lengths.extend(chunks.iter().map(|(_, length)| *length));
        }
    }
    proven.map.chunk_lengths = Some(lengths);
    Ok(Some(proven))
}

/// Cuts a part of a file that begins where a chunk begins.
fn chunks_of(file: &File, range: ByteRange) -> io::Result<Vec<Chunk>> {
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

/// Tells whether these are all chunks of a xorb.
fn is_whole(name: &XetHash, chunks: &BTreeMap<u32, Chunk>) -> bool {
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

    /// Returns noise that ends with a chunk, and its chunks.
    fn part(n: usize, seed: u64) -> (Vec<u8>, Vec<Chunk>) {
        let mut bytes = noise(n, seed);
        let mut chunks = Vec::new();
        Chunker::new().update(&bytes, &mut |hash, length| chunks.push((hash, length)));
        bytes.truncate(chunks.iter().map(|(_, length)| *length as usize).sum());
        (bytes, chunks)
    }

    fn name(chunks: &[Chunk]) -> XetHash {
        let mut tree = MerkleTree::new();
        for (hash, length) in chunks {
            tree.push(*hash, u64::from(*length));
        }
        tree.root().unwrap()
    }

    fn term(xorb: XetHash, start: usize, chunks: &[Chunk]) -> Term {
        Term {
            xorb,
            start: start as u32,
            end: (start + chunks.len()) as u32,
            length: chunks.iter().map(|(_, length)| length).sum(),
        }
    }

    fn prove(bytes: &[u8], terms: &[Term]) -> Proven {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let mut n_terms = 0;
        let mut count = |_| {
            n_terms += 1;
            ControlFlow::Continue(())
        };
        let proven = prove_terms(&file, XetHash::ZERO, terms, &mut count);
        let proven = proven.unwrap().unwrap();
        assert_eq!(n_terms, terms.len());
        let mut stop = |_| ControlFlow::Break(());
        let stopped = prove_terms(&file, XetHash::ZERO, terms, &mut stop);
        assert_eq!(stopped.unwrap(), None);
        proven
    }

    fn range(start: usize, end: usize) -> RangeSet {
        [ByteRange::new(start as u64, end as u64)]
            .into_iter()
            .collect()
    }

    #[test]
    fn a_flipped_bit_costs_its_xorb_and_no_other() {
        let (first, second) = (part(900_000, 1), part(700_000, 2));
        let terms = [&first, &second].map(|(_, chunks)| term(name(chunks), 0, chunks));
        let whole = [first.0.clone(), second.0.clone()].concat();
        let cut = first.0.len();
        let proven = prove(&whole, &terms);
        assert_eq!(proven.ranges, range(0, whole.len()));
        assert!(proven.map.is_sound(whole.len() as u64));
        for (at, left) in [
            (0, range(cut, whole.len())),
            (cut - 1, range(cut, whole.len())),
            (cut, range(0, cut)),
            (whole.len() - 1, range(0, cut)),
        ] {
            let mut rotten = whole.clone();
            rotten[at] ^= 1;
            let proven = prove(&rotten, &terms);
            assert_eq!(proven.ranges, left, "byte {at}");
            assert_eq!(proven.map.terms.len(), 1);
        }
    }

    #[test]
    fn a_part_of_a_xorb_proves_nothing_wherever_it_is_from() {
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
    fn a_xorb_in_another_order_and_twice_is_proven_where_it_is_right() {
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
        let proven = prove(&whole, &terms);
        assert_eq!(proven.ranges, range(0, whole.len() - first));
    }
}
