//! Replaces the whole folder of a view in one step.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::look::{look_at, native};
use super::make::{Job, Maker, is_temporary};
use crate::domain::deletion::{FileOrigin, Permit, Reason, judge};
use crate::domain::repo::RepoPath;
use crate::domain::view::{FileState, ViewFile, file_state};
use crate::sys::exchange::{exchange, rename_new};
use crate::sys::files;
use crate::sys::host::checkpoint;
use crate::sys::removal;

/// Tells whether the folder of a view has no file but these, and can be replaced: it is
/// a folder of its own, not a link to one.
pub fn holds_only(root: &Path, tree: &str, known: &BTreeSet<RepoPath>, prefix: &str) -> bool {
    let folder = folder_of(root, tree);
    match files::link_metadata_if_present(&folder) {
        Ok(None) => true,
        Ok(Some(found)) if found.is_dir() => {
            let known = known.iter().map(|path| native(root, path)).collect();
            is_within(&folder, &known, prefix).unwrap_or(false)
        }
        _ => false,
    }
}

fn is_within(folder: &Path, known: &BTreeSet<PathBuf>, prefix: &str) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_known = if entry.file_type()?.is_dir() {
            is_within(&entry.path(), known, prefix)?
        } else {
            known.contains(&entry.path()) || is_temporary(&entry.file_name(), prefix)
        };
        if !is_known {
            return Ok(false);
        }
    }
    Ok(true)
}

fn folder_of(root: &Path, tree: &str) -> PathBuf {
    match tree {
        "" => root.to_path_buf(),
        tree => tree
            .split('/')
            .fold(root.to_path_buf(), |path, part| path.join(part)),
    }
}

/// A new folder of a view beside the old one.
pub struct StagedTree {
    pub records: Vec<ViewFile>,
    temporary: PathBuf,
    folder: PathBuf,
}

/// Makes all files of a view in a new folder beside its folder.
pub fn stage_tree(maker: &Maker<'_>, tree: &str, jobs: &[Job<'_>]) -> Result<StagedTree> {
    let folder = folder_of(maker.root, tree);
    let above = folder
        .parent()
        .context("the root of a view has no parent")?;
    fs::create_dir_all(above).with_context(|| format!("cannot create `{}`", above.display()))?;
    let temporary = maker.temporary_in(above);
    fs::create_dir(&temporary)
        .with_context(|| format!("cannot create `{}`", temporary.display()))?;
    let make = |job: &Job<'_>| -> Result<ViewFile> {
        let path = native(maker.root, job.path);
        let below = path
            .strip_prefix(&folder)
            .context("a path outside of its folder")?;
        let inner = files::create_dirs_inside(&temporary, below.parent().unwrap_or(below))
            .with_context(|| format!("cannot create a folder in `{}`", temporary.display()))?;
        maker.make(job, &inner.join(below.file_name().unwrap_or_default()))
    };
    let made: Result<Vec<ViewFile>> = jobs.iter().map(make).collect();
    let staged = |records| StagedTree {
        records,
        temporary: temporary.clone(),
        folder: folder.clone(),
    };
    match made {
        Ok(records) => Ok(staged(records)),
        Err(err) => {
            staged(Vec::new()).discard();
            Err(err)
        }
    }
}

impl StagedTree {
    pub fn discard(self) {
        let _ = removal::remove_tree(&self.temporary, Permit::scratch());
    }
}

/// Gives the new folder its name, and returns the temporary name of the old one.
///
/// Where two folders cannot be exchanged in one step, the old one is renamed first:
/// for a moment the view is not there.
pub fn swap(staged: StagedTree, maker: &Maker<'_>) -> Result<Option<PathBuf>> {
    let StagedTree {
        temporary, folder, ..
    } = staged;
    let context = || format!("cannot replace `{}`", folder.display());
    checkpoint("view folder ready");
    if files::link_metadata_if_present(&folder)
        .with_context(context)?
        .is_none()
    {
        rename_new(&temporary, &folder).with_context(context)?;
        return Ok(None);
    }
    let mode = fs::metadata(&folder).with_context(context)?.permissions();
    let _ = fs::set_permissions(&temporary, mode);
    if exchange(&temporary, &folder).is_ok() {
        return Ok(Some(temporary));
    }
    let aside = maker.temporary_in(folder.parent().unwrap_or(&folder));
    fs::rename(&folder, &aside).with_context(context)?;
    if let Err(err) = rename_new(&temporary, &folder) {
        // The view keeps the old revision.
        let _ = rename_new(&aside, &folder);
        return Err(err).with_context(context);
    }
    Ok(Some(aside))
}

/// Removes the old folder of a view after a swap. A file that is not as its record says
/// appeared in the last moment; it moves to the new folder.
pub fn retire(root: &Path, tree: &str, old: &Path, records: &[ViewFile]) -> Result<()> {
    let folder = folder_of(root, tree);
    for record in records {
        let path = native(root, &record.path);
        let Ok(below) = path.strip_prefix(&folder) else {
            continue;
        };
        let path = old.join(below);
        let found = look_at(&path, record.source.as_deref())
            .with_context(|| format!("cannot look at `{}`", path.display()))?;
        let origin = match file_state(record, &found) {
            FileState::Changed => FileOrigin::Changed,
            FileState::AsMade | FileState::Missing => FileOrigin::ThisHome,
        };
        if let Ok(permit) = judge(Reason::OldView, origin, []) {
            removal::remove_file(&path, permit)
                .with_context(|| format!("cannot remove `{}`", path.display()))?;
        }
    }
    move_rest(old, &folder)
}

fn move_rest(from: &Path, to: &Path) -> Result<()> {
    let context = || format!("cannot move the files of `{}`", from.display());
    for entry in fs::read_dir(from).with_context(context)? {
        let entry = entry.with_context(context)?;
        let target = to.join(entry.file_name());
        if entry.file_type().with_context(context)?.is_dir() {
            move_rest(&entry.path(), &target)?;
        } else {
            fs::create_dir_all(to).with_context(context)?;
            rename_new(&entry.path(), &target).with_context(context)?;
        }
    }
    removal::remove_empty_dir(from);
    Ok(())
}
