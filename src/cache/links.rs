//! Resolves names in the cache that may be links.
//!
//! Two kinds of links are legitimate: a snapshot's entry that leads to a blob,
//! and a blob that leads into the official shared store, `blobs/` at the cache
//! root. Any other link counts as a missing file, so that the next download
//! puts a file of its own in its place.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use super::layout::{self, RepoLayout};
use super::scan::{by_names_alone, files_below};
use crate::domain::content::ContentId;
use crate::domain::repo::{CommitSha, RepoPath};
use crate::domain::snapshot::RemoteFile;
use crate::sys::files::{self, link_metadata_if_present};
use crate::sys::stamp;

/// Returns the metadata of a blob; `None` for no file and for a link that does not
/// lead into the shared store.
pub fn blob_metadata(layout: &RepoLayout, content: &ContentId) -> io::Result<Option<Metadata>> {
    metadata_of_blob(layout, &layout.blob(content))
}

/// As `blob_metadata`, for the path of the blob.
pub(super) fn metadata_of_blob(layout: &RepoLayout, blob: &Path) -> io::Result<Option<Metadata>> {
    match link_metadata_if_present(blob)? {
        Some(found) if found.is_symlink() => {
            let store = layout.shared_store();
            if leads_below(blob, &store) {
                files::metadata_if_present(blob)
            } else {
                Ok(None)
            }
        }
        found => Ok(found),
    }
}

/// Returns the metadata of a snapshot's entry as readers see it; `None` for no file
/// and for a link out of the cache.
pub fn entry_metadata(
    layout: &RepoLayout,
    commit: &CommitSha,
    path: &RepoPath,
) -> io::Result<Option<Metadata>> {
    let (_, found) = resolved_entry(layout, &layout.entry(commit, path))?;
    Ok(found)
}

/// Returns the file that readers of a snapshot's entry open, with its metadata: the blob
/// of the content if the entry leads to it, else the entry; `None` unless the file has the
/// right size.
///
/// The names of a link alone do not tell: a folder on the way may be a link, too.
pub fn whole_entry(
    layout: &RepoLayout,
    commit: &CommitSha,
    file: &RemoteFile,
) -> io::Result<Option<(PathBuf, Metadata)>> {
    let entry = layout.entry(commit, &file.path);
    let (target, found) = resolved_entry(layout, &entry)?;
    let is_whole = |found: &Metadata| found.is_file() && found.len() == file.size_bytes;
    let Some(found) = found.filter(is_whole) else {
        return Ok(None);
    };
    let Some(target) = target else {
        return Ok(Some((entry, found)));
    };
    let Some(read) = files::metadata_if_present(&entry)?.filter(is_whole) else {
        return Ok(None);
    };
    let blob = layout.blob(&file.content);
    let is_blob = if target == blob {
        stamp::is_same_metadata((&blob, &found), (&entry, &read))
    } else {
        stamp::is_same_file(&blob, &entry)
    };
    Ok(Some((if is_blob { blob } else { entry }, read)))
}

/// Returns all names of a file: where it is a blob, or an entry that is a hard link to one,
/// those of the repository's folder.
pub fn names_of(path: &Path) -> Vec<PathBuf> {
    let mut names = vec![path.to_owned()];
    let identity = |path: &Path| files::identity(path, &fs::metadata(path).ok()?);
    let Some((file, 2..)) = identity(path) else {
        return names;
    };
    let folders = layout::repo_folder_of(path).into_iter();
    let folders = folders.flat_map(|repo| [repo.join("blobs"), repo.join("snapshots")]);
    for (_, entry) in folders.flat_map(|folder| files_below(&folder).unwrap_or_default()) {
        let name = entry.path();
        let is_real = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_real && name != path && identity(&name).is_some_and(|(found, _)| found == file) {
            names.push(name);
        }
    }
    names
}

/// Returns the metadata of an entry as readers see it, and the target that a link names.
fn resolved_entry(
    layout: &RepoLayout,
    entry: &Path,
) -> io::Result<(Option<PathBuf>, Option<Metadata>)> {
    // Nearly all entries are links, so that the link is read first.
    let (Ok(target), Some(folder)) = (fs::read_link(entry), entry.parent()) else {
        let found = link_metadata_if_present(entry)?;
        return Ok((None, found.filter(|found| !found.is_symlink())));
    };
    let target = by_names_alone(&folder.join(target));
    if target.parent() == Some(&layout.blobs()) {
        let found = metadata_of_blob(layout, &target)?;
        return Ok((Some(target), found));
    }
    Ok(if leads_below(entry, layout.cache_root()) {
        (Some(target), files::metadata_if_present(entry)?)
    } else {
        (Some(target), None)
    })
}

fn leads_below(link: &Path, folder: &Path) -> bool {
    match (fs::canonicalize(link), fs::canonicalize(folder)) {
        (Ok(target), Ok(folder)) => target.starts_with(folder),
        _ => false,
    }
}
