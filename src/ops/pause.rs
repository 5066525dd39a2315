//! Pausing and resuming of ticks.

use crate::domain::pause::Pause;
use crate::domain::time::{Timestamp, whole_seconds};
use crate::store::{Result, Store};

/// Returns the pause in force, which every tick checks.
pub fn pause_in_force(store: &Store, now: Timestamp) -> Result<Option<Pause>> {
    Ok(store.pause()?.filter(|pause| pause.is_in_force(now)))
}

/// Pauses ticks. A pause in force keeps its begin and gets the new end and reason.
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

/// Resumes ticks, and returns the pause that was in force.
pub fn resume(store: &Store, now: Timestamp) -> Result<Option<Pause>> {
    store.transaction(|store| {
        let ended = pause_in_force(store, now)?;
        store.clear_pause()?;
        Ok(ended)
    })
}
