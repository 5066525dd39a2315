//! One tick: record it, find due slots, sync their models, and report the outcome.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

use super::active_slots::ActiveSlots;
use super::due_finder::{Candidates, DueFinder, DueSlot};
use super::unusable::{REPORT_EVERY, UnusableSchedules};
use super::waiting::remove_waiting;
use crate::domain::alert::RunFacts;
use crate::domain::allowance::Allowance;
use crate::domain::model::EntryName;
use crate::domain::outcome::{ExitStatus, RunOutcome, Trigger};
use crate::domain::pause::Pause;
use crate::domain::run::{EventKind, Run, RunCommand, RunId, RunStart};
use crate::domain::schedule::{DueState, ScheduleId, shift};
use crate::domain::shard::Shard;
use crate::domain::time::{EARLIEST_BELIEVABLE, Timestamp, render_utc};
use crate::ops::allowances::note_told;
use crate::ops::hub::endpoint;
use crate::ops::lock::this_process;
use crate::ops::pause::pause_in_force;
use crate::ops::rate_limits::{AskedToWait, exhausted_until};
use crate::ops::run::{ActiveRun, Bounds, close_crashed_runs, record_skipped_run, run_outcome};
use crate::ops::scrub::{self, ScrubReport, Scrubbing};
use crate::ops::services::Services;
use crate::ops::sync::SyncEvent;
use crate::ops::ticks::{notice_clock_back, notice_other_host, record_tick};
use crate::ops::zones::notice_new_zone_data;
use crate::sys::host::Host;

/// The options of one tick.
#[derive(Clone, Debug)]
pub struct RunDueOptions {
    /// Only these schedules; empty means all.
    pub only: BTreeSet<EntryName>,
    /// [`Shard::ALL`] when none was named.
    pub shard: Shard,
    pub bounds: Bounds,
    pub trigger: Trigger,
}

/// The result of a tick.
#[derive(Debug)]
pub struct Tick {
    pub outcome: TickOutcome,
    pub unusable: UnusableSchedules,
    /// The record of a skipped run, if the tick did no work and made one.
    pub skipped: Option<RunFacts>,
    /// Earlier runs that crashed.
    pub crashed: Vec<Run>,
    /// Spent allowances that no earlier tick has reported in their period.
    pub spent: Vec<Allowance>,
}

#[derive(Debug)]
pub enum TickOutcome {
    NothingDue,
    /// Slots are due, and the Hub accepts no requests yet.
    AskedToWait(AskedToWait),
    /// Slots are due, and ticks are paused.
    Paused(Pause),
    /// Slots are begun, and the allowance for their remaining bytes is spent.
    AllowanceSpent(Box<Allowance>),
    Done {
        run: Box<RunFacts>,
        n_due: u64,
        /// Models that were not checked, each with the reason.
        left_out: Vec<(String, String)>,
        /// `None` if no file was to be read again.
        scrub: Option<ScrubReport>,
    },
}

/// The clock shows a time before the release of this program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the clock is wrong: it shows {now}, which is before this program was made")]
pub struct WrongClock {
    now: String,
}

/// Returns the current time, or an error if it is before the release of this
/// program: no record may have such a date.
pub fn believable_now(host: &Host) -> Result<Timestamp> {
    let now = host.now();
    let shown = || WrongClock {
        now: render_utc(now),
    };
    ensure!(now >= EARLIEST_BELIEVABLE, shown());
    Ok(now)
}

/// The time between two searches for due slots while others are active.
const FIND_EVERY_SECONDS: i64 = 10;

/// Runs one tick; the caller holds the lock of the home. `on_begin` is called with
/// the id of the run as soon as there is work.
pub fn run_due(
    services: &Services<'_>,
    options: &RunDueOptions,
    on_begin: &mut dyn FnMut(&RunId),
    show: &mut dyn FnMut(&SyncEvent),
) -> Result<Tick> {
    let now = believable_now(services.host)?;
    let skips = Skips {
        services,
        options,
        now,
    };
    let crashed = close_crashed_runs(&services.store, now)?;
    record(services, options, now)?;
    let finder = finder(services, options);
    // With schedules named on the command line, the report includes those that wait.
    let candidates = if options.only.is_empty() {
        Candidates::Expected
    } else {
        Candidates::All
    };
    let mut found = finder.find(now, candidates)?;
    let unusable = UnusableSchedules::new(&services.store, found.unusable, now)?;
    let closed = skips.record_closed(found.closed)?;
    let spent = remove_waiting(services, options, &mut found.due, now)?;
    let outcome = match reason_to_wait(services, &found.due, spent, now)? {
        Some(TickOutcome::NothingDue) => {
            scrub_alone(services, options, now, &unusable, on_begin, show)?
        }
        Some(outcome) => outcome,
        None => sync(
            services,
            options,
            (found.due, now),
            &unusable,
            on_begin,
            show,
        )?,
    };
    let skipped = skips.record_outcome(&outcome, &unusable, closed)?;
    let spent = match &outcome {
        TickOutcome::Done { run, .. } => run.spent.as_slice(),
        TickOutcome::AllowanceSpent(spent) => std::slice::from_ref(&**spent),
        _ => &[],
    };
    Ok(Tick {
        spent: note_told(&services.store, spent, now)?,
        outcome,
        unusable,
        skipped,
        crashed,
    })
}

pub(super) fn finder<'a>(services: &'a Services<'_>, options: &'a RunDueOptions) -> DueFinder<'a> {
    DueFinder {
        store: &services.store,
        host: services.host,
        tick: services.settings.timer_every(),
        only: &options.only,
        shard: options.shard,
    }
}

/// Records the tick. On a full disk the tick ends here, because a download that
/// cannot be recorded must not happen.
fn record(services: &Services<'_>, options: &RunDueOptions, now: Timestamp) -> Result<()> {
    let Services { store, host, .. } = services;
    let every = services.settings.timer_every();
    record_tick(store, options.trigger, every, now)
        .and_then(|()| Ok(store.record_shard_tick(options.shard, now)?))
        .context("cannot record this tick, and nothing is fetched without a record")?;
    notice_clock_back(store, now)?;
    notice_other_host(store, host, every, now)?;
    notice_new_zone_data(store, host, now)
}

/// Returns the outcome of a tick that does no work now.
fn reason_to_wait(
    services: &Services<'_>,
    due: &[DueSlot],
    spent: Option<Allowance>,
    now: Timestamp,
) -> Result<Option<TickOutcome>> {
    if due.is_empty() {
        let spent = spent.map(|spent| TickOutcome::AllowanceSpent(Box::new(spent)));
        return Ok(Some(spent.unwrap_or(TickOutcome::NothingDue)));
    }
    let store = &services.store;
    if let Some(pause) = pause_in_force(store, now)? {
        return Ok(Some(TickOutcome::Paused(pause)));
    }
    let endpoint = endpoint(&services.settings)?;
    if let Some(until) = exhausted_until(store, endpoint.as_str(), now)? {
        return Ok(Some(TickOutcome::AskedToWait(AskedToWait { until })));
    }
    // A token that cannot be used ends the tick before it has a run.
    services.network()?;
    Ok(None)
}

/// Syncs the models of due slots, as one run.
fn sync(
    services: &Services<'_>,
    options: &RunDueOptions,
    (due, now): (Vec<DueSlot>, Timestamp),
    unusable: &UnusableSchedules,
    on_begin: &mut dyn FnMut(&RunId),
    show: &mut dyn FnMut(&SyncEvent),
) -> Result<TickOutcome> {
    let mut run = ActiveRun::begin(services, RunCommand::RunDue, options.trigger)?;
    on_begin(run.id());
    if !unusable.is_empty() {
        run.note_status(ExitStatus::Usage);
        unusable.record(&services.store, run.id(), now)?;
    }
    run.start_syncer(&options.bounds)?;
    let mut slots = ActiveSlots::new(services, options);
    slots.claim(due, now, &mut run)?;
    let mut found_at = now;
    while run.is_syncing() {
        for (session, result) in run.step(show) {
            let is_recorded = run.close(session, &result);
            let noted = slots.note_result(session, &result, is_recorded, &mut run);
            run.note_error(noted);
        }
        // New slots do not prolong a run whose targets have all ended: the next tick
        // serves them.
        let now = services.host.now();
        let has_time_passed = now < found_at || now >= shift(found_at, FIND_EVERY_SECONDS);
        if has_time_passed && run.is_syncing() && !run.limits()?.is_stopped() {
            found_at = now;
            let claimed = slots.claim_new(now, &mut run);
            run.note_error(claimed);
        }
    }
    let ActiveSlots {
        n_due, left_out, ..
    } = slots;
    let scrub = scrub(services, options, &mut run, show);
    let scrub = note_failure(scrub, &mut run);
    Ok(TickOutcome::Done {
        run: Box::new(run.end(n_due)?),
        n_due,
        left_out,
        scrub,
    })
}

/// Reads files again in a run of its own, in a tick without a due slot.
fn scrub_alone(
    services: &Services<'_>,
    options: &RunDueOptions,
    now: Timestamp,
    unusable: &UnusableSchedules,
    on_begin: &mut dyn FnMut(&RunId),
    show: &mut dyn FnMut(&SyncEvent),
) -> Result<TickOutcome> {
    let Some(work) = scrub_work(services, options, now)? else {
        return Ok(TickOutcome::NothingDue);
    };
    let mut run = ActiveRun::begin(services, RunCommand::RunDue, options.trigger)?;
    on_begin(run.id());
    if !unusable.is_empty() {
        run.note_status(ExitStatus::Usage);
        unusable.record(&services.store, run.id(), now)?;
    }
    let before = due_now(services, options);
    let mut is_slot_due = || !due_now(services, options).is_subset(&before);
    let done = work.run(&mut run, &options.bounds, &mut is_slot_due, show);
    let scrub = note_failure(done.map(Some), &mut run);
    Ok(TickOutcome::Done {
        run: Box::new(run.end(0)?),
        n_due: 0,
        left_out: Vec::new(),
        scrub,
    })
}

/// Reads files again after the downloads of a run.
fn scrub(
    services: &Services<'_>,
    options: &RunDueOptions,
    run: &mut ActiveRun<'_>,
    show: &mut dyn FnMut(&SyncEvent),
) -> Result<Option<ScrubReport>> {
    let Some(work) = scrub_work(services, options, services.host.now())? else {
        return Ok(None);
    };
    let before = due_now(services, options);
    let mut is_slot_due = || !due_now(services, options).is_subset(&before);
    let report = work.run(run, &options.bounds, &mut is_slot_due, show)?;
    Ok(Some(report))
}

/// A scrub that fails makes its run fail, and hides no result of a model.
fn note_failure(
    scrub: Result<Option<ScrubReport>>,
    run: &mut ActiveRun<'_>,
) -> Option<ScrubReport> {
    scrub.unwrap_or_else(|err| {
        log::error!("published files cannot be read again: {err:#}");
        run.note_status(ExitStatus::Failed);
        None
    })
}

/// Returns the files to read now. A run for some schedules reads nothing else.
fn scrub_work<'a>(
    services: &'a Services<'a>,
    options: &RunDueOptions,
    now: Timestamp,
) -> Result<Option<Scrubbing<'a>>> {
    let shard = options.shard;
    if !options.only.is_empty() || !scrub::has_work(services, shard, now)? {
        return Ok(None);
    }
    scrub::plan(services, shard, now)
}

/// Returns the schedules that are due now; the next tick reports an error.
fn due_now(services: &Services<'_>, options: &RunDueOptions) -> BTreeSet<ScheduleId> {
    let finder = finder(services, options);
    let checked = finder.check(services.host.now(), Candidates::Expected);
    let (checked, _) = checked.unwrap_or_default();
    let due = checked
        .iter()
        .filter(|it| matches!(it.state, DueState::Due(_)));
    due.map(|it| it.schedule.id).collect()
}

/// Records of a tick without work.
struct Skips<'a> {
    services: &'a Services<'a>,
    options: &'a RunDueOptions,
    now: Timestamp,
}

impl Skips<'_> {
    /// Records a tick without a run, with its reason. Returns the facts of that record.
    fn record_outcome(
        &self,
        outcome: &TickOutcome,
        unusable: &UnusableSchedules,
        closed: Option<RunFacts>,
    ) -> Result<Option<RunFacts>> {
        let (message, status) = match outcome {
            TickOutcome::Done { .. } => return Ok(None),
            TickOutcome::NothingDue => return Ok(self.record_unusable(unusable)?.or(closed)),
            TickOutcome::Paused(pause) => {
                self.record_unusable(unusable)?;
                return Ok(Some(self.record_pause(pause)?));
            }
            TickOutcome::AskedToWait(asked) => (asked.to_string(), ExitStatus::Temporary),
            TickOutcome::AllowanceSpent(spent) => {
                (spent.spent_message(), ExitStatus::TransferBudget)
            }
        };
        let reported = self.record_unusable(unusable)?;
        Ok(self.record_wait(&message, status)?.or(reported))
    }

    /// Records, once for each slot, that it came while its window was closed.
    fn record_closed(&self, closed: Vec<String>) -> Result<Option<RunFacts>> {
        if closed.is_empty() {
            return Ok(None);
        }
        let detail = closed.join("; ");
        log::info!("{detail}");
        // A shard has no cached next check, so that it finds the same slot at each tick.
        if self.options.shard != Shard::ALL && self.is_recorded(&detail)? {
            return Ok(None);
        }
        let skipped = self.record(RunOutcome::Ok, ExitStatus::Ok, vec![detail]);
        skipped.map(Some)
    }

    /// Records, once a day, the schedules that cannot run.
    fn record_unusable(&self, unusable: &UnusableSchedules) -> Result<Option<RunFacts>> {
        let details = unusable.unreported();
        if details.is_empty() {
            return Ok(None);
        }
        let skipped = self.record(RunOutcome::Failed, ExitStatus::Usage, details);
        skipped.map(Some)
    }

    /// Records, once a day for each reason, that due slots wait.
    fn record_wait(&self, reason: &str, status: ExitStatus) -> Result<Option<RunFacts>> {
        log::info!("{reason}");
        if self.is_recorded(reason)? {
            return Ok(None);
        }
        let skipped = self.record(run_outcome(status), status, vec![reason.to_owned()]);
        skipped.map(Some)
    }

    fn record_pause(&self, pause: &Pause) -> Result<RunFacts> {
        let until = pause.until.map(render_utc);
        let until = until.as_deref().unwrap_or("`hfdl resume`");
        let reason = pause.reason.as_deref().unwrap_or("no reason was given");
        let detail = format!("ticks are paused until {until}: {reason}");
        log::info!("{detail}");
        self.record(RunOutcome::SkippedPaused, ExitStatus::Ok, vec![detail])
    }

    fn is_recorded(&self, detail: &str) -> Result<bool> {
        let since = shift(self.now, -REPORT_EVERY.span().as_secs());
        let store = &self.services.store;
        Ok(store.has_event(EventKind::Skipped, detail, since, self.now)?)
    }

    fn record(
        &self,
        outcome: RunOutcome,
        status: ExitStatus,
        reasons: Vec<String>,
    ) -> Result<RunFacts> {
        let start = RunStart {
            command: RunCommand::RunDue,
            trigger: self.options.trigger,
            process: this_process(self.services.host),
            at: self.now,
        };
        record_skipped_run(&self.services.store, &start, outcome, status, reasons)
    }
}
