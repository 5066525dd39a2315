//! The slots to come, as `schedules next` shows them.

use jiff::tz::TimeZone;

use super::entry::{ScheduleSpec, ScheduleState};
use super::slots::Slots;
use super::zone::shift;
use crate::domain::time::Timestamp;
use crate::domain::units::Seconds;

/// A slot to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedSlot {
    pub slot: Timestamp,
    /// The first moment at which it can run: after this host's share of the
    /// jitter, and when a window is open.
    pub ready: Timestamp,
    /// When that window closes.
    pub deadline: Option<Timestamp>,
}

/// Lists the slots at or after an instant, enabled or not, whatever was served.
pub fn planned(
    spec: &ScheduleSpec,
    state: &ScheduleState,
    zone: &TimeZone,
    offset: Seconds,
    from: Timestamp,
    count: usize,
) -> Vec<PlannedSlot> {
    let offset = offset.span().as_secs();
    let from = from.max(state.not_before_at);
    Slots::new(&spec.cadence, zone, state.anchor_at)
        // A slot exactly at `from` counts.
        .iter_after(shift(from, -1))
        .skip_while(|slot| *slot < from)
        .take(count)
        .map(|slot| {
            let earliest = shift(slot, offset);
            let ready = spec.windows.opens_at(zone, earliest).unwrap_or(earliest);
            let deadline = spec.windows.closes_after(zone, ready);
            PlannedSlot {
                slot,
                ready,
                deadline,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::schedule::fixture;

    #[test]
    fn planned_slots_tell_when_they_can_run_and_until_when() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut schedule = fixture::schedule(1, "daily 06:55,12:00");
        schedule.spec.windows = fixture::windows("22:00-07:00");
        let plan = |from, count| {
            let (spec, state) = (&schedule.spec, &schedule.state);
            planned(spec, state, &TimeZone::UTC, Seconds(600), at(from), count)
        };
        let [morning, noon] = plan("2026-02-01T06:55Z", 2)[..] else {
            panic!("two were asked for");
        };
        assert_eq!(morning.slot, at("2026-02-01T06:55Z"));
        // Ten minutes later the window has closed.
        assert_eq!(morning.ready, at("2026-02-01T22:00Z"));
        assert_eq!(morning.deadline, Some(at("2026-02-02T07:00Z")));
        assert_eq!(noon.slot, at("2026-02-01T12:00Z"));
        assert_eq!(plan("2026-02-01T06:55:00.5Z", 1)[0].slot, noon.slot);
        assert!(plan("2026-02-01T06:55Z", 0).is_empty());
    }

    #[test]
    fn nothing_is_planned_before_the_schedule_existed_or_after_its_end() {
        let mut schedule = fixture::schedule(1, "once 2026-06-01T08:00");
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let plan = |schedule: &crate::domain::schedule::Schedule| {
            let from = at("2026-01-01T00:00Z");
            let zone = &TimeZone::UTC;
            planned(&schedule.spec, &schedule.state, zone, Seconds(0), from, 5)
        };
        assert_eq!(plan(&schedule).len(), 1);
        schedule.state.not_before_at = at("2026-06-01T08:00:01Z");
        assert!(plan(&schedule).is_empty());
    }
}
