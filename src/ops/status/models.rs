//! The status of the models.

use std::cell::{Cell, OnceCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;

use crate::cache::CacheLayout;
use crate::domain::model::{Destination, EntryName, Model, ModelSpec, Tag};
use crate::domain::schedule::{Schedule, longest_gap, usable_zone};
use crate::domain::session::LastCheck;
use crate::domain::settings::Settings;
use crate::domain::shard::Shard;
use crate::domain::status::{ModelStatus, Status};
use crate::domain::time::Timestamp;
use crate::domain::units::Seconds;
use crate::ops::moved_refs::PublishedRef;
use crate::ops::places::Places;
use crate::ops::sizes::published_amount;
use crate::store::{ModelFilter, Store};

/// The number of refs that are read, and of listings. A home with more of them relies on the refs that
/// its runs have found elsewhere, because each one costs a read of the disk.
const MOST_REFS: u64 = 500;

/// Returns the status of each model that this home runs.
pub(super) fn models(
    store: &Store,
    schedules: &[Schedule],
    status: &Status,
    (settings, cache): (&Settings, &CacheLayout),
) -> Result<Vec<ModelStatus>> {
    let reader = ModelReader::new(store, schedules, status, (settings, cache))?;
    let mut known = Vec::new();
    store.map_checked_models(&ModelFilter::default(), status.now, |model, last| {
        if is_run_here(&status.shards, &model.spec) {
            known.push(reader.describe(&model, last.as_ref()));
        }
    })?;
    Ok(known)
}

/// Tells whether one of the shards of this home has a model.
fn is_run_here(shards: &[Shard], spec: &ModelSpec) -> bool {
    let mut all = shards.iter();
    shards.is_empty() || all.any(|one| one.holds(&spec.repo, &spec.revision))
}

/// Describes models by facts that are read once for all of them.
struct ModelReader<'a> {
    store: &'a Store,
    schedules: &'a [Schedule],
    status: &'a Status,
    settings: &'a Settings,
    cache: &'a CacheLayout,
    covered: LowestValues<'a, ()>,
    slots: LowestValues<'a, Timestamp>,
    /// Calendars take long to compute, and recent checks need none.
    ages: OnceCell<LowestValues<'a, Seconds>>,
    proofs: BTreeMap<PathBuf, Timestamp>,
    places: OnceCell<Arc<Places>>,
    reads_all_refs: bool,
    n_refs_read: Cell<u64>,
    n_listings_read: Cell<u64>,
}

impl<'a> ModelReader<'a> {
    fn new(
        store: &'a Store,
        schedules: &'a [Schedule],
        status: &'a Status,
        (settings, cache): (&'a Settings, &'a CacheLayout),
    ) -> Result<Self> {
        Ok(Self {
            store,
            schedules,
            status,
            settings,
            cache,
            covered: LowestValues::new(schedules, |_| Some(())),
            slots: LowestValues::new(schedules, |schedule| schedule.state.next_due_at),
            ages: OnceCell::new(),
            proofs: match settings.verify_every() {
                Some(_) => store.oldest_proofs_in_cache(Path::new(settings.cache_dir()))?,
                None => BTreeMap::new(),
            },
            places: OnceCell::new(),
            reads_all_refs: store.n_published_in_cache()? <= MOST_REFS,
            n_refs_read: Cell::new(0),
            n_listings_read: Cell::new(0),
        })
    }

    fn describe(&self, model: &Model, last: Option<&LastCheck>) -> ModelStatus {
        let (spec, now) = (&model.spec, self.status.now);
        let is_scheduled = self.covered.of(spec).is_some();
        let mut known = ModelStatus::new(model, last, is_scheduled, now);
        known.next_due = self.slots.of(spec).filter(|_| spec.enabled);
        known.verified_until = self.verified_until(model);
        // The last session of a held, orphaned or rolled back model has other sizes.
        if known.size_bytes.is_none() {
            known.size_bytes = self.size_by_listing(model, last);
        }
        if known.is_scheduled && known.checked_ago(now) > self.status.check_max_age {
            let ages = || planned_ages(self.schedules, now);
            known.planned_age = self.ages.get_or_init(ages).of(spec);
        }
        self.read_ref(model, &mut known);
        known
    }

    /// Returns when the oldest proof of a model's files is too old.
    fn verified_until(&self, model: &Model) -> Option<Timestamp> {
        let every = self.settings.verify_every();
        let every = every.filter(|_| model.state.published_commit.is_some())?;
        let oldest = match &model.spec.destination {
            Destination::Cache => {
                let folder = self.cache.repo(&model.spec.repo);
                self.proofs.get(folder.folder()).copied()
            }
            Destination::Directory(path) => self.store.oldest_verified_below(path).ok().flatten(),
        };
        oldest?.checked_add(every.span()).ok()
    }

    /// Returns the size of a model by its stored listing, for the first models of a long list.
    fn size_by_listing(&self, model: &Model, last: Option<&LastCheck>) -> Option<u64> {
        let n_read = self.n_listings_read.get();
        if model.state.published_commit.is_none() || n_read >= MOST_REFS {
            return None;
        }
        self.n_listings_read.set(n_read + 1);
        published_amount(self.cache, model, last).map(|amount| amount.bytes)
    }

    /// Reads the ref of a model, unless it is one of very many.
    fn read_ref(&self, model: &Model, known: &mut ModelStatus) {
        let n_read = self.n_refs_read.get();
        let is_read = self.reads_all_refs || model.state.moved_ref.is_some();
        if let Some(published) = PublishedRef::of_model(model)
            && is_read
            && model.spec.enabled
            && n_read < MOST_REFS
        {
            self.n_refs_read.set(n_read + 1);
            let places = || self.places();
            let moved = published.look_or_log(self.store, self.cache, places, self.status.now);
            known.moved_ref = moved.map(Box::new);
        }
    }

    fn places(&self) -> Result<Arc<Places>> {
        let loaded = match self.places.get() {
            Some(places) => places.clone(),
            None => Arc::new(Places::load(self.store, self.settings)?),
        };
        Ok(self.places.get_or_init(|| loaded).clone())
    }
}

/// Returns twice the longest gap of each schedule; of those that include a model, the one
/// that checks it most often counts.
fn planned_ages<'s>(schedules: &'s [Schedule], now: Timestamp) -> LowestValues<'s, Seconds> {
    // Schedules of one cadence have the same gaps, and a calendar takes long to compute.
    let mut known: BTreeMap<(&str, String, &str), Option<Seconds>> = BTreeMap::new();
    LowestValues::new(schedules, |schedule| {
        let spec = &schedule.spec;
        let kind = spec.cadence.kind().as_str();
        let calendar = (kind, spec.cadence.spec(), spec.time_zone.as_str());
        *known.entry(calendar).or_insert_with(|| {
            let zone = usable_zone(schedule).ok()?;
            let gap = longest_gap(spec, &schedule.state, &zone, now)?;
            Some(Seconds(gap.get().saturating_mul(2)))
        })
    })
}

/// The lowest value of the schedules that include a model, by their selections. Asking each
/// schedule about each of thousands of models takes too long.
struct LowestValues<'s, T> {
    of_all: Option<T>,
    of_models: BTreeMap<&'s EntryName, T>,
    of_tags: BTreeMap<&'s Tag, T>,
}

impl<'s, T: Copy + Ord> LowestValues<'s, T> {
    fn new(schedules: &'s [Schedule], mut value: impl FnMut(&'s Schedule) -> Option<T>) -> Self {
        let mut lowest = Self {
            of_all: None,
            of_models: BTreeMap::new(),
            of_tags: BTreeMap::new(),
        };
        let lower = |known: &mut T, value: T| *known = value.min(*known);
        for schedule in schedules {
            let selection = &schedule.spec.selection;
            let Some(value) = value(schedule) else {
                continue;
            };
            if selection.all {
                lowest.of_all = lowest.of_all.into_iter().chain([value]).min();
            }
            for name in &selection.models {
                lower(lowest.of_models.entry(name).or_insert(value), value);
            }
            for tag in &selection.tags {
                lower(lowest.of_tags.entry(tag).or_insert(value), value);
            }
        }
        lowest
    }

    fn of(&self, model: &ModelSpec) -> Option<T> {
        let tags = model.tags.iter().filter_map(|tag| self.of_tags.get(tag));
        let named = self.of_models.get(&model.name).into_iter();
        self.of_all.iter().chain(named).chain(tags).min().copied()
    }
}
