//! A registered schedule, as programs read it.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{fields, time};
use crate::domain::schedule::Schedule;
use crate::domain::time::render_utc;

/// A registered schedule.
#[derive(Debug, Serialize)]
pub struct ScheduleView {
    pub name: String,
    pub cadence: &'static str,
    pub when: String,
    pub time_zone: String,
    /// The other fields of the specification.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
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
            fields: fields(spec),
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
