//! Chunk lengths that a scrub or a verification records, for the first delta of a file.

use std::fs;
use std::path::PathBuf;

use hfdl_test_hub::{Api, sha256_hex};

use crate::support::env::TestEnv;
use crate::support::xet::{noise, world_with_xet};

const MIB: usize = 1 << 20;
const MODEL: &str = "model.safetensors";
const READ_AGAIN: &str = "the old version again";

fn publish(env: &TestEnv, bytes: &[u8]) {
    let draft = env.hub().repo("acme/tiny").commit("main");
    draft.stored(MODEL, bytes).publish();
}

fn edited(old: &[u8]) -> Vec<u8> {
    let mut new = old.to_vec();
    new.splice(MIB..MIB, noise(10_000, 9));
    new
}

/// Returns a home with a registered model, and the bytes of the model.
fn world_with_model(n_bytes: usize) -> (TestEnv, Vec<u8>) {
    let env = world_with_xet();
    let bytes = noise(n_bytes, 1);
    publish(&env, &bytes);
    env.line("models add acme/tiny").succeeds();
    env.line("download acme/tiny").succeeds();
    (env, bytes)
}

fn sidecar(env: &TestEnv, bytes: &[u8]) -> PathBuf {
    let name = format!("{}.xet", sha256_hex(bytes));
    env.cache().join("models--acme--tiny/.hfdl").join(name)
}

/// Updates the model; returns whether the old file was read for that.
#[track_caller]
fn update_reads_old_file(env: &TestEnv, new: &[u8]) -> bool {
    publish(env, new);
    env.hub().forget_requests();
    let ran = env.line("download acme/tiny --json -vv");
    ran.succeeds();
    let session = ran.json()["sessions"][0].clone();
    let fetched = session["bytes"]["fetched"].as_u64().unwrap();
    assert!(fetched < MIB as u64, "{fetched} bytes were fetched");
    assert_eq!(env.hub().count(Api::Reconstruction), 2);
    ran.report().contains(READ_AGAIN)
}

#[test]
fn a_file_that_was_never_read_again_is_read_for_its_first_delta() {
    let (env, old) = world_with_model(3 * MIB);
    assert!(!sidecar(&env, &old).exists());
    assert!(update_reads_old_file(&env, &edited(&old)));
}

#[test]
fn a_verification_records_the_chunks_of_what_it_reads() {
    let (env, old) = world_with_model(3 * MIB);
    env.line("verify").succeeds();
    assert!(sidecar(&env, &old).exists());
    env.line("verify").succeeds().silently();
    assert!(!update_reads_old_file(&env, &edited(&old)));
}

#[test]
fn a_scrub_records_the_chunks_of_what_it_reads_over_several_nights() {
    let (env, old) = world_with_model(3 * MIB + 12_345);
    env.set("HFDL_VERIFY_BUDGET", "1M");
    for day in 1..=28 {
        env.now(&format!("2026-05-{day:02}T02:00:00Z"));
        env.line("run-due --trigger timer").succeeds();
    }
    let whole = fs::read(sidecar(&env, &old)).unwrap();
    env.line("verify").succeeds().silently();
    assert_eq!(fs::read(sidecar(&env, &old)).unwrap(), whole);
    assert!(!update_reads_old_file(&env, &edited(&old)));
}

#[test]
fn recorded_chunks_that_do_not_match_the_terms_are_not_used() {
    let (env, old) = world_with_model(3 * MIB);
    let other = noise(3 * MIB, 2);
    let mut chunks = hfdl::xet::ChunkLengths::default();
    chunks.update(&other);
    let hash = hfdl::domain::xet::XetHash::ZERO;
    let map = hfdl::domain::xet::FileMap::of_lengths(hash, chunks.finish());
    let content = hfdl::domain::content::ContentId::from_etag(&sha256_hex(&old)).unwrap();
    hfdl::xet::sidecar::write(&sidecar(&env, &old), &content, old.len() as u64, &map).unwrap();
    assert!(update_reads_old_file(&env, &edited(&old)));
}

#[test]
fn nothing_is_recorded_where_deltas_are_off() {
    let (env, old) = world_with_model(3 * MIB);
    env.set("HFDL_DOWNLOAD_XET", "off");
    env.line("verify").succeeds();
    assert!(!sidecar(&env, &old).exists());
}
