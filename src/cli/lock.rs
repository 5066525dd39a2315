//! The lock of the home, as commands take it.

use anyhow::Result;

use super::context::Context;
use super::explain::Complaint;
use crate::domain::outcome::{ExitStatus, RunOutcome, Trigger};
use crate::domain::run::{RunCommand, RunStart};
use crate::domain::units::Seconds;
use crate::ops::run::{take_run_lock, this_process};
use crate::store::Store;
use crate::sys::lock::FileLock;
use crate::ui::text;

/// Takes the lock, or says who holds it and writes down that this run was skipped.
pub fn take_lock(
    context: &Context,
    command: RunCommand,
    wait: Option<Seconds>,
) -> Result<FileLock> {
    if let Some(lock) = take_run_lock(&context.host, &context.home, wait)? {
        return Ok(lock);
    }
    let store = context.existing_store()?;
    let running = store.as_ref().map(Store::unfinished_runs).transpose()?;
    let holder = running.unwrap_or_default().pop();
    if let Some(store) = &store {
        let start = RunStart {
            command,
            trigger: Trigger::Manual,
            process: this_process(&context.host),
            at: context.now(),
        };
        store.record_skipped_run(&start, RunOutcome::SkippedLocked, ExitStatus::Locked.code())?;
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
        RunCommand::Download | RunCommand::Verify => {
            "add `--wait` to wait for its end, or `--wait=10m` for so long"
        }
        _ => "try again when it has ended",
    };
    Err(complaint.next(next).into())
}
