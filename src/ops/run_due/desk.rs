//! Slots that this run works on: claimed before the first byte, served when
//! their last model has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Result;

use super::Options;
use super::look::{DueNow, Looker};
use crate::domain::model::{Model, ModelId};
use crate::domain::outcome::{ErrorKind, UpstreamState};
use crate::domain::queue_order::QueueOrder;
use crate::domain::schedule::{
    DueSchedule, ModelEnd, Schedule, ScheduleId, SlotEnd, Slots, after_slot, claimed, due_jobs,
};
use crate::domain::shard::Shard;
use crate::domain::time::{Timestamp, believed};
use crate::domain::units::{ByteSize, Seconds};
use crate::download::LimitGroup;
use crate::ops::deadline_thread::{DeadlineThread, TimeLimits};
use crate::ops::rate_limits;
use crate::ops::run::{Opening, Record, Run, Tools};
use crate::ops::sync::{SyncRequest, SyncResult, Syncer, Target};
use crate::sys::host::checkpoint;

/// A repository that is gone upstream is asked about once in so long.
const PROBE_EVERY: Seconds = Seconds(24 * 3600);

/// What this run has taken upon itself.
pub(super) struct Desk<'a> {
    tools: Tools<'a>,
    looker: Looker<'a>,
    options: &'a Options,
    claims: BTreeMap<ScheduleId, Claim>,
    /// By the run's number of the target.
    jobs: BTreeMap<usize, Job>,
    /// Slots that this run could not finish: the next tick goes on with them.
    left: BTreeMap<ScheduleId, Timestamp>,
    /// Wanted again by a slot that came while they are under way.
    again: BTreeMap<ModelId, Vec<ScheduleId>>,
    pub(super) left_out: Vec<(String, String)>,
    pub(super) n_due: u64,
}

/// A slot that is being worked on.
struct Claim {
    schedule: Schedule,
    due: DueNow,
    limits: LimitGroup,
    waiting: BTreeSet<ModelId>,
    ends: Vec<ModelEnd>,
}

/// One look at one model.
struct Job {
    model: Model,
    /// The schedules that it serves; the limits of the first hold.
    serves: Vec<ScheduleId>,
}

impl<'a> Desk<'a> {
    pub(super) fn new(tools: Tools<'a>, looker: Looker<'a>, options: &'a Options) -> Self {
        Self {
            tools,
            looker,
            options,
            claims: BTreeMap::new(),
            jobs: BTreeMap::new(),
            left: BTreeMap::new(),
            again: BTreeMap::new(),
            left_out: Vec::new(),
            n_due: 0,
        }
    }

    /// Leaves out what is being worked on already, and what is left for the
    /// next tick: its limit would not be one if the same run went on with it.
    pub(super) fn without_claimed(&self, mut due: Vec<DueNow>) -> Vec<DueNow> {
        due.retain(|one| {
            let id = &one.schedule.id;
            let is_left = self.left.get(id).is_some_and(|slot| one.due.slot <= *slot);
            !self.claims.contains_key(id) && !is_left
        });
        due
    }

    /// Claims the slots of due schedules and sends their models on the way.
    pub(super) fn claim(
        &mut self,
        due: Vec<DueNow>,
        now: Timestamp,
        run: &mut Run<'_>,
        syncer: &mut Syncer<'_>,
        deadlines: &DeadlineThread,
    ) -> Result<()> {
        let ids = due.iter().map(|one| one.schedule.id);
        let models = self.tools.store.models_of_schedules(ids)?;
        self.tools.store.transaction(|_| -> Result<()> {
            for one in &due {
                let slot = one.due.slot;
                self.looker.update(one.schedule.id, now, |fresh| {
                    Some(claimed(&fresh.state, slot))
                })?;
            }
            Ok(())
        })?;
        checkpoint("slots claimed");
        let wanted = self.wanted(&due, &models, now)?;
        for one in due {
            let limits = self.limits(&one, syncer.limits(), deadlines);
            let serves =
                |(_, serves): &&(Model, Vec<ScheduleId>)| serves.contains(&one.schedule.id);
            let waiting = wanted.iter().filter(serves).map(|(model, _)| model.id);
            let claim = Claim {
                waiting: waiting.collect(),
                schedule: one.schedule.clone(),
                due: one,
                limits,
                ends: Vec::new(),
            };
            self.claims.insert(claim.schedule.id, claim);
        }
        let mut jobs = Vec::new();
        for (model, serves) in wanted {
            self.n_due += 1;
            if self.jobs.values().any(|job| job.model.id == model.id) {
                self.again.entry(model.id).or_default().extend(serves);
            } else {
                jobs.push(Job { model, serves });
            }
        }
        self.begin(jobs, run, syncer)?;
        self.serve_those_done(run);
        Ok(())
    }

    /// Notes how a target ended; a slot whose last model this was is served or
    /// set to be tried again.
    pub(super) fn ended(
        &mut self,
        index: usize,
        end: &SyncResult,
        record: Record,
        run: &mut Run<'_>,
        syncer: &mut Syncer<'_>,
    ) -> Result<()> {
        let Some(job) = self.jobs.remove(&index) else {
            return Ok(());
        };
        let look_end = match record {
            // No slot is served by what nobody can read afterwards.
            Record::Lost => ModelEnd::Unfinished,
            Record::Written if end.is_offline => ModelEnd::Offline,
            Record::Written if has_lost_access(&job.model, end) => ModelEnd::Temporary,
            Record::Written => ModelEnd::of(end.outcome, end.failure.as_ref()),
        };
        let (over, others) = match (record, look_end) {
            // One schedule's limit is not the others'.
            (Record::Written, ModelEnd::Unfinished) => job.serves.split_at(1.min(job.serves.len())),
            _ => (job.serves.as_slice(), [].as_slice()),
        };
        for id in over {
            if let Some(claim) = self.claims.get_mut(id)
                && claim.waiting.remove(&job.model.id)
            {
                claim.ends.push(look_end);
            }
        }
        let mut next: Vec<ScheduleId> = others.to_vec();
        next.extend(self.again.remove(&job.model.id).unwrap_or_default());
        if !next.is_empty() {
            self.look_again(job.model.id, next, run, syncer)?;
        }
        self.serve_those_done(run);
        Ok(())
    }

    /// Looks at a model once more for other schedules, unless a person has
    /// removed it, switched it off, or removed the schedules meanwhile.
    fn look_again(
        &mut self,
        id: ModelId,
        mut serves: Vec<ScheduleId>,
        run: &mut Run<'_>,
        syncer: &mut Syncer<'_>,
    ) -> Result<()> {
        let store = self.tools.store;
        let model = store.model_by_id(id)?.filter(|model| model.spec.enabled);
        let mut gone = Vec::new();
        for schedule in &serves {
            if model.is_none() || !store.has_schedule(*schedule)? {
                gone.push(*schedule);
            }
        }
        for schedule in &gone {
            if let Some(claim) = self.claims.get_mut(schedule) {
                claim.waiting.remove(&id);
            }
        }
        serves.retain(|schedule| !gone.contains(schedule));
        match model {
            Some(model) if !serves.is_empty() => {
                self.begin(vec![Job { model, serves }], run, syncer)
            }
            _ => Ok(()),
        }
    }

    /// Opens sessions for models and sends them on the way; what a person has
    /// removed since it was read is passed over.
    fn begin(&mut self, jobs: Vec<Job>, run: &mut Run<'_>, syncer: &mut Syncer<'_>) -> Result<()> {
        let mut openings = Vec::new();
        let mut begun = Vec::new();
        for job in jobs {
            let first = job.serves.first().and_then(|id| self.claims.get(id));
            let Some(claim) = first else { continue };
            let target = Arc::new(Target::from(&job.model));
            let spec = &claim.schedule.spec;
            openings.push(Opening {
                target: target.clone(),
                slot: Some((claim.schedule.id, spec.name.clone(), claim.due.due.slot)),
            });
            let request = SyncRequest {
                target,
                limits: claim.limits.clone(),
                order: QueueOrder::new(spec.priority, job.model.spec.priority),
            };
            begun.push((request, job));
        }
        let numbers = run.open(openings)?;
        for (number, (request, job)) in numbers.into_iter().zip(begun) {
            if let Some(index) = number {
                self.jobs.insert(index, job);
                run.sync(syncer, index, request);
            } else {
                let name = &job.model.spec.name;
                log::info!("`{name}` or its schedule has just been removed: passed over");
                self.look_again(job.model.id, job.serves, run, syncer)?;
            }
        }
        Ok(())
    }

    /// Chooses the models that due schedules want, each once with all that it serves.
    fn wanted(
        &mut self,
        due: &[DueNow],
        models: &[Model],
        now: Timestamp,
    ) -> Result<Vec<(Model, Vec<ScheduleId>)>> {
        let due_schedules: Vec<DueSchedule<'_>> = due
            .iter()
            .map(|one| DueSchedule {
                schedule: &one.schedule,
                due: one.due,
            })
            .collect();
        let mut done: BTreeMap<ScheduleId, BTreeSet<ModelId>> = BTreeMap::new();
        for one in due {
            // What this slot has seen to its end is not looked at again; a
            // newer slot that takes over wants everything anew.
            let (id, slot) = (one.schedule.id, one.due.slot);
            if one.due.resume || self.is_begun_elsewhere(id, slot)? {
                done.insert(id, self.tools.store.models_done_since(slot, now)?);
            }
        }
        let mut wanted = Vec::new();
        for job in due_jobs(&due_schedules, models).jobs {
            let model = job.model;
            if !self
                .options
                .shard
                .holds(&model.spec.repo, &model.spec.revision)
            {
                continue;
            }
            let is_done = |id: &ScheduleId| done.get(id).is_some_and(|d| d.contains(&model.id));
            let serves = job.serves.iter().map(|serves| serves.schedule.id);
            let serves: Vec<ScheduleId> = serves.filter(|id| !is_done(id)).collect();
            if serves.is_empty() {
                continue;
            }
            if !is_probe_due(model, now) {
                let reason =
                    format!("it is gone upstream, and asked about once every {PROBE_EVERY}");
                self.left_out.push((model.spec.name.to_string(), reason));
                continue;
            }
            wanted.push((model.clone(), serves));
        }
        Ok(wanted)
    }

    /// Tells whether a run of another shard has begun a slot.
    fn is_begun_elsewhere(&self, id: ScheduleId, slot: Timestamp) -> Result<bool> {
        let store = self.tools.store;
        let shards = store.shards_of_schedule(id)?;
        let own = self.options.shard;
        if shards.is_empty() && own == Shard::ALL {
            return Ok(false);
        }
        let schedule = store.schedule_by_id(id)?;
        Ok(schedule.is_some_and(|it| it.state.is_begun_elsewhere(&shards, own, slot)))
    }

    /// Makes the group in which a schedule's limits hold, below that of the run.
    fn limits(&self, one: &DueNow, run: &LimitGroup, deadlines: &DeadlineThread) -> LimitGroup {
        let spec = &one.schedule.spec;
        let limits = run.child(spec.max_transfer.map(ByteSize::bytes));
        deadlines.add(TimeLimits {
            limits: limits.clone(),
            deadline: one.due.deadline,
            lasts: spec.max_duration,
            windows: Some((spec.windows.clone(), one.zone.clone())),
            limit_rate: spec
                .limit_rate
                .clone()
                .map(|table| (table, one.zone.clone())),
        });
        limits
    }

    /// Serves the slots that wait for nothing more.
    fn serve_those_done(&mut self, run: &mut Run<'_>) {
        let done: Vec<ScheduleId> = self
            .claims
            .iter()
            .filter(|(_, claim)| claim.waiting.is_empty())
            .map(|(id, _)| *id)
            .collect();
        for id in done {
            if let Some(claim) = self.claims.remove(&id) {
                let worst = claim.ends.iter().max();
                if matches!(worst, Some(ModelEnd::Offline | ModelEnd::Unfinished)) {
                    self.left.insert(id, claim.due.due.slot);
                }
                let served = self.serve(&claim);
                run.keep_problem(served);
                checkpoint("slot served");
            }
        }
    }

    fn serve(&self, claim: &Claim) -> Result<()> {
        let Tools {
            store, hub, host, ..
        } = self.tools;
        let (now, slot) = (host.now(), claim.due.due.slot);
        let not_before = rate_limits::not_before(store, hub, now)?;
        self.looker.update(claim.schedule.id, now, |fresh| {
            // An edit during the run has dropped the slot.
            if fresh.state.open_slot_at != Some(slot) {
                return None;
            }
            let zone = &claim.due.zone;
            let slots = Slots::new(&fresh.spec.cadence, zone, fresh.state.anchor_at);
            let end = SlotEnd {
                slot,
                ends: &claim.ends,
                now,
                next_slot: slots.after(now.max(slot)),
                not_before,
                random: fastrand::f64(),
            };
            Some(after_slot(&fresh.state, &end))
        })
    }
}

/// Tells whether a repository was read with a token that is missing or invalid
/// now. It may come back at any time, so the slot stays open.
fn has_lost_access(model: &Model, end: &SyncResult) -> bool {
    let kind = end.failure.as_ref().map(|trouble| trouble.kind);
    model.state.needs_token && kind == Some(ErrorKind::Auth)
}

fn is_probe_due(model: &Model, now: Timestamp) -> bool {
    let state = &model.state;
    let last = believed(state.last_check_at, now);
    let next = last.and_then(|at| at.checked_add(PROBE_EVERY.span()).ok());
    state.upstream_state != UpstreamState::Orphaned || next.is_none_or(|next| now >= next)
}
