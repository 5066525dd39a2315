//! Deletes the published files of a model on the user's request.
//!
//! The rule of `domain::deletion` decides about each file: refs of this home that no
//! other home claims, snapshots and blobs that it made, and files of a directory
//! that are unchanged since they were written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::disk::CACHEDIR_TAG;
use super::homes::{HOMES, origin_of_snapshot};
use super::layout::{CacheLayout, RepoLayout, SIDECAR_SUFFIX};
use super::local_dir::{LocalDir, PRIVATE, RECORDS};
use super::scan::{LocalEntry, LocalRepo, files_below, scan_repo};
use super::sweep::{contents_used_elsewhere, execute_sweep, remove_unless_in_use};
use super::sweep_plan::{Evidence, SweepPlan, SweepRules, SweepTarget, plan_sweep};
use crate::domain::content::ContentId;
use crate::domain::deletion::{FileOrigin, Ownership, Permit, Reason, Refusal, judge};
use crate::domain::repo::{CommitSha, Repo, RepoPath, Revision};
use crate::sys::files;
use crate::sys::removal;

/// The treatment of other revisions and unfinished downloads of the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Other models use the repository: the revisions that they can go back to
    /// and the bytes that they have begun to fetch are theirs.
    Keep,
    /// No other model needs the repository: all files of this home are deleted.
    Remove,
}

/// The result of a deletion: bytes freed, and the reasons why some files stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    pub freed_bytes: u64,
    /// The blobs that are gone, by their paths.
    pub blobs: Vec<PathBuf>,
    pub kept: BTreeSet<Refusal>,
}

/// The revision of a model that is deleted.
#[derive(Clone, Copy)]
pub struct Leaving<'a> {
    pub repo: &'a Repo,
    /// The revision whose ref is removed; `None` if another model follows it.
    pub revision: Option<&'a Revision>,
    /// The commits that were published for it and that no other model needs.
    pub own: &'a BTreeSet<CommitSha>,
    /// Commits that other models of this home need.
    pub needed: &'a BTreeSet<CommitSha>,
    /// Files of needed commits that only this model selects.
    pub unshared: &'a BTreeMap<CommitSha, BTreeSet<RepoPath>>,
    pub rest: Rest,
    /// Returns the contents that other programs have open.
    pub open: &'a dyn Fn(&LocalRepo) -> BTreeSet<ContentId>,
}

/// Deletes a model's revisions from the cache.
pub fn forget_revision(
    cache: &CacheLayout,
    ownership: Ownership,
    leaving: &Leaving<'_>,
) -> Result<Forgotten> {
    let (repo, own) = (leaving.repo, leaving.own);
    let layout = cache.repo(repo);
    let mut forgotten = Forgotten::default();
    if !layout.folder().is_dir() {
        return Ok(forgotten);
    }
    // The ref first: a ref without its snapshot makes the whole repository
    // unreadable for other programs.
    let local = scan_repo(cache, repo)?;
    let open = (leaving.open)(&local);
    if let Some(refusal) = remove_reference(&layout, &local, &ownership, leaving, &open)? {
        forgotten.kept.insert(refusal);
    }
    remove_unshared(&layout, &local, &ownership, leaving, &open, &mut forgotten)?;
    let local = scan_repo(cache, repo)?;
    let made: BTreeSet<CommitSha> = ownership.own.snapshots.keys().cloned().collect();
    let goes = |commit: &CommitSha| match leaving.rest {
        Rest::Keep => own.contains(commit),
        Rest::Remove => {
            !leaving.needed.contains(commit) && (own.contains(commit) || made.contains(commit))
        }
    };
    let open_snapshots = open_snapshots(&local, &open, goes);
    let commits = local.snapshots.keys();
    let rules = SweepRules {
        keep: commits.filter(|commit| !goes(commit)).cloned().collect(),
        reason: Reason::OfRemovedModel,
        used_elsewhere: contents_used_elsewhere(cache, repo)?,
        open,
        open_snapshots,
        ownership: ownership.into(),
        evidence: match leaving.rest {
            Rest::Keep => Evidence::Keep,
            Rest::Remove => Evidence::Remove,
        },
    };
    let plan = plan_sweep(&local, &rules);
    forgotten.kept.extend(refusals_to_report(&plan, &goes));
    let done = execute_sweep(cache, repo, &plan, &rules)?;
    forgotten.freed_bytes += done.freed_bytes;
    for (item, _) in done.removals() {
        if let SweepTarget::Blob(content) = &item.what {
            forgotten.blobs.push(layout.blob(content));
        }
    }
    if leaving.rest == Rest::Remove && !rules.ownership.is_being_fetched {
        if !made.is_empty() && !rules.ownership.is_shared() {
            remove_if_ours(&layout.tag(), CACHEDIR_TAG.as_bytes())?;
        }
        remove_folder_if_ours(&layout, &rules.ownership)?;
    }
    Ok(forgotten)
}

/// Returns the refusals about the snapshots that should go, and those by other users of
/// the cache.
fn refusals_to_report(
    plan: &SweepPlan,
    goes: impl Fn(&CommitSha) -> bool,
) -> impl Iterator<Item = Refusal> {
    plan.items.iter().filter_map(move |item| {
        let refusal = item.verdict.err()?;
        let by_others = matches!(
            refusal,
            Refusal::Open | Refusal::OtherHome | Refusal::BeingFetched
        );
        let should_go = matches!(&item.what, SweepTarget::Snapshot(commit) if goes(commit));
        (by_others || should_go).then_some(refusal)
    })
}

/// Returns the snapshots of which another program has a file open that no
/// snapshot that stays has, too.
fn open_snapshots(
    local: &LocalRepo,
    open: &BTreeSet<ContentId>,
    goes: impl Fn(&CommitSha) -> bool,
) -> BTreeSet<CommitSha> {
    let (going, staying): (Vec<_>, Vec<_>) =
        local.snapshots.iter().partition(|(commit, _)| goes(commit));
    let elsewhere: BTreeSet<ContentId> = staying.iter().flat_map(|(_, it)| it.contents()).collect();
    let is_open = |content: ContentId| open.contains(&content) && !elsewhere.contains(&content);
    let in_use = going
        .into_iter()
        .filter(|(_, it)| it.contents().any(is_open));
    in_use.map(|(commit, _)| commit.clone()).collect()
}

/// Removes the ref of a revision, or returns the reason why it stays.
fn remove_reference(
    layout: &RepoLayout,
    local: &LocalRepo,
    ownership: &Ownership,
    leaving: &Leaving<'_>,
    open: &BTreeSet<ContentId>,
) -> Result<Option<Refusal>> {
    let named = leaving.revision.and_then(|it| local.refs.get_key_value(it));
    let Some((revision, commit)) = named else {
        return Ok(None);
    };
    let snapshot = local.snapshots.get(commit);
    let origin = match snapshot {
        Some(snapshot) => origin_of_snapshot(ownership, local, commit, snapshot),
        // Another program moved the ref and has not come to the snapshot yet.
        None => FileOrigin::Unknown,
    };
    let is_known = leaving.own.contains(commit) || leaving.needed.contains(commit);
    let is_open = snapshot.is_some_and(|it| it.contents().any(|used| open.contains(&used)));
    let claims = [
        (!is_known).then_some(Refusal::NotOurs),
        ownership.refusal_of_commit(commit),
        is_open.then_some(Refusal::Open),
    ];
    let permit = match judge(Reason::OfRemovedModel, origin, claims) {
        Ok(permit) => permit,
        Err(refusal) => return Ok(Some(refusal)),
    };
    let path = layout.reference(revision);
    removal::remove_file(&path, permit)
        .with_context(|| format!("cannot remove `{}`", path.display()))?;
    let refs = layout.refs();
    let emptied = path
        .ancestors()
        .skip(1)
        .take_while(|dir| *dir != refs && dir.starts_with(&refs));
    for dir in emptied {
        if !removal::remove_empty_dir(dir) {
            break;
        }
    }
    Ok(None)
}

/// Removes the files of snapshots that stay which no other model selects.
fn remove_unshared(
    layout: &RepoLayout,
    local: &LocalRepo,
    ownership: &Ownership,
    leaving: &Leaving<'_>,
    open: &BTreeSet<ContentId>,
    forgotten: &mut Forgotten,
) -> Result<()> {
    for (commit, paths) in leaving.unshared {
        let Some(snapshot) = local.snapshots.get(commit).filter(|_| !paths.is_empty()) else {
            continue;
        };
        let used = |path: &RepoPath| snapshot.entries.get(path)?.content();
        let is_open = paths.iter().filter_map(used).any(|it| open.contains(&it));
        let claims = [
            ownership.refusal_of_commit(commit),
            is_open.then_some(Refusal::Open),
        ];
        let origin = origin_of_snapshot(ownership, local, commit, snapshot);
        let permit = match judge(Reason::OfRemovedModel, origin, claims) {
            Ok(permit) => permit,
            Err(refusal) => {
                forgotten.kept.insert(refusal);
                continue;
            }
        };
        let context = || format!("cannot remove files of commit {commit}");
        // First: with it, readers without a network refuse a snapshot that lacks a file.
        removal::remove_file(&layout.tree(commit), permit).with_context(context)?;
        for path in paths {
            let entry = layout.entry(commit, path);
            removal::remove_file(&entry, permit).with_context(context)?;
            if let Some(LocalEntry::RealFile { size_bytes }) = snapshot.entries.get(path) {
                forgotten.freed_bytes += size_bytes;
                forgotten.blobs.push(entry.clone());
            }
            let root = layout.snapshot(commit);
            let folders = entry.ancestors().skip(1).take_while(|dir| *dir != root);
            for folder in folders {
                if !removal::remove_empty_dir(folder) {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Removes a repository's folder when nothing but notes of hfdl is left in it.
fn remove_folder_if_ours(layout: &RepoLayout, ownership: &Ownership) -> Result<()> {
    let private = layout.private();
    let mut notes: Vec<PathBuf> = Vec::new();
    for (_, entry) in files_below(layout.folder())? {
        let path = entry.path();
        let below = path.strip_prefix(&private).ok();
        let is_note = below.is_some_and(|below| {
            below.starts_with("trees")
                || below
                    .extension()
                    .is_some_and(|it| it == &SIDECAR_SUFFIX[1..])
                || below.starts_with(HOMES) && !ownership.is_shared()
        });
        if !is_note {
            return Ok(());
        }
        notes.push(path);
    }
    for note in notes {
        remove_unless_in_use(&note, Permit::note())?;
    }
    remove_empty_dirs(layout.folder());
    Ok(())
}

/// Removes a file of hfdl if it still has the text that hfdl gives it.
fn remove_if_ours(path: &Path, text: &[u8]) -> Result<()> {
    let found = files::read_if_present(path)
        .with_context(|| format!("cannot read `{}`", path.display()))?;
    if found.as_deref() == Some(text) {
        remove_unless_in_use(path, Permit::note())?;
    }
    Ok(())
}

/// Removes the folders below and including one that have nothing in them.
fn remove_empty_dirs(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty_dirs(&entry.path());
        }
    }
    removal::remove_empty_dir(dir);
}

impl LocalDir {
    /// Deletes the files of a repository that were put into a directory and are
    /// unchanged since, and hfdl's own notes, each by its name. The user's own
    /// files stay, and so does everything else in the folder of records.
    pub fn forget(
        root: &Path,
        repo: &Repo,
        commits: &BTreeSet<CommitSha>,
        ownership: &Ownership,
    ) -> Result<Forgotten> {
        let mut forgotten = Forgotten::default();
        if !root.join(PRIVATE).is_dir() {
            return Ok(forgotten);
        }
        if ownership.is_being_fetched {
            forgotten.kept.insert(Refusal::BeingFetched);
            return Ok(forgotten);
        }
        let dir = Self::to_look(root)?;
        let mut written = dir.written()?;
        for path in dir.paths_of(&written, repo, commits) {
            let size = fs::symlink_metadata(dir.file(&path)).map_or(0, |file| file.len());
            match dir.delete_if_ours(&path, &written, repo, Reason::OfRemovedModel)? {
                Ok(()) => {
                    forgotten.freed_bytes += size;
                    forgotten.blobs.push(dir.file(&path));
                }
                Err(refusal) => {
                    forgotten.kept.insert(refusal);
                    // The note describes a file that has changed since.
                    remove_unless_in_use(&dir.note_path(&path), Permit::note())?;
                }
            }
            written.remove(&path);
        }
        for left in Self::leftovers(root)? {
            let origin = ownership.origin_of_partial(&left.content);
            let claims = ownership.others.iter();
            let claims = claims.map(|_| Some(Refusal::OtherHome));
            match judge(Reason::OfRemovedModel, origin, claims) {
                Ok(permit) if left.remove(permit)? => forgotten.freed_bytes += left.size_bytes,
                Ok(_) => drop(forgotten.kept.insert(Refusal::Open)),
                Err(refusal) => drop(forgotten.kept.insert(refusal)),
            }
        }
        if written.is_empty() && !ownership.is_shared() {
            dir.remove_notes()?;
        } else {
            dir.write_written(&written)?;
        }
        Ok(forgotten)
    }

    /// Removes hfdl's notes, file by file, and then the folders that are empty.
    fn remove_notes(&self) -> Result<()> {
        let private = self.private();
        let is_note = |path: &Path| {
            let below = path.strip_prefix(&private).unwrap_or(path);
            let suffix = below.extension().map(|it| it.to_owned());
            below == Path::new("written")
                || below == Path::new("place")
                || below.starts_with("trees")
                || below.starts_with(HOMES)
                || suffix.is_some_and(|it| it == "xet" || it == "lock" || it == "journal")
        };
        let listings: Vec<PathBuf> = files_below(&private.join("trees"))?
            .into_iter()
            .map(|(_, entry)| entry.path())
            .collect();
        // The official listings that were written with ours are the same to the byte.
        let official = self.root().join(RECORDS).join("trees");
        for ours in &listings {
            let theirs = official.join(ours.file_name().unwrap_or_default());
            let is_same = fs::read(&theirs).ok() == fs::read(ours).ok();
            if is_same {
                remove_unless_in_use(&theirs, Permit::note())?;
            }
        }
        for (_, entry) in files_below(&private)? {
            if is_note(&entry.path()) {
                remove_unless_in_use(&entry.path(), Permit::note())?;
            }
        }
        remove_empty_dirs(&private);
        self.remove_marks()
    }

    /// Removes the mark of a cache and the ignore file, if nothing else is left
    /// beside them, and then the empty folders up to the directory itself.
    fn remove_marks(&self) -> Result<()> {
        let records = self.root().join(RECORDS);
        let downloads = records.join("download");
        let mut locks: BTreeMap<PathBuf, u64> = BTreeMap::new();
        for (_, entry) in files_below(&downloads)? {
            let size = entry.metadata().map_or(u64::MAX, |found| found.len());
            locks.insert(entry.path(), size);
        }
        // Locks are empty files; they and the files' notes are all that is there.
        let is_lock = |(path, size): (&PathBuf, &u64)| {
            *size == 0 && path.extension().is_some_and(|it| it == "lock")
        };
        if locks.iter().all(is_lock) {
            for lock in locks.keys() {
                remove_unless_in_use(lock, Permit::note())?;
            }
            remove_empty_dirs(&downloads);
        }
        remove_empty_dirs(&records.join("trees"));
        let marks = [".gitignore", "CACHEDIR.TAG"];
        let mut others = files_below(&records)?
            .into_iter()
            .filter(|(_, entry)| !marks.iter().any(|mark| entry.path() == records.join(mark)));
        if others.next().is_none() && !has_folders(&records) {
            for (mark, text) in [
                (".gitignore", "*".as_bytes()),
                ("CACHEDIR.TAG", CACHEDIR_TAG.as_bytes()),
            ] {
                remove_if_ours(&records.join(mark), text)?;
            }
        }
        for dir in [Some(records.as_path()), records.parent(), Some(self.root())] {
            if !dir.is_some_and(removal::remove_empty_dir) {
                break;
            }
        }
        Ok(())
    }
}

fn has_folders(dir: &Path) -> bool {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.next().is_some()
}
