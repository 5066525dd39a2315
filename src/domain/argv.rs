//! A program and its arguments as one setting, without a shell.
//!
//! A plain word is a program without arguments. A program with arguments is a
//! JSON array of strings, so an argument may contain any character. Nothing is
//! split at spaces.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::domain::invalid_value::InvalidValue;

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argv {
    program: String,
    arguments: Vec<String>,
}

fn not_a_program() -> InvalidValue {
    InvalidValue::new("it is neither a program nor a JSON array of words").next(
        r#"write the program alone, or a JSON array such as ["/usr/local/bin/notify", "hfdl"]; nothing is split at spaces"#,
    )
}

impl Argv {
    /// Builds a command from separate words; the first is the program.
    pub fn from_words(words: Vec<String>) -> Result<Self, InvalidValue> {
        let mut words = words.into_iter();
        let program = words.next().filter(|program| !program.trim().is_empty());
        let program = program.ok_or_else(not_a_program)?;
        let arguments: Vec<String> = words.collect();
        let has_nul = |word: &String| word.contains('\0');
        if has_nul(&program) || arguments.iter().any(has_nul) {
            return Err(InvalidValue::new("it contains a NUL"));
        }
        let is_path = program.contains('/') || (cfg!(windows) && program.contains('\\'));
        let is_whole = Path::new(&program).is_absolute() || program.starts_with("~/");
        if is_path && !is_whole {
            return Err(InvalidValue::new(
                "the program must be a bare name, which PATH finds, or a whole path: a relative path depends on the current directory",
            ));
        }
        Ok(Self { program, arguments })
    }

    pub fn program(&self) -> &str {
        &self.program
    }

    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }

    /// Iterates over the program and its arguments.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.program.as_str()).chain(self.arguments.iter().map(String::as_str))
    }
}

impl FromStr for Argv {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let text = text.trim();
        if text.starts_with('[') {
            let words = serde_json::from_str(text).map_err(|_| not_a_program())?;
            return Self::from_words(words);
        }
        if text.is_empty() || text.contains(char::is_whitespace) {
            return Err(not_a_program());
        }
        Self::from_words(vec![text.to_owned()])
    }
}

impl fmt::Display for Argv {
    /// Writes a plain word or a JSON array; both parse back to the same value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_word = !self.program.contains(char::is_whitespace) && !self.program.starts_with('[');
        if self.arguments.is_empty() && is_word {
            return f.pad(&self.program);
        }
        let quoted: Vec<String> = self.words().map(quote).collect();
        f.pad(&format!("[{}]", quoted.join(", ")))
    }
}

/// Writes a JSON string. `serde_json` leaves control characters above U+001F as they
/// are, and this text is shown on terminals.
fn quote(word: &str) -> String {
    let mut quoted = String::from('"');
    for c in word.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(text: &str) -> Option<Vec<String>> {
        let argv = text.parse::<Argv>().ok()?;
        Some(argv.words().map(str::to_owned).collect())
    }

    #[test]
    fn a_word_is_a_program_and_an_array_adds_arguments() {
        let is = |text: &str, expected: &[&str]| {
            let expected: Vec<String> = expected.iter().map(|&word| word.to_owned()).collect();
            assert_eq!(words(text), Some(expected), "{text}");
        };
        is(" notify ", &["notify"]);
        is("~/bin/notify", &["~/bin/notify"]);
        is(r#"["notify", "a b", ""]"#, &["notify", "a b", ""]);
        is(
            r#"[ "notify","\"\\\/\n\u00e4\ud83d\ude00" ] "#,
            &["notify", "\"\\/\nä😀"],
        );
        #[cfg(unix)]
        is(r#"["/opt/my tools/x"]"#, &["/opt/my tools/x"]);
    }

    #[test]
    fn shell_syntax_is_refused() {
        for bad in [
            "",
            "notify me",
            "./notify",
            "bin/notify",
            "[]",
            "[\"\"]",
            "[\" \"]",
            "[notify]",
            "['notify']",
            "[\"a\",]",
            "[\"a\" \"b\"]",
            "[\"a\"] x",
            "[\"a\", 1]",
            "[\"a\"",
            "[\"a\nb\"]",
            "[\"\\ud83d\"]",
            "[\"\\ud83d\\u0041\"]",
            "[\"\\x\"]",
            "[\"a\\u0000\"]",
        ] {
            assert!(bad.parse::<Argv>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn rendered_text_parses_back(arguments in prop::collection::vec("[^\0]{0,6}", 0..4), program in "[a-z \\[\"é]{0,3}x") {
            let argv = Argv::from_words([vec![program], arguments].concat()).unwrap();
            prop_assert_eq!(argv.to_string().parse::<Argv>().unwrap(), argv);
        }
    }
}
