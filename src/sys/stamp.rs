//! Reads the stamp of a file from its metadata: it changes when the bytes change.

use std::fs::{self, FileTimes, Metadata};
use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::{files, open};
use crate::domain::proof::ProofStamp;

/// Returns the stamp of the file at a path, through links; `None` when it is
/// missing.
pub fn stamp_at(path: &Path) -> io::Result<Option<ProofStamp>> {
    let found = files::metadata_if_present(path)?;
    Ok(found
        .filter(Metadata::is_file)
        .map(|found| stamp_of(&found, path)))
}

/// Returns the stamp of the file at a path from its metadata.
pub fn stamp_of(found: &Metadata, path: &Path) -> ProofStamp {
    ProofStamp {
        size_bytes: found.len(),
        modified_ns: modified_ns(found),
        inode: inode(found, path),
    }
}

/// Sets the time of a complete file back where times have whole seconds, so that
/// every later change of the file changes its stamp.
pub fn set_back_coarse_time(path: &Path) -> io::Result<()> {
    let found = fs::metadata(path)?;
    let Some(back) = stamp_of(&found, path).needs_set_back() else {
        return Ok(());
    };
    let modified = found.modified()? - back;
    // Both times at once: some user-space file systems ignore a single one.
    let times = FileTimes::new()
        .set_modified(modified)
        .set_accessed(modified);
    open::flushable(path)?.set_times(times)
}

/// Returns 0 for a time that is unknown or does not fit.
fn modified_ns(found: &Metadata) -> i64 {
    let Ok(modified) = found.modified() else {
        return 0;
    };
    let nanoseconds = match modified.duration_since(UNIX_EPOCH) {
        Ok(after) => i128::try_from(after.as_nanos()).unwrap_or(0),
        Err(before) => -i128::try_from(before.duration().as_nanos()).unwrap_or(0),
    };
    i64::try_from(nanoseconds).unwrap_or(0)
}

#[cfg(unix)]
fn inode(found: &Metadata, path: &Path) -> Option<u64> {
    use super::disk;
    use std::collections::BTreeMap;
    use std::os::unix::fs::MetadataExt;
    use std::sync::{Mutex, PoisonError};

    /// By device, because the question may go over a network.
    static KEEP_INODES: Mutex<BTreeMap<u64, bool>> = Mutex::new(BTreeMap::new());
    let mut known = KEEP_INODES.lock().unwrap_or_else(PoisonError::into_inner);
    let keeps = *known
        .entry(found.dev())
        .or_insert_with(|| disk::keeps_inodes(path));
    keeps.then_some(found.ino())
}

#[cfg(not(unix))]
fn inode(_found: &Metadata, _path: &Path) -> Option<u64> {
    None
}

/// Tells whether two paths refer to one file. Without inodes their stamps are
/// compared.
pub fn is_same_file(one: &Path, other: &Path) -> bool {
    let (Ok(found), Ok(found_other)) = (fs::metadata(one), fs::metadata(other)) else {
        return false;
    };
    is_same_metadata((one, &found), (other, &found_other))
}

/// As `is_same_file`, for paths whose metadata has been read.
pub fn is_same_metadata(
    (one, found): (&Path, &Metadata),
    (other, found_other): (&Path, &Metadata),
) -> bool {
    match (
        files::identity(one, found),
        files::identity(other, found_other),
    ) {
        (Some((found, _)), Some((found_other, _))) => found == found_other,
        _ => stamp_of(found, one) == stamp_of(found_other, other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_stamp_changes_with_the_bytes_and_not_with_the_name() {
        let dir = tempfile::tempdir().unwrap();
        let (path, moved) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&path, "one").unwrap();
        let first = stamp_at(&path).unwrap().unwrap();
        fs::rename(&path, &moved).unwrap();
        assert_eq!(stamp_at(&path).unwrap(), None);
        assert_eq!(stamp_at(&moved).unwrap(), Some(first));
        let file = fs::File::options().write(true).open(&moved).unwrap();
        // Windows counts times in steps of 100 nanoseconds.
        file.set_modified(UNIX_EPOCH - Duration::from_nanos(500))
            .unwrap();
        let changed = stamp_at(&moved).unwrap().unwrap();
        assert!(changed != first);
        if cfg!(target_os = "linux") {
            assert_eq!(changed.modified_ns, -500);
        }
        set_back_coarse_time(&moved).unwrap();
        assert_eq!(stamp_at(&moved).unwrap(), Some(changed));
        file.set_modified(UNIX_EPOCH + Duration::from_secs(9))
            .unwrap();
        set_back_coarse_time(&moved).unwrap();
        assert_eq!(
            stamp_at(&moved).unwrap().unwrap().modified_ns,
            7_000_000_000
        );
        assert!(is_same_file(&moved, &dir.path().join(".").join("b")));
        assert!(!is_same_file(&moved, &path));
    }
}
