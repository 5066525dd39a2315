//! The one diagnosis of an error: its kind, its cause and the next step.
//!
//! Exit codes, records of sessions, findings of `doctor` and the warning of
//! `status` about the database are all made from it. The first link of the error's
//! chain that is known decides. An error of the database that only reports a failed
//! file operation is passed over, so that the file operation decides.

use std::error::Error as StdError;
use std::io;

use anyhow::Error;

use super::login::{NoIdentity, UnknownTokenName, UnreadableTokenFile};
use super::models::{DirectoryInUse, PinnedApart};
use super::places::PlaceError;
use super::rate_limits::AskedToWait;
use super::run_due::WrongClock;
use super::schedules::Duplicate;
use super::sync::{MissingFile, NoFiles, NoSpace, TooLarge};
use super::timer::TimerRefusal;
use super::timer_places::OtherPlace;
use super::updates::{NothingWaits, OtherUpdate};
use crate::domain::login::LOGIN_ADVICE;
use crate::domain::outcome::{ErrorKind, ExitStatus, Outcome, UnknownWord};
use crate::domain::placement::PlacementError;
use crate::domain::plan::PlanError;
use crate::domain::policy::UnmetPolicy;
use crate::domain::repo::NameError;
use crate::domain::schedule::{Impossible, SpecError};
use crate::domain::session::Trouble;
use crate::domain::settings::SettingError;
use crate::domain::shard::ShardError;
use crate::domain::snapshot::NothingSelected;
use crate::domain::time::MomentError;
use crate::domain::units::UnitError;
use crate::hub::{HubError, MalformedTokens, TokenError};
use crate::store::StoreError;
use crate::sys::file_limit;
use crate::sys::files::{FORBIDDEN_ADVICE, is_disk_failure, is_forbidden};
use crate::sys::host::VariableNotUtf8;
use crate::sys::http::HttpError;
use crate::sys::paths::PathNotUtf8;

/// The hint for a file that is too large for its file system.
const TOO_LARGE: &str =
    "use a file system for large files (exFAT, NTFS, APFS, ext4), and no `ulimit -f`";

/// The meaning of an error for its readers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    pub kind: ErrorKind,
    /// The exit code of a command that ends with this error.
    pub status: ExitStatus,
    /// The messages of the chain, the outermost first, without repetitions.
    pub messages: Vec<String>,
    /// The next step, where one is certain.
    pub hint: Option<String>,
}

impl Diagnosis {
    /// Returns the messages as one text.
    pub fn cause(&self) -> String {
        self.messages.join(": ")
    }
}

/// Finds the kind, the cause and the next step of an error.
pub fn diagnose(error: &Error) -> Diagnosis {
    let known = error.chain().find_map(|link| {
        configuration(link)
            .or_else(|| service(link))
            .or_else(|| local(link))
    });
    let known = known.unwrap_or_else(|| Known::new(ErrorKind::Internal, None));
    Diagnosis {
        kind: known.kind,
        status: known.status,
        messages: messages(error),
        hint: known.hint,
    }
}

/// Turns an error into the trouble that a session records.
pub fn trouble_of(error: &Error) -> Trouble {
    let diagnosis = diagnose(error);
    Trouble {
        kind: diagnosis.kind,
        message: diagnosis.cause(),
        hint: diagnosis.hint,
    }
}

/// Returns the outcome of a session whose check failed.
///
/// A repository that could not be checked is never called current. The local copy
/// of one that is gone upstream is kept.
pub fn outcome_of(error: &Error, was_published: bool) -> Outcome {
    match hub_error(error) {
        Some(hub) if hub.kind().is_temporary() => Outcome::CouldNotCheck,
        Some(hub) if hub.is_gone() && was_published => Outcome::Orphaned,
        _ => Outcome::Failed,
    }
}

/// Tells whether this machine had no network, so that no attempt was made.
pub fn is_offline(error: &Error) -> bool {
    hub_error(error).is_some_and(HubError::is_offline)
}

/// Returns the hint for a file of which only the kind of its trouble is known.
pub fn hint_for_file(kind: ErrorKind) -> Option<String> {
    let hint = "free space there, or make it writable; the next run resumes the download";
    (kind == ErrorKind::Disk).then(|| hint.to_owned())
}

fn hub_error(error: &Error) -> Option<&HubError> {
    error.chain().find_map(|link| link.downcast_ref())
}

/// Returns the messages of a chain. A wrapper that repeats the message of the
/// error inside it adds nothing.
fn messages(error: &Error) -> Vec<String> {
    let mut messages: Vec<String> = Vec::new();
    for link in error.chain() {
        let text = link.to_string();
        if !messages.iter().any(|known| known.contains(&text)) {
            messages.push(text);
        }
    }
    messages
}

/// The facts that a known link of the chain decides.
struct Known {
    kind: ErrorKind,
    status: ExitStatus,
    hint: Option<String>,
}

impl Known {
    fn new(kind: ErrorKind, hint: Option<String>) -> Self {
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
        Some(unmet.hint().to_owned())
    } else if let Some(missing) = link.downcast_ref::<MissingFile>() {
        missing.hint()
    } else if link.is::<PinnedApart>() {
        Some("pin both at one commit, or keep one of them in a directory of its own".to_owned())
    } else if link.is::<DirectoryInUse>() {
        Some("name another directory: each model deletes files outside its revision".to_owned())
    } else if link.is::<VariableNotUtf8>() {
        Some("give it a value in UTF-8, or unset it".to_owned())
    } else if link.is::<NameError>()
        || link.is::<UnitError>()
        || link.is::<SpecError>()
        || link.is::<Impossible>()
        || link.is::<Duplicate>()
        || link.is::<MomentError>()
        || link.is::<UnknownWord>()
        || link.is::<ShardError>()
        || link.is::<PathNotUtf8>()
    {
        None
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
        let hint = "make it readable for this user, write a new token (`hf auth login`), or name \
            another file with `HF_TOKEN_PATH`";
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
        other => other.hint().map(str::to_owned),
    };
    let kind = match error {
        StoreError::File { .. } => return None,
        StoreError::Busy => return Some(Known::temporary(hint)),
        StoreError::DiskFull | StoreError::DiskFailed { .. } | StoreError::ReadOnly => {
            ErrorKind::Disk
        }
        StoreError::NotUnique { .. }
        | StoreError::NotFound { .. }
        | StoreError::Refused(_)
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
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("free space there, and run it again; a download is resumed")
        }
        io::ErrorKind::FileTooLarge => Some(TOO_LARGE),
        io::ErrorKind::ReadOnlyFilesystem => {
            Some("make the place writable for this user, or use another one")
        }
        io::ErrorKind::PermissionDenied if is_forbidden(error) => Some(FORBIDDEN_ADVICE),
        io::ErrorKind::PermissionDenied => Some("make the place accessible to this user"),
        _ if is_disk_failure(error) => None,
        _ => return None,
    };
    Some(Known::new(ErrorKind::Disk, hint.map(str::to_owned)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::units::ByteSize;
    use crate::hub::TokenOrigin;
    use anyhow::Context;

    fn operation(kind: io::ErrorKind) -> io::Error {
        kind.into()
    }

    fn denied() -> io::Error {
        operation(io::ErrorKind::PermissionDenied)
    }

    /// Diagnoses an error below two contexts.
    fn diagnosis(error: impl Into<Error>) -> Diagnosis {
        let error = error.into().context("cannot open it").context("no update");
        diagnose(&error)
    }

    fn kind(error: impl Into<Error>) -> ErrorKind {
        diagnosis(error).kind
    }

    fn no_space() -> NoSpace {
        NoSpace {
            destination: "/hub".to_owned(),
            need: ByteSize(10),
            free: ByteSize(5),
            reserve: ByteSize(1),
        }
    }

    fn token_file() -> UnreadableTokenFile {
        UnreadableTokenFile {
            path: "/token".into(),
            source: denied(),
        }
    }

    #[test]
    fn a_token_that_cannot_be_used_is_a_matter_of_access_and_not_of_the_disk() {
        assert_eq!(kind(token_file()), ErrorKind::Auth);
        let hint = diagnosis(token_file()).hint.unwrap();
        assert!(hint.contains("HF_TOKEN_PATH"), "{hint}");
        let origin = TokenOrigin::File;
        assert_eq!(kind(TokenError { origin }), ErrorKind::Auth);
    }

    #[test]
    fn a_plan_that_the_disk_cannot_hold_is_a_disk_error_for_every_command() {
        let too_large = TooLarge {
            path: "x".to_owned(),
            destination: "/hub".to_owned(),
            size: ByteSize(9),
            most: ByteSize(5),
        };
        let refused = PlacementError::Refused {
            path: "a?".parse().unwrap(),
            why: "no".to_owned(),
        };
        let no_files = NoFiles {
            destination: "/hub".to_owned(),
            need: 9,
            free: 5,
        };
        for found in [
            diagnosis(no_space()),
            diagnosis(no_files),
            diagnosis(too_large),
            diagnosis(refused),
        ] {
            assert_eq!(found.status, ExitStatus::Disk, "{found:?}");
            assert!(found.hint.is_some(), "{found:?}");
        }
    }

    #[test]
    fn the_failed_operation_on_a_file_decides_about_the_hint() {
        for (operation_kind, word) in [
            (io::ErrorKind::StorageFull, "free space"),
            (io::ErrorKind::QuotaExceeded, "free space"),
            (io::ErrorKind::FileTooLarge, "large files"),
            (io::ErrorKind::ReadOnlyFilesystem, "writable"),
            (io::ErrorKind::PermissionDenied, "accessible"),
        ] {
            let found = diagnosis(operation(operation_kind));
            assert_eq!(found.kind, ErrorKind::Disk, "{operation_kind}");
            let hint = found.hint.unwrap();
            assert!(hint.contains(word), "{operation_kind}: {hint}");
        }
        let missing = diagnosis(operation(io::ErrorKind::NotFound));
        assert_eq!((missing.kind, missing.hint), (ErrorKind::Internal, None));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_system_that_allows_something_to_nobody_is_no_matter_of_access() {
        let found = diagnosis(io::Error::from(rustix::io::Errno::PERM));
        assert_eq!(found.status, ExitStatus::Disk);
        let hint = found.hint.unwrap();
        assert!(hint.contains("use another place"), "{hint}");
        assert!(diagnosis(denied()).hint.unwrap().contains("accessible"));
    }

    #[cfg(unix)]
    #[test]
    fn too_many_open_files_have_a_hint_and_are_no_disk_error() {
        let found = diagnosis(io::Error::from(rustix::io::Errno::MFILE));
        assert_eq!(found.kind, ErrorKind::Internal);
        assert_eq!(found.hint.as_deref(), Some(file_limit::ADVICE));
    }

    #[test]
    fn a_failed_file_operation_on_the_database_decides() {
        let copy = |source| StoreError::File {
            doing: "cannot copy the database".to_owned(),
            source,
        };
        let full = copy(operation(io::ErrorKind::StorageFull));
        assert_eq!(kind(full), ErrorKind::Disk);
        let other = copy(operation(io::ErrorKind::NotFound));
        assert_eq!(kind(other), ErrorKind::Internal);
    }

    #[test]
    fn a_database_in_use_is_temporary_and_a_wrong_request_is_not() {
        let busy = diagnosis(StoreError::Busy);
        assert_eq!(busy.status, ExitStatus::Temporary);
        let twice = diagnosis(StoreError::NotUnique {
            entity: "model",
            what: "it".to_owned(),
            existing: "tiny".to_owned(),
        });
        assert_eq!(twice.kind, ErrorKind::Config);
        assert!(twice.hint.unwrap().contains("hfdl models set tiny"));
        let waits = AskedToWait {
            until: "2026-03-01T00:00:00Z".parse().unwrap(),
        };
        let waits = diagnosis(waits);
        assert_eq!(waits.kind, ErrorKind::RateLimit);
        assert_eq!(waits.status, ExitStatus::Temporary);
    }

    #[test]
    fn a_setting_that_cannot_be_used_is_named_with_its_hint_to_every_reader() {
        let wrong = crate::domain::settings::SettingKey::find("disk.reserv").unwrap_err();
        let found = diagnosis(wrong);
        assert_eq!(found.kind, ErrorKind::Config);
        assert!(found.hint.is_some());
    }

    #[test]
    fn a_wrapper_that_repeats_its_cause_is_left_out() {
        let full = || operation(io::ErrorKind::StorageFull);
        let error = Err::<(), _>(full())
            .context(format!("cannot write: {}", full()))
            .context("no update")
            .unwrap_err();
        let cause = diagnose(&error).cause();
        assert_eq!(cause, format!("no update: cannot write: {}", full()));
    }
}
