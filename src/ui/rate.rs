//! The rate of a transfer, and the time left by it.

use std::collections::VecDeque;
use std::time::Duration;

use super::text::duration;

/// The time over which the rate is measured.
const RATE_SPAN: Duration = Duration::from_secs(10);

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
    /// Bytes that were counted without having been transferred.
    pub(super) base: u64,
}

impl RateMeter {
    pub(super) fn sample(&mut self, now: Duration, done: u64) {
        const EVERY: Duration = Duration::from_millis(250);
        let done = done.saturating_sub(self.base);
        let is_new = |(at, _): &(Duration, u64)| now >= *at + EVERY;
        // Before the first byte the Hub was asked, and nothing was transferred.
        if done == 0 {
            self.samples.clear();
        }
        if self.samples.back().is_none_or(is_new) {
            self.samples.push_back((now, done));
        }
        while self.samples.len() > 2 && self.samples[1].0 + RATE_SPAN <= now {
            self.samples.pop_front();
        }
    }

    pub(super) fn span(&self) -> Duration {
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
