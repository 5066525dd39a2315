//! The tables `shards` and `schedule_shards`: the shards that run in this home,
//! and the slots of each schedule for each shard.

use std::collections::BTreeMap;

use rusqlite::named_params;

use super::error::Result;
use super::open::Store;
use super::row::Row;
use super::value::{seconds, unreadable};
use crate::domain::schedule::{ScheduleId, ShardSlots, SlotsByShard};
use crate::domain::shard::{Shard, ShardTicks};
use crate::domain::time::Timestamp;

impl Store {
    /// Records that a run of a shard was started.
    pub fn record_shard_tick(&self, shard: Shard, now: Timestamp) -> Result<()> {
        let values = named_params! {
            "number": shard.index(),
            "n_shards": shard.count(),
            "last_tick_at": seconds(now),
        };
        self.upsert("shards", &["n_shards", "number"], values)
    }

    pub fn shard_ticks(&self) -> Result<ShardTicks> {
        let sql = "SELECT * FROM shards";
        let ticks = self.list_readable("shards", sql, [], |row| {
            Ok((read_shard(row)?, row.time("last_tick_at")?))
        })?;
        Ok(ShardTicks(ticks))
    }

    /// Returns the shards of one schedule.
    pub fn shards_of_schedule(&self, id: ScheduleId) -> Result<SlotsByShard> {
        let sql = "SELECT * FROM schedule_shards WHERE schedule_id = ?1";
        let read = |row: &Row<'_>| Ok((read_shard(row)?, read_slots(row)?));
        self.list_readable("schedule_shards", sql, [id.0], read)
    }

    /// Returns the shards of all schedules that have any.
    pub fn shards_of_schedules(&self) -> Result<BTreeMap<ScheduleId, SlotsByShard>> {
        let mut all: BTreeMap<ScheduleId, SlotsByShard> = BTreeMap::new();
        let sql = "SELECT * FROM schedule_shards";
        self.list_readable::<_, ()>("schedule_shards", sql, [], |row| {
            let (shard, slots) = (read_shard(row)?, read_slots(row)?);
            let id = ScheduleId(row.get("schedule_id")?);
            all.entry(id).or_default().insert(shard, slots);
            Ok(())
        })?;
        Ok(all)
    }

    pub fn save_shard_slots(&self, id: ScheduleId, shard: Shard, slots: &ShardSlots) -> Result<()> {
        let values = named_params! {
            "schedule_id": id.0,
            "number": shard.index(),
            "n_shards": shard.count(),
            "last_slot_at": slots.last_slot_at.map(seconds),
            "open_slot_at": slots.open_slot_at.map(seconds),
            "retry_at": slots.retry_at.map(seconds),
            "retry_count": slots.retry_count,
        };
        let key = ["schedule_id", "n_shards", "number"];
        self.upsert("schedule_shards", &key, values)
    }
}

pub(super) fn read_shard(row: &Row<'_>) -> rusqlite::Result<Shard> {
    let shard = Shard::from_parts(row.get("number")?, row.get("n_shards")?);
    shard.ok_or_else(|| unreadable("number", "it is not below `n_shards`"))
}

fn read_slots(row: &Row<'_>) -> rusqlite::Result<ShardSlots> {
    Ok(ShardSlots {
        last_slot_at: row.time_if_any("last_slot_at")?,
        open_slot_at: row.time_if_any("open_slot_at")?,
        retry_at: row.time_if_any("retry_at")?,
        retry_count: row.get("retry_count")?,
    })
}
