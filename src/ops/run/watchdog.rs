//! Ends a run in which nothing moves.
//!
//! A run that hangs holds the lock of the home, and every later tick would be
//! skipped. The thread of this module counts the time without progress. At the
//! limit it raises the stop flag, so that the run ends in order. If the
//! coordinating thread itself is stuck, the watchdog closes the run in the
//! database and ends the process after a grace; the next run goes on with the
//! bytes that were kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use anyhow::Result;

use crate::domain::outcome::ExitStatus;
use crate::domain::run::{Event, EventKind, IDLE_LIMIT, RunId};
use crate::store::Store;
use crate::sys::host::Host;
use crate::sys::logging;
use crate::sys::paths::Home;
use crate::sys::process;
use crate::sys::stop::{StopFlag, StopReason};

/// The time limit for a run to end in order.
const GRACE: Duration = Duration::from_secs(60);

/// The time limit for the record of the forced end.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Counts progress; the thread ends with this value.
pub struct Watchdog {
    progress: Arc<AtomicU64>,
    done: StopFlag,
}

impl Watchdog {
    pub fn start(host: &Host, home: &Home, run: &RunId, stop: &StopFlag) -> Self {
        let watchdog = Self {
            progress: Arc::default(),
            done: StopFlag::new(),
        };
        let watched = Watched {
            host: host.clone(),
            home: home.clone(),
            run: run.clone(),
            stop: stop.clone(),
            progress: watchdog.progress.clone(),
            done: watchdog.done.clone(),
        };
        let thread = std::thread::Builder::new().name("watchdog".into());
        if let Err(err) = thread.spawn(move || watched.watch()) {
            log::warn!("could not start a thread: {err}; a run that hangs is not ended");
        }
        watchdog
    }

    /// Records progress.
    pub fn note_progress(&self) {
        self.progress.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.done.raise(StopReason::Idle);
    }
}

/// Returns the message for a run that was ended without progress.
pub(super) fn reason() -> String {
    format!("nothing moved for {IDLE_LIMIT}, so the run was ended")
}

struct Watched {
    host: Host,
    home: Home,
    run: RunId,
    stop: StopFlag,
    progress: Arc<AtomicU64>,
    done: StopFlag,
}

impl Watched {
    fn watch(self) {
        let limit = Duration::from_secs(IDLE_LIMIT.get());
        if !self.idles_for(self.host.idle_limit(limit)) {
            return;
        }
        self.stop.raise(StopReason::Idle);
        // On a thread of its own: a stderr that is not read must not stop this one.
        std::thread::spawn(|| log::error!("{}", reason()));
        if !self.done.pause(self.host.idle_limit(GRACE)) {
            self.leave();
        }
    }

    /// Waits until there was no progress for so long; `false` if the run ends before.
    ///
    /// It counts steps and not the clock, because a suspended machine makes no progress.
    fn idles_for(&self, limit: Duration) -> bool {
        const STEP: Duration = Duration::from_millis(250);
        let (mut seen, mut idle) = (0, Duration::ZERO);
        while idle < limit {
            if self.done.pause(STEP) {
                return false;
            }
            let progress = self.progress.load(Ordering::Relaxed);
            idle = if progress == seen {
                idle + STEP
            } else {
                Duration::ZERO
            };
            seen = progress;
        }
        true
    }

    /// Records the reason, if the database allows it, and ends the process.
    fn leave(self) {
        let (sender, written) = channel();
        std::thread::spawn(move || {
            log::error!("the run does not end in order; its process ends now");
            if let Err(err) = self.write_down() {
                log::error!("cannot write down that the run hung: {err:#}");
            }
            // Lines that wait for the summary of the run, which does not come.
            logging::release();
            let _ = sender.send(());
        });
        let _ = written.recv_timeout(LAST_WORDS);
        process::exit(ExitStatus::Failed);
    }

    /// Closes the run on a connection of this thread; the thread with the other
    /// connection is stuck. The process holds the lock of the home.
    fn write_down(&self) -> Result<()> {
        let now = self.host.now();
        let store = Store::open(&self.home.database(), now)?;
        store.transaction(|store| -> Result<()> {
            store.close_crashed_runs(None)?;
            store.record_event(&Event {
                at: now,
                kind: EventKind::Crashed,
                model_id: None,
                run_id: Some(self.run.clone()),
                detail: reason(),
            })?;
            Ok(())
        })
    }
}
