//! Reads the paths of a view on disk.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::domain::deletion::OwnershipStamp;
use crate::domain::repo::RepoPath;
use crate::domain::view::{FoundFile, FoundKind};
use crate::sys::files;
use crate::sys::stamp::{is_same_file, stamp_of};

/// Returns the native path of a file of a view.
pub(super) fn native(root: &Path, path: &RepoPath) -> PathBuf {
    path.segments()
        .fold(root.to_path_buf(), |mut native, part| {
            native.push(part);
            native
        })
}

/// Returns the native path of the folder of a view.
pub(super) fn folder_of(root: &Path, tree: &str) -> PathBuf {
    let parts = tree.split('/').filter(|part| !part.is_empty());
    parts.fold(root.to_path_buf(), |path, part| path.join(part))
}

fn ownership_stamp(found: &Metadata, path: &Path) -> OwnershipStamp {
    let stamp = stamp_of(found, path);
    OwnershipStamp {
        size_bytes: stamp.size_bytes,
        modified: stamp.modified_ns.into(),
    }
}

/// Returns the stamp of a file, through links; `None` when it is missing.
pub fn stamp_at(path: &Path) -> io::Result<Option<OwnershipStamp>> {
    let found = files::metadata_if_present(path)?;
    Ok(found
        .filter(Metadata::is_file)
        .map(|found| ownership_stamp(&found, path)))
}

/// Reads paths below the root of a view, each with the file that it should show.
pub fn look<'p>(
    root: &Path,
    paths: impl IntoIterator<Item = (&'p RepoPath, Option<&'p Path>)>,
) -> Result<BTreeMap<RepoPath, FoundFile>> {
    let mut found = BTreeMap::new();
    for (path, source) in paths {
        let native = native(root, path);
        let seen = look_at(&native, source);
        let seen = seen.with_context(|| format!("cannot look at `{}`", native.display()))?;
        found.insert(path.clone(), seen);
    }
    Ok(found)
}

pub(super) fn look_at(path: &Path, source: Option<&Path>) -> io::Result<FoundFile> {
    let kind = match files::link_metadata_if_present(path)? {
        None => FoundKind::Absent,
        Some(found) if found.is_symlink() => FoundKind::Link {
            target: fs::read_link(path)?,
            resolves: files::metadata_if_present(path)?.is_some(),
        },
        Some(found) if found.is_file() => FoundKind::Plain {
            stamp: ownership_stamp(&found, path),
            is_source: source.is_some_and(|source| is_same_file(path, source)),
        },
        Some(_) => FoundKind::Other,
    };
    let source = source.map(stamp_at).transpose()?.flatten();
    Ok(FoundFile { kind, source })
}
