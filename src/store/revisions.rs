//! The table `model_revisions`: the commits of a model that were published, and when.

use rusqlite::params;

use super::error::Result;
use super::open::Store;
use super::value::{Columns, seconds};
use crate::domain::model::ModelId;
use crate::domain::repo::CommitSha;
use crate::domain::retention::PublishedRevision;
use crate::domain::time::Timestamp;

impl Store {
    /// Records that a commit of a model is published now.
    ///
    /// Revisions are ordered by this time. It is therefore set later than all
    /// others, also when two come within a second or the clock was set back.
    pub fn save_revision(&self, model: ModelId, commit: &CommitSha, now: Timestamp) -> Result<()> {
        let sql = "INSERT INTO model_revisions (model_id, commit_sha, published_at)
            VALUES (?1, ?2, max(?3, 1 + coalesce((SELECT max(published_at) FROM model_revisions
                WHERE model_id = ?1 AND commit_sha <> ?2), ?3 - 1)))
            ON CONFLICT (model_id, commit_sha) DO UPDATE SET published_at = excluded.published_at";
        self.execute(sql, params![model.0, commit.as_str(), seconds(now)])?;
        Ok(())
    }

    /// Returns the published commits of a model, newest first.
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

    /// Removes a commit whose files are gone. Returns whether there was a row.
    pub fn forget_revision(&self, model: ModelId, commit: &CommitSha) -> Result<bool> {
        let sql = "DELETE FROM model_revisions WHERE model_id = ?1 AND commit_sha = ?2";
        Ok(self.execute(sql, params![model.0, commit.as_str()])? > 0)
    }
}
