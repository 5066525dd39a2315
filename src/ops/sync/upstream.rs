//! Finds the commit that a target takes: the newest one of its revision, or the one that
//! its update policy allows.
//!
//! A policy that holds nothing back costs one request, as without one. The others are: the
//! list of refs for a model that follows tags, and the history of the newest commit while
//! a delay or an approval of an older commit waits.

use std::collections::BTreeMap;

use anyhow::Result;

use super::destination::TargetDestination;
use super::target::{Target, is_accepted};
use crate::domain::guard::Terms;
use crate::domain::policy::{
    DelayVerdict, FollowedTag, PinnedCommit, Policy, PolicyNote, TagPattern, UnmetPolicy,
    adopt_from, adopt_known, is_older_tag, newest_tags, note_seen,
};
use crate::domain::repo::{CommitSha, Repo, Revision};
use crate::hub::{Fault, Gated, HubClient, HubError, RevisionInfo};
use crate::ops::pins::newest_beginning;

/// More commits than a branch gets within a delay; older ones are not taken.
const MAX_WAITING: usize = 1_000;

/// The commit that a target takes.
pub(super) struct Upstream {
    pub commit: CommitSha,
    /// The current name of a renamed repository.
    pub renamed_to: Option<String>,
    /// Whether access to the files must be checked before they are fetched.
    pub is_gated: bool,
    /// The terms of the repository, where the Hub told them.
    pub terms: Terms,
    pub note: PolicyNote,
}

impl Upstream {
    fn of(target: &Target, info: RevisionInfo) -> Self {
        Self {
            renamed_to: (info.id != target.repo.id).then(|| info.id.to_string()),
            is_gated: info.gated != Gated::No,
            terms: info.terms,
            commit: info.commit,
            note: PolicyNote::default(),
        }
    }

    /// Returns a commit on disk, about which the Hub has told nothing.
    fn stay(commit: &CommitSha) -> Self {
        Self {
            commit: commit.clone(),
            renamed_to: None,
            is_gated: true,
            terms: Terms::default(),
            note: PolicyNote::default(),
        }
    }

    /// Returns a pinned commit that the Hub has no more.
    fn gone(pin: &CommitSha) -> Self {
        let mut upstream = Self::stay(pin);
        upstream.note.is_gone = true;
        upstream
    }
}

/// Asks the Hub for the commit that a target takes.
pub(super) fn find(
    hub: &HubClient,
    target: &Target,
    destination: &TargetDestination,
) -> Result<Upstream> {
    let rules = &target.policy.rules;
    if let Some(pin) = &target.pinned {
        return pinned(hub, target, destination, pin);
    }
    if let Some(beginning) = rules
        .pinned
        .as_ref()
        .filter(|_| rules.policy == Policy::Pin)
    {
        let pin = commit_beginning(hub, target, beginning)?;
        return pinned(hub, target, destination, &pin);
    }
    if !rules.follow_tags.is_empty() {
        return newest_tag(hub, target);
    }
    let upstream = Upstream::of(target, hub.revision(&target.repo, &target.revision)?);
    after_waiting(hub, target, upstream)
}

/// Tells whether all selected files of a commit are on disk.
fn is_whole(target: &Target, destination: &TargetDestination, commit: &CommitSha) -> Result<bool> {
    let Some(listing) = destination.stored_listing(commit)? else {
        return Ok(false);
    };
    let wanted = listing.selected(&target.shared_filter());
    Ok(!wanted.is_empty() && destination.is_complete(commit, &wanted)?)
}

/// Asks for a pinned commit. One that is gone upstream stays published, or is published
/// from the disk: its files are here, and a person has chosen it.
fn pinned(
    hub: &HubClient,
    target: &Target,
    destination: &TargetDestination,
    pin: &CommitSha,
) -> Result<Upstream> {
    let published = target.published();
    let mut upstream = match hub.revision(&target.repo, &Revision::from(pin)) {
        Ok(info) => Upstream::of(target, info),
        Err(err) if is_revision_gone(&err) && published == Some(pin) => Upstream::gone(pin),
        Err(err)
            if err.is_gone() && published != Some(pin) && is_whole(target, destination, pin)? =>
        {
            Upstream::gone(pin)
        }
        Err(err) if is_revision_gone(&err) && published.is_some() => {
            let (model, commit) = (target.label(), pin.clone());
            return Err(UnmetPolicy::PinGone { model, commit }.into());
        }
        Err(err) => return Err(err.into()),
    };
    upstream.note.pinned = Some(pin.clone());
    Ok(upstream)
}

fn is_revision_gone(err: &HubError) -> bool {
    matches!(err.fault(), Fault::RevisionNotFound)
}

/// Finds the newest commit of the revision that begins with these digits.
fn commit_beginning(
    hub: &HubClient,
    target: &Target,
    beginning: &PinnedCommit,
) -> Result<CommitSha> {
    if let Some(commit) = beginning.as_commit() {
        return Ok(commit);
    }
    let (repo, revision) = (&target.repo, &target.revision);
    let found = newest_beginning(hub, repo, revision, beginning)?;
    let missing = || UnmetPolicy::NoCommit {
        model: target.label(),
        beginning: beginning.clone(),
        revision: revision.clone(),
    };
    Ok(found.ok_or_else(missing)?)
}

/// Takes the newest tag that matches, is old enough, and is not older than the followed
/// one: a tag that vanished upstream does not lead back to an older version.
fn newest_tag(hub: &HubClient, target: &Target) -> Result<Upstream> {
    let policy = &target.policy;
    let patterns: Vec<TagPattern> = policy.rules.follow_tags.iter().cloned().collect();
    let tags = hub.tags(&target.repo)?;
    let followed = policy.followed.as_ref();
    let followed = followed.filter(|it| patterns.iter().all(|pattern| pattern.matches(&it.tag)));
    let mut candidates = newest_tags(tags.keys(), &patterns);
    candidates.retain(|tag| followed.is_none_or(|it| !is_older_tag(tag, &it.tag)));
    // The object of an annotated tag is no commit, so that no later check would know it.
    candidates.retain(|tag| !target.is_rejected_by_any(&tags[*tag]));
    let (tag, mut note) = choose_tag(target, &tags, &candidates);
    let stay = |note: PolicyNote| {
        let published = target.published()?;
        Some(Upstream {
            note,
            ..Upstream::stay(published)
        })
    };
    let Some(tag) = tag else {
        note.followed = followed.cloned();
        let no_tag = || UnmetPolicy::NoTag {
            model: target.label(),
            patterns: patterns.clone(),
        };
        return Ok(stay(note).ok_or_else(no_tag)?);
    };
    let at = &tags[tag];
    if let Some(known) = followed
        && known.tag == *tag
        && known.target == *at
        && target.known_commit.as_ref() == Some(&known.commit)
    {
        note.followed = Some(known.clone());
        return Ok(Upstream {
            note,
            ..Upstream::stay(&known.commit)
        });
    }
    let mut upstream = Upstream::of(target, hub.revision(&target.repo, tag)?);
    note.has_tag_moved = followed.is_some_and(|it| it.tag == *tag && it.target != *at);
    note.followed = Some(FollowedTag {
        tag: tag.clone(),
        target: at.clone(),
        commit: upstream.commit.clone(),
    });
    upstream.note = note;
    Ok(upstream)
}

/// Chooses among the tags, given newest first: an approved one, else the newest that is
/// old enough.
fn choose_tag<'t>(
    target: &Target,
    tags: &BTreeMap<Revision, CommitSha>,
    candidates: &[&'t Revision],
) -> (Option<&'t Revision>, PolicyNote) {
    let policy = &target.policy;
    let mut note = PolicyNote::default();
    let accepted = candidates
        .iter()
        .find(|tag| target.is_accepted_by_any(&tags[**tag]));
    if let Some(accepted) = accepted {
        return (Some(*accepted), note);
    }
    let followed = policy.followed.as_ref();
    let newer: Vec<&'t Revision> = candidates
        .iter()
        .copied()
        .filter(|tag| followed.is_none_or(|it| it.tag != **tag || it.target != tags[*tag]))
        .collect();
    let waits = policy.rules.delay.get() > 0 && target.published().is_some();
    if !waits || newer.is_empty() {
        note.seen = Some(BTreeMap::new());
        return (candidates.first().copied(), note);
    }
    let history: Vec<CommitSha> = newer.iter().map(|tag| tags[*tag].clone()).collect();
    let seen = note_seen(&history, &policy.seen, policy.now);
    let found = adopt_from(&history, &seen, policy.rules.delay, policy.now);
    note.seen = Some(seen);
    match found {
        Some(DelayVerdict::Take(commit)) => {
            let tag = newer.into_iter().find(|tag| tags[*tag] == commit);
            (tag, note)
        }
        Some(DelayVerdict::Wait(wait)) => {
            note.wait = Some(wait);
            let known = followed.and_then(|it| candidates.iter().find(|tag| ***tag == it.tag));
            let is_unmoved = |tag: &&Revision| followed.is_some_and(|it| it.target == tags[*tag]);
            (known.copied().filter(is_unmoved), note)
        }
        Some(DelayVerdict::AskHistory) | None => (None, note),
    }
}

/// Takes an approved commit, or the newest commit that is old enough, or the published one.
fn after_waiting(hub: &HubClient, target: &Target, mut newest: Upstream) -> Result<Upstream> {
    let policy = &target.policy;
    newest.note.seen = (!policy.seen.is_empty()).then(BTreeMap::new);
    // Without a published commit there is nothing to protect: the first download waits for
    // nothing.
    let Some(published) = target.published().filter(|it| **it != newest.commit) else {
        return Ok(newest);
    };
    if target.is_accepted_by_any(&newest.commit) {
        return Ok(newest);
    }
    // Upstream has moved on since a person approved a commit: that commit, which was
    // looked at, is taken if it is still in the history; the newer one waits in its turn.
    if target.has_pending_approval(published) {
        let is_end = |commit: &CommitSha| commit == published || target.is_accepted_by_any(commit);
        let history = history(hub, &target.repo, &newest.commit, is_end)?;
        let last = history.into_iter().next_back();
        if let Some(approved) = last.filter(|commit| target.is_accepted_by_any(commit)) {
            newest.commit = approved;
            return Ok(newest);
        }
    }
    if policy.rules.delay.get() == 0 {
        return Ok(newest);
    }
    after_delay(hub, target, published, newest)
}

/// Takes the newest commit that is old enough, or the published one.
fn after_delay(
    hub: &HubClient,
    target: &Target,
    published: &CommitSha,
    mut newest: Upstream,
) -> Result<Upstream> {
    let policy = &target.policy;
    let (delay, now) = (policy.rules.delay, policy.now);
    // A rejected commit is held, and the older ones come when their delay ends.
    let is_rejected = target.is_rejected_by_any(&newest.commit);
    let mut waiting = policy.seen.keys();
    let is_only_one = is_rejected && waiting.all(|commit| target.is_rejected_by_any(commit));
    newest.note.seen = None;
    if is_only_one && !policy.seen.is_empty() {
        return Ok(newest);
    }
    let mut adoption = if is_rejected {
        DelayVerdict::AskHistory
    } else {
        adopt_known(&newest.commit, &policy.seen, delay, now)
    };
    if adoption == DelayVerdict::AskHistory {
        let mut history = history(hub, &target.repo, &newest.commit, |it| it == published)?;
        history.retain(|commit| commit != published);
        let seen = note_seen(&history, &policy.seen, now);
        history.retain(|commit| !target.is_rejected_by_any(commit));
        let is_all_rejected = history.is_empty() && !seen.is_empty();
        if let Some(found) = adopt_from(&history, &seen, delay, now) {
            adoption = found;
        }
        newest.note.seen = Some(seen);
        if is_all_rejected {
            return Ok(newest);
        }
    }
    match adoption {
        DelayVerdict::Take(commit) => newest.commit = commit,
        DelayVerdict::Wait(wait) => {
            newest.commit = published.clone();
            newest.note.wait = Some(wait);
        }
        // An empty history contradicts the answer about the revision; nothing is taken.
        DelayVerdict::AskHistory => newest.commit = published.clone(),
    }
    Ok(newest)
}

/// Lists the commits from the newest one down to the first that ends the list.
fn history(
    hub: &HubClient,
    repo: &Repo,
    newest: &CommitSha,
    is_end: impl Fn(&CommitSha) -> bool,
) -> Result<Vec<CommitSha>> {
    let mut n_commits = 0;
    let list = hub.commits(repo, &Revision::from(newest), |it| {
        n_commits += 1;
        n_commits >= MAX_WAITING || is_end(&it.commit)
    })?;
    Ok(list.commits.into_iter().map(|it| it.commit).collect())
}

impl Target {
    /// Returns the commit that is published for the model, or for a sibling: the ref of
    /// both names it.
    pub(super) fn published(&self) -> Option<&CommitSha> {
        let siblings = self.siblings.iter();
        let shared = || siblings.filter_map(|it| it.published.as_ref()).next();
        self.known_commit.as_ref().or_else(shared)
    }

    /// Tells whether a person has accepted a commit for the model or for a sibling: one
    /// ref moves for all of them.
    pub(super) fn is_accepted_by_any(&self, commit: &CommitSha) -> bool {
        let mut siblings = self.siblings.iter();
        self.accepts(commit) || siblings.any(|it| is_accepted(it.accepted.as_ref(), commit))
    }

    /// Tells whether a commit other than the published one was accepted.
    fn has_pending_approval(&self, published: &CommitSha) -> bool {
        let siblings = self.siblings.iter().filter_map(|it| it.accepted.as_ref());
        let mut accepted = self.accepted.iter().chain(siblings);
        accepted.any(|beginning| !published.as_str().starts_with(beginning.as_str()))
    }
}
