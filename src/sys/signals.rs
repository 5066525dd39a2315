//! Signals: the first asks the run to save its state and end, the second exits at
//! once.
//!
//! On Unix a dedicated thread waits for signals, and they are blocked in all
//! others: no handler interrupts other code, and the thread knows which signal
//! arrived. Windows calls a handler in a new thread for Ctrl-C, Ctrl-Break, the closing
//! of the console, logging off and shutting down.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

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
        first: None,
    };
    handle_signals(move |reason| requests.take(reason))
}

/// A signal so soon after the first is the same request: `timeout` and shells signal a process
/// and then its group.
const SAME_REQUEST: Duration = Duration::from_millis(300);

/// Counts stop signals: the first raises the flag, the second exits.
struct StopRequests {
    stop: StopFlag,
    first: Option<Instant>,
}

impl StopRequests {
    fn take(&mut self, reason: StopReason) {
        if let Some(first) = self.first {
            if first.elapsed() < SAME_REQUEST {
                return;
            }
            let status = exit_status(reason).unwrap_or(ExitStatus::Interrupted);
            super::process::exit(status);
        }
        self.first = Some(Instant::now());
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

#[cfg(windows)]
type OnEvent = Box<dyn FnMut(StopReason) + Send>;

/// The handler of console events has no other way to its data.
#[cfg(windows)]
static ON_EVENT: std::sync::Mutex<Option<OnEvent>> = std::sync::Mutex::new(None);

#[cfg(windows)]
#[allow(unsafe_code)]
fn handle_signals(on: impl FnMut(StopReason) + Send + 'static) -> Result<()> {
    use anyhow::Context;
    use windows_sys::Win32::System::Console::SetConsoleCtrlHandler;

    *lock_handler() = Some(Box::new(on));
    // SAFETY: the handler is a function without captured data, valid for the whole process.
    let is_set = unsafe { SetConsoleCtrlHandler(Some(take_event), 1) } != 0;
    if is_set {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error()).context("cannot watch for Ctrl-C")
    }
}

#[cfg(windows)]
fn lock_handler() -> std::sync::MutexGuard<'static, Option<OnEvent>> {
    let locked = ON_EVENT.lock();
    locked.unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Called by the system in a new thread for each console event.
#[cfg(windows)]
#[allow(unsafe_code)]
unsafe extern "system" fn take_event(event: u32) -> windows_sys::core::BOOL {
    use windows_sys::Win32::System::Console::{CTRL_BREAK_EVENT, CTRL_C_EVENT};

    const HANDLED: windows_sys::core::BOOL = 1;
    let may_go_on = matches!(event, CTRL_C_EVENT | CTRL_BREAK_EVENT);
    if let Some(on) = &mut *lock_handler() {
        on(if may_go_on {
            StopReason::Interrupted
        } else {
            StopReason::Terminated
        });
    }
    // After other events the system ends the process as soon as the handler returns, and at
    // the latest after five seconds. The run ends the process before.
    while !may_go_on {
        std::thread::park();
    }
    HANDLED
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
            first: None,
        };
        // The second one at the same moment is of the same request: the process goes on.
        requests.take(StopReason::Terminated);
        requests.take(StopReason::Terminated);
        assert_eq!(stop.reason(), Some(StopReason::Terminated));
    }
}

#[cfg(all(test, windows))]
mod tests {
    use super::*;
    use std::time::Duration;
    use windows_sys::Win32::System::Console::{
        CTRL_BREAK_EVENT, CTRL_CLOSE_EVENT, CTRL_SHUTDOWN_EVENT,
    };

    /// Calls the handler as the system does; returns the reason of the stop, and whether the
    /// handler has returned.
    #[allow(unsafe_code)]
    fn after(event: u32) -> (Option<StopReason>, bool) {
        let stop = StopFlag::new();
        let flag = stop.clone();
        *lock_handler() = Some(Box::new(move |reason| flag.raise(reason)));
        // SAFETY: the handler takes a number and locks a mutex.
        let handler = std::thread::spawn(move || unsafe { take_event(event) });
        for _ in 0..500 {
            if stop.reason().is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(50));
        (stop.reason(), handler.is_finished())
    }

    #[test]
    fn only_events_that_end_the_process_keep_the_handler() {
        let interrupted = Some(StopReason::Interrupted);
        assert_eq!(after(CTRL_BREAK_EVENT), (interrupted, true));
        let terminated = Some(StopReason::Terminated);
        assert_eq!(after(CTRL_CLOSE_EVENT), (terminated, false));
        assert_eq!(after(CTRL_SHUTDOWN_EVENT), (terminated, false));
    }
}
