//! The state of a target that does not fit: the caller makes room, or ends it.

use std::collections::BTreeSet;

use anyhow::Error;

use super::cache_room::CacheFull;
use super::check::Planned;
use super::local_reads::LocalReads;
use super::preflight::NoSpace;
use super::result::SyncResult;
use super::syncer::{Syncer, TargetEntry, TargetState};
use super::target::TargetId;
use crate::domain::outcome::Outcome;
use crate::domain::repo::Repo;
use crate::domain::session::{SessionProgress, Trouble};
use crate::domain::units::ByteSize;
use crate::ops::diagnose::trouble_of;
use crate::sys::disk;

impl Syncer<'_> {
    /// Returns the bytes that would have to go from the cache for a plan to fit; `None`
    /// if that would not help.
    pub(super) fn missing_in_cache(&self, planned: &Planned, err: &Error) -> Option<ByteSize> {
        if let Some(full) = err.downcast_ref::<CacheFull>() {
            return Some(full.missing);
        }
        let space = err.downcast_ref::<NoSpace>()?;
        let file_system = |folder: &std::path::Path| {
            let there = folder.ancestors().find(|folder| folder.exists())?;
            disk::file_system_of(there).ok()
        };
        let is_same =
            file_system(self.cache.root())? == file_system(&planned.destination.folder())?;
        let wanted = space.need.bytes().saturating_add(space.reserve.bytes());
        is_same.then(|| ByteSize(wanted.saturating_sub(space.free.bytes())))
    }

    /// Returns the repositories of all targets but one.
    pub fn repos_beside(&self, target: TargetId) -> BTreeSet<Repo> {
        let others = self.targets.iter().filter(|(id, _)| **id != target);
        let repos = others.map(|(_, entry)| entry.request.target.repo.clone());
        repos.collect()
    }

    /// Goes on with a target for which room was made. It is checked again, because its
    /// plan may use files that are gone now.
    pub fn retry_short(&mut self, target: TargetId) {
        if let Some(TargetEntry { request, .. }) = self.targets.remove(&target) {
            self.check(target, request, LocalReads::default());
        }
    }

    /// Ends a target for which no room was made.
    pub fn end_short(&mut self, target: TargetId, hint: Option<String>) {
        let Some(TargetEntry {
            state: TargetState::Short(planned, err),
            ..
        }) = self.targets.remove(&target)
        else {
            return;
        };
        let known = trouble_of(&err);
        let failure = Trouble {
            hint: hint.or_else(|| known.hint.clone()),
            ..known
        };
        self.end_unfit(target, *planned, &failure);
    }

    /// Ends a target whose plan does not fit. Nothing was written for it.
    pub(super) fn end_unfit(&mut self, id: TargetId, planned: Planned, failure: &Trouble) {
        let progress = SessionProgress {
            new_commit: Some(planned.remote.commit),
            ..SessionProgress::default()
        };
        let failure = Some(failure.clone());
        let result = SyncResult {
            renamed_to: planned.renamed_to,
            note: Some(planned.note),
            ..SyncResult::without_files(Outcome::Failed, failure, progress)
        };
        self.end(id, result);
    }
}
