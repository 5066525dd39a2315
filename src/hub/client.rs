//! The way to the Hub and back: token, redirects, retries, limits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::classify::classify;
use super::endpoint::Endpoint;
use super::error::{About, Fault, HubError};
use super::limits::{RateLimit, RateLimits, Warning, parse_warning};
use super::locations::Locations;
use super::redirect;
use super::token::Token;
use super::wire::{self, Unreadable};
use crate::domain::repo::Repo;
use crate::domain::retry::{self, History, Prospect, RetryPolicy, Verdict};
use crate::sys::http::{Headers, Http, Method, Request, Response, ShortBody, Url};
use crate::sys::pause::{Pause, Stopwatch, Waited};

/// As much of an error's body as is looked at.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct HubOptions {
    /// `HF_HUB_OFFLINE`: no socket is opened, everything fails with [`Fault::Offline`].
    pub is_offline: bool,
    pub retry: RetryPolicy,
    pub pause: Pause,
}

impl Default for HubOptions {
    fn default() -> Self {
        Self {
            is_offline: false,
            retry: RetryPolicy::default(),
            pause: Pause::sleeping(),
        }
    }
}

/// Asks the Hub; may be cloned and used by many threads, which then share
/// connections, known locations and observed limits.
#[derive(Clone)]
pub struct HubClient {
    shared: Arc<Shared>,
    retry: RetryPolicy,
}

struct Shared {
    http: Http,
    endpoint: Endpoint,
    token: Option<Token>,
    is_offline: bool,
    pause: Pause,
    limits: Mutex<RateLimits>,
    warnings: Mutex<Vec<Warning>>,
    /// Whether repositories that were asked about are shown to the token only.
    needs_token: Mutex<HashMap<Repo, bool>>,
    locations: Locations,
}

/// One request, before it is known where redirects lead it.
#[derive(Clone)]
pub(super) struct Question {
    pub method: Method,
    pub url: Url,
    /// First byte and, inclusively, the last one.
    pub range: Option<(u64, Option<u64>)>,
    pub body: Option<Vec<u8>>,
    /// The answer may be the content of a file, which takes its time.
    pub is_for_file: bool,
}

impl Question {
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            range: None,
            body: None,
            is_for_file: false,
        }
    }

    /// Asks for the content of a file.
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

/// Where a request ended.
pub(super) enum Arrival {
    Answer(Response),
    /// A redirect to another host, with the headers that came with it.
    Abroad(Url, Headers),
}

impl HubClient {
    pub fn new(http: Http, endpoint: Endpoint, token: Option<Token>, options: HubOptions) -> Self {
        Self {
            retry: options.retry,
            shared: Arc::new(Shared {
                http,
                endpoint,
                token,
                is_offline: options.is_offline,
                pause: options.pause,
                limits: Mutex::default(),
                warnings: Mutex::default(),
                needs_token: Mutex::default(),
                locations: Locations::default(),
            }),
        }
    }

    /// Returns the same client with other patience: a download engine that
    /// counts attempts itself wants every failure at once.
    #[must_use]
    pub fn with_retry(&self, retry: RetryPolicy) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            retry,
        }
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.shared.endpoint
    }

    pub fn has_token(&self) -> bool {
        self.shared.token.is_some()
    }

    /// Returns the Hub's counters as the latest answers told them, without
    /// those whose window has ended.
    pub fn rate_limits(&self) -> Vec<RateLimit> {
        lock(&self.shared.limits).current()
    }

    /// Returns for how long the Hub, or a storage host, asked to be left alone.
    pub fn asked_to_wait(&self) -> Option<Duration> {
        lock(&self.shared.limits).wait()
    }

    /// Returns what the Hub advised so far, once per topic, in order of arrival.
    pub fn warnings(&self) -> Vec<Warning> {
        lock(&self.shared.warnings).clone()
    }

    /// Tells whether the Hub shows a repository to the token only, as far as
    /// this client has had an answer about it.
    pub fn needs_token(&self, repo: &Repo) -> Option<bool> {
        lock(&self.shared.needs_token).get(repo).copied()
    }

    pub(super) fn note_needs_token(&self, repo: &Repo, needs_token: bool) {
        lock(&self.shared.needs_token).insert(repo.clone(), needs_token);
    }

    pub(super) fn locations(&self) -> &Locations {
        &self.shared.locations
    }

    pub(super) fn token(&self) -> Option<&Token> {
        self.shared.token.as_ref()
    }

    pub(super) fn about(&self, repo: Option<&Repo>) -> About {
        About::new(&self.shared.endpoint, repo, self.has_token())
    }

    /// Asks for JSON and parses it; a cut or failed answer is asked for again.
    pub(super) fn ask_json<T>(
        &self,
        question: &Question,
        about: &About,
        max_bytes: usize,
    ) -> Result<T, HubError>
    where
        T: wire::Answer,
    {
        let (found, _) = self.ask(question, about, max_bytes, wire::parse)?;
        Ok(found)
    }

    /// Asks for a short body and has it read as it comes, anew with each
    /// attempt; also returns its `Link` target `rel="next"`.
    pub(super) fn ask<T>(
        &self,
        question: &Question,
        about: &About,
        max_bytes: usize,
        mut read: impl FnMut(ShortBody) -> Result<T, Unreadable>,
    ) -> Result<(T, Option<NextLink>), HubError> {
        self.with_retries(about, || {
            let answer = self.ask_once(question, about)?;
            let next = wire::next_link(answer.headers.all("link")).map(|target| NextLink {
                base: answer.url.clone(),
                target,
            });
            let body = answer.body.short(max_bytes).map_err(Unreadable::Network);
            match body.and_then(&mut read) {
                Ok(found) => Ok((found, next)),
                Err(Unreadable::Network(error)) => Err(about.error(Fault::Network(error))),
                Err(Unreadable::Malformed(why)) => Err(about.bad_answer(why)),
            }
        })
    }

    /// Asks wherever redirects lead; away from the endpoint without the token.
    fn ask_once(&self, question: &Question, about: &About) -> Result<Response, HubError> {
        let mut question = question.clone();
        let mut hops = self.hops();
        loop {
            match self.travel_on(&question, about, &mut hops)? {
                Arrival::Answer(answer) => return Ok(answer),
                Arrival::Abroad(url, _) => question.url = url,
            }
        }
    }

    /// Sends a request and follows its redirects as long as they stay on the
    /// endpoint; where the first other one leads is for the caller to judge.
    pub(super) fn travel(&self, question: &Question, about: &About) -> Result<Arrival, HubError> {
        self.travel_on(question, about, &mut self.hops())
    }

    fn travel_on(
        &self,
        question: &Question,
        about: &About,
        hops: &mut Hops,
    ) -> Result<Arrival, HubError> {
        let mut question = question.clone();
        loop {
            hops.take(about)?;
            let answer = self.send(&question, about)?;
            if answer.is_redirect() {
                let target = redirect::next(&question.url, answer.headers.get("location"))
                    .map_err(|refused| about.bad_answer(refused.0))?;
                if answer.status == 303 && question.method == Method::Post {
                    question.method = Method::Get;
                    question.body = None;
                }
                let headers = answer.headers.clone();
                answer.discard();
                if !self.shared.endpoint.is_same_origin(&target) {
                    return Ok(Arrival::Abroad(target, headers));
                }
                question.url = target;
                continue;
            }
            if !answer.is_success() {
                return Err(self.refusal(answer, about));
            }
            return Ok(Arrival::Answer(answer));
        }
    }

    /// Returns the redirects that one attempt may follow, and its time.
    pub(super) fn hops(&self) -> Hops {
        Hops {
            left: redirect::MAX_HOPS + 1,
            began: Stopwatch::start(),
            patience: self.shared.http.patience(),
        }
    }

    /// Sends one request, whoever it goes to, and notes what comes with the answer.
    pub(super) fn send(&self, question: &Question, about: &About) -> Result<Response, HubError> {
        let shared = &*self.shared;
        if shared.is_offline {
            return Err(about.error(Fault::Offline));
        }
        let mut request = Request::new(question.method, question.url.clone());
        if let Some(body) = &question.body {
            request = request.body("application/json", body.clone());
        }
        if let Some((start, last)) = question.range {
            request = request.range(start, last);
        }
        if question.is_for_file {
            request = request.for_file();
        }
        let is_home = redirect::may_see_token(&shared.endpoint, &question.url);
        if let (true, Some(token)) = (is_home, &shared.token) {
            request = request.bearer(token.secret());
        }
        let answer = shared
            .http
            .send(&request)
            .map_err(|error| about.error(Fault::Network(error)))?;
        if is_home {
            lock(&shared.limits).note(&answer);
            self.note_warning(&answer.headers);
        } else {
            lock(&shared.limits).note_storage(&answer);
        }
        Ok(answer)
    }

    /// Repeats `attempt` as long as its failure is a passing one, the policy
    /// has patience, and the attempts have not used up their time: a server
    /// that is slow about each of them must not hold a run for minutes.
    pub(super) fn with_retries<T>(
        &self,
        about: &About,
        mut attempt: impl FnMut() -> Result<T, HubError>,
    ) -> Result<T, HubError> {
        let mut history = History::default();
        let mut busy = Duration::ZERO;
        loop {
            let began = Stopwatch::start();
            let error = match attempt() {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            busy += began.elapsed();
            history.failures += 1;
            let prospect = match busy < self.shared.http.patience() {
                true => error.prospect(),
                false => Prospect::Permanent,
            };
            let verdict = retry::decide(&self.retry, history, prospect, fastrand::f64());
            let Verdict::RetryAfter(pause) = verdict else {
                log::debug!("{about}: giving up after {} attempts", history.failures);
                return Err(error);
            };
            log::info!("{error}; trying again in {:.1} s", pause.as_secs_f64());
            history.waited += pause;
            if self.shared.pause.wait(pause) == Waited::Stopped {
                return Err(error);
            }
        }
    }

    fn refusal(&self, answer: Response, about: &About) -> HubError {
        let (status, headers) = (answer.status, answer.headers.clone());
        // The status says enough where the body cannot be read.
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
        let mut known = lock(&self.shared.warnings);
        // A hostile server must not fill the memory with topics.
        let is_new = known.iter().all(|other| other.topic != warning.topic);
        if is_new && known.len() < 32 {
            known.push(warning);
        }
    }
}

/// The redirects that one attempt may follow, and the time it may take until
/// the head of its last answer.
pub(super) struct Hops {
    left: usize,
    began: Stopwatch,
    patience: Duration,
}

impl Hops {
    /// Allows one more request, or says why there is none.
    pub fn take(&mut self, about: &About) -> Result<(), HubError> {
        if self.left == 0 {
            return Err(about.bad_answer("it redirects in circles"));
        }
        let is_first = self.left > redirect::MAX_HOPS;
        if !is_first && self.began.elapsed() > self.patience {
            return Err(about.bad_answer("its redirects take too long"));
        }
        self.left -= 1;
        Ok(())
    }
}

/// The target of a `Link` and the URL it is relative to.
pub(super) struct NextLink {
    pub base: Url,
    pub target: String,
}

impl std::fmt::Debug for HubClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HubClient")
            .field("endpoint", &self.shared.endpoint)
            .field("has_token", &self.has_token())
            .finish()
    }
}

/// Locks, whatever happened to the thread that held the lock before: what is
/// kept under these locks is whole after every statement.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
