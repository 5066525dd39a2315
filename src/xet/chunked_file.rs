//! Cuts a whole file with several threads.
//!
//! Each thread cuts a stretch of the file as if it began there. Such a beginning
//! is seldom a true cut, but a rolling hash that begins anew at every cut soon
//! falls into step: from the first place where a stretch and what comes from
//! before it cut alike, all further cuts of the stretch are the true ones. The
//! few chunks before that place are cut once more.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::chunking::Chunker;
use super::hashes::{MerkleTree, file_hash};
use crate::domain::ranges::ByteRange;
use crate::domain::xet::{MAX_CHUNK, XetHash};
use crate::sys::{file_io, open};

/// Long beside what is cut twice, short beside what a file is worth the threads for.
const STRETCH: u64 = 32 << 20;

/// Files up to this size stay in the system's memory when they are cut: most of
/// them is copied right after. Larger ones would only push out what others use.
const KEPT_UP_TO: u64 = 8 << 30;

/// What chunking a whole file tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkedFile {
    pub hash: XetHash,
    pub chunk_lengths: Vec<u32>,
}

/// Reads a file once and tells its Xet hash and the lengths of its chunks;
/// `None` when the listener, who hears of each stretch, broke off.
pub fn chunk_file(
    path: &Path,
    n_threads: usize,
    on_read: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> io::Result<Option<ChunkedFile>> {
    let file = open::read_through_links(path)?;
    let size_bytes = file.metadata()?.len();
    let cutter = Cutter {
        file: &file,
        size_bytes,
        stretch: STRETCH,
        is_kept: size_bytes <= KEPT_UP_TO,
    };
    cutter.run(n_threads, on_read)
}

#[derive(Clone, Copy, Debug)]
struct Chunk {
    at: u64,
    length: u32,
    hash: XetHash,
}

impl Chunk {
    fn end(&self) -> u64 {
        self.at + u64::from(self.length)
    }
}

#[derive(Clone, Copy)]
struct Cutter<'a> {
    file: &'a File,
    size_bytes: u64,
    stretch: u64,
    is_kept: bool,
}

impl Cutter<'_> {
    fn run(
        self,
        n_threads: usize,
        on_read: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> io::Result<Option<ChunkedFile>> {
        let n_stretches = self.size_bytes.div_ceil(self.stretch);
        let n_threads = n_threads.clamp(1, n_stretches.clamp(1, 64) as usize);
        std::thread::scope(|scope| {
            let mut inboxes = Vec::with_capacity(n_threads);
            for first in 0..n_threads as u64 {
                // One is done and one under way, so that memory has a bound.
                let (outbox, inbox) = sync_channel(1);
                inboxes.push(inbox);
                let mine = (first..n_stretches).step_by(n_threads);
                let thread = std::thread::Builder::new().name("chunks".into());
                thread.spawn_scoped(scope, move || self.cut_stretches(mine, &outbox))?;
            }
            self.join(n_stretches, &inboxes, on_read)
        })
    }

    fn cut_stretches(
        self,
        stretches: impl Iterator<Item = u64>,
        outbox: &SyncSender<io::Result<Vec<Chunk>>>,
    ) {
        for stretch in stretches {
            let start = stretch * self.stretch;
            let until = (start + self.stretch).min(self.size_bytes);
            let mut chunks = Vec::new();
            let mut keep = |chunk: Chunk| {
                chunks.push(chunk);
                chunk.end() >= until
            };
            let cut = self.cut_from(start, &mut keep);
            if !self.is_kept {
                file_io::forget(self.file, ByteRange::new(start, until));
            }
            if outbox.send(cut.map(|()| chunks)).is_err() {
                // Nobody listens any more.
                return;
            }
        }
    }

    /// Cuts from a place on, until the listener has enough or the file ends.
    fn cut_from(self, start: u64, has_enough: &mut dyn FnMut(Chunk) -> bool) -> io::Result<()> {
        let mut buffer = vec![0; 256 << 10];
        let mut chunker = Chunker::new();
        let (mut at, mut read_at, mut is_over) = (start, start, false);
        let mut take = |hash, length| {
            if !is_over {
                let chunk = Chunk { at, length, hash };
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

    /// Puts the stretches together.
    fn join(
        self,
        n_stretches: u64,
        inboxes: &[Receiver<io::Result<Vec<Chunk>>>],
        on_read: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> io::Result<Option<ChunkedFile>> {
        let mut whole = Whole::default();
        for stretch in 0..n_stretches {
            let inbox = &inboxes[stretch as usize % inboxes.len()];
            let chunks = inbox.recv().map_err(io::Error::other)??;
            let in_step = |at| {
                chunks
                    .binary_search_by_key(&at, |chunk: &Chunk| chunk.at)
                    .ok()
            };
            let mut from = in_step(whole.at);
            let until = chunks.last().map_or(whole.at, Chunk::end);
            if from.is_none() && whole.at < until {
                self.cut_from(whole.at, &mut |chunk| {
                    whole.push(&chunk);
                    from = in_step(chunk.end());
                    from.is_some() || chunk.end() >= until
                })?;
            }
            for chunk in from.map_or(&[][..], |from| &chunks[from..]) {
                whole.push(chunk);
            }
            let start = stretch * self.stretch;
            if on_read(self.stretch.min(self.size_bytes - start)).is_break() {
                return Ok(None);
            }
        }
        Ok(Some(ChunkedFile {
            hash: file_hash(whole.tree.root()),
            chunk_lengths: whole.chunk_lengths,
        }))
    }
}

/// The file as far as its true cuts are known.
#[derive(Default)]
struct Whole {
    at: u64,
    tree: MerkleTree,
    chunk_lengths: Vec<u32>,
}

impl Whole {
    fn push(&mut self, chunk: &Chunk) {
        debug_assert_eq!(chunk.at, self.at);
        self.tree.push(chunk.hash, u64::from(chunk.length));
        self.chunk_lengths.push(chunk.length);
        self.at = chunk.end();
    }
}

/// Finds out by reading how long the chunks of a file are whose length is not
/// known; those whose length is known are not read.
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

/// Returns how long the chunk is with which these bytes begin.
fn first_length(bytes: &[u8]) -> u32 {
    let mut first = None;
    let mut chunker = Chunker::new();
    let mut note = |_, length| {
        first.get_or_insert(length);
    };
    chunker.update(bytes, &mut note);
    chunker.finish(&mut note);
    first.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::chunking::tests::noise;
    use super::*;

    /// Cut in one go, by one thread.
    fn plainly(bytes: &[u8]) -> ChunkedFile {
        let mut chunker = Chunker::new();
        let mut whole = Whole::default();
        let mut keep = |hash, length| {
            let at = whole.at;
            whole.push(&Chunk { at, length, hash });
        };
        chunker.update(bytes, &mut keep);
        chunker.finish(&mut keep);
        ChunkedFile {
            hash: file_hash(whole.tree.root()),
            chunk_lengths: whole.chunk_lengths,
        }
    }

    fn in_stretches(bytes: &[u8], stretch: u64, n_threads: usize) -> ChunkedFile {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, bytes).unwrap();
        let cutter = Cutter {
            file: &File::open(&path).unwrap(),
            size_bytes: bytes.len() as u64,
            stretch,
            is_kept: false,
        };
        let found = cutter.run(n_threads, &mut |_| ControlFlow::Continue(()));
        found.unwrap().unwrap()
    }

    #[test]
    fn a_file_is_chunked_from_disk_and_the_listener_may_end_it() {
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
    fn lengths_that_are_missing_are_found_by_reading() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let bytes = noise(1_000_000, 0);
        std::fs::write(&path, &bytes).unwrap();
        let all = plainly(&bytes).chunk_lengths;
        let file = File::open(&path).unwrap();
        for missing in [&[][..], &[0], &[18], &[3, 4, 9], &[0, 1, 17, 18]] {
            let known = |n: usize| (!missing.contains(&n)).then_some(all[n]);
            let known: Vec<_> = (0..all.len()).map(known).collect();
            let found = complete_lengths(&file, 1_000_000, &known).unwrap();
            assert_eq!(found, all, "{missing:?}");
        }
    }

    #[test]
    fn stretches_that_never_fall_into_step_are_cut_once_more() {
        // Nothing is cut by its content here, and no stretch begins where a chunk does.
        let zeros = vec![0; 2_000_000];
        assert_eq!(in_stretches(&zeros, 300_001, 3), plainly(&zeros));
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 48,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn stretches_are_cut_like_the_whole(
            seed in any::<u64>(),
            size in 0usize..2_000_000,
            stretch in 20_000u64..900_000,
            n_threads in 1usize..6,
            hole in prop::option::of((0usize..1_000_000, 1usize..600_000)),
        ) {
            let mut bytes = noise(size, seed);
            if let Some((start, length)) = hole {
                let end = (start + length).min(size);
                bytes[start.min(end)..end].fill(0);
            }
            prop_assert_eq!(in_stretches(&bytes, stretch, n_threads), plainly(&bytes));
        }
    }
}
