//! Records the result of one target: its session, its model, events and proofs.

use std::sync::Arc;

use anyhow::Result;

use super::active::ActiveRun;
use super::result::{events_of, state_after};
use crate::domain::model::{Model, ModelId};
use crate::domain::outcome::VerifyOutcome;
use crate::domain::run::{Event, EventKind, RunCommand};
use crate::domain::session::{SessionEnd, SessionId};
use crate::domain::time::Timestamp;
use crate::ops::sync::{SyncResult, Target};
use crate::store::Store;

impl ActiveRun<'_> {
    /// Closes the session and updates its model, in one transaction.
    pub(super) fn record(
        &self,
        session: SessionId,
        target: &Arc<Target>,
        result: &SyncResult,
    ) -> Result<()> {
        let now = self.services.host.now();
        self.services.store.transaction(|store| -> Result<()> {
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
            let Some(model) = model else { return Ok(()) };
            match result.verify_outcome {
                _ if self.command != RunCommand::Verify => {
                    self.update_model(store, &model, target, result, now)?;
                }
                Some(outcome) => save_verification(store, &model, outcome, now)?,
                None => {}
            }
            let (places, to) = (&self.places, &target.destination);
            places.remember_end(store, to, model.id, &result.progress, now)
        })
    }

    fn update_model(
        &self,
        store: &Store,
        model: &Model,
        target: &Target,
        result: &SyncResult,
        now: Timestamp,
    ) -> Result<()> {
        let mut state = state_after(model, result, now);
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
        }
        let events = events_of(model, &state, result);
        self.save_events(store, Some(model.id), events, now)?;
        Ok(store.save_model_state(model.id, &state)?)
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
    outcome: VerifyOutcome,
    now: Timestamp,
) -> Result<()> {
    let state = model.state.after_verification(outcome, now);
    Ok(store.save_model_state(model.id, &state)?)
}
