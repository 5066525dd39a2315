//! The display of schedules in a home that runs shards.

use anyhow::Result;

use super::schedules::next_look;
use crate::domain::schedule::{Schedule, SlotsByShard, usable_zone};
use crate::domain::shard::Shard;
use crate::domain::units::Seconds;
use crate::store::Store;
use crate::sys::host::Host;

/// Replaces the state of each schedule by that of the shard of this home that is
/// furthest behind. A home without shards changes nothing.
pub fn show_as_run_here(
    store: &Store,
    host: &Host,
    schedules: &mut [Schedule],
    tick: Seconds,
) -> Result<()> {
    let run_here = store.shard_ticks()?.current(host.now());
    if run_here.iter().all(|shard| *shard == Shard::ALL) {
        return Ok(());
    }
    let (all, none) = (store.shards_of_schedules()?, SlotsByShard::new());
    for schedule in schedules {
        let shards = all.get(&schedule.id).unwrap_or(&none);
        schedule.state = schedule.state.furthest_behind(shards, &run_here);
        if usable_zone(schedule).is_ok() {
            schedule.state.next_due_at = next_look(store, host, schedule, tick)?;
        }
    }
    Ok(())
}
