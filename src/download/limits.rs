//! Limits shared by a group of files, in addition to those of the run.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::budget::TransferBudget;
use super::pace::RateLimiter;
use crate::sys::stop::StopFlag;

/// A group of files with its own stop flag, rate limit and transfer budget. Clones refer to the
/// same group.
///
/// A run serves several schedules. When the bytes or hours of one schedule are used up, its
/// files stop and the others continue.
#[derive(Clone, Debug)]
pub struct LimitGroup(Arc<GroupInner>);

#[derive(Debug)]
struct GroupInner {
    stop: StopFlag,
    rate: Arc<AtomicU64>,
    limiter: RateLimiter,
    budget: TransferBudget,
}

impl LimitGroup {
    /// Creates a group whose files together receive at most `max_transfer` bytes; after that it
    /// stops with `TransferBudget`.
    pub fn new(max_transfer: Option<u64>) -> Self {
        let rate: Arc<AtomicU64> = Arc::default();
        Self(Arc::new(GroupInner {
            stop: StopFlag::new(),
            limiter: RateLimiter::new(rate.clone()),
            rate,
            budget: TransferBudget::new(max_transfer),
        }))
    }

    /// Raised when the time or the transfer budget of the group is used up.
    pub fn stop(&self) -> &StopFlag {
        &self.0.stop
    }

    /// Rate limit for all files of the group together, in bytes per second; zero is unlimited. It
    /// may change during the run.
    pub fn rate(&self) -> &Arc<AtomicU64> {
        &self.0.rate
    }

    /// Returns the bytes received for the files of the group.
    pub fn transferred(&self) -> u64 {
        self.0.budget.spent()
    }

    pub(crate) fn limiter(&self) -> &RateLimiter {
        &self.0.limiter
    }

    pub(crate) fn budget(&self) -> &TransferBudget {
        &self.0.budget
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Default for LimitGroup {
    /// Creates a group without limits.
    fn default() -> Self {
        Self::new(None)
    }
}
