//! The tables `places` and `model_caches`: which disk a place is on, and in
//! which cache each model was published.

use std::collections::BTreeMap;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use rusqlite::params;

use super::error::Result;
use super::open::Store;
use super::value::{Columns, path_text, seconds};
use crate::domain::model::{Destination, EntryName, ModelId};
use crate::domain::place::PlaceIdentity;
use crate::domain::repo::{CommitSha, Repo};
use crate::domain::time::Timestamp;

/// A registered model, and where it was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedModel {
    pub id: ModelId,
    pub name: EntryName,
    pub repo: Repo,
    pub destination: Destination,
    /// `None`: nothing has been published yet.
    pub commit: Option<CommitSha>,
    /// The cache that it was published in last, where that is known.
    pub cache: Option<PathBuf>,
}

impl Store {
    /// Returns all registered models with the places that they were published in.
    ///
    /// A row that cannot be read is passed over and named: one bad row must not
    /// keep the others from being looked at.
    pub fn published_models(&self) -> Result<Vec<PublishedModel>> {
        let sql = "SELECT models.id, name, repo_type, repo_id, destination, published_commit,
                model_caches.path AS cache
            FROM models LEFT JOIN model_caches ON model_id = models.id ORDER BY models.id";
        let rows: Vec<Option<PublishedModel>> = self.list(sql, [], |row| {
            let read = || -> rusqlite::Result<PublishedModel> {
                Ok(PublishedModel {
                    id: ModelId(row.get("id")?),
                    name: row.parsed("name")?,
                    repo: Repo::new(row.parsed("repo_type")?, row.parsed("repo_id")?),
                    destination: row.destination("destination")?,
                    commit: row.parsed_if_any("published_commit")?,
                    cache: row.path_if_any("cache")?,
                })
            };
            let model = read().inspect_err(|err| log::warn!("a model cannot be read: {err}"));
            Ok(model.ok())
        })?;
        Ok(rows.into_iter().flatten().collect())
    }

    /// Writes down in which cache a model is published now.
    pub fn save_model_cache(&self, id: ModelId, cache: &Path) -> Result<()> {
        let sql = "INSERT INTO model_caches (model_id, path) VALUES (?1, ?2)
            ON CONFLICT (model_id) DO UPDATE SET path = excluded.path";
        self.execute(sql, params![id.0, path_text(cache)?])?;
        Ok(())
    }

    /// Returns each place that is known, with what tells it from others.
    pub fn places(&self) -> Result<BTreeMap<PathBuf, PlaceIdentity>> {
        self.list(
            "SELECT path, mark, file_system FROM places",
            [],
            |row| -> rusqlite::Result<(PathBuf, PlaceIdentity)> {
                let path: String = row.get("path")?;
                let witness = PlaceIdentity {
                    mark: row.get("mark")?,
                    file_system: row.get("file_system")?,
                };
                Ok((path.into(), witness))
            },
        )
    }

    /// Writes down what tells a place from others.
    pub fn save_place(&self, path: &Path, witness: &PlaceIdentity, now: Timestamp) -> Result<()> {
        let sql = "INSERT INTO places (path, mark, file_system, seen_at) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT (path) DO UPDATE SET mark = excluded.mark,
                file_system = excluded.file_system, seen_at = excluded.seen_at";
        let PlaceIdentity { mark, file_system } = witness;
        self.execute(
            sql,
            params![path_text(path)?, mark, file_system, seconds(now)],
        )?;
        Ok(())
    }

    /// Returns some files below a folder that were proven once.
    pub fn some_proven_below(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let start = format!("{}{MAIN_SEPARATOR}", path_text(folder)?);
        // The highest character that there is: a range that the primary key serves.
        let end = format!("{start}\u{10ffff}");
        let sql = "SELECT path FROM blobs WHERE path > ?1 AND path < ?2 ORDER BY path LIMIT 8";
        self.list(sql, [start, end], |row| {
            Ok(PathBuf::from(row.get::<_, String>("path")?))
        })
    }
}
