//! Removes files of a cache or of a model directory.
//!
//! Every removal requires a [`Permit`], which only `domain::deletion` creates.
//! Builds with debug assertions append each removal and its reason to the file in
//! `HFDL_TEST_REMOVALS`, so that a test can account for all of them.

use std::fs;
use std::io;
use std::path::Path;

use super::files::{is_absent, link_metadata_if_present, remove_if_present};
use super::host::note_removal;
use crate::domain::deletion::Permit;

/// Removes a file or link; tells whether there was one.
pub fn remove_file(path: &Path, permit: Permit) -> io::Result<bool> {
    let is_removed = remove_if_present(path)?;
    if is_removed {
        note_removal(path, permit.reason().as_str());
    }
    Ok(is_removed)
}

/// Removes a file or link, or a folder with its content; tells whether there was one.
pub fn remove_any(path: &Path, permit: Permit) -> io::Result<bool> {
    let found = link_metadata_if_present(path)?;
    if found.is_some_and(|found| found.is_dir()) {
        remove_tree(path, permit)
    } else {
        remove_file(path, permit)
    }
}

/// Removes an empty folder; tells whether it was removed.
pub fn remove_empty_dir(path: &Path) -> bool {
    let is_removed = fs::remove_dir(path).is_ok();
    if is_removed {
        note_removal(path, Permit::empty_folder().reason().as_str());
    }
    is_removed
}

/// Removes a folder with its content, without following links; tells whether there
/// was one.
pub fn remove_tree(path: &Path, permit: Permit) -> io::Result<bool> {
    if permit == Permit::scratch() {
        allow_removal(path);
    }
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(err) if is_absent(&err) => return Ok(false),
        Err(err) => return Err(err),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path(), permit)?;
        } else {
            remove_file(&entry.path(), permit)?;
        }
    }
    match fs::remove_dir(path) {
        Ok(()) => {
            note_removal(path, permit.reason().as_str());
            Ok(true)
        }
        Err(err) if is_absent(&err) => Ok(false),
        Err(err) => Err(err),
    }
}

/// Makes a folder of our own writable: one that a program was to read only is removed
/// like any other. A failure shows at the removal.
fn allow_removal(folder: &Path) {
    #[cfg(unix)]
    if let Ok(found) = fs::symlink_metadata(folder)
        && found.is_dir()
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = found.permissions().mode() | 0o700;
        let _ = fs::set_permissions(folder, fs::Permissions::from_mode(mode));
    }
    let _ = folder;
}
