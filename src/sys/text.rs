//! Escapes characters of untrusted text that could control a terminal.

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
}
