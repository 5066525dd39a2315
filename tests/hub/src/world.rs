//! The contents of the hub: repositories, commits, files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::content::{Content, sha256_hex};
use super::repos::Gate;

#[derive(Default)]
pub(crate) struct World {
    pub(crate) repos: HashMap<RepoKey, RepoState>,
    pub(crate) renamed: HashMap<RepoKey, RepoKey>,
    /// Valid tokens, each with the web paths of the closed repositories it may read.
    pub(crate) tokens: HashMap<String, BTreeSet<String>>,
    /// Valid refresh tokens, each with the paths that its access tokens open.
    pub(crate) logins: HashMap<String, BTreeSet<String>>,
    /// Identity tokens of pipelines, each with the resource that admits it.
    pub(crate) identities: HashMap<String, String>,
    /// The number of tokens issued so far.
    pub(crate) n_granted: usize,
}

impl World {
    /// Returns the secrets that no other host may see.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &String> {
        self.tokens.keys().chain(self.logins.keys())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RepoKey {
    pub(crate) kind: Kind,
    pub(crate) id: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Model,
    Dataset,
    Space,
    Kernel,
}

impl Kind {
    pub(crate) fn from_plural(text: &str) -> Option<Self> {
        match text {
            "models" => Some(Self::Model),
            "datasets" => Some(Self::Dataset),
            "spaces" => Some(Self::Space),
            "kernels" => Some(Self::Kernel),
            _ => None,
        }
    }

    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Model => "models",
            Self::Dataset => "datasets",
            Self::Space => "spaces",
            Self::Kernel => "kernels",
        }
    }

    pub(crate) fn singular(self) -> &'static str {
        self.plural().trim_end_matches('s')
    }
}

impl RepoKey {
    pub(crate) fn parse(id: &str) -> Self {
        let (kind, id) = match id.split_once('/') {
            Some((first, rest)) if rest.contains('/') => match Kind::from_plural(first) {
                Some(kind) => (kind, rest),
                None => panic!("`{id}` is not a repository id"),
            },
            _ => (Kind::Model, id),
        };
        Self {
            kind,
            id: id.to_owned(),
        }
    }

    /// Returns the id as in resolve URLs: `acme/tiny`, `datasets/acme/corpus`.
    pub(crate) fn web_path(&self) -> String {
        match self.kind {
            Kind::Model => self.id.clone(),
            kind => format!("{}/{}", kind.plural(), self.id),
        }
    }

    pub(crate) fn api_path(&self) -> String {
        format!("/api/{}/{}", self.kind.plural(), self.id)
    }
}

#[derive(Clone, Default)]
pub(crate) struct RepoState {
    /// Full names (`refs/heads/main`) to commit hashes.
    pub(crate) refs: BTreeMap<String, String>,
    pub(crate) commits: HashMap<String, Arc<Commit>>,
    pub(crate) access: Access,
    /// The licence in the model card.
    pub(crate) licence: Option<String>,
    /// The files in which the Hub's scanners found something, each with a level.
    pub(crate) issues: Vec<(String, String)>,
    /// The tag objects of annotated tags, by full name.
    pub(crate) tag_objects: BTreeMap<String, String>,
}

#[derive(Clone, Default)]
pub(crate) struct Access {
    pub(crate) gated: Option<Gate>,
    pub(crate) private: bool,
    pub(crate) disabled: bool,
}

impl RepoState {
    /// Returns the commit of a revision in the client's notation.
    pub(crate) fn find(&self, revision: &str) -> Option<Arc<Commit>> {
        let sha = match self.ref_name(revision) {
            Some(name) => &self.refs[&name],
            None => revision,
        };
        self.commits.get(sha).cloned()
    }

    pub(crate) fn ref_name(&self, revision: &str) -> Option<String> {
        let revision = if revision == "HEAD" { "main" } else { revision };
        [
            format!("refs/heads/{revision}"),
            format!("refs/tags/{revision}"),
            revision.to_owned(),
        ]
        .into_iter()
        .find(|name| self.refs.contains_key(name))
    }

    /// Points a revision to a commit.
    pub(crate) fn add(&mut self, revision: &str, mut commit: Commit) -> String {
        let (minutes, sha) = (self.commits.len(), commit.sha.clone());
        if commit.date.is_empty() {
            commit.date = format!(
                "2026-01-{:02}T{:02}:{:02}:00.000Z",
                1 + minutes / 1440 % 28,
                minutes / 60 % 24,
                minutes % 60
            );
        }
        self.commits
            .entry(sha.clone())
            .or_insert_with(|| Arc::new(commit));
        self.refs.insert(revision.to_owned(), sha.clone());
        sha
    }
}

pub(crate) struct Commit {
    pub(crate) sha: String,
    pub(crate) title: String,
    pub(crate) parent: Option<String>,
    pub(crate) date: String,
    pub(crate) files: BTreeMap<String, FileEntry>,
    pub(crate) raw_entries: Vec<Value>,
    pub(crate) listing: OnceLock<Vec<Listed>>,
}

/// One line of a recursive listing.
pub(crate) enum Listed {
    Directory(String),
    File(String),
    Raw(usize),
}

impl Commit {
    /// Returns the whole listing in an unspecified order: the Hub guarantees none.
    pub(crate) fn listing(&self) -> &[Listed] {
        self.listing.get_or_init(|| {
            let directories: BTreeSet<&str> = self
                .files
                .keys()
                .flat_map(|path| path.match_indices('/').map(|(at, _)| &path[..at]))
                .filter(|path| !path.is_empty())
                .collect();
            let mut listing: Vec<Listed> = directories
                .into_iter()
                .map(|path| Listed::Directory(path.to_owned()))
                .chain(self.files.keys().map(|path| Listed::File(path.clone())))
                .chain((0..self.raw_entries.len()).map(Listed::Raw))
                .collect();
            listing.sort_by_key(Listed::disorder);
            listing
        })
    }
}

impl Listed {
    fn disorder(&self) -> u64 {
        let path = match self {
            Self::Directory(path) | Self::File(path) => path.as_str(),
            Self::Raw(_) => "",
        };
        path.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        })
    }
}

#[derive(Clone)]
pub(crate) struct FileEntry {
    pub(crate) content: Content,
    pub(crate) storage: Storage,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Storage {
    Git,
    Lfs,
    Xet(String),
}

impl FileEntry {
    pub(crate) fn is_lfs(&self) -> bool {
        self.storage != Storage::Git
    }

    /// Returns the normalised etag of the content: SHA-256 for LFS, else git blob id.
    pub(crate) fn etag(&self) -> &str {
        match self.storage {
            Storage::Git => self.content.git_blob_id(),
            Storage::Lfs | Storage::Xet(_) => self.content.sha256(),
        }
    }

    /// Returns the blob id in git: that of the pointer for LFS files.
    pub(crate) fn oid(&self) -> String {
        match self.storage {
            Storage::Git => self.content.git_blob_id().to_owned(),
            Storage::Lfs | Storage::Xet(_) => {
                super::content::git_blob_id(self.content.lfs_pointer().as_bytes())
            }
        }
    }

    /// Returns the `ETag` of the CDN: 64 hex digits that are not the SHA-256.
    pub(crate) fn cdn_etag(&self) -> String {
        match &self.storage {
            Storage::Xet(hash) => hash.clone(),
            _ => sha256_hex(format!("xet {}", self.etag()).as_bytes()),
        }
    }
}
