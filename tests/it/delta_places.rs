//! Deltas in directories, and of files that are damaged.

use std::fs;
use std::path::PathBuf;

use hfdl_test_hub::{Api, Fault, On};
use serde_json::Value;

use crate::support::damage::flip;
use crate::support::env::TestEnv;
use crate::support::xet::{noise, world_with_xet as world};

const MIB: usize = 1 << 20;
const FILE: &str = "model.bin";

/// Noise that ends where a chunk ends, so that a file made of such parts is
/// made of exactly their chunks.
fn part(n: usize, seed: u64) -> Vec<u8> {
    let mut bytes = noise(n, seed);
    let mut end = 0;
    hfdl::xet::Chunker::new().update(&bytes, &mut |_, length| end += length as usize);
    bytes.truncate(end);
    bytes
}

fn publish(env: &TestEnv, bytes: &[u8]) {
    let draft = env.hub().repo("acme/tiny").commit("main");
    draft.stored(FILE, bytes).publish();
}

/// Publishes a file of four xorbs of some two MiB each.
fn publish_in_xorbs(env: &TestEnv) -> Vec<u8> {
    let mut whole = Vec::new();
    for seed in 1..=4 {
        let bytes = part(2 * MIB, seed);
        let draft = env.hub().repo("acme/parts").commit("main");
        draft.stored("part", bytes.clone()).publish();
        whole.extend(bytes);
    }
    publish(env, &whole);
    whole
}

fn bytes(session: &Value, name: &str) -> u64 {
    session["bytes"][name].as_u64().unwrap()
}

fn newest_session(env: &TestEnv) -> Value {
    let list = env.line("sessions list --limit 1 --json").json();
    list["sessions"][0].clone()
}

fn sent(env: &TestEnv) -> u64 {
    let requests = env.hub().requests();
    let content = requests
        .iter()
        .filter(|request| matches!(request.api, Api::Cdn | Api::Xorb));
    content.map(|request| request.bytes_sent).sum()
}

#[test]
fn a_directory_that_is_not_registered_is_updated_by_its_notes() {
    let env = world();
    let mut model = noise(5 * MIB, 1);
    publish(&env, &model);
    env.line("download acme/tiny --to dir").succeeds();
    let dir = env.root().join("work/dir");
    for seed in 2..4 {
        model.splice(MIB..MIB, noise(20_000, seed));
        publish(&env, &model);
        env.hub().forget_requests();
        env.line("download acme/tiny --to dir").succeeds();
        assert!(fs::read(dir.join(FILE)).unwrap() == model);
        let session = newest_session(&env);
        assert!(bytes(&session, "fetched") < MIB as u64, "{session:#}");
        assert_eq!(bytes(&session, "fetched"), sent(&env));
        assert_eq!(session["reused_from"][0]["kind"], "old-file");
    }
}

#[test]
fn an_edited_file_is_no_source_of_a_delta() {
    let env = world();
    let mut model = noise(5 * MIB, 1);
    for seed in 2..4 {
        // The second time leaves behind what the file is made of.
        model.splice(2 * MIB..2 * MIB, noise(20_000, seed));
        publish(&env, &model);
        env.line("download acme/tiny --to dir").succeeds();
    }
    let path = env.root().join("work/dir").join(FILE);
    let mut edited = model.clone();
    edited[3 * MIB] ^= 1;
    fs::write(&path, edited).unwrap();
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(later).unwrap();
    drop(file);
    model.splice(MIB..MIB, noise(20_000, 2));
    publish(&env, &model);
    env.line("download acme/tiny --to dir").succeeds();
    let session = newest_session(&env);
    assert_eq!(
        bytes(&session, "fetched"),
        model.len() as u64,
        "each byte once"
    );
    assert!(!env.database_content().contains("delta-abandoned"));
}

#[test]
fn a_damaged_file_is_repaired_with_what_is_still_right_in_it() {
    for to in ["", " --to dir"] {
        let env = world();
        let model = publish_in_xorbs(&env);
        env.line(&format!("models add acme/tiny{to}")).succeeds();
        env.line("download acme/tiny").succeeds();
        let folder: PathBuf = newest_session(&env)["path"].as_str().unwrap().into();
        let path = fs::canonicalize(folder.join(FILE)).unwrap();
        flip(&path, 3 * MIB);
        env.hub().forget_requests();
        let ran = env.line("verify --repair --yes");
        ran.succeeds().prints("repaired");
        assert!(fs::read(folder.join(FILE)).unwrap() == model);
        let session = newest_session(&env);
        let fetched = bytes(&session, "fetched");
        assert!(fetched <= 2 * MIB as u64, "{session:#}");
        assert_eq!(fetched, sent(&env));
        assert_eq!(fetched + bytes(&session, "reused"), model.len() as u64);
        assert_eq!(session["reused_from"][0]["kind"], "old-file");
        env.line("verify").succeeds().silently();
    }
}

#[test]
fn parts_of_a_damaged_file_without_proof_are_copied_from_the_version_before() {
    let env = world();
    let old = publish_in_xorbs(&env);
    env.line("models add acme/tiny").succeeds();
    env.line("download acme/tiny").succeeds();
    // Two of the xorbs are not whole in the new version; what is new in it is one.
    let mut model = old.clone();
    for (at, seed) in [(MIB, 31), (5 * MIB, 32)] {
        model[at..at + 1000].copy_from_slice(&noise(1000, seed));
    }
    publish(&env, &model);
    env.line("download acme/tiny").succeeds();
    let folder: PathBuf = newest_session(&env)["path"].as_str().unwrap().into();
    flip(&fs::canonicalize(folder.join(FILE)).unwrap(), 3 * MIB);
    env.line("verify --repair").succeeds();
    assert!(fs::read(folder.join(FILE)).unwrap() == model);
    let session = newest_session(&env);
    assert_eq!(bytes(&session, "fetched"), 0, "{session:#}");
    let from = session["reused_from"].as_array().unwrap();
    assert_eq!(from.len(), 1, "{session:#}");
    assert_eq!(from[0]["kind"], "old-file");
}

#[test]
fn the_next_download_repairs_what_was_found_bad_in_the_same_way() {
    let env = world();
    let model = publish_in_xorbs(&env);
    env.line("models add acme/tiny").succeeds();
    env.line("download acme/tiny").succeeds();
    let folder: PathBuf = newest_session(&env)["path"].as_str().unwrap().into();
    let path = fs::canonicalize(folder.join(FILE)).unwrap();
    flip(&path, 7 * MIB);
    env.line("verify").exits(3);
    env.line("download acme/tiny").succeeds();
    assert!(fs::read(folder.join(FILE)).unwrap() == model);
    let session = newest_session(&env);
    assert_eq!(session["outcome"], "repaired");
    assert!(bytes(&session, "fetched") <= 2 * MIB as u64, "{session:#}");
    env.line("verify").succeeds();
}

#[test]
fn a_scrub_repairs_a_damaged_file_in_the_same_way() {
    let env = world();
    let model = publish_in_xorbs(&env);
    env.line("models add acme/tiny").succeeds();
    env.line("download acme/tiny").succeeds();
    let folder: PathBuf = newest_session(&env)["path"].as_str().unwrap().into();
    flip(&fs::canonicalize(folder.join(FILE)).unwrap(), 7 * MIB);
    env.now("2026-05-01T02:00:00Z");
    env.line("run-due").succeeds();
    assert!(fs::read(folder.join(FILE)).unwrap() == model);
    let session = newest_session(&env);
    assert_eq!(session["outcome"], "repaired");
    assert!(bytes(&session, "fetched") <= 2 * MIB as u64, "{session:#}");
}

#[test]
fn a_damaged_file_of_one_xorb_proves_nothing_and_is_fetched_as_a_whole() {
    let env = world();
    let model = noise(4 * MIB, 9);
    publish(&env, &model);
    env.line("models add acme/tiny").succeeds();
    env.line("download acme/tiny").succeeds();
    let folder: PathBuf = newest_session(&env)["path"].as_str().unwrap().into();
    flip(&fs::canonicalize(folder.join(FILE)).unwrap(), MIB);
    env.line("verify --repair").succeeds();
    let session = newest_session(&env);
    assert_eq!(bytes(&session, "fetched"), model.len() as u64);
    assert!(fs::read(folder.join(FILE)).unwrap() == model);
    assert!(!env.database_content().contains("delta-abandoned"));
}

#[test]
fn a_token_that_is_not_given_is_asked_for_once_and_not_for_each_file() {
    let env = world();
    let model = noise(2 * MIB, 10);
    let publish = |edit: u64| {
        let mut draft = env.hub().repo("acme/tiny").commit("main").empty();
        for n in 0..4 {
            let mut bytes = noise(2 * MIB, 20 + n);
            bytes[MIB..MIB + 100].copy_from_slice(&noise(100, edit));
            draft = draft.stored(&format!("f{n}"), bytes);
        }
        draft.stored(FILE, model.clone()).publish()
    };
    publish(1);
    env.line("download acme/tiny").succeeds();
    publish(2);
    env.hub()
        .fault(On::api(Api::XetReadToken), Fault::Status(503));
    env.line("download acme/tiny").succeeds();
    assert_eq!(
        env.hub().count(Api::XetReadToken),
        3,
        "the attempts of one question"
    );
}

/// Publishes files as the whole repository.
fn publish_files(env: &TestEnv, repo: &str, files: &[(String, &[u8])]) {
    let mut draft = env.hub().repo(repo).commit("main").empty();
    for (path, bytes) in files {
        draft = draft.stored(path, *bytes);
    }
    draft.publish();
}

fn shards(bytes: &[u8], n: usize) -> Vec<(String, &[u8])> {
    let parts = bytes.chunks(bytes.len().div_ceil(n)).enumerate();
    parts
        .map(|(at, part)| (format!("model-{:05}-of-{n:05}.safetensors", at + 1), part))
        .collect()
}

#[test]
fn shards_that_are_cut_anew_are_made_of_the_old_ones_which_are_asked_about_once() {
    let env = world();
    let model = noise(12 * MIB, 41);
    publish_files(&env, "acme/tiny", &shards(&model, 4));
    env.line("download acme/tiny").succeeds();
    publish_files(&env, "acme/tiny", &shards(&model, 7));
    env.hub().forget_requests();
    env.line("download acme/tiny").succeeds();
    let session = newest_session(&env);
    assert!(bytes(&session, "fetched") < 2 * MIB as u64, "{session:#}");
    let folder: PathBuf = session["path"].as_str().unwrap().into();
    for (path, part) in shards(&model, 7) {
        assert!(fs::read(folder.join(&path)).unwrap() == part, "{path}");
    }
    let requests = env.hub().requests();
    let lists = requests
        .iter()
        .filter(|request| request.api == Api::Reconstruction && request.range().is_none());
    assert_eq!(lists.count(), 4 + 7);
}

#[test]
fn a_directory_is_filled_from_another_revision_in_the_cache() {
    let env = world();
    let mut model = noise(5 * MIB, 42);
    publish(&env, &model);
    env.line("download acme/tiny").succeeds();
    model.splice(2 * MIB..2 * MIB, noise(20_000, 43));
    publish(&env, &model);
    env.line("download acme/tiny --to dir").succeeds();
    assert!(fs::read(env.root().join("work/dir").join(FILE)).unwrap() == model);
    assert!(bytes(&newest_session(&env), "fetched") < MIB as u64);
}

#[test]
fn a_model_is_made_of_the_one_that_it_was_trained_from() {
    let env = world();
    let base = noise(6 * MIB, 44);
    let mut tuned = base.clone();
    tuned[4 * MIB..].copy_from_slice(&noise(2 * MIB, 45));
    publish_files(&env, "acme/base", &[(FILE.to_owned(), &base)]);
    env.line("download acme/base").succeeds();
    publish_files(&env, "other/base-tuned", &[(FILE.to_owned(), &tuned)]);
    env.line("download other/base-tuned").succeeds();
    let session = newest_session(&env);
    let folder: PathBuf = session["path"].as_str().unwrap().into();
    assert!(fs::read(folder.join(FILE)).unwrap() == tuned);
    assert!(
        bytes(&session, "fetched") < 5 * MIB as u64 / 2,
        "{session:#}"
    );
}

#[test]
fn a_model_that_shares_nothing_with_those_of_its_name_is_fetched_as_a_whole() {
    let env = world();
    for (repo, seed) in [("acme/one", 46), ("acme/two", 47)] {
        let model = noise(3 * MIB, seed);
        publish_files(&env, repo, &[(FILE.to_owned(), &model)]);
        env.hub().forget_requests();
        env.line(&format!("download {repo}")).succeeds();
        assert_eq!(bytes(&newest_session(&env), "fetched"), 3 * MIB as u64);
    }
    let n_questions = env.hub().count(Api::Reconstruction);
    assert_eq!(n_questions, 2, "the new file and the other one");
}
