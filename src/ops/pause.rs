//! Pauses ticks, and lets them go on.

use crate::domain::pause::Pause;
use crate::domain::time::{Timestamp, whole_seconds};
use crate::store::{Result, Store};

/// Returns the pause that holds now; every tick asks this first.
pub fn pause_in_force(store: &Store, now: Timestamp) -> Result<Option<Pause>> {
    Ok(store.pause()?.filter(|pause| pause.is_in_force(now)))
}

/// Pauses ticks. A pause that holds already goes on since when it began, with
/// the new end and reason.
pub fn pause(
    store: &Store,
    until: Option<Timestamp>,
    reason: Option<String>,
    now: Timestamp,
) -> Result<Pause> {
    store.transaction(|store| {
        let earlier = pause_in_force(store, now)?;
        let pause = Pause {
            since: earlier.map_or(whole_seconds(now), |earlier| earlier.since),
            until: until.map(whole_seconds),
            reason,
        };
        store.set_pause(&pause)?;
        Ok(pause)
    })
}

/// Lets ticks go on, and returns the pause that held until now, if one did.
pub fn resume(store: &Store, now: Timestamp) -> Result<Option<Pause>> {
    store.transaction(|store| {
        let ended = pause_in_force(store, now)?;
        store.clear_pause()?;
        Ok(ended)
    })
}
