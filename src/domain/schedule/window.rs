//! Windows: hours in which bytes may flow, such as `22:00-07:00` or
//! `Sat,Sun@00:00-24:00`.
//!
//! Only the local time decides whether a window is open. So a night window is
//! an hour shorter in spring and an hour longer in autumn, and clock changes
//! need no special rule.

use std::fmt;
use std::str::FromStr;

use jiff::civil;
use jiff::tz::TimeZone;

use super::clock::{self, MINUTES_OF_DAY, Weekdays};
use super::zone;
use crate::domain::invalid_value::InvalidValue;
use crate::domain::time::Timestamp;

/// One range of hours, on some or all weekdays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    /// The days on which it opens; it may close on the next day.
    days: Weekdays,
    /// Minutes since midnight, inclusive.
    start: i16,
    /// Minutes since midnight, exclusive; 1 to 1440. At most `start` if the
    /// window crosses midnight.
    end: i16,
}

/// A union of windows; an empty list means always open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Windows(Vec<Window>);

const KIND: &str = "a window";
const FORM: &str = "write start and end such as 22:00-07:00 or Sat,Sun@00:00-24:00";

impl Window {
    /// Reports whether the window is open at local time `at`.
    fn is_open_at(&self, at: civil::DateTime) -> bool {
        let minute = clock::minute_of(at.time());
        let today = self.days.contains(at.weekday());
        if self.start < self.end {
            return today && (self.start..self.end).contains(&minute);
        }
        let yesterday = self.days.contains(at.weekday().previous());
        (today && minute >= self.start) || (yesterday && minute < self.end)
    }

    /// Returns the local times at which the window opens and closes.
    fn edges(&self) -> [civil::Time; 2] {
        [clock::time_of(self.start), clock::time_of(self.end)]
    }
}

impl FromStr for Window {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let text = text.trim();
        let error = || InvalidValue::is_not(text, KIND).next(FORM);
        let (days, hours) = match text.split_once('@') {
            Some((days, hours)) => (
                Weekdays::parse(days).map_err(|error| error.inside(text, KIND))?,
                hours,
            ),
            None => (Weekdays::ALL, text),
        };
        let (start, end) = hours.split_once('-').ok_or_else(error)?;
        let minute = |part: &str| {
            let part = part.trim();
            let wrong = || error().because(format!("`{part}` is not a time of day"));
            clock::parse_minute(part).map_err(|_| wrong())
        };
        let (start, end) = (minute(start)?, minute(end)?);
        if start == MINUTES_OF_DAY {
            return Err(error()
                .because("a window starts before 24:00")
                .next("write 00:00"));
        }
        if start == end {
            return Err(error()
                .because("it starts when it ends")
                .next("write 00:00-24:00 for a whole day"));
        }
        let end = if end == 0 { MINUTES_OF_DAY } else { end };
        Ok(Self { days, start, end })
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, end) = (
            clock::render_minute(self.start),
            clock::render_minute(self.end),
        );
        match self.days {
            Weekdays::ALL => f.pad(&format!("{start}-{end}")),
            days => f.pad(&format!("{days}@{start}-{end}")),
        }
    }
}

impl Windows {
    /// Parses one text per window; order and repetition do not matter.
    pub fn parse<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self, InvalidValue> {
        let windows: Result<Vec<Window>, _> = texts
            .into_iter()
            .map(|text| text.as_ref().parse())
            .collect();
        let mut windows = windows?;
        windows.sort();
        windows.dedup();
        Ok(Self(windows))
    }

    /// Renders the texts that [`Windows::parse`] reads back.
    pub fn texts(&self) -> Vec<String> {
        self.0.iter().map(Window::to_string).collect()
    }

    /// Reports whether there is no window, so that every hour is allowed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Window> {
        self.0.iter()
    }

    /// Reports whether bytes may flow at an instant.
    pub fn is_open(&self, zone: &TimeZone, at: Timestamp) -> bool {
        self.is_empty() || self.is_open_at(zone.to_datetime(at))
    }

    /// Returns the first instant at or after `from` at which bytes may flow.
    ///
    /// `None` only if every opening of the next weeks falls into a clock-change
    /// gap.
    pub fn opens_at(&self, zone: &TimeZone, from: Timestamp) -> Option<Timestamp> {
        if self.is_open(zone, from) {
            return Some(from);
        }
        zone::first_turn(zone, from, &self.edges(), |at| self.is_open_at(at))
    }

    /// Returns the deadline: the first instant after `from` at which no window
    /// is open.
    ///
    /// `None` without windows, or if together they cover the week.
    pub fn closes_after(&self, zone: &TimeZone, from: Timestamp) -> Option<Timestamp> {
        if self.is_empty() {
            return None;
        }
        zone::first_turn(zone, from, &self.edges(), |at| !self.is_open_at(at))
    }

    fn edges(&self) -> Vec<civil::Time> {
        let mut edges: Vec<_> = self.iter().flat_map(Window::edges).collect();
        edges.sort();
        edges.dedup();
        edges
    }

    fn is_open_at(&self, at: civil::DateTime) -> bool {
        self.iter().any(|window| window.is_open_at(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_one_canonical_text() {
        for (text, canonical) in [
            ("22:00-07:00", "22:00-07:00"),
            ("fri@22:00-7:00", "Fri@22:00-07:00"),
            ("Sat,Sun@0:00-24:00", "Sat,Sun@00:00-24:00"),
            ("Mon-Sun@01:00-02:00", "01:00-02:00"),
            ("22:00-00:00", "22:00-24:00"),
        ] {
            let window: Window = text.parse().unwrap();
            assert_eq!(window.to_string(), canonical);
            assert_eq!(canonical.parse(), Ok(window));
        }
        for bad in [
            "",
            "22:00",
            "22:00-22:00",
            "24:00-07:00",
            "00:00-00:00",
            "22-07",
            "@22:00-07:00",
            "22:00-07:00-08:00",
            "22:00-25:00",
        ] {
            assert!(bad.parse::<Window>().is_err(), "{bad}");
        }
    }

    #[test]
    fn order_and_repetition_of_windows_do_not_matter() {
        let one = Windows::parse(["22:00-24:00", "00:00-02:00", "22:00-24:00"]).unwrap();
        let other = Windows::parse(["00:00-02:00", "22:00-00:00"]).unwrap();
        assert_eq!(one, other);
        assert_eq!(one.texts(), ["00:00-02:00", "22:00-24:00"]);
        assert!(Windows::parse([""; 0]).unwrap().is_empty());
    }

    #[test]
    fn the_days_of_a_window_are_those_on_which_it_opens() {
        let window: Window = "Fri@22:00-07:00".parse().unwrap();
        let open = |text: &str| window.is_open_at(text.parse().unwrap());
        assert!(!open("2026-02-06T06:59"), "Friday morning");
        assert!(open("2026-02-06T22:00"));
        assert!(open("2026-02-07T06:59:59"), "Saturday morning");
        assert!(!open("2026-02-07T07:00"));
        assert!(!open("2026-02-07T22:00"));
    }
}
