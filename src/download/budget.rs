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

/// A limit on received bytes: the budget of a run or a schedule, or an allowance that many runs
/// share. Groups of the tree may share one; the clones of an `Arc` are the same budget.
#[derive(Debug, Default)]
pub struct TransferBudget {
    /// Only the start of files is limited: those in progress may end.
    is_soft: bool,
    taken: Mutex<Taken>,
}

/// Counts since the budget was made.
#[derive(Debug, Default)]
struct Taken {
    /// The bytes that may ever be received; `None` is unlimited.
    most: Option<u64>,
    /// The part of `most` that requests may reserve now. An allowance grants bytes only after it
    /// has recorded them in the database.
    granted: u64,
    /// Bytes received.
    spent: u64,
    /// Bytes that requests in progress may still receive.
    reserved: u64,
}

impl TransferBudget {
    pub(crate) fn new(most: Option<u64>) -> Self {
        let budget = Self::default();
        if let Some(most) = most {
            budget.set(most, most);
        }
        budget
    }

    /// Creates an allowance, which counts and limits nothing until `set` is called.
    pub fn allowance(is_soft: bool) -> Self {
        Self {
            is_soft,
            ..Self::default()
        }
    }

    /// Changes the bytes that may ever be received, and the part that may be reserved now.
    pub fn set(&self, most: u64, granted: u64) {
        let mut taken = self.taken();
        taken.most = Some(most);
        taken.granted = granted.min(most);
    }

    /// Returns the bytes received and, of requests in progress, those reserved.
    pub fn spent_and_reserved(&self) -> (u64, u64) {
        let taken = self.taken();
        (taken.spent, taken.reserved)
    }

    /// Returns whether requests have to reserve their bytes.
    pub(crate) fn is_bounded(&self) -> bool {
        self.taken().most.is_some() && !self.is_soft
    }

    /// Returns whether less than `least` bytes are left, reserved or not.
    pub(crate) fn is_spent(&self, least: u64) -> bool {
        let taken = self.taken();
        let least = if self.is_soft { 1 } else { least };
        taken
            .most
            .is_some_and(|most| most.saturating_sub(taken.spent) < least)
    }

    /// Returns whether a file may be started.
    pub(crate) fn may_start(&self) -> bool {
        !(self.is_soft && self.is_spent(1))
    }

    /// Returns the bytes that are neither spent nor reserved.
    pub(crate) fn left(&self) -> u64 {
        if !self.is_bounded() {
            return u64::MAX;
        }
        let taken = self.taken();
        taken.granted.saturating_sub(taken.spent + taken.reserved)
    }

    /// Returns how many bytes one of several connections may reserve.
    pub(crate) fn share(&self, connections: usize) -> u64 {
        let left = self.left();
        left.min((left / connections.max(1) as u64).max(MIN_SHARE))
    }

    /// Returns whether a request of `least` bytes is impossible for good: too few bytes remain and no
    /// request in progress can return any.
    pub(crate) fn is_exhausted_for(&self, least: u64) -> bool {
        self.is_bounded() && self.is_spent(least) && self.taken().reserved == 0
    }

    /// Reserves up to `wanted` bytes; returns how many it reserved.
    pub(super) fn take(&self, wanted: u64) -> u64 {
        if !self.is_bounded() {
            return wanted;
        }
        let mut taken = self.taken();
        let got = wanted.min(taken.granted.saturating_sub(taken.spent + taken.reserved));
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
        let is_bounded = self.is_bounded();
        let mut taken = self.taken();
        taken.spent += bytes;
        if is_bounded {
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
    use std::sync::Arc;

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

    #[test]
    fn an_allowance_lends_what_was_recorded_and_is_exhausted_only_at_its_limit() {
        let allowance = Arc::new(TransferBudget::allowance(false));
        let run = LimitGroup::root(StopFlag::new(), None).with_allowances([allowance.clone()]);
        allowance.set(100, 30);
        let mut grant = Grant::take(&run, 50);
        assert_eq!(grant.left(), Some(30));
        grant.spend(30);
        assert!(!run.stop_if_exhausted(50), "the rest is not recorded yet");
        allowance.set(100, 100);
        assert!(grant.grow_to(70));
        grant.spend(70);
        assert_eq!(allowance.spent_and_reserved(), (100, 0));
        assert!(run.stop_if_exhausted(1));
    }

    #[test]
    fn two_groups_that_share_an_allowance_take_from_the_same_bytes() {
        let allowance = Arc::new(TransferBudget::allowance(false));
        let run = LimitGroup::default();
        let [first, second] =
            [(); 2].map(|()| run.child(None).with_allowances([allowance.clone()]));
        allowance.set(100, 100);
        let mut grant = Grant::take(&first, 80);
        assert_eq!(Grant::take(&second, 80).left(), Some(20));
        grant.spend(80);
        assert_eq!((first.bytes_left(), second.bytes_left()), (20, 20));
        assert_eq!(run.bytes_left(), u64::MAX);
    }

    #[test]
    fn a_soft_allowance_limits_only_the_start_of_files() {
        let allowance = Arc::new(TransferBudget::allowance(true));
        let run = LimitGroup::default().with_allowances([allowance.clone()]);
        allowance.set(100, 100);
        let mut grant = Grant::take(&run, 500);
        assert!(run.may_start() && grant.covers(500));
        grant.spend(500);
        assert!(!run.may_start() && run.is_spent(1));
        assert!(!run.stop_if_exhausted(1), "files in progress end");
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
