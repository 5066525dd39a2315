//! The command line of a shell that is to be completed.

use std::ffi::OsString;

/// The words up to the cursor; the last one, which may be empty, is completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypedLine {
    pub words: Vec<OsString>,
    pub current: String,
}

impl TypedLine {
    pub fn of_words(words: Vec<OsString>) -> Self {
        let last = words.last();
        let current = last.map(|word| word.to_string_lossy().into_owned());
        Self {
            current: current.unwrap_or_default(),
            words,
        }
    }

    /// Divides a line as a shell does, without expansions.
    pub fn parse(text: &str) -> Self {
        let mut words = vec![String::new()];
        let mut quote = None;
        let mut is_between = true;
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            let is_break = quote.is_none() && c.is_whitespace();
            if is_break && !is_between {
                words.push(String::new());
            }
            is_between = is_break;
            let word = words.last_mut().expect("the list begins with a word");
            match c {
                _ if is_break => {}
                '\\' if quote != Some('\'') => word.extend(chars.next()),
                _ if quote == Some(c) => quote = None,
                '\'' | '"' if quote.is_none() => quote = Some(c),
                _ => word.push(c),
            }
        }
        Self::of_words(words.into_iter().map(OsString::from).collect())
    }

    /// Returns the length of the part of the last word before this ending.
    pub fn bytes_before(&self, ending: &str) -> usize {
        let start = self.current.strip_suffix(ending);
        start.map_or(0, str::len)
    }

    /// Returns the value of a flag, the last one if it is given twice.
    pub fn value_of(&self, flag: &str) -> Option<String> {
        let words = self.words.iter().map(|word| word.to_string_lossy());
        let words: Vec<_> = words.collect();
        let before = &words[..words.len().saturating_sub(1)];
        let mut found = None;
        for (at, word) in before.iter().enumerate() {
            match word.strip_prefix(flag) {
                Some("") => found = before.get(at + 1).map(ToString::to_string),
                Some(rest) => found = rest.strip_prefix('=').map(str::to_owned).or(found),
                None => {}
            }
        }
        found
    }

    /// Returns the words between the first of this text and the last one.
    pub fn words_after(&self, word: &str) -> Vec<String> {
        let words = self
            .words
            .iter()
            .map(|word| word.to_string_lossy().into_owned());
        let mut words: Vec<String> = words.skip_while(|it| it != word).skip(1).collect();
        words.pop();
        words
    }

    /// Returns the word before the last one.
    pub fn previous(&self) -> Option<String> {
        let mut words = self.words.iter().rev();
        words.nth(1).map(|word| word.to_string_lossy().into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_divided_at_its_spaces_and_not_within_quotes() {
        for (text, words) in [
            ("hfdl ", vec!["hfdl", ""]),
            (" hfdl  models sh", vec!["hfdl", "models", "sh"]),
            ("hfdl 'a b' \"c 'd", vec!["hfdl", "a b", "c 'd"]),
            (r"hfdl a\ b x:y=z", vec!["hfdl", "a b", "x:y=z"]),
            ("hfdl '' ", vec!["hfdl", "", ""]),
        ] {
            let line = TypedLine::parse(text);
            assert_eq!(line.words, words, "{text}");
            assert_eq!(line.current, *words.last().unwrap(), "{text}");
        }
    }

    #[test]
    fn the_part_of_a_word_that_bash_keeps_is_counted() {
        let line = TypedLine::parse("hfdl models show org/a:Q4");
        assert_eq!(line.bytes_before("Q4"), 6);
        assert_eq!(line.bytes_before("org/a:Q4"), 0);
        assert_eq!(line.bytes_before("else"), 0);
    }

    #[test]
    fn the_home_on_the_line_is_found() {
        let home = |text| TypedLine::parse(text).value_of("--home");
        assert_eq!(home("hfdl --home /a models show ").as_deref(), Some("/a"));
        assert_eq!(home("hfdl --home=/a --home=/b x").as_deref(), Some("/b"));
        assert_eq!(home("hfdl --homes /a x"), None);
        assert_eq!(home("hfdl --home"), None);
    }
}
