//! The record beside a partial file: which of its bytes are there.
//!
//! A header binds it to one content and size, never to a commit or a number of
//! connections. Then lines are only appended, each with a check that covers
//! the header too. A line says one of two things about a range. *Forced*: these
//! bytes were forced to disk before the line was written, so they are there
//! whatever happens. *Written*: these bytes were handed to the system during
//! this boot of the machine. They outlive a killed process, but not a power
//! cut, so the check covers the boot as well, and after the next one the line
//! says nothing. Writing it costs microseconds, and so a kill costs little
//! however slow the disk is.
//!
//! A reader leaves out each line that does not check, so a torn or altered
//! journal says less than the truth and never more. Should a written line be
//! wrong after all, because a disk was pulled out, the hash finds it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::domain::content::ContentId;
use crate::domain::ranges::{ByteRange, RangeSet};
use crate::sys::files::{remove_if_present, sync_dir};
use crate::sys::{file_io, open};

const MAGIC: &[u8; 8] = b"hfdl-p1\n";
const CHECK_BYTES: usize = 8;
const HEADER_BYTES: usize = 8 + 8 + 33 + CHECK_BYTES;
const LINE_BYTES: usize = 16 + CHECK_BYTES;

/// No journal of ours grows so large; reading a foreign file must not fill memory.
const LARGEST: u64 = 16 << 20;

/// A journal that has grown so long is written anew, without its history.
const LONG: u64 = 1 << 20;

/// A journal that is open for appending.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: Arc<File>,
    len: u64,
    header: [u8; HEADER_BYTES],
    /// The boot in which lines may say *written*.
    boot: Option<String>,
    /// What the journal says for good.
    recorded: RangeSet,
    /// That, and what it says for this boot.
    noted: RangeSet,
}

/// What a journal says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) forced: RangeSet,
    /// Written in this boot of the machine, and perhaps forced as well.
    pub(crate) written: RangeSet,
}

impl Told {
    /// Returns all that is there as long as the machine runs.
    pub(crate) fn all(mut self) -> RangeSet {
        for range in self.written.ranges() {
            self.forced.insert(*range);
        }
        self.forced
    }
}

impl Journal {
    /// Returns the journal's name beside a partial file.
    pub(crate) fn path_of(partial: &Path) -> PathBuf {
        super::partial::beside(partial, ".journal")
    }

    /// Starts a journal anew, in place of any other, with what was forced to disk.
    pub(crate) fn create(
        path: &Path,
        content: &ContentId,
        size_bytes: u64,
        on_disk: &RangeSet,
    ) -> io::Result<Self> {
        let header = header(content, size_bytes);
        let boot = file_io::boot_id();
        let (file, len) = write_anew(path, &header, on_disk, &[], None)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            len,
            header,
            boot,
            recorded: on_disk.clone(),
            noted: on_disk.clone(),
        })
    }

    /// Records what of `done` is not recorded yet. The caller has forced those
    /// bytes to disk before, that order is the whole point, and forces to disk
    /// what is returned, when nobody has to wait for it.
    pub(crate) fn record(&mut self, done: &RangeSet) -> io::Result<Arc<File>> {
        let new = done.minus(&self.recorded);
        self.append(&new, None)?;
        for range in new {
            self.recorded.insert(range);
            self.noted.insert(range);
        }
        if self.len > LONG {
            let noted = self.noted.minus(&self.recorded);
            let (path, boot) = (&self.path, self.boot.as_deref());
            (self.file, self.len) = write_anew(path, &self.header, &self.recorded, &noted, boot)?;
        }
        Ok(self.file.clone())
    }

    /// Notes what of `done` was written and is not forced to disk yet.
    pub(crate) fn note(&mut self, done: &RangeSet) -> io::Result<()> {
        let Some(boot) = self.boot.clone() else {
            return Ok(());
        };
        let new = done.minus(&self.noted);
        self.append(&new, Some(&boot))?;
        for range in new {
            self.noted.insert(range);
        }
        Ok(())
    }

    /// Removes all notes of what was only written, because it may be lost. The
    /// journal is written anew on disk; where even that fails, it is removed.
    pub(crate) fn withdraw_notes(&mut self) -> io::Result<()> {
        self.noted = self.recorded.clone();
        match write_anew(&self.path, &self.header, &self.recorded, &[], None) {
            Ok((file, len)) => {
                (self.file, self.len) = (file, len);
                Ok(())
            }
            Err(err) => {
                // Without its journal all of the partial file is fetched again.
                (self.recorded, self.noted) = Default::default();
                remove_if_present(&self.path)?;
                let folder = self.path.parent().unwrap_or(Path::new("."));
                sync_dir(folder).map_err(|_| err)
            }
        }
    }

    pub(crate) fn recorded(&self) -> &RangeSet {
        &self.recorded
    }

    fn append(&mut self, ranges: &[ByteRange], boot: Option<&str>) -> io::Result<()> {
        let lines = lines(&self.header, ranges, boot);
        if let Err(err) = (&*self.file).write_all(&lines) {
            // Behind half a line, none could be read.
            let _ = self.file.set_len(self.len);
            return Err(err);
        }
        self.len += lines.len() as u64;
        Ok(())
    }
}

/// Writes a whole journal aside, puts it in place, and opens it for appending.
fn write_anew(
    path: &Path,
    header: &[u8],
    forced: &RangeSet,
    written: &[ByteRange],
    boot: Option<&str>,
) -> io::Result<(Arc<File>, u64)> {
    let mut bytes = header.to_vec();
    bytes.extend(lines(header, forced.ranges(), None));
    bytes.extend(lines(header, written, boot));
    let aside = super::partial::beside(path, ".new");
    let mut file = open::anew(&aside)?;
    file.write_all(&bytes)?;
    file.sync_data()?;
    drop(file);
    std::fs::rename(&aside, path)?;
    Ok((Arc::new(open::append(path)?), bytes.len() as u64))
}

/// Reads which bytes of a content are there; nothing for whatever is no journal
/// of exactly this content.
pub(crate) fn read(path: &Path, content: &ContentId, size_bytes: u64) -> io::Result<Told> {
    let mut bytes = Vec::new();
    match open::read(path) {
        Ok(file) => file.take(LARGEST).read_to_end(&mut bytes)?,
        // The next journal takes the place of anything that is no plain file.
        Err(err) if err.kind() == io::ErrorKind::NotFound || open::is_not_plain(&err) => {
            return Ok(Told::default());
        }
        Err(err) => return Err(err),
    };
    let boot = file_io::boot_id();
    Ok(parse(&bytes, content, size_bytes, boot.as_deref()))
}

fn parse(bytes: &[u8], content: &ContentId, size_bytes: u64, boot: Option<&str>) -> Told {
    let header = header(content, size_bytes);
    let mut told = Told::default();
    let Some(lines) = bytes.strip_prefix(header.as_slice()) else {
        return told;
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
            told.forced.insert(range);
        } else if boot.is_some() && line(&header, range, boot) == found {
            told.written.insert(range);
        }
    }
    told
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

/// Says that a range was forced to disk, or with a boot, that it was written in that.
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
    fn what_is_recorded_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.journal");
        let mut journal = Journal::create(&path, &CONTENT, SIZE, &set(&[(5, 9)])).unwrap();
        journal.record(&set(&[(5, 9), (100, 200)])).unwrap();
        journal.record(&set(&[(0, 9), (100, 300)])).unwrap();
        assert_eq!(journal.recorded(), &set(&[(0, 9), (100, 300)]));
        let found = read(&path, &CONTENT, SIZE).unwrap();
        assert_eq!(found.forced, set(&[(0, 9), (100, 300)]));
    }

    fn with_notes(path: &Path) -> Journal {
        let mut journal = Journal::create(path, &CONTENT, SIZE, &set(&[])).unwrap();
        journal.boot = Some("monday".to_owned());
        journal.note(&set(&[(0, 50)])).unwrap();
        journal.record(&set(&[(0, 20)])).unwrap();
        journal.note(&set(&[(0, 70)])).unwrap();
        journal
    }

    #[test]
    fn what_was_only_written_counts_until_the_machine_starts_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.journal");
        with_notes(&path);
        let bytes = std::fs::read(&path).unwrap();
        let told = |boot| parse(&bytes, &CONTENT, SIZE, boot);
        assert_eq!(told(Some("monday")).all(), set(&[(0, 70)]));
        assert_eq!(told(Some("monday")).forced, set(&[(0, 20)]));
        assert_eq!(told(Some("tuesday")).all(), set(&[(0, 20)]));
        assert_eq!(told(None).all(), set(&[(0, 20)]));
    }

    #[test]
    fn withdrawn_notes_are_gone_and_what_was_forced_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.journal");
        let mut journal = with_notes(&path);
        journal.withdraw_notes().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let told = parse(&bytes, &CONTENT, SIZE, Some("monday"));
        assert_eq!(told.all(), set(&[(0, 20)]));
        assert_eq!(journal.recorded(), &set(&[(0, 20)]));
    }

    #[cfg(unix)]
    #[test]
    fn a_journal_that_cannot_be_written_anew_goes_altogether() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.journal");
        let mut journal = with_notes(&path);
        std::fs::create_dir_all(dir.path().join("x.journal.new/in the way")).unwrap();
        journal.withdraw_notes().unwrap();
        assert!(!path.exists());
        assert_eq!(journal.recorded(), &set(&[]));
    }

    #[test]
    fn a_journal_of_many_hours_stays_short_and_forgets_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.journal");
        let mut journal = with_notes(&path);
        journal.note(&set(&[(SIZE - 5, SIZE)])).unwrap();
        for n in 20..50_000 {
            journal.record(&set(&[(0, n)])).unwrap();
        }
        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes.len() as u64 <= LONG, "{}", bytes.len());
        assert_eq!(journal.len, bytes.len() as u64);
        let told = parse(&bytes, &CONTENT, SIZE, Some("monday"));
        assert_eq!(told.forced, set(&[(0, 49_999)]));
        assert_eq!(told.all(), set(&[(0, 49_999), (SIZE - 5, SIZE)]));
    }

    #[test]
    fn a_journal_of_another_content_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.journal");
        assert_eq!(read(&path, &CONTENT, SIZE).unwrap(), Told::default());
        Journal::create(&path, &CONTENT, SIZE, &set(&[(5, 9)])).unwrap();
        let others = [
            (ContentId::Sha256([8; 32]), SIZE),
            (ContentId::GitSha1([7; 20]), SIZE),
            (CONTENT, SIZE + 1),
        ];
        for (content, size) in others {
            assert_eq!(read(&path, &content, size).unwrap(), Told::default());
        }
    }

    proptest! {
        #[test]
        fn a_damaged_journal_never_claims_a_byte_too_many(
            ranges in prop::collection::vec((0u64..SIZE - 5000, 1u64..5000, any::<bool>()), 0..6),
            cut in any::<prop::sample::Index>(),
            flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 0..4),
            tail in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let header = header(&CONTENT, SIZE);
            let mut bytes = header.to_vec();
            let mut truth = Told::default();
            for (start, len, is_forced) in ranges {
                let range = ByteRange::new(start, start + len);
                if is_forced { &mut truth.forced } else { &mut truth.written }.insert(range);
                bytes.extend(line(&header, range, (!is_forced).then_some("monday")));
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
            let told = parse(&bytes, &CONTENT, SIZE, Some("monday"));
            prop_assert_eq!(told.forced.minus(&truth.forced), vec![]);
            prop_assert_eq!(told.written.minus(&truth.written), vec![]);
        }
    }
}
