//! Sizes of published revisions, by the listings that are stored beside the files, and the
//! disk use of models, by the names on disk. No file is read, and the Hub is not asked.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Result;

use super::published::stored_listing;
use super::rollback::kept_revisions;
use crate::cache::{CacheLayout, LocalEntry, LocalRepo, cached_repos, scan_repo};
use crate::domain::model::{Destination, Model};
use crate::domain::repo::{CommitSha, Repo};
use crate::domain::retention::{PublishedRevision, rollback_target};
use crate::domain::session::LastCheck;
use crate::domain::settings::Settings;
use crate::domain::snapshot::Amount;
use crate::store::Store;

/// The sizes of some models.
#[derive(Clone, Debug)]
pub struct ModelSizes {
    /// The published revision of each model; `None` without a stored listing of it.
    pub published: Vec<Option<Amount>>,
    /// The bytes of all revisions on disk.
    pub disk_bytes: u64,
}

impl ModelSizes {
    /// Measures models, each with its last check.
    pub fn of(settings: &Settings, models: &[(&Model, Option<&LastCheck>)]) -> Self {
        let cache = CacheLayout::new(settings.cache_dir());
        let published = models
            .iter()
            .map(|(model, last)| published_amount(&cache, model, *last));
        let published: Vec<Option<Amount>> = published.collect();
        let models = models.iter().map(|(model, _)| *model);
        Self {
            disk_bytes: disk_bytes(&cache, models, &published),
            published,
        }
    }

    /// Adds up the published revisions.
    pub fn published_bytes(&self) -> u64 {
        let known = self.published.iter().flatten();
        known.map(|amount| amount.bytes).sum()
    }
}

/// A revision of a model that is on disk.
#[derive(Clone, Debug)]
pub struct KeptRevision {
    pub revision: PublishedRevision,
    pub amount: Option<Amount>,
    pub is_published: bool,
    /// Whether `hfdl models rollback` goes to it.
    pub is_rollback_target: bool,
}

/// The files of a model on disk.
#[derive(Clone, Debug, Default)]
pub struct ModelFiles {
    /// The folder of the published files.
    pub path: Option<PathBuf>,
    pub published: Option<Amount>,
    /// The latest published first.
    pub kept: Vec<KeptRevision>,
}

impl ModelFiles {
    pub fn of(
        store: &Store,
        settings: &Settings,
        model: &Model,
        last: Option<&LastCheck>,
    ) -> Result<Self> {
        let cache = CacheLayout::new(settings.cache_dir());
        let layout = cache.repo(&model.spec.repo);
        let published = model.state.published_commit.as_ref();
        let place = |commit| match &model.spec.destination {
            Destination::Cache => layout.snapshot(commit),
            Destination::Directory(root) => root.clone(),
        };
        let kept = match model.spec.destination {
            Destination::Cache => kept_revisions(store, &layout, model)?,
            // A directory holds the published revision only.
            Destination::Directory(_) => Vec::new(),
        };
        let target = rollback_target(&kept, published, None).ok();
        let target = target.map(|target| target.commit.clone());
        let describe = |revision: PublishedRevision| KeptRevision {
            amount: amount_at(&cache, model, &revision.commit),
            is_published: published == Some(&revision.commit),
            is_rollback_target: published.is_some() && target.as_ref() == Some(&revision.commit),
            revision,
        };
        Ok(Self {
            path: published.map(place),
            published: published_amount(&cache, model, last),
            kept: kept.into_iter().map(describe).collect(),
        })
    }
}

/// Returns the files of the published revision, by the last check or by the listing in the
/// cache of this command, which may be another one than that of the check.
pub(super) fn published_amount(
    cache: &CacheLayout,
    model: &Model,
    last: Option<&LastCheck>,
) -> Option<Amount> {
    let commit = model.state.published_commit.as_ref()?;
    let told = last.and_then(|last| last.published_amount(model));
    told.or_else(|| amount_at(cache, model, commit))
}

/// Returns the selected files of a model at a commit; `None` if no listing of it is stored.
fn amount_at(cache: &CacheLayout, model: &Model, commit: &CommitSha) -> Option<Amount> {
    let spec = &model.spec;
    let listing = stored_listing(cache, &spec.repo, &spec.destination, commit);
    let listing = listing.inspect_err(|err| {
        log::debug!("the size of `{}` is unknown: {err:#}", spec.name);
    });
    Some(listing.ok()??.amount(Some(&spec.filter)))
}

/// Counts a blob once that several revisions or models share.
fn disk_bytes<'m>(
    cache: &CacheLayout,
    models: impl Iterator<Item = &'m Model>,
    published: &[Option<Amount>],
) -> u64 {
    let (mut repos, mut directories) = (BTreeSet::<&Repo>::new(), BTreeSet::<&PathBuf>::new());
    let mut bytes = 0;
    // The folder of the cache is read once: there may be ten thousand models.
    let unknown = |err: &_| log::debug!("the disk use is unknown: {err:#}");
    let cached = cached_repos(cache).inspect_err(unknown).unwrap_or_default();
    for (model, amount) in models.zip(published) {
        match &model.spec.destination {
            Destination::Cache => {
                if cached.binary_search(&model.spec.repo).is_ok() {
                    repos.insert(&model.spec.repo);
                }
            }
            Destination::Directory(path) => {
                if directories.insert(path) {
                    bytes += amount.unwrap_or_default().bytes;
                }
            }
        }
    }
    let in_cache = repos.into_iter().filter_map(|repo| {
        let found = scan_repo(cache, repo);
        let unknown = |err: &_| log::debug!("the disk use of `{repo}` is unknown: {err:#}");
        found.inspect_err(unknown).ok()
    });
    bytes + in_cache.map(|local| bytes_of(&local)).sum::<u64>()
}

/// Counts blobs, and the files of snapshots that are no links.
fn bytes_of(local: &LocalRepo) -> u64 {
    let blobs = local.blobs.values().map(|blob| blob.size_bytes);
    let snapshots = local.snapshots.values();
    let copies = snapshots
        .flat_map(|it| it.entries.values())
        .map(|entry| match entry {
            LocalEntry::RealFile { size_bytes } => *size_bytes,
            LocalEntry::Blob { .. } | LocalEntry::Dangling => 0,
        });
    blobs.chain(copies).sum()
}
