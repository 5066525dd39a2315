//! Gathers the facts of `hfdl status`; changes nothing.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result};

use super::allowances::all_in_force;
use super::diagnose::diagnose;
use super::forecast::{ForecastPlace, ReadySchedule, forecast_models};
use super::login::logins_in_use;
use super::next_due::{empty_schedules, next_due};
use super::ownership;
use super::pause::pause_in_force;
use super::rate_limits::exhausted_until;
use super::retention::{cache_use, only_copies};
use super::schedules::{impossible, next_start};
use super::shards::show_as_run_here;
use super::ticks::{Ticks, false_future, last_ticks};
use crate::domain::model::{ModelSpec, ModelSummary};
use crate::domain::progress::RunProgress;
use crate::domain::run::{Event, EventKind, Run};
use crate::domain::schedule::{Schedule, usable_zone};
use crate::domain::scrub::ScrubState;
use crate::domain::settings::Settings;
use crate::domain::shard::Shard;
use crate::domain::status::{
    DatabaseCheck, DatabaseTrouble, DiskFacts, DiskUse, ModelStatus, RunInProgress, Status,
    TimerFacts,
};
use crate::domain::time::Timestamp;
use crate::domain::units::ByteSize;
use crate::hub::Endpoint;
use crate::json::read_progress;
use crate::store::{RunFilter, SessionFilter, Store};
use crate::sys::disk::space_at;
use crate::sys::fs::replace_private_file_with;
use crate::sys::host::Host;
use crate::sys::lock::FileLock;
use crate::sys::paths::Home;

mod models;

/// The number of missed slots that are shown.
const MOST_MISSED_SLOTS: u32 = 5;

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
    status.models = models::models(
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
    if let Some(alive) = &mut status.run {
        alive.progress = told_progress(places.home, &alive.run, status.now);
    }
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
    status.database_check = database_check(store)?;
    Ok(())
}

/// Returns the newest check of the database by a run.
fn database_check(store: &Store) -> Result<Option<DatabaseCheck>> {
    let last = store.last_integrity_check()?;
    Ok(last.map(|check| DatabaseCheck {
        at: check.at,
        damage: (check.damage).map(|damage| trouble_of(&store.damaged(damage).into())),
    }))
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

/// Returns the progress that the process of a run has told.
fn told_progress(home: &Home, run: &Run, now: Timestamp) -> Option<RunProgress> {
    let text = std::fs::read_to_string(home.progress_file()).ok()?;
    read_progress(&text, &run.start.process, run.start.at, now)
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
