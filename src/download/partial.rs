//! A file that is not whole yet, and what belongs to it on disk.
//!
//! `NAME` holds the bytes at their final positions, `NAME.journal` says which
//! of them are there, `NAME.lock` keeps other processes away, and `NAME.bad`
//! is what twice did not have its hash. No final name is known here.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::backlog::{Backlog, InLine};
use super::journal::{self, Journal, Told};
use crate::domain::content::ContentId;
use crate::domain::ranges::{ByteRange, RangeSet};
use crate::sys::copy::copy_range;
use crate::sys::file_io;
use crate::sys::lock::FileLock;
use crate::sys::open;

/// Returns the name of something that belongs to a partial file.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Takes the lock of a partial file; `None` when another process fetches it.
pub(crate) fn lock(path: &Path) -> io::Result<Option<FileLock>> {
    FileLock::try_acquire_temporary(&beside(path, ".lock"))
}

/// Puts bytes with a wrong hash aside, for a person to look at.
pub(crate) fn keep_evidence(path: &Path) -> io::Result<PathBuf> {
    let evidence = beside(path, ".bad");
    // The journal first: it must never speak of bytes that have left.
    remove_if_present(&Journal::path_of(path))?;
    fs::rename(path, &evidence)?;
    Ok(evidence)
}

/// Returns how many bytes of a content an earlier run left behind for this one.
pub fn reusable_bytes(partial: &Path, content: &ContentId, size_bytes: u64) -> u64 {
    reusable_ranges(partial, content, size_bytes).total()
}

/// Returns which bytes of a content an earlier run left behind for this one.
pub fn reusable_ranges(partial: &Path, content: &ContentId, size_bytes: u64) -> RangeSet {
    let found = fs::symlink_metadata(partial);
    let is_whole_length = found.is_ok_and(|it| it.is_file() && it.len() == size_bytes);
    if !is_whole_length {
        return RangeSet::new();
    }
    journal::read(&Journal::path_of(partial), content, size_bytes)
        .map_or_else(|_| RangeSet::new(), |told| told.all())
}

/// An open partial file that this process alone writes.
pub(crate) struct Partial {
    path: PathBuf,
    content: ContentId,
    size_bytes: u64,
    file: File,
    records: Mutex<Records>,
    /// Held by whoever forces bytes to disk. Nobody else waits for that.
    saving: Mutex<()>,
    lock: Mutex<Option<FileLock>>,
}

/// The journal, and how often everything was thrown away before it began.
struct Records {
    journal: Journal,
    epoch: u32,
    /// A flush failed. The system reports that once and may drop the bytes, so a
    /// later flush proves nothing: nothing more is recorded or noted.
    failed: bool,
}

/// What opening a partial file comes to.
pub(crate) enum Opening {
    /// Another process is at it.
    Busy,
    /// Ours, with what earlier runs left.
    Ready(Box<Partial>, RangeSet),
}

impl Partial {
    pub(crate) fn open(path: &Path, content: ContentId, size_bytes: u64) -> io::Result<Opening> {
        let Some(lock) = lock(path)? else {
            return Ok(Opening::Busy);
        };
        let journal_path = Journal::path_of(path);
        let file = open::own(path)?;
        let mut told = journal::read(&journal_path, &content, size_bytes)?;
        if file.metadata()?.len() != size_bytes {
            told = Told::default();
        }
        let is_forced = told.written.minus(&told.forced).is_empty();
        let on_disk = match is_forced || file.sync_data().is_ok() {
            true => told.all(),
            // What is only written is fetched again; the new journal does not name it.
            false => told.forced,
        };
        if on_disk.ranges().is_empty() {
            clear(&file, &journal_path)?;
        }
        if let Err(err) = file_io::allocate(&file, size_bytes) {
            // A full disk must not be kept full by bytes that never came.
            if on_disk.ranges().is_empty() {
                let _ = file.set_len(0);
            }
            return Err(err);
        }
        let journal = Journal::create(&journal_path, &content, size_bytes, &on_disk)?;
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
            saving: Mutex::default(),
            lock: Mutex::new(Some(lock)),
        };
        Ok(Opening::Ready(Box::new(partial), on_disk))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        file_io::write_all_at(&self.file, bytes, position)
    }

    /// Writes what another file has.
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

    pub(crate) fn forget(&self, range: ByteRange) {
        file_io::forget(&self.file, range);
    }

    /// Forces to disk what has come, then records it; returns how much is
    /// recorded. `done` was written before this call, in the given epoch: what
    /// was thrown away since then is not recorded.
    ///
    /// After a flush that failed the file counts as holding what was forced
    /// before it, for this process and for the next one.
    pub(crate) fn save(&self, done: &RangeSet, epoch: u32) -> io::Result<u64> {
        let _turn = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = |records: &Records| {
            records.epoch == epoch && !done.minus(records.journal.recorded()).is_empty()
        };
        if is_news(&self.records()) {
            if self.records().failed {
                return Err(io::Error::other("an earlier flush of the file failed"));
            }
            if let Err(err) = self.file.sync_data() {
                self.withdraw_notes();
                return Err(err);
            }
            let mut records = self.records();
            if is_news(&records) {
                let journal = records.journal.record(done)?;
                drop(records);
                journal.sync_data()?;
            }
        }
        Ok(self.saved_bytes())
    }

    /// Takes back what the journal says of bytes that are not forced to disk.
    fn withdraw_notes(&self) {
        let mut records = self.records();
        records.failed = true;
        if let Err(err) = records.journal.withdraw_notes() {
            log::warn!("`{}`: its journal: {err}", self.path.display());
        }
    }

    /// Notes what has come, for a next run that finds this one killed. The
    /// caller sees to it that nothing is thrown away meanwhile.
    pub(crate) fn note(&self, done: &RangeSet) {
        let mut records = self.records();
        if records.failed {
            return;
        }
        // The bytes themselves are not affected, and they are recorded when they are saved.
        if let Err(err) = records.journal.note(done) {
            log::debug!("`{}`: {err}", self.path.display());
        }
    }

    /// Returns how many bytes the next run would find.
    pub(crate) fn saved_bytes(&self) -> u64 {
        self.records().journal.recorded().total()
    }

    /// Throws away everything that has come, and begins another epoch.
    pub(crate) fn restart(&self, epoch: u32) -> io::Result<()> {
        let mut records = self.records();
        records.epoch = epoch;
        let journal_path = Journal::path_of(&self.path);
        clear(&self.file, &journal_path)?;
        file_io::allocate(&self.file, self.size_bytes)?;
        records.journal = Journal::create(
            &journal_path,
            &self.content,
            self.size_bytes,
            &RangeSet::new(),
        )?;
        Ok(())
    }

    /// Hands the lock over, to whoever publishes the file or to the next process.
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

/// A file whose bytes are proven and forced to disk, at its partial path.
///
/// It stays locked as long as this value lives: rename it first, drop this
/// then. If it was not renamed, the next run finds it whole and only hashes it.
#[derive(Debug)]
pub struct VerifiedFile {
    path: PathBuf,
    _lock: Option<FileLock>,
    in_line: Option<InLine>,
}

impl VerifiedFile {
    pub(crate) fn new(path: PathBuf, lock: Option<FileLock>) -> Self {
        Self {
            path,
            _lock: lock,
            in_line: None,
        }
    }

    /// Counts the file as one that waits for its final name.
    pub(crate) fn enter(&mut self, backlog: &Arc<Backlog>) {
        self.in_line = Some(backlog.enter());
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for VerifiedFile {
    fn drop(&mut self) {
        // The journal outlives the verdict: a run killed before the rename
        // would otherwise fetch everything again.
        if !self.path.exists() {
            let _ = remove_if_present(&Journal::path_of(&self.path));
        }
    }
}

/// Empties a partial file. The journal goes first: it must never speak of
/// bytes that are gone.
fn clear(file: &File, journal_path: &Path) -> io::Result<()> {
    remove_if_present(journal_path)?;
    file.set_len(0)
}

pub(crate) fn remove_if_present(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: ContentId = ContentId::Sha256([3; 32]);

    fn open(path: &Path) -> (Box<Partial>, RangeSet) {
        match Partial::open(path, CONTENT, 1000).unwrap() {
            Opening::Ready(partial, on_disk) => (partial, on_disk),
            Opening::Busy => panic!("busy"),
        }
    }

    fn saved_half(path: &Path) {
        let (partial, _) = open(path);
        partial.write_at(&[1; 500], 0).unwrap();
        let done: RangeSet = [ByteRange::new(0, 500)].into_iter().collect();
        assert_eq!(partial.save(&done, 0).unwrap(), 500);
    }

    #[test]
    fn what_was_saved_is_found_by_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("blob");
        saved_half(&path);
        assert_eq!(reusable_bytes(&path, &CONTENT, 1000), 500);
        assert_eq!(open(&path).1.total(), 500);
        assert_eq!(open(&path).1.total(), 500);
    }

    #[test]
    fn what_was_thrown_away_is_not_recorded_by_a_late_saver() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("blob");
        let (partial, _) = open(&path);
        let done: RangeSet = [ByteRange::new(0, 500)].into_iter().collect();
        partial.restart(1).unwrap();
        assert_eq!(partial.save(&done, 0).unwrap(), 0);
        assert_eq!(partial.save(&done, 1).unwrap(), 500);
    }

    #[test]
    fn a_file_that_was_cut_or_lost_starts_over() {
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
    fn a_partial_is_busy_while_another_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("blob");
        let held = open(&path);
        assert!(matches!(
            Partial::open(&path, CONTENT, 1000).unwrap(),
            Opening::Busy
        ));
        drop(held);
        open(&path);
    }

    #[test]
    fn a_verified_file_keeps_its_journal_until_it_is_renamed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("blob");
        saved_half(&path);
        let journal = Journal::path_of(&path);
        drop(VerifiedFile::new(path.clone(), None));
        assert!(journal.exists());
        let verified = VerifiedFile::new(path.clone(), None);
        fs::rename(&path, dir.path().join("final")).unwrap();
        drop(verified);
        assert!(!journal.exists());
    }
}
