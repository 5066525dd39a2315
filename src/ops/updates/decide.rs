//! Decisions about held updates.

use anyhow::Result;
use thiserror::Error;

use crate::domain::hold::{Decision, HeldUpdate};
use crate::domain::model::{EntryName, Model, ModelId};
use crate::domain::policy::UpdateWait;
use crate::domain::repo::CommitSha;
use crate::domain::run::{Event, EventKind};
use crate::domain::time::Timestamp;
use crate::store::Store;

/// The commit that a person decides about is not the one that is held.
#[derive(Debug, Error)]
#[error("the update of `{model}` that is held is {held}")]
pub struct OtherUpdate {
    pub model: EntryName,
    pub held: CommitSha,
}

/// A model has no update that waits.
#[derive(Debug, Error)]
#[error("no update of `{0}` waits for a decision")]
pub struct NothingWaits(pub EntryName);

/// A decision about the held updates of some models.
#[derive(Clone, Debug)]
pub struct DecisionRequest<'a> {
    pub decision: Decision,
    /// The commit or its first digits; `None` takes the one that is held.
    pub commit: Option<&'a str>,
    pub note: Option<&'a str>,
}

/// Records a decision for all models or for none. Returns the commits.
pub fn decide(
    store: &Store,
    names: &[EntryName],
    request: &DecisionRequest<'_>,
    now: Timestamp,
) -> Result<Vec<(EntryName, CommitSha)>> {
    store.transaction(|store| {
        let decided = names.iter().map(|name| {
            let model = store.model(name)?;
            let commit = record(store, &model, request, now)?;
            match (commit, model.state.wait) {
                (Some(commit), _) => Ok((name.clone(), commit)),
                (None, Some(UpdateWait { commit: held, .. })) => {
                    let model = name.clone();
                    Err(OtherUpdate { model, held }.into())
                }
                (None, None) => Err(NothingWaits(name.clone()).into()),
            }
        });
        decided.collect()
    })
}

/// Records the approval of a held update by a download, so that it outlives a run that is
/// cut short.
///
/// `beginning` is the commit or its first digits. Without a held update nothing is
/// recorded, because the download itself has the approved commit.
pub fn accept(store: &Store, id: ModelId, beginning: &str, now: Timestamp) -> Result<()> {
    let request = DecisionRequest {
        decision: Decision::Approved,
        commit: Some(beginning),
        note: None,
    };
    store.transaction(|store| {
        if let Some(model) = store.model_by_id(id)? {
            record(store, &model, &request, now)?;
        }
        Ok(())
    })
}

/// Makes the gate run again for the held update of each model at the next check.
pub fn ask_gate_again(store: &Store, names: &[EntryName]) -> Result<Vec<(EntryName, CommitSha)>> {
    store.transaction(|store| {
        let asked = names.iter().map(|name| {
            let model = store.model(name)?;
            let update = undecided(&model).ok_or_else(|| NothingWaits(name.clone()))?;
            store.forget_gate_records(&model.spec.repo, &model.spec.destination)?;
            Ok((name.clone(), update.commit.clone()))
        });
        asked.collect()
    })
}

/// Returns the commit, or `None` if the model has no update that waits: for a delay, or
/// held and not published.
fn record(
    store: &Store,
    model: &Model,
    request: &DecisionRequest<'_>,
    now: Timestamp,
) -> Result<Option<CommitSha>> {
    let is_meant = |commit: &CommitSha| {
        let beginning = request.commit;
        beginning.is_none_or(|beginning| commit.as_str().starts_with(beginning))
    };
    let wait = model.state.wait.as_ref();
    let wait = wait.filter(|wait| is_meant(&wait.commit));
    let (held, before) = match (wait, undecided(model)) {
        (Some(wait), _) => (wait.commit.clone(), Decision::Waiting),
        (None, Some(update)) if is_meant(&update.commit) => {
            (update.commit.clone(), update.decision)
        }
        (None, Some(update)) => {
            let (model, held) = (model.spec.name.clone(), update.commit.clone());
            return Err(OtherUpdate { model, held }.into());
        }
        (None, None) => return Ok(None),
    };
    if let Some(wait) = wait {
        end_delay(store, model, wait, request.decision, now)?;
    }
    let is_new = before != request.decision;
    if is_new || request.note.is_some() {
        store.decide_update(model.id, &held, request.decision, request.note, now)?;
        for sibling in contradicting(store, model, &held, request.decision)? {
            store.decide_update(sibling, &held, request.decision, request.note, now)?;
        }
    }
    let (kind, word) = match request.decision {
        Decision::Approved => (EventKind::Released, "accepted"),
        Decision::Rejected => (EventKind::Rejected, "rejected"),
        Decision::Waiting => return Ok(Some(held)),
    };
    if is_new {
        store.record_event(&Event {
            at: now,
            kind,
            model_id: Some(model.id),
            run_id: None,
            detail: format!("the update to {held} was {word}"),
        })?;
    }
    Ok(Some(held))
}

/// Makes a commit that waits for a delay the held update of its model.
fn end_delay(
    store: &Store,
    model: &Model,
    wait: &UpdateWait,
    decision: Decision,
    now: Timestamp,
) -> Result<()> {
    let seen = store.seen_commits(model.id)?;
    let mut state = model.state.clone();
    state.wait = None;
    state.held_update = Some(HeldUpdate {
        commit: wait.commit.clone(),
        findings: vec![wait.finding()],
        decision,
        found_at: seen.get(&wait.commit).copied().unwrap_or(now),
    });
    Ok(store.save_model_state(model.id, &state)?)
}

/// Returns the models with the opposite decision about the same commit of the same ref.
/// The ref moves for all of them or for none, so that the newest decision counts.
fn contradicting(
    store: &Store,
    model: &Model,
    commit: &CommitSha,
    decision: Decision,
) -> Result<Vec<ModelId>> {
    let mut siblings = store.models_of_repo(&model.spec.repo)?;
    siblings.retain(|other| {
        let update = undecided(other).filter(|update| update.commit == *commit);
        other.id != model.id
            && other.spec.shares_ref(&model.spec)
            && update.is_some_and(|it| !it.is_waiting() && it.decision != decision)
    });
    Ok(siblings.into_iter().map(|other| other.id).collect())
}

/// Returns the held update of a model, unless it is published already.
fn undecided(model: &Model) -> Option<&HeldUpdate> {
    let update = model.state.held_update.as_ref();
    update.filter(|update| model.state.published_commit.as_ref() != Some(&update.commit))
}
