//! Decides which revisions and blobs of a repository's folder can be deleted.
//!
//! The plan is pure and names a reason for every item. `domain::deletion::judge`
//! decides whether an item may be deleted; the facts about it are gathered here.
//! A ref of any program keeps its snapshot, and a link into the shared Xet store
//! stays.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::homes::origin_of_snapshot;
use super::scan::{BlobKind, LocalEntry, LocalRepo, LocalSnapshot};
use crate::domain::content::ContentId;
use crate::domain::deletion::{Ownership, Permit, Reason, Refusal, judge};
use crate::domain::repo::CommitSha;

/// The revisions and contents to keep, and the records of ownership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepRules {
    /// The published revisions, the rollback targets and other kept revisions.
    pub keep: BTreeSet<CommitSha>,
    /// Why the other revisions go.
    pub reason: Reason,
    /// Contents that other repositories reach through links into this one.
    pub used_elsewhere: BTreeSet<ContentId>,
    /// Contents that another program has open or is about to write.
    pub open: BTreeSet<ContentId>,
    /// Revisions that another program works with.
    pub open_snapshots: BTreeSet<CommitSha>,
    /// Records of the homes that made or claim files here.
    pub ownership: Rc<Ownership>,
    /// The treatment of bytes with a wrong hash, which are kept for inspection.
    pub evidence: Evidence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    Keep,
    Remove,
}

/// The items to remove and to keep, each with its reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweepPlan {
    pub items: Vec<SweepItem>,
    /// The freed bytes; a name of a file that has other names frees none.
    pub freed_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepItem {
    pub what: SweepTarget,
    pub size_bytes: u64,
    pub verdict: SweepVerdict,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SweepTarget {
    Snapshot(CommitSha),
    /// A snapshot from an interrupted sweep. The commit may have been published again
    /// since.
    Trash(CommitSha),
    Blob(ContentId),
    Partial(ContentId),
    /// Bytes that did not have this content's hash.
    Evidence(ContentId),
}

impl SweepTarget {
    pub fn as_snapshot(&self) -> Option<&CommitSha> {
        match self {
            Self::Snapshot(commit) => Some(commit),
            _ => None,
        }
    }
}

pub type SweepVerdict = Result<Permit, Refusal>;

impl SweepPlan {
    pub fn removals(&self) -> impl Iterator<Item = (&SweepItem, Permit)> {
        let items = self.items.iter();
        items.filter_map(|item| Some((item, item.verdict.ok()?)))
    }
}

/// Decides which items of a repository's folder can be deleted.
pub fn plan_sweep(local: &LocalRepo, rules: &SweepRules) -> SweepPlan {
    let mut plan = SweepPlan::default();
    for (commit, snapshot) in &local.snapshots {
        let verdict = snapshot_verdict(local, rules, commit, snapshot);
        let target = SweepTarget::Snapshot(commit.clone());
        plan.add(target, own_bytes(snapshot), verdict);
    }
    for (commit, snapshot) in &local.trash {
        let origin = origin_of_snapshot(&rules.ownership, local, commit, snapshot);
        let verdict = judge(Reason::HalfDeleted, origin, [None]);
        let target = SweepTarget::Trash(commit.clone());
        plan.add(target, own_bytes(snapshot), verdict);
    }

    let removed: BTreeSet<CommitSha> = plan
        .removals()
        .filter_map(|(item, _)| item.what.as_snapshot().cloned())
        .collect();
    let (gone, kept): (Vec<_>, Vec<_>) =
        (local.snapshots.iter()).partition(|(commit, _)| removed.contains(*commit));
    let in_use: BTreeSet<ContentId> = kept.iter().flat_map(|(_, s)| s.contents()).collect();
    let was_used: BTreeSet<ContentId> = (gone.iter().map(|(_, snapshot)| *snapshot))
        .chain(local.trash.values())
        .flat_map(|snapshot| snapshot.contents())
        .collect();
    let all_is_readable = kept.iter().all(|(_, snapshot)| snapshot.is_readable());

    let ownership = &rules.ownership;
    for (content, blob) in &local.blobs {
        let claims = [
            in_use.contains(content).then_some(Refusal::InUse),
            rules.open.contains(content).then_some(Refusal::Open),
            (rules.used_elsewhere.contains(content)).then_some(Refusal::UsedElsewhere),
            (blob.kind == BlobKind::Link).then_some(Refusal::SharedStore),
            (!all_is_readable).then_some(Refusal::PerhapsInUse),
            ownership.refusal_of_content(content),
        ];
        let reason = if was_used.contains(content) {
            Reason::OnlyRemovedSnapshotsUseIt
        } else {
            Reason::NothingUsesIt
        };
        let origin = ownership.origin_of_blob(content, &blob.stamp);
        let verdict = judge(reason, origin, claims);
        // Another name may be in another repository: removing ours is safe for
        // it, and frees no space.
        plan.add(SweepTarget::Blob(*content), local.gain_of(content), verdict);
    }
    plan_downloads(&mut plan, local, rules);
    plan
}

/// Decides about unfinished downloads, and about downloads with a wrong hash.
fn plan_downloads(plan: &mut SweepPlan, local: &LocalRepo, rules: &SweepRules) {
    let ownership = &rules.ownership;
    for (content, partial) in &local.partials {
        let claims = [ownership.refusal_of_content(content)];
        let origin = ownership.origin_of_partial(content);
        let verdict = judge(Reason::NothingUsesIt, origin, claims);
        plan.add(SweepTarget::Partial(*content), partial.size_bytes, verdict);
    }
    for (content, size_bytes) in &local.evidence {
        let is_kept = rules.evidence == Evidence::Keep;
        let claims = [is_kept.then_some(Refusal::ToBeLookedAt)];
        let origin = ownership.origin_of_partial(content);
        let verdict = judge(Reason::WrongHash, origin, claims);
        plan.add(SweepTarget::Evidence(*content), *size_bytes, verdict);
    }
}

fn snapshot_verdict(
    local: &LocalRepo,
    rules: &SweepRules,
    commit: &CommitSha,
    snapshot: &LocalSnapshot,
) -> SweepVerdict {
    let is_named = local.refs.values().any(|named| named == commit);
    let claims = [
        rules.keep.contains(commit).then_some(Refusal::Kept),
        is_named.then_some(Refusal::NamedByRef),
        (rules.open_snapshots.contains(commit)).then_some(Refusal::Open),
        rules.ownership.refusal_of_commit(commit),
    ];
    let origin = origin_of_snapshot(&rules.ownership, local, commit, snapshot);
    judge(rules.reason, origin, claims)
}

/// Returns the bytes that lie in a snapshot itself and not in blobs.
pub fn own_bytes(snapshot: &LocalSnapshot) -> u64 {
    let sizes = snapshot.entries.values().map(|entry| match entry {
        LocalEntry::RealFile { size_bytes } => *size_bytes,
        LocalEntry::Blob { .. } | LocalEntry::Dangling => 0,
    });
    sizes.sum()
}

impl SweepPlan {
    pub(super) fn add(&mut self, what: SweepTarget, size_bytes: u64, verdict: SweepVerdict) {
        if verdict.is_ok() {
            self.freed_bytes += size_bytes;
        }
        self.items.push(SweepItem {
            what,
            size_bytes,
            verdict,
        });
    }
}
