//! The messages of errors of the Hub, and the next step after each.

use std::fmt;
use std::time::Duration;

use super::error::{Fault, HubError, RequestContext};
use super::text::clean;
use crate::domain::login::LOGIN_ADVICE;
use crate::domain::retry::is_transient_status;
use crate::sys::http::HttpErrorKind;

impl HubError {
    /// Returns the next step for a user, where one is certain.
    pub fn hint(&self) -> Option<String> {
        self.access_hint()
            .or_else(|| self.name_hint())
            .or_else(|| self.transfer_hint())
    }

    /// Returns the next step after missing rights.
    fn access_hint(&self) -> Option<String> {
        let about = self.about();
        let (page, tokens) = (&about.page, &about.tokens_page);
        match self.fault() {
            Fault::Gated if self.is_awaiting_review() => Some(format!(
                "wait until the authors grant access (see {page}), then run it again"
            )),
            Fault::Gated if !about.has_token => Some(format!(
                "accept the terms at {page}, make a token at {tokens} and set `HF_TOKEN`, then run it again"
            )),
            Fault::Gated => Some(format!(
                "accept the terms at {page} with the account of the token, then run it again"
            )),
            Fault::TokenMissing => Some(
                "set `HF_TOKEN` where this is started from, or run `hf auth login` as this user; the local copy is kept"
                    .to_owned(),
            ),
            Fault::BadToken if about.login.is_some() => Some(LOGIN_ADVICE.to_owned()),
            Fault::BadToken => Some(format!(
                "make a new token at {tokens} and put it where the old one is, or unset it for public repositories"
            )),
            Fault::NoGrant => Some(
                "check `HF_OIDC_RESOURCE`, and that its trusted publisher on the Hub admits this pipeline; \
                 the audience of `HF_OIDC_ID_TOKEN` must be the Hub"
                    .to_owned(),
            ),
            Fault::Forbidden => Some(format!(
                "give the token read access to this repository at {tokens}"
            )),
            _ => None,
        }
    }

    /// Returns the next step after a wrong name.
    fn name_hint(&self) -> Option<String> {
        let about = self.about();
        let page = &about.page;
        match self.fault() {
            Fault::RepoNotFoundOrPrivate { anonymous: true } => Some(
                "check the name; if the repository is private, set `HF_TOKEN` or run `hf auth login`"
                    .to_owned(),
            ),
            Fault::RepoNotFoundOrPrivate { anonymous: false } => Some(format!(
                "check the name, and whether the account of the token can open {page}"
            )),
            Fault::OtherType(kind) => {
                let repo = about.repo.as_ref();
                repo.map(|repo| format!("write `{}/{}`", kind.plural(), repo.id))
            }
            Fault::RevisionNotFound => Some(format!("choose one of the revisions at {page}")),
            Fault::EntryNotFound => Some(format!("choose one of the files at {page}")),
            Fault::Disabled => Some(format!("read the notice at {page}")),
            _ => None,
        }
    }

    /// Returns the next step after a failed request.
    fn transfer_hint(&self) -> Option<String> {
        match self.fault() {
            Fault::RateLimited { .. } if !self.about().has_token => {
                Some("set `HF_TOKEN`: the limits of an account are higher".to_owned())
            }
            Fault::RateLimited { retry_after: Some(_), .. } => Some(self.again(" after that time")),
            Fault::RateLimited { .. } => Some(self.again(" in some minutes")),
            Fault::Server { status: 404 } => Some(
                "check the name, and that `HF_ENDPOINT` is the address of a Hub or of a mirror"
                    .to_owned(),
            ),
            Fault::Server { status } | Fault::Storage { status, .. }
                if is_transient_status(*status) =>
            {
                Some(self.again(" in some minutes"))
            }
            Fault::Server { .. } => Some(
                "check that `HF_ENDPOINT` is the address of a Hub or of a mirror; if it is, look at the \
                 state of the Hub and report this answer"
                    .to_owned(),
            ),
            Fault::Storage { .. } => Some(
                "run it again, as the link may have expired; if it stays, look for a proxy or firewall \
                 between this machine and that host"
                    .to_owned(),
            ),
            Fault::Network(error) if error.kind() == HttpErrorKind::ClosedEarly => {
                Some(self.again(""))
            }
            Fault::Network(error) => error.hint().map(str::to_owned),
            Fault::WebPage { .. } => Some(
                "log in to this network with a browser if it has a login page; otherwise check \
                 `HF_ENDPOINT` and the proxy; then run it again"
                    .to_owned(),
            ),
            Fault::BadAnswer(_) | Fault::BadRequest => Some(
                "check that `HF_ENDPOINT` is the address of a Hub or of a mirror, and update hfdl if \
                 there is a newer one"
                    .to_owned(),
            ),
            Fault::WrongPart(_) => Some(self.again("")),
            Fault::Offline => Some("unset `HF_HUB_OFFLINE` and run it again".to_owned()),
            _ => None,
        }
    }

    /// Returns the advice to repeat the command; only a download of a file has a part of it.
    fn again(&self, when: &str) -> String {
        let resumes = if self.about().path.is_some() {
            ": the download goes on where it ended"
        } else {
            ""
        };
        format!("run it again{when}{resumes}")
    }

    fn is_awaiting_review(&self) -> bool {
        let message = self.server_message().unwrap_or("").to_ascii_lowercase();
        message.contains("awaiting") || message.contains("pending")
    }
}

impl HubError {
    /// Returns the cause in a few words, for a line that names the file and the wait.
    pub fn brief(&self) -> String {
        match self.fault() {
            Fault::RateLimited { .. } => "rate limited".to_owned(),
            Fault::Server { status } => format!("the Hub answered HTTP {status}"),
            Fault::Storage { status: 429, host } => format!("rate limited by `{host}`"),
            Fault::Storage { status, host } => format!("`{host}` answered HTTP {status}"),
            Fault::Network(error) => error.reason().to_owned(),
            _ => self.to_string(),
        }
    }
}

impl fmt::Display for HubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let about = self.about();
        let repo = about.subject();
        match self.fault() {
            Fault::RevisionNotFound => {
                let revision = about.revision.as_deref().unwrap_or("requested");
                write!(f, "{repo} has no revision `{}`", clean(revision))
            }
            Fault::EntryNotFound => write_missing_file(f, about),
            Fault::Gated => write!(
                f,
                "{repo} is gated, and access to its files was not granted"
            ),
            Fault::Disabled => write!(f, "the Hub has disabled {repo}"),
            Fault::RepoNotFoundOrPrivate { anonymous: true } => write!(
                f,
                "{repo} does not exist, or is private or gated and no token was sent"
            ),
            Fault::RepoNotFoundOrPrivate { anonymous: false } => {
                write!(f, "{repo} does not exist, or the token has no access to it")
            }
            Fault::OtherType(kind) => write!(f, "{repo} is a {kind}, not a model"),
            Fault::TokenMissing => write!(
                f,
                "the Hub shows {repo} with a token only, and there is none now"
            ),
            Fault::BadToken => write_bad_token(f, about),
            Fault::NoGrant => f.write_str("the Hub issued no token"),
            Fault::Forbidden => write!(f, "the Hub refused access to {about} (HTTP 403)"),
            Fault::BadRequest => write!(f, "the Hub refused the request about {about} (HTTP 400)"),
            Fault::RateLimited {
                retry_after,
                bucket,
            } => write_rate_limit(f, bucket.as_deref(), *retry_after),
            Fault::BadRange { total } => write_missing_bytes(f, about, *total),
            Fault::Server { status } => write!(f, "the Hub answered HTTP {status} for {about}"),
            Fault::Storage { status, host } => write!(
                f,
                "the storage host `{host}` answered HTTP {status} for {about}"
            ),
            Fault::Network(error) => {
                let (origin, reason) = (error.origin(), error.reason());
                write!(f, "no answer about {about} from `{origin}`: {reason}")
            }
            Fault::Offline => write!(f, "offline mode is on: no request was sent about {about}"),
            Fault::WebPage { origin } => {
                write!(
                    f,
                    "`{origin}` sent a web page in place of data about {about}"
                )
            }
            Fault::BadAnswer(reason) | Fault::WrongPart(reason) => {
                write!(f, "the Hub's answer about {about} is not usable: {reason}")
            }
        }?;
        write_server_message(f, self)
    }
}

fn write_missing_file(f: &mut fmt::Formatter<'_>, about: &RequestContext) -> fmt::Result {
    let path = about.path.as_deref().unwrap_or("requested");
    write!(f, "{} has no file `{}`", about.subject(), clean(path))?;
    match &about.revision {
        Some(revision) => write!(f, " at `{revision}`"),
        None => Ok(()),
    }
}

fn write_missing_bytes(
    f: &mut fmt::Formatter<'_>,
    about: &RequestContext,
    total: Option<u64>,
) -> fmt::Result {
    write!(f, "{about} does not have the requested bytes")?;
    match total {
        Some(total) => write!(f, ": it has {total}"),
        None => Ok(()),
    }
}

fn write_bad_token(f: &mut fmt::Formatter<'_>, about: &RequestContext) -> fmt::Result {
    f.write_str("the Hub refused the token: it is invalid or has expired")?;
    match &about.login {
        Some(login) => write!(f, " (login `{login}`)"),
        None => Ok(()),
    }
}

fn write_rate_limit(
    f: &mut fmt::Formatter<'_>,
    bucket: Option<&str>,
    retry_after: Option<Duration>,
) -> fmt::Result {
    f.write_str("the Hub's rate limit")?;
    if let Some(bucket) = bucket {
        write!(f, " for `{bucket}` requests")?;
    }
    f.write_str(" is exhausted")?;
    match retry_after {
        Some(span) => write!(f, " for another {} s", span.as_secs()),
        None => Ok(()),
    }
}

/// Adds the server's message to an error of which it is the only explanation.
fn write_server_message(f: &mut fmt::Formatter<'_>, error: &HubError) -> fmt::Result {
    let is_shown = matches!(
        error.fault(),
        Fault::NoGrant
            | Fault::Forbidden
            | Fault::BadRequest
            | Fault::Server { .. }
            | Fault::Storage { .. }
    );
    match error.server_message() {
        Some(message) if is_shown => write!(f, ": {message}"),
        _ => Ok(()),
    }
}
