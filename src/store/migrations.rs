//! The append-only list of steps from an empty file to today's schema.
//!
//! `user_version` counts the steps that a file has taken. Each step is one
//! transaction, and whoever waits for it looks again before taking it: two
//! processes that open an old file at once do each step once.

use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::error::{Result, StoreError};
use super::{journal, meta};
use crate::domain::time::Timestamp;

/// Marks the file as ours: the letters `hfdl`.
const APPLICATION_ID: i64 = 0x6866_646c;

/// One step of the schema.
#[derive(Clone, Copy)]
pub struct Migration {
    pub sql: &'static str,
    /// What SQL alone cannot do; runs in the same transaction.
    pub then: fn(&Connection, Timestamp) -> rusqlite::Result<()>,
}

/// All steps; released ones never change.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        sql: include_str!("schema/0001.sql"),
        then: |connection, _| meta::make_install_id(connection),
    },
    Migration {
        sql: include_str!("schema/0002.sql"),
        then: |_, _| Ok(()),
    },
    Migration {
        sql: include_str!("schema/0003.sql"),
        then: |_, _| Ok(()),
    },
    Migration {
        sql: include_str!("schema/0004.sql"),
        then: |_, _| Ok(()),
    },
    Migration {
        sql: include_str!("schema/0005.sql"),
        then: |_, _| Ok(()),
    },
    Migration {
        sql: include_str!("schema/0006.sql"),
        then: |_, _| Ok(()),
    },
    Migration {
        sql: include_str!("schema/0007.sql"),
        then: |_, _| Ok(()),
    },
    Migration {
        sql: include_str!("schema/0008.sql"),
        then: |_, _| Ok(()),
    },
    Migration {
        sql: include_str!("schema/0009.sql"),
        then: |_, _| Ok(()),
    },
    Migration {
        sql: include_str!("schema/0010.sql"),
        then: |_, _| Ok(()),
    },
];

/// What has to happen before a file can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Older,
    Current,
}

/// Compares a file with the list, writing nothing.
pub(super) fn standing(
    connection: &Connection,
    path: &Path,
    migrations: &[Migration],
) -> Result<Standing> {
    let known = migrations.len() as i64;
    let found = version(connection)?;
    let application = pragma(connection, "application_id")?;
    if found == 0 && application == 0 {
        let objects = "SELECT count(*) FROM sqlite_schema";
        let n_objects: i64 = connection.query_row(objects, [], |row| row.get(0))?;
        if n_objects == 0 {
            let detail = "the file is empty".to_owned();
            return Err(StoreError::Damaged { detail });
        }
    }
    if application != APPLICATION_ID || found <= 0 {
        return Err(StoreError::NotOurs(path.to_owned()));
    }
    match found {
        found if found > known => Err(StoreError::NewerDatabase { found, known }),
        found if found < known => Ok(Standing::Older),
        _ => Ok(Standing::Current),
    }
}

/// Takes all steps that are missing.
///
/// The file is copied before the first step, to `NAME.before-vN` where N is
/// the version that this step makes: whoever else migrates at the same time
/// never replaces the copy by one of a newer form. `path` is `None` for a database that is new or in memory, which needs no copy.
pub(super) fn migrate(
    connection: &mut Connection,
    path: Option<&Path>,
    migrations: &[Migration],
    now: Timestamp,
) -> Result<()> {
    // A step may rebuild a table that others refer to; the check before each
    // commit stands in for the switched-off rule.
    connection.pragma_update(None, "foreign_keys", false)?;
    let result = take_steps(connection, path, migrations, now);
    connection.pragma_update(None, "foreign_keys", true)?;
    result
}

fn take_steps(
    connection: &mut Connection,
    path: Option<&Path>,
    migrations: &[Migration],
    now: Timestamp,
) -> Result<()> {
    let known = migrations.len() as i64;
    let mut is_copied = path.is_none();
    loop {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found = version(&transaction)?;
        if found > known {
            return Err(StoreError::NewerDatabase { found, known });
        }
        let Some(migration) = usize::try_from(found)
            .ok()
            .and_then(|at| migrations.get(at))
        else {
            return Ok(());
        };
        if let Some(path) = path.filter(|_| !is_copied) {
            // Inside the transaction, so that nobody can migrate in between
            // and the copy is sure to have the old form.
            keep_copy(path, found + 1)?;
        }
        is_copied = true;
        take_step(&transaction, migration, found + 1, now)?;
        transaction.commit()?;
        log::info!("the database has schema version {} now", found + 1);
    }
}

fn take_step(
    transaction: &Transaction<'_>,
    migration: &Migration,
    version: i64,
    now: Timestamp,
) -> Result<()> {
    transaction.execute_batch(migration.sql)?;
    (migration.then)(transaction, now)?;
    let broken = "SELECT count(*) FROM pragma_foreign_key_check";
    let n_broken: i64 = transaction.query_row(broken, [], |row| row.get(0))?;
    if n_broken > 0 {
        let detail = format!("{n_broken} rows refer to entries that do not exist");
        return Err(StoreError::Damaged { detail });
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", version)?;
    Ok(())
}

/// Writes a whole and private copy beside the database, in one rename.
fn keep_copy(path: &Path, next_version: i64) -> Result<()> {
    let copy = copy_path(path, next_version);
    let failed = |source| {
        let doing = format!("cannot keep a copy of the database as `{}`", copy.display());
        StoreError::file(doing, source)
    };
    let directory = path.parent().unwrap_or(Path::new(""));
    // Made 0600; SQLite fills a file that exists as long as it is empty.
    let unfinished = tempfile::Builder::new()
        .prefix("hfdl.db.copy-")
        .tempfile_in(directory)
        .map_err(failed)?
        .into_temp_path();
    let (reader, _) = journal::connect_as_it_is(path)?;
    let target = super::value::path_text(&unfinished)?;
    reader.execute("VACUUM INTO ?1", [target])?;
    File::options()
        .write(true)
        .open(&unfinished)
        .and_then(|file| file.sync_all())
        .map_err(failed)?;
    unfinished.persist(&copy).map_err(|err| failed(err.error))?;
    log::info!("kept a copy of the database as `{}`", copy.display());
    Ok(())
}

fn copy_path(path: &Path, next_version: i64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".before-v{next_version}"));
    name.into()
}

fn version(connection: &Connection) -> Result<i64> {
    Ok(pragma(connection, "user_version")?)
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}
