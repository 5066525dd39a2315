//! The times at which a scrub may read.

use std::collections::BTreeSet;

use anyhow::Result;
use jiff::tz::TimeZone;

use crate::domain::model::ModelId;
use crate::domain::schedule::{Windows, usable_zone};
use crate::domain::scrub::{SCRUB_EVERY, Scrub, ready_before};
use crate::domain::shard::Shard;
use crate::domain::time::{Timestamp, latest_believable};
use crate::domain::units::Seconds;
use crate::ops::pause::pause_in_force;
use crate::ops::services::Services;
use crate::store::Store;

/// Tells whether a scrub has work now: the time of the next one has come, and a proof is
/// old enough to be renewed, or the record of the last one still tells of files without
/// a proof. Before that time only repairs that were cut short are work. An idle tick asks
/// nothing else.
pub fn has_work(services: &Services<'_>, shard: Shard, now: Timestamp) -> Result<bool> {
    let (store, settings) = (&services.store, &services.settings);
    let Some(every) = settings
        .verify_every()
        .filter(|_| !services.stop.is_raised())
    else {
        return Ok(false);
    };
    let last = last_scrub(store, shard)?;
    let has_work = if last.as_ref().is_some_and(|last| !last.is_over(now)) {
        !cut_repairs(store, now)?.is_empty()
    } else {
        let proofs = (ready_before(every, now), latest_believable(now));
        let is_behind = last.is_some_and(|last| !last.is_kept(every, now));
        is_behind || store.has_file_to_scrub(proofs)?
    };
    Ok(has_work && pause_in_force(store, now)?.is_none())
}

/// Returns the last scrub of a shard.
pub(super) fn last_scrub(store: &Store, shard: Shard) -> Result<Option<Scrub>> {
    let last = store.scrubs()?.into_iter().find(|(of, _)| *of == shard);
    Ok(last.map(|(_, last)| last))
}

/// Returns the models whose repair a limit has cut short since the last scrub began.
pub(super) fn cut_repairs(store: &Store, now: Timestamp) -> Result<BTreeSet<ModelId>> {
    let since = now
        .checked_sub(SCRUB_EVERY.span())
        .unwrap_or(Timestamp::MIN);
    Ok(store.models_with_cut_repair(since)?)
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
        // Windows that include the whole week never close.
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
