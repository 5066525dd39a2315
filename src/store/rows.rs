//! Queries, and the rows among their answers that cannot be read.
//!
//! A row is unreadable when one of its values breaks a rule of its type, or is a
//! word of a later version. Reading passes it over and remembers it for `status`
//! and `doctor`: one bad row must not end a run about all the others.

use std::panic::resume_unwind;
use std::sync::mpsc;
use std::thread::Builder;

use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, Params, Statement, ToSql, params_from_iter};

use super::error::Result;
use super::models::ModelFilter;
use super::open::Store;
use super::row::{ColumnOrder, Row};
use super::runs::RunFilter;
use super::sessions::SessionFilter;
use crate::domain::time::Timestamp;
use crate::sys::text::escaped;

/// So many of the newest sessions, runs and events are searched for bad rows.
const NEWEST: u32 = 500;

/// Two connections read a list of so many models.
pub(super) const LONG_LIST: u64 = 2_000;

/// Columns with their values, as `named_params!` makes them.
pub(super) type Values<'v> = [(&'v str, &'v dyn ToSql)];

impl Store {
    /// Runs a statement and returns the number of changed rows.
    pub(super) fn execute(&self, sql: &str, params: impl Params) -> Result<usize> {
        self.change(|| self.connection().prepare_cached(sql)?.execute(params))
    }

    /// Inserts a row and returns its id.
    pub(super) fn insert(&self, table: &str, values: &Values<'_>) -> Result<i64> {
        self.execute(&insert_sql(table, values), params_of(values))?;
        Ok(self.connection().last_insert_rowid())
    }

    /// Inserts a row, or changes the one with the same values in the `key` columns.
    pub(super) fn upsert(&self, table: &str, key: &[&str], values: &Values<'_>) -> Result<()> {
        let others = values.iter().filter(|(column, _)| !key.contains(column));
        let set: Vec<String> = others
            .map(|(column, _)| format!("{column} = excluded.{column}"))
            .collect();
        let (insert, key, set) = (insert_sql(table, values), key.join(", "), set.join(", "));
        let sql = format!("{insert} ON CONFLICT ({key}) DO UPDATE SET {set}");
        self.execute(&sql, params_of(values)).map(drop)
    }

    /// Changes the row of an id, if `condition` holds. Returns the number of changed rows.
    pub(super) fn update(
        &self,
        table: &str,
        id: i64,
        values: &Values<'_>,
        condition: &str,
    ) -> Result<usize> {
        let columns = values.iter().map(|(column, _)| *column);
        let set = columns.collect::<Vec<_>>().join(" = ?, ");
        let sql = format!("UPDATE {table} SET {set} = ? WHERE id = ? AND {condition}");
        let id: [&dyn ToSql; 1] = [&id];
        let params = values.iter().map(|(_, value)| *value).chain(id);
        self.execute(&sql, params_from_iter(params))
    }

    /// Runs a query; its error names the file.
    fn query<T>(
        &self,
        sql: &str,
        read: impl FnOnce(&mut Statement<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let statement = self.connection().prepare_cached(sql);
        let answer = statement.and_then(|mut statement| read(&mut statement));
        answer.map_err(|err| self.failed(err))
    }

    /// Returns the row that a query finds, if any. An unreadable one is an
    /// error: for rows that a person asked for.
    pub(super) fn find<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        let columns = ColumnOrder::default();
        let read = |row: &rusqlite::Row<'_>| read(&Row::new(row, &columns));
        self.query(sql, |statement| {
            statement.query_row(params, read).optional()
        })
    }

    /// Returns the row that a query finds, if it is there and can be read.
    pub(super) fn find_readable<T>(
        &self,
        table: &str,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        let found: Vec<T> = self.list_readable(table, sql, params, read)?;
        Ok(found.into_iter().next())
    }

    /// Returns all rows of a query; an unreadable one is an error.
    ///
    /// For decisions about deletions: a row that is passed over would protect
    /// nothing.
    pub(super) fn list<T, C: FromIterator<T>>(
        &self,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<C> {
        let columns = ColumnOrder::default();
        let read_row = |row: &rusqlite::Row<'_>| read(&Row::new(row, &columns));
        self.query(sql, |statement| {
            statement.query_map(params, read_row)?.collect()
        })
    }

    /// Returns the rows of a query that can be read; `bad_rows` names the others.
    pub(super) fn list_readable<T, C: FromIterator<T>>(
        &self,
        table: &str,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<C> {
        let columns = ColumnOrder::default();
        let read_or_remember = |row: &rusqlite::Row<'_>| {
            let row = Row::new(row, &columns);
            match read(&row) {
                Ok(value) => Ok(Some(value)),
                Err(err) => {
                    let reason = unreadable_reason(err)?;
                    let text = format!("`{table}`: {}: {reason}", name_of(&row));
                    self.remember_bad_row(escaped(&text).into_owned());
                    Ok(None)
                }
            }
        };
        self.query(sql, |statement| {
            let rows = statement.query_map(params, read_or_remember)?;
            // Without a list between: of ten thousand models it would be the largest.
            rows.filter_map(rusqlite::Result::transpose).collect()
        })
    }

    /// Reads two parts of a long list at the same time. `second` hands its values on from a
    /// thread with a connection of its own, and `first` receives them; before `first`, where
    /// that connection would not see the same rows, or cannot be made.
    pub(super) fn read_beside<T: Send, R>(
        &self,
        second: impl Fn(&Self, &mut dyn FnMut(T)) -> Result<()> + Sync,
        first: impl FnOnce(&mut dyn Iterator<Item = T>) -> Result<R>,
    ) -> Result<R> {
        // Values that wait take memory.
        const MOST_WAITING: usize = 16;
        let (sender, receiver) = mpsc::sync_channel(MOST_WAITING);
        std::thread::scope(|scope| {
            let second = &second;
            let beside = |other: Self| {
                let read = move || -> Result<Vec<String>> {
                    // The receiver is gone once `first` has failed.
                    second(&other, &mut |value| drop(sender.send(value)))?;
                    Ok(other.bad_rows())
                };
                let thread = Builder::new().name("read".to_owned());
                thread.spawn_scoped(scope, read).ok()
            };
            let Some(thread) = self.connect_again().and_then(beside) else {
                let mut values = Vec::new();
                second(self, &mut |value| values.push(value))?;
                return first(&mut values.into_iter());
            };
            let read = first(&mut receiver.into_iter())?;
            let bad_rows = thread.join().unwrap_or_else(|panic| resume_unwind(panic))?;
            let bad_rows = bad_rows.into_iter();
            bad_rows.for_each(|row| self.remember_bad_row(row));
            Ok(read)
        })
    }

    /// Reads the tables that runs and `status` use, so that `bad_rows` names their
    /// unreadable rows. Of the history it reads only the newest rows, because `status`
    /// must stay fast.
    pub fn read_all_tables(&self, now: Timestamp) -> Result<()> {
        self.map_models(&ModelFilter::default(), drop)?;
        self.read_tables_beside_models(now)
    }

    /// As `read_all_tables`, for a caller that reads all models itself.
    pub fn read_tables_beside_models(&self, now: Timestamp) -> Result<()> {
        self.bad_files()?;
        self.adopted_files()?;
        self.rate_limits(now)?;
        self.unfinished_runs()?;
        self.standings()?;
        self.runs_ever_ended()?;
        self.shards_of_schedules()?;
        self.sessions(&SessionFilter {
            limit: Some(NEWEST),
            ..SessionFilter::default()
        })?;
        self.runs(&RunFilter {
            limit: Some(NEWEST),
            ..RunFilter::default()
        })?;
        self.events(Timestamp::MIN, NEWEST)?;
        Ok(())
    }
}

fn insert_sql(table: &str, values: &Values<'_>) -> String {
    let columns: Vec<&str> = values.iter().map(|(column, _)| *column).collect();
    let marks = vec!["?"; columns.len()].join(", ");
    format!(
        "INSERT INTO {table} ({}) VALUES ({marks})",
        columns.join(", ")
    )
}

fn params_of(values: &Values<'_>) -> impl Params {
    params_from_iter(values.iter().map(|(_, value)| *value))
}

/// Returns the reason why a row is unreadable, or the error if it is about the
/// database and not about a value.
pub(super) fn unreadable_reason(err: rusqlite::Error) -> rusqlite::Result<String> {
    match err {
        rusqlite::Error::FromSqlConversionFailure(_, _, source) => Ok(source.to_string()),
        rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::Utf8Error(..) => Ok(err.to_string()),
        _ => Err(err),
    }
}

/// Returns the value by which a person finds a row, whatever its table.
fn name_of(row: &Row<'_>) -> String {
    const LONGEST: usize = 100;
    let columns = [
        "name",
        "endpoint",
        "id",
        "path",
        "model_id",
        "schedule_id",
        "outcome",
        "way",
    ];
    let name = columns
        .iter()
        .find_map(|column| match row.get_ref(column).ok()? {
            ValueRef::Integer(number) => Some(number.to_string()),
            ValueRef::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
            _ => None,
        });
    let name = name.unwrap_or_else(|| "a row without a name".to_owned());
    name.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_of_the_first_part_ends_the_second() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(&home.path().join("hfdl.db"), Timestamp::UNIX_EPOCH).unwrap();
        let count = |_: &Store, hand_on: &mut dyn FnMut(u32)| {
            (0..1_000).for_each(hand_on);
            Ok(())
        };
        let sum = store.read_beside(count, |numbers| Ok(numbers.sum::<u32>()));
        assert_eq!(sum.unwrap(), 499_500);
        let failed = store.read_beside(count, |_| Err::<(), _>(store.damaged("a page")));
        assert!(failed.is_err());
    }
}
