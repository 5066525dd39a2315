//! Removes what a sweep's plan gives free, in an order that survives a crash.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::layout::{CacheLayout, JOURNAL_SUFFIX, RepoLayout, STAGING_PREFIX, folder_name};
use super::publish::{create_inside, remove_dir, sync_dir};
use super::scan::{cached_repos, files_below, read_dir, scan_repo};
use super::sweep_plan::{SweepPlan, SweepRules, SweepTarget, Unused, Verdict, plan_sweep};
use crate::domain::content::ContentId;
use crate::domain::repo::Repo;
use crate::sys::files;

/// Finds the contents that other repositories of the cache reach through links.
pub fn contents_used_elsewhere(cache: &CacheLayout, repo: &Repo) -> Result<BTreeSet<ContentId>> {
    let mut used = BTreeSet::new();
    let Ok(own_blobs) = fs::canonicalize(cache.repo(repo).blobs()) else {
        return Ok(used);
    };
    for other in cached_repos(cache)?.iter().filter(|other| *other != repo) {
        let layout = cache.repo(other);
        let mut names = files_below(&layout.blobs())?;
        names.extend(files_below(&layout.snapshots())?);
        for (_, entry) in names {
            if !entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
                continue;
            }
            let Ok(target) = fs::canonicalize(entry.path()) else {
                continue;
            };
            if let Ok(name) = target.strip_prefix(&own_blobs)
                && let Some(content) = name.to_str().and_then(|n| ContentId::from_etag(n).ok())
            {
                used.insert(content);
            }
        }
    }
    Ok(used)
}

/// Carries a plan out and returns what was removed.
///
/// A snapshot leaves the readers' sight in one rename and is deleted last, so
/// that the next sweep still knows which blobs it used if this one is cut
/// short. Before blobs go, the disk is asked again: another program may have
/// made a snapshot since the plan.
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
            fs::rename(&snapshot, &aside)
                .with_context(|| format!("cannot remove `{}`", snapshot.display()))?;
        }
        trash.push(aside);
    }
    sync_if_there(layout.snapshots())?;

    let now = plan_sweep(&scan_repo(cache, repo)?, rules);
    let mut done = SweepPlan::default();
    for (item, reason) in plan.removals() {
        let is_still_right = || now.removals().any(|(other, _)| other.what == item.what);
        match &item.what {
            SweepTarget::Snapshot(commit) if trash.contains(&layout.trash(commit)) => {}
            SweepTarget::Trash(commit) => trash.push(layout.trash(commit)),
            SweepTarget::Blob(content) if is_still_right() => {
                remove_file(layout.blob(content))?;
                remove_file(layout.sidecar(content))?;
            }
            SweepTarget::Partial(content) if is_still_right() => {
                // The journal first: without it the bytes are void, but a
                // journal without its bytes would speak of another file's.
                remove_file(layout.journal(content))?;
                remove_file(layout.partial(content))?;
            }
            _ => continue,
        }
        done.add(item.what.clone(), item.size_bytes, Verdict::Remove(reason));
    }
    sync_if_there(layout.blobs())?;
    for (item, _) in done.removals() {
        if let SweepTarget::Snapshot(commit) | SweepTarget::Trash(commit) = &item.what
            && !layout.snapshot(commit).exists()
        {
            remove_file(layout.tree(commit))?;
            remove_file(layout.private_tree(commit))?;
            remove_dir(&layout.no_exist_of(commit))?;
        }
    }
    trash.iter().try_for_each(|folder| remove_dir(folder))?;
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
        } else if name.starts_with(files::TEMPORARY_PREFIX)
            || journal_of.is_some_and(|content| !layout.partial(&content).exists())
        {
            remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn remove_file(path: PathBuf) -> Result<()> {
    files::remove_if_present(&path)
        .map(drop)
        .with_context(|| format!("cannot remove `{}`", path.display()))
}

fn sync_if_there(dir: PathBuf) -> Result<()> {
    if dir.is_dir() { sync_dir(&dir) } else { Ok(()) }
}
