//! The replacement of a file of secrets that another program reads and writes too.
//!
//! Some secrets exist once, in the answer to a request. So everything that can fail is
//! done before the request: the new file exists, belongs to the owner of the old one,
//! and has its space on disk. The rename then shows old or new content, never a part.

use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

use super::files::{remove_if_present, rename_durably};
use super::fs::create_private_file;

/// A new file beside an old one, until its content is known.
///
/// Its name is fixed, so that a crash leaves at most one behind, which the next
/// replacement removes. For one writer at a time.
pub struct PrivateReplacement {
    path: PathBuf,
    aside: PathBuf,
    file: File,
}

impl PrivateReplacement {
    /// Prepares the replacement of a file, through links, for up to `room` bytes.
    pub fn prepare(path: &Path, room: usize) -> io::Result<Self> {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mut aside = path.clone().into_os_string();
        aside.push(".hfdl-new");
        let aside = PathBuf::from(aside);
        remove_if_present(&aside)?;
        let file = create_private_file(&aside)?;
        let mut made = Self { path, aside, file };
        keep_owner(&made.path, &made.file)?;
        made.file.write_all(&vec![b'\n'; room])?;
        // A file system may allocate the space only now.
        made.file.sync_all()?;
        Ok(made)
    }

    /// Replaces the old file.
    pub fn finish(mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.rewind()?;
        self.file.write_all(bytes)?;
        self.file.set_len(bytes.len() as u64)?;
        rename_durably(&self.aside, &self.path).or_else(|err| {
            // A file that is mounted by itself, as in a container, cannot be replaced.
            log::debug!("cannot replace `{}`: {err}", self.path.display());
            let mut old = File::options().write(true).open(&self.path)?;
            old.write_all(bytes)?;
            old.set_len(bytes.len() as u64)?;
            old.sync_all()
        })
    }
}

impl Drop for PrivateReplacement {
    fn drop(&mut self) {
        let _ = remove_if_present(&self.aside);
    }
}

/// Gives a new file the owner of an old one: a run of root must not take a user's
/// secrets away.
#[cfg(unix)]
fn keep_owner(old: &Path, new: &File) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let (Ok(old), new_owner) = (fs::metadata(old), new.metadata()?) else {
        return Ok(());
    };
    if old.uid() == new_owner.uid() {
        return Ok(());
    }
    fchown(new, Some(old.uid()), Some(old.gid()))
}

#[cfg(not(unix))]
fn keep_owner(_old: &Path, _new: &File) -> io::Result<()> {
    Ok(())
}

/// Tells whether this user may replace a file, without trying.
pub fn is_replaceable(path: &Path) -> bool {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let Ok(found) = fs::metadata(&path) else {
        return false;
    };
    #[cfg(unix)]
    {
        use rustix::fs::{Access, access};
        use std::os::unix::fs::MetadataExt;
        let user = rustix::process::geteuid();
        let is_owner = user.is_root() || user.as_raw() == found.uid();
        let folder = path.parent().unwrap_or(Path::new("."));
        is_owner && access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok()
    }
    #[cfg(not(unix))]
    {
        !found.permissions().readonly()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replacement_is_complete_private_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secrets");
        fs::write(&path, "old and long").unwrap();
        fs::write(dir.path().join("secrets.hfdl-new"), "left by a crash").unwrap();
        assert!(is_replaceable(&path));
        let made = PrivateReplacement::prepare(&path, 100).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old and long");
        made.finish(b"new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        drop(PrivateReplacement::prepare(&path, 100).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(dir.path().read_dir().unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = path.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        let made = PrivateReplacement::prepare(&link, 10).unwrap();
        made.finish(b"new").unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    }
}
