//! Forces bytes to disk while others come, and then says so in the journals.
//!
//! A thread of its own, because forcing takes long and receiving must not wait
//! for it. What a power cut costs is at most what came since the last round:
//! a second's worth, or [`super::large::SAVE_AT`] bytes on a fast line. A killed
//! process loses less, because the journal also says what was only written.

use std::time::Duration;

use super::board::Shared;
use super::event::Event;

const LONGEST: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Saves until the engine is closed.
pub(crate) fn save_as_they_come(shared: &Shared) {
    while !shared.is_closed() {
        let mut idle = true;
        for large in shared.active() {
            if !large.wants_saving(LONGEST) {
                continue;
            }
            idle = false;
            match large.save() {
                Ok(bytes) => shared.send(Event::Saved {
                    job: large.index,
                    bytes,
                }),
                Err(error) => {
                    large.fail(error);
                    shared.close_if_failed(&large);
                }
            }
        }
        if idle {
            shared.wait_for_saving(LOOK_EVERY);
        }
    }
}
