//! The part of a plan about models: which entry is which model.

use std::collections::{BTreeMap, BTreeSet};

use super::apply::{ApplyPlan, Change, Kind, Rules, Step, differences};
use super::directories::Reserved;
use super::entries::{Entry, Objection};
use super::models::uses_directory;
use crate::domain::model::{Destination, EntryName, Model, ModelId, ModelSpec, ModelState};
use crate::domain::schedule::ScheduleSpec;

/// The models as they will be.
pub(super) struct Models {
    pub(super) list: Vec<Model>,
    /// Names that vanish, with the new name of a model that is renamed.
    pub(super) gone: BTreeMap<EntryName, Option<EntryName>>,
}

impl Models {
    pub(super) fn unchanged(models: &[Model]) -> Self {
        Self {
            list: models.to_vec(),
            gone: BTreeMap::new(),
        }
    }

    pub(super) fn has(&self, name: &EntryName) -> bool {
        self.list.iter().any(|model| model.spec.name == *name)
    }

    /// Returns a saved schedule with the new names of its models; removed ones
    /// stay, so that their removal is a difference.
    pub(super) fn renamed_only(&self, spec: &ScheduleSpec) -> ScheduleSpec {
        with_models(spec, |name| match self.gone.get(&name) {
            Some(Some(new)) => Some(new.clone()),
            _ => Some(name),
        })
    }

    /// Returns the schedule once models are renamed and removed.
    pub(super) fn selected_after(&self, spec: &ScheduleSpec) -> ScheduleSpec {
        with_models(spec, |name| match self.gone.get(&name) {
            Some(new) => new.clone(),
            None => Some(name),
        })
    }
}

fn with_models(
    spec: &ScheduleSpec,
    rename: impl Fn(EntryName) -> Option<EntryName>,
) -> ScheduleSpec {
    let mut spec = spec.clone();
    let names = spec.selection.models.into_iter();
    spec.selection.models = names.filter_map(rename).collect();
    spec
}

pub(super) fn plan_models(
    plan: &mut ApplyPlan,
    current: &[Model],
    entries: &[Entry<ModelSpec>],
    rules: &Rules<'_>,
) -> Result<Models, Objection> {
    refuse_twins(entries)?;
    let partners = pair_up(current, entries, rules.prune);
    let is_taken = |model: &Model| partners.contains(&Some(model.id));
    let (taken, rest): (Vec<&Model>, Vec<&Model>) = current.iter().partition(|m| is_taken(m));
    let mut models = Models {
        list: Vec::new(),
        gone: BTreeMap::new(),
    };
    for (entry, partner) in entries.iter().zip(&partners) {
        let new = &entry.value;
        let old = taken.iter().find(|model| Some(model.id) == *partner);
        let is_new_copy = old.is_none_or(|old| !old.spec.is_same_copy(new));
        if !rules.prune
            && let Some(twin) = rest.iter().find(|model| model.spec.is_same_copy(new))
        {
            return Err(registered_already(entry, &twin.spec));
        }
        if is_new_copy {
            refuse_reserved(entry, rules.reserved)?;
        }
        match old {
            None => plan_new(plan, &mut models, new, rules),
            Some(old) => plan_change(plan, &mut models, old, new),
        }
    }
    for model in rest {
        if rules.prune {
            let name = &model.spec.name;
            plan.changes.push(Change::removed(Kind::Model, name));
            plan.models.push(Step::Remove(model.clone()));
            models.gone.insert(name.clone(), None);
        } else {
            models.list.push(model.clone());
        }
    }
    refuse_shared_directories(entries, &models.list)?;
    refuse_pins_apart(entries, &models.list)?;
    Ok(models)
}

fn plan_new(plan: &mut ApplyPlan, models: &mut Models, new: &ModelSpec, rules: &Rules<'_>) {
    let change = Change::added(Kind::Model, &new.name, new);
    plan.changes.push(change);
    plan.models.push(Step::Add(new.clone()));
    models.list.push(Model {
        id: ModelId(0),
        spec: new.clone(),
        state: ModelState::default(),
        created_at: rules.now,
        updated_at: rules.now,
    });
}

fn plan_change(plan: &mut ApplyPlan, models: &mut Models, old: &Model, new: &ModelSpec) {
    if old.spec.name != new.name {
        let (from, to) = (old.spec.name.clone(), new.name.clone());
        models.gone.insert(from, Some(to));
    }
    let fields = differences(&old.spec, new);
    if !fields.is_empty() {
        let change = Change::changed(Kind::Model, &new.name, fields);
        plan.changes.push(change);
        plan.models.push(Step::Change(old.clone(), new.clone()));
    }
    models.list.push(Model {
        spec: new.clone(),
        ..old.clone()
    });
}

/// One ref cannot name two pinned commits.
fn refuse_pins_apart(entries: &[Entry<ModelSpec>], models: &[Model]) -> Result<(), Objection> {
    for entry in entries {
        let mut others = models.iter().map(|model| &model.spec);
        if let Some(other) = others.find(|other| other.is_pinned_apart(&entry.value)) {
            let message = format!(
                "`{}` and `{}` share a revision and are pinned at different commits",
                entry.value.name, other.name
            );
            return Err(Objection::new(&entry.place, message));
        }
    }
    Ok(())
}

/// Two models in one directory would each take the other's files for vanished ones.
fn refuse_shared_directories(
    entries: &[Entry<ModelSpec>],
    models: &[Model],
) -> Result<(), Objection> {
    for entry in entries {
        let Destination::Directory(path) = &entry.value.destination else {
            continue;
        };
        let is_other = |model: &&Model| {
            model.spec.name != entry.value.name && uses_directory(&model.spec, path)
        };
        if let Some(other) = models.iter().find(is_other) {
            let message = format!(
                "the model `{}` uses the directory `{}`",
                other.spec.name,
                path.display()
            );
            let hint = "give each model a directory of its own";
            return Err(Objection::new(&entry.place, message).hint(hint));
        }
    }
    Ok(())
}

/// Finds for each entry the model that it is about.
fn pair_up(current: &[Model], entries: &[Entry<ModelSpec>], prune: bool) -> Vec<Option<ModelId>> {
    let mut partners: Vec<Option<ModelId>> = vec![None; entries.len()];
    let mut taken = BTreeSet::new();
    let mut pair = |is_same: &dyn Fn(&ModelSpec, &ModelSpec) -> bool| {
        for (entry, partner) in entries.iter().zip(&mut partners) {
            let found = current
                .iter()
                .find(|model| !taken.contains(&model.id) && is_same(&model.spec, &entry.value));
            if let (None, Some(model)) = (*partner, found) {
                taken.insert(model.id);
                *partner = Some(model.id);
            }
        }
    };
    if prune {
        // State and history belong to the copy; the name is only a label.
        pair(&ModelSpec::is_same_copy);
    }
    pair(&|one, other| one.name == other.name);
    if prune {
        pair(&ModelSpec::is_same_revision);
    }
    partners
}

fn refuse_twins(entries: &[Entry<ModelSpec>]) -> Result<(), Objection> {
    for (index, entry) in entries.iter().enumerate() {
        let spec = &entry.value;
        for earlier in entries[..index].iter().map(|earlier| &earlier.value) {
            if earlier.name == spec.name {
                let message = format!("a second model `{}`", spec.name);
                let hint = "give one of them another `name`";
                return Err(Objection::new(&entry.place, message).hint(hint));
            }
            if earlier.is_same_copy(spec) {
                return Err(Objection::new(
                    &entry.place,
                    format!(
                        "`{}` at `{}` stands here a second time, in the same place as `{}`",
                        spec.repo, spec.revision, earlier.name
                    ),
                ));
            }
        }
    }
    Ok(())
}

fn registered_already(entry: &Entry<ModelSpec>, twin: &ModelSpec) -> Objection {
    let message = format!(
        "`{}` at `{}` is registered already, as the model `{}`",
        twin.repo, twin.revision, twin.name
    );
    Objection::new(&entry.place, message).hint(format!(
        "write `name: {}`, or add `--prune`, which renames it and removes what the file does not have",
        twin.name
    ))
}

fn refuse_reserved(entry: &Entry<ModelSpec>, reserved: &Reserved) -> Result<(), Objection> {
    let Destination::Directory(path) = &entry.value.destination else {
        return Ok(());
    };
    match reserved.objection(path) {
        Some(why) => {
            let message = format!(
                "`{}` cannot hold the files of a model: {why}",
                path.display()
            );
            let hint = "write `to: cache`, or a directory elsewhere";
            Err(Objection::new(&entry.place, message).hint(hint))
        }
        None => Ok(()),
    }
}
