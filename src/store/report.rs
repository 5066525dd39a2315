//! Queries over a period of the history, and the table `disk_samples`.
//!
//! Rows are handed on one by one: a period may have a million sessions.

use std::path::Path;

use rusqlite::{named_params, params};

use super::blobs::range_below;
use super::error::Result;
use super::open::Store;
use super::row::Row;
use super::value::{integer, seconds};
use super::wire::{render_ids, render_list};
use crate::domain::model::ModelId;
use crate::domain::report::{
    DiskSample, MovedBytes, ProofFigures, ReportedTarget, RunRow, SessionRow,
};
use crate::domain::run::{Event, EventKind};
use crate::domain::session::SessionId;
use crate::domain::time::Timestamp;

/// A period of the history: from its first instant to before its end, for some models or
/// for all.
#[derive(Clone, Copy, Debug)]
pub struct Period<'a> {
    pub since: Timestamp,
    pub until: Timestamp,
    /// `None` for all models.
    pub models: Option<&'a [ModelId]>,
}

/// Runs the index of dates along; the order of ids is that of dates within a second.
pub(super) const SESSIONS: &str = "SELECT id, started_at, model_id, outcome, verify_outcome,
        error_kind, bytes_fetched, bytes_reused,
        CASE WHEN model_id IS NULL THEN coalesce(model_name, repo_id) END AS label
    FROM sessions
    WHERE started_at >= ?1 AND started_at < ?2 AND state = 'finished'
        AND (?3 IS NULL OR model_id IN (SELECT value FROM json_each(?3)))
    ORDER BY started_at, id";

impl Period<'_> {
    /// Returns the models as a JSON array of numbers.
    fn model_list(&self) -> Option<String> {
        Some(render_ids(self.models?.iter().map(|id| id.0)))
    }
}

impl Store {
    /// Hands on the sessions of a period that have ended, oldest first.
    pub fn each_session(&self, period: Period<'_>, mut each: impl FnMut(SessionRow)) -> Result<()> {
        let (since, until) = (seconds(period.since), seconds(period.until));
        let params = params![since, until, period.model_list()];
        let rows: Vec<()> = self.list_readable("sessions", SESSIONS, params, |row| {
            each(read_session(row)?);
            Ok(())
        })?;
        debug_assert_eq!(size_of_val(rows.as_slice()), 0);
        Ok(())
    }

    /// Returns the runs of a period that have ended.
    pub fn runs_of_period(&self, period: Period<'_>) -> Result<Vec<RunRow>> {
        let sql = "SELECT outcome, started_at, finished_at, n_sessions FROM runs
            WHERE started_at >= ?1 AND started_at < ?2 AND outcome IS NOT NULL";
        let params = [seconds(period.since), seconds(period.until)];
        self.list_readable("runs", sql, params, |row| {
            let took = row.get::<i64>("finished_at")? - row.get::<i64>("started_at")?;
            Ok(RunRow {
                outcome: row.parsed("outcome")?,
                // A clock that was set back meanwhile yields zero.
                seconds: u64::try_from(took).unwrap_or(0),
                had_work: row.count("n_sessions")? > 0,
            })
        })
    }

    /// Returns the newest events of some kinds in a period, newest first, and the number
    /// of the others.
    pub fn events_of_period(
        &self,
        period: Period<'_>,
        kinds: &[EventKind],
        most: usize,
    ) -> Result<(Vec<Event>, u64)> {
        let sql = "SELECT * FROM events WHERE at >= ?1 AND at < ?2
                AND kind IN (SELECT value FROM json_each(?3))
                AND (?4 IS NULL OR model_id IN (SELECT value FROM json_each(?4)))
            ORDER BY at DESC, id DESC";
        let (since, until) = (seconds(period.since), seconds(period.until));
        let params = params![since, until, render_list(kinds), period.model_list()];
        let (mut first, mut n_more) = (Vec::new(), 0);
        let _: Vec<()> = self.list_readable("events", sql, params, |row| {
            if first.len() < most {
                first.push(super::events::read_event(row)?);
            } else {
                n_more += 1;
            }
            Ok(())
        })?;
        Ok((first, n_more))
    }

    /// Counts the proven files of the home. The figures of models are left empty.
    pub fn proof_figures(&self) -> Result<ProofFigures> {
        let sql = format!(
            "SELECT count(*) AS n, coalesce(sum(size), 0) AS bytes, min(verified_at) AS oldest
            FROM ({})",
            proven_files()
        );
        let found = self.find(&sql, [], |row| {
            Ok(ProofFigures {
                n_files: row.count("n")?,
                n_bytes: row.count("bytes")?,
                oldest_at: row.time_if_any("oldest")?,
                ..ProofFigures::default()
            })
        })?;
        Ok(found.unwrap_or_default())
    }

    /// Returns the bytes of proven files below the cache, and of those elsewhere.
    pub fn proven_bytes(&self, cache: &Path) -> Result<(u64, u64)> {
        let sql = format!(
            "SELECT coalesce(sum(size) FILTER (WHERE path > ?1 AND path < ?2), 0) AS cache,
                coalesce(sum(size), 0) AS whole FROM ({})",
            proven_files()
        );
        let found = self.find(&sql, range_below(cache)?, |row| {
            let (cache, whole) = (row.count("cache")?, row.count("whole")?);
            Ok((cache, whole.saturating_sub(cache)))
        })?;
        Ok(found.unwrap_or_default())
    }

    /// Saves the disk use of a day; a later sample replaces it.
    pub fn save_disk_sample(&self, sample: &DiskSample, now: Timestamp) -> Result<()> {
        let values = named_params! {
            "day": sample.day.to_string(),
            "measured_at": seconds(now),
            "cache_bytes": integer(sample.cache_bytes),
            "directory_bytes": integer(sample.directory_bytes),
            "free_bytes": sample.free_bytes.map(integer),
        };
        self.upsert("disk_samples", &["day"], values)
    }

    pub fn has_disk_sample(&self, day: jiff::civil::Date) -> Result<bool> {
        let sql = "SELECT 1 FROM disk_samples WHERE day = ?1";
        Ok(self.find(sql, [day.to_string()], |_| Ok(()))?.is_some())
    }

    /// Returns the disk use of the days of a period, oldest first.
    pub fn disk_samples(&self, period: Period<'_>) -> Result<Vec<DiskSample>> {
        let sql = "SELECT * FROM disk_samples WHERE measured_at >= ?1 AND measured_at < ?2
            ORDER BY day";
        let params = [seconds(period.since), seconds(period.until)];
        self.list_readable("disk_samples", sql, params, |row| {
            Ok(DiskSample {
                day: row.parsed("day")?,
                cache_bytes: row.count("cache_bytes")?,
                directory_bytes: row.count("directory_bytes")?,
                free_bytes: row.count_if_any("free_bytes")?,
            })
        })
    }
}

/// Selects the proven files, each once: a hard link in a snapshot is a second name of its blob.
fn proven_files() -> String {
    let separator = std::path::MAIN_SEPARATOR;
    format!(
        "SELECT path, size, verified_at
        FROM (SELECT *, instr(path, '{separator}snapshots{separator}') AS split FROM blobs) AS file
        WHERE split = 0 OR NOT EXISTS (SELECT 1 FROM blobs AS blob
            WHERE blob.content_id = file.content_id
            AND substr(blob.path, 1, split + 6) = substr(file.path, 1, split) || 'blobs{separator}')"
    )
}

fn read_session(row: &Row<'_>) -> rusqlite::Result<SessionRow> {
    let model: Option<i64> = row.get("model_id")?;
    Ok(SessionRow {
        id: SessionId(row.get("id")?),
        at: row.time("started_at")?,
        target: match model {
            Some(id) => ReportedTarget::Model(ModelId(id)),
            None => ReportedTarget::Other(row.get("label")?),
        },
        outcome: row.parsed("outcome")?,
        is_verification: row.get::<Option<String>>("verify_outcome")?.is_some(),
        trouble: row.parsed_if_any("error_kind")?,
        bytes: MovedBytes {
            fetched: row.count("bytes_fetched")?,
            reused: row.count("bytes_reused")?,
        },
    })
}
