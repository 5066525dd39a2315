//! How many bytes may still come, shared out before they are asked for.
//!
//! A server sends what it was asked for, whether it is read or not: bytes on
//! their way cannot be called back. So each request takes its bytes from the
//! budget first, asks for no more, and gives back what did not come.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::lane::Lane;

/// No part of a large file is asked for that is smaller, unless it is the last one.
pub(crate) const LEAST_REQUEST: u64 = 4 << 10;

/// Of a budget that several connections share, no connection gets a smaller part.
const LEAST_SHARE: u64 = 1 << 20;

/// A number of bytes that may come over the line; without a number, any.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    most: Option<u64>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// Bytes that came.
    spent: u64,
    /// Bytes that requests under way may still bring.
    reserved: u64,
}

impl Budget {
    pub(crate) fn new(most: Option<u64>) -> Self {
        Self {
            most,
            taken: Mutex::default(),
        }
    }

    pub(crate) fn is_bounded(&self) -> bool {
        self.most.is_some()
    }

    pub(crate) fn spent(&self) -> u64 {
        self.taken().spent
    }

    /// Returns how many bytes nobody has taken yet.
    pub(crate) fn left(&self) -> u64 {
        let taken = self.taken();
        self.most.map_or(u64::MAX, |most| {
            most.saturating_sub(taken.spent + taken.reserved)
        })
    }

    /// Returns how much one of several connections may take.
    pub(crate) fn share(&self, connections: usize) -> u64 {
        let left = self.left();
        left.min((left / connections.max(1) as u64).max(LEAST_SHARE))
    }

    /// Tells whether requests of at least so many bytes can never be made again:
    /// too little is left, and nothing is under way that could give some back.
    pub(crate) fn is_used_up_for(&self, least: u64) -> bool {
        let taken = self.taken();
        self.most
            .is_some_and(|most| taken.reserved == 0 && most.saturating_sub(taken.spent) < least)
    }

    /// Takes up to so many bytes; returns how many it took.
    fn take(&self, wanted: u64) -> u64 {
        let mut taken = self.taken();
        let Some(most) = self.most else {
            return wanted;
        };
        let got = wanted.min(most.saturating_sub(taken.spent + taken.reserved));
        taken.reserved += got;
        got
    }

    fn give_back(&self, bytes: u64) {
        if self.is_bounded() {
            let mut taken = self.taken();
            taken.reserved = taken.reserved.saturating_sub(bytes);
        }
    }

    /// Counts bytes that came, of which so many had been taken before.
    fn spend(&self, bytes: u64, of_grant: u64) {
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

/// Bytes that one request may bring, taken from the budgets of the run and of a
/// lane; what is left of them goes back when this is dropped.
#[derive(Debug)]
pub(crate) struct Grant {
    run: Arc<Budget>,
    lane: Lane,
    /// `None` where neither has a bound.
    left: Option<u64>,
}

impl Grant {
    /// Takes up to so many bytes; there may be fewer, or none.
    pub(crate) fn take(run: &Arc<Budget>, lane: &Lane, wanted: u64) -> Self {
        let is_bounded = run.is_bounded() || lane.budget().is_bounded();
        let mut grant = Self {
            run: run.clone(),
            lane: lane.clone(),
            left: is_bounded.then_some(0),
        };
        grant.add(wanted);
        grant
    }

    pub(crate) fn lane(&self) -> &Lane {
        &self.lane
    }

    /// Returns how much may still come; `None` is no bound.
    pub(crate) fn left(&self) -> Option<u64> {
        self.left
    }

    pub(crate) fn covers(&self, bytes: u64) -> bool {
        self.left.is_none_or(|left| left >= bytes)
    }

    /// Gives back all but so many bytes.
    pub(crate) fn keep(&mut self, bytes: u64) {
        let Some(left) = &mut self.left else {
            return;
        };
        let spare = left.saturating_sub(bytes);
        *left -= spare;
        self.run.give_back(spare);
        self.lane.budget().give_back(spare);
    }

    /// Takes what is missing to so many bytes. If they cannot be had now, gives
    /// back everything: two that hold a part each would wait for each other.
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

    /// Counts bytes that came; more than were granted, too, for they have come.
    pub(crate) fn spend(&mut self, bytes: u64) {
        let granted = self.left.map_or(0, |left| left.min(bytes));
        if let Some(left) = &mut self.left {
            *left -= granted;
        }
        self.run.spend(bytes, granted);
        self.lane.budget().spend(bytes, granted);
    }

    /// Takes up to so many bytes more.
    pub(crate) fn add(&mut self, wanted: u64) {
        let Some(left) = &mut self.left else {
            return;
        };
        let of_run = self.run.take(wanted);
        let of_both = self.lane.budget().take(of_run);
        self.run.give_back(of_run - of_both);
        *left += of_both;
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
    use proptest::prelude::*;

    fn budget(most: u64) -> Arc<Budget> {
        Arc::new(Budget::new(Some(most)))
    }

    #[test]
    fn requests_under_way_never_add_up_to_more_than_the_budget() {
        let (run, lane) = (budget(100), Lane::new(Some(70)));
        let mut first = Grant::take(&run, &lane, 50);
        let second = Grant::take(&run, &lane, 50);
        assert_eq!((first.left(), second.left()), (Some(50), Some(20)));
        assert_eq!((run.left(), lane.budget().left()), (30, 0));
        first.spend(10);
        drop(first);
        assert_eq!((run.left(), lane.budget().left()), (70, 40));
        drop(second);
        assert_eq!((run.left(), lane.budget().left()), (90, 60));
        assert_eq!(lane.transferred(), 10);
    }

    #[test]
    fn a_grant_that_cannot_grow_lets_others_have_its_bytes() {
        let (run, lane) = (budget(100), Lane::default());
        let mut first = Grant::take(&run, &lane, 60);
        let mut second = Grant::take(&run, &lane, 30);
        assert!(!second.grow_to(50));
        assert_eq!(second.left(), Some(0));
        assert!(first.grow_to(100));
        assert!(!run.is_used_up_for(1), "something is under way");
        first.spend(100);
        assert!(run.is_used_up_for(1));
    }

    #[test]
    fn without_a_bound_everything_is_granted_and_counted() {
        let (run, lane) = (Arc::new(Budget::default()), Lane::default());
        let mut grant = Grant::take(&run, &lane, 1);
        assert!(grant.covers(u64::MAX) && grant.grow_to(u64::MAX));
        grant.spend(7);
        assert_eq!((run.spent(), lane.transferred()), (7, 7));
        assert!(!run.is_used_up_for(u64::MAX));
    }

    #[test]
    fn the_last_bytes_are_shared_in_parts_that_are_worth_a_request() {
        let mib = 1 << 20;
        assert_eq!(budget(64 * mib).share(8), 8 * mib);
        assert_eq!(budget(4 * mib).share(8), mib);
        assert_eq!(budget(1000).share(8), 1000);
        assert_eq!(Budget::default().share(2), u64::MAX / 2);
    }

    proptest! {
        #[test]
        fn what_is_left_and_taken_is_always_the_budget(
            most in 0u64..1000,
            steps in prop::collection::vec((0u8..4, 0u64..400), 0..60),
        ) {
            let (run, lane) = (budget(most), Lane::default());
            let mut grants: Vec<Grant> = Vec::new();
            let mut spent = 0;
            for (what, n) in steps {
                match (what, grants.last_mut()) {
                    (0, _) => grants.push(Grant::take(&run, &lane, n)),
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
                prop_assert_eq!(spent + held + run.left(), most);
            }
            drop(grants);
            prop_assert_eq!(run.left(), most - spent);
        }
    }
}
