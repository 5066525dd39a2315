//! Xet storage: reconstructs files, or parts of them, from chunks.
//!
//! [`XetClient`] requests the reconstruction of a file: the terms that it consists of and the
//! signed URLs of their chunks. [`XetStream`] reads a range of the file from them. Chunking and
//! hashing determine which chunks of old files can be copied instead.
//!
//! All input from network and disk is hostile until it is parsed: every list is bounded and
//! every length is checked against the others. The SHA-256 of the whole file is verified
//! elsewhere and has the final say. Uploads are deliberately absent.
//!
//! | file | contents |
//! |---|---|
//! | `hashes` | chunk, node and file hashes |
//! | `chunking`, `chunked_file` | chunk boundaries and hashes, in one pass or with several threads |
//! | `client`, `wire`, `reconstruction` | requests for reconstructions and their JSON |
//! | `terms` | all terms of a large file, window by window |
//! | `stream`, `xorb` | a range of a file, and the decoding of its chunks |
//! | `verified_terms` | undamaged parts of a damaged file |
//! | `route_health` | routes that failed and are avoided |
//! | `sidecar` | terms and chunk lengths of a file, stored beside it |
//! | `error` | kinds of failure |

mod chunked_file;
mod chunking;
mod client;
mod error;
mod hashes;
#[cfg(test)]
mod noise;
mod reconstruction;
mod route_health;
pub mod sidecar;
mod stream;
mod terms;
mod verified_terms;
mod wire;
pub mod xorb;

pub use chunked_file::{ChunkedFile, chunk_file, complete_lengths};
pub use chunking::{ChunkLengths, Chunker, FileHasher};
pub use client::{CasToken, TokenSource, XetClient, XetStorage};
pub use error::{TokenRequestError, XetError, XetFault};
pub use hashes::{MerkleTree, file_hash};
pub use reconstruction::{Fetch, Reconstruction};
pub use route_health::RouteHealth;
pub use stream::XetStream;
pub use terms::AllTerms;
pub use verified_terms::{VerifiedTerms, verify_terms};
pub use wire::{ApiVersion, parse_reconstruction};
