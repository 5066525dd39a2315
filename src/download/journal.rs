//! The journal of a partial file: records the byte ranges that are on disk.
//!
//! The header binds it to one content and size, never to a commit or a number of connections.
//! Lines are only appended, each with a checksum over the header and the line. A *flushed* line
//! covers bytes that were flushed before the line was written; they survive a power cut. A
//! *written* line covers bytes that were passed to the system during the current boot. They
//! survive a killed process but not a power cut, so the checksum includes the boot id and the
//! line is ignored after a reboot. Written lines cost microseconds, so a killed process loses
//! little even on a slow disk.
//!
//! A reader skips lines with a wrong checksum: a torn or altered journal claims fewer bytes,
//! never more. A written line that is wrong anyway, for example after a disk was removed, leads
//! to a hash mismatch.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::domain::content::ContentId;
use crate::domain::ranges::{ByteRange, RangeSet};
use crate::sys::files::{remove_if_present, rename_over, sync_dir};
use crate::sys::{file_io, open};

const MAGIC: &[u8; 8] = b"hfdl-p1\n";
const CHECK_BYTES: usize = 8;
const HEADER_BYTES: usize = 8 + 8 + 33 + CHECK_BYTES;
const LINE_BYTES: usize = 16 + CHECK_BYTES;

/// Read limit; no valid journal reaches it, and foreign files must not fill memory.
const MAX_READ_BYTES: u64 = 16 << 20;

/// Size beyond which a journal is rewritten without its history.
const COMPACT_AT: u64 = 1 << 20;

/// A journal that is open for appending.
#[derive(Debug)]
pub(crate) struct PartialJournal {
    path: PathBuf,
    /// Closed while the journal is replaced or removed: Windows may refuse both for an open file.
    file: Option<Arc<File>>,
    len: u64,
    header: [u8; HEADER_BYTES],
    /// Boot id for written lines; without it none are recorded.
    boot: Option<String>,
    /// Ranges recorded as flushed.
    flushed: RangeSet,
    /// Ranges recorded as flushed or as written in this boot.
    written: RangeSet,
}

/// The valid ranges of a journal.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct JournalContents {
    pub(crate) flushed: RangeSet,
    /// Written in the current boot, flushed or not.
    pub(crate) written: RangeSet,
}

impl JournalContents {
    /// Returns all ranges that are readable during the current boot.
    pub(crate) fn all(mut self) -> RangeSet {
        for range in self.written.ranges() {
            self.flushed.insert(*range);
        }
        self.flushed
    }
}

impl PartialJournal {
    /// Returns the journal path of a partial file.
    pub(crate) fn path_of(partial: &Path) -> PathBuf {
        super::partial::beside(partial, ".journal")
    }

    /// Creates a journal that replaces any earlier one and records the flushed ranges.
    pub(crate) fn create(
        path: &Path,
        content: &ContentId,
        size_bytes: u64,
        on_disk: &RangeSet,
    ) -> io::Result<Self> {
        let header = header(content, size_bytes);
        let boot = file_io::boot_id();
        let (file, len) = write_journal(path, &header, on_disk, &[], None)?;
        Ok(Self {
            path: path.to_owned(),
            file: Some(file),
            len,
            header,
            boot,
            flushed: on_disk.clone(),
            written: on_disk.clone(),
        })
    }

    /// Records the new ranges of `done` as flushed; the caller must have flushed them before.
    /// Returns the journal file, which the caller syncs without holding a lock.
    pub(crate) fn record_flushed(&mut self, done: &RangeSet) -> io::Result<Arc<File>> {
        let new = done.minus(&self.flushed);
        self.append(&new, None)?;
        for range in new {
            self.flushed.insert(range);
            self.written.insert(range);
        }
        if self.len > COMPACT_AT {
            self.rewrite()?;
        }
        self.open_file().cloned()
    }

    /// Records the new ranges of `done` as written but not flushed.
    pub(crate) fn record_written(&mut self, done: &RangeSet) -> io::Result<()> {
        let Some(boot) = self.boot.clone() else {
            return Ok(());
        };
        let new = done.minus(&self.written);
        self.append(&new, Some(&boot))?;
        for range in new {
            self.written.insert(range);
        }
        Ok(())
    }

    /// Removes all written lines after a failed flush, because those bytes may be lost. Rewrites
    /// the journal; if even that fails, removes it.
    pub(crate) fn withdraw_written(&mut self) -> io::Result<()> {
        self.written = self.flushed.clone();
        self.rewrite().or_else(|err| {
            // Without its journal the whole file is fetched again.
            (self.flushed, self.written) = Default::default();
            self.remove()?;
            let folder = self.path.parent().unwrap_or(Path::new("."));
            sync_dir(folder).map_err(|_| err)
        })
    }

    /// Removes the journal, which then records nothing more.
    pub(crate) fn remove(&mut self) -> io::Result<()> {
        self.file = None;
        remove_if_present(&self.path).map(drop)
    }

    /// Replaces the journal by one without its history.
    fn rewrite(&mut self) -> io::Result<()> {
        let written = self.written.minus(&self.flushed);
        let (path, boot) = (&self.path, self.boot.as_deref());
        self.file = None;
        match write_journal(path, &self.header, &self.flushed, &written, boot) {
            Ok((file, len)) => {
                (self.file, self.len) = (Some(file), len);
                Ok(())
            }
            Err(err) => {
                self.file = open::append(path).ok().map(Arc::new);
                Err(err)
            }
        }
    }

    fn open_file(&self) -> io::Result<&Arc<File>> {
        let closed = || io::Error::other("the journal was removed");
        self.file.as_ref().ok_or_else(closed)
    }

    pub(crate) fn flushed(&self) -> &RangeSet {
        &self.flushed
    }

    fn append(&mut self, ranges: &[ByteRange], boot: Option<&str>) -> io::Result<()> {
        let lines = lines(&self.header, ranges, boot);
        let file = self.open_file()?;
        if let Err(err) = (&**file).write_all(&lines) {
            // Remove a partial line: later lines could not be parsed after it.
            let _ = file.set_len(self.len);
            return Err(err);
        }
        self.len += lines.len() as u64;
        Ok(())
    }
}

/// Writes a complete journal to a temporary file, renames it into place and opens it for
/// appending.
fn write_journal(
    path: &Path,
    header: &[u8],
    flushed: &RangeSet,
    written: &[ByteRange],
    boot: Option<&str>,
) -> io::Result<(Arc<File>, u64)> {
    let mut bytes = header.to_vec();
    bytes.extend(lines(header, flushed.ranges(), None));
    bytes.extend(lines(header, written, boot));
    let temporary = super::partial::beside(path, ".new");
    let mut file = open::anew(&temporary)?;
    file.write_all(&bytes)?;
    file.sync_data()?;
    drop(file);
    rename_over(&temporary, path)?;
    Ok((Arc::new(open::append(path)?), bytes.len() as u64))
}

/// Reads the valid ranges for a content; none if the file is not a journal of this content and
/// size.
pub(crate) fn read(
    path: &Path,
    content: &ContentId,
    size_bytes: u64,
) -> io::Result<JournalContents> {
    let mut bytes = Vec::new();
    match open::read(path) {
        Ok(file) => file.take(MAX_READ_BYTES).read_to_end(&mut bytes)?,
        // The next journal replaces anything that is not a regular file.
        Err(err) if err.kind() == io::ErrorKind::NotFound || open::is_not_plain(&err) => {
            return Ok(JournalContents::default());
        }
        Err(err) => return Err(err),
    };
    let boot = file_io::boot_id();
    Ok(parse(&bytes, content, size_bytes, boot.as_deref()))
}

fn parse(
    bytes: &[u8],
    content: &ContentId,
    size_bytes: u64,
    boot: Option<&str>,
) -> JournalContents {
    let header = header(content, size_bytes);
    let mut contents = JournalContents::default();
    let Some(lines) = bytes.strip_prefix(header.as_slice()) else {
        return contents;
    };
    for found in lines.chunks_exact(LINE_BYTES) {
        let number = |at: usize| {
            let mut raw = [0; 8];
            raw.copy_from_slice(&found[at..at + 8]);
            u64::from_le_bytes(raw)
        };
        let (start, end) = (number(0), number(8));
        if start >= end || end > size_bytes {
            continue;
        }
        let range = ByteRange::new(start, end);
        if line(&header, range, None) == found {
            contents.flushed.insert(range);
        } else if boot.is_some() && line(&header, range, boot) == found {
            contents.written.insert(range);
        }
    }
    contents
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

fn lines(header: &[u8], ranges: &[ByteRange], boot: Option<&str>) -> Vec<u8> {
    let lines = ranges.iter().map(|range| line(header, *range, boot));
    lines.flatten().collect()
}

/// Encodes a flushed line, or with a boot id a written line.
fn line(header: &[u8], range: ByteRange, boot: Option<&str>) -> [u8; LINE_BYTES] {
    let mut line = [0; LINE_BYTES];
    line[..8].copy_from_slice(&range.start.to_le_bytes());
    line[8..16].copy_from_slice(&range.end.to_le_bytes());
    let written = boot.map(|boot| format!("written in {boot}"));
    let check = check(&[header, &line[..16], written.unwrap_or_default().as_bytes()]);
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
    fn recorded_ranges_are_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.journal");
        let mut journal = PartialJournal::create(&path, &CONTENT, SIZE, &set(&[(5, 9)])).unwrap();
        journal.record_flushed(&set(&[(5, 9), (100, 200)])).unwrap();
        journal.record_flushed(&set(&[(0, 9), (100, 300)])).unwrap();
        assert_eq!(journal.flushed(), &set(&[(0, 9), (100, 300)]));
        let found = read(&path, &CONTENT, SIZE).unwrap();
        assert_eq!(found.flushed, set(&[(0, 9), (100, 300)]));
    }

    fn journal_with_written_lines(path: &Path) -> PartialJournal {
        let mut journal = PartialJournal::create(path, &CONTENT, SIZE, &set(&[])).unwrap();
        journal.boot = Some("monday".to_owned());
        journal.record_written(&set(&[(0, 50)])).unwrap();
        journal.record_flushed(&set(&[(0, 20)])).unwrap();
        journal.record_written(&set(&[(0, 70)])).unwrap();
        journal
    }

    #[test]
    fn written_lines_are_valid_until_the_next_boot() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.journal");
        journal_with_written_lines(&path);
        let bytes = std::fs::read(&path).unwrap();
        let contents = |boot| parse(&bytes, &CONTENT, SIZE, boot);
        assert_eq!(contents(Some("monday")).all(), set(&[(0, 70)]));
        assert_eq!(contents(Some("monday")).flushed, set(&[(0, 20)]));
        assert_eq!(contents(Some("tuesday")).all(), set(&[(0, 20)]));
        assert_eq!(contents(None).all(), set(&[(0, 20)]));
    }

    #[test]
    fn withdrawing_written_lines_keeps_flushed_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.journal");
        let mut journal = journal_with_written_lines(&path);
        journal.withdraw_written().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let contents = parse(&bytes, &CONTENT, SIZE, Some("monday"));
        assert_eq!(contents.all(), set(&[(0, 20)]));
        assert_eq!(journal.flushed(), &set(&[(0, 20)]));
    }

    #[cfg(unix)]
    #[test]
    fn a_journal_that_cannot_be_rewritten_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.journal");
        let mut journal = journal_with_written_lines(&path);
        std::fs::create_dir_all(dir.path().join("x.journal.new/in the way")).unwrap();
        journal.withdraw_written().unwrap();
        assert!(!path.exists());
        assert_eq!(journal.flushed(), &set(&[]));
    }

    #[test]
    fn a_long_journal_is_compacted_without_loss() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.journal");
        let mut journal = journal_with_written_lines(&path);
        journal.record_written(&set(&[(SIZE - 5, SIZE)])).unwrap();
        for n in 20..50_000 {
            journal.record_flushed(&set(&[(0, n)])).unwrap();
        }
        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes.len() as u64 <= COMPACT_AT, "{}", bytes.len());
        assert_eq!(journal.len, bytes.len() as u64);
        let contents = parse(&bytes, &CONTENT, SIZE, Some("monday"));
        assert_eq!(contents.flushed, set(&[(0, 49_999)]));
        assert_eq!(contents.all(), set(&[(0, 49_999), (SIZE - 5, SIZE)]));
    }

    #[test]
    fn a_journal_of_another_content_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.journal");
        assert_eq!(
            read(&path, &CONTENT, SIZE).unwrap(),
            JournalContents::default()
        );
        PartialJournal::create(&path, &CONTENT, SIZE, &set(&[(5, 9)])).unwrap();
        let others = [
            (ContentId::Sha256([8; 32]), SIZE),
            (ContentId::GitSha1([7; 20]), SIZE),
            (CONTENT, SIZE + 1),
        ];
        for (content, size) in others {
            assert_eq!(
                read(&path, &content, size).unwrap(),
                JournalContents::default()
            );
        }
    }

    proptest! {
        #[test]
        fn a_damaged_journal_never_claims_extra_bytes(
            ranges in prop::collection::vec((0u64..SIZE - 5000, 1u64..5000, any::<bool>()), 0..6),
            cut in any::<prop::sample::Index>(),
            flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 0..4),
            tail in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let header = header(&CONTENT, SIZE);
            let mut bytes = header.to_vec();
            let mut truth = JournalContents::default();
            for (start, len, is_flushed) in ranges {
                let range = ByteRange::new(start, start + len);
                if is_flushed { &mut truth.flushed } else { &mut truth.written }.insert(range);
                bytes.extend(line(&header, range, (!is_flushed).then_some("monday")));
            }
            prop_assert_eq!(&parse(&bytes, &CONTENT, SIZE, Some("monday")), &truth);
            bytes.truncate(cut.index(bytes.len() + 1));
            for (index, mask) in flips {
                if !bytes.is_empty() {
                    let index = index.index(bytes.len());
                    bytes[index] ^= mask;
                }
            }
            bytes.extend(tail);
            let contents = parse(&bytes, &CONTENT, SIZE, Some("monday"));
            prop_assert_eq!(contents.flushed.minus(&truth.flushed), vec![]);
            prop_assert_eq!(contents.written.minus(&truth.written), vec![]);
        }
    }
}
