//! Proves what a target would use as it lies in the destination.
//!
//! A plan that names unproven files waits until they have been read. A file
//! that turns out bad is distrusted and the target checked again: the new plan
//! fetches it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::anyhow;

use super::check::{Checked, Reused};
use super::readers::{ReadJob, ReadResult, Task};
use super::reading::Purpose;
use super::result::{SyncResult, TargetId};
use super::syncer::{SyncRequest, Syncer};
use crate::domain::content::ContentId;
use crate::domain::proof::ProofStamp;
use crate::domain::units::ByteSize;
use crate::sys::host::checkpoint;
use crate::sys::stop::StopReason;

/// A file, and the content that it should hold.
pub(super) type FileKey = (PathBuf, ContentId);

/// A target that waits for files of its own to be read.
pub(super) struct Unproven {
    pub(super) request: SyncRequest,
    checked: Checked,
    left: BTreeSet<FileKey>,
    has_bad: bool,
}

impl Syncer<'_> {
    /// Returns a checked target if all that it uses is proven; else it waits
    /// until that has been read.
    pub(super) fn prove_first(
        &mut self,
        index: TargetId,
        request: SyncRequest,
        checked: Checked,
    ) -> Option<(SyncRequest, Checked)> {
        let reused = checked.reused().map_or(&[][..], |(_, reused)| reused);
        let is_unproven = |file: &&Reused| {
            let stamp = file.stamp.as_ref();
            !self.proofs.hold_for(&file.file, &file.content, stamp)
        };
        let mut unproven: Vec<_> = reused.iter().filter(is_unproven).cloned().collect();
        if unproven.is_empty() {
            return Some((request, checked));
        }
        // The smallest first: a run that is cut short keeps the most proofs.
        unproven.sort_by_key(|file| file.size_bytes);
        let key = |file: &Reused| (file.file.clone(), file.content);
        let left = unproven.iter().map(key).collect();
        let label = request.target.label();
        let n_bytes: u64 = unproven.iter().map(|file| file.size_bytes).sum();
        log::info!(
            "{label}: no proof is known of {} files, {}; they are hashed first",
            unproven.len(),
            ByteSize(n_bytes).render_short()
        );
        for file in &unproven {
            if self.proofs_under_way.insert(key(file)) {
                let name = format!("{label}: {}", file.path);
                self.prove(name, key(file), file.size_bytes, &request);
            }
        }
        let waiting = Unproven {
            request,
            checked,
            left,
            has_bad: false,
        };
        self.proving.insert(index, waiting);
        None
    }

    fn prove(&mut self, name: String, key: FileKey, size_bytes: u64, request: &SyncRequest) {
        let job = ReadJob {
            name: name.into(),
            content: key.1,
            size_bytes,
            task: Task::Prove {
                file: key.0.clone(),
            },
            stops: [request.limits.stop().clone(), self.stop.clone()],
        };
        self.read(job, Purpose::Proof(key));
    }

    /// Deals with a file that was read.
    pub(super) fn proved(&mut self, key: FileKey, result: ReadResult) {
        self.proofs_under_way.remove(&key);
        let targets = self.proving.iter();
        let targets = targets.filter(|(_, target)| target.left.contains(&key));
        let waiting: Vec<TargetId> = targets.map(|(index, _)| *index).collect();
        let (path, content) = (&key.0, key.1);
        let stamp = match result {
            ReadResult::Good(read) => read.stamp,
            ReadResult::Stopped => return self.prove_for_another(key, &waiting),
            ReadResult::Bad => {
                self.note_bad(&key, &waiting);
                None
            }
            ReadResult::Unreadable(err) => {
                log::warn!("`{}` cannot be read: {err}", path.display());
                None
            }
            ReadResult::Failed(err) => {
                let err = anyhow!(err).context(format!("cannot read `{}`", path.display()));
                for index in waiting {
                    if let Some(target) = self.proving.remove(&index) {
                        self.end_failed(index, &target.request, &err);
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
        for index in waiting {
            self.note_proof(index, &key, stamp);
            if self.proving.get(&index).is_some_and(Unproven::is_done)
                && let Some(target) = self.proving.remove(&index)
            {
                self.proven(index, target);
            }
        }
    }

    /// Writes down that a file of some targets does not have its hash.
    fn note_bad(&mut self, (path, content): &FileKey, waiting: &[TargetId]) {
        let targets = waiting.iter().filter_map(|index| self.proving.get(index));
        let mut targets = targets.peekable();
        let model = targets.peek().and_then(|target| {
            let model = target.request.target.model.as_ref();
            model.map(|(id, _)| *id)
        });
        if targets.any(|target| target.was_edited(path)) {
            // An edit is no damage to remember; the file is replaced by this run only.
            log::info!("`{}` was changed by somebody", path.display());
            return;
        }
        log::warn!("`{}` does not have its hash", path.display());
        self.proofs.add_bad(path, content, model);
    }

    fn note_proof(&mut self, index: TargetId, key: &FileKey, stamp: Option<ProofStamp>) {
        let Some(target) = self.proving.get_mut(&index) else {
            return;
        };
        target.left.remove(key);
        let findings = self.findings.entry(index).or_default();
        match stamp {
            Some(stamp) => {
                findings.good.insert(key.1);
                let reused = target.checked.reused_mut().into_iter().flatten();
                for file in reused.filter(|file| (&file.file, file.content) == (&key.0, key.1)) {
                    file.stamp = Some(stamp);
                }
            }
            None => {
                findings.bad.insert(key.1);
                target.has_bad = true;
            }
        }
    }

    /// Goes on with a target whose files have all been read.
    fn proven(&mut self, index: TargetId, target: Unproven) {
        if target.has_bad {
            self.ask_again(index, target.request);
        } else {
            self.deal_with(index, target.request, Ok(target.checked));
        }
    }

    /// Reads a file again whose reading was stopped for one target and that
    /// another one waits for.
    fn prove_for_another(&mut self, key: FileKey, waiting: &[TargetId]) {
        let goes_on =
            |request: &SyncRequest| !request.limits.stop().is_raised() && !self.stop.is_raised();
        let orders = waiting.iter().filter_map(|index| self.proving.get(index));
        let request = orders
            .map(|target| &target.request)
            .find(|request| goes_on(request));
        if let Some(request) = request.cloned() {
            let name = format!("{}: {}", request.target.label(), key.0.display());
            self.proofs_under_way.insert(key.clone());
            self.prove(name, key, 0, &request);
        }
    }

    /// Describes the end of a target that was stopped while its files were read.
    pub(super) fn end_unproven(
        &mut self,
        index: TargetId,
        reason: StopReason,
    ) -> Option<SyncResult> {
        let target = self.proving.remove(&index)?;
        let findings = self.findings.remove(&index).unwrap_or_default();
        let (_, reused) = target.checked.reused()?;
        Some(SyncResult {
            files: findings.found_files(reused),
            ..SyncResult::unseen(reason)
        })
    }
}

impl Unproven {
    fn is_done(&self) -> bool {
        self.left.is_empty()
    }

    fn was_edited(&self, path: &Path) -> bool {
        let Some((place, reused)) = self.checked.reused() else {
            return false;
        };
        let mut same = reused.iter().filter(|file| file.file == path);
        same.any(|file| place.was_edited(&file.path))
    }
}
