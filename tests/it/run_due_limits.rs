//! `hfdl run-due` under limits: bytes, hours, windows, rates; whoever asked for
//! what; and how it goes on afterwards.

use std::time::Duration;

use hfdl_test_hub::{Api, Fault, On, generated_bytes};
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
fn priorities_say_who_comes_first() {
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
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let env = roomy_world();
        keep(&env, "acme/large", 3 * MIB);
        env.line("schedules add often --every 6h --all").succeeds();
        let slow = Fault::Trickle(1 << 15, Duration::from_millis(100));
        env.hub().fault(On::cdn("model.safetensors"), slow);
        let mut child = env.command(["run-due"]).spawn().unwrap();
        env.hub().wait_until("bytes flow", |requests| {
            requests.iter().any(|request| request.api == Api::Cdn)
        });
        let pid = child.id().to_string();
        let killed = std::process::Command::new("kill")
            .args(["-s", signal, &pid])
            .status();
        assert!(killed.unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(code), "{signal}");
        assert_eq!(slots(&env, "often")[..2], [Value::Null, MORNING.into()]);
        let runs = env.line("runs list --json").json();
        assert_eq!(runs["runs"][0]["outcome"], "interrupted");
        env.hub().heal();
        env.line("run-due").succeeds();
        assert_eq!(slots(&env, "often")[..2], [MORNING.into(), Value::Null]);
    }
}

/// Body bytes of files that the hub has sent since its requests were forgotten.
fn sent(env: &TestEnv) -> u64 {
    let requests = env.hub().requests();
    let of_files = requests.iter().filter(|request| {
        matches!(
            request.api,
            Api::Cdn | Api::Resolve | Api::ResolveCache | Api::Xorb
        ) && request.status < 300
    });
    of_files.map(|request| request.bytes_sent).sum()
}

/// Runs one night after the other until the model is whole; returns how many
/// bytes the hub sent and how many the sessions say.
fn nights(env: &TestEnv, most_nights: u32, limits: &str) -> (u64, u64, u32) {
    env.hub().forget_requests();
    let mut fetched = 0;
    for night in 1..=most_nights {
        let before = sent(env);
        let ran = env
            .now(&format!("2026-04-{night:02}T01:00:00Z"))
            .line(&format!("run-due --json {limits}"));
        let here: u64 = sessions(&ran).iter().map(|(_, _, bytes)| *bytes).sum();
        fetched += here;
        let there = sent(env) - before;
        assert!(
            there <= here + here / 20 + (64 << 10),
            "night {night}: the hub sent {there}, the session says {here}\n{}",
            ran.report()
        );
        match ran.code() {
            Some(0) => return (sent(env), fetched, night),
            Some(8) => {}
            _ => panic!("{}", ran.report()),
        }
    }
    panic!("not whole after {most_nights} nights");
}

#[test]
fn nights_under_a_budget_ask_for_no_more_than_may_come() {
    for (of_schedule, of_run, connections) in [
        ("--max-transfer 2M", "", 16),
        ("", "--max-transfer 2M", 16),
        ("--max-transfer 2M", "--max-transfer 3M", 1),
    ] {
        let env = roomy_world();
        let size = 9 * MIB as u64;
        keep(&env, "acme/large", 9 * MIB);
        env.line(&format!(
            "schedules add night --daily 00:30 --all {of_schedule}"
        ))
        .succeeds();
        let limits = format!("{of_run} -c download.connections={connections}");
        let (sent, fetched, n) = nights(&env, 7, &limits);
        let most = size + size / 20 + (64 << 10);
        assert!(sent <= most && fetched <= most, "{sent}, {fetched}");
        assert_eq!(n, 5, "each night brings all that it may");
    }
}

#[test]
fn a_budget_is_shared_among_many_files_and_connections() {
    let env = roomy_world();
    let (mut size, mut draft) = (0, env.hub().repo("acme/many").commit("main"));
    for number in 0..30 {
        let n = 40_000 + 7_000 * number;
        draft = draft.file(
            &format!("part-{number}.json"),
            generated_bytes(n, 100 + number as u64),
        );
        size += n as u64;
    }
    for number in 0..3 {
        let n = 4 * MIB + number;
        draft = draft.lfs(
            &format!("large-{number}.bin"),
            generated_bytes(n, number as u64),
        );
        size += n as u64;
    }
    draft.publish();
    env.line("models add acme/many").succeeds();
    env.line("schedules add night --daily 00:30 --all --max-transfer 3M")
        .succeeds();
    let (sent, fetched, n) = nights(&env, 12, "");
    let most = size + size / 20 + (256 << 10);
    assert!(
        sent <= most && fetched <= most,
        "{sent}, {fetched} of {size}"
    );
    // Small files that do not fit wait for the next night.
    assert!(n <= 8, "{n} nights");
}

#[test]
fn a_small_file_that_does_not_fit_is_not_asked_for() {
    let env = roomy_world();
    let repo = env.hub().repo("acme/small");
    repo.commit("main")
        .file("large.json", generated_bytes(600_000, 1))
        .file("small.json", generated_bytes(20_000, 2))
        .publish();
    env.line("models add acme/small").succeeds();
    env.line("schedules add night --daily 00:30 --all")
        .succeeds();
    env.hub().forget_requests();
    let ran = env
        .now("2026-04-01T01:00:00Z")
        .line("run-due --json --max-transfer 100K");
    ran.exits(8);
    let session = &ran.json()["sessions"][0];
    assert_eq!(session["outcome"], "partial");
    assert_eq!(session["bytes"]["fetched"], 20_000);
    assert_eq!(sent(&env), 20_000);
    env.line("run-due --max-transfer 10K").exits(8);
    env.line("run-due").succeeds();
    assert_eq!(sent(&env), 620_000);
}

#[test]
fn a_budget_that_is_exactly_enough_is_enough() {
    let env = roomy_world();
    keep(&env, "acme/large", 3 * MIB);
    env.line("schedules add night --daily 00:30 --all")
        .succeeds();
    let size: u64 = {
        let dry = env
            .now("2026-04-01T01:00:00Z")
            .line("run-due --dry-run --json");
        dry.json()["models"][0]["bytes"]["to_fetch"]
            .as_u64()
            .unwrap()
    };
    let ran = env.line(&format!("run-due --json --max-transfer {size}"));
    assert_eq!(outcome(ran.succeeds(), "acme/large"), "updated");
}
