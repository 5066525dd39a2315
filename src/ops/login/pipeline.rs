//! Tokens of CI pipelines, which prove their identity and keep no secret.
//!
//! The identity comes from `HF_OIDC_ID_TOKEN`, or from GitHub to a job that may ask for
//! it; the Hub exchanges it for a token of one repository or user.

use anyhow::{Context, Result};
use thiserror::Error;

use crate::domain::outcome::ErrorKind;
use crate::hub::{Endpoint, HubClient, Token, TokenOrigin};
use crate::sys::host::Host;
use crate::sys::http::{Http, HttpError, Request, Url};

/// `HF_OIDC_RESOURCE` is set where there is no identity to exchange.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoIdentity {
    #[error(
        "`HF_OIDC_RESOURCE` is set, and `HF_OIDC_ID_TOKEN` is not: there is no identity to exchange for a token"
    )]
    NotGiven,
    #[error("GitHub gave no identity: {reason}")]
    Refused { reason: String },
    #[error("GitHub gave no identity: {reason}")]
    NoAnswer { reason: String },
}

impl NoIdentity {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotGiven | Self::Refused { .. } => ErrorKind::Auth,
            Self::NoAnswer { .. } => ErrorKind::Network,
        }
    }
}

/// Exchanges the identity of a pipeline for a token; `None` without
/// `HF_OIDC_RESOURCE`. A failure is an error, because no other token was asked for.
pub fn exchange(host: &Host, http: &Http, anonymous: &HubClient) -> Result<Option<Token>> {
    let set = |name| host.variable(name).filter(|text| !text.trim().is_empty());
    let Some(resource) = set("HF_OIDC_RESOURCE") else {
        return Ok(None);
    };
    let identity = match set("HF_OIDC_ID_TOKEN") {
        Some(given) => Token::parse(given, &TokenOrigin::Oidc)?,
        None => {
            let url = set("ACTIONS_ID_TOKEN_REQUEST_URL").ok_or(NoIdentity::NotGiven)?;
            let secret = set("ACTIONS_ID_TOKEN_REQUEST_TOKEN").ok_or(NoIdentity::NotGiven)?;
            Some(by_github(http, url, secret, anonymous.endpoint())?)
        }
    };
    let identity = identity.ok_or(NoIdentity::NotGiven)?;
    let grant = anonymous.exchange(&identity, resource.trim());
    let grant = grant.with_context(|| {
        format!("cannot exchange the identity of this pipeline for a token of `{resource}`")
    })?;
    Ok(Some(grant.access))
}

/// Asks GitHub for the identity of this job, for the Hub alone.
fn by_github(
    http: &Http,
    url: &str,
    secret: &str,
    endpoint: &Endpoint,
) -> Result<Token, NoIdentity> {
    const MAX_BYTES: usize = 64 * 1024;
    let refused = |reason: String| NoIdentity::Refused { reason };
    let no_answer = |err: HttpError| NoIdentity::NoAnswer {
        reason: err.to_string(),
    };
    let sign = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{sign}audience={endpoint}").parse::<Url>();
    let url = url.map_err(|err| refused(err.to_string()))?;
    let answer = http
        .send(&Request::get(url).bearer(secret))
        .map_err(no_answer)?;
    match answer.status {
        200 => {}
        status @ 500.. => {
            let reason = format!("HTTP {status}");
            return Err(NoIdentity::NoAnswer { reason });
        }
        status => return Err(refused(format!("HTTP {status}"))),
    }
    let text = answer.read_text(MAX_BYTES).map_err(no_answer)?;
    Token::of_pipeline(&text).ok_or_else(|| refused("its answer has none".to_owned()))
}
