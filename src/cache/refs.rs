//! The refs of one repository: the commit that readers of a revision get.

use anyhow::{Context, Result};

use super::layout::RepoLayout;
use super::scan::{read_ref, snapshot_is_complete, stored_listing};
use crate::domain::filter::Filter;
use crate::domain::moved_ref::{MovedRef, RefTarget, SnapshotState};
use crate::domain::repo::{CommitSha, Revision};

/// Returns the commit that a revision is published at.
///
/// Strict, like the readers that matter: a ref with a newline, or to a folder
/// that does not exist, makes the whole repository vanish from `hf cache ls`
/// and fails offline. Such a ref counts as none, so that the next sync mends it.
pub fn published_commit(layout: &RepoLayout, revision: &Revision) -> Result<Option<CommitSha>> {
    let commit = match revision.as_commit() {
        Some(commit) => Some(commit),
        None => named_commit(layout, revision)?,
    };
    Ok(commit.filter(|commit| layout.snapshot(commit).is_dir()))
}

fn named_commit(layout: &RepoLayout, revision: &Revision) -> Result<Option<CommitSha>> {
    let path = layout.reference(revision);
    read_ref(&path).with_context(|| format!("cannot read `{}`", path.display()))
}

/// Compares a ref with the commit that was published; `None` if it names that commit.
///
/// Another program may have moved the ref, or removed it. The filter selects the files
/// that the snapshot of the new target needs.
pub fn moved_ref(
    layout: &RepoLayout,
    revision: &Revision,
    published: &CommitSha,
    filter: &Filter,
) -> Result<Option<MovedRef>> {
    if revision.as_commit().is_some() {
        return Ok(None);
    }
    let named = named_commit(layout, revision)?;
    if named.as_ref() == Some(published) {
        return Ok(None);
    }
    let snapshot = match &named {
        Some(commit) => snapshot_state(layout, commit, filter)?,
        None => SnapshotState::Missing,
    };
    Ok(Some(MovedRef {
        revision: revision.clone(),
        published: published.clone(),
        target: named.map_or(RefTarget::Nothing, RefTarget::Commit),
        snapshot,
    }))
}

fn snapshot_state(
    layout: &RepoLayout,
    commit: &CommitSha,
    filter: &Filter,
) -> Result<SnapshotState> {
    if !layout.snapshot(commit).is_dir() {
        return Ok(SnapshotState::Missing);
    }
    let Some(listing) = stored_listing(layout, commit)? else {
        return Ok(SnapshotState::Unknown);
    };
    let wanted = listing.selected(filter);
    Ok(if snapshot_is_complete(layout, commit, wanted)? {
        SnapshotState::Whole
    } else {
        SnapshotState::Partial
    })
}
