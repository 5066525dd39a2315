//! Watches the clock while others work: deadlines and the rate of the hour.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::domain::schedule::RateTable;
use crate::domain::time::Timestamp;
use crate::domain::units::ByteSize;
use crate::sys::host::Host;
use crate::sys::stop::{StopFlag, StopReason};

/// What changes with the time of day during a run.
pub struct Watch<'a> {
    pub host: &'a Host,
    pub deadline: Option<Timestamp>,
    pub limit_rate: Option<&'a RateTable>,
    pub stop: &'a StopFlag,
}

impl Watch<'_> {
    /// Watches until the flag is raised.
    ///
    /// It looks at the wall clock, because after a suspend no other clock knows.
    pub fn until(&self, done: &StopFlag, rate: &AtomicU64) {
        const STEP: Duration = Duration::from_millis(250);
        while !done.pause(STEP) {
            if self
                .deadline
                .is_some_and(|deadline| self.host.now() >= deadline)
            {
                self.stop.raise(StopReason::TimeBudget);
            }
            self.set_rate(rate);
        }
    }

    /// Sets the rate that the table has for this moment; zero is no limit.
    pub fn set_rate(&self, rate: &AtomicU64) {
        if let Some(table) = self.limit_rate {
            let local = self.host.now().to_zoned(self.host.time_zone()).datetime();
            rate.store(
                table.rate_at(local).map_or(0, ByteSize::bytes),
                Ordering::Relaxed,
            );
        }
    }
}
