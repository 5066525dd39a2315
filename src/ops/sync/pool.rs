//! Fetches what plans lack, in one pool for all models, and publishes each model
//! as soon as its last file is proven.
//!
//! Everything here happens on the coordinating thread: it alone gives final
//! names. The engine's threads only fetch and hash.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Error, Result, anyhow};

use super::Target;
use super::check::Planned;
use super::delta::{client_for, write_down, write_down_learnt};
use super::either_source::EitherSource;
use super::end::Progress;
use super::preflight::space_of;
use super::source::HubFile;
use super::work::{Saved, Work};
use crate::domain::plan::{FileDelta, PlannedFile};
use crate::domain::share::Share;
use crate::download::{
    ByteSource, Copies, Engine, EngineOptions, Event, FetchJob, FileReport, FileResult as Fetched,
    Lane,
};
use crate::hub::{FileAddress, HubClient};
use crate::sys::host::checkpoint;
use crate::sys::pause::Stopwatch;
use crate::sys::stop::StopFlag;
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

/// What the coordinating thread knows of the engine's jobs.
struct Desk {
    works: BTreeMap<usize, Work>,
    n_works: usize,
    /// By the engine's number, as long as they are under way.
    jobs: HashMap<usize, Job>,
    by_partial: HashMap<PathBuf, usize>,
    /// Files that another process had a moment ago.
    busy: Vec<Busy>,
    stop: StopFlag,
}

/// One file that is being fetched, once for all models that want it.
struct Job {
    fetch: FetchJob,
    uses: Vec<Use>,
    saved: Saved,
    /// Bytes that others have been told of and that have not come yet.
    expected: u64,
    rounds_left: u32,
}

struct Busy {
    job: Job,
    since: Stopwatch,
}

/// One file of one model that a job serves.
#[derive(Clone, Copy)]
struct Use {
    work: usize,
    /// The place in the plan's files.
    file: usize,
}

impl Pool {
    pub(super) fn new(hub: &HubClient, xet: Option<&XetStorage>, options: EngineOptions) -> Self {
        let desk = Desk {
            works: BTreeMap::new(),
            n_works: 0,
            jobs: HashMap::new(),
            by_partial: HashMap::new(),
            busy: Vec::new(),
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
        index: usize,
        target: Arc<Target>,
        planned: Box<Planned>,
        lane: Lane,
        mut share: Share,
        on: &mut dyn FnMut(Progress<'_>),
    ) {
        let planned: Rc<Planned> = Rc::from(planned);
        let mut work = Work::new(index, target, planned.clone(), lane.clone());
        let opened = work.open().and_then(|()| work.import());
        checkpoint("place opened");
        if let Err(err) = opened {
            work.fail(&err);
            return work.end(&self.desk.stop, on);
        }
        if work.is_done() {
            return work.end(&self.desk.stop, on);
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
                write_down_learnt(&planned.place, delta);
            }
            let missing = wanted.missing_bytes();
            let address = FileAddress {
                repo: target.repo.clone(),
                commit: planned.remote.commit.clone(),
                path: wanted.file.path.clone(),
            };
            let fetch = FetchJob {
                name: format!("{}: {}", target.label(), wanted.file.path),
                content: wanted.file.content,
                size_bytes: wanted.file.size_bytes,
                partial,
                source: self.source(wanted, address),
                lane: lane.clone(),
                copies: wanted.delta.as_ref().map(|delta| copies(delta)),
                rank: share.next(missing),
            };
            jobs.push(Job {
                fetch,
                uses: vec![one],
                saved: Saved::default(),
                expected: missing,
                rounds_left: BUSY_ROUNDS,
            });
        }
        let jobs = jobs.into_iter();
        let jobs = jobs.filter_map(|job| self.desk.unless_stored(job, on));
        let jobs: Vec<Job> = jobs.collect();
        on(Progress::Comes {
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
        self.engine.is_idle() && self.desk.busy.is_empty()
    }

    /// Waits so long for something to happen, and deals with it.
    pub(super) fn step(&mut self, wait: Duration, on: &mut dyn FnMut(Progress<'_>)) {
        self.look_at_busy_ones(on);
        let mut event = self.engine.next(wait);
        while let Some(happened) = event {
            self.desk.take(happened, on);
            event = self.engine.next(Duration::ZERO);
        }
    }

    /// Ends everything that is still under way, with its bytes kept.
    pub(super) fn close(self, on: &mut dyn FnMut(Progress<'_>)) {
        let mut desk = self.desk;
        self.engine.close(&mut |event| desk.take(event, on));
        for busy in std::mem::take(&mut desk.busy) {
            desk.settle_as_busy(busy.job, on);
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
    fn look_at_busy_ones(&mut self, on: &mut dyn FnMut(Progress<'_>)) {
        let is_stopping = self.desk.stop.is_raised();
        let waited = |busy: &Busy| is_stopping || busy.since.elapsed() >= BUSY_PAUSE;
        let (due, later): (Vec<Busy>, Vec<Busy>) = std::mem::take(&mut self.desk.busy)
            .into_iter()
            .partition(waited);
        self.desk.busy = later;
        let due = due.into_iter();
        let again = due.filter_map(|busy| self.desk.unless_stored(busy.job, on));
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

impl Desk {
    fn take(&mut self, event: Event, on: &mut dyn FnMut(Progress<'_>)) {
        match event {
            Event::Started { job, reused } => {
                if let Some(job) = self.jobs.get_mut(&job) {
                    job.saved.was_there = reused;
                    on(Progress::FileStarted {
                        name: &job.fetch.name,
                        n_bytes: job.fetch.size_bytes,
                        have: reused,
                    });
                }
            }
            Event::Progress { job, bytes } => {
                if let Some(job) = self.jobs.get_mut(&job) {
                    let more = bytes.saturating_sub(job.expected);
                    job.expected = job.expected.saturating_sub(bytes);
                    if more > 0 {
                        // What could not be copied, or was wrong and comes again.
                        on(Progress::Comes {
                            n_files: 0,
                            n_bytes: more,
                        });
                    }
                    on(Progress::Bytes {
                        name: &job.fetch.name,
                        n_bytes: bytes,
                    });
                }
            }
            Event::Copied { job, source, bytes } => {
                if let Some(job) = self.jobs.get_mut(&job) {
                    job.saved.add_copied(source, bytes);
                    on(Progress::Copied {
                        name: &job.fetch.name,
                        n_bytes: bytes,
                    });
                }
            }
            Event::Retrying { job, after, error } => {
                if let Some(job) = self.jobs.get(&job) {
                    let (name, pause) = (&job.fetch.name, after.as_secs_f64());
                    log::info!("`{name}`: {error}; trying again in {pause:.1} s");
                    let why = error.to_string();
                    on(Progress::Retrying { name, why });
                }
            }
            Event::Saved { job, bytes } => self.tell_kept(job, bytes, on),
            Event::Verified { report, file } => {
                if let Some(job) = self.finished(&report, on) {
                    self.write_down(&job, &report, file.path());
                    let stored = self.store_first(&job, file.path());
                    drop(file);
                    checkpoint("first content stored");
                    self.settle(&job, &report, stored.as_ref().err(), on);
                }
            }
            Event::Ended { report } => {
                let Some(mut job) = self.finished(&report, on) else {
                    return;
                };
                if report.result != Fetched::Busy {
                    self.settle(&job, &report, None, on);
                } else if job.rounds_left == 0 || self.stop.is_raised() {
                    self.settle_as_busy(job, on);
                } else {
                    job.rounds_left -= 1;
                    let since = Stopwatch::start();
                    self.busy.push(Busy { job, since });
                }
            }
        }
    }

    /// Takes a job off the list of those under way.
    fn finished(&mut self, report: &FileReport, on: &mut dyn FnMut(Progress<'_>)) -> Option<Job> {
        let job = self.jobs.remove(&report.job)?;
        self.by_partial.remove(&job.fetch.partial);
        on(Progress::FileEnded {
            name: &job.fetch.name,
        });
        Some(job)
    }

    fn tell_kept(&mut self, job: usize, bytes: u64, on: &mut dyn FnMut(Progress<'_>)) {
        let Some(job) = self.jobs.get_mut(&job) else {
            return;
        };
        job.saved.grow_to(bytes);
        let Some(number) = job.uses.first().map(|first| first.work) else {
            return;
        };
        if let Some(work) = self.works.get(&number) {
            let under_way = self.jobs.values().filter_map(|job| {
                let first = job.uses.first().filter(|first| first.work == number)?;
                (job.saved.bytes > 0).then_some((first.file, &job.saved))
            });
            on(Progress::Kept {
                target: work.index,
                progress: work.progress_with(under_way),
            });
        }
    }

    /// Uses what somebody has stored meanwhile; returns the job if nobody has.
    fn unless_stored(&mut self, job: Job, on: &mut dyn FnMut(Progress<'_>)) -> Option<Job> {
        let first = job.uses.first().and_then(|one| self.works.get(&one.work));
        let is_stored = first
            .and_then(|work| work.writer().ok())
            .is_some_and(|writer| writer.has(&job.fetch.content, job.fetch.size_bytes));
        let is_distrusted =
            || first.is_some_and(|work| work.planned.distrusted.contains(&job.fetch.content));
        if !is_stored || is_distrusted() {
            return Some(job);
        }
        let report = FileReport {
            job: 0,
            result: Fetched::Verified { durable: true },
            fetched: 0,
            reused: job.fetch.size_bytes,
            copied: Vec::new(),
            copies_were_wrong: false,
            retries: 0,
        };
        self.settle(&job, &report, None, on);
        None
    }

    /// Moves a verified file to where all models that wanted it will find it.
    fn store_first(&self, job: &Job, verified: &Path) -> Result<()> {
        let first = job.uses.first().and_then(|one| self.works.get(&one.work));
        let work = first.ok_or_else(|| anyhow!("a fetched file belongs to no model"))?;
        work.writer()?.store(&job.fetch.content, verified)
    }

    /// Keeps what a file is made of for its next version.
    fn write_down(&self, job: &Job, report: &FileReport, proven: &Path) {
        let first = job.uses.first();
        let work = first.and_then(|one| Some((self.works.get(&one.work)?, one.file)));
        let Some((work, file)) = work else {
            return;
        };
        let wanted = &work.planned.plan.files[file];
        if let Some(delta) = &wanted.delta
            && !report.copies_were_wrong
        {
            write_down(&work.planned.place, &wanted.file, delta, proven);
        }
    }

    fn settle_as_busy(&mut self, job: Job, on: &mut dyn FnMut(Progress<'_>)) {
        let report = FileReport {
            job: 0,
            result: Fetched::Busy,
            fetched: 0,
            reused: 0,
            copied: Vec::new(),
            copies_were_wrong: false,
            retries: 0,
        };
        self.settle(&job, &report, None, on);
    }

    /// Tells all models that wanted a file how it ended, and ends those that
    /// wait for nothing more.
    fn settle(
        &mut self,
        job: &Job,
        report: &FileReport,
        storing: Option<&Error>,
        on: &mut dyn FnMut(Progress<'_>),
    ) {
        let way = job.fetch.source.way();
        for (position, one) in job.uses.iter().enumerate() {
            let Some(work) = self.works.get_mut(&one.work) else {
                continue;
            };
            // The bytes were fetched once; only the first model pays for them.
            let pays = position == 0;
            work.settle(one.file, report, pays.then_some(way), storing);
            if work.is_done()
                && let Some(work) = self.works.remove(&one.work)
            {
                work.end(&self.stop, on);
            }
        }
    }
}
