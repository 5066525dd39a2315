//! The table `runs`: one row for each process that did, or had to skip, work.

use rusqlite::{Row, named_params, params};

use super::error::{Result, StoreError};
use super::open::Store;
use super::value::{Columns, integer, seconds};
use crate::domain::outcome::{RunOutcome, Trigger};
use crate::domain::run::{Run, RunEnd, RunId, RunProcess, RunStart, RunTotals};
use crate::domain::session::SessionId;
use crate::domain::time::{Timestamp, latest_believable};

/// Which runs to list, newest first; what is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    pub trigger: Option<Trigger>,
    pub since: Option<Timestamp>,
    pub limit: Option<u32>,
}

/// What dead processes had left open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stranded {
    pub runs: Vec<RunId>,
    pub sessions: Vec<SessionId>,
}

impl Store {
    /// Opens a run and gives it its id, which sorts behind those of earlier runs.
    pub fn start_run(&self, start: &RunStart) -> Result<RunId> {
        self.transaction(|store| {
            // A run that a clock far ahead has dated does not count.
            let end = RunId::first_at(latest_believable(start.at));
            let sql = "SELECT max(id) AS id FROM runs WHERE id < ?1";
            let previous = store.find(sql, [end.as_str()], |row| row.parsed_if_any("id"))?;
            let id = RunId::following(previous.flatten(), start.at, fastrand::u128(..));
            store.insert_run(&id, start)?;
            Ok(id)
        })
    }

    fn insert_run(&self, id: &RunId, start: &RunStart) -> Result<()> {
        let sql = "INSERT INTO runs (id, command, trigger, host, pid, boot_id, process_start,
                version, started_at, heartbeat_at)
            VALUES (:id, :command, :trigger, :host, :pid, :boot_id, :process_start,
                :version, :at, :at)";
        self.execute(
            sql,
            named_params! {
                ":id": id.as_str(),
                ":command": start.command.as_str(),
                ":trigger": start.trigger.as_str(),
                ":host": start.process.host,
                ":pid": start.process.pid,
                ":boot_id": start.process.boot_id,
                ":process_start": start.process.process_start,
                ":version": start.process.version,
                ":at": seconds(start.at),
            },
        )?;
        Ok(())
    }

    /// Records a run that found the lock taken or ticks paused: it began and
    /// ended at once.
    pub fn record_skipped_run(
        &self,
        start: &RunStart,
        outcome: RunOutcome,
        exit_code: u8,
    ) -> Result<RunId> {
        self.transaction(|store| {
            let id = store.start_run(start)?;
            let end = RunEnd {
                at: start.at,
                outcome,
                exit_code: Some(exit_code),
            };
            store.finish_run(&id, &RunTotals::default(), &end)?;
            Ok(id)
        })
    }

    /// Says that a run is alive, and returns when it was asked to stop, if it was.
    pub fn heartbeat(&self, id: &RunId, now: Timestamp) -> Result<Option<Timestamp>> {
        let sql = "UPDATE runs SET heartbeat_at = max(heartbeat_at, ?2)
            WHERE id = ?1 AND finished_at IS NULL RETURNING stop_requested_at";
        let params = params![id.as_str(), seconds(now)];
        self.find(sql, params, |row| row.time_if_any("stop_requested_at"))?
            .ok_or_else(|| self.why_no_open_run(id))
    }

    /// Asks a run to save its state and end; asking twice keeps the first time.
    pub fn request_stop(&self, id: &RunId, now: Timestamp) -> Result<()> {
        let sql = "UPDATE runs SET stop_requested_at = coalesce(stop_requested_at, ?2)
            WHERE id = ?1 AND finished_at IS NULL";
        match self.execute(sql, params![id.as_str(), seconds(now)])? {
            0 => Err(self.why_no_open_run(id)),
            _ => Ok(()),
        }
    }

    /// Closes a run.
    pub fn finish_run(&self, id: &RunId, totals: &RunTotals, end: &RunEnd) -> Result<()> {
        let sql = "UPDATE runs SET finished_at = :at, outcome = :outcome, exit_code = :exit_code,
                heartbeat_at = max(heartbeat_at, :at), n_due = :n_due, n_sessions = :n_sessions,
                n_failed = :n_failed, files_fetched = :files_fetched,
                bytes_fetched = :bytes_fetched, bytes_reused = :bytes_reused
            WHERE id = :id AND finished_at IS NULL";
        let n_changed = self.execute(
            sql,
            named_params! {
                ":id": id.as_str(),
                ":at": seconds(end.at),
                ":outcome": end.outcome.as_str(),
                ":exit_code": end.exit_code,
                ":n_due": integer(totals.n_due),
                ":n_sessions": integer(totals.n_sessions),
                ":n_failed": integer(totals.n_failed),
                ":files_fetched": integer(totals.files_fetched),
                ":bytes_fetched": integer(totals.bytes_fetched),
                ":bytes_reused": integer(totals.bytes_reused),
            },
        )?;
        match n_changed {
            0 => Err(self.why_no_open_run(id)),
            _ => Ok(()),
        }
    }

    /// Returns the run of an id, or says that there is none.
    pub fn run(&self, id: &RunId) -> Result<Run> {
        self.find("SELECT * FROM runs WHERE id = ?1", [id.as_str()], read_run)?
            .ok_or_else(|| StoreError::not_found("run", id))
    }

    /// Returns runs, newest first.
    pub fn runs(&self, filter: &RunFilter) -> Result<Vec<Run>> {
        let params = named_params! {
            ":trigger": filter.trigger.map(|trigger| trigger.as_str()),
            ":since": filter.since.map_or(i64::MIN, seconds),
            ":limit": filter.limit.map_or(-1, i64::from),
        };
        self.list_readable("runs", &listing(filter.trigger), params, read_run)
    }

    /// Returns the runs whose id is a text or ends in it, newest first: two
    /// are enough to know that the text does not tell them apart.
    pub fn runs_by_ending(&self, ending: &str) -> Result<Vec<Run>> {
        let sql = "SELECT * FROM runs
            WHERE id = ?1 OR (length(?1) >= ?2 AND substr(id, -length(?1)) = ?1)
            ORDER BY id DESC LIMIT 2";
        self.list(
            sql,
            params![ending, RunId::SHORTEST_ENDING as i64],
            read_run,
        )
    }

    /// Returns the last heartbeat of the latest run that has ended; runs dated after
    /// the present do not count.
    pub fn last_heartbeat(&self, now: Timestamp) -> Result<Option<Timestamp>> {
        let sql = "SELECT heartbeat_at FROM runs
            WHERE started_at <= ?1 AND finished_at IS NOT NULL
            ORDER BY started_at DESC LIMIT 1";
        let params = [seconds(latest_believable(now))];
        self.find(sql, params, |row| row.time("heartbeat_at"))
    }

    /// Returns the runs that have not ended, oldest first: at most one of them
    /// is alive, namely the one that holds the lock.
    pub fn unfinished_runs(&self) -> Result<Vec<Run>> {
        self.list_readable("runs", UNFINISHED_RUNS, [], read_run)
    }

    /// Tells whether there are runs that have not ended, readable or not.
    pub fn has_unfinished_runs(&self) -> Result<bool> {
        Ok(self.find(UNFINISHED_RUNS, [], |_| Ok(()))?.is_some())
    }

    /// Closes what dead processes left open.
    ///
    /// Only for whoever holds the run lock, which proves that all other open
    /// runs are dead. Sessions that kept bytes become `partial`, the others
    /// `failed`; slots stay unserved, so that the same start goes on with them.
    /// Everything ends at the last heartbeat: a crash on Friday that is noticed
    /// on Monday did not run over the weekend.
    pub fn close_crashed_runs(&self, except: Option<&RunId>) -> Result<Stranded> {
        self.transaction(|store| {
            let sessions = store.close_crashed_sessions(except)?;
            let sql = "UPDATE runs SET finished_at = heartbeat_at, outcome = 'crashed',
                    (n_sessions, n_failed, files_fetched, bytes_fetched, bytes_reused) = (
                        SELECT count(*), coalesce(sum(outcome = 'failed'), 0),
                            coalesce(sum(files_fetched), 0), coalesce(sum(bytes_fetched), 0),
                            coalesce(sum(bytes_reused), 0)
                        FROM sessions WHERE run_id = runs.id)
                WHERE finished_at IS NULL AND (?1 IS NULL OR id <> ?1)
                RETURNING id";
            let params = [except.map(RunId::as_str)];
            let mut runs: Vec<RunId> =
                store.list_readable("runs", sql, params, |row| row.parsed("id"))?;
            runs.sort();
            Ok(Stranded { runs, sessions })
        })
    }

    /// Returns the runs between two ids that looked at models and have ended,
    /// oldest first; of many the latest.
    pub fn runs_with_sessions(&self, after: &RunId, before: &RunId) -> Result<Vec<Run>> {
        let sql = "SELECT * FROM runs WHERE id > ?1 AND id < ?2 AND finished_at IS NOT NULL
                AND n_sessions > 0 AND command IN ('run-due', 'download')
            ORDER BY id DESC LIMIT 20";
        let mut runs: Vec<Run> = self.list(sql, [after.as_str(), before.as_str()], read_run)?;
        runs.reverse();
        Ok(runs)
    }

    fn why_no_open_run(&self, id: &RunId) -> StoreError {
        match self.run(id) {
            Ok(_) => StoreError::Ended {
                entity: "run",
                name: id.to_string(),
            },
            Err(err) => err,
        }
    }
}

pub(super) const UNFINISHED_RUNS: &str =
    "SELECT * FROM runs WHERE finished_at IS NULL ORDER BY started_at, id";

/// Builds the query for a list of runs: one text for each case, because a
/// condition that may be NULL hides the index.
pub(super) fn listing(trigger: Option<Trigger>) -> String {
    let condition = match trigger {
        Some(_) => "trigger = :trigger",
        None => ":trigger IS NULL",
    };
    format!(
        "SELECT * FROM runs WHERE {condition} AND started_at >= :since
        ORDER BY started_at DESC, id DESC LIMIT :limit"
    )
}

fn read_run(row: &Row<'_>) -> rusqlite::Result<Run> {
    let end = row.parsed_if_any("outcome")?.map(|outcome| {
        Ok::<_, rusqlite::Error>(RunEnd {
            at: row.time("finished_at")?,
            outcome,
            exit_code: row.get("exit_code")?,
        })
    });
    Ok(Run {
        id: row.parsed("id")?,
        start: RunStart {
            command: row.parsed("command")?,
            trigger: row.parsed("trigger")?,
            process: RunProcess {
                host: row.get("host")?,
                pid: row.get("pid")?,
                boot_id: row.get("boot_id")?,
                process_start: row.get("process_start")?,
                version: row.get("version")?,
            },
            at: row.time("started_at")?,
        },
        heartbeat_at: row.time("heartbeat_at")?,
        stop_requested_at: row.time_if_any("stop_requested_at")?,
        totals: RunTotals {
            n_due: row.count("n_due")?,
            n_sessions: row.count("n_sessions")?,
            n_failed: row.count("n_failed")?,
            files_fetched: row.count("files_fetched")?,
            bytes_fetched: row.count("bytes_fetched")?,
            bytes_reused: row.count("bytes_reused")?,
        },
        end: end.transpose()?,
    })
}
