//! The mark that distinguishes a place from the empty mount point of its disk.
//!
//! A small file with a random id. In a cache it lies in `.locks/`, which every
//! reader passes over; at the cache root older clients would warn of it. In a
//! directory of plain files it lies with hfdl's own records. All homes that
//! use a place read the same mark: the first one writes it.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use uuid::Uuid;

use super::disk::create_inside;
use super::local_dir::PRIVATE;
use crate::domain::model::Destination;
use crate::sys::files;

/// The explanation for people who find the file.
const NOTE: &str = "# hfdl knows by this file that the disk of this directory is mounted.\n";

/// The largest file that is read as a mark.
const MOST_BYTES: u64 = 4096;

/// Returns where the mark of a place lies, relative to its root.
fn below(destination: &Destination) -> PathBuf {
    match destination {
        Destination::Cache => Path::new(".locks").join("hfdl-place"),
        Destination::Directory(_) => Path::new(PRIVATE).join("place"),
    }
}

/// Reads the mark of a place; `None` where there is none, or no usable one.
pub fn read_mark(root: &Path, destination: &Destination) -> Result<Option<String>> {
    let path = root.join(below(destination));
    let context = || format!("cannot read `{}`", path.display());
    let found = files::link_metadata_if_present(&path).with_context(context)?;
    // Opening a FIFO would wait for a writer.
    if !found.is_some_and(|found| found.is_file() && found.len() <= MOST_BYTES) {
        return Ok(None);
    }
    let bytes = files::read_if_present(&path).with_context(context)?;
    let text = String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default();
    let id = text.lines().next().and_then(|line| line.parse().ok());
    Ok(id.map(|id: Uuid| id.to_string()))
}

/// Returns the mark of an existing place, writing one where it is missing.
pub fn ensure_mark(root: &Path, destination: &Destination) -> Result<String> {
    const ATTEMPTS: u32 = 3;
    let below = below(destination);
    let path = root.join(&below);
    for _ in 0..ATTEMPTS {
        if let Some(mark) = read_mark(root, destination)? {
            return Ok(mark);
        }
        create_inside(root, below.parent().unwrap_or(Path::new("")))?;
        if write_new(&path).with_context(|| format!("cannot write `{}`", path.display()))? {
            continue;
        }
        // Another process was first, or the file of this name is no mark.
        if read_mark(root, destination)?.is_none() {
            files::remove_if_present(&path)
                .with_context(|| format!("cannot replace `{}`", path.display()))?;
        }
    }
    bail!("`{}` cannot be kept as a mark", path.display())
}

/// Writes a mark unless the name is taken. Written aside and linked, so that no
/// reader sees half of it; on file systems without links it is written in place.
fn write_new(path: &Path) -> std::io::Result<bool> {
    let text = format!("{}\n{NOTE}", Uuid::new_v4());
    let folder = path.parent().unwrap_or(Path::new("."));
    let aside = files::unused_name(folder);
    let mut file = files::create_new(&aside)?;
    let made = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| match fs::hard_link(&aside, path) {
            Err(err) if err.kind() != ErrorKind::AlreadyExists => {
                let mut file = files::create_new(path)?;
                file.write_all(text.as_bytes())?;
                file.sync_all()
            }
            made => made,
        });
    drop(file);
    let removed = files::remove_if_present(&aside);
    match made {
        Ok(()) => removed.map(|_| true),
        Err(err) if err.kind() == ErrorKind::AlreadyExists => removed.map(|_| false),
        Err(err) => Err(err),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_written_once_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        for destination in [
            Destination::Cache,
            Destination::Directory(folder.path().to_path_buf()),
        ] {
            let root = folder.path();
            assert_eq!(read_mark(root, &destination).unwrap(), None);
            let mark = ensure_mark(root, &destination).unwrap();
            assert_eq!(ensure_mark(root, &destination).unwrap(), mark);
            assert_eq!(read_mark(root, &destination).unwrap(), Some(mark.clone()));
            // An invalid mark is replaced.
            fs::write(root.join(below(&destination)), "").unwrap();
            assert_eq!(read_mark(root, &destination).unwrap(), None);
            assert_ne!(ensure_mark(root, &destination).unwrap(), mark);
            let folder = root.join(below(&destination));
            let n_files = folder.parent().unwrap().read_dir().unwrap().count();
            assert_eq!(n_files, 1);
        }
    }
}
