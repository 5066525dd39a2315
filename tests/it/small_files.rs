//! Small files are fetched, recorded and stored in batches: one bad file, a full disk and a
//! second home spoil none of the others.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use hfdl::sys::lock::FileLock;
use hfdl_test_hub::{Fault as HubFault, On, git_blob_id};

use crate::support::env::TestEnv;
use crate::support::process::Victim;
#[cfg(all(target_os = "linux", not(target_env = "musl")))]
use crate::support::sound::open_sessions;
use crate::support::sound::{Truth, damage, files_below};

const N_FILES: usize = 40;

struct World {
    env: TestEnv,
    truth: Truth,
}

fn text(number: usize) -> Vec<u8> {
    format!("file {number} ").repeat(300).into_bytes()
}

impl World {
    fn new() -> Self {
        let env = TestEnv::new();
        env.set("HFDL_DISK_RESERVE", "0");
        let files: BTreeMap<String, Vec<u8>> = (0..N_FILES)
            .map(|number| (format!("part-{}/{number}.json", number % 3), text(number)))
            .collect();
        let commit = env.hub().repo("acme/tiny").commit("main");
        let commit = commit.files(files.clone()).publish();
        Self {
            truth: Truth::from([(commit, files)]),
            env,
        }
    }

    fn folder(&self) -> PathBuf {
        self.env.cache().join("models--acme--tiny")
    }

    fn blob(&self, number: usize) -> PathBuf {
        self.folder().join("blobs").join(git_blob_id(&text(number)))
    }

    fn n_stored(&self) -> usize {
        (0..N_FILES).filter(|n| self.blob(*n).is_file()).count()
    }

    /// Runs to the end, and returns how many bytes came.
    fn heals(&self) -> u64 {
        let ran = self.env.line("download acme/tiny --json");
        ran.succeeds();
        damage(&self.env, &self.truth).unwrap();
        assert_eq!(self.temporary_files(), Vec::<PathBuf>::new());
        let fetched = &ran.json()["sessions"][0]["bytes"]["fetched"];
        fetched.as_u64().unwrap()
    }

    fn temporary_files(&self) -> Vec<PathBuf> {
        let mut files = files_below(&self.folder());
        files.retain(|path| path.to_string_lossy().contains("/tmp-"));
        files
    }
}

#[test]
fn no_lock_file_and_no_temporary_file_of_a_small_file_is_left() {
    let world = World::new();
    world.heals();
    let locks = world.env.cache().join(".locks/models--acme--tiny");
    assert_eq!(files_below(&locks), Vec::<PathBuf>::new());
    let left: Vec<PathBuf> = files_below(&world.folder().join(".hfdl"));
    let is_lock = |path: &PathBuf| path.to_string_lossy().ends_with(".lock");
    assert!(!left.iter().any(is_lock), "{left:?}");
}

#[test]
fn a_wrong_hash_in_a_batch_costs_that_file_alone() {
    let world = World::new();
    let wrong = On::content("part-1/7.json").times(2);
    world.env.hub().fault(wrong, HubFault::FlipByteAt(2));
    let ran = world.env.line("download acme/tiny");
    ran.exits(3).explains("hash mismatch");
    assert_eq!(world.n_stored(), N_FILES - 1);
    let evidence = format!(".hfdl/{}.incomplete.bad", git_blob_id(&text(7)));
    assert!(world.folder().join(evidence).is_file());
    world.env.hub().heal();
    assert_eq!(world.heals(), text(7).len() as u64);
}

#[test]
fn a_name_that_is_taken_in_a_batch_costs_that_file_alone() {
    let world = World::new();
    fs::create_dir_all(world.blob(7).join("full")).unwrap();
    let ran = world.env.line("download acme/tiny");
    ran.exits(1).explains("cannot move");
    assert_eq!(world.n_stored(), N_FILES - 1);
    assert_eq!(world.temporary_files(), Vec::<PathBuf>::new());
    fs::remove_dir_all(world.blob(7)).unwrap();
    assert_eq!(world.heals(), text(7).len() as u64);
}

#[cfg(all(target_os = "linux", not(target_env = "musl")))]
#[test]
fn a_full_disk_at_any_record_of_a_batch_publishes_nothing_false() {
    use crate::support::faults::Fault;
    let world = World::new();
    let mut n_hit = 0;
    for at in [1, 2, 3, 4, 6, 10, 30] {
        for folder in [world.env.cache(), world.env.home()] {
            let _ = fs::remove_dir_all(folder);
        }
        let homes = world.folder().join(".hfdl/homes");
        let full = Fault {
            below: &homes,
            calls: &["write"],
            at,
            how: "ENOSPC",
            stays: true,
        };
        let ran = world.env.hfdl_with_fault(&full, &["download", "acme/tiny"]);
        assert!(matches!(ran.code(), Some(0 | 6)), "{at}: {}", ran.report());
        n_hit += usize::from(ran.code() == Some(6));
        assert!(!world.folder().join("refs/main").exists() || ran.code() == Some(0));
        damage(&world.env, &world.truth).unwrap();
        world.heals();
        assert_eq!(open_sessions(&world.env), 0);
    }
    assert!(n_hit >= 5, "{n_hit}");
}

#[test]
fn two_homes_fetch_the_same_small_files_at_the_same_time() {
    let world = World::new();
    let env = &world.env;
    env.set("HFDL_TEST_HANG_AT", "blobs noted");
    let mut first = Victim::start(env.command(["download", "acme/tiny"]));
    env.unset("HFDL_TEST_HANG_AT");
    let locks = || -> Vec<PathBuf> {
        let mut files = files_below(&world.folder().join(".hfdl"));
        files.retain(|path| path.to_string_lossy().ends_with(".incomplete.lock"));
        files
    };
    env.hub().wait_until("the first home fetches", |requests| {
        requests.iter().any(|it| it.target.contains("/resolve"))
    });
    assert!(locks().iter().any(|lock| FileLock::is_held(lock).unwrap()));
    let (own, other) = (env.home(), env.root().join("outside/other"));
    env.set("HFDL_HOME", &other.to_string_lossy());
    let ran = env.line("download acme/tiny");
    ran.succeeds();
    assert!(!ran.stderr().contains("another process"));
    damage(env, &world.truth).unwrap();
    env.set("HFDL_HOME", &own.to_string_lossy());
    first.kill();
    env.line("download acme/tiny").succeeds();
    damage(env, &world.truth).unwrap();
}
