//! The held update of a model in detail: the files of both commits compared.

use anyhow::{Context, Result, anyhow};

use super::{NothingWaits, offered};
use crate::cache::CacheLayout;
use crate::domain::changes::ChangeNote;
use crate::domain::model::Model;
use crate::domain::repo::CommitSha;
use crate::domain::snapshot::RemoteSnapshot;
use crate::domain::update::{FileDifference, OfferedUpdate, file_differences};
use crate::ops::changes::note_of;
use crate::ops::hub::is_offline;
use crate::ops::published::stored_listing;
use crate::ops::services::Services;

/// A held update with its changes.
pub struct UpdateDetails {
    pub model: Model,
    pub update: OfferedUpdate,
    /// The files that differ from the published commit, or the reason why they are
    /// unknown.
    pub files: Result<Vec<FileDifference>>,
    pub note: Option<ChangeNote>,
}

/// Returns the held update of a model; the newest one if a commit was decided or published
/// already. The Hub is asked for a listing that is not stored here.
pub fn details(services: &Services<'_>, model: Model) -> Result<UpdateDetails> {
    let offered = offered(&services.store, Some(model.id))?;
    let is_current = |update: &&OfferedUpdate| update.is_current;
    let update = offered.iter().find(is_current).or(offered.first());
    let update = update
        .cloned()
        .ok_or_else(|| NothingWaits(model.spec.name.clone()))?;
    Ok(UpdateDetails {
        files: files(services, &model, &update),
        note: note_of(&services.store, model.id, &update.commit)?,
        model,
        update,
    })
}

fn files(
    services: &Services<'_>,
    model: &Model,
    update: &OfferedUpdate,
) -> Result<Vec<FileDifference>> {
    let cache = CacheLayout::new(services.settings.cache_dir());
    let (repo, place) = (&model.spec.repo, &model.spec.destination);
    let listing = |commit: &CommitSha| match stored_listing(&cache, repo, place, commit)? {
        Some(listing) => Ok(listing),
        None => ask_hub(services, model, commit)
            .with_context(|| format!("the listing of {} is not here", commit.short())),
    };
    let old = update.old_commit.as_ref().map(listing).transpose()?;
    let new = listing(&update.commit)?;
    Ok(file_differences(old.as_ref(), &new, &model.spec.filter))
}

fn ask_hub(services: &Services<'_>, model: &Model, commit: &CommitSha) -> Result<RemoteSnapshot> {
    if is_offline(services.host) {
        return Err(anyhow!("offline mode is on"));
    }
    let clients = &services.network()?.clients;
    let hub = clients.with_token(model.spec.token_name.as_ref())?;
    Ok(hub.tree(&model.spec.repo, commit)?)
}
