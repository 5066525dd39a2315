//! The table `rate_limits`: the quotas that the Hub has announced.

use rusqlite::named_params;

use super::error::Result;
use super::open::Store;
use super::value::{integer, seconds};
use crate::domain::retry::longest_wait;
use crate::domain::time::{Timestamp, believed_wait};

/// One quota of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    pub endpoint: String,
    /// The endpoint's name of the quota, such as `api` or `resolvers`.
    pub bucket: String,
    pub remaining: u64,
    pub resets_at: Timestamp,
}

impl Store {
    pub fn save_rate_limit(&self, limit: &RateLimit) -> Result<()> {
        let values = named_params! {
            "endpoint": limit.endpoint,
            "bucket": limit.bucket,
            "remaining": integer(limit.remaining),
            "resets_at": seconds(limit.resets_at),
        };
        self.upsert("rate_limits", &["endpoint", "bucket"], values)
    }

    /// Returns the quotas of all endpoints that are not reset yet.
    ///
    /// A reset time beyond the longest wait that a server may ask for is ignored: the
    /// clock was ahead, or an older version stored an arbitrary value.
    pub fn rate_limits(&self, now: Timestamp) -> Result<Vec<RateLimit>> {
        let sql = "SELECT * FROM rate_limits WHERE resets_at > ?1 ORDER BY endpoint, bucket";
        let mut limits: Vec<RateLimit> =
            self.list_readable("rate_limits", sql, [seconds(now)], |row| {
                Ok(RateLimit {
                    endpoint: row.get("endpoint")?,
                    bucket: row.get("bucket")?,
                    remaining: row.count("remaining")?,
                    resets_at: row.time("resets_at")?,
                })
            })?;
        limits.retain(|limit| {
            let longest = longest_wait(&limit.bucket);
            believed_wait(limit.resets_at, now, longest).is_some()
        });
        Ok(limits)
    }
}
