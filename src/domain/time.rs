//! Times: whole seconds UTC in the database, RFC 3339 in JSON.

pub use jiff::Timestamp;
use jiff::civil;
use jiff::tz::{AmbiguousOffset, TimeZone};
use thiserror::Error;

use super::units::Seconds;

/// A system clock before this date is wrong: the program is younger.
pub const EARLIEST_BELIEVABLE: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// Truncates a time to whole seconds, the resolution of the database.
pub fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// Truncates a time to whole minutes, the resolution of slots.
pub fn whole_minutes(at: Timestamp) -> Timestamp {
    let second = at.as_second();
    Timestamp::from_second(second - second.rem_euclid(60)).unwrap_or(at)
}

/// Clock synchronisation moves a clock by seconds, so a record this far in the
/// future is normal.
pub const CLOCK_STEP: Seconds = Seconds(60);

/// Returns the latest plausible date of a record about the past.
///
/// A later date means that the clock was ahead when the record was written, or
/// is behind now. In both cases the date is meaningless, so every query and
/// every comparison treats such a record as unknown.
pub fn latest_believable(now: Timestamp) -> Timestamp {
    now.saturating_add(CLOCK_STEP.span()).unwrap_or(now)
}

/// Returns the stored time of a past event, or `None` if it lies in the future.
pub fn believed(at: impl Into<Option<Timestamp>>, now: Timestamp) -> Option<Timestamp> {
    at.into().filter(|at| *at <= latest_believable(now))
}

/// Returns the stored end of a wait, or `None` if it has passed or lies further
/// ahead than any wait of its kind may last.
pub fn believed_wait(
    until: impl Into<Option<Timestamp>>,
    now: Timestamp,
    longest: Seconds,
) -> Option<Timestamp> {
    let latest = latest_believable(now).saturating_add(longest.span());
    until
        .into()
        .filter(|until| *until > now && latest.is_ok_and(|latest| *until <= latest))
}

/// Renders an instant for machines: RFC 3339 in UTC with whole seconds.
pub fn render_utc(at: Timestamp) -> String {
    whole_seconds(at).to_string()
}

/// A text that is no time.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is not a time: write RFC 3339, `2026-06-01 08:00` or `2026-06-01`")]
pub struct MomentError(String);

/// Parses a moment: RFC 3339, or a local time or date in a zone.
pub fn parse_moment(text: &str, zone: &TimeZone) -> Result<Timestamp, MomentError> {
    let trimmed = text.trim();
    let error = || {
        MomentError(
            trimmed
                .chars()
                .take(80)
                .flat_map(char::escape_debug)
                .collect(),
        )
    };
    if let Ok(at) = trimmed.parse::<Timestamp>() {
        return Ok(at);
    }
    // The civil parser would silently drop a zone or offset that `Timestamp`
    // did not accept.
    let local = if trimmed.contains(['[', '+', 'Z', 'z']) {
        None
    } else {
        let form = trimmed.replacen(' ', "T", 1);
        let with_time = form
            .parse::<civil::DateTime>()
            .ok()
            .filter(|_| form.contains('T'));
        with_time.or_else(|| Some(trimmed.parse::<civil::Date>().ok()?.at(0, 0, 0, 0)))
    };
    let local = local.ok_or_else(error)?;
    let ambiguous = zone.to_ambiguous_timestamp(local);
    // A local time in a clock-change gap means the first moment after the gap.
    let earlier = ambiguous.earlier().map_err(|_| error())?;
    match ambiguous.offset() {
        AmbiguousOffset::Gap { .. } => zone
            .following(earlier)
            .next()
            .map(|change| change.timestamp())
            .ok_or_else(error),
        _ => Ok(earlier),
    }
}

/// Returns the last second of a day that is written as `2026-06-01`; `None` for other texts.
pub fn end_of_day(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let day: civil::Date = text.trim().parse().ok()?;
    if text.trim() != day.to_string() {
        return None;
    }
    let next = parse_moment(&day.tomorrow().ok()?.to_string(), zone).ok()?;
    Timestamp::from_second(next.as_second() - 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_dated_after_the_present_is_not_believed() {
        let at = |second: i64| Timestamp::from_second(1_900_000_000 + second).unwrap();
        assert_eq!(believed(at(-5), at(0)), Some(at(-5)));
        assert_eq!(believed(at(60), at(0)), Some(at(60)), "a step of the clock");
        assert_eq!(believed(at(61), at(0)), None);
        assert_eq!(believed(None, at(0)), None);
        let wait = |until| believed_wait(at(until), at(0), Seconds(600));
        assert_eq!(wait(0), None, "it is over");
        assert_eq!((wait(1), wait(660)), (Some(at(1)), Some(at(660))));
        assert_eq!(wait(661), None);
    }

    #[test]
    fn a_moment_is_rfc_3339_or_local() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        for (text, utc) in [
            ("2026-06-01T08:00:00Z", "2026-06-01T08:00:00Z"),
            ("2026-06-01T08:00:00+02:00", "2026-06-01T06:00:00Z"),
            ("2026-06-01 08:00", "2026-06-01T06:00:00Z"),
            ("2026-06-01", "2026-05-31T22:00:00Z"),
            ("2026-03-29 02:30", "2026-03-29T01:00:00Z"),
            ("2026-10-25 02:30", "2026-10-25T00:30:00Z"),
        ] {
            assert_eq!(
                render_utc(parse_moment(text, &zone).unwrap()),
                utc,
                "{text}"
            );
        }
        for bad in [
            "",
            "tomorrow",
            "08:00",
            "2026-13-01",
            "2026-06-01 25:00",
            "2026-06-01T08:00+99:00",
        ] {
            assert!(parse_moment(bad, &zone).is_err(), "{bad}");
        }
    }
}
