//! What is due at a moment, and what would be fetched; only looks.

use anyhow::Result;
use jiff::tz::TimeZone;

use super::RunDue;
use super::look::{Among, Judged};
use crate::domain::model::EntryName;
use crate::domain::schedule::{DueSchedule, DueState, Unusable, due_jobs};
use crate::domain::time::Timestamp;
use crate::ops::download::{DryRun, dry_run};
use crate::ops::sync::Target;

/// The answer of a dry run.
#[derive(Debug)]
pub struct DuePlan {
    pub at: Timestamp,
    pub schedules: Vec<PlannedSchedule>,
    pub models: Vec<PlannedModel>,
    /// Schedules of which nothing can be said.
    pub unusable: Vec<Unusable>,
}

/// One enabled schedule and what there is to do about it.
#[derive(Debug)]
pub struct PlannedSchedule {
    pub name: EntryName,
    pub zone: TimeZone,
    pub state: DueState,
}

/// One due model and what would be fetched for it.
#[derive(Debug)]
pub struct PlannedModel {
    pub name: EntryName,
    pub schedules: Vec<EntryName>,
    pub fetch: Result<DryRun>,
}

impl RunDue<'_> {
    /// Finds out what is due at a moment and what that would fetch.
    pub fn plan(&self, at: Timestamp) -> Result<DuePlan> {
        let (judged, unusable) = self.looker().judge(at, Among::All)?;
        let due: Vec<DueSchedule<'_>> = judged.iter().filter_map(due_of).collect();
        let ids = due.iter().map(|one| one.schedule.id);
        let models = self.shop.store().models_of_schedules(ids)?;
        let mut jobs = due_jobs(&due, &models);
        let shard = self.options.shard;
        jobs.retain(|job| shard.holds(&job.model.spec.repo, &job.model.spec.revision));
        let targets: Vec<Target> = jobs.iter().map(|job| Target::from(job.model)).collect();
        let fetches = match targets.is_empty() {
            true => Vec::new(),
            false => dry_run(&self.shop.tools()?, &targets)?,
        };
        let planned = jobs.iter().zip(fetches).map(|(job, fetch)| PlannedModel {
            name: job.model.spec.name.clone(),
            schedules: job
                .serves
                .iter()
                .map(|serves| serves.schedule.spec.name.clone())
                .collect(),
            fetch,
        });
        let models = planned.collect();
        let schedules = judged.into_iter().map(|judged| PlannedSchedule {
            name: judged.schedule.spec.name,
            zone: judged.zone,
            state: judged.state,
        });
        Ok(DuePlan {
            at,
            schedules: schedules.collect(),
            models,
            unusable,
        })
    }
}

fn due_of(judged: &Judged) -> Option<DueSchedule<'_>> {
    match judged.state {
        DueState::Due(due) => Some(DueSchedule {
            schedule: &judged.schedule,
            due,
        }),
        _ => None,
    }
}
