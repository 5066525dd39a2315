//! Gathers the facts of `hfdl status`; changes nothing.

use std::cell::{LazyCell, OnceCell};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Error, Result};

use super::allowances::all_in_force;
use super::diagnose::diagnose;
use super::forecast::{ForecastPlace, ReadySchedule, forecast_models};
use super::login::logins_in_use;
use super::moved_refs::PublishedRef;
use super::next_due::{empty_schedules, next_due};
use super::ownership;
use super::pause::pause_in_force;
use super::places::Places;
use super::rate_limits::exhausted_until;
use super::retention::{cache_use, only_copies};
use super::schedules::{impossible, next_start};
use super::shards::show_as_run_here;
use super::sizes::published_amount;
use super::ticks::{Ticks, false_future, last_ticks};
use crate::cache::CacheLayout;
use crate::domain::model::{Destination, EntryName, Model, ModelSpec, ModelSummary, Tag};
use crate::domain::run::{Event, EventKind, Run};
use crate::domain::schedule::{Schedule, longest_gap, usable_zone};
use crate::domain::scrub::ScrubState;
use crate::domain::settings::Settings;
use crate::domain::shard::Shard;
use crate::domain::status::{
    DatabaseTrouble, DiskFacts, DiskUse, ModelStatus, RunInProgress, Status, TimerFacts,
};
use crate::domain::time::Timestamp;
use crate::domain::units::{ByteSize, Seconds};
use crate::hub::Endpoint;
use crate::store::{ModelFilter, RunFilter, SessionFilter, Store};
use crate::sys::disk::space_at;
use crate::sys::fs::replace_private_file_with;
use crate::sys::host::Host;
use crate::sys::lock::FileLock;
use crate::sys::paths::Home;

/// The number of missed slots that are shown.
const MOST_MISSED_SLOTS: u32 = 5;

/// The number of refs that are read, and of listings. A home with more of them relies on the refs that
/// its runs have found elsewhere, because each one costs a read of the disk.
const MOST_REFS: u64 = 500;

/// The space that the home needs for the database and logs.
const HOME_RESERVE: ByteSize = ByteSize(64 << 20);

/// The home and the settings to report on.
#[derive(Clone, Copy)]
pub struct StatusContext<'a> {
    pub host: &'a Host,
    pub home: &'a Home,
    pub settings: &'a Settings,
}

/// Gathers all facts. Trouble with the database is one of them, and hides no fact
/// that can be found without it.
pub fn gather(
    places: &StatusContext<'_>,
    store: Result<&Store, DatabaseTrouble>,
    timer: Option<TimerFacts>,
) -> Result<Status> {
    let mut status = without_database(places, store.as_ref().ok().copied(), timer)?;
    match store {
        Ok(store) => {
            if let Err(err) = read_database(&mut status, places, store) {
                status.database_trouble = Some(trouble_of(&err));
            }
        }
        Err(trouble) => status.database_trouble = Some(trouble),
    }
    Ok(status)
}

/// Describes an error of the database.
pub fn trouble_of(err: &Error) -> DatabaseTrouble {
    let diagnosis = diagnose(err);
    DatabaseTrouble {
        message: diagnosis.cause(),
        hint: diagnosis.hint,
    }
}

/// Gathers the facts that are there without a database.
fn without_database(
    places: &StatusContext<'_>,
    store: Option<&Store>,
    timer: Option<TimerFacts>,
) -> Result<Status> {
    let database = places.home.database();
    Ok(Status {
        now: places.host.now(),
        home: places.home.path().to_path_buf(),
        is_set_up: database
            .try_exists()
            .with_context(|| format!("cannot look at `{}`", database.display()))?,
        timer,
        tick_every: places.settings.timer_every(),
        disks: disks(places),
        check_max_age: places.settings.check_max_age(),
        scrub: ScrubState::new(places.settings.verify_every(), &[]),
        logins: logins_in_use(places.host, places.settings, store),
        ..Status::default()
    })
}

fn read_database(status: &mut Status, places: &StatusContext<'_>, store: &Store) -> Result<()> {
    let Ticks {
        by_timer,
        unattended,
        by_anyone,
        failed,
    } = last_ticks(places.home, store, status.now)?;
    (status.last_timer_tick, status.last_tick) = (by_timer, by_anyone);
    status.last_unattended_tick = unattended;
    status.failed_tick = failed;
    status.pause = pause_in_force(store, status.now)?;
    status.false_future = false_future(store, status.now)?;
    // Before the rows below are in memory too.
    store.read_tables_beside_models(status.now)?;
    let mut schedules = store.enabled_schedules()?;
    status.unusable = schedules.unusable();
    let tick = places.settings.timer_every();
    show_as_run_here(store, places.host, &mut schedules.readable, tick)?;
    status.impossible = impossible(&schedules.readable, tick, status.now);
    status.empty = empty_schedules(store, &schedules.readable)?;
    status.missed_slots = missed_slots(store, status)?;
    status.next_due = next_due(places, store, &schedules.readable)?;
    status.shards = shards(store, status)?;
    let identity = ownership::identity(places.host, places.home, store)?;
    let cache = ownership::cache_of(places.settings, &identity);
    status.models = models(
        store,
        &schedules.readable,
        status,
        (places.settings, &cache),
    )?;
    add_forecasts(status, places, store, &schedules.readable)?;
    status.failed_views = store.failed_views()?;
    let home = (places.host, places.settings);
    status.allowances = all_in_force(store, home, &schedules.readable, status.now)?;
    if let Ok(endpoint) = places.settings.endpoint().parse::<Endpoint>() {
        status.asked_to_wait = exhausted_until(store, endpoint.as_str(), status.now)?;
    }
    (status.run, status.crashed) = unfinished(store, places.home)?;
    status.last_run = last_run(store)?;
    match ownership::leftover_bytes(store, &cache, status.now) {
        Ok(bytes) => status.leftover_bytes = bytes,
        // Other warnings report a cache that cannot be read.
        Err(err) => log::debug!("cannot count what is left over: {err:#}"),
    }
    status.cache_use = cache_use(store, places.settings)?;
    match only_copies(store, &cache) {
        Ok(copies) => status.only_copies = copies,
        // Another warning names a row that cannot be read.
        Err(err) => log::debug!("cannot tell the only copies: {err:#}"),
    }
    status.adopted = store.adopted_amount()?;
    status.scrub = ScrubState::new(status.scrub.every, &store.scrubs()?);
    status.bad_rows = store.bad_rows();
    Ok(())
}

/// Returns the slots that were missed within `check.max_age`.
fn missed_slots(store: &Store, status: &Status) -> Result<Vec<Event>> {
    let since = status.now.checked_sub(status.check_max_age.span());
    let since = since.unwrap_or(Timestamp::MIN);
    let kind = EventKind::MissedSlot;
    Ok(store.events_of(kind, since, status.now, MOST_MISSED_SLOTS)?)
}

/// Returns the shards that this home runs; an empty list means all models.
fn shards(store: &Store, status: &Status) -> Result<Vec<Shard>> {
    let shards = store.shard_ticks()?;
    let shards = shards.responsible_for(status.check_max_age, status.now);
    Ok(if shards.contains(&Shard::ALL) {
        Vec::new()
    } else {
        shards
    })
}

fn models(
    store: &Store,
    schedules: &[Schedule],
    status: &Status,
    (settings, cache): (&Settings, &CacheLayout),
) -> Result<Vec<ModelStatus>> {
    let covered = LowestValues::new(schedules, |_| Some(()));
    let slots = LowestValues::new(schedules, |schedule| schedule.state.next_due_at);
    let ages = LazyCell::new(|| planned_ages(schedules, status.now));
    let every = settings.verify_every();
    let proofs = match every {
        Some(_) => store.oldest_proofs_in_cache(Path::new(settings.cache_dir()))?,
        None => BTreeMap::new(),
    };
    let mut last = store.last_checks(status.now)?;
    let n_refs = store.n_published_in_cache()?;
    let (mut n_reads, mut n_listings) = (0, 0);
    let known: OnceCell<Arc<Places>> = OnceCell::new();
    let places = || -> Result<Arc<Places>> {
        let loaded = match known.get() {
            Some(places) => places.clone(),
            None => Arc::new(Places::load(store, settings)?),
        };
        Ok(known.get_or_init(|| loaded).clone())
    };
    let verified_until = |model: &Model| {
        let every = every.filter(|_| model.state.published_commit.is_some())?;
        let oldest = match &model.spec.destination {
            Destination::Cache => proofs.get(cache.repo(&model.spec.repo).folder()).copied(),
            Destination::Directory(path) => store.oldest_verified_below(path).ok().flatten(),
        };
        oldest?.checked_add(every.span()).ok()
    };
    let mut describe = |model: Model| {
        if !is_run_here(&status.shards, &model.spec) {
            return None;
        }
        // Each goes when its model is described: together they are large.
        let (spec, last) = (&model.spec, last.remove(&model.id));
        let is_scheduled = covered.of(spec).is_some();
        let mut known = ModelStatus::new(&model, last.as_ref(), is_scheduled, status.now);
        known.next_due = slots.of(spec).filter(|_| spec.enabled);
        known.verified_until = verified_until(&model);
        // The last session of a held, orphaned or rolled back model has other sizes.
        if known.size_bytes.is_none() && n_listings < MOST_REFS {
            n_listings += u64::from(model.state.published_commit.is_some());
            known.size_bytes = published_amount(cache, &model).map(|amount| amount.bytes);
        }
        // Calendars take long to compute, and recent checks need none.
        if known.is_scheduled && known.checked_ago(status.now) > status.check_max_age {
            known.planned_age = ages.of(spec);
        }
        let is_read = n_refs <= MOST_REFS || model.state.moved_ref.is_some();
        if let Some(published) = PublishedRef::of_model(&model)
            && is_read
            && model.spec.enabled
            && n_reads < MOST_REFS
        {
            n_reads += 1;
            let moved = published.look_or_log(store, cache, places, status.now);
            known.moved_ref = moved.map(Box::new);
        }
        Some(known)
    };
    let mut known = Vec::new();
    store.map_models(&ModelFilter::default(), |model| {
        known.extend(describe(model))
    })?;
    Ok(known)
}

/// Tells whether one of the shards of this home has a model.
fn is_run_here(shards: &[Shard], spec: &ModelSpec) -> bool {
    let mut all = shards.iter();
    shards.is_empty() || all.any(|one| one.holds(&spec.repo, &spec.revision))
}

/// Adds the forecasts of models with bytes left to fetch.
fn add_forecasts(
    status: &mut Status,
    places: &StatusContext<'_>,
    store: &Store,
    schedules: &[Schedule],
) -> Result<()> {
    let is_under_way =
        |model: &&mut ModelStatus| model.bytes_left > 0 && model.summary != ModelSummary::Disabled;
    let under_way: Vec<&mut ModelStatus> = status.models.iter_mut().filter(is_under_way).collect();
    if under_way.is_empty() {
        return Ok(());
    }
    // Few of thousands of models are under way.
    let mut models: Vec<(ModelSpec, u64)> = Vec::new();
    for one in &under_way {
        models.push((store.model(&one.name)?.spec, one.bytes_left));
    }
    let (now, tick) = (status.now, places.settings.timer_every());
    let mut ready: Vec<ReadySchedule<'_>> = Vec::new();
    for schedule in schedules {
        let includes = |(spec, _): &(ModelSpec, u64)| schedule.spec.selection.includes(spec);
        if let Ok(zone) = usable_zone(schedule)
            && models.iter().any(includes)
            && let Some(next) = next_start(store, places.host, schedule, tick)?
        {
            ready.push((schedule, zone, next.planned.ready));
        }
    }
    let place = ForecastPlace {
        host: places.host,
        settings: places.settings,
        store,
        now,
    };
    let forecasts = forecast_models(&place, &ready, &models)?;
    for (model, forecast) in under_way.into_iter().zip(forecasts) {
        model.forecast = Some(forecast);
    }
    Ok(())
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

/// Returns the newest run that ended.
fn last_run(store: &Store) -> Result<Option<Run>> {
    // The newest may be in progress, and one before it may have crashed.
    let newest = store.runs(&RunFilter {
        limit: Some(10),
        ..RunFilter::default()
    })?;
    Ok(newest.into_iter().find(|run| run.end.is_some()))
}

/// Returns the run in progress, and the runs that crashed.
pub fn unfinished(store: &Store, home: &Home) -> Result<(Option<RunInProgress>, Vec<Run>)> {
    let mut seen = store.unfinished_runs()?;
    // Touch the lock only if a run is unfinished.
    if seen.is_empty() {
        return Ok((None, Vec::new()));
    }
    let path = home.lock();
    let is_held = FileLock::is_held(&path)
        .with_context(|| format!("cannot look at the lock `{}`", path.display()))?;
    if !is_held {
        // The run may have ended since the first query.
        let now = store.unfinished_runs()?;
        seen.retain(|run| now.iter().any(|other| other.id == run.id));
        return Ok((None, seen));
    }
    // The newest run holds the lock; it closes the others.
    let alive = seen.pop().map(|run| -> Result<RunInProgress> {
        let sessions = store.sessions(&SessionFilter {
            run: Some(run.id.clone()),
            ..SessionFilter::default()
        })?;
        Ok(RunInProgress::new(run, &sessions))
    });
    Ok((alive.transpose()?, seen))
}

fn disks(places: &StatusContext<'_>) -> Vec<DiskFacts> {
    let reserve = places.settings.disk_reserve();
    let cache = PathBuf::from(places.settings.cache_dir());
    let home = places.home.path().to_path_buf();
    let wanted = [
        (DiskUse::Cache, cache, reserve),
        (DiskUse::Home, home, reserve.min(HOME_RESERVE)),
    ];
    let look = |(used_for, path, reserve): (DiskUse, PathBuf, ByteSize)| {
        let existing = path.ancestors().find(|path| path.exists())?;
        match space_at(existing) {
            Ok(space) => Some(DiskFacts {
                used_for,
                free: ByteSize(space.free_bytes?),
                reserve,
                path,
            }),
            Err(err) => {
                log::warn!("cannot tell the space at `{}`: {err}", existing.display());
                None
            }
        }
    };
    wanted.into_iter().filter_map(look).collect()
}

/// Writes the document of `hfdl status --json` for programs that read it without
/// starting hfdl. Called at the end of a run.
pub fn write_status_file(
    path: &Path,
    write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>,
) -> io::Result<()> {
    replace_private_file_with(path, write)
}
