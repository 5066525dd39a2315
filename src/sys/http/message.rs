//! Requests and responses.

use std::fmt;

use super::body::Body;
use super::error::HttpError;
use super::url::Url;
use crate::sys::pause::Stopwatch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
}

impl Method {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
        }
    }
}

/// A request.
#[derive(Clone)]
pub struct Request {
    pub method: Method,
    pub url: Url,
    headers: Vec<(&'static str, String)>,
    pub(super) body: Option<Vec<u8>>,
    is_for_file: bool,
}

impl Request {
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: Vec::new(),
            body: None,
            is_for_file: false,
        }
    }

    pub fn get(url: Url) -> Self {
        Self::new(Method::Get, url)
    }

    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Adds an `Authorization` header, which is never shown.
    #[must_use]
    pub fn bearer(self, secret: &str) -> Self {
        self.header("authorization", format!("Bearer {secret}"))
    }

    /// Marks a request of a download, for the statistics of the Hub.
    #[must_use]
    pub fn counted(self) -> Self {
        self.header("x-hf-download-counter", "1".to_owned())
    }

    /// Requests the bytes from `start` to the end, or to `last` inclusively.
    #[must_use]
    pub fn range(self, start: u64, last: Option<u64>) -> Self {
        let last = last.map(|last| last.to_string()).unwrap_or_default();
        self.header("range", format!("bytes={start}-{last}"))
    }

    #[must_use]
    pub fn body(mut self, content_type: &'static str, body: Vec<u8>) -> Self {
        self.body = Some(body);
        self.header("content-type", content_type)
    }

    /// Marks a response that may be a file: its body has no deadline, and the
    /// connection may be silent for [`super::HttpSettings::read_timeout`].
    #[must_use]
    pub fn for_file(mut self) -> Self {
        self.is_for_file = true;
        self
    }

    pub(super) fn is_for_file(&self) -> bool {
        self.is_for_file
    }

    pub(super) fn headers(&self) -> &[(&'static str, String)] {
        &self.headers
    }
}

impl fmt::Debug for Request {
    /// Writes method and URL, but no header, because one may hold the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method.as_str(), self.url)
    }
}

/// The headers of a response. Cookies are dropped, because nothing uses them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    pub(super) fn new(pairs: impl Iterator<Item = (String, String)>) -> Self {
        Self(pairs.filter(|(name, _)| name != "set-cookie").collect())
    }

    /// Builds headers from literals, for tests.
    #[cfg(test)]
    pub(crate) fn of(pairs: &[(&str, &str)]) -> Self {
        Self::new(
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        )
    }

    /// Returns the first value of a header; `name` is in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for Headers {
    /// Writes names only, because values may be signed URLs or tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

/// A response of any status; its body has not been read yet.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Headers,
    /// The URL of the request.
    pub url: Url,
    pub body: Body,
    /// Started when the head arrived; durations in headers count from there.
    pub received: Stopwatch,
}

impl Response {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub fn is_redirect(&self) -> bool {
        matches!(self.status, 301 | 302 | 303 | 307 | 308)
    }

    /// Reads a short body as text; invalid UTF-8 is replaced.
    pub fn read_text(self, max_bytes: usize) -> Result<String, HttpError> {
        let bytes = self.body.read_limited(max_bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Drains a short body, so that the connection can be reused. After a long body
    /// it is closed.
    pub fn discard(self) {
        let _ = self.body.read_limited(16 * 1024);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_request_contains_no_token() {
        let request = Request::get("https://h/x?sig=geheim".parse().unwrap()).bearer("hf_geheim");
        assert_eq!(format!("{request:?}"), "GET https://h/x");
    }

    #[test]
    fn cookies_are_dropped_and_repeated_headers_kept() {
        let headers = Headers::of(&[("link", "a"), ("set-cookie", "x=y"), ("link", "b")]);
        assert_eq!(headers.all("link").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(headers.get("set-cookie"), None);
    }
}
