//! Removes what a sweep's plan gives free, in an order that survives a crash.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::layout::{
    CacheLayout, JOURNAL_SUFFIX, PARTIAL_LOCK_SUFFIX, RepoLayout, STAGING_PREFIX, folder_name,
};
use super::publish::{create_inside, remove_dir, sync_dir};
use super::scan::{by_names_alone, cached_repos, files_below, read_dir, scan_repo};
use super::sweep_plan::{SweepPlan, SweepRules, SweepTarget, Unused, Verdict, plan_sweep};
use crate::domain::content::ContentId;
use crate::domain::repo::Repo;
use crate::sys::files;
use crate::sys::host::checkpoint;
use crate::sys::lock::FileLock;

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

/// Carries a plan out and returns what was removed.
///
/// A snapshot leaves the readers' sight in one rename and is deleted last, so
/// that the next sweep still knows which blobs it used if this one is cut
/// short. Before blobs go, the disk is asked again: another program may have
/// made a snapshot since the plan. What the system does not let go, because
/// another program has it open, stays and is not among what was removed.
pub fn execute_sweep(
    cache: &CacheLayout,
    repo: &Repo,
    plan: &SweepPlan,
    rules: &SweepRules,
) -> Result<SweepPlan> {
    let layout = cache.repo(repo);
    check_folders(cache, repo)?;
    let refs = scan_repo(cache, repo)?.refs;
    let mut trash = Vec::new();
    for (item, _) in plan.removals() {
        let SweepTarget::Snapshot(commit) = &item.what else {
            continue;
        };
        // A ref may have moved since the plan.
        if refs.values().any(|named| named == commit) {
            continue;
        }
        let (snapshot, aside) = (layout.snapshot(commit), layout.trash(commit));
        if snapshot.exists() {
            create_inside(cache.root(), &Path::new(&folder_name(repo)).join(".hfdl"))?;
            remove_dir(&aside)?;
            match fs::rename(&snapshot, &aside) {
                Err(err) if files::is_in_use(&err) => continue,
                moved => {
                    moved.with_context(|| format!("cannot remove `{}`", snapshot.display()))?
                }
            }
            checkpoint("one revision set aside");
        }
        trash.push(aside);
    }
    sync_if_there(layout.snapshots())?;
    checkpoint("revisions set aside");

    let now = plan_sweep(&scan_repo(cache, repo)?, rules);
    let mut done = SweepPlan::default();
    for (item, reason) in plan.removals() {
        let is_still_right = || now.removals().any(|(other, _)| other.what == item.what);
        match &item.what {
            SweepTarget::Snapshot(commit) if trash.contains(&layout.trash(commit)) => {}
            SweepTarget::Trash(commit) => trash.push(layout.trash(commit)),
            SweepTarget::Blob(content) if is_still_right() => {
                if !let_go(layout.blob(content))? {
                    continue;
                }
                remove_file(layout.sidecar(content))?;
                checkpoint("one blob swept");
            }
            SweepTarget::Partial(content) if is_still_right() => {
                // The journal first: without it the bytes are void, but a
                // journal without its bytes would speak of another file's.
                if !(let_go(layout.journal(content))? && let_go(layout.partial(content))?) {
                    continue;
                }
            }
            SweepTarget::Evidence(content) => {
                if !let_go(layout.evidence(content))? {
                    continue;
                }
            }
            _ => continue,
        }
        done.add(item.what.clone(), item.size_bytes, Verdict::Remove(reason));
    }
    sync_if_there(layout.blobs())?;
    checkpoint("blobs swept");
    for (item, _) in done.removals() {
        if let SweepTarget::Snapshot(commit) | SweepTarget::Trash(commit) = &item.what
            && !layout.snapshot(commit).exists()
        {
            remove_file(layout.tree(commit))?;
            remove_file(layout.private_tree(commit))?;
            remove_dir(&layout.no_exist_of(commit))?;
        }
    }
    checkpoint("listings swept");
    trash.iter().try_for_each(|folder| empty(folder))?;
    checkpoint("trash emptied");
    if rules.unused == Unused::Remove {
        remove_leftovers(&layout)?;
    }
    Ok(done)
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
            files::check_inside(cache.root(), &folder)?;
        }
    }
    Ok(())
}

/// Removes what a killed process was preparing, and journals of nothing.
fn remove_leftovers(layout: &RepoLayout) -> Result<()> {
    for entry in read_dir(&layout.private())? {
        let name = entry.file_name();
        let name = name.to_str().unwrap_or_default();
        let journal_of = name.strip_suffix(JOURNAL_SUFFIX);
        let journal_of = journal_of.and_then(|etag| ContentId::from_etag(etag).ok());
        if name.starts_with(STAGING_PREFIX) {
            remove_dir(&entry.path())?;
        } else if name.ends_with(PARTIAL_LOCK_SUFFIX) {
            // Taken and released, it is gone; a file that is left holds nobody up.
            drop(take_partial_lock(&entry.path())?);
        } else if name.starts_with(files::TEMPORARY_PREFIX)
            || journal_of.is_some_and(|content| !layout.partial(&content).exists())
        {
            remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Tells whether somebody fetches into a private folder, such as a run of another home.
pub fn is_being_fetched(private: &Path) -> Result<bool> {
    for entry in read_dir(private)? {
        let name = entry.file_name();
        let is_lock = name
            .to_str()
            .is_some_and(|name| name.ends_with(PARTIAL_LOCK_SUFFIX));
        if is_lock && take_partial_lock(&entry.path())?.is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn take_partial_lock(path: &Path) -> Result<Option<FileLock>> {
    FileLock::try_acquire_temporary(path)
        .with_context(|| format!("cannot lock `{}`", path.display()))
}

/// Removes a file; `false` when another program's hold on it forbids that.
pub(super) fn let_go(path: PathBuf) -> Result<bool> {
    match files::remove_if_present(&path) {
        Err(err) if files::is_in_use(&err) => Ok(false),
        removed => removed
            .map(|_| true)
            .with_context(|| format!("cannot remove `{}`", path.display())),
    }
}

/// Removes what was set aside; what is in use there waits for the next sweep.
fn empty(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(err) if files::is_absent(&err) || files::is_in_use(&err) => Ok(()),
        removed => removed.with_context(|| format!("cannot remove `{}`", folder.display())),
    }
}

fn remove_file(path: PathBuf) -> Result<()> {
    files::remove_if_present(&path)
        .map(drop)
        .with_context(|| format!("cannot remove `{}`", path.display()))
}

fn sync_if_there(dir: PathBuf) -> Result<()> {
    if dir.is_dir() { sync_dir(&dir) } else { Ok(()) }
}
