//! The lock file: the commit and the files of each model, and their comparison.
//!
//! A lock file has no time and no path of this machine: the same published commits give
//! the same lock file everywhere.

use std::collections::{BTreeMap, BTreeSet};

use super::content::ContentId;
use super::filter::Filter;
use super::model::{EntryName, ModelSpec};
use super::repo::{CommitSha, Repo, RepoPath, Revision};
use super::snapshot::RemoteSnapshot;

/// The models of a lock file, sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockFile {
    pub models: Vec<LockedModel>,
}

/// One model at one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedModel {
    pub name: EntryName,
    pub repo: Repo,
    /// The revision that was asked for.
    pub revision: Revision,
    pub commit: CommitSha,
    pub filter: Filter,
    /// The selected files, sorted by path.
    pub files: Vec<LockedFile>,
}

/// One file of a locked model, as the Hub lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedFile {
    pub path: RepoPath,
    pub size_bytes: u64,
    pub content: ContentId,
}

impl LockFile {
    /// Sorts the models by name.
    pub fn new(mut models: Vec<LockedModel>) -> Self {
        models.sort_by(|a, b| a.name.cmp(&b.name));
        Self { models }
    }

    pub fn find(&self, name: &EntryName) -> Option<&LockedModel> {
        let at = self.models.binary_search_by(|model| model.name.cmp(name));
        self.models.get(at.ok()?)
    }

    /// Returns the differences between the lock file and the models as they are now, one
    /// line each.
    pub fn differences(&self, found: &Self) -> Vec<String> {
        let mut lines = self.presence(found.models.iter().map(|model| &model.name));
        for model in &found.models {
            let locked = self.find(&model.name);
            lines.extend(locked.into_iter().flat_map(|it| it.differences(model)));
        }
        lines
    }

    /// Names the models that only one side has.
    pub fn presence<'a>(&self, names: impl IntoIterator<Item = &'a EntryName>) -> Vec<String> {
        let found: BTreeSet<&EntryName> = names.into_iter().collect();
        let locked: BTreeSet<&EntryName> = self.models.iter().map(|model| &model.name).collect();
        let missing = locked.difference(&found);
        let missing = missing.map(|name| format!("`{name}` is only in the lock file"));
        let extra = found.difference(&locked);
        missing
            .chain(extra.map(|name| format!("`{name}` is not in the lock file")))
            .collect()
    }
}

impl LockedModel {
    /// Locks a model at the commit of a listing.
    pub fn of(spec: &ModelSpec, listing: &RemoteSnapshot) -> Self {
        Self {
            name: spec.name.clone(),
            repo: spec.repo.clone(),
            revision: spec.revision.clone(),
            commit: listing.commit.clone(),
            filter: spec.filter.clone(),
            files: locked_files(listing, &spec.filter),
        }
    }

    /// Returns the differences between this model and the same one as it is now. Files are
    /// compared only where both sides select from the same commit by the same filter.
    pub fn differences(&self, found: &Self) -> Vec<String> {
        let mut lines = self.spec_differences(&found.repo, &found.revision, &found.filter);
        let name = &self.name;
        if self.commit != found.commit {
            let (locked, now) = (&self.commit, &found.commit);
            lines.push(format!(
                "`{name}`: the commit is {now}, and locked is {locked}"
            ));
        }
        if lines.is_empty() {
            lines = self.file_differences(found);
        }
        lines
    }

    /// Returns the differences of the entries.
    pub fn spec_differences(
        &self,
        repo: &Repo,
        revision: &Revision,
        filter: &Filter,
    ) -> Vec<String> {
        let name = &self.name;
        let mut lines = Vec::new();
        let mut compare = |what: &str, locked: String, now: String| {
            if locked != now {
                lines.push(format!(
                    "`{name}`: the {what} is {now}, and locked is {locked}"
                ));
            }
        };
        let full = |repo: &Repo| format!("{} `{}`", repo.kind, repo.id);
        compare("repository", full(&self.repo), full(repo));
        let quoted = |revision: &Revision| format!("`{revision}`");
        compare("revision", quoted(&self.revision), quoted(revision));
        let include = |filter: &Filter| match &filter.include {
            Some(patterns) => format!("{patterns:?}"),
            None => "all files".to_owned(),
        };
        compare("include list", include(&self.filter), include(filter));
        let exclude = |filter: &Filter| format!("{:?}", filter.exclude);
        compare("exclude list", exclude(&self.filter), exclude(filter));
        lines
    }

    fn file_differences(&self, found: &Self) -> Vec<String> {
        let by_path = |files: &'_ [LockedFile]| -> BTreeMap<RepoPath, LockedFile> {
            let files = files.iter();
            files
                .map(|file| (file.path.clone(), file.clone()))
                .collect()
        };
        let (locked, now) = (by_path(&self.files), by_path(&found.files));
        let paths: BTreeSet<&RepoPath> = locked.keys().chain(now.keys()).collect();
        let name = &self.name;
        let line = |path: &RepoPath| {
            let difference = match (locked.get(path), now.get(path)) {
                (Some(_), None) => "it is only in the lock file".to_owned(),
                (None, Some(_)) => "it is not in the lock file".to_owned(),
                (Some(locked), Some(now)) if locked.size_bytes != now.size_bytes => format!(
                    "the size is {}, and locked is {}",
                    now.size_bytes, locked.size_bytes
                ),
                (Some(locked), Some(now)) if locked.content != now.content => {
                    format!(
                        "the hash is {}, and locked is {}",
                        now.content, locked.content
                    )
                }
                _ => return None,
            };
            Some(format!("`{name}`: file `{path}`: {difference}"))
        };
        paths.into_iter().filter_map(line).collect()
    }
}

/// Returns the files of a listing that a filter selects.
pub fn locked_files(listing: &RemoteSnapshot, filter: &Filter) -> Vec<LockedFile> {
    let files = listing.selected(filter).into_iter();
    files
        .map(|file| LockedFile {
            path: file.path.clone(),
            size_bytes: file.size_bytes,
            content: file.content,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::repo::RepoType;

    fn model(name: &str) -> LockedModel {
        LockedModel {
            name: name.parse().unwrap(),
            repo: Repo::new(RepoType::Model, "acme/tiny".parse().unwrap()),
            revision: Revision::main(),
            commit: "a".repeat(40).parse().unwrap(),
            filter: Filter::default(),
            files: vec![file("a.json", 1), file("b.json", 2)],
        }
    }

    fn file(path: &str, size_bytes: u64) -> LockedFile {
        LockedFile {
            path: path.parse().unwrap(),
            size_bytes,
            content: ContentId::GitSha1([size_bytes as u8; 20]),
        }
    }

    /// Returns the differences of a model from itself after a change.
    fn after(change: impl FnOnce(&mut LockedModel)) -> String {
        let mut found = model("tiny");
        change(&mut found);
        let lock = LockFile::new(vec![model("tiny")]);
        lock.differences(&LockFile::new(vec![found])).join("\n")
    }

    #[test]
    fn each_difference_is_named() {
        assert_eq!(after(|_| {}), "");
        let all = "`tiny`: the include list is [\"*.json\"], and locked is all files";
        assert_eq!(
            after(|it| it.filter.include = Some(vec!["*.json".into()])),
            all
        );
        for (found, part) in [
            (
                after(|it| it.name = "big".parse().unwrap()),
                "`tiny` is only in the lock file\n`big` is not",
            ),
            (
                after(|it| it.repo.kind = RepoType::Dataset),
                "the repository is dataset `acme/tiny`, and locked is model",
            ),
            (
                after(|it| it.revision = "v1".parse().unwrap()),
                "the revision is `v1`, and locked is `main`",
            ),
            (
                after(|it| it.filter.exclude.push("x".into())),
                "the exclude list is [\"x\"], and locked is []",
            ),
            (
                after(|it| it.commit = "b".repeat(40).parse().unwrap()),
                "the commit is bbbb",
            ),
            (
                after(|it| drop(it.files.pop())),
                "file `b.json`: it is only in the lock file",
            ),
            (
                after(|it| it.files.push(file("c", 3))),
                "file `c`: it is not in the lock file",
            ),
            (
                after(|it| it.files[0].size_bytes = 9),
                "file `a.json`: the size is 9, and locked is 1",
            ),
            (
                after(|it| it.files[0].content = file("x", 7).content),
                "file `a.json`: the hash is git:07",
            ),
        ] {
            assert!(found.contains(part), "{found}");
        }
    }
}
