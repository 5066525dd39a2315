//! Words that others rely on: outcomes of checks and of verifications are two
//! things, and no list, status, document or metric says one for the other.

use std::fs;

use hfdl_test_hub::generated_bytes;
use serde_json::Value;

use crate::support::damage::rot;
use crate::support::env::TestEnv;
use crate::verify::{blob, in_snapshot, kept, world};

fn status(env: &TestEnv) -> Value {
    env.hfdl(["status", "--json"]).json()
}

fn warning_kinds(status: &Value) -> Vec<String> {
    let warnings = status["warnings"].as_array().unwrap().iter();
    warnings
        .map(|warning| warning["kind"].as_str().unwrap().to_owned())
        .collect()
}

fn state(env: &TestEnv) -> String {
    let shown = env.hfdl(["models", "list", "--json"]).json();
    shown["models"][0]["state"].as_str().unwrap().to_owned()
}

fn metrics(env: &TestEnv) -> String {
    let file = env.root().join("hfdl.prom");
    let path = file.to_str().unwrap().to_owned();
    // With nothing due the file is written all the same.
    env.hfdl(["run-due", "--trigger", "ci", "--metrics-file", &path]);
    fs::read_to_string(file).unwrap()
}

/// Makes the next downloads fail for good.
fn break_upstream(env: &TestEnv) {
    env.hub()
        .repo("acme/tiny")
        .commit("main")
        .lfs("model.safetensors", generated_bytes(3 << 20, 9))
        .publish();
    env.set("HFDL_DISK_RESERVE", "900T");
}

#[test]
fn a_good_verification_does_not_make_a_failing_model_healthy() {
    let env = world();
    kept(&env);
    break_upstream(&env);
    env.hfdl(["download", "acme/tiny"]).exits(6);
    assert_eq!(env.hfdl(["status"]).code(), Some(1));
    assert_eq!(state(&env), "failing");
    env.hfdl(["verify", "--offline"]).succeeds();
    env.set("HFDL_DISK_RESERVE", "0");
    let after = status(&env);
    assert_eq!(after["models"][0]["last_outcome"], "failed");
    assert_eq!(after["models"][0]["last_verify_outcome"], "verified");
    assert_eq!(warning_kinds(&after), ["model-failed"]);
    assert_eq!(env.hfdl(["status"]).code(), Some(1));
    let metrics = metrics(&env);
    let failed = "hfdl_model_outcome{model=\"acme/tiny\",outcome=\"failed\"} 1";
    assert!(metrics.contains(failed), "{metrics}");
    assert!(metrics.contains("hfdl_model_damaged{model=\"acme/tiny\"} 0"));
}

#[test]
fn a_damaged_model_is_damaged_in_every_word_until_it_is_repaired() {
    for repair in [
        &["verify", "--repair"][..],
        &["download", "acme/tiny"],
        &["run-due", "--trigger", "ci"],
    ] {
        let env = world();
        // A scrub would repair it in the tick that writes the metrics.
        env.set("HFDL_VERIFY_EVERY", "off");
        let commit = kept(&env);
        rot(&blob(&env, &commit, "model.safetensors"));
        env.now("2026-03-01T10:00:00Z");
        let found = env.hfdl(["verify", "--offline", "--json"]);
        let model = &found.exits(3).json()["models"][0];
        assert_eq!(model["outcome"], "failed", "as it was before");
        assert_eq!(model["verify_outcome"], "damaged");

        assert_eq!(state(&env), "damaged");
        let seen = status(&env);
        assert_eq!(warning_kinds(&seen), ["model-damaged"]);
        assert_eq!(
            seen["warnings"][0]["hint"],
            "`hfdl verify acme/tiny --repair`"
        );
        let model = &seen["models"][0];
        assert_eq!(model["state"], "damaged");
        assert_eq!(
            model["last_outcome"], "updated",
            "a check found nothing wrong"
        );
        assert_eq!(model["last_verify_outcome"], "damaged");
        assert_eq!(model["last_verify_at"], "2026-03-01T10:00:00Z");
        env.hfdl(["models", "show", "acme/tiny"]).prints("damaged");
        let shown = env
            .hfdl(["models", "list", "--state", "damaged", "--json"])
            .json();
        assert_eq!(shown["models"].as_array().unwrap().len(), 1);
        let metrics = metrics(&env);
        assert!(metrics.contains("hfdl_model_damaged{model=\"acme/tiny\"} 1"));
        let updated = "hfdl_model_outcome{model=\"acme/tiny\",outcome=\"updated\"} 1";
        assert!(metrics.contains(updated), "{metrics}");

        // A sample that leaves the bad file out does not say that it is good.
        env.hfdl(["verify", "--sample", "1"]);
        assert_eq!(state(&env), "damaged");

        if repair[0] == "run-due" {
            env.hfdl(["schedules", "add", "often", "--every", "1h", "--all"])
                .succeeds();
        }
        env.hfdl(repair).succeeds();
        assert_eq!(state(&env), "ok", "{repair:?}");
        assert_eq!(
            warning_kinds(&status(&env)),
            Vec::<String>::new(),
            "{repair:?}"
        );
    }
}

#[test]
fn a_missing_file_is_damage_as_well() {
    let env = world();
    let commit = kept(&env);
    fs::remove_file(in_snapshot(&env, &commit, "config.json")).unwrap();
    env.hfdl(["verify", "--offline"]).exits(3);
    assert_eq!(state(&env), "damaged");
    env.hfdl(["download", "acme/tiny"]).succeeds();
    assert_eq!(state(&env), "ok");
}

#[test]
fn histories_say_the_word_of_a_verification_and_keep_the_old_field() {
    let env = world();
    let commit = kept(&env);
    let newest = |env: &TestEnv| {
        let all = env.hfdl(["sessions", "list", "--json"]).json();
        let newest = &all["sessions"][0];
        [newest["outcome"].clone(), newest["verify_outcome"].clone()]
            .map(|word| word.as_str().unwrap_or("-").to_owned())
    };
    assert_eq!(newest(&env), ["updated", "-"]);
    env.hfdl(["verify"]).succeeds();
    assert_eq!(newest(&env), ["up-to-date", "verified"]);
    env.hfdl(["sessions", "list"]).prints("verified");
    env.hfdl(["verify", "--sample", "9"]).succeeds();
    assert_eq!(newest(&env), ["up-to-date", "unproven"]);
    rot(&blob(&env, &commit, "model.safetensors"));
    env.hfdl(["verify"]).exits(3);
    assert_eq!(newest(&env), ["failed", "damaged"]);
    let damaged = env.hfdl(["sessions", "list", "--outcome", "damaged", "--json"]);
    assert_eq!(damaged.json()["sessions"].as_array().unwrap().len(), 1);
    let last = damaged.json()["sessions"][0]["session_id"].to_string();
    let shown = env.hfdl(["sessions", "show", &last, "--json"]).json();
    assert_eq!(shown["verify_outcome"], "damaged");
    env.hfdl(["sessions", "show", &last]).prints("damaged");
    env.hfdl(["verify", "--repair"]).succeeds();
    assert_eq!(newest(&env), ["repaired", "verified"]);
    let run = env.hfdl(["runs", "list", "--json"]).json()["runs"][0]["run_id"].clone();
    let shown = env
        .hfdl(["runs", "show", run.as_str().unwrap(), "--json"])
        .json();
    assert_eq!(shown["sessions"][0]["verify_outcome"], "verified");
}

#[test]
fn a_verification_of_an_unknown_name_is_a_mistake_in_the_line_and_no_session() {
    let env = world();
    kept(&env);
    let before = env.hfdl(["sessions", "list", "--json"]).json();
    env.hfdl(["verify", "nope"]).exits(2).explains("nope");
    env.hfdl(["verify", "acme/other"])
        .exits(2)
        .explains("acme/other");
    assert_eq!(env.hfdl(["sessions", "list", "--json"]).json(), before);
    assert_eq!(
        env.hfdl(["runs", "list", "--json"]).json()["runs"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}
