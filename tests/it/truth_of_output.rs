//! Output that a person or a program takes at its word: first lines, documents
//! of runs that did nothing, numbers, hints.

use std::fs;
use std::io::Read as _;
use std::process::Stdio;

use hfdl::sys::lock::FileLock;
use hfdl_test_hub::{Fault, On, generated_bytes};
use serde::Deserialize as _;
use serde_json::Value;

use crate::support::due::{keep_large, roomy_world};
use crate::support::env::TestEnv;
#[cfg(unix)]
use crate::support::programs::Cron;

const MIB: usize = 1 << 20;

fn keep_small(env: &TestEnv, repo: &str) {
    let draft = env.hub().repo(repo).commit("main");
    draft.file("config.json", repo.as_bytes()).publish();
    env.hfdl(["models", "add", repo]).succeeds();
}

/// Checks a document of a run that did nothing.
fn is_of_skipped_run(document: &Value, outcome: &str, trigger: &str, has_run: bool) {
    assert_eq!(document["schema"], "hfdl.run/1");
    assert_eq!(document["outcome"], outcome);
    assert_eq!(document["trigger"], trigger);
    assert_eq!(document["run_id"].is_string(), has_run, "{document}");
    assert_eq!(document["started_at"].is_string(), has_run, "{document}");
}

#[test]
fn a_program_hears_of_a_tick_that_failed_before_its_run() {
    let env = roomy_world();
    keep_small(&env, "acme/a");
    let wrong_name = "run-due --json --trigger timer --schedule nope";
    let right_clock = env.clock();
    for (line, now, code) in [
        (wrong_name, right_clock.as_str(), 2),
        ("run-due --json --trigger timer", "2001-01-01T00:00:00Z", 5),
    ] {
        env.now(now);
        let document = env.line(line).exits(code).json();
        is_of_skipped_run(&document, "failed", "timer", false);
        assert_eq!(document["exit_code"], code, "{line}");
    }
}

#[test]
fn a_document_tells_of_a_locked_paused_or_idle_run() {
    let env = roomy_world();
    let idle = env.line("run-due --json --trigger ci").succeeds().json();
    is_of_skipped_run(&idle, "ok", "ci", false);
    is_of_skipped_run(
        &env.line("download --all --json").json(),
        "ok",
        "manual",
        false,
    );
    keep_small(&env, "acme/a");
    let idle = env.line("run-due --json --trigger timer").succeeds().json();
    is_of_skipped_run(&idle, "ok", "timer", false);

    let known = |document: &Value| {
        let id = document["run_id"].as_str().unwrap();
        env.hfdl(["runs", "show", id, "--json"]).succeeds().json()["trigger"].clone()
    };
    let lock = FileLock::try_acquire(&env.home().join("run.lock"))
        .unwrap()
        .unwrap();
    for (line, trigger) in [
        ("run-due --json --trigger timer", "timer"),
        ("run-due --json", "manual"),
        ("download acme/a --json", "manual"),
        ("verify acme/a --json", "manual"),
        ("prune --json --yes", "manual"),
    ] {
        let locked = env.line(line).exits(11).json();
        is_of_skipped_run(&locked, "skipped-locked", trigger, true);
        assert_eq!(known(&locked), trigger, "{line}");
        assert_eq!(locked["exit_code"], 11);
    }
    drop(lock);
    env.line("schedules add often --every 1h --all").succeeds();
    env.line("pause").succeeds();
    let paused = env.line("run-due --json --trigger ci").succeeds().json();
    is_of_skipped_run(&paused, "skipped-paused", "ci", true);
    assert_eq!(known(&paused), "ci");
}

#[test]
fn a_held_model_is_printed_with_a_note_that_quiet_silences() {
    let env = roomy_world();
    keep_small(&env, "acme/a");
    env.line("download acme/a").succeeds();
    let draft = env.hub().repo("acme/a").commit("main");
    draft.file("config.json", b"newer").publish();
    env.line("download acme/a").succeeds();
    env.line("models rollback acme/a").succeeds();
    let held = env.line("download acme/a");
    held.succeeds().explains("note: `acme/a` is held");
    held.explains("hfdl models release acme/a");
    assert!(!held.stderr().contains("error"), "{}", held.report());
    let path = held.stdout().trim_end();
    assert_eq!(fs::read(format!("{path}/config.json")).unwrap(), b"acme/a");
    let quiet = env.line("download acme/a -q");
    assert_eq!(quiet.succeeds().silently().stdout(), held.stdout());
}

#[test]
fn the_first_line_names_the_worst_of_several_troubles() {
    let env = roomy_world();
    keep_small(&env, "acme/a");
    keep_large(&env, "acme/broken", MIB, 1);
    keep_small(&env, "acme/closed");
    env.line("schedules add often --every 1h --all").succeeds();
    env.hub()
        .fault(On::any().repo("acme/a"), Fault::Status(503));
    env.hub()
        .fault(On::cdn("model.safetensors"), Fault::FlipByteAt(5));
    env.hub()
        .fault(On::any().repo("acme/closed"), Fault::Status(401));
    let ran = env.line("run-due --trigger timer");
    ran.exits(3);
    let first = ran.stderr().lines().next().unwrap_or_default().to_owned();
    assert!(first.starts_with("hfdl: "), "{}", ran.report());
    assert!(first.contains("acme/broken"), "{}", ran.report());
    // Told once, and silent at the ticks that follow.
    env.now("2026-03-01T09:15:00Z");
    env.line("run-due --trigger timer").silently();
    env.now("2026-03-01T10:00:00Z");
    let again = env.line("run-due --trigger timer");
    assert!(!again.stderr().contains("hash"), "{}", again.report());
}

#[test]
fn partial_bytes_are_those_that_the_next_run_need_not_fetch() {
    for to in ["cache", "plain"] {
        let env = roomy_world();
        let draft = env.hub().repo("acme/a").commit("main");
        draft
            .lfs("model.safetensors", generated_bytes(12 * MIB, 1))
            .publish();
        env.hfdl(["models", "add", "acme/a", "--to", to]).succeeds();
        env.hfdl(["download", "acme/a", "--max-transfer", "3M"])
            .exits(8);
        let shown = env.line("models show acme/a --json").json();
        let told = shown["partial_bytes"].as_u64().unwrap();
        let plan = env.line("download acme/a --dry-run --json").json();
        assert_eq!(told, plan["models"][0]["bytes"]["reused"], "{to}");
        assert!(told > 0 && told < 12 * MIB as u64, "{to}: {told}");
        env.line("download acme/a").succeeds();
        let shown = env.line("models show acme/a --json").json();
        assert_eq!(shown["partial_bytes"], 0, "{to}");
    }
}

#[test]
fn no_time_is_enough_for_a_model_that_is_whole() {
    let env = roomy_world();
    keep_small(&env, "acme/a");
    env.line("download acme/a").succeeds();
    env.line("download acme/a --max-duration 0s").exits(0);
    let draft = env.hub().repo("acme/a").commit("main");
    draft
        .lfs("model.safetensors", generated_bytes(MIB, 1))
        .publish();
    env.line("download acme/a --max-duration 0s").exits(10);
}

/// Reads a stream of YAML documents.
fn documents(stream: &str) -> Vec<Value> {
    let documents = serde_yaml::Deserializer::from_str(stream);
    let read = documents.map(|document| Value::deserialize(document).unwrap());
    read.collect()
}

#[test]
fn yaml_is_yaml_for_readers_of_every_version() {
    let env = roomy_world();
    keep_small(&env, "acme/a");
    env.line("download acme/a").succeeds();
    let logs = env.line("logs --last --format yaml");
    let lines: Vec<Value> = documents(logs.succeeds().stdout());
    let json = env.line("logs --last --format json");
    assert_eq!(lines.len(), json.stdout().lines().count());
    assert!(logs.stdout().starts_with("---\n"), "{}", logs.report());
    assert!(
        !lines.is_empty() && lines.iter().all(|line| line["message"].is_string()),
        "{}",
        logs.report()
    );
    env.line("schedules add noon --daily 12:30 --all")
        .succeeds();
    for name in ["no", "2026-03-01", "1_000", "1234e5"] {
        let add = ["models", "add", "acme/b", "--no-check", "--name", name];
        env.hfdl(add.iter().chain(&["--to", name])).succeeds();
    }
    let exported = env.line("export");
    exported.succeeds().prints("daily: '12:30'");
    for name in ["no", "2026-03-01", "1_000"] {
        exported.prints(&format!("name: '{name}'"));
    }
    let read: Value = serde_yaml::from_str(exported.stdout()).unwrap();
    assert_eq!(read, env.line("export --format json").json());
    env.line("schedules list --format yaml")
        .prints("when: '12:30'");
    fs::write(env.root().join("hfdl.yaml"), exported.stdout()).unwrap();
    let file = env.root().join("hfdl.yaml").to_string_lossy().into_owned();
    env.hfdl(["apply", "-f", &file])
        .succeeds()
        .prints("nothing");
}

#[test]
fn following_the_log_of_a_run_that_is_over_ends() {
    let env = roomy_world();
    keep_small(&env, "acme/a");
    env.line("download acme/a").succeeds();
    let mut child = env
        .command(["logs", "--last", "--follow"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut shown = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut shown)
        .unwrap();
    assert!(child.wait().unwrap().success());
    assert!(shown.contains("acme/a: updated"), "{shown}");
}

#[test]
fn schedules_overlap_only_where_both_can_run_at_once() {
    let env = roomy_world();
    keep_small(&env, "acme/a");
    env.line("schedules add night --daily 02:00 --all --window 02:00-06:00")
        .succeeds();
    let apart = env.line("schedules add noon --cron '0 2 * * *' --all --window 12:00-14:00");
    assert!(
        !apart.succeeds().stderr().contains("night"),
        "{}",
        apart.report()
    );
    let both =
        env.line("schedules add late --cron '0 2 * * *' --model acme/a --window 05:00-07:00");
    both.succeeds()
        .explains("`night` updates `acme/a` at the same time");
}

#[test]
fn a_disabled_schedule_is_marked_among_the_slots_to_come() {
    let env = roomy_world();
    env.line("schedules add off --daily 02:00 --all").succeeds();
    env.line("schedules disable off").succeeds();
    env.line("schedules next off")
        .succeeds()
        .prints("off (disabled)");
    let slots = env.line("schedules next off --json").json();
    assert_eq!(slots["slots"][0]["enabled"], false);
    env.line("schedules --help")
        .prints("Remove schedules; models and their files stay");
}

#[test]
fn an_unregistered_repository_has_a_commit_before_as_well() {
    let env = roomy_world();
    let draft = env.hub().repo("acme/a").commit("main");
    let first = draft.file("config.json", b"1").publish();
    let new = env.line("download acme/a --json").json();
    assert_eq!(new["sessions"][0]["old_commit"], Value::Null);
    let draft = env.hub().repo("acme/a").commit("main");
    draft.file("config.json", b"2").publish();
    let ran = env.line("download acme/a --json").json();
    assert_eq!(ran["sessions"][0]["old_commit"], *first);
    let id = ran["sessions"][0]["session_id"].to_string();
    let shown = env.hfdl(["sessions", "show", &id, "--json"]).json();
    assert_eq!(shown["changes"]["changed"][0], "config.json");
    assert_eq!(shown["changes"]["added"], Value::Array(Vec::new()));
}

#[cfg(unix)]
#[test]
fn a_dry_run_of_start_in_a_new_home_shows_the_minutes_to_come() {
    let env = roomy_world();
    env.has_cron(Cron::Debian);
    let planned = env.line("start --backend crontab --dry-run --json").json();
    assert!(!env.home().exists());
    let started = env.line("start --backend crontab --json").json();
    assert_eq!(planned["minutes"], started["minutes"]);
    let again = env.line("start --backend crontab --json").json();
    assert_eq!(again["minutes"], started["minutes"]);
    assert_eq!(again["changed"], false);
}

#[test]
fn the_status_of_a_model_tells_its_commit_size_and_dates() {
    let env = roomy_world();
    let draft = env.hub().repo("acme/a").commit("main");
    let commit = draft.file("config.json", b"12345").publish();
    env.line("models add acme/a --tag llm").succeeds();
    env.line("models add acme/b --no-check --to plain")
        .succeeds();
    env.line("schedules add late --daily 23:00 --all")
        .succeeds();
    env.line("schedules add soon --daily 12:00 --tag llm")
        .succeeds();
    let status = env.line("status --json").json();
    assert_eq!(status["last_run"], Value::Null);
    let new = &status["models"][0];
    assert_eq!(
        (&new["commit"], &new["size_bytes"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(new["verified_until"], Value::Null);
    assert_eq!(new["next_due"], "2026-03-01T12:00:00Z");
    assert_eq!(status["models"][1]["next_due"], "2026-03-01T23:00:00Z");
    let run = env.line("download acme/a --json").json();
    env.now("2026-03-01T10:00:00Z");
    let status = env.line("status --json").json();
    assert_eq!(status["last_run"]["run_id"], run["run_id"]);
    let model = &status["models"][0];
    assert_eq!(
        (&model["commit"], &model["size_bytes"]),
        (&commit.into(), &5.into())
    );
    assert_eq!(model["published_at"], crate::support::env::NOW);
    assert_eq!(model["verified_until"], "2026-03-31T09:00:00Z");
    env.line("config set verify.every off").succeeds();
    let status = env.line("status --json").json();
    assert_eq!(status["models"][0]["verified_until"], Value::Null);
}

#[test]
fn one_thing_has_one_name_in_all_documents_beside_its_older_ones() {
    let env = roomy_world();
    keep_small(&env, "acme/a");
    env.line("schedules add night --daily 02:00 --all --window 02:00-06:00")
        .succeeds();
    env.now("2026-03-02T02:01:00Z");
    let due = env.line("run-due --dry-run --json").json();
    let due = &due["schedules"][0];
    assert!(due["window_ends"].is_string(), "{due}");
    assert_eq!(due["window_ends"], due["deadline"]);
    assert_eq!(due["slot_at"], "2026-03-02T02:00:00Z");
    assert_eq!(due["late_seconds"], 60);
    assert_eq!(
        (&due["slot"], &due["late"], &due["next"]),
        (&due["slot_at"], &due["late_seconds"], &due["next_due_at"])
    );
    let planned = env.line("schedules next --count 1 --json").json();
    let planned = &planned["slots"][0];
    assert_eq!(planned["starts_at"], "2026-03-03T02:00:00Z", "{planned}");
    assert_eq!(
        (&planned["slot"], &planned["starts"]),
        (&planned["slot_at"], &planned["starts_at"])
    );
    let status = env.line("status --json").json();
    assert_eq!(status["models"][0]["model"], status["models"][0]["name"]);
    let next = &status["next_due"][0];
    assert_eq!(next["state"], "due");
    assert_eq!(next["due_state"], due["state"]);
    assert_eq!(next["slot_at"], due["slot_at"]);
    assert_eq!(
        (&next["slot"], &next["starts"]),
        (&next["slot_at"], &next["starts_at"])
    );
    let model = &status["models"][0];
    assert!(model["next_due_at"].is_string(), "{model}");
    assert_eq!(model["next_due"], model["next_due_at"]);
    let pruned = env.line("prune --json --yes").json();
    assert_eq!(pruned["bytes_freed"], pruned["freed_bytes"]);
    env.line("config set download.connections 8").succeeds();
    let config = env.line("config get download.connections --json").json();
    assert_eq!(
        (&config["value"], &config["typed_value"]),
        (&"8".into(), &8.into())
    );
    let limit = env.line("config get cache.max_size --json").json();
    assert_eq!(limit["bytes"], Value::Null);
    env.line("config set cache.max_size 1G").succeeds();
    let limit = env.line("config get cache.max_size --json").json();
    assert_eq!(
        (&limit["bytes"], &limit["seconds"]),
        (&(1_u64 << 30).into(), &Value::Null)
    );
    let span = env.line("config get verify.every --json").json();
    assert_eq!(span["seconds"], 30 * 86_400);
    let checks = env.line("doctor --json").json();
    let check = &checks["checks"][0];
    assert!(check["message"].is_string(), "{check}");
    assert_eq!(
        (&check["message"], &check["hint"]),
        (&check["what"], &check["next"])
    );
    let removed = env.line("models remove acme/a --yes --json").json();
    assert!(removed["freed_bytes"].is_u64(), "{removed}");
    assert_eq!(removed["freed_bytes"], removed["bytes_freed"]);
    let exported = env.line("export --format json").json();
    assert_eq!(
        exported["config"]["download.connections"],
        config["typed_value"]
    );
}
