//! The life of a schedule on the command line, and the slots that it plans.

use serde_json::{Value, json};

use crate::support::env::TestEnv;

fn with_models() -> TestEnv {
    let env = TestEnv::new();
    env.line("models add acme/tiny --tag llm --no-check")
        .succeeds();
    env.line("models add acme/other --no-check").succeeds();
    env
}

fn slots(env: &TestEnv, line: &str) -> Vec<Value> {
    let document = env.line(line).succeeds().json();
    document["slots"].as_array().unwrap().clone()
}

fn column<'v>(slots: &'v [Value], field: &str) -> Vec<&'v str> {
    slots
        .iter()
        .map(|slot| slot[field].as_str().unwrap_or("-"))
        .collect()
}

#[test]
fn a_schedule_is_added_listed_changed_and_removed() {
    let env = with_models();
    env.line("schedules add nightly --daily 02:30 --all --tz Europe/Berlin --window 22:00-07:00")
        .succeeds()
        .silently()
        .prints("added `nightly`: 2 models, next due Mon 02:30 CET, in 16 h");
    env.line("schedules list")
        .succeeds()
        .prints("daily 02:30")
        .prints("Europe/Berlin");

    env.line("schedules set nightly --weekly Sat@03:00 --tag llm --max-duration 2h --name weekend")
        .succeeds()
        .prints("changed `weekend`: 1 model");
    let shown = env.line("schedule show weekend --json").succeeds().json();
    assert_eq!(shown["cadence"], "weekly");
    assert_eq!(shown["all"], false);
    assert_eq!(shown["tags"], json!(["llm"]));
    assert_eq!(shown["covers"], json!(["acme/tiny"]));
    assert_eq!(shown["max_duration"], "2h");
    assert_eq!(
        shown["windows"],
        json!(["22:00-07:00"]),
        "not named, not changed"
    );

    env.line("schedules disable weekend").succeeds();
    env.line("schedules list").succeeds().prints("disabled");
    assert!(slots(&env, "schedules next --json").is_empty());
    env.line("schedules enable weekend").succeeds();
    env.line("schedules set weekend --no-window --no-max-duration")
        .succeeds();
    let shown = env.line("schedules show weekend --json").json();
    assert_eq!(
        (&shown["windows"], &shown["max_duration"]),
        (&json!([]), &json!(null))
    );

    env.line("schedules remove weekend --yes")
        .succeeds()
        .prints("removed `weekend`");
    env.line("schedules list")
        .succeeds()
        .explains("no schedules");
    env.line("models list").succeeds().prints("acme/tiny");
}

#[test]
fn an_interval_is_due_at_once_and_a_calendar_waits_for_its_slot() {
    let env = with_models();
    env.line("schedules add often --every 6h --all")
        .succeeds()
        .prints("next due now");
    env.line("schedules add daily --daily 08:00 --all")
        .succeeds()
        .prints("next due Mon 08:00 UTC, in 23 h");
    let due = env.line("models show acme/tiny --json").json();
    assert_eq!(due["next_due_at"], "2026-03-01T09:00:00Z");
    assert_eq!(due["schedules"], json!(["daily", "often"]));
}

#[test]
fn overlaps_and_empty_selections_are_worth_a_warning() {
    let env = with_models();
    env.line("schedules add a --daily 02:30 --all").succeeds();
    let ran = env.line("schedules add b --daily 02:30 --tag llm --json");
    ran.succeeds()
        .explains("warning: schedule `a` updates `acme/tiny` at the same time");
    assert_eq!(ran.json()["warnings"].as_array().unwrap().len(), 1);
    env.line("schedules add c --daily 05:00 --tag nobody")
        .succeeds()
        .explains("warning: `c` includes no model yet");
}

#[test]
fn a_schedule_of_a_removed_model_covers_nothing() {
    let env = with_models();
    env.line("schedules add a --daily 02:30 --model acme/tiny")
        .succeeds();
    env.line("models remove acme/tiny --yes").succeeds();
    let shown = env.line("schedules show a --json").succeeds().json();
    assert_eq!(shown["covers"], json!([]));
}

#[test]
fn slots_that_the_clocks_skip_or_repeat_come_once() {
    let env = with_models();
    env.line("schedules add n --daily 02:30 --tz Europe/Berlin --all")
        .succeeds();
    let spring = slots(&env, "schedules next n --from 2026-03-28 --count 3 --json");
    assert_eq!(
        column(&spring, "slot_local"),
        [
            "2026-03-28T02:30:00+01:00",
            "2026-03-29T03:00:00+02:00",
            "2026-03-30T02:30:00+02:00"
        ]
    );
    let autumn = slots(&env, "schedules next n --from 2026-10-24 --count 3 --json");
    assert_eq!(
        column(&autumn, "slot_local"),
        [
            "2026-10-24T02:30:00+02:00",
            "2026-10-25T02:30:00+02:00",
            "2026-10-26T02:30:00+01:00"
        ]
    );
    assert_eq!(
        column(&autumn, "slot"),
        [
            "2026-10-24T00:30:00Z",
            "2026-10-25T00:30:00Z",
            "2026-10-26T01:30:00Z"
        ]
    );
}

#[test]
fn windows_say_when_a_slot_starts_and_must_end() {
    let env = with_models();
    env.line("schedules add n --daily 12:00 --window 22:00-07:00 --all")
        .succeeds();
    let next = slots(&env, "schedules next --count 1 --json");
    assert_eq!(column(&next, "slot"), ["2026-03-01T12:00:00Z"]);
    assert_eq!(column(&next, "starts"), ["2026-03-01T22:00:00Z"]);
    assert_eq!(column(&next, "window_ends"), ["2026-03-02T07:00:00Z"]);
}

#[test]
fn every_cadence_plans_its_slots() {
    let env = with_models();
    for (cadence, expected) in [
        (
            "--every 6h",
            ["2026-03-01T09:00:00Z", "2026-03-01T15:00:00Z"],
        ),
        (
            "--daily 02:30,14:00",
            ["2026-03-01T14:00:00Z", "2026-03-02T02:30:00Z"],
        ),
        (
            "--weekly Mon,Thu@02:00",
            ["2026-03-02T02:00:00Z", "2026-03-05T02:00:00Z"],
        ),
        (
            "--monthly 1,last@04:00",
            ["2026-03-31T04:00:00Z", "2026-04-01T04:00:00Z"],
        ),
        (
            "--cron '15 */6 * * *'",
            ["2026-03-01T12:15:00Z", "2026-03-01T18:15:00Z"],
        ),
        (
            "--cron @weekly",
            ["2026-03-08T00:00:00Z", "2026-03-15T00:00:00Z"],
        ),
    ] {
        env.line(&format!("schedules add x --all {cadence}"))
            .succeeds();
        let next = slots(&env, "schedules next x --count 2 --json");
        assert_eq!(column(&next, "slot"), expected, "{cadence}");
        env.line("schedules remove x -y").succeeds();
    }
    env.line("schedules add x --once '2026-06-01 08:00' --tz Europe/Berlin --all")
        .succeeds();
    let next = slots(&env, "schedules next x --json");
    assert_eq!(column(&next, "slot"), ["2026-06-01T06:00:00Z"]);
}

#[test]
fn slots_of_a_disabled_schedule_are_not_caught_up() {
    let env = with_models();
    env.line("schedules add n --daily 02:30 --all").succeeds();
    env.line("schedules disable n").succeeds();
    env.now("2026-03-10T09:00:00Z");
    env.line("schedules enable n").succeeds();
    let shown = env.line("schedules show n --json").json();
    assert_eq!(shown["next_due_at"], "2026-03-11T02:30:00Z");
}

#[test]
fn day_31_of_a_shorter_month_is_its_last_day() {
    let env = with_models();
    env.line("schedules add m --monthly 31@04:00 --all")
        .succeeds();
    let next = slots(&env, "schedules next m --count 3 --json");
    assert_eq!(
        column(&next, "slot"),
        [
            "2026-03-31T04:00:00Z",
            "2026-04-30T04:00:00Z",
            "2026-05-31T04:00:00Z"
        ]
    );
}

#[test]
fn jitter_moves_the_start_and_stays_the_same() {
    let env = with_models();
    env.line("schedules add n --daily 02:00 --jitter 30m --all")
        .succeeds();
    env.line("schedules add m --daily 02:00 --jitter 29m --model acme/tiny")
        .succeeds();
    let first = slots(&env, "schedules next --json");
    assert_eq!(first, slots(&env, "schedules next --json"));
    let start = |slot: &Value| slot["starts"].as_str().unwrap().to_owned();
    assert!(first.iter().any(|slot| slot["starts"] != slot["slot"]));
    assert!(first.iter().all(|slot| {
        let starts = start(slot);
        let at = &starts["2026-03-01T".len()..];
        ("02:00:00Z".."02:30:00Z").contains(&at)
    }));
}
