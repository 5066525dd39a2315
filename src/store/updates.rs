//! The table `updates`: the commits that models were offered, and the decisions
//! about them.

use rusqlite::params;

use super::error::Result;
use super::open::Store;
use super::value::seconds;
use super::wire;
use crate::domain::hold::{Decision, HeldUpdate};
use crate::domain::model::{ModelId, ModelState};
use crate::domain::repo::CommitSha;
use crate::domain::time::Timestamp;

impl Store {
    /// Saves the update that a model holds. A decision is kept until another is made.
    pub(super) fn save_held_update(
        &self,
        id: ModelId,
        update: &HeldUpdate,
        state: &ModelState,
    ) -> Result<()> {
        let sql = "INSERT INTO updates
            (model_id, commit_sha, old_commit, first_seen_at, findings, decision)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6)
            ON CONFLICT (model_id, commit_sha) DO UPDATE
            SET findings = excluded.findings, decision = excluded.decision
            WHERE findings <> excluded.findings OR decision <> excluded.decision";
        let old = state.published_commit.as_ref().map(CommitSha::as_str);
        self.execute(
            sql,
            params![
                id.0,
                update.commit.as_str(),
                old.filter(|old| *old != update.commit.as_str()),
                seconds(update.found_at),
                wire::render_findings(&update.findings),
                update.decision.as_str(),
            ],
        )?;
        Ok(())
    }

    /// Records a person's decision about an update.
    pub fn decide_update(
        &self,
        id: ModelId,
        commit: &CommitSha,
        decision: Decision,
        note: Option<&str>,
        now: Timestamp,
    ) -> Result<bool> {
        let sql = "UPDATE updates SET decision = ?3, note = ?4, decided_at = ?5
            WHERE model_id = ?1 AND commit_sha = ?2";
        let (commit, decision) = (commit.as_str(), decision.as_str());
        let n_rows = self.execute(sql, params![id.0, commit, decision, note, seconds(now)])?;
        Ok(n_rows > 0)
    }

    /// Records that a commit of a model was published over another one.
    pub fn save_published_update(
        &self,
        id: ModelId,
        commit: &CommitSha,
        old: Option<&CommitSha>,
        now: Timestamp,
    ) -> Result<()> {
        let sql = "INSERT INTO updates
            (model_id, commit_sha, old_commit, first_seen_at, published_at)
            VALUES (?1, ?2, ?3, ?4, ?4)
            ON CONFLICT (model_id, commit_sha) DO UPDATE SET published_at = excluded.published_at";
        let old = old.map(CommitSha::as_str);
        self.execute(sql, params![id.0, commit.as_str(), old, seconds(now)])?;
        Ok(())
    }
}
