//! The API with which tests write repositories.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::content::{Content, sha1_hex};
use super::server::{Shared, lock};
use super::world::{Access, Commit, FileEntry, RepoKey, RepoState, Storage};

/// A repository of the hub, for writing.
///
/// The id includes the type as on the web: `acme/tiny`, `datasets/acme/corpus`, `spaces/acme/app`,
/// `kernels/acme/fast`.
#[derive(Clone)]
pub struct Repo {
    shared: Arc<Shared>,
    key: RepoKey,
}

impl Repo {
    pub(crate) fn new(shared: Arc<Shared>, id: &str) -> Self {
        Self {
            shared,
            key: RepoKey::parse(id),
        }
    }

    /// Begins a commit on a branch, or on `refs/pr/1`, `refs/convert/parquet`, `refs/tags/v1`.
    ///
    /// As in git it starts with the files of the revision; a new revision starts empty.
    pub fn commit(&self, revision: &str) -> CommitDraft {
        let files = self.read(|repo| repo.find(revision).map(|commit| commit.files.clone()));
        CommitDraft {
            repo: self.clone(),
            revision: full_ref(revision),
            parent: self.head(revision),
            title: "Update".to_owned(),
            date: None,
            files: files.flatten().unwrap_or_default(),
            raw_entries: Vec::new(),
        }
    }

    /// Adds a tag to a commit.
    pub fn tag(&self, name: &str, commit: &str) -> &Self {
        self.point(&format!("refs/tags/{name}"), commit)
    }

    /// Adds an annotated tag: the list of refs names its tag object instead of the commit.
    pub fn annotated_tag(&self, name: &str, commit: &str) -> &Self {
        let full = format!("refs/tags/{name}");
        let object = sha1_hex(format!("tag {name} {commit}").as_bytes());
        self.write(|repo| repo.tag_objects.insert(full, object));
        self.tag(name, commit)
    }

    /// Points a branch or any full ref (`refs/...`) to a commit: a force-push, or a rollback.
    pub fn point(&self, revision: &str, commit: &str) -> &Self {
        self.write(|repo| repo.refs.insert(full_ref(revision), commit.to_owned()));
        self
    }

    /// Removes a branch, tag or full ref; its commits stay reachable by hash, as on the Hub.
    pub fn delete_revision(&self, revision: &str) -> &Self {
        self.write(|repo| repo.ref_name(revision).map(|name| repo.refs.remove(&name)));
        self
    }

    /// Removes a commit, as the Hub may after a rewritten history.
    pub fn forget_commit(&self, commit: &str) -> &Self {
        self.write(|repo| repo.commits.remove(commit));
        self
    }

    /// Returns the current commit of a revision.
    pub fn head(&self, revision: &str) -> Option<String> {
        self.read(|repo| repo.find(revision).map(|commit| commit.sha.clone()))
            .flatten()
    }

    pub fn gated(&self, gate: Gate) -> &Self {
        self.write(|repo| repo.access.gated = Some(gate));
        self
    }

    pub fn private(&self) -> &Self {
        self.write(|repo| repo.access.private = true);
        self
    }

    pub fn disabled(&self) -> &Self {
        self.write(|repo| repo.access.disabled = true);
        self
    }

    /// Sets the licence in the model card.
    pub fn licence(&self, licence: &str) -> &Self {
        self.write(|repo| repo.licence = Some(licence.to_owned()));
        self
    }

    /// Lets the scanners of the Hub find something in a file, such as `unsafe`.
    pub fn scan(&self, path: &str, level: &str) -> &Self {
        let issue = (path.to_owned(), level.to_owned());
        self.write(|repo| repo.issues.push(issue));
        self
    }

    /// Makes the repository ungated, public and enabled again.
    pub fn open(&self) -> &Self {
        self.write(|repo| repo.access = Access::default());
        self
    }

    /// Renames the repository; the old id redirects, as on the Hub.
    pub fn rename(&self, new_id: &str) -> Repo {
        let renamed = RepoKey::parse(new_id);
        let mut world = self.shared.world();
        if let Some(state) = world.repos.remove(&self.key) {
            world.repos.insert(renamed.clone(), state);
        }
        world.renamed.insert(self.key.clone(), renamed.clone());
        drop(world);
        Repo {
            shared: self.shared.clone(),
            key: renamed,
        }
    }

    /// Deletes the repository, as its owner would.
    pub fn delete(&self) {
        self.shared.world().repos.remove(&self.key);
    }

    fn read<T>(&self, look: impl FnOnce(&RepoState) -> T) -> Option<T> {
        self.shared.world().repos.get(&self.key).map(look)
    }

    fn write<T>(&self, change: impl FnOnce(&mut RepoState) -> T) -> T {
        change(
            self.shared
                .world()
                .repos
                .entry(self.key.clone())
                .or_default(),
        )
    }
}

/// A commit that becomes visible with [`CommitDraft::publish`].
#[must_use = "a commit is visible only after `publish`"]
pub struct CommitDraft {
    repo: Repo,
    revision: String,
    parent: Option<String>,
    title: String,
    date: Option<String>,
    files: BTreeMap<String, FileEntry>,
    raw_entries: Vec<Value>,
}

impl CommitDraft {
    /// Starts from the files of another revision or commit.
    ///
    /// # Panics
    /// If the revision does not exist.
    pub fn from(mut self, revision: &str) -> Self {
        let base = self.repo.read(|repo| repo.find(revision)).flatten();
        let base = base.unwrap_or_else(|| panic!("no revision `{revision}` to start from"));
        self.parent = Some(base.sha.clone());
        self.files = base.files.clone();
        self
    }

    /// Removes all files inherited from the parent.
    pub fn empty(mut self) -> Self {
        self.files.clear();
        self
    }

    pub fn title(mut self, title: &str) -> Self {
        self.title = title.to_owned();
        self
    }

    /// Sets the date of the commit, such as `2026-03-01T08:00:00Z`, which a committer may choose
    /// freely; otherwise the hub counts minutes from 2026-01-01.
    pub fn date(mut self, date: &str) -> Self {
        self.date = Some(date.to_owned());
        self
    }

    /// Adds a file stored in git itself. Any name is accepted, including hostile ones.
    pub fn file(self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.put(path, Content::bytes(bytes.into()), Storage::Git)
    }

    /// Adds many small files, for listings with many pages.
    pub fn files<P: Into<String>, B: Into<Vec<u8>>>(
        mut self,
        files: impl IntoIterator<Item = (P, B)>,
    ) -> Self {
        for (path, bytes) in files {
            self = self.put(&path.into(), Content::bytes(bytes.into()), Storage::Git);
        }
        self
    }

    /// Adds a large file, served by the CDN.
    pub fn lfs(self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.put(path, Content::bytes(bytes.into()), Storage::Lfs)
    }

    /// Adds a large file of any size without using memory; see [`super::generated_bytes`].
    pub fn lfs_generated(self, path: &str, size: u64, seed: u64) -> Self {
        self.put(path, Content::generated(size, seed), Storage::Lfs)
    }

    /// Adds a large file that also has a Xet hash in the listing and on resolve.
    ///
    /// `hash` must be the true one if a CAS server is behind this hub.
    pub fn xet(self, path: &str, bytes: impl Into<Vec<u8>>, hash: &str) -> Self {
        self.put(
            path,
            Content::bytes(bytes.into()),
            Storage::Xet(hash.to_owned()),
        )
    }

    /// Adds a large file to this hub's own Xet storage; see [`super::TestHub::serve_xet`].
    pub fn stored(self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        let content = Content::bytes(bytes.into());
        let hash = lock(&self.repo.shared.store).add(&content);
        self.put(path, content, Storage::Xet(hash))
    }

    pub fn remove(mut self, path: &str) -> Self {
        self.files.remove(path);
        self
    }

    /// Adds a listing entry as JSON, without a file.
    ///
    /// # Panics
    /// If `json` is not JSON.
    pub fn raw_entry(mut self, json: &str) -> Self {
        self.raw_entries
            .push(serde_json::from_str(json).expect("a raw entry must be JSON"));
        self
    }

    /// Points the revision to this commit and returns the commit's hash.
    pub fn publish(self) -> String {
        let (repo, revision, commit) = self.into_commit();
        repo.write(|state| state.add(&revision, commit))
    }

    /// Publishes only if the files differ from those of the revision; returns whether it did.
    ///
    /// The hash comes from the files alone, so that a hub that starts again has the same commit.
    /// Files that were published before get another hash, because a commit has one parent.
    pub(crate) fn publish_changes(self) -> bool {
        let parent = self.repo.read(|state| state.find(&self.revision)).flatten();
        let files = file_lines(&self.files);
        if parent
            .as_ref()
            .is_some_and(|it| file_lines(&it.files) == files)
        {
            return false;
        }
        let orphan = Self {
            parent: None,
            ..self
        };
        let (repo, revision, mut commit) = orphan.into_commit();
        if let Some(parent) = parent {
            let is_known = repo.read(|state| state.commits.contains_key(&commit.sha));
            if is_known == Some(true) {
                commit.sha = sha1_hex(format!("{} {}", commit.sha, parent.sha).as_bytes());
            }
            commit.parent = Some(parent.sha.clone());
        }
        repo.write(|state| state.add(&revision, commit));
        true
    }

    pub(crate) fn put(mut self, path: &str, content: Content, storage: Storage) -> Self {
        self.files
            .insert(path.to_owned(), FileEntry { content, storage });
        self
    }

    fn into_commit(self) -> (Repo, String, Commit) {
        let mut text = format!(
            "{} {} {} {:?}\n",
            self.repo.key.web_path(),
            self.revision,
            self.title,
            self.parent
        );
        text += &file_lines(&self.files);
        let commit = Commit {
            sha: sha1_hex(text.as_bytes()),
            title: self.title,
            parent: self.parent,
            date: self.date.unwrap_or_default(),
            files: self.files,
            raw_entries: self.raw_entries,
            listing: OnceLock::new(),
        };
        (self.repo, self.revision, commit)
    }
}

/// Returns one line for each file, which differs if the file does.
fn file_lines(files: &BTreeMap<String, FileEntry>) -> String {
    let line = |(path, file): (&String, &FileEntry)| {
        format!("{path}\0{:?}\0{}\n", file.storage, file.content.identity())
    };
    files.iter().map(line).collect()
}

/// How a gated repository grants access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    Auto,
    Manual,
}

fn full_ref(revision: &str) -> String {
    if revision.starts_with("refs/") {
        revision.to_owned()
    } else {
        format!("refs/heads/{revision}")
    }
}
