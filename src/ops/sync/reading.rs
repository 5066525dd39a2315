//! Hands files to the readers and their results to the targets that wait.

use std::path::PathBuf;
use std::time::Duration;

use super::proving::FileKey;
use super::readers::{GoodRead, ReadEvent, ReadJob, ReadResult};
use super::result::{SyncEvent, TargetId};
use super::syncer::Syncer;
use crate::domain::content::ContentId;
use crate::domain::session::FileSource;
use crate::sys::stamp::stamp_at;

/// A reason to read a file on this machine.
pub(super) enum Purpose {
    /// Some targets use it as it is.
    Proof(FileKey),
    /// A target takes its content in.
    Import {
        index: TargetId,
        from: PathBuf,
        aside: PathBuf,
        content: ContentId,
    },
    /// It was stored by another process while the pool was to fetch it.
    Stored(usize, FileKey),
}

impl Syncer<'_> {
    /// Hands a file to the readers.
    pub(super) fn read(&mut self, job: ReadJob, purpose: Purpose) {
        self.events.push(SyncEvent::ReadPlanned {
            n_files: 1,
            n_bytes: job.size_bytes,
        });
        let name = job.name.clone();
        let id = self.readers.add(job);
        self.reads.insert(id, (purpose, name));
    }

    /// Deals with the news of the readers, waiting so long for the first.
    pub(super) fn take_reads(&mut self, wait: Duration) {
        if !self.readers.is_busy() {
            return;
        }
        let mut event = self.readers.next(wait);
        while let Some(happened) = event {
            match happened {
                ReadEvent::Started { id, n_bytes } => {
                    if let Some((_, name)) = self.reads.get(&id) {
                        self.events.push(SyncEvent::FileStarted {
                            name: name.clone(),
                            n_bytes,
                            have: 0,
                        });
                    }
                }
                ReadEvent::Read { id, bytes } => {
                    if let Some((_, name)) = self.reads.get(&id) {
                        self.events.push(SyncEvent::BytesRead {
                            name: name.clone(),
                            n_bytes: bytes,
                        });
                    }
                }
                ReadEvent::Ended { id, result } => {
                    if let Some((purpose, name)) = self.reads.remove(&id) {
                        self.events.push(SyncEvent::FileEnded { name });
                        self.end_read(purpose, result);
                    }
                }
            }
            event = self.readers.next(Duration::ZERO);
        }
    }

    fn end_read(&mut self, purpose: Purpose, result: ReadResult) {
        match purpose {
            Purpose::Proof(key) => self.proved(key, result),
            Purpose::Import {
                index,
                from,
                aside,
                content,
            } => self.imported(index, content, (&from, &aside), result),
            Purpose::Stored(number, (path, content)) => {
                if let ReadResult::Good(GoodRead { stamp, .. }) = &result
                    && let Some(stamp) = stamp
                {
                    self.proofs.add(&path, content, *stamp);
                }
                self.pool.proved(number, result, &mut self.events);
            }
        }
        self.read_stored();
    }

    /// Proves what other processes have stored of the pool's files.
    pub(super) fn read_stored(&mut self) {
        for (number, path, job) in self.pool.take_reads() {
            let stamp = stamp_at(&path).ok().flatten();
            match stamp.filter(|stamp| self.proofs.hold_for(&path, &job.content, Some(stamp))) {
                Some(stamp) => {
                    let source = FileSource::Found;
                    let stamp = Some(stamp);
                    let read = ReadResult::Good(GoodRead { stamp, source });
                    self.pool.proved(number, read, &mut self.events);
                }
                None => {
                    let key = (path, job.content);
                    self.read(job, Purpose::Stored(number, key));
                }
            }
        }
    }
}
