//! Puts verified contents in place in a directory of real files.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::disk::{check_size, create_inside, sync_dir};
use super::layout::native;
use super::local_dir::{LocalDir, PRIVATE, RECORDS};
use super::local_records::{FileNote, Written, WrittenFile, render_written};
use super::publish::TakeLock;
use super::scan::read_dir;
use super::sweep_dir::LeftoverKind;
use super::wire;
use crate::domain::content::ContentId;
use crate::domain::deletion::{
    FetchKey, Ownership, Permit, Reason, Refusal, UnfinishedFetch, judge,
};
use crate::domain::plan::{Action, SyncPlan};
use crate::domain::repo::{CommitSha, Repo, RepoPath};
use crate::domain::snapshot::{RemoteFile, RemoteSnapshot};
use crate::sys::files;
use crate::sys::host::checkpoint;
use crate::sys::open;
use crate::sys::removal;
use crate::sys::share::{self, Sharing};

/// The treatment of files that are gone upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vanished {
    Keep,
    /// Removed if a download wrote them for the repository at one of these commits, and
    /// if they are unchanged.
    Delete(BTreeSet<CommitSha>),
}

/// The result of a publication to a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    pub removed: Vec<RepoPath>,
}

impl LocalDir {
    /// Puts a verified file, whose bytes are on disk, where `publish` looks for its content.
    pub fn store(&self, content: &ContentId, verified: &Path) -> Result<()> {
        let stored = self.stored(content);
        let context = || {
            format!(
                "cannot move `{}` to `{}`",
                verified.display(),
                stored.display()
            )
        };
        let file = open::flushable(verified).with_context(context)?;
        open::set_permissions(&file, self.permissions.clone()).with_context(context)?;
        files::rename_over(verified, &stored).with_context(context)
    }

    /// Claims the contents of a plan before its first byte is fetched.
    pub fn begin(&self, key: &FetchKey, plan: &SyncPlan) -> Result<()> {
        let contents = plan.files.iter().map(|planned| planned.file.content);
        let fetch = UnfinishedFetch {
            commit: plan.commit.clone(),
            contents: contents.collect(),
        };
        self.home().map_or(Ok(()), |home| home.begin(key, fetch))
    }

    /// Puts a commit's files in place; their contents have been stored or imported. The
    /// caller holds the lock of the publication.
    ///
    /// Nothing is touched unless all of them are there. A directory has no one
    /// rename that changes it all, so old and new files stand side by side for
    /// as long as the renames take. Each file changes together with its note under
    /// the official lock: the official client may be writing the same file.
    pub fn publish(
        &self,
        repo: &Repo,
        remote: &RemoteSnapshot,
        plan: &SyncPlan,
        vanished: &Vanished,
        take_lock: TakeLock<'_>,
    ) -> Result<Placed> {
        let commit = &remote.commit;
        ensure!(
            plan.commit == *commit,
            "the plan is for commit {}, the listing for {commit}",
            plan.commit
        );
        let uses = self.check_sources(plan)?;
        let listing = wire::render_tree(remote).context("cannot render the listing")?;
        self.write_private(&self.listing_path(PRIVATE, commit), &listing)?;
        let mut written = self.list_as_written(repo, plan)?;
        let mut removed = Vec::new();
        if let Vanished::Delete(commits) = vanished {
            // Only files in the way are deleted first; the others when all files are in place.
            let in_the_way = |path: &RepoPath| {
                let mut new = plan.files.iter();
                new.any(|new| one_is_below(path, &new.file.path))
            };
            let of = (repo, commits);
            self.delete_vanished(of, remote, &mut written, &mut removed, in_the_way)?;
        }
        let folders = self.put_all(plan, uses, take_lock)?;
        folders.iter().try_for_each(|folder| sync_dir(folder))?;
        if let Vanished::Delete(commits) = vanished {
            let of = (repo, commits);
            self.delete_vanished(of, remote, &mut written, &mut removed, |_| true)?;
        }
        if plan.files.len() == remote.files.len() {
            self.write_private(&self.listing_path(RECORDS, commit), &listing)?;
        }
        self.write_written(&written)?;
        Ok(Placed { removed })
    }

    /// Checks that all files of a plan are ready; returns how many files use each
    /// stored content.
    fn check_sources(&self, plan: &SyncPlan) -> Result<BTreeMap<ContentId, usize>> {
        let mut uses: BTreeMap<ContentId, usize> = BTreeMap::new();
        for planned in &plan.files {
            let (path, content) = (&planned.file.path, planned.file.content);
            let source = if planned.action == Action::Keep {
                self.file(path)
            } else {
                *uses.entry(content).or_default() += 1;
                self.stored(&content)
            };
            let found = files::link_metadata_if_present(&source);
            check_size(&source, found, planned.file.size_bytes)
                .with_context(|| format!("`{path}` is not ready to be published"))?;
        }
        Ok(uses)
    }

    /// Adds the new files of a plan to the list of written files.
    ///
    /// Called before the files are put in place: a file that is not on the list is
    /// never deleted, and one that is on it and was not written has no matching note.
    fn list_as_written(&self, repo: &Repo, plan: &SyncPlan) -> Result<Written> {
        let mut written = self.written()?;
        let new = plan.files.iter().filter(|file| file.action != Action::Keep);
        written.extend(new.map(|new| {
            let file = WrittenFile {
                content: new.file.content,
                repo: Some(repo.clone()),
            };
            (new.file.path.clone(), file)
        }));
        self.write_written(&written)?;
        Ok(written)
    }

    /// Puts the files of a plan in place with their notes; returns their folders.
    fn put_all(
        &self,
        plan: &SyncPlan,
        mut uses: BTreeMap<ContentId, usize>,
        take_lock: TakeLock<'_>,
    ) -> Result<BTreeSet<PathBuf>> {
        let mut folders = BTreeSet::new();
        for planned in &plan.files {
            let file = &planned.file;
            if planned.action == Action::Keep && self.is_noted(file)? {
                continue;
            }
            let _lock = self.lock(&file.path, take_lock)?;
            if planned.action != Action::Keep {
                let left = uses.entry(file.content).or_default();
                *left -= 1;
                folders.insert(self.put(file, *left == 0)?);
            }
            checkpoint("file in place");
            self.note_down(&plan.commit, file)?;
        }
        Ok(folders)
    }

    fn put(&self, file: &RemoteFile, is_last_use: bool) -> Result<PathBuf> {
        let target = self.file(&file.path);
        let native = native(&file.path);
        let folder = create_inside(self.root(), native.parent().unwrap_or(Path::new("")))?;
        let context = || format!("cannot write `{}`", target.display());
        if target.is_dir() && !target.is_symlink() {
            bail!("{}: there is a folder of that name", context());
        }
        self.warn_of_changes(&file.path)?;
        let stored = self.stored(&file.content);
        let renamed = if is_last_use {
            // Its bytes are on disk since it was stored.
            files::rename_over(&stored, &target)
        } else {
            let copy = files::unused_name(&self.private());
            share::share(&stored, &copy, Sharing::OwnBytes).with_context(context)?;
            files::rename_synced(&copy, &target)
        };
        renamed.with_context(context)?;
        Ok(folder)
    }

    /// Warns when a file is replaced that was changed since it was written.
    ///
    /// A download to a directory puts the files of the commit there, as the official
    /// client does, but changes of the user are not lost without a warning.
    fn warn_of_changes(&self, path: &RepoPath) -> Result<()> {
        if let Some(found) = self.look_at(path)?
            && self.content_by_note(path, &found).is_none()
        {
            log::warn!(
                "`{}` is not as a download left it; it is replaced by the repository's file",
                self.file(path).display()
            );
        }
        Ok(())
    }

    fn lock(&self, path: &RepoPath, take_lock: TakeLock<'_>) -> Result<Box<dyn Any>> {
        let lock = self.file_lock(path);
        let folder = lock.parent();
        let folder = folder.and_then(|dir| dir.strip_prefix(self.root()).ok());
        create_inside(self.root(), folder.unwrap_or(Path::new("")))?;
        if lock.is_symlink() {
            // Opening it would create a file wherever it leads.
            removal::remove_file(&lock, Permit::scratch())
                .with_context(|| format!("cannot remove the link `{}`", lock.display()))?;
        }
        take_lock(&lock)
    }

    /// Tells whether a good note vouches for the file.
    fn is_noted(&self, file: &RemoteFile) -> Result<bool> {
        let found = self.look_at(&file.path)?;
        Ok(found
            .is_some_and(|found| self.content_by_note(&file.path, &found) == Some(file.content)))
    }

    /// Writes the official note unless a good one is there; the folder of the
    /// file's lock is its folder. The note of a file that was replaced within a second
    /// is not good: the new file would count as edited by a person.
    fn note_down(&self, commit: &CommitSha, file: &RemoteFile) -> Result<()> {
        if self.is_noted(file)? && !self.was_edited(&file.path) {
            return Ok(());
        }
        let Some(found) = self.look_at(&file.path)? else {
            bail!("`{}` went away", self.file(&file.path).display());
        };
        let path = self.note_path(&file.path);
        let note = FileNote::new(commit, &file.content, &found).render();
        files::write_unsynced(&path, note.as_bytes(), &self.private())
            .with_context(|| format!("cannot write `{}`", path.display()))
    }

    pub(super) fn write_written(&self, written: &Written) -> Result<()> {
        let path = self.private().join("written");
        let text = render_written(written);
        files::write_atomically(&path, text.as_bytes(), &self.private())
            .with_context(|| format!("cannot write `{}`", path.display()))
    }

    /// Removes stored and partial contents of this home that it does not need any more,
    /// and files that a killed process was preparing.
    pub fn clear_stored(&self, ownership: &Ownership) -> Result<()> {
        if ownership.is_being_fetched {
            return Ok(());
        }
        for left in Self::leftovers(self.root())? {
            let claims = [
                (left.kind == LeftoverKind::Evidence).then_some(Refusal::ToBeLookedAt),
                ownership.refusal_of_content(&left.content),
            ];
            let origin = ownership.origin_of_partial(&left.content);
            if let Ok(permit) = judge(Reason::NothingUsesIt, origin, claims) {
                left.remove(permit)?;
            }
        }
        if !ownership.is_shared() {
            for entry in read_dir(&self.private())? {
                let name = entry.file_name();
                if name.to_string_lossy().starts_with(files::TEMPORARY_PREFIX) {
                    let path = entry.path();
                    match removal::remove_any(&path, Permit::scratch()) {
                        Err(err) if files::is_in_use(&err) => {}
                        removed => drop(
                            removed
                                .with_context(|| format!("cannot remove `{}`", path.display()))?,
                        ),
                    }
                }
            }
        }
        Ok(())
    }
}

/// Tells whether one path would have to be a folder for the other to exist.
fn one_is_below(a: &RepoPath, b: &RepoPath) -> bool {
    let below = |inner: &str, outer: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    below(a.as_str(), b.as_str()) || below(b.as_str(), a.as_str())
}
