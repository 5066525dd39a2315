//! Opens files under names that another user or program may have taken.
//!
//! Names in a cache or a directory can be predicted, and others may write there. A
//! symbolic link under such a name would redirect a write out of the root, a hard
//! link would modify another file in place, and a FIFO would block the run. So the
//! last component of a path is opened without following links and without blocking,
//! and the type of the open file is checked.
//!
//! A name in a private folder belongs to hfdl alone: anything else is removed
//! there. Under a name shared with other programs it is refused with its path,
//! because removal would race with them. Folders are checked by
//! `files::create_dirs_inside`.

use std::fs::{File, FileType, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::files::{is_absent, link_metadata_if_present, remove_if_present};

/// A path that must be a plain file and is not.
#[derive(Debug, thiserror::Error)]
#[error("`{}` is {kind} where a plain file must be", path.display())]
pub struct NotPlain {
    path: PathBuf,
    kind: &'static str,
}

/// The next step where `is_not_plain` holds.
pub const NOT_PLAIN_ADVICE: &str = "move it away, and run it again";

/// Tells whether an error means that a path is no plain file.
pub fn is_not_plain(err: &io::Error) -> bool {
    err.get_ref().is_some_and(|inner| inner.is::<NotPlain>())
}

/// Opens a plain file for reading; a link is refused.
pub fn read(path: &Path) -> io::Result<File> {
    plain(OpenOptions::new().read(true), path)
}

/// Opens a file for reading, following links as snapshot entries require; a FIFO or
/// device is refused.
pub fn read_through_links(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    non_blocking(options.read(true));
    let file = options.open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        Ok(file)
    } else {
        Err(not_plain(path, kind))
    }
}

/// Reads a small plain file; `None` when it is missing.
pub fn read_if_present(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    match read(path).and_then(|mut file| file.read_to_end(&mut bytes)) {
        Ok(_) => Ok(Some(bytes)),
        Err(err) if is_absent(&err) => Ok(None),
        Err(err) => Err(err),
    }
}

/// As `read_if_present`, for a file that hfdl recreates when it is missing:
/// anything but a plain file counts as missing.
pub fn read_if_plain(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match read_if_present(path) {
        Err(err) if is_not_plain(&err) => Ok(None),
        read => read,
    }
}

/// Opens or creates a lock file, which may be shared with other programs; a link is
/// refused.
pub fn lock_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    plain(options.create(true).truncate(false).write(true), path)
}

/// Opens or creates a file in a private folder, for reading and for writing in
/// place. Anything but a plain file with one hard link is removed first.
pub fn own(path: &Path) -> io::Result<File> {
    const ATTEMPTS: u32 = 3;
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true);
    for _ in 0..ATTEMPTS {
        match plain(&mut options, path) {
            Ok(file) if has_one_name(&file)? => return Ok(file),
            Ok(_) => {}
            Err(err) if is_not_plain(&err) => {}
            Err(err) => return Err(err),
        }
        remove_if_present(path)?;
    }
    let text = format!(
        "`{}` keeps being replaced by another process",
        path.display()
    );
    Err(io::Error::other(text))
}

/// Creates a new file in a private folder; an existing one is removed.
pub fn anew(path: &Path) -> io::Result<File> {
    let create = || OpenOptions::new().write(true).create_new(true).open(path);
    match create() {
        Err(err) if err.kind() == ErrorKind::AlreadyExists => {
            remove_if_present(path)?;
            create()
        }
        created => created,
    }
}

/// Opens a plain file with one hard link for appending.
pub fn append(path: &Path) -> io::Result<File> {
    let file = plain(OpenOptions::new().append(true), path)?;
    if has_one_name(&file)? {
        return Ok(file);
    }
    let text = format!("`{}` has a second hard link", path.display());
    Err(io::Error::other(text))
}

/// Opens a plain file to flush it or to change its permissions.
///
/// Windows needs a writable handle for both; on other systems a writable handle
/// would fail for a read-only file.
pub fn flushable(path: &Path) -> io::Result<File> {
    plain(OpenOptions::new().read(true).write(cfg!(windows)), path)
}

/// Sets the permissions of an open file, where this user may.
///
/// In a cache shared by a group the file may belong to another member, who alone
/// can change them.
pub fn set_permissions(file: &File, permissions: Permissions) -> io::Result<()> {
    match file.set_permissions(permissions) {
        // Some file systems have no permissions.
        Err(err)
            if matches!(
                err.kind(),
                ErrorKind::PermissionDenied | ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        set => set,
    }
}

/// Opens a path that must itself be a plain file.
fn plain(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    no_follow(options);
    match options.open(path) {
        Ok(file) => {
            let kind = file.metadata()?.file_type();
            if kind.is_file() {
                Ok(file)
            } else {
                Err(not_plain(path, kind))
            }
        }
        // The error for a link or a socket differs between systems.
        Err(err) => match link_metadata_if_present(path) {
            Ok(Some(found)) if !found.is_file() => Err(not_plain(path, found.file_type())),
            _ => Err(err),
        },
    }
}

fn not_plain(path: &Path, kind: FileType) -> io::Error {
    io::Error::other(NotPlain {
        path: path.to_owned(),
        kind: type_name(kind),
    })
}

fn type_name(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a FIFO";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_block_device() || kind.is_char_device() {
            return "a device";
        }
    }
    match (kind.is_symlink(), kind.is_dir()) {
        (true, _) => "a symbolic link",
        (_, true) => "a folder",
        _ => "something else",
    }
}

#[cfg(unix)]
fn non_blocking(options: &mut OpenOptions) {
    use rustix::fs::OFlags;
    use std::os::unix::fs::OpenOptionsExt;
    options.custom_flags(flags(OFlags::NONBLOCK | OFlags::NOCTTY));
}

#[cfg(unix)]
fn no_follow(options: &mut OpenOptions) {
    use rustix::fs::OFlags;
    use std::os::unix::fs::OpenOptionsExt;
    options.custom_flags(flags(OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY));
}

#[cfg(unix)]
fn flags(flags: rustix::fs::OFlags) -> i32 {
    flags.bits().cast_signed()
}

#[cfg(unix)]
fn has_one_name(file: &File) -> io::Result<bool> {
    Ok(std::os::unix::fs::MetadataExt::nlink(&file.metadata()?) == 1)
}

/// On Windows pipes are not in folders, so `open` never blocks.
#[cfg(windows)]
fn non_blocking(_options: &mut OpenOptions) {}

#[cfg(windows)]
fn no_follow(options: &mut OpenOptions) {
    use std::os::windows::fs::OpenOptionsExt;
    use windows_sys::Win32::Storage::FileSystem::FILE_FLAG_OPEN_REPARSE_POINT;
    options.custom_flags(FILE_FLAG_OPEN_REPARSE_POINT);
}

#[cfg(windows)]
fn has_one_name(file: &File) -> io::Result<bool> {
    Ok(super::files::open_identity(file).is_none_or(|(_, n_names)| n_names == 1))
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    /// Folders with one path that is no plain file, and a file outside.
    fn planted() -> Vec<(tempfile::TempDir, PathBuf, PathBuf)> {
        let plants: [fn(&Path, &Path); 4] = [
            |outside, name| symlink(outside, name).unwrap(),
            |_, name| symlink("nowhere", name).unwrap(),
            |_, name| fifo(name),
            |_, name| drop(UnixListener::bind(name).unwrap()),
        ];
        let make = |plant: fn(&Path, &Path)| {
            let dir = tempfile::tempdir().unwrap();
            let (outside, name) = (dir.path().join("outside"), dir.path().join("name"));
            fs::write(&outside, "precious").unwrap();
            plant(&outside, &name);
            (dir, outside, name)
        };
        plants.into_iter().map(make).collect()
    }

    fn fifo(path: &Path) {
        let made = std::process::Command::new("mkfifo").arg(path).status();
        assert!(made.unwrap().success());
    }

    #[test]
    fn planted_files_under_a_private_name_are_removed() {
        for (_dir, outside, name) in planted() {
            own(&name).unwrap().write_all(b"ours").unwrap();
            assert_eq!(fs::read_to_string(&outside).unwrap(), "precious");
            assert_eq!(fs::read_to_string(&name).unwrap(), "ours");
        }
        for (_dir, outside, name) in planted() {
            anew(&name).unwrap().write_all(b"ours").unwrap();
            assert_eq!(fs::read_to_string(&outside).unwrap(), "precious");
            assert_eq!(fs::read_to_string(&name).unwrap(), "ours");
        }
    }

    #[test]
    fn a_shared_name_that_is_no_plain_file_is_refused() {
        for (_dir, _, name) in planted() {
            for open in [read, lock_file, append, flushable] {
                let err = open(&name).unwrap_err();
                assert!(is_not_plain(&err), "{err}");
                assert!(err.to_string().contains("name"), "{err}");
            }
            assert_eq!(read_if_plain(&name).unwrap(), None);
            assert!(name.symlink_metadata().is_ok(), "it is left alone");
        }
    }

    #[test]
    fn a_hard_link_is_not_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let (outside, name) = (dir.path().join("outside"), dir.path().join("name"));
        fs::write(&outside, "precious").unwrap();
        fs::hard_link(&outside, &name).unwrap();
        assert!(append(&name).is_err());
        own(&name).unwrap().write_all(b"ours").unwrap();
        assert_eq!(fs::read_to_string(&outside).unwrap(), "precious");
    }

    #[test]
    fn followed_links_must_lead_to_files() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        symlink("file", &link).unwrap();
        fs::write(dir.path().join("file"), "text").unwrap();
        assert!(read_through_links(&link).is_ok());
        fs::remove_file(dir.path().join("file")).unwrap();
        fifo(&dir.path().join("file"));
        assert!(is_not_plain(&read_through_links(&link).unwrap_err()));
        assert!(read_through_links(dir.path()).is_err());
    }

    #[test]
    fn existing_content_is_kept_unless_created_anew() {
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().join("name");
        assert_eq!(read_if_present(&name).unwrap(), None);
        own(&name).unwrap().write_all(b"one").unwrap();
        own(&name).unwrap();
        append(&name).unwrap().write_all(b" two").unwrap();
        assert_eq!(read_if_present(&name).unwrap().unwrap(), b"one two");
        anew(&name).unwrap();
        assert_eq!(read_if_present(&name).unwrap().unwrap(), b"");
    }
}
