//! Schedules by name.

use anyhow::{Error, Result};

use crate::cli::context::Context;
use crate::cli::explain::Complaint;
use crate::domain::model::EntryName;
use crate::domain::schedule::{Schedule, ScheduleId, Unusable};
use crate::store::Store;

/// Opens the database for a command about a schedule that must be there.
pub(super) fn open_for(context: &Context, name: &EntryName) -> Result<Store> {
    let store = context.existing_store()?;
    Ok(store.ok_or_else(|| no_schedule(name.as_str(), &[]))?)
}

pub(super) fn find(context: &Context, name: &EntryName) -> Result<(Store, Schedule)> {
    let store = open_for(context, name)?;
    let schedule = known(&store, name)?;
    Ok((store, schedule))
}

/// Finds a schedule by its name; the error suggests the nearest name.
pub(super) fn known(store: &Store, name: &EntryName) -> Result<Schedule> {
    if let Some(schedule) = store.find_schedule(name)? {
        return Ok(schedule);
    }
    Err(unknown(store, name))
}

/// Finds the id of a schedule, readable or not.
pub(super) fn known_id(store: &Store, name: &EntryName) -> Result<ScheduleId> {
    match store.find_schedule_id(name)? {
        Some(id) => Ok(id),
        None => Err(unknown(store, name)),
    }
}

fn unknown(store: &Store, name: &EntryName) -> Error {
    match store.schedules() {
        Ok(schedules) => no_schedule(name.as_str(), &schedules.names()).into(),
        Err(err) => err.into(),
    }
}

/// Warns about the schedules that no run can follow.
pub(super) fn warn_about(context: &Context, unusable: &[Unusable]) {
    for schedule in unusable {
        context.warn(&schedule.to_string());
    }
}

fn no_schedule(name: &str, names: &[&str]) -> Complaint {
    Complaint::unknown("schedule", name, names, "hfdl schedules list")
}
