//! The table `meta`: single facts of this home.

use rusqlite::{Connection, named_params, params};
use uuid::Uuid;

use super::error::{Result, StoreError};
use super::open::Store;
use crate::domain::outcome::words;

words! {
    /// The name of a fact.
    MetaKey {
        /// A random id made with the database: the seed of jitter and of the timer's minute.
        InstallId = "install-id",
        /// The seed of the timer's minute if `start` made the database; else the
        /// install id is the seed.
        TimerSeed = "timer-seed",
        /// The fingerprint of the time zone data behind the cached `next_due_at`.
        ZoneFingerprint = "zone-fingerprint",
        /// The last start of `run-due` by a timer, even if nothing was due.
        LastTimerTick = "last-timer-tick",
        /// The last start of `run-due` by a CI job.
        LastCiTick = "last-ci-tick",
        /// The last start of `run-due`, by a timer or by hand.
        LastTick = "last-tick",
        /// The timer entry that `start` has installed, with its values.
        TimerEntry = "timer-entry",
        /// The latest time at which a `next_due_at` was computed. If it is in the
        /// future, the clock was set back and no `next_due_at` can be trusted.
        LatestLook = "latest-look",
        /// The host name and timer period for which `next_due_at` was computed.
        PlannedFor = "planned-for",
        /// The pause of ticks, with its end and reason.
        Pause = "pause",
        /// The last reported trouble with the metrics file, with its date.
        MetricsTrouble = "metrics-trouble",
        /// The last reported trouble with the ping, with its date.
        PingTrouble = "ping-trouble",
        /// The last reported login that cannot be renewed, with its date.
        LoginTrouble = "login-trouble",
        /// Logins that the Hub refused to renew: the end and the name, one a line.
        RefusedLogins = "refused-logins",
        /// The size of the cache, the time of its measurement in seconds, and its folder.
        CacheSize = "cache-size",
        /// The spent allowances that were reported, one a line.
        AllowancesTold = "allowances-told",
        /// The last check of the whole database by a run: seconds, and the damage if any.
        IntegrityCheck = "integrity-check",
        /// The last run that hooks and mails have reported.
        LastRunTold = "last-run-told",
    }
}

const VALUE_OF: &str = "SELECT value FROM meta WHERE key = ?1";

impl Store {
    pub fn install_id(&self) -> Result<Uuid> {
        self.find(VALUE_OF, [MetaKey::InstallId.as_str()], |row| {
            row.parsed("value")
        })?
        .ok_or_else(|| StoreError::not_found("fact", MetaKey::InstallId))
    }

    pub fn meta(&self, key: MetaKey) -> Result<Option<String>> {
        self.find(VALUE_OF, [key.as_str()], |row| row.get("value"))
    }

    pub fn set_meta(&self, key: MetaKey, value: &str) -> Result<()> {
        let values = named_params! { "key": key.as_str(), "value": value };
        self.upsert("meta", &["key"], values)
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
