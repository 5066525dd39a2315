//! Sizes and durations as text: `500K`, `2G`, `90s`, `1w`.
//!
//! Sizes are binary and whole bytes; durations are whole seconds. Rendered text
//! parses back to the same value.

use std::fmt;
use std::str::FromStr;

use crate::domain::invalid_value::InvalidValue;

/// Renders a number with its noun: `1 file`, `2 files`.
pub fn count(number: u64, one: &str, many: &str) -> String {
    let noun = if number == 1 { one } else { many };
    format!("{number} {noun}")
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

const SIZE_SUFFIXES: [(char, u32); 6] = [
    ('E', 60),
    ('P', 50),
    ('T', 40),
    ('G', 30),
    ('M', 20),
    ('K', 10),
];

impl ByteSize {
    pub fn bytes(self) -> u64 {
        self.0
    }

    /// Renders a size with three significant digits and a binary unit, such as
    /// `4.27 GiB`.
    pub fn render_short(self) -> String {
        for (suffix, shift) in SIZE_SUFFIXES {
            let unit = 1u64 << shift;
            if self.0 >= unit {
                let value = self.0 as f64 / unit as f64;
                let digits = if value < 9.995 {
                    2
                } else {
                    usize::from(value < 99.95)
                };
                return format!("{value:.digits$} {suffix}iB");
            }
        }
        format!("{} B", self.0)
    }
}

impl FromStr for ByteSize {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let error = || {
            InvalidValue::is_not(text, "a size")
                .next("write a number of bytes with K, M, G, T or P behind it, such as 500K or 2G")
        };
        let upper = text.trim().to_ascii_uppercase();
        let number = upper
            .strip_suffix("IB")
            .or_else(|| upper.strip_suffix('B'))
            .unwrap_or(&upper);
        let (digits, shift) = match number.chars().last() {
            Some(last) => match SIZE_SUFFIXES.iter().find(|(suffix, _)| *suffix == last) {
                Some((_, shift)) => (&number[..number.len() - 1], *shift),
                None => (number, 0),
            },
            None => return Err(error()),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        let fraction_is_wrong =
            digits.contains('.') && (fraction.is_empty() || shift == 0 || fraction.len() > 6);
        if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) || fraction_is_wrong {
            return Err(error());
        }
        let too_large = || {
            error()
                .because("it is larger than 16 EiB")
                .next("write a smaller one")
        };
        let unit = 1u128 << shift;
        let mut bytes = whole
            .parse::<u128>()
            .map_err(|_| too_large())?
            .checked_mul(unit)
            .ok_or_else(too_large)?;
        if !fraction.is_empty() {
            let part = fraction.parse::<u128>().map_err(|_| error())?;
            bytes += part * unit / 10u128.pow(fraction.len() as u32);
        }
        u64::try_from(bytes).map(Self).map_err(|_| too_large())
    }
}

impl fmt::Display for ByteSize {
    /// Writes the largest unit that divides the size, so that the text is
    /// exact.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = SIZE_SUFFIXES
            .iter()
            .find(|(_, shift)| self.0 > 0 && self.0.is_multiple_of(1u64 << shift));
        match exact {
            Some((suffix, shift)) => f.pad(&format!("{}{suffix}", self.0 >> shift)),
            None => f.pad(&self.0.to_string()),
        }
    }
}

/// A span of time in whole seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seconds(pub u64);

/// About a century; a longer span is a typing error and would overflow dates.
const LONGEST: u64 = 36_500 * 86_400;

const DURATION_UNITS: [(char, u64); 5] = [
    ('w', 604_800),
    ('d', 86_400),
    ('h', 3_600),
    ('m', 60),
    ('s', 1),
];

impl Seconds {
    pub fn get(self) -> u64 {
        self.0
    }

    /// Renders a span for people in days, hours, minutes or seconds, such as `90 s` or
    /// `11 d`: the largest unit of which it has at least two.
    pub fn render_short(self) -> String {
        const UNITS: [(&str, u64); 3] = [("d", 86_400), ("h", 3_600), ("min", 60)];
        let unit = UNITS.iter().find(|(_, unit)| self.0 >= 2 * unit);
        let (name, unit) = unit.unwrap_or(&("s", 1));
        format!("{} {name}", self.0 / unit)
    }

    /// Returns the span as a `jiff` duration.
    pub fn span(self) -> jiff::SignedDuration {
        jiff::SignedDuration::from_secs(i64::try_from(self.0).unwrap_or(i64::MAX))
    }
}

impl FromStr for Seconds {
    type Err = InvalidValue;

    /// Parses `90s`, `15m`, `6h`, `2d`, `1w` and sums such as `1h30m`.
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let error = || {
            InvalidValue::is_not(text, "a duration")
                .next("write numbers with s, m, h, d or w, such as 90s, 15m, 1h30m or 2d")
        };
        let too_long = || {
            error()
                .because("it is longer than a century")
                .next("write a shorter one")
        };
        let mut total = 0u64;
        let mut previous_unit = u64::MAX;
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(error());
        }
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(error)?;
            let (digits, tail) = rest.split_at(end);
            let letter = tail.chars().next().ok_or_else(error)?;
            let unit = DURATION_UNITS
                .iter()
                .find(|(name, _)| *name == letter)
                .map(|(_, unit)| *unit);
            let unit = unit
                .filter(|unit| *unit < previous_unit)
                .ok_or_else(error)?;
            if digits.is_empty() {
                return Err(error());
            }
            let count = digits.parse::<u64>().map_err(|_| too_long())?;
            total = count
                .checked_mul(unit)
                .and_then(|part| total.checked_add(part))
                .filter(|sum| *sum <= LONGEST)
                .ok_or_else(too_long)?;
            previous_unit = unit;
            rest = &tail[letter.len_utf8()..];
        }
        Ok(Self(total))
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.pad("0s");
        }
        let mut text = String::new();
        let mut left = self.0;
        for (name, unit) in DURATION_UNITS {
            // Never in weeks: `7d` and `10d` compare better than `1w` and `1w3d`.
            if left < unit || name == 'w' {
                continue;
            }
            text.push_str(&format!("{}{name}", left / unit));
            left %= unit;
        }
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_span_has_one_unit() {
        for (seconds, text) in [
            (0, "0 s"),
            (119, "119 s"),
            (7199, "119 min"),
            (172_799, "47 h"),
        ] {
            assert_eq!(Seconds(seconds).render_short(), text);
        }
        assert_eq!(Seconds(1_000_000).render_short(), "11 d");
    }

    #[test]
    fn sizes_are_binary() {
        for (text, bytes) in [
            ("0", 0),
            ("17", 17),
            ("500K", 512_000),
            ("10M", 10 << 20),
            ("2G", 2 << 30),
            ("1.5G", 3 << 29),
            ("2gib", 2 << 30),
            ("7kB", 7 << 10),
            ("1T", 1 << 40),
            (" 3P ", 3 << 50),
        ] {
            assert_eq!(text.parse::<ByteSize>().unwrap().bytes(), bytes, "{text}");
        }
        for bad in [
            "",
            "K",
            "-1",
            "1.5",
            "1X",
            "1 G x",
            "1.G",
            ".5G",
            "99999999999P",
            "1e3",
            "١",
        ] {
            assert!(bad.parse::<ByteSize>().is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_are_sums_of_falling_units() {
        for (text, seconds) in [
            ("90s", 90),
            ("15m", 900),
            ("6h", 21_600),
            ("2d", 172_800),
            ("1w", 604_800),
            ("1h30m", 5_400),
        ] {
            assert_eq!(text.parse::<Seconds>().unwrap().get(), seconds, "{text}");
        }
        for bad in [
            "", "5", "h", "5x", "1m1h", "1h1h", "-1h", "1.5h", "99999w", "5 m",
        ] {
            assert!(bad.parse::<Seconds>().is_err(), "{bad}");
        }
    }

    #[test]
    fn rendered_text_parses_back() {
        for bytes in [0, 1, 1023, 1024, 512_000, 3 << 29, u64::MAX, 1 << 60] {
            assert_eq!(ByteSize(bytes).to_string().parse(), Ok(ByteSize(bytes)));
        }
        for seconds in [
            0, 1, 59, 60, 90, 5_400, 86_400, 604_800, 864_000, 694_861, LONGEST,
        ] {
            assert_eq!(
                Seconds(seconds).to_string().parse(),
                Ok(Seconds(seconds)),
                "{seconds}"
            );
        }
    }

    #[test]
    fn short_sizes_keep_three_digits() {
        assert_eq!(ByteSize(999).render_short(), "999 B");
        assert_eq!(ByteSize(1 << 20).render_short(), "1.00 MiB");
        assert_eq!(ByteSize(123 << 30).render_short(), "123 GiB");
        assert_eq!(ByteSize(15 << 29).render_short(), "7.50 GiB");
    }
}
