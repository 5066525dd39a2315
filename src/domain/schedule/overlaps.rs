//! Schedules that do the same as others, or update the same models at the same time.

use std::fmt;

use jiff::tz::TimeZone;

use super::slots::Slots;
use super::window::Windows;
use super::zone::{find_zone, shift};
use super::{Schedule, ScheduleSpec};
use crate::domain::model::{EntryName, Model};
use crate::domain::time::Timestamp;

/// Finds another schedule that does exactly the same.
///
/// Limits are ignored: two schedules that differ only in limits are a mistake.
pub fn duplicate_of<'a>(spec: &ScheduleSpec, others: &'a [Schedule]) -> Option<&'a Schedule> {
    let is_same = |other: &&Schedule| {
        let other = &other.spec;
        other.name != spec.name
            && other.cadence == spec.cadence
            && other.time_zone == spec.time_zone
            && other.windows == spec.windows
            && other.selection == spec.selection
    };
    others.iter().find(is_same)
}

/// Another schedule that updates the same model at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    pub other: EntryName,
    /// One of the models that both include.
    pub model: EntryName,
    pub n_models: usize,
    /// The first slot that both have.
    pub slot: Timestamp,
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            other, model, slot, ..
        } = self;
        write!(f, "`{other}` updates `{model}`")?;
        if self.n_models > 1 {
            write!(f, " and {} more", self.n_models - 1)?;
        }
        write!(f, " at the same time, first at {slot}; one run serves both")
    }
}

/// Finds enabled schedules that include a common model and share slots.
///
/// Overlaps are harmless and only cause a warning, so a few are enough.
pub fn overlaps(
    spec: &ScheduleSpec,
    zone: &TimeZone,
    anchor: Timestamp,
    now: Timestamp,
    others: &[Schedule],
    models: &[Model],
) -> Vec<Overlap> {
    const MOST: usize = 10;
    if !spec.enabled {
        return Vec::new();
    }
    let covered: Vec<_> = models
        .iter()
        .filter(|model| model.spec.enabled && spec.selection.includes(&model.spec))
        .collect();
    let slots = Slots::new(&spec.cadence, zone, anchor);
    let find = |other: &Schedule| {
        let mut common = covered
            .iter()
            .filter(|model| other.spec.selection.includes(&model.spec));
        let model = common.next()?.spec.name.clone();
        let their_zone = find_zone(&other.spec.time_zone).ok()?;
        let theirs = Slots::new(&other.spec.cadence, &their_zone, other.state.anchor_at);
        let slot = first_shared(slots, theirs, now)?;
        if !windows_meet(
            (&spec.windows, zone),
            (&other.spec.windows, &their_zone),
            slot,
        ) {
            return None;
        }
        Some(Overlap {
            other: other.spec.name.clone(),
            model,
            n_models: 1 + common.count(),
            slot,
        })
    };
    others
        .iter()
        .filter(|other| other.spec.enabled && other.spec.name != spec.name)
        .filter_map(find)
        .take(MOST)
        .collect()
}

/// Tells whether both windows are ever open at once, from an instant on: else
/// two schedules with a common slot run one after the other.
fn windows_meet(one: (&Windows, &TimeZone), other: (&Windows, &TimeZone), from: Timestamp) -> bool {
    // Windows recur every week; two openings a day are ample.
    const OPENINGS: usize = 14;
    let mut at = from;
    for _ in 0..OPENINGS {
        let Some(opens) = one.0.opens_at(one.1, at) else {
            return false;
        };
        let Some(other_opens) = other.0.opens_at(other.1, opens) else {
            return false;
        };
        match one.0.closes_after(one.1, opens) {
            Some(closes) if other_opens >= closes => at = other_opens,
            _ => return true,
        }
    }
    false
}

/// Finds a common slot among the next slots of both sets.
fn first_shared(one: Slots<'_>, other: Slots<'_>, now: Timestamp) -> Option<Timestamp> {
    // Search from both sides, so that a schedule that runs every minute does
    // not hide one that runs once a month.
    const AHEAD: usize = 32;
    let shared = |these: Slots<'_>, those: Slots<'_>| {
        these
            .iter_after(now)
            .take(AHEAD)
            .find(|slot| those.latest(shift(*slot, -1), *slot).is_some())
    };
    let found = [shared(one, other), shared(other, one)];
    found.into_iter().flatten().min()
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::schedule::fixture;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_duplicate_is_the_same_however_it_is_written() {
        let mut there = fixture::schedule(1, "cron 0 3 * * SUN");
        there.spec.selection = fixture::all();
        let mut new = fixture::schedule(2, "cron 0 03 * * 7").spec;
        new.selection = fixture::all();
        let others = [there];
        assert_eq!(duplicate_of(&new, &others).unwrap().id.0, 1);
        new.windows = fixture::windows("02:00-04:00");
        assert_eq!(duplicate_of(&new, &others), None);
        assert_eq!(
            duplicate_of(&others[0].spec, &others),
            None,
            "not of itself"
        );
    }

    #[test]
    fn overlaps_are_those_that_share_a_model_and_a_slot() {
        let now = at("2026-02-01T10:00Z");
        let models = [
            fixture::model(1, "one", &["llm"]),
            fixture::model(2, "two", &[]),
        ];
        let other = |id, text, selection| {
            let mut other = fixture::schedule(id, text);
            other.spec.selection = selection;
            other
        };
        let others = [
            other(1, "monthly 15@03:00", fixture::all()),
            other(2, "daily 04:00", fixture::all()),
            other(3, "daily 03:00", fixture::tagged("audio")),
            other(4, "interval 1m", fixture::tagged("llm")),
        ];
        let mut new = fixture::schedule(9, "daily 03:00").spec;
        new.selection = fixture::all();
        let found = overlaps(&new, &TimeZone::UTC, now, now, &others, &models);
        let found: Vec<_> = found.iter().map(Overlap::to_string).collect();
        assert_eq!(
            found,
            [
                "`s1` updates `one` and 1 more at the same time, first at \
                 2026-02-15T03:00:00Z; one run serves both",
                "`s4` updates `one` at the same time, first at 2026-02-02T03:00:00Z; one run \
                 serves both",
            ]
        );
        new.enabled = false;
        assert!(overlaps(&new, &TimeZone::UTC, now, now, &others, &models).is_empty());
    }
}
