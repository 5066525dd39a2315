//! Counters of one file in progress.

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Received, reused and copied bytes of a file, and its retries.
#[derive(Debug, Default)]
pub(crate) struct FileCounters {
    pub(crate) fetched: AtomicU64,
    pub(crate) reused: AtomicU64,
    /// Bytes by source file.
    copied: Mutex<Vec<u64>>,
    pub(crate) copies_were_wrong: AtomicBool,
    pub(crate) retries: AtomicU32,
}

impl FileCounters {
    pub(crate) fn copied(&self) -> Vec<u64> {
        self.by_source().clone()
    }

    pub(crate) fn add_copied(&self, source: usize, bytes: u64) {
        let mut copied = self.by_source();
        if copied.len() <= source {
            copied.resize(source + 1, 0);
        }
        copied[source] += bytes;
        self.reused.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Resets the reused bytes after all bytes were discarded.
    pub(crate) fn clear_reused(&self) {
        self.reused.store(0, Ordering::Relaxed);
        if !mem::take(&mut *self.by_source()).is_empty() {
            self.copies_were_wrong.store(true, Ordering::Relaxed);
        }
    }

    fn by_source(&self) -> MutexGuard<'_, Vec<u64>> {
        self.copied.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
