//! Slots: the planned instants of a cadence.
//!
//! A slot depends on the cadence, its zone and the anchor, never on when it is
//! computed. Planned times follow the rule in `zone`; cron expressions with `*`
//! in the minute or hour field are real minutes instead, as in cron.

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::cadence::{Cadence, MonthDay, OnceAt};
use super::zone::{self, LocalDay, Reading};
use crate::domain::time::{Timestamp, whole_minutes};
use crate::domain::units::Seconds;

/// Some cron dates are decades apart: 29 February on one weekday, around 2100.
const HORIZON_DAYS: i32 = 41 * 366;

/// The slots of one schedule.
#[derive(Clone, Copy, Debug)]
pub struct Slots<'a> {
    cadence: &'a Cadence,
    zone: &'a TimeZone,
    /// The start of an interval's grid, on the minute; other cadences ignore
    /// it.
    anchor: Timestamp,
}

impl<'a> Slots<'a> {
    pub fn new(cadence: &'a Cadence, zone: &'a TimeZone, anchor: Timestamp) -> Self {
        let anchor = whole_minutes(anchor);
        Self {
            cadence,
            zone,
            anchor,
        }
    }

    /// Returns the first slot after an instant, if there is one.
    pub fn after(&self, after: Timestamp) -> Option<Timestamp> {
        match self.cadence {
            Cadence::Interval(every) => {
                let steps = self.steps_until(*every, after) + 1;
                self.on_grid(*every, steps.max(0))
            }
            Cadence::Once(at) => self.once(*at).filter(|at| *at > after),
            _ => zone::first_after(self.zone, after, HORIZON_DAYS, |date| {
                self.on_date(date, after, Timestamp::MAX)?.first()
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
            _ => zone::last_within(self.zone, after, until, |date| {
                self.on_date(date, after, until)?.last()
            }),
        }
    }

    /// Counts the slots in `(after, until]`, up to a limit.
    ///
    /// The number is for display only: it is large after a long sleep, so no
    /// decision may depend on it.
    pub fn count(&self, after: Timestamp, until: Timestamp, limit: usize) -> usize {
        let count = match self.cadence {
            Cadence::Interval(every) => {
                let older = self.steps_until(*every, after).max(-1);
                let newest = self.steps_until(*every, until).max(-1);
                usize::try_from(newest - older).unwrap_or(0)
            }
            Cadence::Once(_) => usize::from(self.latest(after, until).is_some()),
            _ => self.list(after, until, limit).len(),
        };
        count.min(limit)
    }

    /// Iterates over the slots after an instant.
    pub fn iter_after(self, after: Timestamp) -> impl Iterator<Item = Timestamp> + use<'a> {
        std::iter::successors(self.after(after), move |slot| self.after(*slot))
    }

    /// Lists the calendar's slots in `(after, until]`; may stop once it has
    /// `enough`.
    fn list(&self, after: Timestamp, until: Timestamp, enough: usize) -> Vec<Timestamp> {
        let first = self.zone.to_datetime(after).date();
        let last = self.zone.to_datetime(until).date().saturating_add(1.day());
        let mut slots = Vec::new();
        // Slots of a date may fall on neighbouring dates.
        for date in first
            .saturating_sub(1.day())
            .series(1.day())
            .take_while(|date| *date <= last)
        {
            if let Some(found) = self.on_date(date, after, until) {
                found.append_to(&mut slots);
            }
            // Two dates may share a slot, but far fewer than this margin.
            if slots.len() > enough + 1440 {
                break;
            }
        }
        slots.sort();
        slots.dedup();
        slots
    }

    /// Returns the slots in `(after, until]` of a local date.
    fn on_date(&self, date: Date, after: Timestamp, until: Timestamp) -> Option<DateSlots<'a>> {
        let minutes = self.minutes_on(date)?;
        let day = LocalDay::new(self.zone, date)?;
        let is_inside = |at: &Timestamp| *at > after && *at <= until;
        let Some(midnight) = day.plain_midnight() else {
            let readings = minutes.iter().filter_map(|minute| day.resolve(*minute));
            let found = readings.flat_map(|reading| self.instants(reading));
            let mut found: Vec<_> = found.into_iter().filter(is_inside).collect();
            found.sort();
            return Some(DateSlots::Listed(found));
        };
        let at = |minute: &i16| zone::minutes_after(midnight, *minute);
        let start = minutes.partition_point(|minute| at(minute) <= after);
        let end = minutes.partition_point(|minute| at(minute) <= until);
        let minutes = minutes.get(start..end)?;
        Some(DateSlots::Plain { midnight, minutes })
    }

    /// Returns the planned minutes since midnight of a date.
    fn minutes_on(&self, date: Date) -> Option<&'a [i16]> {
        match self.cadence {
            Cadence::Interval(_) | Cadence::Once(_) => None,
            Cadence::Daily(times) => Some(times.minutes()),
            Cadence::Weekly { days, times } => {
                days.contains(date.weekday()).then(|| times.minutes())
            }
            Cadence::Monthly { days, times } => {
                let length = date.days_in_month();
                let falls_here = |wanted: &MonthDay| match wanted {
                    MonthDay::Day(number) => (*number).min(length) == date.day(),
                    MonthDay::Last => length == date.day(),
                };
                days.iter().any(falls_here).then(|| times.minutes())
            }
            Cadence::Cron(expr) => expr.matches_date(date).then(|| expr.minutes()),
        }
    }

    /// Returns the slots of a local time.
    ///
    /// A planned time runs once: after the gap if the clock skips it, in the
    /// first pass if it repeats. A real minute runs whenever the clock shows
    /// it.
    fn instants(&self, reading: Reading) -> impl Iterator<Item = Timestamp> + use<> {
        let is_real = matches!(self.cadence, Cadence::Cron(expr) if expr.is_wildcard());
        let (first, second) = match reading {
            Reading::Twice(first, second) if is_real => (Some(first), Some(second)),
            Reading::Skipped(_) if is_real => (None, None),
            reading => (Some(reading.planned()), None),
        };
        first.into_iter().chain(second)
    }

    fn once(&self, at: OnceAt) -> Option<Timestamp> {
        match at {
            OnceAt::Exact(at) => Some(at),
            OnceAt::Local(at) => zone::resolve(self.zone, at).map(Reading::planned),
        }
    }

    /// Counts the whole intervals from the anchor to an instant; negative
    /// before the anchor.
    fn steps_until(&self, every: Seconds, at: Timestamp) -> i64 {
        let every = every.span().as_secs().max(1);
        let elapsed = at.as_second() - self.anchor.as_second();
        elapsed.div_euclid(every)
    }

    fn on_grid(&self, every: Seconds, steps: i64) -> Option<Timestamp> {
        let elapsed = every.span().as_secs().checked_mul(steps)?;
        let second = self.anchor.as_second().checked_add(elapsed)?;
        Timestamp::from_second(second).ok()
    }
}

/// Slots of one date, ascending. Most days need no list.
enum DateSlots<'a> {
    Plain {
        midnight: Timestamp,
        minutes: &'a [i16],
    },
    Listed(Vec<Timestamp>),
}

impl DateSlots<'_> {
    fn first(&self) -> Option<Timestamp> {
        match self {
            Self::Plain { midnight, minutes } => minutes
                .first()
                .map(|minute| zone::minutes_after(*midnight, *minute)),
            Self::Listed(slots) => slots.first().copied(),
        }
    }

    fn last(&self) -> Option<Timestamp> {
        match self {
            Self::Plain { midnight, minutes } => minutes
                .last()
                .map(|minute| zone::minutes_after(*midnight, *minute)),
            Self::Listed(slots) => slots.last().copied(),
        }
    }

    fn append_to(self, slots: &mut Vec<Timestamp>) {
        match self {
            Self::Plain { midnight, minutes } => {
                let at = |minute: &i16| zone::minutes_after(midnight, *minute);
                slots.extend(minutes.iter().map(at));
            }
            Self::Listed(found) => slots.extend(found),
        }
    }
}
