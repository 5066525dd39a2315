//! The one door through which files of a cache or a directory of models go.
//!
//! It asks for a [`Permit`], which `domain::deletion` alone makes out. A build
//! with debug assertions writes each removal and its reason down where
//! `HFDL_TEST_REMOVALS` says, so that a test can account for all of them.

use std::fs;
use std::io;
use std::path::Path;

use super::files::{is_absent, remove_if_present};
use super::host::note_removal;
use crate::domain::deletion::Permit;

/// Removes a file or link; that there is none is no error.
pub fn remove_file(path: &Path, permit: Permit) -> io::Result<bool> {
    let is_gone = remove_if_present(path)?;
    if is_gone {
        note_removal(path, permit.reason().as_str());
    }
    Ok(is_gone)
}

/// Removes a folder if nothing is in it; tells whether it did.
pub fn remove_empty_dir(path: &Path) -> bool {
    let is_gone = fs::remove_dir(path).is_ok();
    if is_gone {
        note_removal(path, Permit::empty_folder().reason().as_str());
    }
    is_gone
}

/// Removes a folder with all that is in it, links not followed; that there is
/// none is no error.
pub fn remove_tree(path: &Path, permit: Permit) -> io::Result<bool> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(err) if is_absent(&err) => return Ok(false),
        Err(err) => return Err(err),
    };
    for entry in entries {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => remove_tree(&entry.path(), permit)?,
            false => remove_file(&entry.path(), permit)?,
        };
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
