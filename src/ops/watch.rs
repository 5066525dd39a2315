//! A thread that applies the limits of time during a run: deadlines, windows and the
//! rate of the hour.

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

/// The limits of time of a run, or of some of its files.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// Raised when a limit is reached.
    pub stop: StopFlag,
    pub deadline: Option<Timestamp>,
    /// Maximum duration by the wall clock, which includes a suspend, and by the
    /// monotonic clock, which cannot be set back.
    pub lasts: Option<Seconds>,
    /// The windows of the schedule. Work outside of them stops, even if the wall clock
    /// was set.
    pub windows: Option<(Windows, TimeZone)>,
    /// The timetable of rates, and its zone.
    pub limit_rate: Option<(RateTable, TimeZone)>,
    /// Receives the current rate; zero is no limit.
    pub rate: Arc<AtomicU64>,
}

/// A start by the wall clock and by the monotonic clock.
type StartTimes = (Timestamp, Stopwatch);

/// The thread that applies limits of time; it ends when this value is dropped.
///
/// A separate thread, because the coordinating thread may copy a file for minutes.
pub struct Watch {
    host: Host,
    watched: Arc<Mutex<Vec<(Watched, StartTimes)>>>,
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
                all.for_each(|(one, start)| one.apply(&host, *start));
            }
        });
        if let Err(err) = started {
            log::warn!("cannot start a thread: {err}; limits of time are not applied");
        }
        watch
    }

    pub fn add(&self, watched: Watched) {
        let start = (self.host.now(), Stopwatch::start());
        watched.apply(&self.host, start);
        lock(&self.watched).push((watched, start));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.done.raise(StopReason::TimeBudget);
    }
}

impl Watched {
    /// Compares the limits with the wall clock: the monotonic clock may stop during a
    /// suspend.
    fn apply(&self, host: &Host, (began, since): StartTimes) {
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

fn lock(watched: &Mutex<Vec<(Watched, StartTimes)>>) -> MutexGuard<'_, Vec<(Watched, StartTimes)>> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}
