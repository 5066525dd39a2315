//! A thread that enforces the limits of time: deadlines, windows and hourly rates.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::domain::schedule::{RateTable, Windows};
use crate::domain::time::Timestamp;
use crate::domain::units::{ByteSize, Seconds};
use crate::download::LimitGroup;
use crate::sys::host::Host;
use crate::sys::pause::Stopwatch;
use crate::sys::stop::{StopFlag, StopReason};

/// The limits of time of a run or a schedule.
#[derive(Clone, Debug, Default)]
pub struct TimeLimits {
    /// Stopped at the deadline; gets the rate of the hour.
    pub limits: LimitGroup,
    pub deadline: Option<Timestamp>,
    /// The longest duration, by the wall clock, which goes on while the machine
    /// sleeps, and by a clock that cannot be set back.
    pub lasts: Option<Seconds>,
    /// Nothing runs outside of these hours of the zone, even after the wall clock
    /// was set.
    pub windows: Option<(Windows, TimeZone)>,
    /// The table, and the zone of its hours.
    pub limit_rate: Option<(RateTable, TimeZone)>,
}

/// The start by the wall clock and by a clock that cannot be set.
type LimitStart = (Timestamp, Stopwatch);

/// A separate thread, because the coordinating thread can be busy for minutes
/// with the copy of a file. It ends when this value is dropped.
pub struct DeadlineThread {
    host: Host,
    limits: SharedLimits,
    done: StopFlag,
}

type SharedLimits = Arc<Mutex<Vec<(TimeLimits, LimitStart)>>>;

impl DeadlineThread {
    pub fn start(host: &Host) -> Self {
        const STEP: Duration = Duration::from_millis(250);
        let deadlines = Self {
            host: host.clone(),
            limits: Arc::default(),
            done: StopFlag::new(),
        };
        let (host, limits, done) = (
            host.clone(),
            deadlines.limits.clone(),
            deadlines.done.clone(),
        );
        let thread = std::thread::Builder::new().name("deadline".into());
        let started = thread.spawn(move || {
            while !done.pause(STEP) {
                for (limits, start) in &*lock(&limits) {
                    limits.enforce(&host, *start);
                }
            }
        });
        if let Err(err) = started {
            log::warn!("could not start a thread: {err}; limits of time do not hold");
        }
        deadlines
    }

    pub fn add(&self, limits: TimeLimits) {
        let start = (self.host.now(), Stopwatch::start());
        limits.enforce(&self.host, start);
        lock(&self.limits).push((limits, start));
    }
}

impl Drop for DeadlineThread {
    fn drop(&mut self) {
        self.done.raise(StopReason::TimeBudget);
    }
}

impl TimeLimits {
    /// Reads the wall clock: after a suspend it is the only right clock.
    fn enforce(&self, host: &Host, (began, since): LimitStart) {
        let now = host.now();
        let is_late = self.deadline.is_some_and(|deadline| now >= deadline);
        let is_over = self.lasts.is_some_and(|lasts| {
            now.duration_since(began) >= lasts.span()
                || since.elapsed() >= Duration::from_secs(lasts.get())
        });
        let windows = self.windows.as_ref();
        let is_outside = windows.is_some_and(|(windows, zone)| !windows.is_open(zone, now));
        if is_late || is_outside {
            self.limits.stop().raise(StopReason::WindowClosed);
        } else if is_over {
            self.limits.stop().raise(StopReason::TimeBudget);
        }
        if let Some((table, zone)) = &self.limit_rate {
            let rate = table.rate_at(zone.to_datetime(now));
            let rate = rate.map_or(0, ByteSize::bytes);
            self.limits.rate().store(rate, Ordering::Relaxed);
        }
    }
}

fn lock(limits: &SharedLimits) -> MutexGuard<'_, Vec<(TimeLimits, LimitStart)>> {
    limits.lock().unwrap_or_else(PoisonError::into_inner)
}
