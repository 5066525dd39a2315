//! Making foreign texts fit to be shown.

/// Makes a foreign text fit to be shown: one line, short, no control
/// characters, no token, no query of a URL.
pub(super) fn clean(text: &str) -> String {
    const LONGEST: usize = 300;
    // Cut first: what a hostile server sends may be megabytes long.
    let start: String = text
        .chars()
        .take(4 * LONGEST)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let words: Vec<String> = start.split_whitespace().map(without_secrets).collect();
    let line = words.join(" ");
    if line.chars().count() <= LONGEST {
        return line;
    }
    line.chars().take(LONGEST).chain("…".chars()).collect()
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
    fn a_foreign_text_is_cut_and_holds_no_control_character() {
        let long = format!("a\u{1b}[31m\nb{}", "x".repeat(10_000));
        let cleaned = clean(&long);
        assert!(cleaned.starts_with("a [31m b"));
        assert_eq!(cleaned.chars().count(), 301);
    }
}
