//! A cache of file locations, shared by all threads.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::client::{HubClient, HubRequest, RedirectEnd, lock};
use super::error::{HubError, RequestContext};
use super::files::FileAddress;
use crate::domain::repo::CommitSha;
use crate::sys::http::{Headers, Method, Url};
use crate::sys::pause::Stopwatch;

/// Signed URLs are valid for an hour; a location is renewed earlier to avoid a
/// refusal.
const FRESH_FOR: Duration = Duration::from_secs(45 * 60);

const MAX_CACHED_LOCATIONS: usize = 1024;

/// The location of a file's content.
#[derive(Clone, Debug)]
pub struct Location {
    pub(super) content_host: ContentHost,
    since: Stopwatch,
    /// Increases with each response, so that a refused location is told from its
    /// renewal.
    pub(super) serial: u64,
}

#[derive(Clone, Debug)]
pub(super) enum ContentHost {
    /// The Hub or mirror sends the content itself.
    Hub(Url),
    /// A signed URL of a storage host.
    Storage(Url),
}

impl Location {
    /// Returns the host that sends the content.
    pub fn host(&self) -> &str {
        match &self.content_host {
            ContentHost::Hub(url) | ContentHost::Storage(url) => url.host(),
        }
    }
}

impl HubClient {
    /// Returns the location of a file, from the cache if possible.
    pub fn locate(&self, file: &FileAddress) -> Result<Location, HubError> {
        let about = self.about_file(file);
        self.with_retries(|| self.cached_or_requested(file, &about, None))
    }

    /// Returns the cached location unless it is old or the `refused` one; requests
    /// it otherwise. Threads that need the same file wait for one response.
    pub(super) fn cached_or_requested(
        &self,
        file: &FileAddress,
        about: &RequestContext,
        refused: Option<u64>,
    ) -> Result<Location, HubError> {
        let slot = self.locations().slot(file);
        let mut known = lock(&slot);
        if let Some(location) = known.as_ref()
            && location.since.elapsed() < FRESH_FOR
            && Some(location.serial) != refused
        {
            return Ok(location.clone());
        }
        *known = None;
        let location = self.request_location(file, about)?;
        *known = Some(location.clone());
        Ok(location)
    }

    fn request_location(
        &self,
        file: &FileAddress,
        about: &RequestContext,
    ) -> Result<Location, HubError> {
        let request = HubRequest::new(Method::Head, self.endpoint().resolve(file));
        match self.send_within_endpoint(&request, about)? {
            RedirectEnd::OtherOrigin(url, headers) => {
                self.storage_location(file, url, &headers, about)
            }
            RedirectEnd::Response(answer) => {
                check_commit(&answer.headers, file, about)?;
                Ok(Location {
                    content_host: ContentHost::Hub(answer.url.clone()),
                    since: answer.received,
                    serial: self.locations().next_serial(),
                })
            }
        }
    }

    /// Returns the location that a redirect to the storage names.
    pub(super) fn storage_location(
        &self,
        file: &FileAddress,
        url: Url,
        headers: &Headers,
        about: &RequestContext,
    ) -> Result<Location, HubError> {
        check_commit(headers, file, about)?;
        Ok(Location {
            content_host: ContentHost::Storage(url),
            since: Stopwatch::start(),
            serial: self.locations().next_serial(),
        })
    }
}

/// The cached locations, one slot per file.
#[derive(Default)]
pub(super) struct Locations {
    slots: Mutex<HashMap<FileAddress, Slot>>,
    serial: AtomicU64,
}

type Slot = Arc<Mutex<Option<Location>>>;

impl Locations {
    pub fn slot(&self, file: &FileAddress) -> Slot {
        let mut slots = lock(&self.slots);
        if slots.len() >= MAX_CACHED_LOCATIONS && !slots.contains_key(file) {
            // Slots held by a thread are in use and are kept.
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(slots.entry(file.clone()).or_default())
    }

    pub fn peek(&self, file: &FileAddress) -> Option<Location> {
        let slot = lock(&self.slots).get(file).cloned()?;
        let known = lock(&slot);
        known
            .as_ref()
            .filter(|location| location.since.elapsed() < FRESH_FOR)
            .cloned()
    }

    fn next_serial(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }
}

pub(super) fn check_commit(
    headers: &Headers,
    file: &FileAddress,
    about: &RequestContext,
) -> Result<(), HubError> {
    let named = headers.get("x-repo-commit").unwrap_or("").trim();
    match named.parse::<CommitSha>() {
        Ok(commit) if commit != file.commit => {
            Err(about.bad_answer(format!("it is from commit `{commit}`")))
        }
        // Mirrors omit the header or repeat the revision in it.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::repo::Repo;

    #[test]
    fn a_full_cache_keeps_the_files_in_use() {
        let locations = Locations::default();
        let address = |n: usize| FileAddress {
            repo: Repo::new(crate::domain::repo::RepoType::Model, "a/b".parse().unwrap()),
            commit: "0".repeat(40).parse().unwrap(),
            path: format!("f{n}").parse().unwrap(),
        };
        let in_use = locations.slot(&address(0));
        for n in 1..=MAX_CACHED_LOCATIONS {
            locations.slot(&address(n));
        }
        assert!(lock(&locations.slots).len() < MAX_CACHED_LOCATIONS);
        assert!(Arc::ptr_eq(&in_use, &locations.slot(&address(0))));
    }
}
