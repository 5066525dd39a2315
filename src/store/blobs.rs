//! The table `blobs`: which file was proven to hold which content, and when.
//!
//! A memory of work done, for `verify` by age and for `adopt`; never trusted
//! over the disk.

use std::path::{Path, PathBuf};

use rusqlite::{Row, named_params, params};

use super::error::Result;
use super::open::Store;
use super::value::{Columns, integer, path_text, seconds};
use crate::domain::content::ContentId;
use crate::domain::time::Timestamp;

/// A file that was read whole and had the right hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    pub path: PathBuf,
    pub content: ContentId,
    pub size_bytes: u64,
    pub verified_at: Timestamp,
    pub first_seen_at: Timestamp,
}

impl Store {
    /// Writes down that a file has just been verified.
    ///
    /// A path that held other content before counts as seen for the first time.
    pub fn save_blob(
        &self,
        path: &Path,
        content: &ContentId,
        size_bytes: u64,
        now: Timestamp,
    ) -> Result<()> {
        let sql = "INSERT INTO blobs (path, content_id, size, verified_at, first_seen_at)
            VALUES (:path, :content_id, :size, :now, :now)
            ON CONFLICT (path) DO UPDATE SET content_id = excluded.content_id,
                size = excluded.size, verified_at = excluded.verified_at,
                first_seen_at = CASE WHEN content_id = excluded.content_id
                    THEN first_seen_at ELSE excluded.first_seen_at END";
        self.execute(
            sql,
            named_params! {
                ":path": path_text(path)?,
                ":content_id": content.to_string(),
                ":size": integer(size_bytes),
                ":now": seconds(now),
            },
        )?;
        Ok(())
    }

    pub fn blob(&self, path: &Path) -> Result<Option<Blob>> {
        let sql = "SELECT * FROM blobs WHERE path = ?1";
        self.find(sql, [path_text(path)?], read_blob)
    }

    /// Returns where a content lies, most recently verified first.
    pub fn blobs_with(&self, content: &ContentId) -> Result<Vec<Blob>> {
        let sql = "SELECT * FROM blobs WHERE content_id = ?1 ORDER BY verified_at DESC, path";
        self.list(sql, [content.to_string()], read_blob)
    }

    /// Returns files that were not verified since an instant, the oldest first.
    pub fn blobs_unverified_since(&self, since: Timestamp, limit: u32) -> Result<Vec<Blob>> {
        let sql = "SELECT * FROM blobs WHERE verified_at < ?1 ORDER BY verified_at LIMIT ?2";
        self.list(sql, params![seconds(since), limit], read_blob)
    }

    /// Returns when the file below a folder was verified that waits longest for it.
    pub fn oldest_verified_below(&self, folder: &Path) -> Result<Option<Timestamp>> {
        let mut first = path_text(folder)?.to_owned();
        first.push(std::path::MAIN_SEPARATOR);
        let mut end = first.clone();
        end.pop();
        // The character behind the separator ends the range of names below it.
        end.extend(char::from_u32(u32::from(std::path::MAIN_SEPARATOR) + 1));
        let sql = "SELECT min(verified_at) AS oldest FROM blobs WHERE path >= ?1 AND path < ?2";
        let oldest = self.find(sql, [first, end], |row| row.time_if_any("oldest"))?;
        Ok(oldest.flatten())
    }

    /// Forgets a file that is gone or different; tells whether it was known.
    pub fn forget_blob(&self, path: &Path) -> Result<bool> {
        let sql = "DELETE FROM blobs WHERE path = ?1";
        Ok(self.execute(sql, [path_text(path)?])? > 0)
    }
}

fn read_blob(row: &Row<'_>) -> rusqlite::Result<Blob> {
    Ok(Blob {
        path: row.get::<_, String>("path")?.into(),
        content: row.parsed("content_id")?,
        size_bytes: row.count("size")?,
        verified_at: row.time("verified_at")?,
        first_seen_at: row.time("first_seen_at")?,
    })
}
