//! The table `meta`: facts that no person sets.

use rusqlite::{Connection, params};
use uuid::Uuid;

use super::error::{Result, StoreError};
use super::open::Store;
use super::value::Columns;
use crate::domain::outcome::words;

words! {
    /// The name of a fact.
    MetaKey {
        /// Random, made with the database: the seed of jitter and of the timer's minute.
        InstallId = "install-id",
        /// Seed of the timer's minute where `start` made the database; else the install id is.
        TimerSeed = "timer-seed",
        /// Which time zone data the cached `next_due_at` were computed with.
        ZoneFingerprint = "zone-fingerprint",
        /// When a timer last started `run-due`, even if nothing was due.
        LastTimerTick = "last-timer-tick",
        /// When `run-due` was last started by whomever.
        LastTick = "last-tick",
        /// Which timer entry `start` has installed, and what goes into it.
        TimerEntry = "timer-entry",
        /// The latest moment for which a `next_due_at` was computed: if it is still to come, the
        /// clock went back and none of them can be trusted.
        LatestLook = "latest-look",
        /// For which host name and period of the timer `next_due_at` was computed.
        PlannedFor = "planned-for",
        /// Until when, and why, ticks do nothing.
        Pause = "pause",
        /// Which trouble with the metrics file has been told, and when.
        MetricsTrouble = "metrics-trouble",
        /// The last reported trouble with the ping, with its date.
        PingTrouble = "ping-trouble",
        /// The last run that hooks and mails have reported.
        LastRunTold = "last-run-told",
    }
}

impl Store {
    pub fn install_id(&self) -> Result<Uuid> {
        let sql = "SELECT value FROM meta WHERE key = ?1";
        self.find(sql, [MetaKey::InstallId.as_str()], |row| {
            row.parsed("value")
        })?
        .ok_or_else(|| StoreError::not_found("fact", MetaKey::InstallId))
    }

    pub fn meta(&self, key: MetaKey) -> Result<Option<String>> {
        let sql = "SELECT value FROM meta WHERE key = ?1";
        self.find(sql, [key.as_str()], |row| row.get("value"))
    }

    pub fn set_meta(&self, key: MetaKey, value: &str) -> Result<()> {
        let sql = "INSERT INTO meta (key, value) VALUES (?1, ?2)
             ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        self.execute(sql, params![key.as_str(), value])?;
        Ok(())
    }

    pub fn clear_meta(&self, key: MetaKey) -> Result<()> {
        self.execute("DELETE FROM meta WHERE key = ?1", [key.as_str()])?;
        Ok(())
    }
}

/// Part of the first migration.
pub(super) fn make_install_id(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT INTO meta (key, value) VALUES (?1, ?2)",
        params![MetaKey::InstallId.as_str(), Uuid::new_v4().to_string()],
    )?;
    Ok(())
}
