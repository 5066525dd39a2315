//! The tables `places` and `model_caches`: the disk of each place, and the cache
//! in which each model was published.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::named_params;

use super::blobs::range_below;
use super::error::Result;
use super::open::Store;
use super::value::{path_text, seconds};
use crate::domain::model::{Destination, EntryName, ModelId};
use crate::domain::place::PlaceIdentity;
use crate::domain::repo::{CommitSha, Repo};
use crate::domain::time::Timestamp;

/// A registered model with the place in which it was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedModel {
    pub id: ModelId,
    pub name: EntryName,
    pub repo: Repo,
    pub destination: Destination,
    /// `None` before the first publication.
    pub commit: Option<CommitSha>,
    /// The cache of the last publication, if known.
    pub cache: Option<PathBuf>,
}

impl Store {
    /// Returns all registered models with the places in which they were published.
    pub fn published_models(&self) -> Result<Vec<PublishedModel>> {
        let sql = "SELECT models.id, name, repo_type, repo_id, destination, published_commit,
                model_caches.path AS cache
            FROM models LEFT JOIN model_caches ON model_id = models.id ORDER BY models.id";
        self.list_readable("models", sql, [], |row| {
            Ok(PublishedModel {
                id: ModelId(row.get("id")?),
                name: row.parsed("name")?,
                repo: Repo::new(row.parsed("repo_type")?, row.parsed("repo_id")?),
                destination: row.destination("destination")?,
                commit: row.parsed_if_any("published_commit")?,
                cache: row.path_if_any("cache")?,
            })
        })
    }

    /// Records the cache in which a model is published now.
    pub fn save_model_cache(&self, id: ModelId, cache: &Path) -> Result<()> {
        let values = named_params! { "model_id": id.0, "path": path_text(cache)? };
        self.upsert("model_caches", &["model_id"], values)
    }

    /// Returns the identity of each known place.
    pub fn places(&self) -> Result<BTreeMap<PathBuf, PlaceIdentity>> {
        self.list("SELECT * FROM places", [], |row| {
            let identity = PlaceIdentity {
                mark: row.get("mark")?,
                file_system: row.get("file_system")?,
            };
            Ok((row.path("path")?, identity))
        })
    }

    /// Records the identity of a place.
    pub fn save_place(&self, path: &Path, identity: &PlaceIdentity, now: Timestamp) -> Result<()> {
        let values = named_params! {
            "path": path_text(path)?,
            "mark": identity.mark,
            "file_system": identity.file_system,
            "seen_at": seconds(now),
        };
        self.upsert("places", &["path"], values)
    }

    /// Returns up to eight proven files below a folder.
    pub fn some_proven_below(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let sql = "SELECT path FROM blobs WHERE path > ?1 AND path < ?2 ORDER BY path LIMIT 8";
        self.list(sql, range_below(folder)?, |row| row.path("path"))
    }
}
