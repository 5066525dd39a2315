//! `hfdl run-due` against a real hub: what is due is done, once, and the truth
//! about it is in the database and in the exit code.

use std::time::Duration;

use hfdl_test_hub::{Api, Fault, On, Port, generated_bytes};
use serde_json::Value;

use crate::support::database::{cell, change};
use crate::support::due::{keep_large, outcomes, roomy_world, slots};
use crate::support::env::TestEnv;

const MIB: usize = 1 << 20;

/// 09:00 on a Sunday, and what comes after it.
const MORNING: &str = "2026-03-01T09:00:00Z";
const NOON: &str = "2026-03-01T12:00:00Z";
const NEXT_DAY: &str = "2026-03-02T09:30:00Z";

fn publish(env: &TestEnv, repo: &str, text: &str) -> String {
    let draft = env.hub().repo(repo).commit("main");
    draft.file("config.json", text.as_bytes()).publish()
}

/// Publishes and registers models.
fn keep(env: &TestEnv, repos: &[&str]) {
    for repo in repos {
        publish(env, repo, repo);
        env.hfdl(["models", "add", repo]).succeeds();
    }
}

fn events(env: &TestEnv, kind: &str) -> usize {
    let sql = format!("SELECT count(*) FROM events WHERE kind = '{kind}'");
    cell(env, &sql).parse().unwrap()
}

fn pairs(wanted: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = wanted.iter().map(|(a, b)| (a.to_string(), b.to_string()));
    owned.collect()
}

#[test]
fn a_tick_before_anything_is_set_up_leaves_nothing() {
    let env = roomy_world();
    env.hfdl(["run-due"]).succeeds().silently();
    assert!(!env.home().exists());
    assert_eq!(
        env.hfdl(["run-due", "--json"]).json()["run_id"],
        Value::Null
    );
    env.hfdl(["run-due", "--schedule", "nightly"])
        .exits(2)
        .explains("there is no schedule `nightly`");
}

#[test]
fn a_due_slot_is_served_once() {
    let env = roomy_world();
    keep(&env, &["acme/one", "acme/two"]);
    env.line("schedules add often --every 6h --all").succeeds();
    let ran = env.hfdl(["run-due", "--json", "--trigger", "timer"]);
    ran.succeeds().silently();
    assert_eq!(
        outcomes(&ran),
        pairs(&[("acme/one", "updated"), ("acme/two", "updated")])
    );
    let document = ran.json();
    assert_eq!(document["schema"], "hfdl.run/1");
    assert_eq!(
        (&document["due"], &document["outcome"]),
        (&2.into(), &"ok".into())
    );
    assert_eq!(document["trigger"], "timer");
    let session = &document["sessions"][0];
    assert_eq!(
        (&session["schedule"], &session["trigger"]),
        (&"often".into(), &"timer".into())
    );
    assert_eq!(
        slots(&env, "often"),
        [MORNING.into(), Value::Null, Value::Null]
    );

    env.hub().forget_requests();
    env.now(NOON).hfdl(["run-due"]).succeeds().silently();
    assert_eq!(env.hub().requests().len(), 0, "nothing due asks nobody");
    assert_eq!(
        cell(&env, "SELECT count(*) FROM runs"),
        "1",
        "an idle tick is no run"
    );
    assert_eq!(
        cell(&env, "SELECT value FROM meta WHERE key = 'last-tick'"),
        NOON
    );
    assert_eq!(
        cell(&env, "SELECT value FROM meta WHERE key = 'last-timer-tick'"),
        MORNING
    );

    env.now("2026-03-01T15:00:00Z");
    let ran = env.hfdl(["run-due", "--json"]);
    ran.succeeds();
    assert_eq!(
        outcomes(&ran),
        pairs(&[("acme/one", "up-to-date"), ("acme/two", "up-to-date")])
    );
    assert_eq!(
        env.hub().count(Api::Info),
        2,
        "one request for each unchanged model"
    );
    assert_eq!(env.hub().requests().len(), 2);
}

#[test]
fn two_schedules_of_one_model_share_one_check() {
    let env = roomy_world();
    keep(&env, &["acme/one", "acme/two"]);
    env.line("schedules add all --every 6h --all --priority 10")
        .succeeds();
    env.line("schedules add some --every 3h --model acme/one --priority 90")
        .succeeds();
    env.hub().forget_requests();
    let ran = env.hfdl(["run-due", "--json"]);
    ran.succeeds();
    assert_eq!(outcomes(&ran).len(), 2);
    assert_eq!(env.hub().count(Api::Info), 2);
    let sessions = ran.json()["sessions"].as_array().unwrap().clone();
    let of = |model: &str| {
        let found = sessions.iter().find(|session| session["model"] == model);
        found.unwrap()["schedule"].clone()
    };
    assert_eq!(
        (of("acme/one"), of("acme/two")),
        ("some".into(), "all".into())
    );
    for schedule in ["all", "some"] {
        assert_eq!(slots(&env, schedule)[0], MORNING, "{schedule}");
    }
}

#[test]
fn a_model_of_an_unreachable_hub_is_tried_again() {
    let env = roomy_world();
    keep(&env, &["acme/one"]);
    env.line("schedules add often --every 6h --all").succeeds();
    env.hfdl(["run-due"]).succeeds();
    env.now("2026-03-01T15:00:00Z");
    env.hub().close_port(Port::Hub);
    let ran = env.hfdl(["run-due", "--json"]);
    ran.exits(5).explains("could not check `acme/one`");
    assert_eq!(outcomes(&ran), pairs(&[("acme/one", "could-not-check")]));
    assert_eq!(ran.json()["sessions"][0]["error_kind"], "network");
    let [last, open, retry] = slots(&env, "often");
    assert_eq!(
        (last, open),
        (MORNING.into(), "2026-03-01T15:00:00Z".into())
    );
    let retry = retry.as_str().unwrap().to_owned();
    assert!(
        ("2026-03-01T15:04:30Z".."2026-03-01T15:05:31Z").contains(&retry.as_str()),
        "{retry}"
    );

    env.hub().open_port(Port::Hub);
    env.now("2026-03-01T15:02:00Z").hfdl(["run-due"]).succeeds();
    assert_eq!(
        slots(&env, "often")[1],
        "2026-03-01T15:00:00Z",
        "still waiting"
    );
    let ran = env.now("2026-03-01T15:15:00Z").hfdl(["run-due", "--json"]);
    assert_eq!(outcomes(&ran), pairs(&[("acme/one", "up-to-date")]));
    assert_eq!(
        slots(&env, "often"),
        ["2026-03-01T15:00:00Z".into(), Value::Null, Value::Null]
    );
    let shown = env.hfdl(["models", "show", "acme/one", "--json"]).json();
    let model = shown.get("model").unwrap_or(&shown);
    assert_eq!(model["last_check_at"], "2026-03-01T15:15:00Z");
    assert_eq!(model["last_change_at"], MORNING);
    assert_eq!((events(&env, "failing"), events(&env, "recovered")), (1, 1));
}

#[test]
fn a_run_without_a_network_leaves_its_slot_open() {
    let env = roomy_world();
    keep(&env, &["acme/one"]);
    env.line("schedules add often --every 6h --all").succeeds();
    env.set("HF_ENDPOINT", "http://no-such-host.invalid");
    for _ in 0..2 {
        let ran = env.hfdl(["run-due", "--json"]);
        ran.exits(5);
        assert_eq!(outcomes(&ran), pairs(&[("acme/one", "could-not-check")]));
        let expected = [Value::Null, MORNING.into(), Value::Null];
        assert_eq!(slots(&env, "often"), expected, "the next tick tries again");
    }
    env.set("HF_ENDPOINT", &env.hub().endpoint());
    env.hfdl(["run-due"]).succeeds();
    assert_eq!(slots(&env, "often")[0], MORNING);
}

#[test]
fn a_failure_that_needs_a_person_serves_its_slot_with_its_own_exit_code() {
    let env = roomy_world();
    keep(&env, &["acme/gated", "acme/good"]);
    env.hub()
        .repo("acme/gated")
        .gated(hfdl_test_hub::Gate::Auto);
    env.line("schedules add often --every 6h --all").succeeds();
    let ran = env.hfdl(["run-due"]);
    ran.exits(4)
        .explains("hfdl: 1 of 2 models needs a look: acme/gated: ");
    ran.explains("accept the terms");
    assert_eq!(
        slots(&env, "often"),
        [MORNING.into(), Value::Null, Value::Null]
    );
    assert_eq!(events(&env, "gated"), 1);
    assert_eq!(
        cell(
            &env,
            "SELECT upstream_state FROM models WHERE name = 'acme/gated'"
        ),
        "gated"
    );
    env.hfdl(["run-due"]).succeeds().silently();
}

#[test]
fn a_deleted_repository_is_reported_once_kept_and_checked_once_a_day() {
    let env = roomy_world();
    keep(&env, &["acme/gone"]);
    env.line("schedules add often --every 1h --all").succeeds();
    env.hfdl(["run-due"]).succeeds();
    env.hub().repo("acme/gone").delete();
    env.now("2026-03-01T10:00:00Z");
    let ran = env.hfdl(["run-due", "--json"]);
    ran.exits(1)
        .explains("`acme/gone` is gone upstream; the local copy is kept");
    assert_eq!(outcomes(&ran), pairs(&[("acme/gone", "orphaned")]));
    env.hub().forget_requests();
    env.now("2026-03-01T11:00:00Z");
    let ran = env.hfdl(["run-due", "--json"]);
    ran.succeeds().silently();
    assert_eq!(env.hub().requests().len(), 0, "asked an hour ago");
    let skipped = &ran.json()["skipped"][0];
    assert_eq!(skipped["model"], "acme/gone");
    assert_eq!(slots(&env, "often")[0], "2026-03-01T11:00:00Z");
    env.now("2026-03-02T10:00:00Z").hfdl(["run-due"]).exits(1);
    assert_eq!(events(&env, "orphaned"), 1, "told once");
    let readable = env.cache().join("models--acme--gone/snapshots");
    assert!(readable.read_dir().unwrap().next().is_some());
    publish(&env, "acme/gone", "back again");
    let ran = env.now("2026-03-03T11:00:00Z").hfdl(["run-due", "--json"]);
    assert_eq!(outcomes(&ran), pairs(&[("acme/gone", "updated")]));
}

#[test]
fn a_renamed_repository_is_followed_and_noted_once() {
    let env = roomy_world();
    keep(&env, &["acme/old"]);
    env.line("schedules add often --every 1h --all").succeeds();
    env.hfdl(["run-due"]).succeeds();
    env.hub().repo("acme/old").rename("acme/new");
    for hour in ["10", "11"] {
        env.now(&format!("2026-03-01T{hour}:00:00Z"));
        let ran = env.hfdl(["run-due", "--json"]);
        ran.succeeds();
        assert_eq!(outcomes(&ran), pairs(&[("acme/old", "up-to-date")]));
    }
    assert_eq!(events(&env, "renamed"), 1);
    assert_eq!(cell(&env, "SELECT upstream_state FROM models"), "renamed");
    let detail = cell(&env, "SELECT detail FROM events WHERE kind = 'renamed'");
    assert_eq!(detail, "`acme/old` is called `acme/new` now");
}

#[test]
fn wrong_bytes_a_full_disk_and_odd_answers_have_kinds_and_codes_of_their_own() {
    let cases: &[(Fault, &str, i32, &str)] = &[
        (Fault::FlipByteAt(3), "failed", 3, "integrity"),
        (Fault::Status(404), "failed", 1, "not-found"),
    ];
    for (fault, outcome, code, kind) in cases {
        let env = roomy_world();
        keep(&env, &["acme/one"]);
        env.line("schedules add often --every 6h --all").succeeds();
        env.hub().fault(On::content("config.json"), fault.clone());
        let ran = env.hfdl(["run-due", "--json"]);
        ran.exits(*code);
        assert_eq!(outcomes(&ran), pairs(&[("acme/one", outcome)]), "{fault:?}");
        assert_eq!(ran.json()["sessions"][0]["error_kind"], *kind, "{fault:?}");
        assert_eq!(
            slots(&env, "often")[0],
            MORNING,
            "{fault:?}: nothing to wait for"
        );
    }
    let env = roomy_world();
    keep(&env, &["acme/one"]);
    env.line("schedules add often --every 6h --all").succeeds();
    let ran = env.hfdl(["run-due", "--json", "-c", "disk.reserve=900000G"]);
    ran.exits(6);
    assert_eq!(ran.json()["sessions"][0]["error_kind"], "disk");

    let env = roomy_world();
    keep(&env, &["acme/one"]);
    env.line("schedules add often --every 6h --all").succeeds();
    env.hub().fault(
        On::api(Api::Info),
        Fault::TooManyRequests(hfdl_test_hub::Hint::Nothing),
    );
    let ran = env.hfdl(["run-due", "--json", "-c", "download.retries=0"]);
    ran.exits(5);
    assert_eq!(ran.json()["sessions"][0]["error_kind"], "rate-limit");
    env.hub().heal();
    env.hub().fault(
        On::api(Api::Info),
        Fault::Garbage("text/html".into(), b"<html>".to_vec()),
    );
    let ran = env.now(NOON).hfdl(["run-due", "--json"]);
    ran.exits(1);
    assert_eq!(ran.json()["sessions"][0]["error_kind"], "hub");
}

#[test]
fn a_rolled_back_model_is_held_without_a_warning() {
    let env = roomy_world();
    keep(&env, &["acme/one"]);
    env.line("schedules add often --every 6h --all").succeeds();
    env.hfdl(["run-due"]).succeeds();
    publish(&env, "acme/one", "newer");
    env.line("download acme/one").succeeds();
    env.line("models rollback acme/one").succeeds();
    let ran = env.now("2026-03-01T15:00:00Z").hfdl(["run-due", "--json"]);
    ran.succeeds().silently();
    assert_eq!(outcomes(&ran), pairs(&[("acme/one", "held")]));
    assert_eq!(slots(&env, "often")[0], "2026-03-01T15:00:00Z");
}

#[test]
fn missed_slots_are_answered_by_one_run_or_recorded_as_missed() {
    let env = roomy_world();
    keep(&env, &["acme/one"]);
    env.line("schedules add nightly --daily 03:00 --tz UTC --all")
        .succeeds();
    env.line(
        "schedules add strict --daily 03:00 --tz UTC --tag none --model acme/one --catch-up skip",
    )
    .succeeds();
    env.hfdl(["run-due"]).succeeds();
    assert_eq!(
        slots(&env, "nightly")[0],
        Value::Null,
        "the first slot has not come"
    );
    env.now("2026-03-05T09:00:00Z");
    let ran = env.hfdl(["run-due", "--json"]);
    ran.succeeds();
    assert_eq!(outcomes(&ran).len(), 1);
    for schedule in ["nightly", "strict"] {
        let expected = ["2026-03-05T03:00:00Z".into(), Value::Null, Value::Null];
        assert_eq!(slots(&env, schedule), expected, "{schedule}");
    }
    assert_eq!(ran.json()["sessions"][0]["schedule"], "nightly");
    assert_eq!(events(&env, "missed-slot"), 1);
    let detail = cell(&env, "SELECT detail FROM events WHERE kind = 'missed-slot'");
    assert_eq!(
        detail,
        "`strict`: 4 slots, the last one of 2026-03-05T03:00:00Z, came too late to be caught up"
    );
}

#[test]
fn a_slot_whose_window_has_closed_waits_and_says_so_once() {
    let env = roomy_world();
    keep_large(&env, "acme/large", 3 * MIB, 1);
    env.now("2026-03-01T23:00:00Z");
    env.line("schedules add nightly --every 12h --all --tz UTC --window 22:00-07:00")
        .succeeds();
    env.line("run-due --max-transfer 1M").exits(8).silently();
    for minute in ["00", "15", "30"] {
        env.now(&format!("2026-03-02T09:{minute}:00Z"));
        env.hfdl(["run-due"]).succeeds().silently();
    }
    assert_eq!(events(&env, "skipped"), 1);
    assert_eq!(cell(&env, "SELECT count(*) FROM runs"), "2");
    assert_eq!(
        cell(
            &env,
            "SELECT n_sessions FROM runs ORDER BY started_at DESC LIMIT 1"
        ),
        "0"
    );
    assert_eq!(slots(&env, "nightly")[1], "2026-03-01T23:00:00Z");
    // A run that names the schedule records it each time.
    env.hfdl(["run-due", "--schedule", "nightly"]).succeeds();
    assert_eq!(events(&env, "skipped"), 2);
    let ran = env.now("2026-03-02T22:00:00Z").hfdl(["run-due", "--json"]);
    assert_eq!(outcomes(&ran), pairs(&[("acme/large", "updated")]));
    assert_eq!(
        slots(&env, "nightly")[0],
        "2026-03-02T11:00:00Z",
        "the newer slot took over"
    );
}

#[test]
fn a_pause_makes_ticks_record_that_they_skipped() {
    let env = roomy_world();
    keep(&env, &["acme/one"]);
    env.line("schedules add often --every 6h --all").succeeds();
    env.line("pause --until 2026-03-01T12:00:00Z --reason moving")
        .succeeds();
    env.hub().forget_requests();
    env.hfdl(["run-due"]).succeeds().silently();
    assert_eq!(env.hub().requests().len(), 0);
    assert_eq!(cell(&env, "SELECT outcome FROM runs"), "skipped-paused");
    let detail = cell(&env, "SELECT detail FROM events WHERE kind = 'skipped'");
    assert_eq!(
        detail,
        "ticks are paused until 2026-03-01T12:00:00Z: moving"
    );
    assert_eq!(
        env.hfdl(["run-due", "--json"]).json()["outcome"],
        "skipped-paused"
    );
    env.now("2026-03-01T12:00:00Z").hfdl(["run-due"]).succeeds();
    assert_eq!(slots(&env, "often")[0], MORNING, "the pause is over");
}

#[test]
fn only_the_named_schedules_count() {
    let env = roomy_world();
    keep(&env, &["acme/one", "acme/two"]);
    env.line("schedules add a --every 6h --model acme/one")
        .succeeds();
    env.line("schedules add b --every 6h --model acme/two")
        .succeeds();
    let ran = env.hfdl(["run-due", "--schedule", "b", "--json"]);
    assert_eq!(outcomes(&ran), pairs(&[("acme/two", "updated")]));
    assert_eq!(slots(&env, "a")[0], Value::Null);
    env.hfdl(["run-due", "--schedule", "c"])
        .exits(2)
        .explains("there is no schedule `c`");
    let ran = env.hfdl(["run-due", "--json"]);
    assert_eq!(outcomes(&ran), pairs(&[("acme/one", "updated")]));
}

#[test]
fn a_schedule_without_models_is_served_at_once() {
    let env = roomy_world();
    publish(&env, "acme/one", "1");
    env.hfdl(["models", "add", "acme/one", "--tag", "llm"])
        .succeeds();
    env.line("schedules add tagged --every 6h --tag llm")
        .succeeds();
    env.line("models disable acme/one").succeeds();
    env.hfdl(["run-due"]).succeeds().silently();
    assert_eq!(slots(&env, "tagged")[0], MORNING);
}

#[test]
fn a_dry_run_answers_for_any_moment_and_writes_nothing() {
    let env = roomy_world();
    keep(&env, &["acme/one"]);
    env.line("schedules add nightly --daily 03:00 --tz UTC --all --window 02:00-05:00")
        .succeeds();
    let before = env.database_content();
    let ran = env.hfdl(["run-due", "--dry-run"]);
    ran.succeeds().prints("nothing is due");
    let ran = env.line("run-due --dry-run --at '2026-03-02 03:10' --json");
    ran.succeeds();
    let document = ran.json();
    assert_eq!(document["schema"], "hfdl.due/1");
    let schedule = &document["schedules"][0];
    assert_eq!(
        (&schedule["state"], &schedule["late"]),
        (&"due".into(), &600.into())
    );
    assert_eq!(schedule["deadline"], "2026-03-02T05:00:00Z");
    assert_eq!(document["models"][0]["bytes"]["to_fetch"], 8);
    let ran = env.line("run-due --dry-run --at '2026-03-02 06:00' --json");
    assert_eq!(ran.json()["schedules"][0]["state"], "closed");
    env.line("run-due --at '2026-03-02 06:00'").exits(2);
    assert_eq!(env.database_content(), before);
    assert!(!env.cache().exists());
    env.hub().close_port(Port::Hub);
    env.line("run-due --dry-run --at '2026-03-02 03:10'")
        .exits(5)
        .prints("due");
}

#[test]
fn a_schedule_that_becomes_due_during_a_long_run_is_not_held_up_by_it() {
    let env = roomy_world();
    keep_large(&env, "acme/large", 3 * MIB, 1);
    keep(&env, &["acme/small"]);
    env.line("schedules add long --every 6h --model acme/large")
        .succeeds();
    env.line("schedules add soon --daily 09:10 --tz UTC --model acme/small")
        .succeeds();
    // Ten minutes pass in half a second, while the large file hangs.
    env.set("HFDL_TEST_NOW", "2026-03-01T09:00:00Z+1200");
    env.hub()
        .fault(On::cdn("model.safetensors"), Fault::StallAfter(1000));
    let child = env
        .command(["run-due", "--json"])
        .stdout(std::process::Stdio::piped())
        .spawn();
    let child = child.unwrap();
    env.hub()
        .wait_until("the small model was fetched", |requests| {
            requests.iter().any(|request| {
                request.repo.as_deref() == Some("acme/small")
                    && request.api != Api::Info
                    && request.file.is_some()
            })
        });
    env.hub().heal();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let schedules: Vec<_> = document["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| (s["schedule"].clone(), s["outcome"].clone()))
        .collect();
    assert_eq!(
        schedules,
        [
            ("long".into(), "updated".into()),
            ("soon".into(), "updated".into())
        ]
    );
    assert_eq!(document["due"], 2);
}

#[test]
fn missed_ticks_of_the_timer_are_recorded_once() {
    let env = roomy_world();
    keep(&env, &["acme/one"]);
    let tick = |at: &str| {
        env.now(at)
            .hfdl(["run-due", "--trigger", "timer"])
            .succeeds();
        events(&env, "missed-tick")
    };
    assert_eq!(tick(MORNING), 0);
    assert_eq!(tick("2026-03-01T09:15:00Z"), 0);
    assert_eq!(tick(NOON), 1);
    assert_eq!(tick("2026-03-01T12:15:00Z"), 1);
    env.now(NEXT_DAY).hfdl(["run-due"]).succeeds();
    assert_eq!(
        events(&env, "missed-tick"),
        1,
        "a run by hand is no tick of the timer"
    );
}

#[test]
fn a_clock_set_back_is_recorded_and_a_clock_before_this_program_stops_the_run() {
    let env = roomy_world();
    keep(&env, &["acme/one"]);
    env.line("schedules add often --every 6h --all").succeeds();
    env.hfdl(["run-due"]).succeeds();
    env.now("2026-03-01T08:30:00Z").hfdl(["run-due"]).succeeds();
    assert_eq!(events(&env, "clock-back"), 1);
    assert_eq!(slots(&env, "often")[0], MORNING, "nothing runs twice");
    let before = env.database_content();
    env.now("1970-01-01T00:10:00Z")
        .hfdl(["run-due"])
        .exits(5)
        .explains("the clock is wrong");
    assert_eq!(env.database_content(), before);
    // Weeks back: the history lies in the future and is forgotten.
    env.now("2026-02-01T08:30:00Z").hfdl(["run-due"]).succeeds();
    assert_eq!(events(&env, "clock-reset"), 1);
    env.now("2026-02-01T15:00:00Z").hfdl(["run-due"]).succeeds();
    assert_eq!(
        slots(&env, "often")[0],
        "2026-02-01T15:00:00Z",
        "the old grid"
    );
    assert_eq!(events(&env, "clock-reset"), 1);
}

#[test]
fn a_stop_request_in_the_database_ends_the_run_with_its_state_saved() {
    let env = roomy_world();
    let hub = env.hub();
    hub.repo("acme/large")
        .commit("main")
        .lfs("model.safetensors", generated_bytes(3 * MIB, 1))
        .publish();
    env.hfdl(["models", "add", "acme/large"]).succeeds();
    env.line("schedules add often --every 6h --all").succeeds();
    hub.fault(
        On::cdn("model.safetensors"),
        Fault::Trickle(1 << 16, Duration::from_millis(200)),
    );
    let mut child = env.command(["run-due"]).spawn().unwrap();
    hub.wait_until("bytes flow", |requests| {
        requests.iter().any(|r| r.api == Api::Cdn)
    });
    // `hfdl stop` writes this for a process that it cannot signal.
    change(
        &env,
        "UPDATE runs SET stop_requested_at = started_at WHERE finished_at IS NULL",
    );
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert_eq!(cell(&env, "SELECT outcome FROM runs"), "interrupted");
    assert_eq!(cell(&env, "SELECT outcome FROM sessions"), "partial");
    assert_eq!(slots(&env, "often")[1], MORNING, "the slot stays open");
    hub.heal();
    let ran = env.hfdl(["run-due", "--json"]);
    ran.succeeds();
    assert_eq!(outcomes(&ran), pairs(&[("acme/large", "updated")]));
    assert_eq!(slots(&env, "often")[0], MORNING);
}
