//! How much of the past is kept, and what it still says about the disk.

use std::collections::{BTreeMap, BTreeSet};

use super::error::Result;
use super::open::Store;
use super::value::{Columns, seconds};
use crate::domain::model::Destination;
use crate::domain::outcome::Outcome;
use crate::domain::repo::{Repo, Revision};
use crate::domain::time::Timestamp;

/// How much history has been deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    pub n_sessions: usize,
    pub n_runs: usize,
    pub n_events: usize,
}

/// What is true of a session that may be deleted.
const OLD_SESSION: &str = "started_at < ?1 AND state = 'finished'
    AND (model_id IS NULL OR id <> (
        SELECT max(id) FROM sessions AS newest WHERE newest.model_id = sessions.model_id))";

impl Store {
    /// Deletes history from before an instant: sessions with their files, runs
    /// that no session needs any more, and events.
    ///
    /// The newest session of each registered model stays, however old.
    pub fn prune_history(&self, before: Timestamp) -> Result<Pruned> {
        self.transaction(|store| {
            let before = seconds(before);
            let sessions = format!("DELETE FROM sessions WHERE {OLD_SESSION}");
            let runs = "DELETE FROM runs
                WHERE started_at < ?1 AND finished_at IS NOT NULL
                    AND NOT EXISTS (SELECT 1 FROM sessions WHERE run_id = runs.id)";
            Ok(Pruned {
                n_sessions: store.execute(&sessions, [before])?,
                n_runs: store.execute(runs, [before])?,
                n_events: store.execute("DELETE FROM events WHERE at < ?1", [before])?,
            })
        })
    }

    /// Counts what `prune_history` would delete.
    pub fn old_history(&self, before: Timestamp) -> Result<Pruned> {
        let count = |sql: &str| -> Result<usize> {
            let n = self.find(sql, [seconds(before)], |row| row.get::<_, i64>(0))?;
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

    /// Returns the repositories, and their places, in which a download has not
    /// come to its end: partial files there may be continued.
    ///
    /// It came to its end when a later one of the same revision succeeded that
    /// wanted no fewer files. Reads all sessions: for `prune`, not for a tick.
    pub fn unsettled_places(&self) -> Result<BTreeSet<(Repo, Destination)>> {
        let sql = "SELECT repo_type, repo_id, revision, destination, sessions.outcome,
                sessions.files_total
            FROM sessions JOIN runs ON runs.id = run_id WHERE runs.command <> 'verify'
            ORDER BY sessions.id";
        let mut begun: BTreeMap<(Repo, Destination, Revision), u64> = BTreeMap::new();
        self.list::<_, ()>(sql, [], |row| {
            let repo = Repo::new(row.parsed("repo_type")?, row.parsed("repo_id")?);
            let place = (
                repo,
                row.destination("destination")?,
                row.parsed("revision")?,
            );
            let n_files = row.count("files_total")?;
            match row.parsed_if_any("outcome")? {
                Some(Outcome::Updated | Outcome::UpToDate | Outcome::Repaired) => {
                    if begun.get(&place).is_some_and(|wanted| *wanted <= n_files) {
                        begun.remove(&place);
                    }
                }
                _ => {
                    let wanted = begun.entry(place).or_default();
                    *wanted = n_files.max(*wanted);
                }
            }
            Ok(())
        })?;
        Ok(begun
            .into_keys()
            .map(|(repo, place, _)| (repo, place))
            .collect())
    }
}
