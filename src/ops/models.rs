//! Registers models: what the Hub says about one before it is kept.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Result;
use thiserror::Error;

use crate::cache::{self, CacheLayout, LocalDir, Rest};
use crate::domain::model::{Destination, EntryName, Model, ModelId, ModelSpec};
use crate::domain::repo::{CommitSha, RepoId};
use crate::domain::settings::Settings;
use crate::domain::snapshot::Amount;
use crate::download::reusable_bytes;
use crate::hub::{FileAddress, Gated, HubClient, HubError};
use crate::store::{ModelFilter, Store, StoreError};

/// What the Hub said about a model that is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub commit: CommitSha,
    pub selected: Amount,
    pub total: Amount,
    /// Some of its files, in words.
    pub examples: String,
    /// The repository's present id, when it has been renamed.
    pub renamed_to: Option<RepoId>,
    /// Terms must be accepted, and this token has not got access.
    pub access_missing: bool,
}

/// Asks the Hub whether repository and revision exist and are readable, and
/// how much the filter selects.
pub fn check_with_hub(hub: &HubClient, spec: &ModelSpec) -> Result<Finding, HubError> {
    let info = hub.revision(&spec.repo, &spec.revision)?;
    let snapshot = hub.tree(&spec.repo, &info.commit)?;
    // The listing of a gated repository is open; only the files are not.
    let access_missing = match info.gated {
        Gated::No => false,
        Gated::Auto | Gated::Manual => match snapshot.files.first() {
            None => false,
            Some(file) => {
                let address = FileAddress {
                    repo: spec.repo.clone(),
                    commit: info.commit.clone(),
                    path: file.path.clone(),
                };
                match hub.check_access(&address) {
                    Ok(()) => false,
                    Err(err) if err.is_transient() => return Err(err),
                    Err(_) => true,
                }
            }
        },
    };
    Ok(Finding {
        selected: snapshot.amount(Some(&spec.filter)),
        total: snapshot.amount(None),
        examples: snapshot.examples(),
        commit: info.commit,
        renamed_to: (info.id != spec.repo.id).then_some(info.id),
        access_missing,
    })
}

/// Finds out before the Hub is asked what the database would refuse afterwards.
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
        if model.spec.revision == spec.revision && model.spec.destination == spec.destination {
            let what = format!(
                "`{}` at revision `{}` in the same place",
                spec.repo, spec.revision
            );
            return Err(exists(what, &model.spec));
        }
    }
    Ok(())
}

/// Two models want the same directory.
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
    let others = models.into_iter().filter(|model| Some(model.id) != own);
    match others
        .map(|model| model.spec)
        .find(|other| other.destination == spec.destination)
    {
        Some(other) => Err(DirectoryInUse {
            path: path.clone(),
            model: other.name,
        }
        .into()),
        None => Ok(()),
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

/// Deletes what was published for a removed model, except what the remaining
/// models need, and returns the bytes freed.
pub fn delete_files(model: &Model, remaining: &[Model], settings: &Settings) -> Result<u64> {
    if model.state.published_commit.is_none() {
        // Nothing there was put there for this model.
        return Ok(0);
    }
    let spec = &model.spec;
    match &spec.destination {
        Destination::Cache => {
            let cache = CacheLayout::new(settings.cache_dir());
            let others: Vec<&Model> = remaining
                .iter()
                .filter(|other| {
                    other.spec.repo == spec.repo && other.spec.destination == Destination::Cache
                })
                .collect();
            let commits = |model: &Model| {
                let state = &model.state;
                [state.published_commit.clone(), state.held_commit.clone()]
            };
            let needed: BTreeSet<CommitSha> = others
                .iter()
                .flat_map(|other| commits(other))
                .flatten()
                .collect();
            let own: BTreeSet<CommitSha> = commits(model)
                .into_iter()
                .flatten()
                .filter(|commit| !needed.contains(commit))
                .collect();
            let rest = if others.is_empty() {
                Rest::Remove
            } else {
                Rest::Keep
            };
            cache::forget_revision(&cache, &spec.repo, &spec.revision, &own, rest)
        }
        Destination::Directory(path) => {
            let is_shared = remaining
                .iter()
                .any(|other| other.spec.destination == spec.destination);
            if is_shared {
                Ok(0)
            } else {
                LocalDir::forget(path)
            }
        }
    }
}
