//! Waiting and measuring how long something took.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Tells whether a pause ran its course.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    Done,
    /// The run is to end; whoever waited gives up instead of trying again.
    Stopped,
}

/// The way in which a client waits between two attempts.
///
/// It is a value, so that tests wait for nothing and a run that is asked to
/// stop need not sit out a rate limit of five minutes.
#[derive(Clone)]
pub struct Pause(Arc<dyn Fn(Duration) -> Waited + Send + Sync>);

impl Pause {
    pub fn new(wait: impl Fn(Duration) -> Waited + Send + Sync + 'static) -> Self {
        Self(Arc::new(wait))
    }

    /// Returns the pause that puts the thread to sleep and cannot be cut short.
    pub fn sleeping() -> Self {
        Self::new(|span| {
            std::thread::sleep(span);
            Waited::Done
        })
    }

    /// Returns the pause that is over at once.
    pub fn none() -> Self {
        Self::new(|_| Waited::Done)
    }

    pub fn wait(&self, span: Duration) -> Waited {
        (self.0)(span)
    }
}

impl fmt::Debug for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pause")
    }
}

/// Measures time that has passed, whatever happens to the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
