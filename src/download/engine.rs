//! The side of the engine that its caller sees: takes jobs in, hands events
//! out, and ends what is to end. All of it on the calling thread.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::board::Shared;
use super::event::{EngineOptions, Event, FetchJob, FileError, FileReport, FileResult};
use super::lane::Lane;
use super::large::Large;
use super::partial::reusable_bytes;
use super::waiting::SMALL;
use super::{saver, worker};
use crate::domain::outcome::ErrorKind;

/// How often the stop flags are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Fetches files and verifies them; returns one report for each job, in order.
///
/// Events arrive on the calling thread while it waits. `Verified` and `Ended`
/// come exactly once for each file, so whoever publishes can do so at once.
/// When the stop flag is raised, files that are not whole become `Partial` with
/// their bytes saved.
pub fn fetch(
    jobs: Vec<FetchJob>,
    options: &EngineOptions,
    on_event: &mut dyn FnMut(Event),
) -> Vec<FileReport> {
    let mut reports = vec![None; jobs.len()];
    let mut take = |event: Event| {
        if let Event::Verified { report, .. } | Event::Ended { report } = &event {
            reports[report.job] = Some(report.clone());
        }
        on_event(event);
    };
    let mut engine = Engine::start(options.clone());
    engine.add_all(jobs);
    while !engine.is_idle() {
        if let Some(event) = engine.next(LOOK_EVERY) {
            take(event);
        }
    }
    engine.close(&mut take);
    reports.into_iter().flatten().collect()
}

/// Connections that fetch and verify whatever is added, while it is added.
///
/// Each job ends with exactly one `Verified` or `Ended`, and nothing is heard
/// of it after that. When the run's stop flag is raised, or that of a lane, the
/// files concerned end as `Partial` by themselves, with their bytes saved.
pub struct Engine {
    shared: Arc<Shared>,
    inbox: Receiver<Event>,
    /// What was heard and not handed out yet.
    ready: VecDeque<Event>,
    n_added: usize,
    /// Jobs whose end was not heard yet.
    open: BTreeMap<usize, Open>,
    /// How many connections could have something to do with them.
    n_pieces: u64,
    lanes: Vec<Known>,
    n_workers: usize,
    has_saver: bool,
    looked_at: Instant,
    /// When a run that was stopped waits no longer.
    leave_at: Option<Instant>,
}

struct Open {
    /// The place in the list of lanes.
    lane: usize,
    n_pieces: u64,
}

/// A lane that some job came with.
struct Known {
    lane: Lane,
    /// When its silent connections are waited for no longer, once it was stopped.
    leave_at: Option<Instant>,
}

impl Engine {
    /// Starts without a thread: those come with the jobs that need them, and
    /// are never more than the connections.
    pub fn start(options: EngineOptions) -> Self {
        let (events, inbox) = channel();
        Self {
            shared: Arc::new(Shared::new(options, events)),
            inbox,
            ready: VecDeque::new(),
            n_added: 0,
            open: BTreeMap::new(),
            n_pieces: 0,
            lanes: Vec::new(),
            n_workers: 0,
            has_saver: false,
            looked_at: Instant::now(),
            leave_at: None,
        }
    }

    /// Adds a file to what is fetched; returns its number, by which events name it.
    pub fn add(&mut self, job: FetchJob) -> usize {
        self.add_all(vec![job]).start
    }

    /// Adds files at once, so that the first connection chooses among them all.
    pub fn add_all(&mut self, jobs: Vec<FetchJob>) -> Range<usize> {
        let first = self.n_added;
        if jobs.is_empty() {
            // Whoever has nothing to add may ask after each event, and idle
            // connections shall not be woken each time.
            return first..first;
        }
        self.n_added += jobs.len();
        let mut going = Vec::with_capacity(jobs.len());
        for (number, job) in (first..).zip(jobs) {
            let lane = self.known(&job.lane);
            let n_pieces = 1 + job.size_bytes / SMALL;
            self.open.insert(number, Open { lane, n_pieces });
            self.n_pieces += n_pieces;
            if self.shared.is_over_for(&job.lane) {
                self.end_unbegun(number, &job);
            } else {
                going.push((number, job));
            }
        }
        self.shared.add(going);
        self.start_threads();
        first..self.n_added
    }

    /// Waits for news so long and no longer.
    pub fn next(&mut self, wait: Duration) -> Option<Event> {
        let until = Instant::now() + wait;
        loop {
            if self.looked_at.elapsed() >= LOOK_EVERY {
                self.look();
            }
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let left = until.saturating_duration_since(Instant::now());
            if let Ok(event) = self.inbox.recv_timeout(left.min(LOOK_EVERY)) {
                self.take(event);
            } else if left.is_zero() {
                return None;
            }
        }
    }

    /// Tells whether the end of every added job was handed out.
    pub fn is_idle(&self) -> bool {
        self.open.is_empty() && self.ready.is_empty()
    }

    /// Ends, as if the run had been stopped: saves and reports what has not ended.
    pub fn close(mut self, on_event: &mut dyn FnMut(Event)) {
        self.shared.close();
        self.look();
        while !self.is_idle() {
            if let Some(event) = self.next(LOOK_EVERY) {
                on_event(event);
            }
        }
    }

    /// Hands an event on, unless its job has ended already: a connection that
    /// nobody waited for any longer may still say something.
    fn take(&mut self, event: Event) {
        let Some(open) = self.open.get(&event.job()) else {
            return;
        };
        if event.is_end() {
            self.n_pieces -= open.n_pieces;
            self.open.remove(&event.job());
        }
        self.ready.push_back(event);
    }

    /// Looks whether anything is to stop, and ends what nobody works on.
    fn look(&mut self) {
        self.looked_at = Instant::now();
        if !self.notice_stops() {
            return;
        }
        self.end_waiting();
        for large in self.shared.active() {
            self.end_if_left(&large);
        }
        self.give_up_the_stuck();
    }

    /// Notes since when lanes are stopped; tells whether any is.
    fn notice_stops(&mut self) -> bool {
        let leave_at = self.looked_at + self.shared.options.grace;
        let all = self.shared.is_stopping();
        let mut is_news = false;
        if all && self.leave_at.is_none() {
            (self.leave_at, is_news) = (Some(leave_at), true);
        }
        for known in &mut self.lanes {
            if known.leave_at.is_none() && (all || known.lane.stop().is_raised()) {
                (known.leave_at, is_news) = (Some(leave_at), true);
            }
        }
        if is_news {
            self.shared.call_workers();
            self.shared.active().iter().for_each(|large| large.wake());
        }
        self.lanes.iter().any(|known| known.leave_at.is_some())
    }

    fn end_waiting(&mut self) {
        let shared = self.shared.clone();
        for (number, job) in shared.take_waiting(|lane| shared.is_over_for(lane)) {
            self.end_unbegun(number, &job);
        }
    }

    /// Ends a large file of a stopped lane when its last connection has left,
    /// or has been waited for long enough. One that is whole may still be
    /// proven: for that no byte has to come.
    fn end_if_left(&self, large: &Large) {
        let lane = self
            .lanes
            .iter()
            .find(|known| known.lane.is(&large.job.lane));
        let Some(leave_at) = lane.and_then(|known| known.leave_at) else {
            return;
        };
        let is_past = |end: Instant| self.looked_at >= end;
        let is_left = large.holders() == 0 || is_past(leave_at);
        let may_be_proven = large.is_complete() && !self.leave_at.is_some_and(is_past);
        if is_left && !may_be_proven {
            self.shared.close_unfinished(large);
        }
    }

    /// Ends what hangs in a thread that does not come back. A report that was
    /// sent a moment ago gets the time to arrive.
    fn give_up_the_stuck(&mut self) {
        let active = self.shared.active();
        // A large file that is no longer active was reported before it left.
        while let Ok(event) = self.inbox.try_recv() {
            self.take(event);
        }
        let is_past = |leave_at: Option<Instant>| {
            leave_at.is_some_and(|leave_at| self.looked_at >= leave_at + LOOK_EVERY)
        };
        let stuck: Vec<usize> = self
            .open
            .iter()
            .filter(|(_, open)| is_past(self.lanes[open.lane].leave_at))
            .map(|(number, _)| *number)
            .filter(|number| active.iter().all(|large| large.index != *number))
            .collect();
        for number in stuck {
            self.end(number, FileResult::Partial { kept: 0 });
        }
    }

    /// Ends a job that no connection has begun.
    fn end_unbegun(&mut self, number: usize, job: &FetchJob) {
        let kept = match job.size_bytes <= SMALL {
            true => 0,
            false => reusable_bytes(&job.partial, &job.content, job.size_bytes),
        };
        self.end(number, FileResult::Partial { kept });
    }

    fn end(&mut self, job: usize, result: FileResult) {
        let report = FileReport {
            job,
            result,
            fetched: 0,
            reused: 0,
            copied: Vec::new(),
            copies_were_wrong: false,
            retries: 0,
        };
        self.take(Event::Ended { report });
    }

    /// Returns the place of a lane in the list.
    fn known(&mut self, lane: &Lane) -> usize {
        let known = self.lanes.iter().rposition(|known| known.lane.is(lane));
        known.unwrap_or_else(|| {
            self.lanes.push(Known {
                lane: lane.clone(),
                leave_at: None,
            });
            self.lanes.len() - 1
        })
    }

    /// Starts as many threads as could have something to do.
    fn start_threads(&mut self) {
        if self.shared.is_stopping() {
            return;
        }
        let connections = self.shared.options.connections.max(1);
        let wanted = usize::try_from(self.n_pieces).map_or(connections, |n| n.min(connections));
        let mut failure = None;
        while self.n_workers < wanted && failure.is_none() {
            let shared = self.shared.clone();
            match start_thread("fetch", move || worker::work(&shared)) {
                Ok(()) => self.n_workers += 1,
                Err(err) => failure = Some(err),
            }
        }
        if !self.has_saver && wanted > 0 {
            let shared = self.shared.clone();
            match start_thread("save", move || saver::save_as_they_come(&shared)) {
                Ok(()) => self.has_saver = true,
                Err(err) => failure = Some(err),
            }
        }
        if let Some(err) = failure {
            // Fewer connections do as well; without the saver each file is saved at its end.
            log::warn!("could not start all threads: {err}");
        }
        if self.n_workers == 0 {
            for (number, _) in self.shared.take_waiting(|_| true) {
                let message = "no thread could be started for this file";
                let error = FileError::new(ErrorKind::Internal, message);
                self.end(number, FileResult::Failed(error));
            }
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shared.close();
    }
}

fn start_thread(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(work).map(drop)
}
