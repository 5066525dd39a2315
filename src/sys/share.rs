//! Second names for the content of a file: reflink, hard link or copy.

use std::fs::{self, FileTimes, OpenOptions};
use std::io;
use std::path::Path;

use super::files::{permissions_of_new_files, remove_if_present, unused_name};

/// Whether two names may share one file, or a copy must be independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// For files that are never edited in place, such as cache blobs.
    HardLinksToo,
    /// For files that users may edit in place.
    OwnBytes,
}

/// The method by which a file got a second name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareMethod {
    Reflinked,
    HardLinked,
    Copied,
}

/// Creates a second name for a file at the lowest cost.
///
/// First a reflink (no copied bytes, and independent), then a hard link where the
/// caller allows one, then a copy.
pub fn share(source: &Path, target: &Path, sharing: Sharing) -> io::Result<ShareMethod> {
    if reflink(source, target).is_ok() {
        return Ok(ShareMethod::Reflinked);
    }
    if sharing == Sharing::HardLinksToo && hard_link(source, target).is_ok() {
        return Ok(ShareMethod::HardLinked);
    }
    let copy = || {
        fs::copy(source, target)?;
        let folder = target.parent().unwrap_or(Path::new("."));
        fs::set_permissions(target, permissions_of_new_files(folder)?)
    };
    copy().map(|()| ShareMethod::Copied).inspect_err(|_| {
        let _ = fs::remove_file(target);
    })
}

/// Sets the times of a copy to those of its source: the modification time is how the
/// copy is recognised later.
///
/// Both at once, because some user-space file systems ignore a single one.
pub fn take_time_of(source: &Path, copy: &Path) -> io::Result<()> {
    let found = fs::metadata(source)?;
    let modified = found.modified()?;
    let accessed = found.accessed().unwrap_or(modified);
    let times = FileTimes::new()
        .set_modified(modified)
        .set_accessed(accessed);
    OpenOptions::new().write(true).open(copy)?.set_times(times)
}

/// Creates a hard link; of a symbolic link, to the file behind it.
pub fn hard_link(source: &Path, target: &Path) -> io::Result<()> {
    fs::hard_link(fs::canonicalize(source)?, target)
}

/// Creates an independent copy that shares the bytes of its source.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn reflink(source: &Path, target: &Path) -> io::Result<()> {
    let source = fs::File::open(source)?;
    let file = super::files::create_new(target)?;
    rustix::fs::ioctl_ficlone(&file, &source).map_err(|err| {
        let _ = fs::remove_file(target);
        err.into()
    })
}

/// Creates an independent copy that shares the bytes of its source.
#[cfg(target_os = "macos")]
pub fn reflink(source: &Path, target: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, CloneFlags, fclonefileat};
    Ok(fclonefileat(
        fs::File::open(source)?,
        CWD,
        target,
        CloneFlags::empty(),
    )?)
}

/// Creates an independent copy that shares the bytes of its source.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "macos")))]
pub fn reflink(_source: &Path, _target: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Creates a second name for a file without copying bytes: a reflink, or a hard
/// link where the caller allows one.
pub fn clone_or_link(source: &Path, target: &Path, sharing: Sharing) -> io::Result<()> {
    match reflink(source, target) {
        Err(_) if sharing == Sharing::HardLinksToo => hard_link(source, target),
        result => result,
    }
}

/// Tries whether a file can be reflinked into a folder.
pub fn can_clone(source: &Path, folder: &Path) -> bool {
    let probe = unused_name(folder);
    let cloned = reflink(source, &probe).is_ok();
    let _ = remove_if_present(&probe);
    cloned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_content_is_complete_under_both_names() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("source");
        fs::write(&source, "content").unwrap();
        for (name, sharing) in [("a", Sharing::HardLinksToo), ("b", Sharing::OwnBytes)] {
            let target = dir.path().join(name);
            let how = share(&source, &target, sharing).unwrap();
            assert_eq!(fs::read_to_string(&target).unwrap(), "content");
            assert!(sharing == Sharing::HardLinksToo || how != ShareMethod::HardLinked);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_copy_of_a_read_only_file_can_be_written_as_any_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (source, fresh) = (dir.path().join("source"), dir.path().join("fresh"));
        fs::write(&source, "content").unwrap();
        fs::write(&fresh, "").unwrap();
        fs::set_permissions(&source, fs::Permissions::from_mode(0o444)).unwrap();
        let target = dir.path().join("target");
        share(&source, &target, Sharing::OwnBytes).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&target), mode(&fresh));
        assert_eq!(mode(&source) & 0o777, 0o444);
    }
}
