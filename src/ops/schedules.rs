//! Checks schedules and computes their next slots.

use anyhow::Result;
use jiff::tz::TimeZone;
use thiserror::Error;

use super::ticks::note_look;
use crate::domain::invalid_value::InvalidValue;
use crate::domain::model::{EntryName, Model};
use crate::domain::schedule::{
    self as domain, DueContext, NextStart, Overlap, PlannedSlot, Schedule, ScheduleSpec,
    ScheduleState, assess, check_possible, check_tick, duplicate_of, find_zone, jitter_offset,
    overlaps, planned,
};
use crate::domain::status::NextDue;
use crate::domain::time::Timestamp;
use crate::domain::units::Seconds;
use crate::store::{ModelFilter, Store};
use crate::sys::host::Host;

/// Another schedule does the same already.
#[derive(Debug, Error)]
#[error("the schedule `{existing}` does exactly the same: cadence, zone, windows and selection")]
pub struct Duplicate {
    pub existing: EntryName,
}

/// Refuses a schedule that can never run or that duplicates another one;
/// returns the overlaps to warn about.
pub fn check(
    spec: &ScheduleSpec,
    state: &ScheduleState,
    others: &[Schedule],
    models: &[Model],
    tick: Seconds,
    now: Timestamp,
) -> Result<Vec<Overlap>> {
    let zone = find_zone(&spec.time_zone)?;
    check_possible(spec, &zone, state.anchor_at, now, tick)?;
    if let Some(other) = duplicate_of(spec, others) {
        return Err(Duplicate {
            existing: other.spec.name.clone(),
        }
        .into());
    }
    Ok(overlaps(spec, &zone, state.anchor_at, now, others, models))
}

/// Finds the enabled schedules that no tick of this period can serve.
pub fn impossible(
    schedules: &[Schedule],
    tick: Seconds,
    now: Timestamp,
) -> Vec<(EntryName, InvalidValue)> {
    let enabled = schedules.iter().filter(|schedule| schedule.spec.enabled);
    let check = |schedule: &Schedule| {
        let (spec, anchor) = (&schedule.spec, schedule.state.anchor_at);
        // An unknown zone is reported by `status`.
        let zone = find_zone(&spec.time_zone).ok()?;
        let why = check_tick(spec, &zone, anchor, now, tick).err()?;
        Some((spec.name.clone(), why))
    };
    enabled.filter_map(check).collect()
}

/// Returns a warning for each schedule that a new period of the timer made impossible.
pub fn warnings_about_tick(store: &Store, tick: Seconds, now: Timestamp) -> Result<Vec<String>> {
    let schedules = store.enabled_schedules()?.readable;
    let found = impossible(&schedules, tick, now).into_iter();
    let words = found.map(|(name, why)| {
        let why = why.with_next_step();
        format!("the schedule `{name}` can never run now: {why}")
    });
    Ok(words.collect())
}

/// Computes the time of the next check of a schedule.
pub fn next_look(
    store: &Store,
    host: &Host,
    schedule: &Schedule,
    tick: Seconds,
) -> Result<Option<Timestamp>> {
    if !schedule.spec.enabled {
        // A schedule with an unknown zone can be disabled, too.
        return Ok(None);
    }
    let now = host.now();
    let zone = find_zone(&schedule.spec.time_zone)?;
    let look = DueContext {
        now,
        offset: offset(store, host, schedule)?,
        tick,
    };
    Ok(assess(&schedule.spec, &schedule.state, &zone, &look)
        .state
        .next_check(now))
}

/// Records the next check of a schedule that was added or changed.
pub fn save_next_look(
    store: &Store,
    host: &Host,
    name: &EntryName,
    tick: Seconds,
) -> Result<Schedule> {
    let mut schedule = store.schedule(name)?;
    schedule.state.next_due_at = next_look(store, host, &schedule, tick)?;
    store.save_schedule_state(schedule.id, &schedule.state)?;
    note_look(store, host.now())?;
    Ok(schedule)
}

/// Records the next check of every enabled schedule. Schedules with an unknown
/// zone are left out; `run-due` and `status` report them.
pub fn save_next_looks(store: &Store, host: &Host, tick: Seconds) -> Result<()> {
    store.transaction(|store| -> Result<()> {
        for mut schedule in store.enabled_schedules()?.readable {
            if find_zone(&schedule.spec.time_zone).is_err() {
                continue;
            }
            schedule.state.next_due_at = next_look(store, host, &schedule, tick)?;
            store.save_schedule_state(schedule.id, &schedule.state)?;
        }
        note_look(store, host.now())
    })
}

/// Returns the next slots of a schedule and its zone.
pub fn upcoming(
    store: &Store,
    host: &Host,
    schedule: &Schedule,
    from: Timestamp,
    count: usize,
) -> Result<(TimeZone, Vec<PlannedSlot>)> {
    let zone = find_zone(&schedule.spec.time_zone)?;
    let offset = offset(store, host, schedule)?;
    let slots = planned(&schedule.spec, &schedule.state, &zone, offset, from, count);
    Ok((zone, slots))
}

/// Returns the earliest start of the enabled schedules that are meant.
pub fn first_start(
    store: &Store,
    host: &Host,
    tick: Seconds,
    is_meant: impl Fn(&ScheduleSpec) -> bool,
) -> Result<Option<NextDue>> {
    let mut first: Option<NextDue> = None;
    for schedule in store.enabled_schedules()?.readable {
        let Ok(zone) = find_zone(&schedule.spec.time_zone) else {
            continue;
        };
        if !is_meant(&schedule.spec) {
            continue;
        }
        let next = next_start(store, host, &schedule, tick)?;
        let is_earlier = |next: &NextStart| {
            let ready = first.as_ref().map(|first| first.next.planned.ready);
            ready.is_none_or(|ready| next.planned.ready < ready)
        };
        if let Some(next) = next.filter(is_earlier) {
            let schedule = schedule.spec.name;
            first = Some(NextDue {
                schedule,
                zone,
                next,
            });
        }
    }
    Ok(first)
}

/// Returns the next action of an enabled schedule.
pub fn next_start(
    store: &Store,
    host: &Host,
    schedule: &Schedule,
    tick: Seconds,
) -> Result<Option<NextStart>> {
    let zone = find_zone(&schedule.spec.time_zone)?;
    let look = DueContext {
        now: host.now(),
        offset: offset(store, host, schedule)?,
        tick,
    };
    Ok(domain::next_start(
        &schedule.spec,
        &schedule.state,
        &zone,
        &look,
    ))
}

pub fn offset(store: &Store, host: &Host, schedule: &Schedule) -> Result<Seconds> {
    if schedule.spec.jitter == Seconds(0) {
        return Ok(Seconds(0));
    }
    let install_id = store.install_id()?.to_string();
    Ok(jitter_offset(
        &install_id,
        &host.name(),
        schedule.id,
        schedule.spec.jitter,
    ))
}

/// Returns all models.
pub fn all_models(store: &Store) -> Result<Vec<Model>> {
    Ok(store.readable_models(&ModelFilter::default())?)
}
