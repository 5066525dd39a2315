//! The tables `blobs` and `bad_files`: which file was proven to hold which
//! content and when, and which file was found to hold something else.
//!
//! A memory of work done, for `verify` by age and for `adopt`; never trusted
//! over the disk. Rot must be remembered, because the disk does not tell of it:
//! the size is right, and only a whole read shows the rest.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::{Row, named_params, params};

use super::error::Result;
use super::open::Store;
use super::value::{Columns, integer, path_text, seconds};
use crate::domain::content::ContentId;
use crate::domain::proof::{FileStamp, Proof};
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
    /// Writes down that a file has just been verified, and its stamp then.
    ///
    /// A path that held other content before counts as seen for the first time.
    /// What was held against the file before is forgotten.
    pub fn save_blob(
        &self,
        path: &Path,
        content: &ContentId,
        stamp: &FileStamp,
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
        self.find(sql, [path_text(path)?], read_blob)
    }

    /// Gives the proof of a file to another name of it, with the time when it was
    /// verified. The file behind that name is no longer held to be bad.
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

    /// Returns the proof that is kept for a file, whatever has become of it.
    pub fn proof(&self, path: &Path) -> Result<Option<Proof>> {
        let sql = "SELECT content_id, size, modified_ns, inode, verified_at FROM blobs
            WHERE path = ?1";
        self.find(sql, [path_text(path)?], |row| {
            Ok(Proof {
                content: row.parsed("content_id")?,
                size_bytes: row.count("size")?,
                modified_ns: row.get("modified_ns")?,
                inode: row.get::<_, Option<i64>>("inode")?.map(i64::cast_unsigned),
                verified_at: row.time("verified_at")?,
            })
        })
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

    /// Writes down that a file was read whole and does not hold the content that
    /// it should; tells whether that is news.
    pub fn save_bad_file(&self, path: &Path, content: &ContentId, now: Timestamp) -> Result<bool> {
        let sql = "INSERT INTO bad_files (path, content_id, found_at) VALUES (?1, ?2, ?3)
            ON CONFLICT (path) DO UPDATE SET content_id = excluded.content_id,
                found_at = excluded.found_at WHERE content_id <> excluded.content_id";
        self.transaction(|store| {
            store.forget_blob(path)?;
            let params = params![path_text(path)?, content.to_string(), seconds(now)];
            Ok(store.execute(sql, params)? > 0)
        })
    }

    /// Returns the files that were found bad, with the contents that they should hold.
    pub fn bad_files(&self) -> Result<BTreeMap<PathBuf, ContentId>> {
        let sql = "SELECT path, content_id FROM bad_files";
        let rows: Vec<(PathBuf, ContentId)> = self.list_readable("bad_files", sql, [], |row| {
            let path = PathBuf::from(row.get::<_, String>("path")?);
            Ok((path, row.parsed("content_id")?))
        })?;
        Ok(rows.into_iter().collect())
    }

    /// Forgets what was held against a file; tells whether there was anything.
    pub fn forget_bad_file(&self, path: &Path) -> Result<bool> {
        let sql = "DELETE FROM bad_files WHERE path = ?1";
        Ok(self.execute(sql, [path_text(path)?])? > 0)
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
