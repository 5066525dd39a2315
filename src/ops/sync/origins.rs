//! The origins of contents that a plan reuses whole, for the history.

use std::collections::HashMap;
use std::path::Path;

use super::destination::TargetDestination;
use crate::cache::layout;
use crate::domain::adopt::AdoptedSources;
use crate::domain::content::ContentId;
use crate::domain::origin::{Origin, OriginKind, Origins};
use crate::domain::plan::{self, Action, PlannedFile, SyncPlan};
use crate::domain::repo::{CommitSha, Repo, RepoPath};
use crate::domain::snapshot::{RemoteFile, RemoteSnapshot};

/// Collects the origins of a plan's files that are neither fetched nor in place.
/// A file that is unchanged since the previous commit counts as in place.
pub fn origins_of(
    plan: &SyncPlan,
    destination: &TargetDestination,
    own: &Repo,
    old_commit: Option<&CommitSha>,
    adopted: &AdoptedSources,
) -> Origins {
    let mut origins = Origins::default();
    let mut names: Option<OriginNames> = None;
    for planned in &plan.files {
        let file = &planned.file;
        let origin = match &planned.action {
            Action::Keep | Action::Resume { .. } | Action::Fetch => continue,
            Action::Link(plan::ContentLocation::At(path)) => {
                match adopted.find(&file.content, path) {
                    Some(_) => Origin::adopted(path),
                    None => named_by_place(path, destination, own),
                }
            }
            Action::Link(plan::ContentLocation::Here) | Action::LinkToFetched => {
                let names =
                    names.get_or_insert_with(|| OriginNames::new(plan, destination, old_commit));
                if names.is_unchanged(file) {
                    continue;
                }
                names.find(&file.content)
            }
        };
        let content = Some(file.content);
        origins.add(Origin { content, ..origin }, file.size_bytes);
    }
    origins
}

/// Paths of contents in this commit and the previous one.
struct OriginNames {
    old: Option<RemoteSnapshot>,
    known: HashMap<ContentId, (RepoPath, CommitSha)>,
}

impl OriginNames {
    fn new(
        plan: &SyncPlan,
        destination: &TargetDestination,
        old_commit: Option<&CommitSha>,
    ) -> Self {
        let old = old_commit.filter(|old| **old != plan.commit);
        let old = old.and_then(|old| destination.stored_listing(old).ok().flatten());
        let mut known = HashMap::new();
        // The other files of this commit will get that content only by this plan.
        let is_first =
            |planned: &&PlannedFile| planned.action == Action::Keep || planned.action.is_fetch();
        let here = plan.files.iter().filter(is_first);
        let here = here.map(|planned| (&planned.file, &plan.commit));
        let before = old.iter().flat_map(|old| {
            let files = old.files.iter();
            files.map(|file| (file, &old.commit))
        });
        for (file, commit) in here.chain(before) {
            let name = || (file.path.clone(), commit.clone());
            known.entry(file.content).or_insert_with(name);
        }
        Self { old, known }
    }

    fn is_unchanged(&self, file: &RemoteFile) -> bool {
        let before = self.old.as_ref().and_then(|old| old.find(&file.path));
        before.is_some_and(|before| before.content == file.content)
    }

    fn find(&self, content: &ContentId) -> Origin {
        let (path, revision) = self.known.get(content).cloned().unzip();
        Origin {
            path,
            revision,
            ..Origin::of_kind(OriginKind::SameContent)
        }
    }
}

/// OriginNames a file by its path: in a repository of the cache, in a snapshot of one,
/// or in the directory itself.
fn named_by_place(file: &Path, destination: &TargetDestination, own: &Repo) -> Origin {
    let mut origin = Origin::of_kind(OriginKind::SameContent);
    if let Some(path) = destination.path_below(file) {
        origin.path = Some(path);
        return origin;
    }
    let Some((repo, rest)) = destination.cache().name_of(file) else {
        return origin;
    };
    origin.repo = Some(repo).filter(|repo| repo != own);
    let mut parts = rest.components();
    let folder = parts.next().and_then(|part| part.as_os_str().to_str());
    let commit = parts.next().and_then(|part| part.as_os_str().to_str());
    if folder == Some("snapshots")
        && let Some(commit) = commit.and_then(|commit| commit.parse().ok())
    {
        origin.revision = Some(commit);
        origin.path = layout::repo_path(parts.as_path());
    }
    origin
}
