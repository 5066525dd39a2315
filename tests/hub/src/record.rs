//! The record of all requests, for assertions.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::http::{RangeAsked, decode, find_header, form_pairs};
use super::route::Api;
use super::server::Port;

/// The time limit of [`super::TestHub::wait_until`].
const WAIT_LIMIT: Duration = Duration::from_secs(60);

/// A received request.
#[derive(Clone, Debug)]
pub struct Request {
    pub port: Port,
    pub method: String,
    /// Path and query as received, still encoded.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub api: Api,
    /// The requested repository: `acme/tiny`, `datasets/acme/corpus`.
    pub repo: Option<String>,
    /// The requested revision, decoded; a commit on the CDN.
    pub revision: Option<String>,
    /// The requested file, on the CDN too.
    pub file: Option<String>,
    /// Zero until an answer begins, and permanently without an answer.
    pub status: u16,
    /// Body bytes written to the socket.
    pub bytes_sent: u64,
}

impl Request {
    /// Returns the path without the query, decoded.
    pub fn path(&self) -> String {
        decode(self.target.split('?').next().unwrap_or_default())
    }

    pub fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        form_pairs(query)
            .into_iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        find_header(&self.headers, name)
    }

    /// Returns the requested range, if it was a single range.
    pub fn range(&self) -> Option<RangeAsked> {
        RangeAsked::parse(self.header("range")?)
    }
}

#[derive(Default)]
pub(crate) struct RequestLog {
    state: Mutex<Entries>,
    leaks: Mutex<Vec<String>>,
    changed: Condvar,
}

#[derive(Default)]
struct Entries {
    entries: Vec<Request>,
    /// The number of removed entries: pending answers refer to their request by number.
    n_removed: usize,
}

impl RequestLog {
    pub(crate) fn entries(&self) -> Vec<Request> {
        self.state().entries.clone()
    }

    /// Writes one line per request: `PORT METHOD TARGET STATUS`. Control requests are left out.
    pub(crate) fn as_text(&self) -> String {
        let state = self.state();
        let requests = state
            .entries
            .iter()
            .filter(|request| request.api != Api::Control);
        requests
            .map(|request| {
                let Request {
                    port,
                    method,
                    target,
                    status,
                    ..
                } = request;
                let port = match port {
                    Port::Hub => "hub",
                    Port::Cdn => "cdn",
                    Port::Cas => "cas",
                };
                format!("{port} {method} {target} {status}\n")
            })
            .collect()
    }

    pub(crate) fn forget(&self) {
        let mut state = self.state();
        state.n_removed += state.entries.len();
        state.entries.clear();
    }

    pub(crate) fn leaks(&self) -> MutexGuard<'_, Vec<String>> {
        self.leaks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a request and returns its number.
    pub(crate) fn add<'t>(
        &self,
        request: Request,
        tokens: impl Iterator<Item = &'t String>,
    ) -> usize {
        if let Some(leak) = leak(&request, tokens) {
            self.leaks().push(leak);
        }
        let mut state = self.state();
        state.entries.push(request);
        self.changed.notify_all();
        state.n_removed + state.entries.len() - 1
    }

    pub(crate) fn update(&self, number: usize, change: impl FnOnce(&mut Request)) {
        let mut state = self.state();
        let place = number.checked_sub(state.n_removed);
        if let Some(request) = place.and_then(|place| state.entries.get_mut(place)) {
            change(request);
        }
        self.changed.notify_all();
    }

    /// Waits until the requests meet a condition; returns whether they did within the time limit.
    pub(crate) fn wait_until(&self, mut met: impl FnMut(&[Request]) -> bool) -> bool {
        let state = self.state();
        let unmet = |state: &mut Entries| !met(&state.entries);
        let waited = self.changed.wait_timeout_while(state, WAIT_LIMIT, unmet);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    fn state(&self) -> MutexGuard<'_, Entries> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Describes the leak if a secret was sent to a host that it is not for.
fn leak<'t>(request: &Request, mut tokens: impl Iterator<Item = &'t String>) -> Option<String> {
    let file = request.file.as_deref().unwrap_or("an unknown file");
    let host = match request.port {
        Port::Hub => return None,
        Port::Cdn => "the CDN",
        Port::Cas => "the Xet storage",
    };
    for name in ["authorization", "cookie"] {
        // The Xet storage has a token of its own.
        let is_its_own = request.port == Port::Cas && name == "authorization";
        if request.header(name).is_some() && !is_its_own {
            return Some(format!(
                "`{name}` was sent to {host} with a request for `{file}`"
            ));
        }
    }
    let is_leaked = tokens.any(|token| {
        let in_headers = request
            .headers
            .iter()
            .any(|(_, value)| value.contains(token.as_str()));
        in_headers || request.target.contains(token.as_str())
    });
    is_leaked.then(|| format!("a token was sent to {host} with a request for `{file}`"))
}
