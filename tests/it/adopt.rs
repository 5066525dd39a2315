//! Files of other programs that downloads use instead of fetching them.

use std::fs::{self, FileTimes};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hfdl::sys::share::can_clone;
use hfdl_test_hub::{generated_bytes, sha256_hex};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::cache::has_blobs;
use crate::support::database::{ask, ask_file, number};
#[cfg(target_os = "linux")]
use crate::support::disk::SmallDisk;
use crate::support::due::roomy_world as world;
use crate::support::env::TestEnv;
use crate::support::process::{Victim, send};
use crate::support::sound::{files_below, say};

const MIB: usize = 1 << 20;
const GGUF: &str = "model-Q4_K_M.gguf";
/// Reading anything at this rate would take hours.
const STANDSTILL: &str = "1";

fn model_bytes() -> Vec<u8> {
    generated_bytes(2 * MIB, 1)
}

/// Publishes a model with a large file, a text of 5,000 bytes and a small one.
fn publish(env: &TestEnv, repo: &str) -> String {
    let draft = env.hub().repo(repo).commit("main").empty();
    let draft = draft.file("config.json", b"{}");
    let draft = draft.file("vocab.txt", vocabulary());
    draft.lfs(GGUF, model_bytes()).publish()
}

fn vocabulary() -> Vec<u8> {
    b"word\n".repeat(1000)
}

/// Writes a file below the folder of old models, and returns its path.
fn old(env: &TestEnv, path: &str, bytes: &[u8]) -> PathBuf {
    let path = env.root().join("old").join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path.canonicalize().unwrap()
}

fn adopt(env: &TestEnv, more: &[&str]) -> Value {
    let folder = env.root().join("old").to_str().unwrap().to_owned();
    let mut line = vec!["adopt", &folder, "--json"];
    line.extend(more);
    env.hfdl(line).succeeds().json()
}

fn download(env: &TestEnv, line: &str) -> Value {
    let ran = env.line(&format!("download {line} --json"));
    ran.succeeds().json()["sessions"][0].clone()
}

/// Returns the file that readers of the published model open.
fn stored(env: &TestEnv, repo: &str) -> PathBuf {
    let folder = format!("models--{}", repo.replace('/', "--"));
    let folder = env.cache().join(folder);
    let commit = fs::read_to_string(folder.join("refs/main")).unwrap();
    let entry = folder.join("snapshots").join(commit).join(GGUF);
    entry.canonicalize().unwrap()
}

/// Checks that a file has no name outside the cache.
fn is_in_the_cache_alone(env: &TestEnv, file: &Path) {
    let found = fs::metadata(file).unwrap();
    let names = files_below(&env.cache()).into_iter();
    let is_name = |path: &PathBuf| path.symlink_metadata().unwrap().ino() == found.ino();
    assert_eq!(names.filter(is_name).count() as u64, found.nlink());
    assert!(found.permissions().readonly());
}

/// Returns the bytes of a session that came from the folder of an adopted file.
fn from_adopted(session: &Value, file: &Path) -> u64 {
    let origins = session["reused_from"].as_array().unwrap().iter();
    let folder = json!(file.parent().unwrap().to_str().unwrap());
    let those = origins.filter(|it| it["kind"] == "adopted" && it["path"] == folder);
    those.map(|it| it["bytes"].as_u64().unwrap()).sum()
}

fn adopted_paths(env: &TestEnv) -> Vec<String> {
    ask(env, "SELECT path FROM adopted ORDER BY path")
}

fn skipped(report: &Value, reason: &str) -> u64 {
    let all = report["skipped"].as_array().unwrap();
    let found = all.iter().find(|it| it["reason"] == reason);
    found.map_or(0, |it| it["count"].as_u64().unwrap())
}

/// Writes other bytes of the same length, and puts the old time back.
fn forge(path: &Path) {
    let before = fs::metadata(path).unwrap();
    let mut bytes = fs::read(path).unwrap();
    bytes[100] ^= 1;
    let mut file = fs::File::options().write(true).open(path).unwrap();
    std::io::Write::write_all(&mut file, &bytes).unwrap();
    let times = FileTimes::new().set_modified(before.modified().unwrap());
    file.set_times(times).unwrap();
    assert_eq!(fs::metadata(path).unwrap().ino(), before.ino());
}

fn wait_until(description: &str, is_done: impl Fn() -> bool) {
    let since = Instant::now();
    while !is_done() {
        assert!(since.elapsed() < Duration::from_secs(60), "{description}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_folder_of_lm_studio_is_hashed_once_and_serves_a_download() {
    let env = world();
    publish(&env, "acme/tiny");
    let file = old(&env, "acme/tiny-GGUF/m.gguf", &model_bytes());
    old(
        &env,
        "acme/tiny-GGUF/downloading_n.gguf.part",
        &model_bytes(),
    );
    old(&env, ".internal/model-index.json", &vocabulary());
    symlink(&file, env.root().join("old/linked.gguf")).unwrap();
    let report = adopt(&env, &[]);
    assert_eq!(report["files"]["hashed"], 1);
    assert_eq!(report["bytes"]["hashed"], 2 * MIB);
    for reason in ["partial", "hidden", "link"] {
        assert_eq!(skipped(&report, reason), 1, "{reason}: {report:#}");
    }
    env.set("HFDL_TEST_READ_RATE", STANDSTILL);
    let again = adopt(&env, &[]);
    assert_eq!(
        (&again["files"]["hashed"], &again["files"]["known"]),
        (&json!(0), &json!(1))
    );
    env.unset("HFDL_TEST_READ_RATE");

    let dry = env.line("download acme/tiny --dry-run --json").json();
    assert_eq!(dry["models"][0]["files"]["to_fetch"], 2, "{dry:#}");
    let session = download(&env, "acme/tiny");
    assert!(env.hub().downloads(GGUF).is_empty());
    assert_eq!(session["outcome"], "updated");
    assert_eq!(session["files"]["reused"], 1);
    assert_eq!(from_adopted(&session, &file), 2 * MIB as u64);
    let shown = env.line("sessions show 1");
    let folder = file.parent().unwrap().display();
    shown
        .succeeds()
        .prints(&format!("2.00 MiB of 1 file adopted in `{folder}`"));
    // Its owner may write to it, so the cache has bytes of its own.
    let blob = fs::metadata(stored(&env, "acme/tiny")).unwrap();
    assert_ne!(blob.ino(), fs::metadata(&file).unwrap().ino());
    assert!(blob.permissions().readonly());
    env.line("verify acme/tiny").succeeds();

    let report = adopt(&env, &[]);
    // Without links the files of the cache are not known by their contents.
    let n_known = if has_blobs() { 1 } else { 0 };
    assert_eq!(report["files"]["in_cache"], n_known);
    assert_eq!(report["saveable_bytes"], n_known * 2 * MIB);
}

#[test]
fn blobs_of_ollama_serve_a_scheduled_run() {
    let env = world();
    publish(&env, "acme/tiny");
    let hash = sha256_hex(&model_bytes());
    let file = old(&env, &format!("blobs/sha256-{hash}"), &model_bytes());
    old(&env, "blobs/sha256-00-partial", &model_bytes());
    old(&env, "blobs/sha256-00-partial-0", &vocabulary());
    let manifest = "manifests/registry.ollama.ai/library/tiny/latest";
    old(&env, manifest, b"{\"schemaVersion\": 2}");
    let report = adopt(&env, &[]);
    assert_eq!(report["files"]["hashed"], 1);
    assert_eq!(skipped(&report, "partial"), 2);
    assert_eq!(skipped(&report, "small"), 1);
    env.line("models add acme/tiny").succeeds();
    env.line("schedules add n --every 6h --all").succeeds();
    let run = env.line("run-due --json").succeeds().json();
    assert_eq!(from_adopted(&run["sessions"][0], &file), 2 * MIB as u64);
    assert!(env.hub().downloads(GGUF).is_empty());
}

#[test]
fn a_git_clone_serves_files_by_either_hash_and_its_pointers_and_objects_are_passed_over() {
    let env = world();
    publish(&env, "acme/tiny");
    let pointer = format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{}\n",
        "0".repeat(64)
    );
    let model = old(&env, GGUF, &model_bytes());
    old(&env, "vocab.txt", &vocabulary());
    old(&env, "other.gguf", pointer.as_bytes());
    old(&env, ".git/lfs/objects/aa/bb/aabb", &model_bytes());
    let report = adopt(&env, &[]);
    assert_eq!(report["files"]["hashed"], 2);
    assert_eq!(skipped(&report, "hidden"), 1);
    assert_eq!(skipped(&report, "small"), 1);
    let session = download(&env, "acme/tiny");
    assert_eq!(from_adopted(&session, &model), 2 * MIB as u64 + 5000);
    assert_eq!(session["bytes"]["fetched"], 2);
    // Named itself, the folder of objects is walked.
    let objects = env.root().join("old/.git/lfs/objects");
    let ran = env.hfdl(["adopt", objects.to_str().unwrap(), "--json"]);
    assert_eq!(ran.succeeds().json()["files"]["hashed"], 1);
}

#[test]
fn a_file_that_was_changed_behind_its_stamp_is_fetched_and_forgotten() {
    let env = world();
    let commit = publish(&env, "acme/tiny");
    let file = old(&env, GGUF, &model_bytes());
    adopt(&env, &[]);
    forge(&file);
    let changed = fs::read(&file).unwrap();
    let session = download(&env, "acme/tiny");
    assert_eq!(session["outcome"], "updated");
    assert_eq!(session["bytes"]["fetched"], 2 * MIB + 5002);
    assert_eq!(session["reused_from"], json!([]));
    let folder = env
        .cache()
        .join("models--acme--tiny/snapshots")
        .join(commit);
    assert!(fs::read(folder.join(GGUF)).unwrap() == model_bytes());
    assert!(adopted_paths(&env).is_empty());
    assert!(fs::read(&file).unwrap() == changed, "it is left as it is");
    let events = "SELECT count(*) FROM events WHERE kind = 'corrupt'";
    assert_eq!(number(&env, events), 0, "its owner may change it");
    env.line("status").succeeds();
}

#[test]
fn a_forged_file_that_was_to_be_moved_stays_where_it_is() {
    let env = world();
    publish(&env, "acme/tiny");
    let file = old(&env, GGUF, &model_bytes());
    adopt(&env, &["--move"]);
    forge(&file);
    download(&env, "acme/tiny");
    assert!(file.exists());
    assert!(fs::read(stored(&env, "acme/tiny")).unwrap() == model_bytes());
}

#[test]
fn changed_and_vanished_files_are_fetched_and_forgotten() {
    let env = world();
    publish(&env, "acme/tiny");
    let text = old(&env, "vocab.txt", &vocabulary());
    let model = old(&env, GGUF, &model_bytes());
    let other = old(&env, "other", &vocabulary()[5..]);
    let away = old(&env, "disk/away", &[9; 5000]);
    adopt(&env, &[]);
    fs::write(&text, b"mine now").unwrap();
    fs::remove_file(&model).unwrap();
    let session = download(&env, "acme/tiny");
    assert_eq!(session["outcome"], "updated");
    assert_eq!(session["bytes"]["reused"], 0);
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    assert_eq!(adopted_paths(&env), [path(&away), path(&other)]);
    // A folder that is gone may be a disk that is not mounted.
    fs::remove_dir_all(away.parent().unwrap()).unwrap();
    fs::write(&other, b"mine now").unwrap();
    let doctor = env.line("doctor").stdout().to_owned();
    let told = "adopted files: 2 (9.76 KiB), 1 of them changed or gone";
    assert!(doctor.contains(told), "{doctor}");
    let list = env.line("adopt --list --json").json();
    let state = |n: usize| list["files"][n]["state"].as_str().unwrap().to_owned();
    assert_eq!([state(0), state(1)], ["unreachable", "changed"]);
    let dry = env.line("prune --dry-run --json").json();
    assert_eq!(dry["history"]["adopted"], 1);
    assert_eq!(adopted_paths(&env).len(), 2);
    let done = env.line("prune -y --json").succeeds().json();
    assert_eq!(done["history"]["adopted"], 1);
    assert_eq!(adopted_paths(&env), [path(&away)]);
    let status = env.line("status --json").json();
    assert_eq!(status["adopted"], json!({"files": 1, "bytes": 5000}));
}

#[test]
fn a_killed_adoption_keeps_what_it_has_hashed() {
    let env = world();
    for n in 0..4_u8 {
        old(&env, &format!("{n}"), &[n; 9000]);
    }
    env.set("HFDL_TEST_CRASH_AT", "file adopted");
    let folder = env.root().join("old");
    env.hfdl(["adopt", folder.to_str().unwrap()]);
    env.unset("HFDL_TEST_CRASH_AT");
    let n_kept = adopted_paths(&env).len();
    assert_eq!(n_kept, 1);
    let report = adopt(&env, &[]);
    assert_eq!(report["files"]["known"], 1);
    assert_eq!(report["files"]["hashed"], 3);
}

#[test]
fn a_stop_ends_the_hashing_and_the_rest_is_counted() {
    let env = world();
    old(&env, "small", &[1; 5000]);
    for n in 0..9_u64 {
        old(&env, &format!("large-{n}"), &generated_bytes(2 * MIB, n));
    }
    // The large files are first.
    env.set("HFDL_TEST_READ_RATE", &(4 * MIB).to_string());
    let folder = env.root().join("old");
    let command = env.command(["adopt", folder.to_str().unwrap(), "--json", "-q"]);
    let running = Victim::heard(command);
    wait_until("the first file", || {
        env.database().exists()
            && ask(&env, "SELECT 1 FROM sqlite_schema WHERE name = 'adopted'").len() == 1
            && !adopted_paths(&env).is_empty()
    });
    send(running.id(), Signal::TERM);
    let output = running.output();
    assert_eq!(output.status.code(), Some(143));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let files = &report["files"];
    let count = |name: &str| files[name].as_u64().unwrap();
    assert_eq!(count("hashed") + count("left"), 10, "{report:#}");
    assert!(count("left") > 0);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains(&format!("not read yet: {}", count("left"))),
        "{told}"
    );
    assert_eq!(adopted_paths(&env).len() as u64, count("hashed"));
    env.unset("HFDL_TEST_READ_RATE");
    assert_eq!(adopt(&env, &[])["files"]["known"], files["hashed"]);
}

#[test]
fn a_moved_file_leaves_its_place_when_a_download_wants_it() {
    let env = world();
    publish(&env, "acme/tiny");
    let wanted = old(&env, GGUF, &model_bytes());
    let other = old(&env, "other", &[1; 5000]);
    let inode = fs::metadata(&wanted).unwrap().ino();
    adopt(&env, &["--move"]);
    assert!(wanted.exists(), "no download has wanted it yet");
    env.line("adopt --list").prints("yes");
    let session = download(&env, "acme/tiny");
    assert_eq!(from_adopted(&session, &wanted), 2 * MIB as u64);
    assert!(!wanted.exists());
    assert!(other.exists());
    let blob = stored(&env, "acme/tiny");
    is_in_the_cache_alone(&env, &blob);
    if !can_clone(&blob, env.root()) {
        assert_eq!(fs::metadata(&blob).unwrap().ino(), inode);
    }
    assert_eq!(adopted_paths(&env), [other.to_str().unwrap()]);
    env.line("verify acme/tiny").succeeds();
}

#[test]
fn many_models_of_one_run_share_a_moved_file() {
    let env = world();
    let file = old(&env, GGUF, &model_bytes());
    adopt(&env, &["--move"]);
    // More than there are threads that read, so that the last find the file gone.
    let repos: Vec<String> = (0..12).map(|n| format!("acme/twin-{n}")).collect();
    for repo in &repos {
        publish(&env, repo);
    }
    env.set("HFDL_TEST_READ_RATE", &(16 * MIB).to_string());
    let run = env.line(&format!("download {} --json", repos.join(" ")));
    let run = run.succeeds().silently().json();
    for session in run["sessions"].as_array().unwrap() {
        assert_eq!(session["outcome"], "updated");
        // The last may find the small files of the first in the cache, too. Without links
        // it finds nothing of other repositories there.
        let reused = session["bytes"]["reused"].as_u64().unwrap();
        assert!(reused >= 2 * MIB as u64 || !has_blobs(), "{session:#}");
    }
    assert!(!file.exists());
    let n_fetched = env.hub().downloads(GGUF).len();
    assert!(n_fetched < if has_blobs() { 1 } else { repos.len() });
    env.line(&format!("verify {}", repos.join(" "))).succeeds();
}

#[test]
fn a_move_that_was_killed_is_finished_by_the_next_run() {
    let env = world();
    publish(&env, "acme/tiny");
    let file = old(&env, GGUF, &model_bytes());
    adopt(&env, &["--move"]);
    env.set("HFDL_TEST_CRASH_AT", "content imported");
    env.line("download acme/tiny");
    env.unset("HFDL_TEST_CRASH_AT");
    assert!(file.exists());
    let session = download(&env, "acme/tiny");
    assert_eq!(session["outcome"], "updated");
    assert!(env.hub().downloads(GGUF).is_empty());
    let blob = stored(&env, "acme/tiny");
    if can_clone(&blob, env.root()) {
        return say("not tested: this file system clones files");
    }
    assert!(!file.exists());
    is_in_the_cache_alone(&env, &blob);
    assert!(adopted_paths(&env).is_empty());
}

#[test]
fn a_file_with_a_second_name_is_copied_and_not_moved() {
    let env = world();
    publish(&env, "acme/tiny");
    let file = old(&env, GGUF, &model_bytes());
    let second = env.root().join("second-name");
    fs::hard_link(&file, &second).unwrap();
    adopt(&env, &["--move"]);
    download(&env, "acme/tiny");
    let blob = stored(&env, "acme/tiny");
    assert_ne!(
        fs::metadata(&blob).unwrap().ino(),
        fs::metadata(&second).unwrap().ino()
    );
    if !can_clone(&blob, env.root()) {
        assert!(file.exists());
    }
}

#[test]
fn files_of_a_view_are_passed_over_and_stay() {
    let env = world();
    publish(&env, "acme/tiny");
    let root = env.root().join("old");
    let view = format!("dir={}", root.display());
    env.hfdl(["models", "add", "acme/tiny", "--view", &view])
        .succeeds();
    download(&env, "acme/tiny");
    let report = adopt(&env, &["--move"]);
    assert_eq!(skipped(&report, "in-view"), 2);
    assert_eq!(report["files"]["hashed"], 0);
    publish(&env, "acme/twin");
    download(&env, "acme/twin");
    assert_eq!(fs::read(root.join(GGUF)).unwrap(), model_bytes());
    let listed = env.line("views list --json").succeeds().json();
    assert_eq!(listed["views"][0]["state"], "ok");
}

#[test]
fn a_view_that_takes_the_path_of_an_adopted_file_keeps_it() {
    let env = world();
    publish(&env, "acme/tiny");
    download(&env, "acme/tiny");
    let file = old(&env, GGUF, &model_bytes());
    adopt(&env, &["--move"]);
    fs::remove_file(&file).unwrap();
    let view = format!("dir={}", env.root().join("old").display());
    env.hfdl(["models", "add", "acme/tiny", "--view", &view])
        .succeeds();
    download(&env, "acme/tiny");
    download(&env, "acme/tiny");
    assert_eq!(fs::read(&file).unwrap(), model_bytes());
}

#[test]
fn a_hard_link_of_a_blob_that_a_person_made_stays() {
    let env = world();
    publish(&env, "acme/tiny");
    download(&env, "acme/tiny");
    let file = env.root().join("old").join(GGUF);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::hard_link(stored(&env, "acme/tiny"), &file).unwrap();
    for _ in 0..2 {
        adopt(&env, &["--move"]);
        download(&env, "acme/tiny");
        assert_eq!(fs::read(&file).unwrap(), model_bytes());
    }
}

#[test]
fn files_of_a_registered_directory_are_used_and_never_moved() {
    let env = world();
    publish(&env, "acme/tiny");
    publish(&env, "acme/twin");
    let dir = env.root().join("old");
    env.hfdl(["models", "add", "acme/tiny", "--to", dir.to_str().unwrap()])
        .succeeds();
    download(&env, "acme/tiny");
    assert_eq!(adopt(&env, &["--move"])["files"]["hashed"], 2);
    let session = download(&env, "acme/twin");
    assert_eq!(session["bytes"]["fetched"], 2);
    assert!(dir.join(GGUF).exists());
    env.line("verify acme/tiny").succeeds();
}

#[test]
fn a_directory_that_is_registered_after_the_adoption_keeps_its_files_too() {
    let env = world();
    publish(&env, "acme/tiny");
    let file = old(&env, GGUF, &model_bytes());
    adopt(&env, &["--move"]);
    let dir = env.root().join("old");
    env.hfdl(["models", "add", "acme/tiny", "--to", dir.to_str().unwrap()])
        .succeeds();
    publish(&env, "acme/twin");
    let session = download(&env, "acme/twin");
    assert_eq!(from_adopted(&session, &file), 2 * MIB as u64);
    assert!(file.exists());
}

#[test]
fn a_directory_of_another_home_keeps_its_files() {
    let env = world();
    publish(&env, "acme/tiny");
    let dir = env.root().join("old");
    let other = env.root().join("other-home");
    let add = ["models", "add", "acme/tiny", "--to", dir.to_str().unwrap()];
    let home = ["--home", other.to_str().unwrap()];
    env.hfdl([&home[..], &add[..]].concat()).succeeds();
    env.hfdl([&home[..], &["download", "acme/tiny"]].concat())
        .succeeds();
    adopt(&env, &["--move"]);
    let session = download(&env, "acme/tiny");
    assert_eq!(session["bytes"]["fetched"], 2);
    assert!(dir.join(GGUF).exists());
}

#[test]
fn blobs_of_another_hub_cache_are_used_and_never_moved() {
    let env = world();
    publish(&env, "acme/tiny");
    let hash = sha256_hex(&model_bytes());
    let blob = format!("models--acme--tiny/blobs/{hash}");
    let file = old(&env, &blob, &model_bytes());
    let snapshot = env.root().join("old/models--acme--tiny/snapshots/c1");
    fs::create_dir_all(&snapshot).unwrap();
    symlink(format!("../../blobs/{hash}"), snapshot.join(GGUF)).unwrap();
    let report = adopt(&env, &["--move"]);
    assert_eq!(report["files"]["hashed"], 1);
    let session = download(&env, "acme/tiny");
    assert_eq!(from_adopted(&session, &file), 2 * MIB as u64);
    assert!(snapshot.join(GGUF).exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_on_another_disk_is_copied_and_stays() {
    let env = world();
    let disk = match SmallDisk::mount(env.root().join("old"), 8) {
        Ok(disk) => disk,
        Err(why) => return say(&format!("not tested: {why}")),
    };
    publish(&env, "acme/tiny");
    let file = old(&env, &format!("tiny/{GGUF}"), &model_bytes());
    adopt(&env, &["--move"]);
    let session = download(&env, "acme/tiny");
    assert_eq!(from_adopted(&session, &file), 2 * MIB as u64);
    assert!(file.exists());
    // A disk that is not mounted is no reason to forget its files.
    drop(disk);
    publish(&env, "acme/twin");
    env.line("prune -y").succeeds();
    download(&env, "acme/twin");
    assert_eq!(adopted_paths(&env).len(), 1);
}

#[test]
fn two_homes_adopt_the_same_files_and_each_checks_them_itself() {
    let env = world();
    publish(&env, "acme/tiny");
    let file = old(&env, GGUF, &model_bytes());
    adopt(&env, &["--move"]);
    let first = env.home();
    env.set("HFDL_HOME", env.root().join("second").to_str().unwrap());
    env.set(
        "HF_HUB_CACHE",
        env.root().join("second-cache").to_str().unwrap(),
    );
    adopt(&env, &[]);
    let session = download(&env, "acme/tiny");
    assert_eq!(from_adopted(&session, &file), 2 * MIB as u64);
    assert!(file.exists());
    env.set("HFDL_HOME", first.to_str().unwrap());
    env.set("HF_HUB_CACHE", env.cache().to_str().unwrap());
    download(&env, "acme/tiny");
    assert!(!file.exists());
    env.set("HFDL_HOME", env.root().join("second").to_str().unwrap());
    let database = env.root().join("second/hfdl.db");
    let paths = || ask_file(&database, "SELECT path FROM adopted");
    assert_eq!(paths().len(), 1);
    publish(&env, "acme/twin");
    env.set(
        "HF_HUB_CACHE",
        env.root().join("third-cache").to_str().unwrap(),
    );
    assert_eq!(download(&env, "acme/twin")["outcome"], "updated");
    assert!(paths().is_empty());
}

#[test]
fn a_dry_run_counts_and_reads_nothing() {
    let env = world();
    old(&env, GGUF, &model_bytes());
    old(&env, "vocab.txt", &vocabulary());
    env.set("HFDL_TEST_READ_RATE", STANDSTILL);
    let report = adopt(&env, &["--dry-run"]);
    assert_eq!(report["dry_run"], true);
    assert_eq!(report["files"]["hashed"], 2);
    assert_eq!(report["bytes"]["hashed"], 2 * MIB + 5000);
    assert!(!env.database().exists());
    let folder = env.root().join("old");
    env.hfdl(["adopt", folder.to_str().unwrap(), "--dry-run"])
        .succeeds()
        .prints("to read       2 (2.00 MiB)");
}

#[test]
fn a_match_counts_the_files_of_each_model_and_moves_what_is_nearly_whole() {
    let env = world();
    publish(&env, "acme/tiny");
    publish(&env, "acme/gone");
    let other = env.hub().repo("acme/other").commit("main").empty();
    other.lfs("x", generated_bytes(MIB, 9)).publish();
    for repo in ["acme/tiny", "acme/other", "acme/gone"] {
        env.line(&format!("models add {repo}")).succeeds();
    }
    env.hub().repo("acme/gone").delete();
    let file = old(&env, GGUF, &model_bytes());
    let folder = env.root().join("old");
    let folder = folder.to_str().unwrap();
    let ran = env.hfdl(["adopt", folder, "--match", "--json"]);
    let report = ran.exits(1).json();
    let model = |name: &str| {
        let models = report["models"].as_array().unwrap();
        models
            .iter()
            .find(|model| model["model"] == name)
            .unwrap()
            .clone()
    };
    assert_eq!(model("acme/tiny")["files"], json!({"total": 3, "here": 1}));
    let bytes = json!({"total": 2 * MIB + 5002, "here": 2 * MIB});
    assert_eq!(model("acme/tiny")["bytes"], bytes);
    assert_eq!(model("acme/other")["files"]["here"], 0);
    assert_eq!(model("acme/gone")["files"], Value::Null);
    ran.explains("could not check `acme/gone`");
    assert!(env.hub().downloads(GGUF).is_empty());
    assert!(report["run"].is_null());

    env.line("models remove acme/gone -y").succeeds();
    env.set("COLUMNS", "80");
    let table = env.line("adopt --match");
    table.succeeds().prints("1 of 3");
    assert!(
        table
            .stdout()
            .lines()
            .all(|line| line.chars().count() <= 80)
    );
    let report = adopt(&env, &["--match", "--move"]);
    let sessions = report["run"]["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 1, "nothing of `acme/other` is here");
    assert_eq!(sessions[0]["outcome"], "updated");
    assert_eq!(sessions[0]["bytes"]["fetched"], 5002);
    assert!(!file.exists());
    assert!(env.hub().downloads(GGUF).is_empty());
    let folder = env.line("models show acme/tiny --json").json();
    assert_eq!(folder["state"], "ok", "{folder:#}");
}

#[test]
fn what_is_adopted_is_listed_and_forgotten() {
    let env = world();
    env.line("adopt --list")
        .succeeds()
        .explains("nothing is adopted");
    let long =
        "a-folder-with-quite-a-long-name/and-another-one-below-it/and-one-more-of-them/m.gguf";
    let one = old(&env, long, &model_bytes());
    old(&env, "sub/b", &[2; 5000]);
    old(&env, "sub/c", &[3; 5000]);
    adopt(&env, &[]);
    let list = env.line("adopt --list --json").json();
    let first = &list["files"][0];
    assert_eq!(first["path"], one.to_str().unwrap());
    assert_eq!(first["sha256"], sha256_hex(&model_bytes()));
    assert_eq!(first["state"], "unchanged");
    env.set("COLUMNS", "80");
    let ran = env.line("adopt --list");
    for line in ran.succeeds().stdout().lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    // A folder that is gone can be forgotten.
    fs::remove_dir_all(env.root().join("old/sub")).unwrap();
    let folder = env.root().join("old/sub");
    let forget = ["adopt", "--forget", folder.to_str().unwrap()];
    env.hfdl(forget).succeeds().prints("forgot 2 adopted files");
    assert_eq!(adopted_paths(&env), [one.to_str().unwrap()]);
    env.hfdl(forget).exits(2).explains("is adopted");
    assert!(one.exists());
}

#[test]
fn wrong_arguments_are_refused_before_anything_is_read() {
    let env = world();
    let file = old(&env, GGUF, &model_bytes());
    let file = file.to_str().unwrap();
    for line in [
        &["adopt"][..],
        &["adopt", file, "nowhere"],
        &["adopt", file, "--dry-run", "--match"],
        &["adopt", file, "--dry-run", "--move"],
        &["adopt", "--match", "--move"],
        &["adopt", "--forget"],
        &["adopt", "--list", file],
        &["adopt", "--forget", file, "--move"],
        &["adopt", "--forget", "nowhere"],
    ] {
        env.hfdl(line.iter().copied()).exits(2);
    }
    assert!(!env.database().exists());
}

#[test]
fn a_file_that_cannot_be_adopted_is_named_and_the_rest_goes_on() {
    let env = world();
    old(&env, "good", &[1; 5000]);
    let bad = std::ffi::OsStr::from_bytes(b"bad-\xff");
    if fs::write(env.root().join("old").join(bad), [2; 5000]).is_err() {
        return say("not tested: names must be UTF-8 here");
    }
    let folder = env.root().join("old");
    let ran = env.hfdl(["adopt", folder.to_str().unwrap(), "--json"]);
    let report = ran.exits(1).explains("cannot adopt").json();
    assert_eq!(report["files"]["hashed"], 1);
    assert_eq!(report["unreadable"].as_array().unwrap().len(), 1);
}

#[test]
fn files_of_the_cache_need_no_adoption() {
    let env = world();
    publish(&env, "acme/tiny");
    download(&env, "acme/tiny");
    let ran = env.hfdl(["adopt", env.cache().to_str().unwrap(), "--json"]);
    let report = ran.succeeds().json();
    assert_eq!(report["files"]["total"], 0);
    assert_eq!(skipped(&report, "in-cache"), 1);
}

#[test]
fn an_adopted_file_serves_a_directory_of_plain_files() {
    let env = world();
    publish(&env, "acme/tiny");
    let file = old(&env, "renamed.gguf", &model_bytes());
    adopt(&env, &["--move"]);
    let to = env.root().join("dir");
    let session = download(&env, &format!("acme/tiny --to {}", to.display()));
    assert_eq!(from_adopted(&session, &file), 2 * MIB as u64);
    let placed = to.join(GGUF);
    assert!(fs::read(&placed).unwrap() == model_bytes());
    assert_eq!(fs::metadata(&placed).unwrap().nlink(), 1);
}

/// Writes the files of `publish` to a directory, as `git clone` does.
fn clone_into(dir: &Path) {
    fs::create_dir_all(dir.join(".git")).unwrap();
    fs::write(dir.join(GGUF), model_bytes()).unwrap();
    fs::write(dir.join("vocab.txt"), vocabulary()).unwrap();
    fs::write(dir.join("config.json"), "{}").unwrap();
}

#[test]
fn identical_files_of_a_clone_are_hashed_and_taken_and_a_different_one_is_replaced() {
    let env = world();
    publish(&env, "acme/tiny");
    let dir = env.root().join("clone");
    clone_into(&dir);
    fs::write(dir.join("vocab.txt"), &vocabulary()[5..]).unwrap();
    fs::write(dir.join("config.json"), "[]").unwrap();
    fs::write(dir.join("mine.txt"), "mine").unwrap();
    let inode = fs::metadata(dir.join(GGUF)).unwrap().ino();
    let line = format!("acme/tiny --to {}", dir.display());
    let dry = env
        .line(&format!("download {line} --dry-run --json"))
        .json();
    assert_eq!(dry["models"][0]["files"]["to_fetch"], 2, "{dry:#}");
    assert!(!dir.join(".cache").exists(), "a dry run changes nothing");
    let session = download(&env, &line);
    assert_eq!(session["bytes"]["fetched"], 5002);
    assert_eq!(session["bytes"]["reused"], 2 * MIB);
    assert!(env.hub().downloads(GGUF).is_empty());
    assert_eq!(fs::metadata(dir.join(GGUF)).unwrap().ino(), inode);
    assert!(fs::read(dir.join("vocab.txt")).unwrap() == vocabulary());
    assert_eq!(fs::read(dir.join("config.json")).unwrap(), b"{}");
    assert_eq!(fs::read(dir.join("mine.txt")).unwrap(), b"mine");
    // From now on the notes say so, and nothing is read again.
    env.set("HFDL_TEST_READ_RATE", STANDSTILL);
    assert_eq!(download(&env, &line)["outcome"], "up-to-date");
}

#[test]
fn the_hashing_of_a_clone_ends_with_the_time_and_goes_on_in_the_next_run() {
    let env = world();
    publish(&env, "acme/tiny");
    let dir = env.root().join("clone");
    clone_into(&dir);
    let line = format!("download acme/tiny --to {} --json", dir.display());
    // The two small files take five seconds, the large one half an hour.
    env.set("HFDL_TEST_READ_RATE", "100000");
    env.now("2026-03-01T09:00:00Z+60");
    let ran = env.line(&format!("{line} --max-duration 30s"));
    ran.exits(10);
    let proven = "SELECT count(*) FROM blobs";
    assert_eq!(number(&env, proven), 2);
    env.unset("HFDL_TEST_READ_RATE");
    env.now("2026-03-01T10:00:00Z");
    let session = env.line(&line).succeeds().json()["sessions"][0].clone();
    assert_eq!(session["bytes"]["fetched"], 0);
    assert_eq!(number(&env, proven), 3);
}
