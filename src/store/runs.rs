//! The table `runs`: one row for each process that worked or skipped its work.

use rusqlite::{named_params, params};

use super::error::{Result, StoreError};
use super::open::Store;
use super::row::Row;
use super::value::{integer, seconds};
use crate::domain::forecast::DayRate;
use crate::domain::outcome::{RunOutcome, Trigger};
use crate::domain::run::{Run, RunCommand, RunEnd, RunId, RunProcess, RunStart, RunTotals};
use crate::domain::session::SessionId;
use crate::domain::time::{Timestamp, latest_believable};

/// A filter for lists of runs; `None` admits every value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    pub trigger: Option<Trigger>,
    pub since: Option<Timestamp>,
    pub limit: Option<u32>,
}

/// The closed runs and sessions of crashed processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CrashedWork {
    pub runs: Vec<RunId>,
    pub sessions: Vec<SessionId>,
}

impl Store {
    /// Opens a run. Its id sorts behind the ids of earlier runs.
    pub fn start_run(&self, start: &RunStart) -> Result<RunId> {
        self.transaction(|store| {
            // Runs dated by a clock that was far ahead do not count.
            let end = RunId::first_at(latest_believable(start.at));
            let sql = "SELECT id FROM runs WHERE id < ?1 ORDER BY id DESC LIMIT 1";
            let read = |row: &Row<'_>| row.parsed("id");
            let previous = store.find_readable("runs", sql, [end.as_str()], read)?;
            let id = RunId::following(previous, start.at, fastrand::u128(..));
            let values = named_params! {
                "id": id.as_str(),
                "command": start.command.as_str(),
                "trigger": start.trigger.as_str(),
                "host": start.process.host,
                "pid": start.process.pid,
                "boot_id": start.process.boot_id,
                "process_start": start.process.process_start,
                "version": start.process.version,
                "started_at": seconds(start.at),
                "heartbeat_at": seconds(start.at),
            };
            store.insert("runs", values)?;
            Ok(id)
        })
    }

    /// Records a run that ended at once, because the lock was taken or ticks were
    /// paused.
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

    /// Returns the last heartbeat of the latest run that has ended; runs dated after
    /// the present do not count.
    pub fn last_heartbeat(&self, now: Timestamp) -> Result<Option<Timestamp>> {
        let sql = "SELECT heartbeat_at FROM runs
            WHERE started_at <= ?1 AND finished_at IS NOT NULL
            ORDER BY started_at DESC LIMIT 1";
        let params = [seconds(latest_believable(now))];
        self.find(sql, params, |row| row.time("heartbeat_at"))
    }

    /// Records that a run is alive. Returns the time of a stop request, if any.
    pub fn heartbeat(&self, id: &RunId, now: Timestamp) -> Result<Option<Timestamp>> {
        let sql = "UPDATE runs SET heartbeat_at = max(heartbeat_at, ?2)
            WHERE id = ?1 AND finished_at IS NULL RETURNING stop_requested_at";
        let params = params![id.as_str(), seconds(now)];
        self.find(sql, params, |row| row.time_if_any("stop_requested_at"))?
            .ok_or_else(|| self.not_open(id))
    }

    /// Asks a run to save its state and end. A second request keeps the first time.
    pub fn request_stop(&self, id: &RunId, now: Timestamp) -> Result<()> {
        let sql = "UPDATE runs SET stop_requested_at = coalesce(stop_requested_at, ?2)
            WHERE id = ?1 AND finished_at IS NULL";
        let n_changed = self.execute(sql, params![id.as_str(), seconds(now)])?;
        self.expect_open(n_changed, id)
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
        self.expect_open(n_changed, id)
    }

    /// Returns the run of an id; a missing or unreadable one is an error.
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

    /// Returns the runs whose id is a text or ends in it, newest first. At most
    /// two: more are not needed to see that the text is ambiguous.
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

    /// Returns the runs that have not ended, oldest first. At most one of them still
    /// runs: the process that holds the lock.
    pub fn unfinished_runs(&self) -> Result<Vec<Run>> {
        self.list_readable("runs", UNFINISHED_RUNS, [], read_run)
    }

    /// Tells whether there are runs that have not ended, readable or not.
    pub fn has_unfinished_runs(&self) -> Result<bool> {
        Ok(self.find(UNFINISHED_RUNS, [], |_| Ok(()))?.is_some())
    }

    /// Closes the runs and sessions of crashed processes.
    ///
    /// The caller holds the run lock, so that no other open run has a process.
    /// Sessions that kept bytes become `partial`, the others `failed`. Slots
    /// stay unserved, so that the run that starts now continues them. The end is
    /// the time of the last heartbeat: a crash on Friday that is noticed on Monday
    /// did not run over the weekend.
    pub fn close_crashed_runs(&self, except: Option<&RunId>) -> Result<CrashedWork> {
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
            Ok(CrashedWork { runs, sessions })
        })
    }

    /// Returns the latest twenty finished runs with sessions between two ids, oldest
    /// first.
    pub fn runs_with_sessions(&self, after: &RunId, before: &RunId) -> Result<Vec<Run>> {
        let sql = "SELECT * FROM runs WHERE id > ?1 AND id < ?2 AND finished_at IS NOT NULL
                AND n_sessions > 0 AND command IN (?3, ?4)
            ORDER BY id DESC LIMIT 20";
        let commands = [RunCommand::RunDue, RunCommand::Download].map(RunCommand::as_str);
        let params = [after.as_str(), before.as_str(), commands[0], commands[1]];
        let mut runs: Vec<Run> = self.list_readable("runs", sql, params, read_run)?;
        runs.reverse();
        Ok(runs)
    }

    /// Returns the bytes and durations of the runs of each day since an instant, the latest
    /// day first.
    pub fn day_rates(&self, since: Timestamp, now: Timestamp) -> Result<Vec<DayRate>> {
        let sql = "SELECT sum(bytes_fetched) AS bytes, sum(finished_at - started_at) AS seconds
            FROM runs
            WHERE started_at BETWEEN ?1 AND ?2 AND command IN (?3, ?4)
                AND finished_at > started_at AND bytes_fetched > 0
            GROUP BY started_at / 86400 ORDER BY started_at DESC";
        let [run_due, download] =
            [RunCommand::RunDue, RunCommand::Download].map(RunCommand::as_str);
        let params = params![seconds(since), seconds(now), run_due, download];
        self.list_readable("runs", sql, params, |row| {
            Ok(DayRate {
                bytes: row.count("bytes")?,
                seconds: row.count("seconds")?,
            })
        })
    }

    fn expect_open(&self, n_changed: usize, id: &RunId) -> Result<()> {
        if n_changed == 0 {
            return Err(self.not_open(id));
        }
        Ok(())
    }

    fn not_open(&self, id: &RunId) -> StoreError {
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

/// Builds the query for a list of runs. Each case has its own text, because
/// SQLite uses no index for a condition that may be NULL.
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
    let end = |outcome| {
        Ok::<_, rusqlite::Error>(RunEnd {
            at: row.time("finished_at")?,
            outcome,
            exit_code: row.get("exit_code")?,
        })
    };
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
        end: row.parsed_if_any("outcome")?.map(end).transpose()?,
    })
}
