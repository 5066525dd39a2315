//! Makes the files of a view under temporary names, and gives them their names.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use thiserror::Error;

use super::look::{folder_of, native, stamp_at};
use crate::domain::content::ContentId;
use crate::domain::deletion::Permit;
use crate::domain::repo::RepoPath;
use crate::domain::view::{ViewFile, ViewMethod};
use crate::sys::exchange::rename_new;
use crate::sys::files;
use crate::sys::host::checkpoint;
use crate::sys::removal;
use crate::sys::share;

/// The methods that need no second copy, the safest first: a reflink is independent of
/// the cache, a hard link shares its bytes, a symbolic link depends on its name.
pub const LADDER: [ViewMethod; 3] = [
    ViewMethod::Reflink,
    ViewMethod::HardLink,
    ViewMethod::Symlink,
];

/// No allowed method can show a file in a folder.
#[derive(Debug, Error)]
#[error(
    "`{}` cannot be shown in `{}`{}: {tried}",
    .file.display(),
    .folder.display(),
    if *.may_copy { "" } else { " without a copy, which `--copy` allows" }
)]
pub struct NoMethod {
    file: PathBuf,
    folder: PathBuf,
    may_copy: bool,
    tried: String,
}

/// One file to make.
pub struct Job<'a> {
    pub path: &'a RepoPath,
    pub content: ContentId,
    pub source: JobSource<'a>,
}

#[derive(Clone, Copy)]
pub enum JobSource<'a> {
    File(&'a Path),
    Written(&'a [u8]),
    /// A file of the view whose bytes stay, with its record.
    Kept(&'a ViewFile),
}

/// A file under its temporary name.
pub struct Staged {
    pub record: ViewFile,
    temporary: PathBuf,
    path: PathBuf,
}

/// Makes the files of one view.
pub struct Maker<'a> {
    pub root: &'a Path,
    /// The folder that belongs to the view: names below it come from the Hub, and no
    /// link may lead out. Folders outside of it are a person's, and their links count.
    pub tree: Option<&'a str>,
    /// The methods to try, in this order.
    pub methods: &'a [ViewMethod],
    /// The prefix of temporary names, with the id of the home.
    pub prefix: &'a str,
}

impl Maker<'_> {
    /// Makes a file under a temporary name in the folder of its final name.
    pub fn stage(&self, job: &Job<'_>) -> Result<Staged> {
        let path = native(self.root, job.path);
        let folder = path.parent().unwrap_or(self.root);
        let context = || format!("cannot create `{}`", folder.display());
        let top = match self.tree {
            Some(tree) => folder_of(self.root, tree),
            None => folder.to_path_buf(),
        };
        fs::create_dir_all(&top).with_context(context)?;
        if let Ok(below) = folder.strip_prefix(&top) {
            files::create_dirs_inside(&top, below).with_context(context)?;
        }
        let temporary = unused_name(folder, self.prefix, NameKind::Temporary);
        let record = self.make(job, &temporary)?;
        Ok(Staged {
            record,
            temporary,
            path,
        })
    }

    /// Makes a file at a path that has none, and returns its record.
    pub(super) fn make(&self, job: &Job<'_>, at: &Path) -> Result<ViewFile> {
        let context = || format!("cannot write `{}`", at.display());
        let (method, source) = match job.source {
            JobSource::File(source) => (self.share(source, at)?, Some(source.to_path_buf())),
            JobSource::Written(bytes) => {
                write_read_only(at, bytes).with_context(context)?;
                (ViewMethod::Written, None)
            }
            JobSource::Kept(record) => {
                let old = native(self.root, &record.path);
                share::hard_link(&old, at).with_context(context)?;
                return Ok(record.clone());
            }
        };
        let stamp = match (&source, method) {
            (Some(source), ViewMethod::Symlink) => stamp_at(source).with_context(context)?,
            _ => stamp_at(at).with_context(context)?,
        };
        let stamp = stamp.with_context(|| format!("`{}` went away", at.display()))?;
        Ok(ViewFile {
            path: job.path.clone(),
            content: job.content,
            source,
            method,
            stamp,
        })
    }

    /// Tries the methods in their order.
    fn share(&self, source: &Path, at: &Path) -> Result<ViewMethod> {
        let mut tried = Vec::new();
        for method in self.methods {
            let made = match method {
                ViewMethod::Reflink => {
                    share::reflink(source, at).and_then(|()| make_read_only(source, at))
                }
                ViewMethod::HardLink => share::hard_link(source, at),
                ViewMethod::Symlink => symlink(source, at),
                ViewMethod::Copy => copy(source, at).and_then(|()| make_read_only(source, at)),
                ViewMethod::Written => continue,
            };
            match made {
                Ok(()) => return Ok(*method),
                Err(err) => {
                    let _ = removal::remove_file(at, Permit::scratch());
                    tried.push(format!("{method}: {err}"));
                }
            }
        }
        Err(NoMethod {
            file: source.to_path_buf(),
            folder: at.parent().unwrap_or(at).to_path_buf(),
            may_copy: self.methods.contains(&ViewMethod::Copy),
            tried: tried.join("; "),
        }
        .into())
    }
}

/// Gives the files their names, in their order. A path of `replaced` has a file of the
/// view; at any other path a file that appeared meanwhile is an error.
pub fn put(staged: Vec<Staged>, replaced: &BTreeSet<RepoPath>) -> Result<()> {
    let mut folders = BTreeSet::new();
    let n_files = staged.len();
    for (index, file) in staged.into_iter().enumerate() {
        if index + 1 == n_files {
            checkpoint("last file of a view");
        }
        let renamed = if replaced.contains(&file.record.path) {
            files::rename_over(&file.temporary, &file.path)
        } else {
            rename_new(&file.temporary, &file.path)
        };
        renamed.with_context(|| format!("cannot create `{}`", file.path.display()))?;
        folders.extend(file.path.parent().map(Path::to_path_buf));
    }
    for folder in folders {
        files::sync_dir(&folder).with_context(|| format!("cannot flush `{}`", folder.display()))?;
    }
    Ok(())
}

impl Staged {
    /// Removes the temporary file of a view that is not made.
    pub fn discard(self) {
        let _ = removal::remove_file(&self.temporary, Permit::scratch());
    }
}

/// A link is of use only if it can be read through.
fn symlink(source: &Path, at: &Path) -> io::Result<()> {
    files::symlink_file(source, at)?;
    match files::metadata_if_present(at)? {
        Some(_) => Ok(()),
        None => Err(io::Error::other("the link cannot be read through")),
    }
}

fn copy(source: &Path, at: &Path) -> io::Result<()> {
    let mut file = files::create_new(at)?;
    io::copy(&mut File::open(source)?, &mut file)?;
    file.sync_data()
}

/// Gives an independent copy the time of its source, by which it is recognised, and
/// takes away the right to write.
fn make_read_only(source: &Path, at: &Path) -> io::Result<()> {
    share::take_time_of(source, at)?;
    let found = fs::symlink_metadata(at)?;
    fs::set_permissions(at, files::read_only(&found.permissions()))
}

fn write_read_only(at: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = files::create_new(at)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    let found = file.metadata()?;
    fs::set_permissions(at, files::read_only(&found.permissions()))
}

/// The kinds of names that this home gives for a moment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum NameKind {
    /// A file or folder that only this home has seen.
    Temporary,
    /// A folder that may hold files of a person.
    Old,
}

impl NameKind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Temporary => files::TEMPORARY_PREFIX,
            Self::Old => "old-",
        }
    }
}

/// Returns an unused name in a folder.
pub(super) fn unused_name(folder: &Path, prefix: &str, kind: NameKind) -> PathBuf {
    let word = kind.word();
    folder.join(format!("{prefix}{word}{:016x}", fastrand::u64(..)))
}

/// Returns the kind of a name of this home; `None` for all others.
pub(super) fn name_kind(name: &OsStr, prefix: &str) -> Option<NameKind> {
    let rest = name.to_str()?.strip_prefix(prefix)?;
    let kinds = [NameKind::Temporary, NameKind::Old];
    kinds.into_iter().find(|kind| rest.starts_with(kind.word()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job<'a>(path: &'a RepoPath, source: &'a Path) -> Job<'a> {
        Job {
            path,
            content: ContentId::Sha256([1; 32]),
            source: JobSource::File(source),
        }
    }

    #[test]
    fn each_method_shows_the_bytes_and_none_leaves_a_copy_behind() {
        let dir = tempfile::tempdir().unwrap();
        let (source, root) = (dir.path().join("blob"), dir.path().join("view"));
        fs::write(&source, "weights").unwrap();
        let path: RepoPath = "a/b.bin".parse().unwrap();
        for method in [ViewMethod::HardLink, ViewMethod::Symlink, ViewMethod::Copy] {
            let maker = Maker {
                root: &root,
                tree: Some(""),
                methods: &[method],
                prefix: ".hfdl-1-",
            };
            let staged = match maker.stage(&job(&path, &source)) {
                // Only some users of Windows may create symbolic links.
                Err(_) if cfg!(windows) && method == ViewMethod::Symlink => continue,
                staged => staged.unwrap(),
            };
            assert_eq!(staged.record.method, method);
            assert!(!root.join("a/b.bin").exists(), "it has no name yet");
            put(vec![staged], &BTreeSet::new()).unwrap();
            assert_eq!(fs::read(root.join("a/b.bin")).unwrap(), b"weights");
            assert_eq!(fs::read_dir(root.join("a")).unwrap().count(), 1);
            fs::remove_file(root.join("a/b.bin")).unwrap();
        }
    }

    #[test]
    fn without_a_method_the_error_names_the_flag_and_every_attempt() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("gone");
        let maker = Maker {
            root: dir.path(),
            tree: None,
            methods: &LADDER,
            prefix: ".hfdl-1-",
        };
        let path: RepoPath = "b.bin".parse().unwrap();
        let err = maker.stage(&job(&path, &source)).err().unwrap().to_string();
        for part in ["`--copy`", "reflink:", "hardlink:", "symlink:"] {
            assert!(err.contains(part), "{err}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_appeared_meanwhile_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path: RepoPath = "b.bin".parse().unwrap();
        let maker = Maker {
            root: dir.path(),
            tree: None,
            methods: &LADDER,
            prefix: ".hfdl-1-",
        };
        let written = Job {
            source: JobSource::Written(b"ours"),
            ..job(&path, dir.path())
        };
        let staged = maker.stage(&written).unwrap();
        fs::write(dir.path().join("b.bin"), "theirs").unwrap();
        assert!(put(vec![staged], &BTreeSet::new()).is_err());
        assert_eq!(fs::read(dir.path().join("b.bin")).unwrap(), b"theirs");
    }
}
