//! Files: write aside and rename, links, shared content, folders that stay inside.
//!
//! Every writer of final names goes through here, so that a crash leaves either
//! the old file or the new one, and no link leads a write out of its root.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::open;
use crate::domain::placement::{FileNames, LetterCase};

/// Whether two names may share one file, or a copy must be independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// For files that nobody edits: cache blobs.
    HardLinksToo,
    /// For files that people own and may edit in place.
    OwnBytes,
}

/// How a content got its second name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shared {
    Reflinked,
    HardLinked,
    Copied,
}

/// What tells two names of one file from two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileIdentity {
    device: u64,
    number: u64,
}

/// Forces a file's bytes to disk and renames it, replacing what has the name.
///
/// The bytes come first: a name that survives a power cut must not stand for
/// an empty file. The folder itself is left to `sync_dir`, once for many files.
pub fn rename_synced(from: &Path, to: &Path) -> io::Result<()> {
    // The bytes and no more: a change of permissions alone is not worth the wait.
    open::flushable(from)?.sync_data()?;
    rename_over(from, to)
}

/// As `rename_synced`, and forces the new name to disk as well.
pub fn rename_durably(from: &Path, to: &Path) -> io::Result<()> {
    rename_synced(from, to)?;
    to.parent().map_or(Ok(()), sync_dir)
}

/// Forces a folder's names to disk, where the platform can.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    if cfg!(windows) {
        // There is no such call; NTFS journals its names.
        return Ok(());
    }
    match File::open(dir)?.sync_all() {
        // Some network and user-space file systems do not know the request.
        Err(err) if matches!(err.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
            Ok(())
        }
        result => result,
    }
}

/// Replaces a file by new bytes, written aside in a folder on the same file
/// system, and forces both to disk.
///
/// The folder is named by the caller because readers of the target's folder
/// must not see a temporary file, not even briefly.
pub fn write_atomically(path: &Path, bytes: &[u8], aside: &Path) -> io::Result<()> {
    write_aside(path, bytes, aside, |temporary, path| {
        rename_durably(temporary, path)
    })
}

/// As `write_atomically`, but a power cut may leave an empty file.
///
/// For notes that can be made again, of which there are thousands.
pub fn write_unsynced(path: &Path, bytes: &[u8], aside: &Path) -> io::Result<()> {
    write_aside(path, bytes, aside, |temporary, path| {
        fs::rename(temporary, path)
    })
}

/// Replaces a file that everybody on the machine may read, such as one that a
/// monitoring agent picks up: it sees the old one or the new one.
///
/// What is there and no file, such as `/dev/null`, stays what it is.
pub fn write_for_all(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if path.metadata().is_ok_and(|found| !found.is_file()) {
        let why = "there is something that is no file";
        return Err(io::Error::new(ErrorKind::AlreadyExists, why));
    }
    let aside = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    write_aside(path, bytes, aside, |temporary, path| {
        // Whatever the umask says: cron's often leaves others out.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(temporary, fs::Permissions::from_mode(0o644))?;
        }
        fs::rename(temporary, path)
    })
}

fn write_aside(
    path: &Path,
    bytes: &[u8],
    aside: &Path,
    rename: impl FnOnce(&Path, &Path) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = unused_name(aside);
    create_new(&temporary)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| rename(&temporary, path))
        .inspect_err(|_| {
            let _ = fs::remove_file(&temporary);
        })
}

/// Names that `unused_name` gives; whatever bears one after a crash is waste.
pub const TEMPORARY_PREFIX: &str = "tmp-";

/// Returns a name in a folder that nothing has.
pub fn unused_name(dir: &Path) -> PathBuf {
    dir.join(format!("{TEMPORARY_PREFIX}{:016x}", fastrand::u64(..)))
}

/// Creates a file that must not exist; a link of that name is not followed.
pub fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Reads a small text file of the user's, through links; `None` when there is none.
pub fn read_if_present(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        // `NotADirectory`: a parent's name is taken by a file.
        Err(err) if is_absent(&err) => Ok(None),
        Err(err) => Err(err),
    }
}

/// Removes a file or link; that there is none is no error.
pub fn remove_if_present(path: &Path) -> io::Result<bool> {
    let again = |err| allow_writing(path, err).and_then(|()| fs::remove_file(path));
    match fs::remove_file(path).or_else(again) {
        Ok(()) => Ok(true),
        Err(err) if is_absent(&err) => Ok(false),
        Err(err) => Err(err),
    }
}

/// Renames a file over another one, which may be read-only.
pub fn rename_over(from: &Path, to: &Path) -> io::Result<()> {
    let again = |err| allow_writing(to, err).and_then(|()| fs::rename(from, to));
    fs::rename(from, to).or_else(again)
}

/// Takes the read-only mark off a file, because of which Windows neither
/// deletes nor replaces it. Without such a mark the error had another cause and
/// is returned, as on all other systems, where the folder alone decides.
#[cfg_attr(windows, allow(clippy::permissions_set_readonly_false))]
fn allow_writing(path: &Path, err: io::Error) -> io::Result<()> {
    #[cfg(windows)]
    if let Ok(found) = fs::symlink_metadata(path)
        && found.is_file()
        && found.permissions().readonly()
    {
        let mut permissions = found.permissions();
        permissions.set_readonly(false);
        return fs::set_permissions(path, permissions);
    }
    let _ = path;
    Err(err)
}

/// Tells whether an error only says that there is no such file.
pub fn is_absent(err: &io::Error) -> bool {
    matches!(err.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Tells whether a name cannot go because another program has the file open.
/// Elsewhere than on Windows only a mount or a running program is in the way.
pub fn is_in_use(err: &io::Error) -> bool {
    // ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION, ERROR_USER_MAPPED_FILE;
    // a folder in which a file is open answers ERROR_ACCESS_DENIED.
    let on_windows = cfg!(windows) && matches!(err.raw_os_error(), Some(5 | 32 | 33 | 1224));
    on_windows || err.kind() == ErrorKind::ResourceBusy
}

/// Tells whether an error says that the disk failed, or that a name on it is
/// not what it must be: a person has to look at the place.
pub fn is_disk_failure(err: &io::Error) -> bool {
    #[cfg(unix)]
    let failed = err.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error());
    // ERROR_CRC, ERROR_WRITE_FAULT, ERROR_READ_FAULT, ERROR_GEN_FAILURE, ERROR_IO_DEVICE.
    #[cfg(windows)]
    let failed = matches!(err.raw_os_error(), Some(23 | 29 | 30 | 31 | 1117));
    failed || open::is_not_plain(err)
}

/// Returns what a name stands for, through links; `None` when that is nothing.
pub fn metadata_if_present(path: &Path) -> io::Result<Option<Metadata>> {
    present(fs::metadata(path))
}

/// Returns what a name itself is, a link being a link; `None` when there is none.
pub fn link_metadata_if_present(path: &Path) -> io::Result<Option<Metadata>> {
    present(fs::symlink_metadata(path))
}

fn present(result: io::Result<Metadata>) -> io::Result<Option<Metadata>> {
    match result {
        Ok(metadata) => Ok(Some(metadata)),
        Err(err) if is_absent(&err) => Ok(None),
        // A link that leads in a circle stands for nothing.
        Err(err) if is_circle(&err) => Ok(None),
        Err(err) => Err(err),
    }
}

#[cfg(unix)]
fn is_circle(err: &io::Error) -> bool {
    err.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

#[cfg(not(unix))]
fn is_circle(_err: &io::Error) -> bool {
    false
}

/// Gives a content a second name, at the least cost that the file system offers.
///
/// Reflink first (no bytes, and independent), then a hard link where the caller
/// allows one, then a copy.
pub fn share(source: &Path, target: &Path, sharing: Sharing) -> io::Result<Shared> {
    if reflink(source, target).is_ok() {
        return Ok(Shared::Reflinked);
    }
    if sharing == Sharing::HardLinksToo && hard_link(source, target).is_ok() {
        return Ok(Shared::HardLinked);
    }
    let copy = || {
        fs::copy(source, target)?;
        let folder = target.parent().unwrap_or(Path::new("."));
        fs::set_permissions(target, permissions_of_new_files(folder)?)
    };
    copy().map(|()| Shared::Copied).inspect_err(|_| {
        let _ = fs::remove_file(target);
    })
}

/// Gives a copy the time of change of its source, so that it is known by it.
pub fn take_time_of(source: &Path, copy: &Path) -> io::Result<()> {
    let modified = fs::metadata(source)?.modified()?;
    OpenOptions::new()
        .write(true)
        .open(copy)?
        .set_modified(modified)
}

/// Gives a file a second name; of a symbolic link, the file behind it.
pub fn hard_link(source: &Path, target: &Path) -> io::Result<()> {
    fs::hard_link(fs::canonicalize(source)?, target)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn reflink(source: &Path, target: &Path) -> io::Result<()> {
    let source = File::open(source)?;
    let file = create_new(target)?;
    rustix::fs::ioctl_ficlone(&file, &source).map_err(|err| {
        let _ = fs::remove_file(target);
        err.into()
    })
}

#[cfg(target_os = "macos")]
pub(super) fn reflink(source: &Path, target: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, CloneFlags, fclonefileat};
    Ok(fclonefileat(
        File::open(source)?,
        CWD,
        target,
        CloneFlags::empty(),
    )?)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "macos")))]
pub(super) fn reflink(_source: &Path, _target: &Path) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// Returns the permissions of a new file: all that the umask leaves.
///
/// A shared cache needs them where bytes came from a private or read-only
/// file. A process can read its umask only by setting it, for all threads, so
/// a new file is asked, as the official client does.
pub fn permissions_of_new_files(dir: &Path) -> io::Result<fs::Permissions> {
    let probe = unused_name(dir);
    let permissions = create_new(&probe)?.metadata()?.permissions();
    fs::remove_file(&probe)?;
    Ok(permissions)
}

/// Returns these permissions without the right to write.
///
/// On Windows they stay as they are: there a read-only file cannot be deleted
/// by its folder's owner, and `hf cache rm` would leave it behind.
pub fn read_only(permissions: &fs::Permissions) -> fs::Permissions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::Permissions::from_mode(permissions.mode() & !0o222)
    }
    #[cfg(not(unix))]
    {
        permissions.clone()
    }
}

/// Makes a symbolic link to a file.
#[cfg(unix)]
pub fn symlink_file(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

/// Makes a symbolic link to a file.
#[cfg(windows)]
pub fn symlink_file(target: &Path, link: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, link)
}

/// Tries whether a folder's file system, and this user, can make symbolic links.
pub fn supports_symlinks(dir: &Path) -> bool {
    let probe = unused_name(dir);
    let made = symlink_file(Path::new("nothing"), &probe).is_ok();
    let _ = fs::remove_file(&probe);
    made
}

/// Tries whether a folder's file system can give a file two names.
pub fn supports_hard_links(dir: &Path) -> bool {
    let (probe, second) = (unused_name(dir), unused_name(dir));
    let made = create_new(&probe).is_ok() && fs::hard_link(&probe, &second).is_ok();
    for name in [probe, second] {
        let _ = fs::remove_file(name);
    }
    made
}

/// Tries whether a folder's file system tells `a` from `A`.
pub fn letter_case(dir: &Path) -> io::Result<LetterCase> {
    let probe = unused_name(dir);
    drop(create_new(&probe)?);
    let name = probe.file_name().unwrap_or_default().to_string_lossy();
    let seen = link_metadata_if_present(&dir.join(name.to_uppercase()));
    fs::remove_file(&probe)?;
    Ok(match seen? {
        Some(_) => LetterCase::Ignored,
        None => LetterCase::Matters,
    })
}

/// Returns whose rules for file names apply on this platform.
pub fn file_names() -> FileNames {
    if cfg!(windows) {
        FileNames::Windows
    } else {
        FileNames::Posix
    }
}

/// Returns the file's identity and its number of names, where the platform tells them.
#[cfg(unix)]
pub fn identity(metadata: &Metadata) -> Option<(FileIdentity, u64)> {
    use std::os::unix::fs::MetadataExt;
    let (device, number) = (metadata.dev(), metadata.ino());
    Some((FileIdentity { device, number }, metadata.nlink()))
}

/// Returns the file's identity and its number of names, where the platform tells them.
#[cfg(not(unix))]
pub fn identity(_metadata: &Metadata) -> Option<(FileIdentity, u64)> {
    None
}

/// Creates a folder below a root, and refuses to be led out of the root by a link.
///
/// `below` is relative, without `..`. Links that stay inside are followed: a
/// person may have moved a folder. The names come from strangers, and so may
/// a link that an earlier download or an archive left in the way.
pub fn create_dirs_inside(root: &Path, below: &Path) -> io::Result<PathBuf> {
    let mut dir = root.to_path_buf();
    for part in below.components() {
        let std::path::Component::Normal(part) = part else {
            return Err(outside(below, root));
        };
        dir.push(part);
        match link_metadata_if_present(&dir)? {
            None => match fs::create_dir(&dir) {
                // Another process made it since; the next look says what it is.
                Err(err) if err.kind() == ErrorKind::AlreadyExists && dir.is_dir() => {
                    check_inside(root, &dir)?;
                }
                result => result?,
            },
            Some(found) if found.is_dir() => {}
            Some(found) if found.is_symlink() => check_inside(root, &dir)?,
            Some(_) => {
                let text = format!("`{}` is no folder", dir.display());
                return Err(io::Error::new(ErrorKind::NotADirectory, text));
            }
        }
    }
    Ok(dir)
}

/// Checks that a folder, through all its links, lies below a root.
pub fn check_inside(root: &Path, dir: &Path) -> io::Result<()> {
    if fs::canonicalize(dir)?.starts_with(fs::canonicalize(root)?) {
        Ok(())
    } else {
        Err(outside(dir, root))
    }
}

fn outside(dir: &Path, root: &Path) -> io::Error {
    io::Error::other(format!(
        "`{}` leads out of `{}`",
        dir.display(),
        root.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_atomic_write_replaces_a_file_and_leaves_nothing_aside() {
        let dir = tempfile::tempdir().unwrap();
        let (aside, path) = (dir.path().join("aside"), dir.path().join("file"));
        fs::create_dir(&aside).unwrap();
        for text in ["old", "new and longer"] {
            write_atomically(&path, text.as_bytes(), &aside).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::read_dir(&aside).unwrap().count(), 0);
    }

    #[test]
    fn a_write_that_fails_cleans_up_and_keeps_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let taken = dir.path().join("folder");
        fs::create_dir_all(taken.join("full")).unwrap();
        assert!(write_atomically(&taken, b"x", dir.path()).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(taken.join("full").is_dir());
    }

    #[test]
    fn shared_content_is_whole_under_both_names() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("source");
        fs::write(&source, "content").unwrap();
        for (name, sharing) in [("a", Sharing::HardLinksToo), ("b", Sharing::OwnBytes)] {
            let target = dir.path().join(name);
            let how = share(&source, &target, sharing).unwrap();
            assert_eq!(fs::read_to_string(&target).unwrap(), "content");
            assert!(sharing == Sharing::HardLinksToo || how != Shared::HardLinked);
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

    #[cfg(unix)]
    #[test]
    fn a_link_to_the_outside_is_refused_and_one_inside_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
        fs::create_dir_all(root.join("real")).unwrap();
        fs::create_dir(&outside).unwrap();
        symlink_file(&outside, &root.join("out")).unwrap();
        symlink_file(Path::new("real"), &root.join("in")).unwrap();
        symlink_file(Path::new("circle"), &root.join("circle")).unwrap();
        fs::write(root.join("file"), "").unwrap();

        assert!(create_dirs_inside(&root, Path::new("real/a/b")).is_ok());
        assert!(create_dirs_inside(&root, Path::new("in/c")).is_ok());
        assert!(root.join("real/c").is_dir());
        for bad in ["out", "out/deep", "circle/x", "file/x", "../outside/x"] {
            assert!(create_dirs_inside(&root, Path::new(bad)).is_err(), "{bad}");
        }
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }
}
