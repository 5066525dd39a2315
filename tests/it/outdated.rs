//! `hfdl models outdated` against a real hub on loopback, with the real binary.

use hfdl_test_hub::{Fault, On};
use serde_json::Value;

use crate::support::env::TestEnv;

fn world() -> TestEnv {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    env
}

fn publish(env: &TestEnv, repo: &str, text: &str) -> String {
    env.hub()
        .repo(repo)
        .commit("main")
        .file("config.json", text.as_bytes())
        .publish()
}

/// Registers models, and downloads all of them.
fn keep(env: &TestEnv, repos: &[&str]) {
    for repo in repos {
        publish(env, repo, "1");
        env.hfdl(["models", "add", repo]).succeeds();
    }
    env.hfdl(["download", "--all"]).succeeds();
}

fn state<'v>(document: &'v Value, model: &str) -> &'v Value {
    let models = document["models"].as_array().unwrap();
    let found = models.iter().find(|one| one["model"] == model);
    found.unwrap_or_else(|| panic!("no `{model}` in {document:#}"))
}

#[test]
fn each_model_stands_in_one_of_five_ways() {
    let env = world();
    keep(&env, &["acme/same", "acme/moved", "acme/gone", "acme/mute"]);
    publish(&env, "acme/new", "1");
    env.hfdl(["models", "add", "acme/new"]).succeeds();
    let newer = publish(&env, "acme/moved", "2");
    env.hub().repo("acme/gone").delete();
    env.hub()
        .fault(On::any().repo("acme/mute"), Fault::Status(503));
    let before = env.database_content();

    let ran = env.hfdl(["models", "outdated", "--json"]);
    ran.exits(5).explains("could not check `acme/mute`");
    let document = ran.json();
    assert_eq!(document["schema"], "hfdl.outdated/1");
    for (model, word) in [
        ("acme/same", "up-to-date"),
        ("acme/moved", "outdated"),
        ("acme/gone", "orphaned"),
        ("acme/mute", "could-not-check"),
        ("acme/new", "never-downloaded"),
    ] {
        assert_eq!(state(&document, model)["state"], word, "{model}");
    }
    let moved = state(&document, "acme/moved");
    assert_eq!(moved["upstream_commit"], newer.as_str());
    assert_ne!(moved["published_commit"], moved["upstream_commit"]);
    assert_eq!(
        state(&document, "acme/mute")["upstream_commit"],
        Value::Null
    );
    assert_eq!(state(&document, "acme/mute")["error_kind"], "network");
    assert_eq!(env.database_content(), before, "it only looks");
}

#[test]
fn being_outdated_is_information_and_costs_a_request_a_model_and_a_listing() {
    let env = world();
    keep(&env, &["acme/a", "acme/b"]);
    publish(&env, "acme/a", "2");
    env.hub().forget_requests();
    let ran = env.hfdl(["models", "outdated"]);
    ran.succeeds().silently().prints("outdated");
    let requests = env.hub().requests();
    assert_eq!(requests.len(), 3, "{}", env.hub().describe_requests());
    let document = env.line("models outdated --json").json();
    assert_eq!(state(&document, "acme/a")["bytes_to_fetch"], 1);
    assert_eq!(state(&document, "acme/b")["bytes_to_fetch"], Value::Null);
    env.hub()
        .repo("acme/new")
        .commit("main")
        .file("config.json", "12")
        .file("left-out.txt", "345")
        .lfs("same.bin", "same bytes")
        .lfs("copy.bin", "same bytes")
        .publish();
    env.line("models add acme/new --exclude *.txt").succeeds();
    env.hub().forget_requests();
    let document = env.line("models outdated acme/new acme/b --json").json();
    assert_eq!(state(&document, "acme/new")["bytes_to_fetch"], 12);
    assert_eq!(env.hub().requests().len(), 3, "a listing of the new one");
    insta::assert_snapshot!(ran.picture(), @r"
    $ hfdl models outdated
    --- stdout
    NAME    REVISION  STATE       TO FETCH  PUBLISHED   UPSTREAM
    acme/a  main      outdated         1 B  046d4c3ae5  d65aa31c90
    acme/b  main      up-to-date         -  0c41f9d5ab  0c41f9d5ab
    --- exit 0
    ");
}

#[test]
fn named_models_are_asked_about_each_once_and_the_disabled_too() {
    let env = world();
    keep(&env, &["acme/a", "acme/b"]);
    env.hfdl(["models", "disable", "acme/a"]).succeeds();
    let all = env.hfdl(["models", "outdated", "--format", "yaml"]);
    all.succeeds().prints("model: acme/b");
    assert!(!all.stdout().contains("acme/a"), "{}", all.report());
    let ran = env.hfdl(["models", "outdated", "acme/a", "acme/a", "--json"]);
    let models = ran.succeeds().json()["models"].clone();
    assert_eq!(models.as_array().unwrap().len(), 1);
    assert_eq!(models[0]["model"], "acme/a");
    env.hfdl(["models", "outdated", "acme/aa"])
        .exits(2)
        .explains("did you mean `acme/a`?");
}

#[test]
fn the_worst_reason_for_no_answer_is_the_exit_code() {
    let env = world();
    keep(&env, &["acme/a", "acme/b"]);
    env.hub()
        .fault(On::any().repo("acme/a"), Fault::Status(503));
    env.set("HF_TOKEN", "hf_nobody_knows_it");
    env.hfdl(["models", "outdated"])
        .exits(4)
        .explains("could not check `acme/a`")
        .explains("could not check `acme/b`");
    env.unset("HF_TOKEN").set("HF_HUB_OFFLINE", "1");
    env.hub().forget_requests();
    env.hfdl(["models", "outdated"])
        .exits(5)
        .explains("HF_HUB_OFFLINE");
    assert!(env.hub().requests().is_empty());
}

#[test]
fn models_outdated_creates_no_home() {
    let env = world();
    env.hfdl(["models", "outdated"])
        .succeeds()
        .explains("no models");
    assert!(!env.home().exists());
    let empty = env.hfdl(["models", "outdated", "--json"]);
    assert_eq!(empty.succeeds().json()["models"], Value::Array(Vec::new()));
}
