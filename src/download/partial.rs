//! A partial file and the files beside it.
//!
//! `NAME` holds the bytes at their final offsets, `NAME.journal` records the valid ranges,
//! `NAME.lock` excludes other processes. The final name is not known here.
//!
//! A small file has none of these: it is never resumed, and its path is its own.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::backlog::{Backlog, BacklogEntry};
use super::journal::{self, JournalContents, PartialJournal};
use crate::domain::content::ContentId;
use crate::domain::ranges::{ByteRange, RangeSet};
use crate::sys::copy::copy_range;
use crate::sys::file_io;
use crate::sys::files::{remove_if_present, rename_over};
use crate::sys::lock::FileLock;
use crate::sys::open;

/// Returns the path of a file that belongs to a partial file.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Locks a partial file; `None` while another process holds the lock.
fn lock(path: &Path) -> io::Result<Option<FileLock>> {
    FileLock::try_acquire_temporary(&beside(path, ".lock"))
}

/// Moves bytes with the wrong hash aside for inspection.
pub(crate) fn keep_evidence(path: &Path, evidence: &Path) -> io::Result<()> {
    // Remove the journal first: it must not outlive the bytes that it describes.
    remove_if_present(&PartialJournal::path_of(path))?;
    rename_over(path, evidence)
}

/// Returns how many bytes of earlier runs can be reused.
pub fn reusable_bytes(partial: &Path, content: &ContentId, size_bytes: u64) -> u64 {
    reusable_ranges(partial, content, size_bytes).total()
}

/// Returns which ranges of earlier runs can be reused.
pub fn reusable_ranges(partial: &Path, content: &ContentId, size_bytes: u64) -> RangeSet {
    let found = fs::symlink_metadata(partial);
    let is_whole_length = found.is_ok_and(|it| it.is_file() && it.len() == size_bytes);
    if !is_whole_length {
        return RangeSet::new();
    }
    journal::read(&PartialJournal::path_of(partial), content, size_bytes)
        .map_or_else(|_| RangeSet::new(), |contents| contents.all())
}

/// An open and locked partial file.
pub(crate) struct PartialFile {
    path: PathBuf,
    content: ContentId,
    size_bytes: u64,
    file: File,
    records: Mutex<Records>,
    /// Serializes flushes, without blocking writers.
    flush_turn: Mutex<()>,
    lock: Mutex<Option<FileLock>>,
}

/// The journal and its epoch.
struct Records {
    journal: PartialJournal,
    epoch: u32,
    /// A flush failed. The system reports that once and may drop the bytes, so a later flush proves
    /// nothing: nothing more is recorded.
    failed: bool,
}

impl PartialFile {
    /// Opens a partial file and returns it with the ranges that earlier runs left; `None` while
    /// another process holds its lock.
    ///
    /// No space is reserved for the `shared` ranges: they will share that of another file.
    pub(crate) fn open(
        path: &Path,
        content: ContentId,
        size_bytes: u64,
        shared: &RangeSet,
    ) -> io::Result<Option<(Box<Self>, RangeSet)>> {
        let Some(lock) = lock(path)? else {
            return Ok(None);
        };
        let journal_path = PartialJournal::path_of(path);
        let file = open::own(path)?;
        let mut contents = journal::read(&journal_path, &content, size_bytes)?;
        if file.metadata()?.len() != size_bytes {
            contents = JournalContents::default();
        }
        let is_flushed = contents.written.minus(&contents.flushed).is_empty();
        let on_disk = if is_flushed || file.sync_data().is_ok() {
            contents.all()
        } else {
            // Ranges that were only written are fetched again; the new journal omits them.
            contents.flushed
        };
        if on_disk.ranges().is_empty() {
            // The journal first: it must not outlive the bytes that it describes.
            remove_if_present(&journal_path)?;
            file.set_len(0)?;
        }
        let mut not_reserved = shared.clone();
        for range in on_disk.ranges() {
            not_reserved.insert(*range);
        }
        if let Err(err) = file_io::allocate(&file, size_bytes, &not_reserved) {
            // Release the space: on a full disk an empty partial file must not occupy it.
            if on_disk.ranges().is_empty() {
                let _ = file.set_len(0);
            }
            return Err(err);
        }
        let journal = PartialJournal::create(&journal_path, &content, size_bytes, &on_disk)?;
        let partial = Self {
            path: path.to_owned(),
            content,
            size_bytes,
            file,
            records: Mutex::new(Records {
                journal,
                epoch: 0,
                failed: false,
            }),
            flush_turn: Mutex::default(),
            lock: Mutex::new(Some(lock)),
        };
        Ok(Some((Box::new(partial), on_disk)))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        file_io::write_all_at(&self.file, bytes, position)
    }

    /// Copies a range from another file.
    pub(crate) fn write_from(
        &self,
        from: &File,
        from_at: u64,
        position: u64,
        length: u64,
        buffer: &mut Vec<u8>,
    ) -> io::Result<()> {
        copy_range(from, from_at, &self.file, position, length, buffer)
    }

    pub(crate) fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        file_io::read_exact_at(&self.file, buffer, position)
    }

    pub(crate) fn start_write_back(&self, range: ByteRange) {
        file_io::start_write_back(&self.file, range);
    }

    pub(crate) fn evict(&self, range: ByteRange) {
        file_io::forget(&self.file, range);
    }

    /// Flushes the written bytes and records them; returns the flushed total. `done` was written
    /// before this call. It is not recorded when the file was restarted since `epoch`.
    ///
    /// After a failed flush only the bytes of earlier flushes count, in this process and the next
    /// one.
    pub(crate) fn flush(&self, done: &RangeSet, epoch: u32) -> io::Result<u64> {
        let _turn = self
            .flush_turn
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_new = |records: &Records| {
            records.epoch == epoch && !done.minus(records.journal.flushed()).is_empty()
        };
        if is_new(&self.records()) {
            if self.records().failed {
                return Err(io::Error::other("an earlier flush of the file failed"));
            }
            if let Err(err) = self.file.sync_data() {
                self.withdraw_written();
                return Err(err);
            }
            let mut records = self.records();
            if is_new(&records) {
                let journal = records.journal.record_flushed(done)?;
                drop(records);
                journal.sync_data()?;
            }
        }
        Ok(self.flushed_bytes())
    }

    /// Removes the journal's claims about unflushed bytes.
    fn withdraw_written(&self) {
        let mut records = self.records();
        records.failed = true;
        if let Err(err) = records.journal.withdraw_written() {
            log::warn!(
                "could not rewrite the journal of `{}`: {err}",
                self.path.display()
            );
        }
    }

    /// Records written bytes for the case that this process is killed. The caller must prevent a
    /// restart during this call.
    pub(crate) fn record_written(&self, done: &RangeSet) {
        let mut records = self.records();
        if records.failed {
            return;
        }
        // The bytes themselves are not affected, and the next flush records them.
        if let Err(err) = records.journal.record_written(done) {
            log::debug!(
                "could not extend the journal of `{}`: {err}",
                self.path.display()
            );
        }
    }

    /// Returns how many bytes a later run can rely on.
    pub(crate) fn flushed_bytes(&self) -> u64 {
        self.records().journal.flushed().total()
    }

    /// Discards all bytes and starts another epoch.
    pub(crate) fn restart(&self, epoch: u32) -> io::Result<()> {
        let mut records = self.records();
        records.epoch = epoch;
        // First: the journal must not outlive the bytes that it describes.
        records.journal.remove()?;
        self.file.set_len(0)?;
        file_io::allocate(&self.file, self.size_bytes, &RangeSet::new())?;
        let journal_path = PartialJournal::path_of(&self.path);
        records.journal = PartialJournal::create(
            &journal_path,
            &self.content,
            self.size_bytes,
            &RangeSet::new(),
        )?;
        Ok(())
    }

    /// Releases the lock to the caller, who publishes the file or drops the lock.
    pub(crate) fn take_lock(&self) -> Option<FileLock> {
        self.lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A verified file at its partial path.
///
/// A large file stays locked until this value is dropped, so rename it first. If it was not
/// renamed, the next run only hashes it again.
#[derive(Debug)]
pub struct VerifiedFile {
    path: PathBuf,
    _lock: Option<FileLock>,
    has_journal: bool,
    backlog_entry: Option<BacklogEntry>,
}

impl VerifiedFile {
    pub(crate) fn large(path: PathBuf, lock: Option<FileLock>) -> Self {
        Self {
            path,
            _lock: lock,
            has_journal: true,
            backlog_entry: None,
        }
    }

    pub(crate) fn small(path: PathBuf) -> Self {
        Self {
            path,
            _lock: None,
            has_journal: false,
            backlog_entry: None,
        }
    }

    /// Adds the file to the backlog.
    pub(crate) fn add_to(&mut self, backlog: &Arc<Backlog>) {
        self.backlog_entry = Some(backlog.enter());
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives up a file that could not be stored. A large one stays for the next run.
    pub fn discard(self) {
        if !self.has_journal {
            let _ = remove_if_present(&self.path);
        }
    }
}

impl Drop for VerifiedFile {
    fn drop(&mut self) {
        // Keep the journal until the rename: after a crash the next run reuses the bytes.
        if self.has_journal && !self.path.exists() {
            let _ = remove_if_present(&PartialJournal::path_of(&self.path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: ContentId = ContentId::Sha256([3; 32]);

    fn open(path: &Path) -> (Box<PartialFile>, RangeSet) {
        PartialFile::open(path, CONTENT, 1000, &RangeSet::new())
            .unwrap()
            .expect("no other process holds the lock")
    }

    fn saved_half(path: &Path) {
        let (partial, _) = open(path);
        partial.write_at(&[1; 500], 0).unwrap();
        let done: RangeSet = [ByteRange::new(0, 500)].into_iter().collect();
        assert_eq!(partial.flush(&done, 0).unwrap(), 500);
    }

    #[test]
    fn flushed_bytes_are_found_when_the_file_is_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("blob");
        saved_half(&path);
        assert_eq!(reusable_bytes(&path, &CONTENT, 1000), 500);
        assert_eq!(open(&path).1.total(), 500);
        assert_eq!(open(&path).1.total(), 500);
    }

    #[test]
    fn a_late_flush_does_not_record_discarded_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("blob");
        let (partial, _) = open(&path);
        let done: RangeSet = [ByteRange::new(0, 500)].into_iter().collect();
        partial.restart(1).unwrap();
        assert_eq!(partial.flush(&done, 0).unwrap(), 0);
        assert_eq!(partial.flush(&done, 1).unwrap(), 500);
    }

    #[test]
    fn a_truncated_or_missing_file_starts_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("blob");
        for harm in [
            |path: &Path| fs::remove_file(path).unwrap(),
            |path: &Path| {
                File::options()
                    .write(true)
                    .open(path)
                    .unwrap()
                    .set_len(999)
                    .unwrap()
            },
        ] {
            saved_half(&path);
            harm(&path);
            assert_eq!(reusable_bytes(&path, &CONTENT, 1000), 0);
            assert_eq!(open(&path).1.total(), 0);
            assert_eq!(reusable_bytes(&path, &CONTENT, 1000), 0);
        }
    }

    #[test]
    fn a_locked_partial_file_cannot_be_opened_twice() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("blob");
        let held = open(&path);
        let second = PartialFile::open(&path, CONTENT, 1000, &RangeSet::new()).unwrap();
        assert!(second.is_none());
        drop(held);
        open(&path);
    }

    #[test]
    fn a_verified_file_keeps_its_journal_until_it_is_renamed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("blob");
        saved_half(&path);
        let journal = PartialJournal::path_of(&path);
        drop(VerifiedFile::large(path.clone(), None));
        assert!(journal.exists());
        let verified = VerifiedFile::large(path.clone(), None);
        fs::rename(&path, dir.path().join("final")).unwrap();
        drop(verified);
        assert!(!journal.exists());
    }
}
