//! The table `dead_ends`: routes to file contents that failed, until they expire.

use rusqlite::{named_params, params};

use super::error::Result;
use super::open::Store;
use super::value::{integer, seconds};
use crate::domain::time::Timestamp;
use crate::domain::way::Way;

/// A route that is not tried for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadEnd {
    /// The host and port of the Hub.
    pub host: String,
    pub way: Way,
    /// For files of this size and larger ones.
    pub from_size: u64,
    pub expires_at: Timestamp,
}

impl Store {
    pub fn save_dead_end(&self, end: &DeadEnd) -> Result<()> {
        let values = named_params! {
            "host": end.host,
            "way": end.way.as_str(),
            "from_size": integer(end.from_size),
            "expires_at": seconds(end.expires_at),
        };
        self.upsert("dead_ends", &["host", "way"], values)
    }

    /// Removes a dead end whose route works again. Returns whether there was one.
    pub fn forget_dead_end(&self, host: &str, way: Way) -> Result<bool> {
        let sql = "DELETE FROM dead_ends WHERE host = ?1 AND way = ?2";
        Ok(self.execute(sql, [host, way.as_str()])? > 0)
    }

    /// Returns the dead ends of a host that have not expired.
    pub fn dead_ends(&self, host: &str, now: Timestamp) -> Result<Vec<DeadEnd>> {
        let sql = "SELECT * FROM dead_ends WHERE host = ?1 AND expires_at > ?2 ORDER BY way";
        self.list_readable("dead_ends", sql, params![host, seconds(now)], |row| {
            Ok(DeadEnd {
                host: row.get("host")?,
                way: row.parsed("way")?,
                from_size: row.count("from_size")?,
                expires_at: row.time("expires_at")?,
            })
        })
    }
}
