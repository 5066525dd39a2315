//! The calendar days of a period.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::domain::time::Timestamp;
use crate::domain::units::Seconds;

/// A longer period is cut: the history of a home is shorter, and an older date comes from
/// a clock that was wrong.
pub const LONGEST_PERIOD: Seconds = Seconds(1_100 * 86_400);

/// The part of a calendar day that lies in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    pub date: Date,
    pub from: Timestamp,
    /// The first instant that is not part of it.
    pub until: Timestamp,
}

/// Returns the days from `since` to before `until` in a zone; the first and the last may
/// be parts of a day.
pub fn days(since: Timestamp, until: Timestamp, zone: &TimeZone) -> Vec<Day> {
    let mut days = Vec::new();
    let mut from = since;
    let mut date = since.to_zoned(zone.clone()).date();
    while from < until {
        let Ok(next) = date.tomorrow() else {
            break;
        };
        // A midnight that the clocks skip is the first instant after the gap.
        let end = match next.to_zoned(zone.clone()) {
            Ok(midnight) => midnight.timestamp().min(until),
            Err(_) => until,
        };
        // A whole date can be skipped; both of its ends are the same instant then.
        if end > from {
            days.push(Day {
                date,
                from,
                until: end,
            });
            from = end;
        }
        date = next;
    }
    days
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn hours(since: &str, until: &str, zone: &TimeZone) -> Vec<(String, i64)> {
        let days = days(at(since), at(until), zone);
        let hours = |day: Day| (day.until.as_second() - day.from.as_second()) / 3600;
        let named = days
            .into_iter()
            .map(|day| (day.date.to_string(), hours(day)));
        named.collect()
    }

    fn expect(expected: &[(&str, i64)], found: &[(String, i64)]) {
        let found: Vec<(&str, i64)> = found.iter().map(|(day, n)| (day.as_str(), *n)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn days_on_which_the_clocks_change_have_23_or_25_hours() {
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let spring = hours("2026-03-27T23:00:00Z", "2026-03-30T10:00:00Z", &berlin);
        let days = [("2026-03-28", 24), ("2026-03-29", 23), ("2026-03-30", 12)];
        expect(&days, &spring);
        let autumn = hours("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", &berlin);
        expect(&[("2026-10-25", 25)], &autumn);
    }

    #[test]
    fn a_midnight_that_is_skipped_or_comes_twice_parts_days_once() {
        // The clocks change at midnight.
        let zone = TimeZone::posix("AAA4BBB,M9.1.0/0,M4.1.0/0").unwrap();
        let spring = hours("2026-09-06T03:00:00Z", "2026-09-08T03:00:00Z", &zone);
        let days = [("2026-09-05", 1), ("2026-09-06", 23), ("2026-09-07", 24)];
        expect(&days, &spring);
        let autumn = hours("2026-04-04T03:00:00Z", "2026-04-06T04:00:00Z", &zone);
        let total: i64 = autumn.iter().map(|(_, hours)| hours).sum();
        assert_eq!(total, 49, "no hour is lost or counted twice: {autumn:?}");
    }

    #[test]
    fn a_date_that_a_zone_skips_is_no_day() {
        // Samoa had no 30 December 2011.
        let Ok(samoa) = TimeZone::get("Pacific/Apia") else {
            return;
        };
        let found = hours("2011-12-29T10:00:00Z", "2011-12-31T10:00:00Z", &samoa);
        expect(&[("2011-12-29", 24), ("2011-12-31", 24)], &found);
    }

    #[test]
    fn a_period_begins_and_ends_within_days() {
        let found = hours(
            "2026-03-01T06:00:00Z",
            "2026-03-01T09:00:00Z",
            &TimeZone::UTC,
        );
        expect(&[("2026-03-01", 3)], &found);
        let none = hours(
            "2026-03-01T06:00:00Z",
            "2026-03-01T06:00:00Z",
            &TimeZone::UTC,
        );
        assert!(none.is_empty());
    }
}
