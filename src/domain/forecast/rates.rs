//! The rates of past days. The runs of one night are much alike, so that a day is one sample.

/// Days that fetched less are no sample of the rate.
const LEAST_BYTES: u64 = 1 << 20;

/// The bytes and the duration of all runs of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayRate {
    pub bytes: u64,
    pub seconds: u64,
}

/// Bytes per second, each at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastRates {
    /// The rates of the days, in their order; never empty.
    pub past: Vec<u64>,
    /// One byte in ten came slower.
    pub slow: u64,
    pub median: u64,
    /// One byte in ten came faster.
    pub fast: u64,
}

impl PastRates {
    /// Returns the rates of past days; `None` without a sample.
    pub fn of_days(days: &[DayRate]) -> Option<Self> {
        let telling = days.iter();
        let telling = telling.filter(|day| day.bytes >= LEAST_BYTES && day.seconds > 0);
        let mut rates: Vec<(u64, u64)> = telling
            .map(|day| ((day.bytes / day.seconds).max(1), day.bytes))
            .collect();
        let past: Vec<u64> = rates.iter().map(|(rate, _)| *rate).collect();
        rates.sort_unstable();
        let total: u128 = rates.iter().map(|(_, bytes)| u128::from(*bytes)).sum();
        let quantile = |tenths: u128| {
            let mut sum = 0;
            let mut found = rates.iter().copied();
            let found = found.find(|(_, bytes)| {
                sum += u128::from(*bytes);
                sum * 10 >= total * tenths
            });
            found.map(|(rate, _)| rate)
        };
        let (mut slow, median, mut fast) = (quantile(1)?, quantile(5)?, quantile(9)?);
        if rates.len() < 3 {
            slow = (slow / 2).max(1);
            fast = fast.saturating_mul(2);
        }
        Some(Self {
            past,
            slow,
            median,
            fast,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(rate: u64, seconds: u64) -> DayRate {
        DayRate {
            bytes: rate * seconds,
            seconds,
        }
    }

    #[test]
    fn rates_are_weighed_by_bytes_and_small_days_do_not_count() {
        let days = [
            day(1_000_000, 100),
            day(2_000_000, 1_000),
            day(3_000_000, 100),
            day(9, 9),
        ];
        let rates = PastRates::of_days(&days).unwrap();
        assert_eq!(
            (rates.slow, rates.median, rates.fast),
            (2_000_000, 2_000_000, 3_000_000)
        );
        assert_eq!(rates.past, [1_000_000, 2_000_000, 3_000_000]);
        assert_eq!(PastRates::of_days(&[day(9, 9)]), None);
        assert_eq!(PastRates::of_days(&[]), None);
    }

    #[test]
    fn one_day_gives_a_wide_range() {
        let rates = PastRates::of_days(&[day(1_000_000, 10)]).unwrap();
        assert_eq!(
            (rates.slow, rates.median, rates.fast),
            (500_000, 1_000_000, 2_000_000)
        );
    }
}
