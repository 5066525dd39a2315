//! Absolute `http` and `https` URLs, which are sent exactly as received.
//!
//! A signed URL is invalid after any re-encoding or re-ordering, so the text is
//! kept and only parsed. `Display` and `Debug` omit the query, which contains
//! signatures.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// An absolute URL with a host; it has no fragment and no user name.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Url {
    text: String,
    is_https: bool,
    host: String,
    port: u16,
    /// The start of the path in `text`; the path always begins with `/`.
    path_at: usize,
    is_path_secret: bool,
}

/// The reason why a text is no usable URL. The text is not repeated, because it may
/// contain secrets.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct UrlError(&'static str);

impl Url {
    /// Returns the whole text with its query: for requests, never for messages.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn is_https(&self) -> bool {
        self.is_https
    }

    /// Returns the host in lower case, with brackets if it is an IPv6 address.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the path without the query; it begins with `/`.
    pub fn path(&self) -> &str {
        let rest = &self.text[self.path_at..];
        rest.split('?').next().unwrap_or(rest)
    }

    /// Returns everything from the path on, as it is sent.
    pub fn path_and_query(&self) -> &str {
        &self.text[self.path_at..]
    }

    /// Tells whether both have the same scheme, host and port, the condition for
    /// sending credentials.
    pub fn is_same_origin(&self, other: &Self) -> bool {
        self.is_https == other.is_https && self.host == other.host && self.port == other.port
    }

    /// Returns scheme, host and port as written.
    pub fn origin(&self) -> &str {
        &self.text[..self.path_at]
    }

    /// Returns the URL marked so that messages show only its host.
    #[must_use]
    pub fn with_secret_path(self) -> Self {
        Self {
            is_path_secret: true,
            ..self
        }
    }

    /// Resolves a `Location` or a link target against this URL.
    pub fn join(&self, reference: &str) -> Result<Self, UrlError> {
        let reference = reference.trim();
        if let Some(rest) = reference.strip_prefix("//") {
            let scheme = if self.is_https { "https" } else { "http" };
            return format!("{scheme}://{rest}").parse();
        }
        if has_scheme(reference) {
            return reference.parse();
        }
        let reference = reference.split('#').next().unwrap_or(reference);
        let (path, query) = match reference.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (reference, None),
        };
        let mut target = if path.is_empty() {
            match query {
                Some(_) => self.path().to_owned(),
                None => self.path_and_query().to_owned(),
            }
        } else if path.starts_with('/') {
            remove_dot_segments(path)
        } else {
            let base = self.path();
            let folder = &base[..=base.rfind('/').unwrap_or(0)];
            remove_dot_segments(&format!("{folder}{path}"))
        };
        if let Some(query) = query {
            target.push('?');
            target.push_str(query);
        }
        format!("{}{target}", self.origin()).parse()
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        let text = text.split('#').next().unwrap_or(text);
        let (scheme, rest) = text
            .split_once("://")
            .ok_or(UrlError("it does not begin with https:// or http://"))?;
        let is_https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(UrlError("it does not begin with https:// or http://")),
        };
        let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(authority_end);
        if authority.contains('@') {
            return Err(UrlError("it holds a user name or password"));
        }
        let (host, port) = split_port(authority)?;
        if host.is_empty() || !host.bytes().all(is_host_byte) {
            return Err(UrlError("its host is missing or malformed"));
        }
        let port = match port {
            Some(port) => port,
            None if is_https => 443,
            None => 80,
        };
        let origin = format!("{}://{authority}", if is_https { "https" } else { "http" });
        let slash = if tail.starts_with('/') { "" } else { "/" };
        let tail = encode_unsendable(tail);
        Ok(Self {
            is_https,
            host: host.to_ascii_lowercase(),
            port,
            path_at: origin.len(),
            is_path_secret: false,
            text: format!("{origin}{slash}{tail}"),
        })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.is_path_secret {
            "/***"
        } else {
            self.path()
        };
        write!(f, "{}{path}", self.origin())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn has_scheme(reference: &str) -> bool {
    let scheme = reference.split([':', '/', '?', '#']).next().unwrap_or("");
    reference[scheme.len()..].starts_with(':')
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), UrlError> {
    let after_host = match authority.rfind(']') {
        Some(bracket) => bracket + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at(after_host);
    if matches!(rest, "" | ":") {
        return Ok((host, None));
    }
    let digits = rest
        .strip_prefix(':')
        .ok_or(UrlError("its host is missing or malformed"))?;
    let port = digits
        .parse()
        .map_err(|_| UrlError("its port is not a number up to 65535"))?;
    Ok((host, Some(port)))
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'[' | b']' | b':')
}

/// Percent-encodes only the bytes that are not allowed in a request line. Servers
/// put `[`, `^` or `|` into a `Location` unescaped; those stay as they are.
fn encode_unsendable(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte <= b' ' || byte >= 0x7f || matches!(byte, b'"' | b'<' | b'>' | b'`') {
            encoded.push_str(&format!("%{byte:02X}"));
        } else {
            encoded.push(char::from(byte));
        }
    }
    encoded
}

fn remove_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            ".." => {
                kept.pop();
                if is_last {
                    kept.push("");
                }
            }
            "." if is_last => kept.push(""),
            "." => {}
            _ => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn a_url_is_parsed_and_its_text_is_kept() {
        let signed = "https://CDN.example:8443/a%2Fb/[x]?B=2&A=%2f&~|^=1";
        let parsed = url(signed);
        assert_eq!(parsed.as_str(), signed);
        assert_eq!(parsed.host(), "cdn.example");
        assert_eq!(parsed.port(), 8443);
        assert_eq!(parsed.path(), "/a%2Fb/[x]");
        assert_eq!(url("http://h").as_str(), "http://h/");
        assert_eq!(url("http://h?x=1").as_str(), "http://h/?x=1");
        assert_eq!(url("HTTPS://h/a#part").as_str(), "https://h/a");
        assert_eq!(url("http://[::1]:80/").host(), "[::1]");
        assert_eq!(url("https://h:/").port(), 443);
    }

    #[test]
    fn no_message_contains_the_query() {
        let signed = url("https://cdn.example/x/y?Signature=geheim&Expires=1");
        for shown in [signed.to_string(), format!("{signed:?}")] {
            assert_eq!(shown, "https://cdn.example/x/y");
        }
    }

    #[test]
    fn a_secret_path_is_sent_and_not_shown() {
        let ping = url("https://ping.example/geheim?create=1").with_secret_path();
        for shown in [ping.to_string(), format!("{ping:?}")] {
            assert_eq!(shown, "https://ping.example/***");
        }
        assert_eq!(ping.path_and_query(), "/geheim?create=1");
    }

    #[test]
    fn invalid_urls_are_refused() {
        for bad in [
            "",
            "huggingface.co",
            "/relative",
            "ftp://h/",
            "file:///etc/passwd",
            "http://",
            "http:///x",
            "https://user:geheim@h/",
            "https://h:99999/",
            "https://h:8a/",
            "https://[::1]x/",
            "https://a b/",
            "https://h\r\nX: y/",
            "https://ä.example/",
        ] {
            let error = bad.parse::<Url>().unwrap_err();
            assert!(!error.to_string().contains("geheim"), "{error}");
        }
    }

    #[test]
    fn origins_differ_by_scheme_host_and_port() {
        let base = url("https://hub.example/x");
        assert!(base.is_same_origin(&url("https://HUB.example:443/y")));
        for other in [
            "http://hub.example:443/x",
            "https://hub.example:444/x",
            "https://hub.example.evil/x",
            "https://cdn.hub.example/x",
        ] {
            assert!(!base.is_same_origin(&url(other)), "{other}");
        }
    }

    #[test]
    fn references_resolve_as_a_browser_would() {
        let base = url("http://h:1/a/b/c?q=1");
        for (reference, expected) in [
            ("/x?y=%22z%22", "http://h:1/x?y=%22z%22"),
            ("d", "http://h:1/a/b/d"),
            ("../d/./e", "http://h:1/a/d/e"),
            ("../../../d", "http://h:1/d"),
            ("..", "http://h:1/a/"),
            ("?z=2", "http://h:1/a/b/c?z=2"),
            ("", "http://h:1/a/b/c?q=1"),
            ("//other/x", "http://other/x"),
            ("https://other/x?y", "https://other/x?y"),
            ("/x y\"<>`ü", "http://h:1/x%20y%22%3C%3E%60%C3%BC"),
            ("/a/b:c", "http://h:1/a/b:c"),
        ] {
            assert_eq!(base.join(reference).unwrap().as_str(), expected);
        }
        assert!(base.join("javascript:alert(1)").is_err());
    }

    #[test]
    fn a_parsed_url_can_be_sent() {
        let every: String = (0u8..=255).map(char::from).filter(|c| *c != '#').collect();
        let parsed = url(&format!("http://h/{every}?{every}"));
        let uri: ureq::http::Uri = parsed.as_str().parse().unwrap();
        assert_eq!(
            uri.path_and_query().unwrap().as_str(),
            parsed.path_and_query()
        );
    }

    proptest::proptest! {
        #[test]
        fn parsing_and_joining_never_panic(text in "\\PC*", tail in "[-a-z:/?#.@%\\[\\]ä]*") {
            let base = url("https://h:1/a/b?c");
            for parsed in [text.parse::<Url>(), base.join(&text), base.join(&tail)].into_iter().flatten() {
                proptest::prop_assert!(!parsed.to_string().contains('?'));
                proptest::prop_assert!(parsed.path().starts_with('/'));
                proptest::prop_assert_eq!(parsed.as_str().parse::<Url>().unwrap(), parsed);
            }
        }
    }
}
