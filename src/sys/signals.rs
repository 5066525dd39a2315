//! Ctrl-C: the first asks the run to save its state and end, the second leaves at once.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

use super::stop::{StopFlag, StopReason};

/// Raises the flag on Ctrl-C. May be called once in a process.
///
/// SIGTERM is left to the system: what is on disk survives any end.
pub fn stop_on_interrupt(stop: &StopFlag) -> Result<()> {
    static ASKED: AtomicBool = AtomicBool::new(false);
    let stop = stop.clone();
    ctrlc::set_handler(move || {
        if ASKED.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        stop.raise(StopReason::Interrupted);
    })
    .context("cannot watch for Ctrl-C")
}
