//! Files and directories that nobody but their owner may read.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use super::files::{remove_if_present, rename_synced};

/// Creates a directory, and those above it, for the owner alone (0700 on Unix).
///
/// One that exists is left as it is: its owner may have opened it on purpose.
/// On Windows the place decides; below the user's profile it is private.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Creates an empty file for the owner alone (0600 on Unix); fails if the name is taken.
pub fn create_private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Replaces a file that is for the owner alone: readers see the old bytes or
/// the new ones.
///
/// Written aside under one name, `NAME.new`, so that a crash leaves one file
/// behind and the next writer takes its place. For one writer at a time.
pub fn replace_private_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".new");
    let aside = Path::new(&aside);
    remove_if_present(aside)?;
    create_private_file(aside)?.write_all(bytes)?;
    rename_synced(aside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_taken_is_not_taken_over() {
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
    fn a_replaced_file_is_whole_and_leaves_nothing_aside() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("status.json");
        // What a crash left.
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
    fn what_is_private_has_no_mode_for_others() {
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
