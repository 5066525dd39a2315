//! Takes in contents that lie elsewhere on this machine, before anything is fetched.
//!
//! Every byte is hashed on the way, unless the content is linked and a proof of
//! its source still holds. A content that is bad or gone is fetched instead.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Error};

use super::check::Planned;
use super::origins::origins_of;
use super::place::Writer;
use super::preflight::{Need, refuse_what_does_not_fit};
use super::readers::{GoodRead, ReadJob, ReadResult, Task};
use super::reading::Purpose;
use super::result::TargetId;
use super::syncer::{SyncRequest, Syncer};
use crate::domain::content::ContentId;
use crate::sys::files;
use crate::sys::host::checkpoint;
use crate::sys::pause::Stopwatch;
use crate::sys::stamp::stamp_at;

/// A target that was stopped waits so long for its copies to end.
const GRACE: Duration = Duration::from_millis(1_500);

/// A target that takes in contents.
pub(super) struct Importing {
    pub(super) request: SyncRequest,
    planned: Box<Planned>,
    writer: Writer,
    /// Bytes that its plan has still to write.
    pub(super) need: Need,
    left: BTreeMap<ContentId, PathBuf>,
    /// Contents that must be fetched instead.
    lacking: Vec<ContentId>,
    failure: Option<Error>,
    /// Since when it is to end.
    stopped: Option<Stopwatch>,
}

impl Syncer<'_> {
    /// Begins to take in what a plan finds elsewhere.
    pub(super) fn import(
        &mut self,
        index: TargetId,
        request: SyncRequest,
        planned: Box<Planned>,
        writer: Writer,
        need: Need,
    ) {
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
                    sharing: planned.place.sharing(),
                    is_proven: self.proofs.hold_for(from, &content, stamp.as_ref()),
                },
                stops: [request.limits.stop().clone(), self.stop.clone()],
            };
            let purpose = Purpose::Import {
                index,
                from: from.clone(),
                aside: aside.clone(),
                content,
            };
            left.insert(content, aside);
            self.read(job, purpose);
        }
        let importing = Importing {
            request,
            planned,
            writer,
            need,
            left,
            lacking: Vec::new(),
            failure: None,
            stopped: None,
        };
        self.importing.insert(index, importing);
    }

    /// Deals with the end of one import.
    pub(super) fn imported(
        &mut self,
        index: TargetId,
        content: ContentId,
        (from, aside): (&Path, &Path),
        result: ReadResult,
    ) {
        if let ReadResult::Good(GoodRead {
            stamp: Some(stamp), ..
        }) = &result
        {
            self.proofs.add(from, content, *stamp);
        }
        if matches!(result, ReadResult::Bad) {
            log::warn!("`{}` does not have its hash", from.display());
            self.proofs.add_bad(from, &content, None);
            self.checker.distrust(from, content);
        }
        let Some(importing) = self.importing.get_mut(&index) else {
            // Nothing waits for it any more.
            let _ = files::remove_if_present(aside);
            return;
        };
        importing.left.remove(&content);
        match result {
            ReadResult::Good(read) => {
                if let Err(err) = importing.take_in(content, aside, read) {
                    let _ = files::remove_if_present(aside);
                    importing.fail(content, err);
                } else if let Some((_, stamp)) = importing.planned.findings.imported.get(&content) {
                    let stored = importing.writer.stored(&content);
                    self.proofs.add(&stored, content, *stamp);
                }
                checkpoint("content imported");
            }
            ReadResult::Bad => {
                importing.planned.findings.bad.insert(content);
                importing.lacking.push(content);
            }
            ReadResult::Unreadable(err) => {
                log::warn!("`{}` cannot be read: {err}", from.display());
                importing.lacking.push(content);
            }
            ReadResult::Failed(err) => {
                let context = format!("cannot take over `{}`", from.display());
                importing.fail(content, Error::new(err).context(context));
            }
            ReadResult::Stopped => {
                importing.stopped.get_or_insert_with(Stopwatch::start);
                importing.lacking.push(content);
            }
        }
        if importing.left.is_empty() {
            self.all_imported(index);
        }
    }

    /// Goes on with a target whose imports have all ended.
    fn all_imported(&mut self, index: TargetId) {
        let Some(importing) = self.importing.remove(&index) else {
            return;
        };
        let Importing {
            request,
            mut planned,
            writer,
            lacking,
            failure,
            stopped,
            ..
        } = importing;
        if !lacking.is_empty() {
            for content in &lacking {
                planned.plan.fetch_instead(content);
            }
            let old_commit = planned.old_commit.as_ref();
            let own = &request.target.repo;
            planned.origins = origins_of(&planned.plan, &planned.place, own, old_commit);
        }
        if failure.is_some() || stopped.is_some() {
            return self.pool.end_early(
                index,
                request,
                planned,
                failure.as_ref(),
                &mut self.events,
            );
        }
        let refused = match lacking.is_empty() {
            true => Ok(()),
            false => {
                let promised = |file_system| self.promised_bytes(file_system);
                refuse_what_does_not_fit(&planned, self.reserve, promised).map(drop)
            }
        };
        match refused {
            Ok(()) => self
                .pool
                .begin(index, request, planned, Ok(writer), &mut self.events),
            Err(err) => self
                .pool
                .end_early(index, request, planned, Some(&err), &mut self.events),
        }
    }

    /// Ends targets that were stopped and whose copies do not come to an end.
    pub(super) fn give_up_imports(&mut self) {
        let is_stopping = self.stop.is_raised();
        let mut given_up = Vec::new();
        for (index, importing) in &mut self.importing {
            if !is_stopping && !importing.request.limits.stop().is_raised() {
                continue;
            }
            let since = importing.stopped.get_or_insert_with(Stopwatch::start);
            if since.elapsed() >= GRACE {
                let left = std::mem::take(&mut importing.left);
                importing.lacking.extend(left.into_keys());
                given_up.push(*index);
            }
        }
        for index in given_up {
            self.all_imported(index);
        }
    }
}

impl Importing {
    fn take_in(&mut self, content: ContentId, aside: &Path, read: GoodRead) -> anyhow::Result<()> {
        self.writer.import(&content, aside)?;
        let stored = self.writer.stored(&content);
        let stamp = stamp_at(&stored)
            .and_then(|found| found.ok_or_else(|| std::io::ErrorKind::NotFound.into()))
            .with_context(|| format!("cannot look at `{}`", stored.display()))?;
        let findings = &mut self.planned.findings;
        findings.imported.insert(content, (read.source, stamp));
        Ok(())
    }

    fn fail(&mut self, content: ContentId, err: Error) {
        self.lacking.push(content);
        self.failure.get_or_insert(err);
    }
}
