//! The metrics file: gathered from the database and the disks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Notifier;
use super::daily::warn_daily;
use crate::cache::CacheLayout;
use crate::domain::hold::HoldReason;
use crate::domain::model::{Destination, Model, ModelId, ModelState};
use crate::domain::outcome::{ExitStatus, RunOutcome};
use crate::domain::run::{Run, RunCommand};
use crate::domain::schedule::Schedule;
use crate::domain::scrub::ScrubState;
use crate::domain::session::LastCheck;
use crate::domain::settings::Settings;
use crate::domain::time::{Timestamp, believed};
use crate::notify::metrics::{AllowanceMetrics, Facts, LastRun, ModelMetrics, render};
use crate::ops::allowances::all_in_force;
use crate::ops::login::logins_in_use;
use crate::ops::next_due::empty_schedules;
use crate::ops::ticks::last_ticks;
use crate::store::{MetaKey, ModelFilter, RunFilter, Store};
use crate::sys::disk::space_at;
use crate::sys::files;
use crate::sys::host::Host;
use crate::sys::paths;

/// The number of recent runs in which the last one with work is searched.
const RECENT_RUNS: u32 = 200;

/// Returns the path of the metrics file, if there is to be one.
pub fn metrics_path(host: &Host, settings: &Settings, given: Option<&Path>) -> Option<PathBuf> {
    if let Some(path) = given {
        return Some(path.to_owned());
    }
    match paths::expand(host, settings.metrics_file()?) {
        Ok(path) => Some(path),
        Err(err) => {
            log::warn!("no metrics: {err:#}");
            None
        }
    }
}

/// Writes the metrics file; a failure is a warning.
///
/// `early` is a tick that ended before its run, which counts as the last run.
pub fn write_metrics(notifier: &Notifier<'_>, path: &Path, early: Option<LastRun>) {
    let facts = match (gather(notifier), early) {
        (Ok(facts), _) => Ok(Facts {
            last_run: early.or(facts.last_run),
            ..facts
        }),
        (Err(_), Some(early)) => Ok(early_facts(early)),
        (Err(err), None) => Err(err),
    };
    let written = facts.and_then(|facts| write(path, &facts));
    let trouble = written.err().map(|err| format!("no metrics: {err:#}"));
    warn_daily(notifier, MetaKey::MetricsTrouble, trouble.as_deref());
}

/// Writes the metrics of a failed tick without a database.
pub fn write_early_metrics(path: &Path, early: LastRun) {
    if let Err(err) = write(path, &early_facts(early)) {
        log::warn!("no metrics: {err:#}");
    }
}

fn early_facts(early: LastRun) -> Facts {
    Facts {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        last_tick_at: Some(early.started_at),
        last_run: Some(early),
        ..Facts::default()
    }
}

fn write(path: &Path, facts: &Facts) -> Result<()> {
    files::write_for_all(path, render(facts).as_bytes())
        .with_context(|| format!("cannot write `{}`", path.display()))
}

fn gather(notifier: &Notifier<'_>) -> Result<Facts> {
    let (store, now) = (notifier.store, notifier.host.now());
    let ticks = last_ticks(notifier.home, store, now)?;
    let runs = store.runs_ever_ended()?;
    let n_runs = |outcome| runs.get(&outcome).copied().unwrap_or(0);
    let limits = store.rate_limits(now)?;
    let schedules = store.enabled_schedules()?.readable;
    Ok(Facts {
        n_empty_schedules: Some(empty_schedules(store, &schedules)?.len() as u64),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        last_tick_at: ticks.by_anyone,
        last_run: match ticks.failed {
            Some(tick) => Some(LastRun::without_run(tick.at, tick.status)),
            None => last_run(store, now)?,
        },
        n_skipped: vec![
            ("locked", n_runs(RunOutcome::SkippedLocked)),
            ("paused", n_runs(RunOutcome::SkippedPaused)),
        ],
        logins: logins_in_use(notifier.host, notifier.settings, Some(store))
            .into_iter()
            .map(|login| (login.name.to_string(), login.expires_at))
            .collect(),
        allowances: allowances(notifier, &schedules)?,
        free: free_space(notifier)?,
        scrub: match notifier.settings.verify_every() {
            None => None,
            every => ScrubState::new(every, &store.scrubs()?).last,
        },
        models: describe_models(notifier)?,
        rate_limits: limits
            .into_iter()
            .map(|limit| (limit.endpoint, limit.bucket, limit.remaining))
            .collect(),
    })
}

fn allowances(notifier: &Notifier<'_>, schedules: &[Schedule]) -> Result<Vec<AllowanceMetrics>> {
    let Notifier {
        host,
        settings,
        store,
        ..
    } = notifier;
    let all = all_in_force(store, (host, settings), schedules, host.now())?;
    let metrics = all.into_iter().map(|one| AllowanceMetrics {
        scope: one.scope.key().0,
        period: one.period.as_str(),
        limit_bytes: one.limit.bytes(),
        spent_bytes: one.spent.bytes(),
        renews_at: one.renews_at,
        name: one.name,
    });
    Ok(metrics.collect())
}

/// Returns the newest `run-due` that had work and has ended.
fn last_run(store: &Store, now: Timestamp) -> Result<Option<LastRun>> {
    let recent = store.runs(&RunFilter {
        limit: Some(RECENT_RUNS),
        ..RunFilter::default()
    })?;
    let had_work =
        |run: &&Run| run.start.command == RunCommand::RunDue && run.totals.n_sessions > 0;
    let believed = |run: &&Run| believed(run.start.at, now).is_some();
    let recent = recent.iter().filter(had_work).filter(believed);
    Ok(recent.into_iter().find_map(|run| {
        let end = run.end?;
        Some(LastRun {
            started_at: run.start.at,
            duration_seconds: (end.at.as_second() - run.start.at.as_second()).max(0),
            // A killed run has no code, and has failed.
            exit_code: end.exit_code.unwrap_or(ExitStatus::Failed.code()),
        })
    }))
}

fn describe_models(notifier: &Notifier<'_>) -> Result<Vec<ModelMetrics>> {
    let cache = CacheLayout::new(notifier.settings.cache_dir());
    let (store, now) = (notifier.store, notifier.host.now());
    let fetched = store.bytes_ever_fetched()?;
    let describe = |mut model: Model, last| {
        model.state = model.state.without_future_times(now);
        describe(store, &cache, &model, last, &fetched)
    };
    let all = ModelFilter::default();
    let described = store.map_checked_models(&all, now, describe)?;
    described.into_iter().collect()
}

fn describe(
    store: &Store,
    cache: &CacheLayout,
    model: &Model,
    last: Option<LastCheck>,
    fetched: &BTreeMap<ModelId, u64>,
) -> Result<ModelMetrics> {
    // A session that failed before the listing has no sizes.
    let bytes = last
        .as_ref()
        .map(|last| last.bytes)
        .filter(|bytes| bytes.total > 0);
    let folder = match &model.spec.destination {
        Destination::Cache => cache.repo(&model.spec.repo).folder().to_path_buf(),
        Destination::Directory(path) => path.clone(),
    };
    Ok(ModelMetrics {
        name: model.spec.name.to_string(),
        added_at: model.created_at,
        last_check_at: model.state.last_check_at,
        last_change_at: model.state.last_change_at,
        last_outcome: last.and_then(|last| last.outcome()),
        n_failures: model.state.consecutive_failures,
        bytes_ever_fetched: fetched.get(&model.id).copied().unwrap_or(0),
        bytes_left: bytes.map(|bytes| bytes.left),
        size_bytes: bytes.map(|bytes| bytes.total),
        last_verify_at: model.state.last_verify_at,
        is_damaged: model.state.is_damaged(),
        held_for: held_for(&model.state),
        oldest_verified_at: store.oldest_verified_below(&folder)?,
    })
}

/// Returns the reasons for which an update waits for a decision.
fn held_for(state: &ModelState) -> Vec<HoldReason> {
    let update = state.held_update.as_ref();
    let update = update.filter(|update| update.is_waiting());
    let findings = update.into_iter().flat_map(|update| &update.findings);
    findings.map(|finding| finding.reason).collect()
}

/// Returns the free space of all destinations; for one that does not exist yet, that
/// of the nearest folder above it.
fn free_space(notifier: &Notifier<'_>) -> Result<Vec<(String, u64)>> {
    let mut places = vec![PathBuf::from(notifier.settings.cache_dir())];
    for directory in notifier.store.directories()? {
        if !places.contains(&directory) {
            places.push(directory);
        }
    }
    let free = |place: &PathBuf| {
        let space = place.ancestors().find_map(|folder| space_at(folder).ok())?;
        Some((place.display().to_string(), space.free_bytes?))
    };
    Ok(places.iter().filter_map(free).collect())
}
