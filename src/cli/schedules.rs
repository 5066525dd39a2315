//! `hfdl schedules`

use anyhow::{Error, Result};
use clap::{Args, Subcommand};
use serde_json::json;

use super::context::{Context, distinct};
use super::explain::Complaint;
use super::schedules_edit::{CadenceFlags, ScheduleClears, ScheduleFlags};
use super::{schedules_next, schedules_show};
use crate::domain::model::EntryName;
use crate::domain::outcome::ExitStatus;
use crate::domain::schedule::{
    Overlap, Schedule, ScheduleId, ScheduleSpec, ScheduleState, Unusable,
};
use crate::domain::time::Timestamp;
use crate::domain::units::Seconds;
use crate::json::{ScheduleView, document};
use crate::ops;
use crate::store::Store;
use crate::ui::text;

/// Say when to look, under which limits, for which models
#[derive(Debug, Args)]
pub struct Schedules {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Add(Add),
    /// List all schedules
    List,
    /// Show everything known about a schedule
    Show {
        /// Name of the schedule
        name: EntryName,
    },
    Set(Set),
    /// Let schedules run again; what they missed meanwhile is not caught up with
    Enable(Names),
    /// Stop schedules until they are enabled again
    Disable(Names),
    /// Forget schedules; models and their files stay
    Remove(Names),
    Next(schedules_next::Next),
}

impl Schedules {
    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        match self.command {
            Command::Add(command) => command.run(context),
            Command::List => schedules_show::list(context),
            Command::Show { name } => schedules_show::show(context, &name),
            Command::Set(command) => command.run(context),
            Command::Enable(names) => switch(context, &distinct(names.names), true),
            Command::Disable(names) => switch(context, &distinct(names.names), false),
            Command::Remove(names) => remove(context, &distinct(names.names)),
            Command::Next(command) => command.run(context),
        }?;
        Ok(ExitStatus::Ok)
    }
}

/// Add a schedule
///
/// An interval (--every) is due at once and then counts from now; the others wait for their first
/// slot. A local time that a change of clocks skips means the first moment after the gap; one that
/// comes twice means its first pass.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl schedules add nightly --daily 02:30 --all --window 22:00-07:00
  hfdl schedules add llm --every 6h --tag llm --max-duration 2h
  hfdl schedules add weekend --weekly Sat@03:00 --all --limit-rate \"08:00,2M 23:00,off\"
  hfdl schedules add release --once \"2026-06-01 08:00\" --tz Europe/Berlin --model org/name")]
struct Add {
    /// What to call it
    name: EntryName,

    #[command(flatten)]
    cadence: CadenceFlags,

    #[command(flatten)]
    flags: ScheduleFlags,
}

impl Add {
    fn run(self, context: &Context) -> Result<()> {
        let spec = self.flags.describe(context, self.name, &self.cadence)?;
        let now = context.now();
        let state = ScheduleState::new(now);
        // Checked before a database is made: what is refused leaves no trace.
        if let Some(store) = context.existing_store()? {
            refuse_taken_name(&store, &spec)?;
            refuse_unknown_models(Some(&store), &spec)?;
        } else {
            refuse_unknown_models(None, &spec)?;
        }
        let existing = context.existing_store()?;
        let tick = context.settings(existing.as_ref())?.timer_every();
        let overlaps = check(existing.as_ref(), &spec, &state, tick, now)?;
        let store = match existing {
            Some(store) => store,
            None => context.store()?,
        };
        let schedule = store.transaction(|store| -> Result<Schedule> {
            store.insert_schedule(&spec, &state, now)?;
            ops::schedules::save_next_look(store, &context.host, &spec.name, tick)
        })?;
        finish(context, &store, &schedule, &overlaps, "added")
    }
}

fn refuse_taken_name(store: &Store, spec: &ScheduleSpec) -> Result<()> {
    match store.find_schedule(&spec.name)? {
        Some(_) => Err(
            Complaint::usage(format!("the schedule `{}` exists already", spec.name))
                .next("`hfdl schedules set` changes it")
                .into(),
        ),
        None => Ok(()),
    }
}

fn refuse_unknown_models(store: Option<&Store>, spec: &ScheduleSpec) -> Result<()> {
    let models = store
        .map(ops::schedules::all_models)
        .transpose()?
        .unwrap_or_default();
    let names: Vec<&str> = models
        .iter()
        .map(|model| model.spec.name.as_str())
        .collect();
    for name in &spec.selection.models {
        if !names.contains(&name.as_str()) {
            return Err(
                Complaint::unknown("model", name.as_str(), &names, "hfdl models list").into(),
            );
        }
    }
    Ok(())
}

fn check(
    store: Option<&Store>,
    spec: &ScheduleSpec,
    state: &ScheduleState,
    tick: Seconds,
    now: Timestamp,
) -> Result<Vec<Overlap>> {
    let (others, models) = match store {
        Some(store) => (
            store.schedules()?.readable,
            ops::schedules::all_models(store)?,
        ),
        None => (Vec::new(), Vec::new()),
    };
    ops::schedules::check(spec, state, &others, &models, tick, now)
        .map_err(|err| err.context(format!("the schedule `{}` makes no sense", spec.name)))
}

/// Says what was done, and what is worth a warning.
fn finish(
    context: &Context,
    store: &Store,
    schedule: &Schedule,
    overlaps: &[Overlap],
    word: &str,
) -> Result<()> {
    for overlap in overlaps {
        context.out.warn(&format!("schedule {overlap}"));
    }
    let covered = ops::schedules::all_models(store)?;
    let covered = covered
        .iter()
        .filter(|model| schedule.spec.selection.includes(&model.spec))
        .count();
    if covered == 0 {
        context
            .out
            .warn(&format!("`{}` covers no model yet", schedule.spec.name));
    }
    context.out.done(
        || {
            let next = schedule.state.next_due_at.map_or_else(
                || "never".to_owned(),
                |at| {
                    if at <= context.now() {
                        "now".to_owned()
                    } else {
                        text::local_time(at, &context.host.time_zone())
                    }
                },
            );
            let count = text::count(covered as u64, "model", "models");
            format!("{word} `{}`: {count}, next due {next}", schedule.spec.name)
        },
        || {
            let mut value = document("hfdl.schedule/1", ScheduleView::from(schedule));
            value["warnings"] = json!(overlaps.iter().map(ToString::to_string).collect::<Vec<_>>());
            value
        },
    )
}

/// Change what is said about a schedule
///
/// Only what is named changes. Another cadence, zone or window starts anew: what was missed before
/// is not caught up with.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl schedules set nightly --daily 03:00
  hfdl schedules set nightly --window 22:00-06:00 --window Sat,Sun@00:00-24:00
  hfdl schedules set nightly --no-window")]
struct Set {
    /// Name of the schedule
    name: EntryName,

    #[command(flatten)]
    cadence: CadenceFlags,

    #[command(flatten)]
    flags: ScheduleFlags,

    #[command(flatten)]
    clears: ScheduleClears,

    /// Call it by another name
    #[arg(long = "name", value_name = "NEW")]
    new_name: Option<EntryName>,
}

impl Set {
    fn run(self, context: &Context) -> Result<()> {
        let nothing = self.cadence.is_empty() && self.flags.is_empty() && self.clears.is_empty();
        if nothing && self.new_name.is_none() {
            return Err(Complaint::usage("nothing to change")
                .cause("no flag says what")
                .next("`hfdl schedules set --help` lists the flags")
                .into());
        }
        let (store, schedule) = find(context, &self.name)?;
        let mut spec = schedule.spec.clone();
        self.flags.change(&mut spec, &self.cadence)?;
        self.clears.change(&mut spec)?;
        if let Some(name) = self.new_name {
            spec.name = name;
            if spec.name != schedule.spec.name {
                refuse_taken_name(&store, &spec)?;
            }
        }
        refuse_unknown_models(Some(&store), &spec)?;
        let now = context.now();
        let tick = context.settings(Some(&store))?.timer_every();
        let state = schedule.state.after_edit(&schedule.spec, &spec, now);
        let mut others = store.schedules()?.readable;
        others.retain(|other| other.id != schedule.id);
        let models = ops::schedules::all_models(&store)?;
        let overlaps =
            ops::schedules::check(&spec, &state, &others, &models, tick, now).map_err(|err| {
                err.context(format!("the schedule `{}` would make no sense", spec.name))
            })?;
        let schedule = store.transaction(|store| -> Result<Schedule> {
            store.update_schedule(schedule.id, &spec, now)?;
            store.save_schedule_state(schedule.id, &state)?;
            ops::schedules::save_next_look(store, &context.host, &spec.name, tick)
        })?;
        finish(context, &store, &schedule, &overlaps, "changed")
    }
}

#[derive(Debug, Args)]
struct Names {
    /// Names of schedules
    #[arg(required = true, value_name = "NAME")]
    names: Vec<EntryName>,
}

fn switch(context: &Context, names: &[EntryName], enabled: bool) -> Result<()> {
    let store = open_for(context, names.first())?;
    let tick = context.settings(Some(&store))?.timer_every();
    let now = context.now();
    store.transaction(|store| -> Result<()> {
        for name in names {
            if !enabled {
                // All that it takes, so that also one that cannot be read is silenced.
                store.set_schedule_enabled(known_id(store, name)?, false, now)?;
                continue;
            }
            let schedule = known(store, name)?;
            let mut spec = schedule.spec.clone();
            spec.enabled = enabled;
            let state = schedule.state.after_edit(&schedule.spec, &spec, now);
            store.set_schedule_enabled(schedule.id, enabled, now)?;
            store.save_schedule_state(schedule.id, &state)?;
            ops::schedules::save_next_look(store, &context.host, name, tick)?;
        }
        Ok(())
    })?;
    let word = if enabled { "enabled" } else { "disabled" };
    context.out.done(
        || format!("{word} {}", listed(names)),
        || {
            document(
                "hfdl.change/1",
                json!({ "schedules": words_of(names), "enabled": enabled }),
            )
        },
    )
}

fn listed(names: &[EntryName]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn words_of(names: &[EntryName]) -> Vec<&str> {
    names.iter().map(EntryName::as_str).collect()
}

fn remove(context: &Context, names: &[EntryName]) -> Result<()> {
    let store = open_for(context, names.first())?;
    let ids = names
        .iter()
        .map(|name| known_id(&store, name))
        .collect::<Result<Vec<_>>>()?;
    context.confirm(&format!("remove the schedule {}?", listed(names)))?;
    store.transaction(|store| -> Result<()> {
        for id in ids {
            store.remove_schedule(id)?;
        }
        Ok(())
    })?;
    context.out.done(
        || format!("removed {}", listed(names)),
        || document("hfdl.removal/1", json!({ "schedules": words_of(names) })),
    )
}

fn open_for(context: &Context, name: Option<&EntryName>) -> Result<Store> {
    match context.existing_store()? {
        Some(store) => Ok(store),
        None => Err(no_schedule(name.map_or("", EntryName::as_str), &[]).into()),
    }
}

pub(super) fn find(context: &Context, name: &EntryName) -> Result<(Store, Schedule)> {
    let store = open_for(context, Some(name))?;
    let schedule = known(&store, name)?;
    Ok((store, schedule))
}

/// Finds a schedule by its name; a wrong one names the nearest right one.
fn known(store: &Store, name: &EntryName) -> Result<Schedule> {
    if let Some(schedule) = store.find_schedule(name)? {
        return Ok(schedule);
    }
    Err(unknown(store, name))
}

/// Finds the number of a schedule, which may be one that cannot be read.
fn known_id(store: &Store, name: &EntryName) -> Result<ScheduleId> {
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

/// Says which schedules no run can follow, beside what can be shown.
pub(super) fn warn_about(context: &Context, unusable: &[Unusable]) {
    for schedule in unusable {
        context.out.warn(&schedule.to_string());
    }
}

fn no_schedule(name: &str, names: &[&str]) -> Complaint {
    Complaint::unknown("schedule", name, names, "hfdl schedules list")
}
