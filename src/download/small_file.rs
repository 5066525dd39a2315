//! Fetches a small file in one request and hashes it on the fly.
//!
//! It has no lock, no journal and no fixed name: nothing of it is resumed. Creating and removing
//! a lock file costs a file system as much as the file.

use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::budget::Grant;
use super::counters::FileCounters;
use super::engine_state::{EngineState, FileEnd};
use super::event::{EngineEvent, FetchJob, FileError, FileId};
use super::partial::{VerifiedFile, keep_evidence};
use super::verify::ContentHasher;
use super::worker::{ReceiveError, StreamReader, check_response, drain};
use crate::domain::content::ContentId;
use crate::domain::outcome::ErrorKind;
use crate::sys::files::remove_if_present;
use crate::sys::{open, retry};

/// Fetches a small file, with retries.
pub(crate) fn fetch(
    engine: &EngineState,
    id: FileId,
    job: &FetchJob,
    counters: &FileCounters,
    grant: &mut Grant,
    buffer: &mut [u8],
) -> FileEnd {
    engine.send(EngineEvent::Started { id, reused: 0 });
    let end = attempts(engine, id, job, counters, grant, buffer);
    match end {
        Ok(()) => FileEnd::Verified(VerifiedFile::small(job.partial.clone()), false),
        Err(end) => {
            let _ = remove_if_present(&job.partial);
            end
        }
    }
}

fn attempts(
    engine: &EngineState,
    id: FileId,
    job: &FetchJob,
    counters: &FileCounters,
    grant: &mut Grant,
    buffer: &mut [u8],
) -> Result<(), FileEnd> {
    let count = || counters.retries.fetch_add(1, Ordering::Relaxed);
    let mut was_wrong = false;
    let pause = |error: ReceiveError, after: Duration| {
        let ReceiveError::Source(error) = error else {
            return Err(error);
        };
        count();
        engine.send(EngineEvent::Retrying { id, after, error });
        if engine.pause(&job.limits, after) {
            return Err(ReceiveError::Stopped);
        }
        Ok(())
    };
    // A first wrong hash is repeated at once and is no failure of the source.
    let fetch = || loop {
        match attempt(engine, id, job, counters, grant, buffer)? {
            Ok(()) => return Ok(()),
            Err(mismatch) if was_wrong => {
                return Err(ReceiveError::Fatal(with_evidence(job, mismatch)));
            }
            Err(_) => {
                was_wrong = true;
                job.source.distrust();
                count();
            }
        }
    };
    retry::run(&engine.options.retry, pause, fetch).map_err(|error| match error {
        ReceiveError::Stopped => FileEnd::Partial(0),
        ReceiveError::Fatal(error) => FileEnd::Failed(error),
        ReceiveError::Source(error) => FileEnd::Failed(error.into()),
    })
}

/// Makes one attempt; the inner result returns whether the hash matches.
fn attempt(
    engine: &EngineState,
    id: FileId,
    job: &FetchJob,
    counters: &FileCounters,
    grant: &mut Grant,
    buffer: &mut [u8],
) -> Result<Result<(), FileError>, ReceiveError> {
    let disk = |err| ReceiveError::Fatal(disk_error(job, &err));
    let mut file = open::anew(&job.partial).map_err(disk)?;
    let mut hasher = ContentHasher::new(job.content, job.size_bytes);
    // An empty file needs no request.
    if job.size_bytes > 0 {
        // An earlier attempt has used up its grant.
        if !engine.wait_for_budget(grant, job.size_bytes) {
            return Err(ReceiveError::Stopped);
        }
        let mut stream = job.source.open(None)?;
        check_response(&stream, 0, job.size_bytes)?;
        let mut reader = StreamReader::new(engine, id, grant, counters);
        let mut left = job.size_bytes;
        while left > 0 {
            let most = left.min(buffer.len() as u64) as usize;
            let n = reader.read(&mut stream, &mut buffer[..most])?;
            hasher.update(&buffer[..n]);
            file.write_all(&buffer[..n]).map_err(disk)?;
            left -= n as u64;
        }
        drain(&mut stream, buffer);
    }
    let proven = hasher.finish().map_err(|found| mismatch(job, &found));
    if proven.is_ok() {
        // Sync here, in parallel, rather than one file after the other in the publishing thread.
        file.sync_data().map_err(disk)?;
    }
    Ok(proven)
}

pub(crate) fn mismatch(job: &FetchJob, found: &ContentId) -> FileError {
    FileError::new(
        ErrorKind::Integrity,
        format!("hash mismatch: expected {}, got {found}", job.content),
    )
}

/// Keeps the bytes of the second hash mismatch, and adds their path to the error.
pub(crate) fn with_evidence(job: &FetchJob, mismatch: FileError) -> FileError {
    let kept = keep_evidence(&job.partial, &job.evidence)
        .inspect_err(|err| log::warn!("could not keep the wrong bytes of `{}`: {err}", job.name));
    FileError {
        evidence: kept.is_ok().then(|| job.evidence.to_path_buf()),
        ..mismatch
    }
}

fn disk_error(job: &FetchJob, err: &std::io::Error) -> FileError {
    FileError::disk(&format!("could not write `{}`", job.partial.display()), err)
}
