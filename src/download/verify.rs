//! The hash that bytes must have, computed while they pass.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::domain::content::ContentId;
use crate::domain::proof::FileStamp;
use crate::domain::ranges::ByteRange;
use crate::sys::stamp::stamp_of;
use crate::sys::{file_io, open};

/// The result of reading a file from its first byte to its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WholeRead {
    pub has_content: bool,
    /// The file's stamp; `None` when it changed while it was read.
    pub stamp: Option<FileStamp>,
}

/// Reads a file and tells whether its bytes hash to a content.
pub fn has_content(path: &Path, content: &ContentId) -> io::Result<bool> {
    let read = prove_content(path, content, &mut |_| ControlFlow::Continue(()))?;
    Ok(read.is_some_and(|read| read.has_content))
}

/// As `has_content`, and passes each piece to `on_read`; `None` when that broke off.
///
/// What was read is not kept in memory by the system: a look at everything on
/// disk must not push out what others use.
pub fn prove_content(
    path: &Path,
    content: &ContentId,
    on_read: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> io::Result<Option<WholeRead>> {
    const FORGET_EVERY: u64 = 8 << 20;
    let mut file = open::read_through_links(path)?;
    let before = stamp_of(&file.metadata()?);
    let mut hasher = ContentHasher::new(*content, before.size_bytes);
    let mut buffer = vec![0; 256 * 1024];
    let (mut position, mut forgotten) = (0, 0);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => {
                let is_unchanged = stamp_of(&file.metadata()?) == before;
                return Ok(Some(WholeRead {
                    has_content: hasher.finish().is_ok(),
                    stamp: is_unchanged.then_some(before),
                }));
            }
            Ok(n) => {
                hasher.update(&buffer[..n]);
                position += n as u64;
                if position - forgotten >= FORGET_EVERY {
                    file_io::forget(&file, ByteRange::new(forgotten, position));
                    forgotten = position;
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

/// Computes the kind of hash that a content is known by.
pub(crate) struct ContentHasher {
    expected: ContentId,
    state: State,
}

enum State {
    Sha256(Sha256),
    Sha1(Sha1),
}

impl ContentHasher {
    pub(crate) fn new(expected: ContentId, size_bytes: u64) -> Self {
        let state = match expected {
            ContentId::Sha256(_) => State::Sha256(Sha256::new()),
            ContentId::GitSha1(_) => {
                // Git hashes a header that names kind and length before the bytes.
                let mut sha1 = Sha1::new();
                sha1.update(format!("blob {size_bytes}\0"));
                State::Sha1(sha1)
            }
        };
        Self { expected, state }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Sha256(sha256) => sha256.update(bytes),
            State::Sha1(sha1) => sha1.update(bytes),
        }
    }

    /// Returns what the bytes are, if that is not what they should be.
    pub(crate) fn finish(self) -> Result<(), ContentId> {
        let found = match self.state {
            State::Sha256(sha256) => ContentId::Sha256(sha256.finalize().into()),
            State::Sha1(sha1) => ContentId::GitSha1(sha1.finalize().into()),
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
    fn both_kinds_of_hash_know_their_content() {
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
