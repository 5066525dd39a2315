//! The places (caches and directories) that models are published in: recognised, or
//! refused.
//!
//! Every command that reads or writes a place checks it here first. A place other than
//! the recorded one may be an unmounted disk: nothing is created below it, and nothing
//! is concluded from its emptiness, until a person confirms it by `hfdl doctor --fix` or
//! `--new-place`.
//!
//! Only places of registered models are recorded. An unregistered repository may go to
//! any cache.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use thiserror::Error;

use crate::cache::{CacheLayout, LocalDir, ensure_mark, read_mark};
use crate::domain::model::{Destination, EntryName, ModelId};
use crate::domain::outcome::ErrorKind;
use crate::domain::place::{PlaceIdentity, PlaceMismatch, PublishedContent, find_mismatch};
use crate::domain::session::SessionProgress;
use crate::domain::settings::{SettingKey, Settings};
use crate::domain::time::Timestamp;
use crate::store::{PublishedModel, Store};
use crate::sys::disk::file_system_at;
use crate::sys::paths::resolved;

/// The reason why a place must not be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlaceError {
    #[error("`{}` is not the place that models were published in: {}", .path.display(), .doubt.as_str())]
    Doubtful { path: PathBuf, doubt: PlaceMismatch },
    #[error("`{model}` is published in `{}`, and this run would use `{}` ({origin})", .published.display(), .now.display())]
    Elsewhere {
        model: EntryName,
        published: PathBuf,
        now: PathBuf,
        /// The origin of the setting for the cache of this run.
        origin: String,
    },
}

impl PlaceError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Doubtful { .. } => ErrorKind::Disk,
            Self::Elsewhere { .. } => ErrorKind::Config,
        }
    }

    pub fn hint(&self) -> String {
        match self {
            Self::Doubtful { .. } => {
                "mount its disk and try again; if it was emptied or replaced on \
                purpose, `hfdl doctor --fix` or `hfdl run-due --new-place` begins anew there"
                    .to_owned()
            }
            Self::Elsewhere { published, .. } => format!(
                "`hfdl config set cache.dir '{}'` and no variable keep it there; \
                 `hfdl run-due --new-place` fetches everything into the other cache",
                published.display()
            ),
        }
    }
}

/// The places of a home with the models published in them, read once for a run.
#[derive(Clone, Debug, Default)]
pub struct Places {
    cache: PathBuf,
    cache_origin: String,
    known: BTreeMap<PathBuf, PlaceIdentity>,
    /// Ordered by id.
    models: Vec<PublishedModel>,
    /// A few proven files of each directory, to recognise it without hfdl's records.
    proven: BTreeMap<PathBuf, Vec<PathBuf>>,
}

/// A place with the facts that `doctor` reports.
#[derive(Debug)]
pub struct Examined {
    pub path: PathBuf,
    pub destination: Destination,
    /// Models that were published there or are to be.
    pub models: Vec<ModelId>,
    pub file_system: Option<String>,
    pub mark: Option<String>,
    pub result: Result<(), PlaceError>,
}

impl Places {
    pub fn load(store: &Store, settings: &Settings) -> Result<Self> {
        let origin = settings.get(SettingKey::CacheDir);
        let mut places = Self {
            cache: settings.cache_dir().into(),
            cache_origin: origin.map_or_else(String::new, |(_, origin)| origin.to_string()),
            known: store.places()?,
            models: store.published_models()?,
            proven: BTreeMap::new(),
        };
        for model in &places.models {
            if let Destination::Directory(root) = &model.destination
                && model.commit.is_some()
            {
                // The disk is not read here: a disk that hangs must not delay the others.
                let files = store.some_proven_below(root)?;
                places.proven.insert(root.clone(), files);
            }
        }
        Ok(places)
    }

    /// Refuses a destination whose place has changed.
    ///
    /// For a registered model it also refuses a cache other than that of the published
    /// revision, because everything would be fetched again there.
    pub fn check(
        &self,
        destination: &Destination,
        model: Option<ModelId>,
    ) -> Result<(), PlaceError> {
        if let Some(model) = model.and_then(|id| self.model(id))
            && *destination == Destination::Cache
            && model.commit.is_some()
            && let Some(published) = &model.cache
            && !self.is_cache(published)
        {
            return Err(PlaceError::Elsewhere {
                model: model.name.clone(),
                published: published.clone(),
                now: self.cache.clone(),
                origin: self.cache_origin.clone(),
            });
        }
        let root = self.root(destination);
        let is_used = |model: &PublishedModel| model.destination == *destination;
        // A record counts as long as a registered model uses the place.
        let known = self.known.get(root);
        let known = known.filter(|_| self.models.iter().any(is_used));
        let doubt =
            find_mismatch(
                known,
                &self.witness(destination),
                root.is_dir(),
                || match destination {
                    Destination::Cache => self.content_of_cache(model.is_some()),
                    Destination::Directory(root) => self.content_of_directory(root),
                },
            );
        match doubt {
            None => Ok(()),
            Some(doubt) => Err(PlaceError::Doubtful {
                path: root.to_path_buf(),
                doubt,
            }),
        }
    }

    /// Records the identity of a place, and the cache of a model that was published in it.
    pub fn remember(
        &self,
        store: &Store,
        destination: &Destination,
        published: Option<ModelId>,
        now: Timestamp,
    ) -> Result<()> {
        let root = self.root(destination);
        if !root.is_dir() {
            return Ok(());
        }
        if let Err(err) = ensure_mark(root, destination) {
            // A read-only cache has no mark; the file system identifies it.
            log::debug!("no mark in `{}`: {err:#}", root.display());
        }
        let mut witness = self.witness(destination);
        let known = self.known.get(root);
        if witness.mark.is_none() {
            // Keep a mark that cannot be read or written now.
            witness.mark = known.and_then(|known| known.mark.clone());
        }
        if known != Some(&witness) {
            store.save_place(root, &witness, now)?;
        }
        if let Some(id) = published.filter(|_| *destination == Destination::Cache)
            && self.model(id).and_then(|model| model.cache.as_deref()) != Some(root)
        {
            store.save_model_cache(id, root)?;
        }
        Ok(())
    }

    /// Records the place at the end of a registered model's sync.
    pub fn remember_end(
        &self,
        store: &Store,
        destination: &Destination,
        model: ModelId,
        progress: &SessionProgress,
        now: Timestamp,
    ) -> Result<()> {
        let published = progress.path.as_ref().map(|_| model);
        if published.is_none() && progress.bytes.fetched == 0 {
            return Ok(());
        }
        self.remember(store, destination, published, now)
    }

    /// Checks each place of the registered models.
    pub fn examine(&self) -> Vec<Examined> {
        let destinations: BTreeMap<&Path, &Destination> = self
            .models
            .iter()
            .map(|model| (self.root(&model.destination), &model.destination))
            .collect();
        let examine = |(path, destination): (&Path, &Destination)| {
            let users = || {
                let models = self.models.iter();
                models.filter(|model| model.destination == *destination)
            };
            let checked = users().map(|model| self.check(destination, Some(model.id)));
            let PlaceIdentity { mark, file_system } = self.witness(destination);
            Examined {
                path: path.to_path_buf(),
                destination: destination.clone(),
                models: users().map(|model| model.id).collect(),
                file_system,
                mark,
                result: checked.collect(),
            }
        };
        destinations.into_iter().map(examine).collect()
    }

    fn root<'a>(&'a self, destination: &'a Destination) -> &'a Path {
        match destination {
            Destination::Cache => &self.cache,
            Destination::Directory(root) => root,
        }
    }

    fn model(&self, id: ModelId) -> Option<&PublishedModel> {
        let found = self.models.binary_search_by_key(&id, |model| model.id);
        found.ok().map(|at| &self.models[at])
    }

    fn witness(&self, destination: &Destination) -> PlaceIdentity {
        let root = self.root(destination);
        let mark = read_mark(root, destination).unwrap_or_else(|err| {
            log::debug!("{err:#}");
            None
        });
        PlaceIdentity {
            mark,
            file_system: file_system_at(root),
        }
    }

    /// Tells whether a path is the cache of this run: by the path, by its links, or by
    /// the mark of a disk that is now mounted elsewhere.
    fn is_cache(&self, path: &Path) -> bool {
        let has_its_mark = || {
            let known = self.known.get(path).and_then(|known| known.mark.as_ref());
            known.is_some() && known == self.witness(&Destination::Cache).mark.as_ref()
        };
        path == self.cache || resolved(path) == resolved(&self.cache) || has_its_mark()
    }

    /// Looks for published models in the cache. A model of an older version, whose
    /// cache is not recorded, counts for a registered model only.
    fn content_of_cache(&self, is_registered: bool) -> PublishedContent {
        let layout = CacheLayout::new(&self.cache);
        let models = self
            .models
            .iter()
            .filter(|model| model.destination == Destination::Cache);
        let here = models.filter(|model| match &model.cache {
            Some(cache) => self.is_cache(cache),
            None => is_registered,
        });
        let snapshots: BTreeSet<PathBuf> = here
            .filter_map(|model| {
                let commit = model.commit.as_ref()?;
                Some(layout.repo(&model.repo).snapshot(commit))
            })
            .collect();
        amount(&snapshots, |path| path.is_dir())
    }

    fn content_of_directory(&self, root: &Path) -> PublishedContent {
        let is_published = |model: &PublishedModel| {
            model.commit.is_some()
                && matches!(&model.destination, Destination::Directory(path) if path == root)
        };
        if !self.models.iter().any(is_published) {
            return PublishedContent::NothingExpected;
        }
        // An older version wrote records without the mark.
        if root.join(LocalDir::RECORDS).is_dir() {
            return PublishedContent::All;
        }
        match self.proven.get(root) {
            Some(files) if !files.is_empty() => amount(files, |path| path.is_file()),
            _ => PublishedContent::None,
        }
    }
}

fn amount<'a>(
    paths: impl IntoIterator<Item = &'a PathBuf>,
    is_there: impl Fn(&Path) -> bool,
) -> PublishedContent {
    let (mut n_there, mut n_missing) = (0_usize, 0_usize);
    for path in paths {
        if is_there(path) {
            n_there += 1
        } else {
            n_missing += 1
        }
    }
    match (n_there, n_missing) {
        (0, 0) => PublishedContent::NothingExpected,
        (_, 0) => PublishedContent::All,
        (0, _) => PublishedContent::None,
        _ => PublishedContent::Some,
    }
}

/// Confirms the places as they are now, and creates missing ones; returns the errors
/// that are resolved by it. `only` selects destinations; `None` selects all.
pub fn confirm(
    store: &Store,
    settings: &Settings,
    only: Option<&BTreeSet<Destination>>,
    now: Timestamp,
) -> Result<Vec<PlaceError>> {
    let places = Places::load(store, settings)?;
    let mut confirmed = Vec::new();
    for place in places.examine() {
        if only.is_some_and(|only| !only.contains(&place.destination)) {
            continue;
        }
        let Err(error) = place.result else {
            continue;
        };
        let path = &place.path;
        std::fs::create_dir_all(path)
            .with_context(|| format!("cannot create `{}`", path.display()))?;
        let witness = PlaceIdentity {
            mark: Some(ensure_mark(path, &place.destination)?),
            file_system: file_system_at(path),
        };
        store.transaction(|store| -> Result<()> {
            store.save_place(path, &witness, now)?;
            if place.destination == Destination::Cache {
                for id in &place.models {
                    store.save_model_cache(*id, path)?;
                }
            }
            Ok(())
        })?;
        log::info!("`{}` is confirmed as a new place", path.display());
        confirmed.push(error);
    }
    Ok(confirmed)
}
