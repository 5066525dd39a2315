//! Why no whole answer arrived, in words that hold no secret.

use std::io;

use thiserror::Error;

use super::url::Url;
use crate::sys::text::steers_terminal;

/// What stood in the way of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HttpErrorKind {
    /// No connection: refused, unreachable, reset while connecting.
    Connect,
    /// The host's name is not known.
    Dns,
    /// No way leads there from this machine.
    NoRoute,
    Timeout,
    /// The certificate or the handshake was not acceptable.
    Tls,
    /// The proxy is misconfigured or refused to connect.
    Proxy,
    /// The other side hung up before the end of the answer.
    ClosedEarly,
    /// What came is not HTTP.
    Protocol,
    /// The answer is longer than anything sensible.
    TooLarge,
    Other,
}

/// A failed exchange: which host and path, and what happened.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{what} (`{url}`)")]
pub struct HttpError {
    kind: HttpErrorKind,
    url: String,
    origin: String,
    what: String,
    is_transient: bool,
}

impl HttpErrorKind {
    /// Tells whether this machine seems to have no network at all.
    pub fn is_offline(self) -> bool {
        matches!(self, Self::Dns | Self::NoRoute)
    }
}

impl HttpError {
    pub(super) fn new(kind: HttpErrorKind, url: &Url, what: impl Into<String>) -> Self {
        let is_transient = match kind {
            HttpErrorKind::Connect
            | HttpErrorKind::Dns
            | HttpErrorKind::NoRoute
            | HttpErrorKind::Timeout
            | HttpErrorKind::ClosedEarly
            | HttpErrorKind::Protocol => true,
            HttpErrorKind::Tls
            | HttpErrorKind::Proxy
            | HttpErrorKind::TooLarge
            | HttpErrorKind::Other => false,
        };
        Self {
            kind,
            url: url.to_string(),
            origin: url.origin().to_owned(),
            what: what.into(),
            is_transient,
        }
    }

    /// Builds an error about the client itself rather than about an exchange.
    pub(super) fn setup(kind: HttpErrorKind, place: String, what: impl Into<String>) -> Self {
        Self {
            kind,
            origin: place.clone(),
            url: place,
            what: what.into(),
            is_transient: false,
        }
    }

    pub(super) fn from_ureq(error: ureq::Error, url: &Url) -> Self {
        use HttpErrorKind as Kind;
        let new = |kind, what: &str| Self::new(kind, url, what);
        match error {
            ureq::Error::Io(error) => Self::from_plain_io(&error, url),
            ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect) => {
                new(Kind::Timeout, "no connection in time")
            }
            ureq::Error::Timeout(ureq::Timeout::PerRead) => {
                new(Kind::Timeout, "the connection fell silent")
            }
            ureq::Error::Timeout(_) => new(Kind::Timeout, "no answer in time"),
            ureq::Error::HostNotFound => new(Kind::Dns, "the host name is not known"),
            ureq::Error::ConnectionFailed => new(Kind::Connect, "no connection"),
            ureq::Error::ConnectProxyFailed(reason) => {
                // A gateway's trouble passes; a refusal (403, 407) does not.
                let is_transient = ["/502", "/503", "/504", "not respond"]
                    .iter()
                    .any(|sign| reason.contains(sign));
                Self {
                    is_transient,
                    ..new(
                        Kind::Proxy,
                        &format!("the proxy failed: {}", plain(&reason)),
                    )
                }
            }
            ureq::Error::InvalidProxyUrl => new(Kind::Proxy, "the proxy's address is malformed"),
            ureq::Error::Rustls(error) => Self::tls(&error.to_string(), url),
            ureq::Error::Tls(what) => Self::tls(what, url),
            ureq::Error::TlsRequired => Self::tls("the connection is not encrypted", url),
            ureq::Error::Protocol(error) => new(
                Kind::Protocol,
                &format!(
                    "the answer is not proper HTTP: {}",
                    plain(&error.to_string())
                ),
            ),
            ureq::Error::LargeResponseHeader(..) => {
                new(Kind::TooLarge, "the head of the answer is too long")
            }
            ureq::Error::BodyStalled => new(Kind::ClosedEarly, "the connection closed early"),
            // These texts may hold the URL with its query; the kind must do.
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
                new(Kind::Other, "the request could not be built")
            }
            _ => new(Kind::Other, "the request failed"),
        }
    }

    /// Turns what a body's reader raised into the typed error.
    pub(super) fn from_reader(error: io::Error, url: &Url) -> Self {
        if let Some(known) = Self::in_io(&error) {
            return known.clone();
        }
        match error.downcast::<ureq::Error>() {
            Ok(error) => Self::from_ureq(error, url),
            Err(error) => Self::from_plain_io(&error, url),
        }
    }

    fn from_plain_io(error: &io::Error, url: &Url) -> Self {
        use io::ErrorKind as Io;
        let new = |kind, what: &str| Self::new(kind, url, what);
        match error.kind() {
            Io::TimedOut | Io::WouldBlock => {
                new(HttpErrorKind::Timeout, "the connection fell silent")
            }
            Io::UnexpectedEof | Io::BrokenPipe => {
                new(HttpErrorKind::ClosedEarly, "the connection closed early")
            }
            Io::ConnectionReset | Io::ConnectionAborted => {
                new(HttpErrorKind::ClosedEarly, "the connection was reset")
            }
            Io::ConnectionRefused => new(HttpErrorKind::Connect, "the connection was refused"),
            Io::HostUnreachable | Io::NetworkUnreachable => {
                new(HttpErrorKind::NoRoute, "the host cannot be reached")
            }
            Io::AddrNotAvailable | Io::NotConnected => {
                new(HttpErrorKind::Connect, "the host cannot be reached")
            }
            Io::NetworkDown => new(HttpErrorKind::NoRoute, "the network is down"),
            // A failed handshake arrives as unreadable data; its text names the reason.
            Io::InvalidData if error.raw_os_error().is_none() => Self::tls(&error.to_string(), url),
            _ if is_lookup_failure(error) => {
                new(HttpErrorKind::Dns, "the host name could not be looked up")
            }
            _ => new(
                HttpErrorKind::Connect,
                &format!("no connection: {}", plain(&error.to_string())),
            ),
        }
    }

    fn tls(what: &str, url: &Url) -> Self {
        Self::new(
            HttpErrorKind::Tls,
            url,
            format!("no safe connection: {}", plain(what)),
        )
    }

    pub fn kind(&self) -> HttpErrorKind {
        self.kind
    }

    /// Tells whether the same request may succeed a little later.
    pub fn is_transient(&self) -> bool {
        self.is_transient
    }

    /// Returns the scheme, host and port that were asked, for messages in which
    /// a path of hashes would only be in the way.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Returns what happened, without the place.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Finds the typed error in what reading a [`super::Body`] raised.
    pub fn in_io(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    pub(super) fn into_io(self) -> io::Error {
        let kind = match self.kind {
            HttpErrorKind::Timeout => io::ErrorKind::TimedOut,
            HttpErrorKind::ClosedEarly => io::ErrorKind::UnexpectedEof,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, self)
    }
}

/// Recognises a failed name lookup, for which the standard library has no kind:
/// a fixed text on Unix, a range of codes on Windows.
fn is_lookup_failure(error: &io::Error) -> bool {
    match error.raw_os_error() {
        None => error.to_string().starts_with("failed to lookup"),
        Some(code) => cfg!(windows) && (11001..=11004).contains(&code),
    }
}

/// Keeps a foreign text short, on one line, and without anything like a query.
fn plain(text: &str) -> String {
    let words: Vec<&str> = text
        .split_whitespace()
        .map(|word| word.split('?').next().unwrap_or(word))
        .collect();
    words
        .join(" ")
        .chars()
        .filter(|c| !steers_terminal(*c))
        .take(200)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url() -> Url {
        "https://cdn.example/x?Signature=geheim".parse().unwrap()
    }

    #[test]
    fn no_text_holds_the_query_or_a_foreign_url() {
        let errors = [
            HttpError::from_ureq(ureq::Error::BadUri("https://x/?s=geheim".into()), &url()),
            HttpError::from_ureq(
                ureq::Error::ConnectProxyFailed("see https://x/?s=geheim".into()),
                &url(),
            ),
            HttpError::from_reader(io::Error::other("at https://x/?s=geheim"), &url()),
        ];
        for error in errors {
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("geheim"), "{shown}");
            assert!(shown.contains("https://cdn.example/x"), "{shown}");
        }
    }

    #[test]
    fn what_passes_by_itself_is_told_from_what_does_not() {
        let proxy =
            |text: &str| HttpError::from_ureq(ureq::Error::ConnectProxyFailed(text.into()), &url());
        assert!(proxy("proxy server responded 503/503").is_transient());
        assert!(!proxy("proxy server responded 407/407").is_transient());
        let io = |kind| HttpError::from_reader(io::Error::from(kind), &url());
        assert_eq!(
            io(io::ErrorKind::UnexpectedEof).kind(),
            HttpErrorKind::ClosedEarly
        );
        assert_eq!(io(io::ErrorKind::TimedOut).kind(), HttpErrorKind::Timeout);
        assert_eq!(
            io(io::ErrorKind::ConnectionRefused).kind(),
            HttpErrorKind::Connect
        );
        assert!(io(io::ErrorKind::ConnectionReset).is_transient());
        let lookup = io::Error::other("failed to lookup address information: Name unknown");
        let lookup = HttpError::from_reader(lookup, &url());
        assert_eq!(lookup.kind(), HttpErrorKind::Dns);
        assert!(!HttpError::from_ureq(ureq::Error::Tls("bad"), &url()).is_transient());
    }

    #[test]
    fn the_typed_error_is_found_again_in_what_a_reader_raised() {
        let error = HttpError::new(HttpErrorKind::Timeout, &url(), "the connection fell silent");
        let io = error.clone().into_io();
        assert_eq!(io.kind(), io::ErrorKind::TimedOut);
        assert_eq!(HttpError::in_io(&io), Some(&error));
        assert_eq!(HttpError::in_io(&io::Error::other("x")), None);
    }
}
