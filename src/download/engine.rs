//! Starts the threads of a run, gathers what they report, and ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::board::{End, Message, SMALL, Shared};
use super::event::{EngineOptions, Event, FetchJob, FileError, FileReport, FileResult};
use super::partial::reusable_bytes;
use super::{saver, worker};
use crate::domain::outcome::ErrorKind;

/// How often the stop flag is looked at while nothing else happens.
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
    let n_workers = useful_workers(&jobs, options.connections);
    let (messages, inbox) = channel();
    let n_jobs = jobs.len();
    let shared = Arc::new(Shared::new(jobs, options.clone(), messages));
    let mut run = Run {
        reports: vec![None; n_jobs],
        on_event,
        working: 0,
    };
    let mut failure = None;
    for _ in 0..n_workers {
        let theirs = shared.clone();
        let thread = std::thread::Builder::new().name("fetch".into());
        match thread.spawn(move || worker::work(&theirs)) {
            Ok(_) => run.working += 1,
            Err(err) => failure = Some(err),
        }
    }
    let ours = shared.clone();
    let saver = std::thread::Builder::new()
        .name("save".into())
        .spawn(move || saver::save_as_they_come(&ours));
    if let Err(err) = saver {
        failure = Some(err);
    }
    match &failure {
        // Fewer connections do as well; without the saver each file is saved at its end.
        Some(err) => log::warn!("could not start all threads: {err}"),
        None => log::debug!("{n_jobs} files over {n_workers} connections"),
    }
    run.wait(&shared, &inbox);
    shared.closed.store(true, Ordering::Release);
    shared.call_workers();
    shared.save_now.notify_all();
    run.close(&shared, &inbox);
    run.reports.into_iter().flatten().collect()
}

/// Returns how many connections could ever have something to do.
fn useful_workers(jobs: &[FetchJob], connections: usize) -> usize {
    let pieces: u64 = jobs.iter().map(|job| 1 + job.size_bytes / SMALL).sum();
    usize::try_from(pieces).map_or(connections, |pieces| pieces.min(connections.max(1)))
}

struct Run<'a> {
    reports: Vec<Option<FileReport>>,
    on_event: &'a mut dyn FnMut(Event),
    working: usize,
}

impl Run<'_> {
    /// Waits until all files have ended, or a stopped run has nothing more to wait for.
    fn wait(&mut self, shared: &Shared, inbox: &Receiver<Message>) {
        let mut leave_at = None;
        while self.reports.iter().any(Option::is_none) {
            match inbox.recv_timeout(LOOK_EVERY) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            while let Ok(message) = inbox.try_recv() {
                self.take(message);
            }
            if shared.options.stop.is_raised() && leave_at.is_none() {
                leave_at = Some(Instant::now() + shared.options.grace);
                shared.call_workers();
                shared.active().iter().for_each(|large| large.wake());
            }
            // Whole files that are only being hashed may still make it.
            let hashing = || shared.active().iter().any(|large| large.is_complete());
            if self.working == 0 && !hashing() {
                return;
            }
            if leave_at.is_some_and(|end| Instant::now() >= end) {
                return;
            }
        }
    }

    /// Saves and reports everything that has not ended.
    fn close(&mut self, shared: &Shared, inbox: &Receiver<Message>) {
        let mut ending = Vec::new();
        for large in shared.active() {
            if !large.end() {
                ending.push(large.index);
                continue;
            }
            let kept = large.save().unwrap_or_else(|error| {
                log::warn!("`{}`: {error}", large.job.name);
                large.partial.saved_bytes()
            });
            // Whoever is stuck in a read may still write: the lock stays with it.
            if large.holders() == 0 {
                drop(large.partial.take_lock());
            }
            shared.report(large.index, &large.costs, End::Partial(kept));
        }
        while let Ok(message) = inbox.try_recv() {
            self.take(message);
        }
        // Another thread ended these at this very moment; its report is under way.
        while ending.iter().any(|&job| self.reports[job].is_none()) {
            match inbox.recv_timeout(shared.options.grace) {
                Ok(message) => self.take(message),
                Err(_) => break,
            }
        }
        let stopped = shared.options.stop.is_raised();
        for job in 0..self.reports.len() {
            if self.reports[job].is_some() {
                continue;
            }
            let result = if stopped {
                let job = &shared.jobs[job];
                let kept = reusable_bytes(&job.partial, &job.content, job.size_bytes);
                FileResult::Partial { kept }
            } else {
                let message = "no thread could be started for this file";
                FileResult::Failed(FileError::new(ErrorKind::Internal, message))
            };
            let report = FileReport {
                job,
                result,
                fetched: 0,
                reused: 0,
                retries: 0,
            };
            self.take(Message::Event(Event::Ended { report }));
        }
    }

    fn take(&mut self, message: Message) {
        let event = match message {
            Message::WorkerLeft => {
                self.working -= 1;
                return;
            }
            Message::Event(event) => event,
        };
        if let Event::Verified { report, .. } | Event::Ended { report } = &event {
            self.reports[report.job] = Some(report.clone());
        }
        (self.on_event)(event);
    }
}
