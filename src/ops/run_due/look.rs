//! Which schedules are due, and what has to be written down about the others.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use jiff::tz::TimeZone;

use crate::domain::model::EntryName;
use crate::domain::run::{Event, EventKind};
use crate::domain::schedule::{
    ClockEvent, Due, DueContext, DueState, Schedule, ScheduleId, ScheduleState, StoredSchedules,
    Unusable, assess, shift, usable_zone,
};
use crate::domain::shard::Shard;
use crate::domain::time::{Timestamp, render_utc};
use crate::domain::units::Seconds;
use crate::ops::schedules::offset;
use crate::ops::ticks::note_look;
use crate::ops::zones::note_zone;
use crate::store::{Store, StoreError};
use crate::sys::host::Host;

/// What a look at the schedules needs.
#[derive(Clone, Copy)]
pub(super) struct Looker<'a> {
    pub store: &'a Store,
    pub host: &'a Host,
    /// How often the timer ticks.
    pub tick: Seconds,
    /// The only schedules that count; empty is all of them.
    pub only: &'a BTreeSet<EntryName>,
    /// The shard whose slots are read; those of the schedule itself cover all models.
    pub shard: Shard,
}

/// A schedule with the answer to whether it is due.
pub(super) struct Judged {
    pub schedule: Schedule,
    pub zone: TimeZone,
    pub state: DueState,
    pub clock: Option<ClockEvent>,
}

/// A due schedule, its slot and its zone.
#[derive(Clone, Debug)]
pub(super) struct DueNow {
    pub schedule: Schedule,
    pub zone: TimeZone,
    pub due: Due,
}

/// Which schedules to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Among {
    /// Those whose next look has come; an index finds them.
    Candidates,
    /// All that are enabled, for a moment that the cache knows nothing of.
    All,
}

/// What a look found.
#[derive(Default)]
pub(super) struct Found {
    pub due: Vec<DueNow>,
    /// Slots that have come while no window is open, for the first time.
    pub closed: Vec<String>,
    /// Schedules that cannot be followed, whether they are due or not.
    pub unusable: Vec<Unusable>,
}

impl Looker<'_> {
    /// Asks about each schedule, and parts them from those that cannot be
    /// followed; only looks.
    pub(super) fn judge(
        &self,
        now: Timestamp,
        among: Among,
    ) -> Result<(Vec<Judged>, Vec<Unusable>)> {
        let StoredSchedules {
            readable,
            unreadable: mut unusable,
        } = match among {
            // The cached look is that of all models.
            Among::Candidates if self.shard == Shard::ALL => self.store.due_candidates(now)?,
            Among::Candidates | Among::All => self.store.enabled_schedules()?,
        };
        let shards = match self.shard {
            Shard::ALL => BTreeMap::new(),
            _ => self.store.shards_of_schedules()?,
        };
        let is_wanted =
            |name: &str| self.only.is_empty() || self.only.iter().any(|one| one.as_str() == name);
        unusable.retain(|one| is_wanted(&one.name));
        let mut judged = Vec::new();
        for mut schedule in readable {
            if !is_wanted(schedule.spec.name.as_str()) {
                continue;
            }
            if let Some(slots) = shards.get(&schedule.id) {
                schedule.state = schedule.state.for_shard(slots.get(&self.shard));
            }
            match usable_zone(&schedule) {
                Ok(zone) => judged.push(self.ask(schedule, zone, now)?),
                Err(one) => unusable.push(one),
            }
        }
        Ok((judged, unusable))
    }

    /// Looks, and writes down what needs no work: the next look of those that
    /// wait, slots that were missed, clocks that went wrong.
    pub(super) fn look(&self, now: Timestamp, among: Among) -> Result<Found> {
        let mut found = Found::default();
        let (judged, unusable) = self.judge(now, among)?;
        found.unusable = unusable;
        for judged in judged {
            let id = judged.schedule.id;
            if judged.clock.is_some() {
                self.mend_clock(&judged, now)?;
            }
            match judged.state {
                DueState::Due(due) => found.due.push(DueNow {
                    schedule: judged.schedule,
                    zone: judged.zone,
                    due,
                }),
                DueState::Expired { slot, missed, .. } => {
                    let windows = &judged.schedule.spec.windows;
                    let why = match windows.is_open(&judged.zone, now) {
                        true => "came too late to be caught up",
                        false => {
                            "cannot run any more: its window is closed, and the next one opens \
                             too late to catch up"
                        }
                    };
                    self.record_missed(id, (slot, missed), why, now)?;
                }
                DueState::Closed { slot, next } => {
                    let name = &judged.schedule.spec.name;
                    let (slot, next) = (render_utc(slot), render_utc(next));
                    found.closed.push(format!(
                        "`{name}`: the slot of {slot} waits for its window, which opens at {next}"
                    ));
                    self.save_next_look(&judged, now)?;
                }
                _ => self.save_next_look(&judged, now)?,
            }
        }
        Ok(found)
    }

    /// Changes the state of a schedule as it is now, and plans its next look.
    /// One that is left with an open slot is looked at by the next tick, which
    /// goes on with it or says why it cannot.
    ///
    /// Read again inside the transaction: a person may edit it at any moment,
    /// and what is gone, or makes no sense any more, is left alone.
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
            let judged = self.ask(schedule, zone, now)?;
            let mut state = judged.schedule.state;
            state.next_due_at = match is_left_open {
                true => Some(now),
                false => judged.state.next_check(now),
            };
            note_zone(store, self.host, &judged.schedule.spec.time_zone)?;
            note_look(store, now)?;
            Ok(store.save_schedule_state(id, &state)?)
        })
    }

    /// Changes the slots of this run's shard, as a part of `update`.
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
        // A clock that was put right moves the start of the schedule for all.
        after.anchor_at = state.anchor_at;
        after.not_before_at = before.not_before_at.min(state.not_before_at);
        if after != before {
            after.next_due_at = Some(now);
            store.save_schedule_state(id, &after)?;
        }
        Ok(())
    }

    fn ask(&self, schedule: Schedule, zone: TimeZone, now: Timestamp) -> Result<Judged> {
        let look = DueContext {
            now,
            offset: offset(self.store, self.host, &schedule)?,
            tick: self.tick,
        };
        let verdict = assess(&schedule.spec, &schedule.state, &zone, &look);
        Ok(Judged {
            schedule,
            zone,
            state: verdict.state,
            clock: verdict.clock,
        })
    }

    fn save_next_look(&self, judged: &Judged, now: Timestamp) -> Result<()> {
        let next = judged.state.next_check(now);
        if self.shard != Shard::ALL || next == judged.schedule.state.next_due_at {
            return Ok(());
        }
        self.store.transaction(|store| -> Result<()> {
            let fresh = read_again(store, judged.schedule.id)?;
            // Whoever has edited it has planned its next look.
            let Some((fresh, _)) = fresh.filter(|(one, _)| one.state == judged.schedule.state)
            else {
                return Ok(());
            };
            let mut state = fresh.state;
            state.next_due_at = next;
            note_zone(store, self.host, &fresh.spec.time_zone)?;
            Ok(store.save_schedule_state(fresh.id, &state)?)
        })
    }

    /// Records slots as missed, and as history. No output: a limit that a
    /// person has set is no trouble, so `status` and the events tell of it.
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

    /// Forgets a history that lies in the future, and says so once.
    fn mend_clock(&self, judged: &Judged, now: Timestamp) -> Result<()> {
        let name = &judged.schedule.spec.name;
        if judged.clock == Some(ClockEvent::Back) {
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
                mend_slots_of_all(store, judged.schedule.id, now)?;
            }
            self.update(judged.schedule.id, now, |fresh| {
                let after = fresh.state.after_clock_reset(&fresh.spec.cadence, now);
                let history = shift(after.not_before_at, -1);
                Some(ScheduleState {
                    // The start of the schedule holds for all shards, and the
                    // others may have slots to serve.
                    last_slot_at: (self.shard != Shard::ALL).then_some(history),
                    ..after
                })
            })
        })
    }
}

/// Forgets a slot of the future that is served for all models: each shard would
/// take it for its own history.
fn mend_slots_of_all(store: &Store, id: ScheduleId, now: Timestamp) -> Result<()> {
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

/// Reads a schedule and its zone as they are now; `None` when it is gone, or
/// somebody has made it one that cannot be followed: the next look tells of that.
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

pub(super) fn event(at: Timestamp, kind: EventKind, detail: String) -> Event {
    Event {
        at,
        kind,
        model_id: None,
        run_id: None,
        detail,
    }
}
