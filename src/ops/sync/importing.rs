//! The state in which a target adopts contents from elsewhere on this machine,
//! before anything is fetched.
//!
//! Every byte is hashed on the way, unless the content is linked and a proof of
//! its source is still valid. A content that is bad or gone is fetched instead.
//! An adopted file of another program is hashed in any case, and never becomes a
//! hard link of a blob: its owner may write to it. One that may be moved is linked,
//! stored, and then loses its old name, so that a crash leaves at least one name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Error};

use super::check::Planned;
use super::destination_writer::DestinationWriter;
use super::preflight::Need;
use super::readers::{GoodRead, ReadJob, ReadResult, Task};
use super::reading::ReadPurpose;
use super::syncer::{Syncer, TargetEntry, TargetState};
use super::target::{SyncRequest, TargetId};
use crate::domain::adopt::AdoptedFile;
use crate::domain::content::ContentId;
use crate::domain::deletion::Permit;
use crate::domain::proof::ProofStamp;
use crate::domain::session::FileSource;
use crate::sys::files;
use crate::sys::host::checkpoint;
use crate::sys::pause::Stopwatch;
use crate::sys::removal;
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
    /// A source went away meanwhile, perhaps because another target has moved it.
    is_outdated: bool,
    failure: Option<Error>,
    /// Running since the target was stopped.
    stopped: Option<Stopwatch>,
}

/// The reading of one file whose content a target takes.
pub(super) struct ImportRead {
    target: TargetId,
    content: ContentId,
    from: PathBuf,
    aside: PathBuf,
    /// The record of the file, if it is another program's.
    adopted: Option<Arc<AdoptedFile>>,
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
            let adopted = planned.adopted.find(&content, from);
            let job = ReadJob {
                name: format!("{label}: {}", from.display()).into(),
                content,
                size_bytes,
                task: Task::Import {
                    from: from.clone(),
                    aside: aside.clone(),
                    sharing: planned.sharing_with(&content, from),
                    is_proven: adopted.is_none()
                        && self.proofs.hold_for(from, &content, stamp.as_ref()),
                },
                limits: request.limits.clone(),
            };
            let import = ImportRead {
                target: id,
                content,
                from: from.clone(),
                aside: aside.clone(),
                adopted: adopted.cloned(),
            };
            left.insert(content, aside);
            self.read(job, ReadPurpose::Import(import));
        }
        let importing = Importing {
            planned,
            writer,
            need,
            left,
            lacking: Vec::new(),
            is_outdated: false,
            failure: None,
            stopped: None,
        };
        self.insert(id, request, TargetState::Importing(importing));
    }

    /// Handles the end of one import.
    pub(super) fn take_import(&mut self, import: ImportRead, result: ReadResult) {
        let ImportRead {
            target: id,
            content,
            from,
            aside,
            adopted,
        } = import;
        self.note_source(&from, content, adopted.is_some(), &result);
        let Some(TargetState::Importing(importing)) =
            self.targets.get_mut(&id).map(|entry| &mut entry.state)
        else {
            // The target has ended.
            let _ = files::remove_if_present(&aside);
            return;
        };
        importing.left.remove(&content);
        match result {
            ReadResult::Good(read) => {
                let stored = importing.take_in(content, &aside, read);
                if let Some((path, stamp)) = stored {
                    self.proofs.add(&path, content, stamp);
                    checkpoint("content imported");
                    if let Some(file) = adopted.filter(|file| file.moves)
                        && importing.end_move(&content, &file, read.source)
                    {
                        self.proofs.forget_adopted(&[from]);
                    }
                }
            }
            ReadResult::Bad => {
                // A change of an adopted file is its owner's right, and no damage.
                if adopted.is_none() {
                    importing.planned.local_reads.bad.insert(content);
                }
                importing.lacking.push(content);
            }
            ReadResult::Unreadable(err) => {
                // Another target has moved it to its own place.
                if !from.exists() {
                    importing.is_outdated = true;
                } else {
                    log::warn!("cannot read `{}`: {err}", from.display());
                }
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

    /// Records the result of reading a source. An adopted file is read at each use, so
    /// it needs no proof, and a bad one is only forgotten.
    fn note_source(
        &mut self,
        from: &Path,
        content: ContentId,
        is_adopted: bool,
        result: &ReadResult,
    ) {
        match result {
            ReadResult::Good(GoodRead {
                stamp: Some(stamp), ..
            }) if !is_adopted => self.proofs.add(from, content, *stamp),
            ReadResult::Bad => {
                self.checker.distrust(from, content);
                if is_adopted {
                    self.proofs.forget_adopted(&[from.to_owned()]);
                } else {
                    log::warn!("`{}` does not have its hash", from.display());
                    self.proofs.add_bad(from, &content, None);
                }
            }
            _ => {}
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
            is_outdated,
            failure,
            stopped,
            ..
        } = importing;
        self.promised.remove(need);
        if is_outdated && failure.is_none() && stopped.is_none() {
            return self.check_again(id, request, planned.local_reads);
        }
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
    pub(super) fn planned(&self) -> &Planned {
        &self.planned
    }

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

    /// Stores a new file, and returns its path and stamp; `None` if that failed.
    fn take_in(
        &mut self,
        content: ContentId,
        aside: &Path,
        read: GoodRead,
    ) -> Option<(PathBuf, ProofStamp)> {
        match self.store(content, aside, read) {
            Ok(stored) => Some(stored),
            Err(err) => {
                let _ = files::remove_if_present(aside);
                self.fail(content, err);
                None
            }
        }
    }

    fn store(
        &mut self,
        content: ContentId,
        aside: &Path,
        read: GoodRead,
    ) -> anyhow::Result<(PathBuf, ProofStamp)> {
        self.writer.import(&content, aside)?;
        let stored = self.writer.stored(&content);
        let stamp = stamp_at(&stored)
            .and_then(|found| found.ok_or_else(|| std::io::ErrorKind::NotFound.into()))
            .with_context(|| format!("cannot read the metadata of `{}`", stored.display()))?;
        let reads = &mut self.planned.local_reads;
        reads.imported.insert(content, (read.source, stamp));
        Ok((stored, stamp))
    }

    /// Removes the old name of an adopted file whose bytes are stored now. Returns
    /// whether it is gone.
    ///
    /// A copy was made on another disk, and its original stays.
    fn end_move(&self, content: &ContentId, file: &AdoptedFile, source: FileSource) -> bool {
        let path = &file.path;
        let found = stamp_at(path).ok().flatten();
        if source != FileSource::Linked || found != Some(file.stamp) {
            if found.is_some() {
                log::info!("`{}` was copied and not moved", path.display());
            }
            return false;
        }
        let moved = removal::remove_file(path, Permit::moved())
            .map_err(Error::from)
            .and_then(|_| self.writer.end_move(content));
        if let Err(err) = moved {
            log::warn!("cannot finish moving `{}`: {err:#}", path.display());
            return false;
        }
        log::info!("`{}` was moved", path.display());
        true
    }

    fn fail(&mut self, content: ContentId, err: Error) {
        self.lacking.push(content);
        self.failure.get_or_insert(err);
    }
}
