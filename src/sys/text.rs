//! Escapes characters of untrusted text that could control a terminal, and measures text.

use std::borrow::Cow;

/// Tells whether a character controls a terminal instead of being shown: control
/// characters, and those that change the direction of text or begin a line.
pub fn steers_terminal(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Replaces such characters by escapes; line ends and tabs stay.
pub fn escaped(text: &str) -> Cow<'_, str> {
    let is_bad = |c: char| steers_terminal(c) && !matches!(c, '\n' | '\t');
    if !text.contains(is_bad) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_bad(c) {
            escaped.extend(c.escape_unicode());
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// Counts the columns that a text takes on a terminal. Its colours take none, and the
/// letters of East Asia take two.
pub fn columns_of(text: &str) -> usize {
    let (mut columns, mut is_colour) = (0, false);
    for c in text.chars() {
        match c {
            '\u{1b}' => is_colour = true,
            'm' if is_colour => is_colour = false,
            _ if is_colour => {}
            c => columns += columns_of_char(c),
        }
    }
    columns
}

pub fn columns_of_char(c: char) -> usize {
    let is_wide = matches!(c,
        '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}' | '\u{1f300}'..='\u{1faff}' | '\u{20000}'..='\u{3fffd}');
    1 + usize::from(is_wide)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_terminal_control_characters_are_escaped() {
        assert_eq!(escaped("größe\n\tb"), "größe\n\tb");
        assert_eq!(
            escaped("a\u{1b}[2Jb\u{9b}c\r"),
            "a\\u{1b}[2Jb\\u{9b}c\\u{d}"
        );
        assert_eq!(escaped("\u{202e}gpj.exe"), "\\u{202e}gpj.exe");
    }

    #[test]
    fn colours_take_no_column_and_wide_letters_two() {
        assert_eq!(columns_of("\u{1b}[36mgröße\u{1b}[0m…"), 6);
        assert_eq!(columns_of("模型"), 4);
    }
}
