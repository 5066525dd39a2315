//! Five-field cron expressions, as in a crontab.
//!
//! This parser exists because no published crate handles both the fields and
//! clock changes correctly. It decides by fields only; `slots` converts local
//! times to instants. Expressions that other programs accept but never run
//! (`FRI-MON`, 31 June), or run at surprising times (`*/90`, a seconds field),
//! are refused with a reason.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, Weekday};

use super::cron_field::{DAY, HOUR, MINUTE, MONTH, WEEKDAY, parse_number};
use crate::domain::invalid_value::InvalidValue;

/// A cron expression: five fields or a nickname such as `@daily`.
#[derive(Clone, Debug)]
pub struct CronExpr {
    /// The text as written, in upper case and with single spaces.
    text: String,
    fields: CronFields,
}

/// Expressions with the same meaning are equal, however they are written.
impl PartialEq for CronExpr {
    fn eq(&self, other: &Self) -> bool {
        self.fields == other.fields
    }
}

impl Eq for CronExpr {}

#[derive(Clone, Debug, PartialEq, Eq)]
struct CronFields {
    /// Minutes since midnight, ascending.
    minutes: Vec<i16>,
    days: MonthDays,
    /// One bit per value, here and below.
    months: u64,
    weekdays: DaysOfWeek,
    /// The minute or the hour field begins with `*`.
    is_wildcard: bool,
    /// A day field begins with `*`, so both must match; otherwise one is
    /// enough.
    needs_both_days: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct MonthDays {
    plain: u64,
    /// `15W`: the nearest day from Monday to Friday in the same month.
    nearest: u64,
    last: bool,
    /// `LW`: the last day from Monday to Friday.
    last_working: bool,
}

/// Sunday is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct DaysOfWeek {
    plain: u64,
    /// `5L`: the last such day of the month.
    last: u64,
    /// `5#2`: the second such day of the month is in `nth[1]`.
    nth: [u64; 5],
}

impl CronExpr {
    /// Reports whether slots are real minutes rather than planned times.
    ///
    /// Such an expression runs in both passes of a repeated hour and not at all
    /// in a skipped one, as cron does.
    pub(super) fn is_wildcard(&self) -> bool {
        self.fields.is_wildcard
    }

    pub(super) fn matches_date(&self, date: Date) -> bool {
        let fields = &self.fields;
        if !has(fields.months, date.month()) {
            return false;
        }
        let by_month = fields.days.contain(date);
        let by_week = fields.weekdays.contain(date);
        if fields.needs_both_days {
            by_month && by_week
        } else {
            by_month || by_week
        }
    }

    /// Returns the matching minutes of a matching day, ascending.
    pub(super) fn minutes(&self) -> &[i16] {
        &self.fields.minutes
    }
}

/// Lists the minutes since midnight that an hour and a minute field allow.
fn minutes_of_day(hours: u64, minutes: u64) -> Vec<i16> {
    let hours = (0..24).filter(|hour| has(hours, *hour));
    hours
        .flat_map(|hour| {
            let minutes = (0..60).filter(|minute| has(minutes, *minute));
            minutes.map(move |minute| i16::from(hour) * 60 + i16::from(minute))
        })
        .collect()
}

impl MonthDays {
    fn contain(&self, date: Date) -> bool {
        let (day, length) = (date.day(), date.days_in_month());
        has(self.plain, day)
            || (self.last && day == length)
            || (self.last_working && day == nearest_working_day(date, length))
            || (1..=length)
                .any(|wanted| has(self.nearest, wanted) && nearest_working_day(date, wanted) == day)
    }
}

/// Returns the day from Monday to Friday that is nearest to a day of the same month.
fn nearest_working_day(date: Date, wanted: i8) -> i8 {
    let length = date.days_in_month();
    let weekday = date.weekday().wrapping_add(wanted - date.day());
    match weekday {
        Weekday::Saturday if wanted > 1 => wanted - 1,
        Weekday::Saturday => wanted + 2,
        Weekday::Sunday if wanted < length => wanted + 1,
        Weekday::Sunday => wanted - 2,
        _ => wanted,
    }
}

impl DaysOfWeek {
    fn contain(&self, date: Date) -> bool {
        let weekday = date.weekday().to_sunday_zero_offset();
        let week = (date.day() - 1) / 7;
        let is_last = date.day() + 7 > date.days_in_month();
        has(self.plain, weekday)
            || (is_last && has(self.last, weekday))
            || self
                .nth
                .get(week as usize)
                .is_some_and(|set| has(*set, weekday))
    }
}

fn has(set: u64, value: i8) -> bool {
    set >> value & 1 == 1
}

impl FromStr for CronExpr {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let error = |why: InvalidValue| {
            why.inside(text, "a cron expression").or_next(
                "write minute, hour, day of month, month and weekday, such as `30 2 * * 1-5`, or \
                 use `--daily 02:30`",
            )
        };
        let text = text.trim();
        if text.len() > 500 {
            return Err(error(InvalidValue::new("it is longer than 500 bytes")));
        }
        if text.starts_with('@') {
            let nickname = text.to_ascii_lowercase();
            let fields = parse_fields(expand_nickname(&nickname).map_err(error)?);
            return Ok(Self {
                text: nickname,
                fields: fields.map_err(error)?,
            });
        }
        let words: Vec<_> = text.split_whitespace().collect();
        let text = words.join(" ").to_ascii_uppercase();
        let fields = parse_fields(&text).map_err(error)?;
        Ok(Self { text, fields })
    }
}

impl fmt::Display for CronExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

fn expand_nickname(nickname: &str) -> Result<&'static str, InvalidValue> {
    Ok(match nickname {
        "@hourly" => "0 * * * *",
        "@daily" | "@midnight" => "0 0 * * *",
        "@weekly" => "0 0 * * 0",
        "@monthly" => "0 0 1 * *",
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@reboot" => {
            return Err(InvalidValue::new("`@reboot` is not supported").next("choose a time"));
        }
        every if every.starts_with("@every") => {
            let refusal = InvalidValue::new("`@every` is not supported");
            return Err(refusal.next("write an interval instead, such as --every 6h"));
        }
        _ => {
            return Err(InvalidValue::new(
                "the nicknames are @hourly, @daily, @weekly, @monthly and @yearly",
            ));
        }
    })
}

fn parse_fields(text: &str) -> Result<CronFields, InvalidValue> {
    let words: Vec<_> = text.split(' ').filter(|word| !word.is_empty()).collect();
    let [minute, hour, day, month, weekday] = words[..] else {
        return Err(wrong_number_of_fields(&words));
    };
    Ok(CronFields {
        minutes: minutes_of_day(HOUR.parse(hour)?, MINUTE.parse(minute)?),
        days: parse_month_days(day)?,
        months: MONTH.parse(month)?,
        weekdays: parse_days_of_week(weekday)?,
        is_wildcard: minute.starts_with('*') || hour.starts_with('*'),
        needs_both_days: [day, weekday]
            .iter()
            .any(|word| word.starts_with(['*', '?'])),
    })
}

fn wrong_number_of_fields(words: &[&str]) -> InvalidValue {
    const FORM: &str = "five fields are needed: minute hour day-of-month month day-of-week";
    match words.len() {
        6 => InvalidValue::new("it has six fields; there are no seconds here").next(format!(
            "write `{}` if the first are seconds",
            words[1..].join(" ")
        )),
        7 => InvalidValue::new("it has seven fields; there are neither seconds nor years here")
            .next(format!(
                "write `{}` if those are the first and the last",
                words[1..6].join(" ")
            )),
        count => InvalidValue::new(format!("{FORM}; it has {count}")),
    }
}

fn parse_month_days(word: &str) -> Result<MonthDays, InvalidValue> {
    let mut days = MonthDays::default();
    if word == "?" {
        days.plain = DAY.all();
        return Ok(days);
    }
    for item in word.split(',') {
        match item {
            "L" => days.last = true,
            "LW" => days.last_working = true,
            _ => match item.strip_suffix('W') {
                Some(number) => days.nearest |= 1 << DAY.parse_value(word, number)?,
                None => days.plain |= DAY.parse_item(word, item)?,
            },
        }
    }
    Ok(days)
}

fn parse_days_of_week(word: &str) -> Result<DaysOfWeek, InvalidValue> {
    let mut days = DaysOfWeek::default();
    if word == "?" {
        // Not 7: it is Sunday again.
        days.plain = WEEKDAY.all() & 0x7f;
        return Ok(days);
    }
    for item in word.split(',') {
        if item == "L" {
            let refusal = WEEKDAY.error(word, "`L` alone is not a weekday");
            return Err(refusal.next("write 5L for the last Friday of the month"));
        }
        if let Some((day, nth)) = item.split_once('#') {
            let day = WEEKDAY.parse_value(word, day)? % 7;
            match parse_number(nth) {
                Some(nth @ 1..=5) => days.nth[nth as usize - 1] |= 1 << day,
                _ => return Err(WEEKDAY.error(word, "after `#` comes a number from 1 to 5")),
            }
        } else if let Some(day) = item.strip_suffix('L') {
            days.last |= 1 << (WEEKDAY.parse_value(word, day)? % 7);
        } else {
            days.plain |= WEEKDAY.parse_item(word, item)?;
        }
    }
    // Both 0 and 7 are Sunday.
    days.plain = (days.plain | days.plain >> 7) & 0x7f;
    Ok(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expr(text: &str) -> CronExpr {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    /// The matching days of one month.
    fn days(text: &str, year: i16, month: i8) -> Vec<i8> {
        let expr = expr(text);
        let first = Date::constant(year, month, 1);
        (1..=first.days_in_month())
            .filter(|day| expr.matches_date(Date::constant(year, month, *day)))
            .collect()
    }

    #[test]
    fn equal_expressions_may_be_written_differently() {
        for (one, other) in [
            ("@daily", "0 0 * * *"),
            ("@Midnight", "00 00 * * *"),
            ("@hourly", "0 * * * *"),
            ("@weekly", "0\t0  * * SUN"),
            ("@monthly", "0 0 1 * ?"),
            ("@annually", "0 0 1 jan *"),
            ("0 0 * * 7", "0 0 * * 0"),
            ("0 0 * * SAT-SUN", "0 0 * * 6-7"),
            ("0 0 * * FRI-SUN", "0 0 * * 0,5,6"),
            ("0 0 * * SUN-TUE", "0 0 * * 0-2"),
            ("0 0 * nov-dec mon,wed", "0 0 * 11,12 1,3"),
            ("5-20/5 * * * *", "5,10,15,20 * * * *"),
        ] {
            let (one, other) = (expr(one), expr(other));
            assert_eq!(one, other);
            assert_eq!(one.to_string().parse(), Ok(one));
        }
        assert_ne!(expr("0 0 1 * 1"), expr("0 0 1 * *"));
    }

    #[test]
    fn surprising_expressions_are_refused_with_an_alternative() {
        for (text, hint) in [
            ("@reboot", "choose a time"),
            ("@every 5m", "--every"),
            ("@often", "@hourly"),
            ("", "five fields"),
            ("* * * *", "it has 4"),
            ("0 0 2 * * *", "write `0 2 * * *`"),
            ("0 0 2 * * * 2026", "seven fields"),
            ("60 * * * *", "0 to 59"),
            ("-1 * * * *", "not a number"),
            ("+1 * * * *", "not a number"),
            ("*/0 * * * *", "at least 1"),
            ("*/90 * * * *", "60 values"),
            ("5/15 * * * *", "5-59/15"),
            ("* 22-2 * * *", "22-23,0-2"),
            ("* * * * FRI-MON", "FRI-SUN,MON"),
            ("* * * * 5-1", "5-7,1"),
            ("* * * NOV-FEB *", "NOV-DEC,JAN-FEB"),
            ("* * * * 8", "SUN"),
            ("* * * * L", "5L"),
            ("* * * * 5#6", "1 to 5"),
            ("* * * * 5#+2", "1 to 5"),
            ("* * 0 * *", "1 to 31"),
            ("* * 15-20W * *", "not a number"),
            ("? * * * *", "not a number"),
            ("H H * * *", "--jitter"),
            ("1,,2 * * * *", "not a number"),
            ("1- * * * *", "not a number"),
            ("*/ * * * *", "after `/`"),
            ("99999999999 * * * *", "0 to 59"),
        ] {
            let error = text.parse::<CronExpr>().unwrap_err().with_next_step();
            assert!(error.contains(hint), "{error}");
        }
    }

    #[test]
    fn one_restricted_day_field_is_enough_unless_the_other_begins_with_a_star() {
        assert_eq!(days("0 0 13 * FRI", 2026, 2), [6, 13, 20, 27]);
        assert_eq!(days("0 0 15 * FRI", 2026, 2), [6, 13, 15, 20, 27]);
        assert_eq!(days("0 0 */2 * SAT,SUN", 2026, 11), [1, 7, 15, 21, 29]);
        assert_eq!(days("0 0 *,10 * TUE", 2026, 11), [3, 10, 17, 24]);
        assert_eq!(days("0 0 10,* * TUE", 2026, 11).len(), 30);
    }

    #[test]
    fn special_days_stay_in_their_month() {
        assert_eq!(days("0 0 L * *", 2026, 12), [31]);
        assert_eq!(days("0 0 L * *", 2028, 2), [29]);
        // 28 February 2026 is a Saturday, 31 May a Sunday, 1 August a Saturday.
        assert_eq!(days("0 0 LW * *", 2026, 2), [27]);
        assert_eq!(days("0 0 31W * *", 2026, 5), [29]);
        assert_eq!(days("0 0 31W * *", 2026, 4), [0i8; 0]);
        assert_eq!(days("0 0 1W * *", 2026, 8), [3]);
        assert_eq!(days("0 0 15W * *", 2026, 8), [14]);
        assert_eq!(days("0 0 16W * *", 2026, 8), [17]);
        assert_eq!(days("0 0 * * 5L", 2026, 12), [25]);
        assert_eq!(days("0 0 * * FRI#2", 2026, 12), [11]);
        assert_eq!(days("0 0 * * 5#5", 2026, 2), [0i8; 0]);
        assert_eq!(days("0 0 31 * *", 2026, 4), [0i8; 0]);
    }
}
