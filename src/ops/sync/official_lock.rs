//! The lock that the official client holds while it fetches and writes a blob or a file.
//!
//! Decision: it is taken for the change on disk only, not for a download. A download
//! with a rate limit or a window takes hours, and the official client waits for the
//! lock without an end. Two programs that fetch the same content at the same time
//! therefore fetch it twice; the second one replaces it with the same bytes.
//!
//! Decision: the lock file of a blob is not created. If it is missing, no program holds the
//! lock, and one that takes it during our rename fetches the content a second time at most.
//! For thousands of small files, the lock files would cost as much as the files.

use std::any::Any;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::sys::lock::FileLock;
use crate::sys::pause::Sleeper;
use crate::sys::signals::process_stop;

/// Takes the lock that the official client holds while it writes a blob, if the lock file
/// exists.
pub(super) fn take_blob_lock(path: &Path) -> Result<Box<dyn Any>> {
    if path.symlink_metadata().is_ok() {
        take_official_lock(path)
    } else {
        Ok(Box::new(()))
    }
}

/// Takes the lock that the official client holds while it writes a file of a directory.
///
/// The renames here are safe without it, so the wait has a limit: the other
/// program may be downloading the same file for hours. All waits of a process
/// share one limit, so that a hundred busy files do not add up.
pub(super) fn take_official_lock(path: &Path) -> Result<Box<dyn Any>> {
    const STEP: Duration = Duration::from_millis(50);
    const STEPS: u32 = 40;
    static STEPS_TAKEN: AtomicU32 = AtomicU32::new(0);
    let mut is_reported = false;
    let may_wait = || {
        if !is_reported {
            is_reported = true;
            log::info!(
                "`{}` is locked by another program; waiting up to {} s",
                path.display(),
                (STEP * STEPS).as_secs()
            );
        }
        STEPS_TAKEN.fetch_add(1, Ordering::Relaxed) < STEPS
    };
    let pause = Sleeper::until_stopped(&process_stop());
    let lock = FileLock::acquire_while(path, STEP, &pause, may_wait)
        .with_context(|| format!("cannot lock `{}`", path.display()))?;
    if let Some(lock) = lock {
        return Ok(Box::new(lock));
    }
    log::debug!(
        "`{}` is locked by another program; continuing without the lock",
        path.display()
    );
    Ok(Box::new(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_is_held_until_the_guard_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json.lock");
        let guard = take_official_lock(&path).unwrap();
        assert!(FileLock::is_held(&path).unwrap());
        drop(guard);
        assert!(!FileLock::is_held(&path).unwrap());
    }

    #[test]
    fn the_lock_of_a_blob_is_taken_only_where_its_file_exists() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("5f4d.lock");
        drop(take_blob_lock(&path).unwrap());
        assert!(!path.exists());
        std::fs::write(&path, "").unwrap();
        let guard = take_blob_lock(&path).unwrap();
        assert!(FileLock::is_held(&path).unwrap());
        drop(guard);
    }
}
