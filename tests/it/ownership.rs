//! In a shared cache each home deletes only what it made itself, nobody else
//! claims, and is as it was written.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
#[cfg(target_os = "linux")]
use std::process::{Command, Stdio};

use hfdl::sys::stamp::is_same_file;
use hfdl_test_hub::{generated_bytes, git_blob_id, sha256_hex};
use serde_json::Value;

use crate::support::env::TestEnv;
use crate::support::sound::files_below;

/// Large enough to be continued after an interruption.
const LARGE: usize = 2 << 20;

pub fn world() -> TestEnv {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    env.hub();
    env
}

/// Changes to another home on the same machine, cache and hub.
pub fn at_home<'e>(env: &'e TestEnv, name: &str) -> &'e TestEnv {
    let home = env.root().join(name);
    env.set("HFDL_HOME", &home.to_string_lossy())
}

pub fn publish(env: &TestEnv, repo: &str, seed: u64, size: usize) -> String {
    let draft = env.hub().repo(repo).commit("main");
    draft
        .file("config.json", b"the same in every revision".as_slice())
        .lfs("model.safetensors", generated_bytes(size, seed))
        .publish()
}

pub fn folder(env: &TestEnv) -> PathBuf {
    env.cache().join("models--acme--tiny")
}

pub fn has(env: &TestEnv, commit: &str) -> bool {
    let snapshot = folder(env).join("snapshots").join(commit);
    fs::read(snapshot.join("model.safetensors")).is_ok()
}

/// Returns all files below a folder with their bytes, links with their targets.
pub fn bytes_below(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let read = |path: PathBuf| {
        let bytes = match fs::read_link(&path) {
            Ok(target) => target.to_string_lossy().into_owned().into_bytes(),
            Err(_) => fs::read(&path).unwrap(),
        };
        (path, bytes)
    };
    files_below(root).into_iter().map(read).collect()
}

pub fn partials(root: &Path) -> usize {
    let files = files_below(root).into_iter();
    files
        .filter(|path| path.extension().is_some_and(|it| it == "incomplete"))
        .count()
}

fn said(document: &Value, id: &str) -> String {
    let items = document["items"].as_array().unwrap();
    let item = items.iter().find(|item| item["id"] == id);
    let item = item.unwrap_or_else(|| panic!("nothing about {id} in {document:#}"));
    item["reason"].as_str().unwrap().to_owned()
}

/// Writes a snapshot as the official client does, without a record of anybody.
#[cfg(unix)]
pub fn as_hf_would(env: &TestEnv, commit: &str, files: &[(&str, &[u8], bool)]) {
    let folder = folder(env);
    for name in ["blobs", "refs", "snapshots"] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    let snapshot = folder.join("snapshots").join(commit);
    fs::create_dir_all(&snapshot).unwrap();
    for (name, bytes, is_lfs) in files {
        let etag = match is_lfs {
            true => sha256_hex(bytes),
            false => git_blob_id(bytes),
        };
        fs::write(folder.join("blobs").join(&etag), bytes).unwrap();
        let link = snapshot.join(name);
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(format!("../../blobs/{etag}"), link).unwrap();
    }
    fs::write(folder.join("refs/main"), commit).unwrap();
}

#[test]
fn a_pinned_commit_stays_also_before_its_first_download() {
    let env = world();
    env.line("models add acme/tiny --name m --no-check")
        .succeeds();
    let first = publish(&env, "acme/tiny", 1, 1000);
    env.line("download m").succeeds();
    env.line(&format!(
        "models add acme/tiny --revision {first} --name gold --no-check"
    ))
    .succeeds();
    for (day, seed) in [(2, 2), (3, 3), (4, 4)] {
        publish(&env, "acme/tiny", seed, 1000);
        env.now(&format!("2026-03-0{day}T09:00:00Z"));
        env.line("download m").succeeds();
        assert!(has(&env, &first), "after revision {seed}");
    }
    let told = env.line("prune --keep-revisions 1 --yes --json");
    let told = told.succeeds().json();
    assert_eq!(said(&told, &first), "a model is kept at this commit");
    env.line("models remove m --delete-files --yes").succeeds();
    assert!(has(&env, &first));
    let ran = env.line("download gold --json");
    assert_eq!(ran.succeeds().json()["sessions"][0]["bytes"]["fetched"], 0);
}

#[test]
fn the_way_back_is_never_listed_as_removable_while_it_is_wanted() {
    let env = world();
    env.line("models add acme/tiny --no-check").succeeds();
    let mut commits = Vec::new();
    env.set("HFDL_KEEP_REVISIONS", "100");
    for seed in 1..=3 {
        commits.push(publish(&env, "acme/tiny", seed, 1000));
        env.now(&format!("2026-03-0{seed}T09:00:00Z"));
        env.line("download acme/tiny").succeeds();
    }
    env.unset("HFDL_KEEP_REVISIONS");
    let dry = env.line("prune --keep-revisions 1 --dry-run --json");
    let dry = dry.succeeds().json();
    assert_eq!(said(&dry, &commits[0]), "older than the revisions to keep");
    assert_eq!(said(&dry, &commits[1]), "it is the revision to go back to");
    env.line("prune --keep-revisions 1 --yes").succeeds();
    env.line("models rollback acme/tiny").succeeds();
}

#[test]
fn a_revision_that_another_home_claims_stays_until_its_claim_ends() {
    let env = world();
    at_home(&env, "a");
    env.line("models add acme/tiny --name m --no-check")
        .succeeds();
    let first = publish(&env, "acme/tiny", 1, 1000);
    env.line("download m").succeeds();
    at_home(&env, "b");
    // Found whole in the cache: nothing is fetched, and it is wanted all the same.
    env.line(&format!(
        "models add acme/tiny --revision {first} --name pin --no-check"
    ))
    .succeeds();
    at_home(&env, "a");
    for (day, seed) in [(2, 2), (3, 3), (4, 4)] {
        publish(&env, "acme/tiny", seed, 1000);
        env.now(&format!("2026-03-0{day}T09:00:00Z"));
        env.line("download m").succeeds();
    }
    assert!(has(&env, &first), "retention");
    let pruned = env.line("prune --yes --json").succeeds().json();
    assert_eq!(said(&pruned, &first), "another hfdl home claims it");
    let ran = env.line("models remove m --delete-files --yes");
    ran.succeeds().explains("another hfdl home claims it");
    assert!(has(&env, &first), "{}", ran.report());
    assert!(!folder(&env).join("refs/main").exists());

    at_home(&env, "b");
    let ran = env.line("models remove pin --delete-files --yes");
    ran.succeeds();
    assert!(
        has(&env, &first),
        "the other home made it: {}",
        ran.report()
    );
}

#[test]
fn claims_of_a_missing_home_end_after_ninety_days_with_a_warning() {
    let env = world();
    at_home(&env, "a");
    env.line("models add acme/tiny --name m --no-check")
        .succeeds();
    let first = publish(&env, "acme/tiny", 1, 1000);
    env.line("download m").succeeds();
    at_home(&env, "b");
    env.line(&format!(
        "models add acme/tiny --revision {first} --name pin --no-check"
    ))
    .succeeds();
    at_home(&env, "a");
    for (day, seed) in [("2026-03-02", 2), ("2026-03-03", 3), ("2026-05-29", 4)] {
        publish(&env, "acme/tiny", seed, 1000);
        env.now(&format!("{day}T09:00:00Z"));
        env.line("download m").succeeds();
        assert!(has(&env, &first), "{day}");
    }
    env.now("2026-05-31T09:00:00Z");
    let doctor = env.line("doctor");
    let told = "last seen 91 days ago; its claims do not count any more";
    assert!(doctor.stdout().contains(told), "{}", doctor.report());
    let ran = env.line("prune --yes");
    ran.succeeds()
        .explains("was last seen on 2026-03-01: after 90 days");
    assert!(!has(&env, &first), "{}", ran.report());
}

#[test]
fn bytes_that_another_home_has_begun_are_continued_by_it() {
    let env = world();
    at_home(&env, "a");
    env.line("models add acme/tiny --name m --no-check")
        .succeeds();
    publish(&env, "acme/tiny", 1, 1000);
    env.line("download m").succeeds();
    publish(&env, "acme/tiny", 2, LARGE);
    at_home(&env, "b");
    env.line("models add acme/tiny --name mine --no-check")
        .succeeds();
    env.line("download mine --max-transfer 1M").exits(8);
    assert_eq!(partials(&env.cache()), 1);
    at_home(&env, "a");
    env.line("prune --yes").succeeds();
    assert_eq!(partials(&env.cache()), 1, "prune");
    env.line("models remove m --delete-files --yes").succeeds();
    assert_eq!(partials(&env.cache()), 1, "remove");
    at_home(&env, "b");
    let ran = env.line("download mine --json");
    let bytes = &ran.succeeds().json()["sessions"][0]["bytes"];
    assert!(bytes["fetched"].as_u64().unwrap() < LARGE as u64, "{bytes}");
}

#[cfg(unix)]
#[test]
fn a_snapshot_that_another_program_fetched_stays_byte_for_byte() {
    let env = world();
    let config = b"the same in every revision".as_slice();
    let large = generated_bytes(1000, 1);
    let commit = publish(&env, "acme/tiny", 1, 1000);
    let files = [
        ("config.json", config, false),
        ("model.safetensors", large.as_slice(), true),
    ];
    as_hf_would(&env, &commit, &files);
    let theirs = bytes_below(&folder(&env));
    env.line("models add acme/tiny --no-check").succeeds();
    let ran = env.line("download acme/tiny --json");
    assert_eq!(ran.succeeds().json()["sessions"][0]["bytes"]["fetched"], 0);
    for line in [
        "prune --keep-revisions 1 --yes",
        "models remove acme/tiny --delete-files --yes",
    ] {
        let ran = env.line(line);
        ran.succeeds();
        let left = bytes_below(&folder(&env));
        for (path, bytes) in &theirs {
            let found = left.get(path);
            assert_eq!(found, Some(bytes), "{}\n{}", path.display(), ran.report());
        }
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_another_program_put_into_our_snapshot_keeps_it_there() {
    let env = world();
    env.line("models add acme/tiny --no-check").succeeds();
    let commit = publish(&env, "acme/tiny", 1, 1000);
    env.line("download acme/tiny").succeeds();
    let added = folder(&env)
        .join("snapshots")
        .join(&commit)
        .join("notes.txt");
    fs::write(&added, "mine").unwrap();
    let ran = env.line("models remove acme/tiny --delete-files --yes");
    ran.succeeds().explains("it is not as hfdl wrote it");
    assert_eq!(fs::read_to_string(&added).unwrap(), "mine");
    assert!(has(&env, &commit), "the snapshot stays whole");
}

#[test]
fn nothing_is_removed_while_another_program_holds_an_official_lock() {
    let env = world();
    env.line("models add acme/tiny --no-check").succeeds();
    let commit = publish(&env, "acme/tiny", 1, 1000);
    env.line("download acme/tiny").succeeds();
    let locks = env.cache().join(".locks/models--acme--tiny");
    let lock = File::create(locks.join(format!("{}.lock", "5".repeat(64)))).unwrap();
    lock.lock().unwrap();
    let ran = env.line("models remove acme/tiny --delete-files --yes");
    ran.succeeds()
        .explains("another program is fetching this repository");
    assert!(has(&env, &commit), "{}", ran.report());
    assert!(folder(&env).join("refs/main").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_is_removed_while_another_program_writes_an_incomplete_file() {
    let env = world();
    env.line("models add acme/tiny --no-check").succeeds();
    let commit = publish(&env, "acme/tiny", 1, 1000);
    env.line("download acme/tiny").succeeds();
    let partial = folder(&env).join(format!("blobs/{}.incomplete", "5".repeat(64)));
    fs::write(&partial, "half").unwrap();
    let mut other = Command::new("sleep")
        .arg("60")
        .stdin(Stdio::from(File::open(&partial).unwrap()))
        .spawn()
        .unwrap();
    let ran = env.line("models remove acme/tiny --delete-files --yes");
    other.kill().unwrap();
    other.wait().unwrap();
    ran.succeeds();
    assert!(has(&env, &commit), "{}", ran.report());
    assert_eq!(fs::read_to_string(&partial).unwrap(), "half");
}

#[test]
fn folders_of_an_older_version_are_known_from_the_database() {
    let env = world();
    env.line("models add acme/tiny --no-check").succeeds();
    let first = publish(&env, "acme/tiny", 1, 1000);
    env.line("download acme/tiny").succeeds();
    // As it was before homes kept records.
    fs::remove_dir_all(folder(&env).join(".hfdl/homes")).unwrap();
    for (day, seed) in [(2, 2), (3, 3)] {
        publish(&env, "acme/tiny", seed, 1000);
        env.now(&format!("2026-03-0{day}T09:00:00Z"));
        env.line("download acme/tiny").succeeds();
    }
    assert!(!has(&env, &first), "retention still works");
    fs::remove_dir_all(folder(&env).join(".hfdl/homes")).unwrap();
    let ran = env.line("models remove acme/tiny --delete-files --yes");
    ran.succeeds();
    assert!(!folder(&env).exists(), "{}", ran.report());
}

/// Returns the files in the private folder that are neither listings nor records.
fn leftovers(env: &TestEnv) -> Vec<String> {
    let private = folder(env).join(".hfdl");
    let names = files_below(&private).into_iter().map(|path| {
        let below = path.strip_prefix(&private).unwrap();
        below.to_string_lossy().replace('\\', "/")
    });
    names
        .filter(|name| !name.starts_with("trees/") && !name.starts_with("homes/"))
        .collect()
}

fn unused_blobs(env: &TestEnv) -> usize {
    let snapshots = files_below(&folder(env).join("snapshots")).into_iter();
    let used: Vec<PathBuf> = snapshots.collect();
    let blobs = files_below(&folder(env).join("blobs")).into_iter();
    blobs
        .filter(|blob| !used.iter().any(|file| is_same_file(file, blob)))
        .count()
}

#[test]
fn leftovers_of_a_killed_run_are_removed_by_the_next_success() {
    for step in [
        "before publishing",
        "snapshot put together",
        "before the ref",
    ] {
        let env = world();
        env.line("models add acme/tiny --no-check").succeeds();
        publish(&env, "acme/tiny", 1, 1000);
        env.line("download acme/tiny").succeeds();
        publish(&env, "acme/tiny", 2, LARGE);
        env.set("HFDL_TEST_CRASH_AT", step);
        assert_ne!(env.line("download acme/tiny").code(), Some(0), "{step}");
        env.unset("HFDL_TEST_CRASH_AT");
        publish(&env, "acme/tiny", 3, 1000);
        let ran = env.line("download acme/tiny");
        ran.succeeds();
        if step != "before the ref" {
            // That one made a whole snapshot, which is a revision like any other.
            assert_eq!(unused_blobs(&env), 0, "{step}: {}", ran.report());
        }
        assert_eq!(leftovers(&env), Vec::<String>::new(), "{step}");
        let homes = folder(&env).join(".hfdl/homes");
        assert!(
            !files_below(&homes).iter().any(|it| it.ends_with("begun")),
            "{step}: everything is settled"
        );
    }
}

#[test]
fn windows_that_end_too_early_leave_nothing_behind_once_one_suffices() {
    for to in ["", " --to plain"] {
        let env = world();
        env.line(&format!("models add acme/tiny --no-check{to}"))
            .succeeds();
        let left = || {
            let told = env.line("status --json").json();
            told["leftover_bytes"].as_u64().unwrap()
        };
        for seed in 1..=2 {
            publish(&env, "acme/tiny", seed, LARGE);
            env.line("download acme/tiny --max-transfer 1M").exits(8);
        }
        assert!(left() > 0, "the first one is wanted by no revision");
        let text = env.line("status");
        text.prints("of interrupted downloads, until their next success");
        let ran = env.line("download acme/tiny");
        ran.succeeds();
        assert_eq!(partials(env.root()), 0, "{}", ran.report());
        assert_eq!(left(), 0);
        let pruned = env.line("prune --yes --json").succeeds().json();
        assert_eq!(pruned["freed_bytes"], 0);
    }
}

#[test]
fn retention_never_takes_the_last_revision_that_had_the_files() {
    let env = world();
    env.line("models add acme/tiny --no-check").succeeds();
    let good = publish(&env, "acme/tiny", 1, 100_000);
    env.line("download acme/tiny").succeeds();
    for day in 2..=6 {
        let draft = env.hub().repo("acme/tiny").commit("main").empty();
        let commit = draft.file("README.md", format!("gone {day}")).publish();
        env.now(&format!("2026-03-0{day}T09:00:00Z"));
        env.line(&format!("download acme/tiny --accept {commit}"))
            .succeeds();
    }
    assert!(has(&env, &good));
    let told = env.line("prune --yes --json").succeeds().json();
    assert_eq!(
        said(&told, &good),
        "it is the last revision that had the files"
    );
}
