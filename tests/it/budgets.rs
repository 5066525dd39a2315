//! Budgets of bytes bound what is asked for, not only what is counted: the
//! server sends what it was asked for, whether it is read or not.

use hfdl_test_hub::{Api, Fault, On, Port, generated_bytes};

use crate::support::due::{keep_large, roomy_world, sessions};
use crate::support::env::TestEnv;
use crate::support::xet::noise;

const MIB: usize = 1 << 20;

fn keep_model(env: &TestEnv, repo: &str, size: usize) {
    keep_large(env, repo, size, 7);
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
        keep_model(&env, "acme/large", 9 * MIB);
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
    keep_model(&env, "acme/large", 3 * MIB);
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
    ran.succeeds();
    assert_eq!(sessions(&ran)[0].1, "updated");
}

#[test]
fn chunks_are_asked_for_within_the_budget_too() {
    let env = roomy_world();
    env.hub().serve_xet();
    let size = 9 * MIB;
    env.hub()
        .repo("acme/large")
        .commit("main")
        .stored("model.safetensors", noise(size, 5))
        .publish();
    env.line("models add acme/large").succeeds();
    env.line("schedules add night --daily 00:30 --all --max-transfer 2M")
        .succeeds();
    // Where the plain file is refused its chunks are all there is.
    env.hub()
        .fault(On::cdn("model.safetensors"), Fault::Status(403));
    env.hub().forget_requests();
    let mut n_nights = 0;
    loop {
        n_nights += 1;
        let before = sent(&env);
        let ran = env
            .now(&format!("2026-04-{n_nights:02}T01:00:00Z"))
            .line("run-due --json");
        let here = sent(&env) - before;
        assert!(here <= 2 * MIB as u64, "night {n_nights} sent {here}");
        match ran.code() {
            Some(0) => break,
            Some(8) if n_nights < 9 => {}
            _ => panic!("{}", ran.report()),
        }
    }
    // Of each request up to a chunk at each end comes again.
    let most = size as u64 + n_nights * (256 << 10);
    assert!(sent(&env) <= most, "{} in {n_nights} nights", sent(&env));
    let by_chunks = |request: &hfdl_test_hub::Request| request.api == Api::Xorb;
    assert!(env.hub().requests().iter().any(by_chunks));
}

#[test]
fn a_server_that_ignores_ranges_is_read_no_further_than_the_budget() {
    let env = roomy_world();
    keep_model(&env, "acme/large", 9 * MIB);
    env.line("schedules add night --daily 00:30 --all")
        .succeeds();
    env.hub()
        .fault(On::cdn("model.safetensors"), Fault::IgnoreRange);
    let ran = env
        .now("2026-04-01T01:00:00Z")
        .line("run-due --json --max-transfer 5M");
    ran.exits(8);
    assert_eq!(sessions(&ran)[0].2, 5 * MIB as u64);
    env.hub().heal();
    let ran = env.line("run-due --json");
    ran.succeeds();
    assert_eq!(sessions(&ran)[0].2, 4 * MIB as u64);
}

#[test]
fn attempts_that_broke_count_and_the_budget_holds() {
    let env = roomy_world();
    keep_model(&env, "acme/large", 6 * MIB);
    env.line("schedules add night --daily 00:30 --all")
        .succeeds();
    env.hub().forget_requests();
    env.hub()
        .fault(On::port(Port::Cdn).times(3), Fault::CutAfter(300 << 10));
    let ran = env
        .now("2026-04-01T01:00:00Z")
        .line("run-due --json --max-transfer 4M");
    ran.exits(8);
    assert!(sent(&env) <= 4 * MIB as u64, "{}", sent(&env));
    assert_eq!(sessions(&ran)[0].2, 4 * MIB as u64);
}
