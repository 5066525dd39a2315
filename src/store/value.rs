//! The way of single values into columns and back.
//!
//! Reading parses again: a database that someone edited by hand gets an error
//! that names the column, never a value that breaks a rule of its type.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use rusqlite::Row;
use rusqlite::types::{FromSql, Type};
use thiserror::Error;

use super::error::{Result, StoreError};
use crate::domain::model::{Destination, Priority};
use crate::domain::time::Timestamp;

/// Says which stored value no longer means anything.
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

/// What the word of a destination is, beside the absolute paths of directories.
const CACHE: &str = "cache";

/// Typed access to the columns of a row.
pub(super) trait Columns {
    fn parsed<T: FromStr<Err: ToString>>(&self, column: &str) -> rusqlite::Result<T>;
    fn parsed_if_any<T: FromStr<Err: ToString>>(&self, column: &str)
    -> rusqlite::Result<Option<T>>;
    fn time(&self, column: &str) -> rusqlite::Result<Timestamp>;
    fn time_if_any(&self, column: &str) -> rusqlite::Result<Option<Timestamp>>;
    fn count(&self, column: &str) -> rusqlite::Result<u64>;
    fn count_if_any(&self, column: &str) -> rusqlite::Result<Option<u64>>;
    fn destination(&self, column: &str) -> rusqlite::Result<Destination>;
    fn path_if_any(&self, column: &str) -> rusqlite::Result<Option<PathBuf>>;
    fn priority(&self, column: &str) -> rusqlite::Result<Priority>;
}

impl Columns for Row<'_> {
    fn parsed<T: FromStr<Err: ToString>>(&self, column: &str) -> rusqlite::Result<T> {
        let text = self.get_ref(column)?;
        let text = text.as_str().map_err(|err| unreadable(column, err))?;
        text.parse().map_err(|err| unreadable(column, err))
    }

    fn parsed_if_any<T: FromStr<Err: ToString>>(
        &self,
        column: &str,
    ) -> rusqlite::Result<Option<T>> {
        let text: Option<String> = self.get(column)?;
        text.map(|text| text.parse().map_err(|err| unreadable(column, err)))
            .transpose()
    }

    fn time(&self, column: &str) -> rusqlite::Result<Timestamp> {
        let seconds = checked::<i64>(self, column)?;
        Timestamp::from_second(seconds).map_err(|err| unreadable(column, err))
    }

    fn time_if_any(&self, column: &str) -> rusqlite::Result<Option<Timestamp>> {
        let seconds: Option<i64> = self.get(column)?;
        seconds
            .map(|s| Timestamp::from_second(s).map_err(|err| unreadable(column, err)))
            .transpose()
    }

    fn count(&self, column: &str) -> rusqlite::Result<u64> {
        let number = checked::<i64>(self, column)?;
        u64::try_from(number).map_err(|err| unreadable(column, err))
    }

    fn count_if_any(&self, column: &str) -> rusqlite::Result<Option<u64>> {
        let number: Option<i64> = self.get(column)?;
        number
            .map(|n| u64::try_from(n).map_err(|err| unreadable(column, err)))
            .transpose()
    }

    fn destination(&self, column: &str) -> rusqlite::Result<Destination> {
        let text: String = self.get(column)?;
        Ok(match text.as_str() {
            CACHE => Destination::Cache,
            _ => Destination::Directory(text.into()),
        })
    }

    fn path_if_any(&self, column: &str) -> rusqlite::Result<Option<PathBuf>> {
        Ok(self.get::<_, Option<String>>(column)?.map(PathBuf::from))
    }

    fn priority(&self, column: &str) -> rusqlite::Result<Priority> {
        let number = checked::<i64>(self, column)?.to_string();
        number.parse().map_err(|err| unreadable(column, err))
    }
}

fn checked<T: FromSql>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    row.get(column).map_err(|err| unreadable(column, err))
}

/// Wraps a reason the way a row mapper must: as an error of rusqlite.
pub(super) fn unreadable(column: &str, why: impl ToString) -> rusqlite::Error {
    let value = UnreadableValue::new(column, why);
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(value))
}

pub(super) fn seconds(at: Timestamp) -> i64 {
    at.as_second()
}

/// SQLite's integers end at half of `u64`, which is 8 EiB: more than any disk,
/// so the largest number stands for all above it.
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
