//! The append-only list of steps from an empty file to today's schema.
//!
//! `user_version` counts the steps that a file has taken. Each step is one
//! transaction that begins by reading this number: when two processes open an
//! old file at once, each step is done once. A new word of an enum is no step,
//! because the schema holds no word lists.

use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::error::{Result, StoreError};
use super::{gguf_patterns, journal, meta};
use crate::domain::time::Timestamp;

/// The mark of an hfdl database: the letters `hfdl`.
const APPLICATION_ID: i64 = 0x6866_646c;

/// One step of the schema.
#[derive(Clone, Copy)]
pub struct Migration {
    pub sql: &'static str,
    /// The part of the step that SQL cannot express; runs in the same transaction.
    pub then: fn(&Connection, Timestamp) -> rusqlite::Result<()>,
}

impl Migration {
    /// Makes a step that consists of SQL alone.
    pub const fn of_sql(sql: &'static str) -> Self {
        Self {
            sql,
            then: |_, _| Ok(()),
        }
    }
}

/// All steps; released ones never change.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        sql: include_str!("schema/0001.sql"),
        then: |connection, _| meta::make_install_id(connection),
    },
    Migration::of_sql(include_str!("schema/0002.sql")),
    Migration::of_sql(include_str!("schema/0003.sql")),
    Migration::of_sql(include_str!("schema/0004.sql")),
    Migration::of_sql(include_str!("schema/0005.sql")),
    Migration::of_sql(include_str!("schema/0006.sql")),
    Migration::of_sql(include_str!("schema/0007.sql")),
    Migration::of_sql(include_str!("schema/0008.sql")),
    Migration::of_sql(include_str!("schema/0009.sql")),
    Migration::of_sql(include_str!("schema/0010.sql")),
    Migration {
        sql: include_str!("schema/0011.sql"),
        then: |connection, _| announce_edited_schema(connection),
    },
    Migration {
        sql: "",
        then: |connection, _| allow_several_selections(connection),
    },
    Migration::of_sql(include_str!("schema/0013.sql")),
    Migration::of_sql(include_str!("schema/0014.sql")),
    Migration::of_sql(include_str!("schema/0015.sql")),
];

/// All steps in one, for a new database, because the steps take ten times as long. Each new
/// step also changes `current.sql`; a test compares the results.
const ALL_AT_ONCE: Migration = Migration {
    sql: include_str!("schema/current.sql"),
    ..MIGRATIONS[0]
};

/// Rebuilds the table of models without the rule that a revision has one model. SQL
/// alone would have to repeat the columns that earlier steps have added.
fn allow_several_selections(connection: &Connection) -> rusqlite::Result<()> {
    const RULE: &str = ",\n    UNIQUE (repo_type, repo_id, revision, destination)";
    let table = "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = 'models'";
    let table: String = connection.query_row(table, [], |row| row.get(0))?;
    let table = table.replacen("CREATE TABLE models", "CREATE TABLE models_new", 1);
    connection.execute_batch(&table.replacen(RULE, "", 1))?;
    connection.execute_batch(include_str!("schema/0012.sql"))?;
    gguf_patterns::shorten(connection)
}

/// Makes every connection read the schema again, which SQLite does by itself
/// only after an ordinary change of a table.
fn announce_edited_schema(connection: &Connection) -> rusqlite::Result<()> {
    let version = pragma(connection, "schema_version")?;
    connection.pragma_update(None, "schema_version", version + 1)
}

/// The age of a file's schema, compared with the list of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SchemaAge {
    Older,
    Current,
}

/// Compares a file with the list, writing nothing.
pub(super) fn schema_age(
    connection: &Connection,
    path: &Path,
    migrations: &[Migration],
) -> Result<SchemaAge> {
    let known = migrations.len() as i64;
    let found = version(connection)?;
    let application = pragma(connection, "application_id")?;
    if found == 0 && application == 0 {
        let objects = "SELECT count(*) FROM sqlite_schema";
        let n_objects: i64 = connection.query_row(objects, [], |row| row.get(0))?;
        if n_objects == 0 {
            return Err(StoreError::damaged("the file is empty"));
        }
    }
    if application != APPLICATION_ID || found <= 0 {
        return Err(StoreError::NotOurs(path.to_owned()));
    }
    match found {
        found if found > known => Err(newer(found, known)),
        found if found < known => Ok(SchemaAge::Older),
        _ => Ok(SchemaAge::Current),
    }
}

/// Applies all steps that are missing.
///
/// The file is copied before the first step, to `NAME.before-vN`, where N is
/// the version that this step makes: another process that migrates at the same
/// time never replaces the copy by one of a newer form. `path` is `None` for a
/// database that is new or in memory, which needs no copy.
pub(super) fn migrate(
    connection: &mut Connection,
    path: Option<&Path>,
    migrations: &[Migration],
    now: Timestamp,
) -> Result<()> {
    // A step may rebuild a table that others refer to. References are checked
    // before each commit instead.
    connection.pragma_update(None, "foreign_keys", false)?;
    let result = apply_missing(connection, path, migrations, now);
    connection.pragma_update(None, "foreign_keys", true)?;
    result
}

fn apply_missing(
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
            return Err(newer(found, known));
        }
        let (migration, made) = match usize::try_from(found) {
            // Tests have lists of their own.
            Ok(0) if known == MIGRATIONS.len() as i64 => (&ALL_AT_ONCE, known),
            Ok(at) if at < migrations.len() => (&migrations[at], found + 1),
            _ => return Ok(()),
        };
        if let Some(path) = path.filter(|_| !is_copied) {
            // Inside the transaction, so that no other process migrates in
            // between and the copy has the old form.
            keep_copy(path, made)?;
        }
        is_copied = true;
        apply(&transaction, migration, made, now)?;
        transaction.commit()?;
        log::debug!("the database has schema version {made} now");
    }
}

fn apply(
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
        return Err(StoreError::damaged(detail));
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", version)?;
    Ok(())
}

/// Writes a private copy beside the database and moves it into place when it is
/// complete.
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

fn newer(found: i64, known: i64) -> StoreError {
    StoreError::NewerDatabase {
        found,
        known,
        path: None,
    }
}

/// Returns the path of the copy that is made before a migration to a version.
pub(super) fn copy_path(path: &Path, next_version: i64) -> PathBuf {
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
