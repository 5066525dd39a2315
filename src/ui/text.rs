//! Values and sentences for people: durations, shortened lists, counts, folded lines.

use console::measure_text_width;

use super::Output;
use crate::domain::time::Timestamp;
use crate::domain::units::Seconds;
use crate::sys::text::steers_terminal;

pub use crate::domain::units::count;

/// Placeholder of a missing value.
pub const NOTHING: &str = "-";

/// Renders a value, or a dash where there is none.
pub fn or_nothing<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| NOTHING.to_owned(), |value| value.to_string())
}

/// Renders a number, or a dash for none.
pub fn count_or_nothing(number: impl Into<u64>) -> String {
    or_nothing(Some(number.into()).filter(|number| *number > 0))
}

/// Renders a duration, or a dash while `to` is not known.
pub fn took(from: Timestamp, to: Option<Timestamp>) -> String {
    let span = to.map(|to| to.duration_since(from).as_secs());
    // A clock that was set back meanwhile yields zero.
    or_nothing(span.map(|seconds| Seconds(u64::try_from(seconds).unwrap_or(0)).render_short()))
}

/// Renders a duration in its two largest units, such as `4 min 10 s` or `2 d 3 h`.
pub fn duration(seconds: u64) -> String {
    const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
    let largest = UNITS.iter().position(|(_, unit)| seconds >= *unit);
    let (mut left, mut parts) = (seconds, Vec::new());
    for (name, unit) in UNITS
        .iter()
        .skip(largest.unwrap_or(UNITS.len() - 1))
        .take(2)
    {
        if left >= *unit || parts.is_empty() {
            parts.push(format!("{} {name}", left / unit));
        }
        left %= unit;
    }
    parts.join(" ")
}

/// Renders the first line of a text, cut to so many characters.
pub fn shorten(text: &str, most: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= most && line.len() == text.trim_end().len() {
        return line.to_owned();
    }
    let kept: String = line.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// Renders a list in one line, or a dash.
pub fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    if items.is_empty() {
        NOTHING.to_owned()
    } else {
        items.join(", ")
    }
}

/// Folds lines of text between words on a terminal; the lines after the first of each are
/// indented.
pub fn paragraph(out: &Output, text: &str, indent: usize) -> String {
    let room = out.width.map_or(usize::MAX, |width| {
        usize::from(width).saturating_sub(indent)
    });
    let lines = text.lines();
    let lines = lines.flat_map(|line| folded(&clean(line), room, 0));
    let indent = format!("\n{:indent$}", "");
    lines.collect::<Vec<String>>().join(&indent) + "\n"
}

/// Splits a line into words, each with the spaces before it. A command in backticks stays
/// whole, so that it can be copied; so do a number with its unit, and a date.
fn words(line: &str) -> Vec<String> {
    let is_paired = line.matches('`').count().is_multiple_of(2);
    let mut words: Vec<String> = Vec::new();
    let mut before = "";
    let mut spaces = 0;
    for word in line.split(' ') {
        if word.is_empty() {
            spaces += 1;
            continue;
        }
        let spaced = format!("{:spaces$}{word}", "");
        match words.last_mut() {
            Some(last)
                if is_paired && last.matches('`').count() % 2 == 1
                    || spaces == 1 && belongs_to(before, word) =>
            {
                last.push_str(&spaced);
            }
            _ => words.push(spaced),
        }
        (before, spaces) = (word, 1);
    }
    words
}

/// Tells whether a word continues the one before it: a unit, or a part of a date.
fn belongs_to(before: &str, word: &str) -> bool {
    const UNITS: &[&str] = &["B", "s", "min", "h", "d", "%"];
    const DAYS: &[&str] = &["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    const MONTHS: &[&str] = &[
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let before = before.trim_start_matches('(');
    let word = word.trim_end_matches([',', ';', ':', '.', ')']);
    let is_number = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    let is_unit = UNITS.contains(&word.trim_end_matches("/s")) || word.contains("iB");
    let is_zone = word.len() <= 5 && word.starts_with(|c: char| c.is_ascii_uppercase() || c == '+');
    let is_clock = |text: &str| text.len() == 5 && is_number(text) && text.contains(':');
    let is_date = before.len() == 10 && before.matches('-').count() == 2;
    let is_year = before.len() == 4 && is_number(before);
    is_number(before) && (is_unit || MONTHS.contains(&word))
        || is_clock(before) && is_zone
        || is_number(word) && (DAYS.contains(&before) || MONTHS.contains(&before))
        || (is_date || is_year) && is_clock(word)
}

/// Folds a line between its words; a longer word has a line of its own. All lines but the
/// first are `hanging` columns further to the right.
pub fn folded(line: &str, width: usize, hanging: usize) -> Vec<String> {
    if measure_text_width(line) <= width {
        return vec![line.to_owned()];
    }
    let indent = line.len() - line.trim_start().len();
    let mut lines = vec![String::new()];
    for word in words(line) {
        let Some(last) = lines.last_mut() else { break };
        if last.is_empty() || measure_text_width(last) + measure_text_width(&word) <= width {
            last.push_str(&word);
        } else {
            let indent = indent + hanging;
            lines.push(format!("{:indent$}{}", "", word.trim_start()));
        }
    }
    lines
}

/// Replaces control characters: a name from elsewhere must not move the cursor.
pub fn clean(text: &str) -> String {
    text.replace(steers_terminal, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_only_where_it_is_too_long() {
        assert_eq!(shorten("short", 5), "short");
        assert_eq!(shorten("shorter", 5), "shor…");
        assert_eq!(shorten("two\nlines", 9), "two…");
        assert_eq!(shorten("äöüß", 4), "äöüß");
    }

    #[test]
    fn a_duration_has_its_two_largest_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (250, "4 min 10 s"),
            (3_605, "1 h"),
            (183_600, "2 d 3 h"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn a_duration_needs_both_ends() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        assert_eq!(took(at(10), Some(at(100))), "90 s");
        assert_eq!(took(at(10), Some(at(9))), "0 s");
        assert_eq!(took(at(10), None), NOTHING);
    }

    #[test]
    fn a_paragraph_folds_between_words_and_keeps_commands_whole() {
        let text = "the next step is `hfdl models add org/name`, then wait";
        assert_eq!(
            paragraph(&Output::plain(Some(24)), text, 2),
            "the next step is\n  `hfdl models add org/name`,\n  then wait\n"
        );
        assert_eq!(
            paragraph(&Output::plain(None), text, 2),
            format!("{text}\n")
        );
    }
}
