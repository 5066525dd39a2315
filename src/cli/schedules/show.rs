//! `hfdl schedules show`

use anyhow::Result;
use serde_json::json;

use super::find::{find, warn_about};
use super::text::{cadence, selection, zone_of};
use crate::cli::context::Context;
use crate::cli::fields;
use crate::domain::model::EntryName;
use crate::domain::schedule::{Schedule, usable_zone};
use crate::json::{ScheduleView, document};
use crate::ops;
use crate::store::Store;
use crate::ui::{table, text};

pub(super) fn show(context: &Context, name: &EntryName) -> Result<()> {
    let (store, mut schedule) = find(context, name)?;
    show_as_run_here(context, &store, std::slice::from_mut(&mut schedule))?;
    if let Err(unusable) = usable_zone(&schedule) {
        warn_about(context, &[unusable]);
    }
    let (spec, state) = (&schedule.spec, &schedule.state);
    let models = ops::schedules::all_models(&store)?;
    let covered: Vec<String> = models
        .iter()
        .filter(|model| spec.selection.includes(&model.spec))
        .map(|model| model.spec.name.to_string())
        .collect();
    let clock = context.clock();
    let zone = zone_of(spec, &clock);
    context.out.result(
        |out| {
            let head = [
                ("name", spec.name.to_string()),
                ("when", cadence(spec, &clock)),
                ("time zone", spec.time_zone.clone()),
                ("covers", selection(spec)),
                ("models", text::list(&covered)),
            ];
            let fields = fields::rows(spec);
            let fields = fields
                .iter()
                .map(|(label, value)| (label.as_str(), value.clone()));
            let next = state.next_due_at.filter(|_| spec.enabled);
            let due = |at| clock.due(at, &zone);
            let slot = |at| clock.future(at, &zone);
            let state = [
                ("next due", text::or_nothing(next.map(due))),
                ("last slot", text::or_nothing(state.last_slot_at.map(slot))),
                (
                    "unfinished slot",
                    text::or_nothing(state.open_slot_at.map(slot)),
                ),
                ("retry at", text::or_nothing(state.retry_at.map(due))),
            ];
            let rows: Vec<(&str, String)> = head.into_iter().chain(fields).chain(state).collect();
            table::facts(out, &rows)
        },
        || {
            let mut value = document("hfdl.schedule/1", ScheduleView::from(&schedule));
            value["covers"] = json!(covered);
            value
        },
    )
}

/// Shows schedules as far as the shards of this home have come.
pub(super) fn show_as_run_here(
    context: &Context,
    store: &Store,
    schedules: &mut [Schedule],
) -> Result<()> {
    let tick = context.settings(Some(store))?.timer_every();
    ops::shards::show_as_run_here(store, &context.host, schedules, tick)
}
