//! Refs that other programs move or remove: named by `status` and `doctor`, told
//! once, and put right by the next run.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use hfdl_test_hub::{Fault, On, generated_bytes};
use serde_json::Value;

use crate::support::database::number;
use crate::support::env::{Ran, TestEnv};
use crate::support::sound::files_below;

const MIB: usize = 1 << 20;

/// A commit that the Hub does not have.
const UNKNOWN: &str = "0123456789012345678901234567890123456789";

/// A model under a schedule, with two revisions published by nights.
struct World {
    env: TestEnv,
    first: String,
    published: String,
}

impl World {
    fn new() -> Self {
        let env = TestEnv::new();
        env.set("HFDL_DISK_RESERVE", "0");
        let first = commit(&env, 1);
        env.line("models add acme/tiny --keep-revisions 2")
            .succeeds();
        env.line("schedules add often --every 6h --all").succeeds();
        env.line("run-due --trigger ci").succeeds();
        let published = commit(&env, 2);
        let world = Self {
            env,
            first,
            published,
        };
        assert_eq!(outcome(&world.night(1)), "updated");
        world
    }

    fn night(&self, n: u8) -> Ran {
        self.night_with(n, "")
    }

    fn night_with(&self, n: u8, flags: &str) -> Ran {
        let env = self.env.now(&format!("2026-03-{:02}T09:00:00Z", n + 1));
        env.line(&format!("run-due --trigger ci --json {flags}"))
    }

    fn folder(&self) -> PathBuf {
        self.env.cache().join("models--acme--tiny")
    }

    fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder().join("snapshots").join(commit)
    }

    fn reference(&self) -> String {
        fs::read_to_string(self.folder().join("refs/main")).unwrap_or_default()
    }

    fn move_ref(&self, text: &str) {
        fs::write(self.folder().join("refs/main"), text).unwrap();
    }

    /// Fetches the newest commit as the official client does, which leaves no record
    /// of hfdl.
    fn fetch_by_another_program(&self) {
        let other = self.env.root().join("other");
        let (home, cache) = (self.env.home(), self.env.cache());
        let set = |home: &Path, cache: &Path| {
            self.env.set("HFDL_HOME", &home.to_string_lossy());
            self.env.set("HF_HUB_CACHE", &cache.to_string_lossy());
        };
        set(&other.join("state"), &other.join("hub"));
        self.env.line("download acme/tiny").succeeds();
        set(&home, &cache);
        let folder = other.join("hub/models--acme--tiny");
        for part in ["blobs", "snapshots", "trees"] {
            for file in files_below(&folder.join(part)) {
                let to = self.folder().join(file.strip_prefix(&folder).unwrap());
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                match fs::read_link(&file) {
                    Ok(target) => symlink(target, to).unwrap(),
                    Err(_) => {
                        // The one that is there is protected.
                        let _ = fs::remove_file(&to);
                        fs::copy(&file, to).unwrap();
                    }
                }
            }
        }
        fs::remove_dir_all(other).unwrap();
    }

    /// Writes one file of a commit, as llama.cpp does, which keeps no listing.
    fn fetch_one_file(&self, commit: &str) {
        let snapshot = self.snapshot(commit);
        fs::create_dir_all(&snapshot).unwrap();
        fs::write(snapshot.join("config.json"), "{}").unwrap();
    }

    fn status(&self) -> Ran {
        self.env.line("status --json")
    }

    /// Returns the target, the state of its snapshot and the exit code of `status`.
    fn moved(&self) -> String {
        let ran = self.status();
        let document = ran.json();
        let code = ran.code().unwrap();
        let Some(moved) = document["moved_refs"].get(0) else {
            return format!("none, exit {code}");
        };
        assert_eq!(moved["model"], "acme/tiny");
        assert_eq!(moved["ref"], "refs/main");
        assert!(moved["next"].is_string());
        let is_healthy = document["warnings"].as_array().unwrap().is_empty();
        assert_eq!(is_healthy, moved["snapshot"] == "whole");
        let commit = moved["commit"].as_str().map_or("no commit", |it| &it[..4]);
        format!(
            "{commit} {}, exit {code}",
            moved["snapshot"].as_str().unwrap()
        )
    }

    fn events(&self) -> i64 {
        number(
            &self.env,
            "SELECT count(*) FROM events WHERE kind = 'ref-moved' AND model_id = 1",
        )
    }

    fn model_file(&self, commit: &str) -> PathBuf {
        self.snapshot(commit).join("model.safetensors")
    }
}

fn commit(env: &TestEnv, n: u8) -> String {
    let draft = env.hub().repo("acme/tiny").commit("main");
    let draft = draft.file("config.json", b"{}");
    draft
        .lfs("model.safetensors", generated_bytes(2 * MIB, n.into()))
        .publish()
}

fn session(ran: &Ran) -> Value {
    ran.json()["sessions"][0].clone()
}

fn outcome(ran: &Ran) -> String {
    session(ran)["outcome"].as_str().unwrap().to_owned()
}

/// The program that moved the ref, and the files that it has fetched.
#[derive(Clone, Copy)]
enum Mover {
    /// It was stopped before the first file.
    BeforeAnyFile,
    OneFile,
    AllFiles,
    Removed,
    Newline,
    /// The ref names the commit of the night before.
    Older,
    /// The ref names a commit that neither Hub nor cache has.
    Unknown,
}

/// Moves the ref, and returns the commit that the Hub has.
fn act(world: &World, mover: Mover) -> String {
    let newest = || commit(&world.env, 3);
    match mover {
        Mover::BeforeAnyFile => {
            let newest = newest();
            world.move_ref(&newest);
            newest
        }
        Mover::OneFile => {
            let newest = newest();
            world.move_ref(&newest);
            world.fetch_one_file(&newest);
            newest
        }
        Mover::AllFiles => {
            let newest = newest();
            world.move_ref(&newest);
            world.fetch_by_another_program();
            newest
        }
        Mover::Removed => {
            fs::remove_file(world.folder().join("refs/main")).unwrap();
            world.published.clone()
        }
        Mover::Newline => {
            world.move_ref(&format!("{}\n", world.published));
            world.published.clone()
        }
        Mover::Older => {
            world.move_ref(&world.first);
            world.published.clone()
        }
        Mover::Unknown => {
            world.move_ref(UNKNOWN);
            world.published.clone()
        }
    }
}

#[test]
fn the_next_run_publishes_the_newest_commit_again_whoever_moved_the_ref() {
    let rows = [
        // mover, status before: snapshot and exit code, outcome
        (Mover::BeforeAnyFile, "missing, exit 1", "updated"),
        (Mover::OneFile, "unknown, exit 1", "updated"),
        (Mover::AllFiles, "whole, exit 0", "updated"),
        (Mover::Removed, "missing, exit 1", "repaired"),
        (Mover::Newline, "missing, exit 1", "repaired"),
        (Mover::Older, "whole, exit 0", "repaired"),
        (Mover::Unknown, "missing, exit 1", "repaired"),
    ];
    for (index, (mover, before, expected)) in rows.into_iter().enumerate() {
        let world = World::new();
        assert_eq!(world.moved(), "none, exit 0");
        let newest = act(&world, mover);
        let moved = world.moved();
        assert!(moved.ends_with(before), "row {index}: {moved}");
        let ran = world.night(2);
        assert_eq!(outcome(ran.succeeds()), expected, "row {index}");
        assert_eq!(world.reference(), newest, "row {index}");
        assert!(world.model_file(&newest).exists(), "row {index}");
        assert_eq!(world.moved(), "none, exit 0", "row {index}");
        assert_eq!(world.events(), 1, "row {index}");
        let calm = world.night(3);
        assert_eq!(outcome(calm.succeeds()), "up-to-date", "row {index}");
        assert_eq!(world.events(), 1, "row {index}");
    }
}

#[test]
fn a_run_that_cannot_put_the_ref_right_says_so_and_keeps_the_published_commit() {
    let fetch = |world: &World| {
        world.env.hub().fault(On::any(), Fault::Status(503));
        ""
    };
    let budget = |_: &World| "--max-transfer 256K";
    let gone = |world: &World| {
        world.env.hub().repo("acme/tiny").delete();
        ""
    };
    type Act = fn(&World) -> &'static str;
    let rows: [(Act, i32, &str); 3] = [
        (fetch, 5, "could-not-check"),
        (budget, 8, "partial"),
        (gone, 1, "orphaned"),
    ];
    for (act, code, expected) in rows {
        let world = World::new();
        let newest = commit(&world.env, 3);
        world.move_ref(&newest);
        let flags = act(&world);
        let ran = world.night_with(2, flags);
        let ended = session(ran.exits(code));
        assert_eq!(ended["outcome"], expected);
        let error = ended["error"].as_str().unwrap();
        let part = format!(
            "`refs/main` names {}, whose snapshot is missing, instead of the published {}, which \
             can still be loaded by its commit",
            &newest[..10],
            &world.published[..10]
        );
        assert!(error.contains(&part), "{error}");
        assert_eq!(world.reference(), newest, "{expected}");
        assert_eq!(world.events(), 1, "{expected}");

        world.night_with(3, flags);
        assert_eq!(world.events(), 1, "{expected}: told once");
        let keep_one = "models set acme/tiny --keep-revisions 1";
        world.env.line(keep_one).succeeds();
        world.env.line("prune --yes").succeeds();
        assert!(world.model_file(&world.published).exists(), "{expected}");
        // The Hub has nothing of an orphaned model, so that all of its commits stay.
        let is_only_copy = expected == "orphaned";
        let first = world.snapshot(&world.first);
        assert_eq!(first.exists(), is_only_copy, "{expected}");
    }
}

#[test]
fn a_budget_ends_and_the_last_run_puts_the_ref_right() {
    let world = World::new();
    let newest = commit(&world.env, 3);
    world.move_ref(&newest);
    assert_eq!(
        outcome(&world.night_with(2, "--max-transfer 1M")),
        "partial"
    );
    assert!(world.moved().ends_with("missing, exit 1"));
    assert_eq!(outcome(&world.night(3)), "updated");
    assert_eq!(world.reference(), newest);
    assert_eq!(world.moved(), "none, exit 0");
    assert_eq!(world.events(), 1);
}

#[test]
fn a_rollback_is_held_against_programs_that_move_the_ref() {
    let world = World::new();
    world.env.line("models rollback acme/tiny").succeeds();
    let newest = commit(&world.env, 3);
    world.move_ref(&newest);
    let text = world.env.line("status");
    text.exits(1)
        .prints("the next run moves it back to the commit that `acme/tiny` is held at");
    let ran = world.night(2);
    assert_eq!(outcome(ran.succeeds()), "held");
    assert_eq!(world.reference(), world.first);
    assert_eq!(world.moved(), "none, exit 0");
    assert_eq!(world.events(), 1);
}

#[test]
fn a_held_commit_that_is_gone_is_told_and_can_be_fetched_again() {
    let world = World::new();
    world.env.line("models rollback acme/tiny").succeeds();
    world.move_ref(UNKNOWN);
    fs::remove_dir_all(world.snapshot(&world.first)).unwrap();
    let ran = world.night_with(2, "-v");
    ran.succeeds()
        .explains("`hfdl verify acme/tiny --repair` fetches it again");
    assert_eq!(outcome(&ran), "held");
    assert_eq!(world.events(), 1);
    assert!(world.moved().ends_with("missing, exit 1"));
    world.env.line("verify acme/tiny --repair").succeeds();
    assert!(world.model_file(&world.first).exists());
    assert_eq!(outcome(&world.night(3)), "held");
    assert_eq!(world.reference(), world.first);
    assert_eq!(world.moved(), "none, exit 0");
}

#[test]
fn status_shows_a_ref_to_a_whole_snapshot_as_a_note() {
    let world = World::new();
    world.move_ref(&world.first);
    world
        .env
        .line("status")
        .succeeds()
        .prints("healthy")
        .prints("note: `acme/tiny`: `refs/main` names")
        .prints("next: the next run publishes the newest commit and moves the ref to it");
}

#[test]
fn an_update_that_looks_like_a_loss_is_held_although_the_ref_names_it() {
    for is_fetched in [false, true] {
        let world = World::new();
        let small = world.env.hub().repo("acme/tiny").commit("main");
        let small = small.lfs("model.safetensors", vec![0; 9]).publish();
        world.move_ref(&small);
        if is_fetched {
            world.fetch_by_another_program();
        }
        let ran = world.night(2);
        assert_eq!(outcome(ran.succeeds()), "held", "{is_fetched}");
        assert_eq!(world.reference(), world.published, "{is_fetched}");
        assert_eq!(world.events(), 1, "{is_fetched}");
        world
            .env
            .line(&format!("download acme/tiny --accept {small}"))
            .succeeds();
        assert_eq!(world.reference(), small, "{is_fetched}");
    }
}

#[test]
fn a_rollback_leaves_the_published_commit_wherever_the_ref_is() {
    let world = World::new();
    let newest = commit(&world.env, 3);
    world.move_ref(&newest);
    world.fetch_by_another_program();
    let ran = world.env.line("models rollback acme/tiny --json");
    let went = ran.succeeds().json();
    assert_eq!(went["from"], *newest);
    assert_eq!(went["to"], *world.first);
    assert_eq!(world.reference(), world.first);
    assert_eq!(world.moved(), "none, exit 0");

    // The published commit itself can be held, too.
    let world = World::new();
    world.move_ref(UNKNOWN);
    let to = format!("models rollback acme/tiny --to {}", world.published);
    world.env.line(&to).succeeds();
    assert_eq!(world.reference(), world.published);
    let newest = commit(&world.env, 3);
    assert_eq!(outcome(&world.night(2)), "held");
    assert_ne!(world.reference(), newest);
}

#[test]
fn the_hook_gets_the_moved_ref_once() {
    let world = World::new();
    let told = world.env.root().join("told");
    let script = world.env.root().join("hook");
    let text = format!("#!/bin/sh\n/bin/cat >> '{}'\n", told.display());
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let argv = script.to_str().unwrap();
    world
        .env
        .hfdl(["config", "set", "hooks.on_ref_moved", argv])
        .succeeds();
    world.move_ref(UNKNOWN);
    world.env.hub().fault(On::any(), Fault::Status(503));
    for n in 2..=3 {
        world.night(n).exits(5);
    }
    world.env.hub().heal();
    world.night(4).succeeds();
    world.night(5).succeeds();
    let told = fs::read_to_string(told).unwrap();
    let lines: Vec<Value> = told
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 1, "{told}");
    assert_eq!(lines[0]["event"], "on_ref_moved");
    assert_eq!(lines[0]["reason"], "ref-moved");
    let moved = &lines[0]["moved_ref"];
    assert_eq!(moved["ref"], "refs/main");
    assert_eq!(moved["commit"], UNKNOWN);
    assert_eq!(moved["snapshot"], "missing");
    assert_eq!(moved["published_commit"], *world.published);
}

#[test]
fn a_second_move_is_another_event() {
    let world = World::new();
    for n in [2, 3] {
        world.move_ref(UNKNOWN);
        assert_eq!(outcome(&world.night(n)), "repaired");
    }
    assert_eq!(world.events(), 2);
}

#[test]
fn doctor_names_each_moved_ref_with_its_next_step() {
    let world = World::new();
    world
        .env
        .line("doctor")
        .prints("each of 1 names the published commit");
    world.move_ref(UNKNOWN);
    world
        .env
        .line("doctor")
        .prints("`acme/tiny`: `refs/main` names 0123456789, whose snapshot is missing")
        .prints("HF_HUB_OFFLINE=1");
}

#[test]
fn another_home_that_publishes_in_the_same_cache_is_no_trouble() {
    let world = World::new();
    let newest = commit(&world.env, 3);
    let home = world.env.home();
    let other = world.env.root().join("other-home");
    world.env.set("HFDL_HOME", &other.to_string_lossy());
    world.env.line("models add acme/tiny").succeeds();
    world.env.line("download acme/tiny").succeeds();
    world.env.set("HFDL_HOME", &home.to_string_lossy());
    assert_eq!(world.reference(), newest);
    assert_eq!(world.moved(), "none, exit 0");
    assert_eq!(outcome(&world.night(2)), "up-to-date");
    assert_eq!(world.events(), 0);
}
