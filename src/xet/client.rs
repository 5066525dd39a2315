//! The way to the storage and back: token, both forms of the API, retries.
//!
//! The storage's token goes to the address that the Hub gave with it and to
//! nobody else; signed addresses get no header of ours but the range, exactly
//! as it was signed. Redirects are not followed: none is part of the protocol.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::error::{XetError, XetFault};
use super::reconstruction::{Fetch, Reconstruction};
use super::ways::Ways;
use super::wire::{Form, parse_reconstruction};
use crate::domain::ranges::ByteRange;
use crate::domain::retry::{self, History, Prospect, RetryPolicy, Verdict};
use crate::domain::time::Timestamp;
use crate::domain::way::Way;
use crate::domain::xet::XetHash;
use crate::sys::http::{Body, Headers, Http, Request, Response, Url};
use crate::sys::pause::{Pause, Stopwatch, Waited};

/// As long as an answer may be: a signed address can be some kilobytes.
const MAX_ANSWER_BYTES: usize = 128 << 20;

/// A token with less time left is not used any more.
const LEAST_LIFE: Duration = Duration::from_secs(30);

/// What opens the storage for the files of one repository at one commit.
#[derive(Clone)]
pub struct CasToken {
    /// Where the storage is, and the only place that sees the secret.
    pub cas_url: Url,
    pub secret: String,
    pub expires_at: Timestamp,
}

impl fmt::Debug for CasToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CasToken({} until {})", self.cas_url, self.expires_at)
    }
}

/// Gets a token from the Hub; called again when the last one is about to expire.
pub type TokenSource = Arc<dyn Fn() -> Result<CasToken, XetFault> + Send + Sync>;

type TokenSlot = Arc<Mutex<Option<CasToken>>>;

/// What all clients of a run share: connections, patience, and what is known
/// about the hosts.
#[derive(Clone)]
pub struct XetStorage {
    shared: Arc<Shared>,
}

struct Shared {
    http: Http,
    retry: RetryPolicy,
    pause: Pause,
    now: Box<dyn Fn() -> Timestamp + Send + Sync>,
    /// Hosts that know only the first form of the API.
    first_form_only: Mutex<HashSet<String>>,
    /// The latest token for each scope.
    tokens: Mutex<HashMap<String, TokenSlot>>,
    ways: Ways,
}

/// Asks the storage about the files of one repository at one commit.
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
        pause: Pause,
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                http,
                retry,
                pause,
                now: Box::new(now),
                first_form_only: Mutex::default(),
                tokens: Mutex::default(),
                ways: Ways::default(),
            }),
        }
    }

    /// Returns what is known about which ways lead nowhere.
    pub fn ways(&self) -> &Ways {
        &self.shared.ways
    }

    /// Returns a client that asks `tokens` whenever it needs one. All clients
    /// of one scope share the token: a repository at a commit, in words.
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
    /// Returns the same client with other patience: a download engine that
    /// counts attempts itself wants every failure at once.
    #[must_use]
    pub fn with_retry(&self, retry: RetryPolicy) -> Self {
        Self {
            retry,
            ..self.clone()
        }
    }

    pub fn ways(&self) -> &Ways {
        self.storage.ways()
    }

    /// Asks what a file, or a part of it, is made of.
    pub fn reconstruction(
        &self,
        file: XetHash,
        range: Option<ByteRange>,
    ) -> Result<Reconstruction, XetError> {
        self.with_retries(|| self.ask_once(file, range))
            .map_err(|fault| XetError::new(file, fault))
    }

    /// Opens a run of chunks; one attempt, because its link may be too old.
    pub fn open(&self, file: XetHash, fetch: &Fetch) -> Result<Body, XetError> {
        let request =
            Request::get(Url::clone(&fetch.url)).range(fetch.first_byte, Some(fetch.last_byte));
        let request = request.for_file();
        let fault = |fault| XetError::new(file, fault);
        let answer = self.storage.shared.http.send(&request);
        let answer = answer.map_err(|error| fault(XetFault::Network(error)))?;
        match answer.status {
            206 => {}
            // The official local server says so and sends the range alone.
            200 if answer.body.length() == Some(fetch.n_bytes()) => {}
            200 => {
                let why = "it sends more than the chunks that were asked for";
                return Err(fault(XetFault::BadAnswer(why.to_owned())));
            }
            status => {
                let host = fetch.url.host().to_owned();
                answer.discard();
                return Err(fault(XetFault::Storage { status, host }));
            }
        }
        let length = answer.body.length();
        if length.is_some_and(|length| length != fetch.n_bytes()) {
            let why = "it sends another number of bytes than was asked for";
            return Err(fault(XetFault::BadData(why.to_owned())));
        }
        Ok(answer.body)
    }

    /// Asks in the newest form that the host knows.
    fn ask_once(
        &self,
        file: XetHash,
        range: Option<ByteRange>,
    ) -> Result<Reconstruction, XetFault> {
        let token = self.token(None)?;
        let host = token.cas_url.origin().to_owned();
        if !self.knows_first_form_only(&host) {
            match self.ask_form(Form::V2, file, range, &token) {
                // The host may not know the form, or not the file: the other form tells.
                Err(XetFault::UnknownFile | XetFault::Server { status: 501 }) => {}
                answer => return answer,
            }
        }
        let answer = self.ask_form(Form::V1, file, range, &token)?;
        log::debug!("`{host}` knows only the first form of reconstructions");
        lock(&self.storage.shared.first_form_only).insert(host);
        Ok(answer)
    }

    fn knows_first_form_only(&self, host: &str) -> bool {
        lock(&self.storage.shared.first_form_only).contains(host)
    }

    fn ask_form(
        &self,
        form: Form,
        file: XetHash,
        range: Option<ByteRange>,
        token: &CasToken,
    ) -> Result<Reconstruction, XetFault> {
        let mut answer = self.send(form, file, range, token)?;
        if answer.status == 401 {
            answer.discard();
            // It may have been withdrawn before its time; once is worth another one.
            let fresh = self.token(Some(&token.secret))?;
            answer = self.send(form, file, range, &fresh)?;
        }
        if !answer.is_success() {
            let fault = refusal(answer.status, &answer.headers);
            answer.discard();
            return Err(fault);
        }
        let json = answer.body.read_limited(MAX_ANSWER_BYTES);
        let json = json.map_err(XetFault::Network)?;
        let found = parse_reconstruction(&json, form).map_err(XetFault::BadAnswer)?;
        check_encryption(&token.cas_url, &found)?;
        Ok(found)
    }

    fn send(
        &self,
        form: Form,
        file: XetHash,
        range: Option<ByteRange>,
        token: &CasToken,
    ) -> Result<Response, XetFault> {
        let version = match form {
            Form::V1 => "v1",
            Form::V2 => "v2",
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
        let answer = self.storage.shared.http.send(&request);
        answer.map_err(XetFault::Network)
    }

    /// Returns a token with enough life in it that is not the one refused.
    fn token(&self, refused: Option<&str>) -> Result<CasToken, XetFault> {
        let mut known = lock(&self.token);
        let now = (self.storage.shared.now)();
        let good_until = now.checked_add(LEAST_LIFE).unwrap_or(now);
        if let Some(token) = known.as_ref()
            && token.expires_at > good_until
            && Some(token.secret.as_str()) != refused
        {
            return Ok(token.clone());
        }
        // Whoever else needs one meanwhile waits here for the same answer.
        let token = (self.tokens)()?;
        *known = Some(token.clone());
        Ok(token)
    }

    fn with_retries<T>(
        &self,
        mut attempt: impl FnMut() -> Result<T, XetFault>,
    ) -> Result<T, XetFault> {
        let mut history = History::default();
        let mut busy = Duration::ZERO;
        loop {
            let began = Stopwatch::start();
            let fault = match attempt() {
                Ok(value) => {
                    self.ways().works(Way::XetAnswers, 0);
                    return Ok(value);
                }
                Err(fault) => fault,
            };
            self.ways().question_failed(&fault);
            busy += began.elapsed();
            history.failures += 1;
            let prospect = match busy < self.storage.shared.http.patience() {
                true => fault.prospect(),
                false => Prospect::Permanent,
            };
            let verdict = retry::decide(&self.retry, history, prospect, fastrand::f64());
            let Verdict::RetryAfter(pause) = verdict else {
                return Err(fault);
            };
            log::info!("{fault}; trying again in {:.1} s", pause.as_secs_f64());
            history.waited += pause;
            if self.storage.shared.pause.wait(pause) == Waited::Stopped {
                return Err(fault);
            }
        }
    }
}

/// A storage that was asked over https leads its reader nowhere else, as no
/// redirect does.
fn check_encryption(asked: &Url, found: &Reconstruction) -> Result<(), XetFault> {
    let mut fetches = found.fetches.values().flatten();
    match fetches.find(|fetch| asked.is_https() && !fetch.url.is_https()) {
        Some(fetch) => Err(XetFault::BadAnswer(format!(
            "the address of a xorb is not encrypted (`{}`)",
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

/// Locks, whatever happened to the thread that held the lock before: what is
/// kept under these locks is whole after every statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encryption_is_not_given_up_for_the_address_of_a_xorb() {
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
