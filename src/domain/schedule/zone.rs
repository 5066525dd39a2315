//! Conversion of local times to instants.
//!
//! One rule for clock changes: a local time that is skipped means the first
//! instant after the gap; a local time that occurs twice means both, and the
//! caller chooses. jiff's `compatible()` is not used, because it moves 02:30 to
//! 03:30.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, ToSpan};

use super::clock;
use crate::domain::invalid_value::InvalidValue;
use crate::domain::nearest::nearest;
use crate::domain::time::Timestamp;

/// Finds a time zone by its IANA name; `iana_name()` has its proper spelling.
pub fn find_zone(name: &str) -> Result<TimeZone, InvalidValue> {
    // `Etc/Unknown` would count as UTC.
    let found = TimeZone::get(name).ok().filter(|zone| !zone.is_unknown());
    found.ok_or_else(|| {
        let next = match similar_zone(name) {
            // `IST` is the time of three countries, and none of them is near `EST`.
            _ if is_abbreviation(name) => "write a zone name such as `Europe/Berlin`".to_owned(),
            Some(similar) => format!("did you mean `{similar}`?"),
            None => "write an IANA name such as Europe/Berlin or UTC".to_owned(),
        };
        InvalidValue::is_not(name, "a time zone known on this machine").next(next)
    })
}

/// Tells whether a name looks like the abbreviation of a time, such as `PST`.
fn is_abbreviation(name: &str) -> bool {
    (2..=5).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// Finds the zone that a misspelt name, or the name of its city, means.
fn similar_zone(name: &str) -> Option<String> {
    let all: Vec<String> = jiff::tz::db()
        .available()
        .map(|it| it.to_string())
        .collect();
    let cities = all
        .iter()
        .filter_map(|zone| Some((zone, zone.rsplit_once('/')?.1)));
    let wanted = name.trim().replace(' ', "_");
    let by_city = cities
        .clone()
        .find(|(_, city)| city.eq_ignore_ascii_case(&wanted));
    if let Some((zone, _)) = by_city {
        return Some(zone.clone());
    }
    if let Some(zone) = nearest(&wanted, all.iter().map(String::as_str)) {
        return Some(zone.to_owned());
    }
    let city = nearest(&wanted, cities.clone().map(|(_, city)| city))?;
    cities
        .into_iter()
        .find(|(_, it)| *it == city)
        .map(|(zone, _)| zone.clone())
}

/// The instants of a local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Once(Timestamp),
    /// The clock was set back: the first pass and the second.
    Twice(Timestamp, Timestamp),
    /// The clock was set forward: the first instant after the gap.
    Skipped(Timestamp),
}

impl Reading {
    /// Returns the one instant of a planned time.
    pub(super) fn planned(self) -> Timestamp {
        match self {
            Self::Once(at) | Self::Twice(at, _) | Self::Skipped(at) => at,
        }
    }
}

/// Resolves a local time; `None` only outside the years that jiff supports.
pub(super) fn resolve(zone: &TimeZone, reading: DateTime) -> Option<Reading> {
    let ambiguous = zone.to_ambiguous_timestamp(reading);
    match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { .. } => ambiguous.earlier().ok().map(Reading::Once),
        AmbiguousOffset::Fold { .. } => {
            let (first, second) = (ambiguous.earlier().ok()?, ambiguous.later().ok()?);
            Some(Reading::Twice(first, second))
        }
        AmbiguousOffset::Gap { .. } => {
            // The earlier reading lies before the gap, so that the next
            // transition is the gap itself.
            let before = ambiguous.earlier().ok()?;
            let end = zone.following(before).next()?.timestamp();
            Some(Reading::Skipped(end))
        }
    }
}

/// One local date. Most days have no clock change, and there an instant is
/// midnight plus minutes.
pub(super) struct LocalDay<'z> {
    zone: &'z TimeZone,
    date: Date,
    midnight: Timestamp,
    is_plain: bool,
}

impl<'z> LocalDay<'z> {
    pub(super) fn new(zone: &'z TimeZone, date: Date) -> Option<Self> {
        let reading = resolve(zone, date.to_datetime(Time::midnight()))?;
        let midnight = reading.planned();
        // A clock change within a day after midnight could still affect this
        // date, hence two days.
        let is_plain = matches!(reading, Reading::Once(_))
            && zone
                .following(midnight)
                .next()
                .is_none_or(|change| change.timestamp() > shift(midnight, 48 * 3600));
        Some(Self {
            zone,
            date,
            midnight,
            is_plain,
        })
    }

    pub(super) fn resolve(&self, minute: i16) -> Option<Reading> {
        if self.is_plain {
            return Some(Reading::Once(minutes_after(self.midnight, minute)));
        }
        resolve(self.zone, self.date.to_datetime(clock::time_of(minute)))
    }

    /// Returns the instant of midnight if the day has no clock change.
    pub(super) fn plain_midnight(&self) -> Option<Timestamp> {
        self.is_plain.then_some(self.midnight)
    }

    /// Returns the instants near this date at which the clock changes.
    fn changes(&self) -> impl Iterator<Item = Timestamp> {
        let end = shift(self.midnight, 30 * 3600);
        let changes = self.zone.following(shift(self.midnight, -30 * 3600));
        changes
            .map(|change| change.timestamp())
            .take_while(move |at| *at <= end)
    }
}

/// Finds the earliest instant after `after`; `earliest` returns the earliest
/// one of a date.
///
/// The instants of a date may fall on its neighbours (a gap at midnight, a
/// second pass that begins there), so the search includes the day before and
/// the day after.
pub(super) fn first_after(
    zone: &TimeZone,
    after: Timestamp,
    horizon_days: i32,
    earliest: impl Fn(Date) -> Option<Timestamp>,
) -> Option<Timestamp> {
    let mut date = zone.to_datetime(after).date().yesterday().ok()?;
    let mut last = date.saturating_add(horizon_days.days());
    let mut best: Option<Timestamp> = None;
    while date <= last {
        if let Some(found) = earliest(date).filter(|at| best.is_none_or(|best| *at < best)) {
            best = Some(found);
            last = zone.to_datetime(found).date().saturating_add(1.day());
        }
        date = date.tomorrow().ok()?;
    }
    best
}

/// Finds the latest instant in `(after, until]`; the mirror image of
/// [`first_after`].
pub(super) fn last_within(
    zone: &TimeZone,
    after: Timestamp,
    until: Timestamp,
    latest: impl Fn(Date) -> Option<Timestamp>,
) -> Option<Timestamp> {
    if after >= until {
        return None;
    }
    let mut date = zone.to_datetime(until).date().saturating_add(1.day());
    let mut last = zone.to_datetime(after).date().saturating_sub(1.day());
    let mut best: Option<Timestamp> = None;
    while date >= last {
        if let Some(found) = latest(date).filter(|at| best.is_none_or(|best| *at > best)) {
            best = Some(found);
            last = zone.to_datetime(found).date().saturating_sub(1.day());
        }
        date = date.yesterday().ok()?;
    }
    best
}

/// Finds the first instant after `after` at which a condition on the local time
/// becomes true.
///
/// The condition can change only at the times in `edges` and at clock changes.
pub(super) fn first_turn(
    zone: &TimeZone,
    after: Timestamp,
    edges: &[Time],
    turned: impl Fn(DateTime) -> bool,
) -> Option<Timestamp> {
    // Weekly edges can fall into a gap for two weeks running at most; this is
    // ample.
    const HORIZON_DAYS: i32 = 62;
    first_after(zone, after, HORIZON_DAYS, |date| {
        let day = LocalDay::new(zone, date)?;
        let mut found = Vec::new();
        for edge in edges {
            match day.resolve(clock::minute_of(*edge)) {
                Some(Reading::Twice(first, second)) => found.extend([first, second]),
                Some(Reading::Once(at) | Reading::Skipped(at)) => found.push(at),
                None => {}
            }
        }
        if !day.is_plain {
            found.extend(day.changes());
        }
        let turns = |at: &Timestamp| *at > after && turned(zone.to_datetime(*at));
        found.into_iter().filter(turns).min()
    })
}

pub(super) fn minutes_after(midnight: Timestamp, minute: i16) -> Timestamp {
    shift(midnight, i64::from(minute) * 60)
}

/// Moves an instant by some seconds, clamped to the supported range.
pub fn shift(at: Timestamp, seconds: i64) -> Timestamp {
    let end = if seconds < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    };
    at.checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_around_a_change_of_the_clock() {
        let zone = TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let read = |text: &str| resolve(&zone, text.parse().unwrap()).unwrap();
        assert_eq!(
            read("2026-03-08T02:30"),
            Reading::Skipped(at("2026-03-08T03:00-04:00"))
        );
        assert_eq!(
            read("2026-03-08T03:00"),
            Reading::Once(at("2026-03-08T03:00-04:00"))
        );
        let (first, second) = (at("2026-11-01T01:30-04:00"), at("2026-11-01T01:30-05:00"));
        assert_eq!(read("2026-11-01T01:30"), Reading::Twice(first, second));
    }

    #[test]
    fn an_unknown_zone_is_refused_with_an_example() {
        for name in ["Mars/Base", "Etc/Unknown", "", "../passwd"] {
            let error = find_zone(name).unwrap_err().with_next_step();
            assert!(error.contains("Europe/Berlin"), "{error}");
        }
        for (name, similar) in [
            ("Europe/Berln", "`Europe/Berlin`"),
            ("Berlin", "`Europe/Berlin`"),
            ("new york", "`America/New_York`"),
            ("Asia/Tokio", "`Asia/Tokyo`"),
            ("Sydny", "`Australia/Sydney`"),
        ] {
            let error = find_zone(name).unwrap_err().with_next_step();
            assert!(
                error.contains(&format!("did you mean {similar}?")),
                "{error}"
            );
        }
        for name in ["PST", "BST", "IST", "AEST"] {
            let error = find_zone(name).unwrap_err().with_next_step();
            assert!(
                error.ends_with("write a zone name such as `Europe/Berlin`"),
                "{error}"
            );
        }
        assert_eq!(
            find_zone("europe/berlin").unwrap().iana_name(),
            Some("Europe/Berlin")
        );
    }
}
