//! Hints at the next step: when something is fetched, and who starts that.
//!
//! A hint is worked out only for a person at a terminal. An error on the way to it is
//! no error of the command, which has done its work.

use anyhow::Result;

use super::context::Context;
use crate::domain::model::ModelSpec;
use crate::domain::schedule::{Schedule, ScheduleSpec, WaitReason};
use crate::domain::settings::Settings;
use crate::ops::schedules::{FirstStart, first_start};
use crate::ops::status::{StatusContext, missing_timer_here};
use crate::ops::timer;
use crate::store::Store;
use crate::ui::Format;

/// The words about a home without a timer.
const NO_TIMER: &str = "no timer is installed, so nothing starts by itself: `hfdl start`";

/// The way to a first model.
pub const FIRST_MODEL: &str =
    "`hfdl models add org/name` keeps one; `hfdl init` sets everything up";
/// The way to a first schedule.
pub const FIRST_SCHEDULE: &str = "`hfdl schedules add nightly --daily 02:30 --all` makes one";

/// The way to a first run.
pub const NO_RUNS: &str = "no runs yet; `hfdl run-due` or `hfdl download NAME` makes one";

/// A home, for hints about it.
pub struct NextSteps<'a> {
    context: &'a Context,
    store: &'a Store,
    settings: Settings,
}

impl<'a> NextSteps<'a> {
    pub fn new(context: &'a Context, store: &'a Store) -> Result<Self> {
        Ok(Self {
            context,
            store,
            settings: context.settings(Some(store))?,
        })
    }

    /// Says after a model was added when and how it is fetched.
    pub fn after_model(&self, model: &ModelSpec) {
        self.hint(|| {
            let name = &model.name;
            let now = format!("`hfdl download {name}` fetches it now");
            let includes = |schedule: &ScheduleSpec| schedule.selection.includes(model);
            Ok(match self.first_start(includes)? {
                None => format!(
                    "nothing is fetched yet: {now}, and a schedule keeps it current, such as \
                     `hfdl schedules add nightly --daily 02:30 --all`"
                ),
                Some(first) => {
                    let by_itself = self.when(&first)?;
                    format!("nothing is fetched yet: {by_itself}; {now}")
                }
            })
        });
    }

    /// Says after a schedule was added or changed when it runs first.
    pub fn after_schedule(&self, schedule: &Schedule) {
        self.hint(|| {
            let name = &schedule.spec.name;
            let first = self.first_start(|other| other.name == *name)?;
            Ok(match first {
                None => format!("`{name}` has no slot to come"),
                Some(first) => self.when(&first)?,
            })
        });
    }

    /// Says when anything is due next.
    pub fn after_nothing_due(&self) {
        self.hint(|| {
            Ok(match self.first_start(|_| true)? {
                None => format!("nothing is due: {}", self.no_enabled_schedule()?),
                Some(first) => format!("nothing is due: {}", self.when(&first)?),
            })
        });
    }

    /// Says why no slot is planned.
    pub fn no_slots(&self) {
        self.hint(|| self.no_enabled_schedule());
    }

    fn no_enabled_schedule(&self) -> Result<String> {
        let schedules = self.store.schedules()?.readable;
        let off = schedules.iter().find(|schedule| !schedule.spec.enabled);
        Ok(match off {
            Some(Schedule { spec, .. }) => format!(
                "no schedule is enabled; `hfdl schedules enable {}` enables one",
                spec.name
            ),
            None if schedules.is_empty() => format!("no schedules; {FIRST_SCHEDULE}"),
            None => "no schedule has a slot to come".to_owned(),
        })
    }

    fn first_start(&self, includes: impl Fn(&ScheduleSpec) -> bool) -> Result<Option<FirstStart>> {
        let tick = self.settings.timer_every();
        first_start(self.store, &self.context.host, tick, includes)
    }

    /// Tells when a schedule starts, or that nothing will start it.
    fn when(&self, first: &FirstStart) -> Result<String> {
        let (context, name) = (self.context, &first.schedule);
        let place = StatusContext {
            host: &context.host,
            home: &context.home,
            settings: &self.settings,
        };
        let clock = context.clock();
        let at = clock.future(first.next.planned.ready, &first.zone);
        let is_due = first.next.waiting == WaitReason::Due;
        if missing_timer_here(&place, self.store)?.is_some() {
            let when = if is_due { "now" } else { &at };
            return Ok(format!("`{name}` is due {when}, but {NO_TIMER}"));
        }
        if !is_due {
            return Ok(format!("`{name}` starts {at}"));
        }
        let place = timer::HomeContext {
            host: &context.host,
            home: &context.home,
            settings: &self.settings,
        };
        let timer = timer::status_facts(place, self.store)?;
        Ok(match timer.and_then(|timer| timer.next_tick) {
            Some(tick) => {
                let tick = clock.future(tick, &clock.zone);
                format!("`{name}` is due and starts with the next tick, {tick}")
            }
            None => format!("`{name}` is due and starts with the next `hfdl run-due`"),
        })
    }

    fn hint(&self, sentence: impl FnOnce() -> Result<String>) {
        let out = &self.context.out;
        if !self.context.host.stderr_is_terminal() || out.quiet || out.format != Format::Table {
            return;
        }
        match sentence() {
            Ok(sentence) => self.context.hint(&sentence),
            Err(err) => log::debug!("no hint: {err:#}"),
        }
    }
}
