//! Threads that read files on this machine: to prove them, or to copy or link
//! their content to another path, hashed on the way.
//!
//! The coordinating thread adds jobs and receives events. The threads write
//! temporary files only and do not use the database. A stopping run does not
//! wait for them: a disk may be slow.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::domain::content::ContentId;
use crate::domain::proof::ProofStamp;
use crate::domain::session::FileSource;
use crate::download::{LimitGroup, WholeRead, prove_content};
use crate::sys::copy::flush;
use crate::sys::files;
use crate::sys::host::{cores, slow_down_reading};
use crate::sys::share::{Sharing, clone_or_link, take_time_of};
use crate::sys::stamp::stamp_at;

/// Bytes between two progress reports.
const REPORT_EVERY: u64 = 4 << 20;

/// Bytes between two flushes of a copy, so that the end of the copy or of the
/// process does not wait for the whole file.
const FLUSH_EVERY: u64 = 32 << 20;

pub(super) type ReadId = usize;

/// A file to read.
pub(super) struct ReadJob {
    /// The file in messages.
    pub(super) name: Arc<str>,
    pub(super) content: ContentId,
    pub(super) size_bytes: u64,
    pub(super) task: Task,
    /// The job ends early when they are stopped.
    pub(super) limits: LimitGroup,
}

pub(super) enum Task {
    /// Hash a file.
    Prove { file: PathBuf },
    /// Make the content available at `aside`: as a link or clone, or as a copy.
    Import {
        from: PathBuf,
        aside: PathBuf,
        sharing: Sharing,
        /// `from` has a valid proof, so a link needs no reading.
        is_proven: bool,
    },
}

pub(super) enum ReadEvent {
    Started { id: ReadId, n_bytes: u64 },
    Read { id: ReadId, bytes: u64 },
    Ended { id: ReadId, result: ReadResult },
}

#[derive(Debug)]
pub(super) enum ReadResult {
    Good(GoodRead),
    /// The bytes do not have the hash.
    Bad,
    /// The file cannot be read, or changed meanwhile.
    Unreadable(io::Error),
    /// The new file cannot be written.
    Failed(io::Error),
    Stopped,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct GoodRead {
    /// The stamp of the file that was read; `None` when an older proof was enough.
    pub(super) stamp: Option<ProofStamp>,
    pub(super) source: FileSource,
}

pub(super) struct Readers {
    jobs: Sender<(ReadId, ReadJob)>,
    queue: Arc<Mutex<Receiver<(ReadId, ReadJob)>>>,
    events: Receiver<ReadEvent>,
    event: Sender<ReadEvent>,
    n_added: ReadId,
    /// Jobs that have not ended.
    open: BTreeSet<ReadId>,
    n_threads: usize,
}

impl Readers {
    /// Creates the pool without threads; they are started with the jobs.
    pub(super) fn new() -> Self {
        let (jobs, queue) = channel();
        let (event, events) = channel();
        Self {
            jobs,
            queue: Arc::new(Mutex::new(queue)),
            events,
            event,
            n_added: 0,
            open: BTreeSet::new(),
            n_threads: 0,
        }
    }

    pub(super) fn add(&mut self, job: ReadJob) -> ReadId {
        let id = self.n_added;
        self.n_added += 1;
        self.open.insert(id);
        // This value holds the receiving end as well.
        let _ = self.jobs.send((id, job));
        if self.n_threads < self.open.len().min(cores()) {
            match self.start_thread() {
                Ok(()) => self.n_threads += 1,
                Err(err) if self.n_threads > 0 => log::warn!("could not start a thread: {err}"),
                Err(err) => {
                    let result = ReadResult::Failed(err);
                    let _ = self.event.send(ReadEvent::Ended { id, result });
                }
            }
        }
        id
    }

    pub(super) fn is_busy(&self) -> bool {
        !self.open.is_empty()
    }

    /// Waits up to `wait` for the next event.
    pub(super) fn next(&mut self, wait: Duration) -> Option<ReadEvent> {
        let event = if wait.is_zero() {
            self.events.try_recv().ok()
        } else {
            self.events.recv_timeout(wait).ok()
        };
        if let Some(ReadEvent::Ended { id, .. }) = &event {
            self.open.remove(id);
        }
        event
    }

    fn start_thread(&self) -> io::Result<()> {
        let (queue, event) = (self.queue.clone(), self.event.clone());
        let thread = std::thread::Builder::new().name("read".into());
        thread.spawn(move || {
            loop {
                let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok((id, job)) = job else { return };
                let result = catch_unwind(AssertUnwindSafe(|| carry_out(id, &job, &event)));
                let result = result.unwrap_or_else(|_| {
                    let why = "a programming error ended the reading";
                    ReadResult::Failed(io::Error::other(why))
                });
                if event.send(ReadEvent::Ended { id, result }).is_err() {
                    return;
                }
            }
        })?;
        Ok(())
    }
}

fn carry_out(id: ReadId, job: &ReadJob, event: &Sender<ReadEvent>) -> ReadResult {
    if job.limits.is_stopped() {
        return ReadResult::Stopped;
    }
    let _ = event.send(ReadEvent::Started {
        id,
        n_bytes: job.size_bytes,
    });
    let mut unreported = 0;
    let mut report = |bytes: u64, is_last: bool| {
        unreported += bytes;
        if unreported >= REPORT_EVERY || is_last && unreported > 0 {
            let bytes = std::mem::take(&mut unreported);
            let _ = event.send(ReadEvent::Read { id, bytes });
        }
    };
    let result = match &job.task {
        Task::Prove { file } => job.prove(file, &mut |bytes| report(bytes, false)),
        Task::Import {
            from,
            aside,
            sharing,
            is_proven,
        } => {
            let import = Import {
                job,
                from,
                aside,
                is_proven: *is_proven,
            };
            let result = import.carry_out(*sharing, &mut |bytes| report(bytes, false));
            if !matches!(result, ReadResult::Good(_)) {
                let _ = fs::remove_file(aside);
            }
            result
        }
    };
    report(0, true);
    result
}

impl ReadJob {
    fn prove(&self, file: &Path, report: &mut dyn FnMut(u64)) -> ReadResult {
        let read = prove_content(file, &self.content, &mut |bytes| {
            slow_down_reading(bytes.len());
            report(bytes.len() as u64);
            self.goes_on()
        });
        self.judge(read, FileSource::Found)
    }

    fn goes_on(&self) -> ControlFlow<()> {
        if self.limits.is_stopped() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn judge(&self, read: io::Result<Option<WholeRead>>, source: FileSource) -> ReadResult {
        match read {
            Err(err) => ReadResult::Unreadable(err),
            Ok(None) => ReadResult::Stopped,
            Ok(Some(WholeRead {
                has_content: false, ..
            })) => ReadResult::Bad,
            Ok(Some(WholeRead { stamp: None, .. })) => {
                ReadResult::Unreadable(io::Error::other("it changed while it was read"))
            }
            Ok(Some(WholeRead { stamp, .. })) => ReadResult::Good(GoodRead { stamp, source }),
        }
    }
}

struct Import<'j> {
    job: &'j ReadJob,
    from: &'j Path,
    aside: &'j Path,
    is_proven: bool,
}

impl Import<'_> {
    fn carry_out(&self, sharing: Sharing, report: &mut dyn FnMut(u64)) -> ReadResult {
        let before = match stamp_at(self.from) {
            Ok(Some(found)) if found.size_bytes == self.job.size_bytes => found,
            Ok(_) => return ReadResult::Unreadable(io::Error::other("its size has changed")),
            Err(err) => return ReadResult::Unreadable(err),
        };
        if clone_or_link(self.from, self.aside, sharing).is_err() {
            return self.copy(sharing, report);
        }
        if let Err(err) = flush(self.aside) {
            // The bytes belong to the source, so its disk has failed.
            return ReadResult::Unreadable(err);
        }
        let is_unchanged = matches!(stamp_at(self.from), Ok(Some(found)) if found == before);
        if self.is_proven && is_unchanged {
            let (stamp, source) = (None, FileSource::Linked);
            return ReadResult::Good(GoodRead { stamp, source });
        }
        match self.job.prove(self.aside, report) {
            ReadResult::Good(_) => {
                // A clone has an inode of its own; the proof is for the source.
                let stamp = is_unchanged.then_some(before);
                let source = FileSource::Linked;
                ReadResult::Good(GoodRead { stamp, source })
            }
            other => other,
        }
    }

    fn copy(&self, sharing: Sharing, report: &mut dyn FnMut(u64)) -> ReadResult {
        let mut to = match files::create_new(self.aside) {
            Ok(to) => to,
            Err(err) => return ReadResult::Failed(err),
        };
        let (mut unflushed, mut failure) = (0, None);
        let mut write = |to: &mut File, bytes: &[u8]| -> io::Result<()> {
            to.write_all(bytes)?;
            unflushed += bytes.len() as u64;
            if unflushed >= FLUSH_EVERY {
                unflushed = 0;
                to.sync_data()?;
            }
            Ok(())
        };
        let read = prove_content(self.from, &self.job.content, &mut |bytes| {
            slow_down_reading(bytes.len());
            report(bytes.len() as u64);
            if let Err(err) = write(&mut to, bytes) {
                failure = Some(err);
                return ControlFlow::Break(());
            }
            self.job.goes_on()
        });
        let failure = failure.or_else(|| to.sync_data().err());
        drop(to);
        if sharing == Sharing::HardLinksToo
            && let Err(err) = take_time_of(self.from, self.aside)
        {
            // Older snapshots with copies of a blob are recognised by its time.
            log::debug!("`{}` keeps a time of its own: {err}", self.aside.display());
        }
        match failure {
            Some(err) => ReadResult::Failed(err),
            None => self.job.judge(read, FileSource::Copied),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::stop::StopReason;

    const EMPTY: &str = "git:e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";

    fn end_of(task: Task, is_stopped: bool) -> ReadResult {
        let limits = LimitGroup::default().child(None);
        if is_stopped {
            limits.stop().raise(StopReason::Terminated);
        }
        let mut readers = Readers::new();
        readers.add(ReadJob {
            name: "x".into(),
            content: EMPTY.parse().unwrap(),
            size_bytes: 0,
            task,
            limits,
        });
        while readers.is_busy() {
            if let Some(ReadEvent::Ended { result, .. }) = readers.next(Duration::from_secs(9)) {
                return result;
            }
        }
        panic!("no end");
    }

    #[test]
    fn a_file_is_good_bad_or_unreadable_and_a_stopped_job_has_no_verdict() {
        let dir = tempfile::tempdir().unwrap();
        let (good, bad) = (dir.path().join("good"), dir.path().join("bad"));
        fs::write(&good, "").unwrap();
        fs::write(&bad, "x").unwrap();
        let prove = |file: &Path| Task::Prove { file: file.into() };
        let stamp = stamp_at(&good).unwrap();
        let read = end_of(prove(&good), false);
        assert!(matches!(read, ReadResult::Good(read) if read.stamp == stamp));
        assert!(matches!(end_of(prove(&bad), false), ReadResult::Bad));
        let missing = prove(&dir.path().join("missing"));
        assert!(matches!(end_of(missing, false), ReadResult::Unreadable(_)));
        assert!(matches!(end_of(prove(&good), true), ReadResult::Stopped));
    }

    #[test]
    fn an_import_leaves_a_file_aside_only_when_it_is_good() {
        let dir = tempfile::tempdir().unwrap();
        let (good, aside) = (dir.path().join("good"), dir.path().join("aside"));
        fs::write(&good, "").unwrap();
        let import = |from: &str| Task::Import {
            from: dir.path().join(from),
            aside: aside.clone(),
            sharing: Sharing::OwnBytes,
            is_proven: false,
        };
        assert!(matches!(end_of(import("good"), false), ReadResult::Good(_)));
        assert!(aside.exists());
        fs::remove_file(&aside).unwrap();
        fs::write(dir.path().join("larger"), "x").unwrap();
        let end = end_of(import("larger"), false);
        assert!(matches!(end, ReadResult::Unreadable(_)), "{end:?}");
        assert!(!aside.exists());
    }
}
