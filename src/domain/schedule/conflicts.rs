//! Schedules that parse but can never run as intended.
//!
//! The checks run when a schedule is created or changed, so that the user
//! learns of a mistake at once.

use jiff::tz::TimeZone;

use super::slots::Slots;
use super::zone::shift;
use super::{Cadence, CatchUp, ScheduleSpec};
use crate::domain::invalid_value::InvalidValue;
use crate::domain::time::{Timestamp, whole_seconds};
use crate::domain::units::Seconds;

/// The number of slots to examine; calendars repeat.
const SLOTS_AHEAD: usize = 100;

/// Refuses a schedule that can never run.
///
/// `tick` is the period of the timer.
pub fn check_possible(
    spec: &ScheduleSpec,
    zone: &TimeZone,
    anchor: Timestamp,
    now: Timestamp,
    tick: Seconds,
) -> Result<(), InvalidValue> {
    let now = whole_seconds(now);
    let slots = Slots::new(&spec.cadence, zone, anchor);
    let ahead: Vec<_> = slots.iter_after(shift(now, -1)).take(SLOTS_AHEAD).collect();
    if ahead.is_empty() {
        return Err(no_slot(&spec.cadence));
    }
    check_jitter(spec.jitter, &ahead)?;
    check_within(spec.catch_up, tick)?;
    check_windows(spec, zone, &ahead, tick)
}

/// Refuses a schedule that cannot run with this timer period, even if it could
/// with an earlier period. A schedule without further slots is accepted: it has
/// ended.
pub fn check_tick(
    spec: &ScheduleSpec,
    zone: &TimeZone,
    anchor: Timestamp,
    now: Timestamp,
    tick: Seconds,
) -> Result<(), InvalidValue> {
    check_within(spec.catch_up, tick)?;
    if spec.windows.is_empty() {
        return Ok(());
    }
    let slots = Slots::new(&spec.cadence, zone, anchor);
    let from = shift(whole_seconds(now), -1);
    let ahead: Vec<_> = slots.iter_after(from).take(SLOTS_AHEAD).collect();
    if ahead.is_empty() {
        return Ok(());
    }
    check_windows(spec, zone, &ahead, tick)
}

/// Tells whether a schedule with one slot is over.
pub fn has_passed(spec: &ScheduleSpec, zone: &TimeZone, now: Timestamp) -> bool {
    let from = shift(whole_seconds(now), -1);
    let slots = Slots::new(&spec.cadence, zone, now);
    matches!(spec.cadence, Cadence::Once(_)) && slots.after(from).is_none()
}

fn no_slot(cadence: &Cadence) -> InvalidValue {
    let text = cadence.spec();
    if let Cadence::Once(_) = cadence {
        return InvalidValue::new(format!("{text} has passed already"))
            .next("write a time to come");
    }
    InvalidValue::new(format!(
        "`{text}` never runs: no date of the next 41 years matches it"
    ))
    .next("write another day or month")
}

fn check_jitter(jitter: Seconds, ahead: &[Timestamp]) -> Result<(), InvalidValue> {
    let gaps = ahead
        .windows(2)
        .map(|pair| pair[1].as_second() - pair[0].as_second());
    let gap = gaps
        .min()
        .and_then(|gap| u64::try_from(gap).ok())
        .map(Seconds);
    match gap {
        Some(gap) if jitter >= gap => Err(InvalidValue::new(format!(
            "a jitter of {jitter} is too large: its slots are only {gap} apart"
        ))
        .next("give a shorter one")),
        _ => Ok(()),
    }
}

fn check_within(catch_up: CatchUp, tick: Seconds) -> Result<(), InvalidValue> {
    let least = Seconds(tick.get().saturating_mul(2));
    match catch_up.within() {
        Some(within) if within < least => Err(InvalidValue::new(format!(
            "a catch-up limit of {within} is too short: the timer ticks every {tick}"
        ))
        .next(format!("write at least {least}"))),
        _ => Ok(()),
    }
}

/// Checks that a tick is certain to fall where some slot can run.
fn check_windows(
    spec: &ScheduleSpec,
    zone: &TimeZone,
    ahead: &[Timestamp],
    tick: Seconds,
) -> Result<(), InvalidValue> {
    if spec.windows.is_empty() {
        return Ok(());
    }
    let limit = match spec.catch_up {
        CatchUp::Once { within } => within,
        CatchUp::Skip => Some(Seconds(tick.get().saturating_mul(2))),
    };
    let mut longest = Seconds(0);
    for slot in ahead {
        let span = longest_chance(spec, zone, *slot, limit, tick);
        if span >= tick {
            return Ok(());
        }
        longest = longest.max(span);
    }
    let reason = match limit {
        Some(_) => format!("after each slot a window is open for {longest} at most"),
        None => format!("they are open for {longest} at a time at most"),
    };
    let next = match limit {
        Some(_) => "widen the window, move the slots or allow a longer catch-up",
        None => "widen the window",
    };
    Err(InvalidValue::new(format!(
        "its windows never allow it to run: the timer ticks every {tick}, and {reason}"
    ))
    .next(next))
}

/// Returns the longest stretch in which a slot can start, or the first one that
/// is long enough.
fn longest_chance(
    spec: &ScheduleSpec,
    zone: &TimeZone,
    slot: Timestamp,
    limit: Option<Seconds>,
    enough: Seconds,
) -> Seconds {
    // A month of openings is enough for windows that repeat every week.
    const OPENINGS: usize = 31;
    let mut longest = Seconds(0);
    let Some(mut opens) = spec.windows.opens_at(zone, slot) else {
        return longest;
    };
    let last = limit.map(|limit| shift(opens, limit.span().as_secs()));
    for _ in 0..OPENINGS {
        let Some(closes) = spec.windows.closes_after(zone, opens) else {
            return enough;
        };
        let end = last.map_or(closes, |last| last.min(closes));
        let span = end.as_second() - opens.as_second();
        longest = longest.max(Seconds(u64::try_from(span).unwrap_or(0)));
        let next = spec.windows.opens_at(zone, closes);
        match next.filter(|next| last.is_none_or(|last| *next < last)) {
            Some(next) if longest < enough => opens = next,
            _ => break,
        }
    }
    longest
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::schedule::{Windows, fixture};

    const TICK: Seconds = Seconds(900);

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn check(spec: &ScheduleSpec) -> Result<(), InvalidValue> {
        let now = at("2026-02-01T10:00Z");
        check_possible(spec, &TimeZone::UTC, now, now, TICK)
    }

    fn spec(text: &str) -> ScheduleSpec {
        fixture::schedule(1, text).spec
    }

    fn refusal(spec: &ScheduleSpec) -> String {
        check(spec).unwrap_err().with_next_step()
    }

    #[test]
    fn a_date_that_never_occurs_is_refused() {
        for text in ["cron 0 0 30 2 *", "cron 0 0 31 4 *", "cron 0 0 31W 2,4,6 *"] {
            let error = refusal(&spec(text));
            assert!(error.contains("never runs"), "{error}");
        }
        // A leap day on a Sunday is rare but exists.
        assert_eq!(check(&spec("cron 0 0 29 2 *")), Ok(()));
        assert_eq!(check(&spec("cron 0 0 29 2 */7")), Ok(()));
    }

    #[test]
    fn a_moment_that_has_passed_is_refused() {
        let error = refusal(&spec("once 2026-02-01T09:59"));
        assert!(
            error.starts_with("2026-02-01T09:59 has passed already"),
            "{error}"
        );
        assert_eq!(check(&spec("once 2026-02-01T10:00")), Ok(()));
    }

    #[test]
    fn jitter_is_smaller_than_the_smallest_gap() {
        let mut spec = spec("daily 03:00,04:00");
        spec.jitter = Seconds(3599);
        assert_eq!(check(&spec), Ok(()));
        spec.jitter = Seconds(3600);
        let error = refusal(&spec);
        assert!(error.contains("1h apart"), "{error}");
        spec.cadence = fixture::cadence("once 2026-06-01T08:00");
        assert_eq!(check(&spec), Ok(()), "one slot has no gap");
    }

    #[test]
    fn a_limit_below_two_ticks_is_refused() {
        let mut spec = spec("daily 03:00");
        spec.catch_up = CatchUp::Once {
            within: Some(Seconds(1799)),
        };
        let error = refusal(&spec);
        assert!(error.contains("at least 30m"), "{error}");
        spec.catch_up = CatchUp::Once {
            within: Some(Seconds(1800)),
        };
        assert_eq!(check(&spec), Ok(()));
    }

    #[test]
    fn a_longer_period_of_the_timer_makes_schedules_impossible() {
        let now = at("2026-02-01T10:00Z");
        let check = |spec: &ScheduleSpec, minutes: u64| {
            let tick = Seconds(60 * minutes);
            check_tick(spec, &TimeZone::UTC, now, now, tick).is_ok()
        };
        let mut narrow = spec("daily 03:00");
        narrow.windows = fixture::windows("02:45-03:15");
        assert_eq!((check(&narrow, 15), check(&narrow, 60)), (true, false));
        let mut late = spec("daily 03:00");
        late.catch_up = CatchUp::Once {
            within: Some(Seconds(3_600)),
        };
        assert_eq!((check(&late, 30), check(&late, 60)), (true, false));
        let over = spec("once 2026-01-01T08:00");
        assert!(check(&over, 60), "it is done and not impossible");
    }

    #[test]
    fn windows_that_a_tick_may_miss_are_refused() {
        let mut spec = spec("daily 03:00");
        spec.windows = fixture::windows("02:00-02:10");
        let error = refusal(&spec);
        assert!(error.contains("open for 10m at a time"), "{error}");
        spec.windows = Windows::parse(["02:00-02:10", "02:10-02:15"]).unwrap();
        assert_eq!(check(&spec), Ok(()), "touching windows are one");
    }

    #[test]
    fn slots_outside_their_windows_are_refused_when_lateness_is_not_allowed() {
        let mut spec = spec("daily 06:55");
        spec.windows = fixture::windows("22:00-07:00");
        assert_eq!(check(&spec), Ok(()), "it runs at 22:00");
        spec.catch_up = CatchUp::Skip;
        let error = refusal(&spec);
        assert!(error.contains("open for 5m at most"), "{error}");
        spec.catch_up = CatchUp::Once {
            within: Some(Seconds(16 * 3600)),
        };
        assert_eq!(check(&spec), Ok(()), "22:00 is within sixteen hours");
        spec.catch_up = CatchUp::Skip;
        spec.cadence = fixture::cadence("daily 06:55,12:00");
        assert_eq!(check(&spec), Ok(()), "one of two will do");
        spec.windows = fixture::windows("00:00-24:00");
        assert_eq!(check(&spec), Ok(()));
    }
}
