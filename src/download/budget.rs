//! Transfer budgets, reserved before a request is sent.
//!
//! A server sends all requested bytes, read or not. So each request reserves its bytes first,
//! asks for no more, and returns the unused rest.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::limits::LimitGroup;

/// Smallest request for a part of a large file, except for its last bytes.
pub(crate) const MIN_REQUEST: u64 = 4 << 10;

/// Smallest part of a shared budget that one connection reserves.
const MIN_SHARE: u64 = 1 << 20;

/// A limit on received bytes; `most: None` is unlimited.
#[derive(Debug, Default)]
pub(crate) struct TransferBudget {
    most: Option<u64>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// Bytes received.
    spent: u64,
    /// Bytes that requests in progress may still receive.
    reserved: u64,
}

impl TransferBudget {
    pub(crate) fn new(most: Option<u64>) -> Self {
        Self {
            most,
            taken: Mutex::default(),
        }
    }

    pub(crate) fn is_bounded(&self) -> bool {
        self.most.is_some()
    }

    #[cfg(any(test, feature = "for-tests"))]
    pub(crate) fn spent(&self) -> u64 {
        self.taken().spent
    }

    /// Returns the bytes that are neither spent nor reserved.
    pub(crate) fn left(&self) -> u64 {
        let taken = self.taken();
        self.most.map_or(u64::MAX, |most| {
            most.saturating_sub(taken.spent + taken.reserved)
        })
    }

    /// Returns how many bytes one of several connections may reserve.
    pub(crate) fn share(&self, connections: usize) -> u64 {
        let left = self.left();
        left.min((left / connections.max(1) as u64).max(MIN_SHARE))
    }

    /// Returns whether a request of `least` bytes is impossible for good: too few bytes remain and no
    /// request in progress can return any.
    pub(crate) fn is_exhausted_for(&self, least: u64) -> bool {
        let taken = self.taken();
        self.most
            .is_some_and(|most| taken.reserved == 0 && most.saturating_sub(taken.spent) < least)
    }

    /// Reserves up to `wanted` bytes; returns how many it reserved.
    pub(super) fn take(&self, wanted: u64) -> u64 {
        let mut taken = self.taken();
        let Some(most) = self.most else {
            return wanted;
        };
        let got = wanted.min(most.saturating_sub(taken.spent + taken.reserved));
        taken.reserved += got;
        got
    }

    pub(super) fn give_back(&self, bytes: u64) {
        if self.is_bounded() {
            let mut taken = self.taken();
            taken.reserved = taken.reserved.saturating_sub(bytes);
        }
    }

    /// Counts received bytes; `of_grant` of them had been reserved.
    pub(super) fn spend(&self, bytes: u64, of_grant: u64) {
        let mut taken = self.taken();
        taken.spent += bytes;
        if self.is_bounded() {
            taken.reserved = taken.reserved.saturating_sub(of_grant);
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes that one request may receive, reserved in the budgets of a limit group and its ancestors.
/// The unused rest is returned on drop.
#[derive(Debug)]
pub(crate) struct Grant {
    limits: LimitGroup,
    /// `None` when no budget is bounded.
    left: Option<u64>,
}

impl Grant {
    /// Reserves up to `wanted` bytes; the grant may hold fewer or none.
    pub(crate) fn take(limits: &LimitGroup, wanted: u64) -> Self {
        let is_bounded = limits.has_budget();
        Self {
            limits: limits.clone(),
            left: is_bounded.then(|| limits.reserve(wanted)),
        }
    }

    pub(crate) fn limits(&self) -> &LimitGroup {
        &self.limits
    }

    /// Returns the unused bytes; `None` is unlimited.
    pub(crate) fn left(&self) -> Option<u64> {
        self.left
    }

    pub(crate) fn covers(&self, bytes: u64) -> bool {
        self.left.is_none_or(|left| left >= bytes)
    }

    /// Returns all but `bytes` to the budgets.
    pub(crate) fn keep(&mut self, bytes: u64) {
        let Some(left) = &mut self.left else {
            return;
        };
        let spare = left.saturating_sub(bytes);
        *left -= spare;
        self.limits.give_back(spare);
    }

    /// Reserves the missing part of `bytes`. If that fails, returns everything: two grants that
    /// hold a part each would block each other.
    pub(crate) fn grow_to(&mut self, bytes: u64) -> bool {
        if let Some(left) = self.left {
            self.add(bytes.saturating_sub(left));
        }
        let is_enough = self.covers(bytes);
        if !is_enough {
            self.keep(0);
        }
        is_enough
    }

    /// Counts received bytes, including bytes beyond the grant.
    pub(crate) fn spend(&mut self, bytes: u64) {
        let granted = self.left.map_or(0, |left| left.min(bytes));
        if let Some(left) = &mut self.left {
            *left -= granted;
        }
        self.limits.spend(bytes, granted);
    }

    /// Reserves up to `wanted` more bytes.
    pub(crate) fn add(&mut self, wanted: u64) {
        if let Some(left) = &mut self.left {
            *left += self.limits.reserve(wanted);
        }
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.keep(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::stop::StopFlag;
    use proptest::prelude::*;

    fn run_of(most: u64) -> LimitGroup {
        LimitGroup::root(StopFlag::new(), Some(most))
    }

    #[test]
    fn grants_never_exceed_the_budget() {
        let run = run_of(100);
        let limits = run.child(Some(70));
        let mut first = Grant::take(&limits, 50);
        let second = Grant::take(&limits, 50);
        assert_eq!((first.left(), second.left()), (Some(50), Some(20)));
        assert_eq!((run.bytes_left(), limits.bytes_left()), (30, 0));
        first.spend(10);
        drop(first);
        assert_eq!((run.bytes_left(), limits.bytes_left()), (70, 40));
        drop(second);
        assert_eq!((run.bytes_left(), limits.bytes_left()), (90, 60));
        assert_eq!(limits.transferred(), 10);
    }

    #[test]
    fn a_grant_that_cannot_grow_returns_its_bytes() {
        let run = run_of(100);
        let limits = run.child(None);
        let mut first = Grant::take(&limits, 60);
        let mut second = Grant::take(&limits, 30);
        assert!(!second.grow_to(50));
        assert_eq!(second.left(), Some(0));
        assert!(first.grow_to(100));
        assert!(!run.stop_if_exhausted(1), "a request is in progress");
        first.spend(100);
        assert!(run.stop_if_exhausted(1) && limits.is_stopped());
    }

    #[test]
    fn an_unlimited_budget_grants_everything_and_counts_it() {
        let run = LimitGroup::default();
        let limits = run.child(None);
        let mut grant = Grant::take(&limits, 1);
        assert!(grant.covers(u64::MAX) && grant.grow_to(u64::MAX));
        grant.spend(7);
        assert_eq!((run.transferred(), limits.transferred()), (7, 7));
        assert!(!run.stop_if_exhausted(u64::MAX));
    }

    #[test]
    fn a_small_rest_is_shared_in_parts_of_a_minimum_size() {
        let mib = 1 << 20;
        assert_eq!(run_of(64 * mib).share(8), 8 * mib);
        assert_eq!(run_of(4 * mib).share(8), mib);
        assert_eq!(run_of(1000).share(8), 1000);
        assert_eq!(LimitGroup::default().share(2), u64::MAX / 2);
    }

    proptest! {
        #[test]
        fn spent_granted_and_left_bytes_add_up_to_the_budget(
            most in 0u64..1000,
            steps in prop::collection::vec((0u8..4, 0u64..400), 0..60),
        ) {
            let run = run_of(most);
            let limits = run.child(None);
            let mut grants: Vec<Grant> = Vec::new();
            let mut spent = 0;
            for (what, n) in steps {
                match (what, grants.last_mut()) {
                    (0, _) => grants.push(Grant::take(&limits, n)),
                    (1, Some(grant)) => {
                        let n = n.min(grant.left().unwrap_or(0));
                        grant.spend(n);
                        spent += n;
                    }
                    (2, Some(grant)) => {
                        let is_enough = grant.grow_to(n);
                        prop_assert_eq!(is_enough, grant.covers(n));
                    }
                    (_, Some(_)) => drop(grants.pop()),
                    (_, None) => {}
                }
                let held: u64 = grants.iter().filter_map(Grant::left).sum();
                prop_assert_eq!(spent + held + run.bytes_left(), most);
            }
            drop(grants);
            prop_assert_eq!(run.bytes_left(), most - spent);
        }
    }
}
