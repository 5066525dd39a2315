//! The flush thread: flushes received bytes to disk and records them in the journals.
//!
//! Flushing is slow and must not delay receiving. A power cut loses the bytes since the last
//! flush: one second, or [`super::large_file::FLUSH_AT`] bytes on a fast connection. A killed
//! process loses less, because the journal also records written bytes.

use std::time::Duration;

use super::engine_state::EngineState;
use super::event::EngineEvent;

const MAX_FLUSH_DELAY: Duration = Duration::from_secs(1);
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Flushes active files until the engine is closed.
pub(crate) fn run(engine: &EngineState) {
    while !engine.is_closed() {
        let mut idle = true;
        for large in engine.active() {
            if !large.needs_flush(MAX_FLUSH_DELAY) {
                continue;
            }
            idle = false;
            match large.flush() {
                Ok(bytes) => engine.send(EngineEvent::Saved {
                    id: large.id,
                    bytes,
                }),
                Err(error) => {
                    large.fail(error);
                    engine.close_if_failed(&large);
                }
            }
        }
        if idle {
            engine.wait_for_flush_work(POLL_INTERVAL);
        }
    }
}
