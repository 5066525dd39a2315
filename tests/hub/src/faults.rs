//! Which request goes wrong, and how.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::http::{Body, Reply};
use crate::record::Request;
use crate::route::Api;
use crate::server::{Port, lock};

/// Says which requests something happens to: all that match, unless limited.
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

    /// Matches whatever request gives the bytes of a file, small or large, on any port.
    pub fn content(file: &str) -> Self {
        Self {
            content_only: true,
            ..Self::default()
        }
        .file(file)
    }

    /// Matches requests for a file.
    pub fn file(mut self, file: &str) -> Self {
        self.file = Some(file.to_owned());
        self
    }

    /// Matches requests for a repository.
    pub fn repo(mut self, repo: &str) -> Self {
        self.repo = Some(repo.to_owned());
        self
    }

    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Matches requests that have a `Range` header.
    pub fn ranged(mut self) -> Self {
        self.ranged = Some(true);
        self
    }

    /// Limits to requests without a `Range` header.
    pub fn unranged(mut self) -> Self {
        self.ranged = Some(false);
        self
    }

    /// Leaves the first `n` matching requests alone.
    pub fn skip(mut self, n: usize) -> Self {
        self.skip = n;
        self
    }

    /// Ends after `n` matching requests.
    pub fn times(mut self, n: usize) -> Self {
        self.times = Some(n);
        self
    }

    fn matches(&self, request: &Request, gives_content: bool) -> bool {
        let same = |wanted: &Option<String>, has: Option<&str>| {
            wanted.is_none() || wanted.as_deref() == has
        };
        (self.apis.is_empty() || self.apis.contains(&request.api))
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

/// What goes wrong.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The connection closes after so many body bytes.
    CutAfter(u64),
    /// Nothing more comes after so many body bytes, until [`crate::TestHub::heal`].
    StallAfter(u64),
    /// Nothing comes at all, until [`crate::TestHub::heal`].
    NoAnswer,
    /// The body comes in pieces of so many bytes with a pause behind each.
    Trickle(usize, Duration),
    /// The head comes in pieces of so many bytes with a pause behind each.
    TrickleHead(usize, Duration),
    /// Informational answers come instead of an end, with a pause behind each.
    Informational(Duration),
    /// JSON that begins with blanks and never gets any further.
    Endless,
    /// A listing whose every page has so many files and names a next one.
    EndlessPages(usize),
    /// The byte at this offset of the file arrives inverted; all lengths are right.
    FlipByteAt(u64),
    /// A well-formed answer lacks so many bytes at its end.
    ShortBy(u64),
    /// A well-formed answer has so many zero bytes too many.
    LongBy(u64),
    /// The body has no `Content-Length` but is chunked.
    Chunked,
    /// A request with `Range` gets 200 and the whole file.
    IgnoreRange,
    /// A 206 begins so many bytes later than asked, and says so.
    WrongStart(u64),
    /// A 206 claims a total size that is so many bytes too large.
    WrongTotal(u64),
    /// 416, whatever was asked.
    RangeNotSatisfiable,
    /// A bare error status: 500, 502, 503, 504, ...
    Status(u16),
    TooManyRequests(Hint),
    /// 503 with `Retry-After`, in seconds or as a date.
    RetryAfter(String),
    /// 403, as the CDN answers for an expired link.
    Expired,
    /// An answer with this status, these headers and this body.
    Refusal(u16, Vec<(String, String)>, String),
    /// A redirect to the same URL, again and again.
    RedirectLoop,
    /// A redirect of this status to this `Location`.
    Redirect(u16, String),
    /// This body with status 200 in place of the right one: broken JSON, a login page.
    Garbage(String, Vec<u8>),
    /// The answer has this header (in place of its own one).
    Header(String, String),
    /// The answer lacks this header.
    NoHeader(String),
    /// The connection is reset before an answer.
    Reset,
    /// The connection is closed in good order before an answer.
    Close,
}

/// What a 429 tells about the time to wait, in seconds.
#[derive(Clone, Debug)]
pub enum Hint {
    /// `RateLimit: "api";r=0;t=...`
    RateLimit(u64),
    /// `Retry-After`
    RetryAfter(u64),
    Nothing,
}

/// What happens instead of, or to, the right answer.
pub(crate) enum Action {
    Fault(Fault),
    Run(ChildCommand),
}

/// What a test does while a request waits for its answer.
pub(crate) type ChildCommand = Box<dyn FnOnce() + Send>;

#[derive(Default)]
pub(crate) struct Faults {
    rules: Mutex<Vec<Rule>>,
    /// Counts the calls of `release`; whoever stalls waits for the next one.
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

    /// Returns what happens to a request: everything to run first, and the first fault.
    pub(crate) fn pick(
        &self,
        request: &Request,
        gives_content: bool,
    ) -> (Vec<ChildCommand>, Option<Fault>) {
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

    /// Lets everything that stalls go on.
    pub(crate) fn release(&self) {
        *lock(&self.released) += 1;
        self.changed.notify_all();
    }

    /// Returns what `stall` has to know, taken when the fault is picked: a release that comes
    /// between then and the stall itself must not be missed.
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
    /// Returns the answer that takes the place of the right one, if the fault is of that kind.
    pub(crate) fn instead(&self, request: &Request) -> Option<Reply> {
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
            Self::Expired => crate::cdn::expired(),
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
                reply.how.is_endless = true;
                reply.body(Body::Bytes(vec![b' '; 1 << 20]))
            }
            Self::Garbage(content_type, bytes) => Reply::new(200)
                .with("Content-Type", content_type.clone())
                .body(Body::Bytes(bytes.clone())),
            _ => return None,
        })
    }

    /// Spoils the right answer.
    pub(crate) fn twist(&self, reply: &mut Reply) {
        match self {
            Self::CutAfter(n) => reply.how.cut_after = Some(*n),
            Self::StallAfter(n) => reply.how.stall_after = Some(*n),
            Self::Trickle(bytes, pause) => reply.how.trickle = Some((*bytes, *pause)),
            Self::TrickleHead(bytes, pause) => reply.how.trickle_head = Some((*bytes, *pause)),
            Self::Informational(pause) => reply.how.informational = Some(*pause),
            Self::FlipByteAt(offset) => reply.how.flip_at = Some(*offset),
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

/// Builds a page of a listing that goes on with another one.
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
