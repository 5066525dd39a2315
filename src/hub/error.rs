//! Why the Hub did not give what was asked for.

use std::fmt;
use std::time::Duration;

use super::endpoint::Endpoint;
use super::text::clean;
use crate::domain::outcome::ErrorKind;
use crate::domain::repo::Repo;
use crate::domain::retry::Prospect;
use crate::sys::http::{HttpError, HttpErrorKind};

/// A failed request to the Hub or to its storage: what was asked about, what
/// went wrong, and what the server said. No text of it holds a token or the
/// query of a URL.
#[derive(Clone, PartialEq, Eq)]
pub struct HubError(Box<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    fault: Fault,
    about: About,
    words: Words,
}

/// What came with a refusal, fit to be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    pub message: Option<String>,
    pub request_id: Option<String>,
    /// How long the server asked to wait.
    pub retry_hint: Option<Duration>,
}

/// What went wrong, for code that branches on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    RevisionNotFound,
    EntryNotFound,
    /// The terms were not accepted, or access was asked for and not granted yet.
    Gated,
    /// The Hub has closed the repository for everybody.
    Disabled,
    /// Without a token the Hub does not tell a private repository from none.
    RepoNotFoundOrPrivate {
        anonymous: bool,
    },
    /// Without a token the Hub does not show the repository, and with one it did.
    TokenMissing,
    /// The token is invalid or expired; with it even public requests fail.
    BadToken,
    Forbidden,
    BadRequest,
    RateLimited {
        retry_after: Option<Duration>,
        bucket: Option<String>,
    },
    /// The file is shorter than the range that was asked for.
    BadRange {
        total: Option<u64>,
    },
    /// Any other status of the Hub itself.
    Server {
        status: u16,
    },
    /// A refusal of the host that a signed URL led to.
    Storage {
        status: u16,
        host: String,
    },
    Network(HttpError),
    Offline,
    /// The answer is malformed, contradicts itself or is hostile.
    BadAnswer(String),
    /// The answer is a part of the file, and not the one that was asked for. A
    /// cache on the way confuses parts now and then; another try may get it right.
    WrongPart(String),
}

/// What a request was about; the words of its error message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct About {
    pub repo: Option<Repo>,
    pub revision: Option<String>,
    pub path: Option<String>,
    pub has_token: bool,
    /// The repository's page, where terms are accepted.
    page: String,
    /// The page where tokens are made.
    tokens_page: String,
}

impl About {
    pub fn new(endpoint: &Endpoint, repo: Option<&Repo>, has_token: bool) -> Self {
        Self {
            page: repo.map(|repo| endpoint.page(repo)).unwrap_or_default(),
            tokens_page: format!("{endpoint}/settings/tokens"),
            repo: repo.cloned(),
            has_token,
            ..Self::default()
        }
    }

    pub fn revision(mut self, revision: impl fmt::Display) -> Self {
        self.revision = Some(revision.to_string());
        self
    }

    pub fn path(mut self, path: impl fmt::Display) -> Self {
        self.path = Some(path.to_string());
        self
    }

    /// Builds an error of which no server said anything.
    pub fn error(&self, fault: Fault) -> HubError {
        self.refused(fault, Words::default())
    }

    pub fn refused(&self, fault: Fault, words: Words) -> HubError {
        HubError(Box::new(Inner {
            fault,
            about: self.clone(),
            words,
        }))
    }

    pub fn bad_answer(&self, why: impl fmt::Display) -> HubError {
        self.error(Fault::BadAnswer(clean(&why.to_string())))
    }

    pub fn wrong_part(&self, why: impl fmt::Display) -> HubError {
        self.error(Fault::WrongPart(clean(&why.to_string())))
    }
}

impl fmt::Display for About {
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

    /// Returns the same error with what is behind it.
    pub(super) fn with_fault(mut self, fault: Fault) -> Self {
        self.0.fault = fault;
        self
    }

    /// Returns what the server said, shortened and on one line.
    pub fn server_message(&self) -> Option<&str> {
        self.0.words.message.as_deref()
    }

    /// Returns the number under which the Hub's support finds the request.
    pub fn request_id(&self) -> Option<&str> {
        self.0.words.request_id.as_deref()
    }

    /// Returns the word for sessions and exit codes.
    pub fn kind(&self) -> ErrorKind {
        match self.fault() {
            Fault::RevisionNotFound
            | Fault::EntryNotFound
            | Fault::RepoNotFoundOrPrivate { .. }
            | Fault::Server { status: 404 | 410 } => ErrorKind::NotFound,
            Fault::Gated | Fault::TokenMissing | Fault::BadToken | Fault::Forbidden => {
                ErrorKind::Auth
            }
            Fault::RateLimited { .. } => ErrorKind::RateLimit,
            // The line is fine; what comes over it is not.
            Fault::Network(error) if error.kind() == HttpErrorKind::TooLarge => ErrorKind::Hub,
            Fault::Network(_) | Fault::Offline => ErrorKind::Network,
            Fault::Server { status } | Fault::Storage { status, .. } if is_passing(*status) => {
                ErrorKind::Network
            }
            Fault::Disabled
            | Fault::BadRequest
            | Fault::BadRange { .. }
            | Fault::Server { .. }
            | Fault::Storage { .. }
            | Fault::BadAnswer(_)
            | Fault::WrongPart(_) => ErrorKind::Hub,
        }
    }

    /// Tells whether the same request may succeed a little later.
    pub fn is_transient(&self) -> bool {
        match self.fault() {
            Fault::RateLimited { .. } | Fault::WrongPart(_) => true,
            Fault::Server { status } | Fault::Storage { status, .. } => is_passing(*status),
            Fault::Network(error) => error.is_transient(),
            _ => false,
        }
    }

    pub(super) fn prospect(&self) -> Prospect {
        if self.is_transient() {
            Prospect::Transient {
                wait: self.0.words.retry_hint,
            }
        } else {
            Prospect::Permanent
        }
    }

    /// Returns what a person does next, where that is sure.
    pub fn hint(&self) -> Option<String> {
        let about = &self.0.about;
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
            Fault::BadToken => Some(format!(
                "make a new token at {tokens} and put it where the old one is, or unset it for public repositories"
            )),
            Fault::Forbidden => Some(format!(
                "give the token read access to this repository at {tokens}"
            )),
            Fault::RepoNotFoundOrPrivate { anonymous: true } => Some(
                "check the name; if the repository is private, set `HF_TOKEN` or run `hf auth login`"
                    .to_owned(),
            ),
            Fault::RepoNotFoundOrPrivate { anonymous: false } => Some(format!(
                "check the name, and whether the account of the token can open {page}"
            )),
            Fault::RevisionNotFound => Some(format!("choose one of the revisions at {page}")),
            Fault::RateLimited { .. } if !about.has_token => {
                Some("set `HF_TOKEN`: the limits of an account are higher".to_owned())
            }
            Fault::Network(error) if error.kind() == HttpErrorKind::Tls => Some(
                "if the certificate is one of your own network, set `SSL_CERT_FILE` to its CA bundle"
                    .to_owned(),
            ),
            Fault::Offline => Some("unset `HF_HUB_OFFLINE` and run it again".to_owned()),
            _ => None,
        }
    }

    fn is_awaiting_review(&self) -> bool {
        let said = self.server_message().unwrap_or("").to_ascii_lowercase();
        said.contains("awaiting") || said.contains("pending")
    }
}

impl fmt::Display for HubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { fault, about, .. } = &*self.0;
        let repo = || match &about.repo {
            Some(repo) => format!("`{repo}`"),
            None => "the Hub".to_owned(),
        };
        match fault {
            Fault::RevisionNotFound => {
                let revision = about.revision.as_deref().unwrap_or("asked for");
                write!(f, "{} has no revision `{}`", repo(), clean(revision))?;
            }
            Fault::EntryNotFound => {
                let path = about.path.as_deref().unwrap_or("asked for");
                write!(f, "{} has no file `{}`", repo(), clean(path))?;
                if let Some(revision) = &about.revision {
                    write!(f, " at `{revision}`")?;
                }
            }
            Fault::Gated => write!(
                f,
                "{} is gated, and access to its files was not granted",
                repo()
            )?,
            Fault::Disabled => write!(f, "the Hub has disabled {}", repo())?,
            Fault::RepoNotFoundOrPrivate { anonymous: true } => write!(
                f,
                "{} does not exist, or is private or gated and no token was sent",
                repo()
            )?,
            Fault::RepoNotFoundOrPrivate { anonymous: false } => write!(
                f,
                "{} does not exist, or the token has no access to it",
                repo()
            )?,
            Fault::TokenMissing => write!(
                f,
                "the Hub shows {} with a token only, and there is none now",
                repo()
            )?,
            Fault::BadToken => {
                f.write_str("the Hub refused the token: it is invalid or has expired")?;
            }
            Fault::Forbidden => {
                write!(f, "the Hub refused access to {about} (HTTP 403)")?;
                self.write_message(f)?;
            }
            Fault::BadRequest => {
                write!(f, "the Hub refused the request about {about} (HTTP 400)")?;
                self.write_message(f)?;
            }
            Fault::RateLimited {
                retry_after,
                bucket,
            } => {
                f.write_str("the Hub's rate limit")?;
                if let Some(bucket) = bucket {
                    write!(f, " for `{bucket}` requests")?;
                }
                f.write_str(" is exhausted")?;
                if let Some(span) = retry_after {
                    write!(f, " for another {} s", span.as_secs())?;
                }
            }
            Fault::BadRange { total } => {
                write!(f, "{about} does not have the bytes asked for")?;
                if let Some(total) = total {
                    write!(f, ": it has {total}")?;
                }
            }
            Fault::Server { status } => {
                write!(f, "the Hub answered HTTP {status} for {about}")?;
                self.write_message(f)?;
            }
            Fault::Storage { status, host } => {
                write!(
                    f,
                    "the storage host `{host}` answered HTTP {status} for {about}"
                )?;
                self.write_message(f)?;
            }
            Fault::Network(error) => {
                let (origin, reason) = (error.origin(), error.reason());
                write!(f, "no answer about {about} from `{origin}`: {reason}")?;
            }
            Fault::Offline => {
                write!(f, "offline mode is on: the Hub was not asked about {about}")?;
            }
            Fault::BadAnswer(why) | Fault::WrongPart(why) => {
                write!(f, "the Hub's answer about {about} is not usable: {why}")?
            }
        }
        Ok(())
    }
}

impl HubError {
    fn write_message(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.server_message() {
            Some(message) => write!(f, ": {message}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for HubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubError")
            .field("fault", &self.0.fault)
            .field("about", &self.0.about.to_string())
            .field("words", &self.0.words)
            .finish()
    }
}

impl std::error::Error for HubError {}

/// Lists the statuses behind which the same request may succeed later; 520 to
/// 524 are those of a proxy in front of the Hub.
fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504 | 520..=524)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::repo::RepoType;
    use crate::hub::classify::classify;
    use crate::sys::http::Headers;

    fn about(has_token: bool) -> About {
        let repo = Repo::new(RepoType::Model, "acme/tiny".parse().unwrap());
        About::new(&Endpoint::official(), Some(&repo), has_token)
            .revision("v9")
            .path("x/y.bin")
    }

    fn refused(status: u16, pairs: &[(&str, &str)]) -> HubError {
        classify(status, &Headers::of(pairs), "", &about(false), None)
    }

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
    fn only_what_may_pass_is_transient() {
        for status in [408, 429, 500, 502, 503, 504, 520, 524] {
            assert!(refused(status, &[]).is_transient(), "{status}");
        }
        for status in [400, 401, 403, 404, 410, 416, 418, 501, 505] {
            assert!(!refused(status, &[]).is_transient(), "{status}");
        }
    }

    #[test]
    fn every_headline_names_the_thing_and_reads_as_one_line() {
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
    fn a_gated_repository_gets_the_hint_that_fits() {
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
