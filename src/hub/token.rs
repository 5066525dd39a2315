//! The access token: its sources, and its protection.

use std::fmt;

use thiserror::Error;

/// The secret for access to repositories. `Debug` and `Display` do not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Returns the secret, for the `Authorization` header only.
    pub(super) fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The source of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenOrigin {
    Explicit,
    HfToken,
    LegacyVariable,
    File,
}

impl fmt::Display for TokenOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Explicit => "`--token`",
            Self::HfToken => "`HF_TOKEN`",
            Self::LegacyVariable => "`HUGGING_FACE_HUB_TOKEN`",
            Self::File => "the token file",
        })
    }
}

/// A token that cannot be sent. Without it a private repository would look as if it
/// did not exist, so it is not ignored.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "the token from {origin} cannot be used: it contains spaces or other characters that no token has"
)]
pub struct TokenError {
    pub origin: TokenOrigin,
}

/// The contents of the possible sources; `None` where there is none.
#[derive(Clone, Default)]
pub struct TokenInputs {
    /// Given on the command line.
    pub explicit: Option<String>,
    /// `HF_TOKEN`.
    pub hf_token: Option<String>,
    /// `HUGGING_FACE_HUB_TOKEN`.
    pub legacy_variable: Option<String>,
    /// The content of the file `HF_TOKEN_PATH`, by default `$HF_HOME/token`.
    pub file: Option<String>,
    /// `HF_HUB_DISABLE_IMPLICIT_TOKEN`: use only an explicitly given token.
    pub is_implicit_disabled: bool,
}

/// Finds the token to use, in the order of the official client.
///
/// White space around a value is removed and an empty value counts as none, so that
/// with `HF_TOKEN=` the file is used.
pub fn find_token(inputs: &TokenInputs) -> Result<Option<(Token, TokenOrigin)>, TokenError> {
    let implicit = !inputs.is_implicit_disabled;
    let places = [
        (&inputs.explicit, TokenOrigin::Explicit, true),
        (&inputs.hf_token, TokenOrigin::HfToken, implicit),
        (
            &inputs.legacy_variable,
            TokenOrigin::LegacyVariable,
            implicit,
        ),
        (&inputs.file, TokenOrigin::File, implicit),
    ];
    for (value, origin, is_allowed) in places {
        let value: String = value
            .as_deref()
            .unwrap_or("")
            .trim()
            .chars()
            .filter(|c| !matches!(c, '\r' | '\n'))
            .collect();
        if value.is_empty() || !is_allowed {
            continue;
        }
        if !value.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(TokenError { origin });
        }
        return Ok(Some((Token(value), origin)));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn found(inputs: &TokenInputs) -> Option<(String, TokenOrigin)> {
        find_token(inputs)
            .unwrap()
            .map(|(token, origin)| (token.secret().to_owned(), origin))
    }

    #[test]
    fn the_first_source_wins_and_empty_ones_are_skipped() {
        let mut inputs = TokenInputs {
            explicit: some("hf_a"),
            hf_token: some("hf_b"),
            legacy_variable: some("hf_c"),
            file: some(" hf_d\r\n"),
            is_implicit_disabled: false,
        };
        assert_eq!(found(&inputs), Some(("hf_a".into(), TokenOrigin::Explicit)));
        inputs.explicit = None;
        assert_eq!(found(&inputs), Some(("hf_b".into(), TokenOrigin::HfToken)));
        inputs.hf_token = some(" \n");
        assert_eq!(
            found(&inputs),
            Some(("hf_c".into(), TokenOrigin::LegacyVariable))
        );
        inputs.legacy_variable = some("");
        assert_eq!(found(&inputs), Some(("hf_d".into(), TokenOrigin::File)));
        inputs.file = None;
        assert_eq!(found(&inputs), None);
    }

    #[test]
    fn without_implicit_tokens_only_the_explicit_one_counts() {
        let mut inputs = TokenInputs {
            hf_token: some("hf_b"),
            file: some("hf_d"),
            is_implicit_disabled: true,
            ..TokenInputs::default()
        };
        assert_eq!(found(&inputs), None);
        inputs.explicit = some("hf_a");
        assert_eq!(found(&inputs), Some(("hf_a".into(), TokenOrigin::Explicit)));
    }

    #[test]
    fn a_token_that_cannot_be_sent_is_an_error_that_does_not_show_it() {
        for bad in ["hf_ge heim", "hf_geheim\u{7}", "hf_gehéim"] {
            let inputs = TokenInputs {
                hf_token: some(bad),
                ..TokenInputs::default()
            };
            let error = find_token(&inputs).unwrap_err();
            assert_eq!(error.origin, TokenOrigin::HfToken);
            assert!(!error.to_string().contains("hf_g"), "{error}");
        }
    }

    #[test]
    fn a_token_is_never_shown() {
        let inputs = TokenInputs {
            explicit: some("hf_geheim"),
            ..TokenInputs::default()
        };
        let (token, origin) = find_token(&inputs).unwrap().unwrap();
        let shown = format!("{token} {token:?} {origin}");
        assert!(!shown.contains("geheim"), "{shown}");
    }
}
