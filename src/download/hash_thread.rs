//! The hash thread of a large file: hashes the contiguous range as it grows.
//!
//! Recently written bytes come from memory where possible and are read back otherwise. The hash
//! is ready shortly after the last byte, and receiving never waits for it. New, resumed and
//! segmented files take the same path.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::engine_state::{EngineState, FileEnd};
use super::event::{EngineEvent, FileError};
use super::hash_buffers::{BUFFER_BYTES, HashBuffer};
use super::large_file::{HashInput, LargeFile};
use super::partial::VerifiedFile;
use super::small_file::{mismatch, with_evidence};
use super::verify::ContentHasher;
use super::worker::panicked;
use crate::domain::ranges::ByteRange;
use crate::sys::logging;

/// Starts the hash thread. It ends the file as verified, or as failed after the second hash
/// mismatch, unless another thread ends it first.
pub(crate) fn start(engine: Arc<EngineState>, large: Arc<LargeFile>) -> io::Result<()> {
    let thread = std::thread::Builder::new().name("hash".into());
    thread.spawn(move || {
        let result = catch_unwind(AssertUnwindSafe(|| hash_until_verified(&engine, &large)));
        if let Err(error) = result.unwrap_or_else(|_| Err(panicked())) {
            large.fail(error);
        }
        engine.close_if_failed(&large);
    })?;
    Ok(())
}

fn hash_until_verified(engine: &EngineState, large: &LargeFile) -> Result<(), FileError> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let found = match hash(engine, large, &mut buffer)? {
            HashPass::Restarted => continue,
            HashPass::Ended => return Ok(()),
            HashPass::Hashed(found) => found,
        };
        match found.finish() {
            Ok(()) => {
                finish(engine, large)?;
                return Ok(());
            }
            Err(found) => {
                let error = mismatch(&large.job, &found);
                if !large.restart_as_single_stream() {
                    if large.mark_ended() {
                        let error = with_evidence(&large.job, error);
                        drop(large.partial.take_lock());
                        engine.report(large.id, &large.counters, FileEnd::Failed(error));
                    }
                    return Ok(());
                }
                // The session reports it if the second fetch fails as well.
                log::warn!(
                    target: logging::SESSION,
                    "`{}`: {error}; fetching the file once more",
                    large.job.name
                );
                engine.wake_workers();
            }
        }
    }
}

enum HashPass {
    Hashed(ContentHasher),
    Restarted,
    Ended,
}

/// Hashes the file once, in order, while its bytes arrive.
fn hash(engine: &EngineState, large: &LargeFile, buffer: &mut [u8]) -> Result<HashPass, FileError> {
    let epoch = large.epoch();
    let mut hasher = ContentHasher::new(large.job.content, large.job.size_bytes);
    let mut hashed = 0;
    while hashed < large.job.size_bytes {
        let is_stopped = || engine.is_stopped_for(&large.job.limits);
        let (stop_at, buffers) = match large.wait_for_hash_input(hashed, epoch, is_stopped) {
            HashInput::Ready(stop_at, buffers) => (stop_at, buffers),
            HashInput::Restarted => return Ok(HashPass::Restarted),
            HashInput::Ended => return Ok(HashPass::Ended),
        };
        let range = ByteRange::new(hashed, stop_at);
        if let Err(err) = hash_range(large, &mut hasher, range, buffers, buffer) {
            // A restart truncates the file during the read.
            if large.epoch() != epoch {
                return Ok(HashPass::Restarted);
            }
            let what = "could not read back received bytes";
            return Err(FileError::disk(what, &err));
        }
        hashed = stop_at;
    }
    Ok(HashPass::Hashed(hasher))
}

fn hash_range(
    large: &LargeFile,
    hasher: &mut ContentHasher,
    range: ByteRange,
    buffers: Vec<HashBuffer>,
    buffer: &mut [u8],
) -> io::Result<()> {
    let mut at = range.start;
    for segment in buffers {
        hash_from_disk(large, hasher, ByteRange::new(at, segment.start()), buffer)?;
        hasher.update(segment.bytes());
        at = segment.end();
    }
    hash_from_disk(large, hasher, ByteRange::new(at, range.end), buffer)
}

fn hash_from_disk(
    large: &LargeFile,
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

/// Flushes the last bytes and reports the file as verified.
fn finish(engine: &EngineState, large: &LargeFile) -> Result<(), FileError> {
    let bytes = large.flush()?;
    let id = large.id;
    if large.mark_ended() {
        engine.send(EngineEvent::Saved { id, bytes });
        let path = large.partial.path().to_owned();
        let file = VerifiedFile::large(path, large.partial.take_lock());
        engine.report(id, &large.counters, FileEnd::Verified(file, true));
    }
    Ok(())
}
