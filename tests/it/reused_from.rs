//! The origins of a session's reused bytes by kind and repository, to the byte.

use std::fs;

use hfdl_test_hub::{Api, Fault, On};
use serde_json::Value;

use crate::support::env::TestEnv;
use crate::support::process::Victim;
use crate::support::xet::{noise, world_with_xet as world};

const MIB: usize = 1 << 20;
const MODEL: &str = "model.safetensors";

/// More than what changes around an edit, less than what is copied.
const EDGE: u64 = 300 << 10;

fn publish(env: &TestEnv, repo: &str, files: &[(&str, &[u8])]) -> String {
    let mut draft = env.hub().repo(repo).commit("main").empty();
    for (path, bytes) in files {
        draft = draft.stored(path, *bytes);
    }
    draft.publish()
}

/// Downloads, and returns the newest session as its own command shows it.
fn download(env: &TestEnv, repo: &str) -> Value {
    env.hub().forget_requests();
    let ran = env.hfdl(["download", repo, "--json"]);
    ran.succeeds();
    let id = ran.json()["sessions"][0]["session_id"].clone();
    let shown = env.line(&format!("sessions show {id} --json"));
    let session = shown.succeeds().json();
    assert_eq!(
        session["reused_from"],
        ran.json()["sessions"][0]["reused_from"]
    );
    adds_up(&session);
    let sent = env.hub().requests();
    let sent = sent
        .iter()
        .filter(|request| matches!(request.api, Api::Cdn | Api::Xorb | Api::ResolveCache));
    let sent: u64 = sent.map(|request| request.bytes_sent).sum();
    assert_eq!(session["bytes"]["fetched"], sent, "as the hub counts");
    session
}

/// Checks that the origins of the bytes add up to the totals.
#[track_caller]
fn adds_up(session: &Value) {
    let bytes = &session["bytes"];
    let from = origins(session);
    let from: u64 = from.iter().map(|origin| number(origin, "bytes")).sum();
    assert_eq!(bytes["reused"], from, "{session:#}");
    if session["outcome"] == "updated" {
        let all = number(bytes, "fetched") + from;
        assert_eq!(bytes["total"], all, "{session:#}");
    }
}

fn origins(session: &Value) -> Vec<Value> {
    session["reused_from"].as_array().unwrap().clone()
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap()
}

/// Returns the bytes of the origins of a kind.
fn bytes_from(session: &Value, kind: &str) -> u64 {
    let all = origins(session);
    let those = all.iter().filter(|origin| origin["kind"] == kind);
    those.map(|origin| number(origin, "bytes")).sum()
}

/// Kills a download when the hub has sent so much of a file and the database
/// has heard of it; returns how much of it the next one will find.
fn kill_within(env: &TestEnv, file: &str, sent: usize) -> u64 {
    let kept = || {
        let dry = env.hfdl(["download", "acme/tiny", "--dry-run", "--json"]);
        let models = &dry.succeeds().json()["models"][0]["fetch"];
        let mut files = models.as_array().unwrap().iter();
        let file = files.find(|it| it["path"] == file).unwrap().clone();
        number(&file, "size") - number(&file, "bytes_to_fetch")
    };
    let before = kept();
    env.hub()
        .fault(On::cdn(file), Fault::StallAfter(sent as u64));
    // A second connection would bring as much again, at once or after a while.
    let patience = [
        ("HFDL_DOWNLOAD_CONNECTIONS", "1"),
        ("HFDL_DOWNLOAD_STALL_AFTER", "10m"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "600"),
    ];
    for (name, value) in patience {
        env.set(name, value);
    }
    let mut victim = Victim::start(env.command(["download", "acme/tiny"]));
    for (name, _) in patience {
        env.unset(name);
    }
    env.hub().wait_until("the file is under way", |requests| {
        let to_it = requests
            .iter()
            .filter(|request| request.api == Api::Cdn && request.file.as_deref() == Some(file));
        to_it.map(|request| request.bytes_sent).sum::<u64>() >= sent as u64
    });
    let saved = || {
        let list = env.line("sessions list --limit 1 --json").json();
        let session = &list["sessions"][0];
        adds_up(session);
        number(&session["bytes"], "fetched")
    };
    while kept() < before + sent as u64 || saved() < sent as u64 {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    victim.kill();
    env.hub().heal();
    env.hub().forget_requests();
    assert_eq!(kept(), before + sent as u64);
    kept()
}

#[test]
fn bytes_of_killed_runs_are_reported_apart_from_bytes_fetched_now() {
    let env = world();
    let model = noise(9 * MIB, 1);
    publish(&env, "acme/tiny", &[(MODEL, &model), ("a.json", b"{}")]);
    let first = kill_within(&env, MODEL, 3 * MIB);
    let second = kill_within(&env, MODEL, 2 * MIB);
    let session = download(&env, "acme/tiny");
    assert_eq!(bytes_from(&session, "other-run"), second);
    // The small file had been stored under its hash already.
    assert_eq!(bytes_from(&session, "in-place"), 2);
    assert_eq!(origins(&session).len(), 2, "{session:#}");
    env.line("sessions show 3")
        .succeeds()
        .prints("reused      5.00 MiB of 1 file that another run had begun\n");

    // The killed sessions have counted each byte once, too.
    let killed = env.line("sessions show 1 --json").json();
    assert_eq!(killed["bytes"]["fetched"], first + 2, "{killed:#}");
    assert_eq!(killed["bytes"]["reused"], 0, "{killed:#}");
    let killed = env.line("sessions show 2 --json").json();
    assert_eq!(killed["bytes"]["fetched"], second - first, "{killed:#}");
    assert_eq!(bytes_from(&killed, "other-run"), first);
    adds_up(&killed);
}

#[test]
fn a_run_that_is_killed_within_a_delta_has_not_fetched_what_it_copied() {
    let env = world();
    let old = noise(6 * MIB, 14);
    publish(&env, "acme/tiny", &[(MODEL, &old)]);
    download(&env, "acme/tiny");
    let mut new = old;
    new.splice(3 * MIB..3 * MIB, noise(2 * MIB, 15));
    publish(&env, "acme/tiny", &[(MODEL, &new)]);
    let kept = kill_within(&env, MODEL, MIB);
    let killed = env.line("sessions show 2 --json").json();
    assert_eq!(killed["bytes"]["fetched"], MIB, "{killed:#}");
    let copied = bytes_from(&killed, "old-file");
    assert_eq!(copied + MIB as u64, kept, "{killed:#}");
    let session = download(&env, "acme/tiny");
    assert_eq!(bytes_from(&session, "other-run"), kept);
}

#[test]
fn a_content_that_lies_in_another_repository_is_named_by_that_one() {
    a_content_of_another_repository_is_named(&world());
}

#[test]
fn without_links_a_content_that_lies_in_another_repository_is_not_fetched_either() {
    let env = world();
    env.set("HFDL_TEST_LINKS", "none");
    a_content_of_another_repository_is_named(&env);
    let dir = env.root().join("out").to_string_lossy().into_owned();
    let ran = env.hfdl(["download", "acme/base", "--to", &dir, "--json"]);
    assert_eq!(ran.json()["sessions"][0]["bytes"]["fetched"], 0);
}

fn a_content_of_another_repository_is_named(env: &TestEnv) {
    let model = noise(3 * MIB, 2);
    let same = b"the same everywhere".as_slice();
    publish(
        env,
        "acme/base",
        &[("other-name.bin", &model), ("same", same)],
    );
    publish(
        env,
        "acme/tiny",
        &[
            (MODEL, &model),
            ("same", same),
            ("same-too", same),
            ("new", b"n"),
        ],
    );
    download(env, "acme/base");
    let session = download(env, "acme/tiny");
    assert_eq!(session["bytes"]["fetched"], 1);
    let all = origins(&session);
    assert!(
        all.iter()
            .all(|origin| origin["kind"] == "same-content" && origin["repo"] == "acme/base"),
        "{session:#}"
    );
    assert_eq!(all.len(), 1, "one repository");
    assert_eq!(all[0]["bytes"], 3 * MIB + 2 * same.len());
    assert_eq!(all[0]["origins"], 3);
    env.line("sessions show 2")
        .succeeds()
        .prints("reused      3.00 MiB of 3 files with the same content of `acme/base`\n");
}

#[test]
fn a_file_under_a_new_name_is_in_place_and_the_twin_of_a_fetched_file_is_not() {
    for links in [None, Some("none")] {
        let env = world();
        if let Some(links) = links {
            env.set("HFDL_TEST_LINKS", links);
        }
        a_new_name_is_in_place(&env);
    }
}

fn a_new_name_is_in_place(env: &TestEnv) {
    let (model, other) = (noise(2 * MIB, 3), noise(MIB, 4));
    publish(env, "acme/tiny", &[("old.bin", &model), ("stays", &other)]);
    download(env, "acme/tiny");
    publish(
        env,
        "acme/tiny",
        &[
            ("new.bin", &model),
            ("stays", &other),
            ("x", b"11"),
            ("y", b"11"),
        ],
    );
    let session = download(env, "acme/tiny");
    assert_eq!(bytes_from(&session, "in-place"), 3 * MIB as u64);
    assert_eq!(bytes_from(&session, "same-content"), 2);

    let again = download(env, "acme/tiny");
    assert_eq!(again["outcome"], "up-to-date");
    assert_eq!(origins(&again).len(), 1);
    let total = number(&again["bytes"], "total");
    assert_eq!(bytes_from(&again, "in-place"), total);
    env.line("sessions show 3")
        .succeeds()
        .prints("reused      3.00 MiB in place\n");
}

#[test]
fn a_file_made_of_two_old_ones_counts_the_bytes_of_both() {
    let env = world();
    let (first, second) = (noise(5 * MIB, 5), noise(3 * MIB, 6));
    publish(&env, "acme/tiny", &[(MODEL, &first), ("gone.bin", &second)]);
    download(&env, "acme/tiny");
    let mut new = first.clone();
    new[2 * MIB..2 * MIB + 500].copy_from_slice(&noise(500, 7));
    new.extend(&second);
    publish(&env, "acme/tiny", &[(MODEL, &new)]);
    let session = download(&env, "acme/tiny");
    let bytes = bytes_from(&session, "old-file");
    let size = (first.len() + second.len()) as u64;
    assert!(bytes <= size && bytes > size - 2 * EDGE, "{session:#}");
    assert_eq!(origins(&session).len(), 1, "{session:#}");
    env.line("sessions show 2")
        .succeeds()
        .prints(" of 1 file copied from old files\n");
}

#[test]
fn all_kinds_together_add_up_to_the_byte() {
    let env = world();
    let (model, shared) = (noise(6 * MIB, 8), noise(2 * MIB, 9));
    publish(&env, "acme/base", &[("shared.bin", &shared)]);
    download(&env, "acme/base");
    publish(&env, "acme/tiny", &[(MODEL, &model), ("stays", b"stays")]);
    download(&env, "acme/tiny");
    let mut edited = model.clone();
    edited.splice(3 * MIB..3 * MIB, noise(70_000, 10));
    let fresh = noise(8 * MIB, 11);
    publish(
        &env,
        "acme/tiny",
        &[
            (MODEL, &edited),
            ("stays", b"stays"),
            ("mine.bin", &shared),
            ("fresh.bin", &fresh),
        ],
    );
    let kept = kill_within(&env, "fresh.bin", 3 * MIB);
    let session = download(&env, "acme/tiny");
    // The killed run had copied parts of the edited file, too.
    assert!(bytes_from(&session, "other-run") >= kept, "{session:#}");
    assert!(bytes_from(&session, "in-place") >= 5);
    assert!(
        number(&session["bytes"], "fetched") < 6 * MIB as u64,
        "{session:#}"
    );
    assert_eq!(
        fs::read(session["path"].as_str().unwrap().to_owned() + "/" + MODEL).unwrap(),
        edited
    );
}

#[test]
fn a_delta_that_was_of_no_use_reused_nothing() {
    let env = world();
    let old = noise(4 * MIB, 12);
    publish(&env, "acme/tiny", &[(MODEL, &old)]);
    download(&env, "acme/tiny");
    let mut listed = old.clone();
    listed[MIB..MIB + 500].copy_from_slice(&noise(500, 13));
    publish(&env, "acme/other", &[("x", &listed)]);
    let mut new = listed.clone();
    new[3 * MIB] ^= 1;
    let hash = xet_hash(&listed);
    let repo = env.hub().repo("acme/tiny");
    repo.commit("main").xet(MODEL, new, &hash).publish();
    let ran = env.hfdl(["download", "acme/tiny", "--json"]);
    ran.succeeds();
    let session = &ran.json()["sessions"][0];
    assert_eq!(session["bytes"]["reused"], 0);
    assert_eq!(origins(session), Vec::<Value>::new());
}

fn xet_hash(bytes: &[u8]) -> String {
    let (mut tree, mut chunker) = (hfdl::xet::MerkleTree::new(), hfdl::xet::Chunker::new());
    let mut note = |hash, length: u32| tree.push(hash, u64::from(length));
    chunker.update(bytes, &mut note);
    chunker.finish(&mut note);
    hfdl::xet::file_hash(tree.root()).to_string()
}
