//! Files and directories that only their owner may access, and executability.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::files::{remove_if_present, rename_over, rename_synced};

/// Creates a directory and its parents for the owner alone (0700 on Unix).
///
/// An existing directory is left unchanged: its owner may have opened it on
/// purpose. On Windows the location decides; below the user's profile it is
/// private.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Creates an empty file for the owner alone (0600 on Unix); fails if it exists.
pub fn create_private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Returns the permission bits of group and others; `None` on platforms without
/// modes.
#[cfg(unix)]
pub fn modes_for_others(path: &Path) -> io::Result<Option<u32>> {
    use std::os::unix::fs::PermissionsExt;
    Ok(Some(path.metadata()?.permissions().mode() & 0o077))
}

/// Returns the permission bits of group and others; `None` on platforms without
/// modes.
#[cfg(not(unix))]
pub fn modes_for_others(path: &Path) -> io::Result<Option<u32>> {
    path.metadata().map(|_| None)
}

/// Removes all permissions of group and others.
pub fn make_private(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = path.metadata()?.permissions().mode();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode & 0o7700))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Tells whether a path is an executable file.
pub fn is_program(path: &Path) -> bool {
    let Ok(found) = path.metadata() else {
        return false;
    };
    #[cfg(unix)]
    let is_executable = {
        use rustix::fs::{Access, access};
        access(path, Access::EXEC_OK).is_ok()
    };
    #[cfg(not(unix))]
    let is_executable = true;
    found.is_file() && is_executable
}

/// Replaces a file that only the owner may read, atomically.
///
/// The temporary file has a fixed name, `NAME.new`, so that a crash leaves at most
/// one behind and the next write replaces it. For one writer at a time.
pub fn replace_private_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_private_file_with(path, |file| file.write_all(bytes))
}

/// As `replace_private_file`, for bytes that are written piece by piece.
pub fn replace_private_file_with(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    rename_synced(&write_aside(path, write)?, path)
}

/// As `replace_private_file`, for a file that is of no use after a crash: it costs no flush
/// of the disk.
pub fn replace_passing_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    rename_over(&write_aside(path, |file| file.write_all(bytes))?, path)
}

fn write_aside(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<PathBuf> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".new");
    let aside = PathBuf::from(aside);
    remove_if_present(&aside)?;
    let mut file = BufWriter::new(create_private_file(&aside)?);
    write(&mut file)?;
    // Windows renames no file that is open.
    drop(file.into_inner()?);
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_private_file_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b");
        create_private_dir(&path).unwrap();
        create_private_dir(&path).unwrap();
        let file = path.join("file");
        create_private_file(&file).unwrap();
        let err = create_private_file(&file).unwrap_err();
        assert_eq!(err.kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_replaced_file_is_complete_and_leaves_no_temporary_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("status.json");
        // Left behind by a crash.
        std::fs::write(directory.path().join("status.json.new"), "ha").unwrap();
        for text in ["old and long", "new"] {
            replace_private_file(&path, text.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(directory.path().read_dir().unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = path.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[cfg(unix)]
    #[test]
    fn private_files_and_folders_have_no_mode_for_others() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        create_private_dir(&path).unwrap();
        create_private_file(&path.join("file")).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&path.join("file")), 0o600);
    }
}
