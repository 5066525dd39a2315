//! The backlog of verified files that have no final name yet.
//!
//! Each large one holds an open lock file. Connections can be faster than the thread that
//! publishes, so they wait while the backlog is full.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Interval between two checks of the stop condition.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
pub(crate) struct Backlog {
    state: Mutex<BacklogState>,
    fewer: Condvar,
}

#[derive(Debug, Default)]
struct BacklogState {
    n_files: usize,
    n_waiting: usize,
}

/// One file in the backlog, removed on drop.
#[derive(Debug)]
pub(crate) struct BacklogEntry(Arc<Backlog>);

impl Backlog {
    pub(crate) fn enter(self: &Arc<Self>) -> BacklogEntry {
        self.state().n_files += 1;
        BacklogEntry(Arc::clone(self))
    }

    /// Waits until the backlog holds fewer than `most` files, or `is_stopped` returns true.
    pub(crate) fn wait_until_below(&self, most: usize, is_stopped: impl Fn() -> bool) {
        let mut state = self.state();
        while state.n_files >= most && !is_stopped() {
            state.n_waiting += 1;
            let waited = self.fewer.wait_timeout(state, POLL_INTERVAL);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.n_waiting -= 1;
        }
    }

    fn state(&self) -> MutexGuard<'_, BacklogState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for BacklogEntry {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.n_files -= 1;
        let is_awaited = state.n_waiting > 0;
        drop(state);
        if is_awaited {
            self.0.fewer.notify_all();
        }
    }
}
