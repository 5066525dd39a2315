//! Slots of a schedule for runs that handle one shard of the models.
//!
//! Each shard has its own last slot, open slot and retry time; the same
//! function decides for all of them whether a slot is due. A run of all models
//! uses the schedule's own state. Decisions:
//! - A shard that runs for the first time starts from the schedule's state, and
//!   a slot served for all models is served for each shard.
//! - A slot started by another run may have finished models; those are skipped,
//!   whichever shard handled them.
//! - When all shards of a division have served a slot, it is served for the
//!   schedule as well.
//! - A schedule is displayed with the state of its slowest shard.

use std::collections::BTreeMap;

use super::entry::ScheduleState;
use crate::domain::shard::Shard;
use crate::domain::time::Timestamp;

/// The progress of one shard of a schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardSlots {
    pub last_slot_at: Option<Timestamp>,
    pub open_slot_at: Option<Timestamp>,
    pub retry_at: Option<Timestamp>,
    pub retry_count: u32,
}

/// The shards of one schedule.
pub type SlotsByShard = BTreeMap<Shard, ShardSlots>;

impl ShardSlots {
    /// Reports whether a run of this shard has started or served a slot.
    fn has_begun(&self, slot: Timestamp) -> bool {
        self.open_slot_at == Some(slot) || self.last_slot_at.is_some_and(|last| last >= slot)
    }
}

impl ScheduleState {
    /// Returns the schedule's state for the models of a shard.
    #[must_use]
    pub fn for_shard(&self, slots: Option<&ShardSlots>) -> Self {
        let Some(slots) = slots else {
            return self.clone();
        };
        let ShardSlots {
            last_slot_at,
            open_slot_at,
            retry_at,
            retry_count,
        } = slots.clone();
        Self {
            // A slot served for all models is served for this shard.
            last_slot_at: last_slot_at.max(self.last_slot_at),
            open_slot_at,
            retry_at,
            retry_count,
            ..self.clone()
        }
    }

    /// Returns the part of the state that is kept per shard.
    pub fn shard_slots(&self) -> ShardSlots {
        ShardSlots {
            last_slot_at: self.last_slot_at,
            open_slot_at: self.open_slot_at,
            retry_at: self.retry_at,
            retry_count: self.retry_count,
        }
    }

    /// Reports whether a run of another shard has started a slot.
    pub fn is_begun_elsewhere(&self, shards: &SlotsByShard, own: Shard, slot: Timestamp) -> bool {
        let all = own != Shard::ALL && self.shard_slots().has_begun(slot);
        let is_other =
            |(shard, slots): (&Shard, &ShardSlots)| *shard != own && slots.has_begun(slot);
        all || shards.iter().any(is_other)
    }

    /// Returns the state after shards have served slots: a slot served by all
    /// shards of a division is served.
    #[must_use]
    pub fn after_shards(&self, shards: &SlotsByShard, n_shards: u32) -> Self {
        let division = shards.iter().filter(|(shard, _)| shard.count() == n_shards);
        let last: Option<Vec<_>> = division.map(|(_, slots)| slots.last_slot_at).collect();
        let last = last.filter(|last| last.len() == n_shards as usize);
        let Some(served) = last.and_then(|last| last.into_iter().min()) else {
            return self.clone();
        };
        let mut after = self.clone();
        after.last_slot_at = Some(self.last_slot_at.map_or(served, |last| last.max(served)));
        if self.open_slot_at.is_some_and(|open| open <= served) {
            (after.open_slot_at, after.retry_at, after.retry_count) = (None, None, 0);
        }
        after
    }

    /// Returns the state to display in a home that runs some shards.
    #[must_use]
    pub fn furthest_behind(&self, shards: &SlotsByShard, run_here: &[Shard]) -> Self {
        let states = run_here.iter().map(|shard| match *shard {
            Shard::ALL => self.clone(),
            shard => self.for_shard(shards.get(&shard)),
        });
        let behind = states.min_by_key(|state| (state.last_slot_at, state.open_slot_at));
        behind.unwrap_or_else(|| self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::schedule::fixture;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(1_900_000_800 + 3600 * hour).unwrap()
    }

    fn shard(text: &str) -> Shard {
        text.parse::<crate::domain::shard::ShardArg>()
            .unwrap()
            .resolve(None)
            .unwrap()
    }

    fn served(hour: i64) -> ShardSlots {
        ShardSlots {
            last_slot_at: Some(at(hour)),
            ..ShardSlots::default()
        }
    }

    fn state(last: Option<i64>) -> ScheduleState {
        ScheduleState {
            last_slot_at: last.map(at),
            ..fixture::schedule(1, "interval 1h").state
        }
    }

    #[test]
    fn a_shard_starts_from_the_schedule_and_then_advances_alone() {
        let state = state(Some(3));
        assert_eq!(state.for_shard(None), state);
        let own = state.for_shard(Some(&served(7)));
        assert_eq!(own.last_slot_at, Some(at(7)));
        assert_eq!(own.anchor_at, state.anchor_at);
        let behind = state.for_shard(Some(&served(2)));
        assert_eq!(behind.last_slot_at, Some(at(3)), "a run of all came later");
        assert_eq!(own.shard_slots(), served(7));
    }

    #[test]
    fn a_slot_is_served_for_the_schedule_when_its_last_shard_has_served_it() {
        let (one, two) = (shard("0/2"), shard("1/2"));
        let mut slots = SlotsByShard::from([(one, served(5)), (shard("0/3"), served(9))]);
        assert_eq!(state(Some(3)).after_shards(&slots, 2), state(Some(3)));
        slots.insert(two, ShardSlots::default());
        assert_eq!(state(Some(3)).after_shards(&slots, 2), state(Some(3)));
        slots.insert(two, served(4));
        let mut before = state(Some(3));
        (before.open_slot_at, before.retry_at) = (Some(at(4)), Some(at(6)));
        assert_eq!(before.after_shards(&slots, 2), state(Some(4)));
        assert_eq!(state(Some(8)).after_shards(&slots, 2), state(Some(8)));
    }

    #[test]
    fn a_slot_started_by_another_run_is_detected() {
        let (one, half) = (shard("0/4"), shard("0/2"));
        let slots = SlotsByShard::from([(half, served(5)), (one, served(2))]);
        let begun = |own, hour| state(Some(3)).is_begun_elsewhere(&slots, own, at(hour));
        assert!(begun(one, 5) && begun(Shard::ALL, 5));
        assert!(!begun(one, 6));
        assert!(!begun(half, 4), "its own slots are not another's");
        assert!(begun(half, 3), "a run of all models served it");
        assert!(!state(Some(3)).is_begun_elsewhere(&SlotsByShard::new(), Shard::ALL, at(3)));
    }

    #[test]
    fn the_slowest_shard_is_displayed() {
        let (one, two) = (shard("0/2"), shard("1/2"));
        let slots = SlotsByShard::from([(one, served(5)), (two, served(4))]);
        let shown = |here: &[Shard]| state(Some(1)).furthest_behind(&slots, here).last_slot_at;
        assert_eq!(shown(&[one, two]), Some(at(4)));
        assert_eq!(shown(&[one]), Some(at(5)));
        assert_eq!(shown(&[]), Some(at(1)));
        assert_eq!(shown(&[Shard::ALL]), Some(at(1)));
        assert_eq!(shown(&[one, shard("0/9")]), Some(at(1)), "not run yet");
    }
}
