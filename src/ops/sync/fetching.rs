//! The state in which the files of a target are fetched.
//!
//! One engine fetches the files of all targets; its threads only fetch and hash.
//! A file that another process is fetching is retried, and a file that another
//! process has stored is proven by a reader.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::check::Planned;
use super::delta::{client_for, save_new_maps};
use super::destination_writer::DestinationWriter;
use super::either_source::EitherSource;
use super::file_fetch::{FetchState, FileFetch, FileUse, SavedBytes};
use super::preflight::Need;
use super::readers::{GoodRead, ReadJob, ReadResult, Task};
use super::reading::ReadPurpose;
use super::result::SyncEvent;
use super::source::HubFile;
use super::syncer::{Syncer, TargetEntry, TargetState};
use super::target::{SyncRequest, Target, TargetId};
use super::target_sync::TargetSync;
use crate::domain::plan::{FileDelta, PlannedFile};
use crate::domain::proof::ProofStamp;
use crate::domain::snapshot::RemoteFile;
use crate::download::{ByteSource, Copies, FetchJob, FetchResult, FileId, FileReport};
use crate::hub::FileAddress;
use crate::sys::pause::Stopwatch;
use crate::sys::stamp::stamp_at;

/// The number of retries, and the pause between them, of a file that another
/// process is fetching. Two processes may each have files that the other lacks,
/// and then both get everything; a fetch of hours is not waited for.
pub(super) const BUSY_RETRIES: u32 = 20;
pub(super) const BUSY_PAUSE: Duration = Duration::from_millis(500);

impl Syncer<'_> {
    /// Begins to fetch the files of a plan, or publishes if there are none.
    pub(super) fn start_fetching(
        &mut self,
        id: TargetId,
        request: SyncRequest,
        planned: Box<Planned>,
        writer: DestinationWriter,
        need: Need,
    ) {
        let planned: Rc<Planned> = Rc::from(planned);
        let mut sync = TargetSync::new(planned.clone(), &request.target.repo, writer);
        if sync.is_done() {
            return self.publish(id, request, sync, None);
        }
        sync.show_fetch();
        let mut order = request.order;
        let (mut new, mut n_shared) = (Vec::new(), 0);
        let files = planned.plan.files.iter().enumerate();
        for (index, wanted) in files.filter(|(_, file)| file.action.is_fetch()) {
            let file_use = FileUse { target: id, index };
            let evidence: Arc<Path> = planned.destination.evidence(&wanted.file.content).into();
            let known = self.by_evidence.get(&evidence);
            if let Some(file) = known.and_then(|known| self.files.get_mut(known)) {
                // Two targets of one repository want the same content.
                file.uses.push(file_use);
                file.is_distrusted |= planned.distrusted.contains(&wanted.file.content);
                n_shared += u64::from(file.is_announced);
                continue;
            }
            if let Some(delta) = &wanted.delta {
                save_new_maps(&planned.destination, delta);
            }
            let file_id = self.engine.new_id();
            let rank = order.next(wanted.missing_bytes());
            let mut file = self.new_file(&request, &sync, file_use, evidence.clone(), rank);
            file.need = Need {
                bytes: file.missing_on_disk(),
                ..need
            };
            self.promised.add(file.need);
            self.by_evidence.insert(evidence, file_id);
            self.files.insert(file_id, file);
            new.push(file_id);
        }
        self.announce_here(&planned);
        self.announce(n_shared, 0, 0);
        self.insert(id, request, TargetState::Fetching(sync));
        // A look at the run from elsewhere sees the plan from the start.
        self.report_progress(id);
        self.fetch(new);
    }

    /// Describes a file of a target's plan for the engine.
    fn new_file(
        &self,
        request: &SyncRequest,
        sync: &TargetSync,
        file_use: FileUse,
        evidence: Arc<Path>,
        rank: u64,
    ) -> FileFetch {
        let planned = sync.planned();
        let wanted = &planned.plan.files[file_use.index];
        let RemoteFile {
            path,
            content,
            size_bytes,
            ..
        } = &wanted.file;
        let address = FileAddress {
            repo: request.target.repo.clone(),
            commit: planned.remote.commit.clone(),
            path: path.clone(),
        };
        let job = FetchJob {
            name: format!("{}: {path}", request.target.label()).into(),
            content: *content,
            size_bytes: *size_bytes,
            partial: sync.partial(&wanted.file),
            evidence,
            source: self.source(&request.target, wanted, address),
            limits: request.limits.clone(),
            copies: wanted.delta.as_ref().map(|delta| copies(delta)),
            rank,
        };
        FileFetch {
            job: Arc::new(job),
            uses: vec![file_use],
            saved: SavedBytes::default(),
            expected: wanted.missing_bytes(),
            have: wanted.resumed_bytes(),
            is_announced: false,
            retries_left: BUSY_RETRIES,
            is_distrusted: planned.distrusted.contains(content),
            need: Need::default(),
            state: FetchState::Fetching,
        }
    }

    /// Returns the source of a file's bytes.
    fn source(
        &self,
        target: &Target,
        wanted: &PlannedFile,
        address: FileAddress,
    ) -> Arc<dyn ByteSource> {
        let (repo, commit) = (address.repo.clone(), address.commit.clone());
        // The check of the target has made this client already.
        let hub = self.clients.with_token(target.token_name.as_ref());
        let hub = hub.unwrap_or_else(|_| self.clients.own().clone());
        let plain = HubFile::new(&hub, address);
        match (&self.xet, wanted.file.xet_hash) {
            (Some(xet), Some(hash)) => {
                let client = client_for(xet, &hub, &repo, &commit);
                // A mostly copied file lacks only small ranges.
                let is_settled = wanted.delta.is_some();
                let size_bytes = wanted.file.size_bytes;
                Arc::new(EitherSource::new(
                    plain, &client, hash, size_bytes, is_settled,
                ))
            }
            _ => Arc::new(plain),
        }
    }

    /// Hands files to the engine, except those that another process has stored
    /// meanwhile: they are proven first.
    fn fetch(&mut self, ids: Vec<FileId>) {
        let (mut jobs, mut stored) = (Vec::new(), Vec::new());
        let (mut n_files, mut n_bytes, mut have) = (0, 0, 0);
        for id in ids {
            let path = self.stored_path(id);
            let Some(file) = self.files.get_mut(&id) else {
                continue;
            };
            if let Some(path) = path {
                stored.push((id, path));
                continue;
            }
            if !file.is_announced {
                file.is_announced = true;
                n_files += file.uses.len() as u64;
                n_bytes += file.expected;
                have += file.have;
            }
            file.state = FetchState::Fetching;
            jobs.push((id, file.job.clone()));
        }
        self.announce(n_files, n_bytes, have);
        self.engine.add_numbered(jobs);
        for (id, path) in stored {
            self.prove_stored(id, path);
        }
    }

    fn announce_here(&mut self, planned: &Planned) {
        let totals = planned.plan.totals;
        let is_first = planned.old_commit.is_none();
        self.events.push(SyncEvent::FilesHere {
            n_files: totals.files_reused,
            n_bytes: if is_first { totals.bytes_reused } else { 0 },
        });
    }

    fn announce(&mut self, n_files: u64, n_bytes: u64, have: u64) {
        if n_files > 0 {
            self.events.push(SyncEvent::FetchPlanned {
                n_files,
                n_bytes,
                have,
            });
        }
    }

    /// Returns the path of a file that is stored already and not distrusted.
    fn stored_path(&self, id: FileId) -> Option<PathBuf> {
        let file = self.files.get(&id).filter(|file| !file.is_distrusted)?;
        let writer = &self.first_sync(file)?.writer;
        let content = &file.job.content;
        let is_stored = writer.has(content, file.job.size_bytes);
        is_stored.then(|| writer.stored(content))
    }

    /// Uses a file that another process has stored if a proof is valid; else reads it.
    fn prove_stored(&mut self, id: FileId, path: PathBuf) {
        let Some(file) = self.files.get_mut(&id) else {
            return;
        };
        let content = file.job.content;
        let stamp = stamp_at(&path).ok().flatten();
        if let Some(stamp) = stamp
            && self.proofs.hold_for(&path, &content, Some(&stamp))
        {
            return self.use_stored(id, stamp);
        }
        let job = ReadJob {
            name: file.job.name.clone(),
            content,
            size_bytes: file.job.size_bytes,
            task: Task::Prove { file: path.clone() },
            limits: file.job.limits.clone(),
        };
        file.state = FetchState::Stored { path };
        self.read(job, ReadPurpose::Stored(id));
    }

    /// Uses a file that another process has stored if it is good, else fetches it.
    pub(super) fn take_stored(&mut self, id: FileId, result: ReadResult) {
        let Some(file) = self.files.get_mut(&id) else {
            return;
        };
        let FetchState::Stored { path } = &file.state else {
            return;
        };
        match result {
            ReadResult::Good(GoodRead {
                stamp: Some(stamp), ..
            }) => {
                self.proofs.add(path, file.job.content, stamp);
                self.use_stored(id, stamp);
            }
            ReadResult::Stopped => self.end_unfetched(id, FetchResult::Partial { kept: 0 }),
            // Another process has given it its final name.
            ReadResult::Unreadable(_) if !path.exists() => self.fetch(vec![id]),
            _ => {
                log::warn!("`{}` does not have its hash", path.display());
                file.is_distrusted = true;
                self.fetch(vec![id]);
            }
        }
    }

    fn use_stored(&mut self, id: FileId, stamp: ProofStamp) {
        self.note_stamp(id, stamp);
        let Some(file) = self.files.get(&id) else {
            return;
        };
        let n_files = file.uses.len() as u64;
        self.events.push(if file.is_announced {
            SyncEvent::FileEnded {
                name: file.job.name.clone(),
                n_files,
                n_stored: file.expected,
            }
        } else {
            let n_bytes = file.job.size_bytes;
            SyncEvent::FilesHere { n_files, n_bytes }
        });
        let mut report = FileReport::unfetched(id, FetchResult::Verified { durable: true });
        report.reused = file.job.size_bytes;
        self.end_file(&report, None);
    }

    /// Retries files that another process was fetching, and commits that another
    /// process was publishing.
    pub(super) fn retry_busy(&mut self) {
        if self.retried_at.elapsed() < BUSY_PAUSE && !self.limits.is_stopped() {
            return;
        }
        self.retried_at = Stopwatch::start();
        let files = self.files.iter();
        let busy = files.filter(|(_, file)| matches!(file.state, FetchState::Busy));
        let busy: Vec<FileId> = busy.map(|(id, _)| *id).collect();
        // A target that has failed is not published, so its end need not wait.
        let (useless, busy) = busy.into_iter().partition(|id| self.is_useless(*id));
        self.fetch(busy);
        for id in useless {
            self.end_unfetched(id, FetchResult::Busy);
        }
        let targets = self.targets.iter();
        let publishing =
            targets.filter(|(_, entry)| matches!(entry.state, TargetState::Publishing { .. }));
        let publishing: Vec<TargetId> = publishing.map(|(id, _)| *id).collect();
        for id in publishing {
            if let Some(TargetEntry {
                request,
                state: TargetState::Publishing { sync, busy_since },
            }) = self.targets.remove(&id)
            {
                self.publish(id, request, sync, Some(busy_since));
            }
        }
    }

    /// Tells whether all targets that use a file have failed.
    fn is_useless(&self, id: FileId) -> bool {
        let has_failed = |file_use: &FileUse| {
            let entry = self.targets.get(&file_use.target);
            entry.is_none_or(|entry| match &entry.state {
                TargetState::Fetching(sync) => sync.record.has_failed(),
                _ => false,
            })
        };
        let file = self.files.get(&id);
        file.is_some_and(|file| file.uses.iter().all(has_failed))
    }

    /// Returns the first target that uses a file.
    pub(super) fn first_sync(&self, file: &FileFetch) -> Option<&TargetSync> {
        let entry = self.targets.get(&file.uses.first()?.target)?;
        match &entry.state {
            TargetState::Fetching(sync) => Some(sync),
            _ => None,
        }
    }
}

/// Describes a delta for the engine.
pub(super) fn copies(delta: &FileDelta) -> Arc<Copies> {
    Arc::new(Copies {
        files: delta.sources.clone(),
        copies: delta.copies.clone(),
    })
}
