//! Decides which revisions and blobs a repository's folder can do without.
//!
//! The plan is pure and names a reason for every item it looked at. It errs on
//! the side of keeping: whatever a ref names stays, also a ref of another
//! program; a link into the shared Xet store is not ours to take; and a blob
//! that no snapshot uses may be half of a download that will be continued.

use std::collections::BTreeSet;

use super::scan::{BlobKind, LocalEntry, LocalRepo, LocalSnapshot};
use crate::domain::content::ContentId;
use crate::domain::repo::CommitSha;

/// What must stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepRules {
    /// The published revisions, the rollback targets, and whatever else is kept.
    pub keep: BTreeSet<CommitSha>,
    /// Contents that other repositories reach through links into this one.
    pub used_elsewhere: BTreeSet<ContentId>,
    /// Contents that another program has open or is about to write.
    pub open: BTreeSet<ContentId>,
    pub unused: Unused,
    /// What becomes of bytes with a wrong hash, which are kept to be looked at.
    pub evidence: Unused,
}

/// What becomes of blobs and partial files that no snapshot uses, kept or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unused {
    /// They may belong to a download that will be continued.
    Keep,
    /// Nothing is being downloaded.
    Remove,
}

/// What to remove and what to keep, each with its reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweepPlan {
    pub items: Vec<SweepItem>,
    /// What the disk gains; names that share a file with others count nothing.
    pub freed_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepItem {
    pub what: SweepTarget,
    pub size_bytes: u64,
    pub verdict: Verdict,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SweepTarget {
    Snapshot(CommitSha),
    /// What an interrupted sweep left of a snapshot; the commit may have been
    /// published again since.
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Remove(RemoveReason),
    Keep(KeepReason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoveReason {
    NotKept,
    /// Its deletion was begun by an earlier sweep.
    HalfDeleted,
    OnlyRemovedSnapshotsUseIt,
    NothingUsesIt,
    WrongHash,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepReason {
    Kept,
    NamedByRef,
    InUse,
    /// A kept snapshot holds something that cannot be read, which may use it.
    PerhapsInUse,
    UsedElsewhere,
    SharedStore,
    PerhapsContinued,
    Open,
    ToBeLookedAt,
}

impl RemoveReason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotKept => "older than the revisions to keep",
            Self::HalfDeleted => "its deletion was interrupted",
            Self::OnlyRemovedSnapshotsUseIt => "only removed revisions use it",
            Self::NothingUsesIt => "nothing uses it",
            Self::WrongHash => "its bytes have a wrong hash",
        }
    }
}

impl KeepReason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::NamedByRef => "a branch or tag points to it",
            Self::InUse => "a kept revision uses it",
            Self::PerhapsInUse => "a kept revision that cannot be read may use it",
            Self::UsedElsewhere => "another repository uses it",
            Self::SharedStore => "it lies in the store that repositories share",
            Self::PerhapsContinued => "an interrupted download may continue it",
            Self::Open => "another program has it open",
            Self::ToBeLookedAt => "its bytes have a wrong hash, which somebody may want to look at",
        }
    }
}

impl SweepPlan {
    pub fn removals(&self) -> impl Iterator<Item = (&SweepItem, RemoveReason)> {
        self.items.iter().filter_map(|item| match item.verdict {
            Verdict::Remove(reason) => Some((item, reason)),
            Verdict::Keep(_) => None,
        })
    }
}

/// Decides what a repository's folder can do without.
pub fn plan_sweep(local: &LocalRepo, rules: &SweepRules) -> SweepPlan {
    let mut plan = SweepPlan::default();
    for (commit, snapshot) in &local.snapshots {
        let verdict = snapshot_verdict(local, rules, commit);
        let target = SweepTarget::Snapshot(commit.clone());
        plan.add(target, own_bytes(snapshot), verdict);
    }
    for (commit, snapshot) in &local.trash {
        let verdict = Verdict::Remove(RemoveReason::HalfDeleted);
        plan.add(
            SweepTarget::Trash(commit.clone()),
            own_bytes(snapshot),
            verdict,
        );
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

    for (content, blob) in &local.blobs {
        let unused = || match rules.unused {
            Unused::Keep => Verdict::Keep(KeepReason::PerhapsContinued),
            Unused::Remove => Verdict::Remove(RemoveReason::NothingUsesIt),
        };
        let verdict = if in_use.contains(content) {
            Verdict::Keep(KeepReason::InUse)
        } else if rules.open.contains(content) {
            Verdict::Keep(KeepReason::Open)
        } else if rules.used_elsewhere.contains(content) {
            Verdict::Keep(KeepReason::UsedElsewhere)
        } else if blob.kind == BlobKind::Link {
            Verdict::Keep(KeepReason::SharedStore)
        } else if !all_is_readable {
            Verdict::Keep(KeepReason::PerhapsInUse)
        } else if was_used.contains(content) {
            Verdict::Remove(RemoveReason::OnlyRemovedSnapshotsUseIt)
        } else {
            unused()
        };
        // Another name may be in another repository: removing ours is safe for
        // it, and gains nothing.
        plan.add(SweepTarget::Blob(*content), local.gain_of(content), verdict);
    }
    for (content, partial) in &local.partials {
        let verdict = match rules.unused {
            Unused::Keep => Verdict::Keep(KeepReason::PerhapsContinued),
            Unused::Remove => Verdict::Remove(RemoveReason::NothingUsesIt),
        };
        plan.add(SweepTarget::Partial(*content), partial.size_bytes, verdict);
    }
    for (content, size_bytes) in &local.evidence {
        let verdict = match rules.evidence {
            Unused::Keep => Verdict::Keep(KeepReason::ToBeLookedAt),
            Unused::Remove => Verdict::Remove(RemoveReason::WrongHash),
        };
        plan.add(SweepTarget::Evidence(*content), *size_bytes, verdict);
    }
    plan
}

fn snapshot_verdict(local: &LocalRepo, rules: &SweepRules, commit: &CommitSha) -> Verdict {
    if rules.keep.contains(commit) {
        Verdict::Keep(KeepReason::Kept)
    } else if local.refs.values().any(|named| named == commit) {
        Verdict::Keep(KeepReason::NamedByRef)
    } else {
        Verdict::Remove(RemoveReason::NotKept)
    }
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
    pub(super) fn add(&mut self, what: SweepTarget, size_bytes: u64, verdict: Verdict) {
        if matches!(verdict, Verdict::Remove(_)) {
            self.freed_bytes += size_bytes;
        }
        self.items.push(SweepItem {
            what,
            size_bytes,
            verdict,
        });
    }
}
