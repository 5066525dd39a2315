//! `hfdl lock` and `hfdl apply --locked`: the published commits, written down and
//! reproduced elsewhere.

use std::fs;
use std::path::{Path, PathBuf};

use hfdl_test_hub::generated_bytes;
use serde_json::Value;

use crate::support::due::{outcomes, roomy_world};
use crate::support::env::{Ran, TestEnv};

const SIZE: usize = 4096;

/// Publishes revision `n` of `acme/tiny`.
fn publish(env: &TestEnv, n: u64) -> String {
    let commit = env.hub().repo("acme/tiny").commit("main");
    commit
        .file("config.json", format!("{{\"n\":{n}}}"))
        .lfs("model.safetensors", generated_bytes(SIZE, n))
        .publish()
}

/// A home that has published revision 1 of a model and a data set, locked, and the files
/// with which another home reproduces it.
fn locked() -> (TestEnv, String) {
    let env = roomy_world();
    let commit = publish(&env, 1);
    let data = env.hub().repo("datasets/acme/corpus").commit("main");
    data.file("rows.json", "[]").file("notes.md", "x").publish();
    env.line("models add acme/tiny").succeeds();
    env.line("models add datasets/acme/corpus --exclude '*.md' --name corpus")
        .succeeds();
    env.line("download --all").succeeds();
    let exported = env.line("export");
    fs::write(work(&env).join("hfdl.yaml"), exported.succeeds().stdout()).unwrap();
    env.line("lock")
        .succeeds()
        .prints("locked 2 models in `hfdl.lock`");
    (env, commit)
}

fn work(env: &TestEnv) -> PathBuf {
    env.root().join("work")
}

fn lock_text(env: &TestEnv) -> String {
    fs::read_to_string(work(env).join("hfdl.lock")).unwrap()
}

/// Lets all later commands use a new home and a new cache.
fn elsewhere(env: &TestEnv) {
    for (variable, name) in [("HFDL_HOME", "state2"), ("HF_HUB_CACHE", "hub2")] {
        env.set(variable, &env.root().join(name).to_string_lossy());
    }
}

fn apply_locked(env: &TestEnv) -> Ran {
    env.line("apply -f hfdl.yaml --locked")
}

/// Applies a lock file with one text replaced by another, and returns the failure.
fn refused(env: &TestEnv, from: &str, to: &str) -> String {
    let text = lock_text(env);
    assert!(text.contains(from), "{from} in {text}");
    let changed = work(env).join("changed.lock");
    fs::write(&changed, text.replacen(from, to, 1)).unwrap();
    let before = env.database_content();
    env.hub().forget_requests();
    let ran = env.line("apply -f hfdl.yaml --locked=changed.lock");
    ran.exits(1).explains("nothing was changed");
    assert_eq!(env.database_content(), before);
    assert_eq!(downloads(env), 0, "{}", env.hub().describe_requests());
    ran.stderr().to_owned()
}

/// Counts the requests for bytes of `acme/tiny`.
fn downloads(env: &TestEnv) -> usize {
    let files = ["model.safetensors", "config.json"].into_iter();
    files.map(|file| env.hub().downloads(file).len()).sum()
}

fn shown(env: &TestEnv, name: &str) -> Value {
    env.hfdl(["models", "show", name, "--json"])
        .succeeds()
        .json()
}

fn published(env: &TestEnv) -> String {
    let commit = shown(env, "acme/tiny")["published_commit"].clone();
    commit.as_str().unwrap_or_default().to_owned()
}

#[test]
fn the_same_commits_give_the_same_bytes_and_a_new_one_changes_its_lines() {
    let (env, commit) = locked();
    let text = lock_text(&env);
    for line in [
        "      \"name\": \"acme/tiny\",",
        "      \"repo_type\": \"dataset\",",
        "      \"exclude\": [\"*.md\"],",
        &format!("      \"commit\": \"{commit}\","),
    ] {
        assert!(text.lines().any(|it| it == line), "{line} in {text}");
    }
    assert!(!text.contains("notes.md"), "it is not selected");
    assert!(!text.contains("2026"), "no time stamp");
    let modified = || {
        fs::metadata(work(&env).join("hfdl.lock"))
            .unwrap()
            .modified()
            .unwrap()
    };
    let before = modified();
    env.now("2026-04-01T09:00:00Z")
        .line("lock")
        .succeeds()
        .prints("is as it was");
    assert_eq!(modified(), before);
    assert_eq!(env.line("lock --output -").stdout(), text);
    env.line("lock --check")
        .succeeds()
        .prints("is as published: 2 models");

    let new = publish(&env, 2);
    env.line("download acme/tiny").succeeds();
    let line = format!("`acme/tiny`: the commit is {new}, and locked is {commit}\n");
    let checked = env.line("lock --check");
    assert_eq!(checked.exits(1).stdout(), line);
    env.line("lock --check corpus").succeeds();
    let document = env.line("lock --check --json").exits(1).json();
    assert_eq!(document["differences"].as_array().unwrap().len(), 1);
    env.line("lock -q").succeeds();
    let changed: Vec<String> = lock_text(&env)
        .lines()
        .filter(|line| !text.contains(line))
        .map(str::to_owned)
        .collect();
    assert_eq!(changed.len(), 3, "commit and two files: {changed:?}");
}

#[test]
fn a_lock_needs_a_published_commit_and_its_listing() {
    let env = roomy_world();
    publish(&env, 1);
    env.line("models add acme/tiny").succeeds();
    env.line("models add acme/tiny --name other --revision v1 --no-check")
        .succeeds();
    let ran = env.line("lock");
    ran.exits(1)
        .explains("nothing of `acme/tiny` is published; nothing of `other`");
    assert!(!work(&env).join("hfdl.lock").exists());
    env.line("download acme/tiny").succeeds();
    env.line("lock acme/tiny").succeeds().silently();
    env.line("lock nope")
        .exits(2)
        .explains("there is no model `nope`");
    env.line("lock --check --output -").exits(2);
    env.line("lock --check other").exits(1);
    remove_listings(&env.cache());
    env.line("lock acme/tiny")
        .exits(1)
        .explains("the listing of `acme/tiny` at");
}

fn remove_listings(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            remove_listings(&path);
        } else if path.parent().unwrap().ends_with("trees") {
            fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn another_home_reproduces_an_older_commit_and_stays_there() {
    let (env, old) = locked();
    publish(&env, 2);
    elsewhere(&env);
    env.line("apply -f hfdl.yaml --locked --dry-run --json")
        .succeeds();
    assert!(
        !env.root().join("state2").exists(),
        "a dry run writes nothing"
    );
    env.hub().forget_requests();
    let applied = apply_locked(&env);
    applied.succeeds().prints(&format!("pinned {old}"));
    assert_eq!(downloads(&env), 0);
    apply_locked(&env).succeeds().prints("nothing to do");

    env.line("download --all").succeeds();
    assert_eq!(published(&env), old);
    assert_eq!(shown(&env, "acme/tiny")["pinned_by"], "lock");
    env.line("lock --check").succeeds();
    env.line("schedules add nightly --every 6h --all")
        .succeeds();
    env.now("2026-03-02T09:00:00Z");
    let night = env.line("run-due --json");
    let up_to_date = |name: &str| (name.to_owned(), "up-to-date".to_owned());
    let expected = [up_to_date("acme/tiny"), up_to_date("corpus")];
    assert_eq!(outcomes(night.succeeds()), expected);

    let freed = env.line("apply -f hfdl.yaml");
    freed
        .succeeds()
        .prints(&format!("~ model acme/tiny: pinned {old} → -"));
    freed.prints("follow their revisions again");
    env.line("download acme/tiny").succeeds();
    assert_ne!(published(&env), old);
}

#[test]
fn a_home_with_a_newer_commit_goes_back_to_the_locked_one() {
    let (env, old) = locked();
    publish(&env, 2);
    env.line("download acme/tiny").succeeds();
    assert_ne!(published(&env), old);
    apply_locked(&env).succeeds();
    env.line("download acme/tiny").succeeds();
    assert_eq!(published(&env), old);
    let main = env.cache().join("models--acme--tiny/refs/main");
    assert_eq!(fs::read_to_string(main).unwrap(), old);
}

#[test]
fn a_locked_commit_that_only_this_disk_has_is_published() {
    let (env, old) = locked();
    publish(&env, 2);
    env.line("download acme/tiny").succeeds();
    assert_ne!(published(&env), old);
    env.hub().repo("acme/tiny").forget_commit(&old);
    apply_locked(&env).succeeds();
    env.hub().forget_requests();
    env.line("download acme/tiny").succeeds();
    assert_eq!(published(&env), old);
    assert_eq!(downloads(&env), 0);
    let main = env.cache().join("models--acme--tiny/refs/main");
    assert_eq!(fs::read_to_string(main).unwrap(), old);
}

#[test]
fn every_difference_is_named_and_nothing_is_changed() {
    let (env, commit) = locked();
    elsewhere(&env);
    let weights = "\"path\": \"model.safetensors\", \"size\": 4096";
    for (from, to, expected) in [
        (
            "\"acme/tiny\",\n      \"repo_type\": \"model\"",
            "\"acme/other\",\n      \"repo_type\": \"model\"",
            "`acme/other` is only in the lock file",
        ),
        (
            "\"acme/tiny\",\n      \"repo_type\": \"model\"",
            "\"acme/other\",\n      \"repo_type\": \"model\"",
            "`acme/tiny` is not in the lock file",
        ),
        (
            "\"revision\": \"main\"",
            "\"revision\": \"v1\"",
            "the revision is `main`, and locked is `v1`",
        ),
        (
            "\"exclude\": [\"*.md\"]",
            "\"exclude\": []",
            "`corpus`: the exclude list is [\"*.md\"]",
        ),
        (
            weights,
            "\"path\": \"model.safetensors\", \"size\": 1",
            "the size is 4096, and locked is 1",
        ),
        (
            "\"path\": \"config.json\"",
            "\"path\": \"config.jsoo\"",
            "file `config.json`: it is not in the lock file",
        ),
        (
            commit.as_str(),
            &"0".repeat(40),
            "commit 0000000000 is not on the Hub",
        ),
    ] {
        let told = refused(&env, from, to);
        assert!(told.contains(expected), "{expected} in {told}");
    }
    let hash = lock_text(&env);
    let at = hash.find("sha256:").unwrap();
    let hash = &hash[at..at + 71];
    let other = format!("sha256:{}", "0".repeat(64));
    let told = refused(&env, hash, &other);
    assert!(
        told.contains(&format!("the hash is {hash}, and locked is {other}")),
        "{told}"
    );
    apply_locked(&env).succeeds();
}

#[test]
fn all_differences_come_in_one_error() {
    let (env, _) = locked();
    env.line("models add acme/tiny --name third --include config.json")
        .succeeds();
    let text = lock_text(&env).replacen("\"size\": 4096", "\"size\": 4095", 1);
    let text = text.replacen("\"exclude\": [\"*.md\"]", "\"exclude\": []", 1);
    fs::write(work(&env).join("hfdl.lock"), text).unwrap();
    let ran = apply_locked(&env);
    ran.exits(1)
        .explains("the models differ from the lock file; nothing was changed");
    for line in [
        "`third` is not in the lock file",
        "`corpus`: the exclude list",
        "the size is 4096",
    ] {
        ran.explains(line);
    }
    env.line("apply -f hfdl.yaml --prune -y --locked=nope.lock")
        .exits(2)
        .explains("there is no lock file `nope.lock`");
    fs::write(work(&env).join("bad.lock"), "{}").unwrap();
    env.line("apply -f hfdl.yaml --locked=bad.lock")
        .exits(2)
        .explains("`bad.lock` is no lock file");
}

#[test]
fn a_rollback_and_a_hub_without_answer_are_no_reproduction() {
    let (env, old) = locked();
    publish(&env, 2);
    env.line("download acme/tiny").succeeds();
    env.line("lock --output new.lock").succeeds();
    env.line("models rollback acme/tiny").succeeds();
    env.line("apply -f hfdl.yaml --locked=new.lock")
        .exits(1)
        .explains(&format!("a rollback holds it at {}", &old[..10]));
    apply_locked(&env).succeeds();
    elsewhere(&env);
    env.set("HF_ENDPOINT", "http://127.0.0.1:1");
    let ran = apply_locked(&env);
    ran.exits(5).explains("with the lock file");
    assert!(!env.root().join("state2/hfdl.db").exists());
}

#[test]
fn a_listing_that_differs_from_the_lock_file_is_not_fetched() {
    let (env, _) = locked();
    elsewhere(&env);
    apply_locked(&env).succeeds();
    // As if the Hub listed other files at this commit since.
    let sql = rusqlite::Connection::open(env.root().join("state2/hfdl.db")).unwrap();
    let update = "UPDATE models SET locked_files = ?1 WHERE name = 'acme/tiny'";
    sql.execute(update, ["0".repeat(64)]).unwrap();
    drop(sql);
    env.hub().forget_requests();
    let ran = env.line("download acme/tiny");
    ran.exits(3).explains("other files at commit");
    assert_eq!(downloads(&env), 0);
    env.line("models set acme/tiny --include config.json")
        .succeeds();
    env.line("download acme/tiny").succeeds();
}

#[test]
fn models_of_one_revision_are_locked_at_one_commit() {
    let (env, commit) = locked();
    env.line("models add acme/tiny --name weights --include '*.safetensors'")
        .succeeds();
    env.line("download weights").succeeds();
    env.line("lock -q").succeeds();
    let text = lock_text(&env);
    let (before, after) = text.rsplit_once(&commit).unwrap();
    let other = "0".repeat(40);
    fs::write(
        work(&env).join("hfdl.lock"),
        format!("{before}{other}{after}"),
    )
    .unwrap();
    apply_locked(&env)
        .exits(1)
        .explains("`acme/tiny` and `weights` share a revision in the cache");
}

#[test]
fn a_lock_file_comes_before_the_policy_of_a_model() {
    let (env, old) = locked();
    let new = publish(&env, 2);
    env.line("download acme/tiny").succeeds();
    env.line("models set acme/tiny --policy approve --delay 7d")
        .succeeds();
    let exported = env.line("export");
    fs::write(work(&env).join("hfdl.yaml"), exported.stdout()).unwrap();
    apply_locked(&env).succeeds();
    env.line("download acme/tiny").succeeds();
    assert_eq!(published(&env), old);
    env.line("apply -f hfdl.yaml").succeeds();
    env.line("download acme/tiny").succeeds();
    assert_eq!(published(&env), old, "{new} waits for an approval");
}
