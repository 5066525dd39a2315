//! A program and its arguments, as one setting: no shell, nothing is split.
//!
//! One word is a program. A program with arguments is a JSON array of texts,
//! so that each argument is what it says, whatever characters it holds.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use thiserror::Error;

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argv {
    program: String,
    arguments: Vec<String>,
}

/// Says why a text is no program with arguments.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ArgvError(&'static str);

const FORM: &str = r#"write the program alone, or a JSON array such as ["/usr/local/bin/notify", "hfdl"]; nothing is split at spaces"#;
const RELATIVE: &str = "the program must be a bare name, which PATH finds, or a whole path: a relative one means another file for each caller";

impl Argv {
    /// Takes words that have been told apart already, the program first.
    pub fn from_words(words: Vec<String>) -> Result<Self, ArgvError> {
        let mut words = words.into_iter();
        let program = words.next().filter(|program| !program.trim().is_empty());
        let program = program.ok_or(ArgvError(FORM))?;
        let arguments: Vec<String> = words.collect();
        let has_nul = |word: &String| word.contains('\0');
        if has_nul(&program) || arguments.iter().any(has_nul) {
            return Err(ArgvError("it contains a NUL"));
        }
        let is_path = program.contains('/') || (cfg!(windows) && program.contains('\\'));
        let is_whole = Path::new(&program).is_absolute() || program.starts_with("~/");
        if is_path && !is_whole {
            return Err(ArgvError(RELATIVE));
        }
        Ok(Self { program, arguments })
    }

    pub fn program(&self) -> &str {
        &self.program
    }

    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }

    /// Returns the program and its arguments in one row.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.program.as_str()).chain(self.arguments.iter().map(String::as_str))
    }
}

impl FromStr for Argv {
    type Err = ArgvError;

    fn from_str(text: &str) -> Result<Self, ArgvError> {
        let text = text.trim();
        if text.starts_with('[') {
            let words = parse_array(text).ok_or(ArgvError(FORM))?;
            return Self::from_words(words);
        }
        if text.is_empty() || text.contains(char::is_whitespace) {
            return Err(ArgvError(FORM));
        }
        Self::from_words(vec![text.to_owned()])
    }
}

impl fmt::Display for Argv {
    /// Writes the one word, or the array; either parses back to the same value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_word = !self.program.contains(char::is_whitespace) && !self.program.starts_with('[');
        if self.arguments.is_empty() && is_word {
            return f.pad(&self.program);
        }
        let quoted: Vec<String> = self.words().map(quote).collect();
        f.pad(&format!("[{}]", quoted.join(", ")))
    }
}

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

/// Parses a JSON array of texts; `None` is anything else.
fn parse_array(text: &str) -> Option<Vec<String>> {
    let mut rest = text.strip_prefix('[')?.trim_start();
    let mut words = Vec::new();
    if let Some(behind) = rest.strip_prefix(']') {
        return behind.trim().is_empty().then_some(words);
    }
    loop {
        let (word, behind) = parse_text(rest)?;
        words.push(word);
        rest = behind.trim_start();
        if let Some(behind) = rest.strip_prefix(',') {
            rest = behind.trim_start();
        } else {
            let behind = rest.strip_prefix(']')?;
            return behind.trim().is_empty().then_some(words);
        }
    }
}

/// Parses a JSON text and returns what stands behind it.
fn parse_text(text: &str) -> Option<(String, &str)> {
    let mut chars = text.strip_prefix('"')?.chars();
    let mut word = String::new();
    loop {
        match chars.next()? {
            '"' => return Some((word, chars.as_str())),
            '\\' => word.push(parse_escape(&mut chars)?),
            c if u32::from(c) < 0x20 => return None,
            c => word.push(c),
        }
    }
}

fn parse_escape(chars: &mut std::str::Chars<'_>) -> Option<char> {
    Some(match chars.next()? {
        c @ ('"' | '\\' | '/') => c,
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let high = parse_unit(chars)?;
            if !(0xd800..0xdc00).contains(&high) {
                return char::from_u32(high);
            }
            // Characters beyond the first plane are written as two halves.
            let is_pair = chars.next() == Some('\\') && chars.next() == Some('u');
            let low = is_pair.then(|| parse_unit(chars)).flatten()?;
            let low = low
                .checked_sub(0xdc00)
                .filter(|_| (0xdc00..0xe000).contains(&low))?;
            return char::from_u32(0x10000 + ((high - 0xd800) << 10) + low);
        }
        _ => return None,
    })
}

fn parse_unit(chars: &mut std::str::Chars<'_>) -> Option<u32> {
    (0..4).try_fold(0, |unit, _| Some(unit * 16 + chars.next()?.to_digit(16)?))
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
    fn a_word_is_a_program_and_an_array_has_arguments() {
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
    fn what_only_a_shell_would_understand_is_refused() {
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
        fn what_is_rendered_parses_back(arguments in prop::collection::vec("[^\0]{0,6}", 0..4), program in "[a-z \\[\"é]{0,3}x") {
            let argv = Argv::from_words([vec![program], arguments].concat()).unwrap();
            prop_assert_eq!(argv.to_string().parse::<Argv>().unwrap(), argv);
        }

        #[test]
        fn arrays_are_read_as_any_reader_of_json_reads_them(text in "\\[[\\[\\]\", \\\\nua0-9d-]{0,12}\\]", words in prop::collection::vec("\\PC{0,5}", 1..4)) {
            let theirs = serde_json::from_str::<Vec<String>>(&text).ok();
            prop_assert_eq!(parse_array(&text), theirs);
            let text = serde_json::to_string(&words).unwrap();
            prop_assert_eq!(parse_array(&text), Some(words));
        }
    }
}
