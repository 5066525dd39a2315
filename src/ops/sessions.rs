//! The changes of files by a past session.

use anyhow::Result;

use super::changes::note_of_session;
use super::published::stored_listing;
use crate::cache::CacheLayout;
use crate::domain::changes::{ChangeNote, FileChange, file_changes};
use crate::domain::filter::Filter;
use crate::domain::repo::{CommitSha, RepoPath};
use crate::domain::session::{Session, SessionFile};
use crate::domain::settings::Settings;
use crate::store::Store;

/// A session with its files and their changes, as far as they are still known.
#[derive(Clone, Debug)]
pub struct SessionDetails {
    pub session: Session,
    pub files: Vec<SessionFile>,
    /// One entry for each of `files`; `None` without a listing of the commit before.
    pub changes: Vec<Option<FileChange>>,
    /// Files of the commit before that the new one lacks and the session did not touch.
    pub gone: Vec<RepoPath>,
    /// The change note of the update that the session worked on.
    pub note: Option<ChangeNote>,
}

/// Reads the files of a session and compares the listings of its two commits.
pub fn details(store: &Store, settings: &Settings, session: Session) -> Result<SessionDetails> {
    let files = store.session_files(session.id)?;
    let cache = CacheLayout::new(settings.cache_dir());
    let (repo, place) = (&session.start.repo, &session.start.destination);
    let listing = |commit: Option<&CommitSha>| match commit {
        Some(commit) => stored_listing(&cache, repo, place, commit),
        None => Ok(None),
    };
    let old = listing(session.start.old_commit.as_ref())?;
    let new = listing(session.progress.new_commit.as_ref())?;
    // The filter of that time is not recorded; the current one is the best guess.
    let model = match session.start.model_id {
        Some(id) => store.model_by_id(id)?,
        None => None,
    };
    let filter = model.map_or_else(Filter::default, |model| model.spec.filter);
    let note = note_of_session(store, &session)?;
    let (changes, gone) = file_changes(&session, &files, old.as_ref(), new.as_ref(), &filter);
    Ok(SessionDetails {
        session,
        files,
        changes,
        gone,
        note,
    })
}
