//! The handle of the database: opening it, and doing several things as one.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Params, Row};

use super::error::{Result, StoreError};
use super::journal::{self, Journal};
use super::migrations::{self, MIGRATIONS, Migration, SchemaAge};
use super::models::ModelFilter;
use crate::domain::time::Timestamp;
use crate::sys::files::remove_if_present;
use crate::sys::fs;
use crate::sys::stop::StopFlag;
use crate::sys::text::escaped;

/// How long SQLite itself waits for another writer in a run; between two tries
/// the wish to stop is heard.
const ONE_TRY: Duration = Duration::from_millis(250);

/// So often a write is tried again in a run that has been asked to end.
const TRIES_AFTER_STOP: u32 = 4;

/// The open database.
///
/// Belongs to the thread that coordinates; workers never see it.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    journal: Journal,
    /// Set in a run: its writes wait for other writers until it is to end.
    run: RefCell<Option<StopFlag>>,
    /// Rows that could not be read and were passed over.
    passed_over: RefCell<BTreeSet<String>>,
}

impl Store {
    /// Opens the database, making or migrating it if need be.
    ///
    /// One that is current is only read, so that a tick with nothing to do
    /// costs a few pages.
    pub fn open(path: &Path, now: Timestamp) -> anyhow::Result<Self> {
        Self::open_with(path, MIGRATIONS, now)
    }

    /// Opens the database with another list of steps: the door for tests of
    /// migrations that are not written yet.
    pub fn open_with(
        path: &Path,
        migrations: &[Migration],
        now: Timestamp,
    ) -> anyhow::Result<Self> {
        Self::open_file(path, migrations, now)
            .with_context(|| format!("cannot open the database `{}`", path.display()))
    }

    fn open_file(path: &Path, migrations: &[Migration], now: Timestamp) -> Result<Self> {
        if !exists(path)? {
            make_file(path, migrations, now)?;
        }
        let (mut connection, journal) = journal::connect(path)?;
        match migrations::schema_age(&connection, path, migrations)? {
            SchemaAge::Current => {}
            SchemaAge::Older => {
                migrations::migrate(&mut connection, Some(path), migrations, now)?;
            }
        }
        Ok(Self {
            connection,
            journal,
            run: RefCell::default(),
            passed_over: RefCell::default(),
        })
    }

    /// Opens the database without ever writing to it.
    ///
    /// What does not exist yet looks like an empty database, and an old one is
    /// migrated in memory: callers that only look need not care.
    pub fn open_read_only(path: &Path, now: Timestamp) -> anyhow::Result<Self> {
        Self::look(path, MIGRATIONS, now)
            .with_context(|| format!("cannot open the database `{}`", path.display()))
    }

    fn look(path: &Path, migrations: &[Migration], now: Timestamp) -> Result<Self> {
        let (connection, journal) = if exists(path)? {
            let (file, journal) = journal::connect_as_it_is(path)?;
            match migrations::schema_age(&file, path, migrations)? {
                SchemaAge::Current => (file, journal),
                SchemaAge::Older => (migrated_in_memory(Some(&file), migrations, now)?, journal),
            }
        } else {
            (
                migrated_in_memory(None, migrations, now)?,
                Journal::Rollback,
            )
        };
        connection.pragma_update(None, "query_only", true)?;
        Ok(Self {
            connection,
            journal,
            run: RefCell::default(),
            passed_over: RefCell::default(),
        })
    }

    /// Returns how the file keeps half-done writes, for `doctor`.
    pub fn journal(&self) -> Journal {
        self.journal
    }

    /// Reads everything and returns what is wrong, for `doctor`; empty is good.
    pub fn check_integrity(&self) -> Result<Vec<String>> {
        let mut found: Vec<String> = self.list("PRAGMA integrity_check", [], |row| row.get(0))?;
        found.retain(|line| line != "ok");
        let broken: Vec<String> = self.list("PRAGMA foreign_key_check", [], |row| {
            let (table, other): (String, String) = (row.get(0)?, row.get(2)?);
            Ok(format!("a row of {table} refers to missing {other}"))
        })?;
        found.extend(broken);
        Ok(found)
    }

    /// Does several things as one: all of it happens, or nothing.
    ///
    /// All methods of the store may be called inside. The lock for writing is
    /// taken at the start, so that what is read stays true until the end. A
    /// transaction inside another one is undone by itself if it fails.
    pub fn transaction<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&Self) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        let step = Step::begin(self).map_err(StoreError::from)?;
        let value = work(self)?;
        step.commit().map_err(StoreError::from)?;
        Ok(value)
    }

    /// Returns the connection, for the files of the tables.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Runs a statement and returns how many rows it changed.
    pub(super) fn execute(&self, sql: &str, params: impl Params) -> rusqlite::Result<usize> {
        let is_alone = self.run.borrow().is_some() && self.connection.is_autocommit();
        if !is_alone {
            return self.connection.prepare_cached(sql)?.execute(params);
        }
        let step = Step::begin(self)?;
        let n_rows = self.connection.prepare_cached(sql)?.execute(params)?;
        step.commit()?;
        Ok(n_rows)
    }

    /// From now on commits are not forced one by one: for the many of a run.
    pub fn commit_lazily(&self) -> Result<()> {
        let synchronous = self.journal.synchronous_in_runs();
        Ok(self
            .connection
            .pragma_update(None, "synchronous", synchronous)?)
    }

    /// From now on writes wait for other writers as long as the run may last,
    /// and for a moment when it has been asked to end: what was published must
    /// be written down.
    pub fn wait_for_writers(&self, stop: &StopFlag) -> Result<()> {
        if self.journal == Journal::Wal {
            self.connection.busy_timeout(ONE_TRY)?;
        }
        self.run.replace(Some(stop.clone()));
        Ok(())
    }

    /// Runs a statement that may find the database busy.
    fn patiently(&self, sql: &str) -> rusqlite::Result<()> {
        let mut tries_left = TRIES_AFTER_STOP;
        loop {
            let done = self.connection.execute_batch(sql);
            let is_busy = done.as_ref().is_err_and(is_busy);
            let run = self.run.borrow();
            let Some(stop) = run.as_ref().filter(|_| is_busy) else {
                return done;
            };
            if stop.is_raised() {
                tries_left -= 1;
            }
            if tries_left == 0 {
                return done;
            }
        }
    }

    /// Returns the row that a query finds, if any.
    pub(super) fn find<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row(params, read).optional()?)
    }

    /// Returns all rows that a query finds.
    pub(super) fn list<T, C: FromIterator<T>>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<C> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params, read)?;
        Ok(rows.collect::<rusqlite::Result<C>>()?)
    }

    /// Returns the rows of a query that can be read; `bad_rows` names the others.
    ///
    /// One row that means nothing must not end a run about all the others. Not
    /// for decisions about what may be deleted: there a row that is missing
    /// would be one that claims nothing.
    pub(super) fn list_readable<T, C: FromIterator<T>>(
        &self,
        table: &str,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<C> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params, |row| match read(row) {
            Err(err) if is_about_value(&err) => {
                let why = StoreError::from(err);
                let text = format!("`{table}`: {}: {why}", name_of(row));
                self.passed_over
                    .borrow_mut()
                    .insert(escaped(&text).into_owned());
                Ok(None)
            }
            read => read.map(Some),
        })?;
        let rows = rows.filter_map(rusqlite::Result::transpose);
        Ok(rows.collect::<rusqlite::Result<C>>()?)
    }

    /// Names the rows that runs have to pass over, in the tables that they read.
    pub fn bad_rows(&self, now: Timestamp) -> Result<Vec<String>> {
        self.readable_models(&ModelFilter::default())?;
        self.bad_files()?;
        self.rate_limits(now)?;
        self.unfinished_runs()?;
        Ok(self.passed_over.borrow().iter().cloned().collect())
    }
}

/// Tells whether a row was found and one of its values means nothing.
fn is_about_value(err: &rusqlite::Error) -> bool {
    matches!(
        err,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::Utf8Error(..)
    )
}

/// Returns what a row of any table is known by.
fn name_of(row: &Row<'_>) -> String {
    const LONGEST: usize = 100;
    let known = ["name", "path", "endpoint", "id"];
    let name = known
        .iter()
        .find_map(|column| row.get::<_, String>(*column).ok());
    let name = name.unwrap_or_else(|| "a row without a name".to_owned());
    name.chars().take(LONGEST).collect()
}

fn exists(path: &Path) -> Result<bool> {
    path.try_exists()
        .map_err(|source| StoreError::file("cannot look for it", source))
}

/// Makes the database under another name and moves it into place when it is whole.
///
/// Processes that do this at once agree on the file of the first, and an empty
/// file of the right name is never taken for a new database: it is a damaged one.
fn make_file(path: &Path, migrations: &[Migration], now: Timestamp) -> Result<()> {
    let failed = |source| StoreError::file("cannot create it", source);
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_private_dir(directory).map_err(failed)?;
    // Made for its owner alone; SQLite gives the files of WAL the same mode.
    let unfinished = tempfile::Builder::new()
        .prefix("hfdl.db.new-")
        .tempfile_in(directory)
        .map_err(failed)?
        .into_temp_path();
    let filled = fill(&unfinished, migrations, now);
    let is_whole = !remove_side_files(&unfinished).map_err(failed)?;
    filled?;
    if !is_whole {
        // SQLite closes without an error when it cannot move the log into the file.
        let detail = "its log could not be written into it".to_owned();
        return Err(StoreError::DiskFailed { detail });
    }
    match unfinished.persist_noclobber(path) {
        Ok(()) => Ok(()),
        // Another process was first; this one goes on with its file.
        Err(err) if err.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(err) => Err(failed(err.error)),
    }
}

fn fill(path: &Path, migrations: &[Migration], now: Timestamp) -> Result<()> {
    let mut connection = journal::choose(path)?;
    migrations::migrate(&mut connection, None, migrations, now)?;
    connection.close().map_err(|(_, err)| err)?;
    Ok(())
}

/// Removes what SQLite left beside a closed database; tells whether that held
/// writes which are not in the database itself.
fn remove_side_files(path: &Path) -> std::io::Result<bool> {
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        remove_if_present(Path::new(&name))
    };
    beside("-shm")?;
    let was_left = beside("-wal")?;
    Ok(beside("-journal")? || was_left)
}

/// Returns the newest schema in memory, with what an old file holds.
fn migrated_in_memory(
    file: Option<&Connection>,
    migrations: &[Migration],
    now: Timestamp,
) -> Result<Connection> {
    let mut memory = Connection::open_in_memory()?;
    journal::keep_temporary_data_in_memory(&memory)?;
    if let Some(file) = file {
        let copy = rusqlite::backup::Backup::new(file, &mut memory)?;
        copy.run_to_completion(i32::MAX, std::time::Duration::ZERO, None)?;
    }
    migrations::migrate(&mut memory, None, migrations, now)?;
    Ok(memory)
}

/// A transaction, or a savepoint inside one; undone when dropped.
struct Step<'a> {
    store: &'a Store,
    is_inner: bool,
    is_open: bool,
}

impl<'a> Step<'a> {
    fn begin(store: &'a Store) -> rusqlite::Result<Self> {
        let is_inner = !store.connection.is_autocommit();
        store.patiently(if is_inner {
            "SAVEPOINT inner_step"
        } else {
            "BEGIN IMMEDIATE"
        })?;
        Ok(Self {
            store,
            is_inner,
            is_open: true,
        })
    }

    fn commit(mut self) -> rusqlite::Result<()> {
        self.store.patiently(if self.is_inner {
            "RELEASE inner_step"
        } else {
            "COMMIT"
        })?;
        self.is_open = false;
        Ok(())
    }
}

fn is_busy(err: &rusqlite::Error) -> bool {
    err.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        // After some errors (full disk) SQLite has rolled back by itself.
        let connection = &self.store.connection;
        if !self.is_open || connection.is_autocommit() {
            return;
        }
        let undone = connection.execute_batch(if self.is_inner {
            "ROLLBACK TO inner_step; RELEASE inner_step"
        } else {
            "ROLLBACK"
        });
        if let Err(err) = undone {
            log::warn!("cannot roll back: {err}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn looking_at_an_old_database_shows_it_in_the_new_form_and_leaves_it_old() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("hfdl.db");
        let store = Store::open(&path, NOW).unwrap();
        store.set_setting("disk.reserve", "20G", NOW).unwrap();
        drop(store);
        let before = std::fs::read(&path).unwrap();
        let next = Migration {
            sql: "UPDATE settings SET value = value || ' of old';",
            then: |_, _| Ok(()),
        };
        let migrations = [MIGRATIONS, &[next]].concat();

        let store = Store::look(&path, &migrations, NOW).unwrap();

        let setting = store.setting("disk.reserve").unwrap().unwrap();
        assert_eq!(setting.value, "20G of old");
        let err = store.unset_setting("disk.reserve").unwrap_err();
        assert!(matches!(err, StoreError::ReadOnly), "{err:?}");
        drop(store);
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert_eq!(home.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn no_query_writes_to_the_temporary_folder_of_the_system() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("hfdl.db");
        let unmade = Store::open_read_only(&path, NOW).unwrap();
        let made = Store::open(&path, NOW).unwrap();
        let looked_at = Store::open_read_only(&path, NOW).unwrap();
        for store in [unmade, made, looked_at] {
            let connection = store.connection();
            let memory: i64 = connection
                .pragma_query_value(None, "temp_store", |row| row.get(0))
                .unwrap();
            assert_eq!(memory, 2);
        }
    }

    #[test]
    fn commits_of_a_person_are_forced_and_those_of_a_run_are_not() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(&home.path().join("hfdl.db"), NOW).unwrap();
        let synchronous = || -> i64 {
            let connection = store.connection();
            connection
                .pragma_query_value(None, "synchronous", |row| row.get(0))
                .unwrap()
        };
        assert_eq!(synchronous(), 2, "FULL");
        store.commit_lazily().unwrap();
        assert_eq!(synchronous(), 1, "NORMAL");
    }

    #[test]
    fn a_full_disk_undoes_the_whole_transaction_and_is_named() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(&home.path().join("hfdl.db"), NOW).unwrap();
        let connection = store.connection();
        let n_pages: i64 = connection
            .pragma_query_value(None, "page_count", |row| row.get(0))
            .unwrap();
        let limit = |n_pages: i64| {
            let set = format!("PRAGMA max_page_count = {n_pages}");
            connection.query_row(&set, [], |_| Ok(())).unwrap();
        };
        limit(n_pages);
        let large = "x".repeat(100_000);
        let result = store.transaction(|store| {
            store.set_setting("small", "1", NOW)?;
            store.set_setting("large", &large, NOW)
        });
        assert!(matches!(result, Err(StoreError::DiskFull)), "{result:?}");
        assert_eq!(store.settings().unwrap(), []);
        limit(n_pages + 100);
        store.set_setting("large", &large, NOW).unwrap();
        assert_eq!(store.check_integrity().unwrap(), Vec::<String>::new());
    }
}
