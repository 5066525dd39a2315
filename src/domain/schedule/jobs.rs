//! Jobs: which models to update now, and in which order.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::due::Due;
use super::entry::Schedule;
use crate::domain::model::{Model, ModelId};

/// A due schedule and its slot to serve.
#[derive(Clone, Copy, Debug)]
pub struct DueSchedule<'a> {
    pub schedule: &'a Schedule,
    pub due: Due,
}

/// One model to update.
#[derive(Clone, Debug)]
pub struct DueJob<'a> {
    pub model: &'a Model,
    /// The schedules that this job serves, never empty. The first has the
    /// highest priority, and its limits apply.
    pub serves: Vec<DueSchedule<'a>>,
}

/// Sorts the models of all due schedules, each once.
///
/// The order is: higher priority (of the schedule, then of the model), older
/// slot, name.
pub fn due_jobs<'a>(due: &[DueSchedule<'a>], models: &'a [Model]) -> Vec<DueJob<'a>> {
    let mut due = due.to_vec();
    due.sort_by_key(|it| {
        let spec = &it.schedule.spec;
        (Reverse(spec.priority), it.due.slot, spec.name.clone())
    });
    let mut by_model: BTreeMap<ModelId, DueJob<'a>> = BTreeMap::new();
    for entry in due {
        let selection = &entry.schedule.spec.selection;
        let wanted = |model: &&Model| model.spec.enabled && selection.includes(&model.spec);
        for model in models.iter().filter(wanted) {
            let job = by_model.entry(model.id);
            let serves = Vec::new();
            job.or_insert(DueJob { model, serves }).serves.push(entry);
        }
    }
    let mut jobs: Vec<_> = by_model.into_values().collect();
    jobs.sort_by_key(|job| {
        let first = job.serves.first();
        (
            Reverse(first.map(|it| it.schedule.spec.priority)),
            Reverse(job.model.spec.priority),
            first.map(|it| it.due.slot),
            job.model.spec.name.clone(),
        )
    });
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::schedule::Selection;
    use crate::domain::schedule::fixture::{self, all, tagged};
    use crate::domain::time::Timestamp;
    use crate::domain::units::Seconds;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * 3600).unwrap()
    }

    fn model(id: i64, name: &str, priority: &str, tags: &[&str]) -> Model {
        let mut model = fixture::model(id, name, tags);
        model.spec.priority = priority.parse().unwrap();
        model
    }

    fn schedule(id: i64, priority: &str, selection: Selection) -> Schedule {
        let mut schedule = fixture::schedule(id, "interval 6h");
        schedule.spec.priority = priority.parse().unwrap();
        schedule.spec.selection = selection;
        schedule
    }

    fn due(schedule: &Schedule, slot: i64, deadline: Option<i64>) -> DueSchedule<'_> {
        let due = Due {
            slot: at(slot),
            coalesced: 0,
            late: Seconds(0),
            resume: false,
            deadline: deadline.map(at),
        };
        DueSchedule { schedule, due }
    }

    fn names(jobs: &[DueJob<'_>]) -> Vec<String> {
        jobs.iter()
            .map(|job| job.model.spec.name.to_string())
            .collect()
    }

    #[test]
    fn a_model_of_several_due_schedules_is_one_job_that_serves_all() {
        let models = [model(1, "one", "50", &["llm"]), model(2, "two", "50", &[])];
        let (everything, tagged) = (schedule(1, "50", all()), schedule(2, "60", tagged("llm")));
        let jobs = due_jobs(
            &[due(&everything, 5, Some(9)), due(&tagged, 6, Some(8))],
            &models,
        );
        assert_eq!(names(&jobs), ["one", "two"]);
        let serves: Vec<_> = jobs[0].serves.iter().map(|s| s.schedule.id.0).collect();
        assert_eq!(serves, [2, 1]);
    }

    #[test]
    fn the_order_is_priority_then_slot_then_name() {
        let models = [
            model(1, "d", "50", &["late"]),
            model(2, "c", "50", &["early"]),
            model(3, "b", "50", &["early"]),
            model(4, "a", "49", &["early"]),
            model(5, "z", "10", &["urgent"]),
        ];
        let urgent = schedule(1, "70", tagged("urgent"));
        let early = schedule(2, "50", tagged("early"));
        let late = schedule(3, "50", tagged("late"));
        let due = [
            due(&late, 7, None),
            due(&early, 5, None),
            due(&urgent, 9, None),
        ];
        assert_eq!(names(&due_jobs(&due, &models)), ["z", "b", "c", "d", "a"]);
    }

    #[test]
    fn a_schedule_without_enabled_models_has_no_job() {
        let mut off = model(1, "off", "50", &["llm"]);
        off.spec.enabled = false;
        let (empty, other) = (schedule(1, "50", tagged("none")), schedule(2, "50", all()));
        let models = [off];
        let jobs = due_jobs(&[due(&empty, 1, None), due(&other, 1, None)], &models);
        assert!(jobs.is_empty());
    }
}
