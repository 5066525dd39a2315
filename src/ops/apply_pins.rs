//! The part of a plan about pins: the commits of a lock file, or none.

use super::apply::{ApplyPlan, Change, FieldChange, Kind, PINNED};
use super::document::Node;
use super::lock_file::files_digest;
use crate::domain::hold::{Pin, PinKind};
use crate::domain::lock_file::LockFile;
use crate::domain::model::{EntryName, Model};
use crate::domain::repo::CommitSha;
use crate::store::{Store, StoreError};

/// A model whose pin changes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PinStep {
    name: EntryName,
    pin: Option<Pin>,
    files_digest: Option<[u8; 32]>,
}

/// Plans the pins of all models as they will be. Without a lock file the pins of an
/// earlier one are removed.
pub(super) fn plan_pins(plan: &mut ApplyPlan, models: &[Model], lock: Option<&LockFile>) {
    for model in models {
        let (name, old) = (&model.spec.name, &model.state.pinned);
        let is_locked = old.as_ref().is_some_and(|pin| pin.by == PinKind::Lock);
        let locked = lock.and_then(|lock| lock.find(name));
        if locked.is_none() && !is_locked {
            continue;
        }
        let pin = locked.map(|locked| Pin {
            commit: locked.commit.clone(),
            by: PinKind::Lock,
        });
        let files_digest = locked.map(|locked| files_digest(&locked.files));
        if *old == pin && model.state.locked_files == files_digest {
            continue;
        }
        let text = |commit: Option<&CommitSha>| {
            commit.map_or(Node::Null, |commit| Node::Text(commit.to_string()))
        };
        let field = FieldChange {
            field: PINNED,
            old: text(old.as_ref().map(|pin| &pin.commit)),
            new: text(pin.as_ref().map(|pin| &pin.commit)),
        };
        let is_its =
            |change: &&mut Change| change.kind == Kind::Model && change.name == *name.as_str();
        match plan.changes.iter_mut().find(is_its) {
            Some(change) => change.fields.push(field),
            None => plan
                .changes
                .push(Change::changed(Kind::Model, name, vec![field])),
        }
        plan.pins.push(PinStep {
            name: name.clone(),
            pin,
            files_digest,
        });
    }
}

impl PinStep {
    pub(super) fn write(&self, store: &Store) -> Result<(), StoreError> {
        let model = store.model(&self.name)?;
        let mut state = model.state;
        state.pinned.clone_from(&self.pin);
        state.locked_files = self.files_digest;
        store.save_model_state(model.id, &state)
    }
}
