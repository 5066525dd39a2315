//! When `run-due` was started, ticks of the timer that did not come, and clocks that go back.

use anyhow::Result;

use crate::domain::outcome::Trigger;
use crate::domain::run::{Event, EventKind};
use crate::domain::time::{Timestamp, render_utc};
use crate::domain::units::Seconds;
use crate::store::{MetaKey, Store};

/// Keeping a clock right means small steps, and they are nobody's concern.
const NO_NEWS_SECONDS: i64 = 60;

/// When `run-due` was started last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticks {
    pub by_timer: Option<Timestamp>,
    /// By whomever.
    pub by_anyone: Option<Timestamp>,
}

pub fn last_ticks(store: &Store) -> Result<Ticks> {
    let read = |key| -> Result<Option<Timestamp>> {
        // What nobody can read is as good as nothing.
        Ok(store.meta(key)?.and_then(|text| text.parse().ok()))
    };
    Ok(Ticks {
        by_timer: read(MetaKey::LastTimerTick)?,
        by_anyone: read(MetaKey::LastTick)?,
    })
}

/// Writes down that `run-due` was started, and once what was missed before.
///
/// One fact each and not a row for every tick: there are 35,000 a year.
pub fn record_tick(store: &Store, trigger: Trigger, every: Seconds, now: Timestamp) -> Result<()> {
    store.transaction(|store| -> Result<()> {
        let last = last_ticks(store)?;
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
        // A tick that finds the lock taken goes no further, and must not hide this from the next.
        if let Some(ahead) = last.by_anyone.filter(|last| now < *last) {
            note_look(store, ahead)?;
        }
        Ok(store.set_meta(MetaKey::LastTick, &render_utc(now))?)
    })
}

/// Notes for which moment the next look of a schedule was computed.
pub fn note_look(store: &Store, now: Timestamp) -> Result<()> {
    if latest_look(store)?.is_some_and(|latest| now <= latest) {
        return Ok(());
    }
    Ok(store.set_meta(MetaKey::LatestLook, &render_utc(now))?)
}

/// Makes every schedule a candidate when the clock has gone back since the
/// last look at any of them: what was cached then may lie years ahead.
pub fn notice_clock_back(store: &Store, now: Timestamp) -> Result<()> {
    let Some(ahead) = latest_look(store)?.filter(|latest| now < *latest) else {
        return Ok(());
    };
    store.transaction(|store| -> Result<()> {
        store.reconsider_all_schedules(now)?;
        store.set_meta(MetaKey::LatestLook, &render_utc(now))?;
        if ahead.as_second() - now.as_second() <= NO_NEWS_SECONDS {
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

fn latest_look(store: &Store) -> Result<Option<Timestamp>> {
    let text = store.meta(MetaKey::LatestLook)?;
    Ok(text.and_then(|text| text.parse().ok()))
}

/// Tells how many ticks did not come; one that is late is no missed one.
fn missed(from: Timestamp, every: Seconds, now: Timestamp) -> Option<String> {
    let (passed, every) = (now.as_second() - from.as_second(), every.span().as_secs());
    if every <= 0 || passed <= 2 * every {
        return None;
    }
    let count = passed / every - 1;
    Some(format!(
        "{count} ticks of the timer did not come between {} and {}",
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
        assert!(ask(31).unwrap().starts_with("1 ticks"));
        assert!(ask(150).unwrap().starts_with("9 ticks"));
    }

    #[test]
    fn a_tick_by_hand_says_nothing_about_the_timer() {
        let home = tempfile::tempdir().unwrap();
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let store = Store::open(&home.path().join("hfdl.db"), at(0)).unwrap();
        assert_eq!(last_ticks(&store).unwrap(), Ticks::default());
        record_tick(&store, Trigger::Timer, Seconds(900), at(10)).unwrap();
        record_tick(&store, Trigger::Manual, Seconds(900), at(20)).unwrap();
        let ticks = last_ticks(&store).unwrap();
        assert_eq!(
            (ticks.by_timer, ticks.by_anyone),
            (Some(at(10)), Some(at(20)))
        );
        store.set_meta(MetaKey::LastTick, "yesterday").unwrap();
        assert_eq!(last_ticks(&store).unwrap().by_anyone, None);
    }
}
