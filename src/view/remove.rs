//! Removes files of a view that are still as it made them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::look::{look, native};
use super::make::is_temporary;
use crate::domain::deletion::{FileOrigin, Permit, Reason, Refusal, judge};
use crate::domain::repo::RepoPath;
use crate::domain::view::{FileState, ViewFile, file_state};
use crate::sys::removal;

/// The result of a removal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    pub n_files: u64,
    /// Files that stay, with the reason.
    pub kept: Vec<(PathBuf, Refusal)>,
}

/// Removes the files of records below a root. `claim` returns the reason to keep a file
/// that other programs may need.
pub fn remove_files(
    root: &Path,
    records: &[ViewFile],
    claim: &dyn Fn(&RepoPath) -> Option<Refusal>,
) -> Result<Removed> {
    let mut removed = Removed::default();
    for record in records {
        let found = look(root, [(&record.path, record.source.as_deref())])?;
        let path = native(root, &record.path);
        let origin = match found
            .get(&record.path)
            .map(|found| file_state(record, found))
        {
            Some(FileState::AsMade) => FileOrigin::ThisHome,
            // Also a link of the view whose target is gone; a missing file is no trouble.
            Some(FileState::Missing) | None => FileOrigin::ThisHome,
            Some(FileState::Changed) => FileOrigin::Changed,
        };
        match judge(Reason::OldView, origin, [claim(&record.path)]) {
            Ok(permit) => {
                let is_removed = removal::remove_file(&path, permit)
                    .with_context(|| format!("cannot remove `{}`", path.display()))?;
                removed.n_files += u64::from(is_removed);
                remove_emptied(root, &path);
            }
            Err(refusal) => removed.kept.push((path, refusal)),
        }
    }
    Ok(removed)
}

/// Removes the folders that a removal has emptied, but not the root.
fn remove_emptied(root: &Path, path: &Path) {
    let above = path.ancestors().skip(1);
    for folder in above.take_while(|folder| *folder != root && folder.starts_with(root)) {
        if !removal::remove_empty_dir(folder) {
            break;
        }
    }
}

/// Removes temporary files and folders that a killed process of this home has left in
/// the folders of some paths.
pub fn clear_temporary<'p>(
    root: &Path,
    tree: Option<&str>,
    paths: impl IntoIterator<Item = &'p RepoPath>,
    prefix: &str,
) {
    let paths = paths.into_iter().map(|path| native(root, path));
    let mut folders: Vec<PathBuf> = paths
        .filter_map(|path| path.parent().map(Path::to_path_buf))
        .collect();
    if let Some(tree) = tree {
        let folder = tree
            .split('/')
            .fold(root.to_path_buf(), |path, part| match part {
                "" => path,
                part => path.join(part),
            });
        folders.extend(folder.parent().map(Path::to_path_buf));
    }
    folders.sort();
    folders.dedup();
    for folder in folders {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if !is_temporary(&entry.file_name(), prefix) {
                continue;
            }
            let path = entry.path();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let removed = if is_folder {
                removal::remove_tree(&path, Permit::scratch())
            } else {
                removal::remove_file(&path, Permit::scratch())
            };
            if let Err(err) = removed {
                log::debug!("cannot remove `{}`: {err}", path.display());
            }
        }
    }
}
