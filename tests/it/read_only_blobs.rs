//! Blobs are read-only, and everything that replaces or deletes them still works.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use hfdl_test_hub::{generated_bytes, sha256_hex};

use crate::support::env::TestEnv;
use crate::support::sound::{Truth, damage, files_below};

const MIB: usize = 1 << 20;

struct BlobEnv {
    env: TestEnv,
    truth: Truth,
    large: String,
}

impl BlobEnv {
    fn new() -> Self {
        let env = TestEnv::new();
        env.set("HFDL_DISK_RESERVE", "0");
        let bytes = generated_bytes(2 * MIB, 7);
        let files = BTreeMap::from([
            ("config.json".to_owned(), b"{}".to_vec()),
            ("model.safetensors".to_owned(), bytes.clone()),
        ]);
        let draft = env.hub().repo("acme/tiny").commit("main");
        let draft = draft.file("config.json", b"{}");
        let commit = draft.lfs("model.safetensors", bytes.clone()).publish();
        Self {
            truth: Truth::from([(commit, files)]),
            large: sha256_hex(&bytes),
            env,
        }
    }

    fn blobs(&self, repo: &str) -> Vec<PathBuf> {
        files_below(&self.env.cache().join(repo).join("blobs"))
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn blobs_have_what_the_umask_leaves_without_the_right_to_write() {
    for (umask, expected) in [
        ("022", 0o444),
        ("002", 0o444),
        ("027", 0o440),
        ("077", 0o400),
    ] {
        let world = BlobEnv::new();
        let words = format!("umask {umask}");
        let args = ["download", "acme/tiny"];
        world.env.hfdl_after(&words, args).succeeds();
        let blobs = world.blobs("models--acme--tiny");
        assert_eq!(blobs.len(), 2);
        for blob in blobs {
            assert_eq!(mode(&blob), expected, "{umask} {}", blob.display());
        }
    }
}

#[test]
fn a_directory_keeps_files_that_their_owner_may_write() {
    let world = BlobEnv::new();
    world.env.hfdl(["download", "acme/tiny"]).succeeds();
    let out = world.env.root().join("out");
    let to = out.to_string_lossy().into_owned();
    let args = ["download", "acme/tiny", "--to", &to];
    world.env.hfdl_after("umask 022", args).succeeds();
    for name in ["config.json", "model.safetensors"] {
        let file = fs::metadata(out.join(name)).unwrap();
        assert_eq!((mode(&out.join(name)), file.nlink()), (0o644, 1), "{name}");
    }
}

#[test]
fn a_content_that_another_repository_has_is_read_only_in_both() {
    let world = BlobEnv::new();
    let bytes = world.truth.values().next().unwrap()["model.safetensors"].clone();
    let draft = world.env.hub().repo("acme/fork").commit("main");
    draft.lfs("model.safetensors", bytes).publish();
    world.env.hfdl(["download", "acme/tiny"]).succeeds();
    world.env.hfdl(["download", "acme/fork"]).succeeds();
    for (repo, n_blobs) in [("models--acme--tiny", 2), ("models--acme--fork", 1)] {
        let blobs = world.blobs(repo);
        assert_eq!(blobs.len(), n_blobs, "{repo}");
        for blob in blobs {
            assert_eq!(mode(&blob) & 0o222, 0, "{}", blob.display());
        }
    }
}

#[test]
fn snapshots_without_links_are_read_only_too() {
    let world = BlobEnv::new();
    world.env.set("HF_HUB_DISABLE_SYMLINKS", "1");
    world.env.hfdl(["download", "acme/tiny"]).succeeds();
    let snapshots = world.env.cache().join("models--acme--tiny/snapshots");
    let files = files_below(&snapshots);
    assert_eq!(files.len(), 2);
    for file in files {
        assert_eq!(mode(&file) & 0o222, 0, "{}", file.display());
    }
}

#[test]
fn a_damaged_blob_is_repaired_and_read_only_again() {
    let world = BlobEnv::new();
    world.env.hfdl(["models", "add", "acme/tiny"]).succeeds();
    world.env.hfdl(["download", "--all"]).succeeds();
    let name = format!("models--acme--tiny/blobs/{}", world.large);
    let blob = world.env.cache().join(name);
    fs::set_permissions(&blob, fs::Permissions::from_mode(0o644)).unwrap();
    let mut bytes = fs::read(&blob).unwrap();
    bytes[77] ^= 1;
    fs::write(&blob, bytes).unwrap();
    world.env.hfdl(["verify", "--repair"]).succeeds();
    damage(&world.env, &world.truth).unwrap();
    assert_eq!(mode(&blob) & 0o222, 0);
}

#[test]
fn read_only_blobs_go_with_their_model() {
    let world = BlobEnv::new();
    world.env.hfdl(["models", "add", "acme/tiny"]).succeeds();
    world.env.hfdl(["download", "--all"]).succeeds();
    assert_eq!(world.blobs("models--acme--tiny").len(), 2);
    let args = ["models", "remove", "acme/tiny", "--delete-files", "--yes"];
    world.env.hfdl(args).succeeds();
    assert!(world.blobs("models--acme--tiny").is_empty());
}
