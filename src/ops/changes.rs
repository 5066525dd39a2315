//! Change notes: asks for the commits of an update, keeps its changes in the database, and
//! finds the note of a commit.

use anyhow::Result;

use super::sync::Target;
use crate::domain::changes::{ChangeNote, Changes, MOST_COMMITS, NewCommits, TitledCommit};
use crate::domain::model::ModelId;
use crate::domain::repo::CommitSha;
use crate::domain::session::{ByteCounts, Session, SessionId};
use crate::domain::time::Timestamp;
use crate::hub::{CommitList, HubClient, RepoCommit};
use crate::store::Store;

/// Returns the change note of a commit that a model was offered.
pub fn note_of(store: &Store, model: ModelId, commit: &CommitSha) -> Result<Option<ChangeNote>> {
    Ok(store.change_note(model, commit)?)
}

/// Returns the change note of the update that a session worked on; `None` for a session
/// that found nothing new.
pub fn note_of_session(store: &Store, session: &Session) -> Result<Option<ChangeNote>> {
    let (start, commit) = (&session.start, session.progress.new_commit.as_ref());
    match (start.model_id, commit) {
        (_, None) => Ok(None),
        (_, commit) if start.old_commit.as_ref() == commit => Ok(None),
        (Some(model), Some(commit)) => note_of(store, model, commit),
        (None, Some(_)) => Ok(store.session_note(session.id)?),
    }
}

/// Keeps the changes that a session has found, with the bytes that it moved: for its
/// model, or for the session of a repository that is not registered.
pub fn keep_note(
    store: &Store,
    session: SessionId,
    target: &Target,
    changes: &Changes,
    bytes: ByteCounts,
    now: Timestamp,
) -> Result<ChangeNote> {
    let model = target.model.as_ref().map(|(id, _)| *id);
    let commit = &changes.commit;
    let earlier = match model {
        Some(model) => store.change_note(model, commit)?,
        None => store.unregistered_note(&target.repo, &target.destination, commit)?,
    };
    let note = ChangeNote::after_session(changes.clone(), earlier.as_ref(), bytes, now);
    match model {
        Some(model) => store.save_change_note(model, &note)?,
        None => store.save_session_note(session, &note)?,
    }
    Ok(note)
}

/// Asks for the commits of an update; `None` if the Hub does not answer. A failure leaves
/// the update alone.
pub fn commits_of(hub: &HubClient, target: &Target, changes: &Changes) -> Option<NewCommits> {
    let (old, new) = (&changes.old_commit, &changes.commit);
    let mut n_seen = 0;
    let is_last = |commit: &RepoCommit| {
        n_seen += 1;
        commit.commit == *old || n_seen > MOST_COMMITS
    };
    match hub.commits(&target.repo, &new.into(), is_last) {
        // The published commit may be newer than a pin.
        Ok(list) if target.pinned.is_some() && !list.has(old) => None,
        Ok(list) => Some(new_commits(list, old)),
        Err(err) => {
            log::info!("`{}`: the commits are unknown: {err}", target.label());
            None
        }
    }
}

/// Returns the commits of a history that are newer than the published one.
pub fn new_commits(list: CommitList, old: &CommitSha) -> NewCommits {
    let is_found = list.has(old);
    let n_newer = list
        .commits
        .iter()
        .take_while(|it| it.commit != *old)
        .count();
    let listed = list.commits.into_iter();
    let listed = listed.take_while(|commit| commit.commit != *old);
    let titled = |commit: RepoCommit| TitledCommit {
        commit: commit.commit,
        title: commit.title,
        at: commit.date,
    };
    NewCommits {
        commits: listed.take(MOST_COMMITS).map(titled).collect(),
        has_more: !is_found && !list.is_whole || n_newer > MOST_COMMITS,
        is_rewritten: !is_found && list.is_whole,
    }
}
