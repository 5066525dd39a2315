//! A home that has been used for years: ten thousand models, a thousand
//! schedules, a million sessions. Times are measured in `scripts/bench/tick`.

use std::fs;
use std::process::Command;
use std::sync::{Arc, Barrier};

use hfdl::store::Store;
use hfdl_test_hub::{Api, On};

use crate::support::database::{ask, change, number};
use crate::support::due::roomy_world;
use crate::support::env::{NOW, TestEnv};
use crate::support::process::Victim;
use crate::support::sound::say;

/// Rows of years of use, which commands would take hours to make.
const YEARS_OF_USE: &str = include_str!("data/many.sql");

/// The largest tick that this test allows itself.
const MOST_MEMORY: u64 = 64 << 20;

fn old_home() -> TestEnv {
    let env = roomy_world();
    let store = Store::open(&env.database(), NOW.parse().unwrap()).unwrap();
    drop(store);
    change(&env, YEARS_OF_USE);
    env
}

/// Runs a command and returns its code and its peak memory, where the system tells.
fn peak_memory(command: Command) -> (Option<i32>, u64) {
    let mut process = Victim::start(command);
    let status = format!("/proc/{}/status", process.id());
    let mut peak = 0;
    loop {
        // It only ever grows, so the last reading counts.
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        peak = peak.max(kibibytes.unwrap_or(0) << 10);
        if let Some(ended) = process.has_ended() {
            return (ended.code(), peak);
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_hundred_due_models_that_have_not_changed_cost_a_request_each_at_the_same_time() {
    const AT_ONCE: usize = 4;
    let env = old_home();
    for n in 100..200 {
        let name = format!("acme/m{n}");
        let draft = env.hub().repo(&name).commit("main");
        draft.file("config.json", name.as_bytes()).publish();
    }

    // Nothing is due among all of that: nobody is asked, nothing is said, no run is made.
    let runs = "SELECT count(*) FROM runs";
    let (n_runs, before) = (number(&env, runs), ask(&env, "SELECT * FROM schedules"));
    env.line("run-due --trigger timer").succeeds().silently();
    assert_eq!(env.hub().requests().len(), 0);
    assert_eq!(number(&env, runs), n_runs);
    assert_eq!(ask(&env, "SELECT * FROM schedules"), before);

    // The first night fetches the hundred models of one schedule.
    let due = "UPDATE schedules SET next_due_at = 1 WHERE name = 's1'";
    change(&env, due);
    env.line("run-due").succeeds();
    let known = "SELECT count(*) FROM models WHERE published_commit IS NOT NULL";
    assert_eq!(number(&env, known), 100);

    // In the next one nothing has changed. The first answers wait for each other.
    env.hub().forget_requests();
    let together = Arc::new(Barrier::new(AT_ONCE));
    for n in 0..AT_ONCE {
        let together = together.clone();
        env.hub().before(On::api(Api::Info).skip(n), move || {
            together.wait();
        });
    }
    env.now("2026-03-02T09:00:00Z");
    let (code, peak) = peak_memory(env.command(["run-due"]));
    assert_eq!(code, Some(0));
    assert_eq!(env.hub().count(Api::Info), 100);
    assert_eq!(
        env.hub().requests().len(),
        100,
        "{}",
        env.hub().describe_requests()
    );
    let outcomes = "SELECT outcome, count(*) FROM sessions
        WHERE started_at >= unixepoch('2026-03-02') GROUP BY outcome";
    assert_eq!(ask(&env, outcomes), ["up-to-date | 100"]);
    let served = "SELECT datetime(last_slot_at, 'unixepoch') FROM schedules WHERE name = 's1'";
    assert_eq!(ask(&env, served), ["2026-03-02 01:30:00"]);
    // Of the years before, the last session of each model is left.
    assert_eq!(number(&env, "SELECT count(*) FROM sessions"), 10_100);
    say(&format!("peak {} KiB", peak >> 10));
    assert!(peak <= MOST_MEMORY, "{peak} bytes");
    assert!(peak > 0 || !cfg!(target_os = "linux"));
}
