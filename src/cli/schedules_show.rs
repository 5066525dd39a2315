//! `hfdl schedules list` and `hfdl schedules show`

use anyhow::Result;
use serde_json::{Value, json};

use super::context::Context;
use super::schedules::{find, warn_about};
use crate::domain::model::EntryName;
use crate::domain::schedule::{Schedule, ScheduleSpec, StoredSchedules, usable_zone};
use crate::json::{ScheduleView, document};
use crate::ops;
use crate::store::Store;
use crate::ui::{Format, table, text};

pub fn list(context: &Context) -> Result<()> {
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
        |out| {
            if schedules.is_empty() && unreadable.is_empty() {
                return String::new();
            }
            let columns = [
                "NAME",
                "WHEN",
                "ZONE",
                "COVERS",
                "WINDOWS",
                "NEXT DUE",
                "LAST SLOT",
            ]
            .map(table::left);
            let rows = schedules.iter().map(|schedule| {
                let spec = &schedule.spec;
                let next = if spec.enabled {
                    text::optional_time(schedule.state.next_due_at, &zone)
                } else {
                    "disabled".to_owned()
                };
                vec![
                    spec.name.to_string(),
                    when(spec),
                    spec.time_zone.clone(),
                    covers(spec),
                    text::list(spec.windows.texts()),
                    next,
                    text::optional_time(schedule.state.last_slot_at, &zone),
                ]
            });
            let broken = unreadable.iter().map(|one| {
                let mut row = vec![one.name.clone(), "unreadable".to_owned()];
                row.resize(columns.len(), text::NOTHING.to_owned());
                row
            });
            table::render(out, &columns, rows.chain(broken).collect())
        },
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
    if schedules.is_empty()
        && unreadable.is_empty()
        && !context.out.quiet
        && context.out.format == Format::Table
    {
        context
            .out
            .say("no schedules; `hfdl schedules add nightly --daily 02:30 --all` makes one");
    }
    Ok(())
}

/// Shows schedules as far as the shards of this home have come.
fn show_as_run_here(context: &Context, store: &Store, schedules: &mut [Schedule]) -> Result<()> {
    let tick = context.settings(Some(store))?.timer_every();
    ops::shards::show_as_run_here(store, &context.host, schedules, tick)
}

fn when(spec: &ScheduleSpec) -> String {
    let word = match spec.cadence.kind().as_str() {
        "interval" => "every",
        other => other,
    };
    format!("{word} {}", spec.cadence.spec())
}

fn covers(spec: &ScheduleSpec) -> String {
    if spec.selection.all {
        return "all".to_owned();
    }
    let models = spec.selection.models.iter().map(ToString::to_string);
    let tags = spec.selection.tags.iter().map(|tag| format!("tag {tag}"));
    text::list(models.chain(tags))
}

pub fn show(context: &Context, name: &EntryName) -> Result<()> {
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
    let zone = context.host.time_zone();
    context.out.result(
        |_| {
            let within = spec
                .catch_up
                .within()
                .map_or_else(String::new, |span| format!(" within {span}"));
            let or_setting =
                |value: Option<String>| value.unwrap_or_else(|| "as the setting says".to_owned());
            table::facts(&[
                ("name", spec.name.to_string()),
                ("when", when(spec)),
                ("time zone", spec.time_zone.clone()),
                ("covers", covers(spec)),
                ("models", text::list(&covered)),
                (
                    "windows",
                    if spec.windows.is_empty() {
                        "any hour".to_owned()
                    } else {
                        text::list(spec.windows.texts())
                    },
                ),
                ("catch up", format!("{}{within}", spec.catch_up.as_str())),
                ("jitter", spec.jitter.to_string()),
                (
                    "rate limit",
                    or_setting(spec.limit_rate.as_ref().map(ToString::to_string)),
                ),
                (
                    "max duration",
                    or_setting(spec.max_duration.map(|span| span.to_string())),
                ),
                (
                    "max transfer",
                    or_setting(spec.max_transfer.map(|size| size.to_string())),
                ),
                ("priority", spec.priority.get().to_string()),
                (
                    "enabled",
                    if spec.enabled { "yes" } else { "no" }.to_owned(),
                ),
                (
                    "next due",
                    text::optional_time(state.next_due_at.filter(|_| spec.enabled), &zone),
                ),
                ("last slot", text::optional_time(state.last_slot_at, &zone)),
                (
                    "unfinished slot",
                    text::optional_time(state.open_slot_at, &zone),
                ),
                ("retry at", text::optional_time(state.retry_at, &zone)),
            ])
        },
        || {
            let mut value = document("hfdl.schedule/1", ScheduleView::from(&schedule));
            value["covers"] = json!(covered);
            value
        },
    )
}
