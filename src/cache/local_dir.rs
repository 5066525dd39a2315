//! A repository as real files in a directory: `--to DIR`.
//!
//! Verified contents wait in the private folder. Publishing renames them over the
//! old files, which stay until that moment. The notes of the official client under
//! `.cache/huggingface/` are kept in its form, so that each program continues the
//! work of the other. A file without a valid note is hashed before it is used.
//!
//! Files are never hard links of the cache, because people edit files in their own
//! directories.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};

use super::disk::{check_size, create_inside, write_tag_once};
use super::facts::look_in_cache;
use super::homes::HomeFolder;
use super::layout::{CacheLayout, PARTIAL_LOCK_SUFFIX, PARTIAL_SUFFIX, native};
use super::local_records::{FileNote, Written, WrittenFile, parse_written};
use super::wire;
use crate::domain::content::ContentId;
use crate::domain::deletion::HomeIdentity;
use crate::domain::filter::Filter;
use crate::domain::placement::Placement;
use crate::domain::plan::{ContentLocation, InPlace, LocalContent, LocalFacts};
use crate::domain::repo::{CommitSha, RepoPath};
use crate::domain::snapshot::{RemoteFile, RemoteSnapshot};
use crate::sys::abilities;
use crate::sys::files;
use crate::sys::open;

/// The folder of the official notes; no repository may put a file there.
pub(super) const RECORDS: &str = ".cache/huggingface";
/// The folder in it that is ours.
pub(super) const PRIVATE: &str = ".cache/huggingface/.hfdl";

/// Reads a file and tells whether its bytes hash to a content.
pub type Prove<'a> = &'a dyn Fn(&Path, &ContentId) -> io::Result<bool>;

/// A directory that holds one repository's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalDir {
    root: PathBuf,
    pub(super) permissions: fs::Permissions,
    /// The records of the home that works here.
    home: Option<HomeFolder>,
}

impl LocalDir {
    /// Creates the directory and its official folder of notes.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        fs::create_dir_all(&root).with_context(|| format!("cannot create `{}`", root.display()))?;
        create_inside(&root, &Path::new(RECORDS).join("download"))?;
        let private = create_inside(&root, Path::new(PRIVATE))?;
        let records = root.join(RECORDS);
        write_tag_once(&records.join("CACHEDIR.TAG"), &private)?;
        let ignore = records.join(".gitignore");
        if !ignore.exists() {
            files::write_atomically(&ignore, b"*", &private)
                .with_context(|| format!("cannot write `{}`", ignore.display()))?;
        }
        let permissions = files::permissions_of_new_files(&private)
            .with_context(|| format!("cannot write to `{}`", private.display()))?;
        Ok(Self {
            root,
            permissions,
            home: None,
        })
    }

    /// Opens a directory for a deletion: nothing is created.
    pub(super) fn to_look(root: &Path) -> Result<Self> {
        let private = root.join(PRIVATE);
        files::check_inside(root, &private)
            .with_context(|| format!("cannot look into `{}`", private.display()))?;
        let found = fs::metadata(&private)
            .with_context(|| format!("cannot look at `{}`", private.display()))?;
        Ok(Self {
            root: root.to_path_buf(),
            permissions: found.permissions(),
            home: None,
        })
    }

    /// Names the home on whose behalf files are written and deleted.
    pub fn of_home(mut self, home: Option<&Arc<HomeIdentity>>) -> Self {
        self.home = home.map(|home| HomeFolder::in_directory(&self.root, home));
        self
    }

    pub(super) fn home(&self) -> Option<&HomeFolder> {
        self.home.as_ref()
    }

    /// The folder of the official notes; no repository may put a file there.
    pub const RECORDS: &'static str = RECORDS;

    /// Opens a directory for reading if it exists; creates none.
    ///
    /// A directory without notes, such as a git clone or a copy, may have the right
    /// files: each file of the right size is hashed before it is used.
    pub fn open_existing(root: &Path) -> Result<Option<Self>> {
        if root.join(RECORDS).is_dir() {
            return Self::open(root).map(Some);
        }
        let found = files::metadata_if_present(root)
            .with_context(|| format!("cannot look at `{}`", root.display()))?;
        let found = found.filter(Metadata::is_dir);
        Ok(found.map(|found| Self {
            root: root.to_path_buf(),
            permissions: found.permissions(),
            home: None,
        }))
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the names that this directory can hold.
    pub fn placement(&self) -> Result<Placement> {
        let private = self.private();
        abilities::placement(&private, Some(RECORDS))
            .with_context(|| format!("cannot write to `{}`", private.display()))
    }

    /// Returns the folder that is ours in a directory.
    pub fn private_below(root: &Path) -> PathBuf {
        root.join(PRIVATE)
    }

    /// Returns where a content is fetched to in a directory that may not exist yet.
    pub fn partial_below(root: &Path, content: &ContentId) -> PathBuf {
        root.join(PRIVATE)
            .join(format!("{}{PARTIAL_SUFFIX}", content.etag()))
    }

    /// Returns where a verified content waits in a directory that may not exist yet.
    pub fn stored_below(root: &Path, content: &ContentId) -> PathBuf {
        root.join(PRIVATE).join(content.etag())
    }

    /// Returns where a verified content waits.
    pub fn stored(&self, content: &ContentId) -> PathBuf {
        self.private_file(content, "")
    }

    /// Returns the permissions of new files in the directory.
    pub fn permissions(&self) -> fs::Permissions {
        self.permissions.clone()
    }

    pub fn private(&self) -> PathBuf {
        self.root.join(PRIVATE)
    }

    /// Returns the lock that is held while files are put in place.
    pub fn publication_lock(&self) -> PathBuf {
        self.private().join(format!("publish{PARTIAL_LOCK_SUFFIX}"))
    }

    fn private_file(&self, content: &ContentId, suffix: &str) -> PathBuf {
        self.private().join(format!("{}{suffix}", content.etag()))
    }

    pub fn file(&self, path: &RepoPath) -> PathBuf {
        self.root.join(native(path))
    }

    pub(super) fn note_path(&self, path: &RepoPath) -> PathBuf {
        let mut note = self.root.join(RECORDS).join("download").join(native(path));
        note.as_mut_os_string().push(".metadata");
        note
    }

    /// Returns the lock that all writers of one file and its note take.
    pub fn file_lock(&self, path: &RepoPath) -> PathBuf {
        self.note_path(path).with_extension("lock")
    }

    /// Returns the listing of a commit that an earlier download kept.
    pub fn stored_listing(&self, commit: &CommitSha) -> Result<Option<RemoteSnapshot>> {
        Self::listing_below(&self.root, commit)
    }

    /// As `stored_listing`, in a directory that is only looked at.
    pub fn listing_below(root: &Path, commit: &CommitSha) -> Result<Option<RemoteSnapshot>> {
        for folder in [PRIVATE, RECORDS] {
            let path = listing_path(root, folder, commit);
            let json = open::read_if_plain(&path)
                .with_context(|| format!("cannot read `{}`", path.display()))?;
            if let Some(listing) = json.and_then(|json| wire::parse_tree(commit, &json)) {
                return Ok(Some(listing));
            }
        }
        Ok(None)
    }

    pub(super) fn listing_path(&self, folder: &str, commit: &CommitSha) -> PathBuf {
        listing_path(&self.root, folder, commit)
    }

    /// Tells whether each file is there, unchanged since its note was made.
    ///
    /// Reads notes only, never contents.
    pub fn is_complete<'a>(
        &self,
        wanted: impl IntoIterator<Item = &'a RemoteFile>,
    ) -> Result<bool> {
        for file in wanted {
            let found = self.look_at(&file.path)?;
            let vouched = found.filter(|found| found.len() == file.size_bytes);
            let vouched = vouched
                .filter(|found| self.content_by_note(&file.path, found) == Some(file.content));
            if vouched.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Tells whether the notes of these files all say that they came with this commit.
    ///
    /// The files themselves are not looked at.
    pub fn is_noted_at<'a>(
        &self,
        commit: &CommitSha,
        wanted: impl IntoIterator<Item = &'a RemoteFile>,
    ) -> bool {
        wanted.into_iter().all(|file| {
            self.note(&file.path)
                .is_some_and(|note| note.commit == *commit)
        })
    }

    /// Finds the wanted files: in place, waiting for publication, under other names in
    /// the directory, and in a Hub cache.
    ///
    /// `prove` is called for files of the right size whose note does not hold.
    pub fn facts(
        &self,
        remote: &RemoteSnapshot,
        filter: &Filter,
        cache: Option<&CacheLayout>,
        prove: Prove<'_>,
    ) -> Result<LocalFacts> {
        let mut facts = LocalFacts {
            previous: self.written()?.into_keys().collect(),
            ..LocalFacts::default()
        };
        let mut missing = HashMap::new();
        for file in remote.selected(filter) {
            if let Some(there) = self.in_place(file, prove)? {
                facts.in_place.insert(file.path.clone(), there);
                continue;
            }
            let stored = self.stored(&file.content);
            let waiting = files::link_metadata_if_present(&stored);
            if check_size(&stored, waiting, file.size_bytes).is_ok() {
                let found = LocalContent {
                    size_bytes: file.size_bytes,
                    place: ContentLocation::Here,
                };
                facts.contents.insert(file.content, found);
            } else {
                missing.insert(file.content.etag(), file);
            }
        }
        if !missing.is_empty() {
            self.look_under_other_names(&mut missing, &mut facts)?;
        }
        if let Some(cache) = cache.filter(|_| !missing.is_empty()) {
            look_in_cache(cache, &mut missing, &mut facts)?;
        }
        Ok(facts)
    }

    fn in_place(&self, file: &RemoteFile, prove: Prove<'_>) -> Result<Option<InPlace>> {
        let found = self.look_at(&file.path)?;
        let Some(found) = found.filter(|found| found.len() == file.size_bytes) else {
            return Ok(None);
        };
        let is_it = match self.content_by_note(&file.path, &found) {
            Some(content) => content == file.content,
            None => {
                let path = self.file(&file.path);
                prove(&path, &file.content)
                    .with_context(|| format!("cannot read `{}`", path.display()))?
            }
        };
        Ok(is_it.then_some(InPlace {
            size_bytes: file.size_bytes,
            content: Some(file.content),
        }))
    }

    /// A file that was renamed upstream need not be fetched again.
    fn look_under_other_names(
        &self,
        missing: &mut HashMap<String, &RemoteFile>,
        facts: &mut LocalFacts,
    ) -> Result<()> {
        for (path, WrittenFile { content, .. }) in self.written()? {
            let Some(file) = missing.get(&content.etag()).copied() else {
                continue;
            };
            let found = self.look_at(&path)?;
            let Some(found) = found.filter(|found| found.len() == file.size_bytes) else {
                continue;
            };
            if self.content_by_note(&path, &found) == Some(content) {
                let place = ContentLocation::At(self.file(&path));
                let size_bytes = found.len();
                facts
                    .contents
                    .insert(content, LocalContent { size_bytes, place });
                missing.remove(&content.etag());
            }
        }
        Ok(())
    }

    /// Returns a real file's metadata; links and folders are not files here.
    pub(super) fn look_at(&self, path: &RepoPath) -> Result<Option<Metadata>> {
        let path = self.file(path);
        let found = files::link_metadata_if_present(&path)
            .with_context(|| format!("cannot look at `{}`", path.display()))?;
        Ok(found.filter(Metadata::is_file))
    }

    /// Tells whether a file was changed by another program since it was written: its
    /// note does not hold. A failing disk changes no modification time.
    pub fn was_edited(&self, path: &RepoPath) -> bool {
        let Ok(found) = fs::symlink_metadata(self.file(path)) else {
            return false;
        };
        let note = self.note(path).filter(|_| found.is_file());
        !note.is_some_and(|note| note.is_of_this_very(&found))
    }

    /// Returns the commit that a file came with, by its note.
    pub fn noted_commit(&self, path: &RepoPath) -> Option<CommitSha> {
        Some(self.note(path)?.commit)
    }

    pub(super) fn note(&self, path: &RepoPath) -> Option<FileNote> {
        FileNote::parse(&open::read_if_plain(&self.note_path(path)).ok()??)
    }

    pub(super) fn content_by_note(&self, path: &RepoPath, found: &Metadata) -> Option<ContentId> {
        let note = self.note(path).filter(|note| note.vouches_for(found));
        note.map(|note| note.content)
    }

    pub(super) fn written(&self) -> Result<Written> {
        let path = self.private().join("written");
        let text = open::read_if_plain(&path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        Ok(parse_written(&text.unwrap_or_default()))
    }

    pub(super) fn write_private(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let folder = path
            .parent()
            .and_then(|dir| dir.strip_prefix(&self.root).ok());
        create_inside(&self.root, folder.unwrap_or(Path::new("")))?;
        files::write_atomically(path, bytes, &self.private())
            .with_context(|| format!("cannot write `{}`", path.display()))
    }
}
fn listing_path(root: &Path, folder: &str, commit: &CommitSha) -> PathBuf {
    let trees = root.join(folder).join("trees");
    trees.join(format!("{commit}.json"))
}
