//! Which work a connection takes next, and what all threads of a run share.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::event::{EngineOptions, Event, FetchJob, FileError, FileReport, FileResult};
use super::large::{Costs, Large, Order};
use super::pace::RateLimiter;
use super::partial::VerifiedFile;
use crate::sys::stop::StopReason;

/// Files up to this size come in one request and are not resumed.
pub(crate) const SMALL: u64 = 1 << 20;

/// How long an idle connection waits before it looks for work again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// What the threads tell the one that called.
pub(crate) enum Message {
    Event(Event),
    WorkerLeft,
}

pub(crate) struct Shared {
    pub(crate) jobs: Vec<FetchJob>,
    pub(crate) options: EngineOptions,
    pub(crate) limiter: RateLimiter,
    /// Bytes over the line, of all files.
    pub(crate) transferred: AtomicU64,
    /// The run is over; whoever is left drops what it holds.
    pub(crate) closed: AtomicBool,
    pub(crate) save_now: Condvar,
    board: Mutex<Board>,
    work: Condvar,
    messages: Sender<Message>,
}

#[derive(Default)]
struct Board {
    small: VecDeque<usize>,
    large: VecDeque<usize>,
    active: Vec<Arc<Large>>,
    /// Large files whose partial is being opened.
    starting: usize,
    small_running: usize,
    unfinished: usize,
}

/// What a connection does next.
pub(crate) enum Task {
    Small(usize),
    /// Open a large file's partial, then look again.
    Begin(usize),
    Piece(Arc<Large>, Order),
    Leave,
}

impl Shared {
    pub(crate) fn new(
        jobs: Vec<FetchJob>,
        options: EngineOptions,
        messages: Sender<Message>,
    ) -> Self {
        let (small, large) = (0..jobs.len()).partition(|&index| jobs[index].size_bytes <= SMALL);
        let board = Board {
            small,
            large,
            unfinished: jobs.len(),
            ..Board::default()
        };
        Self {
            limiter: RateLimiter::new(options.rate.clone()),
            jobs,
            options,
            transferred: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            save_now: Condvar::new(),
            board: Mutex::new(board),
            work: Condvar::new(),
            messages,
        }
    }

    /// Waits until there is something for a connection to do.
    pub(crate) fn next_task(&self) -> Task {
        let mut board = self.board();
        loop {
            if self.is_stopping() || board.unfinished == 0 {
                return Task::Leave;
            }
            let held_back = self.limiter.took_effect();
            if let Some(task) = board.pick(&self.options, held_back) {
                return task;
            }
            let now = Instant::now();
            let wait = board
                .active
                .iter()
                .filter_map(|large| large.not_before())
                .map(|then| then.saturating_duration_since(now))
                .filter(|wait| !wait.is_zero())
                .fold(LOOK_AGAIN, Duration::min);
            board = match self.work.wait_timeout(board, wait) {
                Ok((board, _)) => board,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// Puts an opened large file among those that connections may join.
    pub(crate) fn begun(&self, large: Option<Arc<Large>>) {
        let mut board = self.board();
        board.starting -= 1;
        board.active.extend(large);
        drop(board);
        self.work.notify_all();
    }

    pub(crate) fn small_done(&self) {
        self.board().small_running -= 1;
        self.work.notify_all();
    }

    /// Lets idle connections look for work again.
    pub(crate) fn call_workers(&self) {
        drop(self.board());
        self.work.notify_all();
    }

    pub(crate) fn active(&self) -> Vec<Arc<Large>> {
        self.board().active.clone()
    }

    /// Waits a moment, or until somebody has much to save.
    pub(crate) fn wait_for_saving(&self, longest: Duration) {
        let board = self.board();
        drop(self.save_now.wait_timeout(board, longest));
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.closed.load(Ordering::Acquire) || self.options.stop.is_raised()
    }

    /// Counts bytes that came; raises the stop flag when the budget is used up.
    pub(crate) fn count(&self, bytes: u64) {
        let sum = self.transferred.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if self.options.max_transfer.is_some_and(|most| sum >= most) {
            self.options.stop.raise(StopReason::TransferBudget);
        }
    }

    pub(crate) fn send(&self, event: Event) {
        // Nobody listens any more once the run was closed; nothing is lost by that.
        let _ = self.messages.send(Message::Event(event));
    }

    pub(crate) fn worker_left(&self) {
        let _ = self.messages.send(Message::WorkerLeft);
    }

    /// Reports the end of a file.
    pub(crate) fn report(&self, job: usize, costs: &Costs, end: End) {
        let report = |result| FileReport {
            job,
            result,
            fetched: costs.fetched.load(Ordering::Relaxed),
            reused: costs.reused.load(Ordering::Relaxed),
            retries: costs.retries.load(Ordering::Relaxed),
        };
        let event = match end {
            End::Verified(file, durable) => Event::Verified {
                report: report(FileResult::Verified { durable }),
                file,
            },
            End::Partial(kept) => Event::Ended {
                report: report(FileResult::Partial { kept }),
            },
            End::Busy => Event::Ended {
                report: report(FileResult::Busy),
            },
            End::Failed(error) => Event::Ended {
                report: report(FileResult::Failed(error)),
            },
        };
        // Before the workers hear of it: the last of them to leave must not
        // overtake the last report.
        self.send(event);
        let mut board = self.board();
        board.unfinished = board.unfinished.saturating_sub(1);
        board.active.retain(|large| large.index != job);
        drop(board);
        self.work.notify_all();
    }

    /// Closes a large file that failed, once its last connection has left.
    pub(crate) fn close_if_failed(&self, large: &Large) {
        let Some(error) = large.take_failure() else {
            return;
        };
        // What came is worth keeping: the trouble may be over by the next run.
        if let Err(second) = large.save() {
            log::debug!("{}: {second}", large.job.name);
        }
        drop(large.partial.take_lock());
        self.report(large.index, &large.costs, End::Failed(error));
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a file ends.
pub(crate) enum End {
    Verified(VerifiedFile, bool),
    Partial(u64),
    Busy,
    Failed(FileError),
}

impl Board {
    /// Large files are begun first, then small ones take all connections but
    /// one for each large file, then everybody helps where it helps most.
    fn pick(&mut self, options: &EngineOptions, held_back: bool) -> Option<Task> {
        let large_files = self.active.len() + self.starting;
        if large_files < options.files.max(1)
            && let Some(index) = self.large.pop_front()
        {
            self.starting += 1;
            return Some(Task::Begin(index));
        }
        let reserved = large_files.min(options.connections.saturating_sub(1));
        if self.small_running + reserved < options.connections.max(1)
            && let Some(task) = self.pick_small()
        {
            return Some(task);
        }
        let now = Instant::now();
        let mut files: Vec<_> = self.active.iter().map(|f| (f.holders(), f)).collect();
        files.sort_by_key(|(holders, _)| *holders);
        for (_, large) in files {
            if let Some(order) = large.order(now, options.connections, held_back) {
                return Some(Task::Piece(large.clone(), order));
            }
        }
        self.pick_small()
    }

    fn pick_small(&mut self) -> Option<Task> {
        let index = self.small.pop_front()?;
        self.small_running += 1;
        Some(Task::Small(index))
    }
}
