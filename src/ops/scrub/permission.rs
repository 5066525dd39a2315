//! The times at which a scrub may read.

use anyhow::Result;
use jiff::tz::TimeZone;

use crate::domain::schedule::{Windows, usable_zone};
use crate::domain::scrub::ready_before;
use crate::domain::shard::Shard;
use crate::domain::time::{Timestamp, latest_believable};
use crate::domain::units::Seconds;
use crate::ops::pause::pause_in_force;
use crate::ops::services::Services;

/// Tells whether a scrub has work now: the time of the next one has come, and a proof is
/// old enough to be renewed, or the record of the last one still tells of files without
/// a proof. An idle tick asks nothing else.
pub fn has_work(services: &Services<'_>, shard: Shard, now: Timestamp) -> Result<bool> {
    let (store, settings) = (&services.store, &services.settings);
    let Some(every) = settings.verify_every() else {
        return Ok(false);
    };
    let last = store.scrubs()?.into_iter().find(|(of, _)| *of == shard);
    let last = last.map(|(_, last)| last);
    if services.stop.is_raised() || last.as_ref().is_some_and(|last| !last.is_over(now)) {
        return Ok(false);
    }
    let proofs = (ready_before(every, now), latest_believable(now));
    let is_behind = last.is_some_and(|last| !last.is_kept(every, now));
    if !is_behind && !store.has_file_to_scrub(proofs)? {
        return Ok(false);
    }
    Ok(pause_in_force(store, now)?.is_none())
}

/// The end of the time in which a scrub may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OpenTime {
    Closed,
    Until(Timestamp),
    /// No enabled schedule has a window.
    Always,
}

/// Returns how long the windows of the enabled schedules stay open. A schedule without
/// windows opens none: in a home with windows a person has said when disks may be busy.
pub(super) fn open_time(services: &Services<'_>, now: Timestamp) -> Result<OpenTime> {
    let schedules = services.store.enabled_schedules()?.readable;
    let windows = schedules.iter().filter_map(|schedule| {
        let zone = usable_zone(schedule).ok()?;
        let windows = &schedule.spec.windows;
        (!windows.is_empty()).then_some((windows, zone))
    });
    Ok(end_of(&windows.collect::<Vec<_>>(), now))
}

fn end_of(windows: &[(&Windows, TimeZone)], now: Timestamp) -> OpenTime {
    /// Windows that follow one another without a gap are looked at up to here.
    const FAR: Seconds = Seconds(7 * 86_400);
    if windows.is_empty() {
        return OpenTime::Always;
    }
    let mut end = now;
    while end.duration_since(now) < FAR.span() {
        let open = windows
            .iter()
            .filter(|(windows, zone)| windows.is_open(zone, end));
        let far = || end.saturating_add(FAR.span()).unwrap_or(end);
        // Windows that cover the week never close.
        let closes = open.map(|(windows, zone)| {
            let closes = windows.closes_after(zone, end);
            closes.unwrap_or_else(far)
        });
        match closes.max() {
            Some(later) if later > end => end = later,
            _ => break,
        }
    }
    if end > now {
        OpenTime::Until(end)
    } else {
        OpenTime::Closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_of_several_schedules_are_one_time() {
        let windows = |text: &str| Windows::parse([text]).unwrap();
        let (first, second) = (windows("01:00-03:00"), windows("02:30-05:00"));
        let both = [(&first, TimeZone::UTC), (&second, TimeZone::UTC)];
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let until = |text: &str| OpenTime::Until(at(text));
        let end = |text| end_of(&both, at(text));
        assert_eq!(end("2026-03-01T01:30:00Z"), until("2026-03-01T05:00:00Z"));
        assert_eq!(end("2026-03-01T05:00:00Z"), OpenTime::Closed);
        assert_eq!(end("2026-03-01T00:59:59Z"), OpenTime::Closed);
        assert_eq!(end_of(&[], at("2026-03-01T00:00:00Z")), OpenTime::Always);
    }
}
