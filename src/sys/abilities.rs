//! The abilities of a folder's file system, found by trying them: links, letter
//! case, accents.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::file_limit;
use super::files::{
    create_new, identity, is_disk_failure, link_metadata_if_present, remove_folder, rename_over,
    symlink_file, unused_name,
};
use super::host::has_links;
use crate::domain::placement::{FileNames, LetterCase, NormalForms, Placement};

/// Finds out which file names a folder can hold, besides its own `private` one.
pub fn placement(dir: &Path, private: Option<&'static str>) -> io::Result<Placement> {
    Ok(Placement {
        names: file_names(),
        case: letter_case(dir)?,
        forms: normal_forms(dir)?,
        private,
    })
}

/// Tries whether a folder can hold snapshots of symbolic links: whether a file can be
/// read through a link whose target leads up and into another folder.
///
/// Some file systems store such a link and refuse to follow it. A full or read-only
/// disk is an error and no answer.
pub fn supports_symlinks(dir: &Path) -> io::Result<bool> {
    let probe = unused_name(dir);
    let resolves = read_through_link(&probe);
    match remove_folder(&probe) {
        Err(err) if resolves.is_ok() => Err(err),
        _ => Ok(resolves? && has_links("symbolic")),
    }
}

fn read_through_link(probe: &Path) -> io::Result<bool> {
    const TEXT: &str = "linked";
    let (targets, links) = (probe.join("targets"), probe.join("links").join("commit"));
    fs::create_dir(probe)?;
    fs::create_dir(&targets)?;
    fs::create_dir_all(&links)?;
    fs::write(targets.join("file"), TEXT)?;
    let target: PathBuf = ["..", "..", "targets", "file"].iter().collect();
    let entry = links.join("entry");
    match symlink_file(&target, &entry) {
        Ok(()) => Ok(fs::read(&entry).is_ok_and(|text| text == TEXT.as_bytes())),
        Err(err) if is_full_or_read_only(&err) => Err(err),
        Err(_) => Ok(false),
    }
}

/// Tries whether a file can be read at once in a folder that was renamed.
///
/// Mounts that upload in the background lose track of such a file for some seconds.
pub fn renames_folders(dir: &Path) -> io::Result<bool> {
    const TEXT: &str = "renamed";
    let (probe, renamed) = (unused_name(dir), unused_name(dir));
    let is_readable = || -> io::Result<bool> {
        fs::create_dir(&probe)?;
        fs::write(probe.join("file"), TEXT)?;
        rename_over(&probe, &renamed)?;
        Ok(fs::read(renamed.join("file")).is_ok_and(|text| text == TEXT.as_bytes()))
    };
    let found = is_readable();
    for folder in [probe, renamed] {
        let _ = remove_folder(&folder);
    }
    found
}

/// Tries whether hard links can be created in a folder, and be recognised where the
/// platform has inodes.
pub fn supports_hard_links(dir: &Path) -> bool {
    let (probe, second) = (unused_name(dir), unused_name(dir));
    let is_one_file = || -> io::Result<bool> {
        drop(create_new(&probe)?);
        fs::hard_link(&probe, &second)?;
        let (one, two) = (fs::metadata(&probe)?, fs::metadata(&second)?);
        Ok(match (identity(&probe, &one), identity(&second, &two)) {
            (Some((one, _)), Some((two, n_names))) => one == two && n_names == 2,
            _ => true,
        })
    };
    let found = is_one_file().unwrap_or(false) && has_links("hard");
    for name in [probe, second] {
        let _ = fs::remove_file(name);
    }
    found
}

/// Tries whether a folder's file system distinguishes `a` from `A`.
fn letter_case(dir: &Path) -> io::Result<LetterCase> {
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

/// Returns the file name rules of this platform.
pub fn file_names() -> FileNames {
    if cfg!(windows) {
        FileNames::Windows
    } else {
        FileNames::Posix
    }
}

/// Tries whether a folder's file system distinguishes `é` of one code point from
/// `é` of two.
fn normal_forms(dir: &Path) -> io::Result<NormalForms> {
    let name = unused_name(dir);
    let spelt = |accent: &str| {
        let mut name = name.clone();
        name.as_mut_os_string().push(accent);
        name
    };
    let (one, two) = (spelt("\u{e9}"), spelt("e\u{301}"));
    match create_new(&one) {
        Ok(file) => drop(file),
        // A file system that cannot store the name cannot confuse it.
        Err(err) if is_name_refused(&err) => return Ok(NormalForms::Matter),
        Err(err) => return Err(err),
    }
    let seen = link_metadata_if_present(&two);
    fs::remove_file(&one)?;
    Ok(match seen {
        Ok(Some(_)) => NormalForms::Ignored,
        Ok(None) => NormalForms::Matter,
        Err(err) if is_name_refused(&err) => NormalForms::Matter,
        Err(err) => return Err(err),
    })
}

/// Tells whether a file could not be created because of its name, in a folder that
/// takes files of other names.
///
/// File systems refuse a name with many different errors: `EINVAL`, `EPERM`,
/// `ENOENT`, `EILSEQ`, `ENAMETOOLONG`.
pub fn is_name_refused(err: &io::Error) -> bool {
    !is_full_or_read_only(err) && !is_disk_failure(err) && !file_limit::is_reached(err)
}

/// Tells whether a file system can take no more bytes or files, whatever their names.
pub fn is_full_or_read_only(err: &io::Error) -> bool {
    matches!(
        err.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::ReadOnlyFilesystem
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probes_of_links_and_folders_leave_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let links = supports_symlinks(dir.path()).unwrap();
        assert!(links || cfg!(windows) || !has_links("symbolic"));
        assert!(renames_folders(dir.path()).unwrap());
        assert_eq!(supports_hard_links(dir.path()), has_links("hard"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let missing = dir.path().join("missing");
        assert!(supports_symlinks(&missing).is_err());
        assert!(!supports_hard_links(&missing));
    }
}
