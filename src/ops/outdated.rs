//! `hfdl models outdated`: compares models with the Hub, and writes nothing.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, anyhow};

use super::diagnose::trouble_of;
use super::login::HubClients;
use super::parallel::{QUESTIONS_AT_ONCE, map_at_once};
use super::published::stored_listing;
use crate::cache::CacheLayout;
use crate::domain::content::ContentId;
use crate::domain::model::{Destination, Model};
use crate::domain::outcome::{ExitStatus, words};
use crate::domain::policy::{EffectiveRules, TagPattern, UnmetPolicy, newest_tags};
use crate::domain::repo::{CommitSha, Revision};
use crate::domain::session::Trouble;
use crate::domain::settings::Settings;
use crate::hub::{HubClient, HubError};

words! {
    /// The state of a published model compared with its repository.
    UpstreamStanding {
        UpToDate = "up-to-date",
        Outdated = "outdated",
        /// The Hub did not answer.
        CouldNotCheck = "could-not-check",
        /// Gone upstream.
        Orphaned = "orphaned",
        NeverDownloaded = "never-downloaded",
    }
}

/// The Hub's answer for one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelStanding {
    pub model: Model,
    pub standing: UpstreamStanding,
    pub upstream: Option<CommitSha>,
    /// The rules in force about updates.
    pub rules: EffectiveRules,
    /// The newest tag, for a model that follows tags.
    pub tag: Option<Revision>,
    /// The bytes of the files that the model lacks of it, unless it is published.
    pub bytes_to_fetch: Option<u64>,
    /// The upstream commit waits until a person accepts it.
    pub is_held: bool,
    /// The error of the check, or the reason why the model is orphaned.
    pub trouble: Option<Trouble>,
}

/// Checks all models, with one request for each, several at a time, and one more for the
/// listing of an outdated or a new one. A model that follows tags may need another.
pub fn ask_all(
    clients: &HubClients,
    settings: &Settings,
    models: Vec<(Model, EffectiveRules)>,
) -> Vec<ModelStanding> {
    let cache = CacheLayout::new(settings.cache_dir());
    let found = map_at_once(&models, QUESTIONS_AT_ONCE, |(model, rules)| {
        let hub = clients.with_token(model.spec.token_name.as_ref())?;
        let found = newest(&hub, model, rules).map(|(commit, tag)| NewestCommit {
            bytes_to_fetch: bytes_to_fetch(&hub, &cache, model, &commit),
            commit,
            tag,
        });
        found.map_err(|err| match err.downcast() {
            Ok(error) => hub.explain_absence(error, model.state.needs_token).into(),
            Err(err) => err,
        })
    });
    let pairs = models.into_iter().zip(found);
    pairs.map(|(model, found)| answer(model, found)).collect()
}

/// Asks for the newest commit of a model, and for its tag if the model follows tags.
fn newest(
    hub: &HubClient,
    model: &Model,
    rules: &EffectiveRules,
) -> Result<(CommitSha, Option<Revision>)> {
    let repo = &model.spec.repo;
    if rules.follow_tags.is_empty() {
        return Ok((hub.revision(repo, &model.spec.revision)?.commit, None));
    }
    let patterns: Vec<TagPattern> = rules.follow_tags.iter().cloned().collect();
    let tags = hub.tags(repo)?;
    let Some(tag) = newest_tags(tags.keys(), &patterns).into_iter().next() else {
        let model = model.spec.name.to_string();
        return Err(UnmetPolicy::NoTag { model, patterns }.into());
    };
    let known = model.state.followed.as_ref();
    let known = known.filter(|it| it.tag == *tag && it.target == tags[tag]);
    let commit = match known {
        Some(known) => known.commit.clone(),
        None => hub.revision(repo, tag)?.commit,
    };
    Ok((commit, Some(tag.clone())))
}

/// The newest commit of a model.
struct NewestCommit {
    commit: CommitSha,
    tag: Option<Revision>,
    bytes_to_fetch: Option<u64>,
}

/// Returns the bytes of the files that a model lacks of the newest commit; `None` for the
/// published commit, and if the Hub does not tell.
fn bytes_to_fetch(
    hub: &HubClient,
    cache: &CacheLayout,
    model: &Model,
    commit: &CommitSha,
) -> Option<u64> {
    let (spec, published) = (&model.spec, model.state.published_commit.as_ref());
    if published == Some(commit) {
        return None;
    }
    let listing = hub.tree(&spec.repo, commit);
    let unknown = |err: &_| log::debug!("the size of the update of `{}`: {err}", spec.name);
    let listing = listing.inspect_err(unknown).ok()?;
    let stored = |commit| stored_listing(cache, &spec.repo, &spec.destination, commit);
    let old = published.and_then(|commit| stored(commit).ok().flatten());
    let old: BTreeSet<ContentId> = old
        .iter()
        .flat_map(|it| &it.files)
        .map(|it| it.content)
        .collect();
    let layout = cache.repo(&spec.repo);
    let is_here = |content: &ContentId| {
        let in_cache = spec.destination == Destination::Cache;
        old.contains(content) || in_cache && layout.blob(content).exists()
    };
    let selected = listing.selected(&spec.filter).into_iter();
    let missing: BTreeMap<ContentId, u64> = selected
        .filter(|file| !is_here(&file.content))
        .map(|file| (file.content, file.size_bytes))
        .collect();
    Some(missing.values().sum())
}

fn answer(
    (model, rules): (Model, EffectiveRules),
    found: Option<Result<NewestCommit>>,
) -> ModelStanding {
    let published = model.state.published_commit.as_ref();
    let (mut tag, mut bytes_to_fetch) = (None, None);
    let (standing, upstream, error) = match found {
        Some(Ok(found)) => {
            (tag, bytes_to_fetch) = (found.tag, found.bytes_to_fetch);
            (stand(published, &found.commit), Some(found.commit), None)
        }
        Some(Err(err)) => {
            let is_gone = err.downcast_ref().is_some_and(HubError::is_gone);
            let standing = if is_gone && published.is_some() {
                UpstreamStanding::Orphaned
            } else {
                UpstreamStanding::CouldNotCheck
            };
            (standing, None, Some(err))
        }
        None => {
            let err = anyhow!("the question ended without a result");
            (UpstreamStanding::CouldNotCheck, None, Some(err))
        }
    };
    let update = model.state.held_update.as_ref();
    let update = update.filter(|update| update.is_waiting());
    ModelStanding {
        is_held: update.is_some_and(|update| upstream.as_ref() == Some(&update.commit)),
        trouble: error.as_ref().map(trouble_of),
        rules,
        tag,
        bytes_to_fetch,
        model,
        standing,
        upstream,
    }
}

fn stand(published: Option<&CommitSha>, upstream: &CommitSha) -> UpstreamStanding {
    match published {
        None => UpstreamStanding::NeverDownloaded,
        Some(published) if published == upstream => UpstreamStanding::UpToDate,
        Some(_) => UpstreamStanding::Outdated,
    }
}

/// Returns the exit status: an outdated or removed model is an answer, a missing answer
/// is a failure.
pub fn status_of(answers: &[ModelStanding]) -> ExitStatus {
    let unchecked = answers
        .iter()
        .filter(|answer| answer.standing == UpstreamStanding::CouldNotCheck);
    unchecked
        .filter_map(|answer| answer.trouble.as_ref())
        .fold(ExitStatus::Ok, |worst, trouble| {
            worst.worst(trouble.kind.exit_status())
        })
}
