//! Publishes a target whose files are all there, and ends it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::check::Planned;
use super::destination_writer::PublisherBusy;
use super::result::SyncResult;
use super::syncer::{Syncer, TargetEntry, TargetState};
use super::target::{SyncRequest, Target, TargetId};
use super::target_sync::TargetSync;
use crate::domain::content::ContentId;
use crate::domain::plan::{Action, PlannedFile};
use crate::domain::snapshot::RemoteFile;
use crate::download::{SMALL_FILE_MAX, has_content};
use crate::sys::host::checkpoint;
use crate::sys::pause::Stopwatch;
use crate::sys::stamp::stamp_at;

/// The time that another process may take to publish the same commit. Links are
/// made in moments; copies, on file systems without links, take longer.
const LONGEST_PUBLISH: Duration = Duration::from_secs(600);

impl Syncer<'_> {
    /// Publishes a target if it is complete, and ends it. While another process
    /// publishes the same commit, the target waits in its state, so that the
    /// coordinating thread keeps its heartbeat and sees signals.
    pub(super) fn publish(
        &mut self,
        id: TargetId,
        request: SyncRequest,
        mut sync: TargetSync,
        busy_since: Option<Stopwatch>,
    ) {
        let mut request = request;
        if busy_since.is_none() {
            self.judge_files(&request.target, &mut sync.record);
        }
        if sync.record.is_complete() {
            match self.pass_gate(id, request, sync) {
                Some(passed) => (request, sync) = passed,
                None => return,
            }
        }
        let stopped = request.limits.stop_reason();
        let mut renamed = RenamedFiles::default();
        if sync.record.is_complete() {
            checkpoint("before publishing");
            let wanted_later = self.wanted_later(&sync);
            match sync.publish(&request.target, &wanted_later) {
                Ok(files) => renamed = files,
                Err(err) if err.chain().any(|link| link.is::<PublisherBusy>()) => {
                    let is_first = busy_since.is_none();
                    let busy_since = busy_since.unwrap_or_else(Stopwatch::start);
                    if stopped.is_some() {
                        log::info!("{err:#}");
                        sync.record.is_stopped = true;
                    } else if busy_since.elapsed() < LONGEST_PUBLISH {
                        let label = request.target.label();
                        let message = format!(
                            "another process is publishing the same commit of `{label}`; \
                             waiting for it"
                        );
                        if is_first {
                            log::info!("{message}");
                        }
                        self.show_wait(None, message, None);
                        let state = TargetState::Publishing { sync, busy_since };
                        return self.insert(id, request, state);
                    } else {
                        sync.record.fail(&err);
                    }
                }
                Err(err) => sync.record.fail(&err),
            }
        }
        let result = SyncResult {
            named: renamed.named,
            moved: renamed.moved,
            ..sync.record.into_result(&request.target, stopped)
        };
        self.end(id, result);
    }

    /// Returns the contents that other targets will link in the same folder. A snapshot without
    /// links takes the blobs of its files away, and theirs must stay.
    fn wanted_later(&self, sync: &TargetSync) -> BTreeSet<ContentId> {
        if sync.writer.keeps_blobs() {
            return BTreeSet::new();
        }
        let folder = sync.planned().destination.folder();
        let others = self.targets.values().filter_map(TargetEntry::planned);
        let beside = others.filter(|other| other.destination.folder() == folder);
        let files = beside.flat_map(|other| &other.plan.files);
        let linked = files.filter(|file| file.action != Action::Keep);
        linked.map(|file| file.file.content).collect()
    }
}

/// Proven files whose paths a publication has changed.
#[derive(Default)]
struct RenamedFiles {
    /// The old and the new path.
    named: Vec<(PathBuf, PathBuf)>,
    /// Old paths without a file now.
    moved: Vec<PathBuf>,
}

impl TargetSync {
    fn publish(
        &mut self,
        target: &Target,
        wanted_later: &BTreeSet<ContentId>,
    ) -> Result<RenamedFiles> {
        let commit = &self.planned().remote.commit;
        let _lock = self.writer.lock_publication(commit)?;
        let mut published = BTreeSet::new();
        let (path, n_removed) = loop {
            match self.publish_except(&published, target, wanted_later) {
                Ok(done) => break done,
                Err(err) => {
                    let now = self.published_meanwhile();
                    if now == published {
                        return Err(err);
                    }
                    published = now;
                }
            }
        };
        let progress = &mut self.record.progress;
        progress.path = Some(path);
        progress.files.deleted = n_removed;
        Ok(self.renamed_files())
    }

    /// Publishes the plan. The contents of `published` have their final names already.
    fn publish_except(
        &self,
        published: &BTreeSet<ContentId>,
        target: &Target,
        wanted_later: &BTreeSet<ContentId>,
    ) -> Result<(PathBuf, u64)> {
        let planned = self.planned();
        check_unchanged(planned, published)?;
        let mut plan = Cow::Borrowed(&planned.plan);
        if !published.is_empty() {
            let files = plan.to_mut().files.iter_mut();
            files
                .filter(|it| published.contains(&it.file.content))
                .for_each(|it| it.action = Action::Keep);
        }
        let revision = Some(&target.revision).filter(|_| planned.moves_ref);
        let (remote, vanished) = (&planned.remote, &target.vanished);
        self.writer
            .publish(revision, remote, &plan, vanished, wanted_later)
            .with_context(|| format!("cannot publish `{}`", target.label()))
    }

    /// Returns the contents that another home has published at the same commit since the
    /// check, and that are no longer at their stored paths.
    fn published_meanwhile(&self) -> BTreeSet<ContentId> {
        let Planned {
            destination,
            remote,
            plan,
            ..
        } = self.planned();
        let (mut published, mut missing) = (BTreeSet::new(), BTreeSet::new());
        let new = plan.files.iter().filter(|it| it.action != Action::Keep);
        for it in new.filter(|it| !self.writer.stored(&it.file.content).exists()) {
            let RemoteFile {
                path,
                content,
                size_bytes,
                ..
            } = &it.file;
            let entry = destination.entry(&remote.commit, path);
            let found = stamp_at(&entry).ok().flatten();
            let is_proven = found.is_some() && self.stamps.get(content) == found.as_ref();
            // Each home may have fetched a small file; the last one has stored it.
            let is_small = *size_bytes <= SMALL_FILE_MAX;
            if is_proven || is_small && has_content(&entry, content).unwrap_or(false) {
                published.insert(*content);
            } else if !self.writer.is_in_place(&remote.commit, &it.file) {
                missing.insert(*content);
            }
        }
        published.retain(|it| !missing.contains(it));
        published
    }

    /// Returns the proven files whose paths this publication or another has changed.
    fn renamed_files(&self) -> RenamedFiles {
        let Self { writer, stamps, .. } = self;
        if writer.keeps_blobs() {
            return RenamedFiles::default();
        }
        let Planned {
            destination,
            remote,
            plan,
            ..
        } = self.planned();
        // A file that another program has written to since is not the proven one.
        let named = |PlannedFile { file, .. }: &PlannedFile| {
            let stamp = stamps.get(&file.content)?;
            let stored = writer.stored(&file.content);
            let path = destination.file_of(&remote.commit, file);
            let found = stamp_at(&path).ok().flatten();
            (path != stored && found.as_ref() == Some(stamp)).then_some((stored, path))
        };
        let named = plan.files.iter().filter_map(named).collect();
        let stored = stamps.keys().map(|content| writer.stored(content));
        let moved = stored.filter(|path| !path.exists()).collect();
        RenamedFiles { named, moved }
    }
}

/// Checks that the reused files are still those that were proven, except those of
/// published contents.
fn check_unchanged(planned: &Planned, published: &BTreeSet<ContentId>) -> Result<()> {
    let reused = planned.reused.iter();
    for file in reused.filter(|file| !published.contains(&file.content)) {
        let found = stamp_at(&file.file);
        let found = found
            .with_context(|| format!("cannot read the metadata of `{}`", file.file.display()))?;
        ensure!(
            found.is_some() && found == file.stamp,
            "another program has changed `{}` meanwhile; the next run reads it again",
            file.file.display()
        );
    }
    Ok(())
}
