//! What a file, or a part of it, is made of and where that lies.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::domain::xet::{Term, XetHash};
use crate::sys::http::Url;

/// An answer to the question for a file's bytes.
///
/// Chaining the chunks of all terms and dropping the first `offset` bytes gives
/// the bytes that were asked for, and maybe some behind them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconstruction {
    pub offset: u64,
    pub terms: Vec<Term>,
    pub fetches: HashMap<XetHash, Vec<Fetch>>,
}

/// A run of chunks of one xorb that one request brings.
#[derive(Clone, PartialEq, Eq)]
pub struct Fetch {
    /// Signed, good for about an hour, and for exactly these bytes. Shared by all
    /// runs of an address: an answer may have a long one for very many.
    pub url: Arc<Url>,
    pub chunks: Range<u32>,
    pub first_byte: u64,
    /// Inclusive, as it goes into the `Range`.
    pub last_byte: u64,
}

impl Fetch {
    pub fn n_bytes(&self) -> u64 {
        self.last_byte - self.first_byte + 1
    }
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A `Url` shows no query.
        write!(f, "{} {:?}", self.url, self.chunks)
    }
}

impl Reconstruction {
    /// Returns how many bytes all terms are together.
    pub fn total(&self) -> u64 {
        self.terms.iter().map(|term| u64::from(term.length)).sum()
    }

    /// Returns the request that brings a term's chunks.
    pub fn fetch_for(&self, term: &Term) -> Option<&Fetch> {
        let fetches = self.fetches.get(&term.xorb)?;
        fetches
            .iter()
            .find(|fetch| fetch.chunks.start <= term.start && term.end <= fetch.chunks.end)
    }

    /// Returns how many bytes all requests together bring.
    pub fn packed_bytes(&self) -> u64 {
        self.fetches.values().flatten().map(Fetch::n_bytes).sum()
    }
}
