//! Fetches what plans lack, in one pool for all models, and publishes each model
//! as soon as its last file is proven.
//!
//! Everything here happens on the coordinating thread: it alone gives final
//! names. The engine's threads only fetch and hash.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Error, Result};

use super::check::Planned;
use super::delta::{client_for, save_new_maps};
use super::either_source::EitherSource;
use super::fetches::{Busy, Desk, Job, Use};
use super::place::Writer;
use super::preflight::space_of;
use super::readers::{GoodRead, ReadJob, ReadResult, Task};
use super::result::{ProvenFile, SyncEvent, TargetId};
use super::source::HubFile;
use super::syncer::SyncRequest;
use super::work::{Saved, Work};
use crate::domain::plan::{FileDelta, PlannedFile};
use crate::download::{ByteSource, Copies, Engine, EngineOptions, FetchJob, FileResult as Fetched};
use crate::hub::{FileAddress, HubClient};
use crate::xet::XetStorage;

/// How often, and after which pause, a file is looked at again that another
/// process is fetching. Two processes may each have what the other lacks, and
/// then both get everything; one that fetches for hours is not waited for.
const BUSY_ROUNDS: u32 = 20;
const BUSY_PAUSE: Duration = Duration::from_millis(500);

/// Models on their way, and the engine that fetches for them.
pub(super) struct Pool {
    engine: Engine,
    desk: Desk,
    hub: HubClient,
    xet: Option<XetStorage>,
}

impl Pool {
    pub(super) fn new(hub: &HubClient, xet: Option<&XetStorage>, options: EngineOptions) -> Self {
        let desk = Desk {
            works: BTreeMap::new(),
            n_works: 0,
            jobs: HashMap::new(),
            by_partial: HashMap::new(),
            busy: Vec::new(),
            publishing: Vec::new(),
            stored: BTreeMap::new(),
            n_stored: 0,
            newly_stored: Vec::new(),
            proven: Vec::new(),
            stop: options.stop.clone(),
        };
        Self {
            engine: Engine::start(options),
            desk,
            hub: hub.clone(),
            xet: xet.cloned(),
        }
    }

    /// Begins to carry a plan out; `index` is the caller's number of the target.
    pub(super) fn begin(
        &mut self,
        index: TargetId,
        request: SyncRequest,
        planned: Box<Planned>,
        opened: Result<Writer>,
        events: &mut Vec<SyncEvent>,
    ) {
        let writer = match opened {
            Ok(writer) => writer,
            Err(err) => return self.end_early(index, request, planned, Some(&err), events),
        };
        let SyncRequest {
            target,
            limits,
            mut order,
        } = request;
        let planned: Rc<Planned> = Rc::from(planned);
        let mut work = Work::new(index, target, planned.clone(), limits.clone());
        work.writer = Some(writer);
        if work.is_done() {
            return self.desk.finish(work, events);
        }
        let number = self.desk.n_works;
        self.desk.n_works += 1;
        let target = work.target.clone();
        self.desk.works.insert(number, work);
        let mut jobs = Vec::new();
        for (file, wanted) in planned.plan.files.iter().enumerate() {
            if !wanted.action.is_fetch() {
                continue;
            }
            let one = Use { work: number, file };
            let partial = planned.place.partial(&wanted.file.content);
            if let Some(known) = self.desk.by_partial.get(&partial)
                && let Some(job) = self.desk.jobs.get_mut(known)
            {
                // Two models of one repository want the same content.
                job.uses.push(one);
                continue;
            }
            if let Some(delta) = &wanted.delta {
                save_new_maps(&planned.place, delta);
            }
            let missing = wanted.missing_bytes();
            let address = FileAddress {
                repo: target.repo.clone(),
                commit: planned.remote.commit.clone(),
                path: wanted.file.path.clone(),
            };
            let fetch = FetchJob {
                name: format!("{}: {}", target.label(), wanted.file.path).into(),
                content: wanted.file.content,
                size_bytes: wanted.file.size_bytes,
                partial,
                source: self.source(wanted, address),
                limits: limits.clone(),
                copies: wanted.delta.as_ref().map(|delta| copies(delta)),
                rank: order.next(missing),
            };
            jobs.push(Job {
                fetch,
                uses: vec![one],
                saved: Saved::default(),
                expected: missing,
                rounds_left: BUSY_ROUNDS,
                is_distrusted: planned.distrusted.contains(&wanted.file.content),
            });
        }
        let jobs = jobs.into_iter();
        let jobs = jobs.filter_map(|job| self.desk.unless_stored(job));
        let jobs: Vec<Job> = jobs.collect();
        events.push(SyncEvent::FetchPlanned {
            n_files: jobs.len() as u64,
            n_bytes: jobs.iter().map(|job| job.expected).sum(),
        });
        self.add(jobs);
    }

    /// Returns where a file's bytes come from.
    fn source(&self, wanted: &PlannedFile, address: FileAddress) -> Arc<dyn ByteSource> {
        let (repo, commit) = (address.repo.clone(), address.commit.clone());
        let plain = HubFile::new(&self.hub, address);
        match (&self.xet, wanted.file.xet_hash) {
            (Some(xet), Some(hash)) => {
                let client = client_for(xet, &self.hub, &repo, &commit);
                // Of a file that is mostly copied only little pieces are missing.
                let is_settled = wanted.delta.is_some();
                let size_bytes = wanted.file.size_bytes;
                Arc::new(EitherSource::new(
                    plain, &client, hash, size_bytes, is_settled,
                ))
            }
            _ => Arc::new(plain),
        }
    }

    /// Counts the bytes that models under way have still to write on a file system.
    pub(super) fn promised_bytes(&self, file_system: u64) -> u64 {
        let works = self.desk.works.values();
        let there = works.filter(|work| {
            space_of(&work.planned).is_ok_and(|space| space.file_system == file_system)
        });
        there.fold(0, |sum: u64, work| {
            sum.saturating_add(work.outstanding_bytes())
        })
    }

    pub(super) fn is_idle(&self) -> bool {
        self.engine.is_idle()
            && self.desk.busy.is_empty()
            && self.desk.stored.is_empty()
            && self.desk.publishing.is_empty()
    }

    /// Ends a model for which no file was fetched: it failed, or was stopped.
    pub(super) fn end_early(
        &self,
        index: TargetId,
        request: SyncRequest,
        planned: Box<Planned>,
        failure: Option<&Error>,
        events: &mut Vec<SyncEvent>,
    ) {
        let mut work = Work::new(index, request.target, Rc::from(planned), request.limits);
        match failure {
            Some(err) => work.fail(err),
            None => work.is_stopped = true,
        }
        // Nothing is published, so no other process is in the way.
        let _ = work.finish(&self.desk.stop, events);
    }

    /// Returns files that another process has stored and that must be proven,
    /// with their numbers and paths; each once.
    pub(super) fn take_reads(&mut self) -> Vec<(usize, PathBuf, ReadJob)> {
        let desk = &mut self.desk;
        let new = std::mem::take(&mut desk.newly_stored);
        new.into_iter()
            .filter_map(|number| {
                let (job, path) = desk.stored.get(&number)?;
                let read = ReadJob {
                    name: job.fetch.name.clone(),
                    content: job.fetch.content,
                    size_bytes: job.fetch.size_bytes,
                    task: Task::Prove { file: path.clone() },
                    stops: [job.fetch.limits.stop().clone(), desk.stop.clone()],
                };
                Some((number, path.clone(), read))
            })
            .collect()
    }

    /// Uses what another process has stored if it is good, else fetches it.
    pub(super) fn proved(
        &mut self,
        number: usize,
        result: ReadResult,
        events: &mut Vec<SyncEvent>,
    ) {
        let Some((mut job, path)) = self.desk.stored.remove(&number) else {
            return;
        };
        match result {
            ReadResult::Good(GoodRead {
                stamp: Some(stamp), ..
            }) => self.desk.settle_as_stored(&job, stamp, events),
            ReadResult::Stopped => {
                self.desk
                    .settle_unfetched(&job, Fetched::Partial { kept: 0 }, events)
            }
            _ => {
                log::warn!("`{}` does not have its hash", path.display());
                job.is_distrusted = true;
                events.push(SyncEvent::FetchPlanned {
                    n_files: 1,
                    n_bytes: job.expected,
                });
                self.add(vec![job]);
            }
        }
    }

    /// Waits so long for something to happen, and deals with it.
    pub(super) fn step(&mut self, wait: Duration, events: &mut Vec<SyncEvent>) {
        self.look_at_busy_ones();
        self.publish_again(events);
        let mut event = self.engine.next(wait);
        while let Some(happened) = event {
            self.desk.take(happened, events);
            event = self.engine.next(Duration::ZERO);
        }
    }

    /// Returns the fetched contents that were stored since the last call.
    pub(super) fn take_proven(&mut self) -> Vec<ProvenFile> {
        std::mem::take(&mut self.desk.proven)
    }

    /// Ends everything that is still under way, with its bytes kept, and returns
    /// the contents that were stored meanwhile.
    pub(super) fn close(self, events: &mut Vec<SyncEvent>) -> Vec<ProvenFile> {
        let mut desk = self.desk;
        self.engine.close(&mut |event| desk.take(event, events));
        for busy in std::mem::take(&mut desk.busy) {
            desk.settle_unfetched(&busy.job, Fetched::Busy, events);
        }
        for (job, _) in std::mem::take(&mut desk.stored).into_values() {
            desk.settle_unfetched(&job, Fetched::Partial { kept: 0 }, events);
        }
        for (mut work, _) in std::mem::take(&mut desk.publishing) {
            work.is_stopped = true;
            let _ = work.finish(&desk.stop, events);
        }
        desk.proven
    }

    /// Publishes what another process was publishing a moment ago.
    fn publish_again(&mut self, events: &mut Vec<SyncEvent>) {
        let is_stopping = self.desk.stop.is_raised();
        for (work, since) in std::mem::take(&mut self.desk.publishing) {
            match is_stopping || work.limits.stop().is_raised() || since.elapsed() >= BUSY_PAUSE {
                true => self.desk.finish(work, events),
                false => self.desk.publishing.push((work, since)),
            }
        }
    }

    fn add(&mut self, jobs: Vec<Job>) {
        let fetches = jobs.iter().map(|job| job.fetch.clone()).collect();
        for (number, job) in self.engine.add_all(fetches).zip(jobs) {
            let partial = job.fetch.partial.clone();
            self.desk.by_partial.insert(partial, number);
            self.desk.jobs.insert(number, job);
        }
    }

    /// Tries again what another process was fetching: it may have stored it, or left.
    fn look_at_busy_ones(&mut self) {
        let is_stopping = self.desk.stop.is_raised();
        let waited = |busy: &Busy| is_stopping || busy.since.elapsed() >= BUSY_PAUSE;
        let (due, later): (Vec<Busy>, Vec<Busy>) = std::mem::take(&mut self.desk.busy)
            .into_iter()
            .partition(waited);
        self.desk.busy = later;
        let due = due.into_iter();
        let again = due.filter_map(|busy| self.desk.unless_stored(busy.job));
        let again: Vec<Job> = again.collect();
        self.add(again);
    }
}

/// Hands the engine what it needs to know of a delta.
fn copies(delta: &FileDelta) -> Arc<Copies> {
    Arc::new(Copies {
        files: delta.sources.iter().map(|old| old.file.clone()).collect(),
        copies: delta.copies.clone(),
    })
}
