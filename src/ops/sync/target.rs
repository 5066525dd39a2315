//! A repository to synchronise, and the request to do so.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use crate::cache::{CacheLayout, Vanished};
use crate::domain::deletion::{FetchKey, HomeIdentity};
use crate::domain::filter::Filter;
use crate::domain::login::TokenName;
use crate::domain::model::{Destination, EntryName, Model, ModelId};
use crate::domain::queue_order::QueueOrder;
use crate::domain::repo::{CommitSha, Repo, RepoPath, Revision};
use crate::download::LimitGroup;
use crate::ops::places::{PlaceError, Places};

/// A repository to synchronise, registered or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `None` for a repository that is not registered.
    pub model: Option<(ModelId, EntryName)>,
    pub repo: Repo,
    pub revision: Revision,
    pub filter: Filter,
    /// Files that the repository must have.
    pub required: BTreeSet<RepoPath>,
    pub destination: Destination,
    /// The token to use; `None` uses that of the machine.
    pub token_name: Option<TokenName>,
    /// The published commit according to the database; a directory has no ref.
    pub known_commit: Option<CommitSha>,
    /// The Hub showed the repository to the token only.
    pub needs_token: bool,
    /// A rollback holds this commit in place.
    pub held_commit: Option<CommitSha>,
    /// A commit, or the beginning of one, that is published even if it looks like a loss.
    pub accepted: Option<String>,
    /// Fetch files again that are there already.
    pub force: bool,
    /// The treatment of files of a directory that are gone upstream.
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
            token_name: spec.token_name.clone(),
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
    /// Returns the key under which the destination records this download.
    pub fn fetch_key(&self) -> FetchKey {
        FetchKey {
            revision: self.revision.clone(),
            is_by_hand: self.model.is_none(),
        }
    }

    /// Tells whether a person has accepted this very commit.
    pub(super) fn accepts(&self, commit: &CommitSha) -> bool {
        let accepted = self.accepted.as_deref();
        accepted.is_some_and(|beginning| commit.as_str().starts_with(beginning))
    }

    /// Returns the name of the target in messages.
    pub fn label(&self) -> String {
        match &self.model {
            Some((_, name)) => name.to_string(),
            None => self.repo.to_string(),
        }
    }
}

/// A target and the conditions under which it is synchronised.
#[derive(Clone, Debug)]
pub struct SyncRequest {
    pub target: Arc<Target>,
    pub limits: LimitGroup,
    pub order: QueueOrder,
}

/// Identifies a target within one [`Syncer`](super::Syncer), which numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TargetId(pub(super) usize);

/// The location of the cache, and the links that may be used in it.
#[derive(Clone, Debug)]
pub struct CacheChoice {
    pub root: PathBuf,
    /// The installation that writes the files.
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

    /// Refuses a destination other than the one that the target was published in.
    pub fn check_place(&self, target: &Target) -> Result<(), PlaceError> {
        let model = target.model.as_ref().map(|(id, _)| *id);
        self.places.check(&target.destination, model)
    }
}
