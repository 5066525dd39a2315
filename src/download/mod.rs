//! Turns "these files from these sources" into verified partial files.
//!
//! [`Engine`] is the whole interface, and [`fetch`] the same for a list that is
//! known from the beginning. It works on any number of files with a
//! bounded number of connections, and reports each file's end; a bad file
//! never stops the others. Files that share a [`Lane`] share limits, and stop
//! together while others go on. Final names are the caller's business: a file that
//! is proven lies at its partial path, locked until its [`VerifiedFile`] is
//! dropped.
//!
//! | file | idea |
//! |---|---|
//! | `engine` | takes jobs in, hands events out, ends what is to end |
//! | `lane` | limits that some files share |
//! | `budget` | bytes that may still be asked for |
//! | `waiting` | files that no connection has begun, by lane and rank |
//! | `board` | which work a connection takes next |
//! | `worker` | one connection: bytes from a source to a place in a file |
//! | `large`, `coverage` | a file in pieces: who fetches which, and what came |
//! | `copies` | what old files have of a new one |
//! | `small` | a file in one request |
//! | `follower`, `verify` | hashes behind the front of what has come |
//! | `fresh` | what was written a moment ago, kept for hashing |
//! | `saver` | forces bytes to disk, then says so in the journal |
//! | `partial`, `journal` | what a later run finds |
//! | `costs` | what is counted of a file |
//! | `crew` | how many connections help a large file |
//! | `setbacks` | its failures, weighed together |
//! | `pace` | rate limit, slow connections |
//!
//! Threads meet at two locks, always taken in this order: the board's, then one
//! file's. No lock is held while bytes travel. Sources cannot be interrupted,
//! so a stopped run leaves a connection that says nothing behind, and with it
//! the lock of its file.

mod backlog;
mod board;
mod budget;
mod copies;
mod costs;
mod coverage;
mod crew;
mod engine;
mod event;
mod follower;
mod fresh;
mod journal;
mod lane;
mod large;
mod pace;
mod partial;
mod saver;
mod setbacks;
mod small;
mod source;
mod verify;
mod waiting;
mod worker;

pub use copies::Copies;
pub use engine::{Engine, fetch};
pub use event::{EngineOptions, Event, FetchJob, FileError, FileReport, FileResult};
pub use lane::Lane;
pub use partial::{VerifiedFile, reusable_bytes, reusable_ranges};
pub use source::{ByteSource, ByteStream, SourceError};
pub use verify::{WholeRead, has_content, prove_content};
