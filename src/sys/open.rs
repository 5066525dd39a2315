//! Opening files under names that another user or program may have taken.
//!
//! Names in a cache or a directory can be predicted, and others may write there.
//! A symbolic link under such a name would lead a write out of the root, a
//! second name of a file would have it written in place, and a FIFO would stall
//! the run. So the last component of a path is opened without following links
//! and without waiting, and the descriptor is asked for its kind.
//!
//! A name in a private folder belongs to hfdl alone: there anything else is
//! removed. Under a name that other programs share it is refused with its path,
//! because removing it would race with them. Folders are checked by
//! `files::create_dirs_inside`.

use std::fs::{File, FileType, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::files::{is_absent, link_metadata_if_present, remove_if_present};

/// A name that must be a plain file is something else.
#[derive(Debug, thiserror::Error)]
#[error("`{}` is {kind} where a plain file must be; remove it", path.display())]
pub struct NotPlain {
    path: PathBuf,
    kind: &'static str,
}

/// Tells whether an error says that a name is no plain file.
pub fn is_not_plain(err: &io::Error) -> bool {
    err.get_ref().is_some_and(|inner| inner.is::<NotPlain>())
}

/// Opens a plain file for reading; a link is refused.
pub fn read(path: &Path) -> io::Result<File> {
    plain(OpenOptions::new().read(true), path)
}

/// Opens a file for reading through links, as a snapshot's entries need it; a
/// FIFO or device is refused.
pub fn read_through_links(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    without_waiting(options.read(true));
    let file = options.open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(not_plain(path, file.metadata()?.file_type())),
    }
}

/// Reads a small plain file; `None` when there is none.
pub fn read_if_present(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    match read(path).and_then(|mut file| file.read_to_end(&mut bytes)) {
        Ok(_) => Ok(Some(bytes)),
        Err(err) if is_absent(&err) => Ok(None),
        Err(err) => Err(err),
    }
}

/// As `read_if_present`, for a file that hfdl writes again when it is absent:
/// anything that is no plain file counts as absent.
pub fn read_if_plain(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match read_if_present(path) {
        Err(err) if is_not_plain(&err) => Ok(None),
        read => read,
    }
}

/// Opens or creates a lock file, which other programs may share; a link is refused.
pub fn lock_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    plain(options.create(true).truncate(false).write(true), path)
}

/// Opens or creates a file of a private folder, for reading and for writing in
/// place. Anything but a plain file with one name is removed first.
pub fn own(path: &Path) -> io::Result<File> {
    const ROUNDS: u32 = 3;
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true);
    for _ in 0..ROUNDS {
        match plain(&mut options, path) {
            Ok(file) if has_one_name(&file.metadata()?) => return Ok(file),
            Ok(_) => {}
            Err(err) if is_not_plain(&err) => {}
            Err(err) => return Err(err),
        }
        remove_if_present(path)?;
    }
    let text = format!("`{}` is replaced again and again", path.display());
    Err(io::Error::other(text))
}

/// Creates a file of a private folder anew; the name's old file is removed.
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

/// Opens a plain file with one name for appending.
pub fn append(path: &Path) -> io::Result<File> {
    let file = plain(OpenOptions::new().append(true), path)?;
    match has_one_name(&file.metadata()?) {
        true => Ok(file),
        false => Err(io::Error::other(format!(
            "`{}` has a second name",
            path.display()
        ))),
    }
}

/// Opens a plain file to flush it, or to change its permissions.
///
/// Windows does either only through a handle that may write; elsewhere asking
/// for that would fail on a read-only file.
pub fn flushable(path: &Path) -> io::Result<File> {
    plain(OpenOptions::new().read(true).write(cfg!(windows)), path)
}

/// Sets the permissions of an open file, where this user may.
///
/// In a cache that a group shares the file may be another member's, who alone
/// can change them.
pub fn set_permissions(file: &File, permissions: Permissions) -> io::Result<()> {
    match file.set_permissions(permissions) {
        // Some file systems have no permissions at all.
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

/// Opens a name that must itself be a plain file.
fn plain(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    without_links(options);
    match options.open(path) {
        Ok(file) => {
            let kind = file.metadata()?.file_type();
            match kind.is_file() {
                true => Ok(file),
                false => Err(not_plain(path, kind)),
            }
        }
        // Which error a link or a socket gives is another on each system.
        Err(err) => match link_metadata_if_present(path) {
            Ok(Some(found)) if !found.is_file() => Err(not_plain(path, found.file_type())),
            _ => Err(err),
        },
    }
}

fn not_plain(path: &Path, kind: FileType) -> io::Error {
    io::Error::other(NotPlain {
        path: path.to_owned(),
        kind: name_of(kind),
    })
}

fn name_of(kind: FileType) -> &'static str {
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
fn without_waiting(options: &mut OpenOptions) {
    use rustix::fs::OFlags;
    use std::os::unix::fs::OpenOptionsExt;
    options.custom_flags(flags(OFlags::NONBLOCK | OFlags::NOCTTY));
}

#[cfg(unix)]
fn without_links(options: &mut OpenOptions) {
    use rustix::fs::OFlags;
    use std::os::unix::fs::OpenOptionsExt;
    options.custom_flags(flags(OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY));
}

#[cfg(unix)]
fn flags(flags: rustix::fs::OFlags) -> i32 {
    flags.bits().cast_signed()
}

#[cfg(unix)]
fn has_one_name(metadata: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(metadata) == 1
}

/// No name in a folder stalls an `open` on Windows: pipes live elsewhere.
#[cfg(windows)]
fn without_waiting(_options: &mut OpenOptions) {}

#[cfg(windows)]
fn without_links(options: &mut OpenOptions) {
    use std::os::windows::fs::OpenOptionsExt;
    use windows_sys::Win32::Storage::FileSystem::FILE_FLAG_OPEN_REPARSE_POINT;
    options.custom_flags(FILE_FLAG_OPEN_REPARSE_POINT);
}

/// The standard library does not tell the number of names on Windows.
#[cfg(windows)]
fn has_one_name(_metadata: &Metadata) -> bool {
    true
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    /// A folder with one name that is no plain file, and a file outside.
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
    fn a_name_of_ours_is_freed_of_anything_planted() {
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
    fn a_shared_name_that_is_no_plain_file_is_refused_at_once() {
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
    fn a_second_name_of_a_file_is_not_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let (outside, name) = (dir.path().join("outside"), dir.path().join("name"));
        fs::write(&outside, "precious").unwrap();
        fs::hard_link(&outside, &name).unwrap();
        assert!(append(&name).is_err());
        own(&name).unwrap().write_all(b"ours").unwrap();
        assert_eq!(fs::read_to_string(&outside).unwrap(), "precious");
    }

    #[test]
    fn links_that_are_followed_lead_to_files_only() {
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
    fn what_is_there_stays_there() {
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
