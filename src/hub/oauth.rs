//! Requests that issue a token: `POST /oauth/token`.
//!
//! They carry secrets in their body, so they go to the endpoint itself and follow no
//! redirect. Deliberately absent: the login in a browser, which needs a person.

use percent_encoding::utf8_percent_encode;

use super::classify::classify;
use super::client::{HubClient, HubRequest};
use super::endpoint::SEGMENT;
use super::error::{Fault, HubError, RequestContext};
use super::token::{Token, TokenOrigin};
use super::wire;
use crate::domain::retry::RetryPolicy;
use crate::sys::http::{Method, Response};

const MAX_GRANT_BYTES: usize = 64 * 1024;

/// A token that the Hub has issued.
pub struct IssuedTokens {
    pub access: Token,
    /// The refresh token from now on; `None` if it is the same as before.
    pub refresh: Option<Token>,
    pub expires_in_seconds: Option<u64>,
}

impl HubClient {
    /// Renews a login with its refresh token.
    ///
    /// One attempt: if the answer to the first was lost, the Hub may take a second
    /// use of the same refresh token for a theft. The next run tries again.
    pub fn renew(&self, refresh: &Token, client_id: &str) -> Result<IssuedTokens, HubError> {
        let pairs = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh.secret()),
            ("client_id", client_id),
        ];
        let pairs =
            pairs.map(|(key, value)| format!("{key}={}", utf8_percent_encode(value, SEGMENT)));
        let body = pairs.join("&").into_bytes();
        let once = self.with_retry(RetryPolicy::never());
        once.grant(refresh, "application/x-www-form-urlencoded", body)
    }

    /// Exchanges the identity of a CI pipeline for a token of a repository or user.
    pub fn exchange(&self, id_token: &Token, resource: &str) -> Result<IssuedTokens, HubError> {
        let body = wire::exchange_request(id_token.secret(), resource);
        self.grant(id_token, "application/json", body)
    }

    fn grant(
        &self,
        secret: &Token,
        content_type: &'static str,
        body: Vec<u8>,
    ) -> Result<IssuedTokens, HubError> {
        // No other token goes along.
        let client = self.with_token(None, None);
        let about = client.about(None);
        let request = HubRequest {
            body: Some((content_type, body)),
            ..HubRequest::new(Method::Post, self.endpoint().oauth_token())
        };
        client.with_retries(|| {
            let answer = client.send(&request, &about)?;
            if answer.is_redirect() {
                return Err(about.bad_answer("it redirects a request with a secret"));
            }
            if !answer.is_success() {
                return Err(refusal(answer, &about, secret));
            }
            let text = answer.read_text(MAX_GRANT_BYTES);
            let text = text.map_err(|error| about.error(Fault::Network(error)))?;
            parse_grant(&text).map_err(|reason| about.bad_answer(reason))
        })
    }
}

/// Maps an error status; `secret` is removed from the message.
fn refusal(answer: Response, about: &RequestContext, secret: &Token) -> HubError {
    let (status, headers) = (answer.status, answer.headers.clone());
    let body = answer.read_text(MAX_GRANT_BYTES).unwrap_or_default();
    let error = classify(status, &headers, &body, about, Some(secret));
    if status >= 500 || error.is_transient() {
        return error;
    }
    error.with_fault(Fault::NoGrant)
}

fn parse_grant(text: &str) -> Result<IssuedTokens, String> {
    let malformed = || "it holds no usable token".to_owned();
    let grant: wire::TokenGrant = wire::parse(text.as_bytes()).map_err(|_| malformed())?;
    let token = |text: &str| Token::parse(text, &TokenOrigin::File).map_err(|_| malformed());
    let refresh = grant.refresh_token.as_deref().map(token).transpose()?;
    Ok(IssuedTokens {
        access: token(&grant.access_token)?.ok_or_else(malformed)?,
        refresh: refresh.flatten(),
        expires_in_seconds: grant.expires_in,
    })
}
