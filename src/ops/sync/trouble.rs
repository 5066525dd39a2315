//! What an error means for a session: its kind, its words, its outcome.

use anyhow::Error;

use super::check::{MissingFile, is_gone};
use super::preflight::{NoFiles, NoSpace, TooLarge};
use crate::domain::outcome::{ErrorKind, Outcome};
use crate::domain::placement::PlacementError;
use crate::domain::plan::PlanError;
use crate::domain::session::Trouble;
use crate::domain::snapshot::NothingSelected;
use crate::hub::{Fault, HubError};
use crate::ops::places::PlaceError;
use crate::store::StoreError;
use crate::sys::file_limit;
use crate::sys::files::is_disk_failure;

/// Turns an error into what the session keeps and a person reads.
pub fn trouble_of(error: &Error) -> Trouble {
    let mut message = String::new();
    for link in error.chain() {
        let text = link.to_string();
        // A wrapper that repeats what it wraps says nothing new.
        if message.contains(&text) {
            continue;
        }
        if !message.is_empty() {
            message.push_str(": ");
        }
        message.push_str(&text);
    }
    let (kind, hint) = kind_and_hint(error);
    Trouble {
        kind,
        message,
        hint,
    }
}

fn kind_and_hint(error: &Error) -> (ErrorKind, Option<String>) {
    for link in error.chain() {
        if let Some(hub) = link.downcast_ref::<HubError>() {
            return (hub.kind(), hub.hint());
        }
        if let Some(space) = link.downcast_ref::<NoSpace>() {
            return (ErrorKind::Disk, Some(space.hint()));
        }
        if let Some(place) = link.downcast_ref::<PlaceError>() {
            return (place.kind(), Some(place.hint()));
        }
        if link.is::<NoFiles>() {
            let hint = "delete small files there, or use a file system with more inodes";
            return (ErrorKind::Disk, Some(hint.to_owned()));
        }
        if link.is::<TooLarge>() {
            let hint =
                "use a file system for large files (exFAT, NTFS, APFS, ext4), and no `ulimit -f`";
            return (ErrorKind::Disk, Some(hint.to_owned()));
        }
        if let Some(nothing) = link.downcast_ref::<NothingSelected>() {
            return (ErrorKind::Config, nothing.hint().map(str::to_owned));
        }
        if link.is::<MissingFile>() {
            return (ErrorKind::NotFound, None);
        }
        if link.is::<PlanError>() || link.is::<PlacementError>() {
            return (ErrorKind::Hub, None);
        }
        if let Some(store) = link.downcast_ref::<StoreError>() {
            let kind = match store {
                StoreError::DiskFull | StoreError::DiskFailed { .. } | StoreError::ReadOnly => {
                    ErrorKind::Disk
                }
                _ => ErrorKind::Internal,
            };
            return (kind, store.hint().map(str::to_owned));
        }
        if let Some(io) = link.downcast_ref::<std::io::Error>() {
            if file_limit::is_reached(io) {
                return (ErrorKind::Internal, Some(file_limit::ADVICE.to_owned()));
            }
            use std::io::ErrorKind as Io;
            return match io.kind() {
                Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge => {
                    let hint =
                        "free space there; what was fetched is kept and the next run goes on";
                    (ErrorKind::Disk, Some(hint.to_owned()))
                }
                Io::ReadOnlyFilesystem | Io::PermissionDenied => {
                    let hint = "make the place writable for this user";
                    (ErrorKind::Disk, Some(hint.to_owned()))
                }
                _ if is_disk_failure(io) => (ErrorKind::Disk, None),
                _ => (ErrorKind::Internal, None),
            };
        }
    }
    (ErrorKind::Internal, None)
}

/// Returns what a person does about a file whose kind of trouble is all that is known.
pub fn hint_for_file(kind: ErrorKind) -> Option<String> {
    (kind == ErrorKind::Disk).then(|| {
        "free space there, or make it writable; what was fetched is kept and the next run goes on"
            .to_owned()
    })
}

/// Tells whether this machine had no network at all: then nothing was tried.
pub fn is_offline(error: &Error) -> bool {
    let hub = error
        .chain()
        .find_map(|link| link.downcast_ref::<HubError>());
    match hub.map(HubError::fault) {
        Some(Fault::Network(http)) => http.kind().is_offline(),
        Some(Fault::Offline) => true,
        _ => false,
    }
}

/// Names the outcome of a session whose check failed.
///
/// What could not be asked is never called current, and what vanished upstream
/// keeps its local copy.
pub fn outcome_of(error: &Error, was_published: bool) -> Outcome {
    let hub = error
        .chain()
        .find_map(|link| link.downcast_ref::<HubError>());
    match hub {
        Some(hub) if matches!(hub.kind(), ErrorKind::Network | ErrorKind::RateLimit) => {
            Outcome::CouldNotCheck
        }
        Some(hub) if is_gone(hub) && was_published => Outcome::Orphaned,
        _ => Outcome::Failed,
    }
}
