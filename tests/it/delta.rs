//! Updates that fetch only what changed, against the hub's own Xet storage.

use std::fs;
use std::path::PathBuf;

use hfdl_test_hub::{Api, Fault, On};
use serde_json::Value;

use crate::support::database::ask;
use crate::support::env::{Ran, TestEnv};
use crate::support::xet::{noise, world_with_xet as world};

const MIB: usize = 1 << 20;
const MODEL: &str = "model.safetensors";

/// Replaces some bytes, puts some in and takes some out.
pub fn edited(old: &[u8]) -> Vec<u8> {
    let mut new = old.to_vec();
    let at = old.len() / 5;
    new[at..at + 1000].copy_from_slice(&noise(1000, 77));
    new.splice(old.len() / 2..old.len() / 2, noise(12_345, 78));
    new.drain(old.len() * 4 / 5..old.len() * 4 / 5 + 999);
    new
}

fn publish(env: &TestEnv, files: &[(&str, &[u8])]) -> String {
    let mut draft = env.hub().repo("acme/tiny").commit("main").empty();
    draft = draft.file("config.json", b"{}");
    for (path, bytes) in files {
        draft = draft.stored(path, *bytes);
    }
    draft.publish()
}

fn download(env: &TestEnv) -> Ran {
    let ran = env.hfdl(["download", "acme/tiny", "--json"]);
    ran.succeeds();
    ran
}

fn bytes(ran: &Ran, name: &str) -> u64 {
    ran.json()["sessions"][0]["bytes"][name].as_u64().unwrap()
}

fn snapshot(env: &TestEnv, commit: &str) -> PathBuf {
    let repo = env.cache().join("models--acme--tiny");
    repo.join("snapshots").join(commit)
}

#[track_caller]
fn holds(env: &TestEnv, commit: &str, path: &str, bytes: &[u8]) {
    let found = fs::read(snapshot(env, commit).join(path)).unwrap();
    assert!(found == bytes, "{path} is wrong");
}

fn storage_questions(env: &TestEnv) -> usize {
    env.hub().count(Api::Reconstruction)
}

/// The kinds of what a person should know later.
fn events(env: &TestEnv) -> Vec<String> {
    ask(env, "SELECT kind FROM events")
}

#[test]
fn a_changed_file_costs_the_bytes_that_changed_and_a_dry_run_says_so_before() {
    let env = world();
    let old = noise(7 * MIB, 1);
    let new = edited(&old);
    publish(&env, &[(MODEL, &old)]);
    assert_eq!(bytes(&download(&env), "fetched"), 7 * MIB as u64 + 2);
    assert_eq!(storage_questions(&env), 0, "nothing old, nothing to ask");

    let commit = publish(&env, &[(MODEL, &new)]);
    let dry = env
        .hfdl(["download", "acme/tiny", "--dry-run", "--json"])
        .json();
    let told = &dry["models"][0]["bytes"];
    env.hub().forget_requests();
    let ran = download(&env);
    holds(&env, &commit, MODEL, &new);
    let fetched = bytes(&ran, "fetched");
    assert!(fetched < MIB as u64, "{fetched} bytes were fetched");
    assert_eq!(told["to_fetch"].as_u64(), Some(fetched), "{dry}");
    assert_eq!(fetched + bytes(&ran, "reused"), new.len() as u64 + 2);
    let sent = env.hub().downloads(MODEL);
    let sent: u64 = sent.iter().map(|request| request.bytes_sent).sum();
    assert_eq!(sent, fetched, "counted to the byte");
    assert_eq!(env.hub().count(Api::XetReadToken), 1);
    assert_eq!(storage_questions(&env), 2, "the new file and the old one");
}

#[test]
fn the_chunk_list_of_a_file_is_kept_beside_it_for_its_next_version() {
    let env = world();
    let first = noise(6 * MIB, 2);
    let second = edited(&first);
    let third = edited(&second);
    publish(&env, &[(MODEL, &first)]);
    download(&env);
    publish(&env, &[(MODEL, &second)]);
    download(&env);
    env.hub().forget_requests();
    let commit = publish(&env, &[(MODEL, &third)]);
    let ran = download(&env);
    holds(&env, &commit, MODEL, &third);
    assert!(bytes(&ran, "fetched") < MIB as u64);
    assert_eq!(
        storage_questions(&env),
        1,
        "only the new file is asked about"
    );
    let private = env.cache().join("models--acme--tiny/.hfdl");
    let sidecars = fs::read_dir(private).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_str().unwrap().ends_with(".xet")
    });
    assert_eq!(sidecars.count(), 3);
}

#[test]
fn a_damaged_sidecar_costs_one_more_request() {
    let env = world();
    let first = noise(4 * MIB, 3);
    let second = edited(&first);
    publish(&env, &[(MODEL, &first)]);
    download(&env);
    publish(&env, &[(MODEL, &second)]);
    download(&env);
    for entry in fs::read_dir(env.cache().join("models--acme--tiny/.hfdl")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "xet") {
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(path, bytes).unwrap();
        }
    }
    let third = edited(&second);
    let commit = publish(&env, &[(MODEL, &third)]);
    env.hub().forget_requests();
    let ran = download(&env);
    holds(&env, &commit, MODEL, &third);
    assert!(bytes(&ran, "fetched") < MIB as u64);
    assert_eq!(
        storage_questions(&env),
        2,
        "the old file is asked about again"
    );
}

#[test]
fn a_file_that_got_another_name_and_some_changes_is_made_of_the_old_one() {
    let env = world();
    let old = noise(5 * MIB, 4);
    let new = edited(&old);
    publish(&env, &[("old-name.bin", &old)]);
    download(&env);
    let commit = publish(&env, &[("new-name.bin", &new)]);
    let ran = download(&env);
    holds(&env, &commit, "new-name.bin", &new);
    assert!(bytes(&ran, "fetched") < MIB as u64);
}

#[test]
fn a_directory_of_plain_files_is_updated_the_same_way() {
    let env = world();
    let old = noise(5 * MIB, 5);
    let new = edited(&old);
    publish(&env, &[(MODEL, &old)]);
    let folder = env.root().join("plain");
    let folder_text = folder.to_str().unwrap();
    env.hfdl(["models", "add", "acme/tiny", "--to", folder_text])
        .succeeds();
    download(&env);
    publish(&env, &[(MODEL, &new)]);
    let ran = download(&env);
    assert!(fs::read(folder.join(MODEL)).unwrap() == new);
    assert!(bytes(&ran, "fetched") < MIB as u64, "{}", ran.report());
}

#[test]
fn the_setting_and_the_official_variable_switch_all_of_it_off() {
    for (name, value) in [("HFDL_DOWNLOAD_XET", "off"), ("HF_HUB_DISABLE_XET", "1")] {
        let env = world();
        let old = noise(3 * MIB, 6);
        let new = edited(&old);
        publish(&env, &[(MODEL, &old)]);
        download(&env);
        let commit = publish(&env, &[(MODEL, &new)]);
        env.set(name, value);
        let ran = download(&env);
        holds(&env, &commit, MODEL, &new);
        assert_eq!(bytes(&ran, "fetched"), new.len() as u64, "{name}");
        assert_eq!(
            (storage_questions(&env), env.hub().count(Api::XetReadToken)),
            (0, 0)
        );
    }
}

#[test]
fn the_first_form_of_the_storages_api_does_as_well() {
    let env = world();
    env.hub().configure(|settings| {
        settings.xet.as_mut().unwrap().second_form = false;
    });
    let old = noise(4 * MIB, 7);
    let new = edited(&old);
    publish(&env, &[(MODEL, &old)]);
    download(&env);
    let commit = publish(&env, &[(MODEL, &new)]);
    let ran = download(&env);
    holds(&env, &commit, MODEL, &new);
    assert!(bytes(&ran, "fetched") < MIB as u64);
    // The second form was tried once and not again for the old file.
    assert_eq!(
        storage_questions(&env),
        3,
        "{}",
        env.hub().describe_requests()
    );
}

#[test]
fn a_token_that_was_withdrawn_is_replaced_once() {
    let env = world();
    let old = noise(4 * MIB, 8);
    let new = edited(&old);
    publish(&env, &[(MODEL, &old)]);
    download(&env);
    let commit = publish(&env, &[(MODEL, &new)]);
    env.hub()
        .fault(On::api(Api::Reconstruction).times(1), Fault::Status(401));
    let ran = download(&env);
    holds(&env, &commit, MODEL, &new);
    assert!(bytes(&ran, "fetched") < MIB as u64);
    assert_eq!(env.hub().count(Api::XetReadToken), 2);
}

#[test]
fn a_file_is_right_after_each_fault_of_the_chunk_storage() {
    let absurd = |json: &str| Fault::Garbage("application/json".to_owned(), json.into());
    let huge: Value = serde_json::json!({
        "offset_into_first_range": 0,
        "terms": vec![serde_json::json!({
            "hash": "0".repeat(64), "unpacked_length": 1_000_000, "range": {"start": 0, "end": 8192}
        }); 5000],
        "xorbs": {},
    });
    for fault in [
        Fault::Status(404),
        Fault::Status(403),
        Fault::Status(401),
        Fault::Status(501),
        Fault::RangeNotSatisfiable,
        Fault::RedirectLoop,
        Fault::Reset,
        Fault::CutAfter(20),
        absurd("<html>"),
        absurd("{}"),
        absurd(r#"{"terms":[],"xorbs":{}}"#),
        absurd(&huge.to_string()),
        absurd(
            r#"{"terms":[{"hash":"","unpacked_length":-1,"range":{"start":9,"end":1}}],"xorbs":{}}"#,
        ),
    ] {
        let env = world();
        env.set("HFDL_TEST_NO_PAUSES", "1");
        let old = noise(2 * MIB, 9);
        let new = edited(&old);
        publish(&env, &[(MODEL, &old)]);
        download(&env);
        let commit = publish(&env, &[(MODEL, &new)]);
        env.hub().fault(On::api(Api::Reconstruction), fault.clone());
        let ran = download(&env);
        holds(&env, &commit, MODEL, &new);
        assert_eq!(bytes(&ran, "fetched"), new.len() as u64, "{fault:?}");
    }
}

#[test]
fn a_delta_that_turns_out_wrong_is_thrown_away_and_the_file_fetched_once_as_a_whole() {
    let env = world();
    let old = noise(4 * MIB, 10);
    let mut other = old.clone();
    other[MIB..MIB + 1000].copy_from_slice(&noise(1000, 11));
    let mut new = other.clone();
    new[3 * MIB] ^= 1;
    publish(&env, &[(MODEL, &old), ("other.bin", &other)]);
    env.hfdl(["download", "acme/tiny", MODEL]).succeeds();
    let tree = env.hub();
    // The listing gives the new file the Xet hash of another one of its size.
    let hash = xet_hash(&other);
    let commit = tree
        .repo("acme/tiny")
        .commit("main")
        .xet(MODEL, new.clone(), &hash)
        .publish();
    env.hub().forget_requests();
    let ran = env.hfdl(["download", "acme/tiny", MODEL, "--json"]);
    ran.succeeds();
    holds(&env, &commit, MODEL, &new);
    assert_eq!(bytes(&ran, "reused"), 0);
    assert!(bytes(&ran, "fetched") >= new.len() as u64);
    assert_eq!(events(&env), ["delta-abandoned"]);
}

fn xet_hash(bytes: &[u8]) -> String {
    let mut hasher = hfdl::xet::FileHasher::new();
    hasher.update(bytes);
    hasher.finish().hash.to_string()
}

#[test]
fn an_old_file_that_has_rotted_is_not_copied_from() {
    let env = world();
    let old = noise(4 * MIB, 12);
    let new = edited(&old);
    let first = publish(&env, &[(MODEL, &old)]);
    download(&env);
    let blob = fs::canonicalize(snapshot(&env, &first).join(MODEL)).unwrap();
    let mut rotten = old.clone();
    rotten[100] ^= 1;
    // On Windows in place: it may be a hard link, and is not read-only.
    if !cfg!(windows) {
        fs::remove_file(&blob).unwrap();
    }
    fs::write(&blob, rotten).unwrap();
    let commit = publish(&env, &[(MODEL, &new)]);
    download(&env);
    holds(&env, &commit, MODEL, &new);
    assert_eq!(events(&env), Vec::<String>::new());
}

#[test]
fn a_line_that_breaks_in_the_middle_of_a_delta_is_continued() {
    let env = world();
    env.set("HFDL_TEST_NO_PAUSES", "1");
    let old = noise(6 * MIB, 14);
    let new = edited(&old);
    publish(&env, &[(MODEL, &old)]);
    download(&env);
    let commit = publish(&env, &[(MODEL, &new)]);
    env.hub()
        .fault(On::cdn(MODEL).times(2), Fault::CutAfter(5000));
    let ran = download(&env);
    holds(&env, &commit, MODEL, &new);
    assert!(bytes(&ran, "fetched") < MIB as u64);
}
