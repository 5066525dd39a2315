//! Removes files of a view that are still as it made them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result};

use super::look::{look, native};
use super::make::{NameKind, name_kind};
use super::tree::retire;
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

/// Removes the leftovers of a killed process of this home in the folders of a view:
/// temporary files and folders, and old folders by the records of their files.
pub fn clear_leftovers<'p>(
    root: &Path,
    paths: impl IntoIterator<Item = &'p RepoPath>,
    records: &[ViewFile],
    prefix: &str,
) {
    let mut folders = BTreeSet::from([root.to_path_buf()]);
    folders.extend(root.parent().map(Path::to_path_buf));
    for path in paths {
        let path = native(root, path);
        let above = path.ancestors().skip(1);
        let above = above.take_while(|folder| folder.starts_with(root));
        folders.extend(above.map(Path::to_path_buf));
    }
    for folder in folders {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let (name, path) = (entry.file_name(), entry.path());
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let removed = match (name_kind(&name, prefix), is_folder) {
                (Some(NameKind::Temporary), true) => {
                    removal::remove_tree(&path, Permit::scratch()).map_err(Error::from)
                }
                (Some(NameKind::Temporary), false) => {
                    removal::remove_file(&path, Permit::scratch()).map_err(Error::from)
                }
                (Some(NameKind::Old), true) => retire(root, &path, records).map(|()| true),
                _ => continue,
            };
            if let Err(err) = removed {
                log::warn!("cannot remove `{}`: {err:#}", path.display());
            }
        }
    }
}
