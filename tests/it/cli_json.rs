//! The documents that programs read: every one names its schema, and a schema
//! has the fields that it had.
//!
//! Fields may be added to these lists. One that is dropped or renamed breaks
//! somebody's script.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::env::TestEnv;

const MODEL: &str = "name repo repo_type repo_id revision include exclude to tags priority \
    keep_revisions enabled state upstream_state held_commit published_commit published_at \
    last_check_at last_success_at last_change_at consecutive_failures created_at updated_at";

const SCHEDULE: &str = "name cadence when time_zone all models tags windows catch_up \
    catch_up_within jitter limit_rate max_duration max_transfer priority enabled anchor_at \
    not_before_at next_due_at last_slot_at open_slot_at retry_at retry_count created_at updated_at";

const SETTING: &str = "key value default origin variable help";

const CHECK: &str = "commit files bytes files_total bytes_total renamed_to access_missing";

const SLOT: &str = "schedule time_zone slot slot_local starts starts_local window_ends";

const SESSION: &str = "session_id run_id model repo repo_type revision schedule trigger outcome \
    error_kind error hint old_commit new_commit path files bytes retries started_at finished_at";

/// A command line, its schema, its fields besides `schema`, and a JSON pointer
/// to a part of it with the fields of that.
type Document = (
    &'static str,
    &'static str,
    String,
    Option<(&'static str, &'static str)>,
);

fn documents() -> Vec<Document> {
    let plus = |base: &str, more: &str| format!("{base} {more}");
    let of = |fields: &str| fields.to_owned();
    vec![
        (
            "models add acme/tiny",
            "hfdl.model/1",
            plus(MODEL, "check"),
            Some(("/check", CHECK)),
        ),
        (
            "models list",
            "hfdl.models/1",
            of("models"),
            Some(("/models/0", MODEL)),
        ),
        (
            "schedules add n --daily 02:30 --all",
            "hfdl.schedule/1",
            plus(SCHEDULE, "warnings"),
            None,
        ),
        (
            "models show acme/tiny",
            "hfdl.model/1",
            plus(MODEL, "schedules next_due_at partial_bytes sessions"),
            Some(("/sessions/0", SESSION)),
        ),
        (
            "models set acme/tiny --priority 3",
            "hfdl.model/1",
            of(MODEL),
            None,
        ),
        (
            "models disable acme/tiny",
            "hfdl.change/1",
            of("models enabled"),
            None,
        ),
        (
            "models enable acme/tiny",
            "hfdl.change/1",
            of("models enabled"),
            None,
        ),
        (
            "prune --dry-run",
            "hfdl.prune/1",
            of("dry_run freed_bytes bytes_left history items"),
            Some(("/history", "sessions runs events logs log_bytes")),
        ),
        (
            "models release acme/tiny",
            "hfdl.release/1",
            of("model released"),
            None,
        ),
        (
            "schedules list",
            "hfdl.schedules/1",
            of("schedules"),
            Some(("/schedules/0", SCHEDULE)),
        ),
        (
            "schedules show n",
            "hfdl.schedule/1",
            plus(SCHEDULE, "covers"),
            None,
        ),
        (
            "schedules set n --priority 3",
            "hfdl.schedule/1",
            plus(SCHEDULE, "warnings"),
            None,
        ),
        (
            "schedules next",
            "hfdl.next/1",
            of("slots"),
            Some(("/slots/0", SLOT)),
        ),
        (
            "schedules disable n",
            "hfdl.change/1",
            of("schedules enabled"),
            None,
        ),
        (
            "schedules enable n",
            "hfdl.change/1",
            of("schedules enabled"),
            None,
        ),
        (
            "schedules remove n -y",
            "hfdl.removal/1",
            of("schedules"),
            None,
        ),
        (
            "models remove acme/tiny -y",
            "hfdl.removal/1",
            of("models files_deleted bytes_freed"),
            None,
        ),
        (
            "config list",
            "hfdl.config/1",
            of("settings"),
            Some(("/settings/0", SETTING)),
        ),
        (
            "config get disk.reserve",
            "hfdl.setting/1",
            of(SETTING),
            None,
        ),
        (
            "config set disk.reserve 1G",
            "hfdl.setting-change/1",
            of("key value"),
            None,
        ),
        (
            "config unset disk.reserve",
            "hfdl.setting-change/1",
            of("key value"),
            None,
        ),
        ("config path", "hfdl.path/1", of("path"), None),
        (
            "logs",
            "hfdl.logs/1",
            of("logs"),
            Some(("/logs/0", "run_id started_at bytes path")),
        ),
    ]
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

fn words(text: &str) -> BTreeSet<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// Leaves a run with one session and a log, as `run-due` would.
fn leave_a_session(env: &TestEnv) {
    let database = rusqlite::Connection::open(env.database()).unwrap();
    let id = "01936b1e-0000-7000-8000-000000000000";
    let rows = format!(
        "INSERT INTO runs (id, command, trigger, host, pid, version, started_at, heartbeat_at)
         VALUES ('{id}', 'run-due', 'timer', 'here', 1, '0', 0, 0);
         INSERT INTO sessions (run_id, model_id, model_name, repo_type, repo_id, revision,
            destination, trigger, state, started_at)
         VALUES ('{id}', 1, 'acme/tiny', 'model', 'acme/tiny', 'main', 'cache', 'timer', 'running', 0);"
    );
    database.execute_batch(&rows).unwrap();
    let log = env
        .home()
        .join("logs")
        .join(format!("20260301T080000Z-{id}.log"));
    crate::support::cache::write(log, "{\"at\":\"T\",\"level\":\"info\",\"message\":\"m\"}\n");
}

#[test]
fn every_document_has_the_fields_of_its_schema() {
    let env = TestEnv::new();
    env.hub()
        .repo("acme/tiny")
        .commit("main")
        .file("a", b"a")
        .publish();
    let mut schemas = BTreeSet::new();
    for (line, schema, fields, part) in documents() {
        let document = env.line(&format!("{line} --json")).succeeds().json();
        assert_eq!(document["schema"], schema, "{line}");
        assert_eq!(
            document.as_object().unwrap().keys().next().unwrap(),
            "schema",
            "{line}"
        );
        let mut expected = words(&fields);
        expected.insert("schema".to_owned());
        assert_eq!(keys(&document), expected, "{line}");
        if let Some((pointer, fields)) = part {
            let part = document.pointer(pointer);
            let part = part.unwrap_or_else(|| panic!("{line}: no {pointer} in {document:#}"));
            assert_eq!(keys(part), words(fields), "{line} {pointer}");
        }
        schemas.insert(schema);
        if line.starts_with("models add") {
            leave_a_session(&env);
        }
    }
    for schema in schemas {
        let (name, version) = schema
            .strip_prefix("hfdl.")
            .unwrap()
            .split_once('/')
            .unwrap();
        assert!(
            !name.is_empty() && version.parse::<u32>().is_ok(),
            "{schema}"
        );
    }
}

#[test]
fn an_error_document_has_its_fields() {
    let env = TestEnv::new();
    let ran = env.line("models show x --log-format json");
    let error: Value = serde_json::from_str(ran.exits(2).stderr()).unwrap();
    let fields = "schema level message cause hint exit exit_code";
    assert_eq!(keys(&error), words(fields));
    assert_eq!(error["exit"], "usage");
}

#[test]
fn times_in_documents_are_rfc_3339_in_utc() {
    let env = TestEnv::new();
    env.line("models add acme/tiny --no-check").succeeds();
    let shown = env.line("models show acme/tiny --json").json();
    assert_eq!(shown["created_at"], crate::support::env::NOW);
}

#[test]
fn a_run_s_diary_is_found_by_the_end_of_its_id() {
    let env = TestEnv::new();
    env.line("models add acme/tiny --no-check").succeeds();
    leave_a_session(&env);
    let text = "T info  m\n";
    assert_eq!(env.line("logs --last").succeeds().stdout(), text);
    assert_eq!(env.line("logs --run 00000000").succeeds().stdout(), text);
    assert_eq!(env.line("logs --last --level warn").succeeds().stdout(), "");
    env.line("logs --run 11111111").exits(2);
}
