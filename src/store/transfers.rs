//! The table `transfers`: the ledger of received bytes, for allowances.

use rusqlite::params;

use super::error::Result;
use super::open::Store;
use super::value::{integer, seconds};
use crate::domain::allowance::{AllowanceScope, latest_kept};
use crate::domain::time::Timestamp;

/// Records are kept for the longest period and the days around it.
const KEPT_SECONDS: i64 = 70 * 86_400;

impl Store {
    /// Adds bytes to the record of a quarter.
    pub fn add_transfer(
        &self,
        scope: &AllowanceScope,
        quarter: Timestamp,
        bytes: u64,
    ) -> Result<()> {
        let sql = "INSERT INTO transfers (scope, name, quarter, bytes) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT (scope, name, quarter) DO UPDATE SET bytes = bytes + excluded.bytes";
        self.change_transfer(sql, scope, quarter, bytes)
    }

    /// Takes bytes back that were recorded and not received.
    pub fn take_transfer_back(
        &self,
        scope: &AllowanceScope,
        quarter: Timestamp,
        bytes: u64,
    ) -> Result<()> {
        let sql = "UPDATE transfers SET bytes = max(0, bytes - ?4)
            WHERE scope = ?1 AND name = ?2 AND quarter = ?3";
        self.change_transfer(sql, scope, quarter, bytes)
    }

    fn change_transfer(
        &self,
        sql: &str,
        scope: &AllowanceScope,
        quarter: Timestamp,
        bytes: u64,
    ) -> Result<()> {
        if bytes > 0 {
            let (word, name) = scope.key();
            self.execute(sql, params![word, name, seconds(quarter), integer(bytes)])?;
        }
        Ok(())
    }

    /// Returns the bytes recorded since an instant, records of the future included.
    pub fn transferred_since(&self, scope: &AllowanceScope, since: Timestamp) -> Result<u64> {
        let (word, name) = scope.key();
        let sql = "SELECT coalesce(sum(bytes), 0) AS bytes FROM transfers
            WHERE scope = ?1 AND name = ?2 AND quarter >= ?3";
        let params = params![word, name, seconds(since)];
        Ok(self
            .find(sql, params, |row| row.count("bytes"))?
            .unwrap_or(0))
    }

    /// Returns the time of the latest record of a scope.
    pub fn latest_transfer(&self, scope: &AllowanceScope) -> Result<Option<Timestamp>> {
        let (word, name) = scope.key();
        let sql = "SELECT max(quarter) AS quarter FROM transfers WHERE scope = ?1 AND name = ?2";
        let found = self.find(sql, params![word, name], |row| row.time_if_any("quarter"))?;
        Ok(found.flatten())
    }

    /// Dates records of a wrong clock anew, as of now, and removes old ones.
    pub fn tidy_transfers(&self, now: Timestamp) -> Result<()> {
        let (latest, oldest) = (seconds(latest_kept(now)), seconds(now) - KEPT_SECONDS);
        let is_needed = "SELECT 1 FROM transfers WHERE quarter > ?1 OR quarter < ?2 LIMIT 1";
        if self
            .find(is_needed, [latest, oldest], |_| Ok(()))?
            .is_none()
        {
            return Ok(());
        }
        self.transaction(|store| {
            let quarter = seconds(now) - seconds(now).rem_euclid(900);
            let sql = "INSERT INTO transfers (scope, name, quarter, bytes)
                SELECT scope, name, ?2, sum(bytes) FROM transfers WHERE quarter > ?1
                GROUP BY scope, name
                ON CONFLICT (scope, name, quarter) DO UPDATE SET bytes = bytes + excluded.bytes";
            store.execute(sql, [latest, quarter])?;
            let sql = "DELETE FROM transfers WHERE quarter > ?1 OR quarter < ?2";
            store.execute(sql, [latest, oldest])?;
            Ok(())
        })
    }
}
