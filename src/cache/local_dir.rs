//! A repository as real files in a directory: `--to DIR`.
//!
//! Whole contents wait, verified, in the private folder; publishing renames
//! them over the old files, which are there until that moment. The notes that
//! the official client keeps under `.cache/huggingface/` are kept in its form,
//! so either program goes on where the other stopped. A file without a note
//! that holds is never assumed to be anything: its bytes are asked.
//!
//! Files are never hard links of the cache: people edit what lies in a
//! directory of theirs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::facts::look_in_cache;
use super::layout::{CacheLayout, JOURNAL_SUFFIX, PARTIAL_SUFFIX, native};
use super::local_records::{FileNote, Written, parse_written, render_written};
use super::publish::{check_size, create_inside, sync_dir, write_tag_once};
use super::scan::files_below;
use super::wire;
use crate::domain::content::ContentId;
use crate::domain::filter::Filter;
use crate::domain::placement::Placement;
use crate::domain::plan::{Action, Found, InPlace, LocalFacts, Place, SyncPlan};
use crate::domain::repo::{CommitSha, RepoPath};
use crate::domain::snapshot::{RemoteFile, RemoteSnapshot};
use crate::sys::files::{self, Sharing};

/// The folder of the official notes; no repository may put a file there.
const RECORDS: &str = ".cache/huggingface";
/// The folder in it that is ours.
const PRIVATE: &str = ".cache/huggingface/.hfdl";

/// Reads a file and tells whether its bytes hash to a content.
pub type Prove<'a> = &'a dyn Fn(&Path, &ContentId) -> io::Result<bool>;

/// What becomes of files that are gone upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vanished {
    Keep,
    /// Removed where we wrote them and nobody changed them.
    Delete,
}

/// A directory that holds one repository's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalDir {
    root: PathBuf,
}

/// What publishing to a directory did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    pub removed: Vec<RepoPath>,
}

impl LocalDir {
    /// Creates the directory and its official folder of notes.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let dir = Self { root: root.into() };
        let root = &dir.root;
        fs::create_dir_all(root).with_context(|| format!("cannot create `{}`", root.display()))?;
        create_inside(root, &Path::new(RECORDS).join("download"))?;
        let private = create_inside(root, Path::new(PRIVATE))?;
        let records = root.join(RECORDS);
        write_tag_once(&records.join("CACHEDIR.TAG"), &private)?;
        let ignore = records.join(".gitignore");
        if !ignore.exists() {
            files::write_atomically(&ignore, b"*", &private)
                .with_context(|| format!("cannot write `{}`", ignore.display()))?;
        }
        Ok(dir)
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the names that this directory can hold.
    pub fn placement(&self) -> Result<Placement> {
        let private = self.private();
        let case = files::letter_case(&private)
            .with_context(|| format!("cannot write to `{}`", private.display()))?;
        Ok(Placement {
            names: files::file_names(),
            case,
            private: Some(RECORDS),
        })
    }

    /// Returns where a content is fetched to.
    pub fn partial(&self, content: &ContentId) -> PathBuf {
        self.private_file(content, PARTIAL_SUFFIX)
    }

    pub fn journal(&self, content: &ContentId) -> PathBuf {
        self.private_file(content, JOURNAL_SUFFIX)
    }

    /// Returns where a verified content waits.
    pub fn stored(&self, content: &ContentId) -> PathBuf {
        self.private_file(content, "")
    }

    fn private(&self) -> PathBuf {
        self.root.join(PRIVATE)
    }

    fn private_file(&self, content: &ContentId, suffix: &str) -> PathBuf {
        self.private().join(format!("{}{suffix}", content.etag()))
    }

    fn file(&self, path: &RepoPath) -> PathBuf {
        self.root.join(native(path))
    }

    fn note_path(&self, path: &RepoPath) -> PathBuf {
        let mut note = self.root.join(RECORDS).join("download").join(native(path));
        note.as_mut_os_string().push(".metadata");
        note
    }

    /// Returns the listing of a commit that an earlier download kept.
    pub fn stored_listing(&self, commit: &CommitSha) -> Result<Option<RemoteSnapshot>> {
        for folder in [PRIVATE, RECORDS] {
            let path = self.listing_path(folder, commit);
            let json = files::read_if_present(&path)
                .with_context(|| format!("cannot read `{}`", path.display()))?;
            if let Some(listing) = json.and_then(|json| wire::parse_tree(commit, &json)) {
                return Ok(Some(listing));
            }
        }
        Ok(None)
    }

    fn listing_path(&self, folder: &str, commit: &CommitSha) -> PathBuf {
        let trees = self.root.join(folder).join("trees");
        trees.join(format!("{commit}.json"))
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

    /// Gathers what is there for the wanted files: in place, waiting, under
    /// other names in the directory, and in a Hub cache.
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
        for file in &remote.files {
            if !filter.selects(file.path.as_str()) {
                continue;
            }
            if let Some(there) = self.in_place(file, prove)? {
                facts.in_place.insert(file.path.clone(), there);
                continue;
            }
            let stored = self.stored(&file.content);
            if check_size(&stored, file.size_bytes).is_ok() {
                let found = Found {
                    size_bytes: file.size_bytes,
                    place: Place::Here,
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
        for (path, content) in self.written()? {
            let Some(file) = missing.get(&content.etag()).copied() else {
                continue;
            };
            let found = self.look_at(&path)?;
            let Some(found) = found.filter(|found| found.len() == file.size_bytes) else {
                continue;
            };
            if self.content_by_note(&path, &found) == Some(content) {
                let place = Place::At(self.file(&path));
                let size_bytes = found.len();
                facts.contents.insert(content, Found { size_bytes, place });
                missing.remove(&content.etag());
            }
        }
        Ok(())
    }

    /// Returns a real file's metadata; links and folders are not files here.
    fn look_at(&self, path: &RepoPath) -> Result<Option<Metadata>> {
        let path = self.file(path);
        let found = files::link_metadata_if_present(&path)
            .with_context(|| format!("cannot look at `{}`", path.display()))?;
        Ok(found.filter(Metadata::is_file))
    }

    fn note(&self, path: &RepoPath) -> Option<FileNote> {
        FileNote::parse(&fs::read(self.note_path(path)).ok()?)
    }

    fn content_by_note(&self, path: &RepoPath, found: &Metadata) -> Option<ContentId> {
        let note = self.note(path).filter(|note| note.vouches_for(found));
        note.map(|note| note.content)
    }

    fn written(&self) -> Result<Written> {
        let path = self.private().join("written");
        let text = files::read_if_present(&path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        Ok(parse_written(&text.unwrap_or_default()))
    }

    fn write_private(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let folder = path
            .parent()
            .and_then(|dir| dir.strip_prefix(&self.root).ok());
        create_inside(&self.root, folder.unwrap_or(Path::new("")))?;
        files::write_atomically(path, bytes, &self.private())
            .with_context(|| format!("cannot write `{}`", path.display()))
    }
}

/// Writing.
impl LocalDir {
    /// Puts a verified file where `publish` looks for its content.
    pub fn store(&self, content: &ContentId, verified: &Path) -> Result<()> {
        let stored = self.stored(content);
        let context = || {
            format!(
                "cannot move `{}` to `{}`",
                verified.display(),
                stored.display()
            )
        };
        let permissions = files::permissions_of_new_files(&self.private());
        let permissions = permissions.with_context(context)?;
        fs::set_permissions(verified, permissions).with_context(context)?;
        files::rename_synced(verified, &stored).with_context(context)
    }

    /// Brings in a content that lies elsewhere on this machine, as bytes of its own.
    pub fn import(&self, content: &ContentId, size_bytes: u64, from: &Path) -> Result<()> {
        let aside = files::unused_name(&self.private());
        let import = || {
            files::share(from, &aside, Sharing::OwnBytes)?;
            let size = fs::metadata(&aside)?.len();
            if size != size_bytes {
                return Err(io::Error::other("its size has changed"));
            }
            files::rename_synced(&aside, &self.stored(content))
        };
        import()
            .inspect_err(|_| {
                let _ = fs::remove_file(&aside);
            })
            .with_context(|| format!("cannot take over `{}`", from.display()))
    }

    /// Puts a commit's files in place; their contents have been stored or imported.
    ///
    /// Nothing is touched unless all of them are there. A directory has no one
    /// rename that changes it all, so old and new files stand side by side for
    /// as long as the renames take.
    pub fn publish(
        &self,
        remote: &RemoteSnapshot,
        plan: &SyncPlan,
        vanished: Vanished,
    ) -> Result<Placed> {
        let commit = &remote.commit;
        ensure!(
            plan.commit == *commit,
            "the plan is for commit {}, the listing for {commit}",
            plan.commit
        );
        let mut uses: BTreeMap<ContentId, usize> = BTreeMap::new();
        for planned in &plan.files {
            let (path, content) = (&planned.file.path, planned.file.content);
            let source = match planned.action {
                Action::Keep => self.file(path),
                _ => {
                    *uses.entry(content).or_default() += 1;
                    self.stored(&content)
                }
            };
            check_size(&source, planned.file.size_bytes)
                .with_context(|| format!("`{path}` is not ready to be published"))?;
        }
        let listing = wire::render_tree(remote).context("cannot render the listing")?;
        self.write_private(&self.listing_path(PRIVATE, commit), &listing)?;

        // Before the files: one that is not on the list is never deleted, one
        // that is on it and was not written has no note that agrees.
        let mut written = self.written()?;
        let new = plan.files.iter().filter(|file| file.action != Action::Keep);
        written.extend(new.map(|new| (new.file.path.clone(), new.file.content)));
        self.write_written(&written)?;

        let mut removed = Vec::new();
        if vanished == Vanished::Delete {
            // Only what stands in the way goes first; the rest when all is in place.
            let in_the_way = |path: &RepoPath| {
                plan.files
                    .iter()
                    .any(|new| one_is_below(path, &new.file.path))
            };
            self.delete_vanished(remote, &mut written, &mut removed, in_the_way)?;
        }
        let mut folders = BTreeSet::new();
        for planned in &plan.files {
            let file = &planned.file;
            if planned.action != Action::Keep {
                let left = uses.entry(file.content).or_default();
                *left -= 1;
                folders.insert(self.put(file, *left == 0)?);
            }
            self.note_down(commit, file)?;
        }
        folders.iter().try_for_each(|folder| sync_dir(folder))?;
        if vanished == Vanished::Delete {
            self.delete_vanished(remote, &mut written, &mut removed, |_| true)?;
        }
        if plan.files.len() == remote.files.len() {
            self.write_private(&self.listing_path(RECORDS, commit), &listing)?;
        }
        self.write_written(&written)?;
        Ok(Placed { removed })
    }

    fn put(&self, file: &RemoteFile, is_last_use: bool) -> Result<PathBuf> {
        let target = self.file(&file.path);
        let native = native(&file.path);
        let folder = create_inside(&self.root, native.parent().unwrap_or(Path::new("")))?;
        let context = || format!("cannot write `{}`", target.display());
        if target.is_dir() && !target.is_symlink() {
            bail!("{}: there is a folder of that name", context());
        }
        let mut source = self.stored(&file.content);
        if !is_last_use {
            let copy = files::unused_name(&self.private());
            files::share(&source, &copy, Sharing::OwnBytes).with_context(context)?;
            source = copy;
        }
        files::rename_synced(&source, &target).with_context(context)?;
        Ok(folder)
    }

    /// Writes the official note unless a good one is there.
    fn note_down(&self, commit: &CommitSha, file: &RemoteFile) -> Result<()> {
        let Some(found) = self.look_at(&file.path)? else {
            bail!("`{}` went away", self.file(&file.path).display());
        };
        if self.content_by_note(&file.path, &found) == Some(file.content) {
            return Ok(());
        }
        let path = self.note_path(&file.path);
        let folder = path
            .parent()
            .and_then(|dir| dir.strip_prefix(&self.root).ok());
        create_inside(&self.root, folder.unwrap_or(Path::new("")))?;
        let note = FileNote::new(commit, &file.content, &found).render();
        files::write_unsynced(&path, note.as_bytes(), &self.private())
            .with_context(|| format!("cannot write `{}`", path.display()))
    }

    fn write_written(&self, written: &Written) -> Result<()> {
        let path = self.private().join("written");
        let text = render_written(written);
        files::write_atomically(&path, text.as_bytes(), &self.private())
            .with_context(|| format!("cannot write `{}`", path.display()))
    }

    fn delete_vanished(
        &self,
        remote: &RemoteSnapshot,
        written: &mut Written,
        removed: &mut Vec<RepoPath>,
        choose: impl Fn(&RepoPath) -> bool,
    ) -> Result<()> {
        let listed: BTreeSet<&RepoPath> = remote.files.iter().map(|file| &file.path).collect();
        let gone: Vec<(RepoPath, ContentId)> = written
            .iter()
            .filter(|(path, _)| !listed.contains(path) && choose(path))
            .map(|(path, content)| (path.clone(), *content))
            .collect();
        for (path, content) in gone {
            if self.delete_if_ours(&path, content)? {
                removed.push(path.clone());
            }
            written.remove(&path);
        }
        Ok(())
    }

    fn delete_if_ours(&self, path: &RepoPath, content: ContentId) -> Result<bool> {
        let file = self.file(path);
        let Some(found) = self.look_at(path)? else {
            return Ok(false);
        };
        let folder = file.parent().unwrap_or(&self.root);
        if self.content_by_note(path, &found) != Some(content)
            || files::check_inside(&self.root, folder).is_err()
        {
            return Ok(false);
        }
        let note = self.note_path(path);
        for path in [&file, &note] {
            files::remove_if_present(path)
                .with_context(|| format!("cannot remove `{}`", path.display()))?;
        }
        // Folders that this emptied; `remove_dir` leaves all others alone.
        let emptied = folder.ancestors().take_while(|dir| *dir != self.root);
        for dir in emptied {
            if fs::remove_dir(dir).is_err() {
                break;
            }
        }
        Ok(true)
    }

    /// Removes contents that were stored and are not wanted any more, and what
    /// a killed process was preparing. Partial files stay.
    pub fn clear_stored(&self) -> Result<()> {
        for (_, entry) in files_below(&self.private())? {
            let name = entry.file_name();
            let name = name.to_str().unwrap_or_default();
            let is_stored = ContentId::from_etag(name).is_ok();
            if is_stored || name.starts_with(files::TEMPORARY_PREFIX) {
                let path = entry.path();
                files::remove_if_present(&path)
                    .with_context(|| format!("cannot remove `{}`", path.display()))?;
            }
        }
        Ok(())
    }
}

/// Tells whether one path would have to be a folder for the other to exist.
fn one_is_below(a: &RepoPath, b: &RepoPath) -> bool {
    let below = |inner: &str, outer: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    below(a.as_str(), b.as_str()) || below(b.as_str(), a.as_str())
}
