//! `hfdl run-due` under limits: bytes, hours, windows, rates; whoever asked for
//! what; and how it goes on afterwards.

use std::time::Duration;

use hfdl_test_hub::{Api, Fault, On};
use serde_json::Value;

use crate::support::due::{keep_large, roomy_world, sessions, slots};
use crate::support::env::{Ran, TestEnv};

const MIB: usize = 1 << 20;
const MORNING: &str = "2026-03-01T09:00:00Z";

fn keep(env: &TestEnv, repo: &str, size: usize) {
    keep_large(env, repo, size, repo.len() as u64 + size as u64);
}

fn outcome(ran: &Ran, model: &str) -> String {
    let all = sessions(ran);
    let found = all.iter().rfind(|(name, ..)| name == model);
    found
        .unwrap_or_else(|| panic!("no `{model}` in {all:?}"))
        .1
        .clone()
}

#[test]
fn a_budget_of_bytes_ends_the_run_and_the_next_tick_goes_on_where_it_stopped() {
    let env = roomy_world();
    keep(&env, "acme/large", 12 * MIB);
    env.line("schedules add often --every 6h --all").succeeds();
    let first = env.line("run-due --json --max-transfer 5M");
    first.exits(8).silently();
    assert_eq!(outcome(&first, "acme/large"), "partial");
    assert_eq!(first.json()["outcome"], "partial");
    assert_eq!(slots(&env, "often")[..2], [Value::Null, MORNING.into()]);
    let second = env.now("2026-03-01T09:15:00Z").line("run-due --json");
    second.succeeds();
    assert_eq!(outcome(&second, "acme/large"), "updated");
    assert_eq!(slots(&env, "often")[..2], [MORNING.into(), Value::Null]);
    let (first, second) = (sessions(&first)[0].2, sessions(&second)[0].2);
    let size = 12 * MIB as u64;
    assert!(first >= 5 * MIB as u64, "{first}");
    assert!(
        first + second <= size + 4 * MIB as u64,
        "{first} + {second}"
    );
}

#[test]
fn a_schedule_s_own_budget_stops_its_models_and_no_others() {
    let env = roomy_world();
    keep(&env, "acme/large", 8 * MIB);
    keep(&env, "acme/other", 3 * MIB);
    env.line("schedules add tight --every 6h --model acme/large --max-transfer 2M")
        .succeeds();
    env.line("schedules add free --every 6h --model acme/other")
        .succeeds();
    let ran = env.line("run-due --json");
    ran.exits(8).silently();
    assert_eq!(outcome(&ran, "acme/large"), "partial");
    assert_eq!(outcome(&ran, "acme/other"), "updated");
    assert_eq!(slots(&env, "tight")[..2], [Value::Null, MORNING.into()]);
    assert_eq!(slots(&env, "free")[..2], [MORNING.into(), Value::Null]);
    let mut n_ticks = 1;
    while slots(&env, "tight")[0].is_null() {
        env.line("run-due");
        n_ticks += 1;
        assert!(n_ticks < 8, "each tick brings it nearer to its end");
    }
}

#[test]
fn one_model_of_two_schedules_goes_on_under_the_second_when_the_first_is_used_up() {
    let env = roomy_world();
    keep(&env, "acme/large", 8 * MIB);
    env.line("schedules add tight --every 6h --all --max-transfer 2M --priority 90")
        .succeeds();
    env.line("schedules add free --every 6h --model acme/large")
        .succeeds();
    let ran = env.line("run-due --json");
    ran.exits(8);
    let words: Vec<String> = sessions(&ran)
        .into_iter()
        .map(|(_, word, _)| word)
        .collect();
    assert_eq!(words, ["partial", "updated"]);
    assert_eq!(slots(&env, "free")[..2], [MORNING.into(), Value::Null]);
    assert_eq!(slots(&env, "tight")[1], MORNING);
    env.line("run-due").succeeds();
    assert_eq!(slots(&env, "tight")[..2], [MORNING.into(), Value::Null]);
}

#[test]
fn bytes_stop_when_the_window_closes_and_flow_again_when_it_opens() {
    let env = roomy_world();
    keep(&env, "acme/large", 3 * MIB);
    env.now("2026-03-01T22:30:00Z");
    env.line("schedules add nightly --every 24h --all --tz UTC --window 22:00-07:00")
        .succeeds();
    let hub = env.hub();
    hub.fault(
        On::cdn("model.safetensors"),
        Fault::Trickle(1 << 15, Duration::from_millis(100)),
    );
    // Two minutes before seven, sixty times as fast.
    let ran = env.now("2026-03-02T06:58:00Z+60").line("run-due --json");
    ran.exits(10).silently();
    assert_eq!(outcome(&ran, "acme/large"), "partial");
    let ran_until = ran.json()["finished_at"].as_str().unwrap().to_owned();
    assert!(ran_until.as_str() < "2026-03-02T07:10:00Z", "{ran_until}");
    hub.heal();
    hub.forget_requests();
    env.now("2026-03-02T12:00:00Z").line("run-due").succeeds();
    assert_eq!(hub.requests().len(), 0, "closed");
    let ran = env.now("2026-03-02T22:00:00Z").line("run-due --json");
    assert_eq!(outcome(&ran, "acme/large"), "updated");
    assert!(
        sessions(&ran)[0].2 < 3 * MIB as u64,
        "what came in the first night is used"
    );
}

#[test]
fn a_longest_duration_of_the_schedule_or_of_the_command_ends_in_time() {
    for (of_schedule, of_run) in [("--max-duration 1m", ""), ("", "--max-duration 1m")] {
        let env = roomy_world();
        keep(&env, "acme/large", 3 * MIB);
        env.line(&format!(
            "schedules add often --every 6h --all {of_schedule}"
        ))
        .succeeds();
        let slow = Fault::Trickle(1 << 15, Duration::from_millis(100));
        env.hub().fault(On::cdn("model.safetensors"), slow);
        let ran = env
            .now("2026-03-01T09:00:00Z+60")
            .line(&format!("run-due --json {of_run}"));
        ran.exits(10);
        assert_eq!(
            outcome(&ran, "acme/large"),
            "partial",
            "{of_schedule}{of_run}"
        );
    }
}

#[test]
fn small_models_are_whole_before_a_budget_ends_that_a_large_one_could_eat_alone() {
    let env = roomy_world();
    keep(&env, "acme/a-large", 30 * MIB);
    for number in 0..5 {
        keep(&env, &format!("acme/small{number}"), 2 * MIB + number);
    }
    env.line("schedules add often --every 6h --all --max-transfer 26M")
        .succeeds();
    let ran = env.line("run-due --json -c download.files=2");
    ran.exits(8);
    for number in 0..5 {
        assert_eq!(outcome(&ran, &format!("acme/small{number}")), "updated");
    }
    assert_eq!(outcome(&ran, "acme/a-large"), "partial");
}

#[test]
fn models_are_fetched_by_priority() {
    let env = roomy_world();
    for repo in ["acme/low", "acme/plain", "acme/dear", "acme/urgent"] {
        keep(&env, repo, 2 * MIB);
    }
    env.line("models set acme/dear --priority 80").succeeds();
    env.line("models set acme/low --priority 10").succeeds();
    env.line("schedules add all --every 6h --all").succeeds();
    env.line("schedules add first --every 6h --model acme/urgent --priority 90")
        .succeeds();
    env.hub().forget_requests();
    env.line("run-due -c download.files=1 -c download.connections=1")
        .succeeds();
    let requests = env.hub().requests();
    let mut order: Vec<String> = requests
        .iter()
        .filter(|request| request.api == Api::Resolve)
        .filter_map(|request| request.repo.clone())
        .collect();
    order.dedup();
    // The first one may be whichever was checked first; the queue keeps the order.
    let place = |repo: &str| order.iter().position(|name| name == repo);
    assert!(place("acme/dear") < place("acme/low"), "{order:?}");
    assert!(place("acme/plain") < place("acme/low"), "{order:?}");
    assert_eq!(place("acme/urgent"), Some(0), "{order:?}");
}

#[test]
fn a_rate_of_the_schedule_holds_for_its_models() {
    let env = roomy_world();
    keep(&env, "acme/large", 3 * MIB);
    env.line("schedules add slow --every 6h --all --limit-rate 64K")
        .succeeds();
    env.unset("HFDL_TEST_NO_PAUSES");
    // Thirty times as fast: a minute is two seconds of real time.
    let ran = env
        .now("2026-03-01T09:00:00Z+30")
        .line("run-due --json --max-duration 1m");
    ran.exits(10);
    let fetched = sessions(&ran)[0].2;
    assert!((1..MIB as u64).contains(&fetched), "{fetched}");
}

#[cfg(unix)]
#[test]
fn a_signal_ends_the_run_with_its_state_saved_and_its_slot_open() {
    use rustix::process::Signal;

    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let env = roomy_world();
        keep(&env, "acme/large", 3 * MIB);
        env.line("schedules add often --every 6h --all").succeeds();
        let slow = Fault::Trickle(1 << 15, Duration::from_millis(100));
        env.hub().fault(On::cdn("model.safetensors"), slow);
        let mut child = env.command(["run-due"]).spawn().unwrap();
        env.hub().wait_until("bytes flow", |requests| {
            requests.iter().any(|request| request.api == Api::Cdn)
        });
        crate::support::process::send(child.id(), signal);
        assert_eq!(child.wait().unwrap().code(), Some(code), "{signal:?}");
        assert_eq!(slots(&env, "often")[..2], [Value::Null, MORNING.into()]);
        let runs = env.line("runs list --json").json();
        assert_eq!(runs["runs"][0]["outcome"], "interrupted");
        env.hub().heal();
        env.line("run-due").succeeds();
        assert_eq!(slots(&env, "often")[..2], [MORNING.into(), Value::Null]);
    }
}
