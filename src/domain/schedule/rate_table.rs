//! Rate limits: one rate, or a timetable like rclone's.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::civil::{self, Weekday};

use super::clock;
use crate::domain::invalid_value::InvalidValue;
use crate::domain::units::ByteSize;

/// A limit in bytes per second that may depend on weekday and time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateTable(Rates);

/// Bytes per second; `None` is `off`, no limit.
type Rate = Option<ByteSize>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rates {
    Always(Rate),
    /// Each rate applies until the next change; never empty.
    Changes(BTreeMap<RateChange, Rate>),
}

/// The start of a rate. Changes that apply every day sort and render first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct RateChange {
    /// Monday is 0; `None` is every day.
    day: Option<i8>,
    minute: i16,
}

const KIND: &str = "a rate";
const FORM: &str =
    "write one rate such as 10M, or times such as 08:00,512K 19:00,10M Sat-00:00,off";

impl RateTable {
    /// Returns the limit at local time `at`; `None` is no limit.
    pub fn rate_at(&self, at: civil::DateTime) -> Option<ByteSize> {
        match &self.0 {
            Rates::Always(rate) => *rate,
            Rates::Changes(changes) => rate_in_force(changes, at),
        }
    }

    /// Returns a warning about a rate of so few bytes that its unit was forgotten.
    pub fn warning(&self) -> Option<String> {
        const KIB: u64 = 1 << 10;
        let least = match &self.0 {
            Rates::Always(rate) => *rate,
            Rates::Changes(changes) => changes.values().flatten().min().copied(),
        };
        let bytes = least.map(ByteSize::bytes).filter(|bytes| *bytes < KIB)?;
        let unit = if bytes == 1 { "byte" } else { "bytes" };
        Some(format!(
            "the rate {bytes} is {bytes} {unit} per second; `{bytes}M` is {bytes} MiB per second"
        ))
    }
}

/// Finds the latest change, today or on one of the seven days before.
fn rate_in_force(changes: &BTreeMap<RateChange, Rate>, at: civil::DateTime) -> Rate {
    let mut day = at.weekday();
    let mut latest_minute = clock::minute_of(at.time());
    for _ in 0..8 {
        let number = Some(day.to_monday_zero_offset());
        let newest = changes
            .iter()
            .filter(|(change, _)| change.day.is_none() || change.day == number)
            .filter(|(change, _)| change.minute <= latest_minute)
            // At the same minute a change for this weekday takes precedence.
            .max_by_key(|(change, _)| (change.minute, change.day));
        if let Some((_, rate)) = newest {
            return *rate;
        }
        day = day.previous();
        latest_minute = clock::MINUTES_OF_DAY;
    }
    None
}

impl FromStr for RateTable {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let text = text.trim();
        if !text.contains(',') {
            let rate = parse_rate(text).map_err(|error| error.inside(text, KIND))?;
            return Ok(Self(Rates::Always(rate)));
        }
        let mut changes = BTreeMap::new();
        for entry in text.split_whitespace() {
            let (change, rate) = parse_entry(entry).map_err(|error| error.inside(text, KIND))?;
            if changes.insert(change, rate).is_some() {
                return Err(InvalidValue::is_not(text, KIND)
                    .because(format!("`{change}` has two rates"))
                    .next("write one for each time"));
            }
        }
        Ok(Self(Rates::Changes(changes)))
    }
}

fn parse_entry(entry: &str) -> Result<(RateChange, Rate), InvalidValue> {
    let (when, rate) = entry
        .split_once(',')
        .ok_or_else(|| InvalidValue::is_not(entry, KIND).next(FORM))?;
    let (day, time) = match when.split_once('-') {
        Some((day, time)) => (
            Some(clock::parse_weekday(day)?.to_monday_zero_offset()),
            time,
        ),
        None => (None, when),
    };
    let minute = clock::minute_of(clock::parse_time(time)?);
    Ok((RateChange { day, minute }, parse_rate(rate)?))
}

fn parse_rate(text: &str) -> Result<Rate, InvalidValue> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    match text.parse() {
        Ok(ByteSize(0)) => Err(InvalidValue::is_not(text, KIND).next("write off for no limit")),
        Ok(rate) => Ok(Some(rate)),
        Err(_) => Err(InvalidValue::is_not(text, KIND).next(FORM)),
    }
}

impl fmt::Display for RateChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = self
            .day
            .and_then(|day| Weekday::from_monday_zero_offset(day).ok());
        if let Some(day) = day {
            write!(f, "{}-", clock::render_weekday(day))?;
        }
        f.write_str(&clock::render_minute(self.minute))
    }
}

impl fmt::Display for RateTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let render = |rate: &Rate| rate.map_or("off".to_owned(), |rate| rate.to_string());
        match &self.0 {
            Rates::Always(rate) => f.pad(&render(rate)),
            Rates::Changes(changes) => {
                let entries: Vec<_> = changes
                    .iter()
                    .map(|(change, rate)| format!("{change},{}", render(rate)))
                    .collect();
                f.pad(&entries.join(" "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_without_its_unit_is_warned_of() {
        let warning = |text: &str| text.parse::<RateTable>().unwrap().warning();
        let words = "the rate 1 is 1 byte per second; `1M` is 1 MiB per second";
        assert_eq!(warning("1").as_deref(), Some(words));
        assert!(warning("08:00,off 19:00,20").is_some());
        assert_eq!((warning("1K"), warning("off")), (None, None));
    }

    #[test]
    fn a_rate_table_has_one_canonical_text() {
        for (text, canonical) in [
            ("10M", "10M"),
            ("OFF", "off"),
            ("512k", "512K"),
            (
                "Sat-00:00,off 19:00,10M  8:00,524288 mon-9:00,1G",
                "08:00,512K 19:00,10M Mon-09:00,1G Sat-00:00,off",
            ),
        ] {
            let table: RateTable = text.parse().unwrap();
            assert_eq!(table.to_string(), canonical);
            assert_eq!(canonical.parse(), Ok(table));
        }
        for bad in [
            "",
            "0",
            "fast",
            "08:00",
            "08:00,",
            "08:00,1M 08:00,2M",
            "08:00,1M 2M",
            "Sa-08:00,1M",
            "24:00,1M",
            "10M:1M",
        ] {
            assert!(bad.parse::<RateTable>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_rate_applies_until_the_next_change_across_the_week() {
        let table: RateTable = "08:00,512K 19:00,10M Sat-08:00,off Sun-23:00,1M"
            .parse()
            .unwrap();
        for (at, rate) in [
            ("2026-02-05T07:59", Some(10 << 20)),
            ("2026-02-05T08:00", Some(512 << 10)),
            ("2026-02-05T19:00", Some(10 << 20)),
            ("2026-02-07T08:00", None),
            ("2026-02-08T23:30", Some(1 << 20)),
            ("2026-02-09T00:30", Some(1 << 20)),
        ] {
            assert_eq!(
                table.rate_at(at.parse().unwrap()),
                rate.map(ByteSize),
                "{at}"
            );
        }
        let weekly: RateTable = "Wed-12:00,1M".parse().unwrap();
        let before = "2026-02-04T11:59".parse().unwrap();
        assert_eq!(weekly.rate_at(before), Some(ByteSize(1 << 20)));
    }
}
