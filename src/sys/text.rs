//! Characters that must not reach a terminal from a foreign text.

use std::borrow::Cow;

/// Tells whether a character steers a terminal instead of being shown: control
/// characters, and those that turn the direction of a text or begin a line.
pub fn steers_terminal(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Writes such characters as escapes; line ends and tabs stay.
pub fn escaped(text: &str) -> Cow<'_, str> {
    let is_bad = |c: char| steers_terminal(c) && !matches!(c, '\n' | '\t');
    if !text.contains(is_bad) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match is_bad(c) {
            true => escaped.extend(c.escape_unicode()),
            false => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_steers_a_terminal_is_escaped() {
        assert_eq!(escaped("größe\n\tb"), "größe\n\tb");
        assert_eq!(
            escaped("a\u{1b}[2Jb\u{9b}c\r"),
            "a\\u{1b}[2Jb\\u{9b}c\\u{d}"
        );
        assert_eq!(escaped("\u{202e}gpj.exe"), "\\u{202e}gpj.exe");
    }
}
