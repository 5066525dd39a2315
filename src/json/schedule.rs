//! Schedules: as registered, and as a tick finds them.

use jiff::tz::TimeZone;
use serde::Serialize;

use super::document::time;
use super::fields::FieldsView;
use crate::domain::model::EntryName;
use crate::domain::schedule::{DueState, Schedule, Unusable};
use crate::domain::time::{Timestamp, render_utc};

/// A registered schedule.
#[derive(Debug, Serialize)]
pub struct ScheduleView {
    pub name: String,
    pub cadence: &'static str,
    pub when: String,
    pub time_zone: String,
    /// The other fields of the specification.
    #[serde(flatten)]
    pub fields: FieldsView,
    pub anchor_at: String,
    pub not_before_at: String,
    pub next_due_at: Option<String>,
    pub last_slot_at: Option<String>,
    pub open_slot_at: Option<String>,
    pub retry_at: Option<String>,
    pub retry_count: u32,
    pub created_at: String,
    pub updated_at: String,
}

impl From<&Schedule> for ScheduleView {
    fn from(schedule: &Schedule) -> Self {
        let (spec, state) = (&schedule.spec, &schedule.state);
        Self {
            name: spec.name.to_string(),
            cadence: spec.cadence.kind().as_str(),
            when: spec.cadence.spec(),
            time_zone: spec.time_zone.clone(),
            fields: FieldsView::new(spec),
            anchor_at: render_utc(state.anchor_at),
            not_before_at: render_utc(state.not_before_at),
            next_due_at: time(state.next_due_at),
            last_slot_at: time(state.last_slot_at),
            open_slot_at: time(state.open_slot_at),
            retry_at: time(state.retry_at),
            retry_count: state.retry_count,
            created_at: render_utc(schedule.created_at),
            updated_at: render_utc(schedule.updated_at),
        }
    }
}

/// A schedule at a tick: part of `hfdl.due/1`.
#[derive(Debug, Default, Serialize)]
pub struct DueScheduleView {
    schedule: String,
    time_zone: Option<String>,
    state: &'static str,
    slot_at: Option<String>,
    slot: Option<String>,
    next_due_at: Option<String>,
    next: Option<String>,
    resume: Option<bool>,
    coalesced: Option<u32>,
    late_seconds: Option<u64>,
    late: Option<u64>,
    deadline: Option<String>,
    window_ends: Option<String>,
    missed: Option<u32>,
    error: Option<String>,
}

impl DueScheduleView {
    pub fn new(name: &EntryName, zone: &TimeZone, state: &DueState) -> Self {
        let view = |state, slot: Option<Timestamp>, next: Option<Timestamp>| Self {
            schedule: name.to_string(),
            time_zone: zone.iana_name().map(str::to_owned),
            state,
            slot_at: time(slot),
            slot: time(slot),
            next_due_at: time(next),
            next: time(next),
            ..Self::default()
        };
        match *state {
            DueState::Disabled => view("disabled", None, None),
            DueState::Wait { next } => view("wait", None, Some(next)),
            DueState::Done => view("done", None, None),
            DueState::Backoff { slot, until } => view("backoff", Some(slot), Some(until)),
            DueState::Closed { slot, next } => view("closed", Some(slot), Some(next)),
            DueState::Due(due) => Self {
                resume: Some(due.resume),
                coalesced: Some(due.coalesced),
                late_seconds: Some(due.late.get()),
                late: Some(due.late.get()),
                deadline: time(due.deadline),
                window_ends: time(due.deadline),
                ..view("due", Some(due.slot), None)
            },
            DueState::Expired { slot, missed, next } => Self {
                missed: Some(missed),
                ..view("expired", Some(slot), next)
            },
        }
    }
}

impl From<&Unusable> for DueScheduleView {
    fn from(schedule: &Unusable) -> Self {
        Self {
            schedule: schedule.name.clone(),
            state: "unusable",
            error: Some(schedule.why.clone()),
            ..Self::default()
        }
    }
}
