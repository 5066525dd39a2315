//! Snapshots: the files of a repository at one commit, as the Hub lists them.

use super::content::ContentId;
use super::filter::Filter;
use super::nearest::nearest;
use super::quantisation::{Quantisation, is_gguf, quantisations};
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
        count_and_list(&self.paths())
    }

    /// Returns the file whose path or name is most like a mistyped path.
    pub fn nearest(&self, path: &RepoPath) -> Option<&RepoPath> {
        let name = |path: &RepoPath| path.segments().last().map(str::to_owned);
        let same_name = |file: &&RemoteFile| name(&file.path) == name(path);
        let by_name = self.files.iter().find(same_name);
        let by_path = || nearest(path.as_str(), self.paths())?.parse().ok();
        let found = by_name.map(|file| file.path.clone()).or_else(by_path)?;
        self.find(&found).map(|file| &file.path)
    }

    /// Returns the files that a filter selects.
    pub fn selected(&self, filter: &Filter) -> Vec<&RemoteFile> {
        let selection = filter.among(&self.paths());
        let files = self.files.iter();
        files
            .filter(|file| selection.has(file.path.as_str()))
            .collect()
    }

    /// Counts the files that a filter selects, or all of them without a filter.
    pub fn amount(&self, filter: Option<&Filter>) -> Amount {
        match filter {
            Some(filter) => Amount::of(self.selected(filter)),
            None => Amount::of(&self.files),
        }
    }

    pub fn paths(&self) -> Vec<&str> {
        self.files.iter().map(|file| file.path.as_str()).collect()
    }
}

/// The filter selects no file, or the repository has none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{missing}; it has {present}")]
pub struct NothingSelected {
    missing: String,
    /// Some of the repository's files or quantisations, as text.
    present: String,
    hint: &'static str,
}

impl NothingSelected {
    pub fn new(repo: &Repo, listing: &RemoteSnapshot, filter: &Filter) -> Self {
        let (paths, at) = (listing.paths(), listing.commit.short());
        let mut quantisations = filter.quantisations();
        let missing = quantisations.find(|quantisation| quantisation.files(&paths).is_empty());
        match missing {
            Some(quantisation) => Self {
                missing: match quantisation {
                    Quantisation::Word(_) => {
                        format!("`{repo}` at {at} has no file of {quantisation}")
                    }
                    Quantisation::File(_) => format!("`{repo}` at {at} has no file {quantisation}"),
                },
                present: gguf_examples(&paths).unwrap_or_else(|| listing.examples()),
                hint: "choose another one, or files by `--include`; nothing was changed",
            },
            None => Self {
                missing: format!("no file of `{repo}` at {at} is selected"),
                present: listing.examples(),
                hint: "give patterns that match its files; nothing was changed",
            },
        }
    }

    pub fn hint(&self) -> Option<&'static str> {
        Some(self.hint).filter(|_| self.present != NO_FILE)
    }
}

/// Lists the quantisations of a repository, or its GGUF files if their names tell none.
fn gguf_examples(paths: &[&str]) -> Option<String> {
    let ggufs: Vec<&str> = paths.iter().copied().filter(|path| is_gguf(path)).collect();
    let known = quantisations(paths);
    match (known.len(), ggufs.len()) {
        (_, 0) => None,
        (0, _) => Some(count_and_list(&ggufs)),
        (1, _) => Some(format!("the quantisation {}", quoted(&known))),
        _ => Some(format!("the quantisations {}", quoted(&known))),
    }
}

fn quoted(names: impl IntoIterator<Item = impl std::fmt::Display>) -> String {
    let names = names.into_iter().map(|name| format!("`{name}`"));
    names.collect::<Vec<_>>().join(", ")
}

/// Lists a few names and the number of all.
fn count_and_list(names: &[&str]) -> String {
    const MOST: usize = 5;
    match names {
        [] => NO_FILE.to_owned(),
        [one] => format!("one file: `{one}`"),
        some if some.len() <= MOST => format!("{} files: {}", some.len(), quoted(some)),
        many => {
            let (first, n_more) = (quoted(&many[..MOST]), many.len() - MOST);
            format!("{} files: {first} and {n_more} more", many.len())
        }
    }
}

/// A number of files and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    pub files: u64,
    pub bytes: u64,
}

impl Amount {
    fn of<'f>(files: impl IntoIterator<Item = &'f RemoteFile>) -> Self {
        files.into_iter().fold(Self::default(), |sum, file| Self {
            files: sum.files + 1,
            bytes: sum.bytes.saturating_add(file.size_bytes),
        })
    }
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

/// Files up to this size are fetched in one request anyway.
const SMALLEST_WITH_DELTA: u64 = 1 << 20;

impl RemoteFile {
    /// Reports whether a delta of the file may be worth its requests.
    pub fn may_have_delta(&self) -> bool {
        self.xet_hash.is_some() && self.size_bytes > SMALLEST_WITH_DELTA
    }
}
