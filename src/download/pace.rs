//! Rate limits and the detection of stalled connections.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A rate limit shared by all connections.
///
/// The rate may change at any time; zero is unlimited. The caller applies rates that depend on
/// the time of day.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    bytes_per_second: Arc<AtomicU64>,
    started_at: Instant,
    bucket: Mutex<TokenBucket>,
    /// End of the last delay in milliseconds since the start; zero means none so far.
    limited_until: AtomicU64,
}

/// Time after a delay during which the limit still counts as the bottleneck.
const LIMITING_FOR: Duration = Duration::from_millis(500);

impl RateLimiter {
    pub(crate) fn new(bytes_per_second: Arc<AtomicU64>) -> Self {
        Self {
            bytes_per_second,
            started_at: Instant::now(),
            bucket: Mutex::default(),
            limited_until: AtomicU64::new(0),
        }
    }

    /// Returns the read size that avoids long pauses under a low limit.
    pub(crate) fn read_size(&self, wanted: usize) -> usize {
        match self.bytes_per_second.load(Ordering::Relaxed) {
            0 => wanted,
            rate => wanted.min((rate / 16).clamp(512, 1 << 20) as usize),
        }
    }

    /// Charges received bytes; returns the delay that keeps the rate.
    pub(crate) fn charge(&self, bytes: u64) -> Duration {
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
            self.limited_until
                .fetch_max(until.max(1), Ordering::Relaxed);
        }
        wait
    }

    /// Returns whether the limit is the bottleneck, rather than the network.
    pub(crate) fn is_limiting(&self) -> bool {
        let until = self.limited_until.load(Ordering::Relaxed);
        let limited = self.bytes_per_second.load(Ordering::Relaxed) > 0;
        limited
            && until > 0
            && self.started_at.elapsed() < Duration::from_millis(until) + LIMITING_FOR
    }
}

/// A token bucket with a depth of a tenth of a second.
#[derive(Debug, Default)]
struct TokenBucket {
    /// Time when the bytes charged so far are paid off.
    paid_at: Duration,
}

impl TokenBucket {
    const DEPTH: Duration = Duration::from_millis(100);

    fn take(&mut self, now: Duration, bytes: u64, rate: u64) -> Duration {
        let cost = Duration::from_secs_f64(bytes as f64 / rate as f64);
        self.paid_at = self.paid_at.max(now) + cost;
        self.paid_at.saturating_sub(now + Self::DEPTH)
    }
}

/// Detects connections that stay below a minimum rate.
#[derive(Debug)]
pub(crate) struct StallDetector {
    least_bytes_per_second: u64,
    span: Duration,
    window_start: Duration,
    window_bytes: u64,
}

impl StallDetector {
    /// `now` is the receiving time of the connection, without pauses.
    pub(crate) fn new(least_bytes_per_second: u64, span: Duration, now: Duration) -> Self {
        Self {
            least_bytes_per_second,
            span,
            window_start: now,
            window_bytes: 0,
        }
    }

    /// Counts bytes; true when a whole span was below the minimum rate.
    pub(crate) fn is_too_slow(&mut self, bytes: u64, now: Duration) -> bool {
        self.window_bytes += bytes;
        let elapsed = now.saturating_sub(self.window_start);
        if elapsed < self.span {
            return false;
        }
        let least = self.least_bytes_per_second as f64 * elapsed.as_secs_f64();
        let too_slow = (self.window_bytes as f64) < least;
        (self.window_start, self.window_bytes) = (now, 0);
        too_slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_bucket_keeps_its_rate() {
        let mut bucket = TokenBucket::default();
        let mut now = Duration::ZERO;
        for _ in 0..1000 {
            now += bucket.take(now, 10_000, 1_000_000);
        }
        let rate = 10_000_000.0 / now.as_secs_f64();
        assert!((1_000_000.0..1_020_000.0).contains(&rate), "{rate}");
    }

    #[test]
    fn an_idle_bucket_accumulates_at_most_its_depth() {
        let mut bucket = TokenBucket::default();
        let later = 3600 * SECOND;
        assert_eq!(bucket.take(later, 100_000, 1_000_000), Duration::ZERO);
        let wait = bucket.take(later, 1_000_000, 1_000_000);
        assert!((wait.as_secs_f64() - 1.0).abs() < 1e-3, "{wait:?}");
    }

    #[test]
    fn a_low_limit_makes_small_reads() {
        let limiter = |rate| RateLimiter::new(Arc::new(AtomicU64::new(rate)));
        assert_eq!(limiter(0).read_size(65_536), 65_536);
        assert_eq!(limiter(16_000).read_size(65_536), 1_000);
        assert_eq!(limiter(1).read_size(65_536), 512);
    }

    #[test]
    fn a_slow_connection_is_detected_after_a_whole_span() {
        let mut watch = StallDetector::new(1000, 60 * SECOND, Duration::ZERO);
        assert!(!watch.is_too_slow(1, 59 * SECOND));
        assert!(watch.is_too_slow(1, 60 * SECOND));
        let mut watch = StallDetector::new(1000, 60 * SECOND, Duration::ZERO);
        assert!(!watch.is_too_slow(60_000, 60 * SECOND));
        // Earlier bytes do not make up for a later stall.
        assert!(watch.is_too_slow(10, 120 * SECOND));
    }
}
