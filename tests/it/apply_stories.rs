//! `hfdl apply` and `hfdl export`, from file to database and back.

use hfdl::domain::model::{Model, ModelState};
use hfdl::domain::schedule::ScheduleState;
use hfdl::domain::time::Timestamp;
use hfdl::domain::units::Seconds;
use hfdl::store::Store;

use super::apply_env::{ApplyEnv, now};
use super::store_samples::{commit, name};

const FILE: &str = r#"version: 1
config:
  download.connections: 12
  disk.reserve: 20g
models:
  - repo: org/name
    include: "*.json"
    tags: [llm, night]
  - {repo: https://huggingface.co/datasets/org/corpus/tree/v2, to: ~/corpus/, priority: 60}
  - repo: org/gguf:Q4_K_M
    exclude: ['*.md']
    keep_revisions: 3
    enabled: false
schedules:
  - {name: nightly, daily: "02:30", window: ["22:00-07:00"], tags: llm, max_duration: 4h}
  - name: corpus
    every: 6h
    tz: utc
    models: datasets/org/corpus
    catch_up: once
    catch_up_within: 2h
    jitter: 10m
    limit_rate: 1048576
    max_transfer: 10G
    priority: 7
    enabled: false
"#;

fn model(store: &Store, text: &str) -> Model {
    store.model(&name(text)).unwrap()
}

fn schedule_state(store: &Store, text: &str) -> ScheduleState {
    store.schedule(&name(text)).unwrap().state
}

/// Marks a model as one that runs have worked on.
fn was_downloaded(store: &Store, text: &str) -> ModelState {
    let state = ModelState {
        published_commit: Some(commit('a')),
        published_at: Some(now()),
        last_success_at: Some(now()),
        ..ModelState::default()
    };
    store
        .save_model_state(model(store, text).id, &state)
        .unwrap();
    state
}

fn at(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

fn earlier() -> Timestamp {
    now().checked_sub(Seconds(86_400).span()).unwrap()
}

#[test]
fn a_file_becomes_entries_and_applying_it_again_does_nothing() {
    let env = ApplyEnv::new();
    let told = env.applies(&[], FILE);
    let expected = format!(
        "+ setting download.connections: 12
+ setting disk.reserve: 20G
+ model org/name: repo org/name, include [*.json], tags [llm, night]
+ model datasets/org/corpus: repo datasets/org/corpus, revision v2, to {}, priority 60
+ model org/gguf:Q4_K_M: repo org/gguf, include [:Q4_K_M], exclude [*.md], keep_revisions 3, enabled no
+ schedule nightly: daily 02:30, tz Europe/Berlin, window [22:00-07:00], max_duration 4h, tags [llm]
+ schedule corpus: every 6h, tz UTC, catch_up_within 2h, jitter 10m, limit_rate 1M, max_transfer 10G, priority 7, enabled no, models [datasets/org/corpus]
",
        env.below("corpus")
    );
    assert_eq!(told, expected);
    let nothing = "nothing to do: everything is as the file says\n";
    assert_eq!(env.applies(&[], FILE), nothing);
    assert_eq!(env.applies(&["--prune"], FILE), nothing);
    assert_eq!(
        schedule_state(&env.store(), "nightly"),
        ScheduleState {
            next_due_at: at("2026-06-02T00:30:00Z"),
            ..ScheduleState::new(now())
        }
    );
}

#[test]
fn an_export_says_only_what_is_no_default() {
    let env = ApplyEnv::new();
    let file = "version: 1
config: {download.limit_rate: 'off'}
models:
  - {repo: org/name, name: mine, revision: \"1.0\", priority: 50, enabled: true, tags: []}
schedules:
  - {name: s, weekly: \"Sun,Mon@4:00\", all: true, jitter: 0s, catch_up: once}
";
    env.applies(&[], file);
    let expected = "# Models, schedules and settings of hfdl.
# To apply: hfdl apply -f FILE (first with --dry-run to see the differences)
version: 1
config:
  download.limit_rate: 'off'
tags: []
models:
- repo: org/name
  name: mine
  revision: '1.0'
schedules:
- name: s
  weekly: Mon,Sun@04:00
  tz: Europe/Berlin
  all: true
";
    assert_eq!(env.exports(), expected);
    let json = env.hfdl(&["export", "--format", "json"], b"").stdout;
    assert!(json.starts_with("{\n  \"version\": 1,\n"), "{json}");
    let nothing = "nothing to do: everything is as the file says\n";
    assert_eq!(env.applies(&["--prune"], &json), nothing);
    assert_eq!(env.applies(&["--prune"], expected), nothing);
}

#[test]
fn differences_are_listed_field_by_field() {
    let env = ApplyEnv::new();
    env.applies(&[], FILE);
    let file = FILE
        .replace("12", "16")
        .replace("priority: 60", "priority: 70")
        .replace("daily: \"02:30\"", "weekly: Sat@03:00")
        .replace("    exclude: ['*.md']\n", "");
    let expected = "~ setting download.connections: 12 → 16
~ model datasets/org/corpus: priority 60 → 70
~ model org/gguf:Q4_K_M: exclude [*.md] → -
~ schedule nightly: daily 02:30 → -, weekly - → Sat@03:00
";
    assert_eq!(
        env.applies(&["--dry-run"], &file),
        format!("{expected}dry run: nothing was changed\n")
    );
    let document = env.applies(&["--dry-run", "--json"], &file);
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    let change = |action: &str, kind: &str, name: &str, fields: &[(&str, _, _)]| {
        let fields: Vec<_> = fields
            .iter()
            .map(|(field, old, new)| serde_json::json!({"field": field, "old": old, "new": new}))
            .collect();
        serde_json::json!({"action": action, "kind": kind, "name": name, "fields": fields})
    };
    let text = serde_json::Value::from;
    let none = serde_json::Value::Null;
    let md = serde_json::json!(["*.md"]);
    assert_eq!(
        document,
        serde_json::json!({
            "schema": "hfdl.apply/1",
            "dry_run": true,
            "locked": null,
            "changes": [
                change("change", "setting", "download.connections", &[("value", text("12"), text("16"))]),
                change("change", "model", "datasets/org/corpus", &[("priority", 60.into(), 70.into())]),
                change("change", "model", "org/gguf:Q4_K_M", &[("exclude", md, serde_json::json!([]))]),
                change("change", "schedule", "nightly", &[
                    ("daily", text("02:30"), none.clone()),
                    ("weekly", none, text("Sat@03:00")),
                ]),
            ],
            "checks": null,
        })
    );
    assert_eq!(env.applies(&[], &file), expected);
}

#[test]
fn a_dry_run_writes_nothing_at_all() {
    let env = ApplyEnv::new();
    let told = env.applies(&["--dry-run"], FILE);
    assert!(told.ends_with("dry run: nothing was changed\n"), "{told}");
    assert!(!env.home().exists());
    env.exports();
    assert!(!env.home().exists(), "nor does an export");
    env.applies(&[], "version: 1\nmodels: []\n");
    assert!(!env.home().exists(), "nor does a file that changes nothing");
    env.applies(&[], FILE);
    let before = std::fs::read(env.database()).unwrap();
    let told = env.applies(
        &["--dry-run", "--prune"],
        "version: 1\nmodels: []\nconfig: {}\n",
    );
    assert!(told.starts_with("- setting disk.reserve: 20G\n"), "{told}");
    assert_eq!(std::fs::read(env.database()).unwrap(), before);
}

#[test]
fn pruning_asks_and_touches_only_the_sections_that_are_there() {
    let env = ApplyEnv::new();
    env.applies(&[], FILE);
    let file = "version: 1\nmodels:\n  - repo: org/name\n    include: ['*.json']\n    tags: [llm, night]\n";
    let before = env.exports();
    let refusal = "warning: the schedule `corpus` includes no model
error: not confirmed: remove model `datasets/org/corpus`, model `org/gguf:Q4_K_M`? \
Downloaded files stay.
cause: there is no terminal to ask on
 next: add `--yes` if that is what you want
";
    assert_eq!(env.refuses(&["--prune"], file), refusal);
    assert_eq!(env.exports(), before);
    assert_eq!(
        env.applies(&["--prune", "--yes"], file),
        "- model datasets/org/corpus
- model org/gguf:Q4_K_M
~ schedule corpus: models [datasets/org/corpus] → -
"
    );
    let after = env.exports();
    assert!(
        after.contains("disk.reserve: 20G") && after.contains("- name: nightly"),
        "{after}"
    );
    // A schedule that has lost its models still goes out and in.
    assert!(after.contains("  models: []\n"), "{after}");
    let nothing = "nothing to do: everything is as the file says\n";
    assert_eq!(env.applies(&["--prune"], &after), nothing);
}

#[test]
fn without_pruning_what_the_file_does_not_have_stays() {
    let env = ApplyEnv::new();
    env.applies(&[], FILE);
    let told = env.applies(
        &[],
        "version: 1\nconfig: {}\nmodels: [{repo: a/b}]\nschedules: []\n",
    );
    assert_eq!(told, "+ model a/b: repo a/b\n");
    let left = env.exports();
    for kept in ["disk.reserve: 20G", "- repo: org/name", "- name: nightly"] {
        assert!(left.contains(kept), "{kept}: {left}");
    }
}

#[test]
fn a_renamed_model_keeps_its_history_and_its_schedules() {
    let env = ApplyEnv::new();
    env.applies(&[], FILE);
    let store = env.store();
    let state = was_downloaded(&store, "datasets/org/corpus");
    let id = model(&store, "datasets/org/corpus").id;
    let file = FILE
        .replace("priority: 60}", "priority: 60, name: corpus}")
        .replace("models: datasets/org/corpus", "models: corpus");
    assert_eq!(
        env.applies(&["--prune"], &file),
        "~ model corpus: name datasets/org/corpus → corpus\n"
    );
    let renamed = model(&store, "corpus");
    assert_eq!((renamed.id, renamed.state), (id, state));
}

#[test]
fn models_can_take_over_each_others_names() {
    let env = ApplyEnv::new();
    let file = "version: 1\nmodels: [{repo: a/one, name: x}, {repo: a/two, name: y}]\n";
    env.applies(&[], file);
    let store = env.store();
    let state = was_downloaded(&store, "x");
    let swapped = "version: 1\nmodels: [{repo: a/one, name: y}, {repo: a/two, name: x}]\n";
    assert_eq!(
        env.applies(&["--prune"], swapped),
        "~ model y: name x → y\n~ model x: name y → x\n"
    );
    assert_eq!(model(&store, "y").state, state);
    // Without pruning the name is the entry, and what it means has changed.
    assert_eq!(
        env.applies(&[], file),
        "~ model x: repo a/two → a/one\n~ model y: repo a/one → a/two\n"
    );
    assert_eq!(model(&store, "y").state, ModelState::default());
}

#[test]
fn an_edit_forgets_missed_slots_only_when_it_moves_them() {
    let env = ApplyEnv::new();
    env.applies(&[], FILE);
    let store = env.store();
    let id = store.schedule(&name("nightly")).unwrap().id;
    let old = ScheduleState {
        last_slot_at: Some(earlier()),
        next_due_at: None,
        ..ScheduleState::new(earlier())
    };
    store.save_schedule_state(id, &old).unwrap();
    env.applies(&[], &FILE.replace("max_duration: 4h", "max_duration: 5h"));
    // The slot of last night waits for its window.
    let looked_at = ScheduleState {
        next_due_at: at("2026-06-01T20:00:00Z"),
        ..old.clone()
    };
    assert_eq!(schedule_state(&store, "nightly"), looked_at);
    env.applies(&[], &FILE.replace("02:30", "03:30"));
    let moved = ScheduleState {
        not_before_at: now(),
        next_due_at: at("2026-06-02T01:30:00Z"),
        ..looked_at
    };
    assert_eq!(schedule_state(&store, "nightly"), moved);
}

#[test]
fn another_revision_is_a_model_that_no_run_has_seen() {
    let env = ApplyEnv::new();
    env.applies(&[], FILE);
    let store = env.store();
    let state = was_downloaded(&store, "org/name");
    env.applies(&[], &FILE.replace("tags: [llm, night]", "tags: [llm]"));
    assert_eq!(model(&store, "org/name").state, state);
    env.applies(&[], &FILE.replace("repo: org/name", "repo: org/name@v9"));
    assert_eq!(model(&store, "org/name").state, ModelState::default());
}

#[test]
fn a_failure_in_the_middle_undoes_everything() {
    let env = ApplyEnv::new();
    env.applies(
        &[],
        "version: 1\nmodels: [{repo: a/b}]\nconfig: {keep.revisions: 3}\n",
    );
    let sql = rusqlite::Connection::open(env.database()).unwrap();
    // The last step of all fails: settings and models are written by then.
    sql.execute_batch(
        "CREATE TRIGGER broken BEFORE INSERT ON schedule_models
         BEGIN SELECT RAISE(ABORT, 'broken on purpose'); END",
    )
    .unwrap();
    let before = env.exports();
    let file = FILE.replace("models: datasets/org/corpus", "models: [org/name]");
    let ended = env.hfdl(&["apply", "-f", "-", "--prune", "--yes"], file.as_bytes());
    assert_ne!(ended.code, 0);
    assert_eq!(ended.stdout, "");
    assert!(
        ended.stderr.contains("broken on purpose"),
        "{}",
        ended.stderr
    );
    assert_eq!(env.exports(), before);
    sql.execute_batch("DROP TRIGGER broken").unwrap();
    env.applies(&["--prune", "--yes"], &file);
}

#[test]
fn harmless_conflicts_are_warnings() {
    let env = ApplyEnv::new();
    let file = "version: 1
models: [{repo: a/b}]
schedules:
  - {name: one, daily: \"02:30\", all: true}
  - {name: two, daily: \"02:30,14:30\", models: a/b}
  - {name: past, once: \"2020-01-01T08:00\", all: true}
  - {name: empty, every: 1h, models: []}
  - {name: typo, every: 1h, tags: lmm}
";
    let ended = env.hfdl(&["apply", "-f", "-"], file.as_bytes());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let warnings: Vec<&str> = ended.stderr.lines().collect();
    assert_eq!(
        warnings,
        [
            "warning: the schedule `two`: `one` updates `a/b` at the same time, first at \
             2026-06-02 02:30 CEST; one run serves both",
            "warning: the schedule `past` will never run: 2020-01-01T08:00 has passed already; \
             write a time to come",
            "warning: the schedule `empty` includes no model",
            "warning: the schedule `typo` includes no model",
        ]
    );
    let ended = env.hfdl(&["apply", "-f", "-"], file.as_bytes());
    assert_eq!(ended.stderr, "", "nothing is new the second time");
}

#[test]
fn an_endpoint_in_the_file_is_the_hub_of_its_models() {
    let env = ApplyEnv::new();
    let file = "version: 1
config: {hub.endpoint: \"http://mirror.example:8080/hub/\"}
models: [{repo: \"http://mirror.example:8080/hub/org/name/tree/dev\", to: ~/copy}]
";
    env.applies(&[], file);
    let exported = env.exports();
    assert!(exported.contains("hub.endpoint: http://mirror.example:8080/hub\n"));
    assert!(
        exported.contains("- repo: org/name\n  revision: dev\n"),
        "{exported}"
    );
    assert!(
        exported.contains(&format!("  to: {}\n", env.below("copy"))),
        "{exported}"
    );
}

#[test]
fn a_directory_inside_the_cache_is_refused() {
    let env = ApplyEnv::new();
    let file = "version: 1
config: {cache.dir: ~/cache}
models: [{repo: a/b, to: ~/cache/x}]
";
    let error = env.refuses(&[], file);
    let inside = std::path::Path::new(&env.below("cache")).join("x");
    let expected = format!(
        "error: <stdin>:3:10: `{}` cannot hold the files of a model: it lies inside",
        inside.display()
    );
    assert!(error.starts_with(&expected), "{error}");
}
