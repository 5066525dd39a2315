//! Decides whether a schedule is due: one function of plain values.
//!
//! The function has no memory: it may be called at any time, any number of
//! times. Missed slots collapse into one run, and a slot that was started but
//! not finished comes first.
//!
//! Decisions where the rules leave room:
//! - Lateness is tested before the window. A slot that would be too late when
//!   its window opens again has expired already.
//! - A retry time ends when a newer slot comes, and is ignored if it lies
//!   further ahead than any retry. A wait requested by the Hub applies to the
//!   whole process and is not part of a schedule; the caller checks it.
//! - When recorded history lies in the far future, an open slot of the past is
//!   still unserved and stays. Every other slot before now counts as history.
//! - Counting stops at 1,000 slots, the latest included.

use jiff::tz::TimeZone;

use super::serve::LONGEST_RETRY;
use super::slots::Slots;
use super::window::Windows;
use super::zone::shift;
use super::{CatchUp, ScheduleSpec, ScheduleState};
use crate::domain::outcome::words;
use crate::domain::time::{Timestamp, believed_wait, whole_seconds};
use crate::domain::units::Seconds;

/// A step of the clock backwards up to this size is corrected without a
/// warning.
const SLACK_SECONDS: i64 = 3 * 3600;

/// After a long sleep a higher count is no more useful; includes the latest
/// slot.
const MOST_COUNTED: usize = 1_000;

/// The context of the decision, besides the schedule itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueContext {
    /// Read once per tick.
    pub now: Timestamp,
    /// This host's jitter for the schedule: [`super::jitter_offset`].
    pub offset: Seconds,
    /// The period of the timer.
    pub tick: Seconds,
}

/// The state of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DueState {
    Disabled,
    Wait {
        next: Timestamp,
    },
    /// There are no further slots.
    Done,
    /// A temporary error occurred. The slot is retried later, or a newer slot
    /// replaces it.
    Backoff {
        slot: Timestamp,
        until: Timestamp,
    },
    /// A slot waits for a window to open.
    Closed {
        slot: Timestamp,
        next: Timestamp,
    },
    Due(Due),
    /// Too late: the slot is recorded as missed and served, and nothing runs.
    Expired {
        slot: Timestamp,
        missed: u32,
        next: Option<Timestamp>,
    },
}

/// A slot to serve now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    pub slot: Timestamp,
    /// The number of older slots that this run also serves; 999 at most.
    pub coalesced: u32,
    /// The time since the slot could first have run.
    pub late: Seconds,
    /// An earlier run started this slot or an older one and did not finish.
    pub resume: bool,
    /// The time when the last window closes; the run has other limits too.
    pub deadline: Option<Timestamp>,
}

words! {
    /// The clock went back since the last slot was served.
    ClockEvent {
        /// By a small step: no slot runs twice.
        Back = "clock-back",
        /// By so much that the served slots lie in the far future; they are
        /// discarded with a warning.
        Reset = "clock-reset",
    }
}

/// The decision about one schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueDecision {
    pub state: DueState,
    pub clock: Option<ClockEvent>,
}

impl DueState {
    /// Returns the next time to examine the schedule, for the cache in the
    /// database: it may be early but never late.
    ///
    /// A due or expired slot must be recorded first, so for those it is now.
    pub fn next_check(&self, now: Timestamp) -> Option<Timestamp> {
        match *self {
            Self::Disabled | Self::Done => None,
            Self::Wait { next } | Self::Closed { next, .. } => Some(next),
            Self::Backoff { until, .. } => Some(until),
            Self::Due(_) | Self::Expired { .. } => Some(now),
        }
    }
}

/// Decides the state of a schedule.
pub fn assess(
    spec: &ScheduleSpec,
    state: &ScheduleState,
    zone: &TimeZone,
    context: &DueContext,
) -> DueDecision {
    if !spec.enabled {
        return DueDecision {
            state: DueState::Disabled,
            clock: None,
        };
    }
    let now = whole_seconds(context.now);
    let history = shift(state.exists_since(&spec.cadence), -1);
    let history = state.last_slot_at.map_or(history, |last| last.max(history));
    let (base, clock) = if history <= now {
        (history, None)
    } else if history > shift(now, SLACK_SECONDS) {
        let unserved = state.open_slot_at.filter(|open| *open <= now);
        let base = unserved.map_or(now, |open| shift(open, -1));
        (base, Some(ClockEvent::Reset))
    } else {
        (history, Some(ClockEvent::Back))
    };
    let check = DueCheck {
        spec,
        zone,
        slots: Slots::new(&spec.cadence, zone, state.anchor_at),
        now,
        offset: seconds(context.offset),
        tick: seconds(context.tick),
        base,
    };
    DueDecision {
        state: check.answer(state),
        clock,
    }
}

/// The inputs of one decision about an enabled schedule.
struct DueCheck<'a> {
    spec: &'a ScheduleSpec,
    zone: &'a TimeZone,
    slots: Slots<'a>,
    now: Timestamp,
    offset: i64,
    tick: i64,
    /// Slots at or before this time are history.
    base: Timestamp,
}

impl DueCheck<'_> {
    fn answer(&self, state: &ScheduleState) -> DueState {
        let open = state
            .open_slot_at
            .filter(|open| *open > self.base && *open <= shift(self.now, SLACK_SECONDS));
        let latest = self.slots.latest(self.base, shift(self.now, -self.offset));
        let Some(slot) = latest.max(open) else {
            return match self.next_ready(self.base) {
                Some(next) => DueState::Wait { next },
                None => DueState::Done,
            };
        };
        let retry_at = believed_wait(state.retry_at, self.now, LONGEST_RETRY);
        // A newer slot ends the pause after an error.
        if let (true, Some(until)) = (open == Some(slot), retry_at) {
            let retry = self.opens_at(until);
            let until = self
                .next_ready(slot)
                .map_or(retry, |newer| newer.min(retry));
            return DueState::Backoff { slot, until };
        }
        let starts = self.opens_at(self.now);
        let late = starts.as_second() - self.ready(slot).as_second();
        // A slot that started in time may end late.
        let too_late = open.is_none() && self.limit().is_some_and(|limit| late > limit);
        if too_late {
            let next = self.next_ready(slot);
            let missed = self.coalesced(slot) + 1;
            return DueState::Expired { slot, missed, next };
        }
        if starts > self.now {
            let next = starts;
            return DueState::Closed { slot, next };
        }
        DueState::Due(Due {
            slot,
            coalesced: self.coalesced(slot),
            late: Seconds(u64::try_from(late).unwrap_or(0)),
            resume: open.is_some(),
            deadline: self.windows().closes_after(self.zone, self.now),
        })
    }

    fn windows(&self) -> &Windows {
        &self.spec.windows
    }

    /// Returns when the first slot after an instant can run.
    fn next_ready(&self, after: Timestamp) -> Option<Timestamp> {
        self.slots.after(after).map(|slot| self.ready(slot))
    }

    fn ready(&self, slot: Timestamp) -> Timestamp {
        self.opens_at(shift(slot, self.offset))
    }

    /// Falls back to the instant itself: an early check is harmless.
    fn opens_at(&self, from: Timestamp) -> Timestamp {
        self.windows().opens_at(self.zone, from).unwrap_or(from)
    }

    /// Returns the allowed lateness in seconds.
    fn limit(&self) -> Option<i64> {
        match self.spec.catch_up {
            CatchUp::Once { within } => within.map(seconds),
            // A tick is never exactly on time.
            CatchUp::Skip => Some(2 * self.tick),
        }
    }

    fn coalesced(&self, slot: Timestamp) -> u32 {
        let older = shift(slot, -1);
        let count = self.slots.count(self.base, older, MOST_COUNTED - 1);
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

fn seconds(span: Seconds) -> i64 {
    span.span().as_secs()
}

// The decision table and the properties are in `tests/it/schedule_*.rs`.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::schedule::fixture;

    #[test]
    fn a_slot_started_by_a_clock_far_ahead_is_discarded() {
        let mut schedule = fixture::schedule(1, "interval 6h");
        let now: Timestamp = "2026-02-01T03:00Z".parse().unwrap();
        schedule.state.last_slot_at = Some("2026-02-01T00:00Z".parse().unwrap());
        let context = DueContext {
            now,
            offset: Seconds(0),
            tick: Seconds(900),
        };
        let mut ask = |ahead| {
            let open = shift(now, ahead);
            schedule.state.open_slot_at = Some(open);
            (
                open,
                assess(&schedule.spec, &schedule.state, &TimeZone::UTC, &context).state,
            )
        };
        let (open, kept) = ask(SLACK_SECONDS);
        assert!(matches!(kept, DueState::Due(due) if due.slot == open && due.resume));
        let (_, forgotten) = ask(SLACK_SECONDS + 1);
        let next = "2026-02-01T06:00Z".parse().unwrap();
        assert_eq!(forgotten, DueState::Wait { next });
    }

    #[test]
    fn a_reset_of_the_clock_keeps_the_open_slot_and_the_grid() {
        let mut schedule = fixture::schedule(1, "interval 6h");
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-02-01T04:00Z");
        let context = DueContext {
            now,
            offset: Seconds(0),
            tick: Seconds(900),
        };
        let state = &mut schedule.state;
        (state.anchor_at, state.not_before_at) = (at("2031-02-01T01:00Z"), at("2031-02-01T01:00Z"));
        state.last_slot_at = Some(at("2031-02-01T01:00Z"));
        state.open_slot_at = Some(at("2026-02-01T01:00Z"));
        let ask = |state: &ScheduleState| assess(&schedule.spec, state, &TimeZone::UTC, &context);
        let (state, spec) = (&schedule.state, &schedule.spec);
        let first = ask(state);
        assert_eq!(first.clock, Some(ClockEvent::Reset));
        let after = state.after_clock_reset(&spec.cadence, now);
        let again = ask(&after);
        assert_eq!(again.clock, None);
        for state in [first.state, again.state] {
            assert!(
                matches!(state, DueState::Due(due) if due.resume
                    && due.slot == at("2026-02-01T01:00Z")),
                "{state:?}"
            );
        }
        let nothing_open = ScheduleState {
            open_slot_at: None,
            ..state.clone()
        };
        let after = nothing_open.after_clock_reset(&spec.cadence, now);
        let next = at("2026-02-01T07:00Z");
        assert_eq!(
            ask(&after).state,
            DueState::Wait { next },
            "1 and 7 o'clock"
        );
    }

    #[test]
    fn counts_stop_at_a_thousand_slots() {
        let mut schedule = fixture::schedule(1, "interval 1h");
        schedule.state.last_slot_at = Some(Timestamp::UNIX_EPOCH);
        let context = DueContext {
            now: "2026-02-01T04:00Z".parse().unwrap(),
            offset: Seconds(0),
            tick: Seconds(900),
        };
        let ask =
            |spec: &ScheduleSpec| assess(spec, &schedule.state, &TimeZone::UTC, &context).state;
        let due = ask(&schedule.spec);
        assert!(
            matches!(due, DueState::Due(due) if due.coalesced == 999),
            "{due:?}"
        );
        schedule.spec.catch_up = CatchUp::Skip;
        schedule.spec.cadence = fixture::cadence("interval 7h");
        let expired = ask(&schedule.spec);
        assert!(
            matches!(expired, DueState::Expired { missed: 1000, .. }),
            "{expired:?}"
        );
    }
}
