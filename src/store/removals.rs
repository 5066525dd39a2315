//! The table `removals`: revisions and leftovers that runs removed to make room.

use rusqlite::params;

use super::error::Result;
use super::open::Store;
use super::value::integer;
use crate::domain::repo::Repo;
use crate::domain::retention::Removal;
use crate::domain::run::RunId;

impl Store {
    pub fn save_removal(&self, run: &RunId, removal: &Removal) -> Result<()> {
        let sql = "INSERT INTO removals (run_id, repo_type, repo_id, what, removed_id, size)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        self.execute(
            sql,
            params![
                run.as_str(),
                removal.repo.kind.as_str(),
                removal.repo.id.as_str(),
                removal.what.as_str(),
                removal.id,
                integer(removal.size_bytes),
            ],
        )?;
        Ok(())
    }

    /// Returns the removals of a run, in their order.
    pub fn removals(&self, run: &RunId) -> Result<Vec<Removal>> {
        let sql = "SELECT * FROM removals WHERE run_id = ?1 ORDER BY rowid";
        self.list(sql, [run.as_str()], |row| {
            Ok(Removal {
                repo: Repo::new(row.parsed("repo_type")?, row.parsed("repo_id")?),
                what: row.parsed("what")?,
                id: row.get("removed_id")?,
                size_bytes: row.count("size")?,
            })
        })
    }
}
