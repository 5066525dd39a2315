//! Signals: the first asks the run to save its state and end, the second leaves at once.
//!
//! On Unix a thread waits for them and nothing else ever sees them: no handler
//! runs in the middle of anything, and the thread knows which one came. On
//! Windows nobody tells Ctrl-C from the closing of the console, and after the
//! latter the system ends the process as it likes; what is on disk survives
//! any end.

use std::sync::OnceLock;

use anyhow::Result;

use super::stop::{StopFlag, StopReason};
use crate::domain::outcome::ExitStatus;

static PROCESS: OnceLock<StopFlag> = OnceLock::new();

/// Returns the flag that ends this process's run, for waits deep below it. Where
/// signals just end the process, it is one that is never raised.
pub fn process_stop() -> StopFlag {
    PROCESS.get().cloned().unwrap_or_default()
}

/// Raises the flag on SIGINT, SIGTERM and SIGHUP, or what Windows has of them.
///
/// Called once in a process, before it starts any thread: threads inherit from
/// the calling one that they are not interrupted. A signal that whoever started
/// the process has it ignore stays ignored, as SIGHUP under `nohup`.
pub fn stop_on_signals(stop: &StopFlag) -> Result<()> {
    let _ = PROCESS.set(stop.clone());
    let mut asked = Asked {
        stop: stop.clone(),
        before: false,
    };
    watch(move |reason| asked.take(reason))
}

/// Whether the process has been asked to end.
struct Asked {
    stop: StopFlag,
    before: bool,
}

impl Asked {
    fn take(&mut self, reason: StopReason) {
        if self.before {
            let status = exit_status(reason).unwrap_or(ExitStatus::Interrupted);
            super::process::exit(status);
        }
        self.before = true;
        log::info!("asked to end; what has come is kept, and another signal leaves at once");
        self.stop.raise(reason);
    }
}

/// Returns the code of a process that a signal has asked to end.
pub fn exit_status(reason: StopReason) -> Option<ExitStatus> {
    match reason {
        StopReason::Terminated => Some(ExitStatus::Terminated),
        StopReason::Interrupted => Some(ExitStatus::Interrupted),
        StopReason::TimeBudget | StopReason::TransferBudget | StopReason::Idle => None,
    }
}

#[cfg(unix)]
fn watch(mut on: impl FnMut(StopReason) + Send + 'static) -> Result<()> {
    use anyhow::Context;
    use nix::sys::signal::{SigSet, Signal};

    let ignored = ignored_signals();
    let mut awaited = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        if !contains(ignored, signal as i32) {
            awaited.add(signal);
        }
    }
    awaited
        .thread_block()
        .context("cannot hold signals back from the threads")?;
    let wait = move || {
        while let Ok(signal) = awaited.wait() {
            on(match signal {
                Signal::SIGINT => StopReason::Interrupted,
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

/// Returns the signals that this process was started to ignore, a bit for each.
///
/// Only Linux hands over to a waiting thread what is to be ignored, and only
/// Linux has this file.
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
fn watch(mut on: impl FnMut(StopReason) + Send + 'static) -> Result<()> {
    use anyhow::Context;

    ctrlc::set_handler(move || on(StopReason::Interrupted)).context("cannot watch for Ctrl-C")
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_what_the_kernel_tells() {
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
    fn the_first_signal_asks_with_its_reason() {
        let stop = StopFlag::new();
        let mut asked = Asked {
            stop: stop.clone(),
            before: false,
        };
        asked.take(StopReason::Terminated);
        assert_eq!(stop.reason(), Some(StopReason::Terminated));
        assert!(asked.before);
    }
}
