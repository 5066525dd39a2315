//! The times of ticks: the last start of `run-due`, ticks that were missed or failed
//! before their run, and clocks that were set back.

use std::fs;

use anyhow::Result;

use crate::domain::outcome::Trigger;
use crate::domain::run::{Event, EventKind};
use crate::domain::status::FailedTick;
use crate::domain::time::{Timestamp, believed, render_utc};
use crate::domain::units::Seconds;
use crate::store::{MetaKey, Store};
use crate::sys::fs::replace_private_file;
use crate::sys::host::Host;
use crate::sys::paths::Home;

/// The last starts of `run-due`; a time in the future counts as none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ticks {
    pub by_timer: Option<Timestamp>,
    /// By a timer or a CI job, not by hand.
    pub unattended: Option<Timestamp>,
    /// By a timer, a CI job or by hand.
    pub by_anyone: Option<Timestamp>,
    /// The latest tick, if it failed before its run.
    pub failed: Option<FailedTick>,
}

pub fn last_ticks(home: &Home, store: &Store, now: Timestamp) -> Result<Ticks> {
    let written = written_ticks(store)?;
    let failed = failed_tick(home);
    let failed_at = failed.as_ref().and_then(|tick| believed(tick.at, now));
    let failed_by = failed.as_ref().map(|tick| tick.trigger);
    let by_timer = failed_at.filter(|_| failed_by == Some(Trigger::Timer));
    let unattended = failed_at.filter(|_| failed_by != Some(Trigger::Manual));
    Ok(Ticks {
        by_timer: believed(written.by_timer, now).max(by_timer),
        unattended: believed(written.unattended, now).max(unattended),
        by_anyone: believed(written.by_anyone, now).max(failed_at),
        failed,
    })
}

fn failed_tick(home: &Home) -> Option<FailedTick> {
    let text = fs::read_to_string(home.failed_tick()).ok()?;
    FailedTick::parse(&text)
}

/// Records a tick that failed before its run, in a file: the database may be the cause.
///
/// Without a database nothing is written: the home may be the mount point of a disk
/// that is away.
pub fn record_failed_tick(home: &Home, tick: FailedTick) {
    if !home.database().exists() {
        return;
    }
    let tick = tick.following(failed_tick(home).as_ref());
    if let Err(err) = replace_private_file(&home.failed_tick(), tick.render().as_bytes()) {
        log::debug!("cannot record the failed tick: {err}");
    }
}

/// Removes the record after a tick that went well, and tells whether there was one.
/// A tick by hand proves nothing about the entry of a timer.
pub fn forget_failed_tick(home: &Home, trigger: Trigger) -> bool {
    let Some(failed) = failed_tick(home) else {
        return false;
    };
    let is_over = trigger == Trigger::Timer || failed.trigger != Trigger::Timer;
    is_over && fs::remove_file(home.failed_tick()).is_ok()
}

/// Returns the time of a tick or of a planned check if it is in the future: the clock
/// was wrong then or is wrong now.
pub fn false_future(store: &Store, now: Timestamp) -> Result<Option<Timestamp>> {
    let latest = written_ticks(store)?.by_anyone.max(latest_look(store)?);
    Ok(latest.filter(|latest| believed(*latest, now).is_none()))
}

fn written_ticks(store: &Store) -> Result<Ticks> {
    let read = |key| -> Result<Option<Timestamp>> {
        // An unreadable value counts as none.
        Ok(store.meta(key)?.and_then(|text| text.parse().ok()))
    };
    let by_timer = read(MetaKey::LastTimerTick)?;
    Ok(Ticks {
        by_timer,
        unattended: read(MetaKey::LastCiTick)?.max(by_timer),
        by_anyone: read(MetaKey::LastTick)?,
        failed: None,
    })
}

/// Records a start of `run-due`, and missed ticks as one event.
///
/// Only the last tick is kept: a row for each would be 35,000 a year.
pub fn record_tick(store: &Store, trigger: Trigger, every: Seconds, now: Timestamp) -> Result<()> {
    store.transaction(|store| -> Result<()> {
        let last = written_ticks(store)?;
        if trigger == Trigger::Timer {
            if let Some(missed) = last.by_timer.and_then(|from| missed(from, every, now)) {
                store.record_event(&Event {
                    at: now,
                    kind: EventKind::MissedTick,
                    model_id: None,
                    run_id: None,
                    detail: missed,
                })?;
            }
            store.set_meta(MetaKey::LastTimerTick, &render_utc(now))?;
        }
        if trigger == Trigger::Ci {
            store.set_meta(MetaKey::LastCiTick, &render_utc(now))?;
        }
        // A tick that finds the lock taken ends here, and the next one must still detect
        // that the clock was set back.
        if let Some(ahead) = last.by_anyone.filter(|last| now < *last) {
            note_look(store, ahead)?;
        }
        Ok(store.set_meta(MetaKey::LastTick, &render_utc(now))?)
    })
}

/// Records the time at which the next check of a schedule was computed.
pub fn note_look(store: &Store, now: Timestamp) -> Result<()> {
    if latest_look(store)?.is_some_and(|latest| now <= latest) {
        return Ok(());
    }
    Ok(store.set_meta(MetaKey::LatestLook, &render_utc(now))?)
}

/// Makes every schedule a candidate if the clock was set back since any of them was
/// planned: the planned times may be years ahead.
pub fn notice_clock_back(store: &Store, now: Timestamp) -> Result<()> {
    let Some(ahead) = latest_look(store)?.filter(|latest| now < *latest) else {
        return Ok(());
    };
    store.transaction(|store| -> Result<()> {
        store.reconsider_all_schedules(now)?;
        store.set_meta(MetaKey::LatestLook, &render_utc(now))?;
        if believed(ahead, now).is_some() {
            return Ok(());
        }
        let detail = format!(
            "the clock went back from {} to {}",
            render_utc(ahead),
            render_utc(now)
        );
        log::warn!("{detail}");
        store.record_event(&Event {
            at: now,
            kind: EventKind::ClockBack,
            model_id: None,
            run_id: None,
            detail,
        })?;
        Ok(())
    })
}

/// Makes every schedule a candidate if the name of the host, which determines the
/// jitter, or the period of the timer has changed.
pub fn notice_other_host(store: &Store, host: &Host, every: Seconds, now: Timestamp) -> Result<()> {
    let today = format!("{} {every}", host.name());
    let known = store.meta(MetaKey::PlannedFor)?;
    if known.as_ref() == Some(&today) {
        return Ok(());
    }
    store.transaction(|store| -> Result<()> {
        if known.is_some() {
            store.reconsider_all_schedules(now)?;
        }
        Ok(store.set_meta(MetaKey::PlannedFor, &today)?)
    })
}

fn latest_look(store: &Store) -> Result<Option<Timestamp>> {
    let text = store.meta(MetaKey::LatestLook)?;
    Ok(text.and_then(|text| text.parse().ok()))
}

/// Returns a message if ticks were missed. One late tick is not a missed tick.
fn missed(from: Timestamp, every: Seconds, now: Timestamp) -> Option<String> {
    let (passed, every) = (now.as_second() - from.as_second(), every.span().as_secs());
    if every <= 0 || passed <= 2 * every {
        return None;
    }
    let count = passed / every - 1;
    let missed = if count == 1 {
        "1 timer tick was".to_owned()
    } else {
        format!("{count} timer ticks were")
    };
    Some(format!(
        "{missed} missed between {} and {}",
        render_utc(from),
        render_utc(now)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_missed_after_two_periods_without_one() {
        let at = |minutes: i64| Timestamp::from_second(1_000_000 + 60 * minutes).unwrap();
        let ask = |minutes| missed(at(0), Seconds(900), at(minutes));
        assert_eq!((ask(15), ask(30), ask(-5)), (None, None, None));
        assert!(ask(31).unwrap().starts_with("1 timer tick was missed"));
        assert!(ask(150).unwrap().starts_with("9 timer ticks were missed"));
    }

    #[test]
    fn a_tick_by_hand_does_not_count_as_one_of_the_timer() {
        let home = tempfile::tempdir().unwrap();
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let store = Store::open(&home.path().join("hfdl.db"), at(0)).unwrap();
        let host = Host::with_variables([]);
        let place = Home::find(&host, Some(home.path())).unwrap();
        assert_eq!(
            last_ticks(&place, &store, at(30)).unwrap(),
            Ticks::default()
        );
        record_tick(&store, Trigger::Timer, Seconds(900), at(10)).unwrap();
        record_tick(&store, Trigger::Ci, Seconds(900), at(15)).unwrap();
        record_tick(&store, Trigger::Manual, Seconds(900), at(20)).unwrap();
        let ticks = last_ticks(&place, &store, at(30)).unwrap();
        assert_eq!(
            (ticks.by_timer, ticks.unattended, ticks.by_anyone),
            (Some(at(10)), Some(at(15)), Some(at(20)))
        );
        store.set_meta(MetaKey::LastTick, "yesterday").unwrap();
        assert_eq!(last_ticks(&place, &store, at(30)).unwrap().by_anyone, None);
    }
}
