//! The files of a repository at one commit, as the Hub lists them.

use super::content::ContentId;
use super::repo::{CommitSha, RepoPath};
use super::xet::XetHash;

/// A repository's complete listing at one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteSnapshot {
    pub commit: CommitSha,
    /// Sorted by path, each path once.
    pub files: Vec<RemoteFile>,
}

impl RemoteSnapshot {
    /// Returns the file of a path, if the commit has one.
    pub fn find(&self, path: &RepoPath) -> Option<&RemoteFile> {
        let at = self.files.binary_search_by(|file| file.path.cmp(path));
        self.files.get(at.ok()?)
    }
}

/// One file of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    pub path: RepoPath,
    pub size_bytes: u64,
    /// What the bytes must hash to.
    pub content: ContentId,
    /// The git blob id of the tree entry (of the pointer, for LFS files); the
    /// listing kept in the cache names it.
    pub git_oid: [u8; 20],
    /// The Xet file hash, where the content lives in Xet storage and may be read.
    pub xet_hash: Option<XetHash>,
}
