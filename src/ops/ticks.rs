//! When `run-due` was last started, even if there was nothing to do.

use crate::domain::outcome::Trigger;
use crate::domain::time::{Timestamp, render_utc};
use crate::store::{MetaKey, Result, Store};

/// The last starts of `run-due`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticks {
    /// By a timer: proves that the timer works.
    pub by_timer: Option<Timestamp>,
    /// By whomever: later than now means that the clock went back.
    pub by_anyone: Option<Timestamp>,
}

/// Writes down that `run-due` has been started.
pub fn record_tick(store: &Store, trigger: Trigger, now: Timestamp) -> Result<()> {
    let now = render_utc(now);
    store.transaction(|store| {
        if trigger == Trigger::Timer {
            store.set_meta(MetaKey::LastTimerTick, &now)?;
        }
        store.set_meta(MetaKey::LastTick, &now)
    })
}

/// Returns the last starts of `run-due`.
pub fn last_ticks(store: &Store) -> Result<Ticks> {
    let read = |key| -> Result<Option<Timestamp>> {
        let Some(text) = store.meta(key)? else {
            return Ok(None);
        };
        // Nothing hangs on an old tick that justifies an end of everything.
        let at = text.parse();
        Ok(at
            .inspect_err(|err| log::warn!("ignoring the fact `{key}`: {err}"))
            .ok())
    };
    Ok(Ticks {
        by_timer: read(MetaKey::LastTimerTick)?,
        by_anyone: read(MetaKey::LastTick)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_by_hand_says_nothing_about_the_timer() {
        let home = tempfile::tempdir().unwrap();
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let store = Store::open(&home.path().join("hfdl.db"), at(0)).unwrap();
        assert_eq!(last_ticks(&store).unwrap(), Ticks::default());
        record_tick(&store, Trigger::Timer, at(10)).unwrap();
        record_tick(&store, Trigger::Manual, at(20)).unwrap();
        let ticks = last_ticks(&store).unwrap();
        assert_eq!(
            (ticks.by_timer, ticks.by_anyone),
            (Some(at(10)), Some(at(20)))
        );
        store.set_meta(MetaKey::LastTick, "yesterday").unwrap();
        assert_eq!(last_ticks(&store).unwrap().by_anyone, None);
    }
}
