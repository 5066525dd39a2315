//! Xet storage: what a file is made of, and how to have only a part of it.
//!
//! | file | idea |
//! |---|---|
//! | `hashes` | chunk, node and file hashes |
//! | `chunking` | where bytes are cut, and the hashes of the chunks, in one pass |
//! | `chunked_file` | a whole file cut by several threads |
//! | `client`, `wire`, `reconstruction` | what the storage says about a file |
//! | `terms` | all of what it says, window by window |
//! | `stream` | a part of a file, out of its chunks |
//! | `proven` | which parts of a damaged file are still right |
//! | `xorb` | packed chunks and back |
//! | `ways` | which ways lead nowhere, so that they are not tried again |
//! | `sidecar` | what is known of a file, kept beside it |
//! | `error` | why the storage did not give what was asked for |
//!
//! What comes from the network or from disk is hostile until it is parsed:
//! every list has a bound, every length is checked against the others, and the
//! file's SHA-256 decides in the end whatever was believed here.

mod chunked_file;
mod chunking;
mod client;
mod error;
mod hashes;
mod proven;
mod reconstruction;
pub mod sidecar;
mod stream;
mod terms;
mod ways;
mod wire;
pub mod xorb;

pub use chunked_file::{ChunkedFile, chunk_file, complete_lengths};
pub use chunking::{Chunker, FileHasher};
pub use client::{CasToken, TokenSource, XetClient, XetStorage};
pub use error::{TokenTrouble, XetError, XetFault};
pub use hashes::{MerkleTree, chunk_hash, file_hash};
pub use proven::{Proven, prove_terms};
pub use reconstruction::{Fetch, Reconstruction};
pub use stream::XetStream;
pub use terms::AllTerms;
pub use ways::Ways;
pub use wire::{Form, parse_reconstruction};
