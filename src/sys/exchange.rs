//! Renames that exchange two paths, or never replace a file.
//!
//! Not every file system has them. `exchange` then fails, and the caller renames in
//! two steps; `rename_new` looks before it renames, which leaves a moment in which
//! another program may create the file.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::files::link_metadata_if_present;

/// Exchanges two paths in one step.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "macos"))]
pub fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

/// Exchanges two paths in one step.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "macos")))]
pub fn exchange(_one: &Path, _other: &Path) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// Renames to a path that has no file yet; fails with `AlreadyExists` if it has one.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "macos"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
            result => return Ok(result?),
        }
    }
    if link_metadata_if_present(to)?.is_some() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    fs::rename(from, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let [one, other, third] = ["one", "other", "third"].map(|name| dir.path().join(name));
        fs::write(&one, "1").unwrap();
        fs::write(&other, "2").unwrap();
        let err = rename_new(&one, &other).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&other).unwrap(), "2");
        rename_new(&one, &third).unwrap();
        assert!(!one.exists() && third.exists());
    }

    #[test]
    fn two_folders_change_places() {
        let dir = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| dir.path().join(name));
        for folder in [&one, &other] {
            fs::create_dir(folder).unwrap();
        }
        fs::write(one.join("a"), "1").unwrap();
        if exchange(&one, &other).is_ok() {
            assert!(other.join("a").exists() && !one.join("a").exists());
        }
    }
}
