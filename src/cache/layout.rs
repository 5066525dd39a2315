//! The layout of the Hub cache: pure functions from names to paths.
//!
//! Paths are joined part by part, so separators are those of the platform; the
//! standard library turns long absolute paths into their `\\?\` form on
//! Windows by itself. `domain::placement` refuses names that Windows cannot hold
//! before any path is made.
//!
//! The folder `models--…/.hfdl/` is private to hfdl: readers ignore it, and it is
//! deleted with the repository. It holds partial files with their journals,
//! listings and files in preparation. Partial files are not in `blobs/`, as those
//! of the official client are, because `hf cache prune` would delete them there
//! before the next run resumes them. A journal without its file is void.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::homes::HomeFolder;
use crate::domain::content::ContentId;
use crate::domain::deletion::HomeIdentity;
use crate::domain::repo::{CommitSha, Repo, RepoPath, RepoType, Revision};

/// The suffix that tells our partial files from all others.
pub const PARTIAL_SUFFIX: &str = ".incomplete";
/// The suffix of a partial file's journal, which lies beside it.
pub const JOURNAL_SUFFIX: &str = ".incomplete.journal";
/// The suffix of a journal that is being written anew.
pub const NEW_JOURNAL_SUFFIX: &str = ".incomplete.journal.new";
/// The suffix of bytes with a wrong hash, which are kept to be looked at.
pub const EVIDENCE_SUFFIX: &str = ".incomplete.bad";

/// The suffix of a later damage of the same content, while the evidence of the first is there.
pub const LATER_EVIDENCE_SUFFIX: &str = ".incomplete.bad.2";
/// The suffix of the lock that is held while a partial file is fetched.
pub const PARTIAL_LOCK_SUFFIX: &str = ".incomplete.lock";
/// The suffix of the file that lists the chunks of a content.
pub const SIDECAR_SUFFIX: &str = ".xet";
/// Starts the names of snapshots that are being put together in `.hfdl/`.
pub const STAGING_PREFIX: &str = "staging-";
/// Starts the names of snapshots that are being deleted in `.hfdl/`.
pub const TRASH_PREFIX: &str = "trash-";

/// A Hub cache by its root folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheLayout {
    root: PathBuf,
    /// The home that works here; without one no records are written.
    home: Option<Arc<HomeIdentity>>,
}

/// One repository's folder in a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepoLayout {
    folder: PathBuf,
    home: Option<HomeFolder>,
}

impl CacheLayout {
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            home: None,
        }
    }

    /// Names the home on whose behalf files are written and deleted.
    pub fn of_home(mut self, home: &Arc<HomeIdentity>) -> Self {
        self.home = Some(home.clone());
        self
    }

    pub fn home(&self) -> Option<&Arc<HomeIdentity>> {
        self.home.as_ref()
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn repo(&self, repo: &Repo) -> RepoLayout {
        let folder = self.root.join(folder_name(repo));
        let private = Path::new(&folder_name(repo)).join(".hfdl");
        let home = self.home.as_ref();
        let home = home.map(|home| HomeFolder::new(&self.root, private, home));
        RepoLayout { folder, home }
    }

    /// Returns the repository in whose folder of the cache a file is.
    pub fn repo_of(&self, file: &Path) -> Option<Repo> {
        let folder = file.strip_prefix(&self.root).ok()?.iter().next()?;
        parse_folder_name(folder.to_str()?)
    }

    /// Returns the lock that all writers of one blob take.
    pub fn blob_lock(&self, repo: &Repo, content: &ContentId) -> PathBuf {
        self.locks(repo).join(format!("{}.lock", content.etag()))
    }

    /// Returns the folder of a repository's official locks.
    pub fn locks(&self, repo: &Repo) -> PathBuf {
        self.root.join(".locks").join(folder_name(repo))
    }

    /// Returns the file that tells backup programs to leave the whole cache out. The
    /// official client writes it from version 1 on.
    pub fn tag(&self) -> PathBuf {
        self.root.join("CACHEDIR.TAG")
    }
}

impl RepoLayout {
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the file that tells backup programs to leave the repository out.
    pub fn tag(&self) -> PathBuf {
        self.folder.join("CACHEDIR.TAG")
    }

    pub fn blobs(&self) -> PathBuf {
        self.folder.join("blobs")
    }

    pub(super) fn cache_root(&self) -> &Path {
        self.folder.parent().unwrap_or(&self.folder)
    }

    /// Returns the shared store of the official client, at the cache's root.
    pub(super) fn shared_store(&self) -> PathBuf {
        self.cache_root().join("blobs")
    }

    pub fn blob(&self, content: &ContentId) -> PathBuf {
        self.blobs().join(content.etag())
    }

    pub fn snapshots(&self) -> PathBuf {
        self.folder.join("snapshots")
    }

    pub fn snapshot(&self, commit: &CommitSha) -> PathBuf {
        self.snapshots().join(commit.as_str())
    }

    pub fn entry(&self, commit: &CommitSha, path: &RepoPath) -> PathBuf {
        below(self.snapshot(commit), path.segments())
    }

    pub fn refs(&self) -> PathBuf {
        self.folder.join("refs")
    }

    pub fn reference(&self, revision: &Revision) -> PathBuf {
        below(self.refs(), revision.as_str().split('/'))
    }

    /// Returns the official listing of a commit.
    pub fn tree(&self, commit: &CommitSha) -> PathBuf {
        self.folder.join("trees").join(format!("{commit}.json"))
    }

    pub fn no_exist(&self, commit: &CommitSha, path: &RepoPath) -> PathBuf {
        below(self.no_exist_of(commit), path.segments())
    }

    pub fn no_exist_of(&self, commit: &CommitSha) -> PathBuf {
        self.folder.join(".no_exist").join(commit.as_str())
    }

    /// Returns the folder that is ours alone.
    pub fn private(&self) -> PathBuf {
        self.folder.join(".hfdl")
    }

    /// Returns the records of the home that works here.
    pub fn home(&self) -> Option<&HomeFolder> {
        self.home.as_ref()
    }

    /// Returns the folder in which files are prepared. It belongs to the home, so that
    /// files left by a crash have a known owner.
    pub fn aside(&self) -> PathBuf {
        self.home
            .as_ref()
            .map_or_else(|| self.private(), HomeFolder::path)
    }

    pub fn partial(&self, content: &ContentId) -> PathBuf {
        let name = format!("{}{PARTIAL_SUFFIX}", content.etag());
        self.private().join(name)
    }

    pub fn journal(&self, content: &ContentId) -> PathBuf {
        let name = format!("{}{JOURNAL_SUFFIX}", content.etag());
        self.private().join(name)
    }

    /// Returns where bytes are kept that did not have this content's hash.
    pub fn evidence(&self, content: &ContentId) -> [PathBuf; 2] {
        [EVIDENCE_SUFFIX, LATER_EVIDENCE_SUFFIX]
            .map(|suffix| self.private().join(format!("{}{suffix}", content.etag())))
    }

    /// Returns the file that lists the chunks of a content.
    pub fn sidecar(&self, content: &ContentId) -> PathBuf {
        let name = format!("{}{SIDECAR_SUFFIX}", content.etag());
        self.private().join(name)
    }

    /// Returns our own listing of a commit, kept for filtered snapshots too.
    pub fn private_tree(&self, commit: &CommitSha) -> PathBuf {
        let trees = self.private().join("trees");
        trees.join(format!("{commit}.json"))
    }

    /// Returns where a new snapshot is put together.
    ///
    /// It is as deep as the final folder, so that relative links are right in
    /// both places and can be checked before the rename.
    ///
    /// Each home has its own folder. While it exists, a snapshot of that commit was
    /// made by another home or program.
    pub fn staging(&self, commit: &CommitSha) -> PathBuf {
        let id = self.home.as_ref().map(HomeFolder::id);
        self.private().join(staging_name(commit, id))
    }

    /// Returns the lock for publishing a snapshot: another home may publish the same
    /// commit into the same cache.
    pub fn publication_lock(&self, commit: &CommitSha) -> PathBuf {
        self.private()
            .join(format!("{commit}{PARTIAL_LOCK_SUFFIX}"))
    }

    /// Returns where a snapshot waits for its deletion.
    pub fn trash(&self, commit: &CommitSha) -> PathBuf {
        self.private().join(format!("{TRASH_PREFIX}{commit}"))
    }
}

/// Returns the name of the folder in which a home puts a snapshot together.
pub(super) fn staging_name(commit: &CommitSha, home: Option<&str>) -> String {
    match home {
        Some(home) => format!("{STAGING_PREFIX}{commit}-{home}"),
        None => format!("{STAGING_PREFIX}{commit}"),
    }
}

/// Returns a repository's folder name, such as `models--org--name`.
pub fn folder_name(repo: &Repo) -> String {
    let id = repo.id.as_str().replace('/', "--");
    format!("{}--{id}", repo.kind.plural())
}

/// Returns the repository of a folder name; ids never contain `--`, so there is one at most.
pub fn parse_folder_name(name: &str) -> Option<Repo> {
    let (kind, id) = name.split_once("--")?;
    let kind = RepoType::ALL.into_iter().find(|t| t.plural() == kind)?;
    Some(Repo::new(kind, id.replace("--", "/").parse().ok()?))
}

/// Returns the target of a snapshot's link: relative, so that a cache can be moved.
pub fn relative_blob(path: &RepoPath, content: &ContentId) -> PathBuf {
    let mut target: PathBuf = ["..", ".."].iter().collect();
    for _ in path.segments().skip(1) {
        target.push("..");
    }
    target.push("blobs");
    target.push(content.etag());
    target
}

/// Returns a repository's path as one of this platform, still relative.
pub fn native(path: &RepoPath) -> PathBuf {
    path.segments().collect()
}

fn below<'a>(mut folder: PathBuf, parts: impl Iterator<Item = &'a str>) -> PathBuf {
    folder.extend(parts);
    folder
}

/// Returns the folder of the repository that a path in a Hub cache is below.
pub fn repo_folder_of(path: &Path) -> Option<&Path> {
    let name = |folder: &Path| parse_folder_name(folder.file_name()?.to_str()?);
    path.ancestors().find(|folder| name(folder).is_some())
}

/// Tells whether a path is that of a blob in a Hub cache, to which snapshots have links.
pub fn is_blob_of_a_cache(path: &Path) -> bool {
    let blobs = path.parent();
    let is_blobs = blobs.is_some_and(|blobs| blobs.ends_with("blobs"));
    let repo = blobs.and_then(|blobs| blobs.parent()?.file_name()?.to_str());
    is_blobs && repo.is_some_and(|repo| parse_folder_name(repo).is_some())
}

#[cfg(test)]
mod tests {
    use std::path::Component;

    use proptest::prelude::*;

    use super::*;

    fn repo(text: &str) -> Repo {
        let kinds = [RepoType::Dataset, RepoType::Kernel].into_iter();
        let (kind, id) = kinds
            .filter_map(|kind| Some((kind, text.strip_prefix(kind.url_prefix())?)))
            .next()
            .unwrap_or((RepoType::Model, text));
        Repo::new(kind, id.parse().unwrap())
    }

    #[test]
    fn folder_names_can_be_turned_back() {
        for (id, name) in [
            ("acme/tiny", "models--acme--tiny"),
            ("gpt2", "models--gpt2"),
            ("datasets/a-b/c_d.e", "datasets--a-b--c_d.e"),
            ("kernels/acme/fast", "kernels--acme--fast"),
        ] {
            assert_eq!(folder_name(&repo(id)), name);
            assert_eq!(parse_folder_name(name), Some(repo(id)));
        }
        for foreign in [
            "blobs",
            "buckets--a--b",
            "models--a--b--c",
            "models",
            ".locks",
            "models--",
        ] {
            assert_eq!(parse_folder_name(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn every_name_has_its_official_place() {
        let cache = CacheLayout::new("C");
        let tiny = cache.repo(&repo("acme/tiny"));
        let commit: CommitSha = "0123456789".repeat(4).parse().unwrap();
        let content = ContentId::GitSha1([0xab; 20]);
        let etag = "ab".repeat(20);
        let path: RepoPath = "sub/model.bin".parse().unwrap();
        let at = |rest: &str| Path::new("C/models--acme--tiny").join(rest);
        for (found, expected) in [
            (tiny.blob(&content), at(&format!("blobs/{etag}"))),
            (
                tiny.entry(&commit, &path),
                at(&format!("snapshots/{commit}/sub/model.bin")),
            ),
            (
                tiny.reference(&"refs/pr/1".parse().unwrap()),
                at("refs/refs/pr/1"),
            ),
            (tiny.tree(&commit), at(&format!("trees/{commit}.json"))),
            (
                tiny.no_exist(&commit, &path),
                at(&format!(".no_exist/{commit}/sub/model.bin")),
            ),
            (
                tiny.partial(&content),
                at(&format!(".hfdl/{etag}.incomplete")),
            ),
            (
                tiny.journal(&content),
                at(&format!(".hfdl/{etag}.incomplete.journal")),
            ),
        ] {
            assert_eq!(found, expected);
        }
        assert_eq!(
            cache.blob_lock(&repo("acme/tiny"), &content),
            Path::new("C/.locks/models--acme--tiny").join(format!("{etag}.lock"))
        );
    }

    /// Resolves `..` by names alone.
    fn resolve(path: &Path) -> PathBuf {
        let mut resolved = PathBuf::new();
        for part in path.components() {
            match part {
                Component::ParentDir => assert!(resolved.pop()),
                part => resolved.push(part),
            }
        }
        resolved
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn relative_links_always_resolve_to_the_blob(path in "[a-z.]{1,3}(/[a-z]{1,3}){0,6}") {
            prop_assume!(path.parse::<RepoPath>().is_ok());
            let path: RepoPath = path.parse().unwrap();
            let layout = CacheLayout::new("C").repo(&repo("acme/tiny"));
            let commit: CommitSha = "a".repeat(40).parse().unwrap();
            let content = ContentId::Sha256([7; 32]);
            let staged = below(layout.staging(&commit), path.segments());
            for entry in [layout.entry(&commit, &path), staged] {
                let folder = entry.parent().unwrap();
                let target = folder.join(relative_blob(&path, &content));
                prop_assert_eq!(resolve(&target), layout.blob(&content));
            }
        }
    }
}
