//! `hfdl sessions`: what real downloads left in the history.

use hfdl_test_hub::{Fault, On, generated_bytes};
use serde_json::Value;

use crate::support::env::{Ran, TestEnv};

const MIB: usize = 1 << 20;

/// A hub with one registered model, and no reserve on the disk.
pub fn world() -> TestEnv {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    publish(&env, 1);
    env.line("models add acme/tiny").succeeds();
    env
}

/// Publishes a revision; its number is in the bytes.
pub fn publish(env: &TestEnv, number: u8) -> String {
    let commit = env.hub().repo("acme/tiny").commit("main");
    commit
        .file("config.json", format!("{{\"a\": {number}}}").as_bytes())
        .lfs(
            "model.safetensors",
            generated_bytes(2 * MIB, u64::from(number)),
        )
        .publish()
}

fn sessions(ran: &Ran) -> Vec<Value> {
    let document = ran.succeeds().json();
    assert_eq!(document["schema"], "hfdl.sessions/1");
    document["sessions"].as_array().unwrap().clone()
}

/// Lists the numbers that a command line finds.
fn ids(env: &TestEnv, line: &str) -> Vec<i64> {
    let found = sessions(&env.line(&format!("sessions list --json {line}")));
    found
        .iter()
        .map(|it| it["session_id"].as_i64().unwrap())
        .collect()
}

/// Five sessions: two good ones of a model, one failure, one download of a
/// repository that is not registered, and one of a model that is removed.
fn history() -> TestEnv {
    let env = world();
    for (id, name) in [("acme/loose", "x"), ("acme/gone", "y")] {
        let commit = env.hub().repo(id).commit("main");
        commit.file("a.txt", name.as_bytes()).publish();
    }
    env.line("models add acme/gone").succeeds();
    for (hour, target, code) in [
        (9, "acme/tiny", 0),
        (10, "acme/gone", 0),
        (11, "acme/loose", 0),
        (12, "acme/tiny", 0),
        (13, "acme/tiny", 5),
    ] {
        env.now(&format!("2026-03-01T{hour:02}:00:00Z"));
        if code != 0 {
            env.hub().fault(On::any(), Fault::Status(503));
        }
        env.line(&format!("download {target}")).exits(code);
    }
    env.hub().heal();
    env.line("models remove acme/gone -y").succeeds();
    env
}

#[test]
fn the_list_is_newest_first_and_every_filter_narrows_it() {
    let env = history();
    assert_eq!(ids(&env, ""), [5, 4, 3, 2, 1]);
    assert_eq!(ids(&env, "--limit 2"), [5, 4]);
    assert_eq!(ids(&env, "--model acme/tiny"), [5, 4, 1]);
    assert_eq!(ids(&env, "--model acme/gone"), [2], "a removed model");
    assert_eq!(ids(&env, "--outcome could-not-check"), [5]);
    assert_eq!(ids(&env, "--outcome updated --model acme/tiny"), [1]);
    assert_eq!(ids(&env, "--since 2h"), [5, 4, 3], "since 11:00");
    assert_eq!(ids(&env, "--since '2026-03-01 12:30'"), [5]);
    assert_eq!(ids(&env, "--since 2026-03-01T12:00:00Z --limit 1"), [5]);
    assert!(ids(&env, "--outcome held").is_empty());
    let run = sessions(&env.line("sessions list --limit 1 --json"))[0]["run_id"].clone();
    let run = run.as_str().unwrap();
    assert_eq!(ids(&env, &format!("--run {run}")), [5]);
    assert_eq!(ids(&env, &format!("--run {}", &run[28..])), [5]);
}

#[test]
fn a_cut_list_says_so_in_its_document_and_nowhere_else_without_a_terminal() {
    let env = history();
    let cut = env.line("sessions list --limit 4 --json");
    assert_eq!(cut.json()["more"], true);
    let whole = env.line("sessions list --limit 5 --json");
    assert_eq!(whole.json()["more"], false);
    let table = env.line("sessions list --limit 4");
    assert_eq!(table.succeeds().silently().stdout().lines().count(), 5);
}

#[test]
fn a_session_tells_what_became_of_each_file() {
    let env = world();
    let old = publish(&env, 1);
    env.line("download acme/tiny").succeeds();
    let first = env.line("sessions show 1 --json").succeeds().json();
    assert_eq!(first["schema"], "hfdl.session/1");
    assert_eq!(first["old_commit"], Value::Null);
    let added = ["config.json", "model.safetensors"];
    assert_eq!(first["changes"]["added"], serde_json::json!(added));

    // One file changes, one comes, one stays, one goes.
    let repo = env.hub().repo("acme/tiny");
    let commit = repo
        .commit("main")
        .file("config.json", b"{}")
        .file("new.txt", b"n");
    let new = commit.publish();
    env.line("download acme/tiny").succeeds();
    let shown = env.line("sessions show 2 --json").succeeds().json();
    assert_eq!(
        (&shown["old_commit"], &shown["new_commit"]),
        (&old.into(), &new.into())
    );
    let files = shown["file_list"].as_array().unwrap();
    let file = |path: &str| files.iter().find(|file| file["path"] == path).unwrap();
    let config = file("config.json");
    assert_eq!(config["change"], "changed");
    assert_eq!(config["bytes_fetched"], 2);
    assert_eq!(config["source"], "http");
    assert_eq!(config["result"], "verified");
    assert!(config["content"].as_str().unwrap().starts_with("git:"));
    assert_eq!(file("new.txt")["change"], "added");
    let kept = file("model.safetensors");
    assert_eq!(
        (&kept["change"], &kept["bytes_fetched"]),
        (&"same".into(), &0.into())
    );
    env.line("sessions show 2")
        .succeeds()
        .prints("config.json")
        .prints("changed");
}

#[test]
fn a_file_gone_upstream_is_listed_as_removed_while_the_old_listing_is_kept() {
    let env = world();
    env.line("download acme/tiny").succeeds();
    let repo = env.hub().repo("acme/tiny");
    repo.commit("main").remove("config.json").publish();
    env.line("download acme/tiny").succeeds();
    let removed = || {
        let shown = env.line("sessions show 2 --json").succeeds().json();
        shown["changes"]["removed"].clone()
    };
    assert_eq!(removed(), serde_json::json!(["config.json"]));
    env.line("models set acme/tiny --exclude config.json")
        .succeeds();
    assert_eq!(removed(), serde_json::json!([]), "nobody wanted that file");
    env.line("models set acme/tiny --no-exclude").succeeds();
    std::fs::remove_dir_all(env.cache()).unwrap();
    let shown = env.line("sessions show 2 --json").succeeds().json();
    assert_eq!(shown["changes"]["removed"], serde_json::json!([]));
    assert_eq!(
        shown["file_list"][0]["change"],
        Value::Null,
        "not known any more"
    );
}

#[test]
fn a_failure_is_shown_in_full_with_its_hint() {
    let env = world();
    env.hub()
        .fault(On::cdn("model.safetensors"), Fault::FlipByteAt(5));
    env.line("download acme/tiny").exits(3);
    let shown = env.line("sessions show 1 --json").succeeds().json();
    assert_eq!(shown["error_kind"], "integrity");
    let error = shown["error"].as_str().unwrap();
    assert!(error.contains("model.safetensors"), "{error}");
    env.line("sessions show 1")
        .succeeds()
        .prints(error)
        .prints(shown["hint"].as_str().unwrap_or("next  "));
    env.line("sessions list").prints(error);
    let row = env.set("COLUMNS", "100").line("sessions list");
    assert!(!row.stdout().contains(error), "the list has it in short");
    row.prints("`model.safetensors`");
}

#[test]
fn an_unknown_session_id_is_refused_with_the_list_command() {
    for env in [TestEnv::new(), world()] {
        env.line("sessions show 77")
            .exits(2)
            .explains("there is no session 77")
            .explains("`hfdl sessions list`");
    }
}

#[test]
fn the_history_can_be_read_while_nothing_is_set_up() {
    let env = TestEnv::new();
    assert_eq!(env.line("sessions list").succeeds().silently().stdout(), "");
    assert_eq!(env.line("runs list").succeeds().silently().stdout(), "");
    assert!(!env.home().exists());
}
