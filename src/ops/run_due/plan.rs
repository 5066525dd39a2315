//! The plan of a dry run: the due models at a moment, and the bytes to fetch. It only reads.

use std::collections::BTreeMap;

use anyhow::Result;
use jiff::tz::TimeZone;

use super::due_finder::{Candidates, CheckedSchedule};
use super::tick::{RunDueOptions, finder};
use crate::domain::allowance::{Allowance, AllowanceScope};
use crate::domain::forecast::{Forecast, Obstacle};
use crate::domain::model::{EntryName, ModelId};
use crate::domain::schedule::{DueJob, DueSchedule, DueState, Schedule, Unusable, due_jobs};
use crate::domain::time::Timestamp;
use crate::ops::allowances::all_in_force;
use crate::ops::download::{DryRun, dry_run, lacking_room_of};
use crate::ops::forecast::{ForecastPlace, forecast_models};
use crate::ops::retention::LackingRoom;
use crate::ops::services::Services;
use crate::ops::sync::{PolicyInput, Target};

#[derive(Debug)]
pub struct DuePlan {
    pub at: Timestamp,
    pub schedules: Vec<PlannedSchedule>,
    pub models: Vec<PlannedModel>,
    /// The room that the cache lacks for them.
    pub lacking_room: Option<LackingRoom>,
    /// The spent allowances for which they wait.
    pub spent: Vec<Allowance>,
    /// Schedules that cannot run.
    pub unusable: Vec<Unusable>,
}

/// An enabled schedule with its state at the moment.
#[derive(Debug)]
pub struct PlannedSchedule {
    pub name: EntryName,
    pub zone: TimeZone,
    pub state: DueState,
}

/// A due model with the files to fetch.
#[derive(Debug)]
pub struct PlannedModel {
    pub name: EntryName,
    pub schedules: Vec<EntryName>,
    pub fetch: Result<DryRun>,
    /// The time at which it is expected to be whole, if it has bytes to fetch.
    pub forecast: Option<Result<Forecast, Obstacle>>,
}

/// Returns the due models at a moment, with the bytes that a run would fetch.
pub fn plan(services: &Services<'_>, options: &RunDueOptions, at: Timestamp) -> Result<DuePlan> {
    let (checked, unusable) = finder(services, options).check(at, Candidates::All)?;
    let due: Vec<DueSchedule<'_>> = checked.iter().filter_map(due_of).collect();
    let ids = due.iter().map(|one| one.schedule.id);
    let models = services.store.models_of_schedules(ids)?;
    let mut jobs = due_jobs(&due, &models);
    let shard = options.shard;
    jobs.retain(|job| shard.holds(&job.model.spec.repo, &job.model.spec.revision));
    let targets = jobs.iter();
    let input = PolicyInput::load(&services.store, at)?;
    let targets: Vec<Target> = targets
        .map(|job| Target::with_siblings(&services.store, job.model, &input))
        .collect::<Result<_>>()?;
    let fetches = if targets.is_empty() {
        Vec::new()
    } else {
        dry_run(services, &targets)?
    };
    let found: Vec<&DryRun> = fetches.iter().flatten().collect();
    let lacking_room = lacking_room_of(services, &targets, &found)?;
    let spent = spent_allowances(services, options, at, &jobs, &found)?;
    let mut forecasts = forecasts(services, &checked, at, &jobs, &fetches)?;
    let models = jobs.iter().zip(fetches).map(|(job, fetch)| {
        let schedules = job.serves.iter();
        PlannedModel {
            forecast: forecasts.remove(&job.model.id),
            name: job.model.spec.name.clone(),
            schedules: schedules
                .map(|serves| serves.schedule.spec.name.clone())
                .collect(),
            fetch,
        }
    });
    let models = models.collect();
    let schedules = checked.into_iter().map(|checked| PlannedSchedule {
        name: checked.schedule.spec.name,
        zone: checked.zone,
        state: checked.state,
    });
    Ok(DuePlan {
        at,
        schedules: schedules.collect(),
        models,
        lacking_room,
        spent,
        unusable,
    })
}

/// Returns the spent allowances of due models that have bytes to fetch.
fn spent_allowances(
    services: &Services<'_>,
    options: &RunDueOptions,
    at: Timestamp,
    jobs: &[DueJob<'_>],
    found: &[&DryRun],
) -> Result<Vec<Allowance>> {
    let has_fetches = found.iter().any(|plan| plan.totals.bytes_to_fetch > 0);
    if options.bounds.ignores_allowances || !has_fetches {
        return Ok(Vec::new());
    }
    let Services {
        store,
        host,
        settings,
        ..
    } = services;
    let serves = jobs.iter().flat_map(|job| &job.serves);
    let schedules: BTreeMap<_, _> = serves.map(|it| (it.schedule.id, it.schedule)).collect();
    let schedules: Vec<Schedule> = schedules.into_values().cloned().collect();
    let mut spent = all_in_force(store, (host, settings), &schedules, at)?;
    spent.retain(|one| {
        let has_tag = |tag| jobs.iter().any(|job| job.model.spec.tags.contains(tag));
        one.is_spent() && !matches!(&one.scope, AllowanceScope::Tag(tag) if !has_tag(tag))
    });
    Ok(spent)
}

/// Returns the forecasts of the models that have bytes to fetch.
fn forecasts(
    services: &Services<'_>,
    checked: &[CheckedSchedule],
    at: Timestamp,
    jobs: &[DueJob<'_>],
    fetches: &[Result<DryRun>],
) -> Result<BTreeMap<ModelId, Result<Forecast, Obstacle>>> {
    let Services {
        host,
        settings,
        store,
        ..
    } = services;
    let found = jobs.iter().zip(fetches).filter_map(|(job, fetch)| {
        let bytes = fetch.as_ref().ok()?.totals.bytes_to_fetch;
        (bytes > 0).then(|| (job.model.id, (job.model.spec.clone(), bytes)))
    });
    let (ids, models): (Vec<ModelId>, Vec<_>) = found.unzip();
    let ready = checked.iter().filter_map(|one| {
        let ready = match one.state {
            DueState::Due(_) => at,
            _ => one.state.next_check(at)?,
        };
        Some((&one.schedule, one.zone.clone(), ready))
    });
    let place = ForecastPlace {
        host,
        settings,
        store,
        now: at,
    };
    let forecasts = forecast_models(&place, &ready.collect::<Vec<_>>(), &models)?;
    Ok(ids.into_iter().zip(forecasts).collect())
}

fn due_of(checked: &CheckedSchedule) -> Option<DueSchedule<'_>> {
    match checked.state {
        DueState::Due(due) => Some(DueSchedule {
            schedule: &checked.schedule,
            due,
        }),
        _ => None,
    }
}
