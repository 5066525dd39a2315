//! The tables `sessions` and `session_files`: attempts at one target, with their
//! counts and the result for each file.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::types::Value;
use rusqlite::{named_params, params, params_from_iter};

use super::error::{Result, StoreError};
use super::open::Store;
use super::row::Row;
use super::rows::LONG_LIST;
use super::value::{destination_text, integer, path_text, seconds};
use super::wire::{read_reused, render_ids, render_list, render_reused};
use crate::domain::model::{EntryName, ModelId};
use crate::domain::outcome::{ErrorKind, Outcome, VerifyOutcome};
use crate::domain::repo::{CommitSha, Repo};
use crate::domain::run::RunId;
use crate::domain::schedule::{ModelEnd, ScheduleId};
use crate::domain::session::{
    ByteCounts, FileCounts, LastCheck, Session, SessionEnd, SessionFile, SessionId,
    SessionProgress, SessionStart, Trouble,
};
use crate::domain::time::{Timestamp, latest_believable};

/// The model whose sessions are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionsOf {
    Model(ModelId),
    /// A model that has been removed, by its name.
    RemovedModel(EntryName),
}

/// A filter for lists of sessions; `None` admits every value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionFilter {
    pub of: Option<SessionsOf>,
    pub run: Option<RunId>,
    pub outcome: Option<Outcome>,
    pub verify_outcome: Option<VerifyOutcome>,
    pub since: Option<Timestamp>,
    /// The first instant that is left out.
    pub until: Option<Timestamp>,
    pub limit: Option<u32>,
}

impl Store {
    /// Opens a session.
    pub fn open_session(&self, start: &SessionStart) -> Result<SessionId> {
        let values = named_params! {
            "run_id": start.run_id.as_str(),
            "model_id": start.model_id.map(|id| id.0),
            "model_name": start.model_name.as_ref().map(|name| name.as_str()),
            "repo_type": start.repo.kind.as_str(),
            "repo_id": start.repo.id.as_str(),
            "revision": start.revision.as_str(),
            "destination": destination_text(&start.destination)?,
            "schedule_id": start.schedule_id.map(|id| id.0),
            "schedule_name": start.schedule_name.as_ref().map(|name| name.as_str()),
            "slot_at": start.slot_at.map(seconds),
            "trigger": start.trigger.as_str(),
            "state": "running",
            "old_commit": start.old_commit.as_ref().map(|commit| commit.as_str()),
            "started_at": seconds(start.at),
        };
        Ok(SessionId(self.insert("sessions", values)?))
    }

    /// Saves the progress of a session.
    ///
    /// Called from time to time during a download: after a crash these counts tell
    /// whether bytes were kept.
    pub fn save_progress(&self, id: SessionId, progress: &SessionProgress) -> Result<()> {
        let path = progress.path.as_deref().map(path_text).transpose()?;
        let values = named_params! {
            "new_commit": progress.new_commit.as_ref().map(|commit| commit.as_str()),
            "path": path,
            "files_total": integer(progress.files.total),
            "files_fetched": integer(progress.files.fetched),
            "files_reused": integer(progress.files.reused),
            "files_deleted": integer(progress.files.deleted),
            "bytes_total": integer(progress.bytes.total),
            "bytes_fetched": integer(progress.bytes.fetched),
            "bytes_reused": integer(progress.bytes.reused),
            "bytes_left": integer(progress.bytes.left),
            "reused_from": render_reused(&progress.reused_from),
            "retries": progress.retries,
        };
        match self.update("sessions", id.0, values, "state = 'running'")? {
            0 => Err(self.not_running(id)),
            _ => Ok(()),
        }
    }

    /// Closes a session, once.
    pub fn finish_session(
        &self,
        id: SessionId,
        progress: &SessionProgress,
        end: &SessionEnd,
    ) -> Result<()> {
        self.transaction(|store| {
            store.save_progress(id, progress)?;
            let trouble = end.trouble.as_ref();
            let values = named_params! {
                "state": "finished",
                "outcome": end.outcome.as_str(),
                "error_kind": trouble.map(|trouble| trouble.kind.as_str()),
                "error": trouble.map(|trouble| &trouble.message),
                "hint": trouble.and_then(|trouble| trouble.hint.as_ref()),
                "finished_at": seconds(end.at),
                "verify_outcome": end.verify_outcome.map(|word| word.as_str()),
            };
            store.update("sessions", id.0, values, "state = 'running'")?;
            Ok(())
        })
    }

    /// Saves the record of a file in a session; a later record replaces it.
    pub fn save_session_file(&self, id: SessionId, file: &SessionFile) -> Result<()> {
        let values = named_params! {
            "session_id": id.0,
            "path": file.path.as_str(),
            "content_id": file.content.to_string(),
            "size": integer(file.size_bytes),
            "bytes_fetched": integer(file.bytes_fetched),
            "bytes_reused": integer(file.bytes_reused),
            "source": file.source.map(|source| source.as_str()),
            "retries": file.retries,
            "result": file.result.as_str(),
            "found_bad": file.found_bad,
        };
        self.upsert("session_files", &["session_id", "path"], values)
    }

    /// Returns the session of an id; a missing or unreadable one is an error.
    pub fn session(&self, id: SessionId) -> Result<Session> {
        self.find("SELECT * FROM sessions WHERE id = ?1", [id.0], read_session)?
            .ok_or_else(|| StoreError::not_found("session", id.0))
    }

    /// Returns sessions, newest first.
    pub fn sessions(&self, filter: &SessionFilter) -> Result<Vec<Session>> {
        let (sql, params) = listing(filter);
        self.list_readable("sessions", &sql, params_from_iter(params), read_session)
    }

    /// Returns the newest check of a model that has a believable date.
    /// Verifications are no checks.
    pub fn last_session(&self, model: ModelId, now: Timestamp) -> Result<Option<Session>> {
        let latest = seconds(latest_believable(now));
        self.find_readable("sessions", LAST_SESSION, [model.0, latest], read_session)
    }

    /// Returns the newest check of each model, as `last_session` does.
    pub(super) fn last_checks(&self, now: Timestamp) -> Result<BTreeMap<ModelId, LastCheck>> {
        let sql = "SELECT id FROM models ORDER BY id";
        let mut models: Vec<ModelId> = self.list(sql, [], |row| Ok(ModelId(row.get("id")?)))?;
        let n = models.len() as u64;
        if n < LONG_LIST {
            return self.last_checks_of(&models, now);
        }
        // The last sessions lie side by side, where a search for each model reads most pages
        // of an index.
        let params = [seconds(latest_believable(now)), integer(n)];
        let mut checks: BTreeMap<ModelId, LastCheck> =
            self.list_readable("sessions", RECENT_CHECKS, params, read_last_check)?;
        models.retain(|model| !checks.contains_key(model));
        checks.append(&mut self.last_checks_of(&models, now)?);
        Ok(checks)
    }

    fn last_checks_of(
        &self,
        models: &[ModelId],
        now: Timestamp,
    ) -> Result<BTreeMap<ModelId, LastCheck>> {
        let models = render_ids(models.iter().map(|model| model.0));
        let params = params![seconds(latest_believable(now)), models];
        self.list_readable("sessions", LAST_CHECKS, params, read_last_check)
    }

    /// Returns the models with a scheduled session since an instant whose result is
    /// final: no further attempt is useful before the next slot.
    pub fn models_done_since(&self, since: Timestamp, now: Timestamp) -> Result<BTreeSet<ModelId>> {
        let sql = "SELECT DISTINCT model_id FROM sessions
            WHERE started_at BETWEEN ?1 AND ?2 AND slot_at IS NOT NULL AND model_id IS NOT NULL
                AND outcome IN (SELECT value FROM json_each(?3))
                AND (outcome <> 'failed'
                    OR error_kind NOT IN (SELECT value FROM json_each(?4))
                        AND NOT (error_kind = 'auth' AND model_id IN
                            (SELECT id FROM models WHERE needs_token = 1))
                        AND error NOT LIKE 'crashed:%')";
        let is_final = |outcome: &&Outcome| ModelEnd::of(**outcome, None) == ModelEnd::Final;
        let final_outcomes = Outcome::ALL.iter().filter(is_final);
        let temporary = ErrorKind::ALL.iter().filter(|kind| kind.is_temporary());
        let params = params![
            seconds(since),
            seconds(latest_believable(now)),
            render_list(final_outcomes),
            render_list(temporary),
        ];
        self.list(sql, params, |row| Ok(ModelId(row.get("model_id")?)))
    }

    /// Returns the models whose newest session is the repair of damaged files, since an
    /// instant, that a limit of its run has cut short. A spent allowance is an error, so
    /// that its repair waits.
    pub fn models_with_cut_repair(&self, since: Timestamp) -> Result<BTreeSet<ModelId>> {
        let sql = "SELECT model_id FROM sessions
            WHERE outcome = 'partial' AND started_at >= ?1 AND verify_outcome = 'damaged'
                AND error IS NULL AND id = (
                    SELECT max(id) FROM sessions AS newest
                    WHERE newest.model_id = sessions.model_id)";
        self.list(sql, [seconds(since)], |row| {
            Ok(ModelId(row.get("model_id")?))
        })
    }

    /// Returns the files of a session by path.
    pub fn session_files(&self, id: SessionId) -> Result<Vec<SessionFile>> {
        let sql = "SELECT * FROM session_files WHERE session_id = ?1 ORDER BY path";
        self.list_readable("session_files", sql, [id.0], read_session_file)
    }

    /// Returns the verified files that the sessions of a model recorded for a commit, by
    /// path, and the number of selected files in the newest of these sessions. Files that
    /// an update left in place have no record.
    pub fn files_of_commit(
        &self,
        model: ModelId,
        commit: &CommitSha,
    ) -> Result<(Vec<SessionFile>, u64)> {
        let of_commit = "FROM sessions WHERE model_id = ?1 AND new_commit = ?2";
        let files = format!(
            "SELECT * FROM session_files WHERE result = 'verified'
                AND session_id IN (SELECT id {of_commit}) GROUP BY path ORDER BY path"
        );
        let total = format!("SELECT files_total AS n {of_commit} ORDER BY id DESC LIMIT 1");
        let params = params![model.0, commit.as_str()];
        let files = self.list_readable("session_files", &files, params, read_session_file)?;
        let total = self.find(&total, params, |row| row.count("n"))?;
        Ok((files, total.unwrap_or_default()))
    }

    /// Closes the sessions of all runs, or of all but one; part of `close_crashed_runs`.
    pub(super) fn close_crashed_sessions(&self, except: Option<&RunId>) -> Result<Vec<SessionId>> {
        let sql = "UPDATE sessions SET state = 'finished',
                outcome = CASE WHEN bytes_fetched > 0 THEN 'partial' ELSE 'failed' END,
                error_kind = 'internal',
                error = 'crashed: the process ended without closing this session',
                hint = CASE WHEN bytes_fetched > 0
                    THEN 'the next run continues with the bytes that were kept' END,
                finished_at = max(started_at,
                    (SELECT heartbeat_at FROM runs WHERE runs.id = sessions.run_id))
            WHERE state = 'running' AND (?1 IS NULL OR run_id <> ?1)
            RETURNING id";
        let params = [except.map(RunId::as_str)];
        let mut ids: Vec<SessionId> =
            self.list(sql, params, |row| Ok(SessionId(row.get("id")?)))?;
        ids.sort();
        Ok(ids)
    }

    fn not_running(&self, id: SessionId) -> StoreError {
        match self.session(id) {
            Ok(_) => StoreError::Ended {
                entity: "session",
                name: id.0.to_string(),
            },
            Err(err) => err,
        }
    }
}

/// Ordered by id, which is the order of writing: dates are wrong after the clock
/// was set. The index is named, because the planner prefers the one by date.
pub(super) const LAST_SESSION: &str = "SELECT * FROM sessions INDEXED BY sessions_of_model
    WHERE model_id = ?1 AND started_at <= ?2
        AND (SELECT command FROM runs WHERE runs.id = run_id) <> 'verify'
    ORDER BY id DESC LIMIT 1";

/// The newest one of a model comes last.
pub(super) const RECENT_CHECKS: &str =
    "SELECT id, model_id, new_commit, files_total, bytes_total, bytes_fetched, bytes_reused,
        bytes_left, finished_at, outcome, verify_outcome, error_kind, error, hint
    FROM sessions
    WHERE id > (SELECT max(id) FROM sessions) - ?2
        AND model_id IS NOT NULL AND started_at <= ?1
        AND (SELECT command FROM runs WHERE runs.id = run_id) <> 'verify'
    ORDER BY id";

/// One search in the index for each model, instead of a scan of all sessions.
pub(super) const LAST_CHECKS: &str =
    "SELECT sessions.id, model_id, new_commit, files_total, bytes_total, bytes_fetched, bytes_reused,
        bytes_left, finished_at, outcome, verify_outcome, error_kind, error, hint
    FROM json_each(?2) AS model JOIN sessions ON sessions.id = (
        SELECT id FROM sessions AS newest INDEXED BY sessions_of_model
        WHERE newest.model_id = model.value AND newest.started_at <= ?1
            AND (SELECT command FROM runs WHERE runs.id = newest.run_id) <> 'verify'
        ORDER BY id DESC LIMIT 1)";

/// Builds the query for a filter. It contains only the conditions that are set, so
/// that SQLite finds the right index.
pub(super) fn listing(filter: &SessionFilter) -> (String, Vec<Value>) {
    let mut conditions = Vec::new();
    let mut params: Vec<Value> = Vec::new();
    let mut ask = |condition: &'static str, value: Value| {
        conditions.push(condition);
        params.push(value);
    };
    match &filter.of {
        Some(SessionsOf::Model(id)) => ask("model_id = ?", id.0.into()),
        Some(SessionsOf::RemovedModel(name)) => {
            let condition = "model_id IS NULL AND model_name = ?";
            ask(condition, name.to_string().into());
        }
        None => {}
    }
    if let Some(run) = &filter.run {
        ask("run_id = ?", run.to_string().into());
    }
    if let Some(outcome) = filter.outcome {
        ask("outcome = ?", outcome.to_string().into());
    }
    if let Some(word) = filter.verify_outcome {
        ask("verify_outcome = ?", word.to_string().into());
    }
    if let Some(since) = filter.since {
        ask("started_at >= ?", seconds(since).into());
    }
    if let Some(until) = filter.until {
        ask("started_at < ?", seconds(until).into());
    }
    let condition = if conditions.is_empty() {
        String::new()
    } else {
        format!("WHERE {}", conditions.join(" AND "))
    };
    params.push(filter.limit.map_or(-1, i64::from).into());
    let sql =
        format!("SELECT * FROM sessions {condition} ORDER BY started_at DESC, id DESC LIMIT ?");
    (sql, params)
}

fn read_session_file(row: &Row<'_>) -> rusqlite::Result<SessionFile> {
    Ok(SessionFile {
        path: row.parsed("path")?,
        content: row.parsed("content_id")?,
        size_bytes: row.count("size")?,
        bytes_fetched: row.count("bytes_fetched")?,
        bytes_reused: row.count("bytes_reused")?,
        source: row.parsed_if_any("source")?,
        retries: row.get("retries")?,
        result: row.parsed("result")?,
        found_bad: row.get("found_bad")?,
    })
}

fn read_session(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: SessionId(row.get("id")?),
        start: SessionStart {
            run_id: row.parsed("run_id")?,
            model_id: row.get::<Option<i64>>("model_id")?.map(ModelId),
            model_name: row.parsed_if_any("model_name")?,
            repo: Repo::new(row.parsed("repo_type")?, row.parsed("repo_id")?),
            revision: row.parsed("revision")?,
            destination: row.destination("destination")?,
            schedule_id: row.get::<Option<i64>>("schedule_id")?.map(ScheduleId),
            schedule_name: row.parsed_if_any("schedule_name")?,
            slot_at: row.time_if_any("slot_at")?,
            trigger: row.parsed("trigger")?,
            old_commit: row.parsed_if_any("old_commit")?,
            at: row.time("started_at")?,
        },
        progress: SessionProgress {
            new_commit: row.parsed_if_any("new_commit")?,
            path: row.path_if_any("path")?,
            files: FileCounts {
                total: row.count("files_total")?,
                fetched: row.count("files_fetched")?,
                reused: row.count("files_reused")?,
                deleted: row.count("files_deleted")?,
            },
            bytes: read_bytes(row)?,
            reused_from: read_reused(row, "reused_from", row.count("bytes_reused")?)?,
            retries: row.get("retries")?,
        },
        end: read_end(row)?,
    })
}

fn read_last_check(row: &Row<'_>) -> rusqlite::Result<(ModelId, LastCheck)> {
    let last = LastCheck {
        new_commit: row.parsed_if_any("new_commit")?,
        n_files: row.count("files_total")?,
        bytes: read_bytes(row)?,
        end: read_end(row)?,
    };
    Ok((ModelId(row.get("model_id")?), last))
}

fn read_bytes(row: &Row<'_>) -> rusqlite::Result<ByteCounts> {
    Ok(ByteCounts {
        total: row.count("bytes_total")?,
        fetched: row.count("bytes_fetched")?,
        reused: row.count("bytes_reused")?,
        left: row.count("bytes_left")?,
    })
}

fn read_end(row: &Row<'_>) -> rusqlite::Result<Option<SessionEnd>> {
    let Some(outcome) = row.parsed_if_any("outcome")? else {
        return Ok(None);
    };
    let trouble = |kind| {
        Ok::<_, rusqlite::Error>(Trouble {
            kind,
            message: row.get("error")?,
            hint: row.get("hint")?,
        })
    };
    Ok(Some(SessionEnd {
        at: row.time("finished_at")?,
        outcome,
        verify_outcome: row.parsed_if_any("verify_outcome")?,
        trouble: row.parsed_if_any("error_kind")?.map(trouble).transpose()?,
    }))
}
