//! The backlog of verified files that have no final name yet.
//!
//! Each of these files holds an open lock file. Connections can be faster than the thread that
//! publishes, so they wait while the backlog is full.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Interval between two checks of the stop condition.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
pub(crate) struct Backlog {
    n_files: Mutex<usize>,
    fewer: Condvar,
}

/// One file in the backlog, removed on drop.
#[derive(Debug)]
pub(crate) struct BacklogEntry(Arc<Backlog>);

impl Backlog {
    pub(crate) fn enter(self: &Arc<Self>) -> BacklogEntry {
        *self.n_files() += 1;
        BacklogEntry(Arc::clone(self))
    }

    /// Waits until the backlog holds fewer than `most` files, or `is_stopped` returns true.
    pub(crate) fn wait_until_below(&self, most: usize, is_stopped: impl Fn() -> bool) {
        let mut n_files = self.n_files();
        while *n_files >= most && !is_stopped() {
            n_files = match self.fewer.wait_timeout(n_files, POLL_INTERVAL) {
                Ok((n_files, _)) => n_files,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    fn n_files(&self) -> MutexGuard<'_, usize> {
        self.n_files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for BacklogEntry {
    fn drop(&mut self) {
        *self.0.n_files() -= 1;
        self.0.fewer.notify_all();
    }
}
