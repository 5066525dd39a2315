//! Hashes the found files and records them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::find::{Found, find};
use super::record::{files_of_views, has_two_names};
use crate::cache::{CacheLayout, stored_contents};
use crate::domain::adopt::{AdoptedFile, SkipReason};
use crate::domain::content::ContentId;
use crate::domain::proof::ProofStamp;
use crate::domain::settings::Settings;
use crate::domain::snapshot::Amount;
use crate::download::hash_both_ways;
use crate::ops::parallel::{HashEvent, read_all};
use crate::ops::services::Services;
use crate::ops::sync::SyncEvent;
use crate::store::Store;
use crate::sys::host::{checkpoint, cores};
use crate::sys::stamp::is_same_file;
use crate::sys::stop::StopReason;

/// The files to adopt, compared with the record.
pub struct Adoption {
    cache: CacheLayout,
    found: Found,
    /// Files that were adopted before and are unchanged.
    known: Vec<AdoptedFile>,
    /// Files to read, the largest first, so that all cores are busy until the end.
    to_read: Vec<(PathBuf, ProofStamp)>,
}

/// The result of an adoption.
#[derive(Debug, Default)]
pub struct AdoptionReport {
    pub total: Amount,
    /// Read and recorded now; in a dry run, those that would be.
    pub hashed: Amount,
    pub known: Amount,
    /// Not read, because the adoption was stopped.
    pub left: Amount,
    /// Files whose content the cache has, in other files.
    pub in_cache: Amount,
    /// Bytes on disk of contents that the cache or another of the files has too.
    pub saveable_bytes: u64,
    pub skipped: BTreeMap<SkipReason, u64>,
    pub unreadable: Vec<(PathBuf, String)>,
}

impl Adoption {
    /// Finds the files below the given paths; reads none.
    pub fn new(store: &Store, settings: &Settings, paths: &[PathBuf]) -> Result<Self> {
        let cache = CacheLayout::new(settings.cache_dir());
        let found = find(paths, cache.root(), &files_of_views(store)?);
        let recorded = store.adopted_files()?.into_iter();
        let mut recorded: HashMap<PathBuf, AdoptedFile> =
            recorded.map(|file| (file.path.clone(), file)).collect();
        let (mut known, mut to_read) = (Vec::new(), Vec::new());
        for (path, stamp) in &found.files {
            match recorded.remove(path).filter(|file| file.stamp == *stamp) {
                Some(file) => known.push(file),
                None => to_read.push((path.clone(), *stamp)),
            }
        }
        to_read.sort_by_key(|(_, stamp)| std::cmp::Reverse(stamp.size_bytes));
        Ok(Self {
            cache,
            found,
            known,
            to_read,
        })
    }

    /// Reports the files that would be read.
    pub fn dry_run(self) -> Result<AdoptionReport> {
        let mut report = self.begin_report();
        report.hashed = amount(self.to_read.iter().map(|(_, stamp)| stamp));
        report.count_duplicates(&self.cache, &self.known)?;
        report.unreadable = self.found.unreadable;
        Ok(report)
    }

    /// Reads the files and records each at once, so that an adoption that is cut
    /// short keeps its work.
    pub fn carry_out(
        mut self,
        services: &Services<'_>,
        moves: bool,
        show: &mut dyn FnMut(&SyncEvent),
    ) -> Result<AdoptionReport> {
        let Services { store, host, .. } = services;
        let mut report = self.begin_report();
        // A second name that is no unfinished move belongs to another program.
        let may_move = |path: &Path| moves && !has_two_names(path);
        for file in self.known.iter_mut().filter(|file| file.moves != moves) {
            file.moves = may_move(&file.path);
            store.save_adopted(file, host.now())?;
        }
        let (mut adopted, mut unreadable) = (self.known, self.found.unreadable);
        let jobs = &self.to_read;
        let all = amount(jobs.iter().map(|(_, stamp)| stamp));
        report.left = all;
        show(&SyncEvent::ReadPlanned {
            n_files: all.files,
            n_bytes: all.bytes,
        });
        let mut failure = None;
        read_files(jobs, services, show, &mut |job, result| {
            let (path, stamp) = &jobs[job];
            report.left = without(report.left, stamp.size_bytes);
            let ([sha256, git_sha1], stamp) = match result {
                Ok((hashes, Some(stamp))) => (hashes, stamp),
                Ok((_, None)) => {
                    return unreadable.push((path.clone(), "it changed while it was read".into()));
                }
                Err(err) => return unreadable.push((path.clone(), err)),
            };
            let file = AdoptedFile {
                path: path.clone(),
                stamp,
                sha256,
                git_sha1,
                moves: may_move(path),
            };
            if let Err(err) = store.save_adopted(&file, host.now()) {
                failure.get_or_insert(err);
                // A file that cannot be recorded need not be read.
                services.stop.raise(StopReason::Terminated);
                return;
            }
            checkpoint("file adopted");
            report.hashed = with(report.hashed, file.stamp.size_bytes);
            adopted.push(file);
        });
        if let Some(err) = failure {
            return Err(err.into());
        }
        report.count_duplicates(&self.cache, &adopted)?;
        report.unreadable = unreadable;
        Ok(report)
    }

    fn begin_report(&self) -> AdoptionReport {
        AdoptionReport {
            total: amount(self.found.files.values()),
            known: amount(self.known.iter().map(|file| &file.stamp)),
            skipped: self.found.skipped.clone(),
            ..AdoptionReport::default()
        }
    }
}

type Hashes = Result<([ContentId; 2], Option<ProofStamp>), String>;

/// Hashes files on all cores, with their progress.
fn read_files(
    jobs: &[(PathBuf, ProofStamp)],
    services: &Services<'_>,
    show: &mut dyn FnMut(&SyncEvent),
    on_result: &mut dyn FnMut(usize, Hashes),
) {
    let chosen: Vec<usize> = (0..jobs.len()).collect();
    let name = |job: usize| jobs[job].0.to_string_lossy().into();
    read_all(
        &chosen,
        cores(),
        &services.stop,
        |job, on_read| {
            let read = hash_both_ways(&jobs[job].0, on_read);
            read.map_err(|err| err.to_string()).transpose()
        },
        &mut |event| match event {
            HashEvent::Started { job } => show(&SyncEvent::FileStarted {
                name: name(job),
                n_bytes: jobs[job].1.size_bytes,
                have: 0,
            }),
            HashEvent::Read { job, bytes } => show(&SyncEvent::BytesRead {
                name: name(job),
                n_bytes: bytes,
            }),
            HashEvent::Ended { job, result } => {
                show(&SyncEvent::ReadEnded {
                    name: name(job),
                    is_whole: true,
                });
                on_result(job, result);
            }
        },
    );
}

impl AdoptionReport {
    /// Counts contents that are on disk more than once.
    fn count_duplicates(&mut self, cache: &CacheLayout, files: &[AdoptedFile]) -> Result<()> {
        let stored = stored_contents(cache)?;
        let mut seen = HashSet::new();
        for file in files {
            let bytes = file.stamp.size_bytes;
            let blob = stored
                .get(&file.sha256)
                .or_else(|| stored.get(&file.git_sha1));
            let blob = blob.filter(|(_, size_bytes)| *size_bytes == bytes);
            let is_twin = !seen.insert(file.sha256);
            let is_separate = |(blob, _): &&(PathBuf, u64)| !is_same_file(blob, &file.path);
            if blob.filter(is_separate).is_some() {
                self.in_cache = with(self.in_cache, bytes);
                self.saveable_bytes += bytes;
            } else if blob.is_none() && is_twin {
                self.saveable_bytes += bytes;
            }
        }
        Ok(())
    }
}

fn amount<'a>(stamps: impl Iterator<Item = &'a ProofStamp>) -> Amount {
    stamps.fold(Amount::default(), |all, stamp| with(all, stamp.size_bytes))
}

fn with(amount: Amount, bytes: u64) -> Amount {
    Amount {
        files: amount.files + 1,
        bytes: amount.bytes.saturating_add(bytes),
    }
}

fn without(amount: Amount, bytes: u64) -> Amount {
    Amount {
        files: amount.files.saturating_sub(1),
        bytes: amount.bytes.saturating_sub(bytes),
    }
}
