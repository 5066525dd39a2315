//! Registered schedules.

use serde::Serialize;

use super::document::time;
use crate::domain::schedule::{CatchUp, Schedule};
use crate::domain::time::render_utc;

/// A registered schedule.
#[derive(Debug, Serialize)]
pub struct ScheduleView {
    pub name: String,
    pub cadence: &'static str,
    pub when: String,
    pub time_zone: String,
    pub all: bool,
    pub models: Vec<String>,
    pub tags: Vec<String>,
    pub windows: Vec<String>,
    pub catch_up: &'static str,
    pub catch_up_within: Option<String>,
    pub jitter: String,
    pub limit_rate: Option<String>,
    pub max_duration: Option<String>,
    pub max_transfer: Option<String>,
    pub priority: u8,
    pub enabled: bool,
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
        let (catch_up, within) = match spec.catch_up {
            CatchUp::Once { within } => ("once", within),
            CatchUp::Skip => ("skip", None),
        };
        Self {
            name: spec.name.to_string(),
            cadence: spec.cadence.kind().as_str(),
            when: spec.cadence.spec(),
            time_zone: spec.time_zone.clone(),
            all: spec.selection.all,
            models: spec
                .selection
                .models
                .iter()
                .map(ToString::to_string)
                .collect(),
            tags: spec
                .selection
                .tags
                .iter()
                .map(ToString::to_string)
                .collect(),
            windows: spec.windows.texts(),
            catch_up,
            catch_up_within: within.map(|span| span.to_string()),
            jitter: spec.jitter.to_string(),
            limit_rate: spec.limit_rate.as_ref().map(ToString::to_string),
            max_duration: spec.max_duration.map(|span| span.to_string()),
            max_transfer: spec.max_transfer.map(|size| size.to_string()),
            priority: spec.priority.get(),
            enabled: spec.enabled,
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
