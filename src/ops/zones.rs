//! Detects updates of the time zone data, which move the slots of schedules.
//!
//! `next_due_at` of a schedule is computed by the zone data of its day. Each tick
//! compares the data of all zones in use with that of the last tick.

use anyhow::Result;

use crate::domain::run::{Event, EventKind};
use crate::domain::time::Timestamp;
use crate::store::{MetaKey, Store};
use crate::sys::host::Host;
use crate::sys::zone_data;

/// Makes every schedule a candidate if zone data differs from that of the last tick.
///
/// A zone that was not in use then counts as different: its data may have changed
/// since its schedule was planned. Only a known zone is worth an event.
pub fn notice_new_zone_data(store: &Store, host: &Host, now: Timestamp) -> Result<()> {
    let today = zone_data::fingerprint(host, &store.time_zones_in_use()?);
    let known = store.meta(MetaKey::ZoneFingerprint)?;
    if known.as_ref() == Some(&today) {
        return Ok(());
    }
    store.transaction(|store| -> Result<()> {
        store.set_meta(MetaKey::ZoneFingerprint, &today)?;
        let Some(known) = known else {
            return Ok(());
        };
        store.reconsider_all_schedules(now)?;
        if zone_data::differs(&known, &today) {
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::domain::schedule::{Cadence, CadenceKind, ScheduleSpec, ScheduleState};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    struct World {
        store: Store,
        host: Host,
        folder: tempfile::TempDir,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(&folder.path().join("hfdl.db"), NOW).unwrap();
            let zones = folder.path().to_string_lossy().into_owned();
            let host = Host::with_variables([("TZDIR".to_owned(), zones)]);
            Self {
                store,
                host,
                folder,
            }
        }

        /// Writes the data of a zone.
        fn write_zone(&self, zone: &str, rules: &str) {
            fs::write(self.folder.path().join(zone), rules).unwrap();
        }

        /// Adds a schedule that is not due yet.
        fn add(&self, zone: &str) {
            let spec = ScheduleSpec::new(
                zone.to_lowercase().parse().unwrap(),
                Cadence::parse(CadenceKind::Daily, "03:00").unwrap(),
                zone.to_owned(),
            );
            let state = ScheduleState {
                next_due_at: Timestamp::from_second(5_000).ok(),
                ..ScheduleState::new(NOW)
            };
            self.store.insert_schedule(&spec, &state, NOW).unwrap();
        }

        fn tick(&self) {
            notice_new_zone_data(&self.store, &self.host, NOW).unwrap();
        }

        fn n_events(&self) -> usize {
            let events = self
                .store
                .events_of(EventKind::ZoneDataChanged, NOW, NOW, 10);
            events.unwrap().len()
        }

        fn n_due(&self) -> usize {
            self.store.due_candidates(NOW).unwrap().readable.len()
        }
    }

    #[test]
    fn new_data_of_a_known_zone_reconsiders_all_schedules_and_is_one_event() {
        let world = World::new();
        world.write_zone("Home", "one");
        world.write_zone("Abroad", "one");
        world.add("Home");
        world.add("Abroad");
        world.tick();
        world.tick();
        assert_eq!((world.n_due(), world.n_events()), (0, 0));
        world.write_zone("Abroad", "and another");
        world.tick();
        assert_eq!((world.n_due(), world.n_events()), (2, 1));
        world.tick();
        assert_eq!(world.n_events(), 1);
    }

    #[test]
    fn a_zone_that_is_new_in_use_is_reconsidered_without_an_event() {
        let world = World::new();
        world.write_zone("Home", "one");
        world.add("Home");
        world.tick();
        world.write_zone("Abroad", "one");
        world.add("Abroad");
        world.write_zone("Abroad", "and another");
        world.tick();
        assert_eq!((world.n_due(), world.n_events()), (2, 0));
    }

    #[test]
    fn new_data_of_a_zone_that_is_not_in_use_changes_nothing() {
        let world = World::new();
        world.write_zone("Home", "one");
        world.add("Home");
        world.tick();
        world.write_zone("Abroad", "one");
        world.tick();
        assert_eq!((world.n_due(), world.n_events()), (0, 0));
    }
}
