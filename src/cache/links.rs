//! Resolves names in the cache that may be links.
//!
//! Two kinds of links are legitimate: a snapshot's entry that leads to a blob,
//! and a blob that leads into the official shared store, `blobs/` at the cache
//! root. Any other link counts as a missing file, so that the next download
//! puts a file of its own in its place.

use std::fs::{self, Metadata};
use std::io;
use std::path::Path;

use super::layout::RepoLayout;
use super::scan::by_names_alone;
use crate::domain::content::ContentId;
use crate::domain::repo::{CommitSha, RepoPath};
use crate::sys::files::{self, link_metadata_if_present};

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
            match leads_below(blob, &store) {
                true => files::metadata_if_present(blob),
                false => Ok(None),
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
    let entry = layout.entry(commit, path);
    let found = link_metadata_if_present(&entry)?;
    if !found.as_ref().is_some_and(Metadata::is_symlink) {
        return Ok(found);
    }
    let (Ok(target), Some(folder)) = (fs::read_link(&entry), entry.parent()) else {
        return Ok(None);
    };
    let target = by_names_alone(&folder.join(target));
    if target.parent() == Some(&layout.blobs()) {
        return metadata_of_blob(layout, &target);
    }
    match leads_below(&entry, layout.cache_root()) {
        true => files::metadata_if_present(&entry),
        false => Ok(None),
    }
}

fn leads_below(link: &Path, folder: &Path) -> bool {
    match (fs::canonicalize(link), fs::canonicalize(folder)) {
        (Ok(target), Ok(folder)) => target.starts_with(folder),
        _ => false,
    }
}
