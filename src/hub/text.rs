//! Sanitises untrusted text for display.

use crate::sys::text::steers_terminal;

/// Sanitises untrusted text: one line, short, no terminal control characters, no
/// token, no query of a URL.
pub(super) fn clean(text: &str) -> String {
    const LONGEST: usize = 300;
    clean_to(text, LONGEST)
}

/// As `clean`, for text that should be a single word.
pub(super) fn clean_word(text: &str) -> String {
    const LONGEST: usize = 40;
    clean_to(text, LONGEST)
}

fn clean_to(text: &str, longest: usize) -> String {
    // Cut first: a hostile server may send megabytes.
    let start: String = text
        .chars()
        .take(4 * longest)
        .map(|c| if steers_terminal(c) { ' ' } else { c })
        .collect();
    let words: Vec<String> = start.split_whitespace().map(without_secrets).collect();
    let line = words.join(" ");
    if line.chars().count() <= longest {
        return line;
    }
    line.chars().take(longest).chain("…".chars()).collect()
}

fn without_secrets(word: &str) -> String {
    let word = match word.split_once('?') {
        Some((front, _)) if word.contains("://") || word.starts_with('/') => front,
        _ => word,
    };
    match word.split_once("hf_") {
        Some((front, rest)) if rest.bytes().take_while(u8::is_ascii_alphanumeric).count() >= 16 => {
            format!("{front}hf_***")
        }
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_removed() {
        assert_eq!(
            clean("a\u{9b}31mb\u{202e}c\u{2028}d\u{7f}e"),
            "a 31mb c d e"
        );
    }

    #[test]
    fn a_long_text_is_cut_after_control_characters_are_removed() {
        let long = format!("a\u{1b}[31m\nb{}", "x".repeat(10_000));
        let cleaned = clean(&long);
        assert!(cleaned.starts_with("a [31m b"));
        assert_eq!(cleaned.chars().count(), 301);
    }
}
