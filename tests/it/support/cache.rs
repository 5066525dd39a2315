//! Caches on real temporary folders, filled without a network.
#![allow(clippy::unwrap_used)]

use std::any::Any;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hfdl::cache::{
    CacheLayout, CacheWriter, LinkChoice, Published, RepoLayout, local_facts, published_commit,
};
use hfdl::domain::content::ContentId;
use hfdl::domain::deletion::HomeIdentity;
use hfdl::domain::filter::Filter;
use hfdl::domain::plan::{SyncPlan, plan_sync};
use hfdl::domain::repo::{Repo, RepoType, Revision};
use hfdl::domain::snapshot::{RemoteFile, RemoteSnapshot};
use hfdl::domain::xet::XetHash;
use hfdl::sys::abilities;
use hfdl::sys::files;
use hfdl::sys::share::{self, Sharing};
use sha2::Digest;

use super::env::NOW;

/// A repository's commit with its bytes.
pub struct Commit {
    pub listing: RemoteSnapshot,
    pub bytes: BTreeMap<ContentId, Vec<u8>>,
}

/// Makes a commit whose hash is one digit 40 times; `*.bin` files are LFS files.
pub fn commit(digit: char, files: &[(&str, &str)]) -> Commit {
    let mut bytes = BTreeMap::new();
    let mut listed: Vec<RemoteFile> = Vec::new();
    for (path, text) in files {
        let git_oid = git_blob_id(text.as_bytes());
        let content = match path.ends_with(".bin") {
            true => ContentId::Sha256(sha2::Sha256::digest(text.as_bytes()).into()),
            false => ContentId::GitSha1(git_oid),
        };
        bytes.insert(content, text.as_bytes().to_vec());
        listed.push(RemoteFile {
            path: path.parse().unwrap(),
            size_bytes: text.len() as u64,
            content,
            git_oid,
            xet_hash: path
                .ends_with(".bin")
                .then_some(XetHash::from_bytes([0x5a; 32])),
        });
    }
    listed.sort_by(|a, b| a.path.cmp(&b.path));
    Commit {
        listing: RemoteSnapshot {
            commit: digit.to_string().repeat(40).parse().unwrap(),
            files: listed,
        },
        bytes,
    }
}

fn git_blob_id(bytes: &[u8]) -> [u8; 20] {
    let header = format!("blob {}\0", bytes.len());
    sha1::Sha1::new_with_prefix(header.as_bytes())
        .chain_update(bytes)
        .finalize()
        .into()
}

/// Tells whether a file's bytes hash to a content.
pub fn prove(path: &Path, content: &ContentId) -> std::io::Result<bool> {
    let bytes = fs::read(path)?;
    Ok(match content {
        ContentId::Sha256(hash) => *hash == <[u8; 32]>::from(sha2::Sha256::digest(&bytes)),
        ContentId::GitSha1(hash) => *hash == git_blob_id(&bytes),
    })
}

/// A cache, one repository and one branch in it.
pub struct TestCache {
    pub cache: CacheLayout,
    pub repo: Repo,
    pub branch: Revision,
    pub filter: Filter,
    pub links: LinkChoice,
    _dir: Option<tempfile::TempDir>,
}

/// Tells whether a cache keeps its files as blobs: without links of any form the
/// revisions hold them.
pub fn has_blobs() -> bool {
    let dir = tempfile::tempdir().unwrap();
    abilities::supports_symlinks(dir.path()).unwrap() || abilities::supports_hard_links(dir.path())
}

impl TestCache {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut cache = Self::at(&dir.path().join("hub"));
        cache._dir = Some(dir);
        cache
    }

    pub fn with(links: LinkChoice) -> Self {
        let mut cache = Self::new();
        cache.links = links;
        cache
    }

    pub fn at(root: &Path) -> Self {
        Self {
            cache: CacheLayout::new(root),
            repo: model("acme/tiny"),
            branch: Revision::main(),
            filter: Filter::default(),
            links: LinkChoice::WherePossible,
            _dir: None,
        }
    }

    /// Writes on behalf of a home, which keeps a record of it.
    pub fn of_home(mut self, id: &str) -> Self {
        self.cache = self.cache.of_home(&home(id));
        self
    }

    pub fn layout(&self) -> RepoLayout {
        self.cache.repo(&self.repo)
    }

    /// Tells whether snapshots are made of symbolic links.
    pub fn has_symlinks(&self) -> bool {
        self.links == LinkChoice::WherePossible
            && abilities::supports_symlinks(self.cache.root()).unwrap()
    }

    /// Returns an entry of a snapshot as `tree` shows it: with its target where it is a
    /// symbolic link.
    pub fn shown(&self, entry: String, target: &str) -> String {
        if self.has_symlinks() {
            format!("{entry} -> {target}")
        } else {
            entry
        }
    }

    pub fn writer(&self) -> CacheWriter<'_> {
        CacheWriter::open(&self.cache, &self.repo, self.links, &no_lock).unwrap()
    }

    pub fn plan(&self, commit: &Commit) -> SyncPlan {
        let published = published_commit(&self.layout(), &self.branch).unwrap();
        let facts = local_facts(
            &self.cache,
            &self.repo,
            &commit.listing,
            &self.filter,
            published.as_ref(),
        );
        let placement = self.writer().placement().unwrap();
        plan_sync(&commit.listing, &self.filter, &placement, &facts.unwrap()).unwrap()
    }

    /// Stores all missing contents, as a download does.
    pub fn fetch(&self, commit: &Commit, plan: &SyncPlan) {
        let writer = self.writer();
        for (content, (_, from)) in plan.imports() {
            let aside = files::unused_name(&self.layout().private());
            share::share(from, &aside, Sharing::HardLinksToo).unwrap();
            writer.import_blob(&content, &aside).unwrap();
        }
        for planned in plan.fetches() {
            let content = planned.file.content;
            let partial = self.layout().partial(&content);
            fs::write(&partial, &commit.bytes[&content]).unwrap();
            let noted = [(content, &*partial)].into_iter();
            writer.note_blobs(noted).unwrap();
            writer.store_blob(&content, &partial).unwrap();
        }
    }

    pub fn sync(&self, commit: &Commit) -> (SyncPlan, Published) {
        let plan = self.plan(commit);
        self.fetch(commit, &plan);
        let published =
            self.writer()
                .publish(&self.branch, &commit.listing, &plan, &BTreeSet::new());
        (plan, published.unwrap())
    }

    pub fn text(&self, commit: &Commit, path: &str) -> String {
        let entry = self
            .layout()
            .entry(&commit.listing.commit, &path.parse().unwrap());
        fs::read_to_string(&entry).unwrap_or_else(|err| panic!("{}: {err}", entry.display()))
    }
}

/// A home by its install id.
pub fn home(id: &str) -> Arc<HomeIdentity> {
    Arc::new(HomeIdentity {
        id: id.to_owned(),
        path: format!("/homes/{id}"),
        host: "here".to_owned(),
        seen_at: NOW.parse().unwrap(),
    })
}

pub fn repo() -> Repo {
    model("acme/tiny")
}

pub fn model(id: &str) -> Repo {
    Repo::new(RepoType::Model, id.parse().unwrap())
}

pub fn no_lock(_path: &Path) -> anyhow::Result<Box<dyn Any>> {
    Ok(Box::new(()))
}

/// Returns every name below a folder, sorted, with `->` and the target for links.
pub fn tree(root: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = slashes(path.strip_prefix(root).unwrap());
            if path.is_symlink() {
                names.push(format!(
                    "{name} -> {}",
                    slashes(&fs::read_link(&path).unwrap())
                ));
            } else if path.is_dir() {
                folders.push(path);
            } else {
                names.push(name);
            }
        }
    }
    names.sort();
    names
}

fn slashes(path: &Path) -> String {
    let parts: Vec<_> = path
        .components()
        .map(|p| p.as_os_str().to_string_lossy())
        .collect();
    parts.join("/")
}

pub fn write(path: PathBuf, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
