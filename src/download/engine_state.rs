//! The state that all threads of an engine share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::backlog::Backlog;
use super::budget::Grant;
use super::counters::FileCounters;
use super::event::{EngineEvent, EngineOptions, FetchResult, FileError, FileId, FileReport};
use super::hash_buffers::BufferPool;
use super::inbox::Inbox;
use super::large_file::LargeFile;
use super::limits::LimitGroup;
use super::partial::VerifiedFile;
use super::queue::NumberedJob;
use super::scheduler::{FetchTask, Scheduler, remove_one};

/// Longest wait of an idle connection before it checks for work again.
const IDLE_WAIT: Duration = Duration::from_millis(250);

/// Verified files of each connection that may wait for their final name.
const BACKLOG_PER_CONNECTION: usize = 4;

/// Longest wait without a check of the stop flags.
const STOP_POLL: Duration = Duration::from_millis(100);

/// State shared by the caller, the connections, the hash threads and the flush thread.
pub(crate) struct EngineState {
    pub(crate) options: EngineOptions,
    /// The engine was closed: all threads exit.
    closed: AtomicBool,
    /// Buffers that hold received bytes until they are hashed.
    pub(crate) buffers: Arc<BufferPool>,
    flush_requested: Condvar,
    scheduler: Mutex<Scheduler>,
    work_available: Condvar,
    pub(crate) inbox: Inbox,
    backlog: Arc<Backlog>,
}

impl EngineState {
    pub(crate) fn new(options: EngineOptions) -> Self {
        Self {
            options,
            closed: AtomicBool::new(false),
            buffers: Arc::default(),
            flush_requested: Condvar::new(),
            scheduler: Mutex::default(),
            work_available: Condvar::new(),
            inbox: Inbox::default(),
            backlog: Arc::default(),
        }
    }

    /// Queues all jobs under one lock, so that the first connection chooses among all of them.
    pub(crate) fn add(&self, jobs: Vec<NumberedJob>) {
        let mut scheduler = self.scheduler();
        for (id, job) in jobs {
            scheduler.queue.add(id, job);
        }
        self.wake_idle(scheduler);
    }

    /// Blocks until a connection has work, or has to exit.
    pub(crate) fn next_task(&self) -> FetchTask {
        let most = BACKLOG_PER_CONNECTION * self.options.connections.max(1);
        self.backlog.wait_until_below(most, || self.is_stopping());
        let mut scheduler = self.scheduler();
        loop {
            if self.is_stopping() {
                return FetchTask::Exit;
            }
            if let Some(task) = scheduler.next_task(&self.options) {
                return task;
            }
            if scheduler.stop_exhausted() {
                continue;
            }
            let now = Instant::now();
            let wait = scheduler
                .active
                .iter()
                .flat_map(|large| large.next_wakeups())
                .flatten()
                .map(|then| then.saturating_duration_since(now))
                .filter(|wait| !wait.is_zero())
                .fold(IDLE_WAIT, Duration::min);
            // New work notifies `work_available`. Only active files and rate limits change with time.
            scheduler.n_idle += 1;
            scheduler = if scheduler.is_quiet() {
                let woken = self.work_available.wait(scheduler);
                woken.unwrap_or_else(PoisonError::into_inner)
            } else {
                let woken = self.work_available.wait_timeout(scheduler, wait);
                woken.unwrap_or_else(PoisonError::into_inner).0
            };
            scheduler.n_idle -= 1;
        }
    }

    /// Activates a large file after its partial file was opened; `None` when that failed.
    pub(crate) fn large_opened(&self, limits: &LimitGroup, large: Option<Arc<LargeFile>>) {
        let mut scheduler = self.scheduler();
        remove_one(&mut scheduler.starting, limits);
        scheduler.active.extend(large);
        self.wake_idle(scheduler);
        self.flush_requested.notify_all();
    }

    pub(crate) fn small_file_done(&self, limits: &LimitGroup) {
        let mut scheduler = self.scheduler();
        remove_one(&mut scheduler.small, limits);
        self.wake_idle(scheduler);
    }

    /// Wakes idle threads to check for work.
    pub(crate) fn wake_workers(&self) {
        self.wake_idle(self.scheduler());
        self.flush_requested.notify_all();
    }

    /// Wakes the idle connections, if there are any: a wake-up is a system call.
    fn wake_idle(&self, scheduler: MutexGuard<'_, Scheduler>) {
        let is_any_idle = scheduler.n_idle > 0;
        drop(scheduler);
        if is_any_idle {
            self.work_available.notify_all();
        }
    }

    pub(crate) fn active(&self) -> Vec<Arc<LargeFile>> {
        self.scheduler().active.clone()
    }

    /// Removes the queued jobs of matching limit groups.
    pub(crate) fn take_queued(&self, of: impl Fn(&LimitGroup) -> bool) -> Vec<NumberedJob> {
        self.scheduler().queue.take_all(of)
    }

    pub(crate) fn request_flush(&self) {
        self.flush_requested.notify_one();
    }

    /// Waits up to `longest`, or until a file has many bytes to flush.
    pub(crate) fn wait_for_flush_work(&self, longest: Duration) {
        let scheduler = self.scheduler();
        if self.is_closed() {
            return;
        }
        if scheduler.active.is_empty() {
            drop(self.flush_requested.wait(scheduler));
        } else {
            drop(self.flush_requested.wait_timeout(scheduler, longest));
        }
    }

    /// Makes all threads exit.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.wake_workers();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Returns whether the whole run is stopping.
    pub(crate) fn is_stopping(&self) -> bool {
        self.is_closed() || self.options.limits.is_stopped()
    }

    /// Returns whether the files of a limit group are stopped.
    pub(crate) fn is_stopped_for(&self, limits: &LimitGroup) -> bool {
        self.is_closed() || limits.is_stopped()
    }

    /// Waits for a time span; returns early with true when the limit group is stopped.
    pub(crate) fn pause(&self, limits: &LimitGroup, span: Duration) -> bool {
        let end = Instant::now() + span;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if self.is_stopped_for(limits) {
                return true;
            }
            if left.is_zero() {
                return false;
            }
            self.options.limits.stop().pause(left.min(STOP_POLL));
        }
    }

    /// Charges received bytes to the budgets and rate limits; returns how long the rate limits
    /// delayed the connection.
    pub(crate) fn charge(&self, grant: &mut Grant, bytes: u64) -> Duration {
        grant.spend(bytes);
        let limits = grant.limits();
        let wait = limits.charge(bytes);
        if !wait.is_zero() {
            self.pause(limits, wait);
        }
        wait
    }

    /// Waits until the grant has room for `bytes`; false when the budget can never provide them or
    /// the group is stopped.
    pub(crate) fn wait_for_budget(&self, grant: &mut Grant, bytes: u64) -> bool {
        while !grant.grow_to(bytes) {
            let limits = grant.limits();
            for group in limits.path() {
                group.stop_if_exhausted(bytes);
            }
            if self.pause(limits, STOP_POLL) {
                return false;
            }
        }
        true
    }

    pub(crate) fn send(&self, event: EngineEvent) {
        self.inbox.add(event);
    }

    /// Reports the result of a file and removes it from the active files.
    pub(crate) fn report(&self, id: FileId, counters: &FileCounters, end: FileEnd) {
        let report = |result| FileReport {
            id,
            result,
            fetched: counters.fetched.load(Ordering::Relaxed),
            reused: counters.reused.load(Ordering::Relaxed),
            copied: counters.copied(),
            copies_were_wrong: counters.copies_were_wrong.load(Ordering::Relaxed),
            retries: counters.retries.load(Ordering::Relaxed),
        };
        let event = match end {
            FileEnd::Verified(mut file, durable) => {
                file.add_to(&self.backlog);
                EngineEvent::Verified {
                    report: report(FetchResult::Verified { durable }),
                    file,
                }
            }
            FileEnd::Partial(kept) => EngineEvent::Ended {
                report: report(FetchResult::Partial { kept }),
            },
            FileEnd::Busy => EngineEvent::Ended {
                report: report(FetchResult::Busy),
            },
            FileEnd::Failed(error) => EngineEvent::Ended {
                report: report(FetchResult::Failed(error)),
            },
        };
        self.send(event);
        let mut scheduler = self.scheduler();
        scheduler.active.retain(|large| large.id != id);
        self.wake_idle(scheduler);
    }

    /// Closes a failed large file after its last connection has ended.
    pub(crate) fn close_if_failed(&self, large: &LargeFile) {
        let Some(error) = large.take_failure() else {
            return;
        };
        // Keep the received bytes: the next run may succeed.
        if let Err(second) = large.flush() {
            log::debug!("{}: {second}", large.job.name);
        }
        drop(large.partial.take_lock());
        self.report(large.id, &large.counters, FileEnd::Failed(error));
    }

    /// Flushes and closes an unfinished large file, unless another thread ended it in the meantime.
    pub(crate) fn close_unfinished(&self, large: &LargeFile) {
        if !large.mark_ended() {
            return;
        }
        let end = match large.flush() {
            Ok(kept) => FileEnd::Partial(kept),
            Err(error) => FileEnd::Failed(error),
        };
        // A connection blocked in a read may still write. The lock stays with it.
        if large.connections() == 0 {
            drop(large.partial.take_lock());
        }
        self.report(large.id, &large.counters, end);
    }

    fn scheduler(&self) -> MutexGuard<'_, Scheduler> {
        self.scheduler
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The result of one file.
pub(crate) enum FileEnd {
    Verified(VerifiedFile, bool),
    Partial(u64),
    Busy,
    Failed(FileError),
}
