//! Requests to the Hub: token, redirects, retries, limits.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::classify::classify;
use super::endpoint::Endpoint;
use super::error::{Fault, HubError, RequestContext};
use super::limits::{HubWarning, RateLimitCounter, RateLimits, parse_warning};
use super::locations::Locations;
use super::redirect;
use super::token::Token;
use super::wire::{self, DeserializeOwned, Unreadable};
use crate::domain::login::TokenName;
use crate::domain::repo::Repo;
use crate::domain::retry::RetryPolicy;
use crate::sys::http::{Headers, Http, Method, Request, Response, ShortBody, Url};
use crate::sys::pause::{Sleeper, Stopwatch, Waited};
use crate::sys::retry;

/// The part of an error response's body that is read.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// Options of the client.
#[derive(Clone, Debug)]
pub struct HubOptions {
    /// `HF_HUB_OFFLINE`: no connection is opened, every request fails with
    /// [`Fault::Offline`].
    pub is_offline: bool,
    pub retry: RetryPolicy,
    pub pause: Sleeper,
}

impl Default for HubOptions {
    fn default() -> Self {
        Self {
            is_offline: false,
            retry: RetryPolicy::default(),
            pause: Sleeper::sleeping(),
        }
    }
}

/// The client of the Hub. Clones, also on other threads, share connections, known
/// locations and observed limits.
#[derive(Clone)]
pub struct HubClient {
    state: Arc<ClientState>,
    credentials: Arc<Credentials>,
    retry: RetryPolicy,
    /// The requests are part of a download, which the Hub counts for the authors.
    is_counted: bool,
}

/// The time to an answer from which a line counts as a long one.
const LONG_LINE: Duration = Duration::from_millis(40);

/// The state that clients with different tokens share.
struct ClientState {
    http: Http,
    endpoint: Endpoint,
    is_offline: bool,
    pause: Sleeper,
    limits: Mutex<RateLimits>,
    /// The shortest time to an answer of the Hub, in microseconds.
    fastest_answer: AtomicU64,
    warnings: Mutex<Vec<HubWarning>>,
    /// Pauses before retries: the error, the length, the time since its begin.
    pauses: Mutex<Vec<(String, Duration, Stopwatch)>>,
    /// Whether the repositories requested so far are visible only with the token.
    needs_token: Mutex<HashMap<Repo, bool>>,
}

/// The token, and the locations that it has opened.
#[derive(Default)]
struct Credentials {
    token: Option<Token>,
    /// The name of the login that the token is of, if that login ends.
    login: Option<TokenName>,
    locations: Locations,
}

/// A request before redirects.
#[derive(Clone)]
pub(super) struct HubRequest {
    pub method: Method,
    pub url: Url,
    /// The first byte and, inclusively, the last one.
    pub range: Option<(u64, Option<u64>)>,
    /// The content type and the content.
    pub body: Option<(&'static str, Vec<u8>)>,
    /// The response may be the content of a file, which may take long.
    pub is_for_file: bool,
}

impl HubRequest {
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            range: None,
            body: None,
            is_for_file: false,
        }
    }

    /// Builds a request for the content of a file.
    pub fn content(url: Url, range: Option<(u64, Option<u64>)>) -> Self {
        Self {
            range,
            is_for_file: true,
            ..Self::get(url)
        }
    }

    pub fn get(url: Url) -> Self {
        Self::new(Method::Get, url)
    }
}

/// The end of a chain of redirects.
pub(super) enum RedirectEnd {
    Response(Response),
    /// A redirect to another origin, with the headers of the redirect.
    OtherOrigin(Url, Headers),
}

impl HubClient {
    pub fn new(http: Http, endpoint: Endpoint, token: Option<Token>, options: HubOptions) -> Self {
        Self {
            retry: RetryPolicy {
                max_busy: http.patience(),
                ..options.retry
            },
            credentials: Arc::new(Credentials {
                token,
                ..Credentials::default()
            }),
            is_counted: false,
            state: Arc::new(ClientState {
                http,
                endpoint,
                is_offline: options.is_offline,
                pause: options.pause,
                limits: Mutex::default(),
                fastest_answer: AtomicU64::new(0),
                warnings: Mutex::default(),
                pauses: Mutex::default(),
                needs_token: Mutex::default(),
            }),
        }
    }

    /// Returns a client with another token; `login` names the login of a token that
    /// ends. Connections, rate limits and warnings are shared.
    #[must_use]
    pub fn with_token(&self, token: Option<Token>, login: Option<TokenName>) -> Self {
        Self {
            credentials: Arc::new(Credentials {
                token,
                login,
                ..Credentials::default()
            }),
            ..self.clone()
        }
    }

    /// Returns a client with another retry policy: the download engine counts
    /// attempts itself and needs every failure at once.
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

    /// Returns a client whose requests to the Hub are marked as part of a download, as
    /// the official client does.
    #[must_use]
    pub fn counted(&self) -> Self {
        Self {
            is_counted: true,
            ..self.clone()
        }
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.state.endpoint
    }

    pub fn has_token(&self) -> bool {
        self.credentials.token.is_some()
    }

    /// Returns the Hub's rate limit counters from the latest responses, without
    /// those whose window has ended.
    pub fn rate_limits(&self) -> Vec<RateLimitCounter> {
        lock(&self.state.limits).current()
    }

    /// Returns for how long the Hub, or a storage host, has asked clients to wait.
    pub fn asked_to_wait(&self) -> Option<Duration> {
        lock(&self.state.limits).wait()
    }

    /// Returns the brief errors after which requests are repeated, each with the time until then.
    pub fn pauses(&self) -> Vec<(String, Duration)> {
        let mut pauses = lock(&self.state.pauses);
        pauses.retain(|(_, span, since)| since.elapsed() < *span);
        let left = |span: &Duration, since: &Stopwatch| span.saturating_sub(since.elapsed());
        let pauses = pauses.iter();
        pauses
            .map(|(error, span, since)| (error.clone(), left(span, since)))
            .collect()
    }

    /// Returns the Hub's warnings so far, once per topic, in order of arrival.
    pub fn warnings(&self) -> Vec<HubWarning> {
        lock(&self.state.warnings).clone()
    }

    /// Tells whether a repository is visible only with the token; `None` before a
    /// response about it.
    pub fn needs_token(&self, repo: &Repo) -> Option<bool> {
        lock(&self.state.needs_token).get(repo).copied()
    }

    pub(super) fn note_needs_token(&self, repo: &Repo, needs_token: bool) {
        lock(&self.state.needs_token).insert(repo.clone(), needs_token);
    }

    pub(super) fn locations(&self) -> &Locations {
        &self.credentials.locations
    }

    pub(super) fn token(&self) -> Option<&Token> {
        self.credentials.token.as_ref()
    }

    pub(super) fn about(&self, repo: Option<&Repo>) -> RequestContext {
        RequestContext::new(&self.state.endpoint, repo, self.has_token())
            .login(self.credentials.login.as_ref())
    }

    /// Requests JSON and parses it; a truncated or failed response is retried.
    pub(super) fn ask_json<T>(
        &self,
        request: &HubRequest,
        about: &RequestContext,
        max_bytes: usize,
    ) -> Result<T, HubError>
    where
        T: DeserializeOwned,
    {
        let (found, _) = self.ask(request, about, max_bytes, wire::parse)?;
        Ok(found)
    }

    /// Requests a short body and parses it as it arrives, from its start at each
    /// attempt; also returns its `Link` target `rel="next"`.
    pub(super) fn ask<T>(
        &self,
        request: &HubRequest,
        about: &RequestContext,
        max_bytes: usize,
        mut read: impl FnMut(ShortBody) -> Result<T, Unreadable>,
    ) -> Result<(T, Option<NextLink>), HubError> {
        self.with_retries(|| {
            let answer = self.send_following_all(request, about)?;
            let next = wire::next_link(answer.headers.all("link")).map(|target| NextLink {
                base: answer.url.clone(),
                target,
            });
            let kind = answer.headers.get("content-type").unwrap_or_default();
            let is_page = kind.to_ascii_lowercase().starts_with("text/html");
            let origin = answer.url.origin().to_owned();
            let body = answer.body.short(max_bytes).map_err(Unreadable::Network);
            match body.and_then(&mut read) {
                Ok(found) => Ok((found, next)),
                Err(Unreadable::Network(error)) => Err(about.error(Fault::Network(error))),
                Err(Unreadable::Malformed(_)) if is_page => {
                    Err(about.error(Fault::WebPage { origin }))
                }
                Err(Unreadable::Malformed(reason)) => Err(about.bad_answer(reason)),
            }
        })
    }

    /// Sends a request and follows redirects within the endpoint; the first
    /// redirect to another origin is returned to the caller.
    fn send_following_all(
        &self,
        request: &HubRequest,
        about: &RequestContext,
    ) -> Result<Response, HubError> {
        let mut request = request.clone();
        let mut redirects = self.redirect_limits();
        loop {
            match self.follow_redirects(&request, about, &mut redirects)? {
                RedirectEnd::Response(answer) => return Ok(answer),
                RedirectEnd::OtherOrigin(url, _) => request.url = url,
            }
        }
    }

    /// Sends a request and follows redirects within the endpoint; the first
    /// redirect to another origin is returned to the caller.
    pub(super) fn send_within_endpoint(
        &self,
        request: &HubRequest,
        about: &RequestContext,
    ) -> Result<RedirectEnd, HubError> {
        self.follow_redirects(request, about, &mut self.redirect_limits())
    }

    fn follow_redirects(
        &self,
        request: &HubRequest,
        about: &RequestContext,
        redirects: &mut RedirectLimits,
    ) -> Result<RedirectEnd, HubError> {
        let mut request = request.clone();
        loop {
            redirects.take(about)?;
            let answer = self.send(&request, about)?;
            if answer.is_redirect() {
                let target = redirect::next(&request.url, answer.headers.get("location"))
                    .map_err(|refused| about.bad_answer(refused.0))?;
                if answer.status == 303 && request.method == Method::Post {
                    request.method = Method::Get;
                    request.body = None;
                }
                let headers = answer.headers.clone();
                answer.discard();
                if !self.state.endpoint.is_same_origin(&target) {
                    return Ok(RedirectEnd::OtherOrigin(target, headers));
                }
                request.url = target;
                continue;
            }
            if !answer.is_success() {
                return Err(self.refusal(answer, about));
            }
            return Ok(RedirectEnd::Response(answer));
        }
    }

    /// Returns the redirect limits of one attempt.
    pub(super) fn redirect_limits(&self) -> RedirectLimits {
        RedirectLimits {
            left: redirect::MAX_HOPS + 1,
            began: Stopwatch::start(),
            time_limit: self.state.http.patience(),
        }
    }

    /// Sends one request and records rate limits and warnings of the response.
    pub(super) fn send(
        &self,
        request: &HubRequest,
        about: &RequestContext,
    ) -> Result<Response, HubError> {
        let state = &*self.state;
        if state.is_offline {
            return Err(about.error(Fault::Offline));
        }
        let mut http_request = Request::new(request.method, request.url.clone());
        if let Some((content_type, body)) = &request.body {
            http_request = http_request.body(content_type, body.clone());
        }
        if let Some((start, last)) = request.range {
            http_request = http_request.range(start, last);
        }
        if request.is_for_file {
            http_request = http_request.for_file();
        }
        let is_hub = redirect::may_see_token(&state.endpoint, &request.url);
        if let (true, Some(token)) = (is_hub, self.token()) {
            http_request = http_request.bearer(token.secret());
        }
        if is_hub && self.is_counted {
            http_request = http_request.counted();
        }
        let sent = Stopwatch::start();
        let answer = state
            .http
            .send(&http_request)
            .map_err(|error| about.error(Fault::Network(error)))?;
        if is_hub {
            self.note_time(sent.elapsed());
            lock(&state.limits).note(&answer);
            self.note_warning(&answer.headers);
        } else {
            lock(&state.limits).note_storage(&answer);
        }
        Ok(answer)
    }

    fn note_time(&self, taken: Duration) {
        let micros = u64::try_from(taken.as_micros()).unwrap_or(u64::MAX).max(1);
        let shorter = |known| (known == 0 || micros < known).then_some(micros);
        let fastest = &self.state.fastest_answer;
        let _ = fastest.fetch_update(Ordering::Relaxed, Ordering::Relaxed, shorter);
    }

    /// Tells whether even the fastest answer of the Hub took so long that the line is a long
    /// one: waiting for the first byte of a file costs more there than a connection too many.
    pub fn is_far(&self) -> bool {
        Duration::from_micros(self.state.fastest_answer.load(Ordering::Relaxed)) >= LONG_LINE
    }

    /// Repeats `attempt` while its failure is transient and the policy allows it.
    pub(super) fn with_retries<T>(
        &self,
        attempt: impl FnMut() -> Result<T, HubError>,
    ) -> Result<T, HubError> {
        let pause = |error: HubError, span: Duration| {
            log::info!("{error}; trying again in {:.1} s", span.as_secs_f64());
            lock(&self.state.pauses).push((error.brief(), span, Stopwatch::start()));
            match self.state.pause.wait(span) {
                Waited::Done => Ok(()),
                Waited::Stopped => Err(error),
            }
        };
        retry::run(&self.retry, pause, attempt)
    }

    fn refusal(&self, answer: Response, about: &RequestContext) -> HubError {
        let (status, headers) = (answer.status, answer.headers.clone());
        // If the body cannot be read, the status alone decides.
        let body = answer.read_text(MAX_ERROR_BYTES).unwrap_or_default();
        let error = classify(status, &headers, &body, about, self.token());
        let id = error.request_id().unwrap_or("none");
        log::debug!("{error} (request id {id})");
        error
    }

    fn note_warning(&self, headers: &Headers) {
        let Some(warning) = parse_warning(headers) else {
            return;
        };
        let mut known = lock(&self.state.warnings);
        // A hostile server must not fill the memory with topics.
        let is_new = known.iter().all(|other| other.topic != warning.topic);
        if is_new && known.len() < 32 {
            known.push(warning);
        }
    }
}

/// The number of redirects that one attempt may follow, and the time limit until
/// the head of its last response.
pub(super) struct RedirectLimits {
    left: usize,
    began: Stopwatch,
    time_limit: Duration,
}

impl RedirectLimits {
    /// Counts one more request; fails if a limit is reached.
    pub fn take(&mut self, about: &RequestContext) -> Result<(), HubError> {
        if self.left == 0 {
            return Err(about.bad_answer("its redirects form a loop"));
        }
        let is_first = self.left > redirect::MAX_HOPS;
        if !is_first && self.began.elapsed() > self.time_limit {
            return Err(about.bad_answer("its redirects take too long"));
        }
        self.left -= 1;
        Ok(())
    }
}

/// The target of a `Link` and its base URL.
pub(super) struct NextLink {
    pub base: Url,
    pub target: String,
}

impl std::fmt::Debug for HubClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HubClient")
            .field("endpoint", &self.state.endpoint)
            .field("has_token", &self.has_token())
            .finish()
    }
}

/// Locks a mutex even if it is poisoned: the data under these locks is consistent
/// after every statement.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
