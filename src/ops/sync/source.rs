//! A source of the engine: files of the Hub over plain HTTP.

use std::io::{self, Read};

use crate::domain::outcome::ErrorKind;
use crate::domain::ranges::ByteRange;
use crate::domain::retry::RetryPolicy;
use crate::download::{ByteSource, ByteStream, SourceError};
use crate::hub::{Fault, FileAddress, HubClient, HubError};
use crate::sys::http::HttpError;

/// One file of a repository at a commit, read by plain HTTP.
pub struct HubFile {
    hub: HubClient,
    address: FileAddress,
}

impl HubFile {
    pub fn new(hub: &HubClient, address: FileAddress) -> Self {
        // The engine retries by progress, so the client reports every failure at once.
        Self {
            hub: hub.with_retry(RetryPolicy::never()),
            address,
        }
    }
}

impl ByteSource for HubFile {
    fn is_far(&self) -> bool {
        self.hub.is_far()
    }

    fn open(&self, range: Option<ByteRange>) -> Result<ByteStream, SourceError> {
        let asked = range.map(|range| (range.start, Some(range.end.saturating_sub(1))));
        let stream = self.hub.open(&self.address, asked).map_err(source_error)?;
        let part = stream.content_range;
        Ok(ByteStream {
            starts_at: part.map_or(0, |part| part.start),
            total_size: part.map_or(stream.length, |part| part.total),
            whole_file: part.is_none(),
            wire_bytes: None,
            wire_total: None,
            reader: Box::new(RangeReader(stream.reader)),
        })
    }
}

/// Converts read errors to those of the engine.
struct RangeReader<R>(R);

impl<R: Read> Read for RangeReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0
            .read(buffer)
            .map_err(|err| match HttpError::in_io(&err) {
                Some(http) => SourceError {
                    transient: http.is_transient(),
                    hint: http.hint().map(str::to_owned),
                    brief: Some(http.reason().to_owned()),
                    ..SourceError::permanent(ErrorKind::Network, http.to_string())
                }
                .into(),
                None => err,
            })
    }
}

fn source_error(error: HubError) -> SourceError {
    let (kind, transient) = (error.kind(), error.is_transient());
    let (retry_after, range_refused) = match error.fault() {
        Fault::RateLimited { retry_after, .. } => (*retry_after, false),
        Fault::BadRange { .. } => (None, true),
        _ => (None, false),
    };
    SourceError {
        kind,
        transient,
        retry_after,
        range_refused,
        message: error.to_string(),
        brief: Some(error.brief()),
        hint: error.hint(),
    }
}
