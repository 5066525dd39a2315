//! Updates that look like a loss: held, told once, and published when a person
//! accepts them; and selections that match nothing.

use std::fs;

use hfdl_test_hub::{Api, generated_bytes};
use serde_json::Value;

use crate::support::database::number;
use crate::support::env::{Ran, TestEnv};
use crate::support::sound::files_below;

const MIB: usize = 1 << 20;

/// A model under a schedule, published once.
fn world(options: &str) -> (TestEnv, String) {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    let commit = commit(&env, |draft| {
        draft
            .file("config.json", b"{}")
            .lfs("model.safetensors", generated_bytes(2 * MIB, 1))
    });
    env.line(&format!(
        "models add acme/tiny {options} --keep-revisions 1"
    ))
    .succeeds();
    env.line("schedules add often --every 6h --all").succeeds();
    env.line("run-due --trigger ci").succeeds();
    (env, commit)
}

fn commit(
    env: &TestEnv,
    change: impl FnOnce(hfdl_test_hub::CommitDraft) -> hfdl_test_hub::CommitDraft,
) -> String {
    change(env.hub().repo("acme/tiny").commit("main")).publish()
}

fn emptied(env: &TestEnv) -> String {
    commit(env, |draft| {
        draft.remove("config.json").remove("model.safetensors")
    })
}

fn main_ref(env: &TestEnv) -> String {
    fs::read_to_string(env.cache().join("models--acme--tiny/refs/main")).unwrap()
}

fn session(ran: &Ran) -> Value {
    ran.json()["sessions"][0].clone()
}

fn night(env: &TestEnv, n: u8) -> Ran {
    env.now(&format!("2026-03-{:02}T09:00:00Z", n + 1))
        .line("run-due --trigger ci --json")
}

fn events(env: &TestEnv) -> i64 {
    number(env, "SELECT count(*) FROM events WHERE kind = 'held'")
}

fn model_file(env: &TestEnv, commit: &str) -> std::path::PathBuf {
    let snapshots = env.cache().join("models--acme--tiny/snapshots");
    snapshots.join(commit).join("model.safetensors")
}

#[test]
fn a_repository_that_was_emptied_is_held_for_as_many_nights_as_it_takes() {
    let (env, good) = world("");
    let empty = emptied(&env);
    for n in 1..=4 {
        let ran = night(&env, n);
        let session = session(ran.succeeds());
        assert_eq!(session["outcome"], "held", "night {n}");
        assert_eq!(session["new_commit"], *empty);
        let error = session["error"].as_str().unwrap();
        for part in [
            &*good,
            &*empty,
            "2 selected files (2.00 MiB)",
            "no selected file",
        ] {
            assert!(error.contains(part), "{error}");
        }
        let accept = format!("hfdl download acme/tiny --accept {}", &empty[..10]);
        assert!(session["hint"].as_str().unwrap().contains(&accept));
        assert_eq!(main_ref(&env), good);
        assert!(model_file(&env, &good).exists());
    }
    assert_eq!(events(&env), 1, "told once");
    let shown = env.line("models show acme/tiny --json").json();
    assert_eq!(shown["state"], "held");
    assert_eq!(shown["published_commit"], *good);
    assert_eq!(shown["held_update"]["commit"], *empty);
    assert_eq!(shown["held_update"]["reason"], "no-files");
    let status = env.line("status --json");
    let document = status.exits(1).json();
    let kinds: Vec<&str> = document["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|warning| warning["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["update-held"]);
    let outdated = env.line("models outdated --json").succeeds().json();
    assert_eq!(outdated["models"][0]["state"], "outdated");
    assert_eq!(outdated["models"][0]["held_update"], *empty);
}

#[test]
fn a_filter_that_selects_nothing_any_more_is_held_until_it_selects_again() {
    let (env, good) = world("--include *.safetensors");
    commit(&env, |draft| {
        draft
            .remove("model.safetensors")
            .lfs("weights.bin", generated_bytes(2 * MIB, 2))
    });
    assert_eq!(session(night(&env, 1).succeeds())["outcome"], "held");
    assert_eq!(main_ref(&env), good);
    // With a filter that fits nothing is lost.
    env.line("models set acme/tiny --include *.safetensors --include *.bin")
        .succeeds();
    assert_eq!(session(night(&env, 2).succeeds())["outcome"], "updated");
    let shown = env.line("models show acme/tiny --json").json();
    assert_eq!(shown["held_update"], Value::Null);
    env.line("status").succeeds();
}

#[test]
fn a_small_part_of_the_bytes_is_held_and_nothing_is_fetched() {
    let (env, good) = world("");
    commit(&env, |draft| {
        draft.lfs("model.safetensors", generated_bytes(1000, 3))
    });
    env.hub().forget_requests();
    let ran = night(&env, 1);
    assert_eq!(session(ran.succeeds())["outcome"], "held");
    let fetched = |request: &hfdl_test_hub::Request| matches!(request.api, Api::Resolve | Api::Cdn);
    assert!(!env.hub().requests().iter().any(fetched));
    assert_eq!(main_ref(&env), good);
    let dry = env.line("download acme/tiny --dry-run --json");
    dry.succeeds().explains("--accept");
    assert!(dry.json()["models"][0]["held_update"].is_string());
    // Half of it is a change like any other.
    commit(&env, |draft| {
        draft.lfs("model.safetensors", generated_bytes(MIB, 4))
    });
    assert_eq!(session(night(&env, 2).succeeds())["outcome"], "updated");
}

#[test]
fn a_person_accepts_what_is_held() {
    let (env, good) = world("");
    let empty = emptied(&env);
    night(&env, 1).succeeds();
    let held = env.line("download acme/tiny");
    held.succeeds()
        .prints(&good)
        .explains("note: `acme/tiny` is held");
    env.line("download acme/tiny -q").succeeds().silently();
    env.line(&format!("download acme/tiny --accept {}", "0".repeat(40)))
        .exits(2)
        .explains(&empty);
    env.line("download acme/tiny --accept xyz").exits(2);
    let ran = env.line(&format!(
        "download acme/tiny --json --accept {}",
        &empty[..7]
    ));
    assert_eq!(session(ran.succeeds())["outcome"], "updated");
    assert_eq!(main_ref(&env), empty);
    let shown = env.line("models show acme/tiny --json").json();
    assert_eq!(shown["state"], "ok");
    assert_eq!(shown["held_update"]["accepted"], true);
    env.line("status").succeeds();
    // From then on it is the state of affairs, and what comes next is judged by it.
    assert_eq!(session(night(&env, 2).succeeds())["outcome"], "up-to-date");
}

#[test]
fn an_accepted_update_that_was_cut_short_goes_on_by_itself() {
    let (env, good) = world("");
    let size = 100_000;
    let small = commit(&env, |draft| {
        draft.lfs("model.safetensors", generated_bytes(size, 5))
    });
    night(&env, 1).succeeds();
    let cut = env.line(&format!(
        "download acme/tiny --accept {} --max-transfer 1K",
        &small[..10]
    ));
    cut.exits(8);
    assert_eq!(main_ref(&env), good);
    let shown = env.line("models show acme/tiny --json").json();
    assert_eq!(shown["held_update"]["accepted"], true);
    assert_eq!(session(night(&env, 2).succeeds())["outcome"], "updated");
    assert_eq!(main_ref(&env), small);
}

#[test]
fn an_unregistered_repository_is_held_and_accepted_too() {
    let (env, good) = world("");
    env.line("models remove acme/tiny --yes").succeeds();
    let empty = emptied(&env);
    env.line("download acme/tiny")
        .succeeds()
        .prints(&good)
        .explains("--accept");
    assert_eq!(main_ref(&env), good);
    env.line(&format!("download acme/tiny --accept {}", &empty[..10]))
        .succeeds();
    assert_eq!(main_ref(&env), empty);
}

#[test]
fn a_published_commit_whose_listing_is_unknown_is_not_replaced_by_nothing_either() {
    let (env, good) = world("");
    let folder = env.cache().join("models--acme--tiny");
    let is_listing = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.contains(&good) && name.ends_with(".json")
    };
    let listings: Vec<_> = files_below(&folder)
        .into_iter()
        .filter(is_listing)
        .collect();
    assert!(!listings.is_empty());
    for listing in listings {
        fs::remove_file(listing).unwrap();
    }
    emptied(&env);
    assert_eq!(session(night(&env, 1).succeeds())["outcome"], "held");
    assert_eq!(main_ref(&env), good);
}

#[test]
fn a_directory_keeps_its_files_even_where_those_gone_upstream_are_deleted() {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    commit(&env, |draft| {
        draft
            .file("config.json", b"{}")
            .lfs("model.safetensors", generated_bytes(2 * MIB, 1))
    });
    env.line("models add acme/tiny --to ./there").succeeds();
    env.line("download acme/tiny").succeeds();
    let empty = emptied(&env);
    let ran = env.line("download acme/tiny --delete --json");
    assert_eq!(session(ran.succeeds())["outcome"], "held");
    let file = env.root().join("work/there/model.safetensors");
    assert_eq!(fs::metadata(&file).unwrap().len(), 2 * MIB as u64);
    env.line(&format!("download acme/tiny --delete --accept {empty}"))
        .succeeds();
    assert!(!file.exists());
}

#[test]
fn a_selection_that_matches_nothing_is_a_mistake_and_names_what_there_is() {
    let (env, _) = world("");
    for line in [
        "models add acme/tiny --name other --revision refs/heads/main --include *.gguf",
        "download acme/tiny --include *.gguf",
        "download acme/tiny --include *.gguf --to ./there",
    ] {
        env.line(line)
            .exits(2)
            .explains("is selected; it has 2 files: `config.json`, `model.safetensors`");
    }
    assert!(!env.root().join("work/there/config.json").exists());
    // A registered model whose filter is changed so that it matches nothing keeps what it has.
    env.line("models set acme/tiny --include *.gguf").succeeds();
    assert_eq!(session(night(&env, 1).exits(2))["outcome"], "failed");
    assert_eq!(
        env.line("models list --json").json()["models"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn a_registered_filter_that_never_matched_fails_and_says_so() {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    commit(&env, |draft| draft.file("config.json", b"{}"));
    env.line("models add acme/tiny --include *.gguf --no-check")
        .succeeds();
    env.line("schedules add often --every 6h --all").succeeds();
    let ran = env.line("run-due --trigger ci --json");
    let session = session(ran.exits(2));
    assert_eq!(session["outcome"], "failed");
    assert_eq!(session["error_kind"], "config");
    assert!(session["error"].as_str().unwrap().contains("`config.json`"));
    assert!(session["hint"].as_str().unwrap().contains("patterns"));
    env.line("status").exits(1);
}

#[cfg(unix)]
#[test]
fn mail_and_hooks_report_a_held_commit_once() {
    let (env, _) = world("");
    let heard = env.root().join("heard");
    let hook = env.root().join("hook");
    let text = format!(
        "#!/bin/sh\necho \"$HFDL_EVENT $HFDL_OUTCOME\" >> '{}'\n",
        heard.display()
    );
    fs::write(&hook, text).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&hook, mode).unwrap();
    env.hfdl(["config", "set", "hooks.on_hold", hook.to_str().unwrap()])
        .succeeds();
    let tick = |n: u8| {
        env.now(&format!("2026-03-{:02}T09:00:00Z", n + 1))
            .line("run-due --trigger timer")
    };
    emptied(&env);
    tick(1)
        .succeeds()
        .explains("`acme/tiny` is held")
        .explains("--accept");
    tick(2).succeeds().silently();
    commit(&env, |draft| draft.file("README.md", b"moved"));
    tick(3).succeeds().explains("1 selected file (5 B)");
    tick(4).succeeds().silently();
    assert_eq!(fs::read_to_string(heard).unwrap().lines().count(), 2);
}
