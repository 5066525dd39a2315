//! The report of `schedules add` and `schedules set`.

use anyhow::Result;
use serde_json::json;

use super::text::zone_of;
use crate::cli::context::Context;
use crate::cli::next_steps::NextSteps;
use crate::domain::schedule::{Overlap, RateTable, Schedule};
use crate::json::{ScheduleView, document};
use crate::ops;
use crate::store::Store;
use crate::ui::text;

/// Reports a schedule that was added or changed, after its warnings.
pub(super) fn report(
    context: &Context,
    store: &Store,
    schedule: &Schedule,
    overlaps: &[Overlap],
    word: &str,
) -> Result<()> {
    for overlap in overlaps {
        context.warn(&format!("schedule {overlap}"));
    }
    if let Some(warning) = (schedule.spec.limit_rate.as_ref()).and_then(RateTable::warning) {
        context.warn(&warning);
    }
    let covered = ops::schedules::all_models(store)?;
    let covered = covered
        .iter()
        .filter(|model| schedule.spec.selection.includes(&model.spec))
        .count();
    if covered == 0 {
        context.warn(&format!("`{}` includes no model yet", schedule.spec.name));
    }
    context.out.done(
        || {
            let (clock, next) = (context.clock(), schedule.state.next_due_at);
            let zone = zone_of(&schedule.spec, &clock);
            let next = next.map_or_else(|| "never".to_owned(), |at| clock.due(at, &zone));
            let count = text::count(covered as u64, "model", "models");
            format!("{word} `{}`: {count}, next due {next}", schedule.spec.name)
        },
        || {
            let mut value = document("hfdl.schedule/1", ScheduleView::from(schedule));
            value["warnings"] = json!(overlaps.iter().map(ToString::to_string).collect::<Vec<_>>());
            value
        },
    )?;
    NextSteps::new(context, store)?.after_schedule(schedule);
    Ok(())
}
