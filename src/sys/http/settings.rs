//! The settings of the HTTP client, as plain values.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::url::Url;

/// Timeouts, proxies and certificates of the HTTP client.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// How long name lookup, connection and TLS handshake may take together.
    pub connect_timeout: Duration,
    /// How long the head of a response may take. A short body gets twice as long,
    /// see [`HttpSettings::short_body_timeout`].
    pub answer_timeout: Duration,
    /// How long a connection may be silent while the bytes of a file are expected.
    /// There is no limit on the whole body: a large file over a slow connection is
    /// no error.
    pub read_timeout: Duration,
    /// Connections to keep open for reuse: the number of download threads.
    pub connections: usize,
    pub user_agent: String,
    pub proxy: ProxySettings,
    /// A PEM file, or a directory of them, trusted instead of the system's store.
    pub ca_bundle: Option<PathBuf>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(30),
            read_timeout: Duration::from_secs(60),
            connections: 16,
            user_agent: user_agent(None),
            proxy: ProxySettings::default(),
            ca_bundle: None,
        }
    }
}

impl HttpSettings {
    /// Reads the variables that other tools use too; `get` returns the value of
    /// one.
    ///
    /// If both cases of a proxy variable are set, the lower case wins, as in curl.
    /// A CA bundle replaces the system's store, as in curl and Python.
    pub fn from_variables(get: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| get(name).filter(|value| !value.trim().is_empty());
        let proxy = |lower: &str| set(lower).or_else(|| set(&lower.to_ascii_uppercase()));
        let ca_bundle = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"]
            .iter()
            .find_map(|name| set(name));
        let defaults = Self::default();
        // Whole seconds; zero and anything that is no number mean the default.
        let seconds = |name: &str| {
            let value = set(name)?.trim().parse().ok()?;
            (value > 0).then(|| Duration::from_secs(value))
        };
        let read_timeout = seconds("HF_HUB_DOWNLOAD_TIMEOUT");
        let answer_timeout = seconds("HF_HUB_ETAG_TIMEOUT").unwrap_or_else(|| {
            defaults
                .answer_timeout
                .max(read_timeout.unwrap_or_default())
        });
        let read_timeout = read_timeout.unwrap_or(defaults.read_timeout);
        Self {
            read_timeout,
            answer_timeout,
            user_agent: user_agent(set("HF_HUB_USER_AGENT_ORIGIN").as_deref()),
            proxy: ProxySettings {
                http: proxy("http_proxy"),
                https: proxy("https_proxy"),
                all: proxy("all_proxy"),
                no_proxy: proxy("no_proxy"),
            },
            ca_bundle: ca_bundle.map(PathBuf::from),
            ..defaults
        }
    }

    /// Returns the time limit of a short body: a listing, JSON, the text of an
    /// error.
    pub fn short_body_timeout(&self) -> Duration {
        self.answer_timeout * 2
    }
}

/// Renders the `User-Agent`; `origin` is the value of `HF_HUB_USER_AGENT_ORIGIN`.
pub fn user_agent(origin: Option<&str>) -> String {
    let mut text = format!(
        "hfdl/{}; rust/{}",
        env!("CARGO_PKG_VERSION"),
        env!("CARGO_PKG_RUST_VERSION")
    );
    let origin = origin.unwrap_or("").trim();
    if !origin.is_empty() && origin.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        text.push_str("; origin/");
        text.push_str(origin);
    }
    text
}

/// The values of the proxy variables of either case.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProxySettings {
    /// `HTTP_PROXY`: for `http` URLs.
    pub http: Option<String>,
    /// `HTTPS_PROXY`: for `https` URLs.
    pub https: Option<String>,
    /// `ALL_PROXY`: for URLs whose own variable is not set.
    pub all: Option<String>,
    /// `NO_PROXY`: hosts that are connected to directly.
    pub no_proxy: Option<String>,
}

impl std::fmt::Debug for ProxySettings {
    /// Writes no values, because a proxy URL often holds a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProxySettings")
            .field("http", &self.http.is_some())
            .field("https", &self.https.is_some())
            .field("all", &self.all.is_some())
            .field("no_proxy", &self.no_proxy)
            .finish()
    }
}

impl ProxySettings {
    /// Returns the proxy for `http` URLs, and the variable that names it.
    pub(super) fn for_http(&self) -> Option<(&str, &'static str)> {
        self.or_all(given(&self.http), "HTTP_PROXY")
    }

    /// Returns the proxy for `https` URLs, and the variable that names it.
    pub(super) fn for_https(&self) -> Option<(&str, &'static str)> {
        self.or_all(given(&self.https), "HTTPS_PROXY")
    }

    fn or_all<'a>(
        &'a self,
        own: Option<&'a str>,
        variable: &'static str,
    ) -> Option<(&'a str, &'static str)> {
        let all = || given(&self.all).map(|proxy| (proxy, "ALL_PROXY"));
        own.map(|proxy| (proxy, variable)).or_else(all)
    }

    /// Tells whether a URL is excluded from proxies.
    ///
    /// An entry names a host and its subdomains, with or without a leading dot or
    /// `*.`, and optionally a port, as in curl and Python; or a network
    /// (`10.0.0.0/8`), as in curl and Go. Names are not looked up for that.
    pub(super) fn is_direct(&self, url: &Url) -> bool {
        let host = url.host().trim_matches(['[', ']']);
        given(&self.no_proxy)
            .unwrap_or("")
            .split([',', ' ', '\t'])
            .map(|entry| entry.trim().to_ascii_lowercase())
            .filter(|entry| !entry.is_empty())
            .any(|entry| entry == "*" || entry_matches(&entry, host, url.port()))
    }
}

fn entry_matches(entry: &str, host: &str, port: u16) -> bool {
    if let Some((address, n_bits)) = entry.split_once('/') {
        let network = address.trim_matches(['[', ']']).parse().ok();
        let network = network.zip(n_bits.parse().ok());
        let host = host.parse().ok();
        return network
            .zip(host)
            .is_some_and(|((network, n_bits), host)| is_in_network(host, network, n_bits));
    }
    let bare = match entry.rsplit_once(':') {
        // A second colon makes it an IPv6 address without a port.
        Some((name, digits)) if !name.contains(':') || name.ends_with(']') => {
            if digits.parse() != Ok(port) {
                return false;
            }
            name
        }
        _ => entry,
    };
    let name = bare.trim_matches(['[', ']']);
    if let Ok(address) = name.parse::<IpAddr>() {
        // An address has several spellings: `::1` and `0:0::1`.
        let host = host.parse::<IpAddr>();
        return host.is_ok_and(|host| host.to_canonical() == address.to_canonical());
    }
    let name = name.trim_start_matches('*').trim_start_matches('.');
    match host.strip_suffix(name) {
        Some("") => true,
        Some(front) => !name.is_empty() && front.ends_with('.'),
        None => false,
    }
}

/// Tells whether an address has the first `n_bits` of a network's address.
fn is_in_network(host: IpAddr, network: IpAddr, n_bits: u32) -> bool {
    let shared_bits = match (host.to_canonical(), network.to_canonical()) {
        (IpAddr::V4(host), IpAddr::V4(network)) if n_bits <= 32 => {
            (host.to_bits() ^ network.to_bits()).leading_zeros()
        }
        (IpAddr::V6(host), IpAddr::V6(network)) if n_bits <= 128 => {
            (host.to_bits() ^ network.to_bits()).leading_zeros()
        }
        _ => return false,
    };
    shared_bits >= n_bits
}

fn given(value: &Option<String>) -> Option<&str> {
    value.as_deref().map(str::trim).filter(|v| !v.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_is_interpreted_as_by_other_tools() {
        let settings = |no_proxy: &str| ProxySettings {
            no_proxy: Some(no_proxy.to_owned()),
            ..ProxySettings::default()
        };
        for (no_proxy, url, is_direct) in [
            ("", "http://a.example/", false),
            ("*", "http://a.example/", true),
            ("a.example", "http://a.example/", true),
            ("A.Example", "https://a.example/", true),
            ("example", "http://a.example/", true),
            (".example", "http://a.example/", true),
            ("*.example", "http://a.example/", true),
            ("xample", "http://a.example/", false),
            ("b.example, localhost", "http://localhost:80/", true),
            ("a.example:8080", "http://a.example:8080/", true),
            ("a.example:8080", "http://a.example/", false),
            ("127.0.0.1", "http://127.0.0.1:9/", true),
            ("::1", "http://[::1]:9/", true),
            ("[::1]:9", "http://[::1]:9/", true),
            (".", "http://a.example/", false),
            ("10.0.0.0/8", "http://10.42.0.7:8080/", true),
            ("10.0.0.0/8", "http://11.0.0.1/", false),
            ("10.0.0.0/8", "http://10.example/", false),
            ("192.168.4.0/22", "http://192.168.7.255/", true),
            ("192.168.4.0/22", "http://192.168.8.0/", false),
            ("127.0.0.1/32", "http://127.0.0.2/", false),
            ("0.0.0.0/0", "http://8.8.8.8/", true),
            ("0.0.0.0/0", "http://[::1]/", false),
            ("fd00::/8", "http://[fd12:3456::1]:9/", true),
            ("fd00::/8", "http://[fe80::1]/", false),
            ("[fd00::]/8", "http://[fd00::1]/", true),
            ("10.0.0.0/33", "http://10.0.0.1/", false),
            ("10.0.0.0/x", "http://10.0.0.1/", false),
            ("10.0.0/8", "http://10.0.0.1/", false),
            ("0:0:0::1", "http://[::1]/", true),
            ("127.0.0.1", "http://1.127.0.0.1/", false),
            ("127.0.0.1:9", "http://127.0.0.1:9/", true),
            ("127.0.0.1:9", "http://127.0.0.1:8/", false),
            ("a.b  10.1.0.0/16\tc.d ,e.f", "http://10.1.2.3/", true),
            ("a.b  10.1.0.0/16\tc.d ,e.f", "http://c.d/", true),
        ] {
            let url = url.parse::<Url>().unwrap();
            assert_eq!(
                settings(no_proxy).is_direct(&url),
                is_direct,
                "{no_proxy} {url}"
            );
        }
    }

    #[test]
    fn a_proxy_for_the_scheme_overrides_all_proxy() {
        let settings = ProxySettings {
            https: Some("http://secure:1".into()),
            http: Some(" ".into()),
            all: Some("http://all:1".into()),
            no_proxy: None,
        };
        assert_eq!(
            settings.for_https(),
            Some(("http://secure:1", "HTTPS_PROXY"))
        );
        assert_eq!(settings.for_http(), Some(("http://all:1", "ALL_PROXY")));
    }

    #[test]
    fn variables_are_interpreted_as_by_other_tools() {
        let settings = |pairs: &'static [(&str, &str)]| {
            HttpSettings::from_variables(|name| {
                let found = pairs.iter().find(|(key, _)| *key == name)?;
                Some(found.1.to_owned())
            })
        };
        let given = settings(&[
            ("HTTPS_PROXY", "http://upper:1"),
            ("https_proxy", "http://lower:1"),
            ("HTTP_PROXY", "http://plain:1"),
            ("http_proxy", ""),
            ("NO_PROXY", "localhost"),
            ("CURL_CA_BUNDLE", "/curl.pem"),
            ("REQUESTS_CA_BUNDLE", "/requests.pem"),
            ("HF_HUB_DOWNLOAD_TIMEOUT", "60"),
        ]);
        assert_eq!(
            given.proxy.for_https(),
            Some(("http://lower:1", "HTTPS_PROXY"))
        );
        assert_eq!(
            given.proxy.for_http(),
            Some(("http://plain:1", "HTTP_PROXY"))
        );
        assert_eq!(given.proxy.no_proxy.as_deref(), Some("localhost"));
        assert_eq!(given.ca_bundle, Some("/requests.pem".into()));
        assert_eq!(given.read_timeout, Duration::from_secs(60));
        assert_eq!(given.answer_timeout, Duration::from_secs(60));
        let patient = settings(&[("HF_HUB_ETAG_TIMEOUT", "90")]);
        assert_eq!(patient.answer_timeout, Duration::from_secs(90));
        assert_eq!(patient.read_timeout, HttpSettings::default().read_timeout);
        let odd = settings(&[("HF_HUB_DOWNLOAD_TIMEOUT", "0"), ("SSL_CERT_FILE", " ")]);
        assert_eq!(odd.read_timeout, HttpSettings::default().read_timeout);
        assert_eq!(odd.ca_bundle, None);
    }

    #[test]
    fn the_user_agent_names_program_and_origin() {
        let plain = user_agent(None);
        assert!(plain.starts_with(concat!("hfdl/", env!("CARGO_PKG_VERSION"), "; rust/")));
        assert_eq!(user_agent(Some("ci\r\nX: y")), plain);
        assert_eq!(user_agent(Some("lab")), format!("{plain}; origin/lab"));
    }
}
