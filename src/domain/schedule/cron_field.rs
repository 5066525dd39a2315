//! One cron field: numbers, names, ranges and steps.

use crate::domain::invalid_value::InvalidValue;

/// One of the five fields: its name and its allowed values.
pub(super) struct CronField {
    name: &'static str,
    least: i8,
    most: i8,
    /// Names of the values from `least` upwards.
    names: &'static [&'static str],
}

pub(super) const MINUTE: CronField = CronField {
    name: "minute",
    least: 0,
    most: 59,
    names: &[],
};
pub(super) const HOUR: CronField = CronField {
    name: "hour",
    least: 0,
    most: 23,
    names: &[],
};
pub(super) const DAY: CronField = CronField {
    name: "day-of-month",
    least: 1,
    most: 31,
    names: &[],
};
pub(super) const MONTH: CronField = CronField {
    name: "month",
    least: 1,
    most: 12,
    names: &[
        "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
    ],
};
pub(super) const WEEKDAY: CronField = CronField {
    name: "day-of-week",
    least: 0,
    most: 7,
    names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"],
};

impl CronField {
    /// Parses a comma-separated list into a set, one bit per value.
    pub(super) fn parse(&self, word: &str) -> Result<u64, InvalidValue> {
        word.split(',')
            .try_fold(0, |set, item| Ok(set | self.parse_item(word, item)?))
    }

    /// Parses `*`, `5`, `1-5` with or without a step into a set.
    pub(super) fn parse_item(&self, word: &str, item: &str) -> Result<u64, InvalidValue> {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(self.parse_step(word, step)?)),
            None => (item, None),
        };
        let (first, last) = if range == "*" {
            (self.least, self.most)
        } else if let Some((first, last)) = range.split_once('-') {
            self.parse_range(word, first, last)?
        } else {
            let value = self.parse_value(word, range)?;
            if let Some(step) = step {
                let most = if self.is_weekday() { 6 } else { self.most };
                let refusal = self.error(word, "a step needs a range");
                return Err(refusal.next(format!("write {range}-{most}/{step}")));
            }
            (value, value)
        };
        let step = step.unwrap_or(1);
        Ok((first..=last)
            .step_by(step)
            .fold(0, |set, value| set | 1 << value))
    }

    fn parse_range(&self, word: &str, first: &str, last: &str) -> Result<(i8, i8), InvalidValue> {
        let (mut low, mut high) = (
            self.parse_value(word, first)?,
            self.parse_value(word, last)?,
        );
        if self.is_weekday() {
            // Sunday is 7 at the end of a range and 0 at its start.
            high = if high == 0 && low > 0 { 7 } else { high };
            low = if low == 7 && high < 7 { 0 } else { low };
        }
        if low <= high {
            return Ok((low, high));
        }
        let named = first.starts_with(|c: char| c.is_ascii_alphabetic());
        let render = |from: i8, to: i8| {
            let label = |value: i8| match self.names.get((value - self.least) as usize) {
                Some(name) if named => (*name).to_owned(),
                _ => value.to_string(),
            };
            if from == to {
                label(from)
            } else {
                format!("{}-{}", label(from), label(to))
            }
        };
        let restart = if self.is_weekday() { 1 } else { self.least };
        let (low, high) = (render(low, self.most), render(restart, high));
        let refusal = self.error(word, "a range does not run past its end");
        Err(refusal.next(format!("write {low},{high}")))
    }

    fn parse_step(&self, word: &str, step: &str) -> Result<usize, InvalidValue> {
        let size = if self.is_weekday() {
            7
        } else {
            self.most - self.least + 1
        };
        match parse_number(step) {
            Some(0) => Err(self.error(word, "a step is at least 1")),
            Some(number) if number <= size => Ok(number as usize),
            Some(_) => Err(self.error(
                word,
                &format!("the step is larger than the field, which has {size} values"),
            )),
            None => Err(self.error(word, "after `/` comes a number")),
        }
    }

    /// Parses one number or name.
    pub(super) fn parse_value(&self, word: &str, text: &str) -> Result<i8, InvalidValue> {
        if let Some(index) = self.names.iter().position(|name| *name == text) {
            return Ok(self.least + index as i8);
        }
        if let Some(value) = parse_number(text)
            && (self.least..=self.most).contains(&value)
        {
            return Ok(value);
        }
        if text == "H" || text.starts_with("H(") {
            let refusal = self.error(word, "`H` is not supported");
            return Err(refusal.next("write a number and use --jitter to spread the starts"));
        }
        let names = match self.names {
            [first, .., last] => format!(", or {first} to {last}"),
            _ => String::new(),
        };
        let why = format!(
            "`{text}` is not a number from {} to {}{names}",
            self.least, self.most
        );
        Err(self.error(word, &why))
    }

    /// Adds the name of the field to a reason.
    pub(super) fn error(&self, word: &str, why: &str) -> InvalidValue {
        InvalidValue::new(format!("in its {} field `{word}`, {why}", self.name))
    }

    fn is_weekday(&self) -> bool {
        self.most == 7
    }

    /// Returns the set of all values.
    pub(super) fn all(&self) -> u64 {
        (self.least..=self.most).fold(0, |set, value| set | 1 << value)
    }
}

/// Parses digits only: no sign, no space.
pub(super) fn parse_number(text: &str) -> Option<i8> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    // A number that does not fit is larger than every field allows.
    digits.then(|| text.parse().unwrap_or(i8::MAX))
}
