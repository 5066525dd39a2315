//! The interface of the engine. It takes jobs, returns events and ends stopped jobs, all on the
//! calling thread.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::engine_state::EngineState;
use super::event::{
    EngineEvent, EngineOptions, FetchJob, FetchResult, FileError, FileId, FileReport,
};
use super::large_file::LargeFile;
use super::limits::LimitGroup;
use super::partial::reusable_bytes;
use super::queue::SMALL_FILE_MAX;
use super::{flush_thread, worker};
use crate::domain::outcome::ErrorKind;

/// Interval between two checks of the stop flags.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Fetches and verifies files; returns one report for each job, in order.
///
/// `on_event` is called on the calling thread. `Verified` and `Ended` come exactly once for
/// each file. When the stop flag is raised, unfinished files end as `Partial` with their bytes
/// flushed.
#[cfg(any(test, debug_assertions))]
pub fn fetch(
    jobs: Vec<FetchJob>,
    options: &EngineOptions,
    on_event: &mut dyn FnMut(EngineEvent),
) -> Vec<FileReport> {
    let mut reports = BTreeMap::new();
    let mut take = |event: EngineEvent| {
        if let EngineEvent::Verified { report, .. } | EngineEvent::Ended { report } = &event {
            reports.insert(report.id, report.clone());
        }
        on_event(event);
    };
    let mut engine = Engine::start(options.clone());
    engine.add_all(jobs);
    while !engine.is_idle() {
        if let Some(event) = engine.next(POLL_INTERVAL) {
            take(event);
        }
    }
    engine.close(&mut take);
    reports.into_values().collect()
}

/// A pool of connections that fetches and verifies files; jobs can be added at any time.
///
/// Each job ends with exactly one `Verified` or `Ended` event, which is its last one. When the
/// stop flag of the run or of a limit group is raised, the files concerned end as `Partial`
/// with their bytes flushed.
pub struct Engine {
    state: Arc<EngineState>,
    /// Received events that `next` has not returned yet.
    ready: VecDeque<EngineEvent>,
    n_added: usize,
    /// Jobs without an end event.
    open: BTreeMap<FileId, OpenJob>,
    /// Upper bound of the connections that the open jobs can use.
    max_connections: u64,
    groups: Vec<GroupState>,
    n_workers: usize,
    has_flush_thread: bool,
    checked_at: Instant,
    /// When a stopped run gives up its stuck connections.
    abandon_at: Option<Instant>,
}

struct OpenJob {
    /// Index in `groups`.
    group: usize,
    max_connections: u64,
}

/// A limit group that at least one job belongs to.
struct GroupState {
    limits: LimitGroup,
    /// When the stuck connections of a stopped group are given up.
    abandon_at: Option<Instant>,
}

impl Engine {
    /// Creates an engine without threads. They are started with the jobs that need them, at most
    /// one for each connection.
    pub fn start(options: EngineOptions) -> Self {
        Self {
            state: Arc::new(EngineState::new(options)),
            ready: VecDeque::new(),
            n_added: 0,
            open: BTreeMap::new(),
            max_connections: 0,
            groups: Vec::new(),
            n_workers: 0,
            has_flush_thread: false,
            checked_at: Instant::now(),
            abandon_at: None,
        }
    }

    /// Adds a file; returns the number that its events carry.
    #[cfg(any(test, debug_assertions))]
    pub fn add(&mut self, job: FetchJob) -> FileId {
        let id = self.new_id();
        self.add_numbered(vec![(id, job.into())]);
        id
    }

    /// Adds several files at once, so that the first connection chooses among all of them.
    #[cfg(any(test, debug_assertions))]
    pub fn add_all(&mut self, jobs: Vec<FetchJob>) -> Vec<FileId> {
        let ids: Vec<FileId> = jobs.iter().map(|_| self.new_id()).collect();
        let jobs = jobs.into_iter().map(Arc::new);
        self.add_numbered(ids.iter().copied().zip(jobs).collect());
        ids
    }

    /// Returns the next number, for a file that is added later.
    pub fn new_id(&mut self) -> FileId {
        self.n_added += 1;
        FileId(self.n_added - 1)
    }

    /// Adds files that have a number of this engine. A file that has ended can be added again.
    pub fn add_numbered(&mut self, jobs: Vec<(FileId, Arc<FetchJob>)>) {
        if jobs.is_empty() {
            // Callers may add nothing after each event; do not wake idle connections for that.
            return;
        }
        let mut startable = Vec::with_capacity(jobs.len());
        for (id, job) in jobs {
            let group = self.group_index(&job.limits);
            let max_connections = 1 + job.size_bytes / SMALL_FILE_MAX;
            self.open.insert(
                id,
                OpenJob {
                    group,
                    max_connections,
                },
            );
            self.max_connections += max_connections;
            if self.state.is_stopped_for(&job.limits) {
                self.end_unstarted(id, &job);
            } else {
                startable.push((id, job));
            }
        }
        self.state.add(startable);
        self.start_threads();
    }

    /// Waits up to `wait` for the next event.
    pub fn next(&mut self, wait: Duration) -> Option<EngineEvent> {
        let until = Instant::now() + wait;
        loop {
            if self.checked_at.elapsed() >= POLL_INTERVAL {
                self.check_stops();
            }
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let left = until.saturating_duration_since(Instant::now());
            if !self.take_all(left.min(POLL_INTERVAL)) && left.is_zero() {
                return None;
            }
        }
    }

    /// Returns whether the end event of every job was returned.
    #[cfg(any(test, debug_assertions))]
    pub fn is_idle(&self) -> bool {
        self.open.is_empty() && self.ready.is_empty()
    }

    /// Stops the run: flushes and reports all unfinished jobs.
    #[cfg(any(test, debug_assertions))]
    pub fn close(mut self, on_event: &mut dyn FnMut(EngineEvent)) {
        self.state.close();
        self.check_stops();
        while !self.is_idle() {
            if let Some(event) = self.next(POLL_INTERVAL) {
                on_event(event);
            }
        }
    }

    /// Waits up to `wait` for events and queues all that are there; false if there is none.
    fn take_all(&mut self, wait: Duration) -> bool {
        let has_many = self.open.len() > self.state.options.connections;
        let events = self.state.inbox.take(wait, has_many);
        let is_any = !events.is_empty();
        events.into_iter().for_each(|event| self.take(event));
        is_any
    }

    /// Queues an event, unless its job has ended: an abandoned connection may still send events.
    fn take(&mut self, event: EngineEvent) {
        let Some(open) = self.open.get(&event.id()) else {
            return;
        };
        if event.is_end() {
            self.max_connections -= open.max_connections;
            self.open.remove(&event.id());
        }
        self.ready.push_back(event);
    }

    /// Checks the stop flags and ends the stopped jobs that no connection works on.
    fn check_stops(&mut self) {
        self.checked_at = Instant::now();
        if !self.detect_stops() {
            return;
        }
        self.end_queued();
        for large in self.state.active() {
            self.end_if_released(&large);
        }
        self.abandon_stuck_jobs();
    }

    /// Sets the deadline of newly stopped groups; returns whether any group is stopped.
    fn detect_stops(&mut self) -> bool {
        let abandon_at = self.checked_at + self.state.options.grace;
        let all = self.state.is_stopping();
        let mut is_new = false;
        if all && self.abandon_at.is_none() {
            (self.abandon_at, is_new) = (Some(abandon_at), true);
        }
        for group in &mut self.groups {
            if group.abandon_at.is_none() && (all || group.limits.is_stopped()) {
                (group.abandon_at, is_new) = (Some(abandon_at), true);
            }
        }
        if is_new {
            self.state.wake_workers();
            self.state.active().iter().for_each(|large| large.wake());
        }
        self.groups.iter().any(|group| group.abandon_at.is_some())
    }

    fn end_queued(&mut self) {
        let state = self.state.clone();
        for (id, job) in state.take_queued(|limits| state.is_stopped_for(limits)) {
            self.end_unstarted(id, &job);
        }
    }

    /// Ends a large file of a stopped group after its last connection has ended or the deadline has
    /// passed. A complete file may still be hashed: that needs no more bytes.
    fn end_if_released(&self, large: &LargeFile) {
        let group = self
            .groups
            .iter()
            .find(|group| group.limits.is_same(&large.job.limits));
        let Some(abandon_at) = group.and_then(|group| group.abandon_at) else {
            return;
        };
        let is_past = |end: Instant| self.checked_at >= end;
        let is_released = large.connections() == 0 || is_past(abandon_at);
        let may_be_proven = large.is_complete() && !self.abandon_at.is_some_and(is_past);
        if is_released && !may_be_proven {
            self.state.close_unfinished(large);
        }
    }

    /// Ends jobs whose thread is stuck, with a short delay for reports that were just sent.
    fn abandon_stuck_jobs(&mut self) {
        let active = self.state.active();
        // A large file that is not active any more has already sent its report.
        self.take_all(Duration::ZERO);
        let is_past = |abandon_at: Option<Instant>| {
            abandon_at.is_some_and(|abandon_at| self.checked_at >= abandon_at + POLL_INTERVAL)
        };
        let stuck: Vec<FileId> = self
            .open
            .iter()
            .filter(|(_, open)| is_past(self.groups[open.group].abandon_at))
            .map(|(id, _)| *id)
            .filter(|id| active.iter().all(|large| large.id != *id))
            .collect();
        for id in stuck {
            self.end(id, FetchResult::Partial { kept: 0 });
        }
    }

    /// Ends a job that no connection has started.
    fn end_unstarted(&mut self, id: FileId, job: &FetchJob) {
        let kept = if job.size_bytes <= SMALL_FILE_MAX {
            0
        } else {
            reusable_bytes(&job.partial, &job.content, job.size_bytes)
        };
        self.end(id, FetchResult::Partial { kept });
    }

    fn end(&mut self, id: FileId, result: FetchResult) {
        let report = FileReport::unfetched(id, result);
        self.take(EngineEvent::Ended { report });
    }

    /// Returns the index of a limit group, adding it if it is new.
    fn group_index(&mut self, limits: &LimitGroup) -> usize {
        let index = self
            .groups
            .iter()
            .rposition(|group| group.limits.is_same(limits));
        index.unwrap_or_else(|| {
            self.groups.push(GroupState {
                limits: limits.clone(),
                abandon_at: None,
            });
            self.groups.len() - 1
        })
    }

    /// Starts as many threads as the open jobs can use.
    fn start_threads(&mut self) {
        if self.state.is_stopping() {
            return;
        }
        let connections = self.state.options.connections.max(1);
        let wanted =
            usize::try_from(self.max_connections).map_or(connections, |n| n.min(connections));
        let mut failure = None;
        while self.n_workers < wanted && failure.is_none() {
            let state = self.state.clone();
            match start_thread("fetch", move || worker::work(&state)) {
                Ok(()) => self.n_workers += 1,
                Err(err) => failure = Some(err),
            }
        }
        if !self.has_flush_thread && wanted > 0 {
            let state = self.state.clone();
            match start_thread("flush", move || flush_thread::run(&state)) {
                Ok(()) => self.has_flush_thread = true,
                Err(err) => failure = Some(err),
            }
        }
        if let Some(err) = failure {
            // Fewer connections are enough. Without the flush thread, each file is flushed at its
            // end.
            log::warn!("could not start all threads: {err}");
        }
        if self.n_workers == 0 {
            for (id, _) in self.state.take_queued(|_| true) {
                let message = "no thread could be started for this file";
                let error = FileError::new(ErrorKind::Internal, message);
                self.end(id, FetchResult::Failed(error));
            }
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.state.close();
    }
}

fn start_thread(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(work).map(drop)
}
