//! `cache.max_size`, which downloads may not exceed, and `prune.auto`, which makes room.

use std::fs;
use std::path::PathBuf;

use hfdl_test_hub::generated_bytes;
use serde_json::Value;

use crate::support::database::{cell, number};
use crate::support::due::{keep_large, outcomes, roomy_world};
use crate::support::env::{Ran, TestEnv};

const MIB: usize = 1 << 20;

fn publish(env: &TestEnv, repo: &str, n: u64) -> String {
    let draft = env.hub().repo(repo).commit("main");
    draft
        .lfs("model.safetensors", generated_bytes(MIB, n))
        .publish()
}

fn day(env: &TestEnv, n: u64) {
    env.now(&format!("2026-03-{n:02}T09:00:00Z"));
}

fn snapshot(env: &TestEnv, commit: &str) -> PathBuf {
    let folder = env.cache().join("models--acme--old/snapshots");
    folder.join(commit)
}

/// A model with four revisions of 1 MiB, of the days 1 to 4, and another one of 1 MiB
/// that was not fetched yet.
fn with_old_revisions() -> (TestEnv, Vec<String>) {
    let env = roomy_world();
    let mut commits = Vec::new();
    for n in 1..=4 {
        commits.push(publish(&env, "acme/old", n));
        day(&env, n);
        if n == 1 {
            env.line("models add acme/old --keep-revisions 9")
                .succeeds();
        }
        env.line("download acme/old").succeeds();
    }
    keep_large(&env, "acme/new", MIB, 9);
    (env, commits)
}

fn hint(ran: &Ran) -> String {
    let document = ran.json();
    document["sessions"][0]["hint"].as_str().unwrap().to_owned()
}

#[test]
fn a_download_beyond_the_size_of_the_cache_is_not_started() {
    let env = roomy_world();
    keep_large(&env, "acme/a", 2 * MIB, 1);
    keep_large(&env, "acme/b", 2 * MIB, 2);
    env.set("HFDL_CACHE_MAX_SIZE", "3M");
    let ran = env.line("download acme/a acme/b --json");
    let mut ends = outcomes(ran.exits(6));
    ends.sort_by(|a, b| a.1.cmp(&b.1));
    assert_eq!(ends[0].1, "failed");
    assert_eq!(ends[1].1, "updated", "the two share the room");
    let failed = ends[0].0.clone();
    let seed = if failed == "acme/a" { 1 } else { 2 };
    let lost = crate::support::sound::files_below(&env.cache().join("models--acme--a"));
    assert!(seed == 2 || lost.is_empty(), "nothing was begun: {lost:?}");
    let again = env.line(&format!("download {failed} --json"));
    let document = again.exits(6).json();
    let session = &document["sessions"][0];
    assert_eq!(session["error_kind"], "disk");
    let error = session["error"].as_str().unwrap();
    assert!(error.contains("and may have 3.00 MiB"), "{error}");
    assert!(error.contains("are missing"), "{error}");
    env.line(&format!("download {failed} -c cache.max_size=5M"))
        .succeeds();
}

#[test]
fn a_partial_file_counts_once() {
    let env = roomy_world();
    keep_large(&env, "acme/a", 3 * MIB, 1);
    keep_large(&env, "acme/b", MIB, 2);
    env.set("HFDL_CACHE_MAX_SIZE", "3300K");
    env.line("download acme/a --max-transfer 2M").exits(8);
    env.line("download acme/b").exits(6);
    env.line("download acme/a").succeeds();
}

#[test]
fn a_damaged_file_is_replaced_in_a_full_cache() {
    let env = roomy_world();
    keep_large(&env, "acme/a", 2 * MIB, 1);
    env.line("download acme/a").succeeds();
    // A blob, or the file in the revision where there are no links.
    let files = crate::support::sound::files_below(&env.cache().join("models--acme--a"));
    let large = |path: &&PathBuf| fs::metadata(path).unwrap().len() > MIB as u64;
    let blob = files.iter().find(large);
    let blob = blob.unwrap_or_else(|| panic!("no large blob in {files:?}"));
    // In place: the snapshot may hold a hard link.
    crate::support::damage::overwrite(blob, vec![7; 2 * MIB]);
    env.line("verify acme/a --repair -c cache.max_size=2100K")
        .succeeds();
    assert_ne!(fs::read(blob).unwrap(), vec![7; 2 * MIB]);
}

#[test]
fn files_of_other_programs_count_and_are_never_proposed() {
    let (env, commits) = with_old_revisions();
    env.line("models disable acme/old").succeeds();
    let theirs = env.cache().join("models--other--big/blobs/0a");
    fs::create_dir_all(theirs.parent().unwrap()).unwrap();
    fs::write(&theirs, vec![1; 4 * MIB]).unwrap();
    let ran = env.line("download acme/new --json -c cache.max_size=8M");
    let hint = hint(ran.exits(6));
    assert!(!hint.contains("other"), "{hint}");
    for part in [
        "these would make room",
        "`hfdl prune acme/old --keep-revisions 2`",
        "`hfdl models remove acme/old --delete-files`",
    ] {
        assert!(hint.contains(part), "{part}: {hint}");
    }
    let dry = env.line("prune --dry-run --json").succeeds().json();
    let proposals = dry["proposals"].as_array().unwrap();
    let ids: Vec<&str> = proposals
        .iter()
        .map(|it| it["id"].as_str().unwrap())
        .collect();
    assert!(ids.contains(&commits[0].as_str()) && ids.contains(&commits[3].as_str()));
    assert!(!ids.contains(&commits[2].as_str()), "the rollback target");
    env.line("prune --dry-run")
        .prints("1.00 MiB more with `hfdl prune acme/old --keep-revisions 2`");
    assert!(theirs.exists());
}

#[test]
fn status_tells_the_used_part_of_the_cache() {
    let (env, _) = with_old_revisions();
    env.line("config set cache.max_size 8M").succeeds();
    env.line("status").prints("up to 8.00 MiB");
    env.line("download acme/new").succeeds();
    let cache = env.line("status --json").json()["cache"].clone();
    let used = cache["used_bytes"].as_u64().unwrap();
    assert!((5 << 20..6 << 20).contains(&used), "{used}");
    assert_eq!(cache["max_bytes"], 8 << 20);
    env.line("status").prints("of 8.00 MiB used");
    env.line("config unset cache.max_size").succeeds();
    assert_eq!(env.line("status --json").json()["cache"], Value::Null);
}

#[test]
fn without_prune_auto_nothing_is_removed() {
    let (env, commits) = with_old_revisions();
    day(&env, 20);
    env.line("download acme/new -c cache.max_size=4500K")
        .exits(6);
    assert!(commits.iter().all(|it| snapshot(&env, it).exists()));
}

#[test]
fn prune_auto_removes_the_oldest_revisions_until_the_download_fits() {
    let (env, commits) = with_old_revisions();
    env.set("HFDL_PRUNE_AUTO", "on");
    env.set("HFDL_CACHE_MAX_SIZE", "4500K");
    day(&env, 8);
    env.line("download acme/new").exits(6);
    assert!(snapshot(&env, &commits[0]).exists(), "seven days old");
    day(&env, 9);
    let room = "prune --dry-run --make-room 600K --json";
    let dry = env.line(room).succeeds().json();
    let goes = |item: &&Value| item["verdict"] == "remove";
    let going: Vec<&Value> = dry["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(goes)
        .collect();
    assert_eq!(going.len(), 1);
    assert_eq!(going[0]["id"], commits[0].as_str());
    let plan = env.line("download acme/new --dry-run --json");
    let room = plan.succeeds().json()["lacking_room"].clone();
    assert_eq!(room["removed"][0]["id"], commits[0].as_str(), "{room}");
    let both = env.line("download acme/new acme/old --dry-run");
    both.succeeds()
        .explains("`prune.auto` would remove")
        .explains(&commits[0]);
    assert!(snapshot(&env, &commits[0]).exists());
    let ran = env.line("download acme/new --json");
    let document = ran.succeeds().explains(&commits[0]).json();
    assert_eq!(document["removed"][0]["id"], commits[0].as_str());
    assert_eq!(document["removed"].as_array().unwrap().len(), 1);
    assert!(!snapshot(&env, &commits[0]).exists());
    assert!(commits[1..].iter().all(|it| snapshot(&env, it).exists()));
    let events = "SELECT count(*) FROM events WHERE kind = 'pruned' AND run_id IS NOT NULL
        AND detail LIKE '`prune.auto` has removed the revision %'";
    assert_eq!(number(&env, events), 1);
}

#[test]
fn prune_auto_removes_nothing_if_that_is_not_enough_or_the_only_copy() {
    let (env, commits) = with_old_revisions();
    env.set("HFDL_PRUNE_AUTO", "on");
    day(&env, 20);
    // The published revision and the rollback target stay, so that 2 MiB may go.
    let little = "download acme/new -c cache.max_size=2500K";
    env.line(little).exits(6);
    assert!(commits.iter().all(|it| snapshot(&env, it).exists()));
    env.hub().repo("acme/old").forget_commit(&commits[0]);
    env.line("download acme/new -c cache.max_size=4500K")
        .succeeds();
    assert!(snapshot(&env, &commits[0]).exists(), "the Hub has lost it");
    assert!(!snapshot(&env, &commits[1]).exists());
    let gone = "SELECT commit_sha FROM model_revisions WHERE gone_upstream_at IS NOT NULL";
    assert_eq!(cell(&env, gone), commits[0]);
}
