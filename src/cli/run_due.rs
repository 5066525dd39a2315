//! `hfdl run-due`

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::context::Context;
use super::download_report::DueReport;
use super::due_plan_report::report_plan;
use super::explain::{Complaint, Explanation, Quiet, explain};
use super::limits::{Limits, NewPlace, Waiting};
use super::lock::take_lock;
use super::run_due_report::{
    Idle, ascii, report_crashes, report_nothing, report_paused, report_run, report_spent,
    report_unusable, report_wait,
};
use super::since::present;
use super::status::{leave_early_status_file, leave_status_file};
use super::watcher::Watcher;
use crate::domain::allowance::Allowance;
use crate::domain::model::EntryName;
use crate::domain::outcome::{ExitStatus, RunOutcome, Trigger};
use crate::domain::run::{RunCommand, RunId};
use crate::domain::schedule::{StoredSchedules, Unusable};
use crate::domain::shard::{Shard, ShardArg};
use crate::domain::status::FailedTick;
use crate::domain::time::Toward;
use crate::json::skipped_run;
use crate::ops::diagnose::diagnose;
use crate::ops::finish::{EndedRuns, Finish};
use crate::ops::notify::{EarlyEnd, News, Ping, tell_early_end};
use crate::ops::run_due::{RunDueOptions, Tick, TickOutcome, believable_now, plan, run_due};
use crate::ops::services::Services;
use crate::ops::settings::resolve_for_telling;
use crate::ops::ticks::{forget_failed_tick, record_failed_tick};
use crate::ops::timer_places::{check_places_of_tick, database_id};
use crate::store::Store;
use crate::sys::lock::FileLock;
use crate::sys::logging;
use crate::ui::Format;

/// Run the due schedules, by the timer or by hand
///
/// Finds the due schedules, asks the Hub about their models, fetches changed files, verifies every
/// byte, publishes each model in one step, records the run, and exits. Each night it also reads a
/// part of the published files again (`verify.every`). With nothing due it sends no request and
/// prints nothing.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Without a terminal it is silent when all is well, so that cron mails trouble only. \
`hfdl status` shows the present state, `hfdl runs list` the past runs.

Examples:
  hfdl run-due
  hfdl run-due --dry-run --at '2026-06-01 02:30'
  hfdl run-due --max-duration 4h --max-transfer 20G
  hfdl run-due --shard auto/8"
)]
pub struct RunDue {
    /// Show the due models and the files to fetch; takes no lock, writes nothing
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// The moment to answer for, such as "tomorrow 02:30", "in 2h" or RFC 3339
    #[arg(long, value_name = "TIME", requires = "dry_run")]
    at: Option<String>,

    /// Only these schedules, when they are due
    #[arg(long, value_name = "NAME")]
    schedule: Vec<EntryName>,

    #[command(flatten)]
    waiting: Waiting,

    #[command(flatten)]
    limits: Limits,

    #[command(flatten)]
    place: NewPlace,

    /// Only the models of one shard: I/N counted from 0, or auto/N in a Kubernetes or Slurm array
    #[arg(long, value_name = "I/N")]
    shard: Option<ShardArg>,

    /// Write a Prometheus text file there (default: metrics.file)
    #[arg(long, value_name = "PATH")]
    metrics_file: Option<PathBuf>,

    /// The starter of this run: timer, ci or manual
    #[arg(long, value_name = "WHO", default_value = "manual")]
    trigger: Trigger,

    /// Refuse to run without the database of this id; entries of `hfdl start` pass it
    #[arg(long, value_name = "ID")]
    database: Option<String>,
}

/// The reports of a tick that were made before it ended with an error.
#[derive(Default)]
struct Reported {
    /// The ping of a run that has begun and not been reported.
    ping: Option<Ping>,
    has_document: bool,
}

impl RunDue {
    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        let mut reported = Reported::default();
        let result = self.tick(context, &mut reported);
        let Err(err) = result else {
            return result;
        };
        if self.dry_run {
            return Err(err);
        }
        if let Some(Quiet(status)) = err.downcast_ref() {
            if *status == ExitStatus::Failed {
                let explanation = Explanation {
                    headline: "the run that holds the lock hangs".to_owned(),
                    cause: None,
                    next: None,
                    status: *status,
                };
                let why = &explanation.headline;
                self.tell_early_end(context, &explanation, why, reported.ping);
            }
            return Err(err);
        }
        // The first line of a mail is the cause, not a follow-up error.
        log::debug!("{err:?}");
        let explanation = explain(&err);
        context.show_problem(&explanation);
        if context.out.format != Format::Table && !reported.has_document {
            let (outcome, status) = (RunOutcome::Failed, explanation.status);
            let document = || skipped_run(self.trigger, None, outcome, status, Vec::new());
            context.out.document(document)?;
        }
        self.tell_early_end(
            context,
            &explanation,
            &diagnose(&err).cause(),
            reported.ping,
        );
        Err(Quiet(explanation.status).into())
    }

    /// Records a tick that ended without a report, and tells services of it. A run
    /// that holds the lock and is well is no failure, and neither is a mistake in a
    /// line typed by hand.
    fn tell_early_end(
        &self,
        context: &Context,
        explanation: &Explanation,
        why: &str,
        ping: Option<Ping>,
    ) {
        let status = explanation.status;
        let is_timer = self.trigger == Trigger::Timer;
        if status == ExitStatus::Locked || (status == ExitStatus::Usage && !is_timer) {
            return;
        }
        let tick = FailedTick {
            at: context.now(),
            trigger: self.trigger,
            status,
            n_times: 1,
            why: why.to_owned(),
            hint: explanation.next.clone(),
        };
        record_failed_tick(&context.home, tick);
        let store = context.existing_store().ok().flatten();
        let settings = context.settings(store.as_ref());
        let for_telling = |_| resolve_for_telling(&context.host, context.flags.clone());
        let settings = settings
            .or_else(|_| context.settings(None))
            .or_else(for_telling);
        let Ok(settings) = settings else {
            return;
        };
        let end = EarlyEnd {
            host: &context.host,
            home: &context.home,
            settings: &settings,
            store: store.as_ref(),
            status,
            why,
            is_in_order: false,
        };
        leave_early_status_file(context, &settings);
        tell_early_end(&end, self.metrics_file.as_deref(), ping);
    }

    /// As `tell_early_end`, for a line that could not be read as a whole.
    pub(super) fn tell_unreadable_line(&self, context: &Context, why: &str) {
        let explanation = Explanation {
            headline: why.to_owned(),
            cause: None,
            next: None,
            status: ExitStatus::Usage,
        };
        self.tell_early_end(context, &explanation, why, None);
    }

    /// Runs one tick.
    fn tick(&self, context: &Context, reported: &mut Reported) -> Result<ExitStatus> {
        let existing = context.existing_store()?;
        self.check_database(context, existing.as_ref())?;
        let shard = self.shard(context)?;
        self.check_names(existing.as_ref())?;
        let Some(store) = existing else {
            // Before anything was set up a tick finds nothing, and leaves nothing.
            let idle = Idle {
                trigger: self.trigger,
                run: None,
                unusable: &[],
            };
            return report_nothing(context, None, &idle);
        };
        let settings = context.settings(Some(&store))?;
        if self.trigger == Trigger::Timer {
            check_places_of_tick(&store, &settings)?;
        }
        self.limits.warn(context);
        let options = RunDueOptions {
            only: self.schedule.iter().cloned().collect(),
            shard,
            bounds: self.limits.bounds(&settings),
            trigger: self.trigger,
        };
        if self.dry_run {
            let at = match &self.at {
                Some(text) => present(context, Toward::Future).parse(text)?,
                None => context.now(),
            };
            let services = Services::read_only(&context.host, &context.home, settings, store);
            return report_plan(context, &plan(&services, &options, at)?);
        }
        // Before the lock, because a held lock is recorded with this date.
        if let Err(err) = believable_now(&context.host) {
            // No record may have such a date; the status file shows the wrong clock.
            leave_status_file(context, &store, &settings);
            return Err(err);
        }
        // Before the lock: a signal may end the wait for it.
        let services = Services::for_run(&context.host, &context.home, settings, store)?;
        let lock = take_lock(context, RunCommand::RunDue, self.trigger, self.waiting.wait)
            // A lock that is held is reported with a document of its own.
            .inspect_err(|err| reported.has_document = err.is::<Complaint>())?;
        self.place.confirm(context, &services, None)?;
        self.run_and_finish(context, &services, &options, lock, reported)
    }

    /// Runs the due slots and reports them.
    fn run_and_finish(
        &self,
        context: &Context,
        services: &Services<'_>,
        options: &RunDueOptions,
        lock: FileLock,
        reported: &mut Reported,
    ) -> Result<ExitStatus> {
        if !context.host.stderr_is_terminal() {
            logging::hold_back();
        }
        let mut watcher = Watcher::of_run(context);
        let begun = &mut |run: &RunId| {
            reported.ping = Ping::start(services.host, &services.settings, run);
            // If the run is killed, the file shows that a run was in progress.
            leave_status_file(context, &services.store, &services.settings);
        };
        let tick = run_due(services, options, begun, &mut |event| watcher.note(event));
        watcher.finish();
        let write_status_file = || leave_status_file(context, &services.store, &services.settings);
        let tick = tick.inspect_err(|_| write_status_file())?;
        let Tick {
            outcome,
            unusable,
            crashed,
            ..
        } = &tick;
        let has_failed_before = forget_failed_tick(&context.home, self.trigger);
        let is_idle = matches!(outcome, TickOutcome::NothingDue) && crashed.is_empty();
        let is_unchanged = is_idle && !has_failed_before && unusable.unreported.is_empty();
        let status_file: Option<&dyn Fn()> = if is_unchanged {
            None
        } else {
            Some(&write_status_file)
        };
        let finish = Finish {
            services,
            lock,
            status_file,
            metrics_file: self.metrics_file.as_deref(),
            ping: reported.ping.take(),
        };
        reported.has_document = true;
        finish.finish(ended_runs(&tick), |news| {
            let status = self.report(context, (&services.store, &tick), news, watcher.elapsed());
            report_crashes(context, crashed);
            // After the first line, which is the subject of a mail.
            logging::release();
            context.show_hub_warnings(services);
            status
        })
    }

    fn report(
        &self,
        context: &Context,
        (store, tick): (&Store, &Tick),
        news: Option<&News>,
        took: Duration,
    ) -> Result<ExitStatus> {
        let (outcome, unusable) = (&tick.outcome, &tick.unusable);
        let idle = &Idle {
            trigger: self.trigger,
            run: tick.skipped.as_ref(),
            unusable: &unusable.schedules,
        };
        // Cron mails all output of every tick.
        let is_timer = self.trigger == Trigger::Timer && !context.host.stderr_is_terminal();
        let to_report = unusable.schedules.iter();
        let to_report = to_report.filter(|one| !is_timer || unusable.unreported.contains(&one.id));
        let to_report: Vec<&Unusable> = to_report.collect();
        if !matches!(outcome, TickOutcome::Done { .. }) {
            report_unusable(context, to_report.iter().copied());
        }
        match outcome {
            TickOutcome::NothingDue => report_nothing(context, Some(store), idle),
            TickOutcome::AskedToWait(asked) => report_wait(context, asked, is_timer, idle),
            TickOutcome::Paused(pause) => report_paused(context, pause, idle),
            TickOutcome::AllowanceSpent(spent) => {
                if is_timer {
                    say_spent(context, &tick.spent);
                }
                report_spent(context, spent, is_timer, idle)
            }
            TickOutcome::Done {
                run,
                n_due,
                left_out,
                scrub,
            } => {
                let due = DueReport {
                    n_models: *n_due,
                    left_out,
                    unusable: idle.unusable,
                    scrub: *scrub,
                    took,
                };
                let status = report_run(context, run, &due, &to_report, news.filter(|_| is_timer))?;
                say_spent(context, &tick.spent);
                Ok(status)
            }
        }
    }

    /// Refuses a home that has lost the database of its timer, or has another one:
    /// with a new and empty database nothing would ever be due, without an error.
    ///
    /// A person must act, as after any trouble with a disk: exit 6.
    fn check_database(&self, context: &Context, store: Option<&Store>) -> Result<()> {
        let Some(wanted) = &self.database else {
            return Ok(());
        };
        let home = context.home.path().display();
        let cause = match store {
            None => format!("there is no `{}`", context.home.database().display()),
            Some(store) => {
                let found = database_id(store)?;
                if found == *wanted {
                    return Ok(());
                }
                format!("its id is {found}, and the timer was installed for {wanted}")
            }
        };
        let what = match store {
            None => "the database of this timer is missing",
            Some(_) => "the database of this timer has been replaced by another one",
        };
        Err(Complaint::new(ExitStatus::Disk, what)
            .cause(format!("{cause}; a disk may not be mounted"))
            .next(format!(
                "mount the disk of `{home}` or restore the database; if it is gone for good, \
                 `hfdl --home '{home}' start` goes on without it, and `hfdl --home '{home}' stop` removes the timer"
            ))
            .into())
    }

    fn shard(&self, context: &Context) -> Result<Shard> {
        let index = ["JOB_COMPLETION_INDEX", "SLURM_ARRAY_TASK_ID"]
            .into_iter()
            .find_map(|name| context.host.variable(name));
        let shard = self.shard.map(|shard| shard.resolve(index));
        Ok(shard.transpose()?.unwrap_or(Shard::ALL))
    }

    /// A timer that names a schedule which is gone must not fall silent.
    fn check_names(&self, store: Option<&Store>) -> Result<()> {
        if self.schedule.is_empty() {
            return Ok(());
        }
        let schedules = store.map_or_else(|| Ok(StoredSchedules::default()), Store::schedules)?;
        let known = schedules.names();
        for name in &self.schedule {
            if !known.contains(&name.as_str()) {
                let list = "hfdl schedules list";
                return Err(Complaint::unknown("schedule", name.as_str(), &known, list).into());
            }
        }
        Ok(())
    }
}

/// Says in one line each which allowances are spent.
fn say_spent(context: &Context, spent: &[Allowance]) {
    for allowance in spent {
        let line = format!("hfdl: {}", allowance.spent_line());
        context.out.say(&ascii(&line));
    }
}

/// Names the runs of a tick for the work at its end.
fn ended_runs(tick: &Tick) -> EndedRuns<'_> {
    let mut runs = EndedRuns {
        has_crashed: !tick.crashed.is_empty(),
        ..EndedRuns::default()
    };
    match &tick.outcome {
        TickOutcome::Done { run, .. } => runs.run = Some(run),
        TickOutcome::Paused(_) => runs.paused = tick.skipped.as_ref(),
        TickOutcome::AskedToWait(asked) => runs.wait = Some(asked.to_string()),
        TickOutcome::NothingDue | TickOutcome::AllowanceSpent(_) => {}
    }
    runs
}
