//! The access token: its sources, and its protection.

use std::fmt;

use thiserror::Error;

use super::wire;
use crate::domain::login::TokenName;

/// The secret for access to repositories. `Debug` and `Display` do not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Reads a token of a source; `None` if the text is empty.
    ///
    /// White space around it and line breaks are removed, as in the official client.
    pub fn parse(text: &str, origin: &TokenOrigin) -> Result<Option<Self>, TokenError> {
        let lines = text.split(['\r', '\n']);
        let text = lines.collect::<String>().trim().to_owned();
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            let origin = origin.clone();
            return Err(TokenError { origin });
        }
        Ok((!text.is_empty()).then_some(Self(text)))
    }

    /// Reads the identity of a pipeline from GitHub's answer.
    pub fn of_pipeline(answer: &str) -> Option<Self> {
        Self::parse(&wire::identity(answer)?, &TokenOrigin::Oidc).ok()?
    }

    /// Returns the secret, for requests to the endpoint and for the files of tokens.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// Returns the Hub that issued the token, if the token says so. Most tokens are
    /// opaque; those of a browser login may be signed documents that name it.
    pub fn issuer(&self) -> Option<String> {
        let payload = self.0.split('.').nth(1)?;
        wire::issuer(&decode_base64_url(payload)?)
    }
}

fn decode_base64_url(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut n_bits) = (Vec::new(), 0_u32, 0);
    for c in text.trim_end_matches('=').bytes() {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        (bits, n_bits) = (bits << 6 | u32::from(value), n_bits + 6);
        if n_bits >= 8 {
            n_bits -= 8;
            bytes.push((bits >> n_bits & 0xff) as u8);
        }
    }
    Some(bytes)
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenOrigin {
    /// Chosen by its name in `stored_tokens`.
    Named(TokenName),
    /// Exchanged for the identity of a CI pipeline.
    Oidc,
    HfToken,
    LegacyVariable,
    File,
}

impl fmt::Display for TokenOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Named(name) => return write!(f, "`--token-name {name}`"),
            Self::Oidc => "the exchange for `HF_OIDC_RESOURCE`",
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

/// The contents of the sources; `None` where there is none.
#[derive(Clone, Default)]
pub struct TokenInputs {
    /// The token that was exchanged because `HF_OIDC_RESOURCE` is set.
    pub oidc: Option<String>,
    /// `HF_TOKEN`.
    pub hf_token: Option<String>,
    /// `HUGGING_FACE_HUB_TOKEN`.
    pub legacy_variable: Option<String>,
    /// The content of the file `HF_TOKEN_PATH`, by default `$HF_HOME/token`.
    pub file: Option<String>,
}

/// Finds the token to use, in the order of the official client.
///
/// An empty value counts as none, so that with `HF_TOKEN=` the file is used.
pub fn find_token(inputs: &TokenInputs) -> Result<Option<(Token, TokenOrigin)>, TokenError> {
    let places = [
        (&inputs.oidc, TokenOrigin::Oidc),
        (&inputs.hf_token, TokenOrigin::HfToken),
        (&inputs.legacy_variable, TokenOrigin::LegacyVariable),
        (&inputs.file, TokenOrigin::File),
    ];
    for (value, origin) in places {
        if let Some(token) = Token::parse(value.as_deref().unwrap_or(""), &origin)? {
            return Ok(Some((token, origin)));
        }
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
            oidc: some("hf_a"),
            hf_token: some("hf_b"),
            legacy_variable: some("hf_c"),
            file: some(" hf_d\r\n"),
        };
        assert_eq!(found(&inputs), Some(("hf_a".into(), TokenOrigin::Oidc)));
        inputs.oidc = None;
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
    fn the_issuer_is_read_from_a_signed_document_and_from_nothing_else() {
        // {"iss":"https://huggingface.co","exp":1}
        let payload = "eyJpc3MiOiJodHRwczovL2h1Z2dpbmdmYWNlLmNvIiwiZXhwIjoxfQ";
        for (text, issuer) in [
            (
                format!("hf_oauth_eyJhIjoxfQ.{payload}.sig"),
                Some("https://huggingface.co"),
            ),
            ("hf_plain".to_owned(), None),
            ("a.b!.c".to_owned(), None),
            ("a.e30.c".to_owned(), None),
        ] {
            let token = Token::parse(&text, &TokenOrigin::File).unwrap().unwrap();
            assert_eq!(token.issuer().as_deref(), issuer, "{text}");
        }
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
            hf_token: some("hf_geheim"),
            ..TokenInputs::default()
        };
        let (token, origin) = find_token(&inputs).unwrap().unwrap();
        let shown = format!("{token} {token:?} {origin}");
        assert!(!shown.contains("geheim"), "{shown}");
    }
}
