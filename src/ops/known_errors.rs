//! The errors that the diagnosis knows, each with its kind and its next step.

use std::error::Error as StdError;
use std::io;

use super::lock_file::NotAsLocked;
use super::login::{NoIdentity, UnknownTokenName, UnreadableTokenFile};
use super::models::{DirectoryInUse, PinnedApart};
use super::places::PlaceError;
use super::rate_limits::AskedToWait;
use super::run_due::WrongClock;
use super::schedules::Duplicate;
use super::sync::{CacheFull, MissingFile, NoFiles, NoSpace, TooLarge};
use super::timer::TimerRefusal;
use super::timer_places::OtherPlace;
use super::updates::{NothingWaits, OtherUpdate};
use crate::domain::invalid_value::InvalidValue;
use crate::domain::login::LOGIN_ADVICE;
use crate::domain::outcome::{ErrorKind, ExitStatus};
use crate::domain::placement::PlacementError;
use crate::domain::plan::PlanError;
use crate::domain::policy::UnmetPolicy;
use crate::domain::settings::SettingError;
use crate::domain::snapshot::NothingSelected;
use crate::hub::{HubError, MalformedTokens, TokenError};
use crate::store::StoreError;
use crate::sys::file_limit;
use crate::sys::files::{FORBIDDEN_ADVICE, is_disk_failure, is_forbidden, is_link_cycle};
use crate::sys::host::VariableNotUtf8;
use crate::sys::http::HttpError;
use crate::sys::open::{NOT_PLAIN_ADVICE, is_not_plain};
use crate::sys::paths::{PathNotUtf8, UnknownUserHome};

/// The hint for a file that is too large for its file system.
const TOO_LARGE: &str =
    "use a file system for large files (exFAT, NTFS, APFS, ext4), and no `ulimit -f`";

/// The facts that a known link of the chain decides.
pub(super) struct Known {
    pub(super) kind: ErrorKind,
    pub(super) status: ExitStatus,
    pub(super) hint: Option<String>,
}

impl Known {
    pub(super) fn new(kind: ErrorKind, hint: Option<String>) -> Self {
        Self {
            kind,
            status: kind.exit_status(),
            hint,
        }
    }

    fn hinted(kind: ErrorKind, hint: impl Into<String>) -> Self {
        Self::new(kind, Some(hint.into()))
    }

    /// An error of this machine that ends without a change of the configuration.
    fn temporary(hint: Option<String>) -> Self {
        Self {
            status: ExitStatus::Temporary,
            ..Self::new(ErrorKind::Internal, hint)
        }
    }
}

/// Returns the facts about one link of an error's chain, if it is known.
pub(super) fn known_error(link: &(dyn StdError + 'static)) -> Option<Known> {
    configuration(link)
        .or_else(|| service(link))
        .or_else(|| local(link))
}

/// Knows arguments, settings and entries that cannot be used.
fn configuration(link: &(dyn StdError + 'static)) -> Option<Known> {
    let hint = if let Some(setting) = link.downcast_ref::<SettingError>() {
        Some(setting.hint())
    } else if let Some(place) = link.downcast_ref::<OtherPlace>() {
        Some(place.hint())
    } else if let Some(other) = link.downcast_ref::<OtherUpdate>() {
        let model = &other.model;
        Some(format!("`hfdl updates show {model}` shows the held update"))
    } else if let Some(nothing) = link.downcast_ref::<NothingSelected>() {
        nothing.hint().map(str::to_owned)
    } else if let Some(unmet) = link.downcast_ref::<UnmetPolicy>() {
        Some(unmet.hint())
    } else if let Some(missing) = link.downcast_ref::<MissingFile>() {
        missing.hint()
    } else if link.is::<PinnedApart>() {
        Some("pin both at one commit, or keep one of them in a directory of its own".to_owned())
    } else if link.is::<DirectoryInUse>() {
        Some("name another directory: each model deletes files outside its revision".to_owned())
    } else if link.is::<VariableNotUtf8>() {
        Some("give it a value in UTF-8, or unset it".to_owned())
    } else if let Some(value) = link.downcast_ref::<InvalidValue>() {
        value.next_step().map(str::to_owned)
    } else if let Some(duplicate) = link.downcast_ref::<Duplicate>() {
        let name = &duplicate.existing;
        Some(format!(
            "`hfdl schedules set {name}` changes that one; give this one another cadence, window or selection"
        ))
    } else if link.is::<PathNotUtf8>() {
        Some("rename that path, or use another one".to_owned())
    } else {
        return None;
    };
    Some(Known::new(ErrorKind::Config, hint))
}

/// Knows errors of the Hub, of its token and of the database.
fn service(link: &(dyn StdError + 'static)) -> Option<Known> {
    if let Some(hub) = link.downcast_ref::<HubError>() {
        return Some(Known::new(hub.kind(), hub.hint()));
    }
    if let Some(http) = link.downcast_ref::<HttpError>() {
        let hint = http.hint().map(str::to_owned);
        return Some(Known::new(ErrorKind::Internal, hint));
    }
    if let Some(store) = link.downcast_ref::<StoreError>() {
        return database(store);
    }
    if link.is::<NothingWaits>() {
        let hint = "`hfdl updates list` shows those that wait";
        return Some(Known::hinted(ErrorKind::Internal, hint));
    }
    if let Some(PlacementError::Refused { .. }) = link.downcast_ref() {
        let hint = "leave the file out with `--exclude`, or use another file system";
        return Some(Known::hinted(ErrorKind::Disk, hint));
    }
    if link.is::<PlanError>() || link.is::<PlacementError>() {
        return Some(Known::new(ErrorKind::Hub, None));
    }
    if link.is::<NotAsLocked>() {
        let hint = "`hfdl apply -f FILE --locked --dry-run` names the differences";
        return Some(Known::hinted(ErrorKind::Integrity, hint));
    }
    if link.is::<AskedToWait>() {
        let hint = "run it again after that time";
        return Some(Known::hinted(ErrorKind::RateLimit, hint));
    }
    if link.is::<TokenError>() {
        let hint = "correct it where it is set, or write a new token: `hf auth login`";
        return Some(Known::hinted(ErrorKind::Auth, hint));
    }
    if link.is::<UnknownTokenName>() {
        let hint =
            "choose one of these names with `--token-name`, or store the token: `hf auth login`";
        return Some(Known::hinted(ErrorKind::Auth, hint));
    }
    if link.is::<MalformedTokens>() {
        return Some(Known::hinted(ErrorKind::Auth, LOGIN_ADVICE));
    }
    if let Some(identity) = link.downcast_ref::<NoIdentity>() {
        let hint = "set `HF_OIDC_ID_TOKEN` to the identity token of the pipeline (a job of GitHub needs \
            `permissions: id-token: write`), or unset `HF_OIDC_RESOURCE`";
        return Some(Known::hinted(identity.kind(), hint));
    }
    if link.is::<UnreadableTokenFile>() {
        let hint = "make it a file that this user can read, write a new token (`hf auth login`), or \
            name another file with `HF_TOKEN_PATH`";
        return Some(Known::hinted(ErrorKind::Auth, hint));
    }
    None
}

fn database(error: &StoreError) -> Option<Known> {
    let hint = match error {
        StoreError::NotUnique {
            entity: "model",
            existing,
            ..
        } => Some(format!(
            "`hfdl models set {existing}` changes it; another revision, place or selection needs another `--name`"
        )),
        StoreError::UnusableSchedule(schedule) => Some(schedule.hint()),
        other => other.hint(),
    };
    let kind = match error {
        StoreError::File { .. } => return None,
        StoreError::Busy => return Some(Known::temporary(hint)),
        StoreError::DiskFull { .. }
        | StoreError::DiskFailed { .. }
        | StoreError::ReadOnly { .. } => ErrorKind::Disk,
        StoreError::NotUnique { .. }
        | StoreError::NotFound { .. }
        | StoreError::Refused(_)
        | StoreError::Duplicate(_)
        | StoreError::PathNotUtf8(_)
        | StoreError::UnusableSchedule(_)
        | StoreError::MissingReference => ErrorKind::Config,
        _ => ErrorKind::Internal,
    };
    Some(Known::new(kind, hint))
}

/// Knows errors of this machine: its clock, its timer and its disks.
fn local(link: &(dyn StdError + 'static)) -> Option<Known> {
    if let Some(refusal) = link.downcast_ref::<TimerRefusal>() {
        let kind = if refusal.is_usage {
            ErrorKind::Config
        } else {
            ErrorKind::Internal
        };
        return Some(Known::new(kind, refusal.next.clone()));
    }
    if link.is::<UnknownUserHome>() {
        return Some(Known::hinted(ErrorKind::Internal, "give --home DIR"));
    }
    if link.is::<WrongClock>() {
        let hint = "set the clock, or switch time synchronisation on; the next tick tries again";
        return Some(Known::temporary(Some(hint.to_owned())));
    }
    if let Some(place) = link.downcast_ref::<PlaceError>() {
        return Some(Known::hinted(place.kind(), place.hint()));
    }
    if let Some(space) = link.downcast_ref::<NoSpace>() {
        return Some(Known::hinted(ErrorKind::Disk, space.hint()));
    }
    if let Some(full) = link.downcast_ref::<CacheFull>() {
        return Some(Known::hinted(ErrorKind::Disk, full.hint()));
    }
    if link.is::<NoFiles>() {
        let hint = "delete small files there, or use a file system with more inodes";
        return Some(Known::hinted(ErrorKind::Disk, hint));
    }
    if link.is::<TooLarge>() {
        return Some(Known::hinted(ErrorKind::Disk, TOO_LARGE));
    }
    link.downcast_ref::<io::Error>().and_then(file_operation)
}

fn file_operation(error: &io::Error) -> Option<Known> {
    if file_limit::is_reached(error) {
        return Some(Known::hinted(ErrorKind::Internal, file_limit::ADVICE));
    }
    let hint = match error.kind() {
        io::ErrorKind::NotADirectory => {
            let hint = "a part of this path is a file: move it away, or use another place";
            return Some(Known::hinted(ErrorKind::Internal, hint));
        }
        io::ErrorKind::IsADirectory => {
            let hint = "this path is a directory: remove it, or name a file";
            return Some(Known::hinted(ErrorKind::Internal, hint));
        }
        io::ErrorKind::NotFound if error.raw_os_error().is_some() => {
            let hint = "check that this path exists, and the directory that holds it";
            return Some(Known::hinted(ErrorKind::Internal, hint));
        }
        io::ErrorKind::AlreadyExists if error.raw_os_error().is_some() => {
            let hint = "something else has this name: move it away, or use another name";
            return Some(Known::hinted(ErrorKind::Internal, hint));
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("free space there, and run it again")
        }
        io::ErrorKind::FileTooLarge => Some(TOO_LARGE),
        io::ErrorKind::ReadOnlyFilesystem => {
            Some("make the place writable for this user, or use another one")
        }
        io::ErrorKind::PermissionDenied if is_forbidden(error) => Some(FORBIDDEN_ADVICE),
        io::ErrorKind::PermissionDenied => Some("make the place accessible to this user"),
        _ if is_link_cycle(error) => {
            let hint = "symbolic links on this path lead round in a circle: remove them, or name another place";
            return Some(Known::hinted(ErrorKind::Internal, hint));
        }
        // Those of the network have no number of the system.
        io::ErrorKind::TimedOut | io::ErrorKind::StaleNetworkFileHandle
            if error.raw_os_error().is_some() =>
        {
            let hint =
                "check that the disk or network share is there and mounted, then run it again";
            return Some(Known::hinted(ErrorKind::Internal, hint));
        }
        _ if is_not_plain(error) => Some(NOT_PLAIN_ADVICE),
        _ if is_disk_failure(error) => Some(
            "look for errors of this disk in the log of the system, and keep a copy of its files",
        ),
        _ => return None,
    };
    Some(Known::new(ErrorKind::Disk, hint.map(str::to_owned)))
}
