//! Verified files that nobody has given a final name yet.
//!
//! Each keeps its lock open. Connections are often faster than the thread that
//! stores and publishes, so they wait where too many are in line.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often a waiting connection looks whether it shall leave.
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
pub(crate) struct Backlog {
    n_files: Mutex<usize>,
    fewer: Condvar,
}

/// The place of one file in the line, until it is dropped.
#[derive(Debug)]
pub(crate) struct InLine(Arc<Backlog>);

impl Backlog {
    pub(crate) fn enter(self: &Arc<Self>) -> InLine {
        *self.n_files() += 1;
        InLine(Arc::clone(self))
    }

    /// Waits until fewer files are in line than `most`, or `is_over`.
    pub(crate) fn wait_below(&self, most: usize, is_over: impl Fn() -> bool) {
        let mut n_files = self.n_files();
        while *n_files >= most && !is_over() {
            n_files = match self.fewer.wait_timeout(n_files, LOOK_EVERY) {
                Ok((n_files, _)) => n_files,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    fn n_files(&self) -> MutexGuard<'_, usize> {
        self.n_files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InLine {
    fn drop(&mut self) {
        *self.0.n_files() -= 1;
        self.0.fewer.notify_all();
    }
}
