//! Slot results: whether a slot is served, retried or continued after its
//! models have ended.

use super::entry::ScheduleState;
use super::zone::shift;
use crate::domain::outcome::Outcome;
use crate::domain::session::Trouble;
use crate::domain::time::Timestamp;
use crate::domain::units::Seconds;

/// The pause after the first temporary error; it doubles with each further one.
const FIRST_RETRY_SECONDS: i64 = 5 * 60;

/// The longest pause, including one requested by a server. A stored time beyond
/// it is ignored.
pub const LONGEST_RETRY: Seconds = Seconds(24 * 3600);

/// The result of one model, as far as the slot is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ModelEnd {
    /// No further attempt is useful before the next slot.
    Final,
    /// This machine had no network: no attempt was made, so none is counted.
    Offline,
    /// The network or the Hub failed temporarily.
    Temporary,
    /// A limit, a stop or a crash ended it early; the next tick continues.
    Unfinished,
}

impl ModelEnd {
    pub fn of(outcome: Outcome, trouble: Option<&Trouble>) -> Self {
        let kind = trouble.map(|trouble| trouble.kind);
        match (outcome, kind) {
            (Outcome::Partial, _) => Self::Unfinished,
            (Outcome::CouldNotCheck, _) => Self::Temporary,
            (Outcome::Failed, Some(kind)) if kind.is_temporary() => Self::Temporary,
            _ => Self::Final,
        }
    }
}

/// The facts known when all models of a slot have ended.
#[derive(Clone, Copy, Debug)]
pub struct SlotEnd<'a> {
    pub slot: Timestamp,
    pub ends: &'a [ModelEnd],
    pub now: Timestamp,
    /// The schedule's next slot, which limits the retry pause.
    pub next_slot: Option<Timestamp>,
    /// The time before which a server asked not to receive requests.
    pub not_before: Option<Timestamp>,
    /// A random number from 0 to 1, so that machines that failed together do
    /// not retry together.
    pub random: f64,
}

/// Returns a schedule's state when a run starts a slot.
///
/// The retry time is cleared. A newer slot starts with a retry count of zero.
pub fn claimed(state: &ScheduleState, slot: Timestamp) -> ScheduleState {
    let is_same = state.open_slot_at == Some(slot);
    ScheduleState {
        open_slot_at: Some(slot),
        retry_at: None,
        retry_count: if is_same { state.retry_count } else { 0 },
        ..state.clone()
    }
}

/// Returns a schedule's state after a slot has ended.
///
/// The slot is served when every model has a final result. The caller sets
/// `next_due_at`, which needs the calendar.
pub fn after_slot(state: &ScheduleState, end: &SlotEnd<'_>) -> ScheduleState {
    let mut after = state.clone();
    let worst = end.ends.iter().copied().max().unwrap_or(ModelEnd::Final);
    after.retry_at = None;
    match worst {
        ModelEnd::Final => {
            after.last_slot_at = Some(state.last_slot_at.map_or(end.slot, |at| at.max(end.slot)));
            after.open_slot_at = None;
            after.retry_count = 0;
        }
        ModelEnd::Offline => after.open_slot_at = Some(end.slot),
        ModelEnd::Unfinished => {
            after.open_slot_at = Some(end.slot);
            after.retry_count = 0;
        }
        ModelEnd::Temporary => {
            after.open_slot_at = Some(end.slot);
            after.retry_at = Some(retry_at(state.retry_count, end));
            after.retry_count = state.retry_count.saturating_add(1);
        }
    }
    after
}

/// The distance to the next slot limits a pause chosen here, but not one
/// requested by a server.
fn retry_at(n_retries: u32, end: &SlotEnd<'_>) -> Timestamp {
    let longest = LONGEST_RETRY.span().as_secs();
    let cap = end.next_slot.map_or(longest, |next| {
        (next.as_second() - end.now.as_second()).clamp(0, longest)
    });
    let doubled = FIRST_RETRY_SECONDS.saturating_mul(1 << n_retries.min(16));
    let pause = doubled.min(longest) as f64;
    let spread = pause * (0.9 + 0.2 * end.random.clamp(0.0, 1.0));
    let at = shift(end.now, (spread as i64).min(cap));
    let at = end.not_before.map_or(at, |not_before| at.max(not_before));
    at.min(shift(end.now, longest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::outcome::ErrorKind;
    use crate::domain::schedule::fixture;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn open() -> ScheduleState {
        let mut state = fixture::schedule(1, "daily 03:00").state;
        state.open_slot_at = Some(at(0));
        state
    }

    fn end(ends: &[ModelEnd]) -> SlotEnd<'_> {
        SlotEnd {
            slot: at(0),
            ends,
            now: at(60),
            next_slot: Some(at(86_400)),
            not_before: None,
            random: 0.5,
        }
    }

    #[test]
    fn a_slot_is_served_when_every_model_has_a_final_result() {
        for ends in [&[][..], &[ModelEnd::Final, ModelEnd::Final]] {
            let after = after_slot(&open(), &end(ends));
            assert_eq!(
                (after.last_slot_at, after.open_slot_at),
                (Some(at(0)), None)
            );
            assert_eq!((after.retry_at, after.retry_count), (None, 0));
        }
        // A slot later than the current time does not move the history back.
        let mut state = open();
        state.last_slot_at = Some(at(500));
        let after = after_slot(&state, &end(&[ModelEnd::Final]));
        assert_eq!(after.last_slot_at, Some(at(500)));
    }

    #[test]
    fn temporary_errors_wait_longer_each_time_but_not_beyond_the_next_slot() {
        let mut state = open();
        let mut pauses = Vec::new();
        for _ in 0..12 {
            state = after_slot(&state, &end(&[ModelEnd::Final, ModelEnd::Temporary]));
            assert_eq!(
                (state.last_slot_at, state.open_slot_at),
                (None, Some(at(0)))
            );
            let until = state.retry_at.unwrap();
            pauses.push(until.as_second() - at(60).as_second());
        }
        assert_eq!(pauses[..4], [300, 600, 1200, 2400]);
        assert_eq!(pauses[11], 86_340);
        let spread = |random| {
            let end = SlotEnd {
                random,
                ..end(&[ModelEnd::Temporary])
            };
            after_slot(&open(), &end).retry_at
        };
        assert_eq!((spread(0.0), spread(1.0)), (Some(at(330)), Some(at(390))));
        let told = SlotEnd {
            not_before: Some(at(2_000)),
            ..end(&[ModelEnd::Temporary])
        };
        assert_eq!(after_slot(&open(), &told).retry_at, Some(at(2_000)));
        let beyond_the_next_slot = SlotEnd {
            next_slot: Some(at(900)),
            ..told
        };
        let retry_at = |end| after_slot(&open(), &end).retry_at;
        assert_eq!(retry_at(beyond_the_next_slot), Some(at(2_000)));
        let for_years = SlotEnd {
            not_before: Some(at(900_000)),
            ..told
        };
        assert_eq!(retry_at(for_years), Some(at(60 + 86_400)));
    }

    #[test]
    fn a_newer_slot_starts_without_retries() {
        let mut state = open();
        (state.retry_at, state.retry_count) = (Some(at(5_000)), 4);
        let same = claimed(&state, at(0));
        assert_eq!((same.retry_at, same.retry_count), (None, 4));
        let newer = claimed(&state, at(3_600));
        assert_eq!(newer.open_slot_at, Some(at(3_600)));
        assert_eq!((newer.retry_at, newer.retry_count), (None, 0));
    }

    #[test]
    fn a_slot_cut_short_is_due_at_once_and_an_offline_attempt_is_not_counted() {
        let mut state = open();
        state.retry_count = 3;
        let cut = after_slot(&state, &end(&[ModelEnd::Temporary, ModelEnd::Unfinished]));
        assert_eq!((cut.open_slot_at, cut.retry_at), (Some(at(0)), None));
        let offline = after_slot(&state, &end(&[ModelEnd::Offline, ModelEnd::Final]));
        assert_eq!(
            (offline.open_slot_at, offline.retry_at),
            (Some(at(0)), None)
        );
        assert_eq!(offline.retry_count, 3);
    }

    #[test]
    fn the_end_of_a_session_decides_whether_a_retry_helps() {
        let trouble = |kind| Trouble {
            kind,
            message: String::new(),
            hint: None,
        };
        let of =
            |outcome, kind: Option<ErrorKind>| ModelEnd::of(outcome, kind.map(trouble).as_ref());
        assert_eq!(of(Outcome::Updated, None), ModelEnd::Final);
        assert_eq!(
            of(Outcome::Orphaned, Some(ErrorKind::NotFound)),
            ModelEnd::Final
        );
        assert_eq!(of(Outcome::Failed, Some(ErrorKind::Disk)), ModelEnd::Final);
        assert_eq!(
            of(Outcome::Failed, Some(ErrorKind::Network)),
            ModelEnd::Temporary
        );
        assert_eq!(
            of(Outcome::CouldNotCheck, Some(ErrorKind::RateLimit)),
            ModelEnd::Temporary
        );
        assert_eq!(
            of(Outcome::Partial, Some(ErrorKind::Internal)),
            ModelEnd::Unfinished
        );
    }
}
