//! The destination of a target, open for writing.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use thiserror::Error;

use super::official_lock::take_official_lock;
use crate::cache;
use crate::cache::layout::PARTIAL_LOCK_SUFFIX;
use crate::cache::{CacheWriter, LocalDir, Vanished};
use crate::domain::content::ContentId;
use crate::domain::deletion::FetchKey;
use crate::domain::plan::SyncPlan;
use crate::domain::repo::{CommitSha, Repo, RepoPath, Revision};
use crate::domain::snapshot::{RemoteFile, RemoteSnapshot};
use crate::download::{WholeRead, prove_content};
use crate::sys::lock::FileLock;
use crate::sys::{files, names};

/// Another process is publishing to the same place; the caller tries again later.
#[derive(Clone, Debug, Error)]
#[error(
    "another process is publishing the same files and does not end; it holds `{}`",
    .lock.display()
)]
pub struct PublisherBusy {
    lock: PathBuf,
}

/// A destination that can be written.
pub enum DestinationWriter {
    Cache(CacheWriter<'static>),
    Directory(LocalDir, Repo),
}

impl DestinationWriter {
    /// Records, visible to other homes and programs, the contents that a plan needs.
    pub fn begin(&self, key: &FetchKey, plan: &SyncPlan) -> Result<()> {
        match self {
            Self::Cache(writer) => writer.begin(key, plan),
            Self::Directory(dir, _) => dir.begin(key, plan),
        }
    }

    /// Checks on disk that these names can exist side by side.
    pub fn check_names(&self, paths: &[&RepoPath]) -> Result<()> {
        let (placement, aside) = match self {
            Self::Cache(writer) => (writer.placement()?, writer.layout().private()),
            Self::Directory(dir, _) => (dir.placement()?, dir.private()),
        };
        placement.check_with_disk(paths, |private, paths| {
            names::first_problem(&aside, private, paths)
                .with_context(|| format!("cannot test file names in `{}`", aside.display()))
        })
    }

    /// Records verified files that are about to be stored.
    pub fn note_blobs<'p>(&self, blobs: impl Iterator<Item = (ContentId, &'p Path)>) -> Result<()> {
        match self {
            Self::Cache(writer) => writer.note_blobs(blobs),
            Self::Directory(..) => Ok(()),
        }
    }

    /// Moves a verified and noted file to the path where `publish` expects its content.
    pub fn store(&self, content: &ContentId, verified: &Path) -> Result<()> {
        match self {
            Self::Cache(writer) => writer.store_blob(content, verified),
            Self::Directory(dir, _) => dir.store(content, verified),
        }
    }

    /// Returns whether a content is stored, also by another process.
    pub fn has(&self, content: &ContentId, size_bytes: u64) -> bool {
        let found = match self {
            Self::Cache(writer) => cache::blob_metadata(writer.layout(), content),
            Self::Directory(dir, _) => files::link_metadata_if_present(&dir.stored(content)),
        };
        let found = found.ok().flatten();
        found.is_some_and(|found| found.is_file() && found.len() == size_bytes)
    }

    /// Returns whether a publication leaves stored contents at their paths.
    pub fn keeps_blobs(&self) -> bool {
        match self {
            Self::Cache(writer) => writer.makes_symlinks(),
            Self::Directory(..) => false,
        }
    }

    /// Returns the path of a stored content.
    pub fn stored(&self, content: &ContentId) -> PathBuf {
        match self {
            Self::Cache(writer) => writer.layout().blob(content),
            Self::Directory(dir, _) => dir.stored(content),
        }
    }

    /// Returns the permissions of stored contents that programs may write to; `None` if
    /// they are read-only.
    pub fn permissions(&self) -> Option<Permissions> {
        match self {
            Self::Cache(_) => None,
            Self::Directory(dir, _) => Some(dir.permissions()),
        }
    }

    /// Returns an unused path for a temporary file.
    pub fn aside(&self) -> PathBuf {
        files::unused_name(&match self {
            Self::Cache(writer) => writer.layout().aside(),
            Self::Directory(dir, _) => dir.private(),
        })
    }

    /// Takes a lock that tells other homes of a fetch into this folder.
    pub fn lock_folder(&self) -> Result<Option<FileLock>> {
        let folder = match self {
            Self::Cache(writer) => writer.layout().private(),
            Self::Directory(dir, _) => dir.private(),
        };
        let mut path = files::unused_name(&folder);
        path.as_mut_os_string().push(PARTIAL_LOCK_SUFFIX);
        FileLock::try_acquire_temporary(&path)
            .with_context(|| format!("cannot lock `{}`", path.display()))
    }

    /// Takes the lock of a publication; fails while another process has it.
    pub fn lock_publication(&self, commit: &CommitSha) -> Result<FileLock> {
        let path = match self {
            Self::Cache(writer) => writer.layout().publication_lock(commit),
            Self::Directory(dir, _) => dir.publication_lock(),
        };
        let lock = FileLock::try_acquire_temporary(&path)
            .with_context(|| format!("cannot lock `{}`", path.display()))?;
        lock.ok_or_else(|| PublisherBusy { lock: path }.into())
    }

    /// Returns whether a file of a commit has its final name, by its size and the note
    /// about it. No byte is read.
    pub fn is_in_place(&self, commit: &CommitSha, file: &RemoteFile) -> bool {
        match self {
            Self::Cache(writer) => {
                cache::whole_entry(writer.layout(), commit, file).is_ok_and(|found| found.is_some())
            }
            Self::Directory(dir, _) => dir.is_complete([file]).unwrap_or(false),
        }
    }

    /// Stores a temporary file that was made from another file on this machine.
    pub fn import(&self, content: &ContentId, aside: &Path) -> Result<()> {
        match self {
            Self::Cache(writer) => writer.import_blob(content, aside),
            Self::Directory(dir, _) => dir.store(content, aside),
        }
    }

    /// Protects a stored content after the file that it was linked from is gone.
    pub fn end_move(&self, content: &ContentId) -> Result<()> {
        match self {
            Self::Cache(writer) => writer.protect_blob(content),
            Self::Directory(..) => Ok(()),
        }
    }

    /// Makes a commit visible after all of its contents have been stored. Returns
    /// the folder of its files, and the number of files removed from it.
    ///
    /// Without a revision no ref moves: the files can be read by commit only.
    pub fn publish(
        &self,
        revision: Option<&Revision>,
        remote: &RemoteSnapshot,
        plan: &SyncPlan,
        vanished: &Vanished,
        wanted_later: &BTreeSet<ContentId>,
    ) -> Result<(PathBuf, u64)> {
        match self {
            Self::Cache(writer) => {
                let by_commit = Revision::from(&remote.commit);
                let revision = revision.unwrap_or(&by_commit);
                // A snapshot is built new, without files that are gone.
                let n_gone = plan.deleted.len() as u64;
                let published = writer.publish(revision, remote, plan, wanted_later)?;
                Ok((published.path, n_gone))
            }
            Self::Directory(dir, repo) => {
                if let Vanished::Delete(commits) = vanished {
                    prove_vanished(dir, repo, remote, commits)?;
                }
                let placed = dir.publish(repo, remote, plan, vanished, &take_official_lock)?;
                Ok((dir.root().to_path_buf(), placed.removed.len() as u64))
            }
        }
    }
}

/// Reads the files that are gone upstream and whose notes another program has made.
fn prove_vanished(
    dir: &LocalDir,
    repo: &Repo,
    remote: &RemoteSnapshot,
    commits: &BTreeSet<CommitSha>,
) -> Result<()> {
    for (path, content) in dir.unproven_vanished(repo, remote, commits)? {
        let file = dir.file(&path);
        let read = prove_content(&file, &content, &mut |_| ControlFlow::Continue(()));
        let read = read.with_context(|| format!("cannot read `{}`", file.display()))?;
        match read {
            Some(WholeRead {
                has_content: true,
                stamp: Some(stamp),
            }) => dir.adopt_vanished(repo, &path, content, &stamp)?,
            _ => log::info!("`{}` was changed and stays", file.display()),
        }
    }
    Ok(())
}
