//! The Xet hash as a second witness of `hfdl verify`.

use std::fs;
use std::path::PathBuf;

use hfdl::domain::content::ContentId;
use hfdl::domain::xet::{FileMap, Term, XetHash};
use hfdl::xet::{FileHasher, sidecar};
use hfdl_test_hub::{generated_bytes, sha256_hex};
use serde_json::Value;

use crate::support::cache::has_blobs;
use crate::support::damage::rot;
use crate::support::env::{Ran, TestEnv};
use crate::verify::{blob, world};

const MODEL: &str = "model.safetensors";
const LENGTH: usize = 300_000;

fn bytes() -> Vec<u8> {
    generated_bytes(LENGTH, 21)
}

fn xet_hash(bytes: &[u8]) -> XetHash {
    let mut hasher = FileHasher::new();
    hasher.update(bytes);
    hasher.finish().hash
}

/// Publishes a model whose listing gives that Xet hash, if any, and downloads it.
fn kept(env: &TestEnv, listed: Option<&XetHash>) -> String {
    let draft = env.hub().repo("acme/tiny").commit("main");
    let draft = draft.file("config.json", b"{}");
    let commit = match listed {
        Some(hash) => draft.xet(MODEL, bytes(), &hash.to_string()),
        None => draft.lfs(MODEL, bytes()),
    };
    let commit = commit.publish();
    env.hfdl(["models", "add", "acme/tiny"]).succeeds();
    env.hfdl(["download", "acme/tiny"]).succeeds();
    env.hub().forget_requests();
    commit
}

fn only_model(ran: &Ran) -> Value {
    ran.json()["models"][0].clone()
}

fn xet_counts(model: &Value) -> (u64, u64) {
    let count = |name: &str| model["xet"][name].as_u64().unwrap();
    (count("agrees"), count("differs"))
}

fn sidecar_path(env: &TestEnv) -> PathBuf {
    let name = format!("{}.xet", sha256_hex(&bytes()));
    env.cache().join("models--acme--tiny/.hfdl").join(name)
}

/// Writes a sound sidecar of the model which says that it has that Xet hash.
fn write_sidecar(env: &TestEnv, hash: XetHash) {
    let term = Term {
        xorb: XetHash::from_bytes([5; 32]),
        start: 0,
        end: 3,
        length: LENGTH as u32,
    };
    let map = FileMap {
        hash,
        terms: vec![term],
        chunk_lengths: None,
    };
    let content = ContentId::from_etag(&sha256_hex(&bytes())).unwrap();
    sidecar::write(&sidecar_path(env), &content, LENGTH as u64, &map).unwrap();
}

#[test]
fn both_hashes_of_a_file_are_checked_where_both_are_known() {
    let env = world();
    let commit = kept(&env, Some(&xet_hash(&bytes())));
    let model = only_model(env.hfdl(["verify", "--json"]).succeeds());
    assert_eq!(
        xet_counts(&model),
        (1, 0),
        "of two files one is known by both"
    );
    assert_eq!(model["files"]["verified"], 2);
    assert_eq!(model["bytes"]["verified"], LENGTH as u64 + 2, "read once");

    rot(&blob(&env, &commit, MODEL));
    let model = only_model(env.hfdl(["verify", "--json"]).exits(3));
    assert_eq!(xet_counts(&model), (0, 1));
    assert_eq!(model["bad"][0]["xet"], "differs");
    assert!(env.hub().requests().is_empty());
}

#[test]
fn a_file_without_a_known_xet_hash_is_verified_by_one_hash() {
    let env = world();
    let commit = kept(&env, None);
    let model = only_model(env.hfdl(["verify", "--json"]).succeeds());
    assert_eq!(xet_counts(&model), (0, 0));
    rot(&blob(&env, &commit, MODEL));
    let model = only_model(env.hfdl(["verify", "--json"]).exits(3));
    assert_eq!(model["bad"][0]["xet"], Value::Null);
}

#[test]
fn a_sidecar_gives_the_xet_hash_without_a_listing() {
    let env = world();
    kept(&env, None);
    write_sidecar(&env, xet_hash(&bytes()));
    for folder in ["trees", ".hfdl/trees"] {
        fs::remove_dir_all(env.cache().join("models--acme--tiny").join(folder)).unwrap();
    }
    let model = only_model(env.hfdl(["verify", "--offline", "--json"]).succeeds());
    assert_eq!(model["known_by"], "blob-names");
    // Without links there are no blobs.
    let n_known = if has_blobs() { 1 } else { 0 };
    assert_eq!(xet_counts(&model), (n_known, 0));
    assert!(sidecar_path(&env).exists());
}

#[test]
fn a_sidecar_that_contradicts_good_bytes_is_removed_and_the_file_is_good() {
    for listed in [None, Some(xet_hash(&bytes()))] {
        let env = world();
        kept(&env, listed.as_ref());
        let agreed = u64::from(listed.is_some());
        write_sidecar(&env, XetHash::from_bytes([66; 32]));
        let ran = env.hfdl(["verify", "--json"]);
        ran.succeeds().explains("was damaged and is removed");
        assert_eq!(xet_counts(&only_model(&ran)), (agreed, 0));
        assert!(!sidecar_path(&env).exists());

        write_sidecar(&env, xet_hash(&bytes()));
        let whole = fs::read(sidecar_path(&env)).unwrap();
        fs::write(sidecar_path(&env), &whole[..whole.len() - 9]).unwrap();
        let ran = env.hfdl(["verify", "--json"]);
        ran.succeeds().explains("was damaged and is removed");
        assert!(!sidecar_path(&env).exists());

        fs::write(sidecar_path(&env), &whole).unwrap();
        env.hfdl(["verify"]).succeeds().silently();
        assert_eq!(fs::read(sidecar_path(&env)).unwrap(), whole);
    }
}

#[test]
fn a_sidecar_beside_damaged_bytes_is_kept() {
    let env = world();
    let commit = kept(&env, None);
    write_sidecar(&env, xet_hash(&bytes()));
    rot(&blob(&env, &commit, MODEL));
    let model = only_model(env.hfdl(["verify", "--json"]).exits(3));
    assert_eq!(model["bad"][0]["xet"], "differs");
    assert!(sidecar_path(&env).exists());
}

#[test]
fn a_listing_that_contradicts_itself_is_a_warning_and_the_file_is_good() {
    let env = world();
    kept(&env, Some(&XetHash::from_bytes([66; 32])));
    let ran = env.hfdl(["verify", "--json"]);
    ran.succeeds().explains("another Xet hash");
    let model = only_model(&ran);
    assert_eq!(xet_counts(&model), (0, 1));
    assert_eq!(model["files"]["bad"], 0);
}
