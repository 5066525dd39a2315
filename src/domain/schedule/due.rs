//! Whether a schedule is due: one function of plain values.
//!
//! It may be asked at any time, any number of times, in any order: missed
//! slots collapse into one run, and what was started and not finished comes
//! first. Nothing here remembers when it was asked before.
//!
//! Decided where the rules leave room:
//! - Lateness is tested before the window. A slot that could only be late when
//!   its window opens again is expired at once.
//! - A retry time ends when a newer slot comes. One that lies further ahead
//!   than any retry is not believed. What the Hub asked of the whole process is
//!   not part of a schedule: the caller asks nobody before that time.
//! - When history lies in the far future, an open slot of the past is still
//!   unserved and stays; everything else before this moment counts as history.
//! - Counting stops at 1,000 slots, the latest included.

use jiff::tz::TimeZone;

use super::entry::{CatchUp, ScheduleSpec, ScheduleState};
use super::serve::LONGEST_RETRY;
use super::slots::Slots;
use super::window::Windows;
use super::zone::shift;
use crate::domain::outcome::words;
use crate::domain::time::{Timestamp, believed_wait, whole_seconds};
use crate::domain::units::Seconds;

/// How far a clock may go wrong and be put right without anybody being told.
const SLACK_SECONDS: i64 = 3 * 3600;

/// After a long sleep a higher count says nothing more; includes the latest slot.
const MOST_COUNTED: usize = 1_000;

/// What is known when a schedule is looked at, besides the schedule itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Read once per tick.
    pub now: Timestamp,
    /// This host's share of the schedule's jitter: [`super::jitter_offset`].
    pub offset: Seconds,
    /// How often the timer ticks.
    pub tick: Seconds,
}

/// What there is to do about a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DueState {
    Disabled,
    Wait {
        next: Timestamp,
    },
    /// No slot is left.
    Done,
    /// A temporary error came; the slot is tried again later, or a newer one is.
    Backoff {
        slot: Timestamp,
        until: Timestamp,
    },
    /// A slot waits for a window.
    Closed {
        slot: Timestamp,
        next: Timestamp,
    },
    Due(Due),
    /// Too late: the slot is recorded as missed and as served, and nothing runs.
    Expired {
        slot: Timestamp,
        missed: u32,
        next: Option<Timestamp>,
    },
}

/// A slot that is to be served now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    pub slot: Timestamp,
    /// How many older slots this run answers as well; 999 at most.
    pub coalesced: u32,
    /// Since the first moment at which it could have run.
    pub late: Seconds,
    /// An earlier run began it, or an older slot, and did not finish.
    pub resume: bool,
    /// When the last window closes; the run also obeys its other limits.
    pub deadline: Option<Timestamp>,
}

words! {
    /// A clock that went back since the last slot was served.
    ClockEvent {
        /// By little: nothing runs twice.
        Back = "clock-back",
        /// By so much that what was served lies in the far future; forgotten, with a warning.
        Reset = "clock-reset",
    }
}

/// The answer about one schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub state: DueState,
    pub clock: Option<ClockEvent>,
}

impl DueState {
    /// Returns when to look again, for the cache in the database: early, never late.
    ///
    /// What is due or expired has to be recorded first, so that is now.
    pub fn next_look(&self, now: Timestamp) -> Option<Timestamp> {
        match *self {
            Self::Disabled | Self::Done => None,
            Self::Wait { next } | Self::Closed { next, .. } => Some(next),
            Self::Backoff { until, .. } => Some(until),
            Self::Due(_) | Self::Expired { .. } => Some(now),
        }
    }
}

/// Decides what there is to do about a schedule.
pub fn assess(spec: &ScheduleSpec, state: &ScheduleState, zone: &TimeZone, look: &Look) -> Verdict {
    if !spec.enabled {
        return Verdict {
            state: DueState::Disabled,
            clock: None,
        };
    }
    let now = whole_seconds(look.now);
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
    let question = Question {
        spec,
        zone,
        slots: Slots::new(&spec.cadence, zone, state.anchor_at),
        now,
        offset: seconds(look.offset),
        tick: seconds(look.tick),
        base,
    };
    Verdict {
        state: question.answer(state),
        clock,
    }
}

/// One look at one enabled schedule.
struct Question<'a> {
    spec: &'a ScheduleSpec,
    zone: &'a TimeZone,
    slots: Slots<'a>,
    now: Timestamp,
    offset: i64,
    tick: i64,
    /// Everything at or before it is history.
    base: Timestamp,
}

impl Question<'_> {
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
        // What began in time may end late.
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

    /// Falls back to the instant itself, for looking early does no harm.
    fn opens_at(&self, from: Timestamp) -> Timestamp {
        self.windows().opens_at(self.zone, from).unwrap_or(from)
    }

    /// Returns the most lateness that is allowed, in seconds.
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

// The truth table and the properties are in `tests/it/schedule_*.rs`.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::schedule::fixture;

    #[test]
    fn a_slot_begun_by_a_clock_that_ran_far_ahead_is_forgotten() {
        let mut schedule = fixture::schedule(1, "interval 6h");
        let now: Timestamp = "2026-02-01T03:00Z".parse().unwrap();
        schedule.state.last_slot_at = Some("2026-02-01T00:00Z".parse().unwrap());
        let look = Look {
            now,
            offset: Seconds(0),
            tick: Seconds(900),
        };
        let mut ask = |ahead| {
            let open = shift(now, ahead);
            schedule.state.open_slot_at = Some(open);
            (
                open,
                assess(&schedule.spec, &schedule.state, &TimeZone::UTC, &look).state,
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
        let look = Look {
            now,
            offset: Seconds(0),
            tick: Seconds(900),
        };
        let state = &mut schedule.state;
        (state.anchor_at, state.not_before_at) = (at("2031-02-01T01:00Z"), at("2031-02-01T01:00Z"));
        state.last_slot_at = Some(at("2031-02-01T01:00Z"));
        state.open_slot_at = Some(at("2026-02-01T01:00Z"));
        let ask = |state: &ScheduleState| assess(&schedule.spec, state, &TimeZone::UTC, &look);
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
        let look = Look {
            now: "2026-02-01T04:00Z".parse().unwrap(),
            offset: Seconds(0),
            tick: Seconds(900),
        };
        let ask = |spec: &ScheduleSpec| assess(spec, &schedule.state, &TimeZone::UTC, &look).state;
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
