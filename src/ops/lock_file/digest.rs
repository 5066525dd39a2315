//! The digest of a model's files, by which each later check recognises the lock file's.

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::domain::lock_file::LockedFile;
use crate::domain::repo::CommitSha;

/// The Hub lists other files at a locked commit than the lock file has.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the Hub lists other files at commit {} than the lock file has", .commit.short())]
pub struct NotAsLocked {
    pub commit: CommitSha,
}

/// Returns the digest of the paths, sizes and hashes of the files.
pub fn files_digest(files: &[LockedFile]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for file in files {
        // A path has no NUL.
        let line = format!("{}\0{}\0{}\0", file.path, file.size_bytes, file.content);
        digest.update(line);
    }
    digest.finalize().into()
}
