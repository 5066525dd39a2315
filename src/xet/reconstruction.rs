//! The reconstruction of a file: its terms and the locations of their chunks.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::domain::xet::{Term, XetHash};
use crate::sys::http::Url;

/// The reconstruction of a requested range.
///
/// The chunks of all terms in order, without the first `offset` bytes, are the requested bytes,
/// possibly followed by more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconstruction {
    pub offset: u64,
    pub terms: Vec<Term>,
    pub fetches: HashMap<XetHash, Vec<Fetch>>,
}

/// A run of chunks of one xorb that one request returns.
#[derive(Clone, PartialEq, Eq)]
pub struct Fetch {
    /// A signed URL, valid for about an hour and only for these bytes. StorageState by all runs of the
    /// same URL: a response can hold a long one with many runs.
    pub url: Arc<Url>,
    pub chunks: Range<u32>,
    pub first_byte: u64,
    /// Inclusive, as in the `Range` header.
    pub last_byte: u64,
}

impl Fetch {
    pub fn n_bytes(&self) -> u64 {
        self.last_byte - self.first_byte + 1
    }
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The display of a `Url` omits the query.
        write!(f, "{} {:?}", self.url, self.chunks)
    }
}

impl Reconstruction {
    /// Returns the total length of all terms.
    pub fn total(&self) -> u64 {
        self.terms.iter().map(|term| u64::from(term.length)).sum()
    }

    /// Returns the request that returns a term's chunks.
    pub fn fetch_for(&self, term: &Term) -> Option<&Fetch> {
        let fetches = self.fetches.get(&term.xorb)?;
        fetches
            .iter()
            .find(|fetch| fetch.chunks.start <= term.start && term.end <= fetch.chunks.end)
    }

    /// Returns the total size of all requests.
    pub fn packed_bytes(&self) -> u64 {
        self.fetches.values().flatten().map(Fetch::n_bytes).sum()
    }
}
