//! The record beside a partial file: which of its bytes are on disk.
//!
//! A header binds it to one content and size, never to a commit or a number of
//! connections. Then lines are only appended, each with a check that covers
//! the header too, and only after the bytes they name were forced to disk. A
//! reader stops at the first line that does not check, so a torn or altered
//! journal says less than the truth and never more.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::domain::content::ContentId;
use crate::domain::ranges::{ByteRange, RangeSet};

const MAGIC: &[u8; 8] = b"hfdl-p1\n";
const CHECK_BYTES: usize = 8;
const HEADER_BYTES: usize = 8 + 8 + 33 + CHECK_BYTES;
const LINE_BYTES: usize = 16 + CHECK_BYTES;

/// No journal of ours grows so large; reading a foreign file must not fill memory.
const LARGEST: u64 = 16 << 20;

/// A journal that is open for appending.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    header: [u8; HEADER_BYTES],
    /// What the journal says so far.
    recorded: RangeSet,
}

impl Journal {
    /// Returns the journal's name beside a partial file.
    pub(crate) fn path_of(partial: &Path) -> PathBuf {
        super::partial::beside(partial, ".journal")
    }

    /// Starts a journal anew, in place of any other, with what is known to be on disk.
    pub(crate) fn create(
        path: &Path,
        content: &ContentId,
        size_bytes: u64,
        on_disk: &RangeSet,
    ) -> io::Result<Self> {
        let header = header(content, size_bytes);
        let mut bytes = header.to_vec();
        for range in on_disk.ranges() {
            bytes.extend_from_slice(&line(&header, *range));
        }
        let aside = super::partial::beside(path, ".new");
        let mut file = File::create(&aside)?;
        file.write_all(&bytes)?;
        file.sync_data()?;
        drop(file);
        std::fs::rename(&aside, path)?;
        Ok(Self {
            file: OpenOptions::new().append(true).open(path)?,
            header,
            recorded: on_disk.clone(),
        })
    }

    /// Records what of `done` is not recorded yet. The caller has forced
    /// those bytes to disk before: that order is the whole point.
    pub(crate) fn record(&mut self, done: &RangeSet) -> io::Result<()> {
        let mut bytes = Vec::new();
        let new = done.minus(&self.recorded);
        for range in &new {
            bytes.extend_from_slice(&line(&self.header, *range));
        }
        if bytes.is_empty() {
            return Ok(());
        }
        self.file.write_all(&bytes)?;
        self.file.sync_data()?;
        for range in new {
            self.recorded.insert(range);
        }
        Ok(())
    }

    pub(crate) fn recorded(&self) -> &RangeSet {
        &self.recorded
    }
}

/// Reads which bytes of a content are on disk; nothing for whatever is no
/// journal of exactly this content.
pub(crate) fn read(path: &Path, content: &ContentId, size_bytes: u64) -> io::Result<RangeSet> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(LARGEST).read_to_end(&mut bytes)?,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(RangeSet::new()),
        Err(err) => return Err(err),
    };
    Ok(parse(&bytes, content, size_bytes))
}

fn parse(bytes: &[u8], content: &ContentId, size_bytes: u64) -> RangeSet {
    let header = header(content, size_bytes);
    let mut on_disk = RangeSet::new();
    let Some(lines) = bytes.strip_prefix(header.as_slice()) else {
        return on_disk;
    };
    for found in lines.chunks_exact(LINE_BYTES) {
        let number = |at: usize| {
            let mut raw = [0; 8];
            raw.copy_from_slice(&found[at..at + 8]);
            u64::from_le_bytes(raw)
        };
        let (start, end) = (number(0), number(8));
        if start >= end || end > size_bytes {
            break;
        }
        let range = ByteRange::new(start, end);
        if line(&header, range) != found {
            break;
        }
        on_disk.insert(range);
    }
    on_disk
}

fn header(content: &ContentId, size_bytes: u64) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(MAGIC);
    header[8..16].copy_from_slice(&size_bytes.to_le_bytes());
    match content {
        ContentId::Sha256(hash) => {
            header[16] = 1;
            header[17..49].copy_from_slice(hash);
        }
        ContentId::GitSha1(hash) => {
            header[16] = 2;
            header[17..37].copy_from_slice(hash);
        }
    }
    let check = check(&[&header[..HEADER_BYTES - CHECK_BYTES]]);
    header[HEADER_BYTES - CHECK_BYTES..].copy_from_slice(&check);
    header
}

fn line(header: &[u8], range: ByteRange) -> [u8; LINE_BYTES] {
    let mut line = [0; LINE_BYTES];
    line[..8].copy_from_slice(&range.start.to_le_bytes());
    line[8..16].copy_from_slice(&range.end.to_le_bytes());
    let check = check(&[header, &line[..16]]);
    line[16..].copy_from_slice(&check);
    line
}

fn check(parts: &[&[u8]]) -> [u8; CHECK_BYTES] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&hasher.finalize()[..CHECK_BYTES]);
    check
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIZE: u64 = 1 << 20;
    const CONTENT: ContentId = ContentId::Sha256([7; 32]);

    fn set(ranges: &[(u64, u64)]) -> RangeSet {
        ranges.iter().map(|&(a, b)| ByteRange::new(a, b)).collect()
    }

    #[test]
    fn what_is_recorded_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.journal");
        let mut journal = Journal::create(&path, &CONTENT, SIZE, &set(&[(5, 9)])).unwrap();
        journal.record(&set(&[(5, 9), (100, 200)])).unwrap();
        journal.record(&set(&[(0, 9), (100, 300)])).unwrap();
        assert_eq!(journal.recorded(), &set(&[(0, 9), (100, 300)]));
        let found = read(&path, &CONTENT, SIZE).unwrap();
        assert_eq!(found, set(&[(0, 9), (100, 300)]));
    }

    #[test]
    fn a_journal_of_another_content_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.journal");
        assert_eq!(read(&path, &CONTENT, SIZE).unwrap(), RangeSet::new());
        Journal::create(&path, &CONTENT, SIZE, &set(&[(5, 9)])).unwrap();
        let others = [
            (ContentId::Sha256([8; 32]), SIZE),
            (ContentId::GitSha1([7; 20]), SIZE),
            (CONTENT, SIZE + 1),
        ];
        for (content, size) in others {
            assert_eq!(read(&path, &content, size).unwrap(), RangeSet::new());
        }
    }

    proptest! {
        #[test]
        fn a_damaged_journal_never_claims_a_byte_too_many(
            ranges in prop::collection::vec((0u64..SIZE - 5000, 1u64..5000), 0..6),
            cut in any::<prop::sample::Index>(),
            flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 0..4),
            tail in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let header = header(&CONTENT, SIZE);
            let mut bytes = header.to_vec();
            let mut truth = RangeSet::new();
            for (start, len) in ranges {
                let range = ByteRange::new(start, start + len);
                truth.insert(range);
                bytes.extend_from_slice(&line(&header, range));
            }
            prop_assert_eq!(&parse(&bytes, &CONTENT, SIZE), &truth);
            bytes.truncate(cut.index(bytes.len() + 1));
            for (index, mask) in flips {
                if !bytes.is_empty() {
                    let index = index.index(bytes.len());
                    bytes[index] ^= mask;
                }
            }
            bytes.extend(tail);
            let told = parse(&bytes, &CONTENT, SIZE);
            prop_assert_eq!(told.minus(&truth), vec![]);
        }
    }
}
