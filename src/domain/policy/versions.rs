//! The newest tag of a repository, by the order of versions.

use std::cmp::{Ordering, Reverse};
use std::fmt;
use std::str::FromStr;

use crate::domain::filter::matches;
use crate::domain::invalid_value::InvalidValue;
use crate::domain::repo::Revision;

/// A pattern for names of tags, such as `v*`; `*` and `?` as in file patterns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TagPattern(String);

impl TagPattern {
    pub fn matches(&self, tag: &Revision) -> bool {
        matches(&self.0, tag.as_str())
    }
}

impl FromStr for TagPattern {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        if text.is_empty() || text.len() > 255 || text.chars().any(char::is_control) {
            return Err(InvalidValue::new(
                "a pattern of tags has 1 to 255 visible characters, such as `v*`",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for TagPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Returns the tags that match all patterns, the newest first.
pub fn newest_tags<'a>(
    tags: impl IntoIterator<Item = &'a Revision>,
    patterns: &[TagPattern],
) -> Vec<&'a Revision> {
    let is_meant = |tag: &&Revision| patterns.iter().all(|pattern| pattern.matches(tag));
    let mut tags: Vec<&Revision> = tags.into_iter().filter(is_meant).collect();
    tags.sort_by(|one, other| compare(other.as_str(), one.as_str()));
    tags
}

/// Tells whether a tag is an older version than another one.
pub fn is_older_tag(tag: &Revision, other: &Revision) -> bool {
    compare(tag.as_str(), other.as_str()).is_lt()
}

/// One part of a version: digits or letters. A word is greater than a number, as in semver.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    /// The number of digits without leading zeros, and these digits.
    Number(usize, &'a str),
    Word(&'a str),
}

/// Compares two names as versions.
///
/// Numbers compare as numbers of any length. A pre-release, the part behind the first `-`,
/// comes before its release, and `v1.0rc1` counts as one too: letters behind a number are a
/// pre-release. Build metadata, the part behind `+`, decides last. Names that are equal as
/// versions, such as `v1.0` and `v1.00`, are ordered by their text.
fn compare(one: &str, other: &str) -> Ordering {
    key(one).cmp(&key(other)).then_with(|| one.cmp(other))
}

type Key<'a> = (Vec<Part<'a>>, Reverse<bool>, Vec<Part<'a>>, Vec<Part<'a>>);

/// The release, whether it is a pre-release, the pre-release, the build metadata.
fn key(name: &str) -> Key<'_> {
    let (version, build) = name.split_once('+').unwrap_or((name, ""));
    let at = pre_release_at(version).unwrap_or(version.len());
    let (release, pre) = version.split_at(at);
    let mut release = parts(release);
    // `1` and `1.0` are the same release.
    while release.len() > 1 && matches!(release.last(), Some(Part::Number(0, _))) {
        release.pop();
    }
    (release, Reverse(!pre.is_empty()), parts(pre), parts(build))
}

/// Finds the start of a pre-release: after a digit a `-`, or letters before the end.
fn pre_release_at(version: &str) -> Option<usize> {
    let bytes = version.as_bytes();
    (1..bytes.len()).find(|at| {
        let is_after_digit = bytes[at - 1].is_ascii_digit();
        is_after_digit && (bytes[*at] == b'-' || bytes[*at].is_ascii_alphabetic())
    })
}

fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_same = |c: char| c.is_ascii_digit() == first.is_ascii_digit() && c.is_alphanumeric();
        if !first.is_alphanumeric() {
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let end = rest.find(|c| !is_same(c)).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        parts.push(if first.is_ascii_digit() {
            let digits = part.trim_start_matches('0');
            Part::Number(digits.len(), digits)
        } else {
            Part::Word(part)
        });
        rest = after;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn versions_are_ordered_as_people_mean_them() {
        let ascending = [
            "v0.9",
            "v1.0.0-alpha",
            "v1.0.0-alpha.1",
            "v1.0.0-alpha.beta",
            "v1.0.0-beta.2",
            "v1.0.0-beta.11",
            "v1.0.0-rc.1",
            "v1.0.0rc2",
            "v1.0.0",
            "v1.0.0+build.7",
            "v1.0.1",
            "v1.2",
            "v1.10",
            "v2",
            "v2.0.1",
            "v20260131",
            "v99999999999999999999999999",
        ];
        for (n, one) in ascending.iter().enumerate() {
            for (m, other) in ascending.iter().enumerate() {
                assert_eq!(compare(one, other), n.cmp(&m), "{one} and {other}");
            }
        }
        assert_eq!(key("v1"), key("v1.0.0"));
        assert_eq!(compare("v1.0", "v1.00"), Ordering::Less);
    }

    #[test]
    fn the_newest_tag_matches_all_patterns() {
        let tags: Vec<Revision> = ["v1", "v2-rc1", "w3", "v10", "x"]
            .map(|tag| tag.parse().unwrap())
            .into();
        let newest = |patterns: &[&str]| {
            let patterns: Vec<TagPattern> = patterns.iter().map(|it| it.parse().unwrap()).collect();
            newest_tags(&tags, &patterns)
                .first()
                .map(|tag| tag.as_str())
        };
        assert_eq!(newest(&["v*"]), Some("v10"));
        assert_eq!(newest(&["v?"]), Some("v1"));
        assert_eq!(newest(&["v*", "?1"]), Some("v1"));
        assert_eq!(newest(&["y*"]), None);
        assert_eq!(newest(&["v2*"]), Some("v2-rc1"));
    }

    proptest! {
        #[test]
        fn the_order_is_total(
            one in "[v0-9a.+-]{0,6}", two in "[v0-9a.+-]{0,6}", three in "[v0-9a.+-]{0,6}",
        ) {
            prop_assert_eq!(compare(&one, &two), compare(&two, &one).reverse());
            prop_assert_eq!(compare(&one, &two) == Ordering::Equal, one == two);
            if compare(&one, &two).is_le() && compare(&two, &three).is_le() {
                prop_assert!(compare(&one, &three).is_le());
            }
        }

        #[test]
        fn numbers_compare_as_numbers(one in 0u64.., other in 0u64.., zeros in 0usize..3) {
            let padded = format!("v{}{one}", "0".repeat(zeros));
            let found = compare(&padded, &format!("v{other}"));
            prop_assert!(found == one.cmp(&other) || one == other);
            let (release, pre) = (format!("v{one}"), format!("v{one}-rc{other}"));
            prop_assert_eq!(compare(&pre, &release), Ordering::Less);
        }
    }
}
