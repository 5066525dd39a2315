//! Full, too small and read-only file systems.
//!
//! Linux as root mounts small file systems in memory. Where that cannot be, a
//! test prints why and checks the same refusal through `disk.reserve`.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use hfdl_test_hub::{Api, On, generated_bytes};

use crate::support::disk::SmallDisk;
use crate::support::env::TestEnv;
use crate::support::sound::{Truth, damage, files_below, open_runs, open_sessions, say};

const MIB: usize = 1 << 20;

/// A world with a model of so many bytes, and maybe a small disk for one of its folders.
struct SmallDiskEnv {
    /// Before the folder that it lies in: fields are dropped in order.
    disk: Option<SmallDisk>,
    env: TestEnv,
    truth: Truth,
}

impl SmallDiskEnv {
    fn new(size: usize, folder: &str, mebibytes: usize) -> Self {
        let env = TestEnv::new();
        env.set("HFDL_DISK_RESERVE", "0");
        let files = BTreeMap::from([
            ("config.json".to_owned(), b"{}".to_vec()),
            ("model.safetensors".to_owned(), generated_bytes(size, 1)),
        ]);
        let commit = env
            .hub()
            .repo("acme/tiny")
            .commit("main")
            .file("config.json", b"{}")
            .lfs("model.safetensors", files["model.safetensors"].clone())
            .publish();
        let disk = SmallDisk::mount(env.root().join(folder), mebibytes)
            .inspect_err(|why| {
                say(&format!(
                    "no small file system ({why}); by `disk.reserve` instead"
                ))
            })
            .ok();
        Self {
            env,
            truth: Truth::from([(commit, files)]),
            disk,
        }
    }

    fn reference(&self) -> PathBuf {
        self.env.cache().join("models--acme--tiny/refs/main")
    }

    /// Checks the same refusal without a mount.
    fn is_refused_by_reserve(&self) {
        self.env
            .hfdl(["download", "acme/tiny", "-c", "disk.reserve=4P"])
            .exits(6)
            .explains("it needs");
        assert!(!self.reference().exists());
        self.heals();
    }

    fn heals(&self) {
        self.env.hfdl(["download", "acme/tiny"]).succeeds();
        assert!(self.reference().exists());
        damage(&self.env, &self.truth).unwrap();
        assert_eq!((open_sessions(&self.env), open_runs(&self.env)), (0, 0));
    }
}

#[test]
fn a_model_larger_than_the_disk_is_refused_before_any_byte() {
    let world = SmallDiskEnv::new(30 * MIB, "hub", 24);
    if world.disk.is_none() {
        return world.is_refused_by_reserve();
    }
    world
        .env
        .hfdl(["download", "acme/tiny"])
        .exits(6)
        .explains("it needs 30.0 MiB more")
        .explains("free space there");
    assert_eq!(world.env.hub().count(Api::Cdn), 0);
    assert!(files_below(&world.env.cache()).is_empty());
    damage(&world.env, &world.truth).unwrap();
}

#[test]
fn a_disk_that_fills_meanwhile_keeps_what_came_and_goes_on_with_space() {
    let mut world = SmallDiskEnv::new(6 * MIB, "hub", 24);
    if world.disk.is_none() {
        return world.is_refused_by_reserve();
    }
    let second = generated_bytes(8 * MIB, 2);
    let (_, mut files) = world.truth.pop_first().unwrap();
    let repo = world.env.hub().repo("acme/tiny");
    let draft = repo.commit("main").lfs("z.safetensors", second.clone());
    files.insert("z.safetensors".to_owned(), second);
    world.truth.insert(draft.publish(), files);

    let env = &world.env;
    let at = env.cache();
    // The first file has its space by now, the second has not.
    env.hub()
        .before(On::cdn("model.safetensors"), move || SmallDisk::fill(&at));
    let ran = env.hfdl([
        "download",
        "acme/tiny",
        "-c",
        "download.connections=1",
        "-c",
        "download.files=1",
    ]);
    ran.exits(6)
        .explains("z.safetensors")
        .explains("No space left on device")
        .explains("next: free space there");
    assert!(!world.reference().exists());
    assert_eq!((open_sessions(env), open_runs(env)), (0, 0));
    SmallDisk::give_back(&env.cache());
    damage(env, &world.truth).unwrap();
    env.hub().forget_requests();
    world.heals();
    assert!(
        env.hub().downloads("model.safetensors").is_empty(),
        "the file that was whole is not fetched again"
    );
}

#[test]
fn a_read_only_cache_is_a_disk_error_and_the_session_says_so() {
    let world = SmallDiskEnv::new(MIB, "hub", 24);
    let Some(disk) = &world.disk else {
        return world.is_refused_by_reserve();
    };
    disk.make_read_only().unwrap();
    let ran = world.env.hfdl(["download", "acme/tiny"]);
    ran.exits(6)
        .explains("hub")
        .explains("make the place writable");
    assert_eq!((open_sessions(&world.env), open_runs(&world.env)), (0, 0));
    disk.make_writable().unwrap();
    world.heals();
}

#[test]
fn a_disk_without_space_for_the_listing_publishes_nothing_and_heals() {
    let world = SmallDiskEnv::new(MIB, "hub", 24);
    if world.disk.is_none() {
        return world.is_refused_by_reserve();
    }
    let at = world.env.cache();
    world
        .env
        .hub()
        .before(On::cdn("model.safetensors"), move || {
            SmallDisk::fill(&at);
        });
    world.env.hfdl(["download", "acme/tiny"]).exits(6);
    assert!(!world.reference().exists());
    SmallDisk::give_back(&world.env.cache());
    world.heals();
}

#[test]
fn a_database_on_a_full_disk_is_named_and_nothing_is_lost() {
    let world = SmallDiskEnv::new(MIB, "state", 4);
    if world.disk.is_none() {
        return world.is_refused_by_reserve();
    }
    let env = &world.env;
    env.hfdl(["models", "add", "acme/tiny"]).succeeds();
    SmallDisk::fill(&env.home());
    env.hfdl(["download", "acme/tiny"])
        .exits(6)
        .explains("the disk is full")
        .explains(&format!("disk that holds `{}`", env.database().display()));
    // A tick ends likewise.
    let line = ["run-due", "--trigger", "timer"];
    env.hfdl(line).exits(6).explains("the disk is full");
    SmallDisk::give_back(&env.home());
    world.heals();
    env.hfdl(["models", "list"]).succeeds().prints("acme/tiny");
}

#[test]
fn a_database_whose_disk_fills_during_the_download_loses_no_bytes() {
    let world = SmallDiskEnv::new(MIB, "state", 4);
    if world.disk.is_none() {
        return world.is_refused_by_reserve();
    }
    let env = &world.env;
    let at = env.home();
    env.hub()
        .before(On::cdn("model.safetensors"), move || SmallDisk::fill(&at));
    let ran = env.hfdl(["download", "acme/tiny"]);
    ran.exits(6).explains("the disk is full");
    SmallDisk::give_back(&env.home());
    env.hub().forget_requests();
    world.heals();
    assert_eq!(env.hub().count(Api::Cdn), 0, "the model was there already");
}

#[test]
fn a_home_on_a_full_disk_from_the_start_is_named() {
    let world = SmallDiskEnv::new(MIB, "state", 1);
    if world.disk.is_none() {
        return world.is_refused_by_reserve();
    }
    SmallDisk::fill(&world.env.home());
    let ran = world.env.hfdl(["download", "acme/tiny"]);
    ran.exits(6);
    assert!(ran.stderr().contains("full") || ran.stderr().contains("No space"));
    SmallDisk::give_back(&world.env.home());
    world.heals();
}

#[test]
fn a_read_only_home_is_a_disk_error() {
    let world = SmallDiskEnv::new(MIB, "state", 4);
    let Some(disk) = &world.disk else {
        return world.is_refused_by_reserve();
    };
    world.env.hfdl(["models", "add", "acme/tiny"]).succeeds();
    disk.make_read_only().unwrap();
    let ran = world.env.hfdl(["download", "acme/tiny"]);
    let file = format!(
        "make `{}` and its directory writable",
        world.env.database().display()
    );
    ran.exits(6).explains("read-only").explains(&file);
    disk.make_writable().unwrap();
    world.heals();
}

#[test]
fn a_file_system_without_room_for_more_files_is_refused_before_any_byte() {
    let world = SmallDiskEnv::new(MIB, "hub", 24);
    let Some(disk) = &world.disk else {
        return world.is_refused_by_reserve();
    };
    disk.limit_files(3).unwrap();
    let ran = world.env.hfdl(["download", "acme/tiny"]);
    ran.exits(6)
        .explains("more files on the file system")
        .explains("inodes");
    assert!(world.env.hub().downloads("model.safetensors").is_empty());
    disk.limit_files(1000).unwrap();
    world.env.hfdl(["download", "acme/tiny"]).succeeds();
}

#[test]
fn a_file_larger_than_a_file_may_be_is_refused_before_any_byte() {
    let world = SmallDiskEnv::new(30 * MIB, "hub", 64);
    let args = ["download", "acme/tiny"];
    let ran = world.env.hfdl_after("ulimit -f 20000", args);
    ran.exits(6)
        .explains("`model.safetensors` has 30.0 MiB")
        .explains("a file can have")
        .explains("ulimit -f");
    assert!(world.env.hub().downloads("model.safetensors").is_empty());
    assert!(world.env.hub().downloads("config.json").is_empty());
    world.heals();
}
