//! The tables of scrubs: the last result of each shard, files that were read in part,
//! and bad bytes that are kept.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rusqlite::{named_params, params};

use super::error::Result;
use super::open::Store;
use super::row::Row;
use super::shards::read_shard;
use super::value::{integer, path_text, seconds};
use crate::domain::proof::ProofStamp;
use crate::domain::scrub::{Scrub, ScrubPosition};
use crate::domain::shard::Shard;
use crate::domain::time::Timestamp;

impl Store {
    /// Returns the last scrub of each shard.
    pub fn scrubs(&self) -> Result<Vec<(Shard, Scrub)>> {
        let sql = "SELECT * FROM scrubs";
        self.list_readable("scrubs", sql, [], |row| {
            Ok((read_shard(row)?, read_scrub(row)?))
        })
    }

    pub fn save_scrub(&self, shard: Shard, scrub: &Scrub) -> Result<()> {
        let values = named_params! {
            "number": shard.index(),
            "n_shards": shard.count(),
            "ended_at": seconds(scrub.ended_at),
            "next_at": scrub.next_at.map(seconds),
            "files": integer(scrub.n_files),
            "bytes": integer(scrub.n_bytes),
            "bytes_read": integer(scrub.bytes_read),
            "bytes_behind": integer(scrub.bytes_behind),
            "models_unlisted": integer(scrub.n_unlisted),
            "oldest_at": scrub.oldest_at.map(seconds),
        };
        self.upsert("scrubs", &["n_shards", "number"], values)
    }

    /// Tells whether a proof is dated outside of two dates, or a file is known to be
    /// bad. Indices answer it without reading the table.
    pub fn has_file_to_scrub(&self, (from, to): (Timestamp, Timestamp)) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM blobs WHERE verified_at < ?1)
                OR EXISTS (SELECT 1 FROM blobs WHERE verified_at > ?2)
                OR EXISTS (SELECT 1 FROM bad_files)";
        let params = params![seconds(from), seconds(to)];
        Ok(self.find(sql, params, |row| row.nth(0))?.unwrap_or(false))
    }

    /// Returns the files that were read in part.
    pub fn scrub_positions(&self) -> Result<HashMap<PathBuf, ScrubPosition>> {
        let sql = "SELECT * FROM scrub_positions";
        self.list_readable("scrub_positions", sql, [], |row| {
            let position = ScrubPosition {
                content: row.parsed("content_id")?,
                stamp: ProofStamp {
                    size_bytes: row.count("size")?,
                    modified_ns: row.get("modified_ns")?,
                    inode: row.get::<Option<i64>>("inode")?.map(i64::cast_unsigned),
                },
                position: row.count("position")?,
                state: row.get("state")?,
                begun_at: row.time("begun_at")?,
            };
            Ok((row.path("path")?, position))
        })
    }

    pub fn save_scrub_position(&self, path: &Path, position: &ScrubPosition) -> Result<()> {
        let values = named_params! {
            "path": path_text(path)?,
            "content_id": position.content.to_string(),
            "size": integer(position.stamp.size_bytes),
            "modified_ns": position.stamp.modified_ns,
            "inode": position.stamp.inode.map(u64::cast_signed),
            "position": integer(position.position),
            "state": position.state,
            "begun_at": seconds(position.begun_at),
        };
        self.upsert("scrub_positions", &["path"], values)
    }

    pub fn forget_scrub_position(&self, path: &Path) -> Result<()> {
        self.execute(
            "DELETE FROM scrub_positions WHERE path = ?1",
            [path_text(path)?],
        )?;
        Ok(())
    }

    /// Records that bad bytes are kept at a path.
    pub fn save_evidence(&self, path: &Path, now: Timestamp) -> Result<()> {
        let values = named_params! { "path": path_text(path)?, "kept_at": seconds(now) };
        self.upsert("evidence", &["path"], values)
    }

    /// Returns the paths of bad bytes that were kept before a date.
    pub fn evidence_before(&self, date: Timestamp) -> Result<Vec<PathBuf>> {
        let sql = "SELECT path FROM evidence WHERE kept_at < ?1";
        self.list_readable("evidence", sql, [seconds(date)], |row| row.path("path"))
    }

    pub fn forget_evidence(&self, path: &Path) -> Result<()> {
        self.execute("DELETE FROM evidence WHERE path = ?1", [path_text(path)?])?;
        Ok(())
    }
}

fn read_scrub(row: &Row<'_>) -> rusqlite::Result<Scrub> {
    Ok(Scrub {
        ended_at: row.time("ended_at")?,
        next_at: row.time_if_any("next_at")?,
        n_files: row.count("files")?,
        n_bytes: row.count("bytes")?,
        bytes_read: row.count("bytes_read")?,
        bytes_behind: row.count("bytes_behind")?,
        n_unlisted: row.count("models_unlisted")?,
        oldest_at: row.time_if_any("oldest_at")?,
    })
}
