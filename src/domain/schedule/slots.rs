//! The set of planned instants of a cadence.
//!
//! A slot depends on the cadence, its zone and the anchor, never on when
//! somebody looked. Planned times follow the rule of `zone`; cron expressions
//! with `*` in minute or hour are real minutes instead, as in cron.

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::cadence::{Cadence, MonthDay, OnceAt};
use super::zone::{self, LocalDay, Reading, shift};
use crate::domain::time::{Timestamp, whole_seconds};
use crate::domain::units::Seconds;

/// Some cron dates are decades apart: 29 February on one weekday, around 2100.
const HORIZON_DAYS: i32 = 41 * 366;

/// The slots of one schedule.
#[derive(Clone, Copy, Debug)]
pub struct Slots<'a> {
    cadence: &'a Cadence,
    zone: &'a TimeZone,
    /// Where an interval's grid starts; the others do not need it.
    anchor: Timestamp,
}

impl<'a> Slots<'a> {
    pub fn new(cadence: &'a Cadence, zone: &'a TimeZone, anchor: Timestamp) -> Self {
        let anchor = whole_seconds(anchor);
        Self {
            cadence,
            zone,
            anchor,
        }
    }

    /// Returns the first slot after an instant; `None` when there is none any more.
    pub fn after(&self, after: Timestamp) -> Option<Timestamp> {
        match self.cadence {
            Cadence::Interval(every) => {
                let steps = self.steps_until(*every, after) + 1;
                self.on_grid(*every, steps.max(0))
            }
            Cadence::Once(at) => self.once(*at).filter(|at| *at > after),
            _ => zone::first_after(self.zone, after, HORIZON_DAYS, |date, found| {
                self.collect_date(date, found);
            }),
        }
    }

    /// Returns the last slot in `(after, until]`.
    pub fn latest(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        match self.cadence {
            Cadence::Interval(every) => {
                let steps = self.steps_until(*every, until);
                let slot = self.on_grid(*every, steps).filter(|_| steps >= 0)?;
                (slot > after).then_some(slot)
            }
            Cadence::Once(at) => self.once(*at).filter(|at| *at > after && *at <= until),
            _ => zone::last_within(self.zone, after, until, |date, found| {
                self.collect_date(date, found);
            }),
        }
    }

    /// Counts the slots in `(after, before)`, up to a limit.
    ///
    /// The number is for people only: nothing may depend on it, for after a
    /// long sleep it is large.
    pub fn count(&self, after: Timestamp, before: Timestamp, limit: usize) -> usize {
        if let Cadence::Interval(every) = self.cadence {
            let older = self.steps_until(*every, after).max(-1);
            let newest = self.steps_until(*every, shift(before, -1)).max(-1);
            return usize::try_from(newest - older).unwrap_or(0).min(limit);
        }
        let mut slots = Vec::new();
        let last = self.zone.to_datetime(before).date();
        let first = self.zone.to_datetime(after).date();
        // A date's slots may fall on its neighbours.
        let dates = first.checked_sub(1.day()).unwrap_or(first).series(1.day());
        for date in dates.take_while(|date| *date <= last) {
            self.collect_date(date, &mut slots);
            slots.retain(|at| *at > after && *at < before);
            // Two dates may share a slot; there are far fewer of those.
            if slots.len() > limit + 1440 {
                break;
            }
        }
        slots.sort();
        slots.dedup();
        slots.len().min(limit)
    }

    /// Iterates over the slots after an instant.
    pub fn iter_after(self, after: Timestamp) -> impl Iterator<Item = Timestamp> + use<'a> {
        std::iter::successors(self.after(after), move |slot| self.after(*slot))
    }

    /// Adds the slots that a local date stands for, in no particular order.
    fn collect_date(&self, date: Date, found: &mut Vec<Timestamp>) {
        let day = || LocalDay::new(self.zone, date);
        match self.cadence {
            Cadence::Interval(_) => {}
            Cadence::Once(at) => found.extend(self.once(*at)),
            Cadence::Daily(times) => push_planned(day(), times.minutes(), found),
            Cadence::Weekly { days, times } => {
                if days.contains(date.weekday()) {
                    push_planned(day(), times.minutes(), found);
                }
            }
            Cadence::Monthly { days, times } => {
                let length = date.days_in_month();
                let falls_here = |wanted: &MonthDay| match wanted {
                    MonthDay::Day(number) => (*number).min(length) == date.day(),
                    MonthDay::Last => length == date.day(),
                };
                if days.iter().any(falls_here) {
                    push_planned(day(), times.minutes(), found);
                }
            }
            Cadence::Cron(expr) if !expr.matches_date(date) => {}
            Cadence::Cron(expr) if expr.is_wildcard() => push_real(day(), expr.minutes(), found),
            Cadence::Cron(expr) => push_planned(day(), expr.minutes(), found),
        }
    }

    fn once(&self, at: OnceAt) -> Option<Timestamp> {
        match at {
            OnceAt::Exact(at) => Some(at),
            OnceAt::Local(at) => zone::resolve(self.zone, at).map(Reading::planned),
        }
    }

    /// Returns how many whole intervals lie between anchor and instant; negative before it.
    fn steps_until(&self, every: Seconds, at: Timestamp) -> i64 {
        let every = i64::try_from(every.get()).unwrap_or(i64::MAX).max(1);
        let elapsed = at.as_second() - self.anchor.as_second();
        elapsed.div_euclid(every)
    }

    fn on_grid(&self, every: Seconds, steps: i64) -> Option<Timestamp> {
        let elapsed = i64::try_from(every.get()).ok()?.checked_mul(steps)?;
        let second = self.anchor.as_second().checked_add(elapsed)?;
        Timestamp::from_second(second).ok()
    }
}

/// Adds each time once: after the gap if the clock skips it, in the first pass if it repeats.
fn push_planned(
    day: Option<LocalDay<'_>>,
    minutes: impl Iterator<Item = i16>,
    found: &mut Vec<Timestamp>,
) {
    if let Some(day) = day {
        let readings = minutes.filter_map(|minute| day.resolve(minute));
        found.extend(readings.map(Reading::planned));
    }
}

/// Adds every real minute with such a reading: none in a gap, two in a repeated hour.
fn push_real(
    day: Option<LocalDay<'_>>,
    minutes: impl Iterator<Item = i16>,
    found: &mut Vec<Timestamp>,
) {
    let Some(day) = day else {
        return;
    };
    for reading in minutes.filter_map(|minute| day.resolve(minute)) {
        match reading {
            Reading::Once(at) => found.push(at),
            Reading::Twice(first, second) => found.extend([first, second]),
            Reading::Skipped(_) => {}
        }
    }
}
