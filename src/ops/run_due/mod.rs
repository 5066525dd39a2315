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
mod unusable;

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

use self::desk::Desk;
use self::look::{Among, Looker, event};
use self::unusable::TELL_EVERY;
use super::pause::pause_in_force;
use super::rate_limits::{AskedToWait, exhausted_until};
use super::recover::recover;
use super::run::{Bounds, Run, RunReport};
use super::sync::SyncEvent;
use super::ticks::{notice_clock_back, notice_other_host, record_tick};
use super::workshop::Workshop;
use super::zones::notice_new_zone_data;
use crate::domain::alert::RunFacts;
use crate::domain::model::EntryName;
use crate::domain::outcome::{ExitStatus, RunOutcome, Trigger};
use crate::domain::pause::Pause;
use crate::domain::run::{Event, EventKind, Run as CrashedRun, RunCommand, RunId, RunStart};
use crate::domain::schedule::shift;
use crate::domain::shard::Shard;
use crate::domain::time::{EARLIEST_BELIEVABLE, Timestamp, render_utc};
use crate::domain::units::Seconds;
use crate::ops::lock::this_process;
use crate::sys::host::Host;

pub use plan::{DuePlan, PlannedModel, PlannedSchedule};
pub use unusable::PassedOver;

/// What was asked of a run, besides the schedules' own limits.
#[derive(Clone, Debug)]
pub struct Options {
    /// The only schedules that count; empty is all of them.
    pub only: BTreeSet<EntryName>,
    /// [`Shard::ALL`] when none was named.
    pub shard: Shard,
    pub bounds: Bounds,
    pub trigger: Trigger,
}

/// Everything that `run-due` works with.
pub struct RunDue<'a> {
    pub shop: &'a Workshop<'a>,
    pub options: Options,
}

/// What a tick came to, and what it could not look at.
#[derive(Debug)]
pub struct Tick {
    pub ran: Ran,
    pub passed_over: PassedOver,
    /// The skipped run that was written down, if this tick did nothing and told something.
    pub skipped: Option<RunFacts>,
    /// Runs that were found dead.
    pub crashed: Vec<CrashedRun>,
}

/// What a tick did.
#[derive(Debug)]
pub enum Ran {
    NothingDue,
    /// Something was due, and the Hub asked not to be asked yet.
    AskedToWait(AskedToWait),
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

/// Returns the present, unless it lies in a past that this program cannot have seen:
/// nothing is to be written down with such a date.
pub fn believable_now(host: &Host) -> Result<Timestamp> {
    let now = host.now();
    let shown = || WrongClock {
        now: render_utc(now),
    };
    ensure!(now >= EARLIEST_BELIEVABLE, shown());
    Ok(now)
}

/// Schedules are looked at again so often while others are being worked on: a
/// download of nine hours does not hold up the small one of every night.
const LOOK_EVERY_SECONDS: i64 = 10;

impl RunDue<'_> {
    /// Does what is due; the lock of the home is held by the caller.
    ///
    /// `begun` is told the id as soon as there is work.
    pub fn run(
        &self,
        begun: &mut dyn FnMut(&RunId),
        show: &mut dyn FnMut(&SyncEvent),
    ) -> Result<Tick> {
        let (store, host) = (self.shop.store(), self.shop.host());
        let now = believable_now(host)?;
        let crashed = recover(store, now)?;
        // What cannot be written down must not happen, so on a full disk a tick ends here.
        record_tick(store, self.options.trigger, self.tick_every(), now)
            .and_then(|()| Ok(store.record_shard_tick(self.options.shard, now)?))
            .context("cannot write down this tick, and without that nothing is fetched")?;
        notice_clock_back(store, now)?;
        notice_other_host(store, host, self.tick_every(), now)?;
        notice_new_zone_data(store, host, now)?;
        let looker = self.looker();
        // Whoever names schedules wants to hear of those that wait, too.
        let among = match self.options.only.is_empty() {
            true => Among::Candidates,
            false => Among::All,
        };
        let found = looker.look(now, among)?;
        let passed_over = PassedOver::new(store, found.unusable, now)?;
        let closed = self.tell_closed(found.closed, now)?;
        if found.due.is_empty() {
            let skipped = self.record_passed_over(&passed_over, now)?.or(closed);
            return Ok(Tick {
                ran: Ran::NothingDue,
                passed_over,
                skipped,
                crashed,
            });
        }
        if let Some(pause) = pause_in_force(store, now)? {
            self.record_passed_over(&passed_over, now)?;
            let skipped = Some(self.record_paused(&pause, now)?);
            return Ok(Tick {
                ran: Ran::Paused(pause),
                passed_over,
                skipped,
                crashed,
            });
        }
        let tools = self.shop.tools()?;
        if let Some(until) = exhausted_until(store, tools.hub.endpoint().as_str(), now)? {
            let passed = self.record_passed_over(&passed_over, now)?;
            let asked = AskedToWait { until };
            let skipped = self.record_wait(asked, now)?.or(passed);
            return Ok(Tick {
                ran: Ran::AskedToWait(asked),
                passed_over,
                skipped,
                crashed,
            });
        }
        let mut run = Run::begin(tools, RunCommand::RunDue, self.options.trigger)?;
        begun(run.id());
        if !passed_over.is_empty() {
            run.is_no_better_than(ExitStatus::Usage);
            passed_over.record(store, run.id(), now)?;
        }
        let (mut syncer, deadlines) = run.start_syncer(&self.options.bounds)?;
        let mut desk = Desk::new(tools, looker, &self.options);
        desk.claim(found.due, now, &mut run, &mut syncer, &deadlines)?;
        let mut looked = now;
        while !syncer.is_idle() {
            for (index, end) in run.step(&mut syncer, show) {
                let record = run.close(index, &end);
                let noted = desk.ended(index, &end, record, &mut run, &mut syncer);
                run.keep_problem(noted);
            }
            // Never for its own sake: a run that has nothing left to do ends, and
            // what comes then is the next tick's.
            let now = host.now();
            let has_time_passed = now < looked || now >= shift(looked, LOOK_EVERY_SECONDS);
            if has_time_passed && !syncer.is_idle() && !tools.stop.is_raised() {
                looked = now;
                // What cannot be followed has been told of, or is by the next tick.
                let claimed = looker.look(now, Among::Candidates).and_then(|found| {
                    let due = desk.without_claimed(found.due);
                    if due.is_empty() {
                        return Ok(());
                    }
                    desk.claim(due, now, &mut run, &mut syncer, &deadlines)
                });
                run.keep_problem(claimed);
            }
        }
        let Desk {
            n_due, left_out, ..
        } = desk;
        let report = run.end(n_due)?;
        let ran = Ran::Done {
            report,
            n_due,
            left_out,
        };
        Ok(Tick {
            ran,
            passed_over,
            skipped: None,
            crashed,
        })
    }

    fn looker(&self) -> Looker<'_> {
        Looker {
            store: self.shop.store(),
            host: self.shop.host(),
            tick: self.tick_every(),
            only: &self.options.only,
            shard: self.options.shard,
        }
    }

    fn tick_every(&self) -> Seconds {
        self.shop.settings().timer_every()
    }

    /// Records, once for each slot, that it came outside its window.
    fn tell_closed(&self, closed: Vec<String>, now: Timestamp) -> Result<Option<RunFacts>> {
        if closed.is_empty() {
            return Ok(None);
        }
        let detail = closed.join("; ");
        log::info!("{detail}");
        // A shard looks at all schedules each time: there is no cached look to wait for.
        if self.options.shard != Shard::ALL && self.is_recorded(&detail, now)? {
            return Ok(None);
        }
        let skipped = self.record_skip(RunOutcome::Ok, ExitStatus::Ok, vec![detail], now);
        skipped.map(Some)
    }

    /// Records, once a day, what is passed over at every tick.
    fn record_passed_over(
        &self,
        passed_over: &PassedOver,
        now: Timestamp,
    ) -> Result<Option<RunFacts>> {
        let news = passed_over.news();
        if news.is_empty() {
            return Ok(None);
        }
        let skipped = self.record_skip(RunOutcome::Failed, ExitStatus::Usage, news, now);
        skipped.map(Some)
    }

    /// Records, once a day for each time that the Hub named, that nothing was
    /// asked before it.
    fn record_wait(&self, asked: AskedToWait, now: Timestamp) -> Result<Option<RunFacts>> {
        let detail = asked.to_string();
        log::info!("{detail}");
        if self.is_recorded(&detail, now)? {
            return Ok(None);
        }
        let skipped =
            self.record_skip(RunOutcome::Failed, ExitStatus::Temporary, vec![detail], now);
        skipped.map(Some)
    }

    fn is_recorded(&self, detail: &str, now: Timestamp) -> Result<bool> {
        let since = shift(now, -TELL_EVERY.span().as_secs());
        let store = self.shop.store();
        Ok(store.has_event(EventKind::Skipped, detail, since, now)?)
    }

    fn record_paused(&self, pause: &Pause, now: Timestamp) -> Result<RunFacts> {
        let until = pause
            .until
            .map_or("somebody resumes".to_owned(), render_utc);
        let reason = pause.reason.as_deref().unwrap_or("no reason was given");
        let detail = format!("ticks are paused until {until}: {reason}");
        log::info!("{detail}");
        self.record_skip(RunOutcome::SkippedPaused, ExitStatus::Ok, vec![detail], now)
    }

    /// Writes down a run that did nothing, and why.
    fn record_skip(
        &self,
        outcome: RunOutcome,
        status: ExitStatus,
        details: Vec<String>,
        now: Timestamp,
    ) -> Result<RunFacts> {
        let start = RunStart {
            command: RunCommand::RunDue,
            trigger: self.options.trigger,
            process: this_process(self.shop.host()),
            at: now,
        };
        self.shop.store().transaction(|store| -> Result<RunFacts> {
            let id = store.record_skipped_run(&start, outcome, status.code())?;
            for detail in details {
                store.record_event(&Event {
                    run_id: Some(id.clone()),
                    ..event(now, EventKind::Skipped, detail)
                })?;
            }
            Ok(RunFacts::skipped(&start, id, outcome, status))
        })
    }
}
