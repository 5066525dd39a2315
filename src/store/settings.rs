//! The table `settings`: texts saved by `hfdl config set`. Keys and values are
//! checked in `domain::settings`.

use rusqlite::params;

use super::error::Result;
use super::open::Store;
use super::row::Row;
use super::value::seconds;
use crate::domain::time::Timestamp;

/// A saved setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub key: String,
    pub value: String,
}

impl Store {
    /// Returns all saved settings by key.
    pub fn settings(&self) -> Result<Vec<Setting>> {
        let sql = "SELECT key, value FROM settings ORDER BY key";
        self.list(sql, [], read_setting)
    }

    pub fn setting(&self, key: &str) -> Result<Option<Setting>> {
        let sql = "SELECT key, value FROM settings WHERE key = ?1";
        self.find(sql, [key], read_setting)
    }

    /// Saves a setting; one with the same value keeps its time.
    pub fn set_setting(&self, key: &str, value: &str, now: Timestamp) -> Result<()> {
        let sql = "INSERT INTO settings (key, value, updated_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at
             WHERE value <> excluded.value";
        self.execute(sql, params![key, value, seconds(now)])?;
        Ok(())
    }

    /// Removes a setting. Returns whether there was one.
    pub fn unset_setting(&self, key: &str) -> Result<bool> {
        Ok(self.execute("DELETE FROM settings WHERE key = ?1", [key])? > 0)
    }
}

fn read_setting(row: &Row<'_>) -> rusqlite::Result<Setting> {
    Ok(Setting {
        key: row.get("key")?,
        value: row.get("value")?,
    })
}
