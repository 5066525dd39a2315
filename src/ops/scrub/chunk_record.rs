//! Records the chunk lengths of files that are read anyway, so that the first delta of a
//! file needs no other read of it.

use std::path::{Path, PathBuf};

use super::inventory::PublishedFile;
use crate::domain::content::ContentId;
use crate::domain::xet::{FileMap, XetHash};
use crate::sys::{file_io, open};
use crate::xet::{ChunkLengths, sidecar};

/// The most bytes to read again where a file is continued.
const MOST_AGAIN: u64 = 4 << 20;

/// The chunk lengths of a file from its beginning up to some position.
pub(super) struct ChunkRecord {
    sidecar: PathBuf,
    hash: XetHash,
    content: ContentId,
    size_bytes: u64,
    chunks: ChunkLengths,
}

impl ChunkRecord {
    /// Begins at the position at which a file is read on; `None` if its chunk lengths are
    /// not needed, are known, or are not known up to there.
    pub fn begin(file: &PublishedFile, position: u64) -> Option<Self> {
        let (sidecar, hash) = file.sidecar.clone()?;
        let known = sidecar::read(&sidecar, &file.content, file.size_bytes).ok()?;
        let mut lengths = match known {
            Some(map) if !map.has_only_lengths() => return None,
            known => known.and_then(|map| map.chunk_lengths).unwrap_or_default(),
        };
        let mut end: u64 = lengths.iter().map(|&length| u64::from(length)).sum();
        if end == file.size_bytes {
            return None;
        }
        while end > position {
            end -= u64::from(lengths.pop()?);
        }
        let mut chunks = ChunkLengths::after(lengths);
        chunks.update(&bytes_between(&file.path, end, position)?);
        Some(Self {
            sidecar,
            hash,
            content: file.content,
            size_bytes: file.size_bytes,
            chunks,
        })
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.chunks.update(bytes);
    }

    /// Saves the lengths of a file that is continued later.
    pub fn save_part(&self) {
        self.write(self.chunks.ended().to_vec());
    }

    /// Saves the lengths of a file that was read to its end.
    pub fn save_whole(mut self) {
        let chunks = std::mem::take(&mut self.chunks);
        self.write(chunks.finish());
    }

    fn write(&self, lengths: Vec<u32>) {
        let (path, content) = (&self.sidecar, &self.content);
        let map = FileMap::of_lengths(self.hash, lengths);
        if let Err(err) = sidecar::write_lengths(path, content, self.size_bytes, &map) {
            log::debug!("cannot write `{}`: {err}", path.display());
        }
    }
}

fn bytes_between(path: &Path, start: u64, end: u64) -> Option<Vec<u8>> {
    let n_bytes = end.checked_sub(start).filter(|n| *n <= MOST_AGAIN)?;
    let mut bytes = vec![0; n_bytes as usize];
    let file = open::read_through_links(path).ok()?;
    file_io::read_exact_at(&file, &mut bytes, start).ok()?;
    Some(bytes)
}
