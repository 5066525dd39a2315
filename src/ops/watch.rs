//! Watches the clock while others work: deadlines and the rate of the hour.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::domain::schedule::{RateTable, Windows};
use crate::domain::time::Timestamp;
use crate::domain::units::{ByteSize, Seconds};
use crate::sys::host::Host;
use crate::sys::pause::Stopwatch;
use crate::sys::stop::{StopFlag, StopReason};

/// What changes with the time of day during a run, or for some of its files.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// Raised when the deadline has come.
    pub stop: StopFlag,
    pub deadline: Option<Timestamp>,
    /// How long it may last: by the wall clock, which goes on while the machine
    /// sleeps, and by one that cannot be put back.
    pub lasts: Option<Seconds>,
    /// Outside of these hours of the zone nothing runs, whichever way the wall
    /// clock was moved.
    pub windows: Option<(Windows, TimeZone)>,
    /// The table, and the zone whose clock it means.
    pub limit_rate: Option<(RateTable, TimeZone)>,
    /// Where the rate of the moment goes; zero is no limit.
    pub rate: Arc<AtomicU64>,
}

/// When something began, by the wall clock and by one that nobody can set.
type Start = (Timestamp, Stopwatch);

/// A thread of its own, because the coordinating thread may be busy for minutes
/// with a file that has to be copied. It ends with this value.
pub struct Watch {
    host: Host,
    watched: Arc<Mutex<Vec<(Watched, Start)>>>,
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
                let watched = lock(&watched);
                let all = watched.iter();
                all.for_each(|(one, start)| one.look(&host, *start));
            }
        });
        if let Err(err) = started {
            log::warn!("could not start a thread: {err}; limits of time do not hold");
        }
        watch
    }

    pub fn add(&self, watched: Watched) {
        let start = (self.host.now(), Stopwatch::start());
        watched.look(&self.host, start);
        lock(&self.watched).push((watched, start));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.done.raise(StopReason::TimeBudget);
    }
}

impl Watched {
    /// Looks at the wall clock, because after a suspend no other clock knows.
    fn look(&self, host: &Host, (began, since): Start) {
        let now = host.now();
        let is_late = self.deadline.is_some_and(|deadline| now >= deadline);
        let is_over = self.lasts.is_some_and(|lasts| {
            now.duration_since(began) >= lasts.span()
                || since.elapsed() >= Duration::from_secs(lasts.get())
        });
        let windows = self.windows.as_ref();
        let is_outside = windows.is_some_and(|(windows, zone)| !windows.is_open(zone, now));
        if is_late || is_over || is_outside {
            self.stop.raise(StopReason::TimeBudget);
        }
        if let Some((table, zone)) = &self.limit_rate {
            let rate = table.rate_at(zone.to_datetime(now));
            let rate = rate.map_or(0, ByteSize::bytes);
            self.rate.store(rate, Ordering::Relaxed);
        }
    }
}

fn lock(watched: &Mutex<Vec<(Watched, Start)>>) -> MutexGuard<'_, Vec<(Watched, Start)>> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}
