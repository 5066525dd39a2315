//! Accepts updates that are held because they look like a loss.

use anyhow::Result;
use thiserror::Error;

use crate::domain::model::{EntryName, ModelId};
use crate::domain::repo::CommitSha;
use crate::domain::run::{Event, EventKind};
use crate::domain::time::Timestamp;
use crate::store::Store;

/// A person accepted another commit than the one that is held.
#[derive(Debug, Error)]
#[error("the update of `{model}` that is held is {held}")]
pub struct OtherUpdate {
    pub model: EntryName,
    pub held: CommitSha,
}

/// Writes down that a held update may be published, so that a run which was cut
/// short is followed by one that goes on with it.
///
/// `beginning` is the commit or its first digits. Without a held update nothing
/// is written: the download itself knows what was accepted.
pub fn accept(store: &Store, id: ModelId, beginning: &str, now: Timestamp) -> Result<()> {
    store.transaction(|store| {
        let Some(model) = store.model_by_id(id)? else {
            return Ok(());
        };
        let mut state = model.state.clone();
        let Some(update) = &mut state.held_update else {
            return Ok(());
        };
        let held = update.commit.clone();
        if !held.as_str().starts_with(beginning) {
            let model = model.spec.name;
            return Err(OtherUpdate { model, held }.into());
        }
        if std::mem::replace(&mut update.is_accepted, true) {
            return Ok(());
        }
        store.save_model_state(id, &state)?;
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
