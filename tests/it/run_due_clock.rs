//! Records of a clock that was ahead, and clocks that are set while a run goes on.

use hfdl_test_hub::{Api, Fault, On};
use serde_json::Value;

use crate::support::database::{ask, cell, change, number};
use crate::support::due::{keep_large, outcomes, roomy_world, slots};
use crate::support::env::TestEnv;
use crate::support::process::Victim;

const MIB: usize = 1 << 20;
const MORNING: &str = "2026-03-01T09:00:00Z";
/// A date in the future, as shown by a wrong hardware or virtual clock.
const AHEAD: &str = "2031-03-01T09:00:00Z";

fn publish(env: &TestEnv, repo: &str, text: &str) -> String {
    let draft = env.hub().repo(repo).commit("main");
    draft.file("config.json", text.as_bytes()).publish()
}

fn keep(env: &TestEnv, repo: &str) {
    publish(env, repo, repo);
    env.hfdl(["models", "add", repo]).succeeds();
}

fn tick(env: &TestEnv, at: &str) -> Vec<(String, String)> {
    let ran = env
        .now(at)
        .hfdl(["run-due", "--json", "--trigger", "timer"]);
    match ran.stdout().is_empty() {
        true => Vec::new(),
        false => outcomes(&ran),
    }
}

fn status(env: &TestEnv) -> Value {
    env.hfdl(["status", "--json"]).json()
}

fn warnings(env: &TestEnv) -> Vec<String> {
    let status = status(env);
    let kinds = status["warnings"].as_array().unwrap().iter();
    kinds
        .map(|warning| warning["kind"].as_str().unwrap().to_owned())
        .collect()
}

fn pairs(model: &str, outcome: &str) -> Vec<(String, String)> {
    vec![(model.to_owned(), outcome.to_owned())]
}

#[test]
fn history_and_logs_go_only_when_two_runs_agree_about_the_date() {
    let env = roomy_world();
    keep(&env, "acme/tiny");
    env.line("schedules add hourly --every 1h --all").succeeds();
    tick(&env, MORNING);
    tick(&env, "2026-03-01T10:00:00Z");
    let kept = || {
        let runs = number(
            &env,
            "SELECT count(*) FROM runs WHERE started_at < 1800000000",
        );
        let logs = std::fs::read_dir(env.home().join("logs")).unwrap();
        let names = logs.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        (runs, names.filter(|name| name.starts_with("2026")).count())
    };
    assert_eq!(tick(&env, AHEAD), pairs("acme/tiny", "up-to-date"));
    assert_eq!(kept(), (2, 2), "the clock may be wrong");
    // A later run with the same date: the machine was off for years.
    tick(&env, "2031-03-01T10:00:00Z");
    assert_eq!(kept(), (0, 0));
}

#[test]
fn a_session_of_a_clock_that_was_ahead_serves_no_slot_of_today() {
    let env = roomy_world();
    keep_large(&env, "acme/large", 3 * MIB, 1);
    env.line("schedules add nightly --daily 03:00 --tz UTC --all")
        .succeeds();
    assert_eq!(tick(&env, AHEAD), pairs("acme/large", "updated"));
    tick(&env, "2026-03-01T09:15:00Z");
    let draft = env.hub().repo("acme/large").commit("main");
    draft
        .lfs(
            "model.safetensors",
            hfdl_test_hub::generated_bytes(3 * MIB, 2),
        )
        .publish();
    env.now("2026-03-02T03:00:00Z");
    env.line("run-due --max-transfer 1M").exits(8);
    assert_eq!(slots(&env, "nightly")[1], "2026-03-02T03:00:00Z");
    let resumed = tick(&env, "2026-03-02T03:15:00Z");
    assert_eq!(resumed, pairs("acme/large", "updated"), "it was cut short");
    assert_eq!(slots(&env, "nightly")[0], "2026-03-02T03:00:00Z");
}

#[test]
fn a_vanished_repository_is_asked_about_although_it_was_asked_in_the_future() {
    let env = roomy_world();
    keep(&env, "acme/gone");
    env.line("schedules add often --every 6h --all").succeeds();
    tick(&env, MORNING);
    env.hub().repo("acme/gone").delete();
    assert_eq!(tick(&env, AHEAD), pairs("acme/gone", "orphaned"));
    tick(&env, "2026-03-01T12:00:00Z");
    publish(&env, "acme/gone", "back again");
    let back = tick(&env, "2026-03-01T15:00:00Z");
    assert_eq!(back, pairs("acme/gone", "updated"));
}

#[test]
fn status_lists_and_metrics_do_not_tell_of_the_false_future() {
    let env = roomy_world();
    let metrics = env.root().join("hfdl.prom");
    env.line(&format!("config set metrics.file {}", metrics.display()))
        .succeeds();
    keep(&env, "acme/one");
    env.line("schedules add often --every 6h --all").succeeds();
    tick(&env, MORNING);
    // Forty days ahead the check fails, and then the clock is put right.
    let page = Fault::Garbage("text/html".into(), b"<html>".to_vec());
    env.hub().fault(On::api(Api::Info), page);
    env.now("2026-04-10T09:00:00Z").hfdl(["run-due"]).exits(1);
    env.now("2026-03-01T12:00:00Z");
    let told = status(&env);
    assert_eq!(told["models"][0]["last_outcome"], "updated");
    assert_eq!(told["models"][0]["last_success_at"], MORNING);
    assert_eq!(told["last_tick_at"], Value::Null);
    assert_eq!(told["warnings"][0]["kind"], "clock");
    env.line("status")
        .exits(1)
        .prints("wrong then or is wrong now");

    tick(&env, "2026-03-01T12:00:00Z");
    let told = status(&env);
    assert_eq!(told["last_tick_at"], "2026-03-01T12:00:00Z");
    assert!(!warnings(&env).contains(&"clock".to_owned()), "{told:#}");
    let text = std::fs::read_to_string(&metrics).unwrap();
    let starts = |line: &&str| line.starts_with("hfdl_run_last_");
    let last_run: Vec<&str> = text.lines().filter(starts).collect();
    assert_eq!(
        last_run,
        [
            "hfdl_run_last_start_timestamp_seconds 1772355600",
            "hfdl_run_last_duration_seconds 0",
            "hfdl_run_last_exit_code 0"
        ]
    );
    let outcome = "hfdl_model_outcome{model=\"acme/one\",outcome=\"updated\"} 1";
    assert!(text.contains(outcome), "{text}");
    let list = env.hfdl(["models", "list", "--json"]).json();
    assert_eq!(list["models"][0]["last_check_at"], MORNING);

    // When that day comes, the session of then is still not the newest.
    env.hub().heal();
    tick(&env, "2026-03-01T15:00:00Z");
    env.now("2026-04-10T09:00:01Z");
    assert_eq!(status(&env)["models"][0]["last_outcome"], "up-to-date");
}

#[test]
fn a_pause_of_a_clock_that_was_ahead_is_no_pause() {
    let env = roomy_world();
    keep(&env, "acme/one");
    env.line("schedules add often --every 6h --all").succeeds();
    env.now(AHEAD).line("pause --for 2h").succeeds();
    assert_eq!(tick(&env, MORNING), pairs("acme/one", "updated"));
    // Without an end it is a wish that no clock can undo.
    env.now(AHEAD).line("pause").succeeds();
    let ran = env.now("2026-03-01T15:00:00Z").hfdl(["run-due", "--json"]);
    assert_eq!(ran.json()["outcome"], "skipped-paused");
}

#[test]
fn a_run_ends_when_the_clock_is_put_back_out_of_its_window() {
    let env = roomy_world();
    keep_large(&env, "acme/large", 3 * MIB, 1);
    env.line("schedules add day --every 1h --all --tz UTC --window 09:00-17:00")
        .succeeds();
    let stall = Fault::StallAfter(1000);
    env.hub().fault(On::cdn("model.safetensors"), stall);
    // A minute passes backwards in a second.
    env.now("2026-03-01T09:00:30Z+-60");
    let ended = Victim::heard(env.command(["run-due", "--json"])).output();
    assert_eq!(ended.status.code(), Some(10), "{ended:?}");
    env.hub().heal();
    assert_eq!(cell(&env, "SELECT outcome FROM sessions"), "partial");
}

#[test]
fn a_run_lasts_no_longer_because_the_clock_is_put_back() {
    let env = roomy_world();
    keep_large(&env, "acme/large", 3 * MIB, 1);
    env.line("schedules add often --every 6h --all").succeeds();
    let stall = Fault::StallAfter(1000);
    env.hub().fault(On::cdn("model.safetensors"), stall);
    env.now("2026-03-01T09:05:00Z+-60");
    let ended = Victim::heard(env.command(["run-due", "--max-duration", "1s"])).output();
    assert_eq!(ended.status.code(), Some(10), "{ended:?}");
    env.hub().heal();
}

#[test]
fn a_clock_from_before_this_program_makes_status_unhealthy() {
    let env = roomy_world();
    keep(&env, "acme/one");
    env.line("schedules add often --every 6h --all").succeeds();
    tick(&env, MORNING);
    assert_eq!(warnings(&env), Vec::<String>::new());
    env.now("2015-06-01T00:00:00Z");
    env.line("run-due --trigger timer").exits(5);
    env.line("status")
        .exits(1)
        .prints("before this program was made");
    let text = std::fs::read_to_string(env.home().join("status.json")).unwrap();
    let left: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(left["healthy"], false);
    assert_eq!(left["warnings"][0]["kind"], "clock");
}

#[test]
fn the_grid_of_an_interval_starts_on_the_minute() {
    let env = roomy_world();
    keep(&env, "acme/one");
    env.now("2026-03-01T09:00:37Z");
    env.line("schedules add often --every 6h --all").succeeds();
    let next = env.line("schedules next often --count 1 --json").json();
    assert_eq!(next["slots"][0]["slot"], "2026-03-01T15:00:00Z");
    tick(&env, "2026-03-01T09:00:41Z");
    assert_eq!(slots(&env, "often")[0], MORNING, "due at once");
    assert_eq!(tick(&env, "2026-03-01T15:00:00Z").len(), 1);
}

#[test]
fn another_host_name_plans_all_schedules_anew() {
    let env = roomy_world();
    keep(&env, "acme/one");
    env.line("schedules add often --every 6h --all").succeeds();
    tick(&env, MORNING);
    // A test cannot rename its host.
    // The share of the jitter on the former host would have been an hour more.
    change(
        &env,
        "UPDATE schedules SET next_due_at = next_due_at + 3600;
        UPDATE meta SET value = 'former 15m' WHERE key = 'planned-for'",
    );
    assert_eq!(tick(&env, "2026-03-01T15:00:00Z").len(), 1);
}

#[test]
fn a_longer_period_of_the_timer_names_the_schedules_that_it_makes_impossible() {
    let env = roomy_world();
    keep(&env, "acme/one");
    for line in [
        "schedules add narrow --daily 03:00 --tz UTC --all --window 02:45-03:15",
        "schedules add late --daily 04:00 --tz UTC --all --catch-up-within 30m",
        "schedules add fine --daily 05:00 --tz UTC --all",
    ] {
        env.line(line).succeeds();
    }
    tick(&env, MORNING);
    let ran = env.line("config set timer.every 1h");
    ran.succeeds()
        .explains("the schedule `narrow` can never run now")
        .explains("the schedule `late` can never run now");
    assert!(!ran.stderr().contains("`fine`"), "{}", ran.report());
    let impossible = "schedule-impossible".to_owned();
    assert_eq!(warnings(&env), [impossible.clone(), impossible]);
    env.line("status").exits(1).prints("`narrow` can never run");
    env.line("config unset timer.every").succeeds().silently();
    assert_eq!(warnings(&env), Vec::<String>::new());
}

#[test]
fn a_monthly_check_is_not_too_old_after_a_week() {
    let env = roomy_world();
    keep(&env, "acme/one");
    keep(&env, "acme/never");
    env.line("schedules add monthly --monthly 1@09:00 --tz UTC --model acme/one")
        .succeeds();
    tick(&env, MORNING);
    let at = |at: &str| {
        env.now(at);
        warnings(&env)
    };
    assert_eq!(at("2026-03-30T09:00:00Z"), Vec::<String>::new());
    assert_eq!(at("2026-05-02T09:00:00Z"), ["timer-missing"]);
    assert_eq!(at("2026-05-02T09:00:01Z"), ["timer-missing", "stale-check"]);
    env.line("status")
        .prints("twice the longest gap of its schedule");
    // A model that was never checked is as old as its entry.
    env.line("schedules add weekly --weekly Mon@09:00 --tz UTC --model acme/never")
        .succeeds();
    env.line("status").prints("`acme/never` was added");
}

#[test]
fn a_dropped_slot_is_shown_by_status_and_not_mailed() {
    let env = roomy_world();
    keep(&env, "acme/one");
    env.line("schedules add strict --daily 03:00 --tz UTC --all --catch-up skip")
        .succeeds();
    env.line(
        "schedules add nightly --daily 12:00 --tz UTC --all --window 22:00-07:00 \
        --catch-up-within 1h",
    )
    .succeeds();
    tick(&env, "2026-03-01T20:00:00Z");
    let ran = env
        .now("2026-03-02T09:00:00Z")
        .hfdl(["run-due", "--trigger", "timer"]);
    ran.succeeds().silently();
    let missed = status(&env)["missed_slots"].clone();
    let missed: Vec<&str> = missed
        .as_array()
        .unwrap()
        .iter()
        .map(|slot| slot["message"].as_str().unwrap())
        .collect();
    assert_eq!(
        missed,
        [
            "`strict`: the slot of 2026-03-02T03:00:00Z, came too late to be caught up",
            "`nightly`: the slot of 2026-03-01T12:00:00Z, cannot run any more: its window is \
             closed, and the next one opens too late to catch up",
        ]
    );
    env.line("status").succeeds().prints("cannot run any more");
    // After a week it is no news.
    tick(&env, "2026-03-12T09:00:00Z");
    env.line("schedules disable strict nightly").succeeds();
    env.now("2026-03-20T09:00:00Z");
    assert_eq!(status(&env)["missed_slots"], Value::Array(Vec::new()));
}

#[test]
fn a_run_without_a_network_counts_no_failure() {
    let env = roomy_world();
    keep(&env, "acme/one");
    env.line("schedules add often --every 1h --all").succeeds();
    tick(&env, MORNING);
    env.set("HF_ENDPOINT", "http://no-such-host.invalid");
    for hour in 10..16 {
        env.now(&format!("2026-03-01T{hour}:00:00Z"));
        let ran = env.hfdl(["run-due", "--trigger", "timer"]);
        ran.exits(5).silently();
    }
    let model = "SELECT consecutive_failures FROM models";
    assert_eq!(number(&env, model), 0);
    assert_eq!(number(&env, "SELECT retry_count FROM schedules"), 0);
    assert_eq!(ask(&env, "SELECT * FROM alerts"), Vec::<String>::new());
    let failing = "SELECT count(*) FROM events WHERE kind = 'failing'";
    assert_eq!(number(&env, failing), 0);
    assert_eq!(warnings(&env), Vec::<String>::new());
}

#[test]
fn two_publications_of_one_second_are_both_in_the_history() {
    let env = roomy_world();
    keep(&env, "acme/one");
    let mut commits = Vec::new();
    for text in ["one", "two"] {
        commits.push(publish(&env, "acme/one", text));
        env.hfdl(["download", "acme/one"]).succeeds();
    }
    let history = ask(
        &env,
        "SELECT commit_sha FROM model_revisions ORDER BY published_at",
    );
    assert_eq!(history, commits);
}

#[test]
fn runs_of_one_second_are_listed_in_their_order() {
    let env = roomy_world();
    let names = ["acme/a", "acme/b", "acme/c", "acme/d", "acme/e", "acme/f"];
    for name in names {
        keep(&env, name);
        env.hfdl(["download", name]).succeeds();
    }
    let runs = env.hfdl(["runs", "list", "--json"]).json();
    let listed = runs["runs"].as_array().unwrap().iter().map(|run| {
        let id = run["run_id"].as_str().unwrap();
        cell(
            &env,
            &format!("SELECT model_name FROM sessions WHERE run_id = '{id}'"),
        )
    });
    let mut newest_first = names;
    newest_first.reverse();
    assert_eq!(listed.collect::<Vec<_>>(), newest_first);
    assert_eq!(env.hub().count(Api::Info), 12);
}
