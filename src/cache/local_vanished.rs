//! Deletes files of a directory that are gone upstream.
//!
//! A file is deleted only if the private list names it and its note was made for it
//! as it lies there. The official client renews notes, and makes notes for files
//! that hfdl never wrote: such a file is a candidate, and its content must be proven
//! before it counts as one of the list. All other files are the user's.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};

use super::local_dir::LocalDir;
use super::local_records::{FileNote, Written, WrittenFile};
use crate::domain::content::ContentId;
use crate::domain::deletion::{FileOrigin, Reason, Refusal, judge};
use crate::domain::proof::ProofStamp;
use crate::domain::repo::{CommitSha, Repo, RepoPath};
use crate::domain::snapshot::RemoteSnapshot;
use crate::sys::files;
use crate::sys::removal;
use crate::sys::stamp::stamp_at;

impl LocalDir {
    /// Returns the files that are gone upstream and whose contents must be proven
    /// before they can be deleted: their notes were made after them.
    pub fn unproven_vanished(
        &self,
        repo: &Repo,
        remote: &RemoteSnapshot,
        commits: &BTreeSet<CommitSha>,
    ) -> Result<BTreeMap<RepoPath, ContentId>> {
        let written = self.written()?;
        let ours = self.paths_of(&written, repo, commits).into_iter();
        let mut contents: BTreeMap<RepoPath, ContentId> = ours
            .filter_map(|path| Some((path.clone(), written.get(&path)?.content)))
            .collect();
        for commit in commits {
            let listed = self.stored_listing(commit)?.into_iter();
            for file in listed.flat_map(|listing| listing.files) {
                let is_its = self
                    .noted_commit(&file.path)
                    .is_some_and(|of| commits.contains(&of));
                if is_its && !written.contains_key(&file.path) {
                    contents.entry(file.path).or_insert(file.content);
                }
            }
        }
        for file in &remote.files {
            contents.remove(&file.path);
        }
        let mut unproven = BTreeMap::new();
        for (path, content) in contents {
            let Some((found, note)) = self.look_at(&path)?.zip(self.note(&path)) else {
                continue;
            };
            let is_listed = written.contains_key(&path);
            if note.content == content
                && note.vouches_for(&found)
                && !(is_listed && note.is_of_this_very(&found))
            {
                unproven.insert(path, content);
            }
        }
        Ok(unproven)
    }

    /// Records that a file has this content, as a read of the file with this stamp has
    /// shown: from now on it counts as written for the repository.
    pub fn adopt_vanished(
        &self,
        repo: &Repo,
        path: &RepoPath,
        content: ContentId,
        stamp: &ProofStamp,
    ) -> Result<()> {
        let file = self.file(path);
        let (found, note) = match self.look_at(path)?.zip(self.note(path)) {
            Some(both) => both,
            None => return Ok(()),
        };
        let stamp_now =
            stamp_at(&file).with_context(|| format!("cannot look at `{}`", file.display()))?;
        ensure!(
            stamp_now.as_ref() == Some(stamp),
            "another program has changed `{}` meanwhile",
            file.display()
        );
        let mut written = self.written()?;
        let repo = Some(repo.clone());
        written.insert(path.clone(), WrittenFile { content, repo });
        self.write_written(&written)?;
        let note_path = self.note_path(path);
        let note = FileNote::new(&note.commit, &content, &found).render();
        files::write_unsynced(&note_path, note.as_bytes(), &self.private())
            .with_context(|| format!("cannot write `{}`", note_path.display()))
    }

    pub(super) fn delete_vanished(
        &self,
        (repo, commits): (&Repo, &BTreeSet<CommitSha>),
        remote: &RemoteSnapshot,
        written: &mut Written,
        removed: &mut Vec<RepoPath>,
        choose: impl Fn(&RepoPath) -> bool,
    ) -> Result<()> {
        let listed: BTreeSet<&RepoPath> = remote.files.iter().map(|file| &file.path).collect();
        let ours = self.paths_of(written, repo, commits).into_iter();
        let gone = ours.filter(|path| !listed.contains(path) && choose(path));
        for path in gone.collect::<Vec<_>>() {
            if (self.delete_if_ours(&path, written, repo, Reason::GoneUpstream)?).is_ok() {
                removed.push(path.clone());
            }
            written.remove(&path);
        }
        Ok(())
    }

    /// Returns the files on the list that are of a repository. Lists of old
    /// versions do not name it; there the commit that a file came with tells,
    /// if it is one of those that this home has had of the repository.
    pub(super) fn paths_of(
        &self,
        written: &Written,
        repo: &Repo,
        commits: &BTreeSet<CommitSha>,
    ) -> Vec<RepoPath> {
        let is_its = |(path, file): &(&RepoPath, &WrittenFile)| match &file.repo {
            Some(of) => of == repo,
            None => (self.noted_commit(path)).is_some_and(|commit| commits.contains(&commit)),
        };
        let files = written.iter().filter(is_its);
        files.map(|(path, _)| path.clone()).collect()
    }

    /// Deletes a file if this list names it for a repository and its note proves that it
    /// is unchanged. Otherwise returns the reason why it stays.
    pub(super) fn delete_if_ours(
        &self,
        path: &RepoPath,
        written: &Written,
        repo: &Repo,
        reason: Reason,
    ) -> Result<Result<(), Refusal>> {
        let file = self.file(path);
        let Some(found) = self.look_at(path)? else {
            return Ok(Err(Refusal::Changed));
        };
        let folder = file.parent().unwrap_or(self.root());
        let listed = written.get(path);
        let listed = listed.filter(|it| it.repo.as_ref().is_none_or(|of| of == repo));
        let origin = match (listed, self.note(path)) {
            (None, _) => FileOrigin::Unknown,
            (Some(ours), Some(note))
                if note.content == ours.content && note.is_of_this_very(&found) =>
            {
                FileOrigin::ThisHome
            }
            _ => FileOrigin::Changed,
        };
        let leads_out = files::check_inside(self.root(), folder).is_err();
        let permit = match judge(reason, origin, [leads_out.then_some(Refusal::NotOurs)]) {
            Ok(permit) => permit,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let note = self.note_path(path);
        for path in [&file, &note] {
            removal::remove_file(path, permit)
                .with_context(|| format!("cannot remove `{}`", path.display()))?;
        }
        // Folders that this emptied.
        let emptied = folder.ancestors().take_while(|dir| *dir != self.root());
        for dir in emptied {
            if !removal::remove_empty_dir(dir) {
                break;
            }
        }
        Ok(Ok(()))
    }
}
