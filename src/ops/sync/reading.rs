//! Hands files to the readers, and their results to the targets that wait.

use std::time::Duration;

use super::importing::ImportRead;
use super::proving::FileKey;
use super::readers::{ReadEvent, ReadJob, ReadResult};
use super::result::SyncEvent;
use super::syncer::Syncer;
use crate::download::FileId;

/// The reason to read a file on this machine.
pub(super) enum ReadPurpose {
    /// Some targets use it unchanged.
    Proof(FileKey),
    /// A target adopts its content.
    Import(ImportRead),
    /// Another process has stored it before it was fetched.
    Stored(FileId),
}

impl Syncer<'_> {
    /// Hands a file to the readers.
    pub(super) fn read(&mut self, job: ReadJob, purpose: ReadPurpose) {
        self.events.push(SyncEvent::ReadPlanned {
            n_files: 1,
            n_bytes: job.size_bytes,
        });
        let name = job.name.clone();
        let id = self.readers.add(job);
        self.reads.insert(id, (purpose, name));
    }

    /// Waits up to `wait` for events of the readers, and handles all that are there.
    pub(super) fn take_reads(&mut self, mut wait: Duration) {
        if !self.readers.is_busy() {
            return;
        }
        while let Some(event) = self.readers.next(wait) {
            wait = Duration::ZERO;
            match event {
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
                        self.events.push(SyncEvent::ReadEnded {
                            name,
                            is_whole: true,
                        });
                        self.end_read(purpose, result);
                    }
                }
            }
        }
    }

    fn end_read(&mut self, purpose: ReadPurpose, result: ReadResult) {
        match purpose {
            ReadPurpose::Proof(key) => self.take_proof(key, result),
            ReadPurpose::Import(import) => self.take_import(import, result),
            ReadPurpose::Stored(id) => self.take_stored(id, result),
        }
    }
}
