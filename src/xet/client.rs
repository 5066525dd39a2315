//! The client of the Xet storage: tokens, both versions of the API, retries.
//!
//! The storage token is sent only to the address that the Hub returned with it. Signed URLs get
//! no header of ours except the range, exactly as it was signed. Redirects are refused: the
//! protocol has none.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::error::{XetError, XetFault};
use super::reconstruction::{Fetch, Reconstruction};
use super::route_health::RouteHealth;
use super::wire::{ApiVersion, parse_reconstruction};
use crate::domain::ranges::ByteRange;
use crate::domain::retry::RetryPolicy;
use crate::domain::time::Timestamp;
use crate::domain::way::Way;
use crate::domain::xet::XetHash;
use crate::sys::http::{Body, Headers, Http, Request, Response, Url};
use crate::sys::pause::{Sleeper, Waited};
use crate::sys::retry;

/// Limit of a response; one signed URL can have some kilobytes.
const MAX_RESPONSE_BYTES: usize = 128 << 20;

/// Tokens that expire sooner are renewed.
const MIN_TOKEN_LIFETIME: Duration = Duration::from_secs(30);

/// Access to the storage for the files of one repository at one commit.
#[derive(Clone)]
pub struct CasToken {
    /// Address of the storage, the only receiver of the secret.
    pub cas_url: Url,
    pub secret: String,
    pub expires_at: Timestamp,
}

impl fmt::Debug for CasToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CasToken({} until {})", self.cas_url, self.expires_at)
    }
}

/// Requests a token from the Hub; called again shortly before the last one expires.
pub type TokenSource = Arc<dyn Fn() -> Result<CasToken, XetFault> + Send + Sync>;

type TokenSlot = Arc<Mutex<Option<CasToken>>>;

/// State shared by all clients of a run: HTTP connections, retry policy, and known properties
/// of the hosts.
#[derive(Clone)]
pub struct XetStorage {
    shared: Arc<StorageState>,
}

struct StorageState {
    http: Http,
    retry: RetryPolicy,
    pause: Sleeper,
    now: Box<dyn Fn() -> Timestamp + Send + Sync>,
    /// Hosts that support only version 1 of the API.
    v1_only: Mutex<HashSet<String>>,
    /// The latest token of each scope.
    tokens: Mutex<HashMap<String, TokenSlot>>,
    routes: RouteHealth,
}

/// Requests the reconstructions of the files of one repository at one commit.
#[derive(Clone)]
pub struct XetClient {
    storage: XetStorage,
    retry: RetryPolicy,
    tokens: TokenSource,
    token: TokenSlot,
}

impl XetStorage {
    pub fn new(
        http: Http,
        retry: RetryPolicy,
        pause: Sleeper,
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Self {
        Self {
            shared: Arc::new(StorageState {
                retry: RetryPolicy {
                    max_busy: http.patience(),
                    ..retry
                },
                http,
                pause,
                now: Box::new(now),
                v1_only: Mutex::default(),
                tokens: Mutex::default(),
                routes: RouteHealth::default(),
            }),
        }
    }

    /// Returns which routes have failed.
    pub fn routes(&self) -> &RouteHealth {
        &self.shared.routes
    }

    /// Returns a client that calls `tokens` whenever it needs a token. Clients with the same scope
    /// share the token; a scope is a repository at a commit.
    pub fn client(&self, scope: &str, tokens: TokenSource) -> XetClient {
        let mut known = lock(&self.shared.tokens);
        let slot = known.entry(scope.to_owned()).or_default();
        XetClient {
            storage: self.clone(),
            retry: self.shared.retry,
            tokens,
            token: Arc::clone(slot),
        }
    }
}

impl fmt::Debug for XetClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("XetClient")
    }
}

impl XetClient {
    /// Returns the same client with another retry policy. The download engine counts attempts
    /// itself and needs every failure at once.
    #[must_use]
    pub fn with_retry(&self, retry: RetryPolicy) -> Self {
        Self {
            retry: RetryPolicy {
                max_busy: self.retry.max_busy,
                ..retry
            },
            ..self.clone()
        }
    }

    pub fn routes(&self) -> &RouteHealth {
        self.storage.routes()
    }

    /// Requests the reconstruction of a file or of a range of it.
    pub fn reconstruction(
        &self,
        file: XetHash,
        range: Option<ByteRange>,
    ) -> Result<Reconstruction, XetError> {
        self.with_retries(|| self.request_once(file, range))
            .map_err(|fault| XetError::new(file, fault))
    }

    /// Requests a run of chunks. There is no retry here, because the signed URL may have expired.
    pub fn open(&self, file: XetHash, fetch: &Fetch) -> Result<Body, XetError> {
        let request =
            Request::get(Url::clone(&fetch.url)).range(fetch.first_byte, Some(fetch.last_byte));
        let request = request.for_file();
        let fault = |fault| XetError::new(file, fault);
        let response = self.storage.shared.http.send(&request);
        let response = response.map_err(|error| fault(XetFault::Network(error)))?;
        match response.status {
            206 => {}
            // The official local server answers 200 and sends only the range.
            200 if response.body.length() == Some(fetch.n_bytes()) => {}
            200 => {
                let why = "it contains more than the requested chunks";
                return Err(fault(XetFault::BadAnswer(why.to_owned())));
            }
            status => {
                let host = fetch.url.host().to_owned();
                response.discard();
                return Err(fault(XetFault::Storage { status, host }));
            }
        }
        let length = response.body.length();
        if length.is_some_and(|length| length != fetch.n_bytes()) {
            let why = "the response has another length than requested";
            return Err(fault(XetFault::BadData(why.to_owned())));
        }
        Ok(response.body)
    }

    /// Makes one attempt with the newest version of the API that the host supports.
    fn request_once(
        &self,
        file: XetHash,
        range: Option<ByteRange>,
    ) -> Result<Reconstruction, XetFault> {
        let token = self.token(None)?;
        let host = token.cas_url.origin().to_owned();
        if !self.is_v1_only(&host) {
            match self.request_version(ApiVersion::V2, file, range, &token) {
                // The host may not support version 2, or not have the file: version 1 decides.
                Err(XetFault::UnknownFile | XetFault::Server { status: 501 }) => {}
                response => return response,
            }
        }
        let response = self.request_version(ApiVersion::V1, file, range, &token)?;
        log::debug!("`{host}` supports only version 1 of the reconstruction API");
        lock(&self.storage.shared.v1_only).insert(host);
        Ok(response)
    }

    fn is_v1_only(&self, host: &str) -> bool {
        lock(&self.storage.shared.v1_only).contains(host)
    }

    fn request_version(
        &self,
        version: ApiVersion,
        file: XetHash,
        range: Option<ByteRange>,
        token: &CasToken,
    ) -> Result<Reconstruction, XetFault> {
        let mut response = self.send(version, file, range, token)?;
        if response.status == 401 {
            response.discard();
            // The token may have been revoked before it expired; try one new token.
            let fresh = self.token(Some(&token.secret))?;
            response = self.send(version, file, range, &fresh)?;
        }
        if !response.is_success() {
            let fault = refusal(response.status, &response.headers);
            response.discard();
            return Err(fault);
        }
        let json = response.body.read_limited(MAX_RESPONSE_BYTES);
        let json = json.map_err(XetFault::Network)?;
        let found = parse_reconstruction(&json, version).map_err(XetFault::BadAnswer)?;
        check_encryption(&token.cas_url, &found)?;
        Ok(found)
    }

    fn send(
        &self,
        version: ApiVersion,
        file: XetHash,
        range: Option<ByteRange>,
        token: &CasToken,
    ) -> Result<Response, XetFault> {
        let version = match version {
            ApiVersion::V1 => "v1",
            ApiVersion::V2 => "v2",
        };
        let base = token.cas_url.as_str().trim_end_matches('/');
        let url = format!("{base}/{version}/reconstructions/{file}");
        let url: Url = url
            .parse()
            .map_err(|_| XetFault::BadAnswer("the storage's address has a query".to_owned()))?;
        let mut request = Request::get(url).bearer(&token.secret);
        if let Some(range) = range {
            request = request.range(range.start, Some(range.end.saturating_sub(1)));
        }
        let response = self.storage.shared.http.send(&request);
        response.map_err(XetFault::Network)
    }

    /// Returns a valid token other than the refused one.
    fn token(&self, refused: Option<&str>) -> Result<CasToken, XetFault> {
        let mut known = lock(&self.token);
        let now = (self.storage.shared.now)();
        let good_until = now.checked_add(MIN_TOKEN_LIFETIME).unwrap_or(now);
        if let Some(token) = known.as_ref()
            && token.expires_at > good_until
            && Some(token.secret.as_str()) != refused
        {
            return Ok(token.clone());
        }
        // The lock makes concurrent callers wait for this token.
        let token = (self.tokens)()?;
        *known = Some(token.clone());
        Ok(token)
    }

    /// Repeats `attempt` while its failure is transient and the policy allows it.
    fn with_retries<T>(
        &self,
        mut attempt: impl FnMut() -> Result<T, XetFault>,
    ) -> Result<T, XetFault> {
        let pause = |fault: XetFault, span: Duration| {
            log::info!("{fault}; trying again in {:.1} s", span.as_secs_f64());
            match self.storage.shared.pause.wait(span) {
                Waited::Done => Ok(()),
                Waited::Stopped => Err(fault),
            }
        };
        let value = retry::run(&self.retry, pause, || {
            attempt().inspect_err(|fault| self.routes().record_failure(fault))
        })?;
        self.routes().record_success(Way::XetAnswers, 0);
        Ok(value)
    }
}

/// A storage addressed by https must not return http addresses, as in a redirect.
fn check_encryption(asked: &Url, found: &Reconstruction) -> Result<(), XetFault> {
    let mut fetches = found.fetches.values().flatten();
    match fetches.find(|fetch| asked.is_https() && !fetch.url.is_https()) {
        Some(fetch) => Err(XetFault::BadAnswer(format!(
            "the URL of a xorb is not encrypted (`{}`)",
            fetch.url
        ))),
        None => Ok(()),
    }
}

fn refusal(status: u16, headers: &Headers) -> XetFault {
    match status {
        401 | 403 => XetFault::Refused { status },
        404 => XetFault::UnknownFile,
        416 => XetFault::BadRange,
        429 => {
            let seconds = headers
                .get("retry-after")
                .and_then(|text| text.trim().parse().ok());
            let retry_after = seconds.map(Duration::from_secs);
            XetFault::RateLimited { retry_after }
        }
        300..=399 => XetFault::BadAnswer(format!("it is a redirect (HTTP {status})")),
        status => XetFault::Server { status },
    }
}

/// Locks a mutex, poisoned or not: the values are consistent after every statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_https_storage_must_not_return_http_addresses() {
        let url = |text: &str| -> Url { text.parse().unwrap() };
        let leads_to = |text: &str| {
            let fetch = Fetch {
                url: Arc::new(url(text)),
                chunks: 0..1,
                first_byte: 0,
                last_byte: 9,
            };
            let name = XetHash::from_bytes([1; 32]);
            Reconstruction {
                fetches: HashMap::from([(name, vec![fetch])]),
                ..Reconstruction::default()
            }
        };
        let (open, safe) = (
            leads_to("http://cdn/x?sig=geheim"),
            leads_to("https://cdn/x"),
        );
        let refused = check_encryption(&url("https://cas"), &open).unwrap_err();
        assert!(!refused.to_string().contains("geheim"), "{refused}");
        assert!(check_encryption(&url("https://cas"), &safe).is_ok());
        assert!(check_encryption(&url("http://cas"), &open).is_ok());
    }
}
