//! The destination of a target's files: the Hub cache, or a directory.
//!
//! A [`TargetDestination`] only reads. Opening it gives a [`DestinationWriter`],
//! which creates missing folders. A failed check or a dry run changes nothing.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::destination_writer::DestinationWriter;
use super::official_lock::take_blob_lock;
use super::target::{CacheChoice, Target};
use crate::cache;
use crate::cache::layout::{SIDECAR_SUFFIX, native};
use crate::cache::{CacheLayout, CacheWriter, LinkChoice, LocalDir, Prove};
use crate::domain::content::ContentId;
use crate::domain::filter::Filter;
use crate::domain::model::Destination;
use crate::domain::placement::{LetterCase, NormalForms, Placement};
use crate::domain::plan::LocalFacts;
use crate::domain::proof::ProofStamp;
use crate::domain::repo::{CommitSha, Repo, RepoPath, Revision};
use crate::domain::snapshot::{RemoteFile, RemoteSnapshot};
use crate::download::{SMALL_FILE_MAX, reusable_bytes};
use crate::sys::abilities;
use crate::sys::share::Sharing;
use crate::sys::stamp::{is_same_file, stamp_at, stamp_of};

/// A file and its stamp; `None` if the stamp cannot be read.
pub(super) type StampedFile = (PathBuf, Option<ProofStamp>);

/// A destination on disk, for reading.
pub enum TargetDestination {
    Cache {
        cache: CacheLayout,
        repo: Repo,
        links: LinkChoice,
    },
    Directory {
        root: PathBuf,
        repo: Repo,
        cache: CacheLayout,
        /// `None` if the directory does not exist.
        known: Option<Box<LocalDir>>,
    },
}

impl TargetDestination {
    pub fn new(choice: &CacheChoice, target: &Target) -> Result<Self> {
        choice.check_place(target)?;
        let cache = choice.layout();
        Ok(match &target.destination {
            Destination::Cache => Self::Cache {
                cache,
                repo: target.repo.clone(),
                links: choice.links,
            },
            Destination::Directory(root) => Self::Directory {
                root: root.clone(),
                repo: target.repo.clone(),
                cache,
                known: LocalDir::open_existing(root)?.map(Box::new),
            },
        })
    }

    /// Returns the commit that is published here.
    ///
    /// The database has it. A ref decides only if hfdl moved it, or if hfdl has not
    /// published the repository, because other programs move refs, too. For an
    /// unregistered directory, the metadata beside the files is compared with `listing`.
    pub fn published(
        &self,
        target: &Target,
        listing: Option<&RemoteSnapshot>,
    ) -> Result<Option<CommitSha>> {
        match self {
            Self::Cache { cache, repo, .. } => {
                let Some(known) = &target.known_commit else {
                    return cache::published_commit(&cache.repo(repo), &target.revision);
                };
                published_in_cache(cache, target, known)
            }
            Self::Directory { known, .. } => {
                let noted = || {
                    let (dir, listing) = (known.as_ref()?, listing?);
                    let wanted = listing.selected(&target.filter).into_iter();
                    dir.is_noted_at(&listing.commit, wanted)
                        .then(|| listing.commit.clone())
                };
                Ok(target.known_commit.clone().or_else(noted))
            }
        }
    }

    /// Tells whether readers of the revision get a commit. A directory has no ref.
    pub fn is_read_at(&self, revision: &Revision, commit: &CommitSha) -> Result<bool> {
        match self {
            Self::Cache { cache, repo, .. } => {
                let named = cache::published_commit(&cache.repo(repo), revision)?;
                Ok(named.as_ref() == Some(commit))
            }
            Self::Directory { .. } => Ok(true),
        }
    }

    pub fn stored_listing(&self, commit: &CommitSha) -> Result<Option<RemoteSnapshot>> {
        match self {
            Self::Cache { cache, repo, .. } => cache::stored_listing(&cache.repo(repo), commit),
            Self::Directory { known, .. } => match known {
                Some(dir) => dir.stored_listing(commit),
                None => Ok(None),
            },
        }
    }

    /// Returns whether each of these files exists under its final name.
    pub fn is_complete(&self, commit: &CommitSha, wanted: &[&RemoteFile]) -> Result<bool> {
        let wanted = wanted.iter().copied();
        match self {
            Self::Cache { cache, repo, .. } => {
                cache::snapshot_is_complete(&cache.repo(repo), commit, wanted)
            }
            Self::Directory { known, .. } => match known {
                Some(dir) => dir.is_complete(wanted),
                None => Ok(false),
            },
        }
    }

    /// Collects the contents and partial files that this sync can use. `prove`
    /// decides about files of a directory that have no metadata.
    pub fn facts(
        &self,
        remote: &RemoteSnapshot,
        filter: &Filter,
        published: Option<&CommitSha>,
        prove: Prove<'_>,
    ) -> Result<LocalFacts> {
        let mut facts = match self {
            Self::Cache { cache, repo, .. } => {
                cache::local_facts(cache, repo, remote, filter, published)?
            }
            Self::Directory { cache, known, .. } => match known {
                Some(dir) => dir.facts(remote, filter, Some(cache), prove)?,
                None => cache::facts_of_cache(cache, remote, filter)?,
            },
        };
        for file in remote.selected(filter) {
            let is_resumed = file.size_bytes > SMALL_FILE_MAX;
            if is_resumed && !facts.contents.contains_key(&file.content) {
                let partial = self.partial(&file.content);
                let have = reusable_bytes(&partial, &file.content, file.size_bytes);
                if have > 0 {
                    facts.partials.insert(file.content, have);
                }
            }
        }
        Ok(facts)
    }

    /// Returns the names that some file system of this platform can hold; the writer
    /// tests the disk itself before anything is fetched.
    pub fn likely_placement(&self) -> Placement {
        Placement {
            names: abilities::file_names(),
            // The disk can be tested only after the destination is open.
            case: LetterCase::Matters,
            forms: NormalForms::Matter,
            private: match self {
                Self::Cache { .. } => None,
                Self::Directory { .. } => Some(LocalDir::RECORDS),
            },
        }
    }

    /// Returns the path of the partial file of a content.
    pub fn partial(&self, content: &ContentId) -> PathBuf {
        match self {
            Self::Cache { cache, repo, .. } => cache.repo(repo).partial(content),
            Self::Directory { root, .. } => LocalDir::partial_below(root, content),
        }
    }

    /// Returns the path of a complete content before it is published.
    pub fn stored(&self, content: &ContentId) -> PathBuf {
        match self {
            Self::Cache { cache, repo, .. } => cache.repo(repo).blob(content),
            Self::Directory { root, .. } => LocalDir::stored_below(root, content),
        }
    }

    /// Returns the file that readers of a commit's file open: that of `file_of`,
    /// unless another program has replaced it.
    pub fn read_as(&self, commit: &CommitSha, file: &RemoteFile) -> PathBuf {
        let (known, entry) = (self.file_of(commit, file), self.entry(commit, &file.path));
        if known == entry || is_same_file(&known, &entry) {
            known
        } else {
            entry
        }
    }

    /// Returns the files that readers of a commit open, with their stamps; `None` unless
    /// each exists at its right size. A directory also requires that no file was edited.
    pub(super) fn whole_files(
        &self,
        commit: &CommitSha,
        wanted: &[&RemoteFile],
    ) -> Result<Option<Vec<StampedFile>>> {
        let Self::Cache { cache, repo, .. } = self else {
            let stamped = |file: &&RemoteFile| {
                let path = self.entry(commit, &file.path);
                let stamp = stamp_at(&path).ok().flatten();
                (path, stamp)
            };
            let is_complete = self.is_complete(commit, wanted)?;
            return Ok(is_complete.then(|| wanted.iter().map(stamped).collect()));
        };
        let layout = cache.repo(repo);
        let mut files = Vec::with_capacity(wanted.len());
        for file in wanted {
            let found = cache::whole_entry(&layout, commit, file)
                .with_context(|| format!("cannot look at `{}`", file.path))?;
            let Some((path, found)) = found else {
                return Ok(None);
            };
            let stamp = stamp_of(&found, &path);
            files.push((path, Some(stamp)));
        }
        Ok(Some(files))
    }

    /// Returns whether a file was edited, as opposed to damaged by the disk.
    pub fn was_edited(&self, path: &RepoPath) -> bool {
        match self {
            Self::Directory {
                known: Some(dir), ..
            } => dir.was_edited(path),
            _ => false,
        }
    }

    /// Returns the path of the sidecar with the chunks of a content.
    pub fn sidecar(&self, content: &ContentId) -> PathBuf {
        self.partial(content).with_extension(&SIDECAR_SUFFIX[1..])
    }

    /// Returns the path of bytes that do not have the hash of a content.
    pub fn evidence(&self, content: &ContentId) -> PathBuf {
        let mut name = self.partial(content).into_os_string();
        name.push(".bad");
        name.into()
    }

    /// Returns the stored contents with a sidecar: content, path, size. A
    /// directory stores no files by content, so it has none.
    pub fn described_contents(&self) -> Vec<(ContentId, PathBuf, u64)> {
        let Self::Cache { cache, repo, .. } = self else {
            return Vec::new();
        };
        let layout = cache.repo(repo);
        let entries = std::fs::read_dir(layout.private()).into_iter().flatten();
        let mut found: Vec<_> = entries
            .filter_map(|entry| {
                let name = entry.ok()?.file_name();
                let etag = name.to_str()?.strip_suffix(SIDECAR_SUFFIX)?;
                let content = ContentId::from_etag(etag).ok()?;
                let path = layout.blob(&content);
                let size_bytes = std::fs::metadata(&path).ok()?.len();
                Some((content, path, size_bytes))
            })
            .collect();
        found.sort();
        found
    }

    /// Returns the commit of a directory's files by the metadata beside them: the
    /// first with a stored listing. A cache has refs instead.
    pub fn noted_commit(&self, like: &RemoteSnapshot) -> Option<CommitSha> {
        let Self::Directory { known, .. } = self else {
            return None;
        };
        let dir = known.as_ref()?;
        let mut commits: Vec<CommitSha> = Vec::new();
        for file in &like.files {
            let noted = dir.noted_commit(&file.path);
            if let Some(commit) = noted.filter(|commit| !commits.contains(commit)) {
                if dir.stored_listing(&commit).ok().flatten().is_some() {
                    return Some(commit);
                }
                commits.push(commit);
            }
        }
        None
    }

    /// Returns whether a file may be assumed to have its content: users edit the
    /// files of their directories.
    pub fn vouches_for(&self, file: &RemoteFile) -> bool {
        match self {
            Self::Cache { .. } => true,
            Self::Directory { known, .. } => {
                let dir = known.as_ref();
                dir.is_some_and(|dir| dir.is_complete([file]).unwrap_or(false))
            }
        }
    }

    /// Returns the cache, which is searched for contents with every destination.
    pub fn cache(&self) -> &CacheLayout {
        match self {
            Self::Cache { cache, .. } | Self::Directory { cache, .. } => cache,
        }
    }

    /// Returns the kinds of links that a snapshot may have.
    pub fn links(&self) -> LinkChoice {
        match self {
            Self::Cache { links, .. } => *links,
            Self::Directory { .. } => LinkChoice::WherePossible,
        }
    }

    /// Returns the kinds of links that imports may use: users edit the files of
    /// their directories, and never a blob.
    pub fn sharing(&self) -> Sharing {
        match self {
            Self::Cache { .. } => Sharing::HardLinksToo,
            Self::Directory { .. } => Sharing::OwnBytes,
        }
    }

    /// Returns the folder of all files; it need not exist.
    pub fn is_cache(&self) -> bool {
        matches!(self, Self::Cache { .. })
    }

    pub fn folder(&self) -> PathBuf {
        match self {
            Self::Cache { cache, repo, .. } => cache.repo(repo).folder().to_path_buf(),
            Self::Directory { root, .. } => root.to_path_buf(),
        }
    }

    /// Returns the folder of a published commit.
    pub fn readable_at(&self, commit: &CommitSha) -> PathBuf {
        match self {
            Self::Cache { cache, repo, .. } => cache.repo(repo).snapshot(commit),
            Self::Directory { root, .. } => root.to_path_buf(),
        }
    }

    /// Returns the path of the bytes of a commit's file, which is also the key of
    /// its proof.
    ///
    /// Without links, a snapshot has real files: two files of one content are
    /// separate, and one of them can be damaged.
    pub fn file_of(&self, commit: &CommitSha, file: &RemoteFile) -> PathBuf {
        let entry = self.entry(commit, &file.path);
        let is_real = || entry.symlink_metadata().is_ok_and(|found| found.is_file());
        match self {
            Self::Cache { cache, repo, .. } if !is_real() => cache.repo(repo).blob(&file.content),
            _ => entry,
        }
    }

    /// Returns the path under which readers of a commit find a file.
    pub fn entry(&self, commit: &CommitSha, path: &RepoPath) -> PathBuf {
        match self {
            Self::Cache { cache, repo, .. } => cache.repo(repo).entry(commit, path),
            Self::Directory { root, .. } => root.join(native(path)),
        }
    }

    /// Creates the folders of the destination and tests its file system.
    pub fn open(&self) -> Result<DestinationWriter> {
        match self {
            Self::Cache { cache, repo, links } => {
                CacheWriter::open(cache, repo, *links, &take_blob_lock)
                    .map(DestinationWriter::Cache)
            }
            Self::Directory {
                root, repo, cache, ..
            } => {
                let dir = LocalDir::open(root)?.of_home(cache.home());
                Ok(DestinationWriter::Directory(dir, repo.clone()))
            }
        }
    }
}

/// Returns the published commit of a model, which is a newer one than the database has if
/// a sibling or another home published it, or a run that was killed.
fn published_in_cache(
    cache: &CacheLayout,
    target: &Target,
    known: &CommitSha,
) -> Result<Option<CommitSha>> {
    let (repo, layout) = (&target.repo, cache.repo(&target.repo));
    let moved = cache::moved_ref(&layout, &target.revision, known, &target.filter)?;
    let named = moved.as_ref().and_then(|moved| moved.target.commit());
    if let Some(commit) = named.filter(|it| target.is_published_by_sibling(it)) {
        return Ok(Some(commit.clone()));
    }
    let moved = moved.filter(|moved| !moved.may_break_readers());
    if let Some(commit) = moved.as_ref().and_then(|moved| moved.target.commit())
        && let Some(home) = cache.home()
        && cache::is_ref_of_hfdl(cache, repo, commit, home.seen_at)?
    {
        return Ok(Some(commit.clone()));
    }
    Ok(Some(known.clone()).filter(|it| layout.snapshot(it).is_dir()))
}
