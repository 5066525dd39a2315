//! Content hashes, computed while bytes pass.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::path::Path;

use sha1::Sha1;
use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest, Sha256};

use crate::domain::content::ContentId;
use crate::domain::proof::ProofStamp;
use crate::domain::ranges::ByteRange;
use crate::sys::stamp::stamp_of;
use crate::sys::{file_io, open};

/// The result of reading a whole file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WholeRead {
    pub has_content: bool,
    /// The file's stamp; `None` if it changed during the read.
    pub stamp: Option<ProofStamp>,
}

/// Reads a file and returns whether it has this content.
pub fn has_content(path: &Path, content: &ContentId) -> io::Result<bool> {
    let read = prove_content(path, content, &mut |_| ControlFlow::Continue(()))?;
    Ok(read.is_some_and(|read| read.has_content))
}

/// Like `has_content`, and passes each block to `on_read`; `None` if that breaks off.
pub fn prove_content(
    path: &Path,
    content: &ContentId,
    on_read: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> io::Result<Option<WholeRead>> {
    let read = read_whole(path, &[*content], on_read)?;
    Ok(read.map(|(hashers, stamp)| WholeRead {
        has_content: hashers.into_iter().all(|hasher| hasher.finish().is_ok()),
        stamp,
    }))
}

/// Reads a file and returns its SHA-256 and its git blob id, with its stamp unless it
/// changed during the read; `None` if `on_read` breaks off.
pub fn hash_both_ways(
    path: &Path,
    on_read: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> io::Result<Option<([ContentId; 2], Option<ProofStamp>)>> {
    let unknown = [ContentId::Sha256([0; 32]), ContentId::GitSha1([0; 20])];
    let read = read_whole(path, &unknown, on_read)?;
    Ok(read.map(|(hashers, stamp)| {
        let mut found = unknown;
        for (found, hasher) in found.iter_mut().zip(hashers) {
            *found = hasher.found();
        }
        (found, stamp)
    }))
}

/// A hash of the first bytes of a file, in a form that a later process can continue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialHash {
    /// The number of bytes that were hashed.
    pub position: u64,
    /// The state of the hash, sealed by a checksum.
    pub state: Vec<u8>,
}

/// The result of reading a file in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartRead {
    Whole(WholeRead),
    Part(PartialHash),
    /// The file or the state is not the one that the earlier parts are of.
    Changed,
}

/// Reads a file on from an earlier part, up to a position or until `on_read` breaks off.
///
/// The earlier part counts only while the file has the `expected` stamp.
pub fn prove_part(
    path: &Path,
    content: &ContentId,
    expected: &ProofStamp,
    from: Option<&PartialHash>,
    up_to: u64,
    on_read: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> io::Result<PartRead> {
    let mut reading = FileReading::open(path)?;
    let hasher = match from {
        None => Some(ContentHasher::new(*content, reading.stamp.size_bytes)),
        Some(from) => ContentHasher::resume(*content, from),
    };
    let hasher = hasher.filter(|_| reading.stamp == *expected);
    let Some(hasher) = hasher else {
        return Ok(PartRead::Changed);
    };
    let mut hashers = [hasher];
    reading.skip(from.map_or(0, |from| from.position))?;
    let limit = if up_to < expected.size_bytes {
        up_to
    } else {
        u64::MAX
    };
    let is_whole = reading.read_on(limit, &mut hashers, on_read)?;
    let stamp = reading.unchanged_stamp()?;
    let [hasher] = hashers;
    Ok(match (is_whole, stamp) {
        (true, stamp) => PartRead::Whole(WholeRead {
            has_content: hasher.finish().is_ok(),
            stamp,
        }),
        (false, Some(_)) => PartRead::Part(hasher.pause(reading.position)),
        (false, None) => PartRead::Changed,
    })
}

/// Reads a file for a hasher of each content, and returns them with the file's stamp;
/// there is none if the file changed meanwhile.
fn read_whole(
    path: &Path,
    contents: &[ContentId],
    on_read: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> io::Result<Option<(Vec<ContentHasher>, Option<ProofStamp>)>> {
    let mut reading = FileReading::open(path)?;
    let contents = contents.iter();
    let mut hashers: Vec<ContentHasher> = contents
        .map(|content| ContentHasher::new(*content, reading.stamp.size_bytes))
        .collect();
    if !reading.read_on(u64::MAX, &mut hashers, on_read)? {
        return Ok(None);
    }
    Ok(Some((hashers, reading.unchanged_stamp()?)))
}

/// A file that is read in order.
///
/// The bytes are evicted from the page cache: a read of everything on disk must not displace
/// the working set of other programs.
struct FileReading<'p> {
    path: &'p Path,
    file: File,
    /// The stamp of the file when it was opened.
    stamp: ProofStamp,
    position: u64,
    evicted_up_to: u64,
}

impl<'p> FileReading<'p> {
    fn open(path: &'p Path) -> io::Result<Self> {
        let file = open::read_through_links(path)?;
        Ok(Self {
            path,
            stamp: stamp_of(&file.metadata()?, path),
            file,
            position: 0,
            evicted_up_to: 0,
        })
    }

    fn skip(&mut self, n_bytes: u64) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(n_bytes))?;
        (self.position, self.evicted_up_to) = (n_bytes, n_bytes);
        Ok(())
    }

    /// Reads up to a position; returns whether that was the whole file.
    fn read_on(
        &mut self,
        up_to: u64,
        hashers: &mut [ContentHasher],
        on_read: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> io::Result<bool> {
        const FORGET_EVERY: u64 = 8 << 20;
        let mut buffer = vec![0; 256 * 1024];
        while self.position < up_to {
            let most = (up_to - self.position).min(buffer.len() as u64) as usize;
            match self.file.read(&mut buffer[..most]) {
                Ok(0) => return Ok(true),
                Ok(n) => {
                    for hasher in &mut *hashers {
                        hasher.update(&buffer[..n]);
                    }
                    self.position += n as u64;
                    if self.position - self.evicted_up_to >= FORGET_EVERY {
                        let range = ByteRange::new(self.evicted_up_to, self.position);
                        file_io::forget(&self.file, range);
                        self.evicted_up_to = self.position;
                    }
                    if on_read(&buffer[..n]).is_break() {
                        return Ok(false);
                    }
                }
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => return Err(err),
            }
        }
        Ok(false)
    }

    /// Returns the stamp of the file; `None` if it changed since it was opened.
    fn unchanged_stamp(&self) -> io::Result<Option<ProofStamp>> {
        let now = stamp_of(&self.file.metadata()?, self.path);
        Ok(Some(now).filter(|now| *now == self.stamp))
    }
}

/// Computes the kind of hash that identifies a content.
pub(crate) struct ContentHasher {
    expected: ContentId,
    state: HasherState,
}

enum HasherState {
    Sha256(Sha256),
    Sha1(Sha1),
}

impl ContentHasher {
    pub(crate) fn new(expected: ContentId, size_bytes: u64) -> Self {
        let state = match expected {
            ContentId::Sha256(_) => HasherState::Sha256(Sha256::new()),
            ContentId::GitSha1(_) => {
                // Git hashes a header with type and length before the bytes.
                let mut sha1 = Sha1::new();
                sha1.update(format!("blob {size_bytes}\0"));
                HasherState::Sha1(sha1)
            }
        };
        Self { expected, state }
    }

    /// Continues a paused hash; `None` if its state is damaged or of another version.
    fn resume(expected: ContentId, from: &PartialHash) -> Option<Self> {
        let (seal, state) = from.state.split_at_checked(SEAL_LEN)?;
        if seal != seal_of(&expected, from.position, state) {
            return None;
        }
        let state = match expected {
            ContentId::Sha256(_) => HasherState::Sha256(restored(state)?),
            ContentId::GitSha1(_) => HasherState::Sha1(restored(state)?),
        };
        Some(Self { expected, state })
    }

    /// Returns the state in a form that another process can continue.
    fn pause(&self, position: u64) -> PartialHash {
        let state = match &self.state {
            HasherState::Sha256(sha256) => sha256.serialize().to_vec(),
            HasherState::Sha1(sha1) => sha1.serialize().to_vec(),
        };
        let mut sealed = seal_of(&self.expected, position, &state).to_vec();
        sealed.extend(state);
        PartialHash {
            position,
            state: sealed,
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            HasherState::Sha256(sha256) => sha256.update(bytes),
            HasherState::Sha1(sha1) => sha1.update(bytes),
        }
    }

    /// Compares the hash with the expected one; returns the actual hash if they differ.
    pub(crate) fn finish(self) -> Result<(), ContentId> {
        let expected = self.expected;
        let found = self.found();
        if found == expected {
            Ok(())
        } else {
            Err(found)
        }
    }

    fn found(self) -> ContentId {
        match self.state {
            HasherState::Sha256(sha256) => ContentId::Sha256(sha256.finalize().into()),
            HasherState::Sha1(sha1) => ContentId::GitSha1(sha1.finalize().into()),
        }
    }
}

const SEAL_LEN: usize = 32;

/// Returns the checksum of a paused hash. A state that the disk has damaged would declare
/// a good file bad.
fn seal_of(content: &ContentId, position: u64, state: &[u8]) -> [u8; SEAL_LEN] {
    // The packages keep the form of a state within these versions.
    const FORM: &[u8] = b"sha1 0.11, sha2 0.11";
    let mut seal = Sha256::new();
    seal.update(FORM);
    seal.update(content.to_string());
    seal.update(position.to_le_bytes());
    seal.update(state);
    seal.finalize().into()
}

fn restored<H: SerializableState>(state: &[u8]) -> Option<H> {
    let state = SerializedState::<H>::try_from(state).ok()?;
    H::deserialize(&state).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_hash_match_their_content() {
        let ids = [
            "b45ef6fec89518d314f546fd6c3025367b721684",
            "dffd6021bb2bd5b0af676290809ec3a53191dd81c7f70a4b28688a362182986f",
        ];
        for id in ids {
            let id = ContentId::from_etag(id).unwrap();
            let hashed = |parts: &[&str]| {
                let mut hasher = ContentHasher::new(id, 13);
                parts.iter().for_each(|part| hasher.update(part.as_bytes()));
                hasher.finish()
            };
            assert_eq!(hashed(&["Hello, ", "World!"]), Ok(()));
            assert!(hashed(&["Hello, ", "World?"]).is_err());
        }
    }

    /// A file with bytes, its content ids, and its stamp.
    fn written(dir: &Path) -> (std::path::PathBuf, [ContentId; 2], ProofStamp) {
        let path = dir.join("file");
        let bytes: Vec<u8> = (0..1_000_003u64).map(|n| ((n * n) >> 7) as u8).collect();
        std::fs::write(&path, bytes).unwrap();
        let (contents, stamp) = hash_both_ways(&path, &mut |_| ControlFlow::Continue(()))
            .unwrap()
            .unwrap();
        (path, contents, stamp.unwrap())
    }

    fn part(
        path: &Path,
        content: &ContentId,
        stamp: &ProofStamp,
        from: Option<&PartialHash>,
        up_to: u64,
    ) -> PartRead {
        let go_on = &mut |_: &[u8]| ControlFlow::Continue(());
        prove_part(path, content, stamp, from, up_to, go_on).unwrap()
    }

    #[test]
    fn a_hash_continues_where_an_earlier_process_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        let (path, contents, stamp) = written(dir.path());
        for content in contents {
            let mut from = None;
            for up_to in [1, 63, 64, 500_000, 999_999] {
                match part(&path, &content, &stamp, from.as_ref(), up_to) {
                    PartRead::Part(hash) => {
                        assert_eq!(hash.position, up_to);
                        from = Some(hash);
                    }
                    other => panic!("{other:?}"),
                }
            }
            let end = part(&path, &content, &stamp, from.as_ref(), u64::MAX);
            let whole = WholeRead {
                has_content: true,
                stamp: Some(stamp),
            };
            assert_eq!(end, PartRead::Whole(whole));
        }
    }

    #[test]
    fn a_part_of_another_file_and_a_damaged_state_are_not_continued() {
        let dir = tempfile::tempdir().unwrap();
        let (path, [content, other], stamp) = written(dir.path());
        let PartRead::Part(hash) = part(&path, &content, &stamp, None, 1000) else {
            panic!("a part was asked for");
        };
        let touched = ProofStamp {
            modified_ns: stamp.modified_ns + 1,
            ..stamp
        };
        let on = |content: &ContentId, stamp: &ProofStamp, from: &PartialHash| {
            part(&path, content, stamp, Some(from), 2000)
        };
        assert!(matches!(on(&content, &stamp, &hash), PartRead::Part(_)));
        assert_eq!(on(&content, &touched, &hash), PartRead::Changed);
        assert_eq!(on(&other, &stamp, &hash), PartRead::Changed);
        for at in 0..hash.state.len() {
            let mut damaged = hash.clone();
            damaged.state[at] ^= 1;
            assert_eq!(on(&content, &stamp, &damaged), PartRead::Changed);
        }
        let moved = PartialHash {
            position: 999,
            ..hash
        };
        assert_eq!(on(&content, &stamp, &moved), PartRead::Changed);
    }
}
