//! The table `adopted`: files of other programs with their hashes. The disk has
//! the last word: a file with another stamp is not used, and each one is hashed
//! again when its bytes are taken.

use std::path::Path;

use rusqlite::named_params;

use super::blobs::range_below;
use super::error::Result;
use super::open::Store;
use super::row::Row;
use super::value::{integer, path_text, seconds};
use crate::domain::adopt::AdoptedFile;
use crate::domain::proof::ProofStamp;
use crate::domain::snapshot::Amount;
use crate::domain::time::Timestamp;

impl Store {
    pub fn save_adopted(&self, file: &AdoptedFile, now: Timestamp) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO adopted
                (path, size, modified_ns, inode, sha256, git_sha1, moves, adopted_at)
            VALUES (:path, :size, :modified_ns, :inode, :sha256, :git_sha1, :moves, :now)";
        self.execute(
            sql,
            named_params! {
                ":path": path_text(&file.path)?,
                ":size": integer(file.stamp.size_bytes),
                ":modified_ns": file.stamp.modified_ns,
                ":inode": file.stamp.inode.map(u64::cast_signed),
                ":sha256": file.sha256.to_string(),
                ":git_sha1": file.git_sha1.to_string(),
                ":moves": file.moves,
                ":now": seconds(now),
            },
        )?;
        Ok(())
    }

    /// Returns all adopted files by path.
    pub fn adopted_files(&self) -> Result<Vec<AdoptedFile>> {
        let sql = "SELECT * FROM adopted ORDER BY path";
        self.list_readable("adopted", sql, [], read_adopted)
    }

    pub fn adopted_amount(&self) -> Result<Amount> {
        let sql = "SELECT count(*) AS files, coalesce(sum(size), 0) AS bytes FROM adopted";
        let amount = self.find(sql, [], |row| {
            Ok(Amount {
                files: row.count("files")?,
                bytes: row.count("bytes")?,
            })
        })?;
        Ok(amount.unwrap_or_default())
    }

    /// Forgets a file, or all files below a folder. Returns their number.
    pub fn forget_adopted(&self, path: &Path) -> Result<usize> {
        let sql = "DELETE FROM adopted WHERE path = ?1 OR path > ?2 AND path < ?3";
        let [first, end] = range_below(path)?;
        self.execute(sql, [path_text(path)?, &first, &end])
    }
}

fn read_adopted(row: &Row<'_>) -> rusqlite::Result<AdoptedFile> {
    Ok(AdoptedFile {
        path: row.path("path")?,
        stamp: ProofStamp {
            size_bytes: row.count("size")?,
            modified_ns: row.get("modified_ns")?,
            inode: row.get::<Option<i64>>("inode")?.map(i64::cast_unsigned),
        },
        sha256: row.parsed("sha256")?,
        git_sha1: row.parsed("git_sha1")?,
        moves: row.get("moves")?,
    })
}
