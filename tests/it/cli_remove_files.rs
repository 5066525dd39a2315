//! `models remove --delete-files`: what goes, and what other models, other refs
//! and the user still need.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use hfdl::cache::{CacheLayout, LocalDir, Vanished};
use hfdl::domain::content::ContentId;
use hfdl::domain::filter::Filter;
use hfdl::domain::model::ModelState;
use hfdl::domain::plan::plan_sync;
use hfdl::domain::time::Timestamp;
use hfdl::store::Store;

use crate::support::cache::{Commit, TestCache, commit, model, prove, repo, tree, write};
use crate::support::env::{NOW, TestEnv, is_without_links};

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// Puts a commit where a run would have, under a ref.
fn publish(env: &TestEnv, branch: &str, commit: &Commit) {
    let store = Store::open(&env.database(), now()).unwrap();
    let home = store.install_id().unwrap().to_string();
    let mut cache = TestCache::at(&env.cache()).of_home(&home);
    cache.branch = branch.parse().unwrap();
    cache.sync(commit);
    let layout = cache.layout();
    let wanted = BTreeSet::from([commit.listing.commit.clone()]);
    layout.home().unwrap().write_claims(&wanted).unwrap();
}

/// Writes down that a model stands at a commit, as a run would.
fn note(env: &TestEnv, name: &str, at: &Commit) {
    let store = Store::open(&env.database(), now()).unwrap();
    let model = store.model(&name.parse().unwrap()).unwrap();
    let state = ModelState {
        published_commit: Some(at.listing.commit.clone()),
        ..ModelState::default()
    };
    store.save_model_state(model.id, &state).unwrap();
}

fn two_commits() -> [Commit; 2] {
    [
        commit('a', &[("same.bin", "shared bytes"), ("x.json", "old")]),
        commit('b', &[("same.bin", "shared bytes"), ("x.json", "newer")]),
    ]
}

fn folder(env: &TestEnv) -> std::path::PathBuf {
    env.cache().join("models--acme--tiny")
}

fn text(env: &TestEnv, of: &Commit, path: &str) -> Option<String> {
    let snapshot = folder(env)
        .join("snapshots")
        .join(of.listing.commit.as_str());
    fs::read_to_string(snapshot.join(path)).ok()
}

#[test]
fn the_last_model_of_a_repository_takes_its_folder_along() {
    let env = TestEnv::new();
    let [a, b] = two_commits();
    env.line("models add acme/tiny --no-check").succeeds();
    publish(&env, "main", &a);
    publish(&env, "main", &b);
    note(&env, "acme/tiny", &b);
    let ran = env.line("models remove acme/tiny --delete-files --yes --json");
    let removal = ran.succeeds().json();
    let n_copies = if is_without_links() { 2 } else { 1 };
    assert_eq!(
        removal["bytes_freed"],
        n_copies * "shared bytes".len() + "old".len() + "newer".len()
    );
    assert!(!folder(&env).exists(), "{}", ran.report());
}

#[test]
fn files_stay_unless_their_deletion_is_asked_for() {
    let env = TestEnv::new();
    let [a, _] = two_commits();
    env.line("models add acme/tiny --no-check").succeeds();
    publish(&env, "main", &a);
    note(&env, "acme/tiny", &a);
    let records = |name: &String| !name.ends_with("/claims");
    let files = || -> Vec<String> {
        let names = tree(&env.cache()).into_iter();
        names.filter(records).collect()
    };
    let before = files();
    env.line("models remove acme/tiny -y")
        .succeeds()
        .prints("files stay");
    assert_eq!(files(), before);
}

#[test]
fn another_model_of_the_repository_keeps_its_revisions_and_begun_downloads() {
    let env = TestEnv::new();
    let [a, b] = two_commits();
    let older = commit('c', &[("x.json", "where main can go back to")]);
    env.line("models add acme/tiny --no-check").succeeds();
    env.line("models add acme/tiny --revision dev --name dev --no-check")
        .succeeds();
    publish(&env, "main", &older);
    publish(&env, "main", &a);
    publish(&env, "dev", &b);
    note(&env, "acme/tiny", &a);
    note(&env, "dev", &b);
    let layout = CacheLayout::new(env.cache()).repo(&model("acme/tiny"));
    let begun = layout.partial(&ContentId::Sha256([5; 32]));
    write(begun.clone(), "half");

    let ran = env.line("models remove dev --delete-files --yes");
    let freed = if is_without_links() { "17 B" } else { "5 B" };
    ran.succeeds().prints(&format!("{freed} freed"));
    assert_eq!(text(&env, &a, "same.bin").as_deref(), Some("shared bytes"));
    assert_eq!(text(&env, &b, "x.json"), None, "{}", ran.report());
    assert!(!folder(&env).join("refs/dev").exists());
    assert!(
        text(&env, &older, "x.json").is_some(),
        "a revision to go back to"
    );
    assert!(begun.exists(), "bytes that the next run continues");
}

#[test]
fn two_models_at_one_commit_share_it_until_both_are_gone() {
    let env = TestEnv::new();
    let [a, _] = two_commits();
    env.line("models add acme/tiny --no-check").succeeds();
    env.line("models add acme/tiny --revision v1 --name v1 --no-check")
        .succeeds();
    publish(&env, "main", &a);
    publish(&env, "v1", &a);
    note(&env, "acme/tiny", &a);
    note(&env, "v1", &a);
    env.line("models remove v1 --delete-files --yes")
        .succeeds()
        .prints("0 B freed");
    assert_eq!(text(&env, &a, "x.json").as_deref(), Some("old"));
    assert_eq!(
        fs::read_to_string(folder(&env).join("refs/main")).unwrap(),
        "a".repeat(40)
    );
    env.line("models remove acme/tiny --delete-files --yes")
        .succeeds();
    assert!(!folder(&env).exists());
}

#[test]
fn revisions_of_other_programs_in_the_repository_stay() {
    let env = TestEnv::new();
    let [a, b] = two_commits();
    env.line("models add acme/tiny --no-check").succeeds();
    publish(&env, "main", &a);
    note(&env, "acme/tiny", &a);
    // Another branch, and a commit that was fetched by its hash alone.
    let mut theirs = TestCache::at(&env.cache());
    theirs.branch = "theirs".parse().unwrap();
    theirs.sync(&b);
    let by_hash = "d".repeat(40);
    write(
        folder(&env)
            .join("snapshots")
            .join(&by_hash)
            .join("own.txt"),
        "own",
    );

    env.line("models remove acme/tiny --delete-files --yes")
        .succeeds();
    assert_eq!(text(&env, &b, "same.bin").as_deref(), Some("shared bytes"));
    assert!(
        folder(&env)
            .join("snapshots")
            .join(&by_hash)
            .join("own.txt")
            .exists()
    );
    assert_eq!(text(&env, &a, "x.json"), None);
    assert!(!folder(&env).join("refs/main").exists());
}

#[test]
fn a_model_that_never_arrived_deletes_nothing() {
    let env = TestEnv::new();
    let [a, _] = two_commits();
    env.line("models add acme/tiny --no-check").succeeds();
    // By another program, that is.
    TestCache::at(&env.cache()).sync(&a);
    let before = tree(&env.cache());
    env.line("models remove acme/tiny --delete-files --yes")
        .succeeds()
        .prints("0 B freed");
    assert_eq!(tree(&env.cache()), before);
}

/// Fills a directory as a run would.
fn fill_directory(root: &Path, commit: &Commit) {
    let dir = LocalDir::open(root).unwrap();
    let filter = Filter::default();
    let facts = dir.facts(&commit.listing, &filter, None, &prove).unwrap();
    let plan = plan_sync(&commit.listing, &filter, &dir.placement().unwrap(), &facts).unwrap();
    for planned in plan.fetches() {
        let content = planned.file.content;
        let partial = LocalDir::partial_below(dir.root(), &content);
        fs::write(&partial, &commit.bytes[&content]).unwrap();
        dir.store(&content, &partial).unwrap();
    }
    dir.publish(
        &repo(),
        &commit.listing,
        &plan,
        &Vanished::Delete(Default::default()),
        &crate::support::cache::no_lock,
    )
    .unwrap();
}

#[test]
fn a_directory_loses_what_was_put_there_and_keeps_the_users_own_files() {
    let env = TestEnv::new();
    let place = env.root().join("work/tiny");
    env.line("models add acme/tiny --to tiny --no-check")
        .succeeds();
    let files = commit(
        'a',
        &[
            ("a.bin", "large"),
            ("sub/b.json", "{}"),
            ("edited.txt", "before"),
        ],
    );
    fill_directory(&place, &files);
    note(&env, "acme/tiny", &files);
    write(place.join("notes.txt"), "mine");
    write(place.join("sub/own.json"), "mine too");
    write(place.join("edited.txt"), "changed by hand");
    // The official notes tell an edit from a second after the download on.
    let edited = fs::File::options()
        .write(true)
        .open(place.join("edited.txt"));
    let later = SystemTime::now() + Duration::from_secs(10);
    edited.unwrap().set_modified(later).unwrap();

    let ran = env.line("models remove acme/tiny --delete-files --yes");
    ran.succeeds();
    assert_eq!(
        tree(&place),
        ["edited.txt", "notes.txt", "sub/own.json"],
        "{}",
        ran.report()
    );
}

#[test]
fn a_directory_of_nothing_else_goes_altogether() {
    let env = TestEnv::new();
    let place = env.root().join("work/tiny");
    env.line("models add acme/tiny --to tiny --no-check")
        .succeeds();
    let files = commit('a', &[("a.bin", "large"), ("sub/deep/b.json", "{}")]);
    fill_directory(&place, &files);
    note(&env, "acme/tiny", &files);
    env.line("models remove acme/tiny --delete-files --yes")
        .succeeds()
        .prints("7 B freed");
    assert!(!place.exists(), "{:?}", tree(&place));
}

#[test]
fn a_directory_that_another_model_uses_stays() {
    let env = TestEnv::new();
    let place = env.root().join("work/tiny");
    env.line("models add acme/tiny --to tiny --no-check")
        .succeeds();
    env.line("models add acme/tiny --to other --revision v1 --name v1 --no-check")
        .succeeds();
    // Two models of one directory are refused, but a file may hold them.
    let database = rusqlite::Connection::open(env.database()).unwrap();
    let share = "UPDATE models SET destination = (SELECT destination FROM models WHERE id = 1)";
    database.execute(share, []).unwrap();
    let files = commit('a', &[("a.bin", "large")]);
    fill_directory(&place, &files);
    note(&env, "v1", &files);
    let before = tree(&place);
    env.line("models remove v1 --delete-files --yes").succeeds();
    assert_eq!(tree(&place), before);
}

#[test]
fn files_are_not_deleted_while_another_run_may_be_writing_them() {
    let env = TestEnv::new();
    let [a, _] = two_commits();
    env.line("models add acme/tiny --no-check").succeeds();
    publish(&env, "main", &a);
    note(&env, "acme/tiny", &a);
    let before = tree(&env.cache());
    let lock = fs::File::create(env.home().join("run.lock")).unwrap();
    lock.lock().unwrap();
    env.line("models remove acme/tiny --delete-files --yes")
        .exits(11)
        .explains("another run holds the lock");
    assert_eq!(tree(&env.cache()), before);
    env.line("models show acme/tiny").succeeds();
    drop(lock);
    env.line("models remove acme/tiny --delete-files --yes")
        .succeeds();
}
