//! A repository to synchronise, and the request to do so.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;

use crate::cache::{CacheLayout, Vanished};
use crate::domain::adopt::AdoptedFiles;
use crate::domain::deletion::{FetchKey, HomeIdentity};
use crate::domain::filter::Filter;
use crate::domain::guard::{GuardRules, Terms};
use crate::domain::hold::{HeldUpdate, PinKind};
use crate::domain::lock_file::locked_files;
use crate::domain::login::TokenName;
use crate::domain::model::{Destination, EntryName, Model, ModelId, Tag};
use crate::domain::policy::{
    EffectiveRules, FollowedTag, Policy, SeenCommits, SharedRules, UpdateRules,
};
use crate::domain::queue_order::QueueOrder;
use crate::domain::repo::{CommitSha, Repo, RepoPath, Revision};
use crate::domain::snapshot::RemoteSnapshot;
use crate::domain::time::Timestamp;
use crate::download::LimitGroup;
use crate::ops::lock_file::{NotAsLocked, files_digest};
use crate::ops::places::{PlaceError, Places};
use crate::store::Store;

/// A model that shares the ref and the snapshots of a target in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sibling {
    pub name: EntryName,
    pub filter: Filter,
    /// A commit that is accepted for it although it looks like a loss.
    pub accepted: Option<String>,
    /// The updates that a person has rejected for it.
    pub rejected: Vec<HeldUpdate>,
    pub published: Option<CommitSha>,
}

/// The rules about updates of a target, with the facts that its check needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetPolicy {
    /// The strictest rules of the model and its siblings.
    pub rules: EffectiveRules,
    pub followed: Option<FollowedTag>,
    pub seen: SeenCommits,
    pub now: Timestamp,
}

impl Default for TargetPolicy {
    /// Returns the rules of a repository that no model is registered for.
    fn default() -> Self {
        Self {
            rules: EffectiveRules::default(),
            followed: None,
            seen: SeenCommits::new(),
            now: Timestamp::UNIX_EPOCH,
        }
    }
}

/// The values that the rules of all models of a run are computed with.
#[derive(Clone, Debug)]
pub struct PolicyInput {
    pub tags: BTreeMap<Tag, UpdateRules>,
    /// The updates that a person has rejected.
    pub rejected: BTreeMap<ModelId, Vec<HeldUpdate>>,
    pub now: Timestamp,
}

impl PolicyInput {
    pub fn load(store: &Store, now: Timestamp) -> Result<Self> {
        Ok(Self {
            tags: store.tag_rules()?,
            rejected: store.rejected_updates()?,
            now,
        })
    }

    fn rejected_for(&self, model: ModelId) -> Vec<HeldUpdate> {
        self.rejected.get(&model).cloned().unwrap_or_default()
    }

    /// Returns the strictest rules of a model and of its siblings among others.
    pub fn rules(&self, model: &Model, others: &[Model]) -> SharedRules {
        let others = others.iter().map(|it| &it.spec);
        SharedRules::of(&model.spec, others, &self.tags)
    }
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
    /// The terms with which it was published.
    pub known_terms: Terms,
    /// The Hub showed the repository to the token only.
    pub needs_token: bool,
    /// The rules about updates, and the facts of earlier checks about them.
    pub policy: TargetPolicy,
    /// A rollback of the model or of a sibling holds this commit in place.
    pub held_commit: Option<CommitSha>,
    /// The commit to synchronise instead of that of the revision.
    pub pinned: Option<CommitSha>,
    /// The digest of the files that the pinned commit must have.
    pub locked_files: Option<[u8; 32]>,
    /// The other model whose rollback holds the commit.
    pub held_by: Option<EntryName>,
    /// A commit, or the beginning of one, that is published whatever is found about it.
    pub accepted: Option<String>,
    /// The updates that a person has rejected, with the findings of then.
    pub rejected: Vec<HeldUpdate>,
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
            known_terms: state.published_terms.clone(),
            needs_token: state.needs_token,
            policy: TargetPolicy {
                followed: state.followed.clone(),
                ..TargetPolicy::default()
            },
            held_commit: state.held_commit.clone(),
            pinned: state.pinned.as_ref().map(|pin| pin.commit.clone()),
            locked_files: state.locked_files,
            held_by: None,
            accepted: accepted.map(|update| update.commit.to_string()),
            rejected: Vec::new(),
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
            known_terms: Terms::default(),
            needs_token: false,
            policy: TargetPolicy::default(),
            held_commit: None,
            pinned: None,
            locked_files: None,
            held_by: None,
            accepted: None,
            rejected: Vec::new(),
            force: false,
            vanished: Vanished::Keep,
        }
    }

    /// Returns a registered model with its siblings: the ref moves for all of them at
    /// once, so that a commit must be whole for each. A rollback of one of them, enabled
    /// or not, holds the ref.
    pub fn with_siblings(store: &Store, model: &Model, input: &PolicyInput) -> Result<Self> {
        let mut target = Self::from(model);
        let siblings = siblings_of(store, model)?;
        target.rejected = input.rejected_for(model.id);
        target.policy.rules = input.rules(model, &siblings).rules;
        target.policy.now = input.now;
        if target.policy.rules.delay.get() > 0 {
            target.policy.seen = store.seen_commits(model.id)?;
        }
        target.pinned = pinned(&target.policy.rules, model, &siblings);
        for other in siblings {
            if let (None, Some(held)) = (&target.held_commit, &other.state.held_commit) {
                target.held_commit = Some(held.clone());
                target.held_by = Some(other.spec.name.clone());
            }
            if other.spec.enabled {
                target.siblings.push(Sibling {
                    accepted: Self::from(&other).accepted,
                    rejected: input.rejected_for(other.id),
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
        let rules = &self.policy.rules;
        let written = rules.pinned.as_ref();
        let written = written.filter(|_| rules.policy == Policy::Pin);
        self.pinned.as_ref() == Some(commit)
            || written.is_some_and(|beginning| beginning.is_start_of(commit))
            || is_accepted(self.accepted.as_ref(), commit)
    }

    /// Returns the update to a commit that a person has rejected for the model.
    pub(super) fn rejected_update(&self, commit: &CommitSha) -> Option<&HeldUpdate> {
        find_update(&self.rejected, commit)
    }

    /// Tells whether a person has rejected a commit for the model or for a sibling, and
    /// nobody has accepted it since.
    pub(super) fn is_rejected_by_any(&self, commit: &CommitSha) -> bool {
        let has_rejected = |updates: &[HeldUpdate]| find_update(updates, commit).is_some();
        let mut siblings = self.siblings.iter();
        !self.is_accepted_by_any(commit)
            && (has_rejected(&self.rejected) || siblings.any(|it| has_rejected(&it.rejected)))
    }

    /// Checks that a listing has the files of the lock file, before any byte is fetched.
    pub(super) fn check_locked_files(&self, remote: &RemoteSnapshot) -> Result<(), NotAsLocked> {
        let commit = &remote.commit;
        let is_locked = self.pinned.as_ref() == Some(commit);
        let locked = self.locked_files.filter(|_| is_locked);
        let is_other = |locked| files_digest(&locked_files(remote, &self.filter)) != locked;
        if locked.is_some_and(is_other) {
            let commit = commit.clone();
            return Err(NotAsLocked { commit });
        }
        Ok(())
    }

    /// Returns the name of the target in messages.
    pub fn label(&self) -> String {
        match &self.model {
            Some((_, name)) => name.to_string(),
            None => self.repo.to_string(),
        }
    }
}

/// Returns the commit that a model stays at, as far as it is known: that of a lock file,
/// else the pin of its policy or of a sibling's, else the published commit.
fn pinned(rules: &EffectiveRules, model: &Model, siblings: &[Model]) -> Option<CommitSha> {
    let enabled = siblings.iter().filter(|it| it.spec.enabled);
    let all = || std::iter::once(model).chain(enabled.clone());
    let pins = |by: PinKind| {
        let pins = all().filter_map(|it| it.state.pinned.as_ref());
        pins.filter(move |pin| pin.by == by).map(|pin| &pin.commit)
    };
    if let Some(locked) = pins(PinKind::Lock).next() {
        return Some(locked.clone());
    }
    if rules.policy != Policy::Pin {
        return None;
    }
    match &rules.pinned {
        Some(written) => {
            let known = pins(PinKind::Policy).find(|commit| written.is_start_of(commit));
            written.as_commit().or_else(|| known.cloned())
        }
        None => {
            let published = || {
                all()
                    .filter_map(|it| it.state.published_commit.as_ref())
                    .next()
            };
            pins(PinKind::Policy).next().or_else(published).cloned()
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

pub(super) fn find_update<'u>(
    updates: &'u [HeldUpdate],
    commit: &CommitSha,
) -> Option<&'u HeldUpdate> {
    updates.iter().find(|update| update.commit == *commit)
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

impl TargetId {
    pub fn number(self) -> u64 {
        self.0 as u64
    }
}

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
    /// The guards of models that choose none themselves.
    pub guards: GuardRules,
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
