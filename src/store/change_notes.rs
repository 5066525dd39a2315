//! The tables `change_notes` and `session_notes`: the changes of updates, by model and
//! commit, and by session for repositories that are not registered.

mod wire;

use rusqlite::{ToSql, named_params, params};

use super::error::Result;
use super::open::Store;
use super::row::Row;
use super::value::{destination_text, integer, seconds};
use crate::domain::changes::{ChangeNote, Changes};
use crate::domain::model::{Destination, ModelId};
use crate::domain::repo::{CommitSha, Repo};
use crate::domain::session::SessionId;
use crate::domain::time::Timestamp;

impl Store {
    /// Saves the note of an update; a later note of the same commit replaces it.
    pub fn save_change_note(&self, model: ModelId, note: &ChangeNote) -> Result<()> {
        self.save_note("change_notes", &["model_id", "commit_sha"], model.0, note)
    }

    /// Saves the note of an update of a repository that is not registered.
    pub fn save_session_note(&self, session: SessionId, note: &ChangeNote) -> Result<()> {
        self.save_note("session_notes", &["session_id"], session.0, note)
    }

    fn save_note(&self, table: &str, key: &[&str], id: i64, note: &ChangeNote) -> Result<()> {
        let changes = &note.changes;
        let values = named_params! {
            "commit_sha": changes.commit.as_str(),
            "old_commit": changes.old_commit.as_str(),
            "commits": changes.commits.as_ref().map(wire::render_commits),
            "files": changes.files.as_ref().map(wire::render_files),
            "terms": wire::render_terms(&changes.old_terms, &changes.terms),
            "bytes_fetched": integer(note.bytes_fetched),
            "bytes_reused": integer(note.bytes_reused),
            "noted_at": seconds(note.noted_at),
        };
        let id: (&str, &dyn ToSql) = (key[0], &id);
        self.upsert(table, key, &[&[id], values].concat())
    }

    /// Returns the note of a commit, if there is one that can be read.
    pub fn change_note(&self, model: ModelId, commit: &CommitSha) -> Result<Option<ChangeNote>> {
        let sql = "SELECT * FROM change_notes WHERE model_id = ?1 AND commit_sha = ?2";
        let params = params![model.0, commit.as_str()];
        self.find_readable("change_notes", sql, params, read_note)
    }

    /// Returns the note of a session of a repository that is not registered.
    pub fn session_note(&self, session: SessionId) -> Result<Option<ChangeNote>> {
        let sql = "SELECT * FROM session_notes WHERE session_id = ?1";
        self.find_readable("session_notes", sql, [session.0], read_note)
    }

    /// Returns the newest note of a commit among the sessions of a repository that is not
    /// registered, with this destination.
    pub fn unregistered_note(
        &self,
        repo: &Repo,
        place: &Destination,
        commit: &CommitSha,
    ) -> Result<Option<ChangeNote>> {
        let sql = "SELECT session_notes.* FROM session_notes
            JOIN sessions ON sessions.id = session_id
            WHERE commit_sha = ?1 AND repo_type = ?2 AND repo_id = ?3 AND destination = ?4
            ORDER BY session_id DESC LIMIT 1";
        let (kind, id, place) = (
            repo.kind.as_str(),
            repo.id.as_str(),
            destination_text(place)?,
        );
        let params = params![commit.as_str(), kind, id, place];
        self.find_readable("session_notes", sql, params, read_note)
    }

    /// Deletes notes and samples of the disk use from before an instant; notes of commits
    /// that are published or wait stay. Part of `prune_history`.
    pub(super) fn prune_change_notes(&self, before: Timestamp) -> Result<()> {
        let sql = "DELETE FROM change_notes WHERE noted_at < ?1 AND NOT EXISTS (
            SELECT 1 FROM models WHERE models.id = model_id
                AND commit_sha IN (models.published_commit, models.update_commit))";
        self.execute(sql, [seconds(before)])?;
        let samples = "DELETE FROM disk_samples WHERE measured_at < ?1";
        self.execute(samples, [seconds(before)])?;
        Ok(())
    }
}

fn read_note(row: &Row<'_>) -> rusqlite::Result<ChangeNote> {
    let terms = row.converted_if_any("terms", |text: String| wire::read_terms(&text))?;
    let (old_terms, terms) = terms.unwrap_or_default();
    Ok(ChangeNote {
        changes: Changes {
            old_terms,
            terms,
            old_commit: row.parsed("old_commit")?,
            commit: row.parsed("commit_sha")?,
            commits: row.converted_if_any("commits", |text: String| wire::read_commits(&text))?,
            files: row.converted_if_any("files", |text: String| wire::read_files(&text))?,
        },
        bytes_fetched: row.count("bytes_fetched")?,
        bytes_reused: row.count("bytes_reused")?,
        noted_at: row.time("noted_at")?,
    })
}
