//! The table `events`: news that a person can look up later.

use rusqlite::{named_params, params};

use super::error::Result;
use super::open::Store;
use super::row::Row;
use super::value::seconds;
use crate::domain::model::ModelId;
use crate::domain::run::{Event, EventKind};
use crate::domain::time::{Timestamp, latest_believable};

impl Store {
    pub fn record_event(&self, event: &Event) -> Result<()> {
        let values = named_params! {
            "at": seconds(event.at),
            "kind": event.kind.as_str(),
            "model_id": event.model_id.map(|id| id.0),
            "run_id": event.run_id.as_ref().map(|id| id.as_str()),
            "detail": event.detail,
        };
        self.insert("events", values)?;
        Ok(())
    }

    /// Tells whether an event with this text was recorded since an instant.
    pub fn has_event(
        &self,
        kind: EventKind,
        detail: &str,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<bool> {
        let sql = "SELECT 1 FROM events
            WHERE at BETWEEN ?1 AND ?2 AND kind = ?3 AND detail = ?4 LIMIT 1";
        let latest = seconds(latest_believable(now));
        let params = params![seconds(since), latest, kind.as_str(), detail];
        Ok(self.find(sql, params, |_| Ok(()))?.is_some())
    }

    /// Returns events since an instant, newest first.
    pub fn events(&self, since: Timestamp, limit: u32) -> Result<Vec<Event>> {
        let sql = "SELECT * FROM events WHERE at >= ?1 ORDER BY at DESC, id DESC LIMIT ?2";
        self.list_readable("events", sql, params![seconds(since), limit], read_event)
    }

    /// Returns the newest events of a kind since an instant. Events with a date in
    /// the future are left out.
    pub fn events_of(
        &self,
        kind: EventKind,
        since: Timestamp,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Event>> {
        let sql = "SELECT * FROM events WHERE kind = ?1 AND at BETWEEN ?2 AND ?3
            ORDER BY at DESC, id DESC LIMIT ?4";
        let latest = seconds(latest_believable(now));
        let params = params![kind.as_str(), seconds(since), latest, limit];
        self.list_readable("events", sql, params, read_event)
    }
}

pub(super) fn read_event(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        at: row.time("at")?,
        kind: row.parsed("kind")?,
        model_id: row.get::<Option<i64>>("model_id")?.map(ModelId),
        run_id: row.parsed_if_any("run_id")?,
        detail: row.get("detail")?,
    })
}
