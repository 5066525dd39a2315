//! The content of files: streams of the whole or of a part.
//!
//! Large files are in a storage behind a signed URL that is valid for about an
//! hour. The Hub is asked for the URL once per file, without a `Range`, because the
//! signature of a URL issued for a ranged request covers exactly that range. All
//! ranges are then fetched from the URL, by any number of threads.

use std::fmt;
use std::io::Read;

use super::classify::classify_storage;
use super::client::{HubClient, HubRequest, RedirectEnd, lock};
use super::error::{Fault, HubError, RequestContext};
use super::locations::{ContentHost, Location, check_commit};
use super::redirect;
use crate::domain::repo::{CommitSha, Repo, RepoPath};
use crate::sys::http::{Body, HttpError, Response, Url};

/// How often one `open` requests a new URL after the storage refused one.
const MAX_FRESH_LINKS: u32 = 3;

/// A file at a commit. Branches cannot be addressed: they may move between two
/// requests, which would mix two versions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileAddress {
    pub repo: Repo,
    pub commit: CommitSha,
    pub path: RepoPath,
}

/// The part of a file in a response; `last` is inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    pub start: u64,
    pub last: u64,
    pub total: Option<u64>,
}

/// An open response with bytes of a file.
#[derive(Debug)]
pub struct FileStream {
    /// Present with a part (206), where it lies within the requested range. Absent with
    /// the whole file (200), which a server may send even if a range was requested.
    pub content_range: Option<ContentRange>,
    /// The number of bytes in the reader, where the server tells.
    pub length: Option<u64>,
    /// Raises [`crate::sys::http::HttpError`]s; fails if it ends before `length`.
    pub reader: Body,
}

impl HubClient {
    /// Opens a file, or the bytes from `range.0` to `range.1` inclusively.
    ///
    /// A server may ignore the range and send everything (status 200), and a
    /// storage may answer a request for everything with 206 from byte 0. Retries
    /// cover the time until the first byte; later errors are raised by the reader,
    /// and the caller continues.
    pub fn open(
        &self,
        file: &FileAddress,
        range: Option<(u64, Option<u64>)>,
    ) -> Result<FileStream, HubError> {
        let about = self.about_file(file);
        self.with_retries(|| self.open_once(file, range, &about))
    }

    /// Reads a small file into memory; a file with more than `most_bytes` is refused.
    pub fn read_small(&self, file: &FileAddress, most_bytes: u64) -> Result<Vec<u8>, HubError> {
        let about = self.about_file(file);
        self.with_retries(|| {
            let stream = self.open_once(file, None, &about)?;
            let mut bytes = Vec::new();
            let read = stream.reader.take(most_bytes + 1).read_to_end(&mut bytes);
            read.map_err(|error| match HttpError::in_io(&error) {
                Some(error) => about.error(Fault::Network(error.clone())),
                None => about.bad_answer(error),
            })?;
            if bytes.len() as u64 > most_bytes {
                return Err(about.bad_answer(format!("it has more than {most_bytes} bytes")));
            }
            Ok(bytes)
        })
    }

    fn open_once(
        &self,
        file: &FileAddress,
        range: Option<(u64, Option<u64>)>,
        about: &RequestContext,
    ) -> Result<FileStream, HubError> {
        let mut location = match self.locations().peek(file) {
            Some(location) => location,
            // Saves a request for small files, whose content is the response.
            None if range.is_none() => {
                let request = HubRequest::content(self.endpoint().resolve(file), None);
                match self.send_within_endpoint(&request, about)? {
                    RedirectEnd::Response(answer) => {
                        check_commit(&answer.headers, file, about)?;
                        return stream(answer, None, about);
                    }
                    RedirectEnd::OtherOrigin(url, headers) => {
                        let location = self.storage_location(file, url, &headers, about)?;
                        *lock(&self.locations().slot(file)) = Some(location.clone());
                        location
                    }
                }
            }
            None => self.cached_or_requested(file, about, None)?,
        };
        for _ in 0..MAX_FRESH_LINKS {
            match self.open_at(&location, range, about) {
                // The signed URL has expired, or was signed for another request.
                Err(error) if matches!(error.fault(), Fault::Storage { status: 403, .. }) => {
                    log::debug!("{error}; requesting a new link");
                    location = self.cached_or_requested(file, about, Some(location.serial))?;
                }
                result => return result,
            }
        }
        self.open_at(&location, range, about)
    }

    fn open_at(
        &self,
        location: &Location,
        range: Option<(u64, Option<u64>)>,
        about: &RequestContext,
    ) -> Result<FileStream, HubError> {
        let url = match &location.content_host {
            ContentHost::Storage(url) => url.clone(),
            ContentHost::Hub(url) => {
                let request = HubRequest::content(url.clone(), range);
                match self.send_within_endpoint(&request, about)? {
                    RedirectEnd::Response(answer) => return stream(answer, range, about),
                    // Some mirrors answer HEAD themselves and redirect GET. This
                    // URL may be signed for the range, so it is used once.
                    RedirectEnd::OtherOrigin(url, _) => url,
                }
            }
        };
        // The storage refuses requests for files of tens of gigabytes without a
        // range.
        let wanted = range.unwrap_or((0, None));
        match self.fetch_from_storage(&url, Some(wanted), about) {
            // An empty file has no first byte for a range.
            Err(error) if range.is_none() && matches!(error.fault(), Fault::BadRange { .. }) => {
                let answer = self.fetch_from_storage(&url, None, about)?;
                stream(answer, None, about)
            }
            Err(error) => Err(error),
            Ok(answer) => stream(answer, Some(wanted), about),
        }
    }

    fn fetch_from_storage(
        &self,
        url: &Url,
        range: Option<(u64, Option<u64>)>,
        about: &RequestContext,
    ) -> Result<Response, HubError> {
        const MAX_ERROR_BYTES: usize = 16 * 1024;
        let mut request = HubRequest::content(url.clone(), range);
        let mut redirects = self.redirect_limits();
        loop {
            redirects.take(about)?;
            let answer = self.send(&request, about)?;
            if answer.is_redirect() {
                let target = redirect::next(&request.url, answer.headers.get("location"))
                    .map_err(|refused| about.bad_answer(refused.0))?;
                answer.discard();
                request.url = target;
                continue;
            }
            if answer.is_success() {
                return Ok(answer);
            }
            let (status, headers) = (answer.status, answer.headers.clone());
            let body = answer.read_text(MAX_ERROR_BYTES).unwrap_or_default();
            let host = request.url.host();
            return Err(classify_storage(
                status,
                host,
                &headers,
                &body,
                about,
                self.token(),
            ));
        }
    }

    pub(super) fn about_file(&self, file: &FileAddress) -> RequestContext {
        self.about(Some(&file.repo))
            .revision(&file.commit)
            .path(&file.path)
    }
}

impl fmt::Display for FileAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}/{}", self.repo, self.commit.short(), self.path)
    }
}

/// Checks a response against the requested range and returns its body.
fn stream(
    answer: Response,
    wanted: Option<(u64, Option<u64>)>,
    about: &RequestContext,
) -> Result<FileStream, HubError> {
    let encoding = answer.headers.get("content-encoding").unwrap_or("identity");
    if !encoding.trim().eq_ignore_ascii_case("identity") {
        return Err(about.bad_answer(format!("it is compressed (`{encoding}`)")));
    }
    let content_range = match (answer.status, wanted) {
        (200, _) => None,
        (206, Some(wanted)) => {
            let header = answer.headers.get("content-range").unwrap_or("");
            let range = parse_content_range(header)
                .ok_or_else(|| about.wrong_part("it does not say which bytes it has"))?;
            let is_within = wanted.1.is_none_or(|last| range.last <= last);
            if range.start != wanted.0 || !is_within {
                let (start, last) = (range.start, range.last);
                return Err(about.wrong_part(format!(
                    "it has bytes {start} to {last}, which were not requested"
                )));
            }
            Some(range)
        }
        (status, _) => return Err(about.bad_answer(format!("it has no content (HTTP {status})"))),
    };
    Ok(FileStream {
        content_range,
        length: answer.body.length(),
        reader: answer.body,
    })
}

/// Reads `bytes 0-15/1234`, with `*` for an unknown total.
fn parse_content_range(text: &str) -> Option<ContentRange> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (start, last) = range.trim().split_once('-')?;
    let total = match total.trim() {
        "*" => None,
        total => Some(total.parse().ok()?),
    };
    let range = ContentRange {
        start: start.trim().parse().ok()?,
        last: last.trim().parse().ok()?,
        total,
    };
    let is_sound = range.start <= range.last && total.is_none_or(|total| range.last < total);
    is_sound.then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_parsed_and_malformed_ones_refused() {
        assert_eq!(
            parse_content_range("bytes 5-9/10"),
            Some(ContentRange {
                start: 5,
                last: 9,
                total: Some(10)
            })
        );
        assert_eq!(parse_content_range("bytes 5-9/*").unwrap().total, None);
        for bad in [
            "",
            "bytes */10",
            "bytes 9-5/10",
            "bytes 5-10/10",
            "items 1-2/3",
            "bytes a-b/c",
        ] {
            assert_eq!(parse_content_range(bad), None, "{bad}");
        }
    }
}
