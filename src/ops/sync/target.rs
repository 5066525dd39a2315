//! A repository to synchronise, and the request to do so.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;

use crate::cache::{CacheLayout, Vanished};
use crate::domain::adopt::AdoptedFiles;
use crate::domain::deletion::{FetchKey, HomeIdentity};
use crate::domain::filter::Filter;
use crate::domain::login::TokenName;
use crate::domain::model::{Destination, EntryName, Model, ModelId};
use crate::domain::queue_order::QueueOrder;
use crate::domain::repo::{CommitSha, Repo, RepoPath, Revision};
use crate::download::LimitGroup;
use crate::ops::places::{PlaceError, Places};
use crate::store::Store;

/// A model that shares the ref and the snapshots of a target in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sibling {
    pub name: EntryName,
    pub filter: Filter,
    /// A commit that is accepted for it although it looks like a loss.
    pub accepted: Option<String>,
    pub published: Option<CommitSha>,
}

/// A repository to synchronise, registered or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `None` for a repository that is not registered.
    pub model: Option<(ModelId, EntryName)>,
    pub repo: Repo,
    pub revision: Revision,
    pub filter: Filter,
    /// The other enabled models of the cache at the same repository and revision.
    pub siblings: Vec<Sibling>,
    /// Files that the repository must have.
    pub required: BTreeSet<RepoPath>,
    pub destination: Destination,
    /// The token to use; `None` uses that of the machine.
    pub token_name: Option<TokenName>,
    /// The published commit according to the database; a directory has no ref.
    pub known_commit: Option<CommitSha>,
    /// The Hub showed the repository to the token only.
    pub needs_token: bool,
    /// A rollback of the model or of a sibling holds this commit in place.
    pub held_commit: Option<CommitSha>,
    /// The commit to synchronise instead of that of the revision.
    pub pinned: Option<CommitSha>,
    /// The other model whose rollback holds the commit.
    pub held_by: Option<EntryName>,
    /// A commit, or the beginning of one, that is published whatever is found about it.
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
        let accepted = accepted.filter(|update| update.is_approved());
        Self {
            model: Some((model.id, spec.name.clone())),
            repo: spec.repo.clone(),
            revision: spec.revision.clone(),
            filter: spec.filter.clone(),
            siblings: Vec::new(),
            required: BTreeSet::new(),
            destination: spec.destination.clone(),
            token_name: spec.token_name.clone(),
            known_commit: state.published_commit.clone(),
            needs_token: state.needs_token,
            held_commit: state.held_commit.clone(),
            pinned: state.pinned.as_ref().map(|pin| pin.commit.clone()),
            held_by: None,
            accepted: accepted.map(|update| update.commit.to_string()),
            force: false,
            vanished: Vanished::Keep,
        }
    }
}

impl Target {
    /// Returns the main revision of a repository that is not registered, in the cache.
    pub fn unregistered(repo: Repo) -> Self {
        Self {
            model: None,
            repo,
            revision: Revision::main(),
            filter: Filter::default(),
            siblings: Vec::new(),
            required: BTreeSet::new(),
            destination: Destination::Cache,
            token_name: None,
            known_commit: None,
            needs_token: false,
            held_commit: None,
            pinned: None,
            held_by: None,
            accepted: None,
            force: false,
            vanished: Vanished::Keep,
        }
    }

    /// Returns a registered model with its siblings: the ref moves for all of them at
    /// once, so that a commit must be whole for each. A rollback of one of them, enabled
    /// or not, holds the ref.
    pub fn with_siblings(store: &Store, model: &Model) -> Result<Self> {
        let mut target = Self::from(model);
        for other in siblings_of(store, model)? {
            if let (None, Some(held)) = (&target.held_commit, &other.state.held_commit) {
                target.held_commit = Some(held.clone());
                target.held_by = Some(other.spec.name.clone());
            }
            if other.spec.enabled {
                target.siblings.push(Sibling {
                    accepted: Self::from(&other).accepted,
                    published: other.state.published_commit,
                    name: other.spec.name,
                    filter: other.spec.filter,
                });
            }
        }
        Ok(target)
    }

    /// Returns the filter for the files that this target and its siblings need.
    pub fn shared_filter(&self) -> Filter {
        let others = self.siblings.iter().map(|sibling| sibling.filter.clone());
        Filter {
            others: others.collect(),
            ..self.filter.clone()
        }
    }

    /// Tells whether a sibling may have published a commit that is new for this target.
    pub(super) fn is_news(&self, commit: &CommitSha) -> bool {
        !self.siblings.is_empty() && self.known_commit.as_ref() != Some(commit)
    }

    /// Tells whether a model that follows the same ref has published a commit there.
    pub(super) fn is_published_by_sibling(&self, commit: &CommitSha) -> bool {
        let mut siblings = self.siblings.iter();
        siblings.any(|sibling| sibling.published.as_ref() == Some(commit))
    }

    /// Returns the key under which the destination records this download.
    pub fn fetch_key(&self) -> FetchKey {
        FetchKey {
            revision: self.revision.clone(),
            is_by_hand: self.model.is_none(),
        }
    }

    /// Tells whether a person has accepted or pinned this very commit.
    pub(super) fn accepts(&self, commit: &CommitSha) -> bool {
        self.pinned.as_ref() == Some(commit) || is_accepted(self.accepted.as_ref(), commit)
    }

    /// Returns the name of the target in messages.
    pub fn label(&self) -> String {
        match &self.model {
            Some((_, name)) => name.to_string(),
            None => self.repo.to_string(),
        }
    }
}

/// Returns the other models of the cache that share the ref of a model.
pub fn siblings_of(store: &Store, model: &Model) -> Result<Vec<Model>> {
    if model.spec.destination != Destination::Cache {
        return Ok(Vec::new());
    }
    let mut siblings = store.models_of_repo(&model.spec.repo)?;
    siblings.retain(|other| other.id != model.id && other.spec.shares_ref(&model.spec));
    Ok(siblings)
}

pub(super) fn is_accepted(accepted: Option<&String>, commit: &CommitSha) -> bool {
    accepted.is_some_and(|beginning| commit.as_str().starts_with(beginning))
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

/// The location of the cache, the links that may be used in it, and adopted files.
#[derive(Clone, Debug)]
pub struct CacheChoice {
    pub root: PathBuf,
    /// The installation that writes the files.
    pub home: Option<Arc<HomeIdentity>>,
    pub links: crate::cache::LinkChoice,
    pub places: Arc<Places>,
    /// Files of other programs whose bytes may be used.
    pub adopted: Arc<AdoptedFiles>,
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
