//! Waits that a server asks for, and the requests that they delay.

use std::time::{Duration, Instant};

use hfdl::domain::time::Timestamp;
use hfdl_test_hub::{Api, Fault, Hint, On};
use serde_json::Value;

use crate::support::database::{ask, change, number};
use crate::support::due::{keep_large, outcomes, roomy_world, slots};
use crate::support::env::TestEnv;
use crate::support::process::Victim;

const MIB: usize = 1 << 20;

fn keep(env: &TestEnv, repo: &str) {
    let draft = env.hub().repo(repo).commit("main");
    draft.file("config.json", repo.as_bytes()).publish();
    env.hfdl(["models", "add", repo]).succeeds();
}

fn refuse(env: &TestEnv, hint: Hint) {
    let refusal = Fault::TooManyRequests(hint);
    env.hub().fault(On::api(Api::Info), refusal);
}

fn retry_after_seconds(env: &TestEnv, schedule: &str, now: &str) -> i64 {
    let at = slots(env, schedule)[2].clone();
    let at: Timestamp = at.as_str().unwrap().parse().unwrap();
    at.as_second() - now.parse::<Timestamp>().unwrap().as_second()
}

#[test]
fn a_retry_after_header_sets_the_time_of_the_retry() {
    for (hint, seconds) in [(600, 600), (1_800, 1_800), (9_999_999, 86_400)] {
        let env = roomy_world();
        keep(&env, "acme/one");
        // The next slot is nearer than the time that the server names.
        env.line("schedules add often --every 15m --all").succeeds();
        refuse(&env, Hint::RetryAfter(hint));
        env.hfdl(["run-due"]).exits(5);
        let wait = retry_after_seconds(&env, "often", "2026-03-01T09:00:00Z");
        assert_eq!(wait, seconds, "Retry-After: {hint}");
    }
}

#[test]
fn ticks_before_the_named_time_end_at_once_and_say_so_once() {
    let env = roomy_world();
    keep(&env, "acme/one");
    keep(&env, "acme/two");
    env.line("schedules add one --every 6h --model acme/one")
        .succeeds();
    env.line("schedules add two --daily 09:05 --tz UTC --model acme/two")
        .succeeds();
    refuse(&env, Hint::RetryAfter(1_800));
    env.hfdl(["run-due", "--trigger", "timer"]).exits(5);
    env.hub().heal();
    env.hub().forget_requests();

    // Another schedule is due; nobody is asked, and nothing is waited for.
    env.unset("HFDL_TEST_NO_PAUSES");
    let begun = Instant::now();
    for minute in ["10", "20"] {
        env.now(&format!("2026-03-01T09:{minute}:00Z"));
        let ran = env.hfdl(["run-due", "--trigger", "timer"]);
        ran.exits(5).silently();
    }
    assert!(begun.elapsed() < Duration::from_secs(20));
    let ran = env.hfdl(["run-due"]);
    ran.exits(5)
        .explains("the Hub allows no more requests until 2026-03-01 09:30 UTC");
    let ran = env.hfdl(["run-due", "--json"]);
    assert_eq!(
        (&ran.json()["exit_code"], &ran.json()["due"]),
        (&5.into(), &0.into())
    );
    assert_eq!(env.hub().requests().len(), 0);
    let told = "SELECT count(*) FROM events WHERE kind = 'skipped'";
    assert_eq!(number(&env, told), 1);
    let until = env.hfdl(["status", "--json"]).json()["asked_to_wait_until"].clone();
    assert_eq!(until, "2026-03-01T09:30:00Z");
    env.line("status").prints("allows no more requests until");
    env.line("download acme/one")
        .exits(5)
        .explains("the Hub allows no more requests until 2026-03-01 09:30 UTC");

    let ran = env.now("2026-03-01T09:30:00Z").hfdl(["run-due", "--json"]);
    ran.succeeds();
    let expected = ["acme/one", "acme/two"].map(|name| (name.to_owned(), "updated".to_owned()));
    assert_eq!(outcomes(&ran), expected);
}

#[test]
fn a_rate_limit_header_delays_no_longer_than_its_window() {
    let env = roomy_world();
    keep(&env, "acme/one");
    env.line("schedules add often --every 6h --all").succeeds();
    refuse(&env, Hint::RateLimit(3_000_000_000));
    env.hfdl(["run-due"]).exits(5);
    let wait = retry_after_seconds(&env, "often", "2026-03-01T09:00:00Z");
    assert!((270..=330).contains(&wait), "{wait}");
    let latest = "SELECT max(resets_at) FROM rate_limits WHERE remaining = 0";
    let now: Timestamp = "2026-03-01T09:00:00Z".parse().unwrap();
    assert_eq!(number(&env, latest), now.as_second() + 330);
    env.hub().heal();
    let ran = env.now("2026-03-01T09:15:00Z").hfdl(["run-due", "--json"]);
    ran.succeeds();
    assert_eq!(outcomes(&ran)[0].1, "updated");
}

#[test]
fn times_of_another_century_that_an_older_version_kept_are_not_believed() {
    let env = roomy_world();
    keep(&env, "acme/one");
    env.line("schedules add often --every 6h --all").succeeds();
    let endpoint = env.hub().endpoint();
    change(
        &env,
        &format!(
            "INSERT INTO rate_limits VALUES ('{endpoint}', 'api', 0, 4772358000)
                ON CONFLICT DO UPDATE SET remaining = 0, resets_at = excluded.resets_at;
            UPDATE schedules SET open_slot_at = anchor_at, retry_at = 4772358000, retry_count = 1"
        ),
    );
    env.unset("HFDL_TEST_NO_PAUSES");
    let begun = Instant::now();
    let ran = env.hfdl(["run-due", "--json"]);
    ran.succeeds();
    assert_eq!(outcomes(&ran)[0].1, "updated");
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_newer_slot_that_crashes_does_not_wait_for_the_older_ones_retry() {
    let env = roomy_world();
    keep(&env, "acme/one");
    env.line("schedules add often --every 1h --all").succeeds();
    env.hub().fault(On::any(), Fault::Status(503));
    for at in ["09:00", "09:20"] {
        env.now(&format!("2026-03-01T{at}:00Z"));
        env.hfdl(["run-due"]).exits(5);
    }
    env.hub().heal();
    // The retry of the older slot is later than the newer slot.
    change(&env, "UPDATE schedules SET retry_at = anchor_at + 7200");
    env.now("2026-03-01T10:00:00Z");
    env.set("HFDL_TEST_CRASH_AT", "slots claimed");
    env.hfdl(["run-due"]);
    env.unset("HFDL_TEST_CRASH_AT");
    assert_eq!(
        ask(&env, "SELECT retry_at, retry_count FROM schedules"),
        ["- | 0"]
    );
    let ran = env.now("2026-03-01T10:15:00Z").hfdl(["run-due", "--json"]);
    assert_eq!(outcomes(&ran)[0].1, "updated");
}

#[test]
fn a_wait_for_the_hub_ends_with_the_time_of_the_run() {
    let env = roomy_world();
    keep(&env, "acme/one");
    let used_up = Fault::Header("RateLimit".to_owned(), "\"api\";r=0;t=120".to_owned());
    env.hub().fault(On::any(), used_up);
    env.hfdl(["download", "acme/one"]).succeeds();
    env.hub().heal();
    env.unset("HFDL_TEST_NO_PAUSES");
    let begun = Instant::now();
    env.line("download acme/one --max-duration 1s").exits(10);
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_wait_between_attempts_ends_with_the_window() {
    let env = roomy_world();
    keep_large(&env, "acme/large", MIB, 1);
    env.line("schedules add day --every 1h --all --tz UTC --window 09:00-17:00")
        .succeeds();
    refuse(&env, Hint::RetryAfter(300));
    env.unset("HFDL_TEST_NO_PAUSES");
    env.now("2026-03-01T16:59:00Z+30");
    let begun = Instant::now();
    let ended = Victim::heard(env.command(["run-due", "--json"])).output();
    assert_eq!(ended.status.code(), Some(10), "{ended:?}");
    assert!(begun.elapsed() < Duration::from_secs(60));
    let document: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(document["sessions"][0]["outcome"], "partial");
}
