//! The one diagnosis of an error: its kind, its cause and the next step.
//!
//! Exit codes, records of sessions, findings of `doctor` and the warning of
//! `status` about the database are all made from it. The first link of the error's
//! chain that is known decides. An error of the database that only reports a failed
//! file operation is passed over, so that the file operation decides.

use anyhow::Error;

use super::known_errors::{Known, known_error};
use crate::domain::outcome::{ErrorKind, ExitStatus, Outcome};
use crate::domain::session::Trouble;
use crate::hub::HubError;

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
    let known = error.chain().find_map(known_error);
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
    let hint = match kind {
        ErrorKind::Disk => {
            "free space there, or make it writable; the next run resumes the download"
        }
        ErrorKind::Integrity => {
            "run it again, preferably from another network; the published files stay as they are, and \
             `hfdl verify` reads them"
        }
        _ => return None,
    };
    Some(hint.to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::placement::PlacementError;
    use crate::domain::units::ByteSize;
    use crate::hub::{TokenError, TokenOrigin};
    use crate::ops::login::UnreadableTokenFile;
    use crate::ops::rate_limits::AskedToWait;
    use crate::ops::sync::{NoFiles, NoSpace, TooLarge};
    use crate::store::StoreError;
    #[cfg(unix)]
    use crate::sys::file_limit;
    use anyhow::Context;
    use std::io;

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
