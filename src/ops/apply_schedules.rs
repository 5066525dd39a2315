//! The part of a plan about schedules, with their checks.

use std::collections::BTreeSet;

use super::apply::{ApplyPlan, Change, Current, Kind, Rules, Step, differences};
use super::apply_models::Models;
use super::entries::{Entry, Objection, Wanted};
use crate::domain::model::Model;
use crate::domain::nearest::nearest;
use crate::domain::schedule::{
    RateTable, Schedule, ScheduleId, ScheduleSpec, ScheduleState, check_possible, duplicate_of,
    find_zone, has_passed, overlaps,
};

pub(super) fn plan_schedules(
    plan: &mut ApplyPlan,
    current: &Current,
    wanted: &Wanted,
    models: &Models,
    rules: &Rules<'_>,
) -> Result<(), Objection> {
    let entries = wanted.schedules.as_deref().unwrap_or_default();
    refuse_same_names(entries)?;
    let prune = rules.prune && wanted.schedules.is_some();
    let mut others: Vec<Schedule> = Vec::new();
    for old in &current.schedules {
        if entries
            .iter()
            .any(|entry| entry.value.name == old.spec.name)
        {
            continue;
        }
        if prune {
            plan.changes
                .push(Change::removed(Kind::Schedule, &old.spec.name));
            plan.schedules.push(Step::Remove(old.clone()));
            continue;
        }
        let spec = models.selected_after(&old.spec);
        let lost = spec.selection.models.len() < old.spec.selection.models.len();
        if lost {
            warn_if_idle(plan, &spec, models);
            // The database takes removed models out by itself; it is only told here.
            let fields = differences(&old.spec, &spec);
            plan.changes
                .push(Change::changed(Kind::Schedule, &spec.name, fields));
        }
        others.push(Schedule {
            spec,
            ..old.clone()
        });
    }
    for entry in entries {
        refuse_missing_models(entry, models)?;
        let old = current
            .schedules
            .iter()
            .find(|old| old.spec.name == entry.value.name);
        let schedule = match old {
            None => plan_new(plan, entry, &others, models, rules)?,
            Some(old) => plan_change(plan, entry, old, &others, models, rules)?,
        };
        others.push(schedule);
    }
    Ok(())
}

fn plan_new(
    plan: &mut ApplyPlan,
    entry: &Entry<ScheduleSpec>,
    others: &[Schedule],
    models: &Models,
    rules: &Rules<'_>,
) -> Result<Schedule, Objection> {
    let schedule = Schedule {
        id: ScheduleId(0),
        spec: entry.value.clone(),
        state: ScheduleState::new(rules.now),
        created_at: rules.now,
        updated_at: rules.now,
    };
    check_schedule(plan, entry, &schedule, others, models, rules)?;
    let spec = &schedule.spec;
    warn_if_idle(plan, spec, models);
    warn_about_rate(plan, spec);
    let change = Change::added(Kind::Schedule, &spec.name, spec);
    plan.changes.push(change);
    plan.schedules.push(Step::Add(spec.clone()));
    Ok(schedule)
}

fn plan_change(
    plan: &mut ApplyPlan,
    entry: &Entry<ScheduleSpec>,
    old: &Schedule,
    others: &[Schedule],
    models: &Models,
    rules: &Rules<'_>,
) -> Result<Schedule, Objection> {
    let schedule = Schedule {
        spec: with_zone_as_saved(&entry.value, &old.spec),
        ..old.clone()
    };
    let spec = &schedule.spec;
    if is_another_plan(&old.spec, spec) {
        check_schedule(plan, entry, &schedule, others, models, rules)?;
    }
    let renamed = models.renamed_only(&old.spec);
    let fields = differences(&renamed, spec);
    if !fields.is_empty() {
        let change = Change::changed(Kind::Schedule, &spec.name, fields);
        plan.changes.push(change);
        warn_if_idle(plan, spec, models);
        warn_about_rate(plan, spec);
        let step = Step::Change(old.clone(), spec.clone());
        plan.schedules.push(step);
    }
    Ok(schedule)
}

fn refuse_same_names(entries: &[Entry<ScheduleSpec>]) -> Result<(), Objection> {
    let mut seen = BTreeSet::new();
    match entries.iter().find(|entry| !seen.insert(&entry.value.name)) {
        Some(entry) => {
            let message = format!("a second schedule `{}`", entry.value.name);
            Err(Objection::new(&entry.place, message).hint("give one of them another `name`"))
        }
        None => Ok(()),
    }
}

fn refuse_missing_models(entry: &Entry<ScheduleSpec>, models: &Models) -> Result<(), Objection> {
    let Some((name, place)) = entry.mentions.iter().find(|(name, _)| !models.has(name)) else {
        return Ok(());
    };
    let names = models.list.iter().map(|model| model.spec.name.as_str());
    let (message, hint) = match models.gone.get(name) {
        Some(None) => (format!("the model `{name}` would be removed"), None),
        Some(Some(new)) => (
            format!("the model `{name}` would be renamed"),
            Some(new.as_str()),
        ),
        None => (
            format!("there is no model `{name}`"),
            nearest(name.as_str(), names),
        ),
    };
    let objection = Objection::new(place, message);
    Err(match hint {
        Some(near) => objection.hint(format!("did you mean `{near}`?")),
        None => objection,
    })
}

/// Checks a new or changed schedule. A schedule that stays as it is may be
/// over, or a duplicate, without an error.
fn check_schedule(
    plan: &mut ApplyPlan,
    entry: &Entry<ScheduleSpec>,
    schedule: &Schedule,
    others: &[Schedule],
    models: &Models,
    rules: &Rules<'_>,
) -> Result<(), Objection> {
    let spec = &schedule.spec;
    let refuse = |message: String| Objection::new(&entry.place, message);
    let zone = find_zone(&spec.time_zone).map_err(|err| Objection::to(&entry.place, err))?;
    let anchor = schedule.state.anchor_at;
    if let Some(twin) = duplicate_of(spec, others) {
        return Err(refuse(format!(
            "the schedule `{}` does exactly the same as `{}`",
            spec.name, twin.spec.name
        )));
    }
    if !spec.enabled {
        return Ok(());
    }
    match check_possible(spec, &zone, anchor, rules.now, rules.tick) {
        Ok(()) => {}
        // An export may hold a schedule that has had its day.
        Err(err) if has_passed(spec, &zone, rules.now) => plan.warnings.push(format!(
            "the schedule `{}` will never run: {}",
            spec.name,
            err.with_next_step()
        )),
        Err(err) => {
            let fact = format!("the schedule `{}` can never run", spec.name);
            return Err(Objection::to(&entry.place, err.within(fact)));
        }
    }
    for overlap in overlaps(spec, &zone, anchor, rules.now, others, &models.list) {
        plan.warnings
            .push(format!("the schedule `{}`: {overlap}", spec.name));
    }
    Ok(())
}

fn warn_about_rate(plan: &mut ApplyPlan, spec: &ScheduleSpec) {
    let warning = spec.limit_rate.as_ref().and_then(RateTable::warning);
    let warning = warning.map(|warning| format!("the schedule `{}`: {warning}", spec.name));
    plan.warnings.extend(warning);
}

/// Warns about a schedule without models, such as one with a mistyped tag.
fn warn_if_idle(plan: &mut ApplyPlan, spec: &ScheduleSpec, models: &Models) {
    let covers = |model: &Model| spec.selection.includes(&model.spec);
    if !spec.selection.all && !models.list.iter().any(covers) {
        let warning = format!("the schedule `{}` includes no model", spec.name);
        plan.warnings.push(warning);
    }
}

/// Tells whether an edit changes more than limits and priority.
fn is_another_plan(old: &ScheduleSpec, new: &ScheduleSpec) -> bool {
    let same = ScheduleSpec {
        limit_rate: old.limit_rate.clone(),
        max_duration: old.max_duration,
        max_transfer: old.max_transfer,
        priority: old.priority,
        enabled: old.enabled && new.enabled,
        ..new.clone()
    };
    same != *old
}

/// Keeps the saved spelling of a zone, whose capitals do not matter.
fn with_zone_as_saved(new: &ScheduleSpec, old: &ScheduleSpec) -> ScheduleSpec {
    let mut spec = new.clone();
    if spec.time_zone.eq_ignore_ascii_case(&old.time_zone) {
        spec.time_zone = old.time_zone.clone();
    }
    spec
}
