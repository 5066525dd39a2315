//! A registered model: its name, its state, its condition in one word.

use std::fmt;
use std::str::FromStr;

use super::ModelSpec;
use crate::domain::guard::Terms;
use crate::domain::hold::{HeldUpdate, Pin, PinKind};
use crate::domain::invalid_value::InvalidValue;
use crate::domain::moved_ref::RefTarget;
use crate::domain::outcome::{Outcome, UpstreamState, VerifyOutcome, words};
use crate::domain::policy::{FollowedTag, Policy, UpdateWait};
use crate::domain::repo::{CommitSha, Revision};
use crate::domain::time::{Timestamp, believed};

/// The database's number of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelId(pub i64);

/// The name by which a person addresses a model or a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryName(String);

impl EntryName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EntryName {
    type Err = InvalidValue;

    /// Accepts anything that stays one readable word in a table, a shell and a log line.
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let refuse = |why: &str, next: &str| {
            Err(InvalidValue::not_valid("name", text)
                .because(why)
                .next(next))
        };
        if text.is_empty() {
            return refuse("it is empty", "use letters and digits");
        }
        if text.len() > 200 {
            return refuse("it is longer than 200 bytes", "use a shorter one");
        }
        if text.starts_with('-') {
            let why = "it starts with `-`, which would read as an option";
            return refuse(why, "use another first letter");
        }
        let allowed = |c: char| c.is_alphanumeric() || "._-/:@+".contains(c);
        if let Some(c) = text.chars().find(|c| !allowed(*c)) {
            let why = format!("`{}` is not allowed", c.escape_debug());
            return refuse(&why, "use letters, digits and any of . _ - / : @ +");
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A word that groups models, so that schedules can select them.
pub type Tag = EntryName;

/// The findings of runs about a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelState {
    /// A commit that a rollback holds in place.
    pub held_commit: Option<CommitSha>,
    /// A newer commit that waits for a person, or that a person decided about.
    pub held_update: Option<HeldUpdate>,
    /// The commit that the model stays at.
    pub pinned: Option<Pin>,
    /// The digest of the files that the lock file has, if it pins the model.
    pub locked_files: Option<[u8; 32]>,
    /// A newer commit that a delay keeps from being taken.
    pub wait: Option<UpdateWait>,
    /// The tag that the model follows.
    pub followed: Option<FollowedTag>,
    pub published_commit: Option<CommitSha>,
    pub published_at: Option<Timestamp>,
    /// The terms of the repository when that commit was published.
    pub published_terms: Terms,
    pub last_check_at: Option<Timestamp>,
    pub last_success_at: Option<Timestamp>,
    pub last_change_at: Option<Timestamp>,
    pub consecutive_failures: u32,
    pub upstream_state: UpstreamState,
    pub last_verify_at: Option<Timestamp>,
    /// `Damaged` stays until the files are repaired or fetched again.
    pub last_verify_outcome: Option<VerifyOutcome>,
    /// The Hub showed the repository to the token only: without one it says
    /// that there is no such repository, which then says nothing.
    pub needs_token: bool,
    /// The target of the ref, if the last run left it elsewhere than at the
    /// published commit.
    pub moved_ref: Option<RefTarget>,
}

impl Default for ModelState {
    fn default() -> Self {
        Self {
            held_commit: None,
            held_update: None,
            pinned: None,
            locked_files: None,
            wait: None,
            followed: None,
            published_commit: None,
            published_at: None,
            published_terms: Terms::default(),
            last_check_at: None,
            last_success_at: None,
            last_change_at: None,
            consecutive_failures: 0,
            upstream_state: UpstreamState::Ok,
            last_verify_at: None,
            last_verify_outcome: None,
            needs_token: false,
            moved_ref: None,
        }
    }
}

impl ModelState {
    /// Tells whether a rollback, an update that waits, or the rejection of its first commit
    /// keeps the model where it is.
    pub fn is_held(&self) -> bool {
        let update = self.held_update.as_ref();
        self.held_commit.is_some()
            || update.is_some_and(HeldUpdate::is_waiting)
            || self.rejected_first().is_some()
    }

    /// Returns the rejected commit of a model of which nothing was ever published.
    pub fn rejected_first(&self) -> Option<&CommitSha> {
        let update = self.held_update.as_ref().filter(|it| it.is_rejected())?;
        let is_first = self.published_commit.is_none();
        is_first.then_some(&update.commit)
    }

    /// Returns the tag of the published commit, for a model that follows tags.
    pub fn followed_tag(&self) -> Option<&Revision> {
        let followed = self.followed.as_ref()?;
        let is_published = self.published_commit.as_ref() == Some(&followed.commit);
        is_published.then_some(&followed.tag)
    }

    /// Tells whether a verification found damage that nothing has repaired since.
    pub fn is_damaged(&self) -> bool {
        self.last_verify_outcome == Some(VerifyOutcome::Damaged)
    }

    /// Returns the state after a verification.
    ///
    /// A verification that proved nothing does not disprove known damage.
    #[must_use]
    pub fn after_verification(&self, outcome: VerifyOutcome, now: Timestamp) -> Self {
        if outcome == VerifyOutcome::Unproven && self.is_damaged() {
            return self.clone();
        }
        Self {
            last_verify_at: Some(now),
            last_verify_outcome: Some(outcome),
            ..self.clone()
        }
    }

    /// Forgets damage when no file of the published commit is known to be bad any
    /// more: after a sync that left every file in place, or after a rollback.
    pub fn forget_damage(&mut self) {
        if self.is_damaged() {
            self.last_verify_outcome = Some(VerifyOutcome::Unproven);
        }
    }

    /// Returns the state that stays valid when the entry of a model is changed.
    ///
    /// Everything found out belongs to one repository at one revision in one
    /// place: with another of these it is a model that no run has seen yet.
    pub fn after_edit(&self, old: &ModelSpec, new: &ModelSpec) -> Self {
        if !new.is_same_revision(old) {
            return Self::default();
        }
        let mut state = self.clone();
        if new.update.policy != old.update.policy {
            state.pin_by_policy(new);
        }
        if new.update != old.update {
            state.wait = None;
        }
        if new.filter != old.filter {
            // The lock file says nothing about another selection.
            state.locked_files = None;
        }
        state
    }

    /// Pins the model where its policy says so: at a commit that is written out, else at
    /// the published one. Without either the next check finds the commit.
    fn pin_by_policy(&mut self, spec: &ModelSpec) {
        if self
            .pinned
            .as_ref()
            .is_some_and(|pin| pin.by == PinKind::Lock)
        {
            return;
        }
        let choice = spec.update.policy.as_ref();
        let pin = choice.filter(|choice| choice.policy == Policy::Pin);
        let commit = pin.and_then(|choice| match &choice.commit {
            Some(commit) => commit.as_commit(),
            None => self.published_commit.clone(),
        });
        let by = PinKind::Policy;
        self.pinned = commit.map(|commit| Pin { commit, by });
    }
}

impl ModelState {
    /// Returns the state without times that lie in the future.
    #[must_use]
    pub fn without_future_times(self, now: Timestamp) -> Self {
        Self {
            published_at: believed(self.published_at, now),
            last_check_at: believed(self.last_check_at, now),
            last_success_at: believed(self.last_success_at, now),
            last_change_at: believed(self.last_change_at, now),
            last_verify_at: believed(self.last_verify_at, now),
            ..self
        }
    }
}

/// A registered model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    pub id: ModelId,
    pub spec: ModelSpec,
    pub state: ModelState,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

words! {
    /// A model's condition in one word, the worst first.
    ModelSummary {
        Disabled = "disabled",
        Orphaned = "orphaned",
        Gated = "gated",
        Damaged = "damaged",
        Failing = "failing",
        Held = "held",
        NeverDownloaded = "never-downloaded",
        Renamed = "renamed",
        Ok = "ok",
    }
}

impl Model {
    /// Returns the word that a list shows and `--state` filters by.
    ///
    /// `last` is the outcome of the last check: a failure that was not counted,
    /// such as that of a run that crashed, is one all the same.
    pub fn summary(&self, last: Option<Outcome>) -> ModelSummary {
        if !self.spec.enabled {
            return ModelSummary::Disabled;
        }
        let has_failed = self.state.consecutive_failures > 0 || last == Some(Outcome::Failed);
        match self.state.upstream_state {
            _ if self.state.is_damaged() => ModelSummary::Damaged,
            UpstreamState::Orphaned => ModelSummary::Orphaned,
            UpstreamState::Gated => ModelSummary::Gated,
            _ if has_failed => ModelSummary::Failing,
            _ if self.state.is_held() => ModelSummary::Held,
            _ if self.state.published_commit.is_none() => ModelSummary::NeverDownloaded,
            UpstreamState::Renamed => ModelSummary::Renamed,
            UpstreamState::Ok => ModelSummary::Ok,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::model::Destination;
    use crate::domain::repo::{Repo, RepoType};

    #[test]
    fn what_was_found_out_stays_until_the_entry_means_another_copy() {
        let repo = Repo::new(RepoType::Model, "a/b".parse().unwrap());
        let old = ModelSpec::new("tiny".parse().unwrap(), repo);
        let state = ModelState {
            published_commit: "a".repeat(40).parse().ok(),
            consecutive_failures: 3,
            upstream_state: UpstreamState::Gated,
            needs_token: true,
            ..ModelState::default()
        };
        let edit = |change: fn(&mut ModelSpec)| {
            let mut new = old.clone();
            change(&mut new);
            state.after_edit(&old, &new)
        };
        assert_eq!(edit(|new| new.name = "other".parse().unwrap()), state);
        assert_eq!(edit(|new| new.filter.exclude.push("*".into())), state);
        assert_eq!(edit(|new| new.enabled = false), state);
        let unseen = ModelState::default();
        assert_eq!(edit(|new| new.repo.id = "a/c".parse().unwrap()), unseen);
        assert_eq!(edit(|new| new.revision = "v1".parse().unwrap()), unseen);
        let elsewhere = |new: &mut ModelSpec| new.destination = Destination::Directory("/x".into());
        assert_eq!(edit(elsewhere), unseen);
    }
}
