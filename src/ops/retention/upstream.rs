//! Asks the Hub about kept commits after their repository has changed or vanished, so
//! that a copy that exists nowhere else is known as one.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, bail};

use crate::cache::CacheLayout;
use crate::domain::login::TokenName;
use crate::domain::model::{Destination, ModelId};
use crate::domain::outcome::{Effect, UpstreamState};
use crate::domain::repo::{CommitSha, Repo, Revision};
use crate::domain::retention::{OnlyCopy, PublishedRevision};
use crate::domain::run::{Event, EventKind, RunId};
use crate::domain::time::Timestamp;
use crate::ops::cancellable::cancellable;
use crate::ops::login::HubClients;
use crate::ops::parallel::{QUESTIONS_AT_ONCE, map_at_once};
use crate::ops::services::Services;
use crate::ops::sync::{SyncResult, Target};
use crate::store::Store;

/// The news of a run about the repositories of models.
#[derive(Default)]
pub struct UpstreamNews(BTreeMap<ModelId, TargetNews>);

struct TargetNews {
    target: Arc<Target>,
    /// The commit that the Hub has just named.
    seen: Option<CommitSha>,
    /// Set if the repository has changed or vanished since the last run.
    is_news: bool,
    /// Set if all kept commits are to be asked for; else those that are gone.
    is_of_all: bool,
}

/// One commit to ask the Hub for.
pub(super) struct CommitQuestion {
    pub model: ModelId,
    pub repo: Repo,
    pub token_name: Option<TokenName>,
    /// The repository was visible with a token only.
    pub needs_token: bool,
    pub revision: PublishedRevision,
}

impl UpstreamNews {
    /// Notes the result of a target before it is recorded.
    pub fn note(&mut self, store: &Store, target: &Arc<Target>, result: &SyncResult) -> Result<()> {
        let Some((id, _)) = &target.model else {
            return Ok(());
        };
        let kind = result.failure.as_ref().map(|failure| failure.kind);
        let effect = result.outcome.effect(kind);
        let is_pin_gone = result.note.as_ref().is_some_and(|note| note.is_gone);
        let seen = result.progress.new_commit.clone().filter(|_| !is_pin_gone);
        let has_moved = seen.is_some() && seen != target.known_commit;
        let (is_of_all, is_news) = match effect {
            Effect::Gone => {
                let before = store.model_by_id(*id)?.map(|it| it.state.upstream_state);
                (true, before != Some(UpstreamState::Orphaned))
            }
            Effect::Current => (has_moved || is_pin_gone, has_moved || is_pin_gone),
            // The check has asked for a newer commit only.
            Effect::Held => (true, false),
            _ => return Ok(()),
        };
        let news = TargetNews {
            target: target.clone(),
            seen,
            is_news,
            is_of_all: is_of_all && target.known_commit.is_some(),
        };
        self.0.insert(*id, news);
        Ok(())
    }

    /// Asks the Hub about the kept commits that the news concern, and records the
    /// answers. A commit that could not be asked for keeps its record.
    pub fn settle(
        self,
        services: &Services<'_>,
        cache: &CacheLayout,
        run: &RunId,
        now: Timestamp,
    ) -> Result<()> {
        let store = &services.store;
        let known: Vec<OnlyCopy> = if self.0.is_empty() {
            Vec::new()
        } else {
            store.only_copies()?
        };
        let mut questions = Vec::new();
        for (id, news) in self.0 {
            let is_known_gone = known.iter().any(|it| it.repo == news.target.repo);
            if news.is_of_all || is_known_gone {
                questions.extend(news.questions(store, cache, id, now)?);
            }
        }
        ask(services, questions, run, now)
    }
}

/// Asks the Hub for commits, and records the answers.
pub(super) fn ask(
    services: &Services<'_>,
    questions: Vec<CommitQuestion>,
    run: &RunId,
    now: Timestamp,
) -> Result<()> {
    if questions.is_empty() {
        return Ok(());
    }
    let clients = services.network()?.clients.clone();
    if let Some(wait) = clients.own().asked_to_wait() {
        bail!("the Hub asks to wait for {} s", wait.as_secs());
    }
    let questions = Arc::new(questions);
    let asked = questions.clone();
    let answers = cancellable(&services.stop, move || {
        map_at_once(&asked, QUESTIONS_AT_ONCE, |one| is_gone(&clients, one))
    })?;
    for (question, answer) in questions.iter().zip(answers) {
        if let Some(is_gone) = answer.flatten() {
            question.record(&services.store, is_gone, run, now)?;
        }
    }
    Ok(())
}

impl TargetNews {
    fn questions(
        self,
        store: &Store,
        cache: &CacheLayout,
        model: ModelId,
        now: Timestamp,
    ) -> Result<Vec<CommitQuestion>> {
        let mut questions = Vec::new();
        for revision in store.revisions(model)? {
            let is_gone = revision.upstream.gone_at.is_some();
            if self.seen.as_ref() == Some(&revision.commit) {
                if is_gone {
                    let answer = revision.upstream.after(false, now);
                    store.save_upstream_answer(&self.target.repo, &revision.commit, answer)?;
                }
                continue;
            }
            let is_meant = self.is_of_all || is_gone;
            if is_meant
                && revision.upstream.is_to_be_renewed(self.is_news, now)
                && is_kept(cache, &self.target, &revision.commit)
            {
                questions.push(CommitQuestion {
                    model,
                    repo: self.target.repo.clone(),
                    token_name: self.target.token_name.clone(),
                    needs_token: self.target.needs_token,
                    revision,
                });
            }
        }
        Ok(questions)
    }
}

impl CommitQuestion {
    fn record(&self, store: &Store, is_gone: bool, run: &RunId, now: Timestamp) -> Result<()> {
        let (repo, commit) = (&self.repo, &self.revision.commit);
        let before = self.revision.upstream;
        let answer = before.after(is_gone, now);
        store.save_upstream_answer(repo, commit, answer)?;
        if before.gone_at.is_some() == is_gone {
            return Ok(());
        }
        let detail = if is_gone {
            format!(
                "the Hub has commit {commit} of `{repo}` no more; the copy here is kept: it may \
                 be the only one"
            )
        } else {
            format!("the Hub has commit {commit} of `{repo}` again")
        };
        if is_gone {
            log::warn!("{detail}");
        }
        store.record_event(&Event {
            at: now,
            kind: EventKind::OnlyCopy,
            model_id: Some(self.model),
            run_id: Some(run.clone()),
            detail,
        })?;
        Ok(())
    }
}

/// Asks whether a commit is gone upstream; `None` if the answer says neither.
fn is_gone(clients: &HubClients, question: &CommitQuestion) -> Option<bool> {
    let asked = || -> Result<bool> {
        let hub = clients.with_token(question.token_name.as_ref())?;
        let commit = Revision::from(&question.revision.commit);
        match hub.revision(&question.repo, &commit) {
            Ok(_) => Ok(false),
            Err(error) => {
                let error = hub.explain_absence(error, question.needs_token);
                if error.is_gone() {
                    return Ok(true);
                }
                Err(error.into())
            }
        }
    };
    asked()
        .inspect_err(|err| log::debug!("no answer about a kept commit: {err:#}"))
        .ok()
}

/// Tells whether the files of a published commit are still there. A directory has
/// those of the current one only.
fn is_kept(cache: &CacheLayout, target: &Target, commit: &CommitSha) -> bool {
    match &target.destination {
        Destination::Cache => cache.repo(&target.repo).snapshot(commit).is_dir(),
        Destination::Directory(_) => target.known_commit.as_ref() == Some(commit),
    }
}

/// Returns the commits on disk that exist nowhere else any more.
pub fn only_copies(store: &Store, cache: &CacheLayout) -> Result<Vec<OnlyCopy>> {
    let mut copies = store.only_copies()?;
    copies.retain(|copy| match copy.destination {
        Destination::Cache => cache.repo(&copy.repo).snapshot(&copy.commit).is_dir(),
        Destination::Directory(_) => true,
    });
    Ok(copies)
}
