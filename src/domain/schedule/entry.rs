//! A registered schedule and its state in the database.

use super::zone::shift;
use super::{Cadence, ScheduleSpec};
use crate::domain::time::{Timestamp, whole_minutes, whole_seconds};

/// The database's number of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScheduleId(pub i64);

/// The recorded progress of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleState {
    /// The start of an interval's grid, kept on edit and enable. Its seconds
    /// are ignored.
    pub anchor_at: Timestamp,
    /// Slots before this time are ignored. It moves when the schedule is
    /// created or enabled, or when its cadence, zone or windows change.
    pub not_before_at: Timestamp,
    /// The cached time of the next check; may be early, never late.
    pub next_due_at: Option<Timestamp>,
    /// The last served slot.
    pub last_slot_at: Option<Timestamp>,
    /// A slot that was started but not served.
    pub open_slot_at: Option<Timestamp>,
    pub retry_at: Option<Timestamp>,
    pub retry_count: u32,
}

impl ScheduleState {
    /// Returns the state of a new schedule.
    ///
    /// The first slot of an interval is its anchor, so it is due at once.
    pub fn new(now: Timestamp) -> Self {
        let now = whole_seconds(now);
        Self {
            anchor_at: now,
            not_before_at: now,
            next_due_at: Some(now),
            last_slot_at: None,
            open_slot_at: None,
            retry_at: None,
            retry_count: 0,
        }
    }

    /// Returns the instant before which no slot counts.
    ///
    /// The grid of an interval starts on the minute, so its first slot is up to
    /// a minute older than the schedule; it counts nevertheless.
    pub fn exists_since(&self, cadence: &Cadence) -> Timestamp {
        let anchor = whole_minutes(self.anchor_at);
        match cadence {
            Cadence::Interval(_) if whole_minutes(self.not_before_at) == anchor => anchor,
            _ => self.not_before_at,
        }
    }

    /// Returns the state after discarding a history in the far future.
    ///
    /// An open slot of the past was never served and stays. The grid of an
    /// interval keeps its minutes: its start moves back by whole intervals.
    pub fn after_clock_reset(&self, cadence: &Cadence, now: Timestamp) -> Self {
        let now = whole_seconds(now);
        let open_slot_at = self.open_slot_at.filter(|open| *open <= now);
        let anchor_at = match cadence {
            Cadence::Interval(every) => {
                let every = every.span().as_secs().max(1);
                let ahead = (self.anchor_at.as_second() - now.as_second()).max(0);
                let n_steps = ahead / every + i64::from(ahead % every > 0);
                shift(self.anchor_at, -n_steps.saturating_mul(every))
            }
            _ => self.anchor_at.min(now),
        };
        Self {
            anchor_at,
            // Slots at or before this moment count as history.
            not_before_at: open_slot_at.unwrap_or(shift(now, 1)),
            next_due_at: self.next_due_at,
            last_slot_at: None,
            open_slot_at,
            retry_at: self.retry_at,
            retry_count: self.retry_count,
        }
    }

    /// Returns the state after an edit of the schedule.
    ///
    /// Slots from before a change of cadence, zone or windows are not caught
    /// up. Changes of limits, priorities and selections keep the history.
    pub fn after_edit(&self, before: &ScheduleSpec, after: &ScheduleSpec, now: Timestamp) -> Self {
        let now = whole_seconds(now);
        let is_another = before.cadence != after.cadence
            || before.time_zone != after.time_zone
            || before.windows != after.windows
            || (!before.enabled && after.enabled);
        let mut state = self.clone();
        // An early check is harmless.
        state.next_due_at = Some(now);
        if is_another {
            state.not_before_at = now;
            state.open_slot_at = None;
            state.retry_at = None;
            state.retry_count = 0;
        }
        state
    }
}

/// A registered schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub id: ScheduleId,
    pub spec: ScheduleSpec,
    pub state: ScheduleState,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::schedule::fixture;
    use crate::domain::units::Seconds;

    #[test]
    fn an_edit_of_the_calendar_discards_missed_slots_and_other_edits_do_not() {
        let mut schedule = fixture::schedule(1, "daily 03:00");
        schedule.state.open_slot_at = Some(Timestamp::UNIX_EPOCH);
        let now = Timestamp::from_second(1_000_000).expect("in range");
        let edit = |change: &dyn Fn(&mut ScheduleSpec)| {
            let mut after = schedule.spec.clone();
            change(&mut after);
            schedule.state.after_edit(&schedule.spec, &after, now)
        };
        let moves: [&dyn Fn(&mut ScheduleSpec); 3] = [
            &|spec| spec.cadence = fixture::cadence("daily 04:00"),
            &|spec| spec.time_zone = "Europe/Berlin".to_owned(),
            &|spec| spec.windows = fixture::windows("22:00-07:00"),
        ];
        for change in moves {
            let state = edit(change);
            assert_eq!((state.not_before_at, state.open_slot_at), (now, None));
            assert_eq!(state.anchor_at, schedule.state.anchor_at);
        }
        let stays: [&dyn Fn(&mut ScheduleSpec); 3] = [
            &|spec| spec.selection = fixture::all(),
            &|spec| spec.max_duration = Some(Seconds(60)),
            &|spec| spec.enabled = false,
        ];
        for change in stays {
            let state = edit(change);
            assert_eq!(state.not_before_at, schedule.state.not_before_at);
            assert_eq!(state.open_slot_at, schedule.state.open_slot_at);
        }
        let mut off = schedule.spec.clone();
        off.enabled = false;
        let state = schedule.state.after_edit(&off, &schedule.spec, now);
        assert_eq!(state.not_before_at, now, "enabled again");
    }
}
