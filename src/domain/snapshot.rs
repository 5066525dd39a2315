//! Snapshots: the files of a repository at one commit, as the Hub lists them.

use super::content::ContentId;
use super::filter::Filter;
use super::repo::{CommitSha, Repo, RepoPath};
use super::xet::XetHash;
use thiserror::Error;

/// A repository's complete listing at one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteSnapshot {
    pub commit: CommitSha,
    /// Sorted by path, each path once.
    pub files: Vec<RemoteFile>,
}

const NO_FILE: &str = "no file";

impl RemoteSnapshot {
    /// Returns the file at a path, if the commit has one.
    pub fn find(&self, path: &RepoPath) -> Option<&RemoteFile> {
        let at = self.files.binary_search_by(|file| file.path.cmp(path));
        self.files.get(at.ok()?)
    }

    /// Lists a few of the files and the number of all.
    pub fn examples(&self) -> String {
        const MOST: usize = 5;
        let names: Vec<&str> = self.files.iter().map(|file| file.path.as_str()).collect();
        let list = |names: &[&str]| {
            let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            quoted.join(", ")
        };
        match names.as_slice() {
            [] => NO_FILE.to_owned(),
            [one] => format!("one file: `{one}`"),
            some if some.len() <= MOST => format!("{} files: {}", some.len(), list(some)),
            many => {
                let (first, n_more) = (list(&many[..MOST]), many.len() - MOST);
                format!("{} files: {first} and {n_more} more", many.len())
            }
        }
    }

    /// Counts the files that a filter selects, or all of them without a filter.
    pub fn amount(&self, filter: Option<&Filter>) -> Amount {
        let selected =
            |file: &&RemoteFile| filter.is_none_or(|filter| filter.selects(file.path.as_str()));
        let files = self.files.iter().filter(selected);
        files.fold(Amount::default(), |sum, file| Amount {
            files: sum.files + 1,
            bytes: sum.bytes.saturating_add(file.size_bytes),
        })
    }
}

/// The filter selects no file, or the repository has none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no file of `{repo}` at {} is selected; it has {examples}", .commit.short())]
pub struct NothingSelected {
    pub repo: Repo,
    pub commit: CommitSha,
    /// Some of the repository's files, as text.
    pub examples: String,
}

impl NothingSelected {
    pub fn hint(&self) -> Option<&'static str> {
        Some("give patterns that match its files; nothing was changed")
            .filter(|_| self.examples != NO_FILE)
    }
}

/// A number of files and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    pub files: u64,
    pub bytes: u64,
}

/// One file of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    pub path: RepoPath,
    pub size_bytes: u64,
    /// The expected hash of the bytes.
    pub content: ContentId,
    /// The git blob id of the tree entry (of the pointer, for LFS files). The
    /// listing stored in the cache contains it.
    pub git_oid: [u8; 20],
    /// The Xet file hash, if the content is in Xet storage and may be read.
    pub xet_hash: Option<XetHash>,
}
