//! The body of a response: a reader with limits.

use std::fmt;
use std::io::{self, Cursor, Read};
use std::time::Duration;

use super::error::{HttpError, HttpErrorKind};
use super::url::Url;
use crate::sys::pause::Stopwatch;

/// The minimum average rate, in bytes per second, at which a short body may
/// continue after its time limit: a listing of a hundred thousand files takes
/// minutes over a slow connection.
const LEAST_RATE: u64 = 16 * 1024;

/// How many times its time limit such a body may take at most.
const MOST_EXTENSIONS: u32 = 10;

/// A body that has not been read yet. Its reader raises `io::Error`s that contain
/// an [`HttpError`].
pub struct Body {
    reader: Box<dyn Read + Send>,
    length: Option<u64>,
    url: Url,
    short_time: Duration,
}

/// A short body that is being read, with a limit on bytes and time. The idle
/// timeout alone does not stop a server that sends a byte every few seconds.
pub struct ShortBody {
    body: Body,
    began: Stopwatch,
    max_bytes: u64,
    received: u64,
}

impl Body {
    pub(super) fn new(
        reader: Box<dyn Read + Send>,
        length: Option<u64>,
        url: Url,
        short_time: Duration,
    ) -> Self {
        Self {
            reader,
            length,
            url,
            short_time,
        }
    }

    /// Returns the announced length; a reader of such a body fails if it ends
    /// early.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Tells whether the body begins as an HTML page does; its bytes stay to be read.
    pub fn begins_as_page(&mut self) -> Result<bool, HttpError> {
        const MOST: u64 = 256;
        let mut start = Vec::new();
        let read = self.reader.by_ref().take(MOST).read_to_end(&mut start);
        read.map_err(|error| HttpError::from_reader(error, &self.url))?;
        let text = String::from_utf8_lossy(&start).to_ascii_lowercase();
        let text = text.trim_start_matches('\u{feff}').trim_start();
        let is_page = ["<!doctype html", "<html"];
        let is_page = is_page.iter().any(|tag| text.starts_with(tag));
        let rest = std::mem::replace(&mut self.reader, Box::new(io::empty()));
        self.reader = Box::new(Cursor::new(start).chain(rest));
        Ok(is_page)
    }

    /// Returns a reader that fails after `max_bytes`.
    pub fn short(self, max_bytes: usize) -> Result<ShortBody, HttpError> {
        let body = ShortBody {
            began: Stopwatch::start(),
            max_bytes: max_bytes as u64,
            received: 0,
            body: self,
        };
        match body.body.length {
            Some(length) if length > body.max_bytes => Err(body.too_large()),
            _ => Ok(body),
        }
    }

    /// Reads the whole body; fails if it is longer than `max_bytes`.
    pub fn read_limited(self, max_bytes: usize) -> Result<Vec<u8>, HttpError> {
        let mut body = self.short(max_bytes)?;
        let mut bytes = Vec::new();
        match body.read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) => Err(HttpError::from_reader(error, &body.body.url)),
        }
    }
}

impl ShortBody {
    fn too_large(&self) -> HttpError {
        let reason = format!("the answer is longer than {} bytes", self.max_bytes);
        HttpError::new(HttpErrorKind::TooLarge, &self.body.url, reason)
    }
}

impl Read for ShortBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.body.read(buffer)?;
        self.received += n as u64;
        if self.received > self.max_bytes {
            return Err(self.too_large().into_io());
        }
        if n > 0 && is_too_slow(self.began.elapsed(), self.received, self.body.short_time) {
            let reason = "the answer arrives too slowly";
            let error = HttpError::new(HttpErrorKind::Timeout, &self.body.url, reason);
            return Err(error.into_io());
        }
        Ok(n)
    }
}

/// Decides whether to give up an incomplete short body.
fn is_too_slow(elapsed: Duration, received: u64, time: Duration) -> bool {
    let is_flowing = received / LEAST_RATE >= elapsed.as_secs();
    elapsed > time && (!is_flowing || elapsed > time * MOST_EXTENSIONS)
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader
            .read(buffer)
            .map_err(|error| match error.kind() {
                io::ErrorKind::Interrupted => error,
                _ => HttpError::from_reader(error, &self.url).into_io(),
            })
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({:?} bytes)", self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(bytes: &'static [u8], length: Option<u64>) -> Body {
        let url = "http://h/x".parse().unwrap();
        Body::new(Box::new(bytes), length, url, Duration::from_secs(60))
    }

    #[test]
    fn a_short_body_may_exceed_its_time_only_at_the_minimum_rate() {
        let time = Duration::from_secs(60);
        let too_slow =
            |seconds, received| is_too_slow(Duration::from_secs(seconds), received, time);
        assert!(!too_slow(60, 0));
        assert!(too_slow(61, 61));
        assert!(!too_slow(61, 61 * LEAST_RATE));
        assert!(too_slow(61, 61 * LEAST_RATE - 1));
        assert!(!too_slow(600, 600 * LEAST_RATE));
        assert!(too_slow(601, u64::MAX), "whatever it has sent");
    }

    #[test]
    fn a_body_longer_than_the_limit_is_an_error() {
        assert_eq!(body(b"1234", None).read_limited(4).unwrap(), b"1234");
        for length in [None, Some(5)] {
            let error = body(b"12345", length).read_limited(4).unwrap_err();
            assert_eq!(error.kind(), HttpErrorKind::TooLarge);
        }
    }
}
