//! The body of an answer: a reader with limits.

use std::fmt;
use std::io::{self, Read};
use std::time::Duration;

use super::error::{HttpError, HttpErrorKind};
use super::url::Url;
use crate::sys::pause::Stopwatch;

/// The longest time that a small answer may take to arrive. A server that
/// drips a byte every few seconds never meets the limit on silence.
const SMALL_BODY_TIME: Duration = Duration::from_secs(120);

/// A body that has not been read. What its reader raises holds an [`HttpError`].
pub struct Body {
    reader: Box<dyn Read + Send>,
    length: Option<u64>,
    url: Url,
}

impl Body {
    pub(super) fn new(reader: Box<dyn Read + Send>, length: Option<u64>, url: Url) -> Self {
        Self {
            reader,
            length,
            url,
        }
    }

    /// Returns the announced length; a reader of a body with one never ends
    /// quietly before it.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Reads the whole body if it is no longer than `max_bytes`.
    pub fn read_limited(mut self, max_bytes: usize) -> Result<Vec<u8>, HttpError> {
        let too_large = |url: &Url| {
            let what = format!("the answer is longer than {max_bytes} bytes");
            HttpError::new(HttpErrorKind::TooLarge, url, what)
        };
        if self.length.is_some_and(|length| length > max_bytes as u64) {
            return Err(too_large(&self.url));
        }
        let began = Stopwatch::start();
        let mut bytes = Vec::new();
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.reader.read(&mut buffer) {
                Ok(0) => return Ok(bytes),
                Ok(n) => bytes.extend_from_slice(&buffer[..n]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(HttpError::from_reader(error, &self.url)),
            }
            if bytes.len() > max_bytes {
                return Err(too_large(&self.url));
            }
            if began.elapsed() > SMALL_BODY_TIME {
                let what = "the answer arrives too slowly";
                return Err(HttpError::new(HttpErrorKind::Timeout, &self.url, what));
            }
        }
    }
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
        Body::new(Box::new(bytes), length, "http://h/x".parse().unwrap())
    }

    #[test]
    fn a_body_is_read_up_to_the_limit_and_not_a_byte_further() {
        assert_eq!(body(b"1234", None).read_limited(4).unwrap(), b"1234");
        for length in [None, Some(5)] {
            let error = body(b"12345", length).read_limited(4).unwrap_err();
            assert_eq!(error.kind(), HttpErrorKind::TooLarge);
        }
    }
}
