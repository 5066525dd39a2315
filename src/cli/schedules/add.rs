//! `hfdl schedules add`

use anyhow::{Context as _, Result};
use clap::Args;

use super::check::{all_models, date_once, refuse_taken_name, refuse_unknown_models};
use super::report::report;
use crate::cli::context::Context;
use crate::cli::explain::Complaint;
use crate::cli::fields::FieldFlags;
use crate::domain::model::EntryName;
use crate::domain::schedule::{
    CADENCE_KEYS, Cadence, CadenceKind, SELECTION_KEYS, Schedule, ScheduleSpec, ScheduleState,
};
use crate::domain::settings::Settings;
use crate::ops;

/// Add a schedule
///
/// An interval (--every) is due at once and then counts from now; the others wait for their first
/// slot. A local time that is skipped when the clocks change means the first moment after the gap;
/// one that comes twice means the first of the two.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl schedules add nightly --daily 02:30 --all --window 22:00-07:00
  hfdl schedules add llm --every 6h --tag llm --max-duration 2h
  hfdl schedules add weekend --weekly Sat@03:00 --all --limit-rate 2M
  hfdl schedules add release --once \"2026-06-01 08:00\" --model org/name")]
pub(super) struct AddSchedule {
    /// Name of the schedule
    name: EntryName,

    #[command(flatten)]
    flags: FieldFlags<ScheduleSpec, false>,
}

impl AddSchedule {
    pub(super) fn run(mut self, context: &Context) -> Result<()> {
        let existing = context.existing_store()?;
        let settings = context.settings(existing.as_ref())?;
        let spec = self.describe(context, &settings)?;
        let now = context.now();
        let state = ScheduleState::new(now);
        // Checked before a database is created, so that a refusal leaves no trace.
        if let Some(store) = &existing {
            refuse_taken_name(store, &spec)?;
        }
        let models = all_models(existing.as_ref())?;
        refuse_unknown_models(&models, &spec)?;
        let others = match &existing {
            Some(store) => store.schedules()?.readable,
            None => Vec::new(),
        };
        let tick = settings.timer_every();
        let overlaps = ops::schedules::check(&spec, &state, &others, &models, tick, now)
            .with_context(|| format!("the schedule `{}` cannot be added", spec.name))?;
        let store = match existing {
            Some(store) => store,
            None => context.store()?,
        };
        let schedule = store.transaction(|store| -> Result<Schedule> {
            store.insert_schedule(&spec, &state, now)?;
            ops::schedules::save_next_look(store, &context.host, &spec.name, tick)
        })?;
        report(context, &store, &schedule, &overlaps, "added")
    }

    /// Builds the schedule of the flags.
    fn describe(&mut self, context: &Context, settings: &Settings) -> Result<ScheduleSpec> {
        let zone = context.host.time_zone_name();
        date_once(context, &mut self.flags, zone.as_deref().unwrap_or("UTC"))?;
        let cadence = CadenceKind::ALL.iter().zip(CADENCE_KEYS);
        let cadence = cadence
            .filter_map(|(kind, key)| Some((*kind, self.flags.first_text(&[key])?)))
            .next();
        let (kind, text) = cadence.ok_or_else(|| {
            Complaint::usage("no time is given for the schedule")
                .next("give one of --every, --daily, --weekly, --monthly, --cron and --once")
        })?;
        if !self.flags.has_any(SELECTION_KEYS) {
            return Err(Complaint::usage("no models are selected")
                .next("give --all, --model NAME or --tag TAG")
                .into());
        }
        if zone.is_none() && !self.flags.has_any(&["tz"]) {
            return Err(Complaint::usage("the system's time zone has no name")
                .next("give --tz, such as --tz Europe/Berlin")
                .into());
        }
        let cadence = Cadence::parse(kind, text)?;
        let mut spec = ScheduleSpec::new(self.name.clone(), cadence, zone.unwrap_or_default());
        self.flags.read_into(context, settings, &mut spec)?;
        Ok(spec)
    }
}
