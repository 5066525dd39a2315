//! Cadences: the six kinds and the text form of each.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use jiff::civil;

use super::clock::{self, Weekdays};
use super::cron_expr::CronExpr;
use crate::domain::invalid_value::InvalidValue;
use crate::domain::outcome::words;
use crate::domain::time::Timestamp;
use crate::domain::units::Seconds;

words! {
    /// The name of a cadence kind in the database.
    CadenceKind {
        Interval = "interval",
        Daily = "daily",
        Weekly = "weekly",
        Monthly = "monthly",
        Cron = "cron",
        Once = "once",
    }
}

/// How often a schedule has a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cadence {
    /// A fixed interval counted from the schedule's anchor, in whole minutes.
    Interval(Seconds),
    Daily(TimesOfDay),
    Weekly {
        days: Weekdays,
        times: TimesOfDay,
    },
    Monthly {
        /// Never empty.
        days: BTreeSet<MonthDay>,
        times: TimesOfDay,
    },
    Cron(CronExpr),
    Once(OnceAt),
}

/// Times of day, sorted and without duplicates; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimesOfDay(Vec<i16>);

/// A day of a month; a day beyond the end of a month means its last day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MonthDay {
    Day(i8),
    Last,
}

/// The time of a schedule that runs once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnceAt {
    /// Local time in the schedule's zone.
    Local(civil::DateTime),
    /// The same moment in every zone.
    Exact(Timestamp),
}

impl Cadence {
    pub fn kind(&self) -> CadenceKind {
        match self {
            Self::Interval(_) => CadenceKind::Interval,
            Self::Daily(_) => CadenceKind::Daily,
            Self::Weekly { .. } => CadenceKind::Weekly,
            Self::Monthly { .. } => CadenceKind::Monthly,
            Self::Cron(_) => CadenceKind::Cron,
            Self::Once(_) => CadenceKind::Once,
        }
    }

    /// Renders the canonical text, which [`Cadence::parse`] reads back.
    pub fn spec(&self) -> String {
        match self {
            Self::Interval(every) => every.to_string(),
            Self::Daily(times) => times.to_string(),
            Self::Weekly { days, times } => format!("{days}@{times}"),
            Self::Monthly { days, times } => {
                let days: Vec<_> = days.iter().map(MonthDay::to_string).collect();
                format!("{}@{times}", days.join(","))
            }
            Self::Cron(expr) => expr.to_string(),
            Self::Once(OnceAt::Local(at)) => at.strftime("%Y-%m-%dT%H:%M").to_string(),
            Self::Once(OnceAt::Exact(at)) => at.to_string(),
        }
    }

    /// Parses the value of `--every`, `--daily` and so on, or the text from the
    /// database.
    pub fn parse(kind: CadenceKind, spec: &str) -> Result<Self, InvalidValue> {
        let text = spec.trim();
        match kind {
            CadenceKind::Interval => parse_interval(text),
            CadenceKind::Daily => TimesOfDay::parse(text)
                .map(Self::Daily)
                .map_err(|error| error.inside(text, "a daily time")),
            CadenceKind::Weekly => parse_weekly(text),
            CadenceKind::Monthly => parse_monthly(text),
            CadenceKind::Cron => text.parse().map(Self::Cron),
            CadenceKind::Once => text.parse().map(Self::Once),
        }
    }
}

fn parse_interval(text: &str) -> Result<Cadence, InvalidValue> {
    let error = || InvalidValue::is_not(text, "an interval");
    let every: Seconds = text
        .parse()
        .map_err(|_| error().next("write a duration such as 15m, 6h, 1h30m or 2d"))?;
    if every.get() < 60 {
        return Err(error()
            .because("the shortest interval is one minute")
            .next("write 15m or 6h"));
    }
    if !every.get().is_multiple_of(60) {
        return Err(error()
            .because("an interval is a whole number of minutes")
            .next("write 90m rather than 5400s"));
    }
    Ok(Cadence::Interval(every))
}

fn parse_weekly(text: &str) -> Result<Cadence, InvalidValue> {
    const KIND: &str = "a weekly time";
    let (days, times) = text.split_once('@').ok_or_else(|| {
        InvalidValue::is_not(text, KIND).next("write days and a time such as Mon,Thu@02:00")
    })?;
    Ok(Cadence::Weekly {
        days: Weekdays::parse(days).map_err(|error| error.inside(text, KIND))?,
        times: TimesOfDay::parse(times).map_err(|error| error.inside(text, KIND))?,
    })
}

fn parse_monthly(text: &str) -> Result<Cadence, InvalidValue> {
    const KIND: &str = "a monthly time";
    let (days, times) = text.split_once('@').ok_or_else(|| {
        InvalidValue::is_not(text, KIND).next("write days and a time such as 1,15,last@04:00")
    })?;
    let days: Result<_, _> = days.split(',').map(str::parse::<MonthDay>).collect();
    Ok(Cadence::Monthly {
        days: days.map_err(|error| error.inside(text, KIND))?,
        times: TimesOfDay::parse(times).map_err(|error| error.inside(text, KIND))?,
    })
}

impl TimesOfDay {
    /// Returns minutes since midnight.
    pub(super) fn minutes(&self) -> &[i16] {
        &self.0
    }

    fn parse(text: &str) -> Result<Self, InvalidValue> {
        let times: Result<BTreeSet<_>, _> = text
            .split(',')
            .map(|part| clock::parse_time(part.trim()))
            .collect();
        Ok(Self(times?.into_iter().map(clock::minute_of).collect()))
    }
}

impl fmt::Display for TimesOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times: Vec<_> = self.0.iter().copied().map(clock::render_minute).collect();
        f.pad(&times.join(","))
    }
}

impl FromStr for MonthDay {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("last") {
            return Ok(Self::Last);
        }
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        match text.parse() {
            Ok(day @ 1..=31) if digits => Ok(Self::Day(day)),
            _ => Err(InvalidValue::is_not(text, "a day of the month")
                .next("write a number from 1 to 31, or last")),
        }
    }
}

impl fmt::Display for MonthDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day(day) => f.pad(&day.to_string()),
            Self::Last => f.pad("last"),
        }
    }
}

impl FromStr for OnceAt {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let error = || InvalidValue::is_not(text, "a time");
        let no_seconds = || {
            error()
                .because("schedules have no seconds")
                .next("write whole minutes such as 08:00")
        };
        // A bare date would silently mean midnight.
        if !text.contains(':') {
            return Err(
                error().next("write date and time such as 2026-06-01T08:00 or tomorrow 08:00")
            );
        }
        // An offset or `Z` makes the time exact; the civil parser would drop
        // it.
        if let Ok(at) = text.parse::<Timestamp>() {
            if at.as_second().rem_euclid(60) != 0 || at.subsec_nanosecond() != 0 {
                return Err(no_seconds());
            }
            return Ok(Self::Exact(at));
        }
        let at = text.parse::<civil::DateTime>().map_err(|_| {
            error().next(
                "write 2026-06-01T08:00, tomorrow 08:00, or 2026-06-01T08:00Z for a moment in UTC",
            )
        })?;
        if at.second() != 0 || at.subsec_nanosecond() != 0 {
            return Err(no_seconds());
        }
        Ok(Self::Local(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(kind: CadenceKind, text: &str) -> Result<Cadence, InvalidValue> {
        Cadence::parse(kind, text)
    }

    #[test]
    fn every_kind_has_one_canonical_text() {
        for (kind, text, canonical) in [
            (CadenceKind::Interval, "90m", "1h30m"),
            (CadenceKind::Daily, "15:00, 3:00,03:00", "03:00,15:00"),
            (CadenceKind::Weekly, "thu,Mon@02:00", "Mon,Thu@02:00"),
            (
                CadenceKind::Monthly,
                "last,15,1,01@04:00",
                "1,15,last@04:00",
            ),
            (CadenceKind::Cron, "*/15  2 * *\tmon", "*/15 2 * * MON"),
            (CadenceKind::Cron, "@Daily", "@daily"),
            (CadenceKind::Once, "2026-06-01 08:00", "2026-06-01T08:00"),
            (CadenceKind::Once, "2026-06-01T08:00:00", "2026-06-01T08:00"),
            (
                CadenceKind::Once,
                "2026-06-01T08:00+02:00",
                "2026-06-01T06:00:00Z",
            ),
            (
                CadenceKind::Once,
                "2026-06-01T08:00Z",
                "2026-06-01T08:00:00Z",
            ),
        ] {
            let cadence = parse(kind, text).unwrap();
            assert_eq!(cadence.kind(), kind);
            assert_eq!(cadence.spec(), canonical);
            assert_eq!(parse(kind, canonical).unwrap(), cadence);
        }
    }

    #[test]
    fn a_wrong_text_is_refused_with_an_example() {
        for (kind, text, hint) in [
            (CadenceKind::Interval, "59s", "one minute"),
            (CadenceKind::Interval, "90s", "whole number of minutes"),
            (CadenceKind::Interval, "6", "6h"),
            (CadenceKind::Daily, "", "02:30"),
            (
                CadenceKind::Daily,
                "02:30,25:00",
                "`25:00` is not a time of day: hours go",
            ),
            (CadenceKind::Weekly, "02:00", "Mon,Thu@02:00"),
            (CadenceKind::Weekly, "Mo@02:00", "Mon, Tue"),
            (CadenceKind::Monthly, "32@04:00", "1 to 31"),
            (CadenceKind::Monthly, "0@04:00", "1 to 31"),
            (CadenceKind::Monthly, "+1@04:00", "1 to 31"),
            (CadenceKind::Monthly, "last", "1,15,last@04:00"),
            (CadenceKind::Once, "2026-06-01", "date and time"),
            (CadenceKind::Once, "tomorrow 08:00", "2026-06-01T08:00"),
            (CadenceKind::Once, "2026-06-01T08:00:30", "whole minutes"),
        ] {
            let error = parse(kind, text).unwrap_err().with_next_step();
            assert!(error.contains(hint), "{error}");
            assert!(error.starts_with(&format!("`{text}` is not a")), "{error}");
        }
    }
}
