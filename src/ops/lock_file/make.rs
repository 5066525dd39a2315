//! Makes a lock file of the published commits.

use std::fmt::Write as _;

use anyhow::Result;
use thiserror::Error;

use crate::cache::CacheLayout;
use crate::domain::lock_file::{LockFile, LockedModel};
use crate::domain::model::{EntryName, Model};
use crate::domain::repo::CommitSha;
use crate::domain::settings::Settings;
use crate::ops::published::stored_listing;

/// Models that cannot be locked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Error)]
#[error("{}", self.describe())]
pub struct NotLocked {
    /// Nothing of them is published.
    pub unpublished: Vec<EntryName>,
    /// The published commit, whose listing is not on disk.
    pub unlisted: Vec<(EntryName, CommitSha)>,
}

impl NotLocked {
    fn describe(&self) -> String {
        let mut text = String::new();
        for name in &self.unpublished {
            let _ = write!(text, "; nothing of `{name}` is published");
        }
        for (name, commit) in &self.unlisted {
            let commit = commit.short();
            let _ = write!(text, "; the listing of `{name}` at {commit} is not on disk");
        }
        text.trim_start_matches("; ").to_owned()
    }

    /// Returns the names of all these models.
    pub fn names(&self) -> impl Iterator<Item = &EntryName> {
        let unlisted = self.unlisted.iter().map(|(name, _)| name);
        self.unpublished.iter().chain(unlisted)
    }
}

/// Locks models at their published commits. All that cannot be locked are named in one
/// error.
pub fn make(settings: &Settings, models: &[Model]) -> Result<LockFile> {
    let cache = CacheLayout::new(settings.cache_dir());
    let mut failed = NotLocked::default();
    let mut locked = Vec::new();
    for model in models {
        let name = model.spec.name.clone();
        let Some(commit) = &model.state.published_commit else {
            failed.unpublished.push(name);
            continue;
        };
        match stored_listing(&cache, &model.spec.repo, &model.spec.destination, commit)? {
            Some(listing) => locked.push(LockedModel::of(&model.spec, &listing)),
            None => failed.unlisted.push((name, commit.clone())),
        }
    }
    if failed != NotLocked::default() {
        return Err(failed.into());
    }
    Ok(LockFile::new(locked))
}
