//! The files of one repository on disk, by any writer.
//!
//! Two depths. The cheap one answers "is this revision published and whole?"
//! with one small read and one look per wanted file. The full scan reads every
//! name below the repository's folder; only `sweep` and people need it.
//! Neither trusts other writers: files that cannot be understood are reported as
//! junk or unknown and never stop the scan.

use std::collections::BTreeMap;
use std::fs::{self, DirEntry};
use std::io;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};

use super::homes::stamp_of;
use super::layout::{
    self, CacheLayout, EVIDENCE_SUFFIX, JOURNAL_SUFFIX, LATER_EVIDENCE_SUFFIX, PARTIAL_SUFFIX,
    RepoLayout,
};
use super::local_dir::{LocalDir, PRIVATE};
use super::{links, wire};
use crate::domain::content::ContentId;
use crate::domain::deletion::OwnershipStamp;
use crate::domain::repo::{CommitSha, Repo, RepoPath, Revision};
use crate::domain::snapshot::{RemoteFile, RemoteSnapshot};
use crate::sys::files::{self, FileIdentity};
use crate::sys::open;

/// All files of one repository on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalRepo {
    pub refs: BTreeMap<Revision, CommitSha>,
    pub snapshots: BTreeMap<CommitSha, LocalSnapshot>,
    /// Snapshots whose deletion was begun and not ended.
    pub trash: BTreeMap<CommitSha, LocalSnapshot>,
    pub blobs: BTreeMap<ContentId, LocalBlob>,
    pub partials: BTreeMap<ContentId, LocalPartial>,
    /// Bytes that did not have the hash of the content that they were to be.
    pub evidence: BTreeMap<ContentId, u64>,
    /// Files of unknown origin, which are left alone.
    pub junk: Vec<PathBuf>,
}

impl LocalRepo {
    /// Returns the bytes that are freed when a blob is deleted with all its names in
    /// this folder: none if its bytes lie elsewhere or have another name.
    pub fn gain_of(&self, content: &ContentId) -> u64 {
        let Some(blob) = self.blobs.get(content) else {
            return 0;
        };
        let folders = self.snapshots.values().chain(self.trash.values());
        let links = folders.filter_map(|folder| folder.hard_links.get(content));
        let n_names_here = 1 + links.sum::<u64>();
        match blob.kind {
            BlobKind::Plain if blob.n_names <= n_names_here => blob.size_bytes,
            _ => 0,
        }
    }
}

/// One revision's folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalSnapshot {
    pub entries: BTreeMap<RepoPath, LocalEntry>,
    /// Names in the folder that are no files of a repository.
    pub n_unreadable: u64,
    /// The number of entries that are hard links of a blob.
    pub hard_links: BTreeMap<ContentId, u64>,
    /// The entries that are files of their own.
    pub real_files: BTreeMap<RepoPath, OwnershipStamp>,
}

impl LocalSnapshot {
    /// Returns the blobs that the snapshot uses.
    pub fn contents(&self) -> impl Iterator<Item = ContentId> {
        self.entries.values().filter_map(LocalEntry::content)
    }

    /// Returns the bytes that readers of the snapshot see.
    pub fn bytes(&self) -> u64 {
        let sizes = self.entries.values().map(|entry| match entry {
            LocalEntry::Blob { size_bytes, .. } | LocalEntry::RealFile { size_bytes } => {
                *size_bytes
            }
            LocalEntry::Dangling => 0,
        });
        sizes.sum()
    }

    /// Tells whether every name in it was understood.
    pub fn is_readable(&self) -> bool {
        self.n_unreadable == 0
    }
}

/// One name in a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalEntry {
    /// A link to, or another name of, this repository's blob.
    Blob { content: ContentId, size_bytes: u64 },
    /// A file that is no blob of this repository.
    RealFile { size_bytes: u64 },
    /// A link that leads to no file.
    Dangling,
}

impl LocalEntry {
    /// Returns the content of the blob that the entry is.
    pub fn content(&self) -> Option<ContentId> {
        match self {
            Self::Blob { content, .. } => Some(*content),
            Self::RealFile { .. } | Self::Dangling => None,
        }
    }
}

/// One content in `blobs/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalBlob {
    pub size_bytes: u64,
    pub kind: BlobKind,
    /// Names that the file has, where the platform counts them.
    pub n_names: u64,
    pub stamp: OwnershipStamp,
    identity: Option<FileIdentity>,
}

/// The form of a blob: a file, or a link to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobKind {
    Plain,
    /// A link, as into the shared Xet store of the official client.
    Link,
}

/// A partial file of ours; how much of it counts is told by its journal alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalPartial {
    pub path: PathBuf,
    pub journal: PathBuf,
    pub size_bytes: u64,
}

/// Tells whether a snapshot has each of these files at its right size.
pub fn snapshot_is_complete<'a>(
    layout: &RepoLayout,
    commit: &CommitSha,
    files: impl IntoIterator<Item = &'a RemoteFile>,
) -> Result<bool> {
    for file in files {
        let found = links::entry_metadata(layout, commit, &file.path)
            .with_context(|| format!("cannot look at `{}`", file.path))?;
        if !found.is_some_and(|found| found.is_file() && found.len() == file.size_bytes) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns the listing of a commit that an earlier download kept: ours, or the official one.
pub fn stored_listing(layout: &RepoLayout, commit: &CommitSha) -> Result<Option<RemoteSnapshot>> {
    for path in [layout.private_tree(commit), layout.tree(commit)] {
        let json = open::read_if_plain(&path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        if let Some(listing) = json.and_then(|json| wire::parse_tree(commit, &json)) {
            return Ok(Some(listing));
        }
    }
    Ok(None)
}

/// Returns the repositories that have a folder in a cache, sorted.
pub fn cached_repos(cache: &CacheLayout) -> Result<Vec<Repo>> {
    let mut repos: Vec<Repo> = read_dir(cache.root())?
        .iter()
        .filter_map(|entry| layout::parse_folder_name(entry.file_name().to_str()?))
        .collect();
    repos.sort();
    Ok(repos)
}

/// Reads every name in a repository's folder.
pub fn scan_repo(cache: &CacheLayout, repo: &Repo) -> Result<LocalRepo> {
    let layout = cache.repo(repo);
    let mut local = LocalRepo::default();
    let folder = fs::symlink_metadata(layout.folder());
    if folder.is_err_and(|err| err.kind() == io::ErrorKind::NotFound) {
        return Ok(local);
    }
    scan_blobs(&layout, &mut local)?;
    scan_partials(&layout, &mut local)?;
    scan_refs(&layout, &mut local)?;
    let names: BTreeMap<FileIdentity, ContentId> = local
        .blobs
        .iter()
        .filter_map(|(content, blob)| Some((blob.identity?, *content)))
        .collect();
    let snapshots = Snapshots {
        blobs: layout.blobs(),
        real_blobs: fs::canonicalize(layout.blobs()).ok(),
        names,
    };
    for entry in read_dir(&layout.snapshots())? {
        match commit_of(&entry, "") {
            Some(commit) => {
                let snapshot = snapshots.scan(&entry.path())?;
                local.snapshots.insert(commit, snapshot);
            }
            None => local.junk.push(entry.path()),
        }
    }
    for entry in read_dir(&layout.private())? {
        if let Some(commit) = commit_of(&entry, layout::TRASH_PREFIX) {
            let snapshot = snapshots.scan(&entry.path())?;
            local.trash.insert(commit, snapshot);
        }
    }
    Ok(local)
}

/// Returns the commits of a repository that have a snapshot and a listing of hfdl's own.
pub fn listed_snapshots(layout: &RepoLayout) -> Result<Vec<CommitSha>> {
    let entries = read_dir(&layout.snapshots())?;
    let mut commits: Vec<CommitSha> = entries
        .iter()
        .filter_map(|entry| commit_of(entry, ""))
        .filter(|commit| layout.private_tree(commit).is_file())
        .collect();
    commits.sort();
    Ok(commits)
}

fn commit_of(entry: &DirEntry, prefix: &str) -> Option<CommitSha> {
    let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
    let name = entry.file_name();
    let commit = name.to_str()?.strip_prefix(prefix)?.parse().ok()?;
    is_dir.then_some(commit)
}

fn scan_blobs(layout: &RepoLayout, local: &mut LocalRepo) -> Result<()> {
    for entry in read_dir(&layout.blobs())? {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_str().unwrap_or_default();
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        let found = files::metadata_if_present(&path)
            .with_context(|| format!("cannot look at `{}`", path.display()))?;
        let Some(found) = found.filter(fs::Metadata::is_file) else {
            local.junk.push(path);
            continue;
        };
        if let Some(content) = content_of(name) {
            let identity = files::identity(&path, &found);
            let blob = LocalBlob {
                size_bytes: found.len(),
                kind: if is_link {
                    BlobKind::Link
                } else {
                    BlobKind::Plain
                },
                n_names: identity.map_or(1, |(_, n_names)| n_names),
                stamp: stamp_of(&found),
                identity: identity.map(|(identity, _)| identity),
            };
            local.blobs.insert(content, blob);
        } else {
            local.junk.push(path);
        }
    }
    Ok(())
}

fn scan_partials(layout: &RepoLayout, local: &mut LocalRepo) -> Result<()> {
    for entry in read_dir(&layout.private())? {
        let name = entry.file_name();
        let name = name.to_str().unwrap_or_default();
        let etag = [EVIDENCE_SUFFIX, LATER_EVIDENCE_SUFFIX]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix));
        if let Some(content) = etag.and_then(content_of) {
            let size_bytes = entry.metadata().map_or(0, |found| found.len());
            *local.evidence.entry(content).or_default() += size_bytes;
        }
    }
    local.partials = partials_in(&layout.private())?;
    Ok(())
}

/// Returns the partial files of a folder, each with the journal beside it.
fn partials_in(folder: &Path) -> Result<BTreeMap<ContentId, LocalPartial>> {
    let mut partials = BTreeMap::new();
    for entry in read_dir(folder)? {
        let name = entry.file_name();
        let name = name.to_str().unwrap_or_default();
        let Some(content) = name.strip_suffix(PARTIAL_SUFFIX).and_then(content_of) else {
            continue;
        };
        let path = entry.path();
        let found = files::link_metadata_if_present(&path)
            .with_context(|| format!("cannot look at `{}`", path.display()))?;
        let Some(found) = found.filter(fs::Metadata::is_file) else {
            continue;
        };
        let partial = LocalPartial {
            journal: folder.join(format!("{}{JOURNAL_SUFFIX}", content.etag())),
            path,
            size_bytes: found.len(),
        };
        partials.insert(content, partial);
    }
    Ok(partials)
}

impl LocalDir {
    /// Returns the unfinished downloads that lie in a directory.
    pub fn partials(root: &Path) -> Result<BTreeMap<ContentId, LocalPartial>> {
        partials_in(&root.join(PRIVATE))
    }
}

/// Returns the content of a blob's name; only the one form that all clients write.
fn content_of(name: &str) -> Option<ContentId> {
    let content = ContentId::from_etag(name).ok()?;
    (content.etag() == name).then_some(content)
}

fn scan_refs(layout: &RepoLayout, local: &mut LocalRepo) -> Result<()> {
    let mut folders = vec![(layout.refs(), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        for entry in read_dir(&folder)? {
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push((entry.path(), format!("{name}/")));
                continue;
            }
            let commit = read_ref(&entry.path());
            match (name.parse(), commit) {
                (Ok(revision), Ok(Some(commit))) => {
                    local.refs.insert(revision, commit);
                }
                _ => local.junk.push(entry.path()),
            }
        }
    }
    Ok(())
}

pub(super) fn read_ref(path: &Path) -> std::io::Result<Option<CommitSha>> {
    let bytes = open::read_if_present(path)?;
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    Ok(text.and_then(|text| text.parse().ok()))
}

/// The facts that identify the blob of a snapshot's entry.
struct Snapshots {
    blobs: PathBuf,
    real_blobs: Option<PathBuf>,
    names: BTreeMap<FileIdentity, ContentId>,
}

impl Snapshots {
    fn scan(&self, root: &Path) -> Result<LocalSnapshot> {
        let mut snapshot = LocalSnapshot::default();
        for (path, entry) in files_below(root)? {
            match (path, self.entry(&entry.path())?) {
                (Some(path), Some(found)) => {
                    if let LocalEntry::Blob { content, .. } = found
                        && !entry.file_type().is_ok_and(|kind| kind.is_symlink())
                    {
                        *snapshot.hard_links.entry(content).or_default() += 1;
                    }
                    if matches!(found, LocalEntry::RealFile { .. })
                        && let Ok(file) = fs::metadata(entry.path())
                    {
                        snapshot.real_files.insert(path.clone(), stamp_of(&file));
                    }
                    snapshot.entries.insert(path, found);
                }
                _ => snapshot.n_unreadable += 1,
            }
        }
        Ok(snapshot)
    }

    /// Returns the kind of one name; `None` for a linked folder, a socket and the like.
    fn entry(&self, path: &Path) -> Result<Option<LocalEntry>> {
        let context = || format!("cannot look at `{}`", path.display());
        let Some(found) = files::metadata_if_present(path).with_context(context)? else {
            return Ok(Some(LocalEntry::Dangling));
        };
        if !found.is_file() {
            return Ok(None);
        }
        let size_bytes = found.len();
        let by_link = || self.linked_content(path, &fs::read_link(path).ok()?);
        let by_identity = || {
            let (identity, _) = files::identity(path, &found)?;
            self.names.get(&identity).copied()
        };
        Ok(Some(match by_link().or_else(by_identity) {
            Some(content) => LocalEntry::Blob {
                content,
                size_bytes,
            },
            None => LocalEntry::RealFile { size_bytes },
        }))
    }

    /// Returns the content whose blob a link names, however it is written.
    fn linked_content(&self, link: &Path, target: &Path) -> Option<ContentId> {
        let content = content_of(target.file_name()?.to_str()?)?;
        let folder = link.parent()?.join(target.parent()?);
        let is_ours = by_names_alone(&folder) == by_names_alone(&self.blobs)
            || fs::canonicalize(&folder).ok().as_ref() == self.real_blobs.as_ref();
        is_ours.then_some(content)
    }
}

/// Resolves `..` without reading the disk, which is enough for almost every link.
pub(super) fn by_names_alone(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        let is_parent = part == Component::ParentDir;
        if !(is_parent && matches!(plain.components().next_back(), Some(Component::Normal(_)))) {
            plain.push(part);
        } else {
            plain.pop();
        }
    }
    plain
}

/// Returns all names below a folder that are no folders, with the path each
/// stands for, if it is one. Linked folders are names, not folders.
pub(super) fn files_below(root: &Path) -> Result<Vec<(Option<RepoPath>, DirEntry)>> {
    let mut files = Vec::new();
    let mut folders = vec![(root.to_path_buf(), Some(String::new()))];
    while let Some((folder, prefix)) = folders.pop() {
        for entry in read_dir(&folder)? {
            let name = entry.file_name();
            let path = prefix.as_ref().zip(name.to_str());
            let path = path.map(|(prefix, name)| format!("{prefix}{name}"));
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push((entry.path(), path.map(|path| path + "/")));
            } else {
                files.push((path.and_then(|path| path.parse().ok()), entry));
            }
        }
    }
    Ok(files)
}

/// Returns a folder's entries, none when it does not exist.
pub(super) fn read_dir(path: &Path) -> Result<Vec<DirEntry>> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries.collect(),
        Err(err) if files::is_absent(&err) => Ok(Vec::new()),
        Err(err) => Err(err),
    };
    entries.with_context(|| format!("cannot list `{}`", path.display()))
}
