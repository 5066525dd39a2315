//! Xet storage: how the structure of a file is described.
//!
//! A file is cut by content into *chunks* of about 64 KiB. Chunks are stored in
//! *xorbs*, immutable objects of up to 8192 chunks. A file is a sequence of
//! *terms*, each a run of chunks of one xorb. A chunk's address (xorb and
//! index) stands for the same bytes in every file, repository and revision.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use thiserror::Error;

use super::content::{parse_hex, render_hex};

/// The shortest chunk; only the last chunk of a file may be shorter.
pub const MIN_CHUNK: usize = 8 << 10;
/// The longest chunk.
pub const MAX_CHUNK: usize = 128 << 10;
/// The most chunks in a xorb.
pub const MAX_XORB_CHUNKS: u32 = 8192;
/// The largest unpacked size of a xorb.
pub const MAX_XORB_BYTES: u64 = 64 << 20;

/// A BLAKE3 hash of a chunk, a xorb or a file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct XetHash([u8; 32]);

/// A text that is no Xet hash.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("it is no Xet hash (64 hexadecimal digits)")]
pub struct XetHashError;

impl XetHash {
    /// The hash of the empty file.
    pub const ZERO: Self = Self([0; 32]);

    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the number that decides where groups of a Merkle tree end.
    pub fn last_word(&self) -> u64 {
        let mut word = [0; 8];
        word.copy_from_slice(&self.0[24..]);
        u64::from_le_bytes(word)
    }
}

/// The text form shows four little-endian numbers, so each group of eight bytes
/// is reversed.
fn reversed_words(mut bytes: [u8; 32]) -> [u8; 32] {
    bytes.chunks_exact_mut(8).for_each(<[u8]>::reverse);
    bytes
}

impl FromStr for XetHash {
    type Err = XetHashError;

    fn from_str(text: &str) -> Result<Self, XetHashError> {
        let bytes = parse_hex(text).ok_or(XetHashError)?;
        Ok(Self(reversed_words(bytes)))
    }
}

impl fmt::Display for XetHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&render_hex(&reversed_words(self.0)))
    }
}

impl fmt::Debug for XetHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A run of chunks of one xorb, and its number of bytes in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Term {
    pub xorb: XetHash,
    /// The first chunk, and one past the last.
    pub start: u32,
    pub end: u32,
    pub length: u32,
}

impl Term {
    pub fn chunks(&self) -> Range<u32> {
        self.start..self.end
    }

    pub fn n_chunks(&self) -> u32 {
        self.end.saturating_sub(self.start)
    }

    /// Reports whether this number of chunks can have this length.
    pub fn is_sound(&self) -> bool {
        let n_chunks = u64::from(self.n_chunks());
        n_chunks > 0
            && self.end <= MAX_XORB_CHUNKS
            && u64::from(self.length) >= n_chunks
            && u64::from(self.length) <= n_chunks * MAX_CHUNK as u64
    }
}

/// The structure of a file: its terms and, if known, the lengths of all its
/// chunks in file order.
///
/// A file that was read without asking the storage has chunk lengths only, perhaps of its
/// first chunks only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileMap {
    pub hash: XetHash,
    pub terms: Vec<Term>,
    pub chunk_lengths: Option<Vec<u32>>,
}

impl FileMap {
    /// Describes the first chunks of a file with unknown terms.
    pub fn of_lengths(hash: XetHash, chunk_lengths: Vec<u32>) -> Self {
        Self {
            hash,
            terms: Vec::new(),
            chunk_lengths: Some(chunk_lengths),
        }
    }

    pub fn has_only_lengths(&self) -> bool {
        self.terms.is_empty()
    }

    /// Reports whether chunks of these lengths can be the first ones of a file.
    pub fn is_sound_beginning(&self, size_bytes: u64) -> bool {
        let mut left = size_bytes;
        let lengths = self.chunk_lengths.iter().flatten();
        let mut fits = |length: &u32| {
            let fits = (1..=MAX_CHUNK as u32).contains(length) && u64::from(*length) <= left;
            left = left.saturating_sub(u64::from(*length));
            fits
        };
        self.has_only_lengths() && lengths.into_iter().all(&mut fits)
    }

    /// Reports whether all lengths agree with each other and with the file's
    /// size.
    pub fn is_sound(&self, size_bytes: u64) -> bool {
        let total: u64 = self.terms.iter().map(|term| u64::from(term.length)).sum();
        let terms_are_sound = self.terms.iter().all(Term::is_sound);
        let lengths = self.chunk_lengths.as_deref();
        terms_are_sound
            && total == size_bytes
            && lengths.is_none_or(|lengths| fit(&self.terms, lengths))
    }
}

/// Reports whether chunks of these lengths make up exactly these terms.
pub fn fit(terms: &[Term], lengths: &[u32]) -> bool {
    let mut rest = lengths;
    for term in terms {
        let Some((own, others)) = rest.split_at_checked(term.n_chunks() as usize) else {
            return false;
        };
        let total: u64 = own.iter().map(|&length| u64::from(length)).sum();
        let sound = |&length: &u32| (1..=MAX_CHUNK as u32).contains(&length);
        if total != u64::from(term.length) || !own.iter().all(sound) {
            return false;
        }
        rest = others;
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_shown_as_four_numbers() {
        let bytes = std::array::from_fn(|n| n as u8);
        let text = "07060504030201000f0e0d0c0b0a090817161514131211101f1e1d1c1b1a1918";
        assert_eq!(XetHash::from_bytes(bytes).to_string(), text);
        assert_eq!(text.parse(), Ok(XetHash::from_bytes(bytes)));
        assert_eq!(
            XetHash::from_bytes(bytes).last_word(),
            0x1f1e_1d1c_1b1a_1918
        );
    }

    #[test]
    fn a_masked_hash_is_none() {
        for bad in ["", &"*".repeat(64), &"0".repeat(63), &"g".repeat(64)] {
            assert_eq!(bad.parse::<XetHash>(), Err(XetHashError), "{bad}");
        }
    }

    #[test]
    fn a_map_whose_lengths_disagree_is_not_sound() {
        let term = |start, end, length| Term {
            xorb: XetHash::ZERO,
            start,
            end,
            length,
        };
        let map = |terms: Vec<Term>, chunk_lengths| FileMap {
            hash: XetHash::ZERO,
            terms,
            chunk_lengths,
        };
        let terms = vec![term(4, 6, 30), term(0, 1, 7)];
        assert!(map(terms.clone(), Some(vec![10, 20, 7])).is_sound(37));
        assert!(map(terms.clone(), None).is_sound(37));
        assert!(map(vec![], Some(vec![])).is_sound(0));
        for lengths in [
            vec![],
            vec![10, 20],
            vec![10, 20, 7, 1],
            vec![11, 20, 7],
            vec![0, 30, 7],
        ] {
            assert!(
                !map(terms.clone(), Some(lengths.clone())).is_sound(37),
                "{lengths:?}"
            );
        }
        assert!(!map(terms, None).is_sound(38));
        for bad in [
            term(3, 3, 5),
            term(5, 3, 5),
            term(0, 3, 2),
            term(0, 1, MAX_CHUNK as u32 + 1),
            term(8000, 8193, 200_000),
        ] {
            assert!(!bad.is_sound(), "{bad:?}");
        }
    }
}
