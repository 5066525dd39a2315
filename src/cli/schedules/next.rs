//! `hfdl schedules next`

use anyhow::Result;
use clap::Args;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::find::{find, warn_about};
use crate::cli::context::Context;
use crate::cli::next_steps::{FIRST_SCHEDULE, NextSteps};
use crate::domain::model::EntryName;
use crate::domain::schedule::{PlannedSlot, Schedule, find_zone};
use crate::domain::time::{Present, Timestamp, Toward, render_utc};
use crate::json::document;
use crate::ops;
use crate::ui::table::Column;
use crate::ui::{Clock, Output, table, text};

/// Show the coming slots
///
/// Shows each slot with the time at which it can run (after jitter, and when a window is open) and
/// the end of that window, in the schedule's zone; with --absolute also in UTC.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl schedules next
  hfdl schedules next nightly --count 10 --from 2026-10-24")]
pub(super) struct NextSlots {
    /// One schedule (default: all that are enabled)
    name: Option<EntryName>,

    /// Number of slots of each schedule
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,

    /// Start at another time than now, such as tomorrow, "mon 08:00", 2026-06-01 or RFC 3339
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
}

/// The slots to come of one schedule.
struct Upcoming {
    schedule: Schedule,
    zone: TimeZone,
    slots: Vec<PlannedSlot>,
}

impl NextSlots {
    pub(super) fn run(self, context: &Context) -> Result<()> {
        let (store, schedules) = match &self.name {
            Some(name) => {
                let (store, schedule) = find(context, name)?;
                (Some(store), vec![schedule])
            }
            None => match context.existing_store()? {
                Some(store) => {
                    let mut schedules = store.enabled_schedules()?;
                    let unusable = schedules.unusable();
                    warn_about(context, &unusable);
                    schedules
                        .readable
                        .retain(|one| unusable.iter().all(|other| other.id != one.id));
                    (Some(store), schedules.readable)
                }
                None => (None, Vec::new()),
            },
        };
        let mut all = Vec::new();
        for schedule in schedules {
            let Some(store) = &store else { break };
            let start = match &self.from {
                Some(text) => {
                    let zone = find_zone(&schedule.spec.time_zone)?;
                    from(context, zone, text)?
                }
                None => context.now(),
            };
            let count = usize::from(self.count);
            let (zone, slots) =
                ops::schedules::upcoming(store, &context.host, &schedule, start, count)?;
            all.push(Upcoming {
                schedule,
                zone,
                slots,
            });
        }
        if let (true, Some(text)) = (all.is_empty(), &self.from) {
            from(context, TimeZone::UTC, text)?;
        }
        let clock = context.clock();
        context
            .out
            .result(|out| next_table(out, &clock, &all), || next_document(&all))?;
        if all.iter().all(|upcoming| upcoming.slots.is_empty()) {
            match &store {
                None => context.hint(&format!("no schedules; {FIRST_SCHEDULE}")),
                Some(store) => NextSteps::new(context, store)?.after_no_slots(),
            }
        }
        Ok(())
    }
}

/// Understands a time in the zone of a schedule.
fn from(context: &Context, zone: TimeZone, text: &str) -> Result<Timestamp> {
    let present = Present {
        now: context.now(),
        zone,
        toward: Toward::Future,
    };
    Ok(present.parse(text)?)
}

fn next_table(out: &Output, clock: &Clock, all: &[Upcoming]) -> String {
    let mut rows: Vec<(Timestamp, Vec<String>)> = Vec::new();
    for upcoming in all {
        for slot in &upcoming.slots {
            let local = |at: Timestamp| clock.moment(at, &upcoming.zone);
            let mut row = vec![
                if upcoming.schedule.spec.enabled {
                    upcoming.schedule.spec.name.to_string()
                } else {
                    format!("{} (disabled)", upcoming.schedule.spec.name)
                },
                clock.future(slot.slot, &upcoming.zone),
                text::or_nothing((slot.ready != slot.slot).then(|| local(slot.ready))),
                text::or_nothing(slot.deadline.map(local)),
            ];
            row.extend(clock.absolute.then(|| render_utc(slot.slot)));
            rows.push((slot.slot, row));
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    rows.sort();
    let mut columns = vec![
        Column::name("SCHEDULE"),
        Column::kept("SLOT"),
        Column::kept("STARTS").least(1).if_any(),
        Column::kept("WINDOW ENDS").least(2).if_any(),
    ];
    columns.extend(clock.absolute.then(|| Column::kept("UTC").least(3)));
    table::render(
        out,
        &columns,
        rows.into_iter().map(|(_, row)| row).collect(),
    )
}

fn next_document(all: &[Upcoming]) -> Value {
    let mut slots = Vec::new();
    for upcoming in all {
        for slot in &upcoming.slots {
            let local = |at: Timestamp| {
                at.to_zoned(upcoming.zone.clone())
                    .strftime("%Y-%m-%dT%H:%M:%S%:z")
                    .to_string()
            };
            slots.push(json!({
                "schedule": upcoming.schedule.spec.name.as_str(),
                "enabled": upcoming.schedule.spec.enabled,
                "time_zone": upcoming.schedule.spec.time_zone,
                "slot_at": render_utc(slot.slot),
                "slot": render_utc(slot.slot),
                "slot_local": local(slot.slot),
                "starts_at": render_utc(slot.ready),
                "starts": render_utc(slot.ready),
                "starts_local": local(slot.ready),
                "window_ends": slot.deadline.map(render_utc),
            }));
        }
    }
    document("hfdl.next/1", json!({ "slots": slots }))
}
