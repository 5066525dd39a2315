//! The files of a target that are published and whole, found without the network.

use std::path::PathBuf;

use anyhow::Result;
use thiserror::Error;

use super::download::cache_choice;
use super::places::Places;
use super::services::Services;
use super::sync::{Target, TargetDestination};
use crate::cache::layout::native;
use crate::cache::{self, CacheLayout, LocalDir, LocalEntry, scan_repo};
use crate::domain::model::{Destination, ModelSpec};
use crate::domain::repo::{CommitSha, Repo, RepoPath};
use crate::domain::snapshot::{RemoteFile, RemoteSnapshot};

/// A published commit of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedTarget {
    pub commit: CommitSha,
    /// The folder of its files.
    pub path: PathBuf,
}

/// No commit is published, or the published one lacks a selected file.
#[derive(Debug, Error)]
pub enum NotPublished {
    #[error("`{0}` has no published files at this revision yet")]
    Nothing(String),
    #[error("`{label}` is published at {}, but some of its selected files are missing", .commit.short())]
    NotWhole { label: String, commit: CommitSha },
}

/// Returns the listing of a commit that is stored beside the files. Writes nothing.
pub fn stored_listing(
    cache: &CacheLayout,
    repo: &Repo,
    place: &Destination,
    commit: &CommitSha,
) -> Result<Option<RemoteSnapshot>> {
    match place {
        Destination::Cache => cache::stored_listing(&cache.repo(repo), commit),
        Destination::Directory(root) => LocalDir::listing_below(root, commit),
    }
}

/// Returns the path of the bytes of a published file: the blob, or the file itself where the
/// destination has no links.
pub fn file_of(
    cache: &CacheLayout,
    spec: &ModelSpec,
    commit: &CommitSha,
    file: &RemoteFile,
) -> PathBuf {
    match &spec.destination {
        Destination::Directory(root) => root.join(native(&file.path)),
        Destination::Cache => {
            let layout = cache.repo(&spec.repo);
            let entry = layout.entry(commit, &file.path);
            let is_real = entry.symlink_metadata().is_ok_and(|found| found.is_file());
            if is_real {
                entry
            } else {
                layout.blob(&file.content)
            }
        }
    }
}

/// Returns the published commit of each target. A size proves nothing about the bytes:
/// `hfdl verify` reads them.
pub fn published(
    services: &Services<'_>,
    targets: &[Target],
) -> Result<Vec<Result<PublishedTarget>>> {
    let Services {
        host,
        store,
        settings,
        ..
    } = services;
    let choice = cache_choice(host, settings, Places::load(store, settings)?.into());
    let find = |target: &Target| -> Result<PublishedTarget> {
        let destination = TargetDestination::new(&choice, target)?;
        let mut commits: Vec<CommitSha> = target.known_commit.iter().cloned().collect();
        match target.destination {
            Destination::Cache => commits.extend(destination.published(target, None)?),
            // A directory has no ref; its records tell which commit it holds.
            Destination::Directory(_) => commits.extend(store.commits_seen(&target.repo)?),
        }
        for commit in &commits {
            if is_whole(&destination, target, commit)? {
                return Ok(PublishedTarget {
                    path: destination.readable_at(commit),
                    commit: commit.clone(),
                });
            }
        }
        let label = target.label();
        let commit = commits.into_iter().next();
        let commit = commit.filter(|_| target.destination == Destination::Cache);
        Err(match commit {
            Some(commit) => NotPublished::NotWhole { label, commit },
            None => NotPublished::Nothing(label),
        }
        .into())
    };
    Ok(targets.iter().map(find).collect())
}

/// Tells whether each selected file of a commit is there. Without a listing the names in
/// the snapshot are all that is known.
fn is_whole(destination: &TargetDestination, target: &Target, commit: &CommitSha) -> Result<bool> {
    if let Some(listing) = destination.stored_listing(commit)? {
        let wanted = listing.selected(&target.filter);
        let has = |path: &RepoPath| listing.find(path).is_some();
        return Ok(!wanted.is_empty()
            && target.required.iter().all(has)
            && destination.is_complete(commit, &wanted)?);
    }
    if target.destination != Destination::Cache {
        return Ok(false);
    }
    let mut local = scan_repo(destination.cache(), &target.repo)?;
    let Some(snapshot) = local.snapshots.remove(commit) else {
        return Ok(false);
    };
    let names: Vec<&str> = snapshot.entries.keys().map(RepoPath::as_str).collect();
    let selection = target.filter.among(&names);
    let entries = snapshot.entries.iter();
    let mut selected = entries
        .filter(|(path, _)| selection.has(path.as_str()))
        .peekable();
    Ok(selected.peek().is_some()
        && selected.all(|(_, entry)| !matches!(entry, LocalEntry::Dangling))
        && target
            .required
            .iter()
            .all(|path| snapshot.entries.contains_key(path)))
}
