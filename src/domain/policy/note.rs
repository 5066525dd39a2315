//! The facts about a policy that a check leaves for the next one.

use thiserror::Error;

use super::{EffectiveRules, PinnedCommit, Policy, SeenCommits, TagPattern, UpdateWait};
use crate::domain::hold::{Pin, PinKind};
use crate::domain::model::ModelState;
use crate::domain::repo::{CommitSha, Revision};

/// The tag that a model follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowedTag {
    pub tag: Revision,
    /// Its target in the list of refs: the commit, or the object of an annotated tag.
    pub target: CommitSha,
    pub commit: CommitSha,
}

/// The facts of one check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyNote {
    /// A newer commit is too young.
    pub wait: Option<UpdateWait>,
    pub followed: Option<FollowedTag>,
    /// The followed tag names another commit than before.
    pub has_tag_moved: bool,
    pub pinned: Option<CommitSha>,
    /// The pinned commit is gone upstream.
    pub is_gone: bool,
    /// The record of newer commits, if it has changed.
    pub seen: Option<SeenCommits>,
}

/// The commit that a policy asks for is not upstream.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UnmetPolicy {
    #[error("no commit of `{revision}` begins with {}", .beginning.as_str())]
    NoCommit {
        model: String,
        beginning: PinnedCommit,
        revision: Revision,
    },
    #[error("no tag of the repository matches {}", render(.patterns))]
    NoTag {
        model: String,
        patterns: Vec<TagPattern>,
    },
    #[error("the pinned commit {commit} is gone upstream, and its files are not whole here")]
    PinGone { model: String, commit: CommitSha },
}

impl UnmetPolicy {
    pub fn hint(&self) -> String {
        match self {
            Self::NoCommit { model, .. } => {
                format!("correct the commit with `hfdl models set {model} --policy pin@COMMIT`")
            }
            Self::NoTag { model, .. } => {
                format!("correct the pattern with `hfdl models set {model} --follow-tags GLOB`")
            }
            Self::PinGone { model, .. } => {
                format!("pin another commit with `hfdl models set {model} --policy pin@COMMIT`")
            }
        }
    }
}

fn render(patterns: &[TagPattern]) -> String {
    let patterns: Vec<String> = patterns.iter().map(|it| format!("`{it}`")).collect();
    patterns.join(" and ")
}

impl ModelState {
    /// Records the facts of a check that the Hub has answered; `commit` is the commit that
    /// it was about. The first commit that a pinned model is offered is its pin.
    pub fn note_policy(&mut self, rules: &EffectiveRules, note: &PolicyNote, commit: &CommitSha) {
        self.wait.clone_from(&note.wait);
        // A tag of a commit that is held or not yet whole is not followed yet.
        if rules.follow_tags.is_empty() {
            self.followed = None;
        } else if self.published_commit.as_ref() == Some(commit) {
            self.followed.clone_from(&note.followed);
        }
        let is_locked = self
            .pinned
            .as_ref()
            .is_some_and(|pin| pin.by == PinKind::Lock);
        if !is_locked {
            let pinned = || note.pinned.as_ref().unwrap_or(commit).clone();
            self.pinned = (rules.policy == Policy::Pin).then(|| Pin {
                commit: pinned(),
                by: PinKind::Policy,
            });
        }
    }
}
