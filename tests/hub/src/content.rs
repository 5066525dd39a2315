//! File contents with the two hashes that the Hub uses.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use sha1::{Digest, Sha1};
use sha2::Sha256;

const BLOCK: usize = 64 * 1024;

/// Content that is cheap to clone and hashed at most once.
#[derive(Clone)]
pub(crate) struct Content(Arc<Inner>);

struct Inner {
    source: Source,
    git_blob_id: OnceLock<String>,
    sha256: OnceLock<String>,
}

enum Source {
    Bytes(Vec<u8>),
    Generated {
        size: u64,
        seed: u64,
        block: Vec<u8>,
    },
    Disk {
        path: PathBuf,
        size: u64,
        stamp: String,
    },
}

impl Content {
    pub(crate) fn bytes(bytes: Vec<u8>) -> Self {
        Self::new(Source::Bytes(bytes))
    }

    /// Returns content that is computed from the offset, so its size costs no memory.
    pub(crate) fn generated(size: u64, seed: u64) -> Self {
        Self::new(Source::Generated {
            size,
            seed,
            block: base_block(seed),
        })
    }

    /// Returns content that is read from `path` each time it is served.
    pub(crate) fn disk(path: &Path) -> io::Result<Self> {
        let metadata = path.metadata()?;
        let stamp = format!("{:?}", metadata.modified()?);
        Ok(Self::new(Source::Disk {
            path: path.to_owned(),
            size: metadata.len(),
            stamp,
        }))
    }

    fn new(source: Source) -> Self {
        Self(Arc::new(Inner {
            source,
            git_blob_id: OnceLock::new(),
            sha256: OnceLock::new(),
        }))
    }

    pub(crate) fn len(&self) -> u64 {
        match &self.0.source {
            Source::Bytes(bytes) => bytes.len() as u64,
            Source::Generated { size, .. } | Source::Disk { size, .. } => *size,
        }
    }

    /// Fills `buffer` with the bytes from `offset`; bytes after the end are zero.
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let left = self.len().saturating_sub(offset);
        let wanted = (buffer.len() as u64).min(left) as usize;
        let (inside, behind) = buffer.split_at_mut(wanted);
        behind.fill(0);
        match &self.0.source {
            Source::Bytes(bytes) => {
                let start = offset.min(bytes.len() as u64) as usize;
                inside.copy_from_slice(&bytes[start..start + wanted]);
            }
            Source::Generated { seed, block, .. } => fill_generated(*seed, block, offset, inside),
            Source::Disk { path, .. } => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(offset))?;
                file.read_exact(inside)?;
            }
        }
        Ok(())
    }

    pub(crate) fn to_vec(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.len() as usize];
        self.read_at(0, &mut bytes)?;
        Ok(bytes)
    }

    /// Returns the git blob id of the bytes themselves.
    pub(crate) fn git_blob_id(&self) -> &str {
        self.0.git_blob_id.get_or_init(|| {
            let mut hasher = Sha1::new();
            hasher.update(format!("blob {}\0", self.len()));
            self.each_block(|block| hasher.update(block));
            hex(&hasher.finalize())
        })
    }

    pub(crate) fn sha256(&self) -> &str {
        self.0.sha256.get_or_init(|| {
            let mut hasher = Sha256::new();
            self.each_block(|block| hasher.update(block));
            hex(&hasher.finalize())
        })
    }

    /// Returns a text that identifies this content without reading large files.
    ///
    /// Commit hashes are computed from it. Hashing 4 GiB only to publish a commit would slow down
    /// every test that never downloads the file.
    pub(crate) fn identity(&self) -> String {
        match &self.0.source {
            Source::Bytes(_) => self.git_blob_id().to_owned(),
            Source::Generated { size, seed, .. } => format!("generated {size} {seed}"),
            Source::Disk { size, stamp, .. } => format!("disk {size} {stamp}"),
        }
    }

    /// Returns the pointer text that git stores in place of an LFS file.
    pub(crate) fn lfs_pointer(&self) -> String {
        format!(
            "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n",
            self.sha256(),
            self.len()
        )
    }

    pub(crate) fn each_block(&self, mut visit: impl FnMut(&[u8])) {
        let mut buffer = vec![0; BLOCK];
        let mut offset = 0;
        while offset < self.len() {
            let n = (self.len() - offset).min(BLOCK as u64) as usize;
            if self.read_at(offset, &mut buffer[..n]).is_err() {
                // A missing file gets a hash that matches nothing, so the test fails at its next
                // step.
                return;
            }
            visit(&buffer[..n]);
            offset += n as u64;
        }
    }
}

/// Returns the bytes of a generated file of this size and seed.
pub fn generated_bytes(size: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; size];
    fill_generated(seed, &base_block(seed), 0, &mut bytes);
    bytes
}

/// Returns the git blob id of some bytes: the etag of a small file.
pub fn git_blob_id(bytes: &[u8]) -> String {
    let mut hasher = Sha1::new();
    hasher.update(format!("blob {}\0", bytes.len()));
    hasher.update(bytes);
    hex(&hasher.finalize())
}

/// Returns the SHA-256 of some bytes: the etag of an LFS file.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(crate) fn sha1_hex(bytes: &[u8]) -> String {
    hex(&Sha1::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every block of a generated file is the same noise with its own number at the start: copying is
/// fast even without optimisation, and a block at the wrong offset still has wrong bytes.
fn fill_generated(seed: u64, block: &[u8], offset: u64, buffer: &mut [u8]) {
    let mut done = 0;
    while done < buffer.len() {
        let position = offset + done as u64;
        let (number, within) = (position / BLOCK as u64, (position % BLOCK as u64) as usize);
        let n = (BLOCK - within).min(buffer.len() - done);
        buffer[done..done + n].copy_from_slice(&block[within..within + n]);
        let tag = scramble(seed ^ scramble(number)).to_le_bytes();
        for at in within..tag.len().min(within + n) {
            buffer[done + at - within] = tag[at];
        }
        done += n;
    }
}

fn base_block(seed: u64) -> Vec<u8> {
    (0..BLOCK as u64 / 8)
        .flat_map(|word| scramble(seed.wrapping_mul(0x1_0001).wrapping_add(word)).to_le_bytes())
        .collect()
}

/// The finalising step of SplitMix64: neighbouring inputs give unrelated outputs.
fn scramble(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_match_those_of_git_and_lfs() {
        let content = Content::bytes(b"Hello, World!".to_vec());
        assert_eq!(
            content.git_blob_id(),
            "b45ef6fec89518d314f546fd6c3025367b721684"
        );
        assert_eq!(git_blob_id(b""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
        assert_eq!(
            sha256_hex(b""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn generated_content_does_not_depend_on_the_read_sizes() {
        let size = 3 * BLOCK + 100;
        let whole = generated_bytes(size, 7);
        let content = Content::generated(size as u64, 7);
        for (start, end) in [
            (0, size),
            (3, 9),
            (BLOCK - 1, BLOCK + 5),
            (2 * BLOCK + 4, size),
        ] {
            let mut part = vec![0; end - start];
            content.read_at(start as u64, &mut part).unwrap();
            assert_eq!(part, whole[start..end], "{start}..{end}");
        }
        assert_ne!(whole[..BLOCK], whole[BLOCK..2 * BLOCK]);
        assert_ne!(whole, generated_bytes(size, 8));
        assert_eq!(content.sha256(), sha256_hex(&whole));
    }
}
