//! Fetches what the plans lack, in one pool, and publishes each model as soon
//! as its last file is proven.
//!
//! Everything here happens on the coordinating thread: it alone gives final
//! names. The engine's threads only fetch and hash.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow};

use super::Target;
use super::check::Planned;
use super::place::Writer;
use super::source::HubFile;
use super::trouble::{hint_for_file, trouble_of};
use crate::domain::content::ContentId;
use crate::domain::outcome::{ErrorKind, Outcome};
use crate::domain::plan::Action;
use crate::domain::session::{
    ByteCounts, FileCounts, FileResult, FileSource, SessionFile, SessionProgress, Trouble,
};
use crate::domain::units::ByteSize;
use crate::download::{self, EngineOptions, Event, FetchJob, FileReport, FileResult as Fetched};
use crate::hub::{FileAddress, HubClient};
use crate::sys::host::checkpoint;
use crate::sys::logging;

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

/// A model on its way.
struct Work<'p, 'a> {
    target: usize,
    planned: &'p Planned<'a>,
    /// `None` when the place cannot be written; `trouble` says why.
    writer: Option<Writer<'a>>,
    progress: SessionProgress,
    files: Vec<SessionFile>,
    proven: Vec<(PathBuf, ContentId, u64)>,
    /// Fetches that have not ended yet.
    waiting: usize,
    trouble: Option<Trouble>,
    is_stopped: bool,
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

impl<'p, 'a> Work<'p, 'a> {
    fn new(target: usize, planned: &'p Planned<'a>) -> Self {
        let totals = planned.plan.totals;
        let progress = SessionProgress {
            new_commit: Some(planned.remote.commit.clone()),
            files: FileCounts {
                total: totals.files,
                reused: totals.files_reused,
                fetched: 0,
                deleted: planned.plan.deleted.len() as u64,
            },
            bytes: ByteCounts {
                total: totals.bytes,
                fetched: 0,
                reused: totals.bytes_reused,
                left: totals.bytes - totals.bytes_reused,
            },
            ..SessionProgress::default()
        };
        Self {
            target,
            planned,
            writer: None,
            progress,
            files: Vec::new(),
            proven: Vec::new(),
            waiting: planned.plan.fetches().count(),
            trouble: None,
            is_stopped: false,
        }
    }

    /// Gets the place ready, and asks it itself which names it can hold.
    fn open(&mut self) -> Result<()> {
        let writer = self.planned.place.open()?;
        let paths = self.planned.plan.files.iter().map(|file| &file.file.path);
        writer.placement()?.check(paths)?;
        self.writer = Some(writer);
        Ok(())
    }

    /// Tells whether nothing could be published even if all bytes came.
    fn is_hopeless(&self) -> bool {
        self.trouble.is_some()
    }

    fn writer(&self) -> Result<&Writer<'a>> {
        self.writer
            .as_ref()
            .ok_or_else(|| anyhow!("the place is not open"))
    }

    /// Brings in what lies elsewhere on this machine.
    fn import(&mut self) -> Result<()> {
        for (content, (size_bytes, from)) in self.planned.plan.imports() {
            self.writer()?.import(&content, size_bytes, from)?;
        }
        for planned in &self.planned.plan.files {
            if matches!(planned.action, Action::Link(_)) {
                self.files.push(SessionFile {
                    path: planned.file.path.clone(),
                    content: planned.file.content,
                    size_bytes: planned.file.size_bytes,
                    bytes_fetched: 0,
                    bytes_reused: planned.file.size_bytes,
                    source: Some(FileSource::Linked),
                    retries: 0,
                    result: FileResult::Verified,
                });
            }
        }
        Ok(())
    }

    /// Takes the first trouble for the model's own; the others are in the diary.
    fn fail(&mut self, error: &Error) {
        self.note(trouble_of(error));
    }

    fn note(&mut self, trouble: Trouble) {
        log::warn!(target: logging::SESSION, "{}", trouble.message);
        let worse = |old: &Trouble| {
            let (old, new) = (old.kind.exit_status(), trouble.kind.exit_status());
            old != new && old.worst(new) == new
        };
        if self.trouble.as_ref().is_none_or(worse) {
            self.trouble = Some(trouble);
        }
    }

    fn settle(&mut self, file: usize, report: &FileReport, pays: bool, storing: Option<&Error>) {
        self.waiting -= 1;
        let wanted = &self.planned.plan.files[file].file;
        let (fetched, reused) = if pays {
            (report.fetched, report.reused)
        } else {
            (0, wanted.size_bytes)
        };
        self.progress.bytes.fetched += fetched;
        self.progress.bytes.reused += reused;
        self.progress.retries += if pays { report.retries } else { 0 };
        let mut result = FileResult::Failed;
        match &report.result {
            Fetched::Verified { .. } => match storing {
                None => {
                    result = FileResult::Verified;
                    self.progress.files.fetched += 1;
                    self.progress.bytes.left =
                        self.progress.bytes.left.saturating_sub(wanted.size_bytes);
                }
                Some(err) => self.fail(err),
            },
            Fetched::Partial { kept } => {
                result = FileResult::Partial;
                self.is_stopped = true;
                self.progress.bytes.left = self.progress.bytes.left.saturating_sub(*kept);
                log::info!(
                    "`{}`: {} kept for the next run",
                    wanted.path,
                    ByteSize(*kept).render_short()
                );
            }
            Fetched::Busy => {
                result = FileResult::Partial;
                let message = format!(
                    "another process is fetching `{}` at this moment",
                    wanted.path
                );
                self.note(Trouble {
                    kind: ErrorKind::Network,
                    message,
                    hint: None,
                });
            }
            Fetched::Failed(error) => {
                let message = match &error.evidence {
                    Some(path) => format!(
                        "`{}`: {}; the wrong bytes are kept in `{}`",
                        wanted.path,
                        error.message,
                        path.display()
                    ),
                    None => format!("`{}`: {}", wanted.path, error.message),
                };
                self.note(Trouble {
                    kind: error.kind,
                    message,
                    hint: hint_for_file(error.kind),
                });
            }
        }
        self.files.push(SessionFile {
            path: wanted.path.clone(),
            content: wanted.content,
            size_bytes: wanted.size_bytes,
            bytes_fetched: fetched,
            bytes_reused: reused,
            source: Some(if pays {
                FileSource::Http
            } else {
                FileSource::Linked
            }),
            retries: report.retries,
            result,
        });
    }

    /// Publishes if everything is there, and reports how it went.
    fn end(&mut self, target: &Target, on: &mut dyn FnMut(Progress<'_>)) {
        if self.trouble.is_none() && !self.is_stopped {
            checkpoint("before publishing");
            match self.publish(target) {
                Ok(path) => self.progress.path = Some(path),
                Err(err) => self.fail(&err),
            }
        }
        checkpoint("before the session closes");
        let outcome = match (&self.trouble, self.is_stopped) {
            (Some(_), _) => Outcome::Failed,
            (None, true) => Outcome::Partial,
            (None, false) => self.good_outcome(),
        };
        let end = SyncEnd {
            outcome,
            trouble: self.trouble.take(),
            progress: self.progress.clone(),
            files: std::mem::take(&mut self.files),
            proven: std::mem::take(&mut self.proven),
        };
        on(Progress::Ended {
            target: self.target,
            end: &end,
        });
    }

    fn publish(&mut self, target: &Target) -> Result<PathBuf> {
        let Planned {
            place,
            remote,
            plan,
            moves_ref,
            ..
        } = self.planned;
        let writer = self.writer()?;
        let path = writer
            .publish(Some(&target.revision).filter(|_| *moves_ref), remote, plan)
            .with_context(|| format!("cannot publish `{}`", target.label()))?;
        let fetched = plan.fetches().map(|planned| &planned.file);
        self.proven = fetched
            .map(|file| (place.file_of(file), file.content, file.size_bytes))
            .collect();
        Ok(path)
    }

    fn good_outcome(&self) -> Outcome {
        let is_same = self.planned.old_commit.as_ref() == Some(&self.planned.remote.commit);
        match (is_same, self.planned.plan.changes_nothing()) {
            (true, true) => Outcome::UpToDate,
            (true, false) => Outcome::Repaired,
            (false, _) => Outcome::Updated,
        }
    }
}
