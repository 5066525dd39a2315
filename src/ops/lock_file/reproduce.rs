//! Compares a lock file with the models that are to reproduce it. It changes nothing.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use crate::cache::{self, CacheLayout};
use crate::domain::lock_file::{LockFile, LockedModel};
use crate::domain::model::{Destination, Model};
use crate::domain::settings::Settings;
use crate::domain::snapshot::RemoteSnapshot;
use crate::hub::HubError;
use crate::ops::login::HubClients;
use crate::ops::parallel::{QUESTIONS_AT_ONCE, map_at_once};
use crate::ops::published::stored_listing;

/// Returns all differences, one line each. The Hub is asked for the listing of each
/// locked commit whose files are not on disk.
pub fn differences(
    clients: &HubClients,
    settings: &Settings,
    models: &[Model],
    lock: &LockFile,
) -> Result<Vec<String>> {
    let cache = CacheLayout::new(settings.cache_dir());
    let mut lines = lock.presence(models.iter().map(|model| &model.spec.name));
    lines.extend(shared_refs(models, lock));
    let both = models.iter();
    let both = both.filter_map(|model| Some((model, lock.find(&model.spec.name)?)));
    let both: Vec<(&Model, &LockedModel)> = both.collect();
    let found = map_at_once(&both, QUESTIONS_AT_ONCE, |(model, locked)| {
        of_model(clients, &cache, model, locked)
    });
    for (found, (model, _)) in found.into_iter().zip(&both) {
        let name = &model.spec.name;
        let found = found.context("the question ended without a result");
        let found = found.flatten();
        lines.extend(found.with_context(|| format!("cannot compare `{name}` with the lock file"))?);
    }
    Ok(lines)
}

fn of_model(
    clients: &HubClients,
    cache: &CacheLayout,
    model: &Model,
    locked: &LockedModel,
) -> Result<Vec<String>> {
    let (spec, commit) = (&model.spec, &locked.commit);
    let mut lines = locked.spec_differences(&spec.repo, &spec.revision, &spec.filter);
    if let Some(held) = model.state.held_commit.as_ref()
        && held != commit
    {
        let (name, held) = (&spec.name, held.short());
        lines.push(format!(
            "`{name}`: a rollback holds it at {held} until `hfdl models release {name}`"
        ));
    }
    if !lines.is_empty() {
        return Ok(lines);
    }
    let listing = match listing_of_whole_files(cache, model, locked)? {
        Some(listing) => listing,
        None => {
            let hub = clients.with_token(spec.token_name.as_ref())?;
            match hub.tree(&spec.repo, commit) {
                Ok(listing) => listing,
                Err(err) if HubError::is_gone(&err) => {
                    let (name, commit) = (&spec.name, commit.short());
                    let gone = format!("`{name}`: commit {commit} is not on the Hub: {err}");
                    return Ok(vec![gone]);
                }
                Err(err) => return Err(err.into()),
            }
        }
    };
    Ok(locked.differences(&LockedModel::of(spec, &listing)))
}

/// Returns the stored listing of the locked commit if its files are on disk, so that
/// nothing has to be fetched.
fn listing_of_whole_files(
    cache: &CacheLayout,
    model: &Model,
    locked: &LockedModel,
) -> Result<Option<RemoteSnapshot>> {
    let (spec, commit) = (&model.spec, &locked.commit);
    let is_published = model.state.published_commit.as_ref() == Some(commit);
    let Some(listing) = stored_listing(cache, &spec.repo, &spec.destination, commit)? else {
        return Ok(None);
    };
    let layout = cache.repo(&spec.repo);
    let is_here = is_published
        || spec.destination == Destination::Cache
            && cache::snapshot_is_complete(&layout, commit, listing.selected(&spec.filter))?;
    Ok(is_here.then_some(listing))
}

/// Names models that share a ref of the cache and are locked at different commits.
fn shared_refs(models: &[Model], lock: &LockFile) -> Vec<String> {
    let mut lines = Vec::new();
    let mut first_of_ref = BTreeMap::new();
    for model in models {
        let spec = &model.spec;
        let Some(locked) = lock.find(&spec.name) else {
            continue;
        };
        if spec.destination != Destination::Cache {
            continue;
        }
        let first = first_of_ref.entry((&spec.repo, &spec.revision));
        let first: &mut &LockedModel = first.or_insert(locked);
        if first.commit != locked.commit {
            lines.push(format!(
                "`{}` and `{}` share a revision in the cache and are locked at different commits",
                first.name, locked.name
            ));
        }
    }
    lines
}
