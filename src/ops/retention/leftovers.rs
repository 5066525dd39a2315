//! What a plan for one folder says about everything in it, as items.

use std::collections::BTreeSet;

use super::folder::Folder;
use super::item::{Item, ItemKind};
use crate::cache::sweep_plan::{KeepReason, RemoveReason, SweepItem, Verdict as SweepVerdict};
use crate::cache::{DirLeftover, LeftoverKind, SweepPlan, SweepTarget};
use crate::domain::content::ContentId;
use crate::domain::model::{EntryName, Model};
use crate::domain::repo::Repo;
use crate::domain::retention::{RevisionVerdict, Verdict};

/// Puts the verdicts about revisions and the sweep of everything else into one list.
pub(super) fn items_of(
    folder: &Folder,
    revisions: &[RevisionVerdict],
    sweep: &SweepPlan,
) -> Vec<Item> {
    let mut items: Vec<Item> = revisions.iter().map(|it| revision(folder, it)).collect();
    // The blobs of revisions that go are counted with these.
    let counted: BTreeSet<ContentId> = revisions
        .iter()
        .filter(|revision| matches!(revision.verdict, Verdict::Go(_)))
        .filter_map(|revision| folder.facts.snapshots.get(&revision.commit))
        .flat_map(|snapshot| snapshot.contents.iter().copied())
        .collect();
    let n_revisions = items.len();
    let mut of_trash = 0;
    for item in &sweep.items {
        match (&item.what, item.verdict) {
            (SweepTarget::Snapshot(_), _)
            | (SweepTarget::Blob(_), SweepVerdict::Keep(KeepReason::InUse)) => {}
            (
                SweepTarget::Blob(content),
                SweepVerdict::Remove(RemoveReason::OnlyRemovedSnapshotsUseIt),
            ) => {
                if !counted.contains(content) {
                    of_trash += item.size_bytes;
                }
            }
            _ => items.extend(other(folder, item)),
        }
    }
    let mut trash = items.iter_mut().skip(n_revisions);
    if let Some(trash) = trash.find(|item| item.what == ItemKind::Trash) {
        trash.size_bytes += of_trash;
    }
    items
}

fn revision(folder: &Folder, judged: &RevisionVerdict) -> Item {
    let (goes, reason) = match judged.verdict {
        Verdict::Go(reason) => (true, reason.as_str()),
        Verdict::Stay(reason) => (false, reason.as_str()),
    };
    let with_claims = || folder.models.iter().zip(&folder.facts.models);
    let had_it = with_claims().find(|(_, claim)| {
        let mut history = claim.history.iter();
        history.any(|revision| revision.commit == judged.commit)
    });
    Item {
        model: had_it.map(|(model, _)| model.spec.name.clone()),
        repo: folder.repo.clone(),
        what: ItemKind::Revision,
        id: judged.commit.to_string(),
        size_bytes: judged.size_bytes,
        goes,
        reason,
    }
}

fn other(folder: &Folder, item: &SweepItem) -> Option<Item> {
    let (what, id) = match &item.what {
        SweepTarget::Snapshot(_) => return None,
        SweepTarget::Trash(commit) => (ItemKind::Trash, commit.to_string()),
        SweepTarget::Blob(content) => (ItemKind::Blob, content.to_string()),
        SweepTarget::Partial(content) => (ItemKind::Partial, content.to_string()),
        SweepTarget::Evidence(content) => (ItemKind::Evidence, content.to_string()),
    };
    let (goes, reason) = match item.verdict {
        SweepVerdict::Remove(reason) => (true, reason.as_str()),
        SweepVerdict::Keep(reason) => (false, reason.as_str()),
    };
    Some(Item {
        model: first_meant(folder),
        repo: folder.repo.clone(),
        what,
        id,
        size_bytes: item.size_bytes,
        goes,
        reason,
    })
}

fn first_meant(folder: &Folder) -> Option<EntryName> {
    let mut claimed = folder.models.iter().zip(&folder.facts.models);
    let meant = claimed.find(|(_, claim)| claim.is_meant)?;
    Some(meant.0.spec.name.clone())
}

/// Returns what the sweep removed of an item, or would have.
pub(super) fn is_of(item: &Item, target: &SweepTarget) -> bool {
    let (what, id) = match target {
        SweepTarget::Snapshot(commit) => (ItemKind::Revision, commit.to_string()),
        SweepTarget::Trash(commit) => (ItemKind::Trash, commit.to_string()),
        SweepTarget::Blob(content) => (ItemKind::Blob, content.to_string()),
        SweepTarget::Partial(content) => (ItemKind::Partial, content.to_string()),
        SweepTarget::Evidence(content) => (ItemKind::Evidence, content.to_string()),
    };
    item.what == what && item.id == id
}

/// Describes what is left over in a model's directory.
pub(super) fn item_of_dir(model: &Model, left: &DirLeftover, may_be_continued: bool) -> Item {
    let repo: Repo = model.spec.repo.clone();
    let (what, goes, reason) = match left.kind {
        LeftoverKind::Evidence => (ItemKind::Evidence, true, RemoveReason::WrongHash.as_str()),
        kind => {
            let what = match kind {
                LeftoverKind::Partial => ItemKind::Partial,
                _ => ItemKind::Blob,
            };
            if may_be_continued {
                (what, false, KeepReason::PerhapsContinued.as_str())
            } else {
                (what, true, RemoveReason::NothingUsesIt.as_str())
            }
        }
    };
    Item {
        model: Some(model.spec.name.clone()),
        repo,
        what,
        id: left.content.to_string(),
        size_bytes: left.size_bytes,
        goes,
        reason,
    }
}
