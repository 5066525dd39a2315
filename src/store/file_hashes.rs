//! The table `file_hashes`: the SHA-256 of files that the Hub knows by their git blob id.
//!
//! Both hashes were computed in one read of the file, so that a row never grows old.

use rusqlite::params;

use super::error::Result;
use super::open::Store;
use crate::domain::content::{ContentId, parse_hex, render_hex};

impl Store {
    /// Returns the SHA-256 of a content, if it is known.
    pub fn sha256_of(&self, content: &ContentId) -> Result<Option<[u8; 32]>> {
        if let ContentId::Sha256(sha256) = content {
            return Ok(Some(*sha256));
        }
        let sql = "SELECT sha256 FROM file_hashes WHERE git_sha1 = ?1";
        let found: Option<String> = self.find(sql, [content.etag()], |row| row.nth(0))?;
        Ok(found.and_then(|hex| parse_hex(&hex)))
    }

    /// Remembers the SHA-256 of a content that the Hub knows by its git blob id.
    pub fn save_sha256(&self, content: &ContentId, sha256: &[u8; 32]) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO file_hashes (git_sha1, sha256) VALUES (?1, ?2)";
        self.execute(sql, params![content.etag(), render_hex(sha256)])?;
        Ok(())
    }
}
