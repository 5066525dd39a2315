//! Errors of the database, in the cases that callers distinguish.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use rusqlite::ffi;
use thiserror::Error;

use super::value::UnreadableValue;
use super::way_back;
use crate::domain::schedule::Unusable;

pub type Result<T> = std::result::Result<T, StoreError>;

/// Says which database is damaged.
fn damaged(path: Option<&Path>) -> String {
    match path {
        Some(path) => format!("the database `{}` is damaged", path.display()),
        None => "the database is damaged".to_owned(),
    }
}

/// Returns SQLite's message about damage in plain words.
fn plain(text: &str) -> String {
    match text {
        "file is not a database" => "it is not an SQLite file".to_owned(),
        "database disk image is malformed" => {
            "a part of it was overwritten or is missing".to_owned()
        }
        other => other.to_owned(),
    }
}

/// The reason why an operation of the database failed.
#[derive(Debug, Error)]
pub enum StoreError {
    #[error("the database has version {found}, and this hfdl knows versions up to {known}")]
    NewerDatabase {
        found: i64,
        known: i64,
        /// The file, where it is known.
        path: Option<PathBuf>,
    },

    #[error("`{}` is the database of another program", .0.display())]
    NotOurs(PathBuf),

    /// Never repaired or replaced automatically: the remains may be the only copy.
    #[error("{}: {detail}", damaged(path.as_deref().filter(|_| *.was_open)))]
    Damaged {
        detail: String,
        /// The file, where it is known.
        path: Option<PathBuf>,
        /// Found after the file was opened: no context names it.
        was_open: bool,
    },

    #[error("the database is busy: another process has been writing for longer than 5 seconds")]
    Busy,

    /// The directory may be missing, not accessible, or no directory.
    #[error("the database file cannot be opened")]
    CannotOpen { path: Option<PathBuf> },

    #[error("the database cannot be written: it is read-only")]
    ReadOnly { path: Option<PathBuf> },

    #[error("the database cannot be written: the disk is full")]
    DiskFull { path: Option<PathBuf> },

    #[error("the disk failed to read or write the database: {detail}")]
    DiskFailed {
        detail: String,
        path: Option<PathBuf>,
    },

    /// `existing` is the name of the conflicting entry.
    #[error("{what} exists already: the {entity} `{existing}`")]
    NotUnique {
        entity: &'static str,
        what: String,
        existing: String,
    },

    #[error("there is no {entity} `{name}`")]
    NotFound { entity: &'static str, name: String },

    /// A run or session was to be changed after its end.
    #[error("the {entity} `{name}` has ended already")]
    Ended { entity: &'static str, name: String },

    #[error(
        "the entry refers to a model, schedule, run or session that is not in the database (any more)"
    )]
    MissingReference,

    #[error("the database refuses the value: {0}")]
    Refused(String),

    /// A UNIQUE or PRIMARY KEY constraint failed; the file of the table turns it into
    /// `NotUnique`.
    #[error("the database refuses the value: {0}")]
    Duplicate(String),

    #[error("the database holds a value that this hfdl cannot read: {0}")]
    Unreadable(#[from] UnreadableValue),

    #[error("{0}")]
    UnusableSchedule(Box<Unusable>),

    #[error("the path `{}` is not valid UTF-8, so the database cannot keep it", .0.display())]
    PathNotUtf8(PathBuf),

    #[error("the database failed")]
    Sqlite(#[source] rusqlite::Error),

    #[error("{doing}")]
    File {
        doing: String,
        #[source]
        source: std::io::Error,
    },
}

impl StoreError {
    /// Returns the next step for the user, where it is certain.
    pub fn hint(&self) -> Option<String> {
        let file = |path: &Option<PathBuf>| match path {
            Some(path) => format!("`{}`", path.display()),
            None => "the database".to_owned(),
        };
        let hint = match self {
            Self::NewerDatabase {
                path: Some(path), ..
            } => return Some(way_back::from_newer(path)),
            Self::Damaged {
                path: Some(path), ..
            } => return Some(way_back::from_damage(path)),
            Self::NewerDatabase { .. } => Some("update hfdl"),
            Self::NotOurs(_) => Some("choose another directory with `--home`"),
            Self::Damaged { .. } => Some("restore a backup of the database"),
            Self::Busy => Some("try again; `hfdl status` shows whether a run is in progress"),
            Self::CannotOpen { path } | Self::ReadOnly { path } => {
                return Some(format!(
                    "make {} and its directory writable for this user",
                    file(path)
                ));
            }
            Self::DiskFailed { path, .. } => {
                return Some(format!(
                    "look at the disk that holds {}; `hfdl doctor` tests the database",
                    file(path)
                ));
            }
            Self::Unreadable(_) => Some("if a newer hfdl wrote it, update this one"),
            Self::Sqlite(_) => Some("`hfdl doctor` tests the database"),
            Self::DiskFull { path } => {
                return Some(format!(
                    "free some space on the disk that holds {}, and run it again",
                    file(path)
                ));
            }
            _ => None,
        };
        hint.map(str::to_owned)
    }

    /// Names the file in an error whose message or next step depends on it.
    pub(super) fn at(mut self, database: &Path) -> Self {
        match &mut self {
            Self::NewerDatabase { path, .. }
            | Self::Damaged { path, .. }
            | Self::CannotOpen { path }
            | Self::ReadOnly { path }
            | Self::DiskFull { path }
            | Self::DiskFailed { path, .. } => *path = Some(database.to_owned()),
            _ => {}
        }
        self
    }

    /// Names the file that could not be opened; a context names it in the message.
    pub(super) fn while_opening(self, database: &Path) -> Self {
        match self.at(database) {
            Self::Damaged { detail, path, .. } => Self::Damaged {
                detail,
                path,
                was_open: false,
            },
            other => other,
        }
    }

    pub(super) fn damaged(detail: impl Into<String>) -> Self {
        Self::Damaged {
            detail: detail.into(),
            path: None,
            was_open: true,
        }
    }

    pub(super) fn file(doing: impl Into<String>, source: std::io::Error) -> Self {
        let doing = doing.into();
        Self::File { doing, source }
    }

    pub(super) fn unreadable(what: impl ToString, why: impl ToString) -> Self {
        UnreadableValue::new(what, why).into()
    }

    pub(super) fn not_found(entity: &'static str, name: impl ToString) -> Self {
        let name = name.to_string();
        Self::NotFound { entity, name }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(err: rusqlite::Error) -> Self {
        let (inner, message) = match err {
            rusqlite::Error::SqliteFailure(inner, message) => (inner, message),
            rusqlite::Error::FromSqlConversionFailure(index, kind, source) => {
                return match source.downcast::<UnreadableValue>() {
                    Ok(value) => Self::Unreadable(*value),
                    Err(source) => Self::Sqlite(rusqlite::Error::FromSqlConversionFailure(
                        index, kind, source,
                    )),
                };
            }
            other => return Self::Sqlite(other),
        };
        let text = || message.clone().unwrap_or_else(|| inner.to_string());
        match inner.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Self::damaged(plain(&text())),
            ErrorCode::ReadOnly => Self::ReadOnly { path: None },
            ErrorCode::DiskFull => Self::DiskFull { path: None },
            ErrorCode::SystemIoFailure => Self::DiskFailed {
                detail: text(),
                path: None,
            },
            ErrorCode::CannotOpen => Self::CannotOpen { path: None },
            ErrorCode::ConstraintViolation => match inner.extended_code {
                ffi::SQLITE_CONSTRAINT_FOREIGNKEY => Self::MissingReference,
                ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY => {
                    Self::Duplicate(text())
                }
                _ => Self::Refused(text()),
            },
            _ => Self::Sqlite(rusqlite::Error::SqliteFailure(inner, message)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_that_needs_a_person_has_its_own_message() {
        let told = |code| {
            let inner = ffi::Error::new(code);
            StoreError::from(rusqlite::Error::SqliteFailure(inner, None)).to_string()
        };
        for (code, words) in [
            (ffi::SQLITE_BUSY, "busy"),
            (ffi::SQLITE_BUSY_SNAPSHOT, "busy"),
            (ffi::SQLITE_READONLY_DIRECTORY, "read-only"),
            (ffi::SQLITE_FULL, "full"),
            (ffi::SQLITE_IOERR_FSYNC, "read or write"),
            (ffi::SQLITE_CANTOPEN, "cannot be opened"),
            (ffi::SQLITE_NOTADB, "damaged"),
            (ffi::SQLITE_CORRUPT_INDEX, "damaged"),
            (ffi::SQLITE_CONSTRAINT_FOREIGNKEY, "refers to"),
            (ffi::SQLITE_CONSTRAINT_CHECK, "refuses the value"),
        ] {
            assert!(told(code).contains(words), "{code}: {}", told(code));
        }
    }
}
