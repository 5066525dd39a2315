//! Refuses plans that do not fit on the disk, before the first byte.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use thiserror::Error;

use super::check::Planned;
use super::fetching::copies;
use crate::domain::plan::{Action, ContentLocation};
use crate::domain::units::ByteSize;
use crate::download::SMALL_FILE_MAX;
use crate::sys::disk;
use crate::sys::share::{Sharing, can_clone};

/// The missing bytes and the reserve do not fit.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("it needs {} more on the file system of `{destination}`, which has {} free and is to keep {}", .need.render_short(), .free.render_short(), .reserve.render_short())]
pub struct NoSpace {
    pub destination: String,
    pub need: ByteSize,
    pub free: ByteSize,
    pub reserve: ByteSize,
}

/// The file system can hold no more files, however small.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "it needs up to {need} more files on the file system of `{destination}`, which has room for {free}"
)]
pub struct NoFiles {
    pub destination: String,
    pub need: u64,
    pub free: u64,
}

/// A file is larger than the file system allows.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{path}` has {}, but on the file system of `{destination}` a file can have {} at most", .size.render_short(), .most.render_short())]
pub struct TooLarge {
    pub path: String,
    pub destination: String,
    pub size: ByteSize,
    pub most: ByteSize,
}

impl NoSpace {
    pub fn hint(&self) -> String {
        "free space there, choose fewer files with `--include`, or lower `disk.reserve`".to_owned()
    }
}

/// The place of bytes that are to be written: a file system, and whether they go into
/// the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NeedPlace {
    pub(super) file_system: u64,
    pub(super) is_cache: bool,
}

/// Bytes that are still to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) place: NeedPlace,
    pub(super) bytes: u64,
}

/// Bytes that are promised to targets.
#[derive(Debug, Default)]
pub(super) struct PromisedBytes(BTreeMap<NeedPlace, u64>);

impl PromisedBytes {
    pub(super) fn add(&mut self, need: Need) {
        *self.0.entry(need.place).or_default() += need.bytes;
    }

    pub(super) fn remove(&mut self, need: Need) {
        let promised = self.0.entry(need.place).or_default();
        *promised = promised.saturating_sub(need.bytes);
    }

    /// Adds up the bytes for some places.
    pub(super) fn at(&self, is_meant: impl Fn(NeedPlace) -> bool) -> u64 {
        let promised = self.0.iter().filter(|(place, _)| is_meant(**place));
        promised.map(|(_, bytes)| bytes).sum()
    }
}

/// Returns the bytes that a plan has to write, or an error if they do not fit.
/// `promised` returns the bytes that other targets have still to write on a file
/// system. A copy of a content of this machine counts like a fetch.
///
/// A target that does not fit takes no space from the next one.
pub(super) fn refuse_unfit_plan(
    planned: &Planned,
    reserve: ByteSize,
    promised: impl Fn(u64) -> u64,
) -> Result<Need> {
    let fetches = planned.plan.fetches();
    let fetched = fetches.fold(0, |sum: u64, file| {
        let partial = planned.destination.partial(&file.file.content);
        sum.saturating_add(missing_bytes(&partial, file.file.size_bytes))
    });
    if fetched == 0 && planned.plan.imports().is_empty() {
        return Ok(Need::default());
    }
    let space = space_of(planned)?;
    // Where the file system does not tell, the first write that fails does.
    let free = space.free_bytes.unwrap_or(u64::MAX);
    let free = free.saturating_sub(promised(space.file_system));
    let mut room = free.saturating_sub(reserve.bytes());
    let written = if fetched > room {
        fetched.saturating_sub(shared_bytes(planned))
    } else {
        fetched
    };
    room = room.saturating_sub(written);
    let need = written.saturating_add(bytes_to_copy(planned, space.file_system, room));
    if need == 0 {
        return Ok(Need::default());
    }
    if let Some(most) = space.largest_file {
        refuse_large_files(planned, most, need > written)?;
    }
    if need.saturating_add(reserve.bytes()) > free {
        return Err(NoSpace {
            destination: shown_folder(planned),
            need: ByteSize(need),
            free: ByteSize(free),
            reserve,
        }
        .into());
    }
    if let Some(free) = space.free_files {
        refuse_many_files(planned, free)?;
    }
    let place = NeedPlace {
        file_system: space.file_system,
        is_cache: planned.destination.is_cache(),
    };
    Ok(Need { place, bytes: need })
}

/// Refuses a plan with more files than the file system has room for.
fn refuse_many_files(planned: &Planned, free: u64) -> Result<()> {
    // Each file has a blob and a path in the snapshot.
    let need = 2 * planned.plan.files.len() as u64;
    if need > free {
        return Err(NoFiles {
            destination: shown_folder(planned),
            need,
            free,
        }
        .into());
    }
    Ok(())
}

fn shown_folder(planned: &Planned) -> String {
    planned.destination.folder().display().to_string()
}

/// Refuses a plan with a file of more than `most` bytes.
fn refuse_large_files(planned: &Planned, most: u64, are_imports_copied: bool) -> Result<()> {
    let is_written = |action: &Action| {
        let is_import = matches!(action, Action::Link(ContentLocation::At(_)));
        action.is_fetch() || are_imports_copied && is_import
    };
    let files = planned.plan.files.iter();
    let files = files.filter(|file| is_written(&file.action));
    let files = files.map(|file| &file.file);
    if let Some(file) = files.max_by_key(|file| file.size_bytes)
        && file.size_bytes > most
    {
        return Err(TooLarge {
            path: file.path.to_string(),
            destination: shown_folder(planned),
            size: ByteSize(file.size_bytes),
            most: ByteSize(most),
        }
        .into());
    }
    Ok(())
}

/// Counts the bytes of contents on this machine that cannot be linked or cloned.
///
/// Cloning can only be tested by a trial, which is made only for a plan that
/// would not fit into the `room` otherwise.
fn bytes_to_copy(planned: &Planned, file_system: u64, room: u64) -> u64 {
    let (mut apart, mut beside) = (0u64, 0u64);
    let mut probe = None;
    for (content, (size_bytes, from)) in planned.plan.imports() {
        let source = disk::space_at(from);
        if !source.is_ok_and(|source| source.file_system == file_system) {
            apart = apart.saturating_add(size_bytes);
        } else if planned.sharing_with(&content, from) == Sharing::OwnBytes {
            beside = beside.saturating_add(size_bytes);
            probe = Some(from);
        }
    }
    let all = apart.saturating_add(beside);
    let folder = planned.destination.folder();
    let can_clone = || {
        let folder = folder.ancestors().find(|folder| folder.exists());
        probe
            .zip(folder)
            .is_some_and(|(from, to)| can_clone(from, to))
    };
    if all > room && can_clone() {
        apart
    } else {
        all
    }
}

/// Counts the bytes of fetched files that will share the space of old files.
///
/// Sharing can only be tested by a trial, which is made only for a plan that would not
/// fit otherwise.
fn shared_bytes(planned: &Planned) -> u64 {
    let fetches = planned.plan.fetches();
    let shared = fetches.filter_map(|file| {
        let partial = planned.destination.partial(&file.file.content);
        let missing = missing_bytes(&partial, file.file.size_bytes);
        let shared = copies(file.delta.as_ref()?).shared_ranges(partial.parent()?);
        Some(shared.total().min(missing))
    });
    shared.sum()
}

/// Returns the space on the file system of the destination.
fn space_of(planned: &Planned) -> Result<disk::Space> {
    let folder = planned.destination.folder();
    let exists = folder.ancestors().find(|folder| folder.exists());
    disk::space_at(exists.unwrap_or(&folder))
        .with_context(|| format!("cannot read the free space at `{}`", folder.display()))
}

/// Counts the bytes that have still to be written. A partial file may own all
/// of its space already; a small file is not resumed.
pub(super) fn missing_bytes(partial: &Path, size_bytes: u64) -> u64 {
    if size_bytes <= SMALL_FILE_MAX {
        return size_bytes;
    }
    size_bytes.saturating_sub(disk::allocated_bytes(partial))
}
