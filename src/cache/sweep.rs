//! Carries out the plan of a sweep, in an order that survives a crash.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::disk::{create_inside, remove_scratch, sync_dir};
use super::homes::is_busy;
use super::layout::{
    CacheLayout, JOURNAL_SUFFIX, NEW_JOURNAL_SUFFIX, PARTIAL_LOCK_SUFFIX, RepoLayout,
    SIDECAR_SUFFIX, STAGING_PREFIX, folder_name,
};
use super::scan::{LocalRepo, by_names_alone, cached_repos, files_below, read_dir, scan_repo};
use super::sweep_plan::{SweepPlan, SweepRules, SweepTarget, plan_sweep};
use crate::domain::content::ContentId;
use crate::domain::deletion::{FileOrigin, Ownership, Permit};
use crate::domain::repo::{CommitSha, Repo, RepoPath};
use crate::sys::files;
use crate::sys::host::checkpoint;
use crate::sys::lock::FileLock;
use crate::sys::removal;

/// Finds the contents that other repositories of the cache reach through links.
pub fn contents_used_elsewhere(cache: &CacheLayout, repo: &Repo) -> Result<BTreeSet<ContentId>> {
    let mut used = borrowed_contents(cache, &[repo])?;
    Ok(used.pop().unwrap_or_default())
}

/// Finds for each of some repositories the contents that others reach through
/// links, in one look at the cache.
pub fn borrowed_contents(cache: &CacheLayout, repos: &[&Repo]) -> Result<Vec<BTreeSet<ContentId>>> {
    let mut used = vec![BTreeSet::new(); repos.len()];
    let real_blobs = |repo: &Repo| fs::canonicalize(cache.repo(repo).blobs()).ok();
    let lenders: Vec<(usize, &Repo, PathBuf)> = repos
        .iter()
        .enumerate()
        .filter_map(|(index, repo)| Some((index, *repo, real_blobs(repo)?)))
        .collect();
    if lenders.is_empty() {
        return Ok(used);
    }
    for other in cached_repos(cache)? {
        let layout = cache.repo(&other);
        let mut names = files_below(&layout.blobs())?;
        names.extend(files_below(&layout.snapshots())?);
        for (_, entry) in names {
            let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            if !is_link || leads_to(&entry.path(), &layout.blobs()) {
                continue;
            }
            let Ok(target) = fs::canonicalize(entry.path()) else {
                continue;
            };
            for (index, _, blobs) in lenders.iter().filter(|(_, repo, _)| **repo != other) {
                if let Ok(name) = target.strip_prefix(blobs)
                    && let Some(content) = name.to_str().and_then(|n| ContentId::from_etag(n).ok())
                {
                    used[*index].insert(content);
                }
            }
        }
    }
    Ok(used)
}

/// Tells by its text that a link leads to a blob of its own repository, as
/// nearly all do. That blob may be a link in turn, which is looked at itself.
fn leads_to(link: &Path, blobs: &Path) -> bool {
    let target = fs::read_link(link).ok();
    let target = target
        .zip(link.parent())
        .map(|(target, folder)| folder.join(target));
    target.is_some_and(|target| by_names_alone(&target).parent() == Some(blobs))
}

/// Carries out a plan and returns the removed items.
///
/// A snapshot leaves the readers' sight in one rename and is deleted last, so
/// that the next sweep still knows which blobs it used if this one is cut
/// short. The disk is read again before blobs are deleted: another program may
/// have made a snapshot since the plan. Files that the system does not delete,
/// because another program has them open, stay and are not counted.
pub fn execute_sweep(
    cache: &CacheLayout,
    repo: &Repo,
    plan: &SweepPlan,
    rules: &SweepRules,
) -> Result<SweepPlan> {
    let layout = cache.repo(repo);
    check_folders(cache, repo)?;
    if is_busy(cache, repo)? {
        return Ok(SweepPlan::default());
    }
    let moved = set_snapshots_aside(cache, repo, plan, rules)?;
    let is_file = |what: &SweepTarget| what.as_snapshot().is_none();
    let now = plan_again(cache, repo, plan, rules, is_file)?;
    let still_goes = targets_of(&now);
    let mut done = SweepPlan::default();
    for (item, permit) in plan.removals() {
        let is_removed = match &item.what {
            SweepTarget::Snapshot(commit) => moved.contains(&layout.trash(commit)),
            what => {
                // Others may have changed the folder since the plan.
                still_goes.contains(what) && remove_files(&layout, what, permit)?
            }
        };
        if is_removed {
            done.add(item.what.clone(), item.size_bytes, Ok(permit));
        }
    }
    sync_if_there(layout.blobs())?;
    checkpoint("blobs swept");
    for (item, _) in done.removals() {
        if let SweepTarget::Snapshot(commit) | SweepTarget::Trash(commit) = &item.what
            && !layout.snapshot(commit).exists()
        {
            forget_listings(&layout, commit)?;
        }
    }
    checkpoint("listings swept");
    for (item, permit) in done.removals() {
        if let SweepTarget::Snapshot(commit) | SweepTarget::Trash(commit) = &item.what {
            empty(&layout.trash(commit), permit)?;
        }
    }
    checkpoint("trash emptied");
    let local = scan_repo(cache, repo)?;
    if !rules.ownership.is_being_fetched {
        remove_leftovers(&layout, &local, &rules.ownership)?;
    }
    if let Some(home) = layout.home() {
        home.settle(&local)?;
    }
    Ok(done)
}

/// Reads the disk again and plans the same sweep; an empty plan if the first one removes
/// nothing of this kind, as after most runs.
fn plan_again(
    cache: &CacheLayout,
    repo: &Repo,
    plan: &SweepPlan,
    rules: &SweepRules,
    is_of_kind: impl Fn(&SweepTarget) -> bool,
) -> Result<SweepPlan> {
    if plan.removals().any(|(item, _)| is_of_kind(&item.what)) {
        Ok(plan_sweep(&scan_repo(cache, repo)?, rules))
    } else {
        Ok(SweepPlan::default())
    }
}

fn targets_of(plan: &SweepPlan) -> HashSet<&SweepTarget> {
    plan.removals().map(|(item, _)| &item.what).collect()
}

/// Moves the snapshots of a plan into the trash, and returns their paths there. A ref
/// may have moved since the plan, or a name have come into a snapshot: those stay.
fn set_snapshots_aside(
    cache: &CacheLayout,
    repo: &Repo,
    plan: &SweepPlan,
    rules: &SweepRules,
) -> Result<Vec<PathBuf>> {
    let layout = cache.repo(repo);
    let is_snapshot = |what: &SweepTarget| what.as_snapshot().is_some();
    let now = plan_again(cache, repo, plan, rules, is_snapshot)?;
    let still_goes = targets_of(&now);
    let mut moved = Vec::new();
    for (item, _) in plan.removals() {
        let SweepTarget::Snapshot(commit) = &item.what else {
            continue;
        };
        if !still_goes.contains(&item.what) {
            continue;
        }
        let (snapshot, aside) = (layout.snapshot(commit), layout.trash(commit));
        if snapshot.exists() {
            create_inside(cache.root(), &Path::new(&folder_name(repo)).join(".hfdl"))?;
            remove_scratch(&aside)?;
            match fs::rename(&snapshot, &aside) {
                Err(err) if files::is_in_use(&err) => continue,
                result => {
                    result.with_context(|| format!("cannot remove `{}`", snapshot.display()))?
                }
            }
            checkpoint("one revision set aside");
        }
        moved.push(aside);
    }
    sync_if_there(layout.snapshots())?;
    checkpoint("revisions set aside");
    Ok(moved)
}

/// Removes the files of one item; returns `false` if the system refuses because a file
/// is in use. Trash is emptied later.
fn remove_files(layout: &RepoLayout, what: &SweepTarget, permit: Permit) -> Result<bool> {
    match what {
        SweepTarget::Snapshot(_) | SweepTarget::Trash(_) => Ok(true),
        SweepTarget::Blob(content) => {
            if !remove_unless_in_use(&layout.blob(content), permit)? {
                return Ok(false);
            }
            remove_unless_in_use(&layout.sidecar(content), Permit::note())?;
            checkpoint("one blob swept");
            Ok(true)
        }
        // The journal first: without it the bytes are void, but a journal without its
        // bytes would describe another file.
        SweepTarget::Partial(content) => {
            Ok(remove_unless_in_use(&layout.journal(content), permit)?
                && remove_unless_in_use(&layout.partial(content), permit)?)
        }
        SweepTarget::Evidence(content) => {
            let [first, later] = layout.evidence(content);
            Ok(remove_unless_in_use(&later, permit)? && remove_unless_in_use(&first, permit)?)
        }
    }
}

/// Removes the notes about a commit whose snapshot is gone. Markers of files
/// that it does not have are as empty as the official client makes them.
fn forget_listings(layout: &RepoLayout, commit: &CommitSha) -> Result<()> {
    remove_unless_in_use(&layout.tree(commit), Permit::note())?;
    remove_unless_in_use(&layout.private_tree(commit), Permit::note())?;
    let denials = layout.no_exist_of(commit);
    let markers = files_below(&denials)?;
    let is_marker = |(_, entry): &(Option<RepoPath>, DirEntry)| {
        entry
            .metadata()
            .is_ok_and(|found| found.is_file() && found.len() == 0)
    };
    if markers.iter().all(is_marker) {
        removal::remove_tree(&denials, Permit::note())
            .with_context(|| format!("cannot remove `{}`", denials.display()))?;
    }
    Ok(())
}

/// Makes sure that no link leads a deletion out of the cache.
fn check_folders(cache: &CacheLayout, repo: &Repo) -> Result<()> {
    let folder = cache.repo(repo).folder().to_path_buf();
    for name in [
        "",
        "snapshots",
        "blobs",
        "trees",
        ".no_exist",
        ".hfdl",
        ".hfdl/trees",
    ] {
        let folder = folder.join(name);
        if folder.exists() {
            files::check_inside(cache.root(), &folder)
                .with_context(|| format!("cannot use `{}`", folder.display()))?;
        }
    }
    Ok(())
}

/// Removes files that a killed process of this home was preparing, and records of
/// contents that are gone. No process fetches into the folder at this moment.
fn remove_leftovers(layout: &RepoLayout, local: &LocalRepo, ownership: &Ownership) -> Result<()> {
    let own = &ownership.own;
    let put = own.snapshots.values().flat_map(|put| put.values());
    let in_snapshots: BTreeSet<&ContentId> = put.collect();
    // Without records of other homes these files belong to this home, or to a home that
    // is gone.
    let is_alone = !ownership.is_shared();
    for entry in read_dir(&layout.private())? {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_str().unwrap_or_default();
        let content_of = |suffix: &str| {
            let etag = name.strip_suffix(suffix)?;
            ContentId::from_etag(etag).ok()
        };
        let is_gone = |content: &ContentId| {
            !local.partials.contains_key(content)
                && ownership.refusal_of_content(content).is_none()
                && (is_alone || ownership.origin_of_partial(content) == FileOrigin::ThisHome)
        };
        if let Some(rest) = name.strip_prefix(STAGING_PREFIX) {
            match (rest.split_once('-'), layout.home()) {
                (Some((commit, id)), Some(home)) if id == home.id() => {
                    if let Ok(commit) = commit.parse() {
                        home.forget_snapshot(&commit)?;
                    }
                    remove_scratch(&path)?;
                }
                // Of a version that kept no records.
                (None, _) if is_alone => remove_scratch(&path)?,
                _ => {}
            }
        } else if name.ends_with(PARTIAL_LOCK_SUFFIX) {
            if is_alone {
                // Taking and releasing the lock removes it; a leftover lock file blocks no process.
                drop(take_partial_lock(&path)?);
            }
        } else if name.starts_with(files::TEMPORARY_PREFIX) {
            if is_alone {
                remove_scratch(&path)?;
            }
        } else if let Some(content) = content_of(SIDECAR_SUFFIX) {
            let is_there = local.blobs.contains_key(&content) || in_snapshots.contains(&content);
            if !is_there && is_gone(&content) {
                remove_file(&path, Permit::note())?;
            }
        } else if let Some(content) =
            content_of(JOURNAL_SUFFIX).or_else(|| content_of(NEW_JOURNAL_SUFFIX))
            && is_gone(&content)
        {
            remove_file(&path, Permit::note())?;
        }
    }
    remove_listings_of_nothing(layout, local, ownership)?;
    match layout.home() {
        Some(home) => home.remove_temporary_files(),
        None => Ok(()),
    }
}

/// Removes the listings of commits that have no snapshot and that no home is on
/// the way to: a run was killed before its snapshot had a name.
fn remove_listings_of_nothing(
    layout: &RepoLayout,
    local: &LocalRepo,
    ownership: &Ownership,
) -> Result<()> {
    for entry in read_dir(&layout.private().join("trees"))? {
        let name = entry.file_name();
        let commit = name.to_str().and_then(|name| name.strip_suffix(".json"));
        let Some(commit) = commit.and_then(|it| it.parse::<CommitSha>().ok()) else {
            continue;
        };
        let is_needed = local.snapshots.contains_key(&commit)
            || local.trash.contains_key(&commit)
            || ownership.own.claims_commit(&commit)
            || ownership.refusal_of_commit(&commit).is_some();
        if !is_needed {
            remove_file(&entry.path(), Permit::note())?;
        }
    }
    Ok(())
}

fn take_partial_lock(path: &Path) -> Result<Option<FileLock>> {
    FileLock::try_acquire_temporary(path)
        .with_context(|| format!("cannot lock `{}`", path.display()))
}

/// Removes a file; `false` when another program's hold on it forbids that.
pub(super) fn remove_unless_in_use(path: &Path, permit: Permit) -> Result<bool> {
    match removal::remove_file(path, permit) {
        Err(err) if files::is_in_use(&err) => Ok(false),
        removed => removed
            .map(|_| true)
            .with_context(|| format!("cannot remove `{}`", path.display())),
    }
}

/// Removes a snapshot that was moved aside. Files in use wait for the next sweep.
fn empty(folder: &Path, permit: Permit) -> Result<()> {
    match removal::remove_tree(folder, permit) {
        Err(err) if files::is_in_use(&err) => Ok(()),
        removed => removed
            .map(drop)
            .with_context(|| format!("cannot remove `{}`", folder.display())),
    }
}

fn remove_file(path: &Path, permit: Permit) -> Result<()> {
    removal::remove_file(path, permit)
        .map(drop)
        .with_context(|| format!("cannot remove `{}`", path.display()))
}

fn sync_if_there(dir: PathBuf) -> Result<()> {
    if dir.is_dir() { sync_dir(&dir) } else { Ok(()) }
}
