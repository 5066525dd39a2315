//! The file `stored_tokens` of the official client: named tokens, in INI form.
//!
//! The rules are those of Python's `configparser`: keys in any letter case,
//! `=` or `:` behind them, comment lines with `#` or `;`, indented lines that
//! continue a value. A change replaces the values only: all other bytes of the
//! file stay as they are. A file that `configparser` refuses is refused here too.

use std::ops::Range;

use thiserror::Error;

/// The section of defaults, which is no token.
const DEFAULTS: &str = "DEFAULT";

/// The file and the places of its values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredTokens {
    text: String,
    sections: Vec<TokenSection>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct TokenSection {
    name: String,
    entries: Vec<TokenEntry>,
    /// The end of its header line, without the line break.
    header_end: usize,
}

impl TokenSection {
    /// Adds an entry that ends at a byte of the file.
    fn push_entry(&mut self, line: &str, end: usize, indent: usize) -> Result<(), &'static str> {
        let delimiter = line.find(['=', ':']).filter(|at| *at > 0);
        let delimiter = delimiter.ok_or("it is neither a section nor an entry")?;
        let key = line[..delimiter].trim_end().to_lowercase();
        if self.entries.iter().any(|other| other.key == key) {
            return Err("the section has this key already");
        }
        let value = line[delimiter + 1..].trim_start();
        self.entries.push(TokenEntry {
            key,
            value: value.to_owned(),
            at: end - value.len()..end,
            indent,
        });
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct TokenEntry {
    key: String,
    value: String,
    /// The bytes of the value, with its continuation lines.
    at: Range<usize>,
    indent: usize,
}

/// The reason why a file cannot be understood; it shows no value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {reason}")]
pub struct MalformedTokens {
    line: usize,
    reason: &'static str,
}

impl StoredTokens {
    pub fn parse(bytes: Vec<u8>) -> Result<Self, MalformedTokens> {
        let text = String::from_utf8(bytes).map_err(|err| {
            let before = &err.as_bytes()[..err.utf8_error().valid_up_to()];
            MalformedTokens {
                line: before.iter().filter(|byte| **byte == b'\n').count() + 1,
                reason: "it is not UTF-8",
            }
        })?;
        let mut sections: Vec<TokenSection> = Vec::new();
        // The indentation of the entry that an indented line continues.
        let mut continues: Option<usize> = None;
        for (number, line) in lines(&text).enumerate() {
            let malformed = |reason| MalformedTokens {
                line: number + 1,
                reason,
            };
            let content = text[line.clone()].trim();
            if content.is_empty() || content.starts_with(['#', ';']) {
                continue;
            }
            let start =
                line.start + text[line.clone()].len() - text[line.clone()].trim_start().len();
            let (indent, end) = (start - line.start, start + content.len());
            let last = sections.last_mut();
            if let (Some(limit), Some(section)) = (continues, last)
                && indent > limit
                && let Some(entry) = section.entries.last_mut()
            {
                entry.value.push('\n');
                entry.value.push_str(content);
                entry.at.end = end;
                continue;
            }
            if let Some(name) = header(content) {
                if sections.iter().any(|other| other.name == name) {
                    return Err(malformed("a section of this name is there already"));
                }
                sections.push(TokenSection {
                    name: name.to_owned(),
                    entries: Vec::new(),
                    header_end: end,
                });
                continues = None;
                continue;
            }
            let section = sections
                .last_mut()
                .ok_or(malformed("no section has begun"))?;
            section
                .push_entry(content, end, indent)
                .map_err(malformed)?;
            continues = Some(indent);
        }
        Ok(Self { text, sections })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the names in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.sections.iter().map(|section| section.name.as_str());
        names.filter(|name| *name != DEFAULTS)
    }

    /// Returns a value; `None` if the section or the key is missing.
    pub fn get(&self, name: &str, key: &str) -> Option<&str> {
        let section = self.section(name)?;
        let entry = section.entries.iter().find(|entry| entry.key == key)?;
        Some(&entry.value)
    }

    /// Returns the file with another value of a section that exists. `value` is one
    /// line of visible characters.
    pub fn with(&self, name: &str, key: &str, value: &str) -> Result<Self, MalformedTokens> {
        let Some(section) = self.section(name) else {
            return Ok(self.clone());
        };
        let mut text = self.text.clone();
        match section.entries.iter().find(|entry| entry.key == key) {
            Some(entry) => text.replace_range(entry.at.clone(), value),
            None => {
                let last = section.entries.last();
                let (end, indent) = last.map_or((section.header_end, 0), |entry| {
                    (entry.at.end, entry.indent)
                });
                // Behind white space at the end of the line.
                let rest = &text[end..];
                let end = end + rest.find(['\r', '\n']).unwrap_or(rest.len());
                let line_break = if text.contains("\r\n") { "\r\n" } else { "\n" };
                let line = format!("{line_break}{}{key} = {value}", " ".repeat(indent));
                text.insert_str(end, &line);
            }
        }
        Self::parse(text.into_bytes())
    }

    fn section(&self, name: &str) -> Option<&TokenSection> {
        self.sections.iter().find(|section| section.name == name)
    }
}

/// Returns the lines without their line breaks: `\n`, `\r\n` or `\r`.
fn lines(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = text.get(start..).filter(|rest| !rest.is_empty())?;
        let length = rest.find(['\r', '\n']).unwrap_or(rest.len());
        let line = start..start + length;
        let behind = &rest[length..];
        start = line.end + if behind.starts_with("\r\n") { 2 } else { 1 };
        Some(line)
    })
}

/// Returns the name of a section header, which ends at the last `]` of its line.
fn header(content: &str) -> Option<&str> {
    let (name, _) = content.strip_prefix('[')?.rsplit_once(']')?;
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FILE: &str = "# mine\r\n[kim]\r\nHF_Token : hf_old\r\n; kept = as it is\r\nextra=1=2\r\n\
        refresh_token = hf_refresh\r\n\r\n[ci]\r\nhf_token = hf_ci";

    fn parse(text: &str) -> StoredTokens {
        StoredTokens::parse(text.into()).unwrap()
    }

    #[test]
    fn a_change_replaces_the_value_alone() {
        let file = parse(FILE);
        assert_eq!(file.names().collect::<Vec<_>>(), ["kim", "ci"]);
        assert_eq!(file.get("kim", "hf_token"), Some("hf_old"));
        assert_eq!(file.get("kim", "extra"), Some("1=2"));
        let changed = file.with("kim", "hf_token", "hf_new").unwrap();
        assert_eq!(changed.as_str(), FILE.replace("hf_old", "hf_new"));
        let longer = changed.with("kim", "expires_at", "7").unwrap();
        let expected = "refresh_token = hf_refresh\r\nexpires_at = 7\r\n\r\n[ci]";
        assert!(longer.as_str().contains(expected), "{}", longer.as_str());
        let last = longer.with("ci", "expires_at", "8").unwrap();
        assert!(last.as_str().ends_with("hf_ci\r\nexpires_at = 8"));
    }

    #[test]
    fn the_rules_are_those_of_the_official_client() {
        let file = parse("[a]b]\n  hf_token = one\n    two\n  other:x\n[DEFAULT]\nk = v\n");
        assert_eq!(file.names().collect::<Vec<_>>(), ["a]b"]);
        assert_eq!(file.get("a]b", "hf_token"), Some("one\ntwo"));
        let changed = file.with("a]b", "hf_token", "three").unwrap();
        let changed = changed.with("a]b", "new", "1").unwrap();
        let expected = "[a]b]\n  hf_token = three\n  other:x\n  new = 1\n[DEFAULT]\nk = v\n";
        assert_eq!(changed.as_str(), expected);
        for bad in [
            "hf_token = x",
            "[a]\nx",
            "[a]\n= x",
            "[a]\n[a]",
            "[a]\nk=1\nK=2",
        ] {
            assert!(StoredTokens::parse(bad.into()).is_err(), "{bad}");
        }
        let not_text = StoredTokens::parse(b"[a]\nk = \xff\n".to_vec()).unwrap_err();
        assert_eq!(not_text.to_string(), "line 2: it is not UTF-8");
    }

    /// A section: comments, blank lines and entries in any layout, under distinct keys.
    fn section() -> impl Strategy<Value = Vec<String>> {
        let noise = prop_oneof![Just(String::new()), "[#;][ a-z=\\[\\]]{0,12}", "[ \t]{1,3}",];
        let entry = (
            "[ ]{0,2}",
            "[a-z_]{1,6}",
            "[ ]?[=:][ ]?",
            "[a-zA-Z0-9_.=:]{0,9}",
        );
        let entry =
            entry.prop_map(|(indent, key, sign, value)| format!("{indent}{key}{sign}{value}"));
        proptest::collection::vec(prop_oneof![noise, entry], 0..6)
    }

    proptest! {
        #[test]
        fn every_byte_but_the_changed_value_survives(
            sections in proptest::collection::vec(section(), 1..4),
            line_break in prop_oneof![Just("\n"), Just("\r\n")],
            key in prop_oneof![Just("hf_token"), Just("expires_at")],
            value in "[!-~]{1,20}",
            ends in any::<bool>(),
        ) {
            let mut text = String::new();
            for (n, lines) in sections.iter().enumerate() {
                let header = format!("[name-{n}]");
                for line in std::iter::once(&header).chain(lines) {
                    text.push_str(line);
                    text.push_str(line_break);
                }
            }
            if !ends {
                text.truncate(text.trim_end().len());
            }
            let Ok(file) = StoredTokens::parse(text.clone().into()) else {
                return Ok(());
            };
            prop_assert_eq!(file.as_str(), text.as_str());
            let changed = file.with("name-0", key, &value).unwrap();
            prop_assert_eq!(changed.get("name-0", key), Some(value.as_str()));
            for section in &file.sections {
                for entry in &section.entries {
                    if (section.name.as_str(), entry.key.as_str()) != ("name-0", key) {
                        let now = changed.get(&section.name, &entry.key);
                        prop_assert_eq!(now, Some(entry.value.as_str()));
                    }
                }
            }
            // The old text is the new one without the new value or line.
            let old: Vec<&str> = text.lines().collect();
            let new: Vec<&str> = changed.as_str().lines().collect();
            let same = old.iter().filter(|line| new.contains(line)).count();
            prop_assert!(same + 1 >= old.len(), "{:?}\n{:?}", text, changed.as_str());
        }
    }
}
