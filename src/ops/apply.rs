//! Applies a file to the database: a pure plan, then one transaction.
//!
//! A section that the file does not have is left alone. Entries are paired by
//! name; with pruning, a model that the file has under another name is the
//! same model and keeps its history.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use super::apply_models::{Models, plan_models};
use super::apply_pins::{PinStep, plan_pins};
use super::apply_schedules::plan_schedules;
use super::apply_tags::plan_tags;
use super::directories::Reserved;
use super::document::Node;
use super::entries::{Entry, Objection, Wanted};
use crate::domain::field::{self, Entity, FieldValue, needed_values};
use crate::domain::lock_file::LockFile;
use crate::domain::model::{EntryName, Model, ModelSpec, Tag};
use crate::domain::outcome::words;
use crate::domain::policy::{SharedRules, UpdateRules};
use crate::domain::schedule::{RateTable, Schedule, ScheduleSpec, ScheduleState, StoredSchedules};
use crate::domain::settings::SettingKey;
use crate::domain::tag::TagSpec;
use crate::domain::time::Timestamp;
use crate::domain::units::Seconds;
use crate::store::{ModelFilter, Setting, Store, StoreError};

/// The entries of the database.
#[derive(Clone, Debug, Default)]
pub struct Current {
    pub settings: Vec<Setting>,
    pub tags: Vec<TagSpec>,
    pub models: Vec<Model>,
    pub schedules: Vec<Schedule>,
}

impl Current {
    /// Reads all entries, or none: a copy without the unreadable ones would be
    /// taken for a whole one.
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
            tags: store.tags()?,
            models: store.models(&ModelFilter::default())?,
            schedules,
        })
    }
}

/// The name of the pin among the fields of a change.
pub const PINNED: &str = "pinned";

/// The conditions of a plan beside the two sides.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Remove entries that are missing in the sections of the file.
    pub prune: bool,
    pub now: Timestamp,
    /// The period of the timer.
    pub tick: Seconds,
    pub reserved: &'a Reserved,
    /// The commits to pin the models to; without it pins of an earlier lock file go.
    pub lock: Option<&'a LockFile>,
}

/// The steps to carry out, and the changes to print.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ApplyPlan {
    pub changes: Vec<Change>,
    pub warnings: Vec<String>,
    /// The models as they will be.
    pub resulting: Vec<Model>,
    settings: Vec<SettingStep>,
    pub(super) tags: Vec<Step<TagSpec, TagSpec>>,
    pub(super) models: Vec<Step<Model, ModelSpec>>,
    pub(super) schedules: Vec<Step<Schedule, ScheduleSpec>>,
    pub(super) pins: Vec<PinStep>,
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
    pub action: ApplyAction,
    pub kind: Kind,
    pub name: String,
    pub fields: Vec<FieldChange>,
}

words! {
    /// The treatment of an entry.
    ApplyAction {
        Add = "add",
        Change = "change",
        Remove = "remove",
    }
}

words! {
    /// The kind of an entry.
    Kind {
        Model = "model",
        Schedule = "schedule",
        Setting = "setting",
        Tag = "tag",
    }
}

/// A field that differs; a side where the entry has no such field is null.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldChange {
    pub field: &'static str,
    pub old: Node,
    pub new: Node,
}

impl Change {
    /// Describes a new entry by the fields that differ from their defaults.
    pub(super) fn added<S: Entity>(kind: Kind, name: &EntryName, entry: &S) -> Self {
        let values = needed_values(entry).into_iter();
        let values = values.filter(|(key, _)| *key != "name");
        let change = |(field, new): (_, FieldValue)| FieldChange {
            field,
            old: Node::Null,
            new: new.into(),
        };
        Self::new(ApplyAction::Add, kind, name, values.map(change).collect())
    }

    pub(super) fn changed(kind: Kind, name: &EntryName, fields: Vec<FieldChange>) -> Self {
        Self::new(ApplyAction::Change, kind, name, fields)
    }

    pub(super) fn removed(kind: Kind, name: &EntryName) -> Self {
        Self::new(ApplyAction::Remove, kind, name, Vec::new())
    }

    fn new(action: ApplyAction, kind: Kind, name: impl ToString, fields: Vec<FieldChange>) -> Self {
        Self {
            action,
            kind,
            name: name.to_string(),
            fields,
        }
    }
}

/// Plans the changes that make the database equal to the file.
///
/// All errors are found here, before anything is written: names that clash,
/// schedules without their models, schedules that never run.
pub fn plan_apply(
    current: &Current,
    wanted: &Wanted,
    rules: &Rules<'_>,
) -> Result<ApplyPlan, Objection> {
    let mut plan = ApplyPlan::default();
    if let Some(entries) = &wanted.settings {
        plan_settings(&mut plan, &current.settings, entries, rules.prune);
    }
    if let Some(entries) = &wanted.tags {
        plan_tags(&mut plan, &current.tags, entries, rules.prune)?;
    }
    let models = match &wanted.models {
        Some(entries) => plan_models(&mut plan, &current.models, entries, rules)?,
        None => Models::unchanged(&current.models),
    };
    warn_about_shared_rules(&mut plan, current, wanted, &models);
    plan_pins(&mut plan, &models.list, rules.lock);
    plan_schedules(&mut plan, current, wanted, &models, rules)?;
    plan.resulting = models.list;
    Ok(plan)
}

/// Warns about new and changed models that share a ref with models of other rules.
fn warn_about_shared_rules(
    plan: &mut ApplyPlan,
    current: &Current,
    wanted: &Wanted,
    models: &Models,
) {
    let mut tags: BTreeMap<Tag, UpdateRules> = BTreeMap::new();
    let wanted = wanted.tags.iter().flatten().map(|entry| &entry.value);
    for tag in current.tags.iter().chain(wanted) {
        tags.insert(tag.name.clone(), tag.update.clone());
    }
    for step in &plan.models {
        if let Step::Add(new) | Step::Change(_, new) = step {
            let others = models.list.iter().map(|model| &model.spec);
            let shared = SharedRules::of(new, others, &tags);
            plan.warnings.extend(shared.note(&new.name));
        }
    }
}

impl ApplyPlan {
    /// Carries out all changes, or none.
    ///
    /// The plan is computed again under the lock of the database; if it has other
    /// changes than the ones that were approved, nothing is done. States that a
    /// run recorded in the meantime are no changes.
    pub fn carry_out(&self, store: &Store, wanted: &Wanted, rules: &Rules<'_>) -> Result<()> {
        store.transaction(|store| {
            let fresh = plan_apply(&Current::read(store)?, wanted, rules);
            match fresh {
                Ok(fresh) if fresh.changes == self.changes => Ok(fresh.write(store, rules.now)?),
                _ => bail!("the database has been changed meanwhile, so nothing was applied"),
            }
        })
    }

    /// Removes first and gives moved models a temporary name, so that entries
    /// can exchange their names.
    fn write(&self, store: &Store, now: Timestamp) -> Result<(), StoreError> {
        for step in &self.settings {
            match step {
                SettingStep::Save(key, value) => store.set_setting(key.as_str(), value, now)?,
                SettingStep::Remove(key) => store.unset_setting(key.as_str()).map(drop)?,
            }
        }
        for step in &self.tags {
            match step {
                Step::Add(new) | Step::Change(_, new) => store.save_tag(new, now)?,
                Step::Remove(old) => store.remove_tag(&old.name).map(drop)?,
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
        for step in &self.pins {
            step.write(store)?;
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
        let field = FieldChange {
            field: "value",
            old,
            new,
        };
        plan.changes
            .push(Change::new(action, Kind::Setting, key, vec![field]));
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
                ApplyAction::Change,
                *key,
                value(*key, &old.value),
                value(*key, new),
            ),
            None => change(ApplyAction::Add, *key, Node::Null, value(*key, new)),
        }
        plan.settings.push(SettingStep::Save(*key, new.clone()));
        if *key == SettingKey::LimitRate {
            let table = new.parse().ok();
            let warning = table.and_then(|table: RateTable| table.warning());
            plan.warnings.extend(warning);
        }
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
            change(ApplyAction::Remove, key, value(key, &old.value), Node::Null);
            plan.settings.push(SettingStep::Remove(key));
        }
    }
}

/// Compares two entries field by field. A field that only one of them has,
/// such as the kind of cadence, is compared with nothing.
pub(super) fn differences<S: Entity>(old: &S, new: &S) -> Vec<FieldChange> {
    let differences = field::differences(old, new).into_iter();
    differences
        .map(|(field, old, new)| FieldChange {
            field,
            old: old.into(),
            new: new.into(),
        })
        .collect()
}
