//! One file that is fetched for some targets, and the events of the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Error, Result, anyhow};

use super::delta::write_down;
use super::fetching::{BUSY_PAUSE, BUSY_RETRIES};
use super::preflight::{Need, missing_bytes};
use super::result::SyncEvent;
use super::syncer::{Syncer, TargetEntry, TargetState};
use super::target::TargetId;
use crate::domain::content::ContentId;
use crate::domain::proof::ProofStamp;
use crate::download::{EngineEvent, FetchJob, FetchResult, FileId, FileReport, VerifiedFile};
use crate::sys::host::checkpoint;
use crate::sys::stamp::{set_back_coarse_time, stamp_at};

/// Verified files that are stored together at most. A kill loses those that are not stored.
const MOST_STORED_AT_ONCE: usize = 64;

/// A file that is fetched once for all targets that want it.
pub(super) struct FileFetch {
    /// Shared with the engine.
    pub(super) job: Arc<FetchJob>,
    pub(super) uses: Vec<FileUse>,
    pub(super) saved: SavedBytes,
    /// Announced bytes that have not been received yet.
    pub(super) expected: u64,
    /// Bytes from an earlier run, by the plan.
    pub(super) have: u64,
    pub(super) is_announced: bool,
    pub(super) retries_left: u32,
    /// A stored file of this content must not be used.
    pub(super) is_distrusted: bool,
    /// Bytes that were missing on disk before the engine started the file.
    pub(super) need: Need,
    pub(super) state: FetchState,
}

pub(super) enum FetchState {
    /// The engine has the file.
    Fetching,
    /// Another process was fetching it at the last attempt.
    Busy,
    /// Another process has stored it here, and a reader proves it.
    Stored { path: PathBuf },
}

/// A file of a target's plan, by its index.
#[derive(Clone, Copy)]
pub(super) struct FileUse {
    pub(super) target: TargetId,
    pub(super) index: usize,
}

/// Bytes on disk of a file that has not ended.
#[derive(Clone, Debug, Default)]
pub(super) struct SavedBytes {
    pub(super) total: u64,
    /// From an earlier run.
    pub(super) resumed: u64,
    /// From each old file; may be shorter than the list of old files.
    pub(super) copied: Vec<u64>,
}

impl SavedBytes {
    fn add_copied(&mut self, source: usize, bytes: u64) {
        if self.copied.len() <= source {
            self.copied.resize(source + 1, 0);
        }
        self.copied[source] += bytes;
    }

    /// Sets the total. A smaller total than before means that everything was
    /// discarded and is fetched again.
    fn grow_to(&mut self, bytes: u64) {
        if bytes < self.total {
            *self = Self::default();
        }
        self.total = bytes;
    }
}

impl FileFetch {
    /// Counts received bytes; returns how many of them were not announced: ranges
    /// that could not be copied, or had a wrong hash.
    fn receive(&mut self, bytes: u64) -> u64 {
        let unexpected = bytes.saturating_sub(self.expected);
        self.expected = self.expected.saturating_sub(bytes);
        unexpected
    }

    /// Returns the target for which its bytes count.
    fn first_target(&self) -> Option<TargetId> {
        self.uses.first().map(|first| first.target)
    }

    pub(super) fn missing_on_disk(&self) -> u64 {
        missing_bytes(&self.job.partial, self.job.size_bytes)
    }
}

impl Syncer<'_> {
    /// Waits up to `wait` for events of the engine, and handles all that are there.
    pub(super) fn take_engine_events(&mut self, mut wait: Duration) {
        let mut verified = Vec::new();
        while let Some(event) = self.engine.next(wait) {
            wait = Duration::ZERO;
            match event {
                EngineEvent::Verified { report, file } => verified.push((report, file)),
                event => self.take_engine_event(event),
            }
            if verified.len() == MOST_STORED_AT_ONCE {
                self.take_verified(std::mem::take(&mut verified));
            }
        }
        self.take_verified(verified);
    }

    /// Stores verified files. Each target records all of its files before the first one gets
    /// its name.
    fn take_verified(&mut self, verified: Vec<(FileReport, VerifiedFile)>) {
        if verified.is_empty() {
            return;
        }
        // Before the record, which has the time.
        for (_, file) in &verified {
            if let Err(err) = set_back_coarse_time(file.path()) {
                // Its proof does not hold then, and the next run reads it again.
                log::debug!("`{}` keeps its time: {err}", file.path().display());
            }
        }
        let noted = self.note_blobs(&verified);
        checkpoint("blobs noted");
        for (report, file) in verified {
            let Some(fetched) = self.files.get(&report.id) else {
                continue;
            };
            let (name, n_files) = (fetched.job.name.clone(), fetched.uses.len() as u64);
            self.save_delta_map(&report, file.path());
            self.keep_evidence(&report);
            let is_noted = noted.contains(&report.id);
            let stored = self.store(&report, file.path(), is_noted);
            if stored.is_ok() {
                drop(file);
            } else {
                file.discard();
            }
            self.events.push(SyncEvent::FileEnded {
                name,
                n_files: if stored.is_ok() { n_files } else { 0 },
                n_stored: 0,
            });
            checkpoint("first content stored");
            self.end_file(&report, stored.as_ref().err());
        }
    }

    /// Records the files of a batch as this home's, with one write for each target; returns
    /// those that are recorded. The others are recorded one by one, so that each failure has
    /// its file.
    fn note_blobs(&self, verified: &[(FileReport, VerifiedFile)]) -> BTreeSet<FileId> {
        let mut by_target: BTreeMap<TargetId, Vec<(FileId, ContentId, &Path)>> = BTreeMap::new();
        for (report, file) in verified {
            let fetched = self.files.get(&report.id);
            if let Some((fetched, target)) =
                fetched.and_then(|fetched| Some((fetched, fetched.first_target()?)))
            {
                let blobs = by_target.entry(target).or_default();
                blobs.push((report.id, fetched.job.content, file.path()));
            }
        }
        let mut noted = BTreeSet::new();
        for (target, blobs) in by_target {
            let Some(TargetState::Fetching(sync)) = self.targets.get(&target).map(|it| &it.state)
            else {
                continue;
            };
            let files = blobs.iter().map(|(_, content, path)| (*content, *path));
            match sync.writer.note_blobs(files) {
                Ok(()) => noted.extend(blobs.iter().map(|(id, ..)| *id)),
                Err(err) => log::debug!("{err:#}"),
            }
        }
        noted
    }

    fn take_engine_event(&mut self, event: EngineEvent) {
        let Some(file) = self.files.get_mut(&event.id()) else {
            return;
        };
        let name = file.job.name.clone();
        match event {
            EngineEvent::Started { id, reused } => {
                file.saved = SavedBytes {
                    total: reused,
                    resumed: reused,
                    ..SavedBytes::default()
                };
                self.with_progress.extend(file.first_target());
                self.events.push(SyncEvent::FileStarted {
                    name,
                    n_bytes: file.job.size_bytes,
                    have: reused,
                });
                // From here on the disk is asked: the partial file may own its whole space.
                if self.started.insert(id) {
                    self.promised.remove(file.need);
                }
            }
            EngineEvent::Progress { bytes, .. } => {
                let n_bytes = file.receive(bytes);
                if n_bytes > 0 {
                    self.events.push(SyncEvent::FetchPlanned {
                        n_files: 0,
                        n_bytes,
                        have: 0,
                    });
                }
                let n_bytes = bytes;
                self.events.push(SyncEvent::BytesFetched { name, n_bytes });
            }
            EngineEvent::Copied { source, bytes, .. } => {
                file.saved.add_copied(source, bytes);
                let n_bytes = bytes;
                self.events.push(SyncEvent::BytesCopied { name, n_bytes });
            }
            EngineEvent::Retrying { after, error, .. } => {
                log::info!("`{name}`: {error}; retry in {:.1} s", after.as_secs_f64());
                let message = error.brief.unwrap_or(error.message);
                self.show_wait(Some(name), message, Some(after));
            }
            EngineEvent::Saved { bytes, .. } => {
                file.saved.grow_to(bytes);
                self.with_progress.extend(file.first_target());
            }
            EngineEvent::Verified { report, file } => self.take_verified(vec![(report, file)]),
            EngineEvent::Ended { report } => self.take_unfinished(&report),
        }
    }

    /// Ends a file that was not fetched, unless another process may end its fetch soon.
    fn take_unfinished(&mut self, report: &FileReport) {
        let Some(file) = self.files.get_mut(&report.id) else {
            return;
        };
        let name = file.job.name.clone();
        self.events.push(SyncEvent::FileEnded {
            name: name.clone(),
            n_files: 0,
            n_stored: 0,
        });
        let may_retry = file.retries_left > 0 && !self.limits.is_stopped();
        if report.result != FetchResult::Busy || !may_retry {
            return self.end_file(report, None);
        }
        let is_first = file.retries_left == BUSY_RETRIES;
        file.retries_left -= 1;
        file.state = FetchState::Busy;
        let seconds = (BUSY_PAUSE * BUSY_RETRIES).as_secs();
        let message = format!("another process is fetching it; waiting up to {seconds} s");
        if is_first {
            log::info!("`{name}`: {message}");
        }
        self.show_wait(Some(name), message, None);
    }

    pub(super) fn show_wait(
        &mut self,
        file: Option<Arc<str>>,
        message: String,
        span: Option<Duration>,
    ) {
        self.events.push(SyncEvent::Waiting {
            file,
            message,
            span,
        });
    }

    /// Reports the saved bytes of a target.
    pub(super) fn report_progress(&mut self, target: TargetId) {
        let Some(TargetState::Fetching(sync)) = self.targets.get(&target).map(|entry| &entry.state)
        else {
            return;
        };
        let started = self.started.iter().filter_map(|id| self.files.get(id));
        let own =
            started.filter(|file| file.first_target() == Some(target) && file.saved.total > 0);
        let progress = sync.record.progress_with(own.map(|file| &file.saved));
        self.events
            .push(SyncEvent::ProgressSaved { target, progress });
    }

    /// Keeps the stamp of a stored content for all targets that use it.
    pub(super) fn note_stamp(&mut self, id: FileId, stamp: ProofStamp) {
        let Some(file) = self.files.get(&id) else {
            return;
        };
        for file_use in &file.uses {
            if let Some(TargetEntry {
                state: TargetState::Fetching(sync),
                ..
            }) = self.targets.get_mut(&file_use.target)
            {
                sync.stamps.insert(file.job.content, stamp);
            }
        }
    }

    /// Moves a verified file to the path where all its targets find it.
    fn store(&mut self, report: &FileReport, verified: &Path, is_noted: bool) -> Result<()> {
        let file = self.files.get(&report.id);
        let first = file.and_then(|file| Some((self.first_sync(file)?, file.job.content)));
        let (sync, content) =
            first.ok_or_else(|| anyhow!("a fetched file belongs to no target"))?;
        if !is_noted {
            sync.writer.note_blobs([(content, verified)].into_iter())?;
        }
        // Another home may give the stored file its final name at once.
        let stamp = stamp_at(verified).ok().flatten();
        sync.writer.store(&content, verified)?;
        if let Some(stamp) = stamp {
            let path = sync.writer.stored(&content);
            self.proofs.add(&path, content, stamp);
            self.note_stamp(report.id, stamp);
        }
        Ok(())
    }

    /// Gives damaged bytes a second name before good ones replace them. A failure leaves
    /// the repair alone.
    fn keep_evidence(&self, report: &FileReport) {
        let Some(file) = self.files.get(&report.id).filter(|it| it.is_distrusted) else {
            return;
        };
        for file_use in &file.uses {
            let Some(TargetEntry {
                request,
                state: TargetState::Fetching(sync),
            }) = self.targets.get(&file_use.target)
            else {
                continue;
            };
            let planned = sync.planned();
            let (place, commit) = (&planned.destination, &planned.remote.commit);
            let wanted = &planned.plan.files[file_use.index].file;
            if !place.was_edited(&wanted.path) {
                let path = place.file_of(commit, wanted);
                let evidence = place.evidence(&wanted.content);
                let is_forced = request.target.force;
                self.proofs
                    .keep_evidence(&path, wanted, is_forced, &evidence);
            }
        }
    }

    /// Saves the chunks of a file for the delta of its next version.
    fn save_delta_map(&self, report: &FileReport, proven: &Path) {
        let Some(file) = self.files.get(&report.id) else {
            return;
        };
        let Some((sync, file_use)) = self.first_sync(file).zip(file.uses.first()) else {
            return;
        };
        let planned = sync.planned();
        let wanted = &planned.plan.files[file_use.index];
        if let Some(delta) = &wanted.delta
            && !report.copies_were_wrong
        {
            write_down(&planned.destination, &wanted.file, delta, proven);
        }
    }

    pub(super) fn end_unfetched(&mut self, id: FileId, result: FetchResult) {
        self.end_file(&FileReport::unfetched(id, result), None);
    }

    /// Removes a file, records its end for all targets that use it, and publishes
    /// those that wait for nothing more.
    pub(super) fn end_file(&mut self, report: &FileReport, storing: Option<&Error>) {
        let Some(file) = self.files.remove(&report.id) else {
            return;
        };
        self.by_evidence.remove(&file.job.evidence);
        if !self.started.remove(&report.id) {
            self.promised.remove(file.need);
        }
        let source = file.job.source.way();
        for (position, file_use) in file.uses.iter().enumerate() {
            let Some(TargetEntry {
                request,
                state: TargetState::Fetching(sync),
            }) = self.targets.get_mut(&file_use.target)
            else {
                continue;
            };
            // The bytes were fetched once; they count for the first target only.
            let source = (position == 0).then_some(source);
            sync.end_file(&request.target, file_use.index, report, source, storing);
            self.with_progress.insert(file_use.target);
            if sync.is_done()
                && let Some(TargetEntry {
                    request,
                    state: TargetState::Fetching(sync),
                }) = self.targets.remove(&file_use.target)
            {
                self.publish(file_use.target, request, sync, None);
            }
        }
    }
}
