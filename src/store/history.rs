//! The age of the history, and the facts in it that decide about deletions on disk.

use std::collections::{BTreeMap, BTreeSet};

use super::error::Result;
use super::open::Store;
use super::value::seconds;
use crate::domain::content::ContentId;
use crate::domain::deletion::FetchKey;
use crate::domain::model::Destination;
use crate::domain::outcome::Outcome;
use crate::domain::repo::{CommitSha, Repo, Revision};
use crate::domain::time::Timestamp;

/// Counts of deleted rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    pub n_sessions: usize,
    pub n_runs: usize,
    pub n_events: usize,
}

/// The condition of sessions that may be deleted.
const OLD_SESSION: &str = "started_at < ?1 AND state = 'finished'
    AND (model_id IS NULL OR id <> (
        SELECT max(id) FROM sessions AS newest WHERE newest.model_id = sessions.model_id))";

/// The number of sessions that one statement deletes.
const MOST_AT_ONCE: usize = 10_000;

impl Store {
    /// Deletes history from before an instant: sessions with their files, runs
    /// without sessions, events, change notes, and samples of the disk use.
    ///
    /// The newest session of each registered model stays at any age.
    pub fn prune_history(&self, at: Timestamp) -> Result<Pruned> {
        self.transaction(|store| {
            let before = seconds(at);
            // SQLite gathers the ids of a statement in memory: 20 MB for a million sessions.
            let sessions = format!(
                "DELETE FROM sessions WHERE id IN (
                    SELECT id FROM sessions WHERE {OLD_SESSION} LIMIT {MOST_AT_ONCE})"
            );
            let mut n_sessions = 0;
            loop {
                let n_deleted = store.execute(&sessions, [before])?;
                n_sessions += n_deleted;
                if n_deleted < MOST_AT_ONCE {
                    break;
                }
            }
            let runs = "DELETE FROM runs
                WHERE started_at < ?1 AND finished_at IS NOT NULL
                    AND NOT EXISTS (SELECT 1 FROM sessions WHERE run_id = runs.id)";
            store.prune_change_notes(at)?;
            Ok(Pruned {
                n_sessions,
                n_runs: store.execute(runs, [before])?,
                n_events: store.execute("DELETE FROM events WHERE at < ?1", [before])?,
            })
        })
    }

    /// Counts the rows that `prune_history` would delete.
    pub fn old_history(&self, before: Timestamp) -> Result<Pruned> {
        let count = |sql: &str| -> Result<usize> {
            let n = self.find(sql, [seconds(before)], |row| row.nth::<i64>(0))?;
            Ok(usize::try_from(n.unwrap_or_default()).unwrap_or_default())
        };
        let runs = format!(
            "SELECT count(*) FROM runs
            WHERE started_at < ?1 AND finished_at IS NOT NULL
                AND NOT EXISTS (
                    SELECT 1 FROM sessions WHERE run_id = runs.id AND NOT ({OLD_SESSION}))"
        );
        Ok(Pruned {
            n_sessions: count(&format!(
                "SELECT count(*) FROM sessions WHERE {OLD_SESSION}"
            ))?,
            n_runs: count(&runs)?,
            n_events: count("SELECT count(*) FROM events WHERE at < ?1")?,
        })
    }

    /// Returns the revisions of a repository whose last download to a place is
    /// unfinished, with the commit of that download.
    ///
    /// For folders of versions that kept no record there. A download is finished
    /// when a later download of the same revision succeeded and had at least as
    /// many files, or was of the same model, or of another commit: the files of
    /// the earlier commit are not needed then.
    pub fn unfinished_downloads(
        &self,
        repo: &Repo,
        place: &Destination,
    ) -> Result<BTreeMap<FetchKey, CommitSha>> {
        let sql = "SELECT revision, destination, sessions.outcome, sessions.files_total,
                model_id, new_commit
            FROM sessions JOIN runs ON runs.id = run_id
            WHERE runs.command <> 'verify' AND repo_type = ?1 AND repo_id = ?2
            ORDER BY sessions.id";
        let mut open: BTreeMap<Revision, UnfinishedDownload> = BTreeMap::new();
        self.list::<_, ()>(sql, of_repo(repo), |row| {
            if row.destination("destination")? != *place {
                return Ok(());
            }
            let revision: Revision = row.parsed("revision")?;
            let session = UnfinishedDownload {
                n_files: row.count("files_total")?,
                model: row.get("model_id")?,
                commit: row.parsed_if_any("new_commit")?,
            };
            let outcome: Option<Outcome> = row.parsed_if_any("outcome")?;
            if outcome.is_some_and(Outcome::is_complete) {
                if open.get(&revision).is_some_and(|it| session.finishes(it)) {
                    open.remove(&revision);
                }
            } else if session.commit.is_some() {
                open.insert(revision, session);
            }
            Ok(())
        })?;
        let found = open.into_iter().filter_map(|(revision, it)| {
            let is_by_hand = it.model.is_none();
            let key = FetchKey {
                revision,
                is_by_hand,
            };
            Some((key, it.commit?))
        });
        Ok(found.collect())
    }

    /// Returns the commits of all sessions of a repository.
    pub fn commits_seen(&self, repo: &Repo) -> Result<BTreeSet<CommitSha>> {
        let sql = "SELECT DISTINCT new_commit FROM sessions
            WHERE repo_type = ?1 AND repo_id = ?2 AND new_commit IS NOT NULL";
        self.list(sql, of_repo(repo), |row| row.parsed("new_commit"))
    }

    /// Returns the commits of a repository that sessions put into the cache.
    pub fn commits_published(&self, repo: &Repo) -> Result<BTreeSet<CommitSha>> {
        let sql = "SELECT DISTINCT new_commit FROM sessions
            WHERE repo_type = ?1 AND repo_id = ?2 AND new_commit IS NOT NULL
                AND destination = 'cache' AND outcome IN ('updated', 'repaired')";
        self.list(sql, of_repo(repo), |row| row.parsed("new_commit"))
    }

    /// Returns the contents of all files in the sessions of a repository.
    pub fn contents_of(&self, repo: &Repo) -> Result<BTreeSet<ContentId>> {
        let sql = "SELECT DISTINCT content_id FROM session_files
            JOIN sessions ON sessions.id = session_id
            WHERE repo_type = ?1 AND repo_id = ?2";
        self.list(sql, of_repo(repo), |row| row.parsed("content_id"))
    }
}

fn of_repo(repo: &Repo) -> [&str; 2] {
    [repo.kind.as_str(), repo.id.as_str()]
}

/// A download of one revision that has not succeeded yet.
struct UnfinishedDownload {
    n_files: u64,
    model: Option<i64>,
    commit: Option<CommitSha>,
}

impl UnfinishedDownload {
    /// Tells whether this later download, which succeeded, finishes an earlier one.
    fn finishes(&self, earlier: &Self) -> bool {
        self.n_files >= earlier.n_files
            || self.model.is_some() && self.model == earlier.model
            || self.commit != earlier.commit
    }
}
