//! Links, second names and FIFOs under the names that hfdl writes: nothing is
//! written through them, and none of them stalls a run.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use hfdl_test_hub::{generated_bytes, git_blob_id, sha256_hex};

use crate::support::env::{Ran, TestEnv};
use crate::support::sound::{Truth, damage};

const MIB: usize = 1 << 20;
const PRECIOUS: &[u8] = b"precious";

/// A model with a small file and one that is fetched in pieces.
struct PlantedEnv {
    env: TestEnv,
    truth: Truth,
    commit: String,
    small: String,
    large: String,
}

impl PlantedEnv {
    fn new() -> Self {
        let env = TestEnv::new();
        env.set("HFDL_DISK_RESERVE", "0");
        let bytes = generated_bytes(2 * MIB, 7);
        let (small, large) = (git_blob_id(b"{}"), sha256_hex(&bytes));
        let draft = env.hub().repo("acme/tiny").commit("main");
        let draft = draft.file("config.json", b"{}");
        let commit = draft.lfs("model.safetensors", bytes.clone()).publish();
        let files = BTreeMap::from([
            ("config.json".to_owned(), b"{}".to_vec()),
            ("model.safetensors".to_owned(), bytes),
        ]);
        let truth = Truth::from([(commit.clone(), files)]);
        fs::create_dir(env.root().join("outside")).unwrap();
        let world = Self {
            env,
            truth,
            commit,
            small,
            large,
        };
        world.make_precious(PRECIOUS);
        world
    }

    fn precious(&self) -> PathBuf {
        self.env.root().join("outside/precious")
    }

    fn make_precious(&self, bytes: &[u8]) {
        fs::write(self.precious(), bytes).unwrap();
        fs::set_permissions(self.precious(), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn is_untouched(&self, bytes: &[u8], what: &str) {
        let mode = fs::metadata(self.precious()).unwrap().permissions().mode();
        assert_eq!(fs::read(self.precious()).unwrap(), bytes, "{what}");
        assert_eq!(mode & 0o777, 0o600, "{what}");
    }

    /// Returns the planted names of a path: `{small}`, `{large}` and `{commit}` are filled in.
    fn name(&self, below: &Path, name: &str) -> PathBuf {
        let name = name.replace("{small}", &self.small);
        let name = name.replace("{large}", &self.large);
        below.join(name.replace("{commit}", &self.commit))
    }

    fn repo(&self) -> PathBuf {
        self.env.cache().join("models--acme--tiny")
    }

    fn dir(&self) -> PathBuf {
        self.env.root().join("out")
    }

    /// Runs hfdl, and ends it when it stalls.
    fn hfdl(&self, args: &[&str]) -> Ran {
        let limited = r#"exec /usr/bin/timeout 20 "$0" "$@""#;
        let ran = self.env.hfdl_after(limited, args);
        assert_ne!(ran.code(), Some(124), "it stalls: {}", ran.report());
        ran
    }

    fn download(&self) -> Ran {
        self.hfdl(&["download", "acme/tiny"])
    }

    fn download_to_dir(&self) -> Ran {
        let to = self.dir().to_string_lossy().into_owned();
        self.hfdl(&["download", "acme/tiny", "--to", &to])
    }

    fn dir_is_whole(&self, what: &str) {
        for (name, bytes) in &self.truth[&self.commit] {
            let file = self.dir().join(name);
            assert!(!file.is_symlink(), "{what}");
            assert_eq!(fs::read(file).unwrap(), *bytes, "{what}");
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Plant {
    Link,
    /// A link that leads to no file.
    DanglingLink,
    SecondName,
    Fifo,
}

const ALL: [Plant; 4] = [
    Plant::Link,
    Plant::DanglingLink,
    Plant::SecondName,
    Plant::Fifo,
];

impl Plant {
    fn at(self, path: &Path, precious: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = fs::remove_file(path);
        match self {
            Self::Link => symlink(precious, path).unwrap(),
            Self::DanglingLink => symlink(precious.with_file_name("new"), path).unwrap(),
            Self::SecondName => fs::hard_link(precious, path).unwrap(),
            Self::Fifo => assert!(Command::new("mkfifo").arg(path).status().unwrap().success()),
        }
    }
}

#[test]
fn names_of_hfdl_alone_are_freed_and_the_download_succeeds() {
    for name in [
        ".hfdl/{large}.incomplete",
        ".hfdl/{large}.incomplete.journal",
        ".hfdl/{large}.incomplete.journal.new",
        ".hfdl/trees/{commit}.json",
        "trees/{commit}.json",
        "blobs/{large}",
        "blobs/{small}",
    ] {
        for plant in ALL {
            let world = PlantedEnv::new();
            let what = format!("{name} {plant:?}");
            plant.at(&world.name(&world.repo(), name), &world.precious());
            let ran = world.download();
            assert_eq!(ran.code(), Some(0), "{what}: {}", ran.report());
            world.is_untouched(PRECIOUS, &what);
            assert!(!world.precious().with_file_name("new").exists(), "{what}");
            assert!(!world.name(&world.repo(), name).is_symlink(), "{what}");
            damage(&world.env, &world.truth).unwrap();
        }
    }
}

#[test]
fn names_of_hfdl_alone_in_a_directory_are_freed_and_the_download_succeeds() {
    for name in [
        ".hfdl/{large}.incomplete",
        ".hfdl/{large}.incomplete.journal",
        ".hfdl/{small}.incomplete",
        ".hfdl/{large}",
        ".hfdl/trees/{commit}.json",
        ".hfdl/written",
        "trees/{commit}.json",
        "download/config.json.metadata",
    ] {
        for plant in ALL {
            let world = PlantedEnv::new();
            let what = format!("{name} {plant:?}");
            let records = world.dir().join(".cache/huggingface");
            plant.at(&world.name(&records, name), &world.precious());
            let ran = world.download_to_dir();
            assert_eq!(ran.code(), Some(0), "{what}: {}", ran.report());
            world.is_untouched(PRECIOUS, &what);
            assert!(!world.precious().with_file_name("new").exists(), "{what}");
            world.dir_is_whole(&what);
        }
    }
}

#[test]
fn a_link_of_the_right_size_is_no_content() {
    let bytes = generated_bytes(2 * MIB, 8);
    for name in ["blobs/{large}", ".hfdl/{large}.incomplete"] {
        let world = PlantedEnv::new();
        world.make_precious(&bytes);
        Plant::Link.at(&world.name(&world.repo(), name), &world.precious());
        world.download().succeeds();
        world.is_untouched(&bytes, name);
        damage(&world.env, &world.truth).unwrap();
    }
    let world = PlantedEnv::new();
    world.make_precious(&bytes);
    let stored = world.dir().join(".cache/huggingface/.hfdl/{large}");
    Plant::Link.at(
        &world.name(Path::new(""), &stored.to_string_lossy()),
        &world.precious(),
    );
    world.download_to_dir().succeeds();
    world.is_untouched(&bytes, "stored");
    world.dir_is_whole("stored");
}

#[test]
fn a_blob_that_becomes_a_link_afterwards_is_found_and_fetched_again() {
    let bytes = generated_bytes(2 * MIB, 8);
    let world = PlantedEnv::new();
    world.download().succeeds();
    world.make_precious(&bytes);
    let blob = world.name(&world.repo(), "blobs/{large}");
    Plant::Link.at(&blob, &world.precious());
    world.download().succeeds();
    world.is_untouched(&bytes, "a blob");
    assert!(!blob.is_symlink());
    damage(&world.env, &world.truth).unwrap();
}

#[test]
fn a_blob_in_the_shared_store_is_read_and_left_as_it_is() {
    let world = PlantedEnv::new();
    world.download().succeeds();
    let blob = world.name(&world.repo(), "blobs/{large}");
    let shared = world.env.cache().join("blobs/5a/xet");
    fs::create_dir_all(shared.parent().unwrap()).unwrap();
    fs::rename(&blob, &shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("../../blobs/5a/xet", &blob).unwrap();
    let before = world.env.hub().downloads("model.safetensors").len();
    world.download().succeeds();
    world.hfdl(&["verify", "acme/tiny"]).succeeds();
    assert_eq!(world.env.hub().downloads("model.safetensors").len(), before);
    assert!(blob.is_symlink());
    let mode = fs::metadata(&shared).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

#[test]
fn names_that_other_programs_share_are_refused_with_their_path() {
    for name in [".hfdl/{large}.incomplete.lock", "refs/main"] {
        for plant in [Plant::Link, Plant::DanglingLink, Plant::Fifo] {
            let world = PlantedEnv::new();
            let what = format!("{name} {plant:?}");
            let path = world.name(&world.repo(), name);
            plant.at(&path, &world.precious());
            let ran = world.download();
            assert_eq!(ran.code(), Some(6), "{what}: {}", ran.report());
            ran.explains(path.file_name().unwrap().to_str().unwrap());
            ran.explains("where a plain file must be");
            world.is_untouched(PRECIOUS, &what);
            fs::remove_file(&path).unwrap();
            world.download().succeeds();
            damage(&world.env, &world.truth).unwrap();
        }
    }
}

#[test]
fn locks_that_are_no_files_are_refused_with_their_path() {
    for plant in [Plant::Link, Plant::DanglingLink, Plant::Fifo] {
        let world = PlantedEnv::new();
        let lock = world.env.home().join("run.lock");
        plant.at(&lock, &world.precious());
        let ran = world.download();
        assert_eq!(ran.code(), Some(6), "{plant:?}: {}", ran.report());
        ran.explains("run.lock");
        world.is_untouched(PRECIOUS, "run.lock");

        let world = PlantedEnv::new();
        let lock = format!(".locks/models--acme--tiny/{}.lock", world.large);
        plant.at(&world.env.cache().join(lock), &world.precious());
        let ran = world.download();
        assert_eq!(ran.code(), Some(6), "{plant:?}: {}", ran.report());
        ran.explains("where a plain file must be");
        world.is_untouched(PRECIOUS, "a blob's lock");
    }
}

#[test]
fn a_status_and_a_verification_do_not_stall_at_a_fifo() {
    let world = PlantedEnv::new();
    world.hfdl(&["models", "add", "acme/tiny"]).succeeds();
    world.hfdl(&["download", "--all"]).succeeds();
    let blob = world.name(&world.repo(), "blobs/{large}");
    Plant::Fifo.at(&blob, &world.precious());
    world.hfdl(&["verify"]).exits(3);
    Plant::Fifo.at(&world.env.home().join("run.lock"), &world.precious());
    assert_ne!(world.hfdl(&["status"]).code(), Some(0));
    world.is_untouched(PRECIOUS, "status");
}
