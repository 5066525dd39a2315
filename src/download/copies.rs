//! Copies ranges of a new file from old files before anything is fetched.
//!
//! Copied bytes are written, hashed and flushed like received ones; failed copies are fetched.
//! After a hash mismatch the whole file is fetched in one stream, without copies.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::engine_state::EngineState;
use super::event::EngineEvent;
use super::large_file::LargeFile;
use crate::domain::delta::RangeCopy;
use crate::domain::ranges::{ByteRange, RangeSet};
use crate::sys::copy::SHARED_UNIT;
use crate::sys::host::checkpoint;
use crate::sys::open;
use crate::sys::share::can_clone;

/// Bytes copied between two checks of the stop flags.
const COPY_STEP: u64 = 8 << 20;

/// The ranges to copy and their source files.
#[derive(Clone, Debug, Default)]
pub struct Copies {
    /// Source files; each copy refers to one by index.
    pub files: Vec<PathBuf>,
    /// Sorted by position in the new file.
    pub copies: Vec<RangeCopy>,
}

impl Copies {
    /// Returns the ranges that will share the space of their source: those whose bytes are whole
    /// blocks of both files, where files in `folder` can share space with the source.
    pub(crate) fn shared_ranges(&self, folder: &Path) -> RangeSet {
        let mut shared = RangeSet::new();
        let clones: Vec<bool> = self
            .files
            .iter()
            .map(|from| can_clone(from, folder))
            .collect();
        for copy in &self.copies {
            let is_shared = clones.get(copy.source) == Some(&true)
                && copy.from % SHARED_UNIT == copy.to % SHARED_UNIT;
            let end = copy.to + copy.length;
            let first = copy.to.next_multiple_of(SHARED_UNIT);
            let last = end - end % SHARED_UNIT;
            if is_shared && first < last {
                shared.insert(ByteRange::new(first, last));
            }
        }
        shared
    }
}

/// Copies all ranges that are not on disk yet. A source file that cannot be read is skipped.
pub(crate) fn copy_ranges(
    engine: &EngineState,
    large: &LargeFile,
    copies: &Copies,
    on_disk: &RangeSet,
) {
    let mut opened: HashMap<usize, Option<Arc<File>>> = HashMap::new();
    let mut buffer = Vec::new();
    for copy in &copies.copies {
        let from = opened.entry(copy.source).or_insert_with(|| {
            let path = copies.files.get(copy.source)?;
            // The open handle survives when another process prunes the old revision.
            open::read_through_links(path)
                .inspect_err(|err| {
                    log::info!("could not open `{}` to copy from it: {err}", path.display())
                })
                .ok()
                .map(Arc::new)
        });
        let Some(from) = from.clone() else {
            continue;
        };
        for part in on_disk.lacking(copy.target()) {
            match copy_part(engine, large, copy, &from, part, &mut buffer) {
                Ok(true) => {}
                Ok(false) => return,
                Err(err) => {
                    log::info!(
                        "`{}`: could not copy from an old file: {err}",
                        large.job.name
                    );
                    opened.insert(copy.source, None);
                    break;
                }
            }
        }
    }
}

/// Copies one range; false when the file has ended or its group is stopped.
fn copy_part(
    engine: &EngineState,
    large: &LargeFile,
    copy: &RangeCopy,
    from: &File,
    part: ByteRange,
    buffer: &mut Vec<u8>,
) -> io::Result<bool> {
    let mut at = part.start;
    while at < part.end {
        if engine.is_stopped_for(&large.job.limits) {
            return Ok(false);
        }
        let end = part.end.min(at + COPY_STEP);
        let from_at = copy.from + (at - copy.to);
        large
            .partial
            .write_from(from, from_at, at, end - at, buffer)?;
        if !large.record_copied(copy.source, ByteRange::new(at, end)) {
            return Ok(false);
        }
        engine.send(EngineEvent::Copied {
            id: large.id,
            source: copy.source,
            bytes: end - at,
        });
        large.partial.start_write_back(ByteRange::new(at, end));
        checkpoint("copied from an old file");
        at = end;
    }
    Ok(true)
}
