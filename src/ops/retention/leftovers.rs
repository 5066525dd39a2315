//! The report rows for one folder: revisions, blobs and leftovers.

use std::collections::BTreeSet;

use super::folder::Folder;
use crate::cache::sweep_plan::SweepItem;
use crate::cache::{DirLeftover, LeftoverKind, SweepPlan, SweepTarget};
use crate::domain::content::ContentId;
use crate::domain::deletion::{Ownership, Permit, Reason, Refusal};
use crate::domain::model::{EntryName, Model};
use crate::domain::retention::{Item, ItemKind, RetentionDecision, RevisionVerdict};

/// Returns the decisions about revisions and about everything else as one list.
pub(super) fn items_of(
    folder: &Folder,
    revisions: &[RevisionVerdict],
    sweep: &SweepPlan,
) -> Vec<Item> {
    let mut items: Vec<Item> = revisions.iter().map(|it| revision(folder, it)).collect();
    // The blobs of removed revisions are counted with the revisions.
    let counted: BTreeSet<ContentId> = revisions
        .iter()
        .filter(|revision| matches!(revision.verdict, RetentionDecision::Go(_)))
        .filter_map(|revision| folder.facts.snapshots.get(&revision.commit))
        .flat_map(|snapshot| snapshot.contents.iter().copied())
        .collect();
    let n_revisions = items.len();
    let mut of_trash = 0;
    for item in &sweep.items {
        match (&item.what, item.verdict) {
            (SweepTarget::Snapshot(_), _) | (SweepTarget::Blob(_), Err(Refusal::InUse)) => {}
            (SweepTarget::Blob(content), Ok(permit))
                if permit.reason() == Reason::OnlyRemovedSnapshotsUseIt =>
            {
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
        RetentionDecision::Go(reason) => (true, reason.as_str()),
        RetentionDecision::Stay(reason) => (false, reason.as_str()),
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
        held_commit: None,
    }
}

fn other(folder: &Folder, item: &SweepItem) -> Option<Item> {
    if item.what.as_snapshot().is_some() {
        return None;
    }
    let (what, id) = name_of(&item.what);
    let (goes, reason) = told(item.verdict);
    let mut row = Item {
        model: first_meant(folder),
        repo: folder.repo.clone(),
        what,
        id,
        size_bytes: item.size_bytes,
        goes,
        reason,
        held_commit: None,
    };
    if let (SweepTarget::Blob(content) | SweepTarget::Partial(content), Err(refusal)) =
        (&item.what, item.verdict)
    {
        name_held_update(
            &mut row,
            folder.models.iter(),
            &folder.ownership,
            content,
            refusal,
        );
    }
    Some(row)
}

/// Returns the held update for which a content was fetched.
fn name_held_update<'m>(
    item: &mut Item,
    mut models: impl Iterator<Item = &'m Model>,
    ownership: &Ownership,
    content: &ContentId,
    refusal: Refusal,
) {
    let commit = ownership.own.begun.commit_of(content);
    let Some(commit) = commit.filter(|_| refusal == Refusal::PerhapsContinued) else {
        return;
    };
    let is_held = |model: &&Model| {
        let update = model.state.held_update.as_ref();
        update.is_some_and(|it| it.is_waiting() && it.commit == *commit)
    };
    if let Some(model) = models.find(is_held) {
        item.is_kept_for(&model.spec.name, commit);
    }
}

fn first_meant(folder: &Folder) -> Option<EntryName> {
    let mut claimed = folder.models.iter().zip(&folder.facts.models);
    let meant = claimed.find(|(_, claim)| claim.is_meant)?;
    Some(meant.0.spec.name.clone())
}

/// Returns the kind and the id that the report has for the target of a sweep.
pub(super) fn name_of(target: &SweepTarget) -> (ItemKind, String) {
    match target {
        SweepTarget::Snapshot(commit) => (ItemKind::Revision, commit.to_string()),
        SweepTarget::Trash(commit) => (ItemKind::Trash, commit.to_string()),
        SweepTarget::Blob(content) => (ItemKind::Blob, content.to_string()),
        SweepTarget::Partial(content) => (ItemKind::Partial, content.to_string()),
        SweepTarget::Evidence(content) => (ItemKind::Evidence, content.to_string()),
    }
}

/// Returns the row for a leftover in a model's directory.
pub(super) fn item_of_dir(
    model: &Model,
    left: &DirLeftover,
    ownership: &Ownership,
    verdict: Result<Permit, Refusal>,
) -> Item {
    let (goes, reason) = told(verdict);
    let mut row = Item {
        model: Some(model.spec.name.clone()),
        repo: model.spec.repo.clone(),
        what: match left.kind {
            LeftoverKind::Evidence => ItemKind::Evidence,
            LeftoverKind::Partial => ItemKind::Partial,
            LeftoverKind::Stored => ItemKind::Blob,
        },
        id: left.content.to_string(),
        size_bytes: left.size_bytes,
        goes,
        reason,
        held_commit: None,
    };
    if let Err(refusal) = verdict {
        name_held_update(
            &mut row,
            std::iter::once(model),
            ownership,
            &left.content,
            refusal,
        );
    }
    row
}

fn told(verdict: Result<Permit, Refusal>) -> (bool, &'static str) {
    match verdict {
        Ok(permit) => (true, permit.reason().as_str()),
        Err(refusal) => (false, refusal.as_str()),
    }
}
