//! Brings in what old files have of a new one, before anything is fetched.
//!
//! The copies are written where they belong, hashed and saved like bytes from
//! the line; whatever cannot be copied is fetched. If the whole is wrong in
//! the end it is fetched again in one stream, and nothing is copied then.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::board::Shared;
use super::event::Event;
use super::large::Large;
use crate::domain::delta::RangeCopy;
use crate::domain::ranges::{ByteRange, RangeSet};
use crate::sys::host::checkpoint;
use crate::sys::open;

/// Copied between two looks at the stop flags.
const PIECE: u64 = 8 << 20;

/// Which bytes to take from which files.
#[derive(Clone, Debug, Default)]
pub struct Copies {
    /// The copies name these by their places.
    pub files: Vec<PathBuf>,
    /// In the order of the new file.
    pub copies: Vec<RangeCopy>,
}

/// Makes all copies that are not on disk yet, as far as that is possible.
pub(crate) fn bring_in(shared: &Shared, large: &Large, copies: &Copies, on_disk: &RangeSet) {
    let mut opened: HashMap<usize, Option<Arc<File>>> = HashMap::new();
    let mut buffer = Vec::new();
    for copy in &copies.copies {
        let from = opened.entry(copy.source).or_insert_with(|| {
            let path = copies.files.get(copy.source)?;
            // Kept open: whoever prunes the old revision meanwhile takes its name only.
            open::read_through_links(path)
                .inspect_err(|err| log::info!("cannot copy from `{}`: {err}", path.display()))
                .ok()
                .map(Arc::new)
        });
        let Some(from) = from.clone() else {
            continue;
        };
        for part in on_disk.lacking(copy.target()) {
            let from_at = copy.from + (part.start - copy.to);
            match copy_part(
                shared,
                large,
                copy.source,
                &from,
                from_at,
                part,
                &mut buffer,
            ) {
                Ok(true) => {}
                Ok(false) => return,
                Err(err) => {
                    log::info!("`{}`: cannot copy from an old file: {err}", large.job.name);
                    opened.insert(copy.source, None);
                    break;
                }
            }
        }
    }
}

/// Copies one part; false when nothing more is wanted.
fn copy_part(
    shared: &Shared,
    large: &Large,
    source: usize,
    from: &File,
    from_at: u64,
    part: ByteRange,
    buffer: &mut Vec<u8>,
) -> io::Result<bool> {
    let mut at = part.start;
    while at < part.end {
        if shared.is_over_for(&large.job.lane) {
            return Ok(false);
        }
        let end = part.end.min(at + PIECE);
        let from_at = from_at + (at - part.start);
        large
            .partial
            .write_from(from, from_at, at, end - at, buffer)?;
        if !large.copied(source, ByteRange::new(at, end)) {
            return Ok(false);
        }
        shared.send(Event::Copied {
            job: large.index,
            source,
            bytes: end - at,
        });
        large.partial.start_write_back(ByteRange::new(at, end));
        checkpoint("copied from an old file");
        at = end;
    }
    Ok(true)
}
