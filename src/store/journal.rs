//! How SQLite keeps a half-done write: WAL, or a rollback journal where WAL
//! cannot work.
//!
//! WAL lets `status` read while a run writes, but it needs memory that
//! processes share through a file, which some network mounts do not give. The
//! mode is a property of the file and is chosen once, when the file is made; a
//! file that is later moved to such a mount is taken back to the rollback
//! journal.

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, ffi};

use super::error::{Result, StoreError};

const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The journal mode of a database file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Journal {
    Wal,
    /// The fallback; readers wait while somebody writes.
    Rollback,
}

impl Journal {
    fn from_pragma(answer: &str) -> Self {
        if answer.eq_ignore_ascii_case("wal") {
            Self::Wal
        } else {
            Self::Rollback
        }
    }

    /// Returns the setting for the many commits of a run. WAL loses no committed
    /// transaction to a crash of the process and at most the last ones to a power
    /// cut, never consistency; the next run finds on disk how far this one came.
    pub(super) fn synchronous_in_runs(self) -> &'static str {
        match self {
            Self::Wal => "NORMAL",
            Self::Rollback => "FULL",
        }
    }
}

/// Connects to an existing file and makes sure that it can be read.
///
/// Writes nothing, unless the file is in WAL mode and WAL does not work here.
pub(super) fn connect(path: &Path) -> Result<(Connection, Journal)> {
    let connection = open(path)?;
    match probe(&connection) {
        Ok(journal) => configure(connection, journal),
        Err(err) if shared_memory_is_missing(&err) => {
            drop(connection);
            can_be_written_beside(path)?;
            leave_wal(path)?;
            connect_as_it_is(path)
        }
        Err(err) => Err(err.into()),
    }
}

/// Connects to an existing file, for callers that will only read.
pub(super) fn connect_as_it_is(path: &Path) -> Result<(Connection, Journal)> {
    let connection = open(path)?;
    let journal = probe(&connection)?;
    configure(connection, journal)
}

/// Connects to a new file and moves it to WAL, unless that does not work here.
pub(super) fn choose(path: &Path) -> Result<Connection> {
    let connection = open(path)?;
    let answer: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if Journal::from_pragma(&answer) == Journal::Wal {
        // The answer says only that the header is marked; the shared memory is
        // first touched by the next read, so connect anew and look.
        drop(connection);
        return Ok(connect(path)?.0);
    }
    Ok(configure(connection, Journal::Rollback)?.0)
}

/// Never creates: the file is made first, with the right mode. Readers ask for
/// writing too, as a read-only connection leaves the files of WAL behind;
/// SQLite itself makes do with reading where writing is not allowed.
fn open(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    keep_temporary_data_in_memory(&connection)?;
    Ok(connection)
}

/// SQLite spills large sorts into files of the system's temporary folder, which
/// may be small, and readable by others until the file is unlinked.
pub(super) fn keep_temporary_data_in_memory(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "temp_store", "MEMORY")
}

/// Reads the first page under the lock that every query takes.
fn probe(connection: &Connection) -> rusqlite::Result<Journal> {
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    let answer: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    Ok(Journal::from_pragma(&answer))
}

fn configure(connection: Connection, journal: Journal) -> Result<(Connection, Journal)> {
    // A person's pause or rollback must survive a power cut, also while a run
    // keeps the WAL open: each commit is forced.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok((connection, journal))
}

/// Takes a file back to the rollback journal without shared memory, which
/// SQLite can do for a process that has the file to itself.
fn leave_wal(path: &Path) -> Result<()> {
    log::warn!(
        "`{}`: the file system gives no shared memory, using a rollback journal",
        path.display()
    );
    let connection = open(path)?;
    connection.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(()))?;
    connection.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
    Ok(())
}

/// Checks that the file of shared memory has a place at all.
///
/// On a full or read-only disk it is missing, too; that passes, and is no
/// reason to give up WAL.
fn can_be_written_beside(path: &Path) -> Result<()> {
    /// What SQLite takes at first.
    const BYTES: usize = 32 << 10;
    let folder = path.parent().unwrap_or(Path::new("."));
    let tried = tempfile::tempfile_in(folder).and_then(|mut file| file.write_all(&[0; BYTES]));
    match tried.map_err(|err| err.kind()) {
        Err(ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => Err(StoreError::DiskFull),
        Err(ErrorKind::ReadOnlyFilesystem) => Err(StoreError::ReadOnly),
        _ => Ok(()),
    }
}

/// Tells the errors of missing shared memory from all others.
fn shared_memory_is_missing(err: &rusqlite::Error) -> bool {
    let Some(code) = err.sqlite_error().map(|inner| inner.extended_code) else {
        return false;
    };
    matches!(
        code,
        ffi::SQLITE_IOERR_SHMOPEN
            | ffi::SQLITE_IOERR_SHMSIZE
            | ffi::SQLITE_IOERR_SHMLOCK
            | ffi::SQLITE_IOERR_SHMMAP
            | ffi::SQLITE_CANTOPEN_ISDIR
            | ffi::SQLITE_CANTOPEN
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: i32) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
    }

    #[test]
    fn only_errors_of_shared_memory_lead_away_from_wal() {
        for code in [
            ffi::SQLITE_IOERR_SHMMAP,
            ffi::SQLITE_IOERR_SHMOPEN,
            ffi::SQLITE_CANTOPEN,
        ] {
            assert!(shared_memory_is_missing(&failure(code)), "{code}");
        }
        for code in [
            ffi::SQLITE_NOTADB,
            ffi::SQLITE_CORRUPT,
            ffi::SQLITE_BUSY,
            ffi::SQLITE_IOERR_READ,
            ffi::SQLITE_FULL,
            ffi::SQLITE_PERM,
        ] {
            assert!(!shared_memory_is_missing(&failure(code)), "{code}");
        }
    }

    #[test]
    fn any_answer_but_wal_means_a_rollback_journal() {
        assert_eq!(Journal::from_pragma("wal"), Journal::Wal);
        for answer in ["delete", "memory", "truncate", "off"] {
            assert_eq!(Journal::from_pragma(answer), Journal::Rollback, "{answer}");
        }
        assert_eq!(Journal::Wal.synchronous_in_runs(), "NORMAL");
        assert_eq!(Journal::Rollback.synchronous_in_runs(), "FULL");
    }
}
