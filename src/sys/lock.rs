//! Locks between processes: a file that one process at a time holds.
//!
//! Order, so that nobody waits in a circle: the run lock of the home first,
//! then the lock of one partial file. Nobody waits for a partial's lock at all:
//! who finds it busy leaves the file to the other.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use fs2::FileExt;

/// A held lock; dropping it, or the end of the process, releases it.
#[derive(Debug)]
pub struct FileLock {
    file: File,
    path: PathBuf,
    removed_at_release: bool,
}

impl FileLock {
    /// Takes the lock if it is free; `None` when another holder has it.
    ///
    /// The lock file stays on disk after release.
    pub fn try_acquire(path: &Path) -> io::Result<Option<Self>> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        // Named through the trait: newer `std::fs::File`s have methods with
        // fs2's names and other error types.
        match FileExt::try_lock_exclusive(&file) {
            Ok(()) => Ok(Some(Self {
                file,
                path: path.to_owned(),
                removed_at_release: false,
            })),
            Err(err) if err.raw_os_error() == fs2::lock_contended_error().raw_os_error() => {
                Ok(None)
            }
            Err(err) => Err(err),
        }
    }

    /// As `try_acquire`, for a lock file that disappears with its release, of
    /// which there are thousands.
    pub fn try_acquire_passing(path: &Path) -> io::Result<Option<Self>> {
        let Some(mut lock) = Self::try_acquire(path)? else {
            return Ok(None);
        };
        // The holder before us may have removed the name after we opened it;
        // then the next one would lock another file of the same name.
        if !is_still_at(&lock.file, path) {
            return Ok(None);
        }
        lock.removed_at_release = true;
        Ok(Some(lock))
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // While the lock is held, so that nobody's fresh lock is removed. On
        // Windows a file that others have open cannot leave its name at once.
        if self.removed_at_release && cfg!(unix) {
            let _ = std::fs::remove_file(&self.path);
        }
        let _ = FileExt::unlock(&self.file);
    }
}

#[cfg(unix)]
fn is_still_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(ours), Ok(named)) => (ours.dev(), ours.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_still_at(_file: &File, _path: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_is_busy_and_a_released_one_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("blob.lock");
        for acquire in [FileLock::try_acquire, FileLock::try_acquire_passing] {
            let held = acquire(&path).unwrap().expect("nobody has it");
            assert!(acquire(&path).unwrap().is_none());
            drop(held);
            assert!(acquire(&path).unwrap().is_some());
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_passing_lock_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("blob.lock");
        drop(FileLock::try_acquire_passing(&path).unwrap());
        assert!(!path.exists());
    }
}
