//! The record of a run that ended without work.

use anyhow::Result;

use crate::domain::alert::RunFacts;
use crate::domain::outcome::{ExitStatus, RunOutcome};
use crate::domain::run::{Event, EventKind, RunStart};
use crate::store::Store;

/// Records a run that was skipped, with an event for each reason.
pub fn record_skipped_run(
    store: &Store,
    start: &RunStart,
    outcome: RunOutcome,
    status: ExitStatus,
    reasons: Vec<String>,
) -> Result<RunFacts> {
    store.transaction(|store| -> Result<RunFacts> {
        let id = store.record_skipped_run(start, outcome, status.code())?;
        for detail in reasons {
            store.record_event(&Event {
                at: start.at,
                kind: EventKind::Skipped,
                model_id: None,
                run_id: Some(id.clone()),
                detail,
            })?;
        }
        Ok(RunFacts::skipped(start, id, outcome, status))
    })
}
