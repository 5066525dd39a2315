//! Makes the database say what a file says: a pure plan, then one transaction.
//!
//! A section that the file does not have is left alone. Entries belong
//! together by name; with pruning, a model that the file has under another
//! name is the same model and keeps its history.

use anyhow::{Result, bail};

use super::apply_models::{Models, plan_models};
use super::apply_schedules::plan_schedules;
use super::directories::Reserved;
use super::document::Node;
use super::entries::{Entry, Objection, Wanted};
use super::entry_fields::Field;
use crate::domain::model::{EntryName, Model, ModelSpec};
use crate::domain::schedule::{Schedule, ScheduleSpec, ScheduleState, StoredSchedules};
use crate::domain::settings::SettingKey;
use crate::domain::time::Timestamp;
use crate::domain::units::Seconds;
use crate::store::{ModelFilter, Setting, Store, StoreError};

/// What the database says now.
#[derive(Clone, Debug, Default)]
pub struct Current {
    pub settings: Vec<Setting>,
    pub models: Vec<Model>,
    pub schedules: Vec<Schedule>,
}

impl Current {
    /// Reads all of it, or nothing: a copy that lacks what cannot be read would
    /// be taken for a whole one.
    pub fn read(store: &Store) -> Result<Self, StoreError> {
        let StoredSchedules {
            readable: schedules,
            unreadable,
        } = store.schedules()?;
        if let Some(unusable) = unreadable.into_iter().next() {
            return Err(StoreError::UnusableSchedule(Box::new(unusable)));
        }
        Ok(Self {
            settings: store.settings()?,
            models: store.models(&ModelFilter::default())?,
            schedules,
        })
    }
}

/// What else decides about a plan.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Remove what the present sections do not have.
    pub prune: bool,
    pub now: Timestamp,
    /// How often the timer starts a run.
    pub tick: Seconds,
    pub reserved: &'a Reserved,
}

/// What is to be done, and how to tell it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ApplyPlan {
    pub changes: Vec<Change>,
    pub warnings: Vec<String>,
    settings: Vec<SettingStep>,
    pub(super) models: Vec<Step<Model, ModelSpec>>,
    pub(super) schedules: Vec<Step<Schedule, ScheduleSpec>>,
}

#[derive(Clone, Debug, PartialEq)]
enum SettingStep {
    Save(SettingKey, String),
    Remove(SettingKey),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step<Old, New> {
    Add(New),
    Change(Old, New),
    Remove(Old),
}

/// One difference between the database and the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub action: Action,
    pub kind: Kind,
    pub name: String,
    pub fields: Vec<FieldChange>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Add,
    Change,
    Remove,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Model,
    Schedule,
    Setting,
}

/// A field that differs; a side where the entry has no such field is null.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldChange {
    pub field: &'static str,
    pub old: Node,
    pub new: Node,
}

impl Action {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Change => "change",
            Self::Remove => "remove",
        }
    }
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Schedule => "schedule",
            Self::Setting => "setting",
        }
    }
}

/// Decides what turns the database into what the file says.
///
/// Whatever could go wrong is found here, before anything is written: names
/// that clash, schedules without their models, schedules that never run.
pub fn plan_apply(
    current: &Current,
    wanted: &Wanted,
    rules: &Rules<'_>,
) -> Result<ApplyPlan, Objection> {
    let mut plan = ApplyPlan::default();
    if let Some(entries) = &wanted.settings {
        plan_settings(&mut plan, &current.settings, entries, rules.prune);
    }
    let models = match &wanted.models {
        Some(entries) => plan_models(&mut plan, &current.models, entries, rules)?,
        None => Models::unchanged(&current.models),
    };
    plan_schedules(&mut plan, current, wanted, &models, rules)?;
    Ok(plan)
}

impl ApplyPlan {
    /// Does everything, or nothing.
    ///
    /// The plan is made anew from what the database says under the lock: the
    /// changes that people saw and approved are made, or none. What a run
    /// writes down in the meantime is no change.
    pub fn carry_out(&self, store: &Store, wanted: &Wanted, rules: &Rules<'_>) -> Result<()> {
        store.transaction(|store| {
            let fresh = plan_apply(&Current::read(store)?, wanted, rules);
            match fresh {
                Ok(fresh) if fresh.changes == self.changes => Ok(fresh.write(store, rules.now)?),
                _ => bail!("the database has been changed meanwhile, so nothing was applied"),
            }
        })
    }

    /// Removes first and moves aside what changes places, so that entries can
    /// take over each other's names.
    fn write(&self, store: &Store, now: Timestamp) -> Result<(), StoreError> {
        for step in &self.settings {
            match step {
                SettingStep::Save(key, value) => store.set_setting(key.as_str(), value, now)?,
                SettingStep::Remove(key) => store.unset_setting(key.as_str()).map(drop)?,
            }
        }
        for step in &self.schedules {
            if let Step::Remove(old) = step {
                store.remove_schedule(old.id)?;
            }
        }
        for step in &self.models {
            match step {
                Step::Remove(old) => store.remove_model(old.id)?,
                Step::Change(old, new) => {
                    if old.spec.name != new.name || !old.spec.is_same_copy(new) {
                        store.update_model(old.id, &aside(old), now)?;
                    }
                }
                Step::Add(_) => {}
            }
        }
        for step in &self.models {
            match step {
                Step::Add(new) => store.insert_model(new, now).map(drop)?,
                Step::Change(old, new) => {
                    store.update_model(old.id, new, now)?;
                    store.save_model_state(old.id, &old.state.after_edit(&old.spec, new))?;
                }
                Step::Remove(_) => {}
            }
        }
        for step in &self.schedules {
            match step {
                Step::Add(new) => store
                    .insert_schedule(new, &ScheduleState::new(now), now)
                    .map(drop)?,
                Step::Change(old, new) => {
                    store.update_schedule(old.id, new, now)?;
                    let state = old.state.after_edit(&old.spec, new, now);
                    store.save_schedule_state(old.id, &state)?;
                }
                Step::Remove(_) => {}
            }
        }
        Ok(())
    }
}

/// A name and a revision that no other model has, for the length of a transaction.
fn aside(model: &Model) -> ModelSpec {
    let mut spec = model.spec.clone();
    let word = format!("hfdl-apply-moves-{}", model.id.0);
    if let (Ok(name), Ok(revision)) = (word.parse(), word.parse()) {
        spec.name = name;
        spec.revision = revision;
    }
    spec
}

fn plan_settings(
    plan: &mut ApplyPlan,
    current: &[Setting],
    entries: &[Entry<(SettingKey, String)>],
    prune: bool,
) {
    let value = |key: SettingKey, text: &str| Node::Text(key.shown(text));
    let mut change = |action, key: SettingKey, old, new| {
        plan.changes.push(Change {
            action,
            kind: Kind::Setting,
            name: key.to_string(),
            fields: vec![FieldChange {
                field: "value",
                old,
                new,
            }],
        });
    };
    for entry in entries {
        let (key, new) = &entry.value;
        let old = current.iter().find(|setting| setting.key == key.as_str());
        match old {
            // The same value may have been saved in another spelling.
            Some(old)
                if key
                    .check(&old.value)
                    .is_ok_and(|old| old.to_string() == *new) =>
            {
                continue;
            }
            Some(old) => change(
                Action::Change,
                *key,
                value(*key, &old.value),
                value(*key, new),
            ),
            None => change(Action::Add, *key, Node::Null, value(*key, new)),
        }
        plan.settings.push(SettingStep::Save(*key, new.clone()));
    }
    if !prune {
        return;
    }
    for old in current {
        // A key that this version does not know belongs to a newer one.
        let Ok(key) = old.key.parse::<SettingKey>() else {
            continue;
        };
        // A secret is not exported, so that its absence says nothing.
        if !key.is_secret() && !entries.iter().any(|entry| entry.value.0 == key) {
            change(Action::Remove, key, value(key, &old.value), Node::Null);
            plan.settings.push(SettingStep::Remove(key));
        }
    }
}

pub(super) fn added(kind: Kind, name: &EntryName, fields: Vec<Field>) -> Change {
    let said = fields.into_iter().filter(|field| !field.is_default);
    Change {
        action: Action::Add,
        kind,
        name: name.to_string(),
        fields: said
            .map(|field| FieldChange {
                field: field.name,
                old: Node::Null,
                new: field.value,
            })
            .collect(),
    }
}

pub(super) fn changed(kind: Kind, name: &EntryName, fields: Vec<FieldChange>) -> Change {
    Change {
        action: Action::Change,
        kind,
        name: name.to_string(),
        fields,
    }
}

pub(super) fn removed(kind: Kind, name: &EntryName) -> Change {
    Change {
        action: Action::Remove,
        kind,
        name: name.to_string(),
        fields: Vec::new(),
    }
}

/// Compares two entries field by field. A field that only one of them has,
/// such as the kind of cadence, is compared with nothing.
pub(super) fn differences(old: Vec<Field>, new: Vec<Field>) -> Vec<FieldChange> {
    let value_of = |fields: &[Field], name: &str| {
        let found = fields.iter().find(|field| field.name == name);
        found.map_or(Node::Null, |field| field.value.clone())
    };
    let only_old = old
        .iter()
        .filter(|field| !new.iter().any(|other| other.name == field.name));
    only_old
        .chain(&new)
        .map(|field| FieldChange {
            field: field.name,
            old: value_of(&old, field.name),
            new: value_of(&new, field.name),
        })
        .filter(|change| change.old != change.new)
        .collect()
}
