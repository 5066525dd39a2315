//! Fetches what the plans lack, in one pool, and publishes each model as soon
//! as its last file is proven.
//!
//! Everything here happens on the coordinating thread: it alone gives final
//! names. The engine's threads only fetch and hash.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Error, Result, anyhow};

use super::Target;
use super::check::Planned;
use super::source::HubFile;
use super::work::Work;
use crate::domain::content::ContentId;
use crate::domain::outcome::Outcome;
use crate::domain::plan::Action;
use crate::domain::session::{SessionFile, SessionProgress, Trouble};
use crate::download::{self, EngineOptions, Event, FetchJob, FileReport, FileResult as Fetched};
use crate::hub::{FileAddress, HubClient};
use crate::sys::host::checkpoint;

/// The bounds of the whole run.
#[derive(Clone, Debug)]
pub struct Limits {
    pub engine: EngineOptions,
}

/// What happens meanwhile, for whoever shows or records it.
#[derive(Debug)]
pub enum Progress<'e> {
    /// So many bytes are to come, over all models.
    Begins {
        n_files: u64,
        n_bytes: u64,
    },
    FileStarted {
        name: &'e str,
        n_bytes: u64,
        have: u64,
    },
    Bytes {
        name: &'e str,
        n_bytes: u64,
    },
    FileEnded {
        name: &'e str,
    },
    Retrying {
        name: &'e str,
        why: String,
    },
    /// Bytes are on disk for a later run.
    Kept {
        target: usize,
        progress: SessionProgress,
    },
    /// A model has ended.
    Ended {
        target: usize,
        end: &'e SyncEnd,
    },
}

/// How the sync of one target ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncEnd {
    pub outcome: Outcome,
    pub trouble: Option<Trouble>,
    pub progress: SessionProgress,
    pub files: Vec<SessionFile>,
    /// Proven contents and where they lie now.
    pub proven: Vec<(PathBuf, ContentId, u64)>,
}

/// One file of one model that a job serves.
#[derive(Clone, Copy)]
struct Use {
    work: usize,
    /// The place in the plan's files.
    file: usize,
}

/// How often, and after which pause, a file is looked at again that another
/// process is fetching. Two processes may each have what the other lacks, and
/// then both get everything; one that fetches for hours is not waited for.
const BUSY_ROUNDS: u32 = 20;
const BUSY_PAUSE: Duration = Duration::from_millis(500);

/// Carries plans out and tells `on` about it; each plan comes with its target's place.
pub fn carry_out(
    hub: &HubClient,
    targets: &[Target],
    plans: &[(usize, &Planned<'_>)],
    limits: &Limits,
    on: &mut dyn FnMut(Progress<'_>),
) {
    let mut works: Vec<Work<'_, '_>> = plans
        .iter()
        .map(|(target, planned)| Work::new(*target, planned))
        .collect();
    for work in &mut works {
        if let Err(err) = work.open().and_then(|()| work.import()) {
            work.fail(&err);
        }
        checkpoint("place opened");
        if work.is_hopeless() || work.waiting == 0 {
            work.waiting = 0;
            work.end(&targets[work.target], on);
        }
    }
    let (mut jobs, mut uses) = jobs(hub, targets, &works);
    let going = works.iter().filter(|work| work.waiting > 0);
    let n_bytes = going
        .map(|work| work.planned.plan.totals.bytes_to_fetch)
        .sum();
    on(Progress::Begins {
        n_files: jobs.len() as u64,
        n_bytes,
    });

    let mut rounds = BUSY_ROUNDS;
    loop {
        let again = fetch_round(&mut works, &jobs, &uses, rounds > 0, targets, limits, on);
        if again.is_empty() {
            break;
        }
        rounds -= 1;
        limits.engine.stop.pause(BUSY_PAUSE);
        (jobs, uses) = again
            .into_iter()
            .filter(|&job| !take_from_another(&mut works, &jobs[job], &uses[job], targets, on))
            .map(|job| (jobs[job].clone(), uses[job].clone()))
            .unzip();
    }
}

/// Fetches once, and returns the jobs that another process had at that moment
/// and that shall be looked at again.
fn fetch_round(
    works: &mut [Work<'_, '_>],
    jobs: &[FetchJob],
    uses: &[Vec<Use>],
    waits_for_others: bool,
    targets: &[Target],
    limits: &Limits,
    on: &mut dyn FnMut(Progress<'_>),
) -> Vec<usize> {
    let names: Vec<(String, u64)> = jobs
        .iter()
        .map(|job| (job.name.clone(), job.size_bytes))
        .collect();
    let mut again = Vec::new();
    let mut on_event = |event: Event| match event {
        Event::Started { job, reused } => {
            on(Progress::FileStarted {
                name: &names[job].0,
                n_bytes: names[job].1,
                have: reused,
            });
        }
        Event::Progress { job, bytes } => on(Progress::Bytes {
            name: &names[job].0,
            n_bytes: bytes,
        }),
        Event::Retrying { job, after, error } => {
            log::info!(
                "`{}`: {error}; trying again in {:.1} s",
                names[job].0,
                after.as_secs_f64()
            );
            on(Progress::Retrying {
                name: &names[job].0,
                why: error.to_string(),
            });
        }
        Event::Saved { job, bytes } => {
            if let Some(first) = uses[job].first() {
                let work = &mut works[first.work];
                work.progress.bytes.fetched += bytes;
                on(Progress::Kept {
                    target: work.target,
                    progress: work.progress.clone(),
                });
                work.progress.bytes.fetched -= bytes;
            }
        }
        Event::Verified { report, file } => {
            let stored = store_first(works, &uses[report.job], file.path());
            drop(file);
            checkpoint("first content stored");
            on(Progress::FileEnded {
                name: &names[report.job].0,
            });
            settle(works, &uses[report.job], &report, stored.as_ref().err());
            end_those_done(works, &uses[report.job], targets, on);
        }
        Event::Ended { report } if waits_for_others && report.result == Fetched::Busy => {
            again.push(report.job);
        }
        Event::Ended { report } => {
            on(Progress::FileEnded {
                name: &names[report.job].0,
            });
            settle(works, &uses[report.job], &report, None);
            end_those_done(works, &uses[report.job], targets, on);
        }
    };
    download::fetch(jobs.to_vec(), &limits.engine, &mut on_event);
    again
}

/// Uses what another process has stored meanwhile; tells whether there was any.
fn take_from_another(
    works: &mut [Work<'_, '_>],
    job: &FetchJob,
    uses: &[Use],
    targets: &[Target],
    on: &mut dyn FnMut(Progress<'_>),
) -> bool {
    let first = uses.first().and_then(|first| works.get(first.work));
    // What is not believed has the right size too.
    let first = first.filter(|work| !work.planned.distrusted.contains(&job.content));
    let is_stored = first
        .and_then(|work| work.writer.as_ref())
        .is_some_and(|writer| writer.has(&job.content, job.size_bytes));
    if is_stored {
        let report = FileReport {
            job: 0,
            result: Fetched::Verified { durable: true },
            fetched: 0,
            reused: job.size_bytes,
            retries: 0,
        };
        settle(works, uses, &report, None);
        end_those_done(works, uses, targets, on);
    }
    is_stored
}

/// Makes one job of each partial file: two models of one repository may want
/// the same content, and it is fetched once.
fn jobs(
    hub: &HubClient,
    targets: &[Target],
    works: &[Work<'_, '_>],
) -> (Vec<FetchJob>, Vec<Vec<Use>>) {
    let mut jobs: Vec<FetchJob> = Vec::new();
    let mut uses: Vec<Vec<Use>> = Vec::new();
    let mut by_partial: HashMap<PathBuf, usize> = HashMap::new();
    let going = works.iter().enumerate();
    for (index, work) in going.filter(|(_, work)| work.waiting > 0) {
        let target = &targets[work.target];
        for (file, planned) in work.planned.plan.files.iter().enumerate() {
            if !matches!(planned.action, Action::Fetch | Action::Resume { .. }) {
                continue;
            }
            let wanted = &planned.file;
            let partial = work.planned.place.partial(&wanted.content);
            let job = *by_partial.entry(partial.clone()).or_insert_with(|| {
                let address = FileAddress {
                    repo: target.repo.clone(),
                    commit: work.planned.remote.commit.clone(),
                    path: wanted.path.clone(),
                };
                jobs.push(FetchJob {
                    name: format!("{}: {}", target.label(), wanted.path),
                    content: wanted.content,
                    size_bytes: wanted.size_bytes,
                    partial,
                    source: Arc::new(HubFile::new(hub, address)),
                });
                uses.push(Vec::new());
                jobs.len() - 1
            });
            uses[job].push(Use { work: index, file });
        }
    }
    (jobs, uses)
}

/// Moves a verified file to where all models that wanted it will find it.
fn store_first(works: &[Work<'_, '_>], uses: &[Use], verified: &std::path::Path) -> Result<()> {
    let first = uses
        .first()
        .ok_or_else(|| anyhow!("a fetched file belongs to no model"))?;
    let planned = works[first.work].planned;
    works[first.work]
        .writer()?
        .store(&planned.plan.files[first.file].file.content, verified)
}

fn settle(works: &mut [Work<'_, '_>], uses: &[Use], report: &FileReport, storing: Option<&Error>) {
    for (position, one) in uses.iter().enumerate() {
        // The bytes were fetched once; only the first model pays for them.
        works[one.work].settle(one.file, report, position == 0, storing);
    }
}

fn end_those_done(
    works: &mut [Work<'_, '_>],
    uses: &[Use],
    targets: &[Target],
    on: &mut dyn FnMut(Progress<'_>),
) {
    for one in uses {
        let work = &mut works[one.work];
        if work.waiting == 0 {
            work.end(&targets[work.target], on);
        }
    }
}
