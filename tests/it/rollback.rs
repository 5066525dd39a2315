//! `hfdl models rollback` and `release`: back, held there, and forward again.

use std::fs;
use std::path::PathBuf;

use hfdl_test_hub::generated_bytes;

use crate::support::database::number;
use crate::support::env::{Ran, TestEnv};
use crate::support::sound::{Truth, damage};

fn world() -> TestEnv {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    env
}

fn publish(env: &TestEnv, n: u8, truth: &mut Truth) -> String {
    let large = generated_bytes(4096, u64::from(n));
    let commit = env
        .hub()
        .repo("acme/tiny")
        .commit("main")
        .file("config.json", b"{}")
        .lfs("model.safetensors", large.clone())
        .publish();
    let files = [
        ("config.json".to_owned(), b"{}".to_vec()),
        ("model.safetensors".to_owned(), large),
    ];
    truth.insert(commit.clone(), files.into());
    commit
}

fn day(n: u8) -> String {
    format!("2026-03-{n:02}T09:00:00Z")
}

/// Lets a model have so many revisions, one a day.
fn with_revisions(env: &TestEnv, n: u8, truth: &mut Truth) -> Vec<String> {
    env.hub();
    env.line("models add acme/tiny --keep-revisions 9 --no-check")
        .succeeds();
    let mut commits = Vec::new();
    for turn in 1..=n {
        commits.push(publish(env, turn, truth));
        env.now(&day(turn));
        env.line("download acme/tiny").succeeds();
    }
    commits
}

fn folder(env: &TestEnv) -> PathBuf {
    env.cache().join("models--acme--tiny")
}

fn main_ref(env: &TestEnv) -> String {
    fs::read_to_string(folder(env).join("refs/main")).unwrap()
}

fn is_sound(env: &TestEnv, truth: &Truth, ran: &Ran) {
    damage(env, truth).unwrap_or_else(|problem| panic!("{problem}\n{}", ran.report()));
}

fn outcome(ran: &Ran) -> String {
    let outcome = &ran.succeeds().json()["sessions"][0]["outcome"];
    outcome.as_str().unwrap().to_owned()
}

fn events(env: &TestEnv, kind: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM events WHERE kind = '{kind}' AND model_id = 1");
    number(env, &sql)
}

#[test]
fn a_rolled_back_model_is_held_until_it_is_released() {
    let (env, mut truth) = (world(), Truth::new());
    let commits = with_revisions(&env, 3, &mut truth);
    let requests = env.hub().requests().len();
    let ran = env.now(&day(4)).line("models rollback acme/tiny --json");
    let document = ran.succeeds().silently().json();
    assert_eq!(document["schema"], "hfdl.rollback/1");
    assert_eq!(document["model"], "acme/tiny");
    assert_eq!(document["from"], *commits[2]);
    assert_eq!(document["to"], *commits[1]);
    let path = folder(&env).join("snapshots").join(&commits[1]);
    assert_eq!(document["path"], path.display().to_string());
    assert_eq!(main_ref(&env), commits[1]);
    is_sound(&env, &truth, &ran);
    assert_eq!(env.hub().requests().len(), requests, "the Hub is not asked");
    assert_eq!(events(&env, "rolled-back"), 1);

    let shown = env.line("models show acme/tiny --json").json();
    assert_eq!(shown["state"], "held");
    assert_eq!(shown["held_commit"], *commits[1]);
    assert_eq!(shown["published_commit"], *commits[1]);
    assert_eq!(shown["published_at"], day(4));
    env.line("models list --state held")
        .succeeds()
        .prints("acme/tiny");

    let held = env.line("download acme/tiny --json");
    assert_eq!(outcome(&held), "held");
    assert_eq!(main_ref(&env), commits[1]);
    // Held, too, when upstream has moved on meanwhile.
    let newest = publish(&env, 7, &mut truth);
    assert_eq!(outcome(&env.line("download acme/tiny --json")), "held");
    is_sound(&env, &truth, &held);

    env.line("models release acme/tiny")
        .succeeds()
        .prints("the next run moves it to the newest revision");
    assert_eq!(events(&env, "released"), 1);
    let forward = env.line("download acme/tiny --json");
    assert_eq!(outcome(&forward), "updated");
    assert_eq!(main_ref(&env), newest);
    is_sound(&env, &truth, &forward);
    let shown = env.line("models show acme/tiny --json").json();
    assert_eq!(shown["state"], "ok");
}

#[test]
fn a_release_without_a_new_commit_fetches_nothing() {
    let (env, mut truth) = (world(), Truth::new());
    let commits = with_revisions(&env, 2, &mut truth);
    env.line("models rollback acme/tiny").succeeds();
    env.line("models release acme/tiny").succeeds();
    let ran = env.line("download acme/tiny --json");
    assert_eq!(outcome(&ran), "updated");
    assert_eq!(ran.json()["sessions"][0]["bytes"]["fetched"], 0);
    assert_eq!(main_ref(&env), commits[1]);
}

#[test]
fn a_commit_can_be_named_by_its_first_digits() {
    let (env, mut truth) = (world(), Truth::new());
    let commits = with_revisions(&env, 3, &mut truth);
    let to = |text: &str| env.hfdl(["models", "rollback", "acme/tiny", "--to", text]);
    let ran = to(&commits[0][..7]);
    ran.succeeds().prints("went back from");
    assert_eq!(main_ref(&env), commits[0]);
    to(&commits[0])
        .succeeds()
        .prints(&format!("is held at {} already", &commits[0][..10]));
    to(&commits[0][..6])
        .exits(2)
        .explains("the first 7 or more digits");
    to("main").exits(2).explains("`main` is no commit");
    let unknown = to("0000000");
    unknown
        .exits(2)
        .explains("no revision that is kept begins with");
    for commit in &commits {
        unknown.explains(&commit[..10]);
    }
    assert_eq!(main_ref(&env), commits[0]);
    env.line("models release acme/tiny").succeeds();
    to(&commits[0])
        .succeeds()
        .prints("already; nothing was changed");
    let shown = env.line("models show acme/tiny --json").json();
    assert_eq!(shown["held_commit"], serde_json::Value::Null);
}

#[test]
fn a_second_rollback_undoes_the_first() {
    let (env, mut truth) = (world(), Truth::new());
    let commits = with_revisions(&env, 3, &mut truth);
    env.now(&day(4))
        .line("models rollback acme/tiny")
        .succeeds();
    env.now(&day(5))
        .line("models rollback acme/tiny")
        .succeeds();
    assert_eq!(main_ref(&env), commits[2]);
}

#[test]
fn the_held_and_the_newest_revision_survive_a_prune() {
    let (env, mut truth) = (world(), Truth::new());
    let commits = with_revisions(&env, 4, &mut truth);
    env.now(&day(5));
    env.hfdl(["models", "rollback", "acme/tiny", "--to", &commits[0]])
        .succeeds();
    let ran = env.line("prune --keep-revisions 2 --yes");
    ran.succeeds();
    is_sound(&env, &truth, &ran);
    let snapshot = |n: usize| folder(&env).join("snapshots").join(&commits[n]).exists();
    assert_eq!([0, 1, 2, 3].map(snapshot), [true, false, false, true]);
}

#[test]
fn a_rollback_without_a_target_is_refused_with_the_reason() {
    let (env, mut truth) = (world(), Truth::new());
    env.hub();
    env.line("models add acme/tiny --no-check").succeeds();
    env.line("models rollback acme/tiny")
        .exits(1)
        .explains("nothing has been published for it yet");
    publish(&env, 1, &mut truth);
    env.line("download acme/tiny").succeeds();
    env.line("models rollback acme/tiny")
        .exits(1)
        .explains("no other revision of it is kept");
    env.line("models add acme/tiny --to plain --name plain --no-check")
        .succeeds();
    env.line("models rollback plain")
        .exits(2)
        .explains("is a directory, which holds one revision only");
    let commit = "a".repeat(40);
    env.line(&format!(
        "models add acme/tiny --revision {commit} --name fixed --no-check"
    ))
    .succeeds();
    env.line("models rollback fixed")
        .exits(2)
        .explains("it is kept at one commit");
    env.line("models release acme/tiny")
        .succeeds()
        .prints("is not held; nothing was changed");
    assert_eq!(events(&env, "released"), 0);
}

#[test]
fn a_revision_that_lost_a_file_is_not_gone_back_to() {
    let (env, mut truth) = (world(), Truth::new());
    let commits = with_revisions(&env, 2, &mut truth);
    let old = folder(&env).join("snapshots").join(&commits[0]);
    fs::remove_file(old.join("model.safetensors")).unwrap();
    let ran = env.line("models rollback acme/tiny");
    ran.exits(1)
        .explains("`model.safetensors` is missing or has another size");
    assert_eq!(main_ref(&env), commits[1]);
    // The remedy of the message helps.
    env.line(&format!("download acme/tiny --revision {}", commits[0]))
        .succeeds();
    let ran = env.line("models rollback acme/tiny");
    ran.succeeds();
    assert_eq!(main_ref(&env), commits[0]);
    is_sound(&env, &truth, &ran);
}

/// Changes one byte of the large file of a revision.
fn rot(env: &TestEnv, commit: &str) {
    let entry = folder(env).join("snapshots").join(commit);
    let blob = fs::canonicalize(entry.join("model.safetensors")).unwrap();
    let mut bytes = fs::read(&blob).unwrap();
    bytes[7] ^= 1;
    // A new file, because blobs may be read-only.
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, bytes).unwrap();
}

fn model_state(env: &TestEnv) -> String {
    let shown = env.line("models show acme/tiny --json").json();
    shown["last_verify_outcome"].to_string()
}

#[test]
fn going_back_from_a_damaged_revision_to_a_whole_one_ends_the_damage() {
    let (env, mut truth) = (world(), Truth::new());
    let commits = with_revisions(&env, 2, &mut truth);
    rot(&env, &commits[1]);
    env.line("verify acme/tiny").exits(3);
    env.line("status").exits(1).prints("is damaged");
    env.line("models rollback acme/tiny").succeeds();
    assert_eq!(model_state(&env), "\"unproven\"");
    env.line("status").succeeds();
    // The way forward fetches the damaged file again.
    env.line("models release acme/tiny").succeeds();
    let ran = env.line("download acme/tiny");
    ran.succeeds();
    assert_eq!(main_ref(&env), commits[1]);
    is_sound(&env, &truth, &ran);
}

#[test]
fn a_revision_with_a_file_that_is_known_to_be_damaged_is_not_gone_back_to() {
    let (env, mut truth) = (world(), Truth::new());
    let mut commits = with_revisions(&env, 1, &mut truth);
    rot(&env, &commits[0]);
    env.line("verify acme/tiny").exits(3);
    commits.push(publish(&env, 2, &mut truth));
    env.now(&day(2)).line("download acme/tiny").succeeds();
    let ran = env.line("models rollback acme/tiny");
    ran.exits(1).explains("`model.safetensors` is damaged");
    assert_eq!(main_ref(&env), commits[1]);
    env.line(&format!("download acme/tiny --revision {}", commits[0]))
        .succeeds();
    let ran = env.line("models rollback acme/tiny");
    ran.succeeds();
    assert_eq!(main_ref(&env), commits[0]);
    is_sound(&env, &truth, &ran);
}

#[test]
fn a_rollback_is_refused_while_a_run_holds_the_lock() {
    let (env, mut truth) = (world(), Truth::new());
    let commits = with_revisions(&env, 2, &mut truth);
    let lock = fs::File::create(env.home().join("run.lock")).unwrap();
    lock.lock().unwrap();
    env.line("models rollback acme/tiny")
        .exits(11)
        .explains("another run holds the lock");
    assert_eq!(main_ref(&env), commits[1]);
}

#[test]
fn a_rollback_killed_before_the_ref_moved_is_ended_by_the_next_run_or_the_same_again() {
    for again in [
        "download acme/tiny",
        "models rollback acme/tiny",
        "verify acme/tiny",
    ] {
        let (env, mut truth) = (world(), Truth::new());
        let commits = with_revisions(&env, 2, &mut truth);
        env.now(&day(3))
            .set("HFDL_TEST_CRASH_AT", "rollback remembered");
        let killed = env.line("models rollback acme/tiny");
        assert_ne!(killed.code(), Some(0));
        is_sound(&env, &truth, &killed);
        assert_eq!(
            main_ref(&env),
            commits[1],
            "readers see the newer one still"
        );
        env.unset("HFDL_TEST_CRASH_AT");
        let ran = env.line(again);
        ran.succeeds();
        assert_eq!(main_ref(&env), commits[0], "{again}");
        is_sound(&env, &truth, &ran);
        assert_eq!(outcome(&env.line("download acme/tiny --json")), "held");
    }
}

#[test]
fn a_rollback_killed_after_the_ref_moved_is_done() {
    let (env, mut truth) = (world(), Truth::new());
    let commits = with_revisions(&env, 2, &mut truth);
    env.set("HFDL_TEST_CRASH_AT", "rolled back");
    let killed = env.line("models rollback acme/tiny");
    assert_ne!(killed.code(), Some(0));
    env.unset("HFDL_TEST_CRASH_AT");
    assert_eq!(main_ref(&env), commits[0]);
    is_sound(&env, &truth, &killed);
    assert_eq!(outcome(&env.line("download acme/tiny --json")), "held");
}

#[test]
fn a_ref_that_another_program_moved_is_held_again() {
    let (env, mut truth) = (world(), Truth::new());
    let commits = with_revisions(&env, 2, &mut truth);
    env.line("models rollback acme/tiny").succeeds();
    fs::write(folder(&env).join("refs/main"), &commits[1]).unwrap();
    let ran = env.line("download acme/tiny");
    ran.succeeds().explains("it is there again");
    assert_eq!(main_ref(&env), commits[0]);
}
