//! The rate of a transfer, and the time left by it.

use std::collections::VecDeque;
use std::time::Duration;

use super::text::duration;
use crate::domain::progress::STALLED_AFTER;

/// The time over which the rate is measured.
const RATE_SPAN: Duration = Duration::from_secs(10);

/// The time until the rate allows an estimate of the time left.
const LEAST_RATE_SPAN: Duration = Duration::from_secs(2);

/// Renders an estimate, rounded up. One of more than a month says nothing.
pub(super) fn time_left(seconds: u64) -> Option<String> {
    let unit = match seconds {
        0..3_600 => 1,
        3_600..86_400 => 60,
        _ => 3_600,
    };
    (seconds < 30 * 86_400).then(|| duration(seconds.div_ceil(unit) * unit))
}

/// The rate of the last seconds.
#[derive(Default)]
pub(super) struct RateMeter {
    samples: VecDeque<(Duration, u64)>,
    done: u64,
    /// The time of the last byte.
    grew_at: Duration,
    /// Bytes that were counted without having been transferred.
    pub(super) base: u64,
}

impl RateMeter {
    pub(super) fn sample(&mut self, now: Duration, done: u64) {
        const EVERY: Duration = Duration::from_millis(250);
        let done = done.saturating_sub(self.base);
        let is_new = |(at, _): &(Duration, u64)| now >= *at + EVERY;
        let has_grown = done > self.done;
        // Before the first byte the Hub was asked, and nothing was transferred. The rate
        // after a stall is measured anew.
        if done == 0 || has_grown && self.is_stalled(now) {
            self.samples.clear();
        }
        if has_grown {
            self.grew_at = now;
        }
        self.done = done;
        if self.samples.back().is_none_or(is_new) {
            self.samples.push_back((now, done));
        }
        while self.samples.len() > 2 && self.samples[1].0 + RATE_SPAN <= now {
            self.samples.pop_front();
        }
    }

    fn is_stalled(&self, now: Duration) -> bool {
        now.saturating_sub(self.grew_at) >= STALLED_AFTER
    }

    /// Returns the time that so many bytes need; `None` until the rate was measured for a
    /// while, and while the transfer stalls: an estimate would only grow.
    pub(super) fn seconds_left(&self, now: Duration, n_bytes: u64) -> Option<u64> {
        let is_known = self.span() >= LEAST_RATE_SPAN && !self.is_stalled(now);
        n_bytes.checked_div(self.bytes_per_second().filter(|_| is_known)?)
    }

    fn span(&self) -> Duration {
        let ends = self.samples.front().zip(self.samples.back());
        ends.map_or(Duration::ZERO, |((first, _), (last, _))| {
            last.saturating_sub(*first)
        })
    }

    /// Returns the rate; `None` before it can be measured.
    pub(super) fn bytes_per_second(&self) -> Option<u64> {
        let (first, last) = self.samples.front().zip(self.samples.back())?;
        let millis = self.span().as_millis().max(1);
        let bytes = u128::from(last.1.saturating_sub(first.1));
        let is_known = self.samples.len() > 1;
        is_known.then(|| u64::try_from(bytes * 1000 / millis).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_stall_has_no_time_left_and_the_rate_after_it_is_measured_anew() {
        let mut meter = RateMeter::default();
        let mut done = 0;
        for second in 0..10 {
            done += 100;
            meter.sample(at(second), done);
        }
        assert_eq!(meter.seconds_left(at(9), 1_000), Some(10));
        for second in 10..3_600 {
            meter.sample(at(second), done);
            let left = meter.seconds_left(at(second), 1_000);
            assert_eq!(left.is_some(), second < 14, "{second}: {left:?}");
        }
        assert_eq!(meter.bytes_per_second(), Some(0));
        for second in 3_600..3_603 {
            done += 100;
            meter.sample(at(second), done);
            let left = meter.seconds_left(at(second), 1_000);
            assert_eq!(left, (second == 3_602).then_some(10), "{second}");
        }
    }

    #[test]
    fn a_time_left_is_rounded_up_and_has_an_end() {
        for (seconds, text) in [
            (59, "59 s"),
            (3_599, "59 min 59 s"),
            (3_601, "1 h 1 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(time_left(seconds).as_deref(), Some(text));
        }
        assert_eq!(time_left(40 * 86_400), None);
    }
}
