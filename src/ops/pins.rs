//! The commit that a person pins a model at: looked for on the disk, then at the Hub.

use anyhow::{Error, Result};

use super::hub::connect;
use super::login::Renewal;
use super::rollback::{check_whole, kept_revisions};
use crate::cache::CacheLayout;
use crate::domain::model::{Destination, Model};
use crate::domain::policy::PinnedCommit;
use crate::domain::repo::{CommitSha, Repo, Revision};
use crate::domain::settings::Settings;
use crate::hub::{Fault, HubClient, HubError};
use crate::store::Store;
use crate::sys::host::Host;
use crate::sys::stop::StopFlag;

/// The result of looking for a commit.
pub enum PinSearch {
    Found(CommitSha),
    /// Neither the Hub nor the disk has it.
    Nowhere,
    /// The disk does not have it, and the Hub gave no answer.
    Unknown(Error),
}

/// Looks for the commit that a model is to be pinned at. `model` is as it will be.
pub fn find(
    host: &Host,
    settings: &Settings,
    store: &Store,
    model: &Model,
    written: &PinnedCommit,
) -> Result<PinSearch> {
    if let Some(commit) = find_on_disk(settings, store, model, written)? {
        return Ok(PinSearch::Found(commit));
    }
    Ok(match ask_hub(host, settings, model, written) {
        Ok(Some(commit)) => PinSearch::Found(commit),
        Ok(None) => PinSearch::Nowhere,
        Err(err) => PinSearch::Unknown(err),
    })
}

/// Returns the published commit, or another one that is whole on the disk.
fn find_on_disk(
    settings: &Settings,
    store: &Store,
    model: &Model,
    written: &PinnedCommit,
) -> Result<Option<CommitSha>> {
    let published = model.state.published_commit.as_ref();
    if let Some(published) = published.filter(|it| written.is_start_of(it)) {
        return Ok(Some(published.clone()));
    }
    if model.spec.destination != Destination::Cache {
        return Ok(None);
    }
    let layout = CacheLayout::new(settings.cache_dir()).repo(&model.spec.repo);
    let kept = kept_revisions(store, &layout, model)?.into_iter();
    let mut candidates = kept.map(|it| it.commit).chain(written.as_commit());
    Ok(candidates.find(|commit| {
        written.is_start_of(commit) && check_whole(store, &layout, model, commit).is_ok()
    }))
}

fn ask_hub(
    host: &Host,
    settings: &Settings,
    model: &Model,
    written: &PinnedCommit,
) -> Result<Option<CommitSha>> {
    let stop = StopFlag::new();
    let clients = connect(host, settings, &stop, Renewal::Never)?;
    let spec = &model.spec;
    let hub = clients.with_token(spec.token_name.as_ref())?;
    let asked = match written.as_commit() {
        Some(commit) => {
            let asked = hub.revision(&spec.repo, &Revision::from(&commit));
            asked.map(|_| Some(commit))
        }
        None => newest_beginning(&hub, &spec.repo, &spec.revision, written),
    };
    match asked {
        Err(err) if *err.fault() == Fault::RevisionNotFound => Ok(None),
        asked => Ok(asked?),
    }
}

/// Finds the newest commit of a revision that begins with these digits.
pub(super) fn newest_beginning(
    hub: &HubClient,
    repo: &Repo,
    revision: &Revision,
    beginning: &PinnedCommit,
) -> Result<Option<CommitSha>, HubError> {
    let list = hub.commits(repo, revision, |it| beginning.is_start_of(&it.commit))?;
    let last = list.commits.into_iter().next_back();
    Ok(last
        .map(|it| it.commit)
        .filter(|it| beginning.is_start_of(it)))
}
