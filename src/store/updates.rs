//! The table `updates`: the commits that models were offered, and the decisions
//! about them.

use std::collections::BTreeMap;

use rusqlite::params;

use super::error::Result;
use super::open::Store;
use super::value::{destination_text, seconds};
use super::wire;
use crate::domain::gate::GateRecord;
use crate::domain::hold::{Decision, Finding, HeldUpdate, HoldReason};
use crate::domain::model::{Destination, ModelId, ModelState};
use crate::domain::policy::UpdateWait;
use crate::domain::repo::{CommitSha, Repo};
use crate::domain::time::Timestamp;
use crate::domain::update::OfferedUpdate;

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

    /// Returns the updates that models were offered, the newest first; of one model or of
    /// all.
    pub fn offered_updates(&self, model: Option<ModelId>) -> Result<Vec<OfferedUpdate>> {
        let sql =
            "SELECT updates.*, models.name, coalesce(update_commit = commit_sha, 0) AS is_current
            FROM updates JOIN models ON models.id = model_id
            WHERE ?1 IS NULL OR model_id = ?1
            ORDER BY first_seen_at DESC, name, commit_sha";
        self.list_readable("updates", sql, [model.map(|id| id.0)], |row| {
            Ok(OfferedUpdate {
                model_id: ModelId(row.get("model_id")?),
                model: row.parsed("name")?,
                commit: row.parsed("commit_sha")?,
                old_commit: row.parsed_if_any("old_commit")?,
                found_at: row.time("first_seen_at")?,
                findings: wire::read_findings(row)?,
                decision: row.parsed("decision")?,
                decided_at: row.time_if_any("decided_at")?,
                note: row.get("note")?,
                published_at: row.time_if_any("published_at")?,
                waits_until: None,
                is_current: row.get("is_current")?,
            })
        })
    }

    /// Returns the commits that wait for the end of a delay; of one model or of all.
    pub fn delayed_updates(&self, model: Option<ModelId>) -> Result<Vec<OfferedUpdate>> {
        let sql = "SELECT id, name, waiting_commit, waiting_until, published_commit,
                coalesce((SELECT first_seen_at FROM seen_commits
                    WHERE model_id = id AND commit_sha = waiting_commit), updated_at) AS found_at
            FROM models WHERE waiting_commit IS NOT NULL AND (?1 IS NULL OR id = ?1)
            ORDER BY found_at DESC, name";
        self.list_readable("models", sql, [model.map(|id| id.0)], |row| {
            let wait = UpdateWait {
                commit: row.parsed("waiting_commit")?,
                until: row.time("waiting_until")?,
            };
            Ok(OfferedUpdate {
                model_id: ModelId(row.get("id")?),
                model: row.parsed("name")?,
                old_commit: row.parsed_if_any("published_commit")?,
                found_at: row.time("found_at")?,
                findings: vec![wait.finding()],
                commit: wait.commit,
                decision: Decision::Waiting,
                decided_at: None,
                note: None,
                published_at: None,
                waits_until: Some(wait.until),
                is_current: true,
            })
        })
    }

    /// Returns the updates that a person has rejected and that were not published since.
    pub fn rejected_updates(&self) -> Result<BTreeMap<ModelId, Vec<HeldUpdate>>> {
        let sql = "SELECT * FROM updates WHERE decision = ?1
            AND (published_at IS NULL OR published_at < decided_at)";
        let params = [Decision::Rejected.as_str()];
        let rejected: Vec<_> = self.list_readable("updates", sql, params, |row| {
            let update = HeldUpdate {
                commit: row.parsed("commit_sha")?,
                findings: wire::read_findings(row)?,
                decision: row.parsed("decision")?,
                found_at: row.time("first_seen_at")?,
            };
            Ok((ModelId(row.get("model_id")?), update))
        })?;
        let mut by_model: BTreeMap<ModelId, Vec<HeldUpdate>> = BTreeMap::new();
        for (model, update) in rejected {
            by_model.entry(model).or_default().push(update);
        }
        Ok(by_model)
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

    /// Saves the record of the gate that held an update of a model.
    pub fn save_gate_record(
        &self,
        id: ModelId,
        commit: &CommitSha,
        record: &GateRecord,
    ) -> Result<()> {
        let sql = "UPDATE updates SET gate_command = ?3, gate_again_at = ?4
            WHERE model_id = ?1 AND commit_sha = ?2";
        let again_at = record.again_at.map(seconds);
        self.execute(
            sql,
            params![id.0, commit.as_str(), record.command, again_at],
        )?;
        Ok(())
    }

    /// Returns the record of the gate about a commit in a destination. Models that share
    /// a snapshot share the record.
    pub fn gate_record(
        &self,
        repo: &Repo,
        destination: &Destination,
        commit: &CommitSha,
    ) -> Result<Option<GateRecord>> {
        let sql = "SELECT gate_command, gate_again_at, findings
            FROM updates JOIN models ON models.id = model_id
            WHERE repo_type = ?1 AND repo_id = ?2 AND destination = ?3 AND commit_sha = ?4
                AND gate_command IS NOT NULL";
        let place = destination_text(destination)?;
        let params = params![repo.kind.as_str(), repo.id.as_str(), place, commit.as_str()];
        let records: Vec<Option<GateRecord>> = self.list(sql, params, |row| {
            let mut findings = wire::read_findings(row)?.into_iter();
            let is_of_gate =
                |it: &Finding| matches!(it.reason, HoldReason::Gate | HoldReason::GateLater);
            let Some(finding) = findings.find(is_of_gate) else {
                return Ok(None);
            };
            Ok(Some(GateRecord {
                command: row.get("gate_command")?,
                finding,
                again_at: row.time_if_any("gate_again_at")?,
            }))
        })?;
        Ok(records.into_iter().flatten().next())
    }

    /// Makes the gate look again at the updates of a repository in a destination.
    pub fn forget_gate_records(&self, repo: &Repo, destination: &Destination) -> Result<()> {
        let sql = "UPDATE updates SET gate_command = NULL, gate_again_at = NULL
            WHERE gate_command IS NOT NULL AND model_id IN (SELECT id FROM models
                WHERE repo_type = ?1 AND repo_id = ?2 AND destination = ?3)";
        let place = destination_text(destination)?;
        self.execute(sql, [repo.kind.as_str(), repo.id.as_str(), place])?;
        Ok(())
    }

    /// Records that a commit of a model was published over another one.
    pub fn save_published_update(
        &self,
        id: ModelId,
        commit: &CommitSha,
        old: Option<&CommitSha>,
        found_at: Timestamp,
        now: Timestamp,
    ) -> Result<()> {
        let sql = "INSERT INTO updates
            (model_id, commit_sha, old_commit, first_seen_at, published_at)
            VALUES (?1, ?2, ?3, ?4, ?5)
            ON CONFLICT (model_id, commit_sha) DO UPDATE SET published_at = excluded.published_at";
        let old = old.map(CommitSha::as_str);
        let (commit, found_at) = (commit.as_str(), seconds(found_at));
        self.execute(sql, params![id.0, commit, old, found_at, seconds(now)])?;
        Ok(())
    }
}
