//! The journal mode of the database: WAL, or a rollback journal where WAL does not
//! work.
//!
//! WAL lets `status` read while a run writes, but it needs shared memory in a
//! file, which some network mounts do not provide. The mode is a property of the
//! file and is chosen when the file is made. A file that is later moved to such a
//! mount is changed back to the rollback journal.

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
    /// The fallback: readers wait for a writer.
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

    /// Returns the setting for the many commits of a run. In WAL mode a crash of
    /// the process loses no committed transaction, and a power cut loses at most
    /// the last ones and never consistency. The next run reads the progress from
    /// the files on disk.
    pub(super) fn synchronous_in_runs(self) -> &'static str {
        match self {
            Self::Wal => "NORMAL",
            Self::Rollback => "FULL",
        }
    }
}

/// Connects to an existing file and checks that it can be read.
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

/// Connects to an existing file, for callers that only read.
pub(super) fn connect_as_it_is(path: &Path) -> Result<(Connection, Journal)> {
    let connection = open(path)?;
    let journal = probe(&connection)?;
    configure(connection, journal)
}

/// Connects to a new file and sets WAL mode, unless that does not work here.
pub(super) fn choose(path: &Path) -> Result<Connection> {
    let connection = open(path)?;
    let answer: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if Journal::from_pragma(&answer) == Journal::Wal {
        // The answer only confirms the mark in the header. The next read is the
        // first to use shared memory: connect again to test it.
        drop(connection);
        return Ok(connect(path)?.0);
    }
    Ok(configure(connection, Journal::Rollback)?.0)
}

/// Opens a connection and never creates the file, which is made first with the
/// right mode. Readers open for writing, too, because a read-only connection
/// leaves the files of WAL behind. SQLite falls back to reading where writing is
/// not allowed.
fn open(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    keep_temporary_data_in_memory(&connection)?;
    Ok(connection)
}

/// Keeps large sorts out of the system's temporary folder: it may be small, and other
/// users could read its files.
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
    // A pause or rollback by the user must survive a power cut, also while a run
    // keeps the WAL open: each commit is forced to disk.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok((connection, journal))
}

/// Changes a file back to the rollback journal. With exclusive locking SQLite needs
/// no shared memory for this.
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

/// Checks that there is space for the file of shared memory.
///
/// A full or read-only disk has none, too, but only for a while: it is no reason
/// to leave WAL mode.
fn can_be_written_beside(path: &Path) -> Result<()> {
    /// The first size of the file that SQLite makes.
    const BYTES: usize = 32 << 10;
    let folder = path.parent().unwrap_or(Path::new("."));
    let tried = tempfile::tempfile_in(folder).and_then(|mut file| file.write_all(&[0; BYTES]));
    match tried.map_err(|err| err.kind()) {
        Err(ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
            Err(StoreError::DiskFull { path: None })
        }
        Err(ErrorKind::ReadOnlyFilesystem) => Err(StoreError::ReadOnly { path: None }),
        _ => Ok(()),
    }
}

/// Tells whether an error means missing shared memory.
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
