//! Content hashes, computed while bytes pass.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::domain::content::ContentId;
use crate::domain::proof::ProofStamp;
use crate::domain::ranges::ByteRange;
use crate::sys::stamp::stamp_of;
use crate::sys::{file_io, open};

/// The result of reading a whole file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WholeRead {
    pub has_content: bool,
    /// The file's stamp; `None` if it changed during the read.
    pub stamp: Option<ProofStamp>,
}

/// Reads a file and returns whether it has this content.
pub fn has_content(path: &Path, content: &ContentId) -> io::Result<bool> {
    let read = prove_content(path, content, &mut |_| ControlFlow::Continue(()))?;
    Ok(read.is_some_and(|read| read.has_content))
}

/// Like `has_content`, and passes each block to `on_read`; `None` if that breaks off.
///
/// The bytes are evicted from the page cache: a read of everything on disk must not displace
/// the working set of other programs.
pub fn prove_content(
    path: &Path,
    content: &ContentId,
    on_read: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> io::Result<Option<WholeRead>> {
    const FORGET_EVERY: u64 = 8 << 20;
    let mut file = open::read_through_links(path)?;
    let before = stamp_of(&file.metadata()?, path);
    let mut hasher = ContentHasher::new(*content, before.size_bytes);
    let mut buffer = vec![0; 256 * 1024];
    let (mut position, mut evicted_up_to) = (0, 0);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => {
                let is_unchanged = stamp_of(&file.metadata()?, path) == before;
                return Ok(Some(WholeRead {
                    has_content: hasher.finish().is_ok(),
                    stamp: is_unchanged.then_some(before),
                }));
            }
            Ok(n) => {
                hasher.update(&buffer[..n]);
                position += n as u64;
                if position - evicted_up_to >= FORGET_EVERY {
                    file_io::forget(&file, ByteRange::new(evicted_up_to, position));
                    evicted_up_to = position;
                }
                if on_read(&buffer[..n]).is_break() {
                    return Ok(None);
                }
            }
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
}

/// Computes the kind of hash that identifies a content.
pub(crate) struct ContentHasher {
    expected: ContentId,
    state: HasherState,
}

enum HasherState {
    Sha256(Sha256),
    Sha1(Sha1),
}

impl ContentHasher {
    pub(crate) fn new(expected: ContentId, size_bytes: u64) -> Self {
        let state = match expected {
            ContentId::Sha256(_) => HasherState::Sha256(Sha256::new()),
            ContentId::GitSha1(_) => {
                // Git hashes a header with type and length before the bytes.
                let mut sha1 = Sha1::new();
                sha1.update(format!("blob {size_bytes}\0"));
                HasherState::Sha1(sha1)
            }
        };
        Self { expected, state }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            HasherState::Sha256(sha256) => sha256.update(bytes),
            HasherState::Sha1(sha1) => sha1.update(bytes),
        }
    }

    /// Compares the hash with the expected one; returns the actual hash if they differ.
    pub(crate) fn finish(self) -> Result<(), ContentId> {
        let found = match self.state {
            HasherState::Sha256(sha256) => ContentId::Sha256(sha256.finalize().into()),
            HasherState::Sha1(sha1) => ContentId::GitSha1(sha1.finalize().into()),
        };
        if found == self.expected {
            Ok(())
        } else {
            Err(found)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_hash_match_their_content() {
        let ids = [
            "b45ef6fec89518d314f546fd6c3025367b721684",
            "dffd6021bb2bd5b0af676290809ec3a53191dd81c7f70a4b28688a362182986f",
        ];
        for id in ids {
            let id = ContentId::from_etag(id).unwrap();
            let hashed = |parts: &[&str]| {
                let mut hasher = ContentHasher::new(id, 13);
                parts.iter().for_each(|part| hasher.update(part.as_bytes()));
                hasher.finish()
            };
            assert_eq!(hashed(&["Hello, ", "World!"]), Ok(()));
            assert!(hashed(&["Hello, ", "World?"]).is_err());
        }
    }
}
