//! A stop flag: raised once, seen by every thread.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The reason to end a run before its work is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Ctrl-C.
    Interrupted,
    /// SIGTERM.
    Terminated,
    /// SIGHUP: the terminal was closed.
    #[cfg_attr(not(unix), allow(dead_code))]
    HungUp,
    /// `hfdl stop`.
    Requested,
    /// The longest duration of a run or a schedule.
    TimeBudget,
    /// The window of a schedule has closed.
    WindowClosed,
    /// The transfer budget is used up.
    TransferBudget,
    /// Nothing has moved for too long.
    Idle,
}

/// A flag that is raised once; clones share it.
///
/// Raising it only requests the stop: threads hand in their results and return in
/// the ordinary way. A thread that waits through the flag is woken.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Arc<StopState>);

#[derive(Debug, Default)]
struct StopState {
    reason: Mutex<Option<StopReason>>,
    raised: Condvar,
}

impl StopFlag {
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises the flag; the first reason is kept.
    pub fn raise(&self, reason: StopReason) {
        self.lock().get_or_insert(reason);
        self.0.raised.notify_all();
    }

    pub fn reason(&self) -> Option<StopReason> {
        *self.lock()
    }

    pub fn is_raised(&self) -> bool {
        self.reason().is_some()
    }

    /// Waits for `span`, or until the flag is raised; tells whether it is raised.
    pub fn pause(&self, span: Duration) -> bool {
        let end = Instant::now() + span;
        let mut reason = self.lock();
        while reason.is_none() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            reason = match self.0.raised.wait_timeout(reason, left) {
                Ok((reason, _)) => reason,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Option<StopReason>> {
        self.0.reason.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_is_kept() {
        let stop = StopFlag::new();
        assert!(!stop.pause(Duration::ZERO));
        stop.clone().raise(StopReason::TimeBudget);
        stop.raise(StopReason::Interrupted);
        assert_eq!(stop.reason(), Some(StopReason::TimeBudget));
    }

    #[test]
    fn raising_the_flag_ends_a_pause() {
        let stop = StopFlag::new();
        let waiting = stop.clone();
        let thread = std::thread::spawn(move || waiting.pause(Duration::from_secs(3600)));
        stop.raise(StopReason::Terminated);
        assert!(thread.join().unwrap());
    }
}
