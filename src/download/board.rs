//! Which work a connection takes next, and what all threads of a run share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::backlog::Backlog;
use super::budget::{Budget, Grant, LEAST_REQUEST};
use super::costs::Costs;
use super::event::{EngineOptions, Event, FetchJob, FileError, FileReport, FileResult};
use super::fresh::Buffers;
use super::lane::Lane;
use super::large::{Large, Order};
use super::pace::RateLimiter;
use super::partial::VerifiedFile;
use super::waiting::{Numbered, Waiting};
use crate::sys::stop::StopReason;

/// How long an idle connection waits before it looks for work again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// The longest that somebody waits without a look at the stop flags.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

pub(crate) struct Shared {
    pub(crate) options: EngineOptions,
    limiter: RateLimiter,
    /// Bytes over the line, of all files.
    budget: Arc<Budget>,
    /// The engine is given up; whoever works leaves.
    closed: AtomicBool,
    /// For what is to be hashed at once.
    pub(crate) buffers: Arc<Buffers>,
    save_now: Condvar,
    board: Mutex<Board>,
    work: Condvar,
    events: Sender<Event>,
    backlog: Arc<Backlog>,
}

#[derive(Default)]
struct Board {
    waiting: Waiting,
    active: Vec<Arc<Large>>,
    /// The lanes of large files whose partial is being opened.
    starting: Vec<Lane>,
    /// The lanes of small files under way.
    small: Vec<Lane>,
}

/// What a connection does next.
pub(crate) enum Task {
    Small(Numbered, Grant),
    /// Open a large file's partial, then look again.
    Begin(Numbered),
    Piece(Arc<Large>, Order, Grant),
    Leave,
}

impl Shared {
    pub(crate) fn new(options: EngineOptions, events: Sender<Event>) -> Self {
        Self {
            limiter: RateLimiter::new(options.rate.clone()),
            budget: Arc::new(Budget::new(options.max_transfer)),
            options,
            closed: AtomicBool::new(false),
            buffers: Arc::default(),
            save_now: Condvar::new(),
            board: Mutex::default(),
            work: Condvar::new(),
            events,
            backlog: Arc::default(),
        }
    }

    /// Adds all at once, so that the first connection chooses among them all.
    pub(crate) fn add(&self, jobs: Vec<Numbered>) {
        let mut board = self.board();
        for (number, job) in jobs {
            board.waiting.add(number, job);
        }
        drop(board);
        self.work.notify_all();
    }

    /// Waits until there is something for a connection to do.
    pub(crate) fn next_task(&self) -> Task {
        let most = self.options.connections.max(1);
        self.backlog.wait_below(most, || self.is_stopping());
        let mut board = self.board();
        loop {
            if self.is_stopping() {
                return Task::Leave;
            }
            if let Some(task) = board.pick(&self.options, &self.budget, self.limiter.holds_back()) {
                return task;
            }
            if board.stop_used_up(&self.options, &self.budget) {
                continue;
            }
            let now = Instant::now();
            let wait = board
                .active
                .iter()
                .flat_map(|large| large.next_looks())
                .flatten()
                .map(|then| then.saturating_duration_since(now))
                .filter(|wait| !wait.is_zero())
                .fold(LOOK_AGAIN, Duration::min);
            // What could make work for us tells us so; only a file under way, or a
            // rate limit, changes its mind with time.
            let waited = match board.is_quiet() {
                true => self.work.wait(board).map_err(PoisonError::into_inner),
                false => match self.work.wait_timeout(board, wait) {
                    Ok((board, _)) => Ok(board),
                    Err(poisoned) => Err(poisoned.into_inner().0),
                },
            };
            board = waited.unwrap_or_else(|board| board);
        }
    }

    /// Puts an opened large file among those that connections may join.
    pub(crate) fn begun(&self, lane: &Lane, large: Option<Arc<Large>>) {
        let mut board = self.board();
        remove_one(&mut board.starting, lane);
        board.active.extend(large);
        drop(board);
        self.work.notify_all();
        self.save_now.notify_all();
    }

    pub(crate) fn small_done(&self, lane: &Lane) {
        remove_one(&mut self.board().small, lane);
        self.work.notify_all();
    }

    /// Lets idle threads look for work again.
    pub(crate) fn call_workers(&self) {
        drop(self.board());
        self.work.notify_all();
        self.save_now.notify_all();
    }

    pub(crate) fn active(&self) -> Vec<Arc<Large>> {
        self.board().active.clone()
    }

    /// Takes what nobody has begun out of some lanes.
    pub(crate) fn take_waiting(&self, of: impl Fn(&Lane) -> bool) -> Vec<Numbered> {
        self.board().waiting.take_all(of)
    }

    pub(crate) fn save_now(&self) {
        self.save_now.notify_one();
    }

    /// Waits a moment, or until somebody has much to save.
    pub(crate) fn wait_for_saving(&self, longest: Duration) {
        let board = self.board();
        if self.is_closed() {
            return;
        }
        if board.active.is_empty() {
            drop(self.save_now.wait(board));
        } else {
            drop(self.save_now.wait_timeout(board, longest));
        }
    }

    /// Tells all threads to leave.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.call_workers();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Tells whether nothing more is to come, for any file.
    pub(crate) fn is_stopping(&self) -> bool {
        self.is_closed() || self.options.stop.is_raised()
    }

    /// Tells whether nothing more is to come for the files of a lane.
    pub(crate) fn is_over_for(&self, lane: &Lane) -> bool {
        self.is_stopping() || lane.stop().is_raised()
    }

    /// Waits, unless that is over for the lane; tells whether it is.
    pub(crate) fn pause(&self, lane: &Lane, span: Duration) -> bool {
        let end = Instant::now() + span;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if self.is_over_for(lane) {
                return true;
            }
            if left.is_zero() {
                return false;
            }
            self.options.stop.pause(left.min(LONGEST_PAUSE));
        }
    }

    /// Returns how much may be read at once.
    pub(crate) fn portion(&self, lane: &Lane, wanted: usize) -> usize {
        lane.limiter().portion(self.limiter.portion(wanted))
    }

    /// Counts bytes that came, and pays for them under both rate limits; returns
    /// how long that took.
    pub(crate) fn take_in(&self, grant: &mut Grant, bytes: u64) -> Duration {
        grant.spend(bytes);
        let lane = grant.lane();
        let wait = self.limiter.pay(bytes).max(lane.limiter().pay(bytes));
        if !wait.is_zero() {
            self.pause(lane, wait);
        }
        wait
    }

    /// Waits until a request may bring so many bytes in all; false if it never
    /// may, or nothing more is to come.
    pub(crate) fn wait_for_budget(&self, grant: &mut Grant, bytes: u64) -> bool {
        while !grant.grow_to(bytes) {
            let lane = grant.lane();
            if self.budget.is_used_up_for(bytes) {
                self.options.stop.raise(StopReason::TransferBudget);
            } else if lane.budget().is_used_up_for(bytes) {
                lane.stop().raise(StopReason::TransferBudget);
            }
            if self.pause(lane, LONGEST_PAUSE) {
                return false;
            }
        }
        true
    }

    pub(crate) fn send(&self, event: Event) {
        // Nobody listens any more once the engine was closed; nothing is lost by that.
        let _ = self.events.send(event);
    }

    /// Reports the end of a file.
    pub(crate) fn report(&self, job: usize, costs: &Costs, end: End) {
        let report = |result| FileReport {
            job,
            result,
            fetched: costs.fetched.load(Ordering::Relaxed),
            reused: costs.reused.load(Ordering::Relaxed),
            copied: costs.copied(),
            copies_were_wrong: costs.copies_were_wrong.load(Ordering::Relaxed),
            retries: costs.retries.load(Ordering::Relaxed),
        };
        let event = match end {
            End::Verified(mut file, durable) => {
                file.enter(&self.backlog);
                Event::Verified {
                    report: report(FileResult::Verified { durable }),
                    file,
                }
            }
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
        self.send(event);
        self.board().active.retain(|large| large.index != job);
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

    /// Saves and closes a large file of which nothing more is to come, unless
    /// another thread ends it at this very moment.
    pub(crate) fn close_unfinished(&self, large: &Large) {
        if !large.end() {
            return;
        }
        let end = match large.save() {
            Ok(kept) => End::Partial(kept),
            Err(error) => End::Failed(error),
        };
        // Whoever is stuck in a read may still write: the lock stays with it.
        if large.holders() == 0 {
            drop(large.partial.take_lock());
        }
        self.report(large.index, &large.costs, end);
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
    fn pick(
        &mut self,
        options: &EngineOptions,
        budget: &Arc<Budget>,
        held_back: bool,
    ) -> Option<Task> {
        let goes_on = |lane: &Lane| !lane.stop().is_raised();
        let lanes = self.active.iter().map(|large| &large.job.lane);
        let large_files = lanes.chain(&self.starting).filter(|l| goes_on(l)).count();
        if large_files < options.files.max(1)
            && let Some((number, job)) = self.waiting.next_large(|lane| {
                goes_on(lane) && budget.left().min(lane.budget().left()) >= LEAST_REQUEST
            })
        {
            self.starting.push(job.lane.clone());
            return Some(Task::Begin((number, job)));
        }
        let reserved = large_files.min(options.connections.saturating_sub(1));
        if self.small.len() + reserved < options.connections.max(1)
            && let Some(task) = self.pick_small(budget)
        {
            return Some(task);
        }
        let now = Instant::now();
        let going = self.active.iter().filter(|large| goes_on(&large.job.lane));
        let mut files: Vec<_> = going.map(|large| (large.holders(), large)).collect();
        files.sort_by_key(|(holders, _)| *holders);
        let n_others = usize::from(self.waiting.has_small());
        let n_files = files.len();
        for (_, large) in files {
            let lane = &large.job.lane;
            let held_back = held_back || lane.limiter().holds_back();
            let sharing = large.target().saturating_mul(n_files) + n_others;
            let sharing = sharing.min(options.connections);
            let share = budget.share(sharing).min(lane.budget().share(sharing));
            let mut grant = Grant::take(budget, lane, share);
            let overhead = large.overhead();
            if !grant.covers(large.least_need().unwrap_or(0)) {
                continue;
            }
            let allowed = grant.left().map(|left| left.saturating_sub(overhead));
            if allowed == Some(0) {
                continue;
            }
            if let Some(order) = large.order(now, options.connections, held_back, allowed) {
                grant.keep(order.claim.range.len() + overhead);
                return Some(Task::Piece(large.clone(), order, grant));
            }
        }
        self.pick_small(budget)
    }

    fn pick_small(&mut self, budget: &Arc<Budget>) -> Option<Task> {
        let under_way = &self.small;
        let may = |lane: &Lane| {
            // Connections that only wait for their lane's rate are lost to the others.
            let has_enough = || lane.limiter().holds_back() && under_way.iter().any(|l| l.is(lane));
            !lane.stop().is_raised() && !has_enough()
        };
        let left = |job: &FetchJob| budget.left().min(job.lane.budget().left());
        let fits = |job: &FetchJob| job.size_bytes <= left(job);
        let (number, job) = self.waiting.next_small(may, fits)?;
        let grant = Grant::take(budget, &job.lane, job.size_bytes);
        self.small.push(job.lane.clone());
        Some(Task::Small((number, job), grant))
    }

    /// Raises the flags of the run and of lanes of whose budgets too little is
    /// left for anything that waits; tells whether it raised any.
    fn stop_used_up(&self, options: &EngineOptions, budget: &Budget) -> bool {
        // What is being opened has not said yet how much it needs.
        if !self.starting.is_empty() {
            return false;
        }
        let active = self.active.iter();
        let active = active.filter_map(|large| Some((&large.job.lane, large.least_need()?)));
        let mut needs: Vec<(&Lane, u64)> = Vec::new();
        for (lane, need) in self.waiting.least_needs().chain(active) {
            match needs.iter_mut().find(|(other, _)| other.is(lane)) {
                Some((_, least)) => *least = need.min(*least),
                None if !lane.stop().is_raised() => needs.push((lane, need)),
                None => {}
            }
        }
        let Some(least) = needs.iter().map(|(_, need)| *need).min() else {
            return false;
        };
        if budget.is_used_up_for(least) {
            options.stop.raise(StopReason::TransferBudget);
            return true;
        }
        needs.retain(|(lane, need)| lane.budget().is_used_up_for(*need));
        for (lane, _) in &needs {
            lane.stop().raise(StopReason::TransferBudget);
        }
        !needs.is_empty()
    }

    /// Tells whether nothing here changes by itself.
    fn is_quiet(&self) -> bool {
        self.active.is_empty() && self.waiting.is_empty()
    }
}

fn remove_one(lanes: &mut Vec<Lane>, lane: &Lane) {
    if let Some(index) = lanes.iter().position(|other| other.is(lane)) {
        lanes.swap_remove(index);
    }
}
