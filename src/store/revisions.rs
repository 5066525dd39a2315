//! The table `model_revisions`: which commits a model has had, and since when.

use rusqlite::params;

use super::error::Result;
use super::open::Store;
use super::value::{Columns, seconds};
use crate::domain::model::ModelId;
use crate::domain::repo::CommitSha;
use crate::domain::retention::PublishedRevision;
use crate::domain::time::Timestamp;

impl Store {
    /// Writes down that a commit of a model is visible now.
    ///
    /// The time orders revisions, so it is later than that of all others also
    /// when two came within a second, or the clock was set back.
    pub fn save_revision(&self, model: ModelId, commit: &CommitSha, now: Timestamp) -> Result<()> {
        let sql = "INSERT INTO model_revisions (model_id, commit_sha, published_at)
            VALUES (?1, ?2, max(?3, 1 + coalesce((SELECT max(published_at) FROM model_revisions
                WHERE model_id = ?1 AND commit_sha <> ?2), ?3 - 1)))
            ON CONFLICT (model_id, commit_sha) DO UPDATE SET published_at = excluded.published_at";
        self.execute(sql, params![model.0, commit.as_str(), seconds(now)])?;
        Ok(())
    }

    /// Returns the commits that a model has had, the latest published first.
    pub fn revisions(&self, model: ModelId) -> Result<Vec<PublishedRevision>> {
        let sql = "SELECT * FROM model_revisions WHERE model_id = ?1
            ORDER BY published_at DESC, commit_sha";
        self.list(sql, [model.0], |row| {
            Ok(PublishedRevision {
                commit: row.parsed("commit_sha")?,
                published_at: row.time("published_at")?,
            })
        })
    }

    /// Forgets a commit whose files are gone; tells whether it was known.
    pub fn forget_revision(&self, model: ModelId, commit: &CommitSha) -> Result<bool> {
        let sql = "DELETE FROM model_revisions WHERE model_id = ?1 AND commit_sha = ?2";
        Ok(self.execute(sql, params![model.0, commit.as_str()])? > 0)
    }
}
