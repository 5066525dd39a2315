//! Future slots, for `schedules next` and `status`.

use jiff::tz::TimeZone;

use super::due::{DueContext, DueState, assess};
use super::slots::Slots;
use super::zone::shift;
use super::{ScheduleSpec, ScheduleState};
use crate::domain::outcome::words;
use crate::domain::time::{Timestamp, whole_seconds};
use crate::domain::units::Seconds;

/// A future slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedSlot {
    pub slot: Timestamp,
    /// The first moment at which it can run: after this host's jitter, and
    /// while a window is open.
    pub ready: Timestamp,
    /// The time when that window closes.
    pub deadline: Option<Timestamp>,
}

/// Lists the slots at or after an instant, whether or not the schedule is
/// enabled and the slots were served.
pub fn planned(
    spec: &ScheduleSpec,
    state: &ScheduleState,
    zone: &TimeZone,
    offset: Seconds,
    from: Timestamp,
    count: usize,
) -> Vec<PlannedSlot> {
    let offset = offset.span().as_secs();
    let from = from.max(state.exists_since(&spec.cadence));
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

/// Returns the longest time between neighbouring slots of the last year and the
/// next slots; `None` with fewer than two slots.
pub fn longest_gap(
    spec: &ScheduleSpec,
    state: &ScheduleState,
    zone: &TimeZone,
    now: Timestamp,
) -> Option<Seconds> {
    const SLOTS: usize = 32;
    const A_YEAR: i64 = 366 * 24 * 3600;
    let slots = Slots::new(&spec.cadence, zone, state.anchor_at);
    let last = slots.latest(shift(now, -A_YEAR), now);
    let near: Vec<Timestamp> = last
        .into_iter()
        .chain(slots.iter_after(now).take(SLOTS))
        .collect();
    let gaps = near
        .windows(2)
        .map(|pair| pair[1].as_second() - pair[0].as_second());
    let longest = gaps.max().and_then(|gap| u64::try_from(gap).ok());
    longest.map(Seconds)
}

words! {
    /// The reason why a schedule waits.
    WaitReason {
        /// It does not wait: the next tick runs it.
        Due = "due",
        /// It waits for its next slot.
        Slot = "waiting",
        /// Its slot has come, but its window is closed.
        Window = "window-closed",
        /// A temporary error occurred, and the slot is retried later.
        Retry = "retrying",
    }
}

/// The next start of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextStart {
    pub waiting: WaitReason,
    pub planned: PlannedSlot,
    /// The time since the first slot that is due could have run; none for other slots.
    pub late: Seconds,
}

/// Returns the next start of an enabled schedule; `None` when it never runs
/// again.
pub fn next_start(
    spec: &ScheduleSpec,
    state: &ScheduleState,
    zone: &TimeZone,
    context: &DueContext,
) -> Option<NextStart> {
    let now = whole_seconds(context.now);
    let at = |waiting, slot, ready, late| {
        let planned = PlannedSlot {
            slot,
            ready,
            deadline: spec.windows.closes_after(zone, ready),
        };
        Some(NextStart {
            waiting,
            planned,
            late,
        })
    };
    match assess(spec, state, zone, context).state {
        DueState::Disabled | DueState::Done => None,
        DueState::Due(due) => {
            let late = match due.coalesced {
                0 => due.late,
                _ => late_since_first(spec, state, zone, context),
            };
            at(WaitReason::Due, due.slot, now, late)
        }
        DueState::Closed { slot, next } => at(WaitReason::Window, slot, next, Seconds(0)),
        DueState::Backoff { slot, until } => at(WaitReason::Retry, slot, until, Seconds(0)),
        // The slots that have passed by now are served or expired.
        DueState::Wait { .. } | DueState::Expired { .. } => {
            let passed = shift(now, -context.offset.span().as_secs());
            let passed = state.last_slot_at.map_or(passed, |last| last.max(passed));
            let from = shift(passed, 1);
            let next = planned(spec, state, zone, context.offset, from, 1).pop()?;
            Some(NextStart {
                waiting: WaitReason::Slot,
                planned: next,
                late: Seconds(0),
            })
        }
    }
}

/// Returns the time since the first slot after the last served one could have run.
fn late_since_first(
    spec: &ScheduleSpec,
    state: &ScheduleState,
    zone: &TimeZone,
    context: &DueContext,
) -> Seconds {
    let served = state.last_slot_at.unwrap_or(state.not_before_at);
    let mut slots = planned(spec, state, zone, context.offset, shift(served, 1), 1);
    let ready = slots.pop().map_or(context.now, |first| first.ready);
    let late = context.now.as_second() - ready.as_second();
    Seconds(u64::try_from(late).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::schedule::fixture;

    #[test]
    fn planned_slots_include_their_start_and_deadline() {
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
    fn a_due_slot_is_late_since_the_first_that_was_not_served() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut schedule = fixture::schedule(1, "daily 03:00");
        schedule.state.not_before_at = at("2026-02-01T00:00Z");
        let late = |schedule: &crate::domain::schedule::Schedule, now| {
            let context = DueContext {
                now: at(now),
                offset: Seconds(600),
                tick: Seconds(900),
            };
            let next = next_start(&schedule.spec, &schedule.state, &TimeZone::UTC, &context);
            next.unwrap().late
        };
        assert_eq!(late(&schedule, "2026-02-01T03:00Z"), Seconds(0));
        assert_eq!(late(&schedule, "2026-02-01T03:20Z"), Seconds(600));
        let two_days = 2 * 86_400 + 600;
        assert_eq!(late(&schedule, "2026-02-03T03:20Z"), Seconds(two_days));
        schedule.state.last_slot_at = Some(at("2026-02-01T03:00Z"));
        assert_eq!(late(&schedule, "2026-02-03T03:20Z"), Seconds(86_400 + 600));
    }

    #[test]
    fn the_next_start_agrees_with_the_due_state() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut schedule = fixture::schedule(1, "daily 03:00");
        schedule.spec.windows = fixture::windows("22:00-07:00");
        schedule.state.not_before_at = at("2026-02-01T00:00Z");
        let ask = |schedule: &crate::domain::schedule::Schedule, now| {
            let context = DueContext {
                now: at(now),
                offset: Seconds(600),
                tick: Seconds(900),
            };
            next_start(&schedule.spec, &schedule.state, &TimeZone::UTC, &context)
                .map(|next| (next.waiting, next.planned.slot, next.planned.ready))
        };
        let slot = at("2026-02-01T03:00Z");
        let ready = at("2026-02-01T03:10Z");
        assert_eq!(
            ask(&schedule, "2026-02-01T03:09Z"),
            Some((WaitReason::Slot, slot, ready))
        );
        let now = at("2026-02-01T04:00Z");
        assert_eq!(
            ask(&schedule, "2026-02-01T04:00Z"),
            Some((WaitReason::Due, slot, now))
        );
        let evening = at("2026-02-01T22:00Z");
        let closed = Some((WaitReason::Window, slot, evening));
        assert_eq!(ask(&schedule, "2026-02-01T08:00Z"), closed);
        schedule.state.last_slot_at = Some(slot);
        let tomorrow = (at("2026-02-02T03:00Z"), at("2026-02-02T03:10Z"));
        let waits = Some((WaitReason::Slot, tomorrow.0, tomorrow.1));
        assert_eq!(ask(&schedule, "2026-02-01T04:00Z"), waits);
        schedule.state.last_slot_at = None;
        schedule.state.open_slot_at = Some(slot);
        schedule.state.retry_at = Some(at("2026-02-01T04:30Z"));
        let retries = Some((WaitReason::Retry, slot, at("2026-02-01T04:30Z")));
        assert_eq!(ask(&schedule, "2026-02-01T04:00Z"), retries);
        schedule.spec.enabled = false;
        assert_eq!(ask(&schedule, "2026-02-01T04:00Z"), None);
    }

    #[test]
    fn the_longest_gap_follows_the_calendar() {
        let gap = |text: &str| {
            let schedule = fixture::schedule(1, text);
            let now = "2026-02-10T12:00Z".parse().unwrap();
            longest_gap(&schedule.spec, &schedule.state, &TimeZone::UTC, now)
        };
        let days = |days: u64| Some(Seconds(days * 24 * 3600));
        assert_eq!(gap("interval 6h"), Some(Seconds(6 * 3600)));
        assert_eq!(gap("daily 03:00"), days(1));
        assert_eq!(gap("weekly Mon,Tue@03:00"), days(6));
        assert_eq!(gap("monthly 31@03:00"), days(31));
        assert_eq!(gap("cron 0 3 1 1 *"), days(366), "a leap year comes");
        assert_eq!(gap("once 2026-06-01T08:00"), None);
        assert_eq!(gap("once 2026-01-01T08:00"), None);
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
