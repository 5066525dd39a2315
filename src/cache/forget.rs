//! Deletes what was published for a model, when a person asks for it.
//!
//! Only what hfdl wrote goes: a ref and the revisions that nothing else names,
//! or the files of a directory that are unchanged since they were put there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::layout::{CacheLayout, RepoLayout};
use super::local_dir::{LocalDir, RECORDS};
use super::scan::scan_repo;
use super::sweep::{contents_used_elsewhere, execute_sweep};
use super::sweep_plan::{SweepRules, Unused, plan_sweep};
use crate::domain::repo::{CommitSha, Repo, Revision};
use crate::sys::files;

/// What becomes of the repository's other revisions and unfinished downloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Other models use the repository: the revisions that they can go back to
    /// and the bytes that they have begun to fetch are theirs.
    Keep,
    /// Nobody needs the repository: all that hfdl put there goes.
    Remove,
}

/// Deletes a model's revisions from the cache and returns the bytes freed.
///
/// `own` are the commits that were there for the model alone as far as models
/// go; whatever another ref names stays, and so does what hfdl did not put
/// there.
pub fn forget_revision(
    cache: &CacheLayout,
    repo: &Repo,
    revision: &Revision,
    own: &BTreeSet<CommitSha>,
    rest: Rest,
) -> Result<u64> {
    let layout = cache.repo(repo);
    if !layout.folder().is_dir() {
        return Ok(0);
    }
    // The ref first: a ref without its snapshot makes the whole repository
    // unreadable for other programs.
    remove_reference(&layout, revision)?;
    let local = scan_repo(cache, repo)?;
    // Every snapshot of ours has a listing in the private folder.
    let goes = |commit: &CommitSha| match rest {
        Rest::Keep => own.contains(commit),
        Rest::Remove => own.contains(commit) || layout.private_tree(commit).exists(),
    };
    let leftovers = match rest {
        Rest::Keep => Unused::Keep,
        Rest::Remove => Unused::Remove,
    };
    let commits = local.snapshots.keys();
    let rules = SweepRules {
        keep: commits.filter(|commit| !goes(commit)).cloned().collect(),
        used_elsewhere: contents_used_elsewhere(cache, repo)?,
        open: BTreeSet::new(),
        unused: leftovers,
        evidence: leftovers,
    };
    let plan = plan_sweep(&local, &rules);
    let done = execute_sweep(cache, repo, &plan, &rules)?;
    let left = scan_repo(cache, repo)?;
    if left.snapshots.is_empty()
        && left.refs.is_empty()
        && left.blobs.is_empty()
        && left.partials.is_empty()
    {
        // A folder without revisions is an error to other readers.
        fs::remove_dir_all(layout.folder())
            .with_context(|| format!("cannot remove `{}`", layout.folder().display()))?;
    }
    Ok(done.freed_bytes)
}

fn remove_reference(layout: &RepoLayout, revision: &Revision) -> Result<()> {
    if revision.as_commit().is_some() {
        return Ok(());
    }
    let path = layout.reference(revision);
    files::remove_if_present(&path)
        .with_context(|| format!("cannot remove `{}`", path.display()))?;
    let refs = layout.refs();
    let emptied = path
        .ancestors()
        .skip(1)
        .take_while(|dir| *dir != refs && dir.starts_with(&refs));
    for dir in emptied {
        if fs::remove_dir(dir).is_err() {
            break;
        }
    }
    Ok(())
}

impl LocalDir {
    /// Deletes the files that were put into a directory and are unchanged
    /// since, and returns their bytes. The user's own files stay.
    pub fn forget(root: &Path) -> Result<u64> {
        if !root.join(RECORDS).is_dir() {
            return Ok(0);
        }
        let dir = Self::open(root)?;
        let mut freed = 0;
        for (path, content) in dir.written()? {
            let size = fs::symlink_metadata(dir.file(&path)).map_or(0, |file| file.len());
            if dir.delete_if_ours(&path, content)? {
                freed += size;
            }
        }
        let records = root.join(RECORDS);
        fs::remove_dir_all(&records)
            .with_context(|| format!("cannot remove `{}`", records.display()))?;
        // The folders that are empty now; `remove_dir` leaves all others alone.
        for dir in [records.parent(), Some(root)].into_iter().flatten() {
            if fs::remove_dir(dir).is_err() {
                break;
            }
        }
        Ok(freed)
    }
}
