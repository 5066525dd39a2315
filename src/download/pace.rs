//! How fast bytes may come, and how slow is too slow.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One allowance of bytes per second, shared by all connections.
///
/// The rate is a plain number that others may change while bytes flow; zero
/// means no limit. Time tables are resolved outside.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    bytes_per_second: Arc<AtomicU64>,
    started_at: Instant,
    bucket: Mutex<Bucket>,
    /// When the last wait is over, in milliseconds since the start; zero is never.
    waits_until: AtomicU64,
}

/// So long after a wait the limit still counts as what holds the bytes back.
const ECHO: Duration = Duration::from_millis(500);

impl RateLimiter {
    pub(crate) fn new(bytes_per_second: Arc<AtomicU64>) -> Self {
        Self {
            bytes_per_second,
            started_at: Instant::now(),
            bucket: Mutex::default(),
            waits_until: AtomicU64::new(0),
        }
    }

    /// Returns how much to read at once, so that a low limit does not make
    /// long silences.
    pub(crate) fn portion(&self, wanted: usize) -> usize {
        match self.bytes_per_second.load(Ordering::Relaxed) {
            0 => wanted,
            rate => wanted.min((rate / 16).clamp(512, 1 << 20) as usize),
        }
    }

    /// Pays for bytes that came; returns how long too early they were.
    pub(crate) fn pay(&self, bytes: u64) -> Duration {
        let rate = self.bytes_per_second.load(Ordering::Relaxed);
        if rate == 0 {
            return Duration::ZERO;
        }
        let now = self.started_at.elapsed();
        let wait = self
            .bucket
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(now, bytes, rate);
        if !wait.is_zero() {
            let until = (now + wait).as_millis() as u64;
            self.waits_until.fetch_max(until.max(1), Ordering::Relaxed);
        }
        wait
    }

    /// Tells whether it is this limit, and not the line, that holds the bytes back.
    pub(crate) fn holds_back(&self) -> bool {
        let until = self.waits_until.load(Ordering::Relaxed);
        let limited = self.bytes_per_second.load(Ordering::Relaxed) > 0;
        limited && until > 0 && self.started_at.elapsed() < Duration::from_millis(until) + ECHO
    }
}

/// A token bucket that holds a tenth of a second.
#[derive(Debug, Default)]
struct Bucket {
    /// When everything taken so far is paid for.
    paid_at: Duration,
}

impl Bucket {
    const DEPTH: Duration = Duration::from_millis(100);

    fn take(&mut self, now: Duration, bytes: u64, rate: u64) -> Duration {
        let cost = Duration::from_secs_f64(bytes as f64 / rate as f64);
        self.paid_at = self.paid_at.max(now) + cost;
        self.paid_at.saturating_sub(now + Self::DEPTH)
    }
}

/// Notices a connection that brings less than it must.
#[derive(Debug)]
pub(crate) struct SlowWatch {
    least_bytes_per_second: u64,
    span: Duration,
    window_began: Duration,
    window_bytes: u64,
}

impl SlowWatch {
    /// `now` is the time that the connection had for receiving, pauses not counted.
    pub(crate) fn new(least_bytes_per_second: u64, span: Duration, now: Duration) -> Self {
        Self {
            least_bytes_per_second,
            span,
            window_began: now,
            window_bytes: 0,
        }
    }

    /// Notes bytes; returns true when a whole span brought too few.
    pub(crate) fn is_too_slow(&mut self, bytes: u64, now: Duration) -> bool {
        self.window_bytes += bytes;
        let elapsed = now.saturating_sub(self.window_began);
        if elapsed < self.span {
            return false;
        }
        let least = self.least_bytes_per_second as f64 * elapsed.as_secs_f64();
        let too_slow = (self.window_bytes as f64) < least;
        (self.window_began, self.window_bytes) = (now, 0);
        too_slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_bucket_lets_through_its_rate_and_no_more() {
        let mut bucket = Bucket::default();
        let mut now = Duration::ZERO;
        for _ in 0..1000 {
            now += bucket.take(now, 10_000, 1_000_000);
        }
        let rate = 10_000_000.0 / now.as_secs_f64();
        assert!((1_000_000.0..1_020_000.0).contains(&rate), "{rate}");
    }

    #[test]
    fn an_idle_bucket_saves_up_no_more_than_its_depth() {
        let mut bucket = Bucket::default();
        let later = 3600 * SECOND;
        assert_eq!(bucket.take(later, 100_000, 1_000_000), Duration::ZERO);
        let wait = bucket.take(later, 1_000_000, 1_000_000);
        assert!((wait.as_secs_f64() - 1.0).abs() < 1e-3, "{wait:?}");
    }

    #[test]
    fn a_low_limit_makes_small_portions() {
        let limiter = |rate| RateLimiter::new(Arc::new(AtomicU64::new(rate)));
        assert_eq!(limiter(0).portion(65_536), 65_536);
        assert_eq!(limiter(16_000).portion(65_536), 1_000);
        assert_eq!(limiter(1).portion(65_536), 512);
    }

    #[test]
    fn a_trickle_is_too_slow_only_after_a_whole_span() {
        let mut watch = SlowWatch::new(1000, 60 * SECOND, Duration::ZERO);
        assert!(!watch.is_too_slow(1, 59 * SECOND));
        assert!(watch.is_too_slow(1, 60 * SECOND));
        let mut watch = SlowWatch::new(1000, 60 * SECOND, Duration::ZERO);
        assert!(!watch.is_too_slow(60_000, 60 * SECOND));
        // What came long ago does not excuse what comes now.
        assert!(watch.is_too_slow(10, 120 * SECOND));
    }
}
