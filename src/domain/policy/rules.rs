//! The rules of a model or of a tag about updates, and their fields.

use std::fmt;
use std::str::FromStr;

use super::TagPattern;
use crate::domain::field::{Field, FieldValue, Read, parsed};
use crate::domain::guard::Guards;
use crate::domain::invalid_value::InvalidValue;
use crate::domain::outcome::words;
use crate::domain::repo::CommitSha;
use crate::domain::units::Seconds;

words! {
    /// The treatment of new commits, from the mildest to the strictest.
    Policy {
        /// New commits are taken.
        Follow = "follow",
        /// A person approves each commit after the first one.
        Approve = "approve",
        /// The model stays at one commit.
        Pin = "pin",
    }
}

/// A commit, or its first digits, as a person writes it behind `pin@`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PinnedCommit(String);

impl PinnedCommit {
    const FEWEST_DIGITS: usize = 7;

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn as_commit(&self) -> Option<CommitSha> {
        self.0.parse().ok()
    }

    pub fn is_start_of(&self, commit: &CommitSha) -> bool {
        commit.as_str().starts_with(&self.0)
    }
}

impl FromStr for PinnedCommit {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let digits = text.to_ascii_lowercase();
        let is_hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
        if is_hex && (Self::FEWEST_DIGITS..=40).contains(&digits.len()) {
            Ok(Self(digits))
        } else {
            let why = "it must be 7 to 40 hexadecimal digits";
            Err(InvalidValue::not_valid("commit", text).because(why))
        }
    }
}

/// A policy as `--policy` takes it: a word, or `pin@COMMIT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyChoice {
    pub policy: Policy,
    /// The commit of a pin; without one, the published commit.
    pub commit: Option<PinnedCommit>,
}

impl FromStr for PolicyChoice {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let (policy, commit) = match text.split_once('@') {
            Some((word, commit)) if word == Policy::Pin.as_str() => {
                (Policy::Pin, Some(commit.parse()?))
            }
            _ => {
                let policy = text.parse().map_err(|_| {
                    InvalidValue::is_not(text, "a policy")
                        .next("write follow, approve, pin or pin@COMMIT")
                });
                (policy?, None)
            }
        };
        Ok(Self { policy, commit })
    }
}

impl fmt::Display for PolicyChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.commit {
            Some(commit) => f.pad(&format!("{}@{}", self.policy, commit.as_str())),
            None => self.policy.fmt(f),
        }
    }
}

/// The rules about updates that a person has written for a model or a tag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpdateRules {
    pub policy: Option<PolicyChoice>,
    /// The age of a commit before it is taken.
    pub delay: Option<Seconds>,
    pub follow_tags: Option<TagPattern>,
    pub guards: Option<Guards>,
}

/// An entity with rules about updates.
pub trait HasRules: 'static {
    fn rules(&self) -> &UpdateRules;
    fn rules_mut(&mut self) -> &mut UpdateRules;
    /// Refuses a policy that the entity cannot have.
    fn check_policy(_: &PolicyChoice) -> Result<(), InvalidValue> {
        Ok(())
    }
}

fn set_policy<S: HasRules>(entry: &mut S, text: Option<&str>) -> Result<(), InvalidValue> {
    let choice = parsed(text)?;
    choice.as_ref().map(S::check_policy).transpose()?;
    entry.rules_mut().policy = choice;
    Ok(())
}

fn set_delay<S: HasRules>(entry: &mut S, text: Option<&str>) -> Result<(), InvalidValue> {
    if let Some(word @ ("off" | "none" | "no" | "0")) = text {
        return Err(InvalidValue::is_not(word, "a duration")
            .next("write 0d for no delay, or `--no-delay` to follow the tags"));
    }
    entry.rules_mut().delay = parsed(text)?;
    Ok(())
}

pub const fn policy_field<S: HasRules>() -> Field<S> {
    Field::new(
        "policy",
        |entry: &S| FieldValue::optional(entry.rules().policy.as_ref()),
        Read::Text(set_policy),
    )
    .flag("policy", "POLICY", "Treatment of new commits: follow, approve, pin or pin@COMMIT (default: that of the tags, else follow)")
    .no("Follow the tags' policy again")
}

pub const fn delay_field<S: HasRules>() -> Field<S> {
    Field::new(
        "delay",
        |entry: &S| FieldValue::optional(entry.rules().delay),
        Read::Text(set_delay),
    )
    .flag("delay", "DUR", "Take a new commit only after this home has known it for this long, such as 7d (default: that of the tags, else none)")
    .no("Follow the tags' delay again")
}

pub const fn follow_tags_field<S: HasRules>() -> Field<S> {
    Field::new(
        "follow_tags",
        |entry: &S| FieldValue::optional(entry.rules().follow_tags.as_ref()),
        Read::Text(|entry: &mut S, text| {
            entry.rules_mut().follow_tags = parsed(text)?;
            Ok(())
        }),
    )
    .flag(
        "follow-tags",
        "GLOB",
        "Take the repository's newest tag that matches, such as 'v*', by version order",
    )
    .no("Follow the tags' pattern again, else the revision")
}

pub const fn guards_field<S: HasRules>() -> Field<S> {
    Field::new(
        "guards",
        |entry: &S| match &entry.rules().guards {
            Some(guards) => FieldValue::List(guards.words()),
            None => FieldValue::Absent,
        },
        Read::List(|entry: &mut S, texts| {
            entry.rules_mut().guards = texts.map(|texts| Guards::parse(&texts)).transpose()?;
            Ok(())
        }),
    )
    .flag("guards", "LIST|off", "Guards that hold an update for a person: all, off, words with commas, or all,-WORD (default: those of the tags, else of update.guards)")
    .no("Follow the tags' guards again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_a_word_or_a_pin_with_a_commit() {
        let written = |text: &str| text.parse::<PolicyChoice>().map(|it| it.to_string());
        for text in ["follow", "approve", "pin", "pin@0123abc"] {
            assert_eq!(written(text).as_deref(), Ok(text));
        }
        assert_eq!(written("pin@0123ABC").as_deref(), Ok("pin@0123abc"));
        for wrong in ["", "Pin", "pin@", "pin@123", "pin@main", "approve@0123abc"] {
            assert!(written(wrong).is_err(), "{wrong}");
        }
    }
}
