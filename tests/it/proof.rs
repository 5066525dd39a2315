//! Nothing is published or called current before it was hashed once, whoever
//! wrote it: other programs store damaged files without a word.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hfdl::sys::share::can_clone;
use hfdl_test_hub::{Api, generated_bytes, git_blob_id, sha256_hex};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::damage::rot;
use crate::support::database::{ask, cell, number};
use crate::support::due::roomy_world as world;
use crate::support::env::TestEnv;
use crate::support::process::Victim;
use crate::support::sound::say;

const MIB: usize = 1 << 20;
const MODEL: &str = "model.safetensors";
const CONFIG: &[u8] = b"{\"a\": 1}";
const CLONES: &str = "not tested: this file system clones files and copies no bytes";

fn model_bytes() -> Vec<u8> {
    generated_bytes(3 * MIB, 1)
}

/// Bytes of the right size that are not the right ones.
fn damaged(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    bytes
}

fn publish(env: &TestEnv, repo: &str, config: &[u8]) -> String {
    let draft = env.hub().repo(repo).commit("main").empty();
    let draft = draft.file("config.json", config);
    draft.lfs(MODEL, model_bytes()).publish()
}

fn folder(env: &TestEnv, repo: &str) -> PathBuf {
    env.cache()
        .join(format!("models--{}", repo.replace('/', "--")))
}

fn blob(env: &TestEnv, repo: &str, name: &str) -> PathBuf {
    folder(env, repo).join("blobs").join(name)
}

fn in_snapshot(env: &TestEnv, repo: &str, commit: &str, file: &str) -> PathBuf {
    folder(env, repo).join("snapshots").join(commit).join(file)
}

/// Writes a repository into the cache as the official client does: each file
/// with the name of its content, and the bytes that are really stored.
fn write_as_hf(env: &TestEnv, repo: &str, commit: &str, files: &[(&str, &str, &[u8])]) {
    let folder = folder(env, repo);
    for name in ["blobs", "refs", &format!("snapshots/{commit}")] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    for (path, name, bytes) in files {
        fs::write(folder.join("blobs").join(name), bytes).unwrap();
        let entry = folder.join("snapshots").join(commit).join(path);
        symlink(format!("../../blobs/{name}"), entry).unwrap();
    }
    fs::write(folder.join("refs/main"), commit).unwrap();
}

/// Writes the repository of `publish`, with these bytes for the model.
fn write_model_as_hf(env: &TestEnv, repo: &str, commit: &str, stored: &[u8]) {
    let (config, model) = (git_blob_id(CONFIG), sha256_hex(&model_bytes()));
    let files = [("config.json", &*config, CONFIG), (MODEL, &*model, stored)];
    write_as_hf(env, repo, commit, &files);
}

fn download(env: &TestEnv, line: &str) -> Value {
    env.hub().forget_requests();
    let ran = env.line(&format!("download {line} --json"));
    ran.succeeds().json()["sessions"][0].clone()
}

/// Returns source, result and `found_bad` of a file in the newest session.
fn file_of_session(env: &TestEnv, path: &str) -> (Value, Value, Value) {
    let list = env.line("sessions list --limit 1 --json").json();
    let id = list["sessions"][0]["session_id"].clone();
    let shown = env.line(&format!("sessions show {id} --json")).json();
    let files = shown["file_list"].as_array().unwrap();
    let file = files.iter().find(|file| file["path"] == path);
    let file = file.unwrap_or_else(|| panic!("no `{path}` in {shown:#}"));
    let field = |name: &str| file[name].clone();
    (field("source"), field("result"), field("found_bad"))
}

fn record(source: &str, found_bad: bool) -> (Value, Value, Value) {
    (source.into(), "verified".into(), found_bad.into())
}

fn n_corrupt(env: &TestEnv) -> i64 {
    number(env, "SELECT count(*) FROM events WHERE kind = 'corrupt'")
}

#[test]
fn a_damaged_file_of_another_program_is_replaced_and_reported() {
    let env = world();
    let commit = publish(&env, "acme/tiny", CONFIG);
    write_model_as_hf(&env, "acme/tiny", &commit, &damaged(&model_bytes()));
    let session = download(&env, "acme/tiny");
    assert_eq!(session["outcome"], "repaired");
    let model = in_snapshot(&env, "acme/tiny", &commit, MODEL);
    assert!(fs::read(model).unwrap() == model_bytes());
    assert_eq!(session["bytes"]["fetched"], 3 * MIB);
    assert_eq!(session["bytes"]["reused"], CONFIG.len());
    assert!(env.hub().downloads("config.json").is_empty());
    assert_eq!(file_of_session(&env, MODEL), record("http", true));
    assert_eq!(file_of_session(&env, "config.json"), record("found", false));
    assert_eq!(n_corrupt(&env), 1);
    env.line("sessions show 1").succeeds().prints("replaced");
    env.line("verify acme/tiny").exits(0);
}

#[test]
fn a_good_cache_of_another_program_is_hashed_once_and_costs_one_request_then() {
    let env = world();
    let commit = publish(&env, "acme/tiny", CONFIG);
    write_model_as_hf(&env, "acme/tiny", &commit, &model_bytes());
    let session = download(&env, "acme/tiny");
    assert_eq!(session["outcome"], "up-to-date");
    assert_eq!(session["bytes"]["fetched"], 0);
    assert_eq!(file_of_session(&env, MODEL), record("found", false));
    // Reading anything again would take hours.
    env.set("HFDL_TEST_READ_RATE", "100");
    let session = download(&env, "acme/tiny");
    assert_eq!(session["outcome"], "up-to-date");
    assert_eq!(env.hub().requests().len(), 1);
    let rows = "SELECT count(*) FROM session_files WHERE session_id = 2";
    assert_eq!(number(&env, rows), 0);
}

#[test]
fn a_file_that_this_program_fetched_is_proven_by_the_fetch() {
    let env = world();
    publish(&env, "acme/tiny", CONFIG);
    download(&env, "acme/tiny");
    env.set("HFDL_TEST_READ_RATE", "100");
    assert_eq!(download(&env, "acme/tiny")["outcome"], "up-to-date");
    assert_eq!(env.hub().requests().len(), 1);
    // The next revision links the same content, for nothing.
    publish(&env, "acme/tiny", b"{}");
    env.now("2026-03-02T09:00:00Z");
    assert_eq!(download(&env, "acme/tiny")["outcome"], "updated");
    assert_eq!(file_of_session(&env, MODEL), record("linked", false));
    // It was not read again, and does not count as verified since.
    let dates = "SELECT count(DISTINCT verified_at) FROM blobs";
    assert_eq!(number(&env, dates), 2);
}

#[test]
fn damage_is_not_carried_into_the_next_revision() {
    let env = world();
    let first = publish(&env, "acme/tiny", CONFIG);
    write_model_as_hf(&env, "acme/tiny", &first, &damaged(&model_bytes()));
    let second = publish(&env, "acme/tiny", b"{}");
    let session = download(&env, "acme/tiny");
    assert_eq!(session["outcome"], "updated");
    let model = in_snapshot(&env, "acme/tiny", &second, MODEL);
    assert!(fs::read(model).unwrap() == model_bytes());
    assert_eq!(file_of_session(&env, MODEL), record("http", true));
}

#[test]
fn a_published_file_that_another_program_wrote_to_is_not_called_current() {
    let env = world();
    let commit = publish(&env, "acme/tiny", CONFIG);
    download(&env, "acme/tiny");
    let model = in_snapshot(&env, "acme/tiny", &commit, MODEL);
    let blob = fs::canonicalize(&model).unwrap();
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, damaged(&model_bytes())).unwrap();
    assert_eq!(download(&env, "acme/tiny")["outcome"], "repaired");
    assert!(fs::read(&model).unwrap() == model_bytes());
    // An identical file with a new inode is read and kept.
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, model_bytes()).unwrap();
    assert_eq!(download(&env, "acme/tiny")["outcome"], "up-to-date");
    assert_eq!(file_of_session(&env, MODEL), record("found", false));
}

#[test]
fn a_damaged_content_is_not_linked_into_another_repository() {
    let env = world();
    let base = publish(&env, "acme/base", CONFIG);
    write_model_as_hf(&env, "acme/base", &base, &damaged(&model_bytes()));
    let commit = publish(&env, "acme/tiny", b"{}");
    let session = download(&env, "acme/tiny");
    assert_eq!(session["outcome"], "updated");
    assert_eq!(session["bytes"]["fetched"], 3 * MIB + 2);
    assert_eq!(session["bytes"]["reused"], 0);
    assert_eq!(session["files"]["reused"], 0);
    let model = in_snapshot(&env, "acme/tiny", &commit, MODEL);
    assert!(fs::read(model).unwrap() == model_bytes());
    assert_eq!(file_of_session(&env, MODEL), record("http", true));
    assert_eq!(n_corrupt(&env), 1);
    // The damage is remembered and mended when its turn comes.
    let session = download(&env, "acme/base");
    assert_eq!(session["outcome"], "repaired");
    let model = in_snapshot(&env, "acme/base", &base, MODEL);
    assert!(fs::read(model).unwrap() == model_bytes());
}

#[test]
fn a_proven_content_is_linked_and_one_that_was_written_to_since_is_not() {
    let env = world();
    let base = publish(&env, "acme/base", CONFIG);
    download(&env, "acme/base");
    publish(&env, "acme/tiny", b"{}");
    env.set("HFDL_TEST_READ_RATE", "100");
    assert_eq!(download(&env, "acme/tiny")["outcome"], "updated");
    assert_eq!(file_of_session(&env, MODEL), record("linked", false));
    env.unset("HFDL_TEST_READ_RATE");
    let name = sha256_hex(&model_bytes());
    let inode = |repo: &str| fs::metadata(blob(&env, repo, &name)).unwrap().ino();
    if !can_clone(&blob(&env, "acme/base", &name), env.root()) {
        assert_eq!(inode("acme/base"), inode("acme/tiny"));
    }
    // Written through one of its names: all of them are damaged.
    let model = in_snapshot(&env, "acme/base", &base, MODEL);
    let real = fs::canonicalize(model).unwrap();
    let mut permissions = fs::metadata(&real).unwrap().permissions();
    #[allow(clippy::permissions_set_readonly_false)]
    permissions.set_readonly(false);
    fs::set_permissions(&real, permissions).unwrap();
    fs::write(&real, damaged(&model_bytes())).unwrap();
    let commit = publish(&env, "acme/third", b"3");
    let session = download(&env, "acme/third");
    assert_eq!(session["outcome"], "updated");
    let model = in_snapshot(&env, "acme/third", &commit, MODEL);
    assert!(fs::read(model).unwrap() == model_bytes());
}

#[test]
fn a_copy_into_a_directory_is_always_hashed() {
    let env = world();
    publish(&env, "acme/base", CONFIG);
    download(&env, "acme/base");
    let source = blob(&env, "acme/base", &sha256_hex(&model_bytes()));
    let to = env.root().join("good");
    let line = format!("acme/base --to '{}'", to.display());
    assert_eq!(download(&env, &line)["bytes"]["fetched"], 0);
    if can_clone(&source, env.root()) {
        return say(CLONES);
    }
    assert_eq!(file_of_session(&env, MODEL), record("copied", false));
    // Rot that neither size nor time tells of.
    rot(&source);
    let to = env.root().join("bad");
    let line = format!("acme/base --to '{}'", to.display());
    assert_eq!(download(&env, &line)["bytes"]["fetched"], 3 * MIB);
    assert!(fs::read(to.join(MODEL)).unwrap() == model_bytes());
    assert_eq!(file_of_session(&env, MODEL), record("http", true));
    assert_eq!(n_corrupt(&env), 1);
}

#[test]
fn a_damaged_file_with_the_official_note_is_not_believed_in_a_directory() {
    let env = world();
    let commit = publish(&env, "acme/tiny", CONFIG);
    let to = env.root().join("dir");
    let line = format!("acme/tiny --to '{}'", to.display());
    download(&env, &line);
    // The official client writes such a note for whatever it has stored.
    let model = to.join(MODEL);
    fs::remove_file(&model).unwrap();
    fs::write(&model, damaged(&model_bytes())).unwrap();
    let later = fs::metadata(&model).unwrap().mtime() + 1;
    let note = format!("{commit}\n{}\n{later}.0\n", sha256_hex(&model_bytes()));
    let notes = to.join(".cache/huggingface/download");
    fs::write(notes.join(format!("{MODEL}.metadata")), note).unwrap();
    assert_eq!(download(&env, &line)["outcome"], "repaired");
    assert!(fs::read(&model).unwrap() == model_bytes());
    assert_eq!(download(&env, &line)["outcome"], "up-to-date");
    // A content that has got its final name leaves no row behind.
    let stale = "SELECT path FROM blobs WHERE path LIKE '%/.hfdl/%'";
    assert_eq!(ask(&env, stale), Vec::<String>::new());
}

#[test]
fn a_content_that_another_process_stores_meanwhile_is_not_believed() {
    let env = world();
    publish(&env, "acme/tiny", CONFIG);
    let folder = folder(&env, "acme/tiny");
    let name = sha256_hex(&model_bytes());
    for place in [".hfdl", "blobs"] {
        fs::create_dir_all(folder.join(place)).unwrap();
    }
    // Another process is fetching the file.
    let lock = folder.join(format!(".hfdl/{name}.incomplete.lock"));
    let lock = fs::File::create(lock).unwrap();
    lock.try_lock().unwrap();
    let running = Victim::heard(env.command(["download", "acme/tiny", "-q"]));
    // The plan is made, and waits for that process.
    let locks = env.cache().join(".locks/models--acme--tiny");
    wait_until("the place is open", || locks.exists());
    fs::write(blob(&env, "acme/tiny", &name), damaged(&model_bytes())).unwrap();
    drop(lock);
    let ended = running.output();
    assert!(ended.status.success(), "{ended:?}");
    assert!(fs::read(blob(&env, "acme/tiny", &name)).unwrap() == model_bytes());
}

#[test]
fn a_tick_that_is_cut_short_while_it_hashes_leaves_its_slot_to_the_next() {
    let env = world();
    let commit = publish(&env, "acme/tiny", CONFIG);
    write_model_as_hf(&env, "acme/tiny", &commit, &model_bytes());
    env.line("models add acme/tiny").succeeds();
    env.line("schedules add nightly --every 6h --all --max-duration 30s")
        .succeeds();
    env.set("HFDL_TEST_READ_RATE", "1000");
    env.now("2026-03-01T09:00:00Z+60");
    env.line("run-due").exits(10);
    let outcomes = "SELECT group_concat(outcome) FROM sessions";
    assert_eq!(cell(&env, outcomes), "partial");
    let open = "SELECT count(*) FROM schedules WHERE open_slot_at IS NOT NULL";
    assert_eq!(number(&env, open), 1);
    env.unset("HFDL_TEST_READ_RATE");
    env.now("2026-03-01T09:15:00Z");
    env.line("run-due").succeeds();
    assert_eq!(cell(&env, outcomes), "partial,up-to-date");
    assert_eq!(number(&env, open), 0);
}

#[test]
fn a_kill_while_files_are_proven_or_taken_in_is_healed_by_the_next_run() {
    for step in [
        "file proven",
        "content imported",
        "place opened",
        "before the ref",
    ] {
        let env = world();
        let base = publish(&env, "acme/base", CONFIG);
        write_model_as_hf(&env, "acme/base", &base, &model_bytes());
        let commit = publish(&env, "acme/tiny", CONFIG);
        write_as_hf(&env, "acme/tiny", &commit, &[]);
        let model = sha256_hex(&model_bytes());
        let config = blob(&env, "acme/tiny", &git_blob_id(CONFIG));
        fs::write(config, CONFIG).unwrap();
        env.set("HFDL_TEST_CRASH_AT", step);
        let killed = env.line("download acme/tiny");
        assert_eq!(killed.code(), None, "{step}: {}", killed.report());
        env.unset("HFDL_TEST_CRASH_AT");
        let session = download(&env, "acme/tiny");
        assert_eq!(session["bytes"]["fetched"], 0, "{step}");
        let read = |file: &str| fs::read(in_snapshot(&env, "acme/tiny", &commit, file)).unwrap();
        assert!(
            read(MODEL) == model_bytes() && read("config.json") == CONFIG,
            "{step}"
        );
        assert!(blob(&env, "acme/base", &model).exists(), "{step}");
        env.line("verify acme/tiny").succeeds();
    }
}

/// Asks a process to end, and returns its code if it does so within two seconds.
fn terminate(process: &mut Victim) -> Option<i32> {
    let id = Pid::from_raw(i32::try_from(process.id()).unwrap()).unwrap();
    kill_process(id, Signal::TERM).unwrap();
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(2) {
        if let Some(status) = process.has_ended() {
            return status.code();
        }
        std::thread::yield_now();
    }
    None
}

fn wait_until(what: &str, met: impl Fn() -> bool) {
    let since = Instant::now();
    while !met() {
        assert!(since.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::yield_now();
    }
}

fn n_proven(env: &TestEnv) -> i64 {
    if !env.database().exists() {
        return 0;
    }
    number(env, "SELECT count(*) FROM blobs")
}

#[test]
fn a_first_hashing_that_is_cut_short_goes_on_and_calls_nothing_verified_early() {
    let env = world();
    let files = [("a", 1 << 10), ("b", 24 * MIB), ("c", 24 * MIB)];
    let mut draft = env.hub().repo("acme/tiny").commit("main").empty();
    for (seed, (path, size)) in files.iter().enumerate() {
        draft = draft.lfs(path, generated_bytes(*size, seed as u64));
    }
    let commit = draft.publish();
    let bytes = files.iter().enumerate();
    let bytes = bytes.map(|(seed, (path, size))| (*path, generated_bytes(*size, seed as u64)));
    let bytes: Vec<(&str, Vec<u8>)> = bytes.collect();
    let names: Vec<String> = bytes.iter().map(|(_, bytes)| sha256_hex(bytes)).collect();
    let stored = bytes.iter().zip(&names);
    let stored: Vec<_> = stored
        .map(|((path, bytes), name)| (*path, name.as_str(), bytes.as_slice()))
        .collect();
    write_as_hf(&env, "acme/tiny", &commit, &stored);

    // Each large file takes twelve seconds, and there may be but two threads.
    env.set("HFDL_TEST_READ_RATE", &(2 * MIB).to_string());
    let small = "SELECT count(*) FROM blobs WHERE size = 1024";
    let mut running = Victim::start(env.command(["download", "acme/tiny"]));
    wait_until("the first proof", || n_proven(&env) > 0);
    assert_eq!(terminate(&mut running), Some(143));
    let n_kept = n_proven(&env);
    assert!(n_kept < 3);
    let outcome = "SELECT outcome FROM sessions ORDER BY id DESC LIMIT 1";
    assert_eq!(cell(&env, outcome), "partial");
    let verified = "SELECT count(*) FROM session_files WHERE result = 'verified'";
    assert_eq!(number(&env, verified), n_kept);

    env.unset("HFDL_TEST_READ_RATE");
    let session = download(&env, "acme/tiny");
    assert_eq!(session["outcome"], "up-to-date");
    let read_now = format!("{verified} AND session_id = 2");
    assert_eq!(number(&env, &read_now), 3 - n_kept);
    assert_eq!(number(&env, small), 1);
}

#[test]
fn a_longest_duration_ends_the_hashing_too() {
    let env = world();
    let commit = publish(&env, "acme/tiny", CONFIG);
    write_model_as_hf(&env, "acme/tiny", &commit, &model_bytes());
    env.set("HFDL_TEST_READ_RATE", "1000");
    env.now("2026-03-01T09:00:00Z+60");
    let ran = env.line("download acme/tiny --max-duration 30s --json");
    ran.exits(10);
    assert_eq!(ran.json()["sessions"][0]["outcome"], "partial");
    assert_eq!(n_proven(&env), 1, "the small one");
}

/// A world in which a copy into a directory takes ten seconds.
fn slow_copy() -> Option<(TestEnv, String, PathBuf)> {
    let env = world();
    let draft = env.hub().repo("acme/tiny").commit("main").empty();
    draft.lfs_generated(MODEL, 40 << 20, 7).publish();
    download(&env, "acme/tiny");
    let blobs = folder(&env, "acme/tiny").join("blobs");
    let source = fs::read_dir(blobs).unwrap().next().unwrap().unwrap().path();
    let to = env.root().join("dir");
    env.set("HFDL_TEST_READ_RATE", &(4 * MIB).to_string());
    let name = to.to_str().unwrap().to_owned();
    (!can_clone(&source, env.root())).then_some((env, name, to))
}

/// Tells whether a copy is being made, and nothing has a final name yet.
fn is_copying(to: &Path) -> bool {
    let private = to.join(".cache/huggingface/.hfdl");
    let names = fs::read_dir(private).into_iter().flatten().flatten();
    let mut sizes = names
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("tmp-"))
        .filter_map(|entry| entry.metadata().ok())
        .map(|found| found.len());
    sizes.any(|size| size > MIB as u64)
}

#[test]
fn a_signal_ends_a_slow_copy_with_its_code_and_the_next_run_copies() {
    let Some((env, name, to)) = slow_copy() else {
        return say(CLONES);
    };
    env.now("2026-03-01T10:00:00Z+60");
    let mut running = Victim::start(env.command(["download", "acme/tiny", "--to", &name]));
    wait_until("a copy is on its way", || is_copying(&to));
    let beats = "SELECT count(*) FROM runs WHERE heartbeat_at > started_at + 60";
    wait_until("signs of life meanwhile", || number(&env, beats) > 0);
    assert!(is_copying(&to));
    assert_eq!(terminate(&mut running), Some(143));
    assert!(!to.join(MODEL).exists());
    assert!(!is_copying(&to), "nothing is left aside");
    let last = "SELECT outcome || bytes_reused FROM sessions ORDER BY id DESC LIMIT 1";
    assert_eq!(cell(&env, last), "partial0");
    // The clock of the first run has run ahead; the second begins after it.
    env.now("2026-03-01T11:00:00Z").unset("HFDL_TEST_READ_RATE");
    let session = download(&env, &format!("acme/tiny --to '{name}'"));
    assert_eq!(session["outcome"], "updated");
    assert_eq!(session["bytes"]["reused"], 40 << 20);
    assert_eq!(file_of_session(&env, MODEL), record("copied", false));
    assert_eq!(env.hub().count(Api::Cdn), 0);
}

#[test]
fn a_longest_duration_ends_a_slow_copy() {
    let Some((env, name, to)) = slow_copy() else {
        return say(CLONES);
    };
    env.now("2026-03-01T09:00:00Z+60");
    let args = [
        "download",
        "acme/tiny",
        "--to",
        &name,
        "--max-duration",
        "30s",
    ];
    env.hfdl(args).exits(10);
    assert!(!to.join(MODEL).exists());
    env.now("2026-03-02T09:00:00Z").unset("HFDL_TEST_READ_RATE");
    // A budget of bytes is one for bytes of the line.
    let line = format!("acme/tiny --to '{name}' --max-transfer 1K");
    assert_eq!(download(&env, &line)["outcome"], "updated");
}

#[test]
fn a_copy_that_does_not_fit_beside_the_reserve_is_refused_like_a_fetch() {
    let env = world();
    publish(&env, "acme/base", CONFIG);
    download(&env, "acme/base");
    let source = blob(&env, "acme/base", &sha256_hex(&model_bytes()));
    if can_clone(&source, env.root()) {
        return say(CLONES);
    }
    let to = env.root().join("dir");
    let name = to.to_str().unwrap();
    env.set("HFDL_DISK_RESERVE", "100T");
    let ran = env.hfdl(["download", "acme/base", "--to", name]);
    ran.exits(6).explains("is to keep 100 TiB");
    assert!(!to.exists());
    // A link takes no space.
    publish(&env, "acme/tiny", CONFIG);
    assert_eq!(download(&env, "acme/tiny")["outcome"], "updated");
}
