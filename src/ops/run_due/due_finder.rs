//! Finds the due slots, and records the slots that were missed and clocks that were wrong.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use jiff::tz::TimeZone;

use crate::domain::model::EntryName;
use crate::domain::run::{Event, EventKind};
use crate::domain::schedule::{
    ClockEvent, Due, DueContext, DueSchedule, DueState, Schedule, ScheduleId, ScheduleState,
    StoredSchedules, Unusable, assess, shift, usable_zone,
};
use crate::domain::shard::Shard;
use crate::domain::time::{Timestamp, render_utc};
use crate::domain::units::Seconds;
use crate::ops::schedules::offset;
use crate::ops::ticks::note_look;
use crate::store::{Store, StoreError};
use crate::sys::host::Host;

/// Finds due slots.
#[derive(Clone, Copy)]
pub(super) struct DueFinder<'a> {
    pub store: &'a Store,
    pub host: &'a Host,
    /// The period of the timer.
    pub tick: Seconds,
    /// Only these schedules; empty means all.
    pub only: &'a BTreeSet<EntryName>,
    /// The shard whose slots are read; the slots of the schedule itself include all models.
    pub shard: Shard,
}

/// A schedule with its state at a moment.
pub(super) struct CheckedSchedule {
    pub schedule: Schedule,
    pub zone: TimeZone,
    pub state: DueState,
    pub clock: Option<ClockEvent>,
}

/// A due slot with its schedule and time zone.
#[derive(Clone, Debug)]
pub(super) struct DueSlot {
    pub schedule: Schedule,
    pub zone: TimeZone,
    pub due: Due,
}

impl DueSlot {
    pub(super) fn as_due_schedule(&self) -> DueSchedule<'_> {
        DueSchedule {
            schedule: &self.schedule,
            due: self.due,
        }
    }
}

/// The schedules to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Candidates {
    /// Enabled schedules whose next check has come, found by an index.
    Expected,
    /// All enabled schedules, for a moment other than now.
    All,
}

#[derive(Default)]
pub(super) struct FoundSlots {
    pub due: Vec<DueSlot>,
    /// Slots that have come while no window is open, found for the first time.
    pub closed: Vec<String>,
    /// StoredSchedules that cannot run, due or not.
    pub unusable: Vec<Unusable>,
}

impl DueFinder<'_> {
    /// Checks each schedule and separates those that cannot run. It only reads.
    pub(super) fn check(
        &self,
        now: Timestamp,
        candidates: Candidates,
    ) -> Result<(Vec<CheckedSchedule>, Vec<Unusable>)> {
        let StoredSchedules {
            readable,
            unreadable: mut unusable,
        } = match candidates {
            // The cached next check is the one for all models.
            Candidates::Expected if self.shard == Shard::ALL => self.store.due_candidates(now)?,
            Candidates::Expected | Candidates::All => self.store.enabled_schedules()?,
        };
        let shards = match self.shard {
            Shard::ALL => BTreeMap::new(),
            _ => self.store.shards_of_schedules()?,
        };
        let is_wanted =
            |name: &str| self.only.is_empty() || self.only.iter().any(|one| one.as_str() == name);
        unusable.retain(|one| is_wanted(&one.name));
        let mut checked = Vec::new();
        for mut schedule in readable {
            if !is_wanted(schedule.spec.name.as_str()) {
                continue;
            }
            if let Some(slots) = shards.get(&schedule.id) {
                schedule.state = schedule.state.for_shard(slots.get(&self.shard));
            }
            match usable_zone(&schedule) {
                Ok(zone) => checked.push(self.check_one(schedule, zone, now)?),
                Err(one) => unusable.push(one),
            }
        }
        Ok((checked, unusable))
    }

    /// Finds the due slots. It also records the rest: the next check of schedules that
    /// wait, slots that were missed, clocks that were wrong.
    pub(super) fn find(&self, now: Timestamp, candidates: Candidates) -> Result<FoundSlots> {
        let mut found = FoundSlots::default();
        let (checked, unusable) = self.check(now, candidates)?;
        found.unusable = unusable;
        for checked in checked {
            let id = checked.schedule.id;
            if checked.clock.is_some() {
                self.repair_clock(&checked, now)?;
            }
            match checked.state {
                DueState::Due(due) => found.due.push(DueSlot {
                    schedule: checked.schedule,
                    zone: checked.zone,
                    due,
                }),
                DueState::Expired { slot, missed, .. } => {
                    let windows = &checked.schedule.spec.windows;
                    let why = if windows.is_open(&checked.zone, now) {
                        "came too late to be caught up"
                    } else {
                        "cannot run any more: its window is closed, and the next one opens too \
                         late to catch up"
                    };
                    self.record_missed(id, (slot, missed), why, now)?;
                }
                DueState::Closed { slot, next } => {
                    let name = &checked.schedule.spec.name;
                    let (slot, next) = (render_utc(slot), render_utc(next));
                    found.closed.push(format!(
                        "`{name}`: the slot of {slot} waits for its window, which opens at {next}"
                    ));
                    self.save_next_check(&checked, now)?;
                }
                _ => self.save_next_check(&checked, now)?,
            }
        }
        Ok(found)
    }

    /// Changes the state of a schedule and plans its next check. With a slot left
    /// open, the next tick checks it and continues.
    ///
    /// The schedule is read again inside the transaction, because a person may edit
    /// it at any moment. A schedule that is gone or cannot run any more stays as it is.
    pub(super) fn update(
        &self,
        id: ScheduleId,
        now: Timestamp,
        change: impl FnOnce(&Schedule) -> Option<ScheduleState>,
    ) -> Result<()> {
        self.store.transaction(|store| -> Result<()> {
            let Some((mut schedule, zone)) = read_again(store, id)? else {
                return Ok(());
            };
            if self.shard != Shard::ALL {
                return self.update_shard(schedule, change, now);
            }
            let Some(state) = change(&schedule) else {
                return Ok(());
            };
            let is_left_open = state.open_slot_at.is_some() && state.retry_at.is_none();
            schedule.state = state;
            let checked = self.check_one(schedule, zone, now)?;
            let mut state = checked.schedule.state;
            state.next_due_at = if is_left_open {
                Some(now)
            } else {
                checked.state.next_check(now)
            };
            note_look(store, now)?;
            Ok(store.save_schedule_state(id, &state)?)
        })
    }

    /// Changes the slots of this run's shard, as part of `update`.
    fn update_shard(
        &self,
        mut schedule: Schedule,
        change: impl FnOnce(&Schedule) -> Option<ScheduleState>,
        now: Timestamp,
    ) -> Result<()> {
        let (store, id, before) = (self.store, schedule.id, schedule.state.clone());
        let mut shards = store.shards_of_schedule(id)?;
        schedule.state = before.for_shard(shards.get(&self.shard));
        let Some(state) = change(&schedule) else {
            return Ok(());
        };
        store.save_shard_slots(id, self.shard, &state.shard_slots())?;
        shards.insert(self.shard, state.shard_slots());
        let mut after = before.after_shards(&shards, self.shard.count());
        // A repaired clock moves the start of the schedule for all shards.
        after.anchor_at = state.anchor_at;
        after.not_before_at = before.not_before_at.min(state.not_before_at);
        if after != before {
            after.next_due_at = Some(now);
            store.save_schedule_state(id, &after)?;
        }
        Ok(())
    }

    fn check_one(
        &self,
        schedule: Schedule,
        zone: TimeZone,
        now: Timestamp,
    ) -> Result<CheckedSchedule> {
        let context = DueContext {
            now,
            offset: offset(self.store, self.host, &schedule)?,
            tick: self.tick,
        };
        let verdict = assess(&schedule.spec, &schedule.state, &zone, &context);
        Ok(CheckedSchedule {
            schedule,
            zone,
            state: verdict.state,
            clock: verdict.clock,
        })
    }

    fn save_next_check(&self, checked: &CheckedSchedule, now: Timestamp) -> Result<()> {
        let next = checked.state.next_check(now);
        if self.shard != Shard::ALL || next == checked.schedule.state.next_due_at {
            return Ok(());
        }
        self.store.transaction(|store| -> Result<()> {
            let fresh = read_again(store, checked.schedule.id)?;
            // An edit has planned the next check itself.
            let Some((fresh, _)) = fresh.filter(|(one, _)| one.state == checked.schedule.state)
            else {
                return Ok(());
            };
            let mut state = fresh.state;
            state.next_due_at = next;
            Ok(store.save_schedule_state(fresh.id, &state)?)
        })
    }

    /// Records slots as missed and as history. A missed slot follows from a limit that
    /// a person has set, so that `status` and the events show it and the run prints nothing.
    fn record_missed(
        &self,
        id: ScheduleId,
        (slot, missed): (Timestamp, u32),
        why: &str,
        now: Timestamp,
    ) -> Result<()> {
        self.store.transaction(|store| -> Result<()> {
            let mut name = None;
            self.update(id, now, |fresh| {
                name = Some(fresh.spec.name.clone());
                Some(ScheduleState {
                    last_slot_at: fresh.state.last_slot_at.max(Some(slot)),
                    open_slot_at: None,
                    retry_at: None,
                    retry_count: 0,
                    ..fresh.state.clone()
                })
            })?;
            let Some(name) = name else { return Ok(()) };
            let slot = render_utc(slot);
            let slots = match missed {
                1 => "the slot".to_owned(),
                n => format!("{n} slots, the last one"),
            };
            let detail = format!("`{name}`: {slots} of {slot}, {why}");
            log::info!("{detail}");
            Ok(store.record_event(&event(now, EventKind::MissedSlot, detail))?)
        })
    }

    /// Discards a history that lies in the future, with one event.
    fn repair_clock(&self, checked: &CheckedSchedule, now: Timestamp) -> Result<()> {
        let name = &checked.schedule.spec.name;
        if checked.clock == Some(ClockEvent::Back) {
            log::debug!("`{name}`: the clock went back; nothing runs twice");
            return Ok(());
        }
        let detail = format!(
            "`{name}`: its history lies in the future, so the clock was wrong then or is now; \
             it begins anew"
        );
        log::warn!("{detail}");
        self.store.transaction(|store| -> Result<()> {
            store.record_event(&event(now, EventKind::ClockReset, detail))?;
            if self.shard != Shard::ALL {
                repair_common_slots(store, checked.schedule.id, now)?;
            }
            self.update(checked.schedule.id, now, |fresh| {
                let after = fresh.state.after_clock_reset(&fresh.spec.cadence, now);
                let history = shift(after.not_before_at, -1);
                Some(ScheduleState {
                    // The start of the schedule is common to all shards, and the
                    // others may have slots to serve.
                    last_slot_at: (self.shard != Shard::ALL).then_some(history),
                    ..after
                })
            })
        })
    }
}

/// Discards a slot of the future that is served for all models: each shard would count
/// it as its own.
fn repair_common_slots(store: &Store, id: ScheduleId, now: Timestamp) -> Result<()> {
    let found = read_again(store, id)?;
    let Some((schedule, _)) = found.filter(|(one, _)| one.state.last_slot_at > Some(now)) else {
        return Ok(());
    };
    let state = ScheduleState {
        next_due_at: Some(now),
        ..schedule
            .state
            .after_clock_reset(&schedule.spec.cadence, now)
    };
    Ok(store.save_schedule_state(id, &state)?)
}

/// Reads a schedule and its zone again; `None` when it is gone or cannot run any
/// more, which the next check reports.
fn read_again(store: &Store, id: ScheduleId) -> Result<Option<(Schedule, TimeZone)>> {
    let schedule = match store.schedule_by_id(id) {
        Err(StoreError::UnusableSchedule(_)) => None,
        read => read?,
    };
    Ok(schedule.and_then(|schedule| {
        let zone = usable_zone(&schedule).ok()?;
        Some((schedule, zone))
    }))
}

fn event(at: Timestamp, kind: EventKind, detail: String) -> Event {
    Event {
        at,
        kind,
        model_id: None,
        run_id: None,
        detail,
    }
}
