//! Transport errors, with messages that contain no secret.

use std::io;

use thiserror::Error;

use super::proxy::ProxyInUse;
use super::tls;
use super::url::Url;
use crate::sys::text::steers_terminal;

/// The kind of a transport error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HttpErrorKind {
    /// No connection: refused, unreachable, reset while connecting.
    Connect,
    /// The host's name is not known.
    Dns,
    /// No network route to the host.
    NoRoute,
    Timeout,
    /// The certificate or the handshake was rejected.
    Tls,
    /// The proxy is misconfigured or refused to connect.
    Proxy,
    /// The peer closed the connection before the end of the response.
    ClosedEarly,
    /// The response is not HTTP.
    Protocol,
    /// The response exceeds its size limit.
    TooLarge,
    Other,
}

/// A failed exchange: the URL without its query, and the reason.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{reason} (`{url}`)")]
pub struct HttpError {
    kind: HttpErrorKind,
    url: String,
    origin: String,
    reason: Box<str>,
    /// The next step of a person, where one is certain.
    hint: Option<Box<str>>,
    is_transient: bool,
}

impl HttpErrorKind {
    /// Tells whether this machine seems to have no network at all.
    pub fn is_offline(self) -> bool {
        matches!(self, Self::Dns | Self::NoRoute)
    }
}

impl HttpError {
    pub(super) fn new(kind: HttpErrorKind, url: &Url, reason: impl Into<String>) -> Self {
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
            reason: reason.into().into(),
            hint: next_step(kind).map(Into::into),
            is_transient,
        }
    }

    /// Builds an error about the client's configuration.
    pub(super) fn setup(
        kind: HttpErrorKind,
        place: String,
        reason: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            origin: place.clone(),
            url: place,
            reason: reason.into().into(),
            hint: Some(hint.into().into()),
            is_transient: false,
        }
    }

    /// Converts an error of a request, which went through `proxy` if one is named.
    pub(super) fn from_ureq(error: ureq::Error, url: &Url, proxy: Option<&ProxyInUse>) -> Self {
        let Some(proxy) = proxy else {
            return Self::from_direct(error, url);
        };
        let refusal = match &error {
            ureq::Error::ConnectProxyFailed(answer) => Some(proxy.refusal(answer)),
            ureq::Error::Io(error) => proxy.socks_failure(error),
            _ => None,
        };
        if let Some(failure) = refusal {
            return Self {
                hint: Some(failure.hint.into()),
                is_transient: failure.is_transient,
                ..Self::new(HttpErrorKind::Proxy, url, failure.reason)
            };
        }
        let is_connecting = matches!(error, ureq::Error::Timeout(ureq::Timeout::Connect));
        let error = Self::from_direct(error, url);
        // Only the proxy is connected to, and only its name is looked up.
        let is_of_proxy = match error.kind {
            HttpErrorKind::Connect | HttpErrorKind::Dns | HttpErrorKind::NoRoute => true,
            _ => is_connecting,
        };
        if !is_of_proxy {
            return error;
        }
        let (address, reason) = (proxy.address(), &error.reason);
        Self {
            reason: format!("the proxy `{address}` cannot be reached: {reason}").into(),
            hint: Some(proxy.repair().into()),
            ..error
        }
    }

    fn from_direct(error: ureq::Error, url: &Url) -> Self {
        use HttpErrorKind as Kind;
        let new = |kind, reason: &str| Self::new(kind, url, reason);
        match error {
            ureq::Error::Io(error) => Self::from_plain_io(&error, url),
            ureq::Error::Timeout(ureq::Timeout::Connect) if url.is_https() && url.port() != 443 => {
                Self {
                    hint: Some(MAY_BE_PLAIN.into()),
                    ..new(Kind::Timeout, "no connection in time")
                }
            }
            ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect) => {
                new(Kind::Timeout, "no connection in time")
            }
            ureq::Error::Timeout(ureq::Timeout::PerRead) => {
                new(Kind::Timeout, "the connection stalled")
            }
            ureq::Error::Timeout(_) => new(Kind::Timeout, "no answer in time"),
            ureq::Error::HostNotFound => new(Kind::Dns, "the host name is not known"),
            ureq::Error::ConnectionFailed => new(Kind::Connect, "no connection"),
            ureq::Error::InvalidProxyUrl => new(Kind::Proxy, "the proxy's address is malformed"),
            ureq::Error::Rustls(error) => Self::tls(&error, url),
            ureq::Error::Tls(reason) => new(Kind::Tls, &format!("{NOT_SAFE}: {reason}")),
            ureq::Error::TlsRequired => new(Kind::Tls, "the connection is not encrypted"),
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
            // These texts may contain the URL with its query, so only the kind is
            // used.
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
                new(Kind::Other, "the request could not be built")
            }
            _ => new(Kind::Other, "the request failed"),
        }
    }

    /// Converts an error of a body's reader into the typed error.
    pub(super) fn from_reader(error: io::Error, url: &Url) -> Self {
        if let Some(known) = Self::in_io(&error) {
            return known.clone();
        }
        match error.downcast::<ureq::Error>() {
            Ok(error) => Self::from_ureq(error, url, None),
            Err(error) => Self::from_plain_io(&error, url),
        }
    }

    fn from_plain_io(error: &io::Error, url: &Url) -> Self {
        use io::ErrorKind as Io;
        let new = |kind, reason: &str| Self::new(kind, url, reason);
        // A failed TLS handshake arrives as `InvalidData`.
        if let Some(error) = rustls_error(error) {
            return Self::tls(error, url);
        }
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
            _ if is_lookup_failure(error) => {
                new(HttpErrorKind::Dns, "the host name could not be looked up")
            }
            _ => new(
                HttpErrorKind::Connect,
                &format!("no connection: {}", plain(&error.to_string())),
            ),
        }
    }

    fn tls(error: &rustls::Error, url: &Url) -> Self {
        let (reason, hint) = tls::describe(error);
        Self {
            hint: hint.map(Into::into),
            ..Self::new(
                HttpErrorKind::Tls,
                url,
                format!("{NOT_SAFE}: {}", plain(&reason)),
            )
        }
    }

    pub fn kind(&self) -> HttpErrorKind {
        self.kind
    }

    /// Tells whether a retry of the same request may succeed.
    pub fn is_transient(&self) -> bool {
        self.is_transient
    }

    /// Returns scheme, host and port of the request, for messages in which the path
    /// is a useless hash.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Returns the reason, without the URL.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Returns the next step for a person, where one is certain.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Returns the typed error inside an error of a [`super::Body`].
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

const NOT_SAFE: &str = "no safe connection";

/// The next step after an HTTPS handshake that a server of plain HTTP never answers.
const MAY_BE_PLAIN: &str =
    "if this port has no TLS, write `http://` in the address; else run it again later";

/// Returns the next step after a failure that went through no proxy.
fn next_step(kind: HttpErrorKind) -> Option<&'static str> {
    match kind {
        HttpErrorKind::Dns => Some(
            "check the network and the name server of this machine, and `HF_ENDPOINT` if it is set; \
             then run it again",
        ),
        HttpErrorKind::NoRoute => Some("connect this machine to its network, then run it again"),
        HttpErrorKind::Connect => Some(
            "check that the server runs and that no firewall refuses it; in a network with a proxy \
             set `HTTPS_PROXY`",
        ),
        HttpErrorKind::Timeout => {
            Some("run it again later; in a network with a proxy set `HTTPS_PROXY`")
        }
        HttpErrorKind::ClosedEarly => Some("run it again"),
        HttpErrorKind::Protocol => {
            Some("check `HF_ENDPOINT` and the proxy: the answer is not one of the Hub")
        }
        HttpErrorKind::Tls
        | HttpErrorKind::Proxy
        | HttpErrorKind::TooLarge
        | HttpErrorKind::Other => None,
    }
}

pub(super) fn rustls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// Recognises a failed name lookup, for which the standard library has no kind: a
/// fixed text on Unix, a range of codes on Windows.
pub(super) fn is_lookup_failure(error: &io::Error) -> bool {
    match error.raw_os_error() {
        None => error.to_string().starts_with("failed to lookup"),
        Some(code) => cfg!(windows) && (11001..=11004).contains(&code),
    }
}

/// Makes an untrusted text short and single-line, and removes queries.
pub(super) fn plain(text: &str) -> String {
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

    fn from_ureq(error: ureq::Error) -> HttpError {
        let proxy = ureq::Proxy::new("http://user:geheim@proxy.example:3128").unwrap();
        let proxy = ProxyInUse::new(&proxy, "HTTPS_PROXY");
        HttpError::from_ureq(error, &url(), Some(&proxy))
    }

    #[test]
    fn no_message_contains_a_query_or_an_untrusted_url() {
        let errors = [
            from_ureq(ureq::Error::BadUri("https://x/?s=geheim".into())),
            from_ureq(ureq::Error::ConnectProxyFailed(
                "see https://x/?s=geheim".into(),
            )),
            HttpError::from_reader(io::Error::other("at https://x/?s=geheim"), &url()),
        ];
        for error in errors {
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("geheim"), "{shown}");
            assert!(shown.contains("https://cdn.example/x"), "{shown}");
        }
    }

    #[test]
    fn transient_errors_are_told_from_permanent_ones() {
        let proxy = |text: &str| from_ureq(ureq::Error::ConnectProxyFailed(text.into()));
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
        assert!(!from_ureq(ureq::Error::Tls("bad")).is_transient());
    }

    #[test]
    fn a_silent_handshake_at_a_port_of_its_own_suggests_plain_http() {
        let hint = |url: &str| {
            let error = ureq::Error::Timeout(ureq::Timeout::Connect);
            let error = HttpError::from_ureq(error, &url.parse().unwrap(), None);
            error.hint().unwrap().contains("write `http://`")
        };
        assert!(hint("https://127.0.0.1:8080/x"));
        assert!(!hint("https://huggingface.co/x"));
        assert!(!hint("http://127.0.0.1:8080/x"));
    }

    #[test]
    fn the_typed_error_is_found_in_an_io_error() {
        let error = HttpError::new(HttpErrorKind::Timeout, &url(), "the connection fell silent");
        let io = error.clone().into_io();
        assert_eq!(io.kind(), io::ErrorKind::TimedOut);
        assert_eq!(HttpError::in_io(&io), Some(&error));
        assert_eq!(HttpError::in_io(&io::Error::other("x")), None);
    }
}
