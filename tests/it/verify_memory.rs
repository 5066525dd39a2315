//! Files that `hfdl verify` found bad are recorded, and the next download repairs them.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use hfdl_test_hub::{Fault, On};

use crate::support::damage::{overwrite, rot};
use crate::support::database::number;
use crate::support::env::{Ran, TestEnv};
use crate::verify::{
    blob, in_snapshot, kept, kept_in_directory, last_session, model_bytes, readers_see_all, world,
};

/// Counts the damaged files that are recorded, each under all its names.
fn bad_files(env: &TestEnv) -> i64 {
    number(env, "SELECT count(DISTINCT content_id) FROM bad_files")
}

fn outcome(ran: &Ran) -> String {
    let word = &ran.succeeds().json()["sessions"][0]["outcome"];
    word.as_str().unwrap().to_owned()
}

fn download(env: &TestEnv) -> Ran {
    env.hfdl(["download", "acme/tiny", "--json"])
}

/// Writes to a file as a person does, an hour after it was downloaded.
fn edit(path: &Path, bytes: &[u8]) {
    let before = fs::metadata(path).unwrap().modified().unwrap();
    fs::write(path, bytes).unwrap();
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(before + Duration::from_secs(3600))
        .unwrap();
}

#[test]
fn a_download_repairs_only_the_files_that_verify_found_bad() {
    let env = world();
    let commit = kept(&env);
    rot(&blob(&env, &commit, "model.safetensors"));
    assert_eq!(outcome(&download(&env)), "up-to-date", "nobody has read it");
    env.hfdl(["verify"]).exits(3);
    env.hub().forget_requests();

    env.hfdl(["download", "acme/tiny", "--dry-run", "--json"])
        .succeeds()
        .prints("model.safetensors");
    let ran = download(&env);
    assert_eq!(outcome(&ran), "repaired");
    assert_eq!(ran.json()["sessions"][0]["new_commit"], commit.as_str());
    assert!(env.hub().downloads("config.json").is_empty());
    readers_see_all(&env, &commit);
    assert_eq!(bad_files(&env), 0);
    assert_eq!(outcome(&download(&env)), "up-to-date");
    env.hfdl(["verify"]).succeeds().silently();
}

#[test]
fn damage_is_recorded_as_one_event() {
    let env = world();
    let commit = kept(&env);
    rot(&blob(&env, &commit, "model.safetensors"));
    for _ in 0..2 {
        env.hfdl(["verify"]).exits(3);
        assert_eq!(
            (bad_files(&env), number(&env, "SELECT count(*) FROM events")),
            (1, 1)
        );
    }
    let content = env.database_content();
    assert!(content.contains("corrupt"), "{content}");
    assert!(content.contains("no longer has its hash"), "{content}");
}

#[test]
fn a_repair_or_good_bytes_clear_the_damage_record() {
    let env = world();
    let commit = kept(&env);
    let path = blob(&env, &commit, "model.safetensors");
    rot(&path);
    env.hfdl(["verify"]).exits(3);
    env.hfdl(["verify", "--repair"]).succeeds();
    assert_eq!(bad_files(&env), 0);
    rot(&path);
    env.hfdl(["verify"]).exits(3);
    assert_eq!(bad_files(&env), 1);
    overwrite(&path, model_bytes());
    env.hfdl(["verify"]).succeeds();
    assert_eq!(bad_files(&env), 0);
    env.hub().forget_requests();
    assert_eq!(outcome(&download(&env)), "up-to-date");
}

#[test]
fn the_next_download_completes_a_failed_repair() {
    let env = world();
    let commit = kept(&env);
    rot(&blob(&env, &commit, "model.safetensors"));
    env.hub().fault(On::any(), Fault::Status(503));
    env.hfdl(["verify", "--repair", "-c", "download.retries=0"])
        .exits(5);
    env.hub().heal();
    assert_eq!(outcome(&download(&env)), "repaired");
    readers_see_all(&env, &commit);
}

/// Worlds with links of both forms.
fn worlds() -> [TestEnv; 2] {
    let hard = world();
    hard.set("HF_HUB_DISABLE_SYMLINKS", "1");
    [world(), hard]
}

#[test]
fn a_new_revision_does_not_reuse_a_damaged_file() {
    for env in worlds() {
        let commit = kept(&env);
        rot(&blob(&env, &commit, "model.safetensors"));
        env.hfdl(["verify"]).exits(3);
        let newer = env.hub().repo("acme/tiny").commit("main");
        let newer = newer.file("notes.txt", b"new").publish();
        assert_eq!(outcome(&download(&env)), "updated");
        readers_see_all(&env, &newer);
        // Through a symbolic link the old revision has the new bytes, too.
        let ran = env.line("models rollback acme/tiny");
        if in_snapshot(&env, &commit, "model.safetensors").is_symlink() {
            assert_eq!(bad_files(&env), 0);
            ran.succeeds();
            readers_see_all(&env, &commit);
        } else {
            assert_eq!(bad_files(&env), 1);
            ran.exits(1).explains("`model.safetensors` is damaged");
        }
    }
}

#[test]
fn another_repository_does_not_reuse_a_damaged_file() {
    for env in worlds() {
        let commit = kept(&env);
        rot(&blob(&env, &commit, "model.safetensors"));
        env.hfdl(["verify"]).exits(3);
        let copy = env.hub().repo("acme/copy").commit("main");
        copy.lfs("model.safetensors", model_bytes()).publish();
        env.hfdl(["download", "acme/copy"]).succeeds();
        assert_eq!(env.hub().downloads("model.safetensors").len(), 1);
        env.hfdl(["verify", "acme/copy"]).succeeds();
    }
}

#[test]
fn without_symbolic_links_two_files_of_one_content_are_two_files() {
    let env = world();
    env.set("HF_HUB_DISABLE_SYMLINKS", "1");
    let draft = env.hub().repo("acme/tiny").commit("main");
    let draft = draft
        .lfs("a.bin", model_bytes())
        .lfs("b.bin", model_bytes());
    let commit = draft.publish();
    env.hfdl(["models", "add", "acme/tiny"]).succeeds();
    env.hfdl(["download", "acme/tiny"]).succeeds();
    for name in ["a.bin", "b.bin"] {
        // The two may be names of one file; then they rot together.
        let other = in_snapshot(&env, &commit, "b.bin");
        fs::remove_file(&other).unwrap();
        fs::write(&other, model_bytes()).unwrap();
        rot(&in_snapshot(&env, &commit, name));
        env.hfdl(["verify"]).exits(3);
        assert_eq!(outcome(&download(&env)), "repaired", "{name}");
        assert_eq!(bad_files(&env), 0, "{name}");
        env.hfdl(["verify"]).succeeds();
    }
}

#[test]
fn a_download_repairs_a_directory_too() {
    let env = world();
    let dir = kept_in_directory(&env);
    rot(&dir.join("model.safetensors"));
    assert_eq!(outcome(&download(&env)), "up-to-date");
    env.hfdl(["verify"]).exits(3);
    let ran = download(&env);
    assert_eq!(outcome(&ran), "repaired");
    ran.silently();
    assert!(fs::read(dir.join("model.safetensors")).unwrap() == model_bytes());
    assert_eq!(bad_files(&env), 0);
    assert_eq!(outcome(&download(&env)), "up-to-date");
}

#[test]
fn an_edited_file_is_no_damage_and_its_replacement_is_reported() {
    let env = world();
    let dir = kept_in_directory(&env);
    let config = dir.join("config.json");
    edit(&config, b"{\"a\": 2}");
    env.hfdl(["verify"])
        .exits(3)
        .explains("was changed by somebody");
    assert_eq!(
        (bad_files(&env), number(&env, "SELECT count(*) FROM events")),
        (0, 0)
    );
    let ran = download(&env);
    assert_eq!(outcome(&ran), "repaired");
    ran.explains("config.json` is not as a download left it");
    assert_eq!(fs::read(&config).unwrap(), b"{\"a\": 1}");
    assert_eq!(last_session(&env), ("repaired".to_owned(), None));
}
