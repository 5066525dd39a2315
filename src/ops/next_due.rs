//! The next starts of schedules, and schedules that never start anything: without a timer,
//! or without a model. `status`, `doctor`, the metrics and hints share these conditions.

use anyhow::Result;
use jiff::tz::TimeZone;

use super::pause::pause_in_force;
use super::schedules::next_start;
use super::shards::show_as_run_here;
use super::status::StatusContext;
use super::ticks::last_ticks;
use super::timer_record::TimerRecord;
use crate::domain::schedule::{Schedule, Selection, usable_zone};
use crate::domain::status::{EmptySchedule, NextDue, Warning, missing_timer};
use crate::domain::time::Timestamp;
use crate::store::Store;

/// The number of schedules that are shown with their next start.
const MOST_NEXT_DUE: usize = 5;

/// Returns the next starts of the enabled schedules, as this home runs them.
pub fn next_due_of_all(places: &StatusContext<'_>, store: &Store) -> Result<Vec<NextDue>> {
    let mut schedules = store.enabled_schedules()?.readable;
    let tick = places.settings.timer_every();
    show_as_run_here(store, places.host, &mut schedules, tick)?;
    next_due(places, store, &schedules)
}

/// Returns the warning about schedules that nothing starts, outside of a report.
pub fn missing_timer_here(places: &StatusContext<'_>, store: &Store) -> Result<Option<Warning>> {
    let now = places.host.now();
    if TimerRecord::load(store)?.is_some() || pause_in_force(store, now)?.is_some() {
        return Ok(None);
    }
    let next_due = next_due_of_all(places, store)?;
    let ticks = last_ticks(places.home, store, now)?;
    let every = places.settings.timer_every();
    Ok(missing_timer(&next_due, ticks.unattended, every, now))
}

/// Tells whether a timer is installed, or ticks come by other means.
pub fn is_ticking(places: &StatusContext<'_>, store: &Store) -> Result<bool> {
    let now = places.host.now();
    let recent = now.checked_sub(2 * places.settings.timer_every().span())?;
    let last = last_ticks(places.home, store, now)?.unattended;
    Ok(TimerRecord::load(store)?.is_some() || last.is_some_and(|last| last >= recent))
}

/// Finds the next starts, and computes no more schedules than needed: the cached
/// time of a schedule may be early, but is never late.
pub(super) fn next_due(
    places: &StatusContext<'_>,
    store: &Store,
    schedules: &[Schedule],
) -> Result<Vec<NextDue>> {
    let (now, tick) = (places.host.now(), places.settings.timer_every());
    // Another warning reports an unknown zone.
    let looks = schedules.iter().filter_map(|schedule| {
        let zone = usable_zone(schedule).ok()?;
        Some((schedule.state.next_due_at?, zone, schedule))
    });
    let mut waiting: Vec<(Timestamp, TimeZone, &Schedule)> = looks.collect();
    waiting.sort_by_key(|(look, ..)| *look);
    let mut found: Vec<NextDue> = Vec::new();
    for (look, zone, schedule) in waiting {
        let is_enough = found.len() == MOST_NEXT_DUE;
        if is_enough
            && found
                .iter()
                .all(|due| due.next.planned.ready <= look.max(now))
        {
            break;
        }
        if let Some(next) = next_start(store, places.host, schedule, tick)? {
            let schedule = schedule.spec.name.clone();
            found.push(NextDue {
                schedule,
                zone,
                next,
            });
        }
        found.sort_by_key(|due| (due.next.planned.ready, due.next.planned.slot));
        found.truncate(MOST_NEXT_DUE);
    }
    Ok(found)
}

/// Finds the schedules that will run and include no enabled model.
pub fn empty_schedules(store: &Store, schedules: &[Schedule]) -> Result<Vec<EmptySchedule>> {
    let enabled_tags = store.tags_of_enabled_models()?;
    let pending = schedules
        .iter()
        .filter(|one| one.spec.enabled && one.state.next_due_at.is_some());
    let mut empty: Vec<&Schedule> = pending
        .filter(|one| one.spec.selection.tags.is_disjoint(&enabled_tags))
        .collect();
    if empty.is_empty() {
        return Ok(Vec::new());
    }
    // Not earlier: there may be ten thousand names.
    let enabled = store.enabled_names()?;
    let is_empty = |selection: &Selection| {
        (!selection.all || enabled.is_empty()) && selection.models.is_disjoint(&enabled)
    };
    empty.retain(|one| is_empty(&one.spec.selection));
    if empty.is_empty() {
        return Ok(Vec::new());
    }
    let (has_models, tags) = (store.has_models()?, store.tags_in_use()?);
    let empty = empty.into_iter().map(|one| {
        let selection = &one.spec.selection;
        EmptySchedule {
            name: one.spec.name.clone(),
            // Removing a model removes it from the selections, too.
            has_disabled: selection.all && has_models
                || !selection.models.is_empty()
                || selection.tags.iter().any(|tag| tags.contains_key(tag)),
            selection: selection.clone(),
        }
    });
    Ok(empty.collect())
}
