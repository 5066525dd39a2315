//! Faults: the requests that fail, and the ways in which they fail.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::http::{Body, Reply};
use super::record::Request;
use super::route::Api;
use super::server::{Port, lock};

/// Selects requests: all that match, unless limited.
#[derive(Clone, Debug, Default)]
pub struct On {
    apis: Vec<Api>,
    port: Option<Port>,
    method: Option<String>,
    repo: Option<String>,
    file: Option<String>,
    content_only: bool,
    ranged: Option<bool>,
    skip: usize,
    times: Option<usize>,
}

impl On {
    /// Matches every request.
    pub fn any() -> Self {
        Self::default()
    }

    pub fn api(api: Api) -> Self {
        Self {
            apis: vec![api],
            ..Self::default()
        }
    }

    pub fn port(port: Port) -> Self {
        Self {
            port: Some(port),
            ..Self::default()
        }
    }

    /// Matches requests to the CDN for a file.
    pub fn cdn(file: &str) -> Self {
        Self::api(Api::Cdn).file(file)
    }

    /// Matches requests to the Hub's `/resolve/` for a file.
    pub fn resolve(file: &str) -> Self {
        Self::api(Api::Resolve).file(file)
    }

    /// Matches any request for the bytes of any file, on any port.
    pub fn any_content() -> Self {
        Self {
            content_only: true,
            ..Self::default()
        }
    }

    /// Matches any request for the bytes of a file, small or large, on any port.
    pub fn content(file: &str) -> Self {
        Self::any_content().file(file)
    }

    /// Restricts to requests for a file.
    pub fn file(mut self, file: &str) -> Self {
        self.file = Some(file.to_owned());
        self
    }

    /// Restricts to requests for a repository.
    pub fn repo(mut self, repo: &str) -> Self {
        self.repo = Some(repo.to_owned());
        self
    }

    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Restricts to requests with a `Range` header.
    pub fn ranged(mut self) -> Self {
        self.ranged = Some(true);
        self
    }

    /// Restricts to requests without a `Range` header.
    pub fn unranged(mut self) -> Self {
        self.ranged = Some(false);
        self
    }

    /// Skips the first `n` matching requests.
    pub fn skip(mut self, n: usize) -> Self {
        self.skip = n;
        self
    }

    /// Stops after `n` matching requests.
    pub fn times(mut self, n: usize) -> Self {
        self.times = Some(n);
        self
    }

    fn matches(&self, request: &Request, gives_content: bool) -> bool {
        let same = |wanted: &Option<String>, has: Option<&str>| {
            wanted.is_none() || wanted.as_deref() == has
        };
        request.api != Api::Control
            && (self.apis.is_empty() || self.apis.contains(&request.api))
            && self.port.is_none_or(|port| port == request.port)
            && same(&self.method, Some(&request.method))
            && same(&self.repo, request.repo.as_deref())
            && same(&self.file, request.file.as_deref())
            && (!self.content_only || gives_content)
            && self
                .ranged
                .is_none_or(|ranged| ranged == request.header("range").is_some())
    }
}

/// A way for a request to fail.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Closes the connection after this many body bytes.
    CutAfter(u64),
    /// Sends this many body bytes, then nothing until [`super::TestHub::heal`].
    StallAfter(u64),
    /// Sends nothing until [`super::TestHub::heal`].
    NoAnswer,
    /// Sends the body in pieces of this size with a pause after each.
    Trickle(usize, Duration),
    /// Sends the head in pieces of this size with a pause after each.
    TrickleHead(usize, Duration),
    /// Sends informational answers (1xx) without end, with a pause after each.
    Informational(Duration),
    /// Sends JSON that begins with spaces and never ends.
    Endless,
    /// Sends an endless listing: every page has this many files and a link to the next page.
    EndlessPages(usize),
    /// Inverts the byte at this offset of the file; all lengths are right.
    FlipByteAt(u64),
    /// Omits this many bytes at the end of a well-formed answer.
    ShortBy(u64),
    /// Appends this many zero bytes to a well-formed answer.
    LongBy(u64),
    /// Sends the body chunked, without `Content-Length`.
    Chunked,
    /// Answers a request with `Range` with 200 and the whole file.
    IgnoreRange,
    /// Sends a 206 that begins this many bytes later than requested, and says so.
    WrongStart(u64),
    /// Sends a 206 with a total size that is this many bytes too large.
    WrongTotal(u64),
    /// Sends 416 for any range.
    RangeNotSatisfiable,
    /// Sends a bare error status: 500, 502, 503, 504, ...
    Status(u16),
    TooManyRequests(Hint),
    /// Sends 503 with `Retry-After`, in seconds or as a date.
    RetryAfter(String),
    /// Sends 403, like the CDN for an expired link.
    Expired,
    /// Sends an answer with this status, these headers and this body.
    Refusal(u16, Vec<(String, String)>, String),
    /// Redirects to the same URL again and again.
    RedirectLoop,
    /// Redirects with this status to this `Location`.
    Redirect(u16, String),
    /// Sends this content type and body with status 200 instead of the right one: broken JSON, a
    /// login page.
    Garbage(String, Vec<u8>),
    /// Sets this header in the answer.
    Header(String, String),
    /// Removes this header from the answer.
    NoHeader(String),
    /// Resets the connection before an answer.
    Reset,
    /// Closes the connection in good order before an answer.
    Close,
}

/// The wait that a 429 answer announces, in seconds.
#[derive(Clone, Debug)]
pub enum Hint {
    /// `RateLimit: "api";r=0;t=...`
    RateLimit(u64),
    /// `Retry-After`
    RetryAfter(u64),
    Nothing,
}

/// The action for a matching request: a fault, or a function of the test.
pub(crate) enum Action {
    Fault(Fault),
    Run(RequestHook),
}

/// A function of the test that runs while a request waits for its answer.
pub(crate) type RequestHook = Box<dyn FnOnce() + Send>;

#[derive(Default)]
pub(crate) struct Faults {
    rules: Mutex<Vec<Rule>>,
    /// Counts the calls of `release`; a stalled answer waits for the next one.
    released: Mutex<u64>,
    changed: Condvar,
}

struct Rule {
    on: On,
    seen: usize,
    action: Option<Action>,
}

impl Faults {
    pub(crate) fn add(&self, on: On, action: Action) {
        self.rules().push(Rule {
            on,
            seen: 0,
            action: Some(action),
        });
    }

    pub(crate) fn clear(&self) {
        self.rules().clear();
    }

    /// Returns the actions for a request: all functions to run first, and the first fault.
    pub(crate) fn select(
        &self,
        request: &Request,
        gives_content: bool,
    ) -> (Vec<RequestHook>, Option<Fault>) {
        let (mut runs, mut fault) = (Vec::new(), None);
        for rule in self.rules().iter_mut() {
            if !rule.on.matches(request, gives_content) {
                continue;
            }
            let is_fault = matches!(rule.action, Some(Action::Fault(_)));
            if is_fault && fault.is_some() {
                continue;
            }
            let turn = rule.seen;
            rule.seen += 1;
            let over = rule
                .on
                .times
                .is_some_and(|times| turn >= rule.on.skip + times);
            if turn < rule.on.skip || over {
                continue;
            }
            match &rule.action {
                Some(Action::Fault(chosen)) => fault = Some(chosen.clone()),
                Some(Action::Run(_)) => {
                    if let Some(Action::Run(run)) = rule.action.take() {
                        runs.push(run);
                    }
                }
                None => {}
            }
        }
        (runs, fault)
    }

    /// Ends all stalls.
    pub(crate) fn release(&self) {
        *lock(&self.released) += 1;
        self.changed.notify_all();
    }

    /// Returns the argument for `stall`. It is read when the fault is selected, so that a release
    /// between the selection and the stall is not missed.
    pub(crate) fn releases(&self) -> u64 {
        *lock(&self.released)
    }

    /// Waits for a release that is newer than `releases`.
    pub(crate) fn stall(&self, releases: u64, stopping: impl Fn() -> bool) {
        let mut released = lock(&self.released);
        while *released == releases && !stopping() {
            released = self
                .changed
                .wait(released)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn rules(&self) -> MutexGuard<'_, Vec<Rule>> {
        lock(&self.rules)
    }
}

impl Fault {
    /// Returns the answer that replaces the right one, if the fault is of that kind.
    pub(crate) fn replacement(&self, request: &Request) -> Option<Reply> {
        let bucket = if request.api == Api::Resolve {
            "resolvers"
        } else {
            "api"
        };
        Some(match self {
            Self::Status(status) => Reply::text(*status, format!("{status}")),
            Self::TooManyRequests(hint) => {
                let reply = Reply::json(
                    429,
                    &serde_json::json!({"error": "We had to rate limit your IP."}),
                );
                match hint {
                    Hint::RateLimit(seconds) => {
                        reply.with("RateLimit", format!("\"{bucket}\";r=0;t={seconds}"))
                    }
                    Hint::RetryAfter(seconds) => reply.with("Retry-After", seconds.to_string()),
                    Hint::Nothing => reply,
                }
            }
            Self::RetryAfter(value) => Reply::text(503, "503").with("Retry-After", value.clone()),
            Self::Refusal(status, headers, body) => {
                let reply = Reply::text(*status, body.clone());
                headers.iter().fold(reply, |reply, (name, value)| {
                    reply.with(name, value.clone())
                })
            }
            Self::Expired => super::cdn::expired(),
            Self::RedirectLoop => {
                Reply::text(302, "Found").with("Location", request.target.clone())
            }
            Self::Redirect(status, location) => {
                Reply::text(*status, format!("Redirecting to {location}"))
                    .with("Location", location.clone())
            }
            Self::EndlessPages(n_files) => endless_page(request, *n_files),
            Self::Endless => {
                let mut reply = Reply::new(200).with("Content-Type", "application/json");
                reply.chunked = true;
                reply.faults.is_endless = true;
                reply.body(Body::Bytes(vec![b' '; 1 << 20]))
            }
            Self::Garbage(content_type, bytes) => Reply::new(200)
                .with("Content-Type", content_type.clone())
                .body(Body::Bytes(bytes.clone())),
            _ => return None,
        })
    }

    /// Applies the fault to the right answer.
    pub(crate) fn apply_to(&self, reply: &mut Reply) {
        match self {
            Self::CutAfter(n) => reply.faults.cut_after = Some(*n),
            Self::StallAfter(n) => reply.faults.stall_after = Some(*n),
            Self::Trickle(bytes, pause) => reply.faults.trickle = Some((*bytes, *pause)),
            Self::TrickleHead(bytes, pause) => reply.faults.trickle_head = Some((*bytes, *pause)),
            Self::Informational(pause) => reply.faults.informational = Some(*pause),
            Self::FlipByteAt(offset) => reply.faults.flip_at = Some(*offset),
            Self::ShortBy(n) => resize(reply, |len| len.saturating_sub(*n)),
            Self::LongBy(n) => resize(reply, |len| len + n),
            Self::Chunked => reply.chunked = true,
            Self::RangeNotSatisfiable => not_satisfiable(reply),
            Self::IgnoreRange => ignore_range(reply),
            Self::WrongStart(by) => wrong_range(reply, *by, 0),
            Self::WrongTotal(by) => wrong_range(reply, 0, *by),
            Self::Header(name, value) => reply.set_header(name, value.clone()),
            Self::NoHeader(name) => reply.drop_header(name),
            _ => {}
        }
    }
}

/// Builds a listing page with a link to a next page.
fn endless_page(request: &Request, n_files: usize) -> Reply {
    let (path, query) = request
        .target
        .split_once('?')
        .unwrap_or((&request.target, ""));
    let number: usize = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("cursor="))
        .and_then(|number| number.parse().ok())
        .unwrap_or(0);
    let entry = |n: usize| {
        serde_json::json!({
            "type": "file",
            "oid": "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
            "size": 0,
            "path": format!("page-{number}/file-{n}.txt"),
        })
    };
    let entries: Vec<serde_json::Value> = (0..n_files).map(entry).collect();
    let next = format!("<{path}?cursor={}>; rel=\"next\"", number + 1);
    Reply::json(200, &entries.into()).with("Link", next)
}

fn resize(reply: &mut Reply, change: impl FnOnce(u64) -> u64) {
    match &mut reply.body {
        Body::Bytes(bytes) => bytes.resize(change(bytes.len() as u64) as usize, 0),
        Body::Part { len, .. } => *len = change(*len),
    }
}

fn not_satisfiable(reply: &mut Reply) {
    let total = match &reply.body {
        Body::Bytes(bytes) => bytes.len() as u64,
        Body::Part { content, .. } => content.len(),
    };
    *reply =
        Reply::text(416, "Range Not Satisfiable").with("Content-Range", format!("bytes */{total}"));
}

fn ignore_range(reply: &mut Reply) {
    if let (
        206,
        Body::Part {
            content,
            start,
            len,
        },
    ) = (reply.status, &mut reply.body)
    {
        (*start, *len) = (0, content.len());
        reply.status = 200;
        reply.drop_header("content-range");
    }
}

fn wrong_range(reply: &mut Reply, later_by: u64, larger_by: u64) {
    if let (
        206,
        Body::Part {
            content,
            start,
            len,
        },
    ) = (reply.status, &mut reply.body)
    {
        *start += later_by;
        let range = format!(
            "bytes {}-{}/{}",
            *start,
            *start + *len - 1,
            content.len() + larger_by
        );
        reply.set_header("Content-Range", range);
    }
}
