//! `hfdl runs`: what each process did.

use serde_json::Value;

use super::cli_sessions::{publish, world};
use crate::support::env::TestEnv;

fn listed(env: &TestEnv) -> Vec<Value> {
    let document = env.line("runs list --json").succeeds().json();
    assert_eq!(document["schema"], "hfdl.runs/1");
    document["runs"].as_array().unwrap().clone()
}

#[test]
fn a_run_shows_the_document_that_it_printed_itself() {
    let env = world();
    env.hub()
        .repo("acme/other")
        .commit("main")
        .file("a", b"a")
        .publish();
    let printed = env.line("download acme/tiny acme/other acme/none --json");
    let printed = printed.exits(1).json();
    assert_eq!(printed["sessions"].as_array().unwrap().len(), 3);
    assert_eq!(printed["exit_code"], 1);
    let id = printed["run_id"].as_str().unwrap();
    for typed in [id, &id[20..], &id[32..]] {
        let shown = env
            .line(&format!("runs show {typed} --json"))
            .succeeds()
            .json();
        for (name, value) in printed.as_object().unwrap() {
            assert_eq!(&shown[name], value, "{name}");
        }
        assert_eq!(shown["command"], "download");
        assert_eq!(shown["totals"]["failed"], 1);
    }
    let text = env.line(&format!("runs show {id}"));
    text.succeeds()
        .prints("acme/none")
        .prints("exit code      1");
}

#[test]
fn the_list_is_newest_first_and_can_be_narrowed() {
    let env = world();
    for (hour, number) in [(9, 1), (10, 2), (11, 3)] {
        env.now(&format!("2026-03-01T{hour:02}:00:00Z"));
        publish(&env, number);
        env.line("download acme/tiny").succeeds();
    }
    env.line("verify").succeeds();
    let commands: Vec<Value> = listed(&env)
        .iter()
        .map(|run| run["command"].clone())
        .collect();
    assert_eq!(commands.iter().filter(|it| *it == "verify").count(), 1);
    let starts: Vec<Value> = listed(&env)
        .iter()
        .map(|run| run["started_at"].clone())
        .collect();
    assert_eq!(starts[2], "2026-03-01T10:00:00Z");
    assert_eq!(starts[3], "2026-03-01T09:00:00Z");
    let since = env
        .line("runs list --since '2026-03-01 10:30' --json")
        .json();
    assert_eq!(since["runs"].as_array().unwrap().len(), 2);
    let cut = env.line("runs list --limit 1 --json").json();
    assert_eq!(
        (cut["runs"].as_array().unwrap().len(), &cut["more"]),
        (1, &true.into())
    );
    assert_eq!(listed(&env)[0]["outcome"], "ok");
}

#[test]
fn a_skipped_run_is_a_row() {
    let env = world();
    std::fs::create_dir_all(env.home()).unwrap();
    let lock = hfdl::sys::lock::FileLock::try_acquire(&env.home().join("run.lock"));
    let lock = lock.unwrap().unwrap();
    env.line("download acme/tiny").exits(11);
    drop(lock);
    let runs = listed(&env);
    assert_eq!(
        (&runs[0]["outcome"], &runs[0]["exit_code"]),
        (&"skipped-locked".into(), &11.into())
    );
    env.line("runs list").succeeds().prints("skipped-locked");
}

#[test]
fn an_ending_that_several_runs_have_is_refused() {
    let env = world();
    env.line("download acme/tiny").succeeds();
    // Two runs with the same ending of the id are too rare to be made by commands.
    let database = rusqlite::Connection::open(env.database()).unwrap();
    let copy = "INSERT INTO runs (id, command, trigger, host, pid, version, started_at,
            heartbeat_at, finished_at, outcome)
        SELECT '00000000' || substr(id, 9), command, trigger, host, pid, version, started_at,
            heartbeat_at, finished_at, outcome FROM runs";
    database.execute(copy, []).unwrap();
    let id = listed(&env)[0]["run_id"].as_str().unwrap().to_owned();
    env.line(&format!("runs show {}", &id[10..]))
        .exits(2)
        .explains("several runs end in");
    env.line(&format!("runs show {id}")).succeeds();
    env.line(&format!("sessions list --run {}", &id[10..]))
        .exits(2);
}
