//! Compares adopted files with the listings of registered models.

use anyhow::{Result, anyhow};

use crate::domain::adopt::{AdoptedFiles, is_worth_moving_now};
use crate::domain::model::Model;
use crate::domain::repo::CommitSha;
use crate::domain::snapshot::Amount;
use crate::ops::adopt::is_changed;
use crate::ops::login::HubClients;
use crate::ops::parallel::{QUESTIONS_AT_ONCE, map_at_once};
use crate::ops::sync::{CacheChoice, Target, TargetDestination};

/// The files of a model that are among the adopted ones.
#[derive(Debug)]
pub struct ModelMatch {
    pub model: Model,
    /// The result of asking the Hub.
    pub found: Result<Matched>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matched {
    pub commit: CommitSha,
    /// The selected files of the model.
    pub total: Amount,
    /// Those of them that were adopted and are unchanged.
    pub here: Amount,
    pub is_published: bool,
}

impl ModelMatch {
    /// Tells whether to download the model at once: nearly all of it is here.
    pub fn is_worth_moving_now(&self) -> bool {
        self.found.as_ref().is_ok_and(|found| {
            !found.is_published && is_worth_moving_now(found.total.bytes, found.here.bytes)
        })
    }
}

/// Asks the Hub for the listing of each model and compares contents and sizes.
pub fn match_models(
    clients: &HubClients,
    choice: &CacheChoice,
    models: Vec<Model>,
    adopted: &AdoptedFiles,
) -> Vec<ModelMatch> {
    let found = map_at_once(&models, QUESTIONS_AT_ONCE, |model| {
        match_model(clients, choice, model, adopted)
    });
    let pairs = models.into_iter().zip(found);
    let no_result = || Err(anyhow!("the question ended without a result"));
    pairs
        .map(|(model, found)| ModelMatch {
            model,
            found: found.unwrap_or_else(no_result),
        })
        .collect()
}

fn match_model(
    clients: &HubClients,
    choice: &CacheChoice,
    model: &Model,
    adopted: &AdoptedFiles,
) -> Result<Matched> {
    let target = Target::from(model);
    let hub = clients.with_token(target.token_name.as_ref())?;
    let info = hub
        .revision(&target.repo, &target.revision)
        .map_err(|error| hub.explain_absence(error, target.needs_token))?;
    let stored = TargetDestination::new(choice, &target)?.stored_listing(&info.commit)?;
    let remote = match stored {
        Some(remote) => remote,
        None => hub.tree(&target.repo, &info.commit)?,
    };
    let mut here = Amount::default();
    for file in remote.selected(&target.filter) {
        let mut files = adopted.with_content(&file.content).iter();
        if files.any(|found| found.stamp.size_bytes == file.size_bytes && !is_changed(found)) {
            here.files += 1;
            here.bytes = here.bytes.saturating_add(file.size_bytes);
        }
    }
    Ok(Matched {
        total: remote.amount(Some(&target.filter)),
        here,
        is_published: target.known_commit.as_ref() == Some(&info.commit),
        commit: info.commit,
    })
}
