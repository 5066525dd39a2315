//! A snapshot that is not published, in a folder of its own for a program that checks it.
//!
//! The folder lies among the temporary files of the destination, so that no reader of the
//! cache finds it and the next run removes it after a crash. Its entries are symbolic links
//! to the verified files; where the file system has none, they are hard links, and else
//! copies. Folders and files are read-only, but a program of the same user can change that:
//! afterwards everything is compared with its state before.

use std::collections::BTreeSet;
use std::fs::{self, Metadata, Permissions};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::abilities::{EntryForm, LinkChoice, SnapshotAbilities};
use super::layout::native;
use crate::domain::deletion::Permit;
use crate::domain::proof::ProofStamp;
use crate::domain::repo::RepoPath;
use crate::domain::units::ByteSize;
use crate::sys::disk;
use crate::sys::files;
use crate::sys::removal;
use crate::sys::share::{self, Sharing};
use crate::sys::stamp::stamp_at;

/// A file of the snapshot.
#[derive(Clone, Debug)]
pub struct UnpublishedFile {
    pub path: RepoPath,
    /// The verified file.
    pub source: PathBuf,
    /// The permissions of the source when no program checks it; `None` for a file that
    /// must stay as it is.
    pub permissions: Option<Permissions>,
}

/// A snapshot whose files are all there.
#[derive(Clone, Debug)]
pub struct UnpublishedSnapshot {
    /// An unused name among the temporary files of the destination.
    pub root: PathBuf,
    pub links: LinkChoice,
    pub files: Vec<UnpublishedFile>,
    /// The space that copies have to leave free.
    pub reserve: ByteSize,
}

/// The snapshot as it was before the program looked at it.
pub struct Exposed<'a> {
    snapshot: &'a UnpublishedSnapshot,
    before: Vec<SnapshotFileState>,
    names: BTreeSet<PathBuf>,
}

/// A file as it is found, by its entry and by its source.
#[derive(PartialEq, Eq)]
struct SnapshotFileState {
    entry: Option<ProofStamp>,
    link: Option<PathBuf>,
    source: Option<ProofStamp>,
    is_read_only: bool,
}

/// The changes that a program has made to a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotChanges {
    /// One sentence for each change.
    pub messages: Vec<String>,
    /// A verified file was changed or removed.
    pub has_changed_sources: bool,
}

impl UnpublishedSnapshot {
    /// Makes the folder. The caller removes it in any case.
    pub fn expose(&self) -> Result<Exposed<'_>> {
        fs::create_dir_all(&self.root)
            .with_context(|| format!("cannot create `{}`", self.root.display()))?;
        let form = SnapshotAbilities::try_out(&self.root, self.links)
            .with_context(|| format!("cannot test links in `{}`", self.root.display()))?;
        if form.entries == EntryForm::Files {
            self.check_room()?;
        }
        for file in &self.files {
            self.make_entry(file, form.entries)?;
        }
        self.set_read_only(true);
        let names = names_below(&self.root)?;
        for folder in names.iter().filter(|name| is_folder(name)) {
            protect_folder(folder);
        }
        protect_folder(&self.root);
        Ok(Exposed {
            before: self.states(),
            snapshot: self,
            names,
        })
    }

    /// Removes the folder, and gives the files back the permissions that they had.
    pub fn remove(&self) -> Result<()> {
        self.set_read_only(false);
        removal::remove_any(&self.root, Permit::scratch())
            .map(drop)
            .with_context(|| format!("cannot remove `{}`", self.root.display()))
    }

    fn make_entry(&self, file: &UnpublishedFile, form: EntryForm) -> Result<()> {
        let entry = self.entry(file);
        let context = || format!("cannot create `{}`", entry.display());
        let folder = entry.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).with_context(context)?;
        let source = std::path::absolute(&file.source).with_context(context)?;
        match form {
            EntryForm::Symlinks => files::symlink_file(&source, &entry),
            EntryForm::HardLinks => share::share(&source, &entry, Sharing::HardLinksToo).map(drop),
            EntryForm::Files => share::share(&source, &entry, Sharing::OwnBytes).map(drop),
        }
        .with_context(context)
    }

    /// Refuses copies that do not fit; reflinks need no space and are tried first.
    fn check_room(&self) -> Result<()> {
        let sizes = self.files.iter().map(|file| fs::metadata(&file.source));
        let sizes: io::Result<Vec<u64>> = sizes.map(|found| Ok(found?.len())).collect();
        let need: u64 = sizes.context("a file is not ready")?.iter().sum();
        let can_clone = |file: &UnpublishedFile| share::can_clone(&file.source, &self.root);
        if self.files.first().is_none_or(can_clone) {
            return Ok(());
        }
        let space = disk::space_at(&self.root)
            .with_context(|| format!("cannot read the free space at `{}`", self.root.display()))?;
        let free = space.free_bytes.unwrap_or(u64::MAX);
        ensure!(
            need.saturating_add(self.reserve.bytes()) <= free,
            "a copy for the gate needs {} at `{}`, {} are free and {} stay free",
            ByteSize(need).render_short(),
            self.root.display(),
            ByteSize(free).render_short(),
            self.reserve.render_short()
        );
        Ok(())
    }

    fn set_read_only(&self, is_read_only: bool) {
        for file in &self.files {
            let Some(permissions) = &file.permissions else {
                continue;
            };
            let wanted = if is_read_only {
                files::read_only(permissions)
            } else {
                permissions.clone()
            };
            // A file that the program has removed, or that has no permissions.
            if let Err(err) = fs::set_permissions(&file.source, wanted) {
                log::debug!("permissions of `{}`: {err}", file.source.display());
            }
        }
    }

    fn entry(&self, file: &UnpublishedFile) -> PathBuf {
        self.root.join(native(&file.path))
    }

    fn states(&self) -> Vec<SnapshotFileState> {
        let state = |file: &UnpublishedFile| {
            let entry = self.entry(file);
            let found = fs::metadata(&file.source);
            SnapshotFileState {
                entry: stamp_at(&entry).ok().flatten(),
                link: fs::read_link(&entry).ok(),
                source: stamp_at(&file.source).ok().flatten(),
                is_read_only: found.is_ok_and(|found| found.permissions().readonly()),
            }
        };
        self.files.iter().map(state).collect()
    }
}

impl Exposed<'_> {
    /// Compares the snapshot with its state before.
    pub fn changes(&self) -> SnapshotChanges {
        let mut changes = SnapshotChanges::default();
        let root = &self.snapshot.root;
        let names = names_below(root).unwrap_or_default();
        let shown = |name: &PathBuf| {
            name.strip_prefix(root)
                .unwrap_or(name)
                .display()
                .to_string()
        };
        for name in names.difference(&self.names) {
            changes.messages.push(format!("it added `{}`", shown(name)));
        }
        for name in self.names.difference(&names) {
            let message = format!("it removed `{}`", shown(name));
            changes.messages.push(message);
        }
        let files = self.snapshot.files.iter().zip(&self.before);
        for ((file, before), after) in files.zip(self.snapshot.states()) {
            changes.has_changed_sources |= before.source != after.source;
            if *before != after && names.contains(&self.snapshot.entry(file)) {
                changes.messages.push(format!("it changed `{}`", file.path));
            }
        }
        changes
    }
}

/// Returns all files, links and folders below a folder.
fn names_below(root: &Path) -> Result<BTreeSet<PathBuf>> {
    let context = || format!("cannot read `{}`", root.display());
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(root).with_context(context)? {
        let path = entry.with_context(context)?.path();
        if is_folder(&path) {
            names.extend(names_below(&path)?);
        }
        names.insert(path);
    }
    Ok(names)
}

fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().as_ref().is_ok_and(Metadata::is_dir)
}

/// Makes a folder read-only, where the file system has permissions.
fn protect_folder(folder: &Path) {
    let Ok(found) = fs::metadata(folder) else {
        return;
    };
    if let Err(err) = fs::set_permissions(folder, files::read_only(&found.permissions())) {
        log::debug!("permissions of `{}`: {err}", folder.display());
    }
}
