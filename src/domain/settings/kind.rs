//! The kinds of values, and how a text of each kind is parsed.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::key::OFF;
use super::url::{check_ping, check_url};
use super::value::SettingValue;
use crate::domain::allowance::BLOCK;
use crate::domain::invalid_value::InvalidValue;
use crate::domain::schedule::find_zone;
use crate::domain::units::{ByteSize, Seconds};

/// The kind of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    Count {
        min: u64,
        max: u64,
    },
    /// A number of bytes; `min` is the smallest useful one.
    Size {
        min: u64,
    },
    /// Bytes of a day or a month.
    Allowance,
    /// The name of a time zone.
    Zone,
    /// A span of time; `min` is the shortest useful one.
    Duration {
        min: u64,
    },
    /// A number of bytes or a span of time. A small letter is a unit of time: `10m` is
    /// ten minutes, and `10M` ten mebibytes.
    SizeOrDuration,
    /// A span of time that divides an hour, so that a timer can tick evenly.
    TickPeriod,
    Rate,
    Choice(&'static [&'static str]),
    Url,
    /// A URL that works without further credentials; only its host is shown.
    SecretUrl,
    Path,
    /// A file to be written, in a directory that exists.
    File,
    /// A program and its arguments.
    Argv,
    /// A selection of guards.
    Guards,
    /// A percentage, or `off`.
    Percent,
}

impl ValueKind {
    /// Parses a value and returns it in its canonical spelling.
    pub(super) fn parse(self, value: &str) -> Result<SettingValue, InvalidValue> {
        match self {
            Self::Count { min, max } => count(value, min..=max).map(SettingValue::Count),
            Self::Size { min } => size(value, min, "more than 0"),
            Self::Allowance => size(value, BLOCK, "at least 1M"),
            Self::Zone => {
                let zone = find_zone(value)?;
                let name = zone.iana_name().unwrap_or(value);
                Ok(SettingValue::Text(name.to_owned()))
            }
            Self::Duration { min } => match value.parse()? {
                Seconds(span) if span < min => Err(must_be(format!("at least {}", Seconds(min)))),
                span => Ok(SettingValue::Duration(span)),
            },
            Self::SizeOrDuration => match (value.parse(), value.parse()) {
                (Ok(span), _) if span > Seconds(0) => Ok(SettingValue::Duration(span)),
                (_, Ok(size)) if size > ByteSize(0) => Ok(SettingValue::Size(size)),
                _ => Err(must_be("a size such as 20G, or a time such as 10m")),
            },
            Self::TickPeriod => match value.parse() {
                Ok(Seconds(span)) if span >= 60 && 3_600 % span == 0 && span % 60 == 0 => {
                    Ok(SettingValue::Duration(Seconds(span)))
                }
                _ => Err(must_be(
                    "1m, 2m, 3m, 4m, 5m, 6m, 10m, 12m, 15m, 20m, 30m or 1h",
                )),
            },
            Self::Rate => value.parse().map(SettingValue::Rate),
            Self::Choice(words) => {
                let found = words.iter().find(|word| **word == value);
                let refusal = || must_be(format!("one of {}", words.join(", ")));
                found
                    .map(|word| SettingValue::Choice(word))
                    .ok_or_else(refusal)
            }
            Self::Url => check_url(value).map(SettingValue::Text),
            Self::SecretUrl => check_ping(value).map(SettingValue::Text),
            Self::Argv => value.parse().map(SettingValue::Argv),
            Self::Guards => value.parse().map(SettingValue::Guards),
            Self::Percent => {
                let percent = percent(value).map(SettingValue::Percent);
                percent.ok_or_else(|| must_be("`off` or a percentage, such as 30%"))
            }
            Self::Path if value.is_empty() => Err(must_be("a directory")),
            Self::File if is_no_file(value) => Err(must_be("the path of a file")),
            Self::Path | Self::File if value.contains('\0') => {
                Err(InvalidValue::new("it contains a NUL"))
            }
            Self::Path | Self::File => Ok(SettingValue::Text(value.to_owned())),
        }
    }
}

fn must_be(form: impl Display) -> InvalidValue {
    InvalidValue::new(format!("it must be {form}"))
}

fn count(value: &str, range: RangeInclusive<u64>) -> Result<u64, InvalidValue> {
    let number = value.parse().ok().filter(|number| range.contains(number));
    let (min, max) = range.into_inner();
    number.ok_or_else(|| must_be(format!("a whole number from {min} to {max}")))
}

fn size(value: &str, min: u64, least: &str) -> Result<SettingValue, InvalidValue> {
    match value.parse()? {
        ByteSize(size) if size < min => Err(must_be(least)),
        size => Ok(SettingValue::Size(size)),
    }
}

fn is_no_file(path: &str) -> bool {
    path.is_empty() || path.ends_with(['/', std::path::MAIN_SEPARATOR])
}

/// Parses `off`, `30%` or `30`; `None` for any other text.
fn percent(value: &str) -> Option<Option<u32>> {
    const MOST: u32 = 1_000_000;
    if value == OFF {
        return Some(None);
    }
    let number = value.strip_suffix('%').unwrap_or(value).trim_end();
    let number = number.parse().ok();
    number.filter(|n| (1..=MOST).contains(n)).map(Some)
}
