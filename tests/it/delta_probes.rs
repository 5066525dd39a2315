//! Updates to a file whose storage has long terms: the newer file was uploaded first, so
//! that the older one is stored as pieces of it.

use std::fs;

use hfdl_test_hub::{Api, Fault, On, XetService};

use crate::support::env::TestEnv;
use crate::support::xet::{noise, world_with_xet};

const MIB: usize = 1 << 20;
const MODEL: &str = "model.safetensors";
const N_EDITS: usize = 5;

/// Returns a home with the older file, whose repository has the newer one now.
fn world_on_the_way_back() -> (TestEnv, Vec<u8>) {
    let env = world_with_xet();
    let newer = noise(8 * MIB, 1);
    let mut older = newer.clone();
    for n in 1..=N_EDITS {
        let at = newer.len() / (N_EDITS + 1) * n;
        older[at..at + 1000].copy_from_slice(&noise(1000, n as u64));
    }
    let upload = env.hub().repo("acme/other").commit("main");
    upload.stored(MODEL, newer.clone()).publish();
    publish(&env, &older);
    env.line("download acme/tiny").succeeds();
    publish(&env, &newer);
    env.hub().forget_requests();
    (env, newer)
}

fn publish(env: &TestEnv, bytes: &[u8]) {
    let draft = env.hub().repo("acme/tiny").commit("main");
    draft.stored(MODEL, bytes).publish();
}

fn configure(env: &TestEnv, change: impl FnOnce(&mut XetService)) {
    let settings = |settings: &mut hfdl_test_hub::Settings| {
        change(settings.xet.as_mut().unwrap());
    };
    env.hub().configure(settings);
}

/// Updates the file and returns the number of fetched bytes.
#[track_caller]
fn update(env: &TestEnv, newer: &[u8]) -> u64 {
    let ran = env.line("download acme/tiny --json");
    ran.succeeds();
    let session = ran.json()["sessions"][0].clone();
    let path = session["path"].as_str().unwrap();
    assert!(fs::read(format!("{path}/{MODEL}")).unwrap() == newer);
    session["bytes"]["fetched"].as_u64().unwrap()
}

fn n_probes(env: &TestEnv) -> usize {
    let requests = env.hub().requests();
    let probes = requests
        .iter()
        .filter(|request| request.api == Api::Reconstruction && request.range().is_some());
    probes.count()
}

#[test]
fn chunks_within_a_long_term_are_located_with_one_request_for_each_run() {
    for has_second_form in [true, false] {
        let (env, newer) = world_on_the_way_back();
        configure(&env, |xet| xet.second_form = has_second_form);
        let fetched = update(&env, &newer);
        assert!(fetched < MIB as u64 * 5 / 4, "{fetched} bytes were fetched");
        assert_eq!(n_probes(&env), N_EDITS - 1, "{has_second_form}");
    }
}

#[test]
fn storage_that_answers_with_whole_terms_is_not_asked_again() {
    let (env, newer) = world_on_the_way_back();
    configure(&env, |xet| xet.whole_terms = true);
    let fetched = update(&env, &newer);
    assert!(fetched > 5 * MIB as u64, "{fetched} bytes were fetched");
    assert!(n_probes(&env) < N_EDITS);
}

#[test]
fn probes_that_fail_leave_the_delta_that_is_known_without_them() {
    let (env, newer) = world_on_the_way_back();
    env.set("HFDL_TEST_NO_PAUSES", "1");
    let probes = On::api(Api::Reconstruction).ranged();
    env.hub().fault(probes, Fault::Status(404));
    let fetched = update(&env, &newer);
    assert!(fetched > 5 * MIB as u64, "{fetched} bytes were fetched");
    assert!(fetched < newer.len() as u64, "both ends are copied");
}

#[test]
fn a_file_that_needs_no_positions_costs_no_probe() {
    let env = world_with_xet();
    let older = noise(4 * MIB, 3);
    let mut newer = older.clone();
    newer[2 * MIB..2 * MIB + 1000].copy_from_slice(&noise(1000, 4));
    publish(&env, &older);
    env.line("download acme/tiny").succeeds();
    publish(&env, &newer);
    assert!(update(&env, &newer) < MIB as u64);
    assert_eq!(n_probes(&env), 0);
}
