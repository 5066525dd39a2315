//! Limits of a run and, below them, those of its schedules.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::budget::TransferBudget;
use super::pace::RateLimiter;
use crate::sys::stop::{StopFlag, StopReason};

/// A node of the tree of limits: a stop flag, a rate limit and a transfer budget for all files
/// below it. Clones refer to the same node.
///
/// The run is the root, and each schedule is a child. A file is subject to the limits of its
/// group and of all ancestors. An allowance is a budget that several groups may share. When the bytes or hours of one schedule are used up, its files
/// stop and the others continue.
#[derive(Clone, Debug)]
pub struct LimitGroup(Arc<LimitNode>);

#[derive(Debug)]
struct LimitNode {
    parent: Option<LimitGroup>,
    stop: StopFlag,
    rate: Arc<AtomicU64>,
    limiter: RateLimiter,
    budget: Arc<TransferBudget>,
    /// Other groups may share them.
    allowances: Vec<Arc<TransferBudget>>,
}

impl LimitNode {
    fn budgets(&self) -> impl Iterator<Item = &Arc<TransferBudget>> {
        std::iter::once(&self.budget).chain(&self.allowances)
    }
}

impl LimitGroup {
    /// Creates the root of a tree. `stop` ends everything in it; after `max_transfer` bytes it is
    /// raised with `TransferBudget`.
    pub fn root(stop: StopFlag, max_transfer: Option<u64>) -> Self {
        Self::new(None, stop, max_transfer)
    }

    /// Creates a group below this one, with a stop flag of its own.
    pub fn child(&self, max_transfer: Option<u64>) -> Self {
        Self::new(Some(self.clone()), StopFlag::new(), max_transfer)
    }

    fn new(parent: Option<Self>, stop: StopFlag, max_transfer: Option<u64>) -> Self {
        let rate: Arc<AtomicU64> = Arc::default();
        Self(Arc::new(LimitNode {
            parent,
            stop,
            limiter: RateLimiter::new(rate.clone()),
            rate,
            budget: Arc::new(TransferBudget::new(max_transfer)),
            allowances: Vec::new(),
        }))
    }

    /// Adds allowances to a group that no file has yet.
    pub fn with_allowances(
        self,
        allowances: impl IntoIterator<Item = Arc<TransferBudget>>,
    ) -> Self {
        let mut node = Arc::into_inner(self.0).expect("the group was just made");
        node.allowances.extend(allowances);
        Self(Arc::new(node))
    }

    /// Raised when the time or the transfer budget of this group is used up.
    pub fn stop(&self) -> &StopFlag {
        &self.0.stop
    }

    /// Returns the reason of the nearest stop, of this group or an ancestor.
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.path().find_map(|group| group.0.stop.reason())
    }

    /// Returns the nearest group that was stopped: this one or an ancestor.
    pub(crate) fn stopped_group(&self) -> Option<&Self> {
        self.path().find(|group| group.0.stop.is_raised())
    }

    pub fn is_stopped(&self) -> bool {
        self.stop_reason().is_some()
    }

    /// Rate limit for all files of the group together, in bytes per second; zero is unlimited. It
    /// may change during the run.
    pub fn rate(&self) -> &Arc<AtomicU64> {
        &self.0.rate
    }

    /// Returns the bytes received for the files of the group.
    #[cfg(any(test, debug_assertions))]
    pub fn transferred(&self) -> u64 {
        self.0.budget.spent_and_reserved().0
    }

    /// Returns this group and its ancestors, the root last.
    pub(crate) fn path(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |group| group.0.parent.as_ref())
    }

    /// Returns how many bytes to read at once under the rate limits.
    pub(crate) fn read_size(&self, wanted: usize) -> usize {
        self.path()
            .fold(wanted, |size, group| group.0.limiter.read_size(size))
    }

    /// Charges received bytes to the rate limits; returns the delay that keeps all of them.
    pub(crate) fn charge(&self, bytes: u64) -> Duration {
        let waits = self.path().map(|group| group.0.limiter.charge(bytes));
        waits.max().unwrap_or_default()
    }

    /// Returns whether a rate limit is the bottleneck, rather than the network.
    pub(crate) fn is_limiting(&self) -> bool {
        self.path().any(|group| group.0.limiter.is_limiting())
    }

    /// Returns the budgets of this group and its ancestors.
    fn budgets(&self) -> impl Iterator<Item = &Arc<TransferBudget>> {
        self.path().flat_map(|group| group.0.budgets())
    }

    fn allowances(&self) -> impl Iterator<Item = &Arc<TransferBudget>> {
        self.path().flat_map(|group| &group.0.allowances)
    }

    /// Returns whether an allowance limits the files of this group.
    pub fn has(&self, budget: &Arc<TransferBudget>) -> bool {
        self.allowances().any(|own| Arc::ptr_eq(own, budget))
    }

    pub(crate) fn has_budget(&self) -> bool {
        self.budgets().any(|budget| budget.is_bounded())
    }

    /// Returns whether an allowance has less than `least` bytes left.
    pub fn is_spent(&self, least: u64) -> bool {
        self.allowances().any(|budget| budget.is_spent(least))
    }

    /// Returns whether soft allowances let another file start.
    pub(crate) fn may_start(&self) -> bool {
        self.allowances().all(|allowance| allowance.may_start())
    }

    /// Returns the bytes that are neither spent nor reserved.
    pub(crate) fn bytes_left(&self) -> u64 {
        let left = self.budgets().map(|budget| budget.left());
        left.min().unwrap_or(u64::MAX)
    }

    /// Returns how many bytes one of several connections may reserve.
    pub(crate) fn share(&self, connections: usize) -> u64 {
        let shares = self.budgets().map(|budget| budget.share(connections));
        shares.min().unwrap_or(u64::MAX)
    }

    /// Reserves up to `wanted` bytes in all budgets; returns how many it reserved.
    pub(crate) fn reserve(&self, wanted: u64) -> u64 {
        let mut got = wanted;
        let mut reserved: Vec<(&TransferBudget, u64)> = Vec::new();
        for budget in self.budgets() {
            got = budget.take(got);
            reserved.push((budget, got));
        }
        for (budget, more) in reserved {
            budget.give_back(more - got);
        }
        got
    }

    pub(crate) fn give_back(&self, bytes: u64) {
        self.budgets().for_each(|budget| budget.give_back(bytes));
    }

    /// Counts received bytes; `reserved` of them had been reserved.
    pub(crate) fn spend(&self, bytes: u64, reserved: u64) {
        self.budgets()
            .for_each(|budget| budget.spend(bytes, reserved));
    }

    /// Stops this group if its own budgets can never provide `bytes`; returns whether it did.
    pub(crate) fn stop_if_exhausted(&self, bytes: u64) -> bool {
        let is_exhausted = self
            .0
            .budgets()
            .any(|budget| budget.is_exhausted_for(bytes));
        if is_exhausted {
            self.0.stop.raise(StopReason::TransferBudget);
        }
        is_exhausted
    }

    /// Stops this group, of which no file is in progress, if a soft allowance of its own lets none
    /// start; returns whether it did.
    pub(crate) fn stop_if_none_may_start(&self) -> bool {
        let may_start = self
            .0
            .allowances
            .iter()
            .all(|allowance| allowance.may_start());
        if !may_start {
            self.0.stop.raise(StopReason::TransferBudget);
        }
        !may_start
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Default for LimitGroup {
    /// Creates a root without limits.
    fn default() -> Self {
        Self::root(StopFlag::new(), None)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn a_group_is_stopped_by_its_nearest_stop_and_not_by_its_sibling() {
        let run = LimitGroup::default();
        let (first, second) = (run.child(None), run.child(None));
        first.stop().raise(StopReason::TransferBudget);
        assert_eq!(first.stop_reason(), Some(StopReason::TransferBudget));
        assert!(!run.is_stopped() && !second.is_stopped());
        run.stop().raise(StopReason::Interrupted);
        assert_eq!(first.stop_reason(), Some(StopReason::TransferBudget));
        assert_eq!(second.stop_reason(), Some(StopReason::Interrupted));
    }

    #[test]
    fn the_lower_rate_of_a_group_and_its_run_delays_a_file() {
        for (of_run, of_child) in [(1000, 0), (0, 1000), (1000, 8000)] {
            let run = LimitGroup::default();
            let child = run.child(None);
            run.rate().store(of_run, Ordering::Relaxed);
            child.rate().store(of_child, Ordering::Relaxed);
            let wait = child.charge(2000).as_secs_f64();
            assert!((1.5..2.0).contains(&wait), "{of_run} {of_child}: {wait}");
        }
    }
}
