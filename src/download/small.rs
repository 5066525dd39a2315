//! A file in one request: hashed as it comes, without a journal.

use std::io::Write;
use std::sync::atomic::Ordering;

use super::board::{End, Shared};
use super::budget::Grant;
use super::costs::Costs;
use super::event::{Event, FetchJob, FileError};
use super::partial::{self, VerifiedFile, keep_evidence, remove_if_present};
use super::verify::ContentHasher;
use super::worker::{Intake, Trouble, check_answer, drain};
use crate::domain::content::ContentId;
use crate::domain::outcome::ErrorKind;
use crate::domain::retry::{History, Prospect, Verdict, decide};
use crate::sys::open;

/// Fetches a small file, again and again where that can help.
pub(crate) fn fetch(
    shared: &Shared,
    index: usize,
    job: &FetchJob,
    costs: &Costs,
    grant: &mut Grant,
    buffer: &mut [u8],
) -> End {
    let lock = match partial::lock(&job.partial) {
        Ok(Some(lock)) => lock,
        Ok(None) => return End::Busy,
        Err(err) => return End::Failed(disk_error(job, &err)),
    };
    shared.send(Event::Started {
        job: index,
        reused: 0,
    });
    let end = attempts(shared, index, job, costs, grant, buffer);
    match end {
        Ok(()) => {
            let file = VerifiedFile::new(job.partial.clone(), Some(lock));
            End::Verified(file, false)
        }
        Err(end) => {
            // Nothing resumes a small file, so nothing of it stays.
            let _ = remove_if_present(&job.partial);
            end
        }
    }
}

fn attempts(
    shared: &Shared,
    index: usize,
    job: &FetchJob,
    costs: &Costs,
    grant: &mut Grant,
    buffer: &mut [u8],
) -> Result<(), End> {
    let mut history = History::default();
    let mut was_wrong = false;
    loop {
        let error = match attempt(shared, index, job, costs, grant, buffer) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(mismatch)) if was_wrong => {
                return Err(End::Failed(with_evidence(job, mismatch)));
            }
            Ok(Err(_)) => {
                was_wrong = true;
                costs.retries.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            Err(Trouble::Stopped) => return Err(End::Partial(0)),
            Err(Trouble::Fatal(error)) => return Err(End::Failed(error)),
            Err(Trouble::Source(error)) => error,
        };
        history.failures += 1;
        let prospect = match error.transient {
            true => Prospect::Transient {
                wait: error.retry_after,
            },
            false => Prospect::Permanent,
        };
        let verdict = decide(&shared.options.retry, history, prospect, fastrand::f64());
        let Verdict::RetryAfter(after) = verdict else {
            return Err(End::Failed(error.into()));
        };
        history.waited += after;
        costs.retries.fetch_add(1, Ordering::Relaxed);
        shared.send(Event::Retrying {
            job: index,
            after,
            error,
        });
        if shared.pause(&job.lane, after) {
            return Err(End::Partial(0));
        }
    }
}

/// Fetches once; the inner result says whether the bytes have their hash.
fn attempt(
    shared: &Shared,
    index: usize,
    job: &FetchJob,
    costs: &Costs,
    grant: &mut Grant,
    buffer: &mut [u8],
) -> Result<Result<(), FileError>, Trouble> {
    let disk = |err| Trouble::Fatal(disk_error(job, &err));
    let mut file = open::anew(&job.partial).map_err(disk)?;
    let mut hasher = ContentHasher::new(job.content, job.size_bytes);
    // Nobody needs to be asked for nothing.
    if job.size_bytes > 0 {
        // What an earlier attempt has brought is spent.
        if !shared.wait_for_budget(grant, job.size_bytes) {
            return Err(Trouble::Stopped);
        }
        let mut stream = job.source.open(None)?;
        check_answer(&stream, 0, job.size_bytes)?;
        let mut intake = Intake::new(shared, index, grant, costs);
        let mut left = job.size_bytes;
        while left > 0 {
            let most = left.min(buffer.len() as u64) as usize;
            let n = intake.read(&mut stream, &mut buffer[..most])?;
            hasher.update(&buffer[..n]);
            file.write_all(&buffer[..n]).map_err(disk)?;
            left -= n as u64;
        }
        drain(&mut stream, buffer);
    }
    let proven = hasher.finish().map_err(|found| mismatch(job, &found));
    if proven.is_ok() {
        // Here, where many wait for the disk at a time, and not where the file gets its name:
        // there one wait after the other would add up.
        file.sync_data().map_err(disk)?;
    }
    Ok(proven)
}

pub(crate) fn mismatch(job: &FetchJob, found: &ContentId) -> FileError {
    FileError::new(
        ErrorKind::Integrity,
        format!("the bytes hash to {found}, but should to {}", job.content),
    )
}

/// Puts the bytes aside that twice had a wrong hash, and says where they are.
pub(crate) fn with_evidence(job: &FetchJob, mismatch: FileError) -> FileError {
    let evidence = keep_evidence(&job.partial)
        .inspect_err(|err| log::warn!("could not keep the wrong bytes of `{}`: {err}", job.name))
        .ok();
    FileError {
        evidence,
        ..mismatch
    }
}

fn disk_error(job: &FetchJob, err: &std::io::Error) -> FileError {
    FileError::disk(&format!("could not write `{}`", job.partial.display()), err)
}
