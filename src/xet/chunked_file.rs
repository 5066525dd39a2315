//! Chunks a whole file with several threads.
//!
//! Each thread chunks one section of the file as if the file began there. The first boundaries
//! of a section are usually wrong, but the rolling hash restarts at every boundary and soon
//! converges: from the first boundary that the section shares with the chunks before it, all
//! further boundaries are correct. The few chunks before that point are computed again.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::chunking::{ChunkLengths, Chunker};
use super::hashes::{MerkleTree, file_hash};
use crate::domain::ranges::ByteRange;
use crate::domain::xet::{MAX_CHUNK, XetHash};
use crate::sys::{file_io, open};

/// Large compared with the bytes chunked twice, small enough to give every thread work.
const SECTION: u64 = 32 << 20;

/// Files up to this size stay in the page cache, because most of them is copied right
/// afterwards. Larger files would displace the working set of other programs.
const PAGE_CACHE_LIMIT: u64 = 8 << 30;

/// The Xet hash and the chunk lengths of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkedFile {
    pub hash: XetHash,
    pub chunk_lengths: Vec<u32>,
}

/// Reads a file once and returns its Xet hash and chunk lengths. `on_read` gets the size of
/// each finished section; `None` when it breaks off.
pub fn chunk_file(
    path: &Path,
    n_threads: usize,
    on_read: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> io::Result<Option<ChunkedFile>> {
    let file = open::read_through_links(path)?;
    let size_bytes = file.metadata()?.len();
    let chunker = ParallelChunker {
        file: &file,
        size_bytes,
        section: SECTION,
        keeps_page_cache: size_bytes <= PAGE_CACHE_LIMIT,
    };
    chunker.run(n_threads, on_read)
}

#[derive(Clone, Copy, Debug)]
struct LocatedChunk {
    at: u64,
    length: u32,
    hash: XetHash,
}

impl LocatedChunk {
    fn end(&self) -> u64 {
        self.at + u64::from(self.length)
    }
}

#[derive(Clone, Copy)]
struct ParallelChunker<'a> {
    file: &'a File,
    size_bytes: u64,
    section: u64,
    keeps_page_cache: bool,
}

impl ParallelChunker<'_> {
    fn run(
        self,
        n_threads: usize,
        on_read: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> io::Result<Option<ChunkedFile>> {
        let n_sections = self.size_bytes.div_ceil(self.section);
        let n_threads = n_threads.clamp(1, n_sections.clamp(1, 64) as usize);
        std::thread::scope(|scope| {
            let mut inboxes = Vec::with_capacity(n_threads);
            for first in 0..n_threads as u64 {
                // Each thread is at most two sections ahead, which bounds the memory.
                let (outbox, inbox) = sync_channel(1);
                inboxes.push(inbox);
                let own_sections = (first..n_sections).step_by(n_threads);
                let thread = std::thread::Builder::new().name("chunks".into());
                thread.spawn_scoped(scope, move || self.chunk_sections(own_sections, &outbox))?;
            }
            self.join(n_sections, &inboxes, on_read)
        })
    }

    fn chunk_sections(
        self,
        sections: impl Iterator<Item = u64>,
        outbox: &SyncSender<io::Result<Vec<LocatedChunk>>>,
    ) {
        for section in sections {
            let start = section * self.section;
            let until = (start + self.section).min(self.size_bytes);
            let mut chunks = Vec::new();
            let mut keep = |chunk: LocatedChunk| {
                chunks.push(chunk);
                chunk.end() >= until
            };
            let result = self.chunk_from(start, &mut keep);
            if !self.keeps_page_cache {
                file_io::forget(self.file, ByteRange::new(start, until));
            }
            if outbox.send(result.map(|()| chunks)).is_err() {
                // The receiver has stopped.
                return;
            }
        }
    }

    /// Chunks the file from an offset until `has_enough` returns true or the file ends.
    fn chunk_from(
        self,
        start: u64,
        has_enough: &mut dyn FnMut(LocatedChunk) -> bool,
    ) -> io::Result<()> {
        let mut buffer = vec![0; 256 << 10];
        let mut chunker = Chunker::new();
        let (mut at, mut read_at, mut is_over) = (start, start, false);
        let mut take = |hash, length| {
            if !is_over {
                let chunk = LocatedChunk { at, length, hash };
                at = chunk.end();
                is_over = has_enough(chunk);
            }
            is_over
        };
        while read_at < self.size_bytes {
            let n = (self.size_bytes - read_at).min(buffer.len() as u64) as usize;
            file_io::read_exact_at(self.file, &mut buffer[..n], read_at)?;
            read_at += n as u64;
            let mut is_enough = false;
            chunker.update(&buffer[..n], &mut |hash, length| {
                is_enough = take(hash, length);
            });
            if is_enough {
                return Ok(());
            }
        }
        chunker.finish(&mut |hash, length| {
            take(hash, length);
        });
        Ok(())
    }

    /// Joins the chunks of all sections, in order.
    fn join(
        self,
        n_sections: u64,
        inboxes: &[Receiver<io::Result<Vec<LocatedChunk>>>],
        on_read: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> io::Result<Option<ChunkedFile>> {
        let mut whole = JoinedChunks::default();
        for section in 0..n_sections {
            let inbox = &inboxes[section as usize % inboxes.len()];
            let chunks = inbox.recv().map_err(io::Error::other)??;
            let shared_boundary = |at| {
                chunks
                    .binary_search_by_key(&at, |chunk: &LocatedChunk| chunk.at)
                    .ok()
            };
            let mut from = shared_boundary(whole.at);
            let until = chunks.last().map_or(whole.at, LocatedChunk::end);
            if from.is_none() && whole.at < until {
                self.chunk_from(whole.at, &mut |chunk| {
                    whole.push(&chunk);
                    from = shared_boundary(chunk.end());
                    from.is_some() || chunk.end() >= until
                })?;
            }
            for chunk in from.map_or(&[][..], |from| &chunks[from..]) {
                whole.push(chunk);
            }
            let start = section * self.section;
            if on_read(self.section.min(self.size_bytes - start)).is_break() {
                return Ok(None);
            }
        }
        Ok(Some(ChunkedFile {
            hash: file_hash(whole.tree.root()),
            chunk_lengths: whole.chunk_lengths,
        }))
    }
}

/// The chunks with known correct boundaries, from the start of the file.
#[derive(Default)]
struct JoinedChunks {
    at: u64,
    tree: MerkleTree,
    chunk_lengths: Vec<u32>,
}

impl JoinedChunks {
    fn push(&mut self, chunk: &LocatedChunk) {
        debug_assert_eq!(chunk.at, self.at);
        self.tree.push(chunk.hash, u64::from(chunk.length));
        self.chunk_lengths.push(chunk.length);
        self.at = chunk.end();
    }
}

/// Completes a list of chunk lengths. Only chunks of unknown length are read.
pub fn complete_lengths(
    file: &File,
    size_bytes: u64,
    known: &[Option<u32>],
) -> io::Result<Vec<u32>> {
    let mut lengths = Vec::with_capacity(known.len());
    let mut buffer = vec![0; MAX_CHUNK];
    let mut at = 0;
    for length in known {
        let length = match length {
            Some(length) => *length,
            None => {
                let n = size_bytes.saturating_sub(at).min(MAX_CHUNK as u64) as usize;
                file_io::read_exact_at(file, &mut buffer[..n], at)?;
                first_length(&buffer[..n])
            }
        };
        at += u64::from(length);
        lengths.push(length);
    }
    Ok(lengths)
}

/// Returns the length of the chunk at the start of these bytes.
fn first_length(bytes: &[u8]) -> u32 {
    let mut chunks = ChunkLengths::default();
    chunks.update(bytes);
    chunks.finish().first().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::noise::noise;
    use super::*;

    /// Chunks the bytes in one pass, on one thread.
    fn in_one_pass(bytes: &[u8]) -> ChunkedFile {
        let mut chunker = Chunker::new();
        let mut whole = JoinedChunks::default();
        let mut keep = |hash, length| {
            let at = whole.at;
            whole.push(&LocatedChunk { at, length, hash });
        };
        chunker.update(bytes, &mut keep);
        chunker.finish(&mut keep);
        ChunkedFile {
            hash: file_hash(whole.tree.root()),
            chunk_lengths: whole.chunk_lengths,
        }
    }

    fn in_sections(bytes: &[u8], section: u64, n_threads: usize) -> ChunkedFile {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, bytes).unwrap();
        let chunker = ParallelChunker {
            file: &File::open(&path).unwrap(),
            size_bytes: bytes.len() as u64,
            section,
            keeps_page_cache: false,
        };
        let found = chunker.run(n_threads, &mut |_| ControlFlow::Continue(()));
        found.unwrap().unwrap()
    }

    #[test]
    fn a_file_is_chunked_from_disk_and_the_callback_can_stop_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, noise(1_000_000, 0)).unwrap();
        let mut n_read = 0;
        let mut listen = |n| {
            n_read += n;
            ControlFlow::Continue(())
        };
        let found = chunk_file(&path, 2, &mut listen).unwrap().unwrap();
        assert_eq!((n_read, found.chunk_lengths.len()), (1_000_000, 19));
        assert_eq!(
            found.hash.to_string(),
            "3d17b2d7d64a0e011b6717a52d9a16bd2c3f05b743fa8adf52a7d75dafab6d89"
        );
        let broken_off = chunk_file(&path, 2, &mut |_| ControlFlow::Break(())).unwrap();
        assert_eq!(broken_off, None);
        std::fs::write(&path, b"").unwrap();
        let empty = chunk_file(&path, 2, &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!(empty.unwrap().hash, XetHash::ZERO);
    }

    #[test]
    fn missing_lengths_are_completed_by_reading() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let bytes = noise(1_000_000, 0);
        std::fs::write(&path, &bytes).unwrap();
        let all = in_one_pass(&bytes).chunk_lengths;
        let file = File::open(&path).unwrap();
        for missing in [&[][..], &[0], &[18], &[3, 4, 9], &[0, 1, 17, 18]] {
            let known = |n: usize| (!missing.contains(&n)).then_some(all[n]);
            let known: Vec<_> = (0..all.len()).map(known).collect();
            let found = complete_lengths(&file, 1_000_000, &known).unwrap();
            assert_eq!(found, all, "{missing:?}");
        }
    }

    #[test]
    fn sections_without_a_shared_boundary_are_chunked_again() {
        // Zeros have no content-defined boundary, and no section starts at a chunk boundary.
        let zeros = vec![0; 2_000_000];
        assert_eq!(in_sections(&zeros, 300_001, 3), in_one_pass(&zeros));
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 48,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn sections_have_the_boundaries_of_the_whole_file(
            seed in any::<u64>(),
            size in 0usize..2_000_000,
            section in 20_000u64..900_000,
            n_threads in 1usize..6,
            hole in prop::option::of((0usize..1_000_000, 1usize..600_000)),
        ) {
            let mut bytes = noise(size, seed);
            if let Some((start, length)) = hole {
                let end = (start + length).min(size);
                bytes[start.min(end)..end].fill(0);
            }
            prop_assert_eq!(in_sections(&bytes, section, n_threads), in_one_pass(&bytes));
        }
    }
}
