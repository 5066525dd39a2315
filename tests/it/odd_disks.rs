//! File systems that lack something: links that can be followed, hard links, names.
//!
//! `tests/filesystems/run` tries whole stories on many more of them.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::PathBuf;

use crate::support::disk::{CardDisk, SmallDisk};
use crate::support::env::TestEnv;
use crate::support::sound::say;

fn world() -> TestEnv {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    publish(&env, "{}");
    env
}

fn publish(env: &TestEnv, config: &str) -> String {
    let draft = env.hub().repo("acme/tiny").commit("main");
    draft
        .file("config.json", config.as_bytes())
        .file("same/config.json", config.as_bytes())
        .lfs("sub/model.bin", vec![7; 5_000])
        .publish()
}

/// Mounts an exFAT file system that holds home and cache.
fn card(env: &TestEnv) -> Option<CardDisk> {
    let at = env.root().join("card");
    env.set("HF_HUB_CACHE", at.join("hub").to_str().unwrap());
    env.set("HFDL_HOME", at.join("home").to_str().unwrap());
    let disk = CardDisk::mount(at, 16);
    disk.inspect_err(|why| say(&format!("no file system without links ({why})")))
        .ok()
}

fn card_snapshots(env: &TestEnv) -> PathBuf {
    env.root().join("card/hub/models--acme--tiny/snapshots")
}

#[test]
fn links_that_are_stored_and_not_followed_are_not_used() {
    let env = world();
    let disk = SmallDisk::mount(env.cache(), 24).and_then(|disk| {
        let refused = disk.refuse_to_follow_links();
        refused.map(|()| disk)
    });
    let _disk = match disk {
        Ok(disk) => disk,
        Err(why) => return say(&format!("no file system with such links ({why})")),
    };
    let ran = env.line("download acme/tiny");
    ran.succeeds();
    let snapshot = PathBuf::from(ran.stdout().trim());
    assert_eq!(fs::read(snapshot.join("config.json")).unwrap(), b"{}");
    let model = fs::read(snapshot.join("sub/model.bin")).unwrap();
    assert_eq!(model, vec![7; 5_000]);
    let found = env.line("doctor");
    assert!(found.stdout().contains("no symbolic links that work"));
}

#[test]
fn processes_that_make_a_home_without_hard_links_at_once_use_one_database() {
    let env = world();
    let Some(_disk) = card(&env) else { return };
    let names = ["a", "b", "c", "d", "e"];
    let processes = names.map(|name| {
        let to = env.root().join("work").join(name);
        let to = to.to_str().unwrap();
        let add = [
            "models",
            "add",
            "acme/tiny",
            "--no-check",
            "--name",
            name,
            "--to",
            to,
        ];
        env.command(add).spawn().unwrap()
    });
    for mut process in processes {
        assert!(process.wait().unwrap().success());
    }
    let listed = env.line("models list --json").json();
    assert_eq!(listed["models"].as_array().unwrap().len(), names.len());
    let home = env.root().join("card/home");
    let left = fs::read_dir(home).unwrap().map(|entry| entry.unwrap());
    let unfinished = left.filter(|entry| entry.file_name().to_string_lossy().contains(".new-"));
    assert_eq!(unfinished.count(), 0);
}

#[test]
fn a_home_without_hard_links_updates_and_prunes_its_cache_on_the_same_card() {
    let env = world();
    let Some(_disk) = card(&env) else { return };
    env.line("models add acme/tiny").succeeds();
    let mut published = String::new();
    for config in ["{}", "{1}", "{2}", "{3}"] {
        published = publish(&env, config);
        let before = env.hub().downloads("sub/model.bin").len();
        env.line("download acme/tiny").succeeds();
        let expected = usize::from(config == "{}");
        assert_eq!(
            env.hub().downloads("sub/model.bin").len() - before,
            expected
        );
    }
    let config = card_snapshots(&env).join(&published).join("config.json");
    assert_eq!(fs::read(config).unwrap(), b"{3}");
    env.line("prune --keep-revisions 1 --yes").succeeds();
    // The published revision, and the one to go back to.
    assert_eq!(fs::read_dir(card_snapshots(&env)).unwrap().count(), 2);
    env.line("verify acme/tiny").succeeds();
}

#[test]
fn a_name_that_the_file_system_cannot_store_is_refused_before_any_byte() {
    let env = world();
    let Some(_disk) = card(&env) else { return };
    let draft = env.hub().repo("acme/tiny").commit("main");
    draft
        .file("caf\u{e9}.txt", b"coffee")
        .file("odd/what?.txt", b"?")
        .publish();
    let ran = env.line("download acme/tiny");
    ran.exits(6)
        .explains("cannot store the name `odd/what?.txt`")
        .explains("--exclude");
    assert!(env.hub().downloads("sub/model.bin").is_empty());
    let ran = env.line("download acme/tiny --exclude odd/*");
    ran.succeeds();
    let stored = PathBuf::from(ran.stdout().trim()).join("caf\u{e9}.txt");
    assert_eq!(fs::read(stored).unwrap(), b"coffee");
}
