//! Every request the hub got, for assertions.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::http::{RangeAsked, decode, find_header, form_pairs};
use crate::route::Api;
use crate::server::Port;

/// How long [`crate::TestHub::wait_until`] hopes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request that reached the hub.
#[derive(Clone, Debug)]
pub struct Request {
    pub port: Port,
    pub method: String,
    /// Path and query as they came, still encoded.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub api: Api,
    /// The repository asked for: `acme/tiny`, `datasets/acme/corpus`.
    pub repo: Option<String>,
    /// The revision asked for, decoded; a commit on the CDN.
    pub revision: Option<String>,
    /// The file asked for, on the CDN too.
    pub file: Option<String>,
    /// Zero until an answer begins, and for ever if there is none.
    pub status: u16,
    /// Body bytes given to the socket.
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

    /// Returns the range asked for, if it was one range.
    pub fn range(&self) -> Option<RangeAsked> {
        RangeAsked::parse(self.header("range")?)
    }
}

#[derive(Default)]
pub(crate) struct Journal {
    pages: Mutex<Pages>,
    leaks: Mutex<Vec<String>>,
    changed: Condvar,
}

#[derive(Default)]
struct Pages {
    entries: Vec<Request>,
    /// How many entries were torn out: answers under way know their request by its number.
    forgotten: usize,
}

impl Journal {
    pub(crate) fn entries(&self) -> Vec<Request> {
        self.pages().entries.clone()
    }

    /// Writes one line for each request: `PORT METHOD TARGET STATUS`. What steers the hub is no request.
    pub(crate) fn as_text(&self) -> String {
        let pages = self.pages();
        let requests = pages
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
        let mut pages = self.pages();
        pages.forgotten += pages.entries.len();
        pages.entries.clear();
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
        let mut pages = self.pages();
        pages.entries.push(request);
        self.changed.notify_all();
        pages.forgotten + pages.entries.len() - 1
    }

    pub(crate) fn update(&self, number: usize, change: impl FnOnce(&mut Request)) {
        let mut pages = self.pages();
        let place = number.checked_sub(pages.forgotten);
        if let Some(request) = place.and_then(|place| pages.entries.get_mut(place)) {
            change(request);
        }
        self.changed.notify_all();
    }

    /// Waits for requests to fulfil a condition; returns whether they did in time.
    pub(crate) fn wait_until(&self, mut met: impl FnMut(&[Request]) -> bool) -> bool {
        let pages = self.pages();
        let unmet = |pages: &mut Pages| !met(&pages.entries);
        let waited = self.changed.wait_timeout_while(pages, PATIENCE, unmet);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says what is wrong if a secret reached a host that it is not for.
fn leak<'t>(request: &Request, mut tokens: impl Iterator<Item = &'t String>) -> Option<String> {
    let file = request.file.as_deref().unwrap_or("an unknown file");
    let host = match request.port {
        Port::Hub => return None,
        Port::Cdn => "the CDN",
        Port::Cas => "the Xet storage",
    };
    for name in ["authorization", "cookie"] {
        // The storage has a token of its own.
        let is_its_own = request.port == Port::Cas && name == "authorization";
        if request.header(name).is_some() && !is_its_own {
            return Some(format!(
                "`{name}` was sent to {host} with a request for `{file}`"
            ));
        }
    }
    let told = tokens.any(|token| {
        let in_headers = request
            .headers
            .iter()
            .any(|(_, value)| value.contains(token.as_str()));
        in_headers || request.target.contains(token.as_str())
    });
    told.then(|| format!("a token was sent to {host} with a request for `{file}`"))
}
