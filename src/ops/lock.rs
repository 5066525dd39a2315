//! The lock of a home: one run at a time.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::domain::run::RunProcess;
use crate::domain::units::Seconds;
use crate::sys::host::Host;
use crate::sys::lock::FileLock;
use crate::sys::paths::Home;
use crate::sys::process;

/// Takes the lock of the home, and waits for it up to `wait`.
pub fn take_run_lock(host: &Host, home: &Home, wait: Option<Seconds>) -> Result<Option<FileLock>> {
    const STEP: Duration = Duration::from_millis(200);
    crate::sys::fs::create_private_dir(home.path())
        .with_context(|| format!("cannot create `{}`", home.path().display()))?;
    let path = home.lock();
    let mut waited = Duration::ZERO;
    loop {
        let lock = FileLock::try_acquire(&path)
            .with_context(|| format!("cannot lock `{}`", path.display()))?;
        let may_wait = wait.is_some_and(|wait| waited < Duration::from_secs(wait.get()));
        if lock.is_some() || !may_wait {
            return Ok(lock);
        }
        host.pause(STEP);
        waited += STEP;
    }
}

/// Describes this process for the database.
pub fn this_process(host: &Host) -> RunProcess {
    RunProcess {
        host: host.name(),
        pid: std::process::id(),
        boot_id: host.boot_id(),
        process_start: process::start_of(std::process::id()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}
