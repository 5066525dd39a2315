//! Errors of requests to the Hub.

use std::fmt;
use std::time::Duration;

use super::endpoint::Endpoint;
use super::text::clean;
use crate::domain::login::TokenName;
use crate::domain::outcome::ErrorKind;
use crate::domain::repo::{Repo, RepoType};
use crate::domain::retry::{AttemptError, Prospect, is_transient_status};
use crate::sys::http::{HttpError, HttpErrorKind};

/// A failed request to the Hub or to its storage: the subject of the request, the
/// fault, and details from the server. No text of it contains a token or the query
/// of a URL.
#[derive(Clone, PartialEq, Eq)]
pub struct HubError(Box<ErrorParts>);

#[derive(Clone, PartialEq, Eq)]
struct ErrorParts {
    fault: Fault,
    about: RequestContext,
    details: ServerDetails,
}

/// Details of an error response, sanitised for display.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ServerDetails {
    pub message: Option<String>,
    pub request_id: Option<String>,
    /// The wait that the server asked for.
    pub retry_hint: Option<Duration>,
}

/// The fault, for code that branches on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    RevisionNotFound,
    EntryNotFound,
    /// The terms are not accepted, or access is requested and not granted yet.
    Gated,
    /// The Hub has disabled the repository for everybody.
    Disabled,
    /// Without a token the Hub does not distinguish private from missing
    /// repositories.
    RepoNotFoundOrPrivate {
        anonymous: bool,
    },
    /// There is no model of this name, but a repository of another type.
    OtherType(RepoType),
    /// The repository is not visible without a token, and was visible with one.
    TokenMissing,
    /// The token is invalid or expired; even public requests fail with it.
    BadToken,
    /// No token was issued: for a refresh token, or for the identity of a pipeline.
    NoGrant,
    Forbidden,
    BadRequest,
    RateLimited {
        retry_after: Option<Duration>,
        bucket: Option<String>,
    },
    /// The file is shorter than the requested range.
    BadRange {
        total: Option<u64>,
    },
    /// Any other status of the Hub itself.
    Server {
        status: u16,
    },
    /// An error of the host that a signed URL led to.
    Storage {
        status: u16,
        host: String,
    },
    Network(HttpError),
    Offline,
    /// A web page in place of data, as login pages of networks and proxies send it.
    WebPage {
        origin: String,
    },
    /// The response is malformed, contradictory or hostile.
    BadAnswer(String),
    /// The response is a part of the file other than the requested one. Caches on
    /// the path sometimes mix up parts; a retry may help.
    WrongPart(String),
}

/// The subject of a request, for error messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RequestContext {
    pub repo: Option<Repo>,
    pub revision: Option<String>,
    pub path: Option<String>,
    pub has_token: bool,
    /// The login of the token, if that login ends.
    pub login: Option<TokenName>,
    /// The repository's page, where terms are accepted.
    pub page: String,
    /// The page where tokens are created.
    pub tokens_page: String,
}

impl RequestContext {
    pub fn new(endpoint: &Endpoint, repo: Option<&Repo>, has_token: bool) -> Self {
        Self {
            page: repo.map(|repo| endpoint.page(repo)).unwrap_or_default(),
            tokens_page: format!("{endpoint}/settings/tokens"),
            repo: repo.cloned(),
            has_token,
            ..Self::default()
        }
    }

    pub fn login(mut self, login: Option<&TokenName>) -> Self {
        self.login = login.cloned();
        self
    }

    pub fn revision(mut self, revision: impl fmt::Display) -> Self {
        self.revision = Some(revision.to_string());
        self
    }

    pub fn path(mut self, path: impl fmt::Display) -> Self {
        self.path = Some(path.to_string());
        self
    }

    /// Returns the repository for a message, or the Hub itself.
    pub fn subject(&self) -> String {
        match &self.repo {
            Some(repo) => format!("`{repo}`"),
            None => "the Hub".to_owned(),
        }
    }

    /// Builds an error without details from a server.
    pub fn error(&self, fault: Fault) -> HubError {
        self.refused(fault, ServerDetails::default())
    }

    pub fn refused(&self, fault: Fault, details: ServerDetails) -> HubError {
        HubError(Box::new(ErrorParts {
            fault,
            about: self.clone(),
            details,
        }))
    }

    pub fn bad_answer(&self, reason: impl fmt::Display) -> HubError {
        self.error(Fault::BadAnswer(clean(&reason.to_string())))
    }

    pub fn wrong_part(&self, reason: impl fmt::Display) -> HubError {
        self.error(Fault::WrongPart(clean(&reason.to_string())))
    }
}

impl fmt::Display for RequestContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.repo, &self.path) {
            (Some(repo), Some(path)) => write!(f, "`{}` of `{repo}`", clean(path)),
            (Some(repo), None) => write!(f, "`{repo}`"),
            (None, _) => f.write_str("the account"),
        }
    }
}

impl HubError {
    pub fn fault(&self) -> &Fault {
        &self.0.fault
    }

    /// Returns the subject of the request.
    pub(super) fn about(&self) -> &RequestContext {
        &self.0.about
    }

    /// Tells whether the server seems to lack the endpoint of a request, as mirrors do,
    /// when the repository is known to exist.
    pub fn is_missing_endpoint(&self) -> bool {
        matches!(
            self.fault(),
            Fault::EntryNotFound
                | Fault::RepoNotFoundOrPrivate { .. }
                | Fault::Server {
                    status: 404 | 405 | 501
                }
        )
    }

    /// Returns the same error with the fault behind it.
    pub(super) fn with_fault(mut self, fault: Fault) -> Self {
        self.0.fault = fault;
        self
    }

    /// Returns the server's message, shortened and on one line.
    pub fn server_message(&self) -> Option<&str> {
        self.0.details.message.as_deref()
    }

    /// Returns the request id, for the Hub's support.
    pub fn request_id(&self) -> Option<&str> {
        self.0.details.request_id.as_deref()
    }

    /// Returns the kind for sessions and exit codes.
    pub fn kind(&self) -> ErrorKind {
        match self.fault() {
            Fault::RevisionNotFound
            | Fault::EntryNotFound
            | Fault::RepoNotFoundOrPrivate { .. }
            | Fault::OtherType(_)
            | Fault::Server { status: 404 | 410 } => ErrorKind::NotFound,
            Fault::Gated
            | Fault::TokenMissing
            | Fault::BadToken
            | Fault::NoGrant
            | Fault::Forbidden => ErrorKind::Auth,
            Fault::RateLimited { .. } => ErrorKind::RateLimit,
            // The network works; the response is too large.
            Fault::Network(error) if error.kind() == HttpErrorKind::TooLarge => ErrorKind::Hub,
            Fault::Network(_) | Fault::Offline => ErrorKind::Network,
            Fault::Server { status } | Fault::Storage { status, .. }
                if is_transient_status(*status) =>
            {
                ErrorKind::Network
            }
            Fault::Disabled
            | Fault::BadRequest
            | Fault::BadRange { .. }
            | Fault::Server { .. }
            | Fault::Storage { .. }
            | Fault::WebPage { .. }
            | Fault::BadAnswer(_)
            | Fault::WrongPart(_) => ErrorKind::Hub,
        }
    }

    /// Tells whether a retry of the same request may succeed.
    pub fn is_transient(&self) -> bool {
        match self.fault() {
            Fault::RateLimited { .. } | Fault::WrongPart(_) => true,
            Fault::Server { status } | Fault::Storage { status, .. } => {
                is_transient_status(*status)
            }
            Fault::Network(error) => error.is_transient(),
            _ => false,
        }
    }

    /// Tells whether the repository, its revision or its files are gone upstream.
    pub fn is_gone(&self) -> bool {
        matches!(
            self.fault(),
            Fault::RepoNotFoundOrPrivate { .. } | Fault::RevisionNotFound | Fault::Disabled
        )
    }

    /// Tells whether this machine had no network at all, or was forbidden to use it.
    pub fn is_offline(&self) -> bool {
        match self.fault() {
            Fault::Network(http) => http.kind().is_offline(),
            Fault::Offline => true,
            _ => false,
        }
    }
}

impl fmt::Debug for HubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubError")
            .field("fault", &self.0.fault)
            .field("about", &self.0.about.to_string())
            .field("details", &self.0.details)
            .finish()
    }
}

impl std::error::Error for HubError {}

impl AttemptError for HubError {
    fn prospect(&self) -> Prospect {
        if self.is_transient() {
            Prospect::Transient {
                wait: self.0.details.retry_hint,
            }
        } else {
            Prospect::Permanent
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::classify::classify;
    use crate::hub::classify::tests::{about, refused};
    use crate::sys::http::Headers;

    #[test]
    fn kinds_lead_to_the_exit_codes_of_the_contract() {
        for (status, code, exit) in [
            (404, "RepoNotFound", 1),
            (401, "GatedRepo", 4),
            (403, "", 4),
            (429, "", 5),
            (500, "", 5),
            (503, "", 5),
            (408, "", 5),
            (400, "", 1),
        ] {
            let error = refused(status, &[("x-error-code", code)]);
            assert_eq!(error.kind().exit_status().code(), exit, "{status} {code}");
        }
    }

    #[test]
    fn every_message_names_its_subject_on_one_line() {
        let shown = |fault: Fault| about(false).error(fault).to_string();
        assert_eq!(
            shown(Fault::RevisionNotFound),
            "`acme/tiny` has no revision `v9`"
        );
        assert_eq!(
            shown(Fault::EntryNotFound),
            "`acme/tiny` has no file `x/y.bin` at `v9`"
        );
        assert_eq!(
            shown(Fault::RateLimited {
                retry_after: Some(Duration::from_secs(212)),
                bucket: Some("api".into())
            }),
            "the Hub's rate limit for `api` requests is exhausted for another 212 s"
        );
        let error = refused(
            503,
            &[
                ("x-error-message", "over\r\nloaded"),
                ("x-request-id", "Root=1"),
            ],
        );
        assert_eq!(
            error.to_string(),
            "the Hub answered HTTP 503 for `x/y.bin` of `acme/tiny`: over loaded"
        );
        assert_eq!(error.request_id(), Some("Root=1"));
    }

    #[test]
    fn the_hint_for_a_gated_repository_depends_on_the_token() {
        let gated = |has_token, message: &str| {
            let headers =
                Headers::of(&[("x-error-code", "GatedRepo"), ("x-error-message", message)]);
            classify(403, &headers, "", &about(has_token), None)
                .hint()
                .unwrap()
        };
        assert!(
            gated(true, "").starts_with("accept the terms at https://huggingface.co/acme/tiny ")
        );
        assert!(gated(false, "").contains("set `HF_TOKEN`"));
        assert!(gated(true, "Your request is awaiting a review").starts_with("wait until"));
    }
}
