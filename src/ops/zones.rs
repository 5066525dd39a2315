//! Whether the rules of time zones have changed since they were used last.
//!
//! Whoever plans the next look of a schedule notes by whose rules. So a tick
//! compares what was noted, and need not look at a thousand schedules to learn
//! which zones they name.

use anyhow::Result;

use crate::domain::run::{Event, EventKind};
use crate::domain::time::Timestamp;
use crate::store::{MetaKey, Store};
use crate::sys::host::Host;
use crate::sys::zone_data;

/// Notes by which rules the next look of a schedule was planned.
pub fn note_zone(store: &Store, host: &Host, zone: &str) -> Result<()> {
    // The first tick of a home notes all zones at once.
    let Some(known) = store.meta(MetaKey::ZoneFingerprint)? else {
        return Ok(());
    };
    // News about one that is noted are for the next tick to tell.
    if zone_data::zones(&known).iter().any(|noted| noted == zone) {
        return Ok(());
    }
    let new = zone_data::fingerprint(host, &[zone.to_owned()]);
    let all = format!("{known}\n{new}");
    Ok(store.set_meta(MetaKey::ZoneFingerprint, all.trim_start())?)
}

/// Makes every schedule a candidate when the zone data that `next_due_at` was
/// computed with is not today's any more.
pub fn notice_new_zone_data(store: &Store, host: &Host, now: Timestamp) -> Result<()> {
    let is_as_noted =
        |known: &String| zone_data::fingerprint(host, &zone_data::zones(known)) == *known;
    let known = store.meta(MetaKey::ZoneFingerprint)?;
    if known.as_ref().is_some_and(is_as_noted) {
        return Ok(());
    }
    store.transaction(|store| -> Result<()> {
        let known = store.meta(MetaKey::ZoneFingerprint)?;
        // Zones that no schedule names any more are forgotten here.
        let today = zone_data::fingerprint(host, &store.time_zones_in_use()?);
        store.set_meta(MetaKey::ZoneFingerprint, &today)?;
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

        /// Has the rules of a zone say something else.
        fn decree(&self, zone: &str, rules: &str) {
            fs::write(self.folder.path().join(zone), rules).unwrap();
        }

        /// Adds a schedule that is due some day.
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

        fn note(&self, zone: &str) {
            note_zone(&self.store, &self.host, zone).unwrap();
        }

        fn noted(&self) -> Vec<String> {
            let known = self.store.meta(MetaKey::ZoneFingerprint).unwrap();
            zone_data::zones(&known.unwrap_or_default())
        }

        fn n_due(&self) -> usize {
            self.store.due_candidates(NOW).unwrap().readable.len()
        }
    }

    #[test]
    fn a_tick_without_news_does_not_look_at_schedules() {
        let world = World::new();
        world.decree("Abroad", "one");
        world.decree("Home", "one");
        world.add("Home");
        world.tick();
        assert_eq!(world.noted(), ["Home"]);
        world.add("Abroad");
        world.tick();
        assert_eq!(world.noted(), ["Home"], "nobody has said so");
        world.note("Abroad");
        world.note("Abroad");
        assert_eq!(world.noted(), ["Home", "Abroad"]);
        world.tick();
        assert_eq!(world.n_due(), 0);
    }

    #[test]
    fn new_rules_of_a_zone_that_was_noted_reach_every_schedule() {
        let world = World::new();
        world.note("Home");
        assert_eq!(world.noted(), [""; 0], "the first tick notes all");
        world.decree("Home", "one");
        world.decree("Abroad", "one");
        world.add("Home");
        world.tick();
        world.add("Abroad");
        world.note("Abroad");
        world.decree("Abroad", "and another");
        world.tick();
        assert_eq!(world.n_due(), 2);
        assert_eq!(world.noted(), ["Abroad", "Home"]);
        assert_eq!(world.store.events(NOW, 10).unwrap().len(), 1);
        world.tick();
        assert_eq!(world.store.events(NOW, 10).unwrap().len(), 1, "told once");
    }

    #[test]
    fn a_zone_that_nobody_uses_any_more_is_no_news() {
        let world = World::new();
        world.decree("Home", "one");
        world.decree("Abroad", "one");
        world.add("Home");
        world.tick();
        world.note("Abroad");
        world.decree("Abroad", "and another");
        world.tick();
        assert_eq!((world.n_due(), world.noted()), (0, vec!["Home".to_owned()]));
    }
}
