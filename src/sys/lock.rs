//! Locks between processes: a file that one process at a time holds.
//!
//! Lock order, which prevents deadlock: the run lock of the home first, then the
//! lock of one partial file. No code blocks on a partial file's lock: a busy one
//! means that another process downloads the file.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs2::FileExt;

use super::open;
use super::pause::{Sleeper, Waited};

/// How often a busy lock is tried before it counts as held.
const LOCK_ATTEMPTS: u32 = 5;

/// A held lock; dropping it, or the end of the process, releases it.
#[derive(Debug)]
pub struct FileLock {
    file: File,
    path: PathBuf,
    removed_at_release: bool,
}

impl FileLock {
    /// Takes the lock if it is free; `None` when another process holds it.
    ///
    /// The lock file stays on disk after release. A path that is no plain file is
    /// refused: removing it could release another process's lock.
    pub fn try_acquire(path: &Path) -> io::Result<Option<Self>> {
        let pause = || std::thread::sleep(Duration::from_millis(2));
        let file = open_lock_file(path, pause)?;
        // Called through the trait: newer versions of `std::fs::File` have methods
        // with the names of fs2's and other error types.
        match retry_while_contended(|| FileExt::try_lock_exclusive(&file), pause) {
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

    /// As `try_acquire`, and tries a busy lock again after each `step` as long as
    /// `may_wait` allows another pause and no pause reports a stop.
    pub fn acquire_while(
        path: &Path,
        step: Duration,
        pause: &Sleeper,
        mut may_wait: impl FnMut() -> bool,
    ) -> io::Result<Option<Self>> {
        loop {
            let lock = Self::try_acquire(path)?;
            if lock.is_some() || !may_wait() || pause.wait(step) == Waited::Stopped {
                return Ok(lock);
            }
        }
    }

    /// Tells whether a process holds the lock; creates no file.
    ///
    /// The check takes a shared lock for some microseconds. `try_acquire` retries
    /// for that reason.
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

    /// As `try_acquire`, for a lock file that is removed at release because there
    /// are thousands of its kind.
    pub fn try_acquire_temporary(path: &Path) -> io::Result<Option<Self>> {
        let Some(mut lock) = Self::try_acquire(path)? else {
            return Ok(None);
        };
        // The previous holder may have removed the file after we opened it; the
        // next process would then lock a new file of the same name.
        if !is_still_at(&lock.file, path) {
            return Ok(None);
        }
        lock.removed_at_release = true;
        Ok(Some(lock))
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Remove the file while the lock is held; afterwards it may be the next
        // holder's.
        if self.removed_at_release {
            let _ = std::fs::remove_file(&self.path);
        }
        let _ = FileExt::unlock(&self.file);
    }
}

/// Opens a lock file. On Windows it may be one that its holder has just removed, which
/// cannot be opened until it is closed.
fn open_lock_file(path: &Path, pause: impl Fn()) -> io::Result<File> {
    for _ in 1..LOCK_ATTEMPTS {
        match open::lock_file(path) {
            Err(err) if cfg!(windows) && err.kind() == io::ErrorKind::PermissionDenied => pause(),
            opened => return opened,
        }
    }
    open::lock_file(path)
}

/// Tries a busy lock a few times: a tick must not be skipped because of a
/// concurrent status check.
fn retry_while_contended(
    mut try_lock: impl FnMut() -> io::Result<()>,
    pause: impl Fn(),
) -> io::Result<()> {
    for _ in 1..LOCK_ATTEMPTS {
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

/// A file that was removed has no name, or loses it when its last handle is closed.
#[cfg(windows)]
#[allow(unsafe_code)]
fn is_still_at(file: &File, _path: &Path) -> bool {
    use std::os::windows::io::AsRawHandle;
    use windows_sys::Win32::Storage::FileSystem::{
        FILE_STANDARD_INFO, FileStandardInfo, GetFileInformationByHandleEx,
    };
    let mut found = FILE_STANDARD_INFO::default();
    // SAFETY: the handle is that of an open file, and the buffer has the size of the structure.
    let is_known = unsafe {
        GetFileInformationByHandleEx(
            file.as_raw_handle(),
            FileStandardInfo,
            (&raw mut found).cast(),
            size_of::<FILE_STANDARD_INFO>() as u32,
        )
    } != 0;
    is_known && !found.DeletePending && found.NumberOfLinks > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_for_a_lock_ends_with_its_release_a_stop_or_its_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.lock");
        let mut held = FileLock::try_acquire(&path).unwrap();
        let wait = |pause: &Sleeper, mut n_steps: u32| {
            let may_wait = || n_steps.checked_sub(1).map(|left| n_steps = left).is_some();
            FileLock::acquire_while(&path, Duration::ZERO, pause, may_wait).unwrap()
        };
        assert!(wait(&Sleeper::none(), 3).is_none());
        let stopped = Sleeper::new(|_| Waited::Stopped);
        assert!(wait(&stopped, u32::MAX).is_none());
        held.take();
        assert!(wait(&stopped, 0).is_some());
    }

    #[test]
    fn a_held_lock_is_busy_and_a_released_one_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("blob.lock");
        for acquire in [FileLock::try_acquire, FileLock::try_acquire_temporary] {
            let held = acquire(&path).unwrap().expect("the lock is free");
            assert!(acquire(&path).unwrap().is_none());
            drop(held);
            assert!(acquire(&path).unwrap().is_some());
        }
    }

    #[test]
    fn a_check_for_a_held_lock_creates_no_file() {
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
    fn short_contention_is_retried_and_a_held_lock_is_not_taken() {
        let busy_for = |n_tries: u32| {
            let mut tries = 0;
            let result = retry_while_contended(
                || {
                    tries += 1;
                    if tries > n_tries {
                        Ok(())
                    } else {
                        Err(fs2::lock_contended_error())
                    }
                },
                || {},
            );
            (result.is_ok(), tries)
        };
        assert_eq!(busy_for(0), (true, 1));
        assert_eq!(busy_for(LOCK_ATTEMPTS - 1), (true, LOCK_ATTEMPTS));
        assert_eq!(busy_for(u32::MAX), (false, LOCK_ATTEMPTS));
    }

    #[test]
    fn a_temporary_lock_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("blob.lock");
        drop(FileLock::try_acquire_temporary(&path).unwrap());
        assert!(!path.exists());
    }
}
