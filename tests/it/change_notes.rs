//! Change notes: the commits and files of an update, in sessions and in the database.

use hfdl_test_hub::{Api, CommitDraft, Fault, On, generated_bytes};
use serde_json::{Value, json};

use crate::support::database::{ask, change, number};
use crate::support::due::roomy_world;
use crate::support::env::TestEnv;

const MIB: usize = 1 << 20;

/// A model that is published once.
fn world() -> (TestEnv, String) {
    let env = roomy_world();
    let first = commit(&env, "First", |draft| {
        draft
            .file("config.json", b"{}")
            .file("old.bin", b"old")
            .lfs("model.safetensors", generated_bytes(MIB, 1))
    });
    env.line("models add acme/tiny").succeeds();
    env.line("download acme/tiny").succeeds();
    (env, first)
}

fn commit(env: &TestEnv, title: &str, change: impl FnOnce(CommitDraft) -> CommitDraft) -> String {
    let draft = env.hub().repo("acme/tiny").commit("main").title(title);
    change(draft).publish()
}

/// Publishes two commits after the first one; returns the newer one.
fn update(env: &TestEnv) -> String {
    commit(env, "Add code", |draft| draft.file("modeling.py", b"pass"));
    commit(env, "Better weights", |draft| {
        draft
            .remove("old.bin")
            .lfs("model.safetensors", generated_bytes(2 * MIB, 2))
    })
}

fn note(env: &TestEnv, session: u32) -> Value {
    let shown = env.line(&format!("sessions show {session} --json"));
    shown.succeeds().json()["change_note"].clone()
}

#[test]
fn an_update_has_a_note_of_its_commits_files_and_bytes() {
    let (env, first) = world();
    assert_eq!(note(&env, 1), Value::Null, "a first download is no update");
    let newest = update(&env);
    let ran = env.line("download acme/tiny -v");
    ran.succeeds()
        .explains("2 commits; 1 file added (4 B), 1 file changed (2.00 MiB), 1 file removed (3 B), 1 with code")
        .explains("Better weights");
    let note = note(&env, 2);
    assert_eq!(
        (&note["old_commit"], &note["commit"]),
        (&json!(first), &json!(newest))
    );
    let titles: Vec<&Value> = (note["commits"].as_array().unwrap().iter())
        .map(|commit| &commit["title"])
        .collect();
    assert_eq!(titles, ["Better weights", "Add code"]);
    assert_eq!(note["commits"][0]["at"], "2026-01-01T00:02:00Z");
    assert_eq!(note["more_commits"], false);
    let files = &note["files"];
    assert_eq!(files["added"], json!({"files": 1, "bytes": 4}));
    assert_eq!(files["changed"], json!({"files": 1, "bytes": 2 * MIB}));
    assert_eq!(files["removed"], json!({"files": 1, "bytes": 3}));
    let code = json!({"path": "modeling.py", "change": "added", "size": 4, "runs_code": true});
    assert_eq!(files["list"][1], code);
    assert_eq!(note["bytes_fetched"], 2 * MIB + 4);
    assert_eq!(note["bytes_reused"], 2);
    assert_eq!(note["gating"], json!({"before": "no", "after": "no"}));
    env.line("sessions show 2")
        .succeeds()
        .prints("Better weights")
        .prints("removed old.bin (3 B)");
}

#[test]
fn only_an_update_of_a_model_asks_for_commits_and_only_once() {
    let (env, _) = world();
    env.line("download acme/tiny").succeeds();
    assert_eq!(env.hub().count(Api::Commits), 0);
    update(&env);
    env.line("download acme/tiny --dry-run").succeeds();
    env.line("models outdated").succeeds();
    assert_eq!(env.hub().count(Api::Commits), 0);
    env.line("download acme/tiny").succeeds();
    assert_eq!(env.hub().count(Api::Commits), 1);
    env.line("download acme/tiny").succeeds();
    assert_eq!(env.hub().count(Api::Commits), 1);
    assert_eq!(note(&env, 4), Value::Null, "nothing was new");
}

#[test]
fn an_update_is_published_although_the_hub_does_not_tell_its_commits() {
    let (env, _) = world();
    let newest = update(&env);
    env.hub().fault(On::api(Api::Commits), Fault::Status(404));
    env.line("download acme/tiny").succeeds().silently();
    let shown = env.line("models show acme/tiny --json").json();
    assert_eq!(shown["published_commit"], *newest);
    let note = note(&env, 2);
    assert_eq!(note["commits"], Value::Null);
    assert!(
        note["summary"]
            .as_str()
            .unwrap()
            .starts_with("commits unknown; 1 file added")
    );
}

#[test]
fn many_commits_are_cut_and_a_rewritten_history_is_named() {
    let (env, _) = world();
    for n in 0..103 {
        commit(&env, &format!("c{n}"), |draft| {
            draft.file("n", n.to_string())
        });
    }
    env.line("download acme/tiny").succeeds();
    let cut = note(&env, 2);
    assert_eq!(cut["commits"].as_array().unwrap().len(), 100);
    assert_eq!(cut["more_commits"], true);
    env.line("sessions show 2")
        .succeeds()
        .prints("more than 100 commits")
        .prints("and at least 80 more");
    let repo = env.hub().repo("acme/tiny");
    let other = repo
        .commit("other")
        .title("Other")
        .file("config.json", b"{ }");
    let other = other
        .lfs("model.safetensors", generated_bytes(MIB, 1))
        .publish();
    repo.point("main", &other);
    env.line("download acme/tiny").succeeds();
    let rewritten = note(&env, 3);
    assert_eq!(rewritten["history_rewritten"], true, "{rewritten:#}");
    assert!(
        rewritten["summary"]
            .as_str()
            .unwrap()
            .starts_with("history rewritten; ")
    );
}

#[test]
fn a_held_update_has_a_note_and_fetches_nothing() {
    let (env, _) = world();
    commit(&env, "Move away", |draft| {
        draft.remove("model.safetensors").remove("old.bin")
    });
    env.line("download acme/tiny").succeeds();
    let note = note(&env, 2);
    assert_eq!(note["commits"][0]["title"], "Move away");
    assert_eq!(note["files"]["removed"]["files"], 2);
    assert_eq!(note["bytes_fetched"], 0);
    let summary = note["summary"].as_str().unwrap();
    assert!(summary.ends_with("; nothing fetched yet"), "{summary}");
}

#[test]
fn an_update_over_several_sessions_counts_the_bytes_of_all() {
    let (env, _) = world();
    commit(&env, "Large", |draft| {
        draft.lfs("model.safetensors", generated_bytes(8 * MIB, 3))
    });
    env.line("download acme/tiny --max-transfer 2M").exits(8);
    let part = note(&env, 2)["bytes_fetched"].as_u64().unwrap();
    env.line("download acme/tiny").succeeds();
    let whole = note(&env, 3);
    assert!(part > 0);
    assert_eq!(whole["bytes_fetched"], 8 * MIB, "{part} bytes before");
}

#[test]
fn notes_of_commits_that_are_gone_are_pruned_with_the_history() {
    let (env, _) = world();
    let count = "SELECT count(*) FROM change_notes";
    for seed in 5..8 {
        commit(&env, "Again", |draft| {
            draft.lfs("model.safetensors", generated_bytes(MIB, seed))
        });
        env.line("download acme/tiny").succeeds();
    }
    assert_eq!(number(&env, count), 3);
    change(
        &env,
        "UPDATE change_notes SET noted_at = 1000; UPDATE sessions SET started_at = 1000",
    );
    env.line("prune --yes").succeeds();
    let kept = ask(
        &env,
        "SELECT commit_sha = (SELECT published_commit FROM models) FROM change_notes",
    );
    assert_eq!(kept, ["1"], "the published one stays");
}

#[test]
fn titles_of_strangers_reach_no_terminal_as_they_are() {
    let (env, _) = world();
    commit(&env, "a\u{1b}[2Jb\u{202e}\nc", |draft| {
        draft.file("n", b"n")
    });
    let ran = env.line("download acme/tiny -v");
    ran.succeeds();
    let shown = env.line("sessions show 2");
    for text in [ran.stderr(), shown.succeeds().stdout()] {
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
        assert!(text.contains("a [2Jb c"), "{text}");
    }
}

#[test]
fn a_licence_and_a_gate_that_have_changed_are_in_the_note() {
    let (env, _) = world();
    let repo = env.hub().repo("acme/tiny");
    repo.licence("mit");
    commit(&env, "Free", |draft| draft.file("n", b"1"));
    env.line("download acme/tiny").succeeds();
    repo.licence("other");
    commit(&env, "Less free", |draft| draft.file("n", b"2"));
    env.line("download acme/tiny").succeeds();
    let note = note(&env, 3);
    assert_eq!(note["licence"], json!({"before": "mit", "after": "other"}));
    let summary = note["summary"].as_str().unwrap();
    assert!(summary.contains("licence `mit` to `other`"), "{summary}");
}

#[test]
fn a_guard_and_the_note_share_one_list_of_commits() {
    let (env, _) = world();
    env.set("HFDL_UPDATE_GUARDS", "history-rewritten");
    update(&env);
    env.line("download acme/tiny").succeeds();
    assert_eq!(env.hub().count(Api::Commits), 1);
    assert_eq!(note(&env, 2)["commits"].as_array().unwrap().len(), 2);
}

#[test]
fn an_update_of_a_repository_that_is_not_registered_has_a_note() {
    let (env, first) = world();
    env.line("models remove acme/tiny --yes").succeeds();
    let newest = update(&env);
    env.line("download acme/tiny --max-transfer 1M").exits(8);
    env.line("download acme/tiny").succeeds();
    let found = note(&env, 3);
    assert_eq!(
        (&found["old_commit"], &found["commit"]),
        (&json!(first), &json!(newest))
    );
    assert_eq!(found["commits"][0]["title"], "Better weights");
    assert_eq!(found["files"]["with_code"], 1);
    assert_eq!(found["bytes_fetched"], 2 * MIB + 4, "of both sessions");
    env.line("sessions show 3")
        .succeeds()
        .prints("Better weights");
    let report = env.line("report --since 7d --json").succeeds().json();
    let change = &report["updates"][0]["change_note"];
    assert_eq!(change["commits"][1]["title"], "Add code");
    env.line("download acme/tiny").succeeds();
    assert_eq!(note(&env, 4), Value::Null, "nothing was new");
    change_history_to_be_old(&env);
    env.line("prune --yes").succeeds();
    assert_eq!(number(&env, "SELECT count(*) FROM session_notes"), 0);
}

fn change_history_to_be_old(env: &TestEnv) {
    change(env, "UPDATE sessions SET started_at = 1000");
}

#[test]
fn a_configuration_that_names_new_code_counts_as_code() {
    let (env, _) = world();
    let first = r#"{"auto_map": {"AutoModel": "modeling.One"}}"#;
    let other = r#"{"auto_map": {"AutoModel": "else/where--modeling.One"}}"#;
    let same = r#"{"auto_map": {"AutoModel": "else/where--modeling.One"}, "x": 1}"#;
    env.line("models set acme/tiny --guards off").succeeds();
    for (session, config, n_with_code) in [(2, first, 1), (3, other, 1), (4, same, 0)] {
        commit(&env, "Configure", |draft| {
            draft.file("config.json", config.as_bytes())
        });
        env.line("download acme/tiny").succeeds();
        let files = note(&env, session)["files"].clone();
        assert_eq!(files["with_code"], n_with_code, "{config}");
        assert_eq!(files["list"][0]["runs_code"], n_with_code == 1, "{config}");
    }
    env.line("models set acme/tiny --guards new-code")
        .succeeds();
    env.hub().forget_requests();
    commit(&env, "Configure", |draft| {
        draft.file("tokenizer_config.json", first.as_bytes())
    });
    env.line("download acme/tiny").succeeds();
    assert_eq!(note(&env, 5)["files"]["with_code"], 1, "held by the guard");
    assert_eq!(env.hub().downloads("tokenizer_config.json").len(), 1);
}
