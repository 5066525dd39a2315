//! Makes a revision visible: blobs, then the snapshot, then the listing, the ref last.
//!
//! Two promises hold at every instant, also after `kill -9` or a power cut. Readers
//! see the old revision or the new one: a new snapshot is prepared in `.hfdl/` and
//! gets its name in one rename, and the ref, which makes it current, is replaced
//! after everything else is on disk. Readers never see temporary files: every file
//! is prepared in `.hfdl/`, on the same file system, and renamed into place.
//!
//! A filtered download gets no official `trees/<commit>.json`. That file lists a
//! complete snapshot, so that offline readers of all files would refuse the folder.
//! A private copy lies in `.hfdl/trees/`.

use std::any::Any;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::abilities::{EntryForm, LinkChoice, SnapshotAbilities};
use super::disk::{check_size, create_inside, remove_scratch, sync_dir, write_tag_once};
use super::layout::{self, CacheLayout, RepoLayout};
use super::{links, wire};
use crate::domain::content::ContentId;
use crate::domain::deletion::{FetchKey, Permit, UnfinishedFetch};
use crate::domain::placement::{FileNames, Placement, why_not_on_windows};
use crate::domain::plan::{Action, PlannedFile, SyncPlan};
use crate::domain::repo::{CommitSha, Repo, Revision};
use crate::domain::snapshot::RemoteSnapshot;
use crate::sys::abilities;
use crate::sys::files;
use crate::sys::host::checkpoint;
use crate::sys::open;
use crate::sys::removal;
use crate::sys::share::{self, ShareMethod, Sharing};

/// Takes the lock that all writers of a blob share, at this path, until the
/// returned guard is dropped. Another writer may hold it for hours, and renames are
/// safe without it, so the function may give up.
pub type TakeLock<'a> = &'a (dyn Fn(&Path) -> Result<Box<dyn Any>> + Sync);

/// Writes one repository's folder.
pub struct CacheWriter<'a> {
    cache: CacheLayout,
    repo: Repo,
    layout: RepoLayout,
    abilities: SnapshotAbilities,
    permissions: fs::Permissions,
    take_lock: TakeLock<'a>,
}

/// The result of a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The snapshot's folder.
    pub path: PathBuf,
    /// True if the ref names another commit than before.
    pub ref_moved: bool,
}

impl<'a> CacheWriter<'a> {
    /// Creates the required folders of a repository and tests which links it can hold.
    pub fn open(
        cache: &CacheLayout,
        repo: &Repo,
        links: LinkChoice,
        take_lock: TakeLock<'a>,
    ) -> Result<Self> {
        let layout = cache.repo(repo);
        let root = cache.root();
        fs::create_dir_all(root).with_context(|| format!("cannot create `{}`", root.display()))?;
        let folder = PathBuf::from(layout::folder_name(repo));
        // `snapshots` first: without it the folder counts as damaged.
        for name in ["snapshots", "blobs", "refs", ".hfdl"] {
            create_inside(root, &folder.join(name))?;
        }
        create_inside(root, &Path::new(".locks").join(&folder))?;
        if let Some(home) = layout.home() {
            home.create()?;
        }
        // Official clients before version 1 warn of any file at the root of a cache.
        if !cache.tag().exists() {
            write_tag_once(&layout.tag(), &layout.aside())?;
        }
        let private = layout.aside();
        let permissions = files::permissions_of_new_files(&private)
            .with_context(|| format!("cannot write to `{}`", private.display()))?;
        let abilities = SnapshotAbilities::try_out(&private, links)
            .with_context(|| format!("cannot test links in `{}`", private.display()))?;
        Ok(Self {
            cache: cache.clone(),
            repo: repo.clone(),
            layout,
            abilities,
            permissions,
            take_lock,
        })
    }

    pub fn layout(&self) -> &RepoLayout {
        &self.layout
    }

    /// Returns whether the entries of snapshots are symbolic links, so that a publication
    /// leaves each blob at its path.
    pub fn makes_symlinks(&self) -> bool {
        self.abilities.entries == EntryForm::Symlinks
    }

    /// Returns the names that this cache can hold.
    pub fn placement(&self) -> Result<Placement> {
        let private = self.layout.private();
        abilities::placement(&private, None)
            .with_context(|| format!("cannot write to `{}`", private.display()))
    }

    /// Gives a verified file, which `note_blobs` has recorded, the name of its content.
    ///
    /// The bytes were forced to disk when they were verified; a second flush for each
    /// of thousands of files would be slow. `publish` forces the names to disk, once
    /// for all blobs and before any reference to them.
    pub fn store_blob(&self, content: &ContentId, verified: &Path) -> Result<()> {
        let blob = self.layout.blob(content);
        let context = || {
            format!(
                "cannot move `{}` to `{}`",
                verified.display(),
                blob.display()
            )
        };
        let file = open::flushable(verified).with_context(context)?;
        let _lock = self.lock(content)?;
        files::rename_over(verified, &blob).with_context(context)?;
        // Under its final name only: a partial file is written again.
        self.make_read_only(&file).with_context(context)
    }

    /// A program that writes through the link of a snapshot gets an error and cannot
    /// damage the blob for all readers.
    fn make_read_only(&self, file: &fs::File) -> io::Result<()> {
        open::set_permissions(file, files::read_only(&self.permissions))
    }

    /// Gives a file that was prepared aside the name of its content: a second
    /// name of a proven file, or a copy that was hashed on the way. Its bytes
    /// have been forced to disk.
    pub fn import_blob(&self, content: &ContentId, aside: &Path) -> Result<()> {
        let blob = self.layout.blob(content);
        let context = || format!("cannot move `{}` to `{}`", aside.display(), blob.display());
        let found = fs::metadata(aside).with_context(context)?;
        let identity = files::identity(aside, &found);
        let _lock = self.lock(content)?;
        self.note_blobs([(*content, aside)].into_iter())?;
        files::rename_over(aside, &blob).with_context(context)?;
        // A hard link shares its permissions with a file that may be another user's.
        if identity.is_none_or(|(_, n_names)| n_names == 1) {
            self.protect_blob(content)?;
        }
        // Renaming one name of a file over another of it does nothing at all.
        files::remove_if_present(aside).with_context(context)?;
        Ok(())
    }

    /// Makes a blob read-only.
    pub fn protect_blob(&self, content: &ContentId) -> Result<()> {
        let blob = self.layout.blob(content);
        let protect = || self.make_read_only(&open::flushable(&blob)?);
        protect().with_context(|| format!("cannot make `{}` read-only", blob.display()))
    }

    /// Claims the contents of a plan before its first byte is fetched.
    pub fn begin(&self, key: &FetchKey, plan: &SyncPlan) -> Result<()> {
        let contents = plan.files.iter().map(|planned| planned.file.content);
        let fetch = UnfinishedFetch {
            commit: plan.commit.clone(),
            contents: contents.collect(),
        };
        match self.layout.home() {
            Some(home) => home.begin(key, fetch),
            None => Ok(()),
        }
    }

    /// Publishes a commit whose missing contents have all been stored or imported. The
    /// caller holds the lock of the publication.
    ///
    /// Nothing is changed unless the snapshot will be complete. After any
    /// interruption the next plan and `publish` complete it. Blobs that another publication
    /// wants later stay where they are, also where a snapshot has no links.
    pub fn publish(
        &self,
        revision: &Revision,
        remote: &RemoteSnapshot,
        plan: &SyncPlan,
        wanted_later: &BTreeSet<ContentId>,
    ) -> Result<Published> {
        let commit = &remote.commit;
        ensure!(
            plan.commit == *commit,
            "the plan is for commit {}, the listing for {commit}",
            plan.commit
        );
        self.check_whole(plan)?;
        sync_dir(&self.layout.blobs())?;
        let listing = wire::render_tree(remote).context("cannot render the listing")?;
        self.write(&self.layout.private_tree(commit), &listing)?;

        let path = self.layout.snapshot(commit);
        let found = files::link_metadata_if_present(&path)
            .with_context(|| format!("cannot look at `{}`", path.display()))?;
        if found.is_some() {
            self.give_up_staging(commit)?;
        }
        let is_new = found.is_none();
        if !is_new || !self.abilities.renames_folders {
            self.complete(plan, is_new, wanted_later)?;
        } else if !self.put_together(plan, wanted_later)? {
            self.complete(plan, false, wanted_later)?;
        }
        self.remove_denials(plan)?;
        if plan.files.len() == remote.files.len() {
            self.write(&self.layout.tree(commit), &listing)?;
        }
        checkpoint("before the ref");
        // Last, because it makes the revision current: a ref to a snapshot
        // that is not there damages the whole repository for its readers.
        let ref_moved = revision.as_commit().is_none() && self.write_ref(revision, commit)?;
        Ok(Published { path, ref_moved })
    }

    /// Points a revision at an existing snapshot, as a rollback does. Returns whether
    /// it pointed elsewhere before.
    pub fn move_ref(&self, revision: &Revision, commit: &CommitSha) -> Result<bool> {
        let snapshot = self.layout.snapshot(commit);
        ensure!(snapshot.is_dir(), "there is no snapshot of commit {commit}");
        ensure!(
            revision.as_commit().is_none(),
            "`{revision}` is a commit, which cannot point to another"
        );
        self.write_ref(revision, commit)
    }

    fn check_whole(&self, plan: &SyncPlan) -> Result<()> {
        for PlannedFile { file, action, .. } in &plan.files {
            let (path, found) = match action {
                Action::Keep => (
                    self.layout.entry(&plan.commit, &file.path),
                    links::entry_metadata(&self.layout, &plan.commit, &file.path),
                ),
                _ => (
                    self.layout.blob(&file.content),
                    links::blob_metadata(&self.layout, &file.content),
                ),
            };
            check_size(&path, found, file.size_bytes)
                .with_context(|| format!("`{}` is not ready to be published", file.path))?;
        }
        Ok(())
    }

    /// Prepares the snapshot and renames it into place; `false` if it exists by now.
    fn put_together(&self, plan: &SyncPlan, wanted_later: &BTreeSet<ContentId>) -> Result<bool> {
        let staging = self.layout.staging(&plan.commit);
        self.give_up_staging(&plan.commit)?;
        if self.layout.snapshot(&plan.commit).is_dir() {
            return Ok(false);
        }
        // This order tells after a crash whether the rename below was done.
        fs::create_dir_all(&staging)
            .with_context(|| format!("cannot create `{}`", staging.display()))?;
        self.note_snapshot(plan, true)?;
        let mut folders = BTreeSet::from([staging.clone()]);
        for (file, is_last_use) in with_last_use(plan, wanted_later) {
            let entry = staging.join(layout::native(&file.file.path));
            let folder = entry.parent().unwrap_or(&staging);
            if !folders.contains(folder) {
                fs::create_dir_all(folder)
                    .with_context(|| format!("cannot create `{}`", folder.display()))?;
                let new = folder.ancestors().take_while(|dir| *dir != staging);
                folders.extend(new.map(Path::to_path_buf));
            }
            self.make_entry(file, &entry, is_last_use)?;
        }
        folders.iter().try_for_each(|folder| sync_dir(folder))?;
        let snapshot = self.layout.snapshot(&plan.commit);
        checkpoint("snapshot put together");
        if let Err(err) = files::rename_over(&staging, &snapshot) {
            if snapshot.is_dir() {
                self.give_up_staging(&plan.commit)?;
                return Ok(false);
            }
            return Err(err).with_context(|| format!("cannot create `{}`", snapshot.display()));
        }
        sync_dir(&self.layout.snapshots())?;
        Ok(true)
    }

    /// Removes a prepared folder that did not become the snapshot.
    fn give_up_staging(&self, commit: &CommitSha) -> Result<()> {
        let staging = self.layout.staging(commit);
        if staging.exists() {
            if let Some(home) = self.layout.home() {
                home.forget_snapshot(commit)?;
            }
            remove_scratch(&staging)?;
        }
        Ok(())
    }

    /// Adds entries to an existing snapshot that another program left incomplete, that
    /// has a narrower filter, or that is repaired. Each entry appears in one rename.
    ///
    /// A new snapshot is made so where folders cannot be renamed: readers that know its
    /// commit may see a part of it before the ref names it.
    fn complete(
        &self,
        plan: &SyncPlan,
        is_new: bool,
        wanted_later: &BTreeSet<ContentId>,
    ) -> Result<()> {
        let root = self.cache.root();
        self.note_snapshot(plan, is_new)?;
        let snapshot = self.layout.snapshot(&plan.commit);
        let below_root = snapshot.strip_prefix(root).unwrap_or(&snapshot);
        let mut folders = BTreeSet::new();
        for (file, is_last_use) in with_last_use(plan, wanted_later) {
            let path = layout::native(&file.file.path);
            let folder = below_root.join(path.parent().unwrap_or(Path::new("")));
            if !folders.contains(&folder) {
                create_inside(root, &folder)?;
                folders.insert(folder);
            }
            let aside = files::unused_name(&self.layout.aside());
            self.make_entry(file, &aside, is_last_use)?;
            let entry = snapshot.join(path);
            files::rename_over(&aside, &entry)
                .and_then(|()| files::remove_if_present(&aside))
                .with_context(|| format!("cannot create `{}`", entry.display()))?;
        }
        folders
            .iter()
            .try_for_each(|folder| sync_dir(&root.join(folder)))
    }

    fn make_entry(&self, file: &PlannedFile, entry: &Path, is_last_use: bool) -> Result<()> {
        let (path, content) = (&file.file.path, &file.file.content);
        let blob = self.layout.blob(content);
        let made = match self.abilities.entries {
            EntryForm::Symlinks => {
                files::symlink_file(&layout::relative_blob(path, content), entry)
            }
            EntryForm::HardLinks => self.share(&blob, entry, Sharing::HardLinksToo),
            EntryForm::Files if is_last_use && !blob.is_symlink() => {
                files::rename_over(&blob, entry)
            }
            EntryForm::Files => self.share(&blob, entry, Sharing::OwnBytes),
        };
        made.with_context(|| format!("cannot create `{}`", entry.display()))
    }

    fn share(&self, blob: &Path, entry: &Path, sharing: Sharing) -> io::Result<()> {
        match share::share(blob, entry, sharing)? {
            ShareMethod::HardLinked => Ok(()),
            ShareMethod::Reflinked | ShareMethod::Copied => {
                share::take_time_of(blob, entry)?;
                self.make_read_only(&open::flushable(entry)?)
            }
        }
    }

    /// Readers look at `.no_exist` first, so a marker hides a file that exists.
    fn remove_denials(&self, plan: &SyncPlan) -> Result<()> {
        let folder = self.layout.no_exist_of(&plan.commit);
        if !folder.is_dir() {
            return Ok(());
        }
        for PlannedFile { file, .. } in &plan.files {
            let marker = self.layout.no_exist(&plan.commit, &file.path);
            let context = || format!("cannot remove `{}`", marker.display());
            if files::link_metadata_if_present(&marker)
                .with_context(context)?
                .is_some()
            {
                let folder = marker.parent().unwrap_or(&folder);
                files::check_inside(self.cache.root(), folder).with_context(context)?;
                removal::remove_file(&marker, Permit::note()).with_context(context)?;
            }
        }
        Ok(())
    }

    fn write_ref(&self, revision: &Revision, commit: &CommitSha) -> Result<bool> {
        if abilities::file_names() == FileNames::Windows
            && let Some(why) = revision.as_str().split('/').find_map(why_not_on_windows)
        {
            bail!("revision `{revision}` cannot be a file on Windows: {why}");
        }
        self.write(&self.layout.reference(revision), commit.as_str().as_bytes())
    }

    /// Replaces a file unless it has this text already. Returns whether it did.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<bool> {
        let context = || format!("cannot write `{}`", path.display());
        if open::read_if_plain(path).with_context(context)?.as_deref() == Some(bytes) {
            return Ok(false);
        }
        let root = self.cache.root();
        let folder = path
            .parent()
            .and_then(|folder| folder.strip_prefix(root).ok());
        create_inside(root, folder.unwrap_or(Path::new("")))?;
        files::write_atomically(path, bytes, &self.layout.aside()).with_context(context)?;
        Ok(true)
    }

    /// Records files that are about to become the blobs of contents.
    pub fn note_blobs<'p>(&self, blobs: impl Iterator<Item = (ContentId, &'p Path)>) -> Result<()> {
        match self.layout.home() {
            Some(home) => home.note_blobs(blobs),
            None => Ok(()),
        }
    }

    /// Records the names of a snapshot that this home is about to write.
    fn note_snapshot(&self, plan: &SyncPlan, is_new: bool) -> Result<()> {
        let Some(home) = self.layout.home() else {
            return Ok(());
        };
        let new = plan.files.iter();
        let new = new.filter(|planned| is_new || planned.action != Action::Keep);
        let entries = new.map(|planned| (planned.file.path.clone(), planned.file.content));
        home.note_snapshot(&plan.commit, is_new, entries)
    }

    fn lock(&self, content: &ContentId) -> Result<Box<dyn Any>> {
        (self.take_lock)(&self.cache.blob_lock(&self.repo, content))
    }
}

/// Returns the files that need an entry, and whether each is the last to use its content.
fn with_last_use<'p>(
    plan: &'p SyncPlan,
    wanted_later: &BTreeSet<ContentId>,
) -> Vec<(&'p PlannedFile, bool)> {
    let new = plan.files.iter().filter(|file| file.action != Action::Keep);
    let mut later = wanted_later.clone();
    let backwards = new.rev();
    let mut files: Vec<_> = backwards
        .map(|file| (file, later.insert(file.file.content)))
        .collect();
    files.reverse();
    files
}
