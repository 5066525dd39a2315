//! Watches the clock while others work: deadlines and the rate of the hour.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::domain::schedule::RateTable;
use crate::domain::time::Timestamp;
use crate::domain::units::ByteSize;
use crate::sys::host::Host;
use crate::sys::stop::{StopFlag, StopReason};

/// What changes with the time of day during a run, or for some of its files.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Raised when the deadline has come.
    pub stop: StopFlag,
    pub deadline: Option<Timestamp>,
    /// The table, and the zone whose clock it means.
    pub limit_rate: Option<(RateTable, TimeZone)>,
    /// Where the rate of the moment goes; zero is no limit.
    pub rate: Arc<AtomicU64>,
}

/// A thread of its own, because the coordinating thread may be busy for minutes
/// with a file that has to be copied. It ends with this value.
pub struct Watch {
    host: Host,
    watched: Arc<Mutex<Vec<Watched>>>,
    done: StopFlag,
}

impl Watch {
    pub fn start(host: &Host) -> Self {
        const STEP: Duration = Duration::from_millis(250);
        let watch = Self {
            host: host.clone(),
            watched: Arc::default(),
            done: StopFlag::new(),
        };
        let (host, watched, done) = (host.clone(), watch.watched.clone(), watch.done.clone());
        let thread = std::thread::Builder::new().name("watch".into());
        let started = thread.spawn(move || {
            while !done.pause(STEP) {
                lock(&watched).iter().for_each(|one| one.look(&host));
            }
        });
        if let Err(err) = started {
            log::warn!("could not start a thread: {err}; limits of time do not hold");
        }
        watch
    }

    pub fn add(&self, watched: Watched) {
        watched.look(&self.host);
        lock(&self.watched).push(watched);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.done.raise(StopReason::TimeBudget);
    }
}

impl Watched {
    /// Looks at the wall clock, because after a suspend no other clock knows.
    fn look(&self, host: &Host) {
        let now = host.now();
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            self.stop.raise(StopReason::TimeBudget);
        }
        if let Some((table, zone)) = &self.limit_rate {
            let rate = table.rate_at(zone.to_datetime(now));
            let rate = rate.map_or(0, ByteSize::bytes);
            self.rate.store(rate, Ordering::Relaxed);
        }
    }
}

fn lock(watched: &Mutex<Vec<Watched>>) -> MutexGuard<'_, Vec<Watched>> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}
