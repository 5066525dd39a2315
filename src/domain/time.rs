//! Times: whole seconds UTC in the database, RFC 3339 in JSON.

pub use jiff::Timestamp;
use jiff::ToSpan;
use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};

use super::units::Seconds;
use crate::domain::invalid_value::InvalidValue;

/// A system clock before this date is wrong: the program is younger.
pub const EARLIEST_BELIEVABLE: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// Truncates a time to whole seconds, the resolution of the database.
pub fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// Truncates a time to whole minutes, the resolution of slots.
pub fn whole_minutes(at: Timestamp) -> Timestamp {
    let second = at.as_second();
    Timestamp::from_second(second - second.rem_euclid(60)).unwrap_or(at)
}

/// Clock synchronisation moves a clock by seconds, so a record this far in the
/// future is normal.
pub const CLOCK_STEP: Seconds = Seconds(60);

/// Returns the latest plausible date of a record about the past.
///
/// A later date means that the clock was ahead when the record was written, or
/// is behind now. In both cases the date is meaningless, so every query and
/// every comparison treats such a record as unknown.
pub fn latest_believable(now: Timestamp) -> Timestamp {
    now.saturating_add(CLOCK_STEP.span()).unwrap_or(now)
}

/// Returns the stored time of a past event, or `None` if it lies in the future.
pub fn believed(at: impl Into<Option<Timestamp>>, now: Timestamp) -> Option<Timestamp> {
    at.into().filter(|at| *at <= latest_believable(now))
}

/// Returns the stored end of a wait, or `None` if it has passed or lies further
/// ahead than any wait of its kind may last.
pub fn believed_wait(
    until: impl Into<Option<Timestamp>>,
    now: Timestamp,
    longest: Seconds,
) -> Option<Timestamp> {
    let latest = latest_believable(now).saturating_add(longest.span());
    until
        .into()
        .filter(|until| *until > now && latest.is_ok_and(|latest| *until <= latest))
}

/// Renders an instant for machines: RFC 3339 in UTC with whole seconds.
pub fn render_utc(at: Timestamp) -> String {
    whole_seconds(at).to_string()
}

/// The direction in which `08:00` and `mon` are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toward {
    Past,
    Future,
}

/// The present and the zone, from which a written time is understood.
#[derive(Clone, Debug)]
pub struct Present {
    pub now: Timestamp,
    pub zone: TimeZone,
    pub toward: Toward,
}

impl Present {
    /// Parses a moment: RFC 3339, a local date or time, or one that is relative to now.
    pub fn parse(&self, text: &str) -> Result<Timestamp, InvalidValue> {
        let text = text.trim();
        let found = text.parse().ok();
        let found = found.or_else(|| self.relative(text));
        let found = found.or_else(|| self.local(local_time(text)?));
        found.ok_or_else(|| {
            InvalidValue::is_not(text, "a time").next(
                "write `2026-06-01 08:00`, `2026-06-01`, `08:00`, `tomorrow 08:00`, `mon 08:00`, \
                 `in 2h`, `2h ago` or RFC 3339",
            )
        })
    }

    /// Returns the last second of a day that is written without a time, such as
    /// `2026-06-01` or `yesterday`; `None` for other texts.
    pub fn end_of_day(&self, text: &str) -> Option<Timestamp> {
        let text = text.trim();
        let day = match text.to_lowercase().as_str() {
            "today" => self.today(),
            "yesterday" => self.today().yesterday().ok()?,
            _ => text
                .parse()
                .ok()
                .filter(|day: &Date| day.to_string() == text)?,
        };
        let next = self.local(day.tomorrow().ok()?.at(0, 0, 0, 0))?;
        Timestamp::from_second(next.as_second() - 1).ok()
    }

    fn today(&self) -> Date {
        self.now.to_zoned(self.zone.clone()).date()
    }

    /// Parses `now`, `in 2h`, `2h ago`, and a time of a day that is counted from today.
    fn relative(&self, text: &str) -> Option<Timestamp> {
        let text = text.to_lowercase();
        let words: Vec<&str> = text.split_whitespace().collect();
        let span = |words: &[&str]| words.concat().parse::<Seconds>().ok();
        match words.as_slice() {
            ["now"] => Some(self.now),
            ["in", words @ ..] => self.now.checked_add(span(words)?.span()).ok(),
            [words @ .., "ago"] => self.now.checked_sub(span(words)?.span()).ok(),
            [time] if time.contains(':') => self.nearest(self.toward, time_of_day(time)?, |_| true),
            [day] => self.on_day(self.toward, day, Time::midnight()),
            ["next", day] => self.on_day(Toward::Future, day, Time::midnight()),
            ["last", day] => self.on_day(Toward::Past, day, Time::midnight()),
            [day, time] => self.on_day(self.toward, day, time_of_day(time)?),
            ["next", day, time] => self.on_day(Toward::Future, day, time_of_day(time)?),
            ["last", day, time] => self.on_day(Toward::Past, day, time_of_day(time)?),
            _ => None,
        }
    }

    /// Returns a time of `today`, `tomorrow`, `yesterday` or a day of the week.
    fn on_day(&self, toward: Toward, day: &str, time: Time) -> Option<Timestamp> {
        let date = match day {
            "today" => self.today(),
            "tomorrow" => self.today().tomorrow().ok()?,
            "yesterday" => self.today().yesterday().ok()?,
            _ => {
                let weekday = weekday(day)?;
                return self.nearest(toward, time, |date| date.weekday() == weekday);
            }
        };
        self.local(date.to_datetime(time))
    }

    /// Returns the first moment after now, or the last one until now, with a time of the day
    /// on a day that fits.
    fn nearest(
        &self,
        toward: Toward,
        time: Time,
        fits: impl Fn(Date) -> bool,
    ) -> Option<Timestamp> {
        let (step, today) = (if toward == Toward::Past { -1 } else { 1 }, self.today());
        let days = (0..=8).filter_map(|n: i64| today.checked_add((n * step).days()).ok());
        let mut found = days
            .filter(|day| fits(*day))
            .filter_map(|day| self.local(day.to_datetime(time)));
        found.find(|at| match toward {
            Toward::Past => *at <= self.now,
            Toward::Future => *at > self.now,
        })
    }

    /// Resolves a local time. One in the gap of a clock change means the first moment after
    /// the gap; one that occurs twice means the first.
    fn local(&self, at: DateTime) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(at);
        let earlier = ambiguous.earlier().ok()?;
        match ambiguous.offset() {
            AmbiguousOffset::Gap { .. } => Some(self.zone.following(earlier).next()?.timestamp()),
            _ => Some(earlier),
        }
    }
}

/// Parses a local date, with or without a time.
fn local_time(text: &str) -> Option<DateTime> {
    // The civil parser would silently drop a zone or offset that `Timestamp`
    // did not accept.
    if text.contains(['[', '+', 'Z', 'z']) {
        return None;
    }
    let form = text.replacen(' ', "T", 1);
    let with_time = form.parse().ok().filter(|_| form.contains('T'));
    with_time.or_else(|| Some(text.parse::<Date>().ok()?.at(0, 0, 0, 0)))
}

/// Parses `8:00`, `08:00` or `08:00:30`.
fn time_of_day(text: &str) -> Option<Time> {
    let is_plain = text.contains(':') && text.bytes().all(|b| b.is_ascii_digit() || b == b':');
    let padding = if text.find(':') == Some(1) { "0" } else { "" };
    is_plain.then(|| format!("{padding}{text}").parse().ok())?
}

/// Parses the name of a day, or its first three letters.
fn weekday(name: &str) -> Option<Weekday> {
    const NAMES: [(&str, Weekday); 7] = [
        ("monday", Weekday::Monday),
        ("tuesday", Weekday::Tuesday),
        ("wednesday", Weekday::Wednesday),
        ("thursday", Weekday::Thursday),
        ("friday", Weekday::Friday),
        ("saturday", Weekday::Saturday),
        ("sunday", Weekday::Sunday),
    ];
    let is_meant = |(full, _): &&(&str, Weekday)| *full == name || full.get(..3) == Some(name);
    NAMES.iter().find(is_meant).map(|(_, day)| *day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_dated_after_the_present_is_not_believed() {
        let at = |second: i64| Timestamp::from_second(1_900_000_000 + second).unwrap();
        assert_eq!(believed(at(-5), at(0)), Some(at(-5)));
        assert_eq!(believed(at(60), at(0)), Some(at(60)), "a step of the clock");
        assert_eq!(believed(at(61), at(0)), None);
        assert_eq!(believed(None, at(0)), None);
        let wait = |until| believed_wait(at(until), at(0), Seconds(600));
        assert_eq!(wait(0), None, "it is over");
        assert_eq!((wait(1), wait(660)), (Some(at(1)), Some(at(660))));
        assert_eq!(wait(661), None);
    }

    fn present(toward: Toward) -> Present {
        Present {
            // Wednesday 13:30 in summer time.
            now: "2026-07-15T11:30:00Z".parse().unwrap(),
            zone: TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap(),
            toward,
        }
    }

    fn both(text: &str) -> [String; 2] {
        [Toward::Past, Toward::Future].map(|toward| {
            let found = present(toward).parse(text);
            found.map_or_else(|err| err.to_string(), render_utc)
        })
    }

    #[test]
    fn a_moment_is_rfc_3339_or_local() {
        for (text, utc) in [
            ("2026-06-01T08:00:00Z", "2026-06-01T08:00:00Z"),
            ("2026-06-01T08:00:00+02:00", "2026-06-01T06:00:00Z"),
            ("2026-06-01 08:00", "2026-06-01T06:00:00Z"),
            ("2026-06-01", "2026-05-31T22:00:00Z"),
            ("2026-03-29 02:30", "2026-03-29T01:00:00Z"),
            ("2026-10-25 02:30", "2026-10-25T00:30:00Z"),
        ] {
            assert_eq!(both(text), [utc, utc], "{text}");
        }
        for bad in [
            "",
            "soon",
            "8",
            "24:01",
            "tomorrow 25:00",
            "next",
            "in",
            "ago",
            "in 2",
            "in 2h ago",
            "2h",
            "moon 08:00",
            "mo",
            "next tomorrow morning",
            "2026-13-01",
            "2026-06-01 25:00",
            "2026-06-01T08:00+99:00",
        ] {
            assert!(both(bad)[0].contains("is not a time"), "{bad}");
        }
    }

    #[test]
    fn a_moment_is_counted_from_now() {
        for (text, utc) in [
            ("now", "2026-07-15T11:30:00Z"),
            ("In 2h", "2026-07-15T13:30:00Z"),
            ("in 1h 30m", "2026-07-15T13:00:00Z"),
            ("2d ago", "2026-07-13T11:30:00Z"),
            ("today", "2026-07-14T22:00:00Z"),
            ("today 22:00", "2026-07-15T20:00:00Z"),
            ("Tomorrow  8:00", "2026-07-16T06:00:00Z"),
            ("yesterday", "2026-07-13T22:00:00Z"),
            ("next mon 08:00", "2026-07-20T06:00:00Z"),
            ("next wednesday", "2026-07-21T22:00:00Z"),
            ("last sun", "2026-07-11T22:00:00Z"),
        ] {
            assert_eq!(both(text), [utc, utc], "{text}");
        }
    }

    #[test]
    fn a_time_without_a_day_is_the_last_or_the_next_one() {
        for (text, past, future) in [
            ("08:00", "2026-07-15T06:00:00Z", "2026-07-16T06:00:00Z"),
            ("13:30", "2026-07-15T11:30:00Z", "2026-07-16T11:30:00Z"),
            ("22:00", "2026-07-14T20:00:00Z", "2026-07-15T20:00:00Z"),
            ("wed 08:00", "2026-07-15T06:00:00Z", "2026-07-22T06:00:00Z"),
            ("Wed 22:00", "2026-07-08T20:00:00Z", "2026-07-15T20:00:00Z"),
            ("friday", "2026-07-09T22:00:00Z", "2026-07-16T22:00:00Z"),
        ] {
            assert_eq!(both(text), [past, future], "{text}");
        }
    }

    #[test]
    fn a_day_ends_with_its_last_second() {
        for (text, utc) in [
            ("2026-06-01", "2026-06-01T21:59:59Z"),
            ("today", "2026-07-15T21:59:59Z"),
            ("Yesterday", "2026-07-14T21:59:59Z"),
            ("2026-10-25", "2026-10-25T22:59:59Z"),
        ] {
            let end = present(Toward::Past).end_of_day(text).unwrap();
            assert_eq!(render_utc(end), utc, "{text}");
        }
        assert_eq!(present(Toward::Past).end_of_day("2026-06-01 08:00"), None);
    }

    /// Texts of the parts of times, in all combinations, at moments near clock changes and
    /// at the limits of what a time can be.
    #[test]
    fn every_text_is_understood_or_refused() {
        const WORDS: [&str; 17] = [
            "",
            "now",
            "in",
            "ago",
            "next",
            "last",
            "today",
            "tomorrow",
            "yesterday",
            "sun",
            "02:30",
            "2:3",
            "99999w",
            "1h",
            "2026-03-29",
            "9999-12-31",
            "\u{1f600}:\u{7f}",
        ];
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let moments = ["2026-03-29T00:59:59Z", "2026-10-25T00:30:00Z"];
        let moments = moments.map(|at| at.parse().unwrap());
        for now in moments.into_iter().chain([Timestamp::MIN, Timestamp::MAX]) {
            for toward in [Toward::Past, Toward::Future] {
                let present = Present {
                    now,
                    zone: zone.clone(),
                    toward,
                };
                for text in WORDS.iter().flat_map(|a| WORDS.map(|b| format!("{a} {b}"))) {
                    for text in WORDS.map(|c| format!("{text} {c}")) {
                        let found = present.parse(&text);
                        let is_clock = text.trim() == "02:30";
                        assert!(
                            !is_clock || found.is_err() || {
                                let at = found.unwrap();
                                (at <= now) == (toward == Toward::Past)
                            }
                        );
                        present.end_of_day(&text);
                    }
                }
            }
        }
    }
}
