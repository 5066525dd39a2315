//! Errors of the Xet storage.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use crate::domain::outcome::ErrorKind;
use crate::domain::retry::{AttemptError, Prospect, is_transient_status};
use crate::domain::xet::XetHash;
use crate::sys::http::{HttpError, HttpErrorKind};

/// A failed request to the storage, with the file. Its text holds no token and no URL query.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{fault} (Xet file `{about}`)")]
pub struct XetError {
    pub fault: XetFault,
    pub about: XetHash,
}

/// The kinds of failure, for code that branches on them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum XetFault {
    /// The storage does not have the file, or hides it from this token.
    UnknownFile,
    /// The token is not accepted (401, 403).
    Refused {
        status: u16,
    },
    RateLimited {
        retry_after: Option<Duration>,
    },
    /// The range is beyond the end of the file (416).
    BadRange,
    /// Any other status of the storage's API.
    Server {
        status: u16,
    },
    /// An error status from the host of a signed URL.
    Storage {
        status: u16,
        host: String,
    },
    Network(HttpError),
    /// The response is malformed, inconsistent or hostile.
    BadAnswer(String),
    /// The bytes are not valid chunks, or not the requested ones.
    BadData(String),
    /// The Hub returned no token for the storage.
    NoToken(TokenRequestError),
}

/// A failed token request, with its original message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequestError {
    pub kind: ErrorKind,
    pub is_transient: bool,
    pub retry_after: Option<Duration>,
    pub message: String,
}

impl XetError {
    pub fn new(about: XetHash, fault: XetFault) -> Self {
        Self { fault, about }
    }

    pub fn kind(&self) -> ErrorKind {
        self.fault.kind()
    }

    pub fn retry_after(&self) -> Option<Duration> {
        self.fault.retry_after()
    }
}

impl XetFault {
    /// Returns the kind for sessions and exit codes.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownFile => ErrorKind::NotFound,
            Self::Refused { .. } => ErrorKind::Auth,
            Self::RateLimited { .. } => ErrorKind::RateLimit,
            Self::Network(error) if error.kind() == HttpErrorKind::TooLarge => ErrorKind::Hub,
            Self::Network(_) => ErrorKind::Network,
            Self::Server { status } | Self::Storage { status, .. }
                if is_transient_status(*status) =>
            {
                ErrorKind::Network
            }
            Self::BadRange | Self::Server { .. } | Self::Storage { .. } | Self::BadAnswer(_) => {
                ErrorKind::Hub
            }
            Self::BadData(_) => ErrorKind::Integrity,
            Self::NoToken(error) => error.kind,
        }
    }

    /// Returns whether a retry may succeed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::RateLimited { .. } => true,
            Self::Server { status } | Self::Storage { status, .. } => is_transient_status(*status),
            Self::Network(error) => error.is_transient(),
            Self::NoToken(error) => error.is_transient,
            // A broken transfer can cause this as well.
            Self::BadData(_) => true,
            _ => false,
        }
    }

    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } => *retry_after,
            Self::NoToken(error) => error.retry_after,
            _ => None,
        }
    }
}

impl AttemptError for XetFault {
    fn prospect(&self) -> Prospect {
        // The token request was already retried by its client.
        let is_final = matches!(self, Self::NoToken(_));
        if self.is_transient() && !is_final {
            let wait = self.retry_after();
            Prospect::Transient { wait }
        } else {
            Prospect::Permanent
        }
    }
}

impl fmt::Display for XetFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownFile => f.write_str("the Xet storage does not have the file"),
            Self::Refused { status } => {
                write!(f, "the Xet storage refused its token (HTTP {status})")
            }
            Self::RateLimited { retry_after } => {
                f.write_str("the Xet storage limits the request rate (HTTP 429)")?;
                match retry_after {
                    Some(span) => write!(f, ", retry after {} s", span.as_secs()),
                    None => Ok(()),
                }
            }
            Self::BadRange => {
                f.write_str("the file in the Xet storage is shorter than its listing says")
            }
            Self::Server { status } => write!(f, "the Xet storage answered HTTP {status}"),
            Self::Storage { status, host } => {
                write!(f, "the storage host `{host}` answered HTTP {status}")
            }
            Self::Network(error) => {
                let (origin, what) = (error.origin(), error.reason());
                write!(f, "no answer from `{origin}`: {what}")
            }
            Self::BadAnswer(why) => write!(f, "invalid response from the Xet storage: {why}"),
            Self::BadData(why) => write!(f, "invalid data from the Xet storage: {why}"),
            Self::NoToken(error) => f.write_str(&error.message),
        }
    }
}
