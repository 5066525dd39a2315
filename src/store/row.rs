//! Rows of query results, with columns found by name.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::str::FromStr;

use rusqlite::types::{FromSql, ValueRef};

use super::value::{CACHE, unreadable};
use crate::domain::model::{Destination, Priority};
use crate::domain::time::Timestamp;

/// A row of a query result.
///
/// SQLite finds a column by comparing its name with all others, and a list of ten thousand
/// models reads half a million values. Here each name is looked up once a query.
pub(super) struct Row<'r> {
    row: &'r rusqlite::Row<'r>,
    columns: &'r ColumnOrder,
}

/// The columns of a query in the order in which its rows are read, with their numbers.
#[derive(Default)]
pub(super) struct ColumnOrder {
    read: RefCell<Vec<(&'static str, usize)>>,
    /// The place of the column that is probably read next.
    next: Cell<usize>,
}

impl<'r> Row<'r> {
    pub(super) fn new(row: &'r rusqlite::Row<'r>, columns: &'r ColumnOrder) -> Self {
        columns.next.set(0);
        Self { row, columns }
    }

    pub(super) fn get<T: FromSql>(&self, column: &'static str) -> rusqlite::Result<T> {
        self.row.get(self.number(column)?)
    }

    pub(super) fn get_ref(&self, column: &'static str) -> rusqlite::Result<ValueRef<'_>> {
        self.row.get_ref(self.number(column)?)
    }

    /// Reads a column by its number, for queries whose columns have no name.
    pub(super) fn nth<T: FromSql>(&self, number: usize) -> rusqlite::Result<T> {
        self.row.get(number)
    }

    fn number(&self, column: &'static str) -> rusqlite::Result<usize> {
        let mut read = self.columns.read.borrow_mut();
        let next = self.columns.next.get();
        if let Some((name, number)) = read.get(next)
            && std::ptr::eq(*name, column)
        {
            self.columns.next.set(next + 1);
            return Ok(*number);
        }
        // The address is enough: a name at another address only gets another entry.
        let is_wanted = |at: &usize| std::ptr::eq(read[*at].0, column);
        let known = (next..read.len()).chain(0..next).find(is_wanted);
        let at = known.unwrap_or(next);
        if known.is_none() {
            let number = self.row.as_ref().column_index(column)?;
            read.insert(at, (column, number));
        }
        self.columns.next.set(at + 1);
        Ok(read[at].1)
    }

    /// Reads a column and converts it.
    pub(super) fn converted<S: FromSql, T, E: ToString>(
        &self,
        column: &'static str,
        convert: impl FnOnce(S) -> Result<T, E>,
    ) -> rusqlite::Result<T> {
        let value = self.get(column).map_err(|err| unreadable(column, err))?;
        convert(value).map_err(|err| unreadable(column, err))
    }

    /// Reads a column that may be NULL, and converts its value.
    pub(super) fn converted_if_any<S: FromSql, T, E: ToString>(
        &self,
        column: &'static str,
        convert: impl FnOnce(S) -> Result<T, E>,
    ) -> rusqlite::Result<Option<T>> {
        self.converted(column, |value: Option<S>| value.map(convert).transpose())
    }

    pub(super) fn parsed<T: FromStr<Err: ToString>>(
        &self,
        column: &'static str,
    ) -> rusqlite::Result<T> {
        self.parsed_value(column, self.get_ref(column)?)
    }

    /// Parses a text where it lies: a copy of each of half a million values takes long.
    fn parsed_value<T: FromStr<Err: ToString>>(
        &self,
        column: &'static str,
        value: ValueRef<'_>,
    ) -> rusqlite::Result<T> {
        let ValueRef::Text(text) = value else {
            return self.converted(column, |text: String| text.parse());
        };
        let text = str::from_utf8(text).map_err(|err| unreadable(column, err))?;
        text.parse().map_err(|err: T::Err| unreadable(column, err))
    }

    pub(super) fn parsed_if_any<T: FromStr<Err: ToString>>(
        &self,
        column: &'static str,
    ) -> rusqlite::Result<Option<T>> {
        match self.get_ref(column)? {
            ValueRef::Null => Ok(None),
            value => self.parsed_value(column, value).map(Some),
        }
    }

    pub(super) fn time(&self, column: &'static str) -> rusqlite::Result<Timestamp> {
        self.converted(column, Timestamp::from_second)
    }

    pub(super) fn time_if_any(&self, column: &'static str) -> rusqlite::Result<Option<Timestamp>> {
        self.converted_if_any(column, Timestamp::from_second)
    }

    pub(super) fn count(&self, column: &'static str) -> rusqlite::Result<u64> {
        self.converted(column, |number: i64| u64::try_from(number))
    }

    pub(super) fn count_if_any(&self, column: &'static str) -> rusqlite::Result<Option<u64>> {
        self.converted_if_any(column, |number: i64| u64::try_from(number))
    }

    pub(super) fn priority(&self, column: &'static str) -> rusqlite::Result<Priority> {
        self.converted(column, |number: i64| number.to_string().parse())
    }

    pub(super) fn destination(&self, column: &'static str) -> rusqlite::Result<Destination> {
        let text: String = self.get(column)?;
        Ok(match text.as_str() {
            CACHE => Destination::Cache,
            _ => Destination::Directory(text.into()),
        })
    }

    pub(super) fn path(&self, column: &'static str) -> rusqlite::Result<PathBuf> {
        Ok(self.get::<String>(column)?.into())
    }

    pub(super) fn path_if_any(&self, column: &'static str) -> rusqlite::Result<Option<PathBuf>> {
        Ok(self.get::<Option<String>>(column)?.map(PathBuf::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_has_its_own_value_in_whatever_order_it_is_read() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        let sql = "SELECT value AS a, value * 10 AS b, value * 100 AS c
            FROM json_each('[1, 2, 3, 4]')";
        let columns = ColumnOrder::default();
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| {
            let row = Row::new(row, &columns);
            let c: i64 = row.get("c")?;
            // As a reader that leaves the rest out where one value is missing.
            let b: i64 = if c == 200 { 20 } else { row.get("b")? };
            let (again, a): (i64, i64) = (row.get("c")?, row.get("a")?);
            Ok((a, b, c, again))
        });
        let rows: Vec<_> = rows.unwrap().map(Result::unwrap).collect();
        let expected = [1, 2, 3, 4].map(|n| (n, n * 10, n * 100, n * 100));
        assert_eq!(rows, expected);
    }

    #[test]
    fn a_column_that_the_query_does_not_have_is_an_error() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        let columns = ColumnOrder::default();
        let read = connection.query_row("SELECT 1 AS a", [], |row| {
            Row::new(row, &columns).get::<i64>("b")
        });
        assert!(matches!(read, Err(rusqlite::Error::InvalidColumnName(_))));
    }
}
