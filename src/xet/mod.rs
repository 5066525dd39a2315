//! Xet storage: what a file is made of, and how to have only a part of it.
//!
//! | file | idea |
//! |---|---|
//! | `hashes` | chunk, node and file hashes |
//! | `chunking` | where a file is cut, and its hash, in one pass |
//!
//! What comes from the network or from disk is hostile until it is parsed:
//! every list has a bound, every length is checked against the others, and the
//! file's SHA-256 decides in the end whatever was believed here.

mod chunking;
mod hashes;

pub use chunking::{ChunkedFile, Chunker, chunk_file};
pub use hashes::{MerkleTree, chunk_hash, file_hash};
