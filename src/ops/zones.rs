//! Whether the rules of time zones have changed since the last tick.

use anyhow::Result;

use crate::domain::run::{Event, EventKind};
use crate::domain::time::Timestamp;
use crate::store::{MetaKey, Store};
use crate::sys::host::Host;
use crate::sys::zone_data;

/// Makes every schedule a candidate when the zone data that `next_due_at` was
/// computed with is not today's any more.
pub fn notice_new_zone_data(store: &Store, host: &Host, now: Timestamp) -> Result<()> {
    let zones = store.time_zones_in_use()?;
    let today = zone_data::fingerprint(host, &zones);
    let known = store.meta(MetaKey::ZoneFingerprint)?;
    if known.as_deref() == Some(today.as_str()) {
        return Ok(());
    }
    store.transaction(|store| -> Result<()> {
        store.set_meta(MetaKey::ZoneFingerprint, &today)?;
        // Another set of zones is no news by itself: a new schedule was looked at when it was made.
        let has_changed = known.is_some_and(|known| zone_data::differs(&known, &today));
        if has_changed {
            store.reconsider_all_schedules(now)?;
            store.record_event(&Event {
                at: now,
                kind: EventKind::ZoneDataChanged,
                model_id: None,
                run_id: None,
                detail: "the rules of time zones have changed; all slots are planned anew"
                    .to_owned(),
            })?;
        }
        Ok(())
    })
}
