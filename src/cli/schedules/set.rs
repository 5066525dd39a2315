//! `hfdl schedules set`

use anyhow::{Context as _, Result};
use clap::Args;

use super::check::{date_once, refuse_taken_name, refuse_unknown_models};
use super::find::find;
use super::report::report;
use crate::cli::context::Context;
use crate::cli::explain::Complaint;
use crate::cli::fields::FieldFlags;
use crate::domain::model::EntryName;
use crate::domain::schedule::{SELECTION_KEYS, Schedule, ScheduleSpec, Selection};
use crate::ops;

/// Change the fields of a schedule
///
/// Fields without a flag stay. After a change of cadence, zone or windows, slots that were missed
/// before the change are not caught up on.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl schedules set nightly --daily 03:00
  hfdl schedules set nightly --window 22:00-06:00 --window Sat,Sun@00:00-24:00
  hfdl schedules set nightly --no-window")]
pub(super) struct SetSchedule {
    /// Name of the schedule
    name: EntryName,

    #[command(flatten)]
    flags: FieldFlags<ScheduleSpec, true>,

    /// New name of the schedule
    #[arg(long = "name", value_name = "NEW")]
    new_name: Option<EntryName>,
}

impl SetSchedule {
    pub(super) fn run(mut self, context: &Context) -> Result<()> {
        if self.flags.is_empty() && self.new_name.is_none() {
            return Err(Complaint::usage("nothing to change")
                .cause("no flag was given")
                .next("`hfdl schedules set --help` lists the flags")
                .into());
        }
        let (store, schedule) = find(context, &self.name)?;
        let mut spec = schedule.spec.clone();
        if self.flags.has_any(SELECTION_KEYS) {
            // A new selection replaces the old one as a whole.
            spec.selection = Selection::default();
        }
        let settings = context.settings(Some(&store))?;
        date_once(context, &mut self.flags, &spec.time_zone)?;
        self.flags.read_into(context, &settings, &mut spec)?;
        if let Some(name) = self.new_name {
            spec.name = name;
            if spec.name != schedule.spec.name {
                refuse_taken_name(&store, &spec)?;
            }
        }
        let models = ops::schedules::all_models(&store)?;
        refuse_unknown_models(&models, &spec)?;
        let now = context.now();
        let tick = settings.timer_every();
        let state = schedule.state.after_edit(&schedule.spec, &spec, now);
        let mut others = store.schedules()?.readable;
        others.retain(|other| other.id != schedule.id);
        let overlaps = ops::schedules::check(&spec, &state, &others, &models, tick, now)
            .with_context(|| format!("the schedule `{}` cannot be changed so", spec.name))?;
        let schedule = store.transaction(|store| -> Result<Schedule> {
            store.update_schedule(schedule.id, &spec, now)?;
            store.save_schedule_state(schedule.id, &state)?;
            ops::schedules::save_next_look(store, &context.host, &spec.name, tick)
        })?;
        report(context, &store, &schedule, &overlaps, "changed")
    }
}
