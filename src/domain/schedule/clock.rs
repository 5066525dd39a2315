//! Times of day and weekdays as text: `02:30`, `Mon,Thu`.

use std::fmt;

use crate::domain::invalid_value::InvalidValue;
use jiff::civil::{Time, Weekday};

/// Minutes in a day; the minute is the resolution of schedules.
pub(super) const MINUTES_OF_DAY: i16 = 24 * 60;

/// Parses `HH:MM` up to and including 24:00 into minutes since midnight.
pub(super) fn parse_minute(text: &str) -> Result<i16, InvalidValue> {
    let error =
        || InvalidValue::is_not(text, "a time of day").next("write a 24-hour time such as 02:30");
    let (hour, minute) = text.split_once(':').ok_or_else(error)?;
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if !matches!(hour.len(), 1 | 2) || minute.len() != 2 || !digits(hour) || !digits(minute) {
        return Err(error());
    }
    let number = |part: &str| part.parse::<i16>().map_err(|_| error());
    let (hour, minute) = (number(hour)?, number(minute)?);
    let total = hour * 60 + minute;
    if minute > 59 || total > MINUTES_OF_DAY {
        return Err(error()
            .because("hours go from 00 to 23 and minutes from 00 to 59")
            .next("write a time such as 02:30"));
    }
    Ok(total)
}

/// Parses a time of day; 24:00 is refused.
pub(super) fn parse_time(text: &str) -> Result<Time, InvalidValue> {
    let minute = parse_minute(text)?;
    if minute == MINUTES_OF_DAY {
        let refusal = InvalidValue::is_not(text, "a time of day");
        return Err(refusal.next("write 00:00, the start of the next day"));
    }
    Ok(time_of(minute))
}

/// Returns the time of day for a minute; 24:00 becomes 00:00.
pub(super) fn time_of(minute: i16) -> Time {
    let minute = minute.rem_euclid(MINUTES_OF_DAY);
    // Both parts are in range by the remainder above.
    Time::constant((minute / 60) as i8, (minute % 60) as i8, 0, 0)
}

pub(super) fn minute_of(time: Time) -> i16 {
    i16::from(time.hour()) * 60 + i16::from(time.minute())
}

/// Renders minutes since midnight as `HH:MM`; 1440 is `24:00`.
pub(super) fn render_minute(minute: i16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// A set of weekdays, never empty.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Weekdays(u8);

const DAY_NAMES: [(&str, &str); 7] = [
    ("Mon", "monday"),
    ("Tue", "tuesday"),
    ("Wed", "wednesday"),
    ("Thu", "thursday"),
    ("Fri", "friday"),
    ("Sat", "saturday"),
    ("Sun", "sunday"),
];

impl Weekdays {
    pub const ALL: Self = Self(0b111_1111);

    pub fn contains(self, day: Weekday) -> bool {
        self.0 & Self::bit(day) != 0
    }

    /// Returns the days of the set, Monday first.
    pub fn iter(self) -> impl Iterator<Item = Weekday> {
        Weekday::Monday
            .cycle_forward()
            .take(7)
            .filter(move |day| self.contains(*day))
    }

    /// Parses `Mon,Thu` and ranges such as `Mon-Fri`; a range may wrap around
    /// Sunday.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidValue> {
        let mut set = 0;
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (parse_weekday(first)?, parse_weekday(last)?);
            for day in first.cycle_forward().take(7) {
                set |= Self::bit(day);
                if day == last {
                    break;
                }
            }
        }
        Ok(Self(set))
    }

    fn bit(day: Weekday) -> u8 {
        1 << day.to_monday_zero_offset()
    }
}

/// Parses an English weekday, short or long, in any case.
pub(super) fn parse_weekday(text: &str) -> Result<Weekday, InvalidValue> {
    let lower = text.trim().to_ascii_lowercase();
    Weekday::Monday
        .cycle_forward()
        .take(7)
        .find(|day| {
            let (short, long) = day_names(*day);
            lower == long || lower == short.to_ascii_lowercase()
        })
        .ok_or_else(|| {
            InvalidValue::is_not(text, "a weekday")
                .next("write Mon, Tue, Wed, Thu, Fri, Sat or Sun")
        })
}

pub(super) fn render_weekday(day: Weekday) -> &'static str {
    day_names(day).0
}

fn day_names(day: Weekday) -> (&'static str, &'static str) {
    let offset = day.to_monday_zero_offset();
    DAY_NAMES[usize::try_from(offset).unwrap_or_default() % 7]
}

impl fmt::Display for Weekdays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().map(render_weekday).collect();
        f.pad(&names.join(","))
    }
}

impl fmt::Debug for Weekdays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_two_numbers_of_a_24_hour_clock() {
        for (text, minute) in [
            ("00:00", 0),
            ("2:05", 125),
            ("23:59", 1439),
            ("24:00", 1440),
        ] {
            assert_eq!(parse_minute(text).unwrap(), minute);
        }
        for bad in [
            "", "2", "2:5", "24:01", "12:60", "02:30pm", "-1:00", "002:30", "٢:٣٠",
        ] {
            assert!(parse_minute(bad).is_err(), "{bad}");
        }
        assert!(parse_time("24:00").is_err());
    }

    #[test]
    fn weekdays_are_lists_and_ranges() {
        for (text, canonical) in [
            ("thu,MON", "Mon,Thu"),
            ("Monday", "Mon"),
            ("Sat-Mon", "Mon,Sat,Sun"),
            ("Mon-Sun", "Mon,Tue,Wed,Thu,Fri,Sat,Sun"),
        ] {
            let days = Weekdays::parse(text).unwrap();
            assert_eq!(days.to_string(), canonical);
            assert_eq!(Weekdays::parse(canonical).unwrap(), days);
        }
        for bad in ["", "Mo", "Mon,", "Mon-", "Mon;Tue", "1"] {
            assert!(Weekdays::parse(bad).is_err(), "{bad}");
        }
    }
}
