//! The lock of the home, as commands take it.

use std::time::Duration;

use anyhow::{Error, Result};

use super::context::Context;
use super::download_report::is_watched;
use super::explain::{Complaint, Explanation, Quiet};
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
use crate::sys::signals::{exit_status, process_stop};
use crate::ui::Format;

/// The longest wait for another run.
const WITHOUT_LIMIT: Seconds = Seconds(100 * 365 * 24 * 3_600);

/// Takes the lock. At a terminal the command waits for the run that holds it, elsewhere
/// for up to `wait`. After that it names the holder, and records a skipped run.
pub fn take_lock(
    context: &Context,
    command: RunCommand,
    trigger: Trigger,
    wait: Option<Seconds>,
) -> Result<FileLock> {
    let take = |wait| take_run_lock(&context.host, &context.home, wait);
    if let Some(lock) = take(None)? {
        return Ok(lock);
    }
    let store = context.existing_store()?;
    let (mut holder, mut hung) = (holder_of(store.as_ref())?, None);
    if wait.is_none() {
        hung = hung_run(context, store.as_ref(), holder.as_ref())?;
    }
    let waits = context.is_interactive() && hung.is_none();
    if let Some(wait) = wait.or(waits.then_some(WITHOUT_LIMIT)) {
        say_wait(context, holder.as_ref());
        if let Some(lock) = take(Some(wait))? {
            return Ok(lock);
        }
        if let Some(status) = process_stop().reason().and_then(exit_status) {
            return Err(stopped(context, status, holder.as_ref()));
        }
        holder = holder_of(store.as_ref())?;
        hung = hung_run(context, store.as_ref(), holder.as_ref())?;
    }
    let store = store.as_ref();
    refuse(context, (command, trigger), store, holder.as_ref(), hung)
}

/// Ends a wait that a signal stopped. A person who was told of the wait knows why it ends.
fn stopped(context: &Context, status: ExitStatus, holder: Option<&Run>) -> Error {
    if !is_watched(context) {
        let holder = holder_words(holder);
        context.show_note_always(&Explanation {
            headline: format!("nothing was done: stopped while waiting for {holder} to end"),
            cause: None,
            next: None,
            status,
        });
    }
    Quiet(status).into()
}

/// Records the skipped run, and reports the reason.
fn refuse<T>(
    context: &Context,
    (command, trigger): (RunCommand, Trigger),
    store: Option<&Store>,
    holder: Option<&Run>,
    hung: Option<String>,
) -> Result<T> {
    let mut is_news = true;
    let mut skipped = None;
    if let Some(store) = store {
        if let Some(hung) = &hung {
            is_news = is_first_of_day(store, hung, context.now())?;
        }
        let (status, reason) = match &hung {
            Some(hung) => (ExitStatus::Failed, hung.clone()),
            None => {
                let holder = holder_words(holder);
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
            .next("`hfdl stop --run-only` asks it to end; if it does not, kill its process: the next run continues")
            .into());
    }
    if is_timer {
        // A long run is no trouble, and cron would mail each tick.
        log::info!("another run holds the lock");
        return Err(Quiet(ExitStatus::Locked).into());
    }
    Err(locked(context, command, holder).into())
}

/// Returns the run that holds the lock.
fn holder_of(store: Option<&Store>) -> Result<Option<Run>> {
    let running = store.map(Store::unfinished_runs).transpose()?;
    Ok(running.unwrap_or_default().pop())
}

/// Says on a terminal which run is waited for.
fn say_wait(context: &Context, holder: Option<&Run>) {
    if !is_watched(context) {
        return;
    }
    let run = holder.map_or("another run".to_owned(), |run| {
        let (id, start) = (run.id.ending(), &run.start);
        let since = context.clock().past(start.at);
        let (command, pid) = (start.command, start.process.pid);
        format!("run {id} ({command}, process {pid}, started {since})")
    });
    let message = format!("waiting for {run} to end; Ctrl-C stops waiting");
    context.out.say_folded(&message);
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
            "{} has been running on {} as process {} since {}",
            run.start.command,
            run.start.process.host,
            run.start.process.pid,
            context.clock().local(run.start.at)
        ));
    }
    complaint.next(match command {
        RunCommand::RunDue | RunCommand::Download | RunCommand::Verify => {
            "try again later, or wait: `--wait` until it ends, `--wait=10m` for at most 10 minutes"
        }
        _ => "try again once it has ended",
    })
}

/// Says that the run which holds the lock has hung, if it has.
fn hung_run(context: &Context, store: Option<&Store>, run: Option<&Run>) -> Result<Option<String>> {
    /// After a sleep of the machine a run beats as soon as it wakes.
    const SECOND_LOOK: Duration = Duration::from_secs(3);
    let run = run.filter(|run| run.is_hung(context.now()));
    let (Some(store), Some(run)) = (store, run) else {
        return Ok(None);
    };
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
