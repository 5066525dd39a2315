//! Why Xet storage did not give what was asked for.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use crate::domain::outcome::ErrorKind;
use crate::domain::retry::Prospect;
use crate::domain::xet::XetHash;
use crate::sys::http::{HttpError, HttpErrorKind};

/// A failed question to the storage: what it was about and what went wrong. No
/// text of it holds a token or the query of a URL.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{fault} (Xet file `{about}`)")]
pub struct XetError {
    pub fault: XetFault,
    pub about: XetHash,
}

/// What went wrong, for code that branches on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum XetFault {
    /// The storage knows no such file, or does not show it to this token.
    UnknownFile,
    /// The token opens nothing here (401, 403).
    Refused {
        status: u16,
    },
    RateLimited {
        retry_after: Option<Duration>,
    },
    /// The file has no such bytes (416).
    BadRange,
    /// Any other status of the storage's own API.
    Server {
        status: u16,
    },
    /// A refusal of the host that a signed URL led to.
    Storage {
        status: u16,
        host: String,
    },
    Network(HttpError),
    /// The answer is malformed, contradicts itself or is hostile.
    BadAnswer(String),
    /// The bytes are no chunks, or not those that were named.
    BadData(String),
    /// The Hub gave no token for the storage.
    NoToken(TokenTrouble),
}

/// The failure of whoever was asked for a token, in the words it found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenTrouble {
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

    pub fn is_transient(&self) -> bool {
        self.fault.is_transient()
    }

    pub fn retry_after(&self) -> Option<Duration> {
        self.fault.retry_after()
    }
}

impl XetFault {
    /// Returns the word for sessions and exit codes.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownFile => ErrorKind::NotFound,
            Self::Refused { .. } => ErrorKind::Auth,
            Self::RateLimited { .. } => ErrorKind::RateLimit,
            Self::Network(error) if error.kind() == HttpErrorKind::TooLarge => ErrorKind::Hub,
            Self::Network(_) => ErrorKind::Network,
            Self::Server { status } | Self::Storage { status, .. } if is_passing(*status) => {
                ErrorKind::Network
            }
            Self::BadRange | Self::Server { .. } | Self::Storage { .. } | Self::BadAnswer(_) => {
                ErrorKind::Hub
            }
            Self::BadData(_) => ErrorKind::Integrity,
            Self::NoToken(trouble) => trouble.kind,
        }
    }

    /// Tells whether the same question may succeed a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::RateLimited { .. } => true,
            Self::Server { status } | Self::Storage { status, .. } => is_passing(*status),
            Self::Network(error) => error.is_transient(),
            Self::NoToken(trouble) => trouble.is_transient,
            // A broken transfer looks like this, too.
            Self::BadData(_) => true,
            _ => false,
        }
    }

    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } => *retry_after,
            Self::NoToken(trouble) => trouble.retry_after,
            _ => None,
        }
    }

    pub(super) fn prospect(&self) -> Prospect {
        // Whoever asks for a token has had patience of its own.
        let is_final = matches!(self, Self::NoToken(_));
        if self.is_transient() && !is_final {
            let wait = self.retry_after();
            Prospect::Transient { wait }
        } else {
            Prospect::Permanent
        }
    }
}

/// All of 5xx but 501, which no second attempt changes, and what asks for patience.
fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 429) || (500..600).contains(&status) && status != 501
}

impl fmt::Display for XetFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownFile => f.write_str("the Xet storage does not know the file"),
            Self::Refused { status } => {
                write!(f, "the Xet storage refused its token (HTTP {status})")
            }
            Self::RateLimited { retry_after } => {
                f.write_str("the Xet storage asks for patience (HTTP 429)")?;
                match retry_after {
                    Some(span) => write!(f, ", for another {} s", span.as_secs()),
                    None => Ok(()),
                }
            }
            Self::BadRange => {
                f.write_str("the Xet storage's file is shorter than the listing says")
            }
            Self::Server { status } => write!(f, "the Xet storage answered HTTP {status}"),
            Self::Storage { status, host } => {
                write!(f, "the storage host `{host}` answered HTTP {status}")
            }
            Self::Network(error) => {
                let (origin, what) = (error.origin(), error.reason());
                write!(f, "no answer from `{origin}`: {what}")
            }
            Self::BadAnswer(why) => write!(f, "the Xet storage's answer is not usable: {why}"),
            Self::BadData(why) => write!(f, "the Xet storage sent unusable bytes: {why}"),
            Self::NoToken(trouble) => f.write_str(&trouble.message),
        }
    }
}
