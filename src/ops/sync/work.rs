//! One model on its way: from the open place to the published commit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, ensure};

use super::Target;
use super::check::Planned;
use super::place::Writer;
use super::preflight::missing_bytes;
use super::result::{SyncEvent, SyncResult, TargetId};
use crate::cache::PublisherBusy;
use crate::domain::content::ContentId;
use crate::domain::origin::{MOST_ORIGINS, Origin, OriginKind, Origins};
use crate::domain::outcome::{ErrorKind, Outcome};
use crate::domain::plan::PlannedFile;
use crate::domain::proof::ProofStamp;
use crate::domain::session::{
    ByteCounts, FileCounts, FileResult, FileSource, SessionFile, SessionProgress, Trouble,
};
use crate::domain::units::ByteSize;
use crate::download::{FileReport, FileResult as Fetched, LimitGroup};
use crate::ops::diagnose::{hint_for_file, trouble_of};
use crate::sys::host::checkpoint;
use crate::sys::logging;
use crate::sys::pause::Stopwatch;
use crate::sys::stamp::stamp_at;
use crate::sys::stop::StopFlag;

/// A model on its way.
pub(super) struct Work {
    /// The number under which the caller knows the target.
    pub(super) index: TargetId,
    pub(super) target: Arc<Target>,
    pub(super) planned: Rc<Planned>,
    pub(super) limits: LimitGroup,
    /// `None` when the place cannot be written; `trouble` says why.
    pub(super) writer: Option<Writer>,
    pub(super) progress: SessionProgress,
    /// Where the reused bytes of `progress` came from, but for those in place.
    origins: Origins,
    files: Vec<SessionFile>,
    named: Vec<(PathBuf, PathBuf)>,
    moved: Vec<PathBuf>,
    /// Stamps of proven contents that are stored and have no final name yet.
    pub(super) stamps: BTreeMap<ContentId, ProofStamp>,
    /// Places in the plan of fetches that have not ended yet.
    waiting: BTreeSet<usize>,
    /// What is to be told of deltas that were of no use.
    abandoned: Vec<String>,
    trouble: Option<Trouble>,
    pub(super) is_stopped: bool,
    /// Running since another process was first found publishing the same commit.
    publisher_busy: Option<Stopwatch>,
}

/// How long another process may take to publish the same commit. Links are made
/// in moments; copies, on file systems without links, take longer.
const LONGEST_PUBLISH: Duration = Duration::from_secs(600);

/// What is on disk of a file that is still under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Saved {
    pub(super) bytes: u64,
    /// By another run.
    pub(super) was_there: u64,
    /// From each of its old files; may be shorter.
    pub(super) copied: Vec<u64>,
}

impl Saved {
    pub(super) fn add_copied(&mut self, source: usize, bytes: u64) {
        if self.copied.len() <= source {
            self.copied.resize(source + 1, 0);
        }
        self.copied[source] += bytes;
    }

    /// Notes how much is on disk now; less than before means that all of it was
    /// thrown away and is fetched anew.
    pub(super) fn grow_to(&mut self, bytes: u64) {
        if bytes < self.bytes {
            *self = Self::default();
        }
        self.bytes = bytes;
    }
}

impl Work {
    pub(super) fn new(
        index: TargetId,
        target: Arc<Target>,
        planned: Rc<Planned>,
        limits: LimitGroup,
    ) -> Self {
        let totals = planned.plan.totals;
        let progress = SessionProgress {
            new_commit: Some(planned.remote.commit.clone()),
            files: FileCounts {
                total: totals.files,
                reused: totals.files_reused,
                fetched: 0,
                deleted: 0,
            },
            bytes: ByteCounts {
                total: totals.bytes,
                fetched: 0,
                reused: totals.bytes_reused,
                left: totals.bytes - totals.bytes_reused,
            },
            ..SessionProgress::default()
        };
        let origins = planned.origins.clone();
        let waiting = planned.plan.files.iter().enumerate();
        let waiting = waiting.filter(|(_, file)| file.action.is_fetch());
        Self {
            files: files_on_this_machine(&planned),
            stamps: stamps_on_this_machine(&planned),
            waiting: waiting.map(|(place, _)| place).collect(),
            index,
            target,
            planned,
            limits,
            writer: None,
            progress,
            origins,
            named: Vec::new(),
            moved: Vec::new(),
            abandoned: Vec::new(),
            trouble: None,
            is_stopped: false,
            publisher_busy: None,
        }
    }

    /// Tells whether nothing is being fetched for it any more.
    pub(super) fn is_done(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Counts the bytes that are still to be written on a file system.
    pub(super) fn outstanding_bytes(&self) -> u64 {
        let files = self
            .waiting
            .iter()
            .map(|place| &self.planned.plan.files[*place]);
        files.fold(0, |sum: u64, file| {
            sum.saturating_add(missing_bytes(&self.planned, file))
        })
    }

    pub(super) fn writer(&self) -> Result<&Writer> {
        self.writer
            .as_ref()
            .ok_or_else(|| anyhow!("the place is not open"))
    }

    /// Takes the first trouble for the model's own; the others are in the diary.
    pub(super) fn fail(&mut self, error: &Error) {
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

    pub(super) fn settle(
        &mut self,
        file: usize,
        report: &FileReport,
        way: Option<FileSource>,
        storing: Option<&Error>,
    ) {
        // Whoever only shares in what another model fetched has no way.
        let pays = way.is_some();
        self.waiting.remove(&file);
        let planned = self.planned.clone();
        let wanted = &planned.plan.files[file].file;
        let is_there = matches!(report.result, Fetched::Verified { .. });
        let (fetched, reused) = match pays {
            true => (report.fetched, report.reused),
            false if is_there => (0, wanted.size_bytes),
            false => (0, 0),
        };
        self.progress.bytes.fetched += fetched;
        self.progress.bytes.reused += reused;
        if pays {
            name_reused(
                &mut self.origins,
                &planned.plan.files[file],
                reused,
                &report.copied,
            );
            self.note_copies(file, report);
        } else {
            let origin = Origin {
                content: Some(wanted.content),
                ..Origin::of_kind(OriginKind::SameContent)
            };
            self.origins.add(origin, reused);
        }
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
            source: Some(match way {
                Some(_) if fetched == 0 && reused > 0 => FileSource::Reused,
                Some(way) => way,
                None => FileSource::Linked,
            }),
            retries: report.retries,
            result,
            found_bad: planned.findings.bad.contains(&wanted.content),
        });
    }

    /// Returns how far the session has come with its files that are under way.
    pub(super) fn progress_with<'s>(
        &self,
        under_way: impl Iterator<Item = (usize, &'s Saved)>,
    ) -> SessionProgress {
        let mut progress = self.progress.clone();
        let mut origins = self.origins.clone();
        for (file, saved) in under_way {
            let reused = saved
                .bytes
                .min(saved.was_there + saved.copied.iter().sum::<u64>());
            progress.bytes.reused += reused;
            progress.bytes.fetched += saved.bytes - reused;
            progress.bytes.left = progress.bytes.left.saturating_sub(saved.bytes);
            let planned = &self.planned.plan.files[file];
            name_reused(&mut origins, planned, reused, &saved.copied);
        }
        progress.reused_from = origins.largest(MOST_ORIGINS);
        progress
    }

    /// Tells where copied bytes came from, or that they were of no use.
    fn note_copies(&mut self, file: usize, report: &FileReport) {
        let planned = self.planned.clone();
        let wanted = &planned.plan.files[file];
        let Some(delta) = &wanted.delta else {
            return;
        };
        let path = &wanted.file.path;
        if report.copies_were_wrong {
            self.abandoned.push(format!(
                "`{}`: what old files have of `{path}` was not right; it was fetched as a whole",
                self.target.label()
            ));
        }
        for (old, bytes) in delta.sources.iter().zip(&report.copied) {
            if *bytes > 0 {
                let (bytes, old) = (ByteSize(*bytes).render_short(), old.file.display());
                log::info!("`{path}`: {bytes} copied from `{old}`");
            }
        }
    }

    /// Publishes if everything is there, and reports how it went. Returns the
    /// model when another process is publishing the same commit: the caller tries
    /// again, so that the coordinating thread keeps its heartbeat and hears signals.
    pub(super) fn finish(mut self, stop: &StopFlag, events: &mut Vec<SyncEvent>) -> Option<Self> {
        // The stop of the model's own limits first: it was the nearer one.
        let stopped = self.limits.stop().reason().or(stop.reason());
        if self.trouble.is_none() && !self.is_stopped {
            checkpoint("before publishing");
            match self.publish() {
                Ok(path) => self.progress.path = Some(path),
                Err(err) if err.chain().any(|link| link.is::<PublisherBusy>()) => {
                    let since = self.publisher_busy.get_or_insert_with(Stopwatch::start);
                    if stopped.is_some() {
                        log::info!("{err:#}");
                        self.is_stopped = true;
                    } else if since.elapsed() < LONGEST_PUBLISH {
                        return Some(self);
                    } else {
                        self.fail(&err);
                    }
                }
                Err(err) => self.fail(&err),
            }
        }
        checkpoint("before the session closes");
        self.progress.reused_from = self.origins.largest(MOST_ORIGINS);
        let outcome = match (&self.trouble, self.is_stopped) {
            (Some(_), _) => Outcome::Failed,
            (None, true) => Outcome::Partial,
            (None, false) => self.good_outcome(),
        };
        let end = SyncResult {
            outcome,
            verify_outcome: None,
            failure: self.trouble,
            progress: self.progress,
            files: self.files,
            named: self.named,
            moved: self.moved,
            stopped,
            renamed_to: self.planned.renamed_to.clone(),
            held_update: None,
            is_offline: false,
            abandoned_deltas: self.abandoned,
        };
        events.push(SyncEvent::Ended {
            target: self.index,
            result: Box::new(end),
        });
        None
    }

    fn publish(&mut self) -> Result<PathBuf> {
        let (planned, target) = (self.planned.clone(), self.target.clone());
        let Planned {
            place,
            remote,
            plan,
            moves_ref,
            ..
        } = &*planned;
        check_unchanged(&planned)?;
        let writer = self.writer()?;
        let revision = Some(&target.revision).filter(|_| *moves_ref);
        let (path, n_removed) = writer
            .publish(revision, remote, plan, &target.vanished)
            .with_context(|| format!("cannot publish `{}`", target.label()))?;
        // A file that another program has written to since is not the proven one.
        let named = |PlannedFile { file, .. }: &PlannedFile| {
            let stamp = self.stamps.get(&file.content)?;
            let stored = writer.stored(&file.content);
            let path = place.file_of(&remote.commit, file);
            let found = stamp_at(&path).ok().flatten();
            (path != stored && found.as_ref() == Some(stamp)).then_some((stored, path))
        };
        let named = plan.files.iter().filter_map(named).collect();
        let stored = self.stamps.keys().map(|content| writer.stored(content));
        self.moved = stored.filter(|path| !path.exists()).collect();
        self.named = named;
        self.progress.files.deleted = n_removed;
        Ok(path)
    }

    fn good_outcome(&self) -> Outcome {
        let commit = Some(&self.planned.remote.commit);
        let is_in_place = self.planned.old_commit.as_ref() == commit;
        // The database knows it even when the ref or all files have gone.
        let is_known = self.target.known_commit.as_ref() == commit;
        match (is_in_place, self.planned.plan.changes_nothing()) {
            (true, true) => Outcome::UpToDate,
            (true, false) => Outcome::Repaired,
            (false, _) if is_known => Outcome::Repaired,
            (false, _) => Outcome::Updated,
        }
    }
}

/// Describes the files for which no byte has to come.
fn files_on_this_machine(planned: &Planned) -> Vec<SessionFile> {
    let findings = &planned.findings;
    let linked = planned.plan.files.iter();
    let linked = linked.filter_map(|file| findings.linked_file(file));
    let found = findings.found_files(&planned.reused).into_iter();
    let by_path = |file: SessionFile| (file.path.clone(), file);
    let files: BTreeMap<_, _> = found.chain(linked).map(by_path).collect();
    files.into_values().collect()
}

/// Returns the stamps of proven contents that a plan does not fetch.
fn stamps_on_this_machine(planned: &Planned) -> BTreeMap<ContentId, ProofStamp> {
    let imported = planned.findings.imported.iter();
    let imported = imported.map(|(content, (_, stamp))| (*content, *stamp));
    let reused = planned.reused.iter();
    let reused = reused.filter(|file| file.file == planned.place.stored(&file.content));
    let reused = reused.filter_map(|file| Some((file.content, file.stamp?)));
    imported.chain(reused).collect()
}

/// Checks that the files that are used as they are still are those that were proven.
fn check_unchanged(planned: &Planned) -> Result<()> {
    for file in &planned.reused {
        let found = stamp_at(&file.file);
        let found = found.with_context(|| format!("cannot look at `{}`", file.file.display()))?;
        ensure!(
            found.is_some() && found == file.stamp,
            "`{}` was changed by another program meanwhile; the next run reads it again",
            file.file.display()
        );
    }
    Ok(())
}

/// Names where a fetched file's reused bytes came from: what was not copied
/// another run had brought.
fn name_reused(origins: &mut Origins, planned: &PlannedFile, reused: u64, copied: &[u64]) {
    let mut left = reused;
    let sources = planned.delta.iter().flat_map(|delta| &delta.sources);
    for (old, bytes) in sources.zip(copied) {
        // Of a file that is still under way not all copies need be saved yet.
        let bytes = left.min(*bytes);
        origins.add(old.origin.clone(), bytes);
        left -= bytes;
    }
    origins.add(Origin::other_run(planned.file.path.clone()), left);
}
