//! Registers and removes models, with the checks against the Hub and the database.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Result;
use thiserror::Error;

use super::directories::is_same_place;
use super::login::HubClients;
use super::ownership;
use crate::cache::{self, CacheLayout, Forgotten, Leaving, LocalDir, LocalRepo, Rest};
use crate::domain::content::ContentId;
use crate::domain::filter::FileSelection;
use crate::domain::model::{Destination, EntryName, Model, ModelId, ModelSpec};
use crate::domain::policy::{PinnedCommit, newest_tags};
use crate::domain::repo::{CommitSha, RepoId, RepoPath, Revision};
use crate::domain::settings::Settings;
use crate::domain::snapshot::{Amount, NothingSelected};
use crate::domain::time::Timestamp;
use crate::download::reusable_bytes;
use crate::hub::{FileAddress, Gated, HubClient, HubError};
use crate::store::{ModelFilter, Store, StoreError};
use crate::sys::open_files::opened_by_others;

/// The answer of the Hub about a model before it is added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubCheck {
    pub commit: CommitSha,
    pub selected: Amount,
    pub total: Amount,
    /// Patterns of the filter that match no file, beside others that do.
    pub unmatched: Vec<String>,
    /// The error for a filter that selects nothing; an empty repository has none.
    pub nothing_selected: Option<NothingSelected>,
    /// The repository's present id, when it has been renamed.
    pub renamed_to: Option<RepoId>,
    /// The refusal of a gated repository to which the token has no access.
    pub refused: Option<HubError>,
}

/// Asks the Hub whether repository and revision exist and are readable, and
/// how much the filter selects.
pub fn check_with_hub(hub: &HubClient, spec: &ModelSpec) -> Result<HubCheck, HubError> {
    let info = first_revision(hub, spec)
        .and_then(|revision| hub.revision(&spec.repo, &revision))
        .map_err(|error| hub.explain_type(error))?;
    let snapshot = hub.tree(&spec.repo, &info.commit)?;
    // The listing of a gated repository is open; only the files are not.
    let refused = match info.gated {
        Gated::No => None,
        Gated::Auto | Gated::Manual => match snapshot.files.first() {
            None => None,
            Some(file) => {
                let address = FileAddress {
                    repo: spec.repo.clone(),
                    commit: info.commit.clone(),
                    path: file.path.clone(),
                };
                match hub.check_access(&address) {
                    Ok(()) => None,
                    Err(err) if err.is_transient() => return Err(err),
                    Err(err) => Some(err),
                }
            }
        },
    };
    let (selected, total) = (snapshot.amount(Some(&spec.filter)), snapshot.amount(None));
    let is_nothing = selected.files == 0 && total.files > 0;
    Ok(HubCheck {
        nothing_selected: is_nothing
            .then(|| NothingSelected::new(&spec.repo, &snapshot, &spec.filter)),
        unmatched: spec
            .filter
            .unmatched(&snapshot.paths())
            .into_iter()
            .map(str::to_owned)
            .collect(),
        selected,
        total,
        commit: info.commit,
        renamed_to: (info.id != spec.repo.id).then_some(info.id),
        refused,
    })
}

/// As `check_with_hub`, with the token of the model; an error if it selects no file.
pub fn check_selection(clients: &HubClients, spec: &ModelSpec) -> Result<HubCheck> {
    let hub = clients.with_token(spec.token_name.as_ref())?;
    let mut check = check_with_hub(&hub, spec)?;
    match check.nothing_selected.take() {
        Some(nothing) => Err(nothing.into()),
        None => Ok(check),
    }
}

/// Returns the revision that the first download takes: a pinned commit, the newest tag, or
/// the model's own.
fn first_revision(hub: &HubClient, spec: &ModelSpec) -> Result<Revision, HubError> {
    let rules = &spec.update;
    let pin = rules.policy.as_ref().and_then(|it| it.commit.as_ref());
    if let Some(pin) = pin.and_then(PinnedCommit::as_commit) {
        return Ok(Revision::from(&pin));
    }
    let Some(pattern) = &rules.follow_tags else {
        return Ok(spec.revision.clone());
    };
    let tags = hub.tags(&spec.repo)?;
    let newest = newest_tags(tags.keys(), std::slice::from_ref(pattern));
    let newest = newest.into_iter().next().cloned();
    Ok(newest.unwrap_or_else(|| spec.revision.clone()))
}

/// Refuses a model that the database would refuse, before the Hub is asked.
pub fn refuse_known(store: &Store, spec: &ModelSpec) -> Result<(), StoreError> {
    let exists = |what: String, existing: &ModelSpec| StoreError::NotUnique {
        entity: "model",
        what,
        existing: existing.name.to_string(),
    };
    if let Some(model) = store.find_model(&spec.name)? {
        return Err(exists(format!("the name `{}`", spec.name), &model.spec));
    }
    for model in store.models_of_repo(&spec.repo)? {
        if model.spec.is_same_copy(spec) {
            let what = format!(
                "`{}` at revision `{}` in the same place",
                spec.repo, spec.revision
            );
            return Err(exists(what, &model.spec));
        }
    }
    Ok(())
}

/// Another model uses the directory.
#[derive(Debug, Error)]
#[error("the model `{model}` uses the directory `{}` already", .path.display())]
pub struct DirectoryInUse {
    pub path: PathBuf,
    pub model: EntryName,
}

/// Refuses a directory that another model uses: each of the two would delete
/// the other's files, because they are not in its own revision.
///
/// `own` is the model that is being changed.
pub fn refuse_shared_directory(
    store: &Store,
    spec: &ModelSpec,
    own: Option<ModelId>,
) -> Result<()> {
    let Destination::Directory(path) = &spec.destination else {
        return Ok(());
    };
    let models = store.models(&ModelFilter::default())?;
    let mut others = models.into_iter().filter(|model| Some(model.id) != own);
    match others.find(|other| uses_directory(&other.spec, path)) {
        Some(other) => Err(DirectoryInUse {
            path: path.clone(),
            model: other.spec.name,
        }
        .into()),
        None => Ok(()),
    }
}

/// Another model pins the same ref at another commit.
#[derive(Debug, Error)]
#[error("the model `{model}`, which shares the revision, is pinned at another commit")]
pub struct PinnedApart {
    pub model: EntryName,
}

/// Refuses a pin at another commit than that of a sibling: one ref cannot name both.
pub fn refuse_other_pin(store: &Store, spec: &ModelSpec, own: Option<ModelId>) -> Result<()> {
    let models = store.models_of_repo(&spec.repo)?;
    let mut others = models.into_iter().filter(|model| Some(model.id) != own);
    match others.find(|other| other.spec.is_pinned_apart(spec)) {
        Some(other) => Err(PinnedApart {
            model: other.spec.name,
        }
        .into()),
        None => Ok(()),
    }
}

/// Tells whether a model uses a directory, also by another path.
pub fn uses_directory(spec: &ModelSpec, path: &Path) -> bool {
    match &spec.destination {
        Destination::Directory(used) => is_same_place(used, path),
        Destination::Cache => false,
    }
}

/// Returns how many bytes of unfinished downloads the next one need not fetch.
///
/// A partial file has its full length from the start; its journal tells which
/// bytes of it have arrived.
pub fn partial_bytes(spec: &ModelSpec, settings: &Settings) -> Result<u64> {
    let partials = match &spec.destination {
        Destination::Cache => {
            let cache = CacheLayout::new(settings.cache_dir());
            cache::scan_repo(&cache, &spec.repo)?.partials
        }
        Destination::Directory(path) => LocalDir::partials(path)?,
    };
    let reusable = partials
        .iter()
        .map(|(content, partial)| reusable_bytes(&partial.path, content, partial.size_bytes));
    Ok(reusable.sum())
}

/// A model that is about to be removed, with its commits in the database.
pub struct ModelRemoval {
    model: Model,
    commits: BTreeSet<CommitSha>,
}

impl ModelRemoval {
    pub fn of(store: &Store, model: Model) -> Result<Self> {
        let commits = ownership::commits_of(store, &model)?;
        Ok(Self { model, commits })
    }

    /// Deletes the published files of the removed model that no other model needs.
    pub fn delete_files(
        &self,
        store: &Store,
        cache: &CacheLayout,
        now: Timestamp,
    ) -> Result<Forgotten> {
        let spec = &self.model.spec;
        let remaining = store.models(&ModelFilter::default())?;
        let forgotten = match &spec.destination {
            Destination::Cache => self.delete_from_cache(store, cache, &remaining, now)?,
            Destination::Directory(path) => {
                let mut others = remaining.iter();
                if others.any(|other| uses_directory(&other.spec, path)) {
                    return Ok(Forgotten::default());
                }
                let mut commits = store.commits_seen(&spec.repo)?;
                commits.extend(self.commits.iter().cloned());
                let owned = ownership::ownership_of_directory(store, cache, &spec.repo, path, now)?;
                LocalDir::forget(path, &spec.repo, &commits, &owned)?
            }
        };
        for file in &forgotten.blobs {
            store.forget_blob(file)?;
        }
        Ok(forgotten)
    }

    fn delete_from_cache(
        &self,
        store: &Store,
        cache: &CacheLayout,
        remaining: &[Model],
        now: Timestamp,
    ) -> Result<Forgotten> {
        let spec = &self.model.spec;
        let place = Destination::Cache;
        ownership::prepare_place(store, cache, &spec.repo, &place);
        let has_sibling = remaining.iter().any(|other| other.spec.shares_ref(spec));
        if let Some(home) = cache.repo(&spec.repo).home().filter(|_| !has_sibling) {
            // No other model needs its unfinished downloads.
            home.change_begun(|begun| begun.end_all(&spec.revision))?;
        }
        let others = remaining
            .iter()
            .filter(|other| other.spec.repo == spec.repo && other.spec.destination == place);
        let needed = ownership::wanted_commits(store, &spec.repo)?;
        let own = self.commits.difference(&needed).cloned().collect();
        let unshared = self.unshared_files(store, cache, remaining)?;
        let leaving = Leaving {
            repo: &spec.repo,
            revision: Some(&spec.revision).filter(|_| !has_sibling),
            own: &own,
            needed: &needed,
            unshared: &unshared,
            rest: match others.count() {
                0 => Rest::Remove,
                _ => Rest::Keep,
            },
            open: &|local| open_contents(cache, spec, local),
        };
        let owned = ownership::ownership_of(store, cache, &spec.repo, now)?;
        cache::forget_revision(cache, owned, &leaving)
    }

    /// Returns the files that only the removed model selects, of commits that other
    /// models of the cache need.
    fn unshared_files(
        &self,
        store: &Store,
        cache: &CacheLayout,
        remaining: &[Model],
    ) -> Result<BTreeMap<CommitSha, BTreeSet<RepoPath>>> {
        let repo = &self.model.spec.repo;
        let others = remaining
            .iter()
            .filter(|it| it.spec.repo == *repo && it.spec.destination == Destination::Cache);
        let others: Vec<(&Model, BTreeSet<CommitSha>)> = others
            .map(|other| Ok((other, ownership::commits_of(store, other)?)))
            .collect::<Result<_>>()?;
        let mut unshared = BTreeMap::new();
        for (commit, snapshot) in cache::scan_repo(cache, repo)?.snapshots {
            let users = others
                .iter()
                .filter(|(_, commits)| commits.contains(&commit));
            let users: Vec<&Model> = users.map(|(other, _)| *other).collect();
            if users.is_empty() || !self.commits.contains(&commit) {
                continue;
            }
            let names: Vec<&str> = snapshot.entries.keys().map(RepoPath::as_str).collect();
            let own = self.model.spec.filter.among(&names);
            let kept = users.iter().map(|user| user.spec.filter.among(&names));
            let kept: Vec<FileSelection<'_>> = kept.collect();
            let is_unshared = |path: &&RepoPath| {
                let is_kept = || kept.iter().any(|it| it.has(path.as_str()));
                own.has(path.as_str()) && !is_kept()
            };
            let paths = snapshot.entries.keys().filter(is_unshared).cloned();
            unshared.insert(commit, paths.collect());
        }
        Ok(unshared)
    }
}

/// Returns the contents whose blob another program has open.
fn open_contents(cache: &CacheLayout, spec: &ModelSpec, local: &LocalRepo) -> BTreeSet<ContentId> {
    let layout = cache.repo(&spec.repo);
    let blobs = local.blobs.keys();
    let paths: BTreeMap<PathBuf, ContentId> = blobs
        .map(|content| (layout.blob(content), *content))
        .collect();
    let open = opened_by_others(paths.keys().cloned());
    open.iter()
        .filter_map(|path| paths.get(path))
        .copied()
        .collect()
}
