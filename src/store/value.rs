//! Conversion of single values to columns and back.
//!
//! Reading parses each value again: a value that breaks a rule of its type
//! becomes an error with the name of its column.

use std::path::Path;

use rusqlite::types::Type;
use thiserror::Error;

use super::error::{Result, StoreError};
use crate::domain::model::Destination;
use crate::domain::time::Timestamp;

/// A stored value that cannot be read, with its column and the reason.
#[derive(Debug, Error)]
#[error("`{column}`: {why}")]
pub struct UnreadableValue {
    column: String,
    why: String,
}

impl UnreadableValue {
    pub(super) fn new(column: impl ToString, why: impl ToString) -> Self {
        Self {
            column: column.to_string(),
            why: why.to_string(),
        }
    }
}

/// The stored word for the shared cache; all other destinations are absolute paths.
pub(super) const CACHE: &str = "cache";

/// Wraps a reason in the error type of a row reader.
pub(super) fn unreadable(column: &str, why: impl ToString) -> rusqlite::Error {
    let value = UnreadableValue::new(column, why);
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(value))
}

pub(super) fn seconds(at: Timestamp) -> i64 {
    at.as_second()
}

/// Converts a count to an integer of SQLite. Counts above `i64::MAX` (8 EiB, more
/// than any disk) become `i64::MAX`.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn destination_text(destination: &Destination) -> Result<&str> {
    match destination {
        Destination::Cache => Ok(CACHE),
        Destination::Directory(path) => path_text(path),
    }
}

pub(super) fn path_text(path: &Path) -> Result<&str> {
    path.to_str()
        .ok_or_else(|| StoreError::PathNotUtf8(path.to_owned()))
}
