//! The lock of the home, as commands take it.

use anyhow::Result;

use super::context::Context;
use super::explain::{Complaint, Quiet};
use crate::domain::alert::RunFacts;
use crate::domain::outcome::{ExitStatus, RunOutcome, Trigger};
use crate::domain::run::{Event, EventKind, Run, RunCommand, RunId, RunStart};
use crate::domain::units::Seconds;
use crate::ops::lock::{take_run_lock, this_process};
use crate::ops::notify::Voice;
use crate::ops::ticks::record_tick;
use crate::store::Store;
use crate::sys::lock::FileLock;
use crate::ui::json::skipped_run;
use crate::ui::{Format, text};

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
    let mut skipped = None;
    if let Some(store) = &store {
        let start = RunStart {
            command,
            trigger,
            process: this_process(&context.host),
            at: context.now(),
        };
        let id = record_skip(store, &start, holder.as_ref())?;
        let settings = context.settings(Some(store))?;
        if command == RunCommand::RunDue {
            // A tick that found a long run is one all the same.
            record_tick(store, trigger, settings.timer_every(), start.at)?;
        }
        let (outcome, status) = (RunOutcome::SkippedLocked, ExitStatus::Locked);
        let run = RunFacts::skipped(&start, id, outcome, status);
        let voice = Voice {
            host: &context.host,
            home: &context.home,
            store,
            settings: &settings,
        };
        voice.tell_skipped(&run);
        skipped = Some(run);
    }
    if context.out.format != Format::Table {
        let (outcome, status) = (RunOutcome::SkippedLocked, ExitStatus::Locked);
        let document = || skipped_run(trigger, skipped.as_ref(), outcome, status, Vec::new());
        context.out.result(|_| String::new(), document)?;
    }
    if trigger == Trigger::Timer && !context.host.stderr_is_terminal() {
        // A long run is no trouble, and a mail for each tick meanwhile would be.
        log::info!("another run holds the lock");
        return Err(Quiet(ExitStatus::Locked).into());
    }
    let mut complaint = Complaint::new(ExitStatus::Locked, "another run holds the lock");
    if let Some(run) = holder {
        complaint = complaint.cause(format!(
            "{} runs on {} as process {} since {}",
            run.start.command,
            run.start.process.host,
            run.start.process.pid,
            text::local_time(run.start.at, &context.host.time_zone())
        ));
    }
    let next = match command {
        RunCommand::RunDue | RunCommand::Download | RunCommand::Verify => {
            "add `--wait` to wait for its end, or `--wait=10m` for so long"
        }
        _ => "try again when it has ended",
    };
    Err(complaint.next(next).into())
}

/// Writes down that this run was skipped.
fn record_skip(store: &Store, start: &RunStart, holder: Option<&Run>) -> Result<RunId> {
    store.transaction(|store| -> Result<RunId> {
        let code = ExitStatus::Locked.code();
        let id = store.record_skipped_run(start, RunOutcome::SkippedLocked, code)?;
        let other = holder.map_or("another run".to_owned(), |run| {
            format!("{} (process {})", run.start.command, run.start.process.pid)
        });
        store.record_event(&Event {
            at: start.at,
            kind: EventKind::Skipped,
            model_id: None,
            run_id: Some(id.clone()),
            detail: format!("{} found the lock held by {other}", start.command),
        })?;
        Ok(id)
    })
}
