//! The lock of the home, as commands take it.

use std::time::Duration;

use anyhow::Result;

use super::context::Context;
use super::explain::{Complaint, Quiet};
use crate::domain::alert::RunFacts;
use crate::domain::outcome::{ExitStatus, RunOutcome, Trigger};
use crate::domain::run::{EventKind, Run, RunCommand, RunStart};
use crate::domain::schedule::shift;
use crate::domain::time::Timestamp;
use crate::domain::units::Seconds;
use crate::json::skipped_run;
use crate::ops::lock::{take_run_lock, this_process};
use crate::ops::notify::Notifier;
use crate::ops::run::record_skipped_run;
use crate::ops::ticks::record_tick;
use crate::store::Store;
use crate::sys::lock::FileLock;
use crate::ui::Format;

/// Takes the lock, or says who holds it and writes down that this run was skipped.
pub fn take_lock(
    context: &Context,
    command: RunCommand,
    trigger: Trigger,
    wait: Option<Seconds>,
) -> Result<FileLock> {
    if let Some(lock) = take_run_lock(&context.host, &context.home, wait)? {
        return Ok(lock);
    }
    let store = context.existing_store()?;
    let running = store.as_ref().map(Store::unfinished_runs).transpose()?;
    let holder = running.unwrap_or_default().pop();
    let hung = match (&store, &holder) {
        (Some(store), Some(run)) => hung_run(context, store, run)?,
        _ => None,
    };
    let mut is_news = true;
    let mut skipped = None;
    if let Some(store) = &store {
        if let Some(hung) = &hung {
            is_news = is_first_of_day(store, hung, context.now())?;
        }
        let (status, reason) = match &hung {
            Some(hung) => (ExitStatus::Failed, hung.clone()),
            None => {
                let holder = holder_words(holder.as_ref());
                let reason = format!("{command} found the lock held by {holder}");
                (ExitStatus::Locked, reason)
            }
        };
        skipped = Some(record_locked_run(
            context,
            store,
            (command, trigger),
            status,
            reason,
        )?);
    }
    if context.out.format != Format::Table {
        let outcome = RunOutcome::SkippedLocked;
        let status = (skipped.as_ref()).map_or(ExitStatus::Locked, |run| run.status);
        let document = || skipped_run(trigger, skipped.as_ref(), outcome, status, Vec::new());
        context.out.document(document)?;
    }
    let is_timer = trigger == Trigger::Timer && !context.host.stderr_is_terminal();
    if let Some(hung) = hung {
        if is_timer && !is_news {
            return Err(Quiet(ExitStatus::Failed).into());
        }
        return Err(Complaint::new(ExitStatus::Failed, hung)
            .next("`hfdl stop --run-only` asks it to end; if it stays, end its process: the next run goes on")
            .into());
    }
    if is_timer {
        // A long run is no trouble, and cron would mail each tick.
        log::info!("another run holds the lock");
        return Err(Quiet(ExitStatus::Locked).into());
    }
    Err(locked(context, command, holder.as_ref()).into())
}

/// Records a run that found the lock held, and runs the hook for it.
fn record_locked_run(
    context: &Context,
    store: &Store,
    (command, trigger): (RunCommand, Trigger),
    status: ExitStatus,
    reason: String,
) -> Result<RunFacts> {
    let start = RunStart {
        command,
        trigger,
        process: this_process(&context.host),
        at: context.now(),
    };
    let outcome = RunOutcome::SkippedLocked;
    let run = record_skipped_run(store, &start, outcome, status, vec![reason])?;
    let settings = context.settings(Some(store))?;
    if command == RunCommand::RunDue {
        // A tick that found a long run is a tick all the same.
        record_tick(store, trigger, settings.timer_every(), start.at)?;
    }
    let notifier = Notifier {
        host: &context.host,
        home: &context.home,
        store,
        settings: &settings,
        stop: None,
    };
    notifier.run_skip_hook(&run);
    Ok(run)
}

/// Returns the complaint about a lock that another run holds.
fn locked(context: &Context, command: RunCommand, holder: Option<&Run>) -> Complaint {
    let mut complaint = Complaint::new(ExitStatus::Locked, "another run holds the lock");
    if let Some(run) = holder {
        complaint = complaint.cause(format!(
            "{} runs on {} as process {} since {}",
            run.start.command,
            run.start.process.host,
            run.start.process.pid,
            context.clock().local(run.start.at)
        ));
    }
    complaint.next(match command {
        RunCommand::RunDue | RunCommand::Download | RunCommand::Verify => {
            "add `--wait` to wait for its end, or `--wait=10m` for so long"
        }
        _ => "try again when it has ended",
    })
}

/// Says that the run which holds the lock has hung, if it has.
fn hung_run(context: &Context, store: &Store, run: &Run) -> Result<Option<String>> {
    /// After a sleep of the machine a run beats as soon as it wakes.
    const SECOND_LOOK: Duration = Duration::from_secs(3);
    if !run.is_hung(context.now()) {
        return Ok(None);
    }
    context.host.pause(SECOND_LOOK);
    let run = store.run(&run.id)?;
    let is_hung = run.end.is_none() && run.is_hung(context.now());
    Ok(is_hung.then(|| {
        format!(
            "the run {} ({}, process {} on {}) holds the lock and has given no sign of life since {}",
            run.id,
            run.start.command,
            run.start.process.pid,
            run.start.process.host,
            context.clock().local(run.heartbeat_at)
        )
    }))
}

/// Tells whether a hung run was not reported in the last day.
fn is_first_of_day(store: &Store, hung: &str, now: Timestamp) -> Result<bool> {
    let since = shift(now, -24 * 3_600);
    Ok(!store.has_event(EventKind::Skipped, hung, since, now)?)
}

fn holder_words(holder: Option<&Run>) -> String {
    holder.map_or("another run".to_owned(), |run| {
        format!("{} (process {})", run.start.command, run.start.process.pid)
    })
}
