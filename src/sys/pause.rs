//! Pauses between attempts, and a stopwatch.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::host::Host;
use super::stop::StopFlag;

/// Tells whether a pause ran its full length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    Done,
    /// The run is stopping; the caller gives up instead of trying again.
    Stopped,
}

/// The function by which a client waits between two attempts.
///
/// It is a value, so that tests do not wait and a stopped run does not sit out a
/// rate limit of five minutes.
#[derive(Clone)]
pub struct Sleeper(Arc<dyn Fn(Duration) -> Waited + Send + Sync>);

impl Sleeper {
    pub fn new(wait: impl Fn(Duration) -> Waited + Send + Sync + 'static) -> Self {
        Self(Arc::new(wait))
    }

    /// Returns a pause that ends when `stop` is raised.
    pub fn until_stopped(stop: &StopFlag) -> Self {
        let stop = stop.clone();
        Self::new(move |span| {
            if stop.pause(span) {
                Waited::Stopped
            } else {
                Waited::Done
            }
        })
    }

    /// Returns a pause that takes no time when a test has disabled pauses.
    #[must_use]
    pub fn on(self, host: &Host) -> Self {
        if host.takes_pauses() {
            return self;
        }
        Self::new(move |_| self.wait(Duration::ZERO))
    }

    /// Returns a pause that sleeps and cannot be interrupted.
    pub fn sleeping() -> Self {
        Self::new(|span| {
            std::thread::sleep(span);
            Waited::Done
        })
    }

    /// Returns a pause that ends at once.
    #[cfg(debug_assertions)]
    pub fn none() -> Self {
        Self::new(|_| Waited::Done)
    }

    pub fn wait(&self, span: Duration) -> Waited {
        (self.0)(span)
    }
}

impl fmt::Debug for Sleeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sleeper")
    }
}

/// Measures elapsed time, independent of the wall clock.
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
