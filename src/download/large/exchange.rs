//! What a large file and its connections tell each other.

use std::time::{Duration, Instant};

use crate::domain::outcome::ErrorKind;
use crate::domain::ranges::ByteRange;
use crate::download::coverage::Claim;
use crate::download::event::FileError;
use crate::download::fresh::Fresh;
use crate::download::source::SourceError;

/// A claim and the request that it stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) claim: Claim,
    pub(crate) request: Option<ByteRange>,
    pub(crate) given_at: Instant,
}

/// How a connection leaves a file.
#[derive(Debug)]
pub(crate) enum Leaving {
    /// Its piece is done, was given to others, or nothing more is to come.
    Quietly,
    Source(SourceError),
    /// No other attempt can help.
    Fatal(FileError),
}

/// What follows a connection's leaving.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Aftermath {
    Nothing,
    Retry(Duration, SourceError),
}

/// Where a connection is in its file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) end: u64,
    /// Nothing before what it brings next is open, and the hash is close behind.
    pub(crate) is_hashed_next: bool,
    /// When so many bytes have come it reports them.
    pub(crate) report_at: u64,
}

/// What the thread that hashes finds.
#[derive(Debug)]
pub(crate) enum Front {
    /// Hash up to here; some of that need not be read back.
    At(u64, Vec<Fresh>),
    /// Begin again.
    Restarted,
    Over,
}

/// Says that a server's file is not the one that was asked for.
pub(crate) fn wrong_size(expected: u64, found: u64) -> SourceError {
    SourceError::transient(
        ErrorKind::Integrity,
        format!("the server has {found} bytes, but the file should have {expected}"),
    )
}
