//! Closes the runs that crashed.

use anyhow::Result;

use crate::domain::run::{Event, EventKind, Run};
use crate::domain::time::Timestamp;
use crate::notify::gate;
use crate::store::Store;

/// Closes the runs and sessions of crashed processes, and returns the runs. The caller
/// holds the lock of the home, so that no other process has a run. Slots stay unserved:
/// the next run continues with them.
pub fn close_crashed_runs(store: &Store, now: Timestamp) -> Result<Vec<Run>> {
    // A tick without crashed runs writes nothing.
    if !store.has_unfinished_runs()? {
        return Ok(Vec::new());
    }
    store.transaction(|store| {
        let stranded = store.close_crashed_runs(None)?;
        let mut runs = Vec::new();
        for id in &stranded.runs {
            // Nothing but the id is known of a row that cannot be read.
            let run = store.run(id);
            let detail = match &run {
                Ok(run) => {
                    let (command, pid) = (run.start.command, run.start.process.pid);
                    format!("{command} (process {pid}) ended without a word")
                }
                Err(err) => format!("a run that cannot be read ended without a word: {err}"),
            };
            log::info!("{detail}; the fetched bytes are used");
            let n_ended = gate::end_orphans(id.as_str());
            if n_ended > 0 {
                log::warn!("ended {n_ended} processes that its gate had left");
            }
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
