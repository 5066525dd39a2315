//! Replaces the whole folder of a view in one step.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::look::{folder_of, look_at, native};
use super::make::{Job, Maker, NameKind, unused_name};
use crate::domain::deletion::{FileOrigin, Permit, Reason, judge};
use crate::domain::repo::RepoPath;
use crate::domain::view::{FileState, ViewFile, file_state};
use crate::sys::exchange::{exchange, rename_new};
use crate::sys::files;
use crate::sys::host::checkpoint;
use crate::sys::removal;

/// Tells whether the folder of a view has no file but these, and can be replaced: it is
/// a folder of its own, not a link to one.
pub fn holds_only(root: &Path, tree: &str, known: &BTreeSet<RepoPath>) -> bool {
    let folder = folder_of(root, tree);
    match files::link_metadata_if_present(&folder) {
        Ok(None) => true,
        Ok(Some(found)) if found.is_dir() => {
            let known = known.iter().map(|path| native(root, path)).collect();
            is_within(&folder, &known).unwrap_or(false)
        }
        _ => false,
    }
}

fn is_within(folder: &Path, known: &BTreeSet<PathBuf>) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_known = if entry.file_type()?.is_dir() {
            is_within(&entry.path(), known)?
        } else {
            known.contains(&entry.path())
        };
        if !is_known {
            return Ok(false);
        }
    }
    Ok(true)
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
    let temporary = unused_name(above, maker.prefix, NameKind::Temporary);
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
    let made = made.inspect_err(|_| {
        let _ = removal::remove_tree(&temporary, Permit::scratch());
    });
    Ok(StagedTree {
        records: made?,
        temporary,
        folder,
    })
}

impl StagedTree {
    pub fn discard(self) {
        let _ = removal::remove_tree(&self.temporary, Permit::scratch());
    }
}

/// Gives the new folder its name, and returns the name that the old one has then. The
/// files of the new folder are recorded: a crash at any moment leaves a folder beside
/// the view whose files have records, those of a person excepted.
///
/// Where two folders cannot be exchanged in one step, the old one is renamed first:
/// for a moment the view is not there.
pub fn swap(staged: StagedTree, maker: &Maker<'_>) -> Result<Option<PathBuf>> {
    let context = || format!("cannot replace `{}`", staged.folder.display());
    checkpoint("view folder ready");
    let result = try_swap(&staged, maker).with_context(context);
    if result.is_err() {
        staged.discard();
    }
    result
}

fn try_swap(staged: &StagedTree, maker: &Maker<'_>) -> io::Result<Option<PathBuf>> {
    let StagedTree {
        temporary, folder, ..
    } = staged;
    let Some(found) = files::link_metadata_if_present(folder)? else {
        rename_new(temporary, folder)?;
        return Ok(None);
    };
    let _ = fs::set_permissions(temporary, found.permissions());
    let above = folder.parent().unwrap_or(folder);
    let [replaced, aside] = [(); 2].map(|()| unused_name(above, maker.prefix, NameKind::Old));
    rename_new(temporary, &replaced)?;
    if exchange(&replaced, folder).is_ok() {
        return Ok(Some(replaced));
    }
    let moved = fs::rename(folder, &aside).and_then(|()| {
        // On an error the view keeps the old revision.
        rename_new(&replaced, folder).inspect_err(|_| drop(rename_new(&aside, folder)))
    });
    match moved {
        Ok(()) => Ok(Some(aside)),
        Err(err) => {
            rename_new(&replaced, temporary)?;
            Err(err)
        }
    }
}

/// Removes a folder that `swap` has named, by the records of its files. A file that is
/// not as its record says came from another program in the last moment; it moves to the
/// present folder of the view.
pub fn retire(root: &Path, old: &Path, records: &[ViewFile]) -> Result<()> {
    let above = old.parent().unwrap_or(old);
    let mut present = None;
    for record in records {
        let path = native(root, &record.path);
        let Ok(below) = path.strip_prefix(above) else {
            continue;
        };
        // The first part is the name of the view's folder.
        let mut below = below.components();
        let folder = below.next().map(|part| above.join(part));
        let path = old.join(below.as_path());
        present = present.or(folder);
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
    match present {
        Some(present) => move_rest(old, &present),
        None => Ok(()),
    }
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

#[cfg(test)]
mod tests {
    use super::super::LADDER;
    use super::super::make::JobSource;
    use super::*;
    use crate::domain::content::ContentId;

    const PREFIX: &str = ".hfdl-1-";

    fn stage(root: &Path, path: &str, text: &str) -> StagedTree {
        let path: RepoPath = path.parse().unwrap();
        let job = Job {
            path: &path,
            content: ContentId::Sha256([1; 32]),
            source: JobSource::Written(text.as_bytes()),
        };
        stage_tree(&maker(root), "org/m", &[job]).unwrap()
    }

    fn maker(root: &Path) -> Maker<'_> {
        Maker {
            root,
            tree: Some("org/m"),
            methods: &LADDER,
            prefix: PREFIX,
        }
    }

    #[test]
    fn a_file_that_appears_before_the_swap_moves_to_the_new_folder() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let first = stage(root, "org/m/a/old", "1");
        let mut records = first.records.clone();
        assert_eq!(swap(first, &maker(root)).unwrap(), None);
        let known = BTreeSet::from(["org/m/a/old".parse().unwrap()]);
        assert!(holds_only(root, "org/m", &known));

        let second = stage(root, "org/m/new", "2");
        records.extend(second.records.iter().cloned());
        fs::write(root.join("org/m/a/theirs"), "3").unwrap();
        assert!(!holds_only(root, "org/m", &known));
        let old = swap(second, &maker(root)).unwrap().unwrap();
        assert!(root.join("org/m/new").exists());
        retire(root, &old, &records).unwrap();
        assert_eq!(fs::read(root.join("org/m/a/theirs")).unwrap(), b"3");
        assert!(!root.join("org/m/a/old").exists());
        assert_eq!(fs::read_dir(root.join("org")).unwrap().count(), 1);
    }

    #[test]
    fn a_view_that_cannot_be_staged_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path: RepoPath = "org/m/a".parse().unwrap();
        let job = Job {
            path: &path,
            content: ContentId::Sha256([1; 32]),
            source: JobSource::File(Path::new("/nonexistent/blob")),
        };
        assert!(stage_tree(&maker(dir.path()), "org/m", &[job]).is_err());
        assert_eq!(fs::read_dir(dir.path().join("org")).unwrap().count(), 0);
    }
}
