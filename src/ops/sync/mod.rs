//! Brings one or many repositories on disk up to date.
//!
//! Five steps: `check` asks the Hub and plans, `proving` reads files that are
//! used as they lie there and that no proof holds for, `preflight` refuses plans
//! that cannot end well, `importing` takes in contents from elsewhere on this
//! machine, `pool` fetches the files of all models together and publishes each
//! model as soon as its last file is proven. `flow` leads every target through
//! them. An error of a model stops there: it becomes the end of its session.
//!
//! A name and a size prove nothing: other programs store damaged files as well.
//! Each file is hashed once, by the threads of `readers`, and holds as proven
//! while its size, time of change and inode stay (`proofs`).

mod check;
mod checker;
mod delta;
mod either_source;
mod fetches;
mod findings;
mod importing;
mod origins;
mod place;
mod pool;
mod preflight;
mod proofs;
mod proving;
mod readers;
mod reading;
mod result;
mod source;
mod syncer;
mod work;

pub use check::{BadFiles, Checked, MissingFile, Planned, check_all};
pub use delta::Asker;
pub use findings::Findings;
pub use origins::origins_of;
pub use place::Place;
pub use preflight::{NoFiles, NoSpace, TooLarge};
pub use proofs::Proofs;
pub use result::{ProvenFile, SyncEvent, SyncResult, TargetId};
pub use syncer::{SyncRequest, Syncer};

pub use super::diagnose::{outcome_of, trouble_of};

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use crate::cache::CacheLayout;
pub use crate::cache::Vanished;
use crate::domain::deletion::{FetchKey, HomeIdentity};
use crate::domain::filter::Filter;
use crate::domain::model::{Destination, EntryName, Model, ModelId};
use crate::domain::repo::{CommitSha, Repo, RepoPath, Revision};
use crate::ops::places::{PlaceError, Places};

/// A repository to bring up to date, registered or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `None` for a repository that is not registered.
    pub model: Option<(ModelId, EntryName)>,
    pub repo: Repo,
    pub revision: Revision,
    pub filter: Filter,
    /// Files that must be there, or it is an error.
    pub required: BTreeSet<RepoPath>,
    pub destination: Destination,
    /// What the database says was published; a directory has no ref that could.
    pub known_commit: Option<CommitSha>,
    /// The Hub showed the repository to the token only.
    pub needs_token: bool,
    /// A rollback holds this commit in place.
    pub held_commit: Option<CommitSha>,
    /// A commit, or the beginning of one, that is published even if it looks like a loss.
    pub accepted: Option<String>,
    /// Fetch again what is there already.
    pub force: bool,
    /// What becomes of the files of a directory that are gone upstream.
    pub vanished: Vanished,
}

impl From<&Model> for Target {
    fn from(model: &Model) -> Self {
        let (spec, state) = (&model.spec, &model.state);
        let accepted = state.held_update.as_ref();
        let accepted = accepted.filter(|update| update.is_accepted);
        Self {
            model: Some((model.id, spec.name.clone())),
            repo: spec.repo.clone(),
            revision: spec.revision.clone(),
            filter: spec.filter.clone(),
            required: BTreeSet::new(),
            destination: spec.destination.clone(),
            known_commit: state.published_commit.clone(),
            needs_token: state.needs_token,
            held_commit: state.held_commit.clone(),
            accepted: accepted.map(|update| update.commit.to_string()),
            force: false,
            vanished: Vanished::Keep,
        }
    }
}

impl Target {
    /// Returns under which name the download is noted where it writes.
    pub fn fetch_key(&self) -> FetchKey {
        FetchKey {
            revision: self.revision.clone(),
            is_by_hand: self.model.is_none(),
        }
    }

    /// Tells whether a person has accepted this very commit.
    fn accepts(&self, commit: &CommitSha) -> bool {
        let accepted = self.accepted.as_deref();
        accepted.is_some_and(|beginning| commit.as_str().starts_with(beginning))
    }

    /// Returns what the target is called in messages.
    pub fn label(&self) -> String {
        match &self.model {
            Some((_, name)) => name.to_string(),
            None => self.repo.to_string(),
        }
    }
}

/// Where the cache is and what it may hold.
#[derive(Clone, Debug)]
pub struct CacheChoice {
    pub root: PathBuf,
    /// On whose behalf files are written.
    pub home: Option<Arc<HomeIdentity>>,
    pub links: crate::cache::LinkChoice,
    pub places: Arc<Places>,
}

impl CacheChoice {
    pub fn layout(&self) -> CacheLayout {
        let layout = CacheLayout::new(&self.root);
        match &self.home {
            Some(home) => layout.of_home(home),
            None => layout,
        }
    }

    /// Refuses a target whose place is not the one that it was published in.
    pub fn check_place(&self, target: &Target) -> Result<(), PlaceError> {
        let model = target.model.as_ref().map(|(id, _)| *id);
        self.places.check(&target.destination, model)
    }
}
