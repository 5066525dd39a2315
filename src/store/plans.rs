//! Tests that the queries of every tick stay cheap in a database that has been
//! used for years, and that the schema leaves words to the domain.

use rusqlite::types::Value;
use rusqlite::{Connection, StatementStatus, params_from_iter};

use super::open::Store;
use super::{SessionFilter, SessionsOf};
use super::{models, report, runs, schedules, sessions, wire};
use crate::domain::model::ModelId;
use crate::domain::outcome::{Outcome, Trigger};
use crate::domain::run::RunId;
use crate::domain::time::Timestamp;

/// 10,000 models and schedules, 1,000 runs, 1,000,000 sessions.
const MANY: &str = "
    PRAGMA cache_size = -400000;
    PRAGMA synchronous = OFF;
    PRAGMA foreign_keys = OFF;
    BEGIN;
    WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)
        INSERT INTO models (id, name, repo_type, repo_id, revision, exclude, destination,
            priority, enabled, created_at, updated_at)
        SELECT i, 'm' || i, 'model', 'm' || i, 'main', '[]', 'cache', 50, 1, 0, 0 FROM n;
    INSERT INTO schedules (id, name, cadence_kind, cadence_spec, time_zone, windows, catch_up,
            jitter, priority, enabled, selects_all, anchor_at, not_before_at, next_due_at,
            created_at, updated_at)
        SELECT id, name, 'daily', '02:30', 'UTC', '[]', 'once', 0, 50, id % 2, 1, 0, 0,
            2000000000 + id, 0, 0 FROM models;
    INSERT INTO runs (id, command, trigger, host, pid, version, started_at, heartbeat_at,
            finished_at, outcome)
        SELECT printf('%08d-0000-7000-8000-000000000000', id), 'run-due', 'timer', 'h', 1, '0',
            id, id, id, 'ok' FROM models WHERE id < 1000;
    WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999999)
        INSERT INTO sessions (run_id, model_id, repo_type, repo_id, revision, destination,
            trigger, state, outcome, started_at, finished_at)
        SELECT printf('%08d-0000-7000-8000-000000000000', i / 1000), i % 10000, 'model', 'm',
            'main', 'cache', 'timer', 'finished',
            CASE WHEN i % 1000 = 0 THEN 'failed' ELSE 'up-to-date' END, i, i FROM n;
    COMMIT;";

/// Returns how SQLite goes about a query, and how many steps of its machine it takes.
fn cost(connection: &Connection, sql: &str, params: &[Value]) -> (String, i32) {
    let explain = format!("EXPLAIN QUERY PLAN {sql}");
    let mut plan = connection.prepare(&explain).unwrap();
    let lines = plan.query_map(params_from_iter(params), |row| {
        row.get::<_, String>("detail")
    });
    let lines: Vec<String> = lines.unwrap().map(Result::unwrap).collect();
    let mut statement = connection.prepare(sql).unwrap();
    let mut rows = statement.query(params_from_iter(params)).unwrap();
    while rows.next().unwrap().is_some() {}
    drop(rows);
    (
        lines.join("\n"),
        statement.get_status(StatementStatus::VmStep),
    )
}

/// Checks that a query uses an index, neither scans the sessions nor sorts, and takes
/// few steps.
fn check(store: &Store, sql: &str, params: &[Value], index: &str, n_steps: i32) {
    let (plan, steps) = cost(store.connection(), sql, params);
    assert!(plan.contains(index), "{sql}\n{plan}");
    assert!(!plan.contains("SCAN sessions"), "{sql}\n{plan}");
    assert!(!plan.contains("TEMP B-TREE"), "{sql}\n{plan}");
    assert!(steps < n_steps, "{sql}\n{plan}\n{steps} steps");
}

// One test, because the database takes seconds to fill.
#[test]
fn the_queries_of_ticks_and_lists_use_indexes_in_a_database_of_a_million_sessions() {
    let home = tempfile::tempdir().unwrap();
    let now = Timestamp::from_second(1_900_000_000).unwrap();
    let store = Store::open(&home.path().join("hfdl.db"), now).unwrap();
    store.connection().execute_batch(MANY).unwrap();
    check_queries_of_a_tick(&store, now);
    check_models_of_one_schedule(&store);
    check_lists_of_sessions(&store);
    check_last_checks(&store, now);
    check_report(&store);
    for (trigger, index) in [
        (None, "runs_by_start"),
        (Some(Trigger::Timer), "runs_by_trigger"),
    ] {
        let word = trigger.map(|trigger| trigger.as_str().to_owned());
        let params = [word.into(), 0.into(), 1.into()];
        check(&store, &runs::listing(trigger), &params, index, 200);
    }
}

fn check_queries_of_a_tick(store: &Store, now: Timestamp) {
    let (due, now) = (schedules::due_query(), now.as_second());
    check(store, &due, &[now.into()], "schedules_due", 100);
    let params = [77.into(), now.into()];
    let last = sessions::LAST_SESSION;
    check(store, last, &params, "sessions_of_model", 200);
    check(store, runs::UNFINISHED_RUNS, &[], "runs_unfinished", 100);
}

/// The query reads the models of one due schedule, not all ten thousand.
fn check_models_of_one_schedule(store: &Store) {
    let one = "INSERT INTO model_tags VALUES (7, 'llm'); UPDATE schedules SET selects_all = 0;
        INSERT INTO schedule_tags VALUES (5, 'llm'); INSERT INTO schedule_models VALUES (5, 8)";
    store.connection().execute_batch(one).unwrap();
    let params = ["[5]".to_owned().into()];
    let (plan, steps) = cost(store.connection(), &models::of_schedules(), &params);
    let by_number = "SEARCH models USING INTEGER PRIMARY KEY";
    assert!(plan.contains(by_number), "{plan}");
    assert!(steps < 1_000, "{plan}\n{steps} steps");
}

/// A report of a part of the history reads that part only.
fn check_report(store: &Store) {
    let (since, until) = (500_000, 501_000);
    let params = [since.into(), until.into(), Value::Null];
    let (sql, index) = (report::SESSIONS, "sessions_by_start");
    check(store, sql, &params, index, 100_000);
    let some = [since.into(), until.into(), "[77]".to_owned().into()];
    check(store, sql, &some, index, 100_000);
}

fn check_lists_of_sessions(store: &Store) {
    let of = |of: SessionsOf| SessionFilter {
        of: Some(of),
        ..SessionFilter::default()
    };
    let run: RunId = "00000500-0000-7000-8000-000000000000".parse().unwrap();
    let of_run = SessionFilter {
        run: Some(run),
        ..SessionFilter::default()
    };
    let failed = SessionFilter {
        outcome: Some(Outcome::Failed),
        ..SessionFilter::default()
    };
    let since = SessionFilter {
        since: Some(Timestamp::from_second(999_000).unwrap()),
        ..SessionFilter::default()
    };
    let updates = SessionFilter {
        outcome: Some(Outcome::Updated),
        until: since.since,
        ..SessionFilter::default()
    };
    let removed = SessionsOf::RemovedModel("gone".parse().unwrap());
    for (filter, index) in [
        (SessionFilter::default(), "sessions_by_start"),
        (of(SessionsOf::Model(ModelId(77))), "sessions_by_model"),
        (of(removed), "sessions_of_removed_models"),
        (of_run, "sessions_by_run"),
        (failed, "sessions_by_outcome"),
        (updates, "sessions_by_outcome"),
        (since, "sessions_by_start"),
    ] {
        let (sql, params) = sessions::listing(&SessionFilter {
            limit: Some(20),
            ..filter
        });
        let (plan, steps) = cost(store.connection(), &sql, &params);
        assert!(plan.contains(index), "{sql}\n{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{sql}\n{plan}");
        assert!(steps < 2_000, "{sql}\n{plan}\n{steps} steps");
    }
}

/// `status` reads the newest sessions, and one more for each model without any of them.
fn check_last_checks(store: &Store, now: Timestamp) {
    let recent = [now.as_second(), 10_000].map(Value::from);
    let (by_id, by_model) = ("INTEGER PRIMARY KEY", "sessions_of_model");
    check(store, sessions::RECENT_CHECKS, &recent, by_id, 10_000 * 50);
    let models = wire::render_ids(1..=1_000);
    let models = [now.as_second().into(), models.into()];
    check(store, sessions::LAST_CHECKS, &models, by_model, 1_000 * 100);
}

#[test]
fn the_schema_holds_no_list_of_words_that_may_grow() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(&home.path().join("hfdl.db"), Timestamp::UNIX_EPOCH).unwrap();
    let sql = "SELECT name, sql FROM sqlite_schema WHERE sql LIKE '% IN (''%'";
    let lists: Vec<(String, String)> = store
        .list(sql, [], |row| Ok((row.get("name")?, row.get("sql")?)))
        .unwrap();
    let [(table, sql)] = lists.as_slice() else {
        panic!("{lists:?}");
    };
    // The two states of a session, on which other checks build.
    assert_eq!(table, "sessions");
    assert_eq!(sql.matches(" IN ('").count(), 1, "{sql}");
    assert!(sql.contains("CHECK (state IN ('running', 'finished'))"));
}
