//! A target whose files are fetched, and the record for its session.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::Error;

use super::check::Planned;
use super::checking::trouble_of_hold;
use super::destination_writer::DestinationWriter;
use super::file_fetch::SavedBytes;
use super::result::SyncResult;
use super::target::Target;
use crate::cache::{UnpublishedFile, UnpublishedSnapshot};
use crate::domain::content::ContentId;
use crate::domain::gate::GateRecord;
use crate::domain::hold::{Finding, Hold};
use crate::domain::origin::{OriginKind, Origins};
use crate::domain::outcome::{ErrorKind, Outcome};
use crate::domain::plan::{Action, ContentLocation, PlannedFile};
use crate::domain::proof::ProofStamp;
use crate::domain::repo::Repo;
use crate::domain::session::{
    ByteCounts, FileCounts, FileResult, FileSource, SessionFile, SessionProgress, Trouble,
};
use crate::domain::snapshot::RemoteFile;
use crate::domain::units::ByteSize;
use crate::download::{FetchResult as Fetched, FileReport, SMALL_FILE_MAX};
use crate::ops::diagnose::{hint_for_file, trouble_of};
use crate::sys::host::checkpoint;
use crate::sys::lock::FileLock;
use crate::sys::logging;
use crate::sys::stop::StopReason;

/// A target that fetches into its open destination.
pub(super) struct TargetSync {
    pub(super) record: SyncRecord,
    pub(super) writer: DestinationWriter,
    /// Stamps of proven contents that are stored and have no final name yet.
    pub(super) stamps: BTreeMap<ContentId, ProofStamp>,
    /// Held while files are fetched.
    folder_lock: Option<FileLock>,
    /// Indexes in the plan of files that have not ended.
    waiting: BTreeSet<usize>,
}

impl TargetSync {
    pub(super) fn new(planned: Rc<Planned>, own: &Repo, writer: DestinationWriter) -> Self {
        let files = planned.plan.files.iter().enumerate();
        let waiting = files.filter(|(_, file)| file.action.is_fetch());
        Self {
            waiting: waiting.map(|(index, _)| index).collect(),
            stamps: stamps_on_this_machine(&planned),
            folder_lock: None,
            record: SyncRecord::new(planned, own),
            writer,
        }
    }

    pub(super) fn planned(&self) -> &Planned {
        &self.record.planned
    }

    /// Shows other homes that files are fetched here: small files have no lock of their own.
    pub(super) fn show_fetch(&mut self) {
        let locked = self.writer.lock_folder();
        self.folder_lock = locked.unwrap_or_else(|err| {
            log::debug!("{err:#}");
            None
        });
    }

    /// Returns the path of a file while it is fetched. A small file has a new one each time,
    /// because two homes may fetch it at the same time.
    pub(super) fn partial(&self, file: &RemoteFile) -> PathBuf {
        if file.size_bytes <= SMALL_FILE_MAX {
            self.writer.aside()
        } else {
            self.planned().destination.partial(&file.content)
        }
    }

    /// Returns the snapshot as the gate gets to see it.
    pub(super) fn unpublished(&self, reserve: ByteSize) -> UnpublishedSnapshot {
        let planned = self.planned();
        let files = planned
            .plan
            .files
            .iter()
            .map(|PlannedFile { file, action, .. }| {
                let (source, permissions) = match action {
                    Action::Keep => (
                        planned.destination.read_as(&planned.remote.commit, file),
                        None,
                    ),
                    _ => (self.writer.stored(&file.content), self.writer.permissions()),
                };
                UnpublishedFile {
                    path: file.path.clone(),
                    source,
                    permissions,
                }
            });
        UnpublishedSnapshot {
            root: self.writer.aside(),
            links: planned.destination.links(),
            files: files.collect(),
            reserve,
        }
    }

    /// Returns whether every file has ended.
    pub(super) fn is_done(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Records the end of a file. `source` is `None` if another target fetched it.
    pub(super) fn end_file(
        &mut self,
        target: &Target,
        index: usize,
        report: &FileReport,
        source: Option<FileSource>,
        storing: Option<&Error>,
    ) {
        self.waiting.remove(&index);
        if source.is_some() {
            self.record.note_copies(target, index, report);
        }
        self.record.end_file(index, report, source, storing);
    }
}

/// The record of one target for its session.
pub(super) struct SyncRecord {
    pub(super) planned: Rc<Planned>,
    pub(super) progress: SessionProgress,
    /// The origins of the reused bytes of `progress`, except bytes already in place.
    origins: Origins,
    files: Vec<SessionFile>,
    /// Messages about deltas that gave wrong bytes.
    abandoned: Vec<String>,
    failure: Option<Trouble>,
    /// Findings about the fetched files, which are not published.
    hold: Option<Hold>,
    /// The gate that holds them.
    gate: Option<GateRecord>,
    pub(super) is_stopped: bool,
    /// Stopped before the gate had finished its check.
    pub(super) in_gate: bool,
}

impl SyncRecord {
    pub(super) fn new(planned: Rc<Planned>, own: &Repo) -> Self {
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
        Self {
            files: files_on_this_machine(&planned),
            origins: linked_origins(&planned, own),
            planned,
            progress,
            abandoned: Vec::new(),
            failure: None,
            hold: None,
            gate: None,
            is_stopped: false,
            in_gate: false,
        }
    }

    /// Returns whether every file is there, so that the target can be published.
    pub(super) fn is_complete(&self) -> bool {
        self.failure.is_none() && self.hold.is_none() && !self.is_stopped
    }

    /// Holds the fetched commit back. Its contents stay stored, so that a later run
    /// does not fetch them again.
    pub(super) fn hold(&mut self, findings: Vec<Finding>) {
        self.hold = Some(Hold {
            findings,
            commit: self.planned.remote.commit.clone(),
            published: self.planned.old_commit.clone(),
            is_rejected: false,
        });
    }

    /// Holds the fetched commit back, because the gate did not let it pass.
    pub(super) fn hold_by_gate(&mut self, record: GateRecord) {
        let planned = &self.planned;
        let published = planned.old_commit.as_ref();
        self.progress.path = published.map(|old| planned.destination.readable_at(old));
        self.hold(vec![record.finding.clone()]);
        self.gate = Some(record);
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Keeps the worst failure as that of the target; the others are in the log.
    pub(super) fn fail(&mut self, error: &Error) {
        self.note_failure(trouble_of(error));
    }

    fn note_failure(&mut self, failure: Trouble) {
        log::warn!(target: logging::SESSION, "{}", failure.message);
        let is_worse = |old: &Trouble| {
            let (old, new) = (old.kind.exit_status(), failure.kind.exit_status());
            old != new && old.worst(new) == new
        };
        if self.failure.as_ref().is_none_or(is_worse) {
            self.failure = Some(failure);
        }
    }

    fn end_file(
        &mut self,
        index: usize,
        report: &FileReport,
        source: Option<FileSource>,
        storing: Option<&Error>,
    ) {
        let planned = self.planned.clone();
        let planned_file = &planned.plan.files[index];
        let wanted = &planned_file.file;
        let is_verified = matches!(report.result, Fetched::Verified { .. });
        let (fetched, reused) = if source.is_some() {
            self.progress.retries += report.retries;
            add_origins(&mut self.origins, report.reused, &report.copied);
            (report.fetched, report.reused)
        } else {
            let reused = if is_verified { wanted.size_bytes } else { 0 };
            self.origins.add(OriginKind::SameContent, None, reused);
            (0, reused)
        };
        self.progress.bytes.fetched += fetched;
        self.progress.bytes.reused += reused;
        let result = self.take_result(wanted, report, storing);
        self.files.push(SessionFile {
            path: wanted.path.clone(),
            content: wanted.content,
            size_bytes: wanted.size_bytes,
            bytes_fetched: fetched,
            bytes_reused: reused,
            source: Some(match source {
                Some(_) if fetched == 0 && reused > 0 => FileSource::Reused,
                Some(source) => source,
                None => FileSource::Linked,
            }),
            retries: report.retries,
            result,
            found_bad: planned.local_reads.bad.contains(&wanted.content),
        });
    }

    /// Counts the result of a file, and keeps its failure.
    fn take_result(
        &mut self,
        wanted: &RemoteFile,
        report: &FileReport,
        storing: Option<&Error>,
    ) -> FileResult {
        match &report.result {
            Fetched::Verified { .. } => match storing {
                None => {
                    self.progress.files.fetched += 1;
                    self.take_from_left(wanted.size_bytes);
                    FileResult::Verified
                }
                Some(err) => {
                    self.fail(err);
                    FileResult::Failed
                }
            },
            Fetched::Partial { kept } => {
                self.is_stopped = true;
                self.take_from_left(*kept);
                let kept = ByteSize(*kept).render_short();
                log::info!("`{}`: {kept} kept for the next run", wanted.path);
                FileResult::Partial
            }
            Fetched::Busy => {
                self.note_failure(Trouble {
                    kind: ErrorKind::Network,
                    message: format!("another process is fetching `{}` now", wanted.path),
                    hint: None,
                });
                FileResult::Partial
            }
            Fetched::Failed(error) => {
                let mut message = format!("`{}`: {}", wanted.path, error.message);
                if let Some(path) = &error.evidence {
                    let path = path.display();
                    message.push_str(&format!("; the wrong bytes are kept in `{path}`"));
                }
                self.note_failure(Trouble {
                    kind: error.kind,
                    message,
                    hint: error.hint.clone().or_else(|| hint_for_file(error.kind)),
                });
                FileResult::Failed
            }
        }
    }

    fn take_from_left(&mut self, bytes: u64) {
        self.progress.bytes.left = self.progress.bytes.left.saturating_sub(bytes);
    }

    /// Returns the progress with the saved bytes of files that have not ended.
    pub(super) fn progress_with<'s>(
        &self,
        unfinished: impl Iterator<Item = &'s SavedBytes>,
    ) -> SessionProgress {
        let mut progress = self.progress.clone();
        let mut origins = self.origins.clone();
        for saved in unfinished {
            let reused = saved.resumed + saved.copied.iter().sum::<u64>();
            let reused = reused.min(saved.total);
            progress.bytes.reused += reused;
            progress.bytes.fetched += saved.total - reused;
            progress.bytes.left = progress.bytes.left.saturating_sub(saved.total);
            add_origins(&mut origins, reused, &saved.copied);
        }
        progress.reused_from = origins.by_size();
        progress
    }

    /// Logs the origins of copied bytes, or records that they were wrong.
    fn note_copies(&mut self, target: &Target, index: usize, report: &FileReport) {
        let wanted = &self.planned.plan.files[index];
        let Some(delta) = &wanted.delta else {
            return;
        };
        let path = &wanted.file.path;
        if report.copies_were_wrong {
            self.abandoned.push(format!(
                "`{}`: the bytes copied from old files for `{path}` were wrong; the whole file was fetched",
                target.label()
            ));
        }
        for (old, bytes) in delta.sources.iter().zip(&report.copied) {
            if *bytes > 0 {
                let (bytes, old) = (ByteSize(*bytes).render_short(), old.display());
                log::info!("`{path}`: {bytes} copied from `{old}`");
            }
        }
    }

    /// Ends the session of a target: published, failed or stopped.
    pub(super) fn into_result(
        mut self,
        target: &Target,
        stopped: Option<StopReason>,
    ) -> SyncResult {
        checkpoint("before the session closes");
        self.progress.reused_from = self.origins.by_size();
        let outcome = match (&self.failure, &self.hold) {
            (Some(_), _) => Outcome::Failed,
            (None, _) if self.is_stopped => Outcome::Partial,
            (None, Some(hold)) => {
                self.failure = trouble_of_hold(&target.label(), hold);
                Outcome::Held
            }
            (None, None) => self.good_outcome(target),
        };
        SyncResult {
            files: self.files,
            stopped,
            in_gate: self.in_gate,
            renamed_to: self.planned.renamed_to.clone(),
            terms: self.planned.terms.clone(),
            note: Some(self.planned.note.clone()),
            abandoned_deltas: self.abandoned,
            changes: self.planned.changes.clone(),
            hold: self.hold,
            gate: self.gate,
            ..SyncResult::without_files(outcome, self.failure, self.progress)
        }
    }

    fn good_outcome(&self, target: &Target) -> Outcome {
        let commit = Some(&self.planned.remote.commit);
        let is_in_place = self.planned.old_commit.as_ref() == commit;
        let is_unchanged = self.planned.is_read_here && self.planned.plan.changes_nothing();
        // The database knows the commit even if the ref or all files are lost.
        let is_known = target.known_commit.as_ref() == commit;
        let is_news = target.is_news(&self.planned.remote.commit);
        if is_in_place && !is_news && is_unchanged {
            Outcome::UpToDate
        } else if is_known || is_in_place && !is_news {
            Outcome::Repaired
        } else {
            Outcome::Updated
        }
    }
}

/// Describes the files of which no byte is fetched.
fn files_on_this_machine(planned: &Planned) -> Vec<SessionFile> {
    let reads = &planned.local_reads;
    let linked = planned.plan.files.iter();
    let linked = linked.filter_map(|file| reads.linked_file(file));
    let found = reads.found_files(&planned.reused).into_iter();
    let by_path = |file: SessionFile| (file.path.clone(), file);
    let files: BTreeMap<_, _> = found.chain(linked).map(by_path).collect();
    files.into_values().collect()
}

/// Returns the stamps of proven contents that a plan does not fetch.
fn stamps_on_this_machine(planned: &Planned) -> BTreeMap<ContentId, ProofStamp> {
    let imported = planned.local_reads.imported.iter();
    let imported = imported.map(|(content, (_, stamp))| (*content, *stamp));
    let reused = planned.reused.iter();
    let reused = reused.filter(|file| file.file == planned.destination.stored(&file.content));
    let reused = reused.filter_map(|file| Some((file.content, file.stamp?)));
    imported.chain(reused).collect()
}

/// Returns the origins of files that are linked to contents of another place, or to
/// contents that are fetched for other files.
fn linked_origins(planned: &Planned, own: &Repo) -> Origins {
    let mut origins = Origins::default();
    for file in &planned.plan.files {
        let (content, size_bytes) = (&file.file.content, file.file.size_bytes);
        let repo = match &file.action {
            Action::Link(ContentLocation::At(path))
                if planned.adopted.find(content, path).is_some() =>
            {
                origins.add_adopted(path, size_bytes);
                continue;
            }
            Action::Link(ContentLocation::At(path)) => {
                let repo = planned.destination.cache().repo_of(path);
                // Without links an older snapshot has the file.
                if repo.as_ref() == Some(own) && planned.destination.is_cache() {
                    continue;
                }
                repo
            }
            Action::LinkToFetched => None,
            _ => continue,
        };
        let repo = repo.filter(|repo| repo != own);
        origins.add(OriginKind::SameContent, repo, size_bytes);
    }
    origins
}

/// Adds the origins of a file's reused bytes: old files for copied bytes, and an
/// earlier run for the rest.
fn add_origins(origins: &mut Origins, reused: u64, copied: &[u64]) {
    // Not all copies of an unfinished file need be saved yet.
    let copied = reused.min(copied.iter().sum());
    origins.add(OriginKind::OldFile, None, copied);
    origins.add(OriginKind::OtherRun, None, reused - copied);
}
