//! `--checksums`: a file `SHA256SUMS` in the directory of a model and in its views.

use std::fs;
use std::path::PathBuf;

use hfdl_test_hub::generated_bytes;

use crate::support::due::roomy_world;
use crate::support::env::TestEnv;

const FILE: &str = "SHA256SUMS";

fn publish(env: &TestEnv, n: u64) {
    let commit = env.hub().repo("acme/tiny").commit("main");
    commit
        .file("sub/a b.json", format!("{{\"n\":{n}}}"))
        .lfs("model.safetensors", generated_bytes(4096, n))
        .publish();
}

/// Lets coreutils check a folder; returns the number of files that it found right.
#[cfg(target_os = "linux")]
fn check(folder: &std::path::Path) -> usize {
    let checked = std::process::Command::new("sha256sum")
        .args(["--check", "--strict", FILE])
        .current_dir(folder)
        .output()
        .unwrap();
    let text = String::from_utf8(checked.stdout).unwrap();
    assert!(checked.status.success(), "{text}");
    text.lines().filter(|line| line.ends_with(": OK")).count()
}

/// A home with a model in a directory with checksums, published once.
fn in_directory() -> (TestEnv, PathBuf) {
    let env = roomy_world();
    publish(&env, 1);
    let root = env.root().join("place");
    let to = root.to_str().unwrap();
    env.hfdl(["models", "add", "acme/tiny", "--to", to, "--checksums"])
        .succeeds();
    env.line("download acme/tiny").succeeds();
    (env, root)
}

#[cfg(target_os = "linux")]
#[test]
fn coreutils_accepts_the_checksums_of_each_revision() {
    let (env, root) = in_directory();
    assert_eq!(check(&root), 2);
    publish(&env, 2);
    env.line("download acme/tiny").succeeds();
    assert_eq!(check(&root), 2);
    let before = fs::metadata(root.join(FILE)).unwrap().modified().unwrap();
    env.line("download acme/tiny").succeeds();
    let after = fs::metadata(root.join(FILE)).unwrap().modified().unwrap();
    assert_eq!(before, after, "an unchanged file is not written again");
    env.line("verify acme/tiny").succeeds();
    env.line("views list").succeeds().prints("checksums");
}

#[cfg(target_os = "linux")]
#[test]
fn a_view_has_the_checksums_of_its_folder() {
    let env = roomy_world();
    publish(&env, 1);
    let root = env.root().join("view");
    let view = format!("dir={}", root.display());
    let other = env.root().join("studio");
    let studio = format!("lmstudio={}", other.display());
    env.hfdl([
        "models",
        "add",
        "acme/tiny",
        "--view",
        &view,
        "--view",
        &studio,
    ])
    .succeeds();
    env.line("download acme/tiny").succeeds();
    assert!(!root.join(FILE).exists());
    env.line("models set acme/tiny --checksums").succeeds();
    assert_eq!(check(&root), 2);
    assert_eq!(check(&other.join("acme/tiny")), 2);
    publish(&env, 2);
    env.line("download acme/tiny").succeeds();
    assert_eq!(check(&root), 2);
    env.line("models set acme/tiny --no-checksums").succeeds();
    assert!(!root.join(FILE).exists());
    assert!(root.join("model.safetensors").exists());
}

#[test]
fn a_file_of_the_user_or_of_the_repository_stays() {
    let (env, root) = in_directory();
    env.line("models set acme/tiny --no-checksums").succeeds();
    assert!(!root.join(FILE).exists(), "it was ours");
    fs::write(root.join(FILE), "mine").unwrap();
    env.line("models set acme/tiny --checksums")
        .succeeds()
        .explains(FILE);
    env.line("download acme/tiny").succeeds();
    assert_eq!(fs::read(root.join(FILE)).unwrap(), b"mine");
    fs::remove_file(root.join(FILE)).unwrap();
    let commit = env.hub().repo("acme/tiny").commit("main");
    commit.file(FILE, "theirs").publish();
    env.line("download acme/tiny").succeeds();
    assert_eq!(fs::read(root.join(FILE)).unwrap(), b"theirs");
    let listed = env.line("views list");
    listed
        .succeeds()
        .explains("the repository has a file `SHA256SUMS` of its own");
    env.line("models remove acme/tiny --yes").succeeds();
    assert_eq!(fs::read(root.join(FILE)).unwrap(), b"theirs");
}

#[test]
fn a_removed_model_takes_its_checksums_along() {
    let (env, root) = in_directory();
    env.line("models remove acme/tiny --delete-files --yes")
        .succeeds();
    assert!(!root.join(FILE).exists());
    assert!(!root.join("model.safetensors").exists());
}

#[test]
fn checksums_are_exported_and_applied() {
    let (env, root) = in_directory();
    let exported = env.line("export");
    exported.succeeds().prints("checksums: true");
    let file = env.root().join("work/hfdl.yaml");
    fs::write(&file, exported.stdout()).unwrap();
    env.line("apply -f hfdl.yaml")
        .succeeds()
        .prints("nothing to do");
    let without = exported
        .stdout()
        .replace("checksums: true", "checksums: false");
    fs::write(&file, without).unwrap();
    env.line("apply -f hfdl.yaml").succeeds();
    assert!(!root.join(FILE).exists());
    env.line("models set acme/tiny --view checksums=/srv/x")
        .exits(2)
        .explains("`--checksums` writes them");
}
