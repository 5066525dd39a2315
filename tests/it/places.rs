//! The right disk and the right cache: a place that is not the one that models
//! were published in is left alone until a person confirms it.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::{Path, PathBuf};

use hfdl_test_hub::{Api, generated_bytes};

use crate::support::disk::{RemovableDisk, SmallDisk};
use crate::support::due::{outcomes, roomy_world};
use crate::support::env::{Ran, TestEnv};
use crate::support::sound::{files_below, say};

const REFUSED: &str = "is not the place that models were published in";

/// A world with one model, kept on a disk that can be taken away.
struct RemovableDiskEnv {
    /// Before the folder that it lies in: fields are dropped in order.
    disk: RemovableDisk,
    env: TestEnv,
    /// The folder that the disk is mounted at.
    place: PathBuf,
}

impl RemovableDiskEnv {
    /// The disk holds the cache, or the directory that the model goes to.
    fn new(add: &str, folder: &str) -> Self {
        let env = roomy_world();
        let place = env.root().join(folder);
        let disk = RemovableDisk::mount(place.clone(), env.root().join("disk"));
        publish(&env, 1);
        env.line(add).succeeds();
        env.line("schedules add hourly --every 1h --all").succeeds();
        Self { disk, env, place }
    }

    fn in_cache() -> Self {
        Self::new("models add acme/tiny", "hub")
    }

    fn in_directory() -> Self {
        Self::new("models add acme/tiny --to ../out", "out")
    }

    /// Runs what is due `n` hours after the first run.
    fn tick(&self, n: u8) -> Ran {
        let at = format!("2026-03-01T{:02}:00:00Z", 9 + n);
        self.env.now(&at).line("run-due --json")
    }

    fn is_untouched(&self) {
        let entries = self.place.read_dir().unwrap().count();
        assert_eq!(entries, 0, "something was put into the empty mount point");
    }
}

fn publish(env: &TestEnv, seed: u64) -> String {
    let draft = env.hub().repo("acme/tiny").commit("main");
    draft
        .file("config.json", format!("{{\"n\": {seed}}}").as_bytes())
        .lfs("model.safetensors", generated_bytes(100_000, seed))
        .publish()
}

fn mark_of_cache(env: &TestEnv) -> PathBuf {
    env.cache().join(".locks/hfdl-place")
}

/// Checks that each command refuses a missing place.
fn every_command_refuses(world: &RemovableDiskEnv, n_requests: usize) {
    let env = &world.env;
    let ran = world.tick(1);
    ran.exits(6).explains(REFUSED).explains("mount its disk");
    assert_eq!(
        outcomes(&ran),
        [("acme/tiny".to_owned(), "failed".to_owned())]
    );
    assert_eq!(ran.json()["sessions"][0]["error_kind"], "disk");
    for line in ["download acme/tiny", "download acme/tiny --dry-run"] {
        env.line(line).exits(6).explains(REFUSED);
    }
    for line in ["verify", "verify --offline", "verify --repair --yes"] {
        let ran = env.line(line);
        ran.exits(6).explains(REFUSED);
        let said = format!("{}{}", ran.stdout(), ran.stderr());
        assert!(
            !said.contains("missing") || said.contains(REFUSED),
            "{said}"
        );
        assert!(
            !said.contains("damaged") && !said.contains("--repair"),
            "{said}"
        );
    }
    for line in [
        "prune --yes",
        "prune --dry-run",
        "models remove acme/tiny --delete-files --yes",
    ] {
        env.line(line).exits(6).explains(REFUSED);
    }
    let shown = env.line("models show acme/tiny --json").json();
    assert!(
        shown["place_problem"].as_str().unwrap().contains(REFUSED),
        "{shown}"
    );
    assert_eq!(env.hub().count(Api::Cdn), n_requests, "nothing is fetched");
    env.line("doctor")
        .exits(1)
        .prints(REFUSED)
        .prints("doctor --fix");
    world.is_untouched();
}

#[test]
fn a_cache_whose_disk_is_not_mounted_is_left_alone_by_every_command() {
    let world = RemovableDiskEnv::in_cache();
    let env = &world.env;
    world.tick(0).succeeds();
    publish(env, 2);
    env.now("2026-03-01T09:30:00Z");
    env.line("download acme/tiny").succeeds();
    let n_fetched = env.hub().count(Api::Cdn);
    world.disk.take_away();
    every_command_refuses(&world, n_fetched);
    env.line("models rollback acme/tiny")
        .exits(6)
        .explains(REFUSED);
    world.is_untouched();

    world.disk.bring_back();
    env.hub().forget_requests();
    world.tick(2).succeeds();
    assert!(env.hub().downloads("model.safetensors").is_empty());
    // No command has concluded anything from the empty folder.
    env.line("models rollback acme/tiny").succeeds();
    env.line("verify").succeeds();
}

#[test]
fn a_directory_whose_disk_is_not_mounted_is_left_alone_by_every_command() {
    let world = RemovableDiskEnv::in_directory();
    world.tick(0).succeeds();
    let n_fetched = world.env.hub().count(Api::Cdn);
    world.disk.take_away();
    every_command_refuses(&world, n_fetched);
    world.disk.bring_back();
    world.env.hub().forget_requests();
    world.tick(2).succeeds();
    assert!(world.env.hub().downloads("model.safetensors").is_empty());
}

#[test]
fn a_held_model_is_not_held_on_the_wrong_disk() {
    let world = RemovableDiskEnv::in_cache();
    let env = &world.env;
    world.tick(0).succeeds();
    publish(env, 2);
    env.now("2026-03-01T09:30:00Z");
    env.line("download acme/tiny").succeeds();
    env.line("models rollback acme/tiny").succeeds();
    world.disk.take_away();
    world.tick(1).exits(6);
    world.is_untouched();
}

#[test]
fn a_disk_that_goes_before_the_first_revision_is_whole_is_missed_too() {
    let world = RemovableDiskEnv::in_cache();
    if !world.disk.is_mounted() {
        return say("without a mounted disk nothing tells that one is gone");
    }
    let env = &world.env;
    env.hub()
        .repo("acme/tiny")
        .commit("main")
        .lfs("model.safetensors", generated_bytes(6 << 20, 3))
        .publish();
    env.line("run-due --max-transfer 2M").exits(8);
    world.disk.take_away();
    world.tick(1).exits(6).explains(REFUSED);
    world.is_untouched();
    world.disk.bring_back();
    world.tick(2).succeeds();
}

#[test]
fn another_disk_in_the_same_place_is_refused() {
    let world = RemovableDiskEnv::in_cache();
    let env = &world.env;
    world.tick(0).succeeds();
    world.disk.take_away();
    // It belongs to another home, which has marked it.
    let other = env.root().join("state2");
    let Ok(_disk) = SmallDisk::mount(env.cache(), 64) else {
        return say("nothing can be mounted, so there is no other disk");
    };
    env.hub()
        .repo("acme/other")
        .commit("main")
        .file("a.json", b"{}")
        .publish();
    let home = format!("--home {}", other.display());
    env.line(&format!("{home} models add acme/other"))
        .succeeds();
    env.line(&format!("{home} download acme/other")).succeeds();
    let before = files_below(&env.cache());
    world
        .tick(1)
        .exits(6)
        .explains("it has the mark of another directory");
    assert_eq!(files_below(&env.cache()), before);
}

#[test]
fn a_cache_that_was_deleted_on_purpose_begins_anew_with_one_word() {
    for confirm in [
        "run-due --new-place",
        "download acme/tiny --new-place",
        "doctor --fix",
    ] {
        let world = RemovableDiskEnv::in_cache();
        let env = &world.env;
        world.tick(0).succeeds();
        world.disk.take_away();
        let cache = env.cache();
        fs::remove_dir(&cache).unwrap();
        env.now("2026-03-01T10:00:00Z");
        env.line("download acme/tiny")
            .exits(6)
            .explains("the directory does not exist");
        assert!(!cache.exists());
        let ran = env.line(confirm);
        if confirm.starts_with("doctor") {
            ran.prints("begins anew").prints("mended");
        } else {
            ran.succeeds().explains("a new place was confirmed");
        }
        let ran = env.line("download acme/tiny");
        ran.succeeds().silently();
        assert!(cache.join("models--acme--tiny/refs/main").exists());
        env.line("doctor --json");
    }
}

#[test]
fn a_mark_that_was_removed_is_written_again_when_the_models_are_there() {
    let world = RemovableDiskEnv::in_cache();
    let env = &world.env;
    world.tick(0).succeeds();
    fs::remove_dir_all(env.cache().join(".locks")).unwrap();
    world.tick(1).succeeds();
    assert!(mark_of_cache(env).is_file());

    let world = RemovableDiskEnv::in_directory();
    world.tick(0).succeeds();
    fs::remove_dir_all(world.place.join(".cache")).unwrap();
    world.tick(1).succeeds();
    assert!(world.place.join(".cache/huggingface/.hfdl/place").is_file());
}

#[test]
fn a_home_of_an_older_version_misses_its_disk_as_well() {
    for world in [
        RemovableDiskEnv::in_cache(),
        RemovableDiskEnv::in_directory(),
    ] {
        world.tick(0).succeeds();
        // Earlier versions kept no places and wrote no marks.
        let database = rusqlite::Connection::open(world.env.database()).unwrap();
        database.execute("DELETE FROM places", []).unwrap();
        for mark in [".locks/hfdl-place", ".cache/huggingface/.hfdl/place"] {
            let _ = fs::remove_file(world.place.join(mark));
        }
        world.disk.take_away();
        world.tick(1).exits(6).explains(REFUSED);
        world.is_untouched();
        world.disk.bring_back();
        world.tick(2).succeeds();
        let places: i64 = database
            .query_row("SELECT count(*) FROM places", [], |row| row.get(0))
            .unwrap();
        assert_eq!(places, 1);
    }
}

#[test]
fn one_missing_disk_does_not_keep_other_places_from_their_update() {
    let world = RemovableDiskEnv::in_cache();
    let env = &world.env;
    env.hub()
        .repo("acme/plain")
        .commit("main")
        .file("a.json", b"{}")
        .publish();
    env.line("models add acme/plain --to ../outside").succeeds();
    world.tick(0).succeeds();
    world.disk.take_away();
    let ran = world.tick(1);
    ran.exits(6);
    let expected = [("acme/plain", "up-to-date"), ("acme/tiny", "failed")];
    let expected = expected.map(|(model, outcome)| (model.to_owned(), outcome.to_owned()));
    assert_eq!(outcomes(&ran), expected);
    world.is_untouched();
}

fn kept_in_first_cache() -> (TestEnv, PathBuf) {
    let env = roomy_world();
    publish(&env, 1);
    env.line("models add acme/tiny").succeeds();
    env.line("schedules add hourly --every 1h --all").succeeds();
    env.line("run-due").succeeds();
    let second = env.root().join("second");
    env.set("HF_HUB_CACHE", second.to_str().unwrap());
    env.now("2026-03-01T10:00:00Z");
    (env, second)
}

fn names_both(ran: &Ran, env: &TestEnv, second: &Path) {
    let first = env.cache();
    ran.exits(2)
        .explains(&format!(
            "`acme/tiny` is published in `{}`",
            first.display()
        ))
        .explains(&format!("would use `{}`", second.display()))
        .explains("HF_HUB_CACHE")
        .explains(&format!("hfdl config set cache.dir '{}'", first.display()));
}

#[test]
fn another_cache_than_that_of_the_published_revision_is_named() {
    let (env, second) = kept_in_first_cache();
    let n_fetched = env.hub().count(Api::Cdn);
    names_both(&env.line("run-due"), &env, &second);
    names_both(&env.line("download acme/tiny"), &env, &second);
    names_both(&env.line("verify"), &env, &second);
    names_both(&env.line("prune --yes"), &env, &second);
    names_both(&env.line("models rollback acme/tiny"), &env, &second);
    assert!(!second.exists());
    assert_eq!(env.hub().count(Api::Cdn), n_fetched);

    // The way that the hint names.
    env.unset("HF_HUB_CACHE");
    let keep = format!("config set cache.dir {}", env.cache().display());
    env.line(&keep).succeeds();
    env.now("2026-03-01T11:00:00Z").line("run-due").succeeds();
    assert_eq!(env.hub().count(Api::Cdn), n_fetched);
}

#[test]
fn a_cache_flag_for_a_model_of_another_cache_is_refused_without_a_failure() {
    let (env, second) = kept_in_first_cache();
    env.unset("HF_HUB_CACHE");
    let line = format!("download acme/tiny --cache-dir {}", second.display());
    for line in [format!("{line} -n"), line] {
        env.line(&line)
            .exits(2)
            .explains("leave `--cache-dir` out")
            .explains(&format!("hfdl config set cache.dir '{}'", second.display()))
            .explains("`hfdl download acme/tiny --new-place`");
    }
    assert!(!second.exists());
    let shown = env.line("models show acme/tiny --json").json();
    assert_eq!(shown["consecutive_failures"], 0, "{shown}");
}

#[test]
fn another_cache_is_taken_when_a_person_says_so() {
    let (env, second) = kept_in_first_cache();
    env.line("run-due --new-place")
        .succeeds()
        .explains("a new place was confirmed");
    assert!(second.join("models--acme--tiny/refs/main").exists());
    env.now("2026-03-01T11:00:00Z")
        .line("run-due")
        .succeeds()
        .silently();
}

#[test]
fn a_repository_that_is_not_registered_goes_to_any_cache() {
    let (env, second) = kept_in_first_cache();
    env.hub()
        .repo("acme/other")
        .commit("main")
        .file("a.json", b"{}")
        .publish();
    env.line("download acme/other").succeeds();
    fs::remove_dir_all(&second).unwrap();
    env.line("download acme/other").succeeds();
}

#[test]
fn a_cache_by_another_name_or_at_another_mount_point_is_the_same() {
    let (env, second) = kept_in_first_cache();
    let n_fetched = env.hub().count(Api::Cdn);
    std::os::unix::fs::symlink(env.cache(), &second).unwrap();
    env.line("run-due").succeeds();
    fs::remove_file(&second).unwrap();
    fs::rename(env.cache(), &second).unwrap();
    env.now("2026-03-01T11:00:00Z").line("run-due").succeeds();
    assert_eq!(env.hub().count(Api::Cdn), n_fetched);
    // From now on this is its place.
    fs::rename(&second, env.root().join("gone")).unwrap();
    env.now("2026-03-01T12:00:00Z")
        .line("run-due")
        .exits(6)
        .explains("second");
}

#[test]
fn doctor_names_each_place() {
    let world = RemovableDiskEnv::in_cache();
    world.tick(0).succeeds();
    let mark = fs::read_to_string(mark_of_cache(&world.env)).unwrap();
    let told = format!("mark {}", &mark[..8]);
    world.env.line("doctor").prints(&told).prints(" free");
}

#[test]
fn unfinished_copies_in_the_home_go_with_the_next_run() {
    let env = roomy_world();
    publish(&env, 1);
    env.line("models add acme/tiny").succeeds();
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    for name in ["hfdl.db.new-aB3", "hfdl.db.new-aB3-wal", "hfdl.db.copy-x"] {
        let path = env.home().join(name);
        let file = fs::File::create(&path).unwrap();
        file.set_modified(old).unwrap();
    }
    let young = env.home().join("hfdl.db.new-young");
    fs::write(&young, "").unwrap();
    env.line("download acme/tiny").succeeds();
    let left = files_below(&env.home());
    let left = left.iter().filter(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.contains(".new-") || name.contains(".copy-")
    });
    assert_eq!(left.collect::<Vec<_>>(), [&young]);
}
