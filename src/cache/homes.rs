//! The records that each home leaves where it writes: `.hfdl/homes/<install id>/`.
//!
//! `claims` tells other homes which contents this home needs, and the time of its
//! last visit; any process of the home may replace it. Unfinished downloads
//! (`begun`), own blobs (`made`) and the entries of each own snapshot are written
//! only under the lock of the home. Each record is written before the file that it
//! describes, so that a crash leaves a record without a file and never a file
//! without a record. Temporary files of the home lie here, too.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirEntry, Metadata};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result};

use super::disk::create_inside;
use super::home_text;
use super::layout::{CacheLayout, PARTIAL_LOCK_SUFFIX, staging_name};
use super::local_dir::PRIVATE;
use super::local_records::{parse_contents, render_contents};
use super::scan::{LocalRepo, LocalSnapshot, read_dir};
use crate::domain::content::ContentId;
use crate::domain::deletion::{
    Begun, FetchKey, FileOrigin, HomeIdentity, HomeRecord, Ownership, OwnershipStamp, Permit,
    SEEN_EVERY, UnfinishedFetch,
};
use crate::domain::repo::{CommitSha, Repo, RepoPath};
use crate::domain::time::Timestamp;
use crate::sys::files;
use crate::sys::lock::FileLock;
use crate::sys::open;
use crate::sys::open_files;
use crate::sys::removal;

/// The folder of all records, in a private folder.
pub const HOMES: &str = "homes";

/// The records of one home in one private folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HomeFolder {
    root: PathBuf,
    /// The private folder, below the root.
    private: PathBuf,
    home: Arc<HomeIdentity>,
}

impl HomeFolder {
    /// Names the records of a home in a private folder, given below its root.
    pub fn new(root: &Path, private: PathBuf, home: &Arc<HomeIdentity>) -> Self {
        Self {
            root: root.to_path_buf(),
            private,
            home: home.clone(),
        }
    }

    /// Names the records in a directory of plain files.
    pub fn in_directory(root: &Path, home: &Arc<HomeIdentity>) -> Self {
        Self::new(root, PRIVATE.into(), home)
    }

    pub fn path(&self) -> PathBuf {
        self.root
            .join(&self.private)
            .join(HOMES)
            .join(&self.home.id)
    }

    pub fn id(&self) -> &str {
        &self.home.id
    }

    /// Creates the folder; it is also where temporary files go.
    pub fn create(&self) -> Result<PathBuf> {
        create_inside(&self.root, &self.private.join(HOMES).join(&self.home.id))
    }

    /// Tells whether this home has a record here.
    pub fn exists(&self) -> bool {
        self.file("claims").exists()
    }

    /// Tells whether this home has unfinished downloads here.
    pub fn has_begun(&self) -> bool {
        self.file("begun").exists()
    }

    pub fn record(&self) -> Result<HomeRecord> {
        read_record(&self.path())
    }

    /// Reads the claims and the unfinished downloads alone: the other parts are as long as
    /// the list of all files.
    fn claims(&self) -> Result<HomeRecord> {
        read_claims(&self.path())
    }

    /// Records the claims of this home and the time of this visit.
    pub fn write_claims(&self, wanted: &BTreeSet<CommitSha>) -> Result<()> {
        self.replace("claims", &home_text::render_claims(&self.home, wanted))
    }

    /// Tells whether the recorded time of the last visit is old enough to be renewed.
    pub fn is_to_be_renewed(&self) -> Result<bool> {
        let seen = self.claims()?.home.map(|home| home.seen_at);
        Ok(seen
            .is_none_or(|seen| self.home.seen_at.duration_since(seen).unsigned_abs() >= SEEN_EVERY))
    }

    /// Writes a complete record. The claims come last: a record without them counts as
    /// missing and is made again.
    pub fn write_record(&self, record: &HomeRecord, wanted: &BTreeSet<CommitSha>) -> Result<()> {
        self.replace("made", &home_text::render_made(&record.blobs))?;
        for (commit, put) in &record.snapshots {
            self.replace(commit.as_str(), &render_contents(put))?;
        }
        self.write_begun(&record.begun)?;
        self.write_claims(wanted)
    }

    /// Claims a commit and its contents before the first byte is fetched.
    pub fn begin(&self, key: &FetchKey, fetch: UnfinishedFetch) -> Result<()> {
        let mut record = self.claims()?;
        record.begun.begin(key, fetch);
        if record.home.is_none() {
            self.write_claims(&record.wanted)?;
        }
        self.write_begun(&record.begun)
    }

    /// Changes the record of downloads, if there is one.
    pub fn change_begun(&self, change: impl FnOnce(&mut Begun)) -> Result<()> {
        if !self.has_begun() {
            return Ok(());
        }
        let begun = self.claims()?.begun;
        let mut changed = begun.clone();
        change(&mut changed);
        if changed == begun {
            Ok(())
        } else {
            self.write_begun(&changed)
        }
    }

    pub fn write_begun(&self, begun: &Begun) -> Result<()> {
        if begun.is_empty() {
            self.remove("begun")
        } else {
            self.replace("begun", &home_text::render_begun(begun))
        }
    }

    /// Notes that verified files are about to become the blobs of contents.
    pub fn note_blobs<'p>(&self, blobs: impl Iterator<Item = (ContentId, &'p Path)>) -> Result<()> {
        let path = self.file("made");
        let context = || format!("cannot write `{}`", path.display());
        let mut lines = String::new();
        for (content, verified) in blobs {
            let found = fs::symlink_metadata(verified).with_context(context)?;
            lines += &home_text::blob_line(&content, &stamp_of(&found));
        }
        // A line lost in a power cut would leave a blob without an owner.
        let file = match open::append(&path) {
            Err(err) if files::is_absent(&err) => open::own(&path),
            opened => opened,
        };
        let written = file.and_then(|mut file| {
            let length = file.metadata()?.len();
            file.write_all(lines.as_bytes()).inspect_err(|_| {
                // Half a line would spoil the next one.
                let _ = file.set_len(length);
            })
        });
        written.with_context(context)
    }

    /// Records the names that are about to be added to a snapshot. A new snapshot
    /// begins a new list.
    pub fn note_snapshot(
        &self,
        commit: &CommitSha,
        is_new: bool,
        entries: impl Iterator<Item = (RepoPath, ContentId)>,
    ) -> Result<()> {
        let mut listed = if is_new {
            BTreeMap::new()
        } else {
            match self.read(commit.as_str())? {
                // Another program created it, and its names are not ours.
                None => return Ok(()),
                Some(text) => parse_contents(&text),
            }
        };
        listed.extend(entries);
        self.replace(commit.as_str(), &render_contents(&listed))
    }

    pub fn forget_snapshot(&self, commit: &CommitSha) -> Result<()> {
        self.remove(commit.as_str())
    }

    /// Removes records of files that are gone, so that they cannot apply to files of
    /// other programs later.
    pub fn settle(&self, local: &LocalRepo) -> Result<()> {
        if !self.path().is_dir() {
            return Ok(());
        }
        self.forget_what_is_gone(local)?;
        let snapshots = local.snapshots.values();
        let in_use: BTreeSet<ContentId> = snapshots.flat_map(|it| it.contents()).collect();
        self.change_begun(|begun| {
            let is_there = |commit: &CommitSha| local.snapshots.contains_key(commit);
            begun.abandoned.retain(is_there);
            begun.retain(|content| {
                local.partials.contains_key(content)
                    || local.evidence.contains_key(content)
                    || local.blobs.contains_key(content) && !in_use.contains(content)
            });
        })
    }

    /// Removes the records of snapshots and blobs that are gone.
    fn forget_what_is_gone(&self, local: &LocalRepo) -> Result<()> {
        let mut record = self.record()?;
        for commit in record.snapshots.keys() {
            if !local.snapshots.contains_key(commit) && !local.trash.contains_key(commit) {
                self.forget_snapshot(commit)?;
            }
        }
        let n_blobs = record.blobs.len();
        let kept = record.snapshots.iter();
        let kept = kept.filter(|(commit, _)| local.snapshots.contains_key(*commit));
        let in_snapshots: BTreeSet<ContentId> =
            kept.flat_map(|(_, put)| put.values().copied()).collect();
        record.blobs.retain(|content, written| {
            let blob = local.blobs.get(content);
            match blob {
                Some(blob) => written.fits(&blob.stamp),
                None => in_snapshots.contains(content),
            }
        });
        if record.blobs.len() != n_blobs {
            self.replace("made", &home_text::render_made(&record.blobs))?;
        }
        Ok(())
    }

    /// Removes the temporary files and folders that a killed process of this home left.
    pub fn remove_temporary_files(&self) -> Result<()> {
        for entry in read_dir(&self.path())? {
            let name = entry.file_name();
            if name.to_string_lossy().starts_with(files::TEMPORARY_PREFIX) {
                let path = entry.path();
                removal::remove_any(&path, Permit::scratch())
                    .with_context(|| format!("cannot remove `{}`", path.display()))?;
            }
        }
        Ok(())
    }

    /// Removes the whole record; the folder of all records stays unless empty.
    pub fn remove_all(&self) -> Result<()> {
        let path = self.path();
        removal::remove_tree(&path, Permit::note())
            .with_context(|| format!("cannot remove `{}`", path.display()))?;
        if let Some(homes) = path.parent() {
            removal::remove_empty_dir(homes);
        }
        Ok(())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        read(&self.file(name))
    }

    fn replace(&self, name: &str, text: &str) -> Result<()> {
        let (folder, path) = (self.create()?, self.file(name));
        files::write_atomically(&path, text.as_bytes(), &folder)
            .with_context(|| format!("cannot write `{}`", path.display()))
    }

    fn remove(&self, name: &str) -> Result<()> {
        let path = self.file(name);
        removal::remove_file(&path, Permit::note())
            .map(drop)
            .with_context(|| format!("cannot remove `{}`", path.display()))
    }
}

/// Reads all records in a repository's folder, and whether others work there.
pub fn ownership_in_cache(cache: &CacheLayout, repo: &Repo, now: Timestamp) -> Result<Ownership> {
    let layout = cache.repo(repo);
    let own = cache.home().map(|home| home.id.as_str());
    let mut ownership = records_in(&layout.private(), own, now)?;
    ownership.is_being_fetched = is_busy(cache, repo)?;
    Ok(ownership)
}

/// Tells whether hfdl may have moved a ref to a commit: this home in a session that it
/// has not closed, or another home. Both move a ref after the last file.
pub fn is_ref_of_hfdl(
    cache: &CacheLayout,
    repo: &Repo,
    commit: &CommitSha,
    now: Timestamp,
) -> Result<bool> {
    let ownership = ownership_in_cache(cache, repo, now)?;
    let mut begun = ownership.own.begun.fetches.values();
    Ok(begun.any(|fetch| fetch.commit == *commit)
        || ownership
            .others
            .iter()
            .any(|home| home.claims_commit(commit)))
}

/// Tells whether another program, or a run of another home, fetches into a
/// repository's folder at this moment.
pub(super) fn is_busy(cache: &CacheLayout, repo: &Repo) -> Result<bool> {
    let layout = cache.repo(repo);
    Ok(is_locked_below(&cache.locks(repo))?
        || is_being_fetched(&layout.private())?
        || has_open_partial(&layout.blobs())?)
}

/// As `ownership_in_cache`, for a directory of plain files.
pub fn ownership_in_directory(
    root: &Path,
    home: &HomeIdentity,
    now: Timestamp,
) -> Result<Ownership> {
    let private = root.join(PRIVATE);
    let mut ownership = records_in(&private, Some(&home.id), now)?;
    ownership.is_being_fetched = is_being_fetched(&private)?;
    Ok(ownership)
}

/// Tells whether a directory of plain files has the record of another home than `own`.
pub fn is_kept_by_another_home(root: &Path, own: &str) -> bool {
    let homes = root.join(PRIVATE).join(HOMES);
    let mut records = std::fs::read_dir(homes).into_iter().flatten().flatten();
    records.any(|record| record.file_name() != own)
}

fn records_in(private: &Path, own: Option<&str>, now: Timestamp) -> Result<Ownership> {
    let mut ownership = Ownership::default();
    for entry in read_dir(&private.join(HOMES))? {
        let record = read_record(&entry.path())?;
        if own.is_some_and(|own| entry.file_name() == own) {
            ownership.own = record;
        } else if record.is_outdated(now) {
            ownership.outdated.extend(record.home);
        } else {
            ownership.others.push(record);
        }
    }
    Ok(ownership)
}

fn read_claims(folder: &Path) -> Result<HomeRecord> {
    let mut record = HomeRecord::default();
    let id = folder.file_name().unwrap_or_default().to_string_lossy();
    if let Some(text) = read(&folder.join("claims"))? {
        home_text::parse_claims(&id, &text, &mut record);
    }
    if let Some(text) = read(&folder.join("begun"))? {
        home_text::parse_made(&text, &mut record);
    }
    Ok(record)
}

fn read_record(folder: &Path) -> Result<HomeRecord> {
    let mut record = read_claims(folder)?;
    let id = folder.file_name().unwrap_or_default().to_string_lossy();
    if let Some(text) = read(&folder.join("made"))? {
        home_text::parse_made(&text, &mut record);
    }
    for entry in read_dir(folder)? {
        let name = entry.file_name();
        if let Some(commit) = name.to_str().and_then(|name| name.parse().ok())
            && !is_put_together(folder, &commit, &id)
            && let Some(text) = read(&entry.path())?
        {
            record.snapshots.insert(commit, parse_contents(&text));
        }
    }
    Ok(record)
}

/// Tells whether a home ended while it prepared a snapshot. A snapshot of that name
/// was made by another program then.
fn is_put_together(folder: &Path, commit: &CommitSha, home: &str) -> bool {
    let private = folder.parent().and_then(Path::parent);
    private.is_some_and(|it| it.join(staging_name(commit, Some(home))).exists())
}

fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    files::read_if_present(path).with_context(|| format!("cannot read `{}`", path.display()))
}

/// Returns the stamp that distinguishes a file from a later one.
pub fn stamp_of(found: &Metadata) -> OwnershipStamp {
    let modified = found.modified().ok();
    let since = modified.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    OwnershipStamp {
        size_bytes: found.len(),
        modified: since.map_or(0, |since| i128::try_from(since.as_nanos()).unwrap_or(0)),
    }
}

/// Tells whether this home created a snapshot and all that is in it.
pub fn origin_of_snapshot(
    ownership: &Ownership,
    local: &LocalRepo,
    commit: &CommitSha,
    snapshot: &LocalSnapshot,
) -> FileOrigin {
    let own = &ownership.own;
    let Some(put) = own.snapshots.get(commit) else {
        return FileOrigin::Unknown;
    };
    let is_as_written = |path: &RepoPath| {
        let Some(content) = put.get(path) else {
            return false;
        };
        let written = own.blobs.get(content);
        if let Some(found) = snapshot.real_files.get(path) {
            return written.is_some_and(|written| written.fits(found));
        }
        let used = snapshot.entries.get(path).and_then(|entry| entry.content());
        let blob = used.and_then(|used| local.blobs.get(&used));
        let is_same_blob = blob
            .zip(written)
            .is_none_or(|(blob, written)| written.fits(&blob.stamp));
        used.is_none_or(|used| used == *content) && is_same_blob
    };
    if snapshot.is_readable() && snapshot.entries.keys().all(is_as_written) {
        FileOrigin::ThisHome
    } else {
        FileOrigin::Changed
    }
}

/// Tells whether a process, such as a run of another home, fetches into a private folder.
pub fn is_being_fetched(private: &Path) -> Result<bool> {
    for entry in read_dir(private)? {
        let name = entry.file_name();
        let is_lock = name
            .to_str()
            .is_some_and(|name| name.ends_with(PARTIAL_LOCK_SUFFIX));
        if is_lock && is_held(&entry)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Tells whether another program holds one of the official locks.
fn is_locked_below(locks: &Path) -> Result<bool> {
    for entry in read_dir(locks)? {
        if is_held(&entry)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_held(entry: &DirEntry) -> Result<bool> {
    let lock = &entry.path();
    let is_plain = entry.file_type().is_ok_and(|kind| kind.is_file());
    if !is_plain && !lock.is_file() {
        return Ok(false);
    }
    FileLock::is_held(lock).with_context(|| format!("cannot look at the lock `{}`", lock.display()))
}

/// Tells whether the official client has a partial file open.
fn has_open_partial(blobs: &Path) -> Result<bool> {
    let entries = read_dir(blobs)?.into_iter().map(|entry| entry.path());
    let partials: Vec<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|it| it == "incomplete"))
        .collect();
    Ok(!partials.is_empty() && !open_files::opened_by_others(partials).is_empty())
}
