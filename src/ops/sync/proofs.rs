//! The proofs of a run: read from the database, and written to it in batches.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use super::local_files::{BadFiles, ReusedFile};
use super::target::Target;
use crate::cache::names_of;
use crate::domain::content::ContentId;
use crate::domain::gate::GateRecord;
use crate::domain::model::ModelId;
use crate::domain::proof::ProofStamp;
use crate::domain::repo::CommitSha;
use crate::domain::run::{Event, EventKind, RunId};
use crate::domain::snapshot::RemoteFile;
use crate::domain::time::Timestamp;
use crate::store::Store;
use crate::sys::host::Host;
use crate::sys::pause::Stopwatch;
use crate::sys::share::hard_link;
use crate::sys::stamp::is_same_file;

/// Proofs that files have their hash; used by the coordinating thread alone.
pub struct Proofs<'a> {
    store: &'a Store,
    host: &'a Host,
    run: RunId,
    /// Proofs that are not in the database yet.
    unsaved: HashMap<PathBuf, (ContentId, ProofStamp)>,
    saved_at: Stopwatch,
}

impl<'a> Proofs<'a> {
    pub fn new(store: &'a Store, host: &'a Host, run: RunId) -> Self {
        Self {
            store,
            host,
            run,
            unsaved: HashMap::new(),
            saved_at: Stopwatch::start(),
        }
    }

    /// Returns the files that were found bad and not replaced since.
    pub(super) fn bad_files(&self) -> Result<BadFiles> {
        Ok(self.store.bad_files()?)
    }

    /// Returns the record of the gate about a commit of a target, if it still holds the
    /// commit.
    pub(super) fn gate_record(
        &self,
        target: &Target,
        commit: &CommitSha,
        command: &str,
    ) -> Option<GateRecord> {
        let record = self
            .store
            .gate_record(&target.repo, &target.destination, commit);
        let record = record.unwrap_or_else(|err| {
            log::warn!("cannot read the last verdict of the gate: {err}");
            None
        });
        record.filter(|record| record.is_valid(command, self.now()))
    }

    pub(super) fn now(&self) -> Timestamp {
        self.host.now()
    }

    /// Returns those of some files that are not proven.
    pub(super) fn unproven(&self, files: &[ReusedFile]) -> Vec<ReusedFile> {
        let is_unproven =
            |file: &&ReusedFile| !self.hold_for(&file.file, &file.content, file.stamp.as_ref());
        let read = || files.iter().filter(is_unproven).cloned().collect();
        self.store.reading(read)
    }

    /// Tells whether a file is proven to hold a content. A proof that cannot be
    /// read proves nothing.
    pub(super) fn hold_for(
        &self,
        path: &Path,
        content: &ContentId,
        found: Option<&ProofStamp>,
    ) -> bool {
        let Some(found) = found else { return false };
        if let Some((proven, stamp)) = self.unsaved.get(path) {
            return proven == content && stamp == found;
        }
        let proof = self.store.proof(path);
        let proof = proof.inspect_err(|err| log::debug!("no proof of `{}`: {err}", path.display()));
        let now = self.host.now();
        matches!(proof, Ok(Some(proof)) if proof.holds_for(content, found, now))
    }

    pub(super) fn add(&mut self, path: &Path, content: ContentId, stamp: ProofStamp) {
        self.unsaved.insert(path.to_owned(), (content, stamp));
    }

    /// Records that a file does not have its hash.
    pub(super) fn add_bad(&mut self, path: &Path, content: &ContentId, model: Option<ModelId>) {
        self.unsaved.remove(path);
        let now = self.host.now();
        let noted = self.store.transaction(|store| -> Result<()> {
            if store.save_bad_file(&names_of(path), content, now)? {
                store.record_event(&Event {
                    at: now,
                    kind: EventKind::Corrupt,
                    model_id: model,
                    run_id: Some(self.run.clone()),
                    detail: format!("`{}` does not have its hash", path.display()),
                })?;
            }
            Ok(())
        });
        if let Err(err) = noted {
            log::warn!("could not record a bad file: {err:#}");
        }
    }

    /// Gives the bytes of a damaged file a second name, and records it, so that it is
    /// removed when it is old. A file is damaged if it was read and found bad, or if its
    /// size is wrong; a forced download replaces good files, too.
    pub(super) fn keep_evidence(
        &self,
        path: &Path,
        wanted: &RemoteFile,
        is_forced: bool,
        evidence: &Path,
    ) {
        let kept = || -> Result<()> {
            let Ok(found) = path.symlink_metadata() else {
                return Ok(());
            };
            let has_wrong_size = !is_forced && found.len() != wanted.size_bytes;
            let is_damaged = has_wrong_size || self.store.is_bad_file(path, &wanted.content)?;
            // Older evidence of the same content stays; one more damage is kept beside it.
            let mut later = evidence.as_os_str().to_owned();
            later.push(".2");
            let names = [evidence, Path::new(&later)];
            let free = names
                .into_iter()
                .find(|name| name.symlink_metadata().is_err());
            let is_kept = names.iter().any(|name| is_same_file(name, path));
            let Some(evidence) = free.filter(|_| found.is_file() && is_damaged && !is_kept) else {
                return Ok(());
            };
            if let Some(folder) = evidence.parent() {
                std::fs::create_dir_all(folder)?;
            }
            self.store.save_evidence(evidence, self.now())?;
            Ok(hard_link(path, evidence)?)
        };
        if let Err(err) = kept() {
            let path = path.display();
            log::warn!("the bad bytes of `{path}` are not kept: {err:#}");
        }
    }

    /// Forgets adopted files that have changed or are gone.
    pub(super) fn forget_adopted(&self, changed: &[PathBuf]) {
        for path in changed {
            log::info!(
                "the adopted file `{}` has changed or is gone",
                path.display()
            );
            if let Err(err) = self.store.forget_adopted(path) {
                log::warn!("could not forget `{}`: {err}", path.display());
            }
        }
    }

    /// Writes new proofs to the database, so that a run that is cut short
    /// keeps them. A proof that is not written only costs a second reading, so that
    /// many proofs in a moment are written together.
    pub(super) fn flush(&mut self, at_once: bool) {
        const COLLECT: Duration = Duration::from_millis(200);
        if self.unsaved.is_empty() || !at_once && self.saved_at.elapsed() < COLLECT {
            return;
        }
        self.saved_at = Stopwatch::start();
        let (unsaved, now) = (std::mem::take(&mut self.unsaved), self.host.now());
        let written = self.store.transaction(|store| -> Result<()> {
            for (path, (content, stamp)) in &unsaved {
                store.save_blob(path, content, stamp, now)?;
            }
            Ok(())
        });
        if let Err(err) = written {
            log::warn!("could not save proofs: {err:#}");
        }
    }
}
