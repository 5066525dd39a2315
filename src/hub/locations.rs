//! Where files are: asked once, remembered, shared by all threads.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::client::{Arrival, HubClient, Question, lock};
use super::error::{About, HubError};
use super::files::FileAddress;
use crate::domain::repo::CommitSha;
use crate::domain::xet::XetHash;
use crate::sys::http::{Headers, Method, Url};
use crate::sys::pause::Stopwatch;

/// Signed URLs are good for an hour; asking a little earlier saves a refusal.
const FRESH_FOR: Duration = Duration::from_secs(45 * 60);

const MAX_KNOWN_LOCATIONS: usize = 1024;

/// Where a file's bytes are, and what the Hub says about them.
#[derive(Clone, Debug)]
pub struct Location {
    pub size_bytes: Option<u64>,
    /// The normalised etag: 64 digits of SHA-256 or 40 of a git blob id.
    pub etag: Option<String>,
    pub xet_hash: Option<XetHash>,
    pub(super) place: Place,
    since: Stopwatch,
    /// Tells this answer from later ones to the same question.
    pub(super) serial: u64,
}

#[derive(Clone, Debug)]
pub(super) enum Place {
    /// The Hub or mirror sends the bytes itself.
    Hub(Url),
    /// A signed URL elsewhere.
    Storage(Url),
}

impl Location {
    /// Tells whether the bytes come from a storage host rather than the Hub.
    pub fn is_in_storage(&self) -> bool {
        matches!(self.place, Place::Storage(_))
    }

    /// Returns the host that sends the bytes.
    pub fn host(&self) -> &str {
        match &self.place {
            Place::Hub(url) | Place::Storage(url) => url.host(),
        }
    }
}

impl HubClient {
    /// Finds out where a file's bytes are; the answer is remembered.
    pub fn locate(&self, file: &FileAddress) -> Result<Location, HubError> {
        let about = self.about_file(file);
        self.with_retries(&about, || self.known_or_located(file, &about, None))
    }

    /// Drops what is known about a file that nobody will read again.
    pub fn forget(&self, file: &FileAddress) {
        lock(&self.locations().slots).remove(file);
    }

    /// Returns the remembered location unless it is old or the one `refused`;
    /// asks the Hub otherwise. Threads that want the same file wait for one answer.
    pub(super) fn known_or_located(
        &self,
        file: &FileAddress,
        about: &About,
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
        let location = self.ask_for_location(file, about)?;
        *known = Some(location.clone());
        Ok(location)
    }

    fn ask_for_location(&self, file: &FileAddress, about: &About) -> Result<Location, HubError> {
        let question = Question::new(Method::Head, self.endpoint().resolve(file));
        match self.travel(&question, about)? {
            Arrival::Abroad(url, headers) => self.storage_location(file, url, &headers, about),
            Arrival::Answer(answer) => {
                check_commit(&answer.headers, file, about)?;
                let headers = &answer.headers;
                Ok(Location {
                    size_bytes: number(headers, "x-linked-size")
                        .or_else(|| number(headers, "content-length")),
                    etag: etag(headers, "x-linked-etag").or_else(|| etag(headers, "etag")),
                    xet_hash: headers.get("x-xet-hash").and_then(|text| text.parse().ok()),
                    place: Place::Hub(answer.url.clone()),
                    since: answer.received,
                    serial: self.locations().next_serial(),
                })
            }
        }
    }

    /// Reads the redirect to the storage. Its own `ETag` and `Content-Length`
    /// belong to the text of the redirect.
    pub(super) fn storage_location(
        &self,
        file: &FileAddress,
        url: Url,
        headers: &Headers,
        about: &About,
    ) -> Result<Location, HubError> {
        check_commit(headers, file, about)?;
        Ok(Location {
            size_bytes: number(headers, "x-linked-size"),
            etag: etag(headers, "x-linked-etag"),
            xet_hash: headers.get("x-xet-hash").and_then(|text| text.parse().ok()),
            place: Place::Storage(url),
            since: Stopwatch::start(),
            serial: self.locations().next_serial(),
        })
    }
}

/// The locations that are known, one slot per file.
#[derive(Default)]
pub(super) struct Locations {
    slots: Mutex<HashMap<FileAddress, Slot>>,
    serial: AtomicU64,
}

type Slot = Arc<Mutex<Option<Location>>>;

impl Locations {
    pub fn slot(&self, file: &FileAddress) -> Slot {
        let mut slots = lock(&self.slots);
        if slots.len() >= MAX_KNOWN_LOCATIONS && !slots.contains_key(file) {
            // Slots that a thread holds are in use and stay.
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
    about: &About,
) -> Result<(), HubError> {
    let named = headers.get("x-repo-commit").unwrap_or("").trim();
    match named.parse::<CommitSha>() {
        Ok(commit) if commit != file.commit => {
            Err(about.bad_answer(format!("it is from commit `{commit}`")))
        }
        // Mirrors leave the header out or repeat the revision in it.
        _ => Ok(()),
    }
}

/// Reads an etag: weak or not, quoted or, as some mirrors send it, bare.
fn etag(headers: &Headers, name: &str) -> Option<String> {
    let text = headers.get(name)?.trim();
    let text = text.strip_prefix("W/").unwrap_or(text);
    let text = text.trim_matches('"');
    (!text.is_empty()).then(|| text.to_owned())
}

fn number(headers: &Headers, name: &str) -> Option<u64> {
    headers.get(name)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::repo::Repo;

    #[test]
    fn etags_lose_quotes_and_weakness() {
        for (sent, read) in [
            ("\"abc\"", Some("abc")),
            ("W/\"abc\"", Some("abc")),
            ("abc", Some("abc")),
            ("\"\"", None),
        ] {
            assert_eq!(
                etag(&Headers::of(&[("etag", sent)]), "etag").as_deref(),
                read
            );
        }
    }

    #[test]
    fn a_full_memory_keeps_the_files_in_use() {
        let locations = Locations::default();
        let address = |n: usize| FileAddress {
            repo: Repo::new(crate::domain::repo::RepoType::Model, "a/b".parse().unwrap()),
            commit: "0".repeat(40).parse().unwrap(),
            path: format!("f{n}").parse().unwrap(),
        };
        let in_use = locations.slot(&address(0));
        for n in 1..=MAX_KNOWN_LOCATIONS {
            locations.slot(&address(n));
        }
        assert!(lock(&locations.slots).len() < MAX_KNOWN_LOCATIONS);
        assert!(Arc::ptr_eq(&in_use, &locations.slot(&address(0))));
    }
}
