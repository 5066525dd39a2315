//! The HTTP client: one connection pool, shared by all threads.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use ureq::config::Config;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::transport::{
    ConnectProxyConnector, Connector, RustlsConnector, SocksConnector, TcpConnector,
};
use ureq::{Agent, Proxy, SendBody, http};

use super::addresses::Addresses;
use super::body::Body;
use super::error::{HttpError, HttpErrorKind};
use super::message::{Headers, Method, Request, Response};
use super::proxy::ProxyInUse;
use super::settings::{HttpSettings, ProxySettings};
use super::tls::{self, BundleConnector};
use super::url::Url;
use crate::sys::pause::Stopwatch;

/// The head of a request fits, with a long token and a signed URL. Each connection fills its
/// buffers with zeros, so that ureq's 128 KiB would be resident, twice.
const OUTPUT_BUFFER_BYTES: usize = 32 << 10;

/// The head of an answer fits, which few servers let grow beyond 16 KiB. Larger reads take no less
/// time.
const INPUT_BUFFER_BYTES: usize = 32 << 10;

/// How long an idle connection is kept; servers commonly close them after a minute.
const MAX_IDLE: Duration = Duration::from_secs(30);

/// Sends requests and returns responses; clones share the connections.
#[derive(Clone)]
pub struct Http {
    direct: Agent,
    // Separate agents, because ureq would rebuild the TLS configuration (and read
    // the system's certificates) for every connection of a request with its own
    // proxy.
    http_proxied: Option<ProxiedAgent>,
    https_proxied: Option<ProxiedAgent>,
    proxy: ProxySettings,
    addresses: Addresses,
    read_timeout: Duration,
    answer_timeout: Duration,
    short_body_timeout: Duration,
}

/// An agent whose requests go through a proxy.
#[derive(Clone)]
struct ProxiedAgent {
    agent: Agent,
    proxy: ProxyInUse,
}

impl Http {
    /// Builds the client; fails for a malformed proxy or unreadable certificates.
    pub fn new(settings: &HttpSettings) -> Result<Self, HttpError> {
        let bundle = match &settings.ca_bundle {
            Some(path) => Some(trusted_bundle(path)?),
            None => None,
        };
        let addresses = Addresses::default();
        let build = |proxy| build_agent(settings, bundle.clone(), proxy, addresses.clone());
        let proxied = |given: Option<(&str, &'static str)>| {
            let Some((url, variable)) = given else {
                return Ok(None);
            };
            let proxy = parse_proxy(url, variable)?;
            Ok(Some(ProxiedAgent {
                proxy: ProxyInUse::new(&proxy, variable),
                agent: build(Some(proxy)),
            }))
        };
        Ok(Self {
            direct: build(None),
            http_proxied: proxied(settings.proxy.for_http())?,
            https_proxied: proxied(settings.proxy.for_https())?,
            proxy: settings.proxy.clone(),
            addresses,
            read_timeout: settings.read_timeout,
            answer_timeout: settings.answer_timeout,
            short_body_timeout: settings.short_body_timeout(),
        })
    }

    /// Returns the time limit of a short response. A client that retries a request
    /// gives up when its attempts have taken that long together.
    pub fn patience(&self) -> Duration {
        self.short_body_timeout
    }

    /// Sends a request and returns the response, whatever its status; redirects are
    /// not followed. Returns once the head has arrived.
    pub fn send(&self, request: &Request) -> Result<Response, HttpError> {
        let url = &request.url;
        let answer = match request.body.as_deref() {
            Some(bytes) => self.run(request, bytes),
            None => self.run(request, SendBody::none()),
        };
        let answer = answer.map_err(|error| {
            self.addresses.clear();
            let proxy = self.proxied_agent(url).map(|proxied| &proxied.proxy);
            let error = HttpError::from_ureq(error, url, proxy);
            log::debug!("{request:?}: {error}");
            error
        })?;
        let received = Stopwatch::start();
        let (head, body) = answer.into_parts();
        log::debug!("{request:?}: {}", head.status.as_u16());
        let headers = Headers::new(head.headers.iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        }));
        let length = body.content_length();
        Ok(Response {
            status: head.status.as_u16(),
            headers,
            url: url.clone(),
            body: Body::new(
                Box::new(body.into_reader()),
                length,
                url.clone(),
                self.short_body_timeout,
            ),
            received,
        })
    }

    fn run(
        &self,
        request: &Request,
        body: impl ureq::AsSendBody,
    ) -> Result<http::Response<ureq::Body>, ureq::Error> {
        let method = match request.method {
            Method::Get => http::Method::GET,
            Method::Head => http::Method::HEAD,
            Method::Post => http::Method::POST,
        };
        let mut builder = http::Request::builder()
            .method(method)
            .uri(request.url.as_str());
        for (name, value) in request.headers() {
            builder = builder.header(*name, value);
        }
        let agent = self.agent_for(&request.url);
        let mut built = builder.body(body)?;
        if request.is_for_file() {
            // Only file requests are configured separately, because ureq keeps the
            // TLS configuration of the first ordinary request for all.
            let config = agent.configure_request(built);
            let head = self.read_timeout.max(self.answer_timeout);
            built = config
                .timeout_recv_response(Some(head))
                .timeout_per_read(Some(self.read_timeout))
                .timeout_per_write(Some(self.read_timeout))
                .build();
        }
        agent.run(built)
    }

    fn agent_for(&self, url: &Url) -> &Agent {
        let proxied = self.proxied_agent(url);
        proxied.map_or(&self.direct, |proxied| &proxied.agent)
    }

    fn proxied_agent(&self, url: &Url) -> Option<&ProxiedAgent> {
        let proxied = if url.is_https() {
            &self.https_proxied
        } else {
            &self.http_proxied
        };
        proxied.as_ref().filter(|_| !self.proxy.is_direct(url))
    }
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").field("proxy", &self.proxy).finish()
    }
}

fn build_agent(
    settings: &HttpSettings,
    bundle: Option<Arc<ClientConfig>>,
    proxy: Option<Proxy>,
    addresses: Addresses,
) -> Agent {
    let system = RootCerts::PlatformVerifier;
    let tls = TlsConfig::builder().root_certs(system).build();
    let connections = settings.connections.max(1);
    let idle_timeout = settings.read_timeout.min(settings.answer_timeout);
    let config: Config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(proxy)
        .tls_config(tls)
        .user_agent(settings.user_agent.as_str())
        // Compressed bodies have no usable length and no ranges.
        .accept_encoding("identity")
        .timeout_resolve(Some(settings.connect_timeout))
        .timeout_connect(Some(settings.connect_timeout))
        .timeout_recv_response(Some(settings.answer_timeout))
        .timeout_per_read(Some(idle_timeout))
        .timeout_per_write(Some(idle_timeout))
        .input_buffer_size(INPUT_BUFFER_BYTES)
        .output_buffer_size(OUTPUT_BUFFER_BYTES)
        .max_idle_age(MAX_IDLE)
        .max_idle_connections_per_host(connections)
        .max_idle_connections(connections * 3)
        .build();
    // ureq's own chain, with the bundle before the system's certificates.
    let connector =
        ().chain(SocksConnector::default())
            .chain(ConnectProxyConnector::default())
            .chain(TcpConnector::default())
            .chain(BundleConnector(bundle))
            .chain(RustlsConnector::default());
    Agent::with_parts(config, connector, addresses)
}

fn parse_proxy(text: &str, variable: &str) -> Result<Proxy, HttpError> {
    // ureq takes a bare `host:port` for an HTTP proxy, as curl does.
    Proxy::new(text).map_err(|_| {
        HttpError::setup(
            HttpErrorKind::Proxy,
            format!("proxy setting `{variable}`"),
            "the proxy's address is malformed",
            format!("write `http://host:port` or `socks5://host:port` into `{variable}`"),
        )
    })
}

/// Reads the certificates of a PEM file or of every file in a directory.
fn trusted_bundle(path: &Path) -> Result<Arc<ClientConfig>, HttpError> {
    let error = |reason: String| {
        let hint = "name a readable file of certificates (PEM) in `SSL_CERT_FILE`, or unset it";
        let place = path.display().to_string();
        HttpError::setup(HttpErrorKind::Tls, place, reason, hint)
    };
    let unreadable = |err: io::Error| error(format!("the CA certificates cannot be read: {err}"));
    let mut certificates: Vec<CertificateDer<'static>> = Vec::new();
    for file in bundle_files(path).map_err(unreadable)? {
        let text = fs::read(&file).map_err(unreadable)?;
        certificates.extend(parse_pem(&text).filter_map(|item| match item {
            Ok(PemItem::Certificate(found)) => Some(found.der().to_vec().into()),
            _ => None,
        }));
    }
    if certificates.is_empty() {
        return Err(error("the CA bundle holds no certificate".to_owned()));
    }
    let unusable = |reason| error(format!("the CA bundle cannot be used: {reason}"));
    tls::trusting(certificates).map_err(unusable)
}

fn bundle_files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        if file.is_file() {
            files.push(file);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_error_about_a_missing_or_empty_ca_bundle_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem");
        fs::write(&empty, "no certificate\n").unwrap();
        for path in [
            folder.path().join("missing.pem"),
            empty,
            folder.path().to_owned(),
        ] {
            let settings = HttpSettings {
                ca_bundle: Some(path.clone()),
                ..HttpSettings::default()
            };
            let error = Http::new(&settings).unwrap_err();
            assert_eq!(error.kind(), HttpErrorKind::Tls);
            assert!(error.to_string().contains(&path.display().to_string()));
        }
    }

    #[test]
    fn a_malformed_proxy_is_refused_without_showing_its_password() {
        let settings = HttpSettings {
            proxy: ProxySettings {
                all: Some("gopher://user:geheim@host".into()),
                ..ProxySettings::default()
            },
            ..HttpSettings::default()
        };
        let error = Http::new(&settings).unwrap_err();
        assert_eq!(error.kind(), HttpErrorKind::Proxy);
        assert!(!format!("{error} {settings:?}").contains("geheim"));
    }

    #[test]
    fn a_proxy_is_used_for_its_scheme_except_for_no_proxy_hosts() {
        let settings = HttpSettings {
            proxy: ProxySettings {
                https: Some("proxy.example:3128".into()),
                no_proxy: Some("inner.example".into()),
                ..ProxySettings::default()
            },
            ..HttpSettings::default()
        };
        let http = Http::new(&settings).unwrap();
        let is_proxied = |url: &str| {
            http.agent_for(&url.parse().unwrap())
                .config()
                .proxy()
                .is_some()
        };
        assert!(is_proxied("https://hub.example/"));
        assert!(!is_proxied("http://hub.example/"));
        assert!(!is_proxied("https://a.inner.example/"));
    }

    /// Serves `answers` on a single connection and accepts no other.
    fn one_connection(answers: &'static [&'static str]) -> Url {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            drop(listener);
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            for answer in answers {
                let mut line = String::new();
                while reader.read_line(&mut line).unwrap() > 2 {
                    line.clear();
                }
                (&stream).write_all(answer.as_bytes()).unwrap();
            }
        });
        url.parse().unwrap()
    }

    #[test]
    fn redirects_and_error_statuses_leave_the_connection_usable() {
        let url = one_connection(&[
            "HTTP/1.1 302 Found\r\nLocation: /x\r\nSet-Cookie: a=b\r\nContent-Length: 4\r\n\r\nmove",
            "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
        ]);
        let http = Http::new(&HttpSettings::default()).unwrap();
        let send = || http.send(&Request::get(url.clone())).unwrap();
        let redirect = send();
        assert!(redirect.is_redirect());
        assert_eq!(redirect.headers.get("location"), Some("/x"));
        assert_eq!(redirect.headers.get("set-cookie"), None);
        redirect.discard();
        let missing = send();
        assert_eq!(missing.status, 404);
        missing.discard();
        assert_eq!(send().read_text(4).unwrap(), "body");
    }

    #[test]
    fn a_failure_clears_the_dns_cache() {
        let url = one_connection(&["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]);
        let http = Http::new(&HttpSettings::default()).unwrap();
        let host = url
            .as_str()
            .trim_start_matches("http://")
            .trim_end_matches('/');
        let send = || http.send(&Request::get(url.clone()));
        send().unwrap().discard();
        assert!(http.addresses.cached(host).is_some());
        send().unwrap_err();
        assert_eq!(http.addresses.cached(host), None);
    }

    #[test]
    fn a_response_that_is_not_http_is_a_protocol_error() {
        let url = one_connection(&["SSH-2.0-OpenSSH_9.9\r\n\r\n"]);
        let http = Http::new(&HttpSettings::default()).unwrap();
        let error = http.send(&Request::get(url)).unwrap_err();
        assert_eq!(error.kind(), HttpErrorKind::Protocol);
    }

    #[test]
    fn plain_http_on_a_tls_port_is_a_connection_error() {
        let url = one_connection(&["HTTP/1.1 400 Bad Request\r\n\r\n"]);
        let encrypted = url.as_str().replace("http://", "https://");
        let http = Http::new(&HttpSettings::default()).unwrap();
        let error = http
            .send(&Request::get(encrypted.parse().unwrap()))
            .unwrap_err();
        assert!(
            matches!(
                error.kind(),
                HttpErrorKind::Tls | HttpErrorKind::ClosedEarly
            ),
            "{error}"
        );
    }

    #[test]
    fn the_proxy_resolves_the_host_and_its_refusal_is_permanent() {
        let through = |answers| {
            let proxy = one_connection(answers);
            let settings = HttpSettings {
                proxy: ProxySettings {
                    http: Some(proxy.as_str().replace("//", "//user:geheim@")),
                    ..ProxySettings::default()
                },
                ..HttpSettings::default()
            };
            let request = Request::get("http://no-such-host.invalid/".parse().unwrap());
            Http::new(&settings).unwrap().send(&request)
        };
        let answer = through(&[
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ]);
        assert_eq!(answer.unwrap().read_text(2).unwrap(), "ok");
        let error = through(&["HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"]).unwrap_err();
        assert_eq!(error.kind(), HttpErrorKind::Proxy);
        assert!(!error.is_transient());
        assert!(!format!("{error:?}").contains("geheim"), "{error:?}");
    }
}
