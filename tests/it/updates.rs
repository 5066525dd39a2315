//! `hfdl updates`: held commits are listed, shown, approved and rejected.

use std::fs;

use hfdl_test_hub::generated_bytes;
use serde_json::Value;

use crate::support::database::number;
use crate::support::env::{Ran, TestEnv};
use crate::support::exposition::Exposition;

const SIZE: usize = 400_000;

/// A model under a schedule, published once.
fn world() -> TestEnv {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    publish(&env, SIZE, 1);
    env.line("models add acme/tiny").succeeds();
    env.line("schedules add often --every 6h --all").succeeds();
    env.line("run-due --trigger ci").succeeds();
    env
}

fn publish(env: &TestEnv, size: usize, seed: u64) -> String {
    let draft = env.hub().repo("acme/tiny").commit("main");
    let draft = draft.file("config.json", b"{}");
    draft
        .lfs("model.safetensors", generated_bytes(size, seed))
        .publish()
}

/// Publishes a commit that is held: nearly all bytes are gone.
fn publish_held(env: &TestEnv, seed: u64) -> String {
    publish(env, 1000, seed)
}

fn night(env: &TestEnv, n: u8) -> Ran {
    env.now(&format!("2026-03-{:02}T09:00:00Z", n + 1));
    env.line("run-due --trigger ci --json")
}

fn outcome(ran: &Ran) -> String {
    let session = ran.succeeds().json()["sessions"][0].clone();
    session["outcome"].as_str().unwrap().to_owned()
}

fn main_ref(env: &TestEnv) -> String {
    fs::read_to_string(env.cache().join("models--acme--tiny/refs/main")).unwrap()
}

fn updates(env: &TestEnv, flags: &str) -> Vec<(String, String)> {
    let listed = env
        .line(&format!("updates list {flags} --json"))
        .succeeds()
        .json();
    let listed = listed["updates"].as_array().unwrap().clone();
    let text = |update: &Value, key: &str| update[key].as_str().unwrap().to_owned();
    let listed = listed.iter();
    listed
        .map(|it| (text(it, "commit"), text(it, "state")))
        .collect()
}

#[test]
fn an_approved_update_is_published_by_the_next_run() {
    let env = world();
    let good = main_ref(&env);
    let commit = publish_held(&env, 2);
    assert_eq!(outcome(&night(&env, 1)), "held");
    assert_eq!(updates(&env, ""), [(commit.clone(), "waiting".to_owned())]);
    let table = env.line("updates list");
    table
        .succeeds()
        .prints(&commit[..10])
        .prints("few-bytes")
        .prints("acme/tiny");
    env.line("updates list --format yaml")
        .succeeds()
        .prints("few-bytes");

    let approve = format!(
        "updates approve acme/tiny --commit {} --note seen",
        &commit[..8]
    );
    env.line(&approve).succeeds().prints("was approved");
    assert_eq!(
        main_ref(&env),
        good,
        "a decision publishes nothing by itself"
    );
    assert_eq!(updates(&env, ""), [(commit.clone(), "approved".to_owned())]);
    let shown = env.line("updates show acme/tiny --json").json();
    assert_eq!(shown["decision"], "approved");
    assert_eq!(shown["note"], "seen");
    assert_eq!(outcome(&night(&env, 2)), "updated");
    assert_eq!(main_ref(&env), commit);
    assert_eq!(updates(&env, ""), []);
    assert_eq!(updates(&env, "--all")[0], (commit, "published".to_owned()));
    assert_eq!(
        number(&env, "SELECT count(*) FROM events WHERE kind = 'released'"),
        1
    );
}

#[test]
fn a_rejected_update_stays_held_in_silence_and_the_next_commit_is_new() {
    let env = world();
    let good = main_ref(&env);
    let commit = publish_held(&env, 2);
    let tick = |n: u8| {
        env.now(&format!("2026-03-{:02}T09:00:00Z", n + 1));
        env.line("run-due --trigger timer")
    };
    tick(1).succeeds().explains("`acme/tiny` is held");
    env.line("status")
        .exits(1)
        .prints("hfdl updates show acme/tiny");
    let reject = env.line("updates reject acme/tiny --note 'too small'");
    reject.succeeds().prints("was rejected");
    env.line("status").succeeds();
    tick(2).succeeds().silently();
    tick(3).succeeds().silently();
    assert_eq!(main_ref(&env), good);
    assert_eq!(updates(&env, ""), []);
    assert_eq!(
        updates(&env, "--all")[0],
        (commit.clone(), "rejected".to_owned())
    );
    let last = env.line("sessions list --limit 1 --json").json();
    assert_eq!(last["sessions"][0]["outcome"], "held");
    let shown = env.line("updates show acme/tiny");
    shown.succeeds().prints("rejected").prints("too small");

    // The next one is judged anew.
    let next = publish_held(&env, 3);
    tick(4).succeeds().explains("`acme/tiny` is held");
    assert_eq!(updates(&env, ""), [(next, "waiting".to_owned())]);
    let good = publish(&env, SIZE, 4);
    assert_eq!(outcome(&night(&env, 5)), "updated");
    assert_eq!(main_ref(&env), good);
    // A person may think better of it only while it is offered.
    env.line("updates approve acme/tiny").exits(1);
}

#[test]
fn a_rejected_update_can_be_approved_after_all() {
    let env = world();
    let commit = publish_held(&env, 2);
    night(&env, 1).succeeds();
    env.line("updates reject acme/tiny").succeeds();
    night(&env, 2).succeeds();
    env.line("updates approve acme/tiny").succeeds();
    assert_eq!(outcome(&night(&env, 3)), "updated");
    assert_eq!(main_ref(&env), commit);
}

#[test]
fn the_changed_files_are_shown_with_their_sizes() {
    let env = world();
    let old = main_ref(&env);
    let repo = env.hub().repo("acme/tiny");
    let draft = repo.commit("main").remove("config.json");
    let draft = draft.file("README.md", b"moved");
    let commit = draft
        .lfs("model.safetensors", generated_bytes(1000, 2))
        .publish();
    night(&env, 1).succeeds();
    let shown = env.line("updates show acme/tiny --json").json();
    assert_eq!(shown["schema"], "hfdl.update/1");
    assert_eq!(
        (&shown["commit"], &shown["old_commit"]),
        (&commit.into(), &old.into())
    );
    assert_eq!(shown["state"], "waiting");
    assert_eq!(shown["findings"][0]["reason"], "few-bytes");
    let files: Vec<(&str, &str, Option<u64>, Option<u64>)> = shown["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| {
            (
                file["path"].as_str().unwrap(),
                file["change"].as_str().unwrap(),
                file["old_bytes"].as_u64(),
                file["new_bytes"].as_u64(),
            )
        })
        .collect();
    assert_eq!(
        files,
        [
            ("README.md", "added", None, Some(5)),
            ("config.json", "removed", Some(2), None),
            (
                "model.safetensors",
                "changed",
                Some(SIZE as u64),
                Some(1000)
            ),
        ]
    );
    let text = env.line("updates show acme/tiny");
    text.succeeds().silently();
    for part in [
        "config.json",
        "removed",
        "391 KiB",
        "updates approve acme/tiny",
    ] {
        text.prints(part);
    }
    // Without the Hub the findings are there all the same.
    env.set("HF_HUB_OFFLINE", "1");
    let text = env.line("updates show acme/tiny");
    text.succeeds()
        .prints("few-bytes")
        .explains("the changed files of `acme/tiny` are unknown");
    let shown = env.line("updates show acme/tiny --json").json();
    assert_eq!(shown["files"], Value::Null);
}

#[test]
fn decisions_are_for_known_models_with_an_update_that_waits() {
    let env = TestEnv::new();
    env.line("updates list")
        .succeeds()
        .explains("no update waits");
    env.line("updates approve acme/tiny").exits(2);
    let env = world();
    for line in ["approve", "reject", "retry"] {
        let line = format!("updates {line} acme/tiny");
        let ran = env.line(&line);
        ran.exits(1)
            .explains("no update of `acme/tiny` waits for a decision");
        env.line(&format!("{line}x"))
            .exits(2)
            .explains("did you mean `acme/tiny`");
    }
    env.line("updates show acme/tinyx").exits(2);
    let commit = publish_held(&env, 2);
    night(&env, 1).succeeds();
    // Another commit than the one that a person has read.
    let other = env.line("updates approve acme/tiny --commit 0123456789");
    other.exits(2).explains(&commit);
    env.line("updates approve acme/tiny --commit xyz").exits(2);
    // All or nothing.
    env.line("models add acme/tiny --name two --to ./there")
        .succeeds();
    env.line("updates approve acme/tiny two")
        .exits(1)
        .explains("`two`");
    env.line("updates approve acme/tiny two --commit 0123456789")
        .exits(2);
    assert_eq!(updates(&env, ""), [(commit.clone(), "waiting".to_owned())]);
    let document = env
        .line("updates approve acme/tiny acme/tiny --json")
        .json();
    assert_eq!(document["updates"].as_array().unwrap().len(), 1);
    assert_eq!(document["updates"][0]["commit"], *commit);
    assert_eq!(document["updates"][0]["decision"], "approved");
    env.line("updates approve acme/tiny -q").succeeds();
}

#[test]
fn a_held_update_is_in_the_metrics_and_in_the_status() {
    let env = world();
    let file = env.root().join("metrics.prom");
    let set = ["config", "set", "metrics.file", file.to_str().unwrap()];
    env.hfdl(set).succeeds();
    let held = || {
        let text = fs::read_to_string(&file).unwrap();
        let exposition = Exposition::parse(&text).unwrap();
        let labels = "model=\"acme/tiny\",reason=\"few-bytes\"";
        exposition.get(&format!("hfdl_model_update_held{{{labels}}}"))
    };
    let commit = publish_held(&env, 2);
    night(&env, 1).succeeds();
    assert_eq!(held(), Some(1.0));
    let status = env.line("status --json").exits(1).json();
    let update = &status["models"][0]["held_update"];
    assert_eq!(
        (&update["commit"], &update["decision"]),
        (&commit.into(), &"waiting".into())
    );
    env.line("updates reject acme/tiny").succeeds();
    night(&env, 2).succeeds();
    assert_eq!(held(), None);
    let status = env.line("status --json").succeeds().json();
    assert_eq!(status["models"][0]["held_update"], Value::Null);
}
