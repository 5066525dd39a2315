//! Hashes a large file behind the front of what has come.
//!
//! What was written a moment ago is handed over in memory where that goes, and
//! read back otherwise. So the hash is ready when the last byte is, receiving
//! never waits for it, and one way serves a fresh file, a resumed one and one in
//! pieces alike.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::board::{End, Shared};
use super::event::{Event, FileError};
use super::fresh::{BUFFER_BYTES, Fresh};
use super::large::{Front, Large};
use super::partial::VerifiedFile;
use super::small::{mismatch, with_evidence};
use super::verify::ContentHasher;
use super::worker::panicked;
use crate::domain::ranges::ByteRange;
use crate::sys::logging;

/// Starts the thread that ends a file: verified, wrong twice, or left to others.
pub(crate) fn start(shared: Arc<Shared>, large: Arc<Large>) -> io::Result<()> {
    let thread = std::thread::Builder::new().name("hash".into());
    thread.spawn(move || {
        let followed = catch_unwind(AssertUnwindSafe(|| follow(&shared, &large)));
        if let Err(error) = followed.unwrap_or_else(|_| Err(panicked())) {
            large.fail(error);
        }
        shared.close_if_failed(&large);
    })?;
    Ok(())
}

fn follow(shared: &Shared, large: &Large) -> Result<(), FileError> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let found = match hash(shared, large, &mut buffer)? {
            Pass::Restarted => continue,
            Pass::Over => return Ok(()),
            Pass::Hashed(found) => found,
        };
        match found.finish() {
            Ok(()) => {
                finish(shared, large)?;
                return Ok(());
            }
            Err(found) => {
                let error = mismatch(&large.job, &found);
                if !large.try_once_more() {
                    if large.end() {
                        let error = with_evidence(&large.job, error);
                        drop(large.partial.take_lock());
                        shared.report(large.index, &large.costs, End::Failed(error));
                    }
                    return Ok(());
                }
                // The session tells it if it does not help.
                log::warn!(target: logging::SESSION, "`{}`: {error}; fetching it once more", large.job.name);
                shared.call_workers();
            }
        }
    }
}

enum Pass {
    Hashed(ContentHasher),
    Restarted,
    Over,
}

/// Hashes from the first byte to the last, as they come.
fn hash(shared: &Shared, large: &Large, buffer: &mut [u8]) -> Result<Pass, FileError> {
    let epoch = large.epoch();
    let mut hasher = ContentHasher::new(large.job.content, large.job.size_bytes);
    let mut hashed = 0;
    while hashed < large.job.size_bytes {
        let is_over = || shared.is_over_for(&large.job.lane);
        let (stop_at, fresh) = match large.wait_for_front(hashed, epoch, is_over) {
            Front::At(stop_at, fresh) => (stop_at, fresh),
            Front::Restarted => return Ok(Pass::Restarted),
            Front::Over => return Ok(Pass::Over),
        };
        let range = ByteRange::new(hashed, stop_at);
        if let Err(err) = hash_range(large, &mut hasher, range, fresh, buffer) {
            // The file is emptied under our hands when it starts over.
            if large.epoch() != epoch {
                return Ok(Pass::Restarted);
            }
            let what = "could not read back what has come";
            return Err(FileError::disk(what, &err));
        }
        hashed = stop_at;
    }
    Ok(Pass::Hashed(hasher))
}

fn hash_range(
    large: &Large,
    hasher: &mut ContentHasher,
    range: ByteRange,
    fresh: Vec<Fresh>,
    buffer: &mut [u8],
) -> io::Result<()> {
    let mut at = range.start;
    for piece in fresh {
        hash_from_disk(large, hasher, ByteRange::new(at, piece.start()), buffer)?;
        hasher.update(piece.bytes());
        at = piece.end();
    }
    hash_from_disk(large, hasher, ByteRange::new(at, range.end), buffer)
}

fn hash_from_disk(
    large: &Large,
    hasher: &mut ContentHasher,
    range: ByteRange,
    buffer: &mut [u8],
) -> io::Result<()> {
    let mut at = range.start;
    while at < range.end {
        let n = (range.end - at).min(buffer.len() as u64) as usize;
        large.partial.read_at(&mut buffer[..n], at)?;
        hasher.update(&buffer[..n]);
        at += n as u64;
    }
    Ok(())
}

/// Forces the last bytes to disk and hands the file over.
fn finish(shared: &Shared, large: &Large) -> Result<(), FileError> {
    let bytes = large.save()?;
    let job = large.index;
    if large.end() {
        shared.send(Event::Saved { job, bytes });
        let path = large.partial.path().to_owned();
        let file = VerifiedFile::new(path, large.partial.take_lock());
        shared.report(job, &large.costs, End::Verified(file, true));
    }
    Ok(())
}
