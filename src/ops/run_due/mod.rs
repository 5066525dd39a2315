//! `hfdl run-due`: what is due is done, and everything that happened is written down.
//!
//! ```text
//! lock (held by the caller) → recover → tick → due → pause?
//! → per slot: claim → per model: check → preflight → fetch → verify → publish
//! → close session → serve the slot → report
//! ```

mod desk;
mod look;
mod plan;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};

use self::desk::Desk;
use self::look::{Among, Found, Looker, event};
use super::pause::pause_in_force;
use super::rate_limits;
use super::recover::recover;
use super::run::{Bounds, Run, RunReport, Tools};
use super::sync::Progress;
use super::ticks::record_tick;
use super::zones::notice_new_zone_data;
use crate::domain::model::EntryName;
use crate::domain::outcome::{ExitStatus, RunOutcome, Trigger};
use crate::domain::pause::Pause;
use crate::domain::run::{Event, EventKind, RunCommand, RunStart};
use crate::domain::shard::Shard;
use crate::domain::time::{EARLIEST_BELIEVABLE, Timestamp, render_utc};
use crate::ops::lock::this_process;
use crate::sys::pause::Stopwatch;

pub use plan::{DuePlan, PlannedModel, PlannedSchedule};

/// What was asked of a run, besides the schedules' own limits.
#[derive(Clone, Debug)]
pub struct Options {
    /// The only schedules that count; empty is all of them.
    pub only: BTreeSet<EntryName>,
    pub shard: Option<Shard>,
    pub bounds: Bounds,
    pub trigger: Trigger,
}

/// Everything that `run-due` works with.
pub struct RunDue<'a> {
    pub tools: Tools<'a>,
    pub options: Options,
}

/// What a tick came to.
#[derive(Debug)]
pub enum Ran {
    NothingDue,
    /// Something was due, and ticks are paused.
    Paused(Pause),
    Done {
        report: RunReport,
        n_due: u64,
        /// Models that were not looked at, each with the reason.
        left_out: Vec<(String, String)>,
    },
}

/// The clock shows a time before this program was made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the clock is wrong: it shows {now}, which is before this program was made")]
pub struct WrongClock {
    now: String,
}

/// Schedules are looked at again so often while others are being worked on: a
/// download of nine hours does not hold up the small one of every night.
const LOOK_EVERY: Duration = Duration::from_secs(10);

impl RunDue<'_> {
    /// Does what is due; the lock of the home is held by the caller.
    pub fn run(&self, show: &mut dyn FnMut(&Progress<'_>)) -> Result<Ran> {
        let Tools { store, host, .. } = self.tools;
        let now = self.believable_now()?;
        recover(store, now)?;
        let among = self.tick(now)?;
        let looker = self.looker();
        let found = looker.look(now, among)?;
        self.tell_closed(&found, now)?;
        if found.due.is_empty() {
            return Ok(Ran::NothingDue);
        }
        if let Some(pause) = pause_in_force(store, now)? {
            self.record_paused(&pause, now)?;
            return Ok(Ran::Paused(pause));
        }
        let mut run = Run::begin(self.tools, RunCommand::RunDue, self.options.trigger)?;
        rate_limits::wait_out(store, self.tools.hub, host, self.tools.stop)?;
        let (mut flow, watch) = run.start_flow(&self.options.bounds)?;
        let mut desk = Desk::new(self.tools, looker, &self.options);
        desk.claim(found.due, now, &mut run, &mut flow, &watch)?;
        let mut looked = Stopwatch::start();
        let look_every = match host.takes_pauses() {
            true => LOOK_EVERY,
            false => Duration::ZERO,
        };
        while !flow.is_idle() {
            for (index, end) in run.step(&mut flow, show) {
                run.close(index, &end);
                let noted = desk.ended(index, &end, &mut run, &mut flow);
                run.keep_problem(noted);
            }
            if looked.elapsed() >= look_every && !self.tools.stop.is_raised() {
                looked = Stopwatch::start();
                let now = host.now();
                let claimed = looker.look(now, Among::Candidates).and_then(|found| {
                    let due = desk.without_claimed(found.due);
                    if due.is_empty() {
                        return Ok(());
                    }
                    desk.claim(due, now, &mut run, &mut flow, &watch)
                });
                run.keep_problem(claimed);
            }
        }
        let Desk {
            n_due, left_out, ..
        } = desk;
        let report = run.end(n_due)?;
        Ok(Ran::Done {
            report,
            n_due,
            left_out,
        })
    }

    fn looker(&self) -> Looker<'_> {
        Looker {
            store: self.tools.store,
            host: self.tools.host,
            tick: self.tools.settings.timer_every(),
            only: &self.options.only,
        }
    }

    fn believable_now(&self) -> Result<Timestamp> {
        let now = self.tools.host.now();
        let shown = || WrongClock {
            now: render_utc(now),
        };
        ensure!(now >= EARLIEST_BELIEVABLE, shown());
        Ok(now)
    }

    /// Writes the tick down, and decides which schedules to look at.
    fn tick(&self, now: Timestamp) -> Result<Among> {
        let Tools {
            store,
            host,
            settings,
            ..
        } = self.tools;
        let last = record_tick(store, self.options.trigger, settings.timer_every(), now)?;
        let went_back = last.by_anyone.filter(|last| now < *last);
        if let Some(last) = went_back {
            let detail = format!(
                "the clock went back from {} to {}",
                render_utc(last),
                render_utc(now)
            );
            log::warn!("{detail}");
            store.record_event(&event(now, EventKind::ClockBack, detail))?;
        }
        let has_new_rules = notice_new_zone_data(store, host, now)?;
        // Whoever names schedules wants to hear of those that wait, too.
        let names_some = !self.options.only.is_empty();
        Ok(match went_back.is_some() || has_new_rules || names_some {
            true => Among::All,
            false => Among::Candidates,
        })
    }

    /// Records, once for each slot, that it came outside its window.
    fn tell_closed(&self, found: &Found, now: Timestamp) -> Result<()> {
        if found.closed.is_empty() {
            return Ok(());
        }
        let detail = found.closed.join("; ");
        log::info!("{detail}");
        self.record_skip(RunOutcome::Ok, detail, now)
    }

    fn record_paused(&self, pause: &Pause, now: Timestamp) -> Result<()> {
        let until = pause
            .until
            .map_or("somebody resumes".to_owned(), render_utc);
        let reason = pause.reason.as_deref().unwrap_or("no reason was given");
        let detail = format!("ticks are paused until {until}: {reason}");
        log::info!("{detail}");
        self.record_skip(RunOutcome::SkippedPaused, detail, now)
    }

    /// Writes down a run that did nothing, and why.
    fn record_skip(&self, outcome: RunOutcome, detail: String, now: Timestamp) -> Result<()> {
        let start = RunStart {
            command: RunCommand::RunDue,
            trigger: self.options.trigger,
            process: this_process(self.tools.host),
            at: now,
        };
        self.tools.store.transaction(|store| -> Result<()> {
            let id = store.record_skipped_run(&start, outcome, ExitStatus::Ok.code())?;
            store.record_event(&Event {
                run_id: Some(id),
                ..event(now, EventKind::Skipped, detail)
            })?;
            Ok(())
        })
    }
}
