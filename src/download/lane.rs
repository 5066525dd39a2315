//! Limits that some files of a run share, besides those of the run.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::budget::Budget;
use super::pace::RateLimiter;
use crate::sys::stop::StopFlag;

/// A group of files with its own end, rate and budget; clones are the same lane.
///
/// One run serves several schedules. When one of them has used up its bytes or
/// its hours, its files stop and those of the others go on.
#[derive(Clone, Debug)]
pub struct Lane(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    stop: StopFlag,
    rate: Arc<AtomicU64>,
    limiter: RateLimiter,
    budget: Budget,
}

impl Lane {
    /// Makes a lane whose files together ask for no more bytes than that; then it
    /// stops with `TransferBudget`.
    pub fn new(max_transfer: Option<u64>) -> Self {
        let rate: Arc<AtomicU64> = Arc::default();
        Self(Arc::new(Inner {
            stop: StopFlag::new(),
            limiter: RateLimiter::new(rate.clone()),
            rate,
            budget: Budget::new(max_transfer),
        }))
    }

    /// Raised when the time is over, or when the bytes are used up.
    pub fn stop(&self) -> &StopFlag {
        &self.0.stop
    }

    /// Bytes a second for all files of the lane together, changed at will from
    /// outside; zero is no limit.
    pub fn rate(&self) -> &Arc<AtomicU64> {
        &self.0.rate
    }

    /// Returns how many bytes came over the line for the lane's files.
    pub fn transferred(&self) -> u64 {
        self.0.budget.spent()
    }

    pub(crate) fn limiter(&self) -> &RateLimiter {
        &self.0.limiter
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.0.budget
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Default for Lane {
    /// Makes a lane without limits of its own.
    fn default() -> Self {
        Self::new(None)
    }
}
