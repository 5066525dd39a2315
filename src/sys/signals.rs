//! Signals: the first asks the run to save its state and end, the second exits at
//! once.
//!
//! On Unix a dedicated thread waits for signals, and they are blocked in all
//! others: no handler interrupts other code, and the thread knows which signal
//! arrived. On Windows Ctrl-C cannot be told from the closing of the console, after
//! which the system ends the process by itself; state on disk survives either end.

use std::sync::OnceLock;

use anyhow::Result;

use super::stop::{StopFlag, StopReason};
use crate::domain::outcome::ExitStatus;

static PROCESS: OnceLock<StopFlag> = OnceLock::new();

/// Returns the flag that stops this process's run, for waits deep in the call tree.
/// Without `stop_on_signals` the flag is never raised.
pub fn process_stop() -> StopFlag {
    PROCESS.get().cloned().unwrap_or_default()
}

/// Raises the flag on SIGINT, SIGTERM and SIGHUP, or their Windows counterparts.
///
/// Called once in a process, before any other thread is started: threads inherit
/// the blocked signals. A signal that the parent process had set to be ignored
/// stays ignored, as SIGHUP under `nohup`.
pub fn stop_on_signals(stop: &StopFlag) -> Result<()> {
    let _ = PROCESS.set(stop.clone());
    let mut requests = StopRequests {
        stop: stop.clone(),
        is_requested: false,
    };
    handle_signals(move |reason| requests.take(reason))
}

/// Counts stop signals: the first raises the flag, the second exits.
struct StopRequests {
    stop: StopFlag,
    is_requested: bool,
}

impl StopRequests {
    fn take(&mut self, reason: StopReason) {
        if self.is_requested {
            let status = exit_status(reason).unwrap_or(ExitStatus::Interrupted);
            super::process::exit(status);
        }
        self.is_requested = true;
        log::info!("stopping: received data is kept; a second signal exits at once");
        self.stop.raise(reason);
    }
}

/// Returns the code of a process that a signal has asked to end.
pub fn exit_status(reason: StopReason) -> Option<ExitStatus> {
    match reason {
        StopReason::Terminated | StopReason::HungUp | StopReason::Requested => {
            Some(ExitStatus::Terminated)
        }
        StopReason::Interrupted => Some(ExitStatus::Interrupted),
        StopReason::TimeBudget
        | StopReason::WindowClosed
        | StopReason::TransferBudget
        | StopReason::Idle => None,
    }
}

#[cfg(unix)]
fn handle_signals(mut on: impl FnMut(StopReason) + Send + 'static) -> Result<()> {
    use anyhow::Context;
    use nix::sys::signal::{SigSet, Signal};

    let ignored = ignored_signals();
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        if !contains(ignored, signal as i32) {
            signals.add(signal);
        }
    }
    signals
        .thread_block()
        .context("cannot block signals in the threads")?;
    let wait = move || {
        while let Ok(signal) = signals.wait() {
            on(match signal {
                Signal::SIGINT => StopReason::Interrupted,
                Signal::SIGHUP => StopReason::HungUp,
                _ => StopReason::Terminated,
            });
        }
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(wait)
        .context("cannot start the thread that waits for signals")?;
    Ok(())
}

/// Returns the signals that this process was started to ignore, as a bit set.
///
/// Only Linux delivers ignored signals to a waiting thread, and only Linux has this
/// file.
#[cfg(unix)]
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    parse_ignored(&status)
}

#[cfg(unix)]
fn parse_ignored(status: &str) -> u64 {
    let mut lines = status.lines();
    let digits = lines.find_map(|line| line.strip_prefix("SigIgn:"));
    digits.map_or(0, |digits| {
        u64::from_str_radix(digits.trim(), 16).unwrap_or(0)
    })
}

#[cfg(unix)]
fn contains(set: u64, signal: i32) -> bool {
    (1..=64).contains(&signal) && set >> (signal - 1) & 1 == 1
}

#[cfg(not(unix))]
fn handle_signals(mut on: impl FnMut(StopReason) + Send + 'static) -> Result<()> {
    use anyhow::Context;

    ctrlc::set_handler(move || on(StopReason::Interrupted)).context("cannot watch for Ctrl-C")
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_status_file() {
        let status = "Name:\thfdl\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";
        let ignored = parse_ignored(status);
        assert!(contains(ignored, 1), "SIGHUP");
        assert!(contains(ignored, 13), "SIGPIPE");
        assert!(!contains(ignored, 2) && !contains(ignored, 15));
        assert!(!contains(u64::MAX, 0) && !contains(u64::MAX, 65));
        for none in ["", "SigIgn:\t\n", "SigIgn:\tnone\n"] {
            assert_eq!(parse_ignored(none), 0, "{none:?}");
        }
    }

    #[test]
    fn the_first_signal_raises_the_flag_with_its_reason() {
        let stop = StopFlag::new();
        let mut requests = StopRequests {
            stop: stop.clone(),
            is_requested: false,
        };
        requests.take(StopReason::Terminated);
        assert_eq!(stop.reason(), Some(StopReason::Terminated));
        assert!(requests.is_requested);
    }
}
