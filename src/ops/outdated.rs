//! `hfdl models outdated`: compares models with the Hub, and writes nothing.

use anyhow::{Result, anyhow};

use super::diagnose::trouble_of;
use super::login::HubClients;
use super::parallel::{QUESTIONS_AT_ONCE, map_at_once};
use crate::domain::model::Model;
use crate::domain::outcome::{ExitStatus, words};
use crate::domain::policy::{EffectiveRules, TagPattern, UnmetPolicy, newest_tags};
use crate::domain::repo::{CommitSha, Revision};
use crate::domain::session::Trouble;
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
    /// The upstream commit waits until a person accepts it.
    pub is_held: bool,
    /// The error of the check, or the reason why the model is orphaned.
    pub trouble: Option<Trouble>,
}

/// Checks all models, with one request for each, several at a time; a model that follows
/// tags may need a second one.
pub fn ask_all(clients: &HubClients, models: Vec<(Model, EffectiveRules)>) -> Vec<ModelStanding> {
    let found = map_at_once(&models, QUESTIONS_AT_ONCE, |(model, rules)| {
        let hub = clients.with_token(model.spec.token_name.as_ref())?;
        newest(&hub, model, rules).map_err(|err| match err.downcast() {
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
        return Err(UnmetPolicy::NoTag { patterns }.into());
    };
    let known = model.state.followed.as_ref();
    let known = known.filter(|it| it.tag == *tag && it.target == tags[tag]);
    let commit = match known {
        Some(known) => known.commit.clone(),
        None => hub.revision(repo, tag)?.commit,
    };
    Ok((commit, Some(tag.clone())))
}

type Newest = Result<(CommitSha, Option<Revision>)>;

fn answer((model, rules): (Model, EffectiveRules), found: Option<Newest>) -> ModelStanding {
    let published = model.state.published_commit.as_ref();
    let mut tag = None;
    let (standing, upstream, error) = match found {
        Some(Ok((commit, newest_tag))) => {
            tag = newest_tag;
            (stand(published, &commit), Some(commit), None)
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
