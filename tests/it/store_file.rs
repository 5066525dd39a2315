//! The database as a file: made, opened, migrated, refused.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use hfdl::domain::origin::OriginKind;
use hfdl::domain::outcome::Outcome;
use hfdl::domain::place::PlaceIdentity;
use hfdl::store::{
    Journal, MIGRATIONS, MetaKey, Migration, ModelFilter, SessionFilter, Store, StoreError,
};
use rusqlite::Connection;

use crate::store_samples::*;

/// Returns the files of the home, by name, with all bytes.
fn files(home: &Home) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(home.path()).unwrap() {
        let entry = entry.unwrap();
        let bytes = fs::read(entry.path()).unwrap();
        files.push((entry.file_name().into_string().unwrap(), bytes));
    }
    files.sort();
    files
}

fn names_of(files: &[(String, Vec<u8>)]) -> Vec<&str> {
    files.iter().map(|(name, _)| name.as_str()).collect()
}

fn pragma(connection: &Connection, name: &str) -> String {
    let read = |row: &rusqlite::Row<'_>| {
        let value: rusqlite::types::Value = row.get(0)?;
        Ok(match value {
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            other => format!("{other:?}"),
        })
    };
    connection.pragma_query_value(None, name, read).unwrap()
}

#[cfg(unix)]
#[test]
fn the_database_and_its_directory_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    let store = home.open();
    store.set_setting("a", "b", at(0)).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&home.path()), 0o700);
    let names = ["hfdl.db", "hfdl.db-shm", "hfdl.db-wal"];
    assert_eq!(names_of(&files(&home)), names);
    for name in names {
        assert_eq!(mode(&home.path().join(name)), 0o600, "{name}");
    }
}

#[test]
fn a_new_database_has_the_settings_of_the_contract() {
    let home = Home::new();
    let store = home.open();
    assert_eq!(store.journal(), Journal::Wal);
    let sql = home.sql();
    assert_eq!(pragma(&sql, "journal_mode"), "wal");
    assert_eq!(pragma(&sql, "user_version"), MIGRATIONS.len().to_string());
    assert_eq!(pragma(&sql, "application_id"), 0x6866_646c.to_string());
    let loose = "SELECT group_concat(name) FROM pragma_table_list
        WHERE type = 'table' AND schema = 'main' AND name NOT LIKE 'sqlite_%' AND strict = 0";
    let loose: Option<String> = sql.query_row(loose, [], |row| row.get(0)).unwrap();
    assert_eq!(loose, None, "tables that are not strict");
    assert_eq!(store.check_integrity().unwrap(), Vec::<String>::new());
}

#[test]
fn opening_and_reading_a_current_database_writes_nothing() {
    let home = Home::new();
    drop(home.open());
    let before = files(&home);
    assert_eq!(names_of(&before), ["hfdl.db"]);
    {
        let store = home.open();
        assert_eq!(store.due_candidates(at(0)).unwrap().readable, []);
        let wal = fs::metadata(home.path().join("hfdl.db-wal")).unwrap();
        assert_eq!(wal.len(), 0);
    }
    assert_eq!(files(&home), before);
}

#[test]
fn a_newer_database_is_refused_and_not_touched() {
    let home = Home::new();
    drop(home.open());
    let newer = MIGRATIONS.len() as i64 + 1;
    home.sql()
        .pragma_update(None, "user_version", newer)
        .unwrap();
    let before = files(&home);
    let err = home.refused();
    assert!(
        matches!(err, StoreError::NewerDatabase { found, known, .. } if found == newer && known == newer - 1),
        "{err:?}"
    );
    assert!(err.hint().unwrap().contains("update hfdl"));
    Store::open_read_only(&home.database(), at(0)).unwrap_err();
    assert_eq!(files(&home), before);
}

#[test]
fn a_damaged_database_is_reported_and_not_touched() {
    let home = Home::new();
    for damage in ["garbage", "head", "short", "empty"] {
        fs::remove_dir_all(home.path()).ok();
        drop(home.open());
        let mut bytes = fs::read(home.database()).unwrap();
        match damage {
            "garbage" => bytes.fill(b'x'),
            "head" => bytes[..16].fill(0),
            "empty" => bytes.clear(),
            _ => bytes.truncate(700),
        }
        fs::write(home.database(), &bytes).unwrap();
        let err = home.refused();
        assert!(
            matches!(err, StoreError::Damaged { .. }),
            "{damage}: {err:?}"
        );
        assert!(err.hint().is_some());
        assert_eq!(
            files(&home),
            [("hfdl.db".to_owned(), bytes.clone())],
            "{damage}"
        );
        Store::open_read_only(&home.database(), at(0)).unwrap_err();
        assert_eq!(fs::read(home.database()).unwrap(), bytes, "{damage}");
    }
}

#[test]
fn damage_in_the_middle_is_found_by_the_integrity_check() {
    let home = Home::new();
    drop(home.open());
    let sql = home.sql();
    sql.pragma_update(None, "foreign_keys", false).unwrap();
    sql.execute("INSERT INTO model_tags VALUES (77, 'llm')", [])
        .unwrap();
    drop(sql);
    let found = home.open().check_integrity().unwrap();
    assert_eq!(found, ["a row of model_tags refers to missing models"]);
}

#[test]
fn the_database_of_another_program_is_refused_and_not_touched() {
    let home = Home::new();
    fs::create_dir_all(home.path()).unwrap();
    home.sql()
        .execute_batch("CREATE TABLE notes (text TEXT)")
        .unwrap();
    let before = files(&home);
    let err = home.refused();
    assert!(matches!(err, StoreError::NotOurs(_)), "{err:?}");
    assert_eq!(files(&home), before);
}

/// SQLite makes its shared memory in this file, and follows no link there.
#[cfg(unix)]
fn take_shared_memory_away(home: &Home) {
    std::os::unix::fs::symlink("nowhere", home.path().join("hfdl.db-shm")).unwrap();
}

#[cfg(unix)]
#[test]
fn without_shared_memory_a_rollback_journal_is_used() {
    let home = Home::new();
    fs::create_dir_all(home.path()).unwrap();
    take_shared_memory_away(&home);
    for _ in 0..2 {
        let store = home.open();
        assert_eq!(store.journal(), Journal::Rollback);
        store.set_setting("a", "b", at(0)).unwrap();
    }
    assert_eq!(pragma(&home.sql(), "journal_mode"), "delete");
}

#[cfg(unix)]
#[test]
fn a_database_that_is_moved_where_shared_memory_is_missing_leaves_wal() {
    let home = Home::new();
    let store = home.open();
    store.set_setting("a", "b", at(0)).unwrap();
    drop(store);
    take_shared_memory_away(&home);
    let looking = Store::open_read_only(&home.database(), at(0)).unwrap_err();
    let looking = looking.downcast::<StoreError>().unwrap();
    assert!(
        matches!(looking, StoreError::CannotOpen { .. }),
        "{looking:?}"
    );
    let store = home.open();
    assert_eq!(store.journal(), Journal::Rollback);
    assert_eq!(store.setting("a").unwrap().unwrap().value, "b");
    assert_eq!(pragma(&home.sql(), "journal_mode"), "delete");
}

#[test]
fn looking_makes_no_database_and_writes_to_none() {
    let home = Home::new();
    let store = Store::open_read_only(&home.database(), at(0)).unwrap();
    assert_eq!(store.models(&ModelFilter::default()).unwrap(), []);
    assert_eq!(store.due_candidates(at(0)).unwrap().readable, []);
    assert!(!home.path().exists());
    drop(store);

    home.open().insert_model(&model("m"), at(0)).unwrap();
    let before = files(&home);
    let store = Store::open_read_only(&home.database(), at(0)).unwrap();
    assert_eq!(store.models(&ModelFilter::default()).unwrap().len(), 1);
    let err = store.insert_model(&model("n"), at(0)).unwrap_err();
    assert!(matches!(err, StoreError::ReadOnly { .. }), "{err:?}");
    drop(store);
    assert_eq!(files(&home), before);
}

const OLD: Migration = Migration {
    sql: "CREATE TABLE things (name TEXT NOT NULL) STRICT;
        INSERT INTO things VALUES ('one');",
    then: |_, _| Ok(()),
};
const ADDS_A_COLUMN: Migration = Migration {
    sql: "ALTER TABLE things ADD COLUMN size INTEGER NOT NULL DEFAULT 7;",
    then: |_, _| Ok(()),
};
const FAILS_LATE: Migration = Migration {
    sql: "CREATE TABLE half (a TEXT) STRICT;
        UPDATE things SET size = 8;
        INSERT INTO nowhere VALUES (1);",
    then: |_, _| Ok(()),
};
const WORKS: Migration = Migration {
    sql: "CREATE TABLE half (a TEXT) STRICT; UPDATE things SET size = 9;",
    then: |connection, now| {
        let sql = "INSERT INTO half VALUES (?1)";
        connection.execute(sql, [now.to_string()]).map(|_| ())
    },
};

fn migrate(home: &Home, steps: &[Migration]) -> anyhow::Result<Store> {
    Store::open_with(&home.database(), steps, at(0))
}

fn size_of_thing(connection: &Connection) -> Option<i64> {
    let sql = "SELECT size FROM things";
    connection.query_row(sql, [], |row| row.get(0)).ok()
}

#[test]
fn a_copy_is_kept_before_the_first_step_and_only_then() {
    let home = Home::new();
    migrate(&home, &[OLD]).unwrap();
    assert_eq!(names_of(&files(&home)), ["hfdl.db"]);
    migrate(&home, &[OLD, ADDS_A_COLUMN, WORKS]).unwrap();
    assert_eq!(
        names_of(&files(&home)),
        ["hfdl.db", "hfdl.db.before-v2"],
        "one copy for both steps"
    );
    let copy = home.path().join("hfdl.db.before-v2");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(&copy).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let copy = Connection::open(copy).unwrap();
    assert_eq!(pragma(&copy, "user_version"), "1");
    assert_eq!(size_of_thing(&copy), None);
    assert_eq!(size_of_thing(&home.sql()), Some(9));
    assert_eq!(pragma(&home.sql(), "user_version"), "3");
    // Opening once more finds nothing to do.
    let before = files(&home);
    migrate(&home, &[OLD, ADDS_A_COLUMN, WORKS]).unwrap();
    assert_eq!(files(&home), before);
}

#[test]
fn a_step_that_fails_leaves_the_form_before_it_and_can_be_taken_later() {
    let home = Home::new();
    migrate(&home, &[OLD]).unwrap();
    let err = migrate(&home, &[OLD, ADDS_A_COLUMN, FAILS_LATE]).unwrap_err();
    assert!(format!("{err:#}").contains("nowhere"), "{err:#}");
    let sql = home.sql();
    assert_eq!(pragma(&sql, "user_version"), "2");
    assert_eq!(size_of_thing(&sql), Some(7));
    assert!(sql.prepare("SELECT * FROM half").is_err());
    drop(sql);

    migrate(&home, &[OLD, ADDS_A_COLUMN, WORKS]).unwrap();
    assert_eq!(size_of_thing(&home.sql()), Some(9));
    // The copy is from before the step that was missing this time.
    let copy = Connection::open(home.path().join("hfdl.db.before-v3")).unwrap();
    assert_eq!(pragma(&copy, "user_version"), "2");
}

#[test]
fn a_step_that_breaks_references_is_not_committed() {
    let home = Home::new();
    let strays = Migration {
        sql: "CREATE TABLE parents (id INTEGER PRIMARY KEY) STRICT;
            CREATE TABLE children (parent INTEGER REFERENCES parents (id)) STRICT;
            INSERT INTO children VALUES (5);",
        then: |_, _| Ok(()),
    };
    migrate(&home, &[OLD]).unwrap();
    migrate(&home, &[OLD, strays]).unwrap_err();
    assert_eq!(pragma(&home.sql(), "user_version"), "1");
}

/// Makes a database of a version, with rows as that version and those before wrote
/// them.
fn make_with_rows(home: &Home, last: usize) {
    for version in 1..=last {
        drop(migrate(home, &MIGRATIONS[..version]).unwrap());
        let rows = format!("tests/it/store_rows/v{version}.sql");
        let rows = Path::new(env!("CARGO_MANIFEST_DIR")).join(rows);
        let rows = fs::read_to_string(&rows)
            .unwrap_or_else(|err| panic!("each released version needs rows: {rows:?}: {err}"));
        // A path of Unix is not absolute on Windows.
        let rows = if cfg!(windows) {
            rows.replace("dir=/srv", "dir=C:/srv")
        } else {
            rows
        };
        home.sql().execute_batch(&rows).unwrap();
    }
}

/// The schema of each released version, with rows in it, grows into today's, which a new
/// database gets in one step.
#[test]
fn every_released_schema_migrates_to_todays() {
    let fresh = Home::new();
    drop(fresh.open());
    let schema = |home: &Home| -> Vec<(String, String)> {
        let sql = home.sql();
        let mut statement = sql
            .prepare("SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY name")
            .unwrap();
        let rows = statement.query_map([], |row| {
            Ok((row.get(0)?, layout_removed(&row.get::<_, String>(1)?)))
        });
        rows.unwrap().map(Result::unwrap).collect()
    };
    for released in 1..=MIGRATIONS.len() {
        let home = Home::new();
        make_with_rows(&home, released);

        let store = home.open();
        assert_eq!(schema(&home), schema(&fresh), "from version {released}");
        assert_eq!(store.check_integrity().unwrap(), Vec::<String>::new());
        let models = store.models(&ModelFilter::default()).unwrap();
        assert_eq!(models[0].spec.name, name("acme/tiny"));
        assert_eq!(models[0].spec.tags, names(&["llm"]));
        assert_eq!(models[0].state.held_update.is_some(), released >= 5);
        let schedules = store.schedules().unwrap().readable;
        assert_eq!(schedules[0].spec.selection.models, names(&["acme/tiny"]));
        let sessions = store.sessions(&SessionFilter::default()).unwrap();
        assert_eq!(sessions.len(), 1);
        assert_eq!(store.session_files(sessions[0].id).unwrap().len(), 1);
        let from = &sessions[0].progress.reused_from;
        let kind = if released < 4 {
            OriginKind::Unknown
        } else {
            OriginKind::OtherRun
        };
        assert_eq!(from[0].kind, kind, "from version {released}");
        assert_eq!(from[0].bytes, 5);
        assert_eq!(store.setting("disk.reserve").unwrap().unwrap().value, "20G");
        assert!(store.meta(MetaKey::InstallId).unwrap().is_some());
        let n_places = usize::from(released >= 6);
        assert_eq!(store.places().unwrap().len(), n_places);
        let n_shards = usize::from(released >= 7);
        assert_eq!(store.shard_ticks().unwrap().0.len(), n_shards);
        assert_eq!(store.shards_of_schedules().unwrap().len(), n_shards);
        let steps = MIGRATIONS[..released].iter();
        let has_adopted = steps.filter(|step| step.sql.contains("CREATE TABLE adopted"));
        // The second row is of a later version.
        assert_eq!(store.adopted_files().unwrap().len(), has_adopted.count());
        let models = store.models(&ModelFilter::default()).unwrap();
        let n_damaged = models.iter().filter(|model| model.state.is_damaged());
        let n_expected = if released >= 10 { models.len() } else { 0 };
        assert_eq!(n_damaged.count(), n_expected);
    }
}

/// Removes comments, spaces and quotes of names, which differ where a step changed a table.
fn layout_removed(sql: &str) -> String {
    let code = |line: &str| line.split("--").next().unwrap().to_owned();
    let code: String = sql.lines().map(code).collect();
    code.replace(|c: char| c.is_whitespace() || c == '"', "")
}

#[test]
fn after_version_11_every_connection_takes_words_of_later_versions() {
    let home = Home::new();
    make_with_rows(&home, 10);
    let sql = home.sql();
    let objects = |kind: &str| -> Vec<(String, String)> {
        let query = "SELECT name, coalesce(sql, '') FROM sqlite_schema
            WHERE type = ?1 AND tbl_name <> 'models' ORDER BY name";
        let mut statement = sql.prepare(query).unwrap();
        let rows = statement.query_map([kind], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.unwrap().map(Result::unwrap).collect()
    };
    let new_words = [
        ("models", "repo_type"),
        ("models", "upstream_state"),
        ("schedules", "cadence_kind"),
        ("runs", "command"),
        ("runs", "trigger"),
        ("sessions", "repo_type"),
        ("sessions", "trigger"),
        ("sessions", "outcome"),
        ("events", "kind"),
        ("alerts", "error_kind"),
        ("dead_ends", "way"),
    ];
    let update = |(table, column)| {
        let update = format!("UPDATE {table} SET {column} = 'of-a-later-version'");
        (sql.execute(&update, []), update)
    };
    for one in new_words {
        let (result, update) = update(one);
        assert!(result.is_err(), "before the step: {update}");
    }
    let (indexes, triggers) = (objects("index"), objects("trigger"));
    let rows = "SELECT count(*) FROM sessions JOIN session_files ON session_id = id";
    let n_rows = |sql: &Connection| sql.query_row(rows, [], |row| row.get::<_, i64>(0));
    let before = n_rows(&sql).unwrap();

    let store = home.open();

    for one in new_words {
        let (result, update) = update(one);
        assert!(result.is_ok_and(|n_rows| n_rows > 0), "{update}");
    }
    for (kind, before) in [("index", indexes), ("trigger", triggers)] {
        let now = objects(kind);
        let lost: Vec<_> = before.iter().filter(|one| !now.contains(one)).collect();
        assert!(lost.is_empty(), "{kind}: {lost:?}");
    }
    assert_eq!(n_rows(&sql).unwrap(), before);
    assert_eq!(store.check_integrity().unwrap(), Vec::<String>::new());
    // The connection that took the step takes the words, too.
    let schedule = store.schedules().unwrap().unreadable;
    assert_eq!(schedule.len(), 1, "{schedule:?}");
    let run = store.start_run(&run_at(at(0))).unwrap();
    let id = store.open_session(&session(&run, at(0))).unwrap();
    store
        .finish_session(id, &progress(), &ended(Outcome::Updated, at(1)))
        .unwrap();
}

#[test]
fn version_12_lets_a_revision_have_several_models_and_shortens_old_patterns() {
    let home = Home::new();
    make_with_rows(&home, 11);
    let sql = home.sql();
    let old = r#"["[Qq]4_0.gguf","[Qq]4_0-?????-of-?????.gguf","[Qq]4_0/*.gguf","*[-._/][Qq]4_0.gguf",
        "*[-._/][Qq]4_0-?????-of-?????.gguf","*[-._/][Qq]4_0/*.gguf","*.json","*.md","*.txt","*.jinja",
        "*.yaml","*.yml","LICENSE*",".gitattributes","*.pdf"]"#;
    sql.execute("UPDATE models SET include = ?1", [old])
        .unwrap();
    sql.execute(
        "UPDATE sqlite_sequence SET seq = 77 WHERE name = 'models'",
        [],
    )
    .unwrap();
    let store = home.open();
    let first = store.models(&ModelFilter::default()).unwrap().remove(0);
    assert_eq!(
        first.spec.filter.include.as_deref(),
        Some(&[":Q4_0".to_owned(), "*.pdf".to_owned()][..])
    );
    let mut second = first.spec.clone();
    second.name = name("second");
    assert!(store.insert_model(&second, at(0)).is_err());
    second.filter.include = None;
    let id = store.insert_model(&second, at(0)).unwrap();
    assert_eq!(id.0, 78, "numbers of removed models are not given again");
    second.name = name("third");
    assert!(store.insert_model(&second, at(0)).is_err());
}

#[test]
fn version_11_cut_short_leaves_the_schema_of_version_10() {
    let home = Home::new();
    make_with_rows(&home, 10);
    let schema = |home: &Home| -> String {
        let all = "SELECT group_concat(sql) FROM sqlite_schema";
        home.sql().query_row(all, [], |row| row.get(0)).unwrap()
    };
    let before = schema(&home);
    let cut_short = Migration {
        then: |_, _| Err(rusqlite::Error::InvalidQuery),
        ..MIGRATIONS[10]
    };
    migrate(&home, &[&MIGRATIONS[..10], &[cut_short]].concat()).unwrap_err();
    assert_eq!(schema(&home), before);
    assert_eq!(pragma(&home.sql(), "user_version"), "10");

    let store = home.open();
    assert_ne!(schema(&home), before);
    assert_eq!(store.check_integrity().unwrap(), Vec::<String>::new());
}

#[test]
fn the_cache_of_a_published_model_is_taken_from_its_last_session() {
    let commit = "a".repeat(40);
    for (path, cache) in [
        (
            format!("/data/hub/models--acme--tiny/snapshots/{commit}"),
            Some("/data/hub"),
        ),
        (
            format!("/data/hub/models--acme--other/snapshots/{commit}"),
            None,
        ),
        (format!("/models--acme--tiny/snapshots/{commit}"), None),
        ("/srv/tiny".to_owned(), None),
    ] {
        let home = Home::new();
        drop(migrate(&home, &MIGRATIONS[..4]).unwrap());
        let sql = home.sql();
        sql.execute_batch(include_str!("store_rows/v1.sql"))
            .unwrap();
        sql.execute(
            "UPDATE models SET published_commit = ?1, published_at = 0",
            [&commit],
        )
        .unwrap();
        sql.execute("UPDATE sessions SET path = ?1", [&path])
            .unwrap();
        drop(sql);
        let models = home.open().published_models().unwrap();
        assert_eq!(models[0].cache.as_deref(), cache.map(Path::new), "{path}");
    }
}

#[test]
fn places_are_kept_and_a_row_that_cannot_be_read_is_passed_over() {
    let home = Home::new();
    let store = home.open();
    let id = store.insert_model(&model("acme/tiny"), at(0)).unwrap();
    store.insert_model(&model("acme/other"), at(0)).unwrap();
    let mut witness = PlaceIdentity {
        mark: Some("a".to_owned()),
        file_system: None,
    };
    let place = Path::new("/data/hub");
    for mark in ["a", "b"] {
        witness.mark = Some(mark.to_owned());
        store.save_place(place, &witness, at(1)).unwrap();
        assert_eq!(store.places().unwrap()[place], witness);
    }
    store.save_model_cache(id, place).unwrap();
    let sql = home.sql();
    sql.execute("UPDATE models SET name = ' ' WHERE name = 'acme/other'", [])
        .unwrap();
    let models = store.published_models().unwrap();
    assert_eq!(models.len(), 1);
    assert_eq!(models[0].cache.as_deref(), Some(place));
    store.remove_model(id).unwrap();
    let left: i64 = sql
        .query_row("SELECT count(*) FROM model_caches", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 0);
}

#[test]
fn the_file_itself_refuses_values_of_the_wrong_form() {
    let home = Home::new();
    make_with_rows(&home, MIGRATIONS.len());
    let sql = home.sql();
    for (table, column) in [
        ("models", "update_commit"),
        ("models", "pinned_commit"),
        ("models", "locked_files"),
        ("file_hashes", "sha256"),
        ("updates", "old_commit"),
        ("change_notes", "old_commit"),
        ("disk_samples", "day"),
        ("sessions", "state"),
        ("blobs", "content_id"),
        ("bad_files", "content_id"),
        ("model_revisions", "commit_sha"),
        ("alerts", "held_commit"),
        ("views", "commit_sha"),
        ("view_files", "content_id"),
        ("scrub_positions", "content_id"),
    ] {
        let update = format!("UPDATE {table} SET {column} = 'nonsense'");
        let err = sql.execute(&update, []).unwrap_err().to_string();
        assert!(err.contains("CHECK constraint failed"), "{update}: {err}");
    }
    for update in [
        "UPDATE models SET enabled = 2",
        "UPDATE models SET priority = 101",
        "UPDATE models SET pinned_by = NULL",
        "UPDATE models SET view_copy = 2",
        "UPDATE models SET checksums = 2",
        "UPDATE views SET is_conflict = 2",
        "UPDATE view_files SET size = -1",
        "UPDATE schedules SET selects_all = -1",
        "UPDATE sessions SET bytes_fetched = -1",
        "UPDATE sessions SET outcome = NULL",
        "UPDATE runs SET outcome = 'ok'",
        "UPDATE sessions SET reused_from = '{}'",
        "UPDATE session_files SET found_bad = 2",
        "UPDATE shards SET number = n_shards",
        "UPDATE schedule_shards SET retry_count = -1",
        "UPDATE scrubs SET number = n_shards",
        "UPDATE scrub_positions SET position = 0",
        "UPDATE evidence SET path = ''",
    ] {
        let err = sql.execute(update, []).unwrap_err().to_string();
        assert!(err.contains("CHECK constraint failed"), "{update}: {err}");
    }
    let update = "UPDATE models SET created_at = 'yesterday'";
    let err = sql.execute(update, []).unwrap_err().to_string();
    assert!(err.contains("cannot store TEXT value"), "{err}");
}
