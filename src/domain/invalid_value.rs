//! The error about a refused value: the fact, the reason, and the next step.
//!
//! As text it is `fact: reason`. The next step is a part of its own, so that no reader
//! has to find it in a text.

use std::fmt;

/// The characters of a refused text that a message shows.
const LONGEST_SHOWN: usize = 120;

/// The refusal of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidValue {
    /// The refused text as messages show it, where the fact names one.
    text: Option<String>,
    fact: String,
    reason: Option<String>,
    next: Option<String>,
}

impl InvalidValue {
    pub fn new(fact: impl Into<String>) -> Self {
        Self {
            text: None,
            fact: fact.into(),
            reason: None,
            next: None,
        }
    }

    /// Refuses a text that is not of a kind: `a size`, `a time of day`.
    pub fn is_not(text: &str, kind: &str) -> Self {
        let text = shown(text);
        Self {
            fact: format!("`{text}` is not {kind}"),
            text: Some(text),
            ..Self::new("")
        }
    }

    /// Refuses a name of a kind: `revision`, `path`.
    pub fn not_valid(kind: &str, text: &str) -> Self {
        let text = shown(text);
        Self {
            fact: format!("{kind} `{text}` is not valid"),
            text: Some(text),
            ..Self::new("")
        }
    }

    /// Refuses a word of a list, and suggests the one that was probably meant.
    pub fn unknown_word(word: &str, known: impl Iterator<Item = &'static str>) -> Self {
        let known: Vec<&str> = known.collect();
        let refusal = Self::is_not(word, &format!("one of {}", known.join(", ")));
        let is_begun = |known: &&str| word.len() >= 3 && known.starts_with(word);
        let near = super::nearest::nearest(word, known.iter().copied());
        match near.or_else(|| known.into_iter().find(is_begun)) {
            Some(near) => refusal.next(format!("did you mean `{near}`?")),
            None => refusal.next("write one of these words"),
        }
    }

    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Takes the reason of another refusal, and its next step if it has one.
    pub fn because_of(self, other: Self) -> Self {
        Self {
            reason: other.reason,
            next: other.next.or(self.next),
            ..self
        }
    }

    pub fn next(mut self, step: impl Into<String>) -> Self {
        self.next = Some(step.into());
        self
    }

    /// Adds a next step where there is none yet.
    pub fn or_next(mut self, step: impl Into<String>) -> Self {
        self.next.get_or_insert_with(|| step.into());
        self
    }

    /// Names another accepted form at the end.
    pub fn or_form(mut self, form: &str) -> Self {
        let end = self.next.as_mut().or(self.reason.as_mut());
        let end = end.unwrap_or(&mut self.fact);
        end.push_str(&format!(", or {form}"));
        self
    }

    /// Makes this refusal the reason of a larger fact.
    pub fn within(self, fact: impl Into<String>) -> Self {
        Self {
            reason: Some(self.to_string()),
            next: self.next,
            ..Self::new(fact)
        }
    }

    /// Refuses the larger text that contains the refused one. For the same text only the
    /// kind changes.
    pub fn inside(self, text: &str, kind: &str) -> Self {
        let outer = Self::is_not(text, kind);
        if outer.text == self.text {
            return outer.because_of(self);
        }
        self.within(outer.fact)
    }

    pub fn next_step(&self) -> Option<&str> {
        self.next.as_deref()
    }

    /// Returns all parts in one line, for outputs without a place for the next step.
    pub fn with_next_step(&self) -> String {
        match &self.next {
            Some(next) => format!("{self}; {next}"),
            None => self.to_string(),
        }
    }
}

impl fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Some(reason) => write!(f, "{}: {reason}", self.fact),
            None => f.write_str(&self.fact),
        }
    }
}

impl std::error::Error for InvalidValue {}

/// Shortens and escapes a text, which may be megabytes long or hold control characters.
pub fn shown(text: &str) -> String {
    let start = text.chars().take(LONGEST_SHOWN);
    start.flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_its_next_step_inside_a_larger_one() {
        let hour = || {
            InvalidValue::is_not("25:00", "a time of day")
                .because("hours go from 00 to 23")
                .next("write 02:30")
        };
        let larger = hour().inside("Mon@25:00", "a window");
        assert_eq!(
            larger.to_string(),
            "`Mon@25:00` is not a window: `25:00` is not a time of day: hours go from 00 to 23"
        );
        assert_eq!(larger.next_step(), Some("write 02:30"));
        let same = hour().inside("25:00", "a daily time");
        assert_eq!(
            same.with_next_step(),
            "`25:00` is not a daily time: hours go from 00 to 23; write 02:30"
        );
    }

    #[test]
    fn another_form_stands_behind_the_last_part() {
        let fact = InvalidValue::new("it must be 1").or_form("`off`");
        assert_eq!(fact.to_string(), "it must be 1, or `off`");
        let step = InvalidValue::new("it is empty")
            .next("write 1")
            .or_form("`off`");
        assert_eq!(step.with_next_step(), "it is empty; write 1, or `off`");
    }

    #[test]
    fn an_unknown_word_names_the_list_and_the_nearest_word() {
        let word = |text: &str| InvalidValue::unknown_word(text, ["once", "skip"].into_iter());
        assert_eq!(
            word("skp").with_next_step(),
            "`skp` is not one of once, skip; did you mean `skip`?"
        );
        assert_eq!(word("x\n").to_string(), r"`x\n` is not one of once, skip");
    }

    #[test]
    fn a_long_text_is_cut() {
        let fact = InvalidValue::not_valid("name", &"x".repeat(1_000)).to_string();
        assert!(fact.len() < 150, "{fact}");
    }
}
