//! The state in which the files are read that a target uses unchanged.
//!
//! A checked target with unproven files waits until they have been read. A bad
//! file is distrusted and the target checked again: the new plan fetches it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Error;

use super::check::Checked;
use super::checking::failed_check;
use super::local_files::ReusedFile;
use super::local_reads::LocalReads;
use super::readers::{ReadJob, ReadResult, Task};
use super::reading::ReadPurpose;
use super::result::SyncResult;
use super::syncer::{Syncer, TargetEntry, TargetState};
use super::target::{SyncRequest, TargetId};
use crate::domain::content::ContentId;
use crate::domain::proof::ProofStamp;
use crate::domain::units::{ByteSize, count};
use crate::sys::host::checkpoint;
use crate::sys::stop::StopReason;

/// A file, and the content that it should hold.
pub(super) type FileKey = (PathBuf, ContentId);

pub(super) struct Proving {
    checked: Checked,
    /// Files that have not been read yet.
    left: BTreeSet<FileKey>,
    has_bad: bool,
    reads: LocalReads,
}

impl Syncer<'_> {
    /// Reads the files of a checked target that have no proof, then continues.
    pub(super) fn prove_first(
        &mut self,
        id: TargetId,
        request: SyncRequest,
        checked: Checked,
        reads: LocalReads,
    ) {
        let reused = checked.reused().map_or(&[][..], |(_, reused)| reused);
        let mut unproven = self.proofs.unproven(reused);
        if unproven.is_empty() {
            return self.take_proven_check(id, request, checked, reads);
        }
        // The smallest first: a run that is cut short keeps the most proofs.
        unproven.sort_by_key(|file| file.size_bytes);
        let key = |file: &ReusedFile| (file.file.clone(), file.content);
        let left = unproven.iter().map(key).collect();
        let label = request.target.label();
        let n_bytes: u64 = unproven.iter().map(|file| file.size_bytes).sum();
        log::info!(
            "{label}: {} ({}) without a proof, to be hashed first",
            count(unproven.len() as u64, "file", "files"),
            ByteSize(n_bytes).render_short()
        );
        for file in &unproven {
            if self.proofs_in_progress.insert(key(file)) {
                let name = format!("{label}: {}", file.path);
                self.prove(name, key(file), file.size_bytes, &request);
            }
        }
        let proving = Proving {
            checked,
            left,
            has_bad: false,
            reads,
        };
        self.insert(id, request, TargetState::Proving(proving));
    }

    fn prove(&mut self, name: String, key: FileKey, size_bytes: u64, request: &SyncRequest) {
        let job = ReadJob {
            name: name.into(),
            content: key.1,
            size_bytes,
            task: Task::Prove {
                file: key.0.clone(),
            },
            limits: request.limits.clone(),
        };
        self.read(job, ReadPurpose::Proof(key));
    }

    /// Handles the result of reading a file for the targets that wait for it.
    pub(super) fn take_proof(&mut self, key: FileKey, result: ReadResult) {
        self.proofs_in_progress.remove(&key);
        let waiting = self.targets.iter().filter_map(|(id, entry)| {
            let proving = entry.proving()?;
            proving.left.contains(&key).then_some(*id)
        });
        let waiting: Vec<TargetId> = waiting.collect();
        let (path, content) = (&key.0, key.1);
        let stamp = match result {
            ReadResult::Good(read) => read.stamp,
            ReadResult::Stopped => return self.prove_for_another(key, &waiting),
            ReadResult::Bad => {
                self.record_bad(&key, &waiting);
                None
            }
            ReadResult::Unreadable(err) => {
                log::warn!("cannot read `{}`: {err}", path.display());
                None
            }
            ReadResult::Failed(err) => {
                let err = Error::new(err).context(format!("cannot read `{}`", path.display()));
                for id in waiting {
                    if let Some(entry) = self.targets.remove(&id) {
                        self.end(id, failed_check(&entry.request.target, &err));
                    }
                }
                return;
            }
        };
        match stamp {
            Some(stamp) => self.proofs.add(path, content, stamp),
            None => self.checker.distrust(path, content),
        }
        checkpoint("file proven");
        for id in waiting {
            let Some(TargetEntry {
                request,
                state: TargetState::Proving(mut proving),
            }) = self.targets.remove(&id)
            else {
                continue;
            };
            proving.take(&key, stamp);
            if !proving.left.is_empty() {
                self.insert(id, request, TargetState::Proving(proving));
            } else if proving.has_bad {
                self.check_again(id, request, proving.reads);
            } else {
                self.take_proven_check(id, request, proving.checked, proving.reads);
            }
        }
    }

    /// Records that a file of some targets does not have its hash.
    fn record_bad(&mut self, (path, content): &FileKey, waiting: &[TargetId]) {
        let mut targets = waiting
            .iter()
            .filter_map(|id| self.targets.get(id))
            .peekable();
        let model = targets.peek().and_then(|entry| {
            let model = entry.request.target.model.as_ref();
            model.map(|(id, _)| *id)
        });
        if targets
            .filter_map(TargetEntry::proving)
            .any(|proving| proving.was_edited(path))
        {
            // An edit is no damage to remember; only this run replaces the file.
            log::info!("`{}` was edited", path.display());
            return;
        }
        log::warn!("`{}` does not have its hash", path.display());
        self.proofs.add_bad(path, content, model);
    }

    /// Reads a file again whose reading was stopped for one target and that
    /// another one waits for.
    fn prove_for_another(&mut self, key: FileKey, waiting: &[TargetId]) {
        let targets = waiting.iter().filter_map(|id| self.targets.get(id));
        let mut requests = targets.map(|entry| &entry.request);
        let running = requests.find(|request| request.limits.stop_reason().is_none());
        if let Some(request) = running.cloned() {
            let name = format!("{}: {}", request.target.label(), key.0.display());
            self.proofs_in_progress.insert(key.clone());
            self.prove(name, key, 0, &request);
        }
    }
}

impl TargetEntry {
    fn proving(&self) -> Option<&Proving> {
        match &self.state {
            TargetState::Proving(proving) => Some(proving),
            _ => None,
        }
    }
}

impl Proving {
    fn was_edited(&self, path: &Path) -> bool {
        let Some((destination, reused)) = self.checked.reused() else {
            return false;
        };
        let mut same = reused.iter().filter(|file| file.file == path);
        same.any(|file| destination.was_edited(&file.path))
    }

    /// Notes the proof of a file; without a stamp the file is bad.
    fn take(&mut self, key: &FileKey, stamp: Option<ProofStamp>) {
        self.left.remove(key);
        let Some(stamp) = stamp else {
            self.reads.bad.insert(key.1);
            self.has_bad = true;
            return;
        };
        self.reads.good.insert(key.1);
        let reused = self.checked.reused_mut().into_iter().flatten();
        for file in reused.filter(|file| (&file.file, file.content) == (&key.0, key.1)) {
            file.stamp = Some(stamp);
        }
    }

    /// Describes the result of a target that was stopped while its files were read.
    pub(super) fn stopped(&self, reason: StopReason) -> SyncResult {
        let reused = self.checked.reused().map_or(&[][..], |(_, reused)| reused);
        SyncResult {
            files: self.reads.found_files(reused),
            ..SyncResult::unseen(reason)
        }
    }
}
