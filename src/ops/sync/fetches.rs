//! The files that are being fetched, as the coordinating thread knows them:
//! which models use them, and how they end.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Error, Result, anyhow};

use super::delta::write_down;
use super::result::{ProvenFile, SyncEvent};
use super::work::{Saved, Work};
use crate::domain::proof::ProofStamp;
use crate::download::{EngineEvent, FetchJob, FileReport, FileResult as Fetched};
use crate::sys::host::checkpoint;
use crate::sys::pause::Stopwatch;
use crate::sys::stamp::stamp_at;
use crate::sys::stop::StopFlag;

/// The engine's jobs, and the models that wait for them.
pub(super) struct Desk {
    pub(super) works: BTreeMap<usize, Work>,
    pub(super) n_works: usize,
    /// By the engine's number, as long as they are under way.
    pub(super) jobs: HashMap<usize, Job>,
    pub(super) by_partial: HashMap<PathBuf, usize>,
    /// Files that another process had a moment ago.
    pub(super) busy: Vec<Busy>,
    /// Models whose commit another process was publishing at the last attempt.
    pub(super) publishing: Vec<(Work, Stopwatch)>,
    /// Files that another process has stored, with their paths, until they are proven.
    pub(super) stored: BTreeMap<usize, (Job, PathBuf)>,
    pub(super) n_stored: usize,
    /// Those of them that no reader was told of yet.
    pub(super) newly_stored: Vec<usize>,
    /// Fetched contents that were stored, whose proofs are not saved yet.
    pub(super) proven: Vec<ProvenFile>,
    pub(super) stop: StopFlag,
}

/// One file that is being fetched, once for all models that want it.
pub(super) struct Job {
    pub(super) fetch: FetchJob,
    pub(super) uses: Vec<Use>,
    pub(super) saved: Saved,
    /// Bytes that others have been told of and that have not come yet.
    pub(super) expected: u64,
    pub(super) rounds_left: u32,
    /// A stored file of this content is not to be used.
    pub(super) is_distrusted: bool,
}

pub(super) struct Busy {
    pub(super) job: Job,
    pub(super) since: Stopwatch,
}

/// One file of one model that a job serves.
#[derive(Clone, Copy)]
pub(super) struct Use {
    pub(super) work: usize,
    /// The place in the plan's files.
    pub(super) file: usize,
}

impl Desk {
    pub(super) fn take(&mut self, event: EngineEvent, events: &mut Vec<SyncEvent>) {
        match event {
            EngineEvent::Started { job, reused } => {
                if let Some(job) = self.jobs.get_mut(&job) {
                    job.saved.was_there = reused;
                    events.push(SyncEvent::FileStarted {
                        name: job.fetch.name.clone(),
                        n_bytes: job.fetch.size_bytes,
                        have: reused,
                    });
                }
            }
            EngineEvent::Progress { job, bytes } => {
                if let Some(job) = self.jobs.get_mut(&job) {
                    let more = bytes.saturating_sub(job.expected);
                    job.expected = job.expected.saturating_sub(bytes);
                    if more > 0 {
                        // Ranges that could not be copied, or had a wrong hash, are fetched.
                        events.push(SyncEvent::FetchPlanned {
                            n_files: 0,
                            n_bytes: more,
                        });
                    }
                    events.push(SyncEvent::BytesFetched {
                        name: job.fetch.name.clone(),
                        n_bytes: bytes,
                    });
                }
            }
            EngineEvent::Copied { job, source, bytes } => {
                if let Some(job) = self.jobs.get_mut(&job) {
                    job.saved.add_copied(source, bytes);
                    events.push(SyncEvent::BytesCopied {
                        name: job.fetch.name.clone(),
                        n_bytes: bytes,
                    });
                }
            }
            EngineEvent::Retrying { job, after, error } => {
                if let Some(job) = self.jobs.get(&job) {
                    let (name, pause) = (&job.fetch.name, after.as_secs_f64());
                    log::info!("`{name}`: {error}; trying again in {pause:.1} s");
                    events.push(SyncEvent::Retrying {
                        name: name.clone(),
                        reason: error.to_string(),
                    });
                }
            }
            EngineEvent::Saved { job, bytes } => self.tell_kept(job, bytes, events),
            EngineEvent::Verified { report, file } => {
                if let Some(job) = self.finished(&report, events) {
                    self.write_down(&job, &report, file.path());
                    let stored = self.store_first(&job, file.path());
                    drop(file);
                    checkpoint("first content stored");
                    if let Ok(Some(proven)) = &stored {
                        self.note_stamp(&job, proven.stamp);
                        self.proven.push(proven.clone());
                    }
                    self.settle(&job, &report, stored.as_ref().err(), events);
                }
            }
            EngineEvent::Ended { report } => {
                let Some(mut job) = self.finished(&report, events) else {
                    return;
                };
                if report.result != Fetched::Busy {
                    self.settle(&job, &report, None, events);
                } else if job.rounds_left == 0 || self.stop.is_raised() {
                    self.settle_unfetched(&job, Fetched::Busy, events);
                } else {
                    job.rounds_left -= 1;
                    let since = Stopwatch::start();
                    self.busy.push(Busy { job, since });
                }
            }
        }
    }

    /// Takes a job off the list of those under way.
    fn finished(&mut self, report: &FileReport, events: &mut Vec<SyncEvent>) -> Option<Job> {
        let job = self.jobs.remove(&report.job)?;
        self.by_partial.remove(&job.fetch.partial);
        events.push(SyncEvent::FileEnded {
            name: job.fetch.name.clone(),
        });
        Some(job)
    }

    fn tell_kept(&mut self, job: usize, bytes: u64, events: &mut Vec<SyncEvent>) {
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
            events.push(SyncEvent::ProgressSaved {
                target: work.index,
                progress: work.progress_with(under_way),
            });
        }
    }

    /// Returns a job unless its content was stored meanwhile; then that has to be
    /// proven before it is used.
    pub(super) fn unless_stored(&mut self, job: Job) -> Option<Job> {
        let first = job.uses.first().and_then(|one| self.works.get(&one.work));
        let writer = first.and_then(|work| work.writer().ok());
        let (content, size_bytes) = (&job.fetch.content, job.fetch.size_bytes);
        let stored = writer.filter(|writer| writer.has(content, size_bytes));
        let Some(path) = stored.map(|writer| writer.stored(content)) else {
            return Some(job);
        };
        if job.is_distrusted {
            return Some(job);
        }
        let number = self.n_stored;
        self.n_stored += 1;
        self.newly_stored.push(number);
        self.stored.insert(number, (job, path));
        None
    }

    pub(super) fn settle_as_stored(
        &mut self,
        job: &Job,
        stamp: ProofStamp,
        events: &mut Vec<SyncEvent>,
    ) {
        self.note_stamp(job, stamp);
        let report = FileReport {
            reused: job.fetch.size_bytes,
            ..unfetched(Fetched::Verified { durable: true })
        };
        self.settle(job, &report, None, events);
    }

    /// Keeps the stamp of a stored content for all models that use it.
    fn note_stamp(&mut self, job: &Job, stamp: ProofStamp) {
        for one in &job.uses {
            if let Some(work) = self.works.get_mut(&one.work) {
                work.stamps.insert(job.fetch.content, stamp);
            }
        }
    }

    /// Moves a verified file to where all models that wanted it will find it.
    fn store_first(&self, job: &Job, verified: &Path) -> Result<Option<ProvenFile>> {
        let first = job.uses.first().and_then(|one| self.works.get(&one.work));
        let work = first.ok_or_else(|| anyhow!("a fetched file belongs to no model"))?;
        let (writer, content) = (work.writer()?, job.fetch.content);
        writer.store(&content, verified)?;
        let path = writer.stored(&content);
        let stamp = stamp_at(&path).ok().flatten();
        Ok(stamp.map(|stamp| ProvenFile {
            path,
            content,
            stamp,
        }))
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

    pub(super) fn settle_unfetched(
        &mut self,
        job: &Job,
        result: Fetched,
        events: &mut Vec<SyncEvent>,
    ) {
        self.settle(job, &unfetched(result), None, events);
    }

    /// Tells all models that wanted a file how it ended, and ends those that
    /// wait for nothing more.
    fn settle(
        &mut self,
        job: &Job,
        report: &FileReport,
        storing: Option<&Error>,
        events: &mut Vec<SyncEvent>,
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
                self.finish(work, events);
            }
        }
    }

    /// Ends a model, or keeps it until another process has published its commit.
    pub(super) fn finish(&mut self, work: Work, events: &mut Vec<SyncEvent>) {
        if let Some(work) = work.finish(&self.stop, events) {
            self.publishing.push((work, Stopwatch::start()));
        }
    }
}

/// Describes the end of a file of which no byte came.
fn unfetched(result: Fetched) -> FileReport {
    FileReport {
        job: 0,
        result,
        fetched: 0,
        reused: 0,
        copied: Vec::new(),
        copies_were_wrong: false,
        retries: 0,
    }
}
