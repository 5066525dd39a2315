//! `hfdl schedules list`

use anyhow::Result;
use serde_json::{Value, json};

use super::find::warn_about;
use super::show::show_as_run_here;
use super::text::{cadence, selection, zone_of};
use crate::cli::context::Context;
use crate::cli::next_steps::FIRST_SCHEDULE;
use crate::domain::schedule::{Schedule, StoredSchedules, Unusable};
use crate::json::{ScheduleView, document};
use crate::ui::table::Column;
use crate::ui::{Clock, Output, table, text};

pub(super) fn list(context: &Context) -> Result<()> {
    let all = match context.existing_store()? {
        Some(store) => {
            let mut all = store.schedules()?;
            show_as_run_here(context, &store, &mut all.readable)?;
            all
        }
        None => StoredSchedules::default(),
    };
    warn_about(context, &all.unusable());
    let StoredSchedules {
        readable: schedules,
        unreadable,
    } = all;
    let clock = context.clock();
    context.out.list(
        || {
            let names = schedules.iter().map(|it| it.spec.name.to_string());
            names
                .chain(unreadable.iter().map(|it| it.name.clone()))
                .collect()
        },
        |out| list_text(out, &schedules, &unreadable, &clock),
        || {
            let views: Vec<ScheduleView> = schedules.iter().map(ScheduleView::from).collect();
            let broken = unreadable
                .iter()
                .map(|one| json!({"name": one.name, "enabled": one.is_enabled, "error": one.why}));
            let broken: Vec<Value> = broken.collect();
            document(
                "hfdl.schedules/1",
                json!({ "schedules": views, "unreadable": broken }),
            )
        },
    )?;
    if schedules.is_empty() && unreadable.is_empty() {
        context.say_to_people("no schedules");
        context.hint(FIRST_SCHEDULE);
    }
    Ok(())
}

fn list_text(
    out: &Output,
    schedules: &[Schedule],
    unreadable: &[Unusable],
    clock: &Clock,
) -> String {
    if schedules.is_empty() && unreadable.is_empty() {
        return String::new();
    }
    let columns = [
        Column::name("NAME"),
        Column::sentence("WHEN"),
        Column::name("ZONE").least(4),
        Column::sentence("COVERS").least(1),
        Column::sentence("WINDOWS").least(3).if_any(),
        Column::kept("NEXT DUE"),
        Column::kept("LAST SLOT").least(2).if_any(),
    ];
    let rows = schedules.iter().map(|schedule| {
        let (spec, state) = (&schedule.spec, &schedule.state);
        let zone = zone_of(spec, clock);
        let next = if spec.enabled {
            text::or_nothing(state.next_due_at.map(|at| clock.due(at, &zone)))
        } else {
            "disabled".to_owned()
        };
        vec![
            spec.name.to_string(),
            cadence(spec, clock),
            spec.time_zone.clone(),
            selection(spec),
            text::list(spec.windows.texts()),
            next,
            text::or_nothing(state.last_slot_at.map(|at| clock.moment(at, &zone))),
        ]
    });
    let broken = unreadable.iter().map(|one| {
        let mut row = vec![one.name.clone(), "unreadable".to_owned()];
        row.resize(columns.len(), text::NOTHING.to_owned());
        row
    });
    table::render(out, &columns, rows.chain(broken).collect())
}
