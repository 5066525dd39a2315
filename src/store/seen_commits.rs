//! The table `seen_commits`: the commits upstream that are newer than the published one of
//! a model with a delay, and when this home first saw each.

use rusqlite::params;

use super::error::Result;
use super::open::Store;
use super::value::seconds;
use crate::domain::model::ModelId;
use crate::domain::policy::SeenCommits;

impl Store {
    pub fn seen_commits(&self, model: ModelId) -> Result<SeenCommits> {
        let sql = "SELECT commit_sha, first_seen_at FROM seen_commits WHERE model_id = ?1";
        self.list(sql, [model.0], |row| {
            Ok((row.parsed("commit_sha")?, row.time("first_seen_at")?))
        })
    }

    /// Replaces the record of a model.
    pub fn save_seen_commits(&self, model: ModelId, seen: &SeenCommits) -> Result<()> {
        self.execute("DELETE FROM seen_commits WHERE model_id = ?1", [model.0])?;
        for (commit, since) in seen {
            let sql = "INSERT INTO seen_commits (model_id, commit_sha, first_seen_at)
                VALUES (?1, ?2, ?3)";
            self.execute(sql, params![model.0, commit.as_str(), seconds(*since)])?;
        }
        Ok(())
    }
}
