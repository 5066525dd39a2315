//! The state in which a target adopts contents from elsewhere on this machine,
//! before anything is fetched.
//!
//! Every byte is hashed on the way, unless the content is linked and a proof of
//! its source is still valid. A content that is bad or gone is fetched instead.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Error};

use super::check::Planned;
use super::destination::DestinationWriter;
use super::preflight::Need;
use super::readers::{GoodRead, ReadJob, ReadResult, Task};
use super::reading::ReadPurpose;
use super::syncer::{Syncer, TargetEntry, TargetState};
use super::target::{SyncRequest, TargetId};
use crate::domain::content::ContentId;
use crate::sys::files;
use crate::sys::host::checkpoint;
use crate::sys::pause::Stopwatch;
use crate::sys::stamp::stamp_at;

/// The time that the copies of a stopped target get to end.
const GRACE: Duration = Duration::from_millis(1_500);

pub(super) struct Importing {
    planned: Box<Planned>,
    writer: DestinationWriter,
    /// Bytes that the plan has still to write.
    need: Need,
    /// Contents that are being read, with the path of the new file.
    left: BTreeMap<ContentId, PathBuf>,
    /// Contents that must be fetched instead.
    lacking: Vec<ContentId>,
    failure: Option<Error>,
    /// Running since the target was stopped.
    stopped: Option<Stopwatch>,
}

impl Syncer<'_> {
    /// Begins to adopt the contents that a plan found elsewhere.
    pub(super) fn start_importing(
        &mut self,
        id: TargetId,
        request: SyncRequest,
        planned: Box<Planned>,
        writer: DestinationWriter,
        need: Need,
    ) {
        self.promised.add(need);
        let label = request.target.label();
        let mut left = BTreeMap::new();
        for (content, (size_bytes, from)) in planned.plan.imports() {
            let aside = writer.aside();
            let stamp = stamp_at(from).ok().flatten();
            let job = ReadJob {
                name: format!("{label}: {}", from.display()).into(),
                content,
                size_bytes,
                task: Task::Import {
                    from: from.clone(),
                    aside: aside.clone(),
                    sharing: planned.destination.sharing(),
                    is_proven: self.proofs.hold_for(from, &content, stamp.as_ref()),
                },
                limits: request.limits.clone(),
            };
            let purpose = ReadPurpose::Import {
                target: id,
                from: from.clone(),
                aside: aside.clone(),
                content,
            };
            left.insert(content, aside);
            self.read(job, purpose);
        }
        let importing = Importing {
            planned,
            writer,
            need,
            left,
            lacking: Vec::new(),
            failure: None,
            stopped: None,
        };
        self.insert(id, request, TargetState::Importing(importing));
    }

    /// Handles the end of one import.
    pub(super) fn take_import(
        &mut self,
        id: TargetId,
        content: ContentId,
        (from, aside): (&Path, &Path),
        result: ReadResult,
    ) {
        match &result {
            ReadResult::Good(GoodRead {
                stamp: Some(stamp), ..
            }) => self.proofs.add(from, content, *stamp),
            ReadResult::Bad => {
                log::warn!("`{}` does not have its hash", from.display());
                self.proofs.add_bad(from, &content, None);
                self.checker.distrust(from, content);
            }
            _ => {}
        }
        let Some(TargetState::Importing(importing)) =
            self.targets.get_mut(&id).map(|entry| &mut entry.state)
        else {
            // The target has ended.
            let _ = files::remove_if_present(aside);
            return;
        };
        importing.left.remove(&content);
        match result {
            ReadResult::Good(read) => {
                if let Err(err) = importing.take_in(content, aside, read) {
                    let _ = files::remove_if_present(aside);
                    importing.fail(content, err);
                } else if let Some((_, stamp)) =
                    importing.planned.local_reads.imported.get(&content)
                {
                    let stored = importing.writer.stored(&content);
                    self.proofs.add(&stored, content, *stamp);
                }
                checkpoint("content imported");
            }
            ReadResult::Bad => {
                importing.planned.local_reads.bad.insert(content);
                importing.lacking.push(content);
            }
            ReadResult::Unreadable(err) => {
                log::warn!("cannot read `{}`: {err}", from.display());
                importing.lacking.push(content);
            }
            ReadResult::Failed(err) => {
                let context = format!("cannot copy or link `{}`", from.display());
                importing.fail(content, Error::new(err).context(context));
            }
            ReadResult::Stopped => {
                importing.stopped.get_or_insert_with(Stopwatch::start);
                importing.lacking.push(content);
            }
        }
        if importing.left.is_empty() {
            self.finish_importing(id);
        }
    }

    /// Continues with a target whose imports have all ended.
    pub(super) fn finish_importing(&mut self, id: TargetId) {
        let Some(TargetEntry {
            request,
            state: TargetState::Importing(importing),
        }) = self.targets.remove(&id)
        else {
            return;
        };
        let Importing {
            mut planned,
            writer,
            mut need,
            lacking,
            failure,
            stopped,
            ..
        } = importing;
        self.promised.remove(need);
        if !lacking.is_empty() {
            for content in &lacking {
                planned.plan.fetch_instead(content);
            }
        }
        if failure.is_some() || stopped.is_some() {
            return self.end_early(id, &request, planned, failure.as_ref());
        }
        if !lacking.is_empty() {
            match self.fit(&planned) {
                Ok(fetched) => need = fetched,
                Err(err) => return self.end_early(id, &request, planned, Some(&err)),
            }
        }
        self.start_fetching(id, request, planned, writer, need);
    }
}

impl Importing {
    /// Returns whether a stopped target has waited long enough for its copies.
    pub(super) fn is_given_up(&mut self) -> bool {
        let since = self.stopped.get_or_insert_with(Stopwatch::start);
        let is_over = since.elapsed() >= GRACE;
        if is_over {
            let left = std::mem::take(&mut self.left);
            self.lacking.extend(left.into_keys());
        }
        is_over
    }

    fn take_in(&mut self, content: ContentId, aside: &Path, read: GoodRead) -> anyhow::Result<()> {
        self.writer.import(&content, aside)?;
        let stored = self.writer.stored(&content);
        let stamp = stamp_at(&stored)
            .and_then(|found| found.ok_or_else(|| std::io::ErrorKind::NotFound.into()))
            .with_context(|| format!("cannot read the metadata of `{}`", stored.display()))?;
        let reads = &mut self.planned.local_reads;
        reads.imported.insert(content, (read.source, stamp));
        Ok(())
    }

    fn fail(&mut self, content: ContentId, err: Error) {
        self.lacking.push(content);
        self.failure.get_or_insert(err);
    }
}
