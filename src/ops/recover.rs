//! Closes what dead processes left open.

use anyhow::Result;

use crate::domain::run::{Event, EventKind, Run};
use crate::domain::time::Timestamp;
use crate::store::Store;

/// Closes the runs and sessions that ended without a word, and returns the
/// runs; the caller holds the lock of the home, which proves that they are
/// dead. Slots stay unserved, so that the same start goes on with them.
pub fn recover(store: &Store, now: Timestamp) -> Result<Vec<Run>> {
    // Looking first: a tick that finds nothing to heal writes nothing.
    if !store.has_unfinished_runs()? {
        return Ok(Vec::new());
    }
    store.transaction(|store| {
        let stranded = store.close_crashed_runs(None)?;
        let mut runs = Vec::new();
        for id in &stranded.runs {
            // Of one that cannot be read no more is known than that it is over.
            let run = store.run(id);
            let detail = match &run {
                Ok(run) => {
                    let (command, pid) = (run.start.command, run.start.process.pid);
                    format!("{command} (process {pid}) ended without a word")
                }
                Err(err) => format!("a run that cannot be read ended without a word: {err}"),
            };
            log::info!("{detail}; what it fetched is used");
            store.record_event(&Event {
                at: now,
                kind: EventKind::Crashed,
                model_id: None,
                run_id: Some(id.clone()),
                detail,
            })?;
            runs.extend(run.ok());
        }
        Ok(runs)
    })
}
