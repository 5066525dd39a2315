//! Values for people: durations, shortened lists, counts.

use crate::domain::time::Timestamp;
use crate::domain::units::Seconds;

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
}
