//! Hashes the found files and records them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::find::Found;
use crate::cache::{CacheLayout, stored_contents};
use crate::domain::adopt::{AdoptedFile, SkipReason};
use crate::domain::content::ContentId;
use crate::domain::deletion::Permit;
use crate::domain::model::Destination;
use crate::domain::proof::ProofStamp;
use crate::domain::snapshot::Amount;
use crate::download::hash_both_ways;
use crate::ops::parallel::{ReadEvent, read_all};
use crate::ops::services::Services;
use crate::ops::sync::SyncEvent;
use crate::store::{ModelFilter, Store};
use crate::sys::files;
use crate::sys::host::{checkpoint, cores};
use crate::sys::open;
use crate::sys::paths::real_place;
use crate::sys::removal;
use crate::sys::stamp::{is_same_file, stamp_at};
use crate::sys::stop::StopReason;

/// The files to adopt, compared with the record.
pub struct Adoption {
    found: Found,
    /// Files that were adopted before and are unchanged.
    known: HashMap<PathBuf, AdoptedFile>,
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
    pub fn new(store: &Store, found: Found) -> Result<Self> {
        let mut recorded: HashMap<PathBuf, AdoptedFile> = HashMap::new();
        for file in store.adopted_files()? {
            recorded.insert(file.path.clone(), file);
        }
        let (mut known, mut to_read) = (HashMap::new(), Vec::new());
        for (path, stamp) in &found.files {
            match recorded.remove(path).filter(|file| file.stamp == *stamp) {
                Some(file) => drop(known.insert(path.clone(), file)),
                None => to_read.push((path.clone(), *stamp)),
            }
        }
        to_read.sort_by_key(|(_, stamp)| std::cmp::Reverse(stamp.size_bytes));
        Ok(Self {
            found,
            known,
            to_read,
        })
    }

    /// Reports the files that would be read.
    pub fn dry_run(self, cache: &CacheLayout) -> Result<AdoptionReport> {
        let mut report = self.begin_report();
        report.hashed = amount(self.to_read.iter().map(|(_, stamp)| stamp));
        report.count_duplicates(cache, self.known.values())?;
        report.unreadable = self.found.unreadable;
        Ok(report)
    }

    /// Reads the files and records each at once, so that an adoption that is cut
    /// short keeps its work.
    pub fn carry_out(
        mut self,
        services: &Services<'_>,
        cache: &CacheLayout,
        moves: bool,
        show: &mut dyn FnMut(&SyncEvent),
    ) -> Result<AdoptionReport> {
        let Services { store, host, .. } = services;
        let mut report = self.begin_report();
        let kept = in_use(store)?;
        let may_move = |path: &Path| moves && !kept.iter().any(|dir| path.starts_with(dir));
        let changed = self.known.values_mut();
        for file in changed.filter(|file| file.moves != may_move(&file.path)) {
            file.moves = !file.moves;
            store.save_adopted(file, host.now())?;
        }
        let mut adopted: Vec<AdoptedFile> = self.known.into_values().collect();
        let n_bytes = self.to_read.iter().map(|(_, stamp)| stamp.size_bytes).sum();
        show(&SyncEvent::ReadPlanned { n_bytes });
        let mut unreadable = self.found.unreadable;
        let mut n_unreadable = Amount::default();
        let mut failure = None;
        let jobs = &self.to_read;
        read_files(jobs, services, show, &mut |job, result| {
            let (path, stamp) = &jobs[job];
            let file = match result {
                Ok(([sha256, git_sha1], Some(stamp))) => AdoptedFile {
                    path: path.clone(),
                    stamp,
                    sha256,
                    git_sha1,
                    moves: may_move(path),
                },
                Ok((_, None)) => {
                    unreadable.push((path.clone(), "it changed while it was read".to_owned()));
                    n_unreadable = sum(n_unreadable, stamp.size_bytes);
                    return;
                }
                Err(err) => {
                    unreadable.push((path.clone(), err));
                    n_unreadable = sum(n_unreadable, stamp.size_bytes);
                    return;
                }
            };
            if let Err(err) = store.save_adopted(&file, host.now()) {
                log::error!("{err:#}");
                failure.get_or_insert(err);
                // What cannot be recorded need not be read.
                services.stop.raise(StopReason::Terminated);
                return;
            }
            checkpoint("file adopted");
            report.hashed = sum(report.hashed, file.stamp.size_bytes);
            adopted.push(file);
        });
        if let Some(err) = failure {
            return Err(err.into());
        }
        let all = amount(self.to_read.iter().map(|(_, stamp)| stamp));
        report.left = Amount {
            files: all.files - report.hashed.files - n_unreadable.files,
            bytes: (all.bytes)
                .saturating_sub(report.hashed.bytes)
                .saturating_sub(n_unreadable.bytes),
        };
        report.count_duplicates(cache, adopted.iter())?;
        report.unreadable = unreadable;
        Ok(report)
    }

    fn begin_report(&self) -> AdoptionReport {
        AdoptionReport {
            total: amount(self.found.files.values()),
            known: amount(self.known.values().map(|file| &file.stamp)),
            skipped: self.found.skipped.clone(),
            ..AdoptionReport::default()
        }
    }
}

type HashResult = Result<([ContentId; 2], Option<ProofStamp>), String>;

/// Hashes files on all cores, with their progress.
fn read_files(
    jobs: &[(PathBuf, ProofStamp)],
    services: &Services<'_>,
    show: &mut dyn FnMut(&SyncEvent),
    on_result: &mut dyn FnMut(usize, HashResult),
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
            ReadEvent::Started { job } => show(&SyncEvent::FileStarted {
                name: name(job),
                n_bytes: jobs[job].1.size_bytes,
                have: 0,
            }),
            ReadEvent::Read { job, bytes } => show(&SyncEvent::BytesRead {
                name: name(job),
                n_bytes: bytes,
            }),
            ReadEvent::Ended { job, result } => {
                show(&SyncEvent::FileEnded { name: name(job) });
                on_result(job, result);
            }
        },
    );
}

/// Returns the directories of registered models: their files are never moved away.
fn in_use(store: &Store) -> Result<Vec<PathBuf>> {
    let models = store.readable_models(&ModelFilter::default())?;
    let directories = models.iter().filter_map(|model| {
        let destination = &model.spec.destination;
        match destination {
            Destination::Directory(root) => Some(real_place(root)),
            Destination::Cache => None,
        }
    });
    Ok(directories.collect())
}

impl AdoptionReport {
    /// Counts contents that are on disk more than once.
    fn count_duplicates<'a>(
        &mut self,
        cache: &CacheLayout,
        files: impl Iterator<Item = &'a AdoptedFile>,
    ) -> Result<()> {
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
                self.in_cache = sum(self.in_cache, bytes);
                self.saveable_bytes += bytes;
            } else if blob.is_none() && is_twin {
                self.saveable_bytes += bytes;
            }
        }
        Ok(())
    }
}

fn amount<'a>(stamps: impl Iterator<Item = &'a ProofStamp>) -> Amount {
    stamps.fold(Amount::default(), |all, stamp| sum(all, stamp.size_bytes))
}

fn sum(amount: Amount, bytes: u64) -> Amount {
    Amount {
        files: amount.files + 1,
        bytes: amount.bytes.saturating_add(bytes),
    }
}

/// Tells whether an adopted file is another one now, or gone from its folder.
///
/// A missing folder proves nothing: its disk may not be mounted.
pub fn is_changed(file: &AdoptedFile) -> bool {
    match stamp_at(&file.path) {
        Ok(Some(found)) => found != file.stamp,
        Ok(None) => file.path.parent().is_some_and(Path::is_dir),
        Err(_) => false,
    }
}

/// Returns the adopted files that have changed or are gone.
pub fn changed_files(store: &Store) -> Result<Vec<AdoptedFile>> {
    let mut files = store.adopted_files()?;
    files.retain(is_changed);
    Ok(files)
}

/// Forgets the adopted files that have changed or are gone. Returns their number.
pub fn forget_changed(store: &Store) -> Result<usize> {
    let changed = changed_files(store)?;
    for file in &changed {
        store.forget_adopted(&file.path)?;
    }
    Ok(changed.len())
}

/// Finishes moves of a run that was killed: the file is a second name of a blob.
pub fn finish_moves(store: &Store, cache: &CacheLayout, files: &[AdoptedFile]) -> Result<()> {
    let moving = files.iter();
    let moving: Vec<&AdoptedFile> = moving
        .filter(|file| file.moves && has_two_names(&file.path))
        .collect();
    if moving.is_empty() {
        return Ok(());
    }
    let stored = stored_contents(cache)?;
    for file in moving {
        let blobs = [file.sha256, file.git_sha1];
        let mut blobs = blobs.iter().filter_map(|content| stored.get(content));
        if let Some((blob, _)) = blobs.find(|(blob, _)| is_same_file(blob, &file.path)) {
            let path = &file.path;
            removal::remove_file(path, Permit::moved())
                .with_context(|| format!("cannot remove `{}`", path.display()))?;
            let blob = open::flushable(blob)?;
            let permissions = files::read_only(&blob.metadata()?.permissions());
            open::set_permissions(&blob, permissions)?;
            store.forget_adopted(path)?;
        }
    }
    Ok(())
}

/// Tells whether a file has a second hard link.
pub fn has_two_names(path: &Path) -> bool {
    let found = std::fs::metadata(path).ok();
    let identity = found.and_then(|found| files::identity(&found));
    identity.is_some_and(|(_, n_names)| n_names > 1)
}
