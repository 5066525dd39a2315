//! Locks between processes: a file that one process at a time holds.
//!
//! Order, so that nobody waits in a circle: the run lock of the home first,
//! then the lock of one partial file. Nobody waits for a partial's lock at all:
//! who finds it busy leaves the file to the other.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs2::FileExt;

use super::open;

/// How often a busy lock is tried before it counts as held.
const LOOKS_OUTLASTED: u32 = 5;

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
    /// The lock file stays on disk after release. A name that is no plain file
    /// is refused: removing it could take another holder's lock away.
    pub fn try_acquire(path: &Path) -> io::Result<Option<Self>> {
        let file = open::lock_file(path)?;
        let pause = || std::thread::sleep(Duration::from_millis(2));
        // Named through the trait: newer `std::fs::File`s have methods with
        // fs2's names and other error types.
        match outlast_looks(|| FileExt::try_lock_exclusive(&file), pause) {
            Ok(()) => {}
            Err(err) if is_contended(&err) => return Ok(None),
            Err(err) => return Err(err),
        }
        Ok(Some(Self {
            file,
            path: path.to_owned(),
            removed_at_release: false,
        }))
    }

    /// Tells whether somebody holds the lock; makes no file.
    ///
    /// A look needs the lock itself for some microseconds, shared with other
    /// looks. Whoever wants it at that moment tries again, see `try_acquire`.
    pub fn is_held(path: &Path) -> io::Result<bool> {
        let file = match open::read(path) {
            Ok(file) => file,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(err) => return Err(err),
        };
        match FileExt::try_lock_shared(&file) {
            Ok(()) => {
                let _ = FileExt::unlock(&file);
                Ok(false)
            }
            Err(err) if is_contended(&err) => Ok(true),
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

/// Tries a busy lock a few times: a tick must not be left out because somebody
/// asked for the status at that moment.
fn outlast_looks(mut try_lock: impl FnMut() -> io::Result<()>, pause: impl Fn()) -> io::Result<()> {
    for _ in 1..LOOKS_OUTLASTED {
        match try_lock() {
            Err(err) if is_contended(&err) => pause(),
            other => return other,
        }
    }
    try_lock()
}

fn is_contended(err: &io::Error) -> bool {
    err.raw_os_error() == fs2::lock_contended_error().raw_os_error()
}

#[cfg(unix)]
fn is_still_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), std::fs::symlink_metadata(path)) {
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

    #[test]
    fn a_look_tells_whether_a_lock_is_held_and_makes_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.lock");
        assert!(!FileLock::is_held(&path).unwrap());
        assert!(!path.exists());
        let held = FileLock::try_acquire(&path).unwrap();
        assert!(FileLock::is_held(&path).unwrap());
        drop(held);
        assert!(!FileLock::is_held(&path).unwrap());
    }

    #[test]
    fn looks_do_not_keep_a_lock_from_being_taken_and_a_holder_does() {
        let busy_for = |n_tries: u32| {
            let mut tries = 0;
            let result = outlast_looks(
                || {
                    tries += 1;
                    match tries > n_tries {
                        true => Ok(()),
                        false => Err(fs2::lock_contended_error()),
                    }
                },
                || {},
            );
            (result.is_ok(), tries)
        };
        assert_eq!(busy_for(0), (true, 1));
        assert_eq!(busy_for(LOOKS_OUTLASTED - 1), (true, LOOKS_OUTLASTED));
        assert_eq!(busy_for(u32::MAX), (false, LOOKS_OUTLASTED));
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
