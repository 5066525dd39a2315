//! YAML that readers of version 1.1 understand as well.
//!
//! The writer in use follows version 1.2 and leaves texts without quotes that version 1.1
//! takes for other types: `12:30` is a number to the base of sixty, 750, `no` is false,
//! `2026-03-01` a date, `1_000` a number.

use std::borrow::Cow;

/// Puts quotes around values of a YAML text that version 1.1 takes for no text.
pub fn quote_for_1_1(yaml: &str) -> String {
    let mut quoter = Quoter::default();
    let lines = yaml.split_inclusive('\n');
    lines.map(|line| quoter.quoted(line)).collect()
}

/// Quotes a YAML text line by line.
#[derive(Default)]
pub struct Quoter {
    /// The indentation of a key whose value is a block of lines.
    block: Option<usize>,
}

impl Quoter {
    /// Returns the next line, which ends with a newline, with quotes where its value needs them.
    pub fn quoted<'l>(&mut self, line: &'l str) -> Cow<'l, str> {
        let text = line.trim_end_matches('\n');
        let indentation = text.len() - text.trim_start().len();
        let is_in = |block| indentation > block || text.trim().is_empty();
        if self.block.is_some_and(is_in) {
            return line.into();
        }
        let start = value_start(text);
        let value = &text[start..];
        self.block = is_block_head(value).then_some(indentation);
        if is_no_text(value) {
            format!("{}'{value}'\n", &text[..start]).into()
        } else {
            line.into()
        }
    }
}

/// Returns where the value of a line begins: behind dashes and behind a key.
fn value_start(line: &str) -> usize {
    let mut start = line.len() - line.trim_start().len();
    while line[start..].starts_with("- ") {
        start += 2;
    }
    match line[start..].find(": ") {
        Some(colon) => start + colon + 2,
        None => start,
    }
}

fn is_block_head(value: &str) -> bool {
    matches!(value, "|" | "|-" | "|+" | ">" | ">-" | ">+")
}

/// Tells whether version 1.1 takes a plain value, which is a text in 1.2, for no text.
fn is_no_text(value: &str) -> bool {
    const WORDS: [&str; 8] = ["y", "yes", "n", "no", "on", "off", "=", "<<"];
    let word = value.to_lowercase();
    WORDS.contains(&word.as_str())
        || is_base_60(value)
        || is_date(value)
        || is_number_with_underscores(value)
}

/// Tells whether a plain value reads as digits and groups of at most 59, with a fraction.
fn is_base_60(value: &str) -> bool {
    let whole = value.split('.').next().unwrap_or(value);
    let mut groups = whole.strip_prefix(['+', '-']).unwrap_or(whole).split(':');
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    let first = groups.next().is_some_and(is_number);
    let rest: Vec<&str> = groups.collect();
    let fits = |text: &&str| is_number(text) && text.parse::<u8>().is_ok_and(|number| number < 60);
    first && !rest.is_empty() && rest.iter().all(fits)
}

/// Tells whether a plain value begins as a date does: four digits, a dash, a digit. A
/// commit that does is quoted needlessly.
fn is_date(value: &str) -> bool {
    let Some((year, rest)) = value.split_once('-') else {
        return false;
    };
    let is_year = year.len() == 4 && year.bytes().all(|c| c.is_ascii_digit());
    is_year && rest.starts_with(|c: char| c.is_ascii_digit())
}

fn is_number_with_underscores(value: &str) -> bool {
    let digits = value.strip_prefix(['+', '-']).unwrap_or(value);
    digits.contains('_')
        && digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits
            .bytes()
            .all(|c| c.is_ascii_hexdigit() || b"_.xXbBoO+-:".contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_quoted_and_everything_else_stays() {
        let yaml = "daily: 12:30\nlist:\n- 1:00:00\n- - 09:15\n- at: 7:05\n- 1.2.3\n- a: 12:75\n\
            window: 22:00-07:00\ntext: '12:30'\nblock: |-\n  12:30\n  at: 12:30\nend: 2:00\n";
        let expected = "daily: '12:30'\nlist:\n- '1:00:00'\n- - '09:15'\n- at: '7:05'\n- 1.2.3\n\
            - a: 12:75\nwindow: 22:00-07:00\ntext: '12:30'\nblock: |-\n  12:30\n  at: 12:30\n\
            end: '2:00'\n";
        assert_eq!(quote_for_1_1(yaml), expected);
    }

    #[test]
    fn texts_that_version_1_1_takes_for_other_types_are_quoted() {
        let traps = [
            "no",
            "ON",
            "y",
            "Off",
            "=",
            "<<",
            "12:30",
            "08:30",
            "190:20:30.15",
            "2026-03-01",
            "2026-03-01T09:00:00Z",
            "1_000",
            "0x1_f",
            "+1_0.5",
            "685_230.15",
        ];
        for trap in traps {
            let yaml = format!("key: {trap}\n- {trap}\n");
            assert_eq!(quote_for_1_1(&yaml), format!("key: '{trap}'\n- '{trap}'\n"));
        }
        for plain in [
            "true",
            "null",
            "17",
            "1.5",
            "a_b",
            "none",
            "acme/tiny",
            "12:75",
            "1-2",
        ] {
            let yaml = format!("key: {plain}\n");
            assert_eq!(quote_for_1_1(&yaml), yaml);
        }
    }
}
