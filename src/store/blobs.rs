//! The tables `blobs` and `bad_files`: files whose content was proven by their
//! hash, and files whose hash was wrong.
//!
//! Proofs serve `verify` by age and `adopt`; the disk always has the last word.
//! Bad files must be recorded, because their size is right and only a whole read
//! shows the damage.

use std::collections::BTreeMap;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use rusqlite::{named_params, params};

use super::error::Result;
use super::open::Store;
use super::row::Row;
use super::value::{integer, path_text, seconds};
use crate::domain::content::ContentId;
use crate::domain::proof::{Proof, ProofStamp};
use crate::domain::time::Timestamp;

/// A file that was read as a whole and had the right hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    pub path: PathBuf,
    pub content: ContentId,
    pub size_bytes: u64,
    pub verified_at: Timestamp,
    pub first_seen_at: Timestamp,
}

impl Store {
    /// Records that a file has just been verified, with its stamp at that time.
    ///
    /// A path with new content counts as seen for the first time. An entry in
    /// `bad_files` is removed.
    pub fn save_blob(
        &self,
        path: &Path,
        content: &ContentId,
        stamp: &ProofStamp,
        now: Timestamp,
    ) -> Result<()> {
        let sql = "INSERT INTO blobs (path, content_id, size, modified_ns, inode, verified_at,
                first_seen_at)
            VALUES (:path, :content_id, :size, :modified_ns, :inode, :now, :now)
            ON CONFLICT (path) DO UPDATE SET content_id = excluded.content_id,
                size = excluded.size, modified_ns = excluded.modified_ns,
                inode = excluded.inode, verified_at = excluded.verified_at,
                first_seen_at = CASE WHEN content_id = excluded.content_id
                    THEN first_seen_at ELSE excluded.first_seen_at END";
        self.transaction(|store| {
            store.execute(
                sql,
                named_params! {
                    ":path": path_text(path)?,
                    ":content_id": content.to_string(),
                    ":size": integer(stamp.size_bytes),
                    ":modified_ns": stamp.modified_ns,
                    ":inode": stamp.inode.map(u64::cast_signed),
                    ":now": seconds(now),
                },
            )?;
            store.forget_bad_file(path)?;
            Ok(())
        })
    }

    pub fn blob(&self, path: &Path) -> Result<Option<Blob>> {
        let sql = "SELECT * FROM blobs WHERE path = ?1";
        self.find_readable("blobs", sql, [path_text(path)?], read_blob)
    }

    /// Copies the proof of a file to another name of it, with the time of the
    /// verification. An entry in `bad_files` is removed.
    pub fn copy_proof(&self, from: &Path, to: &Path) -> Result<()> {
        let sql = "INSERT INTO blobs (path, content_id, size, modified_ns, inode, verified_at,
                first_seen_at)
            SELECT ?2, content_id, size, modified_ns, inode, verified_at, first_seen_at
            FROM blobs WHERE path = ?1
            ON CONFLICT (path) DO UPDATE SET content_id = excluded.content_id,
                size = excluded.size, modified_ns = excluded.modified_ns,
                inode = excluded.inode, verified_at = excluded.verified_at";
        self.transaction(|store| {
            store.execute(sql, [path_text(from)?, path_text(to)?])?;
            store.forget_bad_file(to)?;
            Ok(())
        })
    }

    /// Returns the stored proof of a file, which may have changed since.
    pub fn proof(&self, path: &Path) -> Result<Option<Proof>> {
        let sql = "SELECT * FROM blobs WHERE path = ?1";
        self.find_readable("blobs", sql, [path_text(path)?], |row| {
            Ok(Proof {
                content: row.parsed("content_id")?,
                size_bytes: row.count("size")?,
                modified_ns: row.get("modified_ns")?,
                inode: row.get::<Option<i64>>("inode")?.map(i64::cast_unsigned),
                verified_at: row.time("verified_at")?,
            })
        })
    }

    /// Returns the time of the oldest verification of a file below a folder.
    pub fn oldest_verified_below(&self, folder: &Path) -> Result<Option<Timestamp>> {
        let sql = "SELECT min(verified_at) AS oldest FROM blobs WHERE path > ?1 AND path < ?2";
        let read = |row: &Row<'_>| row.time_if_any("oldest");
        let oldest = self.find_readable("blobs", sql, range_below(folder)?, read)?;
        Ok(oldest.flatten())
    }

    /// Returns the time of the oldest verification for each folder of the cache.
    pub fn oldest_proofs_in_cache(&self, cache: &Path) -> Result<BTreeMap<PathBuf, Timestamp>> {
        let sql = "SELECT substr(path, 1, length(?1) + instr(substr(path, length(?1) + 1), ?3) - 1)
                AS folder, min(verified_at) AS oldest
            FROM blobs WHERE path > ?1 AND path < ?2 GROUP BY folder";
        let [from, to] = range_below(cache)?;
        let separator = std::path::MAIN_SEPARATOR.to_string();
        self.list_readable("blobs", sql, [from, to, separator], |row| {
            Ok((row.path("folder")?, row.time("oldest")?))
        })
    }

    /// Records that a file was read as a whole and had a wrong hash, under each of its
    /// names. Returns false if this was known.
    pub fn save_bad_file(
        &self,
        names: &[PathBuf],
        content: &ContentId,
        now: Timestamp,
    ) -> Result<bool> {
        let sql = "INSERT INTO bad_files (path, content_id, found_at) VALUES (?1, ?2, ?3)
            ON CONFLICT (path) DO UPDATE SET content_id = excluded.content_id,
                found_at = excluded.found_at WHERE content_id <> excluded.content_id";
        self.transaction(|store| {
            let mut is_new = false;
            for path in names {
                store.forget_blob(path)?;
                let params = params![path_text(path)?, content.to_string(), seconds(now)];
                is_new |= store.execute(sql, params)? > 0;
            }
            Ok(is_new)
        })
    }

    /// Returns the bad files with their expected contents.
    pub fn bad_files(&self) -> Result<BTreeMap<PathBuf, ContentId>> {
        let sql = "SELECT path, content_id FROM bad_files";
        self.list_readable("bad_files", sql, [], |row| {
            Ok((row.path("path")?, row.parsed("content_id")?))
        })
    }

    /// Tells whether a file is on record as bad bytes of a content.
    pub fn is_bad_file(&self, path: &Path, content: &ContentId) -> Result<bool> {
        let sql = "SELECT 1 FROM bad_files WHERE path = ?1 AND content_id = ?2";
        let params = params![path_text(path)?, content.to_string()];
        Ok(self.find(sql, params, |_| Ok(()))?.is_some())
    }

    /// Removes a file from the bad files. Returns whether it was one.
    pub fn forget_bad_file(&self, path: &Path) -> Result<bool> {
        let sql = "DELETE FROM bad_files WHERE path = ?1";
        Ok(self.execute(sql, [path_text(path)?])? > 0)
    }

    /// Removes the proofs and the bad files of a folder that is gone.
    pub fn forget_files_below(&self, folder: &Path) -> Result<()> {
        let [from, to] = range_below(folder)?;
        for table in ["blobs", "bad_files"] {
            let sql = format!("DELETE FROM {table} WHERE path > ?1 AND path < ?2");
            self.execute(&sql, [&from, &to])?;
        }
        Ok(())
    }

    /// Removes the proof of a file that is gone or different. Returns whether
    /// there was one.
    pub fn forget_blob(&self, path: &Path) -> Result<bool> {
        let sql = "DELETE FROM blobs WHERE path = ?1";
        Ok(self.execute(sql, [path_text(path)?])? > 0)
    }
}

/// Returns the bounds of all paths below a folder: a range that uses the primary key.
pub(super) fn range_below(folder: &Path) -> Result<[String; 2]> {
    let first = format!("{}{MAIN_SEPARATOR}", path_text(folder)?);
    // The last character of Unicode ends the range.
    let end = format!("{first}\u{10ffff}");
    Ok([first, end])
}

fn read_blob(row: &Row<'_>) -> rusqlite::Result<Blob> {
    Ok(Blob {
        path: row.path("path")?,
        content: row.parsed("content_id")?,
        size_bytes: row.count("size")?,
        verified_at: row.time("verified_at")?,
        first_seen_at: row.time("first_seen_at")?,
    })
}
