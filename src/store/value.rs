//! Conversion of single values to columns and back.
//!
//! Reading parses each value again: a value that breaks a rule of its type
//! becomes an error with the name of its column.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use rusqlite::Row;
use rusqlite::types::{FromSql, Type};
use thiserror::Error;

use super::error::{Result, StoreError};
use crate::domain::model::{Destination, Priority};
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
const CACHE: &str = "cache";

/// Typed access to the columns of a row.
pub(super) trait Columns {
    /// Reads a column and converts it.
    fn converted<S: FromSql, T, E: ToString>(
        &self,
        column: &str,
        convert: impl FnOnce(S) -> std::result::Result<T, E>,
    ) -> rusqlite::Result<T>;

    /// Reads a column that may be NULL, and converts its value.
    fn converted_if_any<S: FromSql, T, E: ToString>(
        &self,
        column: &str,
        convert: impl FnOnce(S) -> std::result::Result<T, E>,
    ) -> rusqlite::Result<Option<T>> {
        self.converted(column, |value: Option<S>| value.map(convert).transpose())
    }

    fn parsed<T: FromStr<Err: ToString>>(&self, column: &str) -> rusqlite::Result<T> {
        self.converted(column, |text: String| text.parse())
    }

    fn parsed_if_any<T: FromStr<Err: ToString>>(
        &self,
        column: &str,
    ) -> rusqlite::Result<Option<T>> {
        self.converted_if_any(column, |text: String| text.parse())
    }

    fn time(&self, column: &str) -> rusqlite::Result<Timestamp> {
        self.converted(column, Timestamp::from_second)
    }

    fn time_if_any(&self, column: &str) -> rusqlite::Result<Option<Timestamp>> {
        self.converted_if_any(column, Timestamp::from_second)
    }

    fn count(&self, column: &str) -> rusqlite::Result<u64> {
        self.converted(column, |number: i64| u64::try_from(number))
    }

    fn count_if_any(&self, column: &str) -> rusqlite::Result<Option<u64>> {
        self.converted_if_any(column, |number: i64| u64::try_from(number))
    }

    fn priority(&self, column: &str) -> rusqlite::Result<Priority> {
        self.converted(column, |number: i64| number.to_string().parse())
    }

    fn destination(&self, column: &str) -> rusqlite::Result<Destination>;
    fn path(&self, column: &str) -> rusqlite::Result<PathBuf>;
    fn path_if_any(&self, column: &str) -> rusqlite::Result<Option<PathBuf>>;
}

impl Columns for Row<'_> {
    fn converted<S: FromSql, T, E: ToString>(
        &self,
        column: &str,
        convert: impl FnOnce(S) -> std::result::Result<T, E>,
    ) -> rusqlite::Result<T> {
        let value = self.get(column).map_err(|err| unreadable(column, err))?;
        convert(value).map_err(|err| unreadable(column, err))
    }

    fn destination(&self, column: &str) -> rusqlite::Result<Destination> {
        let text: String = self.get(column)?;
        Ok(match text.as_str() {
            CACHE => Destination::Cache,
            _ => Destination::Directory(text.into()),
        })
    }

    fn path(&self, column: &str) -> rusqlite::Result<PathBuf> {
        Ok(self.get::<_, String>(column)?.into())
    }

    fn path_if_any(&self, column: &str) -> rusqlite::Result<Option<PathBuf>> {
        Ok(self.get::<_, Option<String>>(column)?.map(PathBuf::from))
    }
}

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
