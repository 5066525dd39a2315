//! Hints at the next step: when something is fetched, and who starts that.
//!
//! A hint is worked out only for a person at a terminal. An error on the way to it is
//! no error of the command, which has done its work.

use anyhow::Result;

use super::context::Context;
use super::start::home_context;
use crate::domain::model::ModelSpec;
use crate::domain::schedule::{Schedule, ScheduleSpec, WaitReason};
use crate::domain::settings::Settings;
use crate::domain::status::NextDue;
use crate::ops::next_due::is_ticking;
use crate::ops::schedules::first_start;
use crate::ops::status::StatusContext;
use crate::ops::timer;
use crate::store::Store;
use crate::ui::Format;

/// The words about a home without a timer.
const NO_TIMER: &str = "no timer is installed; `hfdl start` installs one";

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

    /// Says after models were added when and how they are fetched; the first stands for all.
    pub fn after_models(&self, model: &ModelSpec, n_models: usize) {
        self.hint(|| {
            let now = match n_models {
                1 => format!("`hfdl download {}` fetches it now", model.name),
                _ => "`hfdl download NAME...` fetches them now".to_owned(),
            };
            let by_itself = match self.first_start(|one| one.selection.includes(model))? {
                None => "a schedule keeps models current, such as `hfdl schedules add nightly --daily 02:30 --all`".to_owned(),
                Some(first) => self.start(&first)?,
            };
            Ok(Some(format!("nothing is fetched yet: {by_itself}; {now}")))
        });
    }

    /// Says after a set-up when the models are fetched.
    pub fn after_set_up(&self) {
        self.hint(|| {
            let by_itself = match self.first_start(|_| true)? {
                None => String::new(),
                Some(first) => format!(": {}", self.start(&first)?),
            };
            Ok(Some(format!(
                "nothing is fetched yet{by_itself}; `hfdl download --all` does it now"
            )))
        });
    }

    /// Says after a schedule was added or changed that it is due or that no timer is there.
    /// The report has its first slot already.
    pub fn after_schedule(&self, schedule: &Schedule) {
        self.hint(|| {
            let name = &schedule.spec.name;
            let first = self.first_start(|other| other.name == *name)?;
            let Some(first) = first else { return Ok(None) };
            let is_planned = first.next.waiting != WaitReason::Due && !self.has_no_timer()?;
            (!is_planned).then(|| self.start(&first)).transpose()
        });
    }

    /// Says when anything is due next.
    pub fn after_nothing_due(&self) {
        self.hint(|| {
            let next = match self.first_start(|_| true)? {
                None => self.no_slots()?,
                // With `--schedule` or `--shard` others may be due.
                Some(NextDue { schedule, next, .. }) if next.waiting == WaitReason::Due => {
                    format!("`{schedule}` is, and was not asked for")
                }
                Some(first) => self.start(&first)?,
            };
            Ok(Some(format!("nothing is due: {next}")))
        });
    }

    /// Says why no slot is planned.
    pub fn after_no_slots(&self) {
        self.hint(|| self.no_slots().map(Some));
    }

    fn no_slots(&self) -> Result<String> {
        let schedules = self.store.schedules()?.readable;
        if schedules.iter().any(|schedule| schedule.spec.enabled) {
            return Ok("no schedule has a slot to come".to_owned());
        }
        Ok(match schedules.first() {
            None => format!("no schedules; {FIRST_SCHEDULE}"),
            Some(Schedule { spec, .. }) => format!(
                "no schedule is enabled; `hfdl schedules enable {}` enables one",
                spec.name
            ),
        })
    }

    fn first_start(&self, includes: impl Fn(&ScheduleSpec) -> bool) -> Result<Option<NextDue>> {
        let tick = self.settings.timer_every();
        first_start(self.store, &self.context.host, tick, includes)
    }

    /// Tells when a schedule starts, or that nothing will start it.
    fn start(&self, first: &NextDue) -> Result<String> {
        let (clock, name) = (self.context.clock(), &first.schedule);
        let is_due = first.next.waiting == WaitReason::Due;
        let at = if is_due {
            "now".to_owned()
        } else {
            clock.future(first.next.planned.ready, &first.zone)
        };
        if self.has_no_timer()? {
            return Ok(format!("`{name}` is due {at}, but {NO_TIMER}"));
        }
        if !is_due {
            return Ok(format!("`{name}` starts {at}"));
        }
        let place = home_context(self.context, &self.settings);
        let timer = timer::status_facts(place, self.store)?;
        let tick = timer.and_then(|timer| timer.next_tick);
        Ok(match tick.map(|tick| clock.future(tick, &clock.zone)) {
            Some(tick) => format!("`{name}` is due and starts with the next tick, {tick}"),
            None => format!("`{name}` is due and starts with the next `hfdl run-due`"),
        })
    }

    fn has_no_timer(&self) -> Result<bool> {
        let place = StatusContext {
            host: &self.context.host,
            home: &self.context.home,
            settings: &self.settings,
        };
        Ok(!is_ticking(&place, self.store)?)
    }

    fn hint(&self, sentence: impl FnOnce() -> Result<Option<String>>) {
        let out = &self.context.out;
        if !self.context.host.stderr_is_terminal() || out.quiet || out.format != Format::Table {
            return;
        }
        match sentence() {
            Ok(Some(sentence)) => self.context.hint(&sentence),
            Ok(None) => {}
            Err(err) => log::debug!("no hint: {err:#}"),
        }
    }
}
