//! Asks the run in progress to save its state and end.

use std::time::Duration;

use anyhow::{Context, Result};

use super::lock::take_run_lock;
use crate::domain::run::{Run, RunProcess};
use crate::domain::units::Seconds;
use crate::store::{Store, StoreError};
use crate::sys::host::Host;
use crate::sys::lock::FileLock;
use crate::sys::paths::Home;
use crate::sys::process;

/// The result of a stop request.
#[derive(Clone, Debug)]
pub enum StopAsked {
    NothingRuns,
    Asked(Box<Run>),
    /// The lock is held by something that keeps no record, such as the removal of files.
    Nameless,
}

/// Asks the run that holds the lock of a home to end.
///
/// Its row in the database carries the request, which works on every platform
/// within a second. On Unix a signal is faster; it is sent if there is no doubt
/// whose process it is.
pub fn ask_to_stop(host: &Host, home: &Home, store: Option<&Store>) -> Result<StopAsked> {
    if !is_held(home)? {
        return Ok(StopAsked::NothingRuns);
    }
    // The holder of the lock records its process a moment after it takes the lock.
    const LOOKS: u32 = 20;
    for _ in 0..LOOKS {
        // At most one open run is alive: the newest; others crashed.
        let newest = store.map(Store::unfinished_runs).transpose()?;
        if let (Some(store), Some(run)) = (store, newest.and_then(|mut runs| runs.pop())) {
            match store.request_stop(&run.id, host.now()) {
                Ok(()) => {
                    signal(host, home, &run.start.process)?;
                    return Ok(StopAsked::Asked(Box::new(run)));
                }
                // It has ended meanwhile.
                Err(StoreError::Ended { .. }) => {}
                Err(err) => return Err(err.into()),
            }
        }
        host.pause(Duration::from_millis(100));
        if !is_held(home)? {
            return Ok(StopAsked::NothingRuns);
        }
    }
    Ok(StopAsked::Nameless)
}

fn signal(host: &Host, home: &Home, process: &RunProcess) -> Result<()> {
    let is_ours = process.host == host.name()
        && process.boot_id.is_some()
        && process.boot_id == host.boot_id();
    if let Some(start) = process.process_start.as_deref().filter(|_| is_ours)
        && is_held(home)?
    {
        let was_sent = process::terminate(process.pid, start);
        log::debug!("SIGTERM to process {}: {was_sent}", process.pid);
    }
    Ok(())
}

/// Waits until the lock is free; `false` when it is still held at the limit.
pub fn wait_for_end(host: &Host, home: &Home, limit: Seconds) -> Result<bool> {
    // The lock and not the process: another one may have taken its number.
    Ok(!home.lock().exists() || take_run_lock(host, home, Some(limit))?.is_some())
}

/// Tells whether a process holds the lock of a home.
pub fn is_held(home: &Home) -> Result<bool> {
    let path = home.lock();
    if !path.exists() {
        return Ok(false);
    }
    let lock = FileLock::try_acquire(&path)
        .with_context(|| format!("cannot lock `{}`", path.display()))?;
    Ok(lock.is_none())
}
