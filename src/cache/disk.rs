//! Operations on files that each writer of a cache or directory needs.

use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context, Result, bail, ensure};

use crate::domain::deletion::Permit;
use crate::sys::{files, removal};

/// The first line is the standard's; the rest is for people.
pub(super) const CACHEDIR_TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
    # This file marks a cache directory: its content can be downloaded again.\n\
    # For information about such files see https://bford.info/cachedir/\n";

/// Checks that a path is a file of this size.
pub(super) fn check_size(
    path: &Path,
    found: io::Result<Option<fs::Metadata>>,
    size_bytes: u64,
) -> Result<()> {
    let found = found.with_context(|| format!("cannot look at `{}`", path.display()))?;
    let Some(found) = found.filter(fs::Metadata::is_file) else {
        bail!("`{}` is missing", path.display());
    };
    let size = found.len();
    ensure!(
        size == size_bytes,
        "`{}` has {size} bytes instead of {size_bytes}",
        path.display()
    );
    Ok(())
}

/// Writes the mark of a cache unless there is one. It is prepared elsewhere, because
/// clients warn of unknown files at the root of a cache.
pub(super) fn write_tag_once(tag: &Path, aside: &Path) -> Result<()> {
    if tag.exists() {
        return Ok(());
    }
    files::write_atomically(tag, CACHEDIR_TAG.as_bytes(), aside)
        .with_context(|| format!("cannot write `{}`", tag.display()))
}

pub(super) fn create_inside(root: &Path, below: &Path) -> Result<PathBuf> {
    files::create_dirs_inside(root, below)
        .with_context(|| format!("cannot create `{}`", root.join(below).display()))
}

pub(super) fn sync_dir(dir: &Path) -> Result<()> {
    files::sync_dir(dir).with_context(|| format!("cannot force `{}` to disk", dir.display()))
}

/// Removes a file or folder in which a killed process prepared something.
pub(super) fn remove_scratch(path: &Path) -> Result<()> {
    removal::remove_any(path, Permit::scratch())
        .map(drop)
        .with_context(|| format!("cannot remove `{}`", path.display()))
}
