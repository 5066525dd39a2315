//! Records the result of one target: its session, its model, events and proofs.

use std::sync::Arc;

use anyhow::Result;

use super::active::ActiveRun;
use super::result::{events_of, state_after};
use crate::domain::changes::ChangeNote;
use crate::domain::model::{Model, ModelId};
use crate::domain::moved_ref::MovedRef;
use crate::domain::outcome::{Outcome, VerifyOutcome};
use crate::domain::run::{Event, EventKind, RunCommand};
use crate::domain::session::{ByteCounts, SessionEnd, SessionId};
use crate::domain::time::Timestamp;
use crate::ops::changes::keep_note;
use crate::ops::moved_refs::PublishedRef;
use crate::ops::services::Services;
use crate::ops::sync::{SyncResult, Target};
use crate::store::Store;

impl ActiveRun<'_> {
    /// Looks at the ref of a target that is checked or updated.
    pub(super) fn moved_ref(&self, target: &Target) -> Option<MovedRef> {
        let Services { store, host, .. } = self.services;
        let published = PublishedRef::of_target(target);
        let published = published?;
        let places = || Ok(self.places.clone());
        published.look_or_log(store, &self.cache, places, host.now())
    }

    /// Closes the session and updates its model, in one transaction. Returns the moved
    /// ref that no earlier run has found.
    pub(super) fn record(
        &self,
        session: SessionId,
        target: &Arc<Target>,
        result: &SyncResult,
        moved_ref: Option<MovedRef>,
    ) -> Result<Option<MovedRef>> {
        let now = self.services.host.now();
        self.services.store.transaction(|store| -> Result<_> {
            // A person may have removed it since the session was opened.
            let model = match &target.model {
                Some((id, _)) => store.model_by_id(*id)?,
                None => None,
            };
            save_files(store, session, result)?;
            let end = SessionEnd {
                at: now,
                outcome: result.outcome,
                verify_outcome: result.verify_outcome,
                trouble: result.failure.clone(),
            };
            store.finish_session(session, &result.progress, &end)?;
            let id = model.as_ref().map(|model| model.id);
            let abandoned = result.abandoned_deltas.iter();
            let abandoned = abandoned.map(|detail| (EventKind::DeltaAbandoned, detail.clone()));
            self.save_events(store, id, abandoned, now)?;
            let is_removed = target.model.is_some() && model.is_none();
            if let Some(changes) = result.changes.as_ref().filter(|_| !is_removed) {
                let bytes = if result.outcome == Outcome::Held && result.files.is_empty() {
                    // The session counts the bytes of the published files.
                    ByteCounts::default()
                } else {
                    result.progress.bytes
                };
                let note = keep_note(store, session, target, changes, bytes, now)?;
                log_note(&target.label(), &note);
            }
            let Some(model) = model else {
                return Ok(None);
            };
            let mut new_move = None;
            match result.verify_outcome {
                None if self.command != RunCommand::Verify => {
                    new_move = self.update_model(store, &model, target, result, moved_ref)?;
                }
                Some(outcome) => save_verification(store, &model, (outcome, result.outcome), now)?,
                None => {}
            }
            let (places, to) = (&self.places, &target.destination);
            places.remember_end(store, to, model.id, &result.progress, now)?;
            Ok(new_move)
        })
    }

    fn update_model(
        &self,
        store: &Store,
        model: &Model,
        target: &Target,
        result: &SyncResult,
        moved_ref: Option<MovedRef>,
    ) -> Result<Option<MovedRef>> {
        let now = self.services.host.now();
        let mut state = state_after(model, result, now);
        if let (Some(note), Some(commit)) = (&result.note, &result.progress.new_commit) {
            state.note_policy(&target.policy.rules, note, commit);
            if let Some(seen) = &note.seen {
                store.save_seen_commits(model.id, seen)?;
            }
        }
        // The record of which token opens a repository is shared by all clients.
        if let Some(network) = self.services.connected()
            && let Some(needs_token) = network.hub.needs_token(&target.repo)
        {
            state.needs_token = needs_token;
        }
        if let Some(commit) = &state.published_commit
            && state.published_commit != model.state.published_commit
        {
            store.save_revision(model.id, commit, now)?;
            let old = model.state.published_commit.as_ref();
            let found_at = target.policy.seen.get(commit).copied().unwrap_or(now);
            store.save_published_update(model.id, commit, old, found_at, now)?;
        }
        let events = events_of(model, &state, result);
        self.save_events(store, Some(model.id), events, now)?;
        let mut after = model.clone();
        after.state = state;
        let published = PublishedRef::of_model(&after);
        let places = || Ok(self.places.clone());
        let left = published.and_then(|it| it.look_or_log(store, &self.cache, places, now));
        after.state.moved_ref = left.as_ref().map(|moved| moved.target.clone());
        store.save_model_state(model.id, &after.state)?;
        if let (Some(gate), Some(hold)) = (&result.gate, &result.hold) {
            store.save_gate_record(model.id, &hold.commit, gate)?;
        }

        // A move is an event when it is first found, not at each run that leaves it.
        let is_new = |moved: &MovedRef| model.state.moved_ref.as_ref() != Some(&moved.target);
        let new_move = [moved_ref, left].into_iter().flatten().find(is_new);
        let event = new_move.as_ref().map(|moved| {
            let detail = format!("`{}`: {}", model.spec.name, moved.describe());
            (EventKind::RefMoved, detail)
        });
        self.save_events(store, Some(model.id), event, now)?;
        Ok(new_move)
    }

    fn save_events(
        &self,
        store: &Store,
        model_id: Option<ModelId>,
        events: impl IntoIterator<Item = (EventKind, String)>,
        now: Timestamp,
    ) -> Result<()> {
        for (kind, detail) in events {
            store.record_event(&Event {
                at: now,
                kind,
                model_id,
                run_id: Some(self.id.clone()),
                detail,
            })?;
        }
        Ok(())
    }
}

/// Logs the changes of an update, which `-v` shows.
fn log_note(label: &str, note: &ChangeNote) {
    const MOST_TITLES: usize = 5;
    log::info!("{label}: {}", note.summary());
    let commits = note.changes.commits.iter().flat_map(|new| &new.commits);
    for commit in commits.take(MOST_TITLES) {
        log::info!("{label}: {} {}", commit.commit.short(), commit.title);
    }
}

/// Saves the records of the files, and moves proofs to the new names of the files.
fn save_files(store: &Store, session: SessionId, result: &SyncResult) -> Result<()> {
    for file in &result.files {
        store.save_session_file(session, file)?;
    }
    for (from, to) in &result.named {
        store.copy_proof(from, to)?;
    }
    for path in &result.moved {
        store.forget_blob(path)?;
    }
    Ok(())
}

/// A verification asks nothing of the Hub, so that it changes neither the last
/// check nor the last success of the model.
fn save_verification(
    store: &Store,
    model: &Model,
    (outcome, session): (VerifyOutcome, Outcome),
    now: Timestamp,
) -> Result<()> {
    let mut state = model.state.clone();
    if session == Outcome::Repaired {
        state.forget_damage();
    }
    let state = state.after_verification(outcome, now);
    Ok(store.save_model_state(model.id, &state)?)
}
