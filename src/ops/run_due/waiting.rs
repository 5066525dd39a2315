//! Slots that wait for an allowance.
//!
//! A run that begins a slot checks all of its models, which costs few bytes, whatever
//! is left of an allowance. Later ticks of the same slot could only fetch: with the
//! allowance spent they start no run. The next slot is checked again.

use std::collections::BTreeMap;

use anyhow::Result;

use super::due_finder::DueSlot;
use super::tick::RunDueOptions;
use crate::domain::allowance::{Allowance, AllowanceScope, last_to_renew};
use crate::domain::model::{Model, Tag};
use crate::domain::schedule::{DueSchedule, due_jobs};
use crate::domain::time::Timestamp;
use crate::ops::allowances::{in_force, rule_of_home, rule_of_schedule, rules_of_tags};
use crate::ops::services::Services;

/// Removes the slots that wait for an allowance; returns the one that begins anew last.
pub(super) fn remove_waiting(
    services: &Services<'_>,
    options: &RunDueOptions,
    due: &mut Vec<DueSlot>,
    now: Timestamp,
) -> Result<Option<Allowance>> {
    let is_begun = |one: &DueSlot| one.schedule.state.open_slot_at == Some(one.due.slot);
    if options.bounds.ignores_allowances || !due.iter().any(is_begun) {
        return Ok(None);
    }
    let Services {
        store,
        host,
        settings,
        ..
    } = services;
    let spent = |rule| -> Result<Option<Allowance>> {
        Ok(last_to_renew(&in_force(store, &rule, now)?).cloned())
    };
    let of_home = spent(rule_of_home(host, settings))?;
    let mut of_tags = BTreeMap::new();
    for rule in rules_of_tags(store, host, settings)? {
        let scope = rule.scope.clone();
        if let (AllowanceScope::Tag(tag), Some(allowance)) = (scope, spent(rule)?) {
            of_tags.insert(tag, allowance);
        }
    }
    let mut waits: Vec<Allowance> = Vec::new();
    let mut left = Vec::new();
    for one in std::mem::take(due) {
        let of_slot = if !is_begun(&one) {
            None
        } else if let Some(allowance) = &of_home {
            Some(allowance.clone())
        } else if let Some(own) = spent(rule_of_schedule(settings, &one.schedule, &one.zone))? {
            Some(own)
        } else {
            of_all_models(services, &one, &of_tags, now)?
        };
        match of_slot {
            Some(allowance) => waits.push(allowance),
            None => left.push(one),
        }
    }
    *due = left;
    Ok(last_to_renew(&waits).cloned())
}

/// Returns a spent allowance if all models that the slot has left wait for one.
fn of_all_models(
    services: &Services<'_>,
    one: &DueSlot,
    spent: &BTreeMap<Tag, Allowance>,
    now: Timestamp,
) -> Result<Option<Allowance>> {
    if spent.is_empty() {
        return Ok(None);
    }
    let store = &services.store;
    let models = store.models_of_schedules([one.schedule.id])?;
    let done = store.models_done_since(one.due.slot, now)?;
    let slot: [DueSchedule<'_>; 1] = [one.as_due_schedule()];
    let jobs = due_jobs(&slot, &models);
    let left = jobs.iter().filter(|job| !done.contains(&job.model.id));
    let of_model = |model: &Model| model.spec.tags.iter().find_map(|tag| spent.get(tag));
    let waits: Option<Vec<&Allowance>> = left.map(|job| of_model(job.model)).collect();
    Ok(last_to_renew(waits.unwrap_or_default()).cloned())
}
