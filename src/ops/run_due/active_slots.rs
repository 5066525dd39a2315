//! The slots that this run works on: claimed before the first byte, served when
//! their last model has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Result;

use super::due_finder::{Candidates, DueFinder, DueSlot};
use super::tick::{RunDueOptions, finder};
use super::waiting::remove_waiting;
use crate::domain::model::{Model, ModelId};
use crate::domain::outcome::{ErrorKind, UpstreamState};
use crate::domain::queue_order::QueueOrder;
use crate::domain::schedule::{
    DueSchedule, ModelEnd, ScheduleId, SlotEnd, Slots, after_slot, claimed, due_jobs,
};
use crate::domain::session::SessionId;
use crate::domain::settings::Settings;
use crate::domain::shard::Shard;
use crate::domain::time::{Timestamp, believed};
use crate::domain::units::{ByteSize, Seconds};
use crate::download::LimitGroup;
use crate::ops::allowances::rule_of_schedule;
use crate::ops::deadline_thread::TimeLimits;
use crate::ops::rate_limits;
use crate::ops::run::{ActiveRun, Opening};
use crate::ops::services::Services;
use crate::ops::sync::{PolicyInput, SyncRequest, SyncResult, Target};
use crate::sys::host::checkpoint;

/// The time between two checks of a repository that is gone upstream.
const PROBE_EVERY: Seconds = Seconds(24 * 3600);

pub(super) struct ActiveSlots<'a> {
    services: &'a Services<'a>,
    options: &'a RunDueOptions,
    finder: DueFinder<'a>,
    slots: BTreeMap<ScheduleId, ActiveSlot>,
    models: BTreeMap<SessionId, ActiveModel>,
    /// Slots that this run could not finish; the next tick continues with them.
    unfinished: BTreeMap<ScheduleId, Timestamp>,
    /// Schedules that became due for a model while it was active.
    requested_again: BTreeMap<ModelId, Vec<ScheduleId>>,
    /// The models that were not checked, each with the reason.
    pub(super) left_out: Vec<(String, String)>,
    pub(super) n_due: u64,
}

/// A claimed slot.
struct ActiveSlot {
    due: DueSlot,
    limits: LimitGroup,
    /// Models that have not ended.
    waiting: BTreeSet<ModelId>,
    ends: Vec<ModelEnd>,
}

/// A model of one or more claimed slots.
struct ActiveModel {
    model: Model,
    /// The schedules that it serves; the limits of the first apply.
    schedules: Vec<ScheduleId>,
}

impl<'a> ActiveSlots<'a> {
    pub(super) fn new(services: &'a Services<'_>, options: &'a RunDueOptions) -> Self {
        Self {
            services,
            options,
            finder: finder(services, options),
            slots: BTreeMap::new(),
            models: BTreeMap::new(),
            unfinished: BTreeMap::new(),
            requested_again: BTreeMap::new(),
            left_out: Vec::new(),
            n_due: 0,
        }
    }

    /// Claims the slots that have become due meanwhile.
    pub(super) fn claim_new(&mut self, now: Timestamp, run: &mut ActiveRun<'_>) -> Result<()> {
        // The tick has reported the unusable schedules, or the next one does.
        let mut due = self.finder.find(now, Candidates::Expected)?.due;
        due.retain(|one| {
            let id = &one.schedule.id;
            // The limit of a schedule holds for the run: the next tick continues.
            let is_unfinished = self
                .unfinished
                .get(id)
                .is_some_and(|slot| one.due.slot <= *slot);
            !self.slots.contains_key(id) && !is_unfinished
        });
        remove_waiting(self.services, self.options, &mut due, now)?;
        if due.is_empty() {
            return Ok(());
        }
        self.claim(due, now, run)
    }

    /// Claims due slots and gives their models to the run.
    pub(super) fn claim(
        &mut self,
        due: Vec<DueSlot>,
        now: Timestamp,
        run: &mut ActiveRun<'_>,
    ) -> Result<()> {
        let store = &self.services.store;
        let models = store.models_of_schedules(due.iter().map(|one| one.schedule.id))?;
        store.transaction(|_| -> Result<()> {
            for one in &due {
                let slot = one.due.slot;
                self.finder.update(one.schedule.id, now, |fresh| {
                    Some(claimed(&fresh.state, slot))
                })?;
            }
            Ok(())
        })?;
        checkpoint("slots claimed");
        let models = self.models_to_sync(&due, &models, now)?;
        for one in due {
            let id = one.schedule.id;
            let waiting = models.iter().filter(|model| model.schedules.contains(&id));
            let slot = ActiveSlot {
                waiting: waiting.map(|one| one.model.id).collect(),
                limits: start_limits(&self.services.settings, &one, run)?,
                due: one,
                ends: Vec::new(),
            };
            self.slots.insert(id, slot);
        }
        let mut new = Vec::new();
        for one in models {
            self.n_due += 1;
            let is_active = self
                .models
                .values()
                .any(|active| active.model.id == one.model.id);
            if is_active {
                let again = self.requested_again.entry(one.model.id).or_default();
                again.extend(one.schedules);
            } else {
                new.push(one);
            }
        }
        self.start(new, run)?;
        self.serve_finished(run);
        Ok(())
    }

    /// Notes the result of a model. A slot whose last model this was is served or
    /// set to be retried.
    pub(super) fn note_result(
        &mut self,
        session: SessionId,
        result: &SyncResult,
        is_recorded: bool,
        run: &mut ActiveRun<'_>,
    ) -> Result<()> {
        let Some(ActiveModel { model, schedules }) = self.models.remove(&session) else {
            return Ok(());
        };
        let end = if !is_recorded {
            // A result that is not in the database serves no slot.
            ModelEnd::Unfinished
        } else if result.is_offline {
            ModelEnd::Offline
        } else if has_lost_access(&model, result) {
            ModelEnd::Temporary
        } else {
            ModelEnd::of(result.outcome, result.failure.as_ref())
        };
        // The limit of the first schedule has ended the model; the others have limits
        // of their own.
        let n_ended = if is_recorded && end == ModelEnd::Unfinished {
            1.min(schedules.len())
        } else {
            schedules.len()
        };
        let (ended, others) = schedules.split_at(n_ended);
        for id in ended {
            if let Some(slot) = self.slots.get_mut(id)
                && slot.waiting.remove(&model.id)
            {
                slot.ends.push(end);
            }
        }
        let mut next = others.to_vec();
        next.extend(self.requested_again.remove(&model.id).unwrap_or_default());
        if !next.is_empty() {
            self.start_again(model.id, next, run)?;
        }
        self.serve_finished(run);
        Ok(())
    }

    /// Syncs a model once more for other schedules, unless a person has removed or
    /// disabled it, or has removed the schedules, meanwhile.
    fn start_again(
        &mut self,
        id: ModelId,
        schedules: Vec<ScheduleId>,
        run: &mut ActiveRun<'_>,
    ) -> Result<()> {
        let store = &self.services.store;
        let model = store.model_by_id(id)?.filter(|model| model.spec.enabled);
        let mut left = Vec::new();
        for schedule in schedules {
            if model.is_some() && store.has_schedule(schedule)? {
                left.push(schedule);
            } else if let Some(slot) = self.slots.get_mut(&schedule) {
                slot.waiting.remove(&id);
            }
        }
        let Some(model) = model.filter(|_| !left.is_empty()) else {
            return Ok(());
        };
        let schedules = left;
        self.start(vec![ActiveModel { model, schedules }], run)
    }

    /// Opens sessions for models and gives the models to the syncer.
    fn start(&mut self, models: Vec<ActiveModel>, run: &mut ActiveRun<'_>) -> Result<()> {
        let mut openings = Vec::new();
        let mut started = Vec::new();
        let Services { store, host, .. } = self.services;
        let input = PolicyInput::load(store, host.now())?;
        for one in models {
            let first = one.schedules.first().and_then(|id| self.slots.get(id));
            let Some(slot) = first else { continue };
            let target = Arc::new(Target::with_siblings(store, &one.model, &input)?);
            let schedule = &slot.due.schedule;
            openings.push(Opening {
                target: target.clone(),
                slot: Some((schedule.id, schedule.spec.name.clone(), slot.due.due.slot)),
                is_verification: false,
            });
            let request = SyncRequest {
                target,
                limits: slot.limits.clone(),
                order: QueueOrder::new(schedule.spec.priority, one.model.spec.priority),
            };
            started.push((request, one));
        }
        let sessions = run.open(openings)?;
        for (session, (request, one)) in sessions.into_iter().zip(started) {
            if let Some(session) = session {
                self.models.insert(session, one);
                run.sync(session, request, None)?;
            } else {
                let name = &one.model.spec.name;
                log::info!("`{name}` or its schedule has just been removed: skipped");
                self.start_again(one.model.id, one.schedules, run)?;
            }
        }
        Ok(())
    }

    /// Chooses the models of due schedules, each once with all schedules that it serves.
    fn models_to_sync(
        &mut self,
        due: &[DueSlot],
        models: &[Model],
        now: Timestamp,
    ) -> Result<Vec<ActiveModel>> {
        let schedules: Vec<DueSchedule<'_>> = due.iter().map(DueSlot::as_due_schedule).collect();
        let done = self.models_done(due, now)?;
        let mut chosen = Vec::new();
        for job in due_jobs(&schedules, models) {
            let (model, spec) = (job.model, &job.model.spec);
            if !self.options.shard.holds(&spec.repo, &spec.revision) {
                continue;
            }
            let is_done = |id: &ScheduleId| {
                let done = done.get(id);
                done.is_some_and(|models| models.contains(&model.id))
            };
            let schedules = job.serves.iter().map(|serves| serves.schedule.id);
            let schedules: Vec<ScheduleId> = schedules.filter(|id| !is_done(id)).collect();
            if schedules.is_empty() {
                continue;
            }
            if !is_probe_due(model, now) {
                let reason =
                    format!("it is gone upstream, and asked about once every {PROBE_EVERY}");
                self.left_out.push((spec.name.to_string(), reason));
                continue;
            }
            chosen.push(ActiveModel {
                model: model.clone(),
                schedules,
            });
        }
        Ok(chosen)
    }

    /// Returns the models that an earlier run has finished for a slot that continues.
    /// A newer slot syncs all models again.
    fn models_done(
        &self,
        due: &[DueSlot],
        now: Timestamp,
    ) -> Result<BTreeMap<ScheduleId, BTreeSet<ModelId>>> {
        let store = &self.services.store;
        let mut done = BTreeMap::new();
        for one in due {
            let (id, slot) = (one.schedule.id, one.due.slot);
            if one.due.resume || self.is_begun_elsewhere(id, slot)? {
                done.insert(id, store.models_done_since(slot, now)?);
            }
        }
        Ok(done)
    }

    /// Tells whether a run of another shard has begun a slot.
    fn is_begun_elsewhere(&self, id: ScheduleId, slot: Timestamp) -> Result<bool> {
        let store = &self.services.store;
        let shards = store.shards_of_schedule(id)?;
        let own = self.options.shard;
        if shards.is_empty() && own == Shard::ALL {
            return Ok(false);
        }
        let schedule = store.schedule_by_id(id)?;
        Ok(schedule.is_some_and(|it| it.state.is_begun_elsewhere(&shards, own, slot)))
    }

    /// Serves the slots whose models have all ended.
    fn serve_finished(&mut self, run: &mut ActiveRun<'_>) {
        let finished = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.waiting.is_empty());
        let finished: Vec<ScheduleId> = finished.map(|(id, _)| *id).collect();
        for id in finished {
            let Some(slot) = self.slots.remove(&id) else {
                continue;
            };
            let worst = slot.ends.iter().max();
            if let Some(ModelEnd::Offline | ModelEnd::Unfinished) = worst {
                self.unfinished.insert(id, slot.due.due.slot);
            }
            let served = self.serve(&slot);
            run.note_error(served);
            checkpoint("slot served");
        }
    }

    fn serve(&self, active: &ActiveSlot) -> Result<()> {
        let Services { store, host, .. } = self.services;
        let (now, slot) = (host.now(), active.due.due.slot);
        let hub = &self.services.network()?.hub;
        let not_before = rate_limits::not_before(store, hub, now)?;
        self.finder.update(active.due.schedule.id, now, |fresh| {
            // An edit during the run has dropped the slot.
            if fresh.state.open_slot_at != Some(slot) {
                return None;
            }
            let slots = Slots::new(&fresh.spec.cadence, &active.due.zone, fresh.state.anchor_at);
            let end = SlotEnd {
                slot,
                ends: &active.ends,
                now,
                next_slot: slots.after(now.max(slot)),
                not_before,
                random: fastrand::f64(),
            };
            Some(after_slot(&fresh.state, &end))
        })
    }
}

/// Starts the limits of a schedule: they count from now.
fn start_limits(settings: &Settings, due: &DueSlot, run: &mut ActiveRun<'_>) -> Result<LimitGroup> {
    let spec = &due.schedule.spec;
    let allowance = run.allowance(rule_of_schedule(settings, &due.schedule, &due.zone))?;
    let limits = run.limits()?.child(spec.max_transfer.map(ByteSize::bytes));
    let limits = limits.with_allowances([allowance]);
    let table = spec.limit_rate.clone();
    run.add_time_limits(TimeLimits {
        limits: limits.clone(),
        deadline: due.due.deadline,
        lasts: spec.max_duration,
        windows: Some((spec.windows.clone(), due.zone.clone())),
        limit_rate: table.map(|table| (table, due.zone.clone())),
    });
    Ok(limits)
}

/// Tells whether a repository that was read with a token is refused now. The token
/// may come back at any time, so the slot stays open.
fn has_lost_access(model: &Model, result: &SyncResult) -> bool {
    let kind = result.failure.as_ref().map(|failure| failure.kind);
    model.state.needs_token && kind == Some(ErrorKind::Auth)
}

fn is_probe_due(model: &Model, now: Timestamp) -> bool {
    let state = &model.state;
    let last = believed(state.last_check_at, now);
    let next = last.and_then(|at| at.checked_add(PROBE_EVERY.span()).ok());
    state.upstream_state != UpstreamState::Orphaned || next.is_none_or(|next| now >= next)
}
