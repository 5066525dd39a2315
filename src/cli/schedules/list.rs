//! `hfdl schedules list`

use anyhow::Result;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::find::warn_about;
use super::show::show_as_run_here;
use super::text::{cadence, selection};
use crate::cli::context::Context;
use crate::cli::next_steps::FIRST_SCHEDULE;
use crate::domain::schedule::{Schedule, StoredSchedules, Unusable};
use crate::json::{ScheduleView, document};
use crate::ui::table::Column;
use crate::ui::{Output, table, text};

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
    let zone = context.host.time_zone();
    context.out.result(
        |out| list_text(out, &schedules, &unreadable, &zone),
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
    zone: &TimeZone,
) -> String {
    if schedules.is_empty() && unreadable.is_empty() {
        return String::new();
    }
    let columns = [
        Column::name("NAME"),
        Column::kept("WHEN"),
        Column::kept("ZONE"),
        Column::name("COVERS"),
        Column::name("WINDOWS"),
        Column::kept("NEXT DUE"),
        Column::kept("LAST SLOT"),
    ];
    let rows = schedules.iter().map(|schedule| {
        let spec = &schedule.spec;
        let next = if spec.enabled {
            text::optional_time(schedule.state.next_due_at, zone)
        } else {
            "disabled".to_owned()
        };
        vec![
            spec.name.to_string(),
            cadence(spec),
            spec.time_zone.clone(),
            selection(spec),
            text::list(spec.windows.texts()),
            next,
            text::optional_time(schedule.state.last_slot_at, zone),
        ]
    });
    let broken = unreadable.iter().map(|one| {
        let mut row = vec![one.name.clone(), "unreadable".to_owned()];
        row.resize(columns.len(), text::NOTHING.to_owned());
        row
    });
    table::render(out, &columns, rows.chain(broken).collect())
}
