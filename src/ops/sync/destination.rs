//! Where a target's files go: the Hub cache, or a directory of plain files.
//!
//! A [`Place`] only looks; opening it gives the [`Writer`] that creates what
//! is missing. So a check that ends in an error, or a dry run, leaves no trace.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};

use super::target::{CacheChoice, Target};
use crate::cache::layout::{SIDECAR_SUFFIX, native, repo_path};
use crate::cache::{self, CacheLayout, CacheWriter, LinkChoice, LocalDir, Prove, Vanished};
use crate::domain::content::ContentId;
use crate::domain::deletion::FetchKey;
use crate::domain::filter::Filter;
use crate::domain::model::Destination;
use crate::domain::placement::{LetterCase, NormalForms, Placement};
use crate::domain::plan::{LocalFacts, SyncPlan};
use crate::domain::repo::{CommitSha, Repo, RepoPath, Revision};
use crate::domain::snapshot::{RemoteFile, RemoteSnapshot};
use crate::download::reusable_bytes;
use crate::sys::files::{self, Sharing};
use crate::sys::lock::FileLock;
use crate::sys::names;
use crate::sys::signals::process_stop;
use crate::sys::stamp::is_same_file;

/// A destination as it is.
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
        /// `None`: nothing was ever downloaded there.
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
    /// A cache says so itself. For a directory the database knows; of one that
    /// is not registered, the notes beside the files tell whether it is the
    /// commit of `listing`.
    pub fn published(
        &self,
        target: &Target,
        listing: Option<&RemoteSnapshot>,
    ) -> Result<Option<CommitSha>> {
        match self {
            Self::Cache { cache, repo, .. } => {
                cache::published_commit(&cache.repo(repo), &target.revision)
            }
            Self::Directory { known, .. } => {
                let noted = || {
                    let (dir, listing) = (known.as_ref()?, listing?);
                    let files = listing.files.iter();
                    let wanted = files.filter(|file| target.filter.selects(file.path.as_str()));
                    dir.is_noted_at(&listing.commit, wanted)
                        .then(|| listing.commit.clone())
                };
                Ok(target.known_commit.clone().or_else(noted))
            }
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

    /// Tells whether each of these files is there under its final name.
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

    /// Gathers what is there that this sync can use, partial files included.
    /// `prove` is asked about files of a directory that no note vouches for.
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
        for file in &remote.files {
            if filter.selects(file.path.as_str()) && !facts.contents.contains_key(&file.content) {
                let partial = self.partial(&file.content);
                let have = reusable_bytes(&partial, &file.content, file.size_bytes);
                if have > 0 {
                    facts.partials.insert(file.content, have);
                }
            }
        }
        Ok(facts)
    }

    /// Returns the names that this kind of machine usually can hold; the
    /// writer asks the disk itself before anything is published.
    pub fn likely_placement(&self) -> Placement {
        Placement {
            names: files::file_names(),
            case: if cfg!(any(windows, target_os = "macos")) {
                LetterCase::Ignored
            } else {
                LetterCase::Matters
            },
            // Nothing can be tried before the place is open.
            forms: NormalForms::Matter,
            private: match self {
                Self::Cache { .. } => None,
                Self::Directory { .. } => Some(LocalDir::RECORDS),
            },
        }
    }

    /// Returns where a content is fetched to.
    pub fn partial(&self, content: &ContentId) -> PathBuf {
        match self {
            Self::Cache { cache, repo, .. } => cache.repo(repo).partial(content),
            Self::Directory { root, .. } => LocalDir::partial_below(root, content),
        }
    }

    /// Returns where a whole content lies before it is published.
    pub fn stored(&self, content: &ContentId) -> PathBuf {
        match self {
            Self::Cache { cache, repo, .. } => cache.repo(repo).blob(content),
            Self::Directory { root, .. } => LocalDir::stored_below(root, content),
        }
    }

    /// Returns the file that readers of a commit's file get: the one that
    /// `file_of` names, unless another program has put something else there.
    pub fn read_as(&self, commit: &CommitSha, file: &RemoteFile) -> PathBuf {
        let (known, entry) = (self.file_of(commit, file), self.entry(commit, &file.path));
        match known == entry || is_same_file(&known, &entry) {
            true => known,
            false => entry,
        }
    }

    /// Tells whether somebody changed a file, which no failing disk does.
    pub fn was_edited(&self, path: &RepoPath) -> bool {
        match self {
            Self::Directory {
                known: Some(dir), ..
            } => dir.was_edited(path),
            _ => false,
        }
    }

    /// Returns where it is written down what a content is made of.
    pub fn sidecar(&self, content: &ContentId) -> PathBuf {
        self.partial(content).with_extension(&SIDECAR_SUFFIX[1..])
    }

    /// Returns the contents that are there, and about which something is
    /// written down: content, path, size. A directory keeps no content by its
    /// name, so it has none.
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

    /// Returns the commit that a directory's files are of, by the notes beside
    /// them: the first whose listing is there. A cache has refs for that.
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

    /// Tells whether what lies under a file's name may be taken for its content:
    /// people edit what lies in a directory of theirs.
    pub fn vouches_for(&self, file: &RemoteFile) -> bool {
        match self {
            Self::Cache { .. } => true,
            Self::Directory { known, .. } => {
                let dir = known.as_ref();
                dir.is_some_and(|dir| dir.is_complete([file]).unwrap_or(false))
            }
        }
    }

    /// Returns the cache, where contents are looked for whatever the destination is.
    pub fn cache(&self) -> &CacheLayout {
        match self {
            Self::Cache { cache, .. } | Self::Directory { cache, .. } => cache,
        }
    }

    /// Returns the name of a file that lies in this directory of plain files.
    pub fn path_below(&self, file: &Path) -> Option<RepoPath> {
        match self {
            Self::Cache { .. } => None,
            Self::Directory { root, .. } => repo_path(file.strip_prefix(root).ok()?),
        }
    }

    /// Tells how contents of other places may be taken in: people edit what lies
    /// in a directory of theirs, and nobody a blob.
    pub fn sharing(&self) -> Sharing {
        match self {
            Self::Cache { .. } => Sharing::HardLinksToo,
            Self::Directory { .. } => Sharing::OwnBytes,
        }
    }

    /// Returns the folder that everything goes into; it need not exist.
    pub fn folder(&self) -> PathBuf {
        match self {
            Self::Cache { cache, repo, .. } => cache.repo(repo).folder().to_path_buf(),
            Self::Directory { root, .. } => root.to_path_buf(),
        }
    }

    /// Returns the folder in which a published commit can be read.
    pub fn readable_at(&self, commit: &CommitSha) -> PathBuf {
        match self {
            Self::Cache { cache, repo, .. } => cache.repo(repo).snapshot(commit),
            Self::Directory { root, .. } => root.to_path_buf(),
        }
    }

    /// Returns where the bytes of a commit's file lie; the database knows them
    /// by this path.
    ///
    /// Where links are not possible, a snapshot has real files: two of one
    /// content are two files, of which one may rot.
    pub fn file_of(&self, commit: &CommitSha, file: &RemoteFile) -> PathBuf {
        let entry = self.entry(commit, &file.path);
        let is_real = || entry.symlink_metadata().is_ok_and(|found| found.is_file());
        match self {
            Self::Cache { cache, repo, .. } if !is_real() => cache.repo(repo).blob(&file.content),
            _ => entry,
        }
    }

    /// Returns the name under which readers of a commit find a file.
    pub fn entry(&self, commit: &CommitSha, path: &RepoPath) -> PathBuf {
        match self {
            Self::Cache { cache, repo, .. } => cache.repo(repo).entry(commit, path),
            Self::Directory { root, .. } => root.join(native(path)),
        }
    }

    /// Creates what the destination needs and tries what it can hold.
    pub fn open(&self) -> Result<DestinationWriter> {
        match self {
            Self::Cache { cache, repo, links } => {
                CacheWriter::open(cache, repo, *links, &take_official_lock)
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

/// A destination that can be written.
pub enum DestinationWriter {
    Cache(CacheWriter<'static>),
    Directory(LocalDir, Repo),
}

impl DestinationWriter {
    /// Claims what a plan needs where other homes and programs can see it.
    pub fn begin(&self, key: &FetchKey, plan: &SyncPlan) -> Result<()> {
        match self {
            Self::Cache(writer) => writer.begin(key, plan),
            Self::Directory(dir, _) => dir.begin(key, plan),
        }
    }

    /// Checks that the disk really can hold these names side by side.
    pub fn check_names(&self, paths: &[&RepoPath]) -> Result<()> {
        let (placement, aside) = match self {
            Self::Cache(writer) => (writer.placement()?, writer.layout().private()),
            Self::Directory(dir, _) => (dir.placement()?, dir.private()),
        };
        placement.check_with_disk(paths, |private, paths| {
            names::first_clash(&aside, private, paths)
                .with_context(|| format!("cannot try names in `{}`", aside.display()))
        })
    }

    /// Gives a verified file the place where `publish` looks for its content.
    pub fn store(&self, content: &ContentId, verified: &Path) -> Result<()> {
        match self {
            Self::Cache(writer) => writer.store_blob(content, verified),
            Self::Directory(dir, _) => dir.store(content, verified),
        }
    }

    /// Tells whether a content is where `store` puts it, whoever did that.
    pub fn has(&self, content: &ContentId, size_bytes: u64) -> bool {
        let found = match self {
            Self::Cache(writer) => cache::blob_metadata(writer.layout(), content),
            Self::Directory(dir, _) => files::link_metadata_if_present(&dir.stored(content)),
        };
        let found = found.ok().flatten();
        found.is_some_and(|found| found.is_file() && found.len() == size_bytes)
    }

    /// Returns where `store` puts a content.
    pub fn stored(&self, content: &ContentId) -> PathBuf {
        match self {
            Self::Cache(writer) => writer.layout().blob(content),
            Self::Directory(dir, _) => dir.stored(content),
        }
    }

    /// Returns an unused name for a file that is being prepared.
    pub fn aside(&self) -> PathBuf {
        files::unused_name(&match self {
            Self::Cache(writer) => writer.layout().aside(),
            Self::Directory(dir, _) => dir.private(),
        })
    }

    /// Takes in a file that was prepared aside from another one on this machine.
    pub fn import(&self, content: &ContentId, aside: &Path) -> Result<()> {
        match self {
            Self::Cache(writer) => writer.import_blob(content, aside),
            Self::Directory(dir, _) => dir.store(content, aside),
        }
    }

    /// Makes a commit visible whose contents have all been stored, and returns
    /// the folder of its files and how many others were removed from it.
    ///
    /// Without a revision no ref moves: the files can be read by commit only.
    pub fn publish(
        &self,
        revision: Option<&Revision>,
        remote: &RemoteSnapshot,
        plan: &SyncPlan,
        vanished: &Vanished,
    ) -> Result<(PathBuf, u64)> {
        match self {
            Self::Cache(writer) => {
                let by_commit = Revision::from(&remote.commit);
                let revision = revision.unwrap_or(&by_commit);
                // A snapshot is built anew: what is gone is not in it.
                let n_gone = plan.deleted.len() as u64;
                Ok((writer.publish(revision, remote, plan)?.path, n_gone))
            }
            Self::Directory(dir, repo) => {
                let placed = dir.publish(repo, remote, plan, vanished, &take_official_lock)?;
                Ok((dir.root().to_path_buf(), placed.removed.len() as u64))
            }
        }
    }
}

/// Takes the lock that the official client takes while it writes a blob or a
/// file of a directory.
///
/// Our renames are safe without it, so after a while the wait is given up:
/// the other program may be downloading the same file for hours. All waits of a
/// process share that while: a hundred busy files are not waited for in turn.
fn take_official_lock(path: &Path) -> Result<Box<dyn Any>> {
    const STEP: Duration = Duration::from_millis(50);
    const STEPS: u32 = 40;
    static STEPS_TAKEN: AtomicU32 = AtomicU32::new(0);
    let stop = process_stop();
    loop {
        let lock = FileLock::try_acquire(path)
            .with_context(|| format!("cannot lock `{}`", path.display()))?;
        if let Some(lock) = lock {
            return Ok(Box::new(lock));
        }
        let is_over = STEPS_TAKEN.fetch_add(1, Ordering::Relaxed) >= STEPS;
        if is_over || stop.pause(STEP) {
            break;
        }
    }
    log::debug!("`{}` is held by another program; going on", path.display());
    Ok(Box::new(()))
}
