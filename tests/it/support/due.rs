//! Environments for tests of `run-due`, and questions about slots and sessions.

use hfdl_test_hub::generated_bytes;
use serde_json::Value;

use super::env::{Ran, TestEnv};

/// Returns an environment without a reserve on the disk, so that any disk is large enough.
pub fn roomy_world() -> TestEnv {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    env
}

/// Publishes a repository of one large file and registers it.
pub fn keep_large(env: &TestEnv, repo: &str, size: usize, seed: u64) {
    let draft = env.hub().repo(repo).commit("main");
    draft
        .lfs("model.safetensors", generated_bytes(size, seed))
        .publish();
    env.hfdl(["models", "add", repo]).succeeds();
}

/// Returns the slots of a schedule: served, unfinished, to be retried.
pub fn slots(env: &TestEnv, schedule: &str) -> [Value; 3] {
    let shown = env.hfdl(["schedules", "show", schedule, "--json"]).json();
    ["last_slot_at", "open_slot_at", "retry_at"].map(|field| shown[field].clone())
}

/// Returns model, outcome and fetched bytes of each session of a run, by model.
pub fn sessions(ran: &Ran) -> Vec<(String, String, u64)> {
    let document = ran.json();
    let sessions = document["sessions"].as_array().unwrap().iter();
    let mut all: Vec<_> = sessions
        .map(|session| {
            let text = |field: &str| session[field].as_str().unwrap().to_owned();
            let fetched = session["bytes"]["fetched"].as_u64().unwrap();
            (text("model"), text("outcome"), fetched)
        })
        .collect();
    all.sort();
    all
}

/// Returns model and outcome of each session of a run, by model.
pub fn outcomes(ran: &Ran) -> Vec<(String, String)> {
    let all = sessions(ran).into_iter();
    all.map(|(model, outcome, _)| (model, outcome)).collect()
}
