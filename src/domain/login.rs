//! Stored logins: named access tokens, of which those of a browser login end.
//!
//! The official client keeps them in `stored_tokens`. A login that ends can be
//! renewed with its refresh token; whether hfdl can do that is an [`Obstacle`]
//! or the lack of one.

use std::fmt;
use std::str::FromStr;

use super::time::{Timestamp, render_utc};
use super::units::Seconds;
use crate::domain::invalid_value::InvalidValue;

/// A login is renewed when less than this is left, as the official client does.
const RENEW_BEFORE: Seconds = Seconds(24 * 3_600);

/// A login that cannot be renewed is reported when less than this is left.
const REPORT_BEFORE: Seconds = Seconds(7 * 24 * 3_600);

/// The step that mends every login.
pub const LOGIN_ADVICE: &str = "log in anew as this user: `hf auth login`";

/// The name of a token in `stored_tokens`; never a token.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenName(String);

impl TokenName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for TokenName {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        const LONGEST: usize = 200;
        // A shorter word with this beginning is a name.
        const SHORTEST_TOKEN: usize = 20;
        let refuse =
            |shown: &str, why: &str| Err(InvalidValue::not_valid("token name", shown).because(why));
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return refuse(text, "it is empty");
        }
        if trimmed.starts_with("hf_") && trimmed.len() >= SHORTEST_TOKEN {
            return refuse("hf_***", "it looks like a token")
                .map_err(|refusal| refusal.next("give the name of one"));
        }
        if trimmed.chars().any(char::is_control) || trimmed.chars().count() > LONGEST {
            return refuse("***", "it must be one line of at most 200 characters");
        }
        Ok(Self(trimmed.to_owned()))
    }
}

/// A login that ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    pub name: TokenName,
    pub expires_at: Timestamp,
    /// The reason why hfdl cannot renew it.
    pub obstacle: Option<Obstacle>,
}

/// The reason why a login cannot be renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    NoRefreshToken,
    /// The Hub accepts the refresh token no more.
    Refused,
    /// The login is one of this Hub, to which no requests go.
    OtherHub(String),
    /// This user cannot write the file.
    ReadOnly(String),
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRefreshToken => f.write_str("it has no refresh token"),
            Self::Refused => f.write_str("the Hub refuses its refresh token"),
            Self::OtherHub(issuer) => write!(f, "it is a login of `{issuer}`, not of this Hub"),
            Self::ReadOnly(path) => write!(f, "this user cannot write `{path}`"),
        }
    }
}

impl Login {
    pub fn is_renewal_due(&self, now: Timestamp) -> bool {
        self.ends_within(RENEW_BEFORE, now)
    }

    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.expires_at <= now
    }

    /// Returns the warning about a login that ends soon and cannot be renewed.
    pub fn warning(&self, now: Timestamp) -> Option<String> {
        let obstacle = self.obstacle.as_ref()?;
        let (name, at) = (&self.name, render_utc(self.expires_at));
        let verb = if self.has_ended(now) { "ended" } else { "ends" };
        self.ends_within(REPORT_BEFORE, now)
            .then(|| format!("the login `{name}` {verb} at {at} and cannot be renewed: {obstacle}"))
    }

    fn ends_within(&self, span: Seconds, now: Timestamp) -> bool {
        let until = now.checked_add(span.span()).unwrap_or(Timestamp::MAX);
        self.expires_at <= until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600;

    fn login(seconds_left: i64, obstacle: Option<Obstacle>) -> (Login, Timestamp) {
        let now: Timestamp = "2026-03-01T09:00:00Z".parse().unwrap();
        let expires_at = Timestamp::from_second(now.as_second() + seconds_left).unwrap();
        let name = "laptop".parse().unwrap();
        let login = Login {
            name,
            expires_at,
            obstacle,
        };
        (login, now)
    }

    #[test]
    fn a_login_is_renewed_a_day_before_its_end() {
        for (hours, is_due) in [(25, false), (24, true), (23, true), (0, true), (-99, true)] {
            let (login, now) = login(hours * HOUR, None);
            assert_eq!(login.is_renewal_due(now), is_due, "{hours} h");
        }
    }

    #[test]
    fn only_a_login_that_cannot_be_renewed_is_reported_a_week_before() {
        for (hours, obstacle, expected) in [
            (169, Some(Obstacle::NoRefreshToken), None),
            (
                168,
                Some(Obstacle::NoRefreshToken),
                Some("ends at 2026-03-08T09:00:00Z"),
            ),
            (0, Some(Obstacle::Refused), Some("ended at")),
            (1, None, None),
            (-1, None, None),
        ] {
            let (login, now) = login(hours * HOUR, obstacle);
            let warning = login.warning(now);
            match expected {
                Some(text) => assert!(warning.unwrap().contains(text), "{hours} h"),
                None => assert_eq!(warning, None, "{hours} h"),
            }
        }
    }

    #[test]
    fn a_token_given_as_a_name_is_refused_and_not_shown() {
        for bad in ["", " ", "hf_abcdefghijklmnopqrstuvwxyz", "a\nb"] {
            let error = bad.parse::<TokenName>().unwrap_err().to_string();
            assert!(!error.contains("abcdef"), "{error}");
        }
        for good in ["oauth-kim", "hf_short", "Büro: Laptop"] {
            assert_eq!(good.parse::<TokenName>().unwrap().as_str(), good);
        }
    }
}
