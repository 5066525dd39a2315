//! `hfdl apply --check`: the Hub is asked about the models of a file before anything is
//! written.

use std::fs;

use hfdl_test_hub::{Fault, Gate, On};
use serde_json::Value;

use crate::support::env::{Ran, TestEnv};

/// A hub with an open and a gated repository.
fn world() -> TestEnv {
    let env = TestEnv::new();
    for name in ["acme/tiny", "acme/gated"] {
        let commit = env.hub().repo(name).commit("main");
        commit.file("config.json", b"{}").publish();
    }
    env.hub().repo("acme/gated").gated(Gate::Manual);
    env
}

/// Writes a file with these models, and a setting.
fn apply(env: &TestEnv, repos: &[&str], flags: &[&str]) -> Ran {
    let models: Vec<String> = repos
        .iter()
        .map(|repo| format!("  - {{repo: {repo}}}\n"))
        .collect();
    let models = models.concat();
    let text = format!("version: 1\nconfig: {{keep.logs: 3d}}\nmodels:\n{models}");
    let file = env.root().join("work").join("hfdl.yaml");
    fs::write(file, text).unwrap();
    let args = ["apply", "-f", "hfdl.yaml"].into_iter();
    env.hfdl(args.chain(flags.iter().copied()))
}

fn models(env: &TestEnv) -> String {
    env.line("models list --quiet").stdout().to_owned()
}

#[test]
fn a_model_that_the_hub_does_not_have_stops_the_whole_file() {
    let env = world();
    let ran = apply(&env, &["acme/tiny", "acme/tinny"], &["--check"]);
    ran.exits(1)
        .explains("error: could not check `acme/tinny`")
        .explains("`acme/tinny` does not exist, or is private or gated")
        .explains("next: check the name")
        .explains("nothing was applied");
    assert_eq!(ran.stdout(), "");
    assert_eq!(models(&env), "");
    assert!(!env.database().exists());
}

#[test]
fn the_worst_answer_gives_the_exit_code() {
    let env = world();
    apply(&env, &["acme/tinny", "acme/gated"], &["--check"])
        .exits(4)
        .explains("`acme/gated` is gated, and access to its files was not granted")
        .explains("accept the terms at");
    env.hub().fault(On::any(), Fault::Status(503));
    apply(&env, &["acme/tiny"], &["--check"])
        .exits(5)
        .explains("the Hub answered HTTP 503")
        .explains("next: run it again in some minutes");
    assert_eq!(models(&env), "");
}

#[test]
fn a_hub_that_stays_away_is_asked_a_few_times_and_each_model_is_named() {
    let env = world();
    env.hub().fault(On::any(), Fault::Status(503));
    let names: Vec<String> = (0..20).map(|n| format!("acme/m{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let ran = apply(&env, &names, &["--check"]);
    ran.exits(5);
    for name in names {
        ran.explains(&format!("could not check `{name}`"));
    }
    // Three attempts for those that were asked at once, then one each.
    let asked = env.hub().requests().len();
    assert!(asked <= 3 * 8 + 20, "{asked}");
}

#[test]
fn models_that_the_hub_has_are_applied_with_their_sizes() {
    let env = world();
    let ran = apply(&env, &["acme/tiny"], &["--check"]);
    ran.succeeds()
        .prints("checked `acme/tiny`: 1 file, 2 B, at ");
    assert_eq!(models(&env), "acme/tiny\n");
    let asked = env.hub().requests().len();
    // Nothing is new now, so that the Hub is not asked.
    let again = apply(&env, &["acme/tiny"], &["--check"]);
    again.succeeds().prints("nothing to do");
    assert_eq!(env.hub().requests().len(), asked);
}

#[test]
fn a_dry_run_reports_the_answers_and_applies_nothing() {
    let env = world();
    let ran = apply(
        &env,
        &["acme/tiny", "acme/tinny"],
        &["--check", "--dry-run", "--json"],
    );
    let document = ran.exits(1).json();
    let checks = document["checks"].as_array().unwrap();
    assert_eq!(checks[0]["name"], "acme/tiny");
    assert_eq!(checks[0]["check"]["files"], 1);
    assert_eq!(checks[0]["error"], Value::Null);
    assert_eq!(checks[1]["check"], Value::Null);
    assert_eq!(checks[1]["error"]["exit_code"], 1);
    assert_eq!(
        checks[1]["error"]["message"],
        "could not check `acme/tinny`"
    );
    assert_eq!(document["changes"].as_array().unwrap().len(), 3);
    assert!(!env.database().exists());
}

#[test]
fn without_the_flag_no_request_is_sent() {
    let env = world();
    let document = apply(&env, &["acme/tinny"], &["--json"]).succeeds().json();
    assert_eq!(document["checks"], Value::Null);
    assert!(env.hub().requests().is_empty());
    assert_eq!(models(&env), "acme/tinny\n");
}

#[test]
fn a_pin_to_a_commit_that_is_not_there_stops_the_file() {
    let env = world();
    let newest = env.hub().repo("acme/tiny").commit("main");
    let newest = newest.file("config.json", b"{1}").publish();
    let pinned = |commit: &str| {
        let text = format!("version: 1\nmodels:\n  - {{repo: acme/tiny, policy: pin@{commit}}}\n");
        fs::write(env.root().join("work/pin.yaml"), text).unwrap();
        env.line("apply -f pin.yaml --check --dry-run")
    };
    for none in ["0123456789", &"0".repeat(40)] {
        let ran = pinned(none);
        ran.explains("could not check `acme/tiny`");
        assert_ne!(ran.code(), Some(0), "{}", ran.report());
    }
    pinned("0123456789")
        .explains("no commit of `main` begins with 0123456789")
        .explains("`hfdl models set acme/tiny --policy pin@COMMIT`");
    for there in [&newest[..10], &newest] {
        pinned(there)
            .succeeds()
            .prints(&format!("at {}", &newest[..10]));
    }
}
