//! The handle of the database: opening, transactions, and waiting for other writers.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use rusqlite::{Connection, ErrorCode};

use super::error::{Result, StoreError};
use super::journal::{self, Journal};
use super::migrations::{self, MIGRATIONS, Migration, SchemaAge};
use crate::domain::time::Timestamp;
use crate::sys::abilities::is_full_or_read_only;
use crate::sys::files::{
    link_metadata_if_present, metadata_if_present, remove_if_present, rename_durably,
};
use crate::sys::fs;
use crate::sys::lock::FileLock;
use crate::sys::open;
use crate::sys::pause::Sleeper;
use crate::sys::stop::StopFlag;

/// The time that SQLite itself waits for another writer in a run. The stop flag
/// is read between two tries.
const ONE_TRY: Duration = Duration::from_millis(250);

/// The wait for another process that puts the new database into place: 5 seconds.
const CREATION_STEP: Duration = Duration::from_millis(20);
const CREATION_TRIES: u32 = 250;

/// The number of tries for a write in a run that has been asked to end.
const TRIES_AFTER_STOP: u32 = 4;

/// The open database; only the coordinating thread uses it.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    /// The file, which errors name.
    path: PathBuf,
    journal: Journal,
    /// Set in a run: writes wait for other writers until this flag is raised.
    run: RefCell<Option<StopFlag>>,
    /// Descriptions of the unreadable rows that were passed over.
    bad_rows: RefCell<BTreeSet<String>>,
}

impl Store {
    /// Opens the database, and makes or migrates it if necessary.
    ///
    /// A current database is only read, so that a tick with nothing to do costs
    /// a few pages.
    pub fn open(path: &Path, now: Timestamp) -> anyhow::Result<Self> {
        Self::open_with(path, MIGRATIONS, now)
    }

    /// Opens the database with another list of migrations, for tests.
    pub fn open_with(
        path: &Path,
        migrations: &[Migration],
        now: Timestamp,
    ) -> anyhow::Result<Self> {
        Self::open_file(path, migrations, now)
            .map_err(|err| err.while_opening(path))
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
        Ok(Self::new(connection, path, journal))
    }

    fn new(connection: Connection, path: &Path, journal: Journal) -> Self {
        Self {
            connection,
            path: path.to_owned(),
            journal,
            run: RefCell::default(),
            bad_rows: RefCell::default(),
        }
    }

    /// Opens the database without ever writing to it.
    ///
    /// A missing file is read as an empty database, and an old one is migrated in
    /// memory.
    pub fn open_read_only(path: &Path, now: Timestamp) -> anyhow::Result<Self> {
        Self::open_file_read_only(path, MIGRATIONS, now)
            .map_err(|err| err.while_opening(path))
            .with_context(|| format!("cannot open the database `{}`", path.display()))
    }

    fn open_file_read_only(path: &Path, migrations: &[Migration], now: Timestamp) -> Result<Self> {
        let (connection, journal) = if exists(path)? {
            let (file, journal) = journal::connect_as_it_is(path)?;
            match migrations::schema_age(&file, path, migrations)? {
                SchemaAge::Current => (file, journal),
                SchemaAge::Older => (migrated_in_memory(Some(&file), migrations, now)?, journal),
            }
        } else {
            let memory = migrated_in_memory(None, migrations, now)?;
            (memory, Journal::Rollback)
        };
        connection.pragma_update(None, "query_only", true)?;
        Ok(Self::new(connection, path, journal))
    }

    /// Connects once more for a thread that only reads, if it can see the same rows.
    pub(super) fn connect_again(&self) -> Option<Self> {
        let file = self.connection.path().filter(|path| !path.is_empty())?;
        let file = Path::new(self.connection.is_autocommit().then_some(file)?);
        let (connection, journal) = journal::connect_as_it_is(file).ok()?;
        Some(Self::new(connection, file, journal))
    }

    /// Makes a database in memory, for unit tests.
    #[cfg(test)]
    pub fn in_memory(now: Timestamp) -> Result<Self> {
        let memory = migrated_in_memory(None, MIGRATIONS, now)?;
        Ok(Self::new(memory, Path::new(":memory:"), Journal::Rollback))
    }

    /// Names the file in the error of a statement.
    pub(super) fn failed(&self, err: rusqlite::Error) -> StoreError {
        StoreError::from(err).at(&self.path)
    }

    /// Returns the error about damage that a check of the open database has found.
    pub fn damaged(&self, detail: impl Into<String>) -> StoreError {
        StoreError::damaged(detail).at(&self.path)
    }

    /// Returns the journal mode of the file, for `doctor`.
    pub fn journal(&self) -> Journal {
        self.journal
    }

    /// Makes several changes in one transaction: all of them, or none.
    ///
    /// All methods of the store may be called inside, also this one: a failed
    /// inner transaction undoes only itself. The write lock is taken at the start,
    /// so that values read inside stay true until the end.
    pub fn transaction<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&Self) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        let transaction = OpenTransaction::begin(self)?;
        let value = work(self)?;
        transaction.commit()?;
        Ok(value)
    }

    /// Runs many queries in one read transaction, so that the file is locked once.
    pub fn reading<T>(&self, work: impl FnOnce() -> T) -> T {
        // Inside another transaction there is none to begin.
        let _reading = self.connection.unchecked_transaction();
        work()
    }

    /// Returns the connection, for the files of the tables.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Makes one change. In a run it gets a transaction of its own, because only
    /// transactions wait for other writers.
    pub(super) fn change(&self, work: impl FnOnce() -> rusqlite::Result<usize>) -> Result<usize> {
        let work = || work().map_err(|err| self.failed(err));
        if self.run.borrow().is_none() || !self.connection.is_autocommit() {
            return work();
        }
        let transaction = OpenTransaction::begin(self)?;
        let n_rows = work()?;
        transaction.commit()?;
        Ok(n_rows)
    }

    pub(super) fn remember_bad_row(&self, description: String) {
        self.bad_rows.borrow_mut().insert(description);
    }

    /// Names the unreadable rows that were read so far.
    pub fn bad_rows(&self) -> Vec<String> {
        self.bad_rows.borrow().iter().cloned().collect()
    }

    /// Stops forcing each commit to disk, for the many commits of a run.
    pub fn commit_lazily(&self) -> Result<()> {
        let mode = self.journal.synchronous_in_runs();
        let set = self.connection.pragma_update(None, "synchronous", mode);
        set.map_err(|err| self.failed(err))
    }

    /// Makes writes wait for other writers as long as the run may last. After a
    /// stop request they still wait for a moment, so that published revisions are
    /// recorded.
    pub fn wait_for_writers(&self, stop: &StopFlag) -> Result<()> {
        if self.journal == Journal::Wal {
            let set = self.connection.busy_timeout(ONE_TRY);
            set.map_err(|err| self.failed(err))?;
        }
        self.run.replace(Some(stop.clone()));
        Ok(())
    }

    /// Begins or ends a transaction, which may find the database busy.
    fn execute_when_free(&self, sql: &str) -> Result<()> {
        let mut tries_left = TRIES_AFTER_STOP;
        loop {
            let done = self.connection.execute_batch(sql);
            let is_busy = done.as_ref().is_err_and(is_busy);
            let run = self.run.borrow();
            let Some(stop) = run.as_ref().filter(|_| is_busy) else {
                return done.map_err(|err| self.failed(err));
            };
            if stop.is_raised() {
                tries_left -= 1;
            }
            if tries_left == 0 {
                return done.map_err(|err| self.failed(err));
            }
        }
    }
}

fn exists(path: &Path) -> Result<bool> {
    let failed = |source| StoreError::file("cannot look for it", source);
    let found = metadata_if_present(path).map_err(failed)?;
    if found.as_ref().is_some_and(|found| found.is_dir()) {
        let source = ErrorKind::IsADirectory.into();
        return Err(StoreError::file("it cannot be read", source));
    }
    Ok(found.is_some())
}

/// Makes the database under another name and moves it into place when it is
/// complete.
///
/// When several processes do this at once, all use the file of the first. An
/// empty file of the right name is a damaged database and never a new one.
fn make_file(path: &Path, migrations: &[Migration], now: Timestamp) -> Result<()> {
    let failed = |source| StoreError::file("cannot create it", source);
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_private_dir(directory).map_err(failed)?;
    // Made with mode 0600; SQLite gives the files of WAL the same mode.
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
        return Err(StoreError::DiskFailed { detail, path: None });
    }
    open::flushable(&unfinished)
        .and_then(|file| file.sync_all())
        .map_err(failed)?;
    match unfinished.persist_noclobber(path) {
        Ok(()) => Ok(()),
        // Another process was first: use its file.
        Err(err) if err.error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(err) if is_full_or_read_only(&err.error) => Err(failed(err.error)),
        Err(err) => rename_under_lock(&err.path, path).map_err(failed),
    }
}

/// Moves the complete database into place on a file system that has no hard links
/// and no rename that spares an existing file.
///
/// The lock keeps two processes from doing this at once; its file stays.
fn rename_under_lock(unfinished: &Path, path: &Path) -> std::io::Result<()> {
    let lock = path.with_extension("db.lock");
    let mut tries_left = CREATION_TRIES;
    let may_wait = || {
        tries_left -= 1;
        tries_left > 0
    };
    let held = FileLock::acquire_while(&lock, CREATION_STEP, &Sleeper::sleeping(), may_wait)?;
    if held.is_none() {
        let text = format!("another process holds `{}`", lock.display());
        return Err(std::io::Error::new(ErrorKind::ResourceBusy, text));
    }
    match link_metadata_if_present(path)? {
        Some(_) => Ok(()),
        None => rename_durably(unfinished, path),
    }
}

/// Writes the schema without flushing each step: no other process knows the file yet.
fn fill(path: &Path, migrations: &[Migration], now: Timestamp) -> Result<()> {
    let mut connection = journal::choose(path)?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    migrations::migrate(&mut connection, None, migrations, now)?;
    connection.close().map_err(|(_, err)| err)?;
    Ok(())
}

/// Removes the side files of a closed database. Returns true if there was a log
/// or journal, which means that the database itself lacks writes.
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

/// Returns a database in memory with the newest schema and the rows of an old file.
fn migrated_in_memory(
    file: Option<&Connection>,
    migrations: &[Migration],
    now: Timestamp,
) -> Result<Connection> {
    let mut memory = Connection::open_in_memory()?;
    journal::keep_temporary_data_in_memory(&memory)?;
    if let Some(file) = file {
        let copy = rusqlite::backup::Backup::new(file, &mut memory)?;
        copy.run_to_completion(i32::MAX, Duration::ZERO, None)?;
    }
    migrations::migrate(&mut memory, None, migrations, now)?;
    Ok(memory)
}

/// A transaction, or a savepoint inside one; rolled back when dropped.
struct OpenTransaction<'a> {
    store: &'a Store,
    is_inner: bool,
    is_open: bool,
}

impl<'a> OpenTransaction<'a> {
    fn begin(store: &'a Store) -> Result<Self> {
        let is_inner = !store.connection.is_autocommit();
        store.execute_when_free(if is_inner {
            "SAVEPOINT inner"
        } else {
            "BEGIN IMMEDIATE"
        })?;
        Ok(Self {
            store,
            is_inner,
            is_open: true,
        })
    }

    fn commit(mut self) -> Result<()> {
        self.store.execute_when_free(if self.is_inner {
            "RELEASE inner"
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

impl Drop for OpenTransaction<'_> {
    fn drop(&mut self) {
        // After some errors (full disk) SQLite has rolled back by itself.
        let connection = &self.store.connection;
        if !self.is_open || connection.is_autocommit() {
            return;
        }
        let undone = connection.execute_batch(if self.is_inner {
            "ROLLBACK TO inner; RELEASE inner"
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
    fn without_hard_links_the_first_complete_database_stays_in_place() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("hfdl.db");
        let unfinished = |text: &str| {
            let unfinished = home.path().join(text);
            std::fs::write(&unfinished, text).unwrap();
            unfinished
        };
        rename_under_lock(&unfinished("first"), &path).unwrap();
        let second = unfinished("second");
        rename_under_lock(&second, &path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "first");
        assert!(second.exists(), "left to the caller");
    }

    #[test]
    fn an_old_database_opened_read_only_is_migrated_in_memory_and_stays_old_on_disk() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("hfdl.db");
        let store = Store::open(&path, NOW).unwrap();
        store.set_setting("disk.reserve", "20G", NOW).unwrap();
        drop(store);
        let before = std::fs::read(&path).unwrap();
        let next = Migration::of_sql("UPDATE settings SET value = value || ' of old';");
        let migrations = [MIGRATIONS, &[next]].concat();

        let store = Store::open_file_read_only(&path, &migrations, NOW).unwrap();

        let setting = store.setting("disk.reserve").unwrap().unwrap();
        assert_eq!(setting.value, "20G of old");
        let err = store.unset_setting("disk.reserve").unwrap_err();
        assert!(matches!(err, StoreError::ReadOnly { .. }), "{err:?}");
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
            let memory = store
                .connection()
                .pragma_query_value(None, "temp_store", |row| row.get(0));
            assert_eq!(memory, Ok::<i64, _>(2));
        }
    }

    #[test]
    fn commits_of_a_person_are_forced_and_those_of_a_run_are_not() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(&home.path().join("hfdl.db"), NOW).unwrap();
        let synchronous = || -> i64 {
            let value = store
                .connection()
                .pragma_query_value(None, "synchronous", |row| row.get(0));
            value.unwrap()
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
        let n_pages = connection.pragma_query_value(None, "page_count", |row| row.get(0));
        let n_pages: i64 = n_pages.unwrap();
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
        let err = result.unwrap_err();
        assert!(matches!(err, StoreError::DiskFull { .. }), "{err:?}");
        let hint = err.hint().unwrap();
        assert!(hint.contains(home.path().to_str().unwrap()), "{hint}");
        assert_eq!(store.settings().unwrap(), []);
        limit(n_pages + 100);
        store.set_setting("large", &large, NOW).unwrap();
        assert_eq!(store.check_integrity().unwrap(), Vec::<String>::new());
    }
}
