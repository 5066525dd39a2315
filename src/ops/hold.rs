//! The approval of held updates.

use anyhow::Result;
use thiserror::Error;

use crate::domain::hold::Decision;
use crate::domain::model::{EntryName, ModelId};
use crate::domain::repo::CommitSha;
use crate::domain::run::{Event, EventKind};
use crate::domain::time::Timestamp;
use crate::store::Store;

/// The approved commit is not the one that is held.
#[derive(Debug, Error)]
#[error("the update of `{model}` that is held is {held}")]
pub struct OtherUpdate {
    pub model: EntryName,
    pub held: CommitSha,
}

/// Records the approval of a held update, so that it outlives a run that is cut short.
///
/// `beginning` is the commit or its first digits. Without a held update nothing is
/// recorded, because the download itself has the approved commit.
pub fn accept(store: &Store, id: ModelId, beginning: &str, now: Timestamp) -> Result<()> {
    store.transaction(|store| {
        let Some(model) = store.model_by_id(id)? else {
            return Ok(());
        };
        let Some(update) = model.state.held_update else {
            return Ok(());
        };
        let held = update.commit;
        if !held.as_str().starts_with(beginning) {
            let model = model.spec.name;
            return Err(OtherUpdate { model, held }.into());
        }
        if update.decision == Decision::Approved {
            return Ok(());
        }
        store.decide_update(id, &held, Decision::Approved, None, now)?;
        store.record_event(&Event {
            at: now,
            kind: EventKind::Released,
            model_id: Some(id),
            run_id: None,
            detail: format!("the update to {held} was accepted"),
        })?;
        Ok(())
    })
}
