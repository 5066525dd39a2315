//! The lock of a home: one run at a time.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::domain::run::RunProcess;
use crate::domain::units::Seconds;
use crate::sys::host::Host;
use crate::sys::lock::FileLock;
use crate::sys::paths::Home;
use crate::sys::pause::Sleeper;
use crate::sys::process;
use crate::sys::signals::process_stop;

/// Takes the lock of the home, and waits for it up to `wait`.
pub fn take_run_lock(host: &Host, home: &Home, wait: Option<Seconds>) -> Result<Option<FileLock>> {
    const STEP: Duration = Duration::from_millis(200);
    crate::sys::fs::create_private_dir(home.path())
        .with_context(|| format!("cannot create `{}`", home.path().display()))?;
    let path = home.lock();
    let limit = Duration::from_secs(wait.unwrap_or_default().get());
    let mut waited = Duration::ZERO;
    let may_wait = || {
        waited += STEP;
        waited <= limit
    };
    let pause = Sleeper::until_stopped(&process_stop()).on(host);
    FileLock::acquire_while(&path, STEP, &pause, may_wait)
        .with_context(|| format!("cannot lock `{}`", path.display()))
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
