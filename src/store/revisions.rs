//! The table `model_revisions`: the commits of a model that were published, when, and
//! whether the Hub still has them.

use rusqlite::params;

use super::error::Result;
use super::open::Store;
use super::value::seconds;
use crate::domain::model::ModelId;
use crate::domain::outcome::Outcome;
use crate::domain::repo::{CommitSha, Repo};
use crate::domain::retention::{OnlyCopy, PublishedRevision, UpstreamAnswer};
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
                upstream: UpstreamAnswer {
                    asked_at: row.time_if_any("upstream_asked_at")?,
                    gone_at: row.time_if_any("gone_upstream_at")?,
                },
            })
        })
    }

    /// Records the answer of the Hub about a commit, for all models of the repository.
    pub fn save_upstream_answer(
        &self,
        repo: &Repo,
        commit: &CommitSha,
        answer: UpstreamAnswer,
    ) -> Result<()> {
        let sql = "UPDATE model_revisions SET upstream_asked_at = ?1, gone_upstream_at = ?2
            WHERE commit_sha = ?3 AND model_id IN
                (SELECT id FROM models WHERE repo_type = ?4 AND repo_id = ?5)";
        let (asked_at, gone_at) = (answer.asked_at.map(seconds), answer.gone_at.map(seconds));
        let repo_type = repo.kind.as_str();
        self.execute(
            sql,
            params![
                asked_at,
                gone_at,
                commit.as_str(),
                repo_type,
                repo.id.as_str()
            ],
        )?;
        Ok(())
    }

    /// Returns the revisions of all models that the Hub has no more. A directory has
    /// only the published one.
    pub fn only_copies(&self) -> Result<Vec<OnlyCopy>> {
        let sql = "SELECT * FROM model_revisions JOIN models ON models.id = model_id
            WHERE gone_upstream_at IS NOT NULL
                AND (destination = 'cache' OR commit_sha = published_commit)
            ORDER BY models.name, commit_sha";
        self.list(sql, [], |row| {
            Ok(OnlyCopy {
                model: row.parsed("name")?,
                repo: Repo::new(row.parsed("repo_type")?, row.parsed("repo_id")?),
                destination: row.destination("destination")?,
                commit: row.parsed("commit_sha")?,
                since: row.time("gone_upstream_at")?,
            })
        })
    }

    /// Returns the commit of a model that was published at an instant: that of the last
    /// session before it that left the model whole, or of a publication that is later.
    pub fn commit_published_at(&self, model: ModelId, at: Timestamp) -> Result<Option<CommitSha>> {
        let sql = "SELECT outcome, new_commit, finished_at FROM sessions
            WHERE model_id = ?1 AND finished_at <= ?2 AND new_commit IS NOT NULL
            ORDER BY finished_at DESC, id DESC";
        let ends: Vec<Option<(CommitSha, Timestamp)>> =
            self.list(sql, params![model.0, seconds(at)], |row| {
                let outcome: Option<Outcome> = row.parsed_if_any("outcome")?;
                let found = (row.parsed("new_commit")?, row.time("finished_at")?);
                Ok(Some(found).filter(|_| outcome.is_some_and(Outcome::is_complete)))
            })?;
        let by_session = ends.into_iter().flatten().next();
        let mut revisions = self.revisions(model)?.into_iter();
        let by_revision = revisions.find(|revision| revision.published_at <= at);
        Ok(match (by_session, by_revision) {
            (Some((commit, seen_at)), Some(revision)) if seen_at >= revision.published_at => {
                Some(commit)
            }
            (_, Some(revision)) => Some(revision.commit),
            (by_session, None) => by_session.map(|(commit, _)| commit),
        })
    }

    /// Removes a commit whose files are gone. Returns whether there was a row.
    pub fn forget_revision(&self, model: ModelId, commit: &CommitSha) -> Result<bool> {
        let sql = "DELETE FROM model_revisions WHERE model_id = ?1 AND commit_sha = ?2";
        Ok(self.execute(sql, params![model.0, commit.as_str()])? > 0)
    }
}
