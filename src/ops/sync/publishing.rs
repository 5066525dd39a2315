//! Publishes a target whose files are all there, and ends it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::check::Planned;
use super::result::SyncResult;
use super::syncer::{Syncer, TargetEntry, TargetState};
use super::target::{SyncRequest, Target, TargetId};
use super::target_sync::TargetSync;
use crate::cache::PublisherBusy;
use crate::domain::content::ContentId;
use crate::domain::plan::{Action, PlannedFile};
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
        let Self {
            record,
            writer,
            stamps,
            ..
        } = self;
        let Planned {
            destination,
            remote,
            plan,
            moves_ref,
            ..
        } = &*record.planned;
        check_unchanged(&record.planned)?;
        let revision = Some(&target.revision).filter(|_| *moves_ref);
        let (path, n_removed) = writer
            .publish(revision, remote, plan, &target.vanished, wanted_later)
            .with_context(|| format!("cannot publish `{}`", target.label()))?;
        record.progress.path = Some(path);
        record.progress.files.deleted = n_removed;
        if writer.keeps_blobs() {
            return Ok(RenamedFiles::default());
        }
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
        Ok(RenamedFiles { named, moved })
    }
}

/// Checks that the reused files are still those that were proven.
fn check_unchanged(planned: &Planned) -> Result<()> {
    for file in &planned.reused {
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
