//! The table `events`: what a person should know later.

use rusqlite::params;

use super::error::Result;
use super::open::Store;
use super::value::{Columns, seconds};
use crate::domain::model::ModelId;
use crate::domain::run::{Event, EventKind};
use crate::domain::time::Timestamp;

impl Store {
    pub fn record_event(&self, event: &Event) -> Result<()> {
        let sql =
            "INSERT INTO events (at, kind, model_id, run_id, detail) VALUES (?1, ?2, ?3, ?4, ?5)";
        self.execute(
            sql,
            params![
                seconds(event.at),
                event.kind.as_str(),
                event.model_id.map(|id| id.0),
                event.run_id.as_ref().map(|id| id.as_str()),
                event.detail,
            ],
        )?;
        Ok(())
    }

    /// Tells whether something was recorded, in these words, since an instant.
    pub fn has_event(&self, kind: EventKind, detail: &str, since: Timestamp) -> Result<bool> {
        let sql = "SELECT 1 FROM events WHERE at >= ?1 AND kind = ?2 AND detail = ?3 LIMIT 1";
        let params = params![seconds(since), kind.as_str(), detail];
        Ok(self.find(sql, params, |_| Ok(()))?.is_some())
    }

    /// Returns events since an instant, newest first.
    pub fn events(&self, since: Timestamp, limit: u32) -> Result<Vec<Event>> {
        let sql = "SELECT * FROM events WHERE at >= ?1 ORDER BY at DESC, id DESC LIMIT ?2";
        self.list(sql, params![seconds(since), limit], |row| {
            Ok(Event {
                at: row.time("at")?,
                kind: row.parsed("kind")?,
                model_id: row.get::<_, Option<i64>>("model_id")?.map(ModelId),
                run_id: row.parsed_if_any("run_id")?,
                detail: row.get("detail")?,
            })
        })
    }
}
