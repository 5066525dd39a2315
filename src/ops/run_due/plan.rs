//! The plan of a dry run: the due models at a moment, and the bytes to fetch. It only reads.

use anyhow::Result;
use jiff::tz::TimeZone;

use super::due_finder::{Candidates, CheckedSchedule};
use super::tick::{RunDueOptions, finder};
use crate::domain::model::EntryName;
use crate::domain::schedule::{DueSchedule, DueState, Unusable, due_jobs};
use crate::domain::time::Timestamp;
use crate::ops::download::{DryRun, dry_run, lacking_room_of};
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
    let models = jobs.iter().zip(fetches).map(|(job, fetch)| {
        let schedules = job.serves.iter();
        PlannedModel {
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
        unusable,
    })
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
