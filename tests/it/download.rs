//! `hfdl download` against a real hub on loopback, with the real binary.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hfdl_test_hub::{Api, Fault, Gate, Hint, On, Shape, TestHub, generated_bytes};

use crate::support::env::{Ran, TestEnv};
use crate::support::process::Victim;

const MIB: usize = 1 << 20;

fn world() -> TestEnv {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    env
}

/// Publishes a model with a large file and two small ones.
fn publish_tiny(env: &TestEnv) -> String {
    env.hub()
        .repo("acme/tiny")
        .commit("main")
        .file("config.json", b"{\"a\": 1}")
        .file("sub/empty.txt", b"")
        .lfs("model.safetensors", generated_bytes(3 * MIB, 1))
        .publish()
}

fn repo_folder(env: &TestEnv) -> PathBuf {
    env.cache().join("models--acme--tiny")
}

fn snapshot(env: &TestEnv, commit: &str) -> PathBuf {
    repo_folder(env).join("snapshots").join(commit)
}

fn main_ref(env: &TestEnv) -> String {
    fs::read_to_string(repo_folder(env).join("refs/main")).unwrap_or_default()
}

fn printed_path(ran: &Ran) -> PathBuf {
    PathBuf::from(ran.stdout().trim_end())
}

/// Returns what the database says about the sessions, newest last.
fn outcomes(env: &TestEnv) -> Vec<(String, Option<String>)> {
    let connection = rusqlite::Connection::open(env.database()).unwrap();
    let mut rows = connection
        .prepare("SELECT outcome, error_kind FROM sessions ORDER BY id")
        .unwrap();
    let rows = rows
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    rows.map(Result::unwrap).collect()
}

fn bytes_fetched(ran: &Ran) -> u64 {
    ran.json()["sessions"][0]["bytes"]["fetched"]
        .as_u64()
        .unwrap()
}

#[test]
fn a_first_download_publishes_the_repository_and_a_second_asks_once() {
    let env = world();
    let commit = publish_tiny(&env);
    let ran = env.hfdl(["download", "acme/tiny"]);
    ran.succeeds().silently();
    assert_eq!(printed_path(&ran), snapshot(&env, &commit));
    assert_eq!(
        main_ref(&env),
        commit,
        "the ref has the commit and no newline"
    );
    let model = fs::read(snapshot(&env, &commit).join("model.safetensors")).unwrap();
    assert_eq!(model, generated_bytes(3 * MIB, 1));
    assert_eq!(
        fs::read(snapshot(&env, &commit).join("sub/empty.txt")).unwrap(),
        b""
    );

    env.hub().forget_requests();
    let again = env.hfdl(["download", "acme/tiny", "--json"]);
    again.succeeds();
    assert_eq!(
        env.hub().requests().len(),
        1,
        "{}",
        env.hub().describe_requests()
    );
    let run = again.json();
    assert_eq!(run["schema"], "hfdl.run/1");
    assert_eq!(run["sessions"][0]["outcome"], "up-to-date");
    assert_eq!(run["sessions"][0]["bytes"]["fetched"], 0);
    assert_eq!(
        outcomes(&env),
        [
            ("updated".to_owned(), None),
            ("up-to-date".to_owned(), None)
        ]
    );
}

#[test]
fn a_new_revision_costs_the_changed_file_and_the_old_one_stays() {
    let env = world();
    let old = publish_tiny(&env);
    env.hfdl(["download", "acme/tiny"]).succeeds();
    let new = env
        .hub()
        .repo("acme/tiny")
        .commit("main")
        .file("config.json", b"{\"a\": 2}")
        .publish();
    env.hub().forget_requests();
    env.hfdl(["download", "acme/tiny"]).succeeds();
    assert!(env.hub().downloads("model.safetensors").is_empty());
    assert_eq!(main_ref(&env), new);
    assert_eq!(
        fs::read(snapshot(&env, &new).join("config.json")).unwrap(),
        b"{\"a\": 2}"
    );
    assert_eq!(
        fs::read(snapshot(&env, &old).join("config.json")).unwrap(),
        b"{\"a\": 1}"
    );
}

#[test]
fn the_ref_stays_where_it_was_until_the_new_revision_is_whole() {
    let env = world();
    let old = publish_tiny(&env);
    env.hfdl(["download", "acme/tiny"]).succeeds();
    let hub = env.hub();
    hub.repo("acme/tiny")
        .commit("main")
        .file("config.json", b"{}")
        .lfs("model.safetensors", generated_bytes(3 * MIB, 2))
        .publish();
    hub.fault(On::cdn("model.safetensors"), Fault::Status(500));
    let ran = env.hfdl(["download", "acme/tiny", "-c", "download.retries=1"]);
    ran.exits(5).explains("could not update `acme/tiny`");
    assert_eq!(main_ref(&env), old);
    hub.heal();
    env.hfdl(["download", "acme/tiny"]).succeeds();
    assert_ne!(main_ref(&env), old);
}

#[test]
fn models_datasets_and_spaces_at_branch_tag_pull_request_and_commit() {
    let env = world();
    let hub = env.hub();
    for (id, folder) in [
        ("acme/m", "models--acme--m"),
        ("datasets/acme/d", "datasets--acme--d"),
        ("spaces/acme/s", "spaces--acme--s"),
    ] {
        let repo = hub.repo(id);
        let first = repo
            .commit("main")
            .file("ünï cödé #%.txt", b"1")
            .file("a/b/c.txt", b"x")
            .publish();
        let second = repo.commit("refs/pr/1").file("pr.txt", b"2").publish();
        repo.tag("v1", &first);
        for (revision, commit) in [
            ("main", &first),
            ("v1", &first),
            ("refs/pr/1", &second),
            (first.as_str(), &first),
        ] {
            let ran = env.hfdl(["download", id, "--revision", revision]);
            ran.succeeds();
            assert_eq!(
                printed_path(&ran),
                env.cache().join(folder).join("snapshots").join(commit),
                "{id} {revision}"
            );
        }
        let reference = env.cache().join(folder).join("refs/refs/pr/1");
        assert_eq!(fs::read_to_string(reference).unwrap(), second);
        assert!(
            !env.cache().join(folder).join("refs").join(&first).exists(),
            "no ref for a commit"
        );
    }
}

#[test]
fn a_cut_download_goes_on_where_it_stopped() {
    let env = world();
    let size = 48 * MIB;
    env.hub()
        .repo("acme/tiny")
        .commit("main")
        .lfs_generated("model.safetensors", size as u64, 7)
        .publish();
    let hub = env.hub();
    hub.fault(
        On::cdn("model.safetensors"),
        Fault::CutAfter(20 * MIB as u64),
    );
    env.hfdl([
        "download",
        "acme/tiny",
        "-c",
        "download.retries=0",
        "-c",
        "download.connections=1",
    ])
    .exits(5)
    .explains("could not update `acme/tiny`");
    assert!(!repo_folder(&env).join("refs/main").exists());
    hub.heal();
    let ran = env.hfdl([
        "download",
        "acme/tiny",
        "--json",
        "-c",
        "download.connections=3",
    ]);
    ran.succeeds();
    let session = &ran.json()["sessions"][0];
    let (fetched, reused) = (
        session["bytes"]["fetched"].as_u64().unwrap(),
        session["bytes"]["reused"].as_u64().unwrap(),
    );
    assert_eq!(fetched + reused, size as u64);
    assert!(reused >= 8 * MIB as u64, "reused {reused}");
}

#[test]
fn a_killed_download_keeps_what_was_on_disk() {
    let env = world();
    let size = 64 * MIB;
    let commit = env
        .hub()
        .repo("acme/tiny")
        .commit("main")
        .lfs_generated("model.safetensors", size as u64, 7)
        .publish();
    let hub = env.hub();
    hub.fault(
        On::cdn("model.safetensors"),
        Fault::StallAfter(40 * MIB as u64),
    );
    let mut child =
        Victim::heard(env.command(["download", "acme/tiny", "-c", "download.connections=1"]));
    // Once the journal names bytes, they are on disk.
    let partial_has_journal = || {
        let found = walk(&env.cache());
        found.iter().any(|path| {
            path.to_string_lossy().ends_with(".journal")
                && fs::metadata(path).is_ok_and(|found| found.len() > 64)
        })
    };
    let mut looked = 0;
    while !partial_has_journal() {
        looked += 1;
        assert!(looked < 3_000_000, "no journal appeared");
        if child.has_ended().is_some() {
            panic!("the download ended by itself: {:?}", child.output());
        }
        std::thread::yield_now();
    }
    child.kill();
    assert!(!repo_folder(&env).join("refs/main").exists());
    hub.heal();
    let ran = env.hfdl(["download", "acme/tiny", "--json"]);
    ran.succeeds();
    assert!(
        bytes_fetched(&ran) < size as u64,
        "everything was fetched again"
    );
    assert_eq!(main_ref(&env), commit);
    assert_eq!(
        fs::read(snapshot(&env, &commit).join("model.safetensors")).unwrap(),
        generated_bytes(size, 7)
    );
    let states = outcomes(&env);
    assert!(
        states.iter().all(|(outcome, _)| !outcome.is_empty()),
        "{states:?}"
    );
}

fn walk(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn wrong_bytes_never_get_the_final_name() {
    let env = world();
    publish_tiny(&env);
    let hub = env.hub();
    hub.fault(On::cdn("model.safetensors"), Fault::FlipByteAt(1000));
    let ran = env.hfdl(["download", "acme/tiny"]);
    ran.exits(3).explains("model.safetensors");
    assert!(!repo_folder(&env).join("refs/main").exists());
    let wrong = hfdl_test_hub::sha256_hex(&generated_bytes(3 * MIB, 1));
    assert!(!repo_folder(&env).join("blobs").join(wrong).exists());
    assert_eq!(
        outcomes(&env),
        [("failed".to_owned(), Some("integrity".to_owned()))]
    );
    hub.heal();
    env.hfdl(["download", "acme/tiny"]).succeeds();
}

#[test]
fn bytes_that_are_wrong_once_are_fetched_again() {
    let env = world();
    let commit = publish_tiny(&env);
    env.hub().fault(
        On::cdn("model.safetensors").times(1),
        Fault::FlipByteAt(1000),
    );
    let ran = env.hfdl(["download", "acme/tiny", "--json"]);
    ran.succeeds();
    let model = fs::read(snapshot(&env, &commit).join("model.safetensors")).unwrap();
    assert!(model == generated_bytes(3 * MIB, 1), "the file is wrong");
    assert_eq!(bytes_fetched(&ran), 2 * 3 * MIB as u64 + 8);
}

#[test]
fn a_gated_repository_is_refused_before_any_byte() {
    let env = world();
    publish_tiny(&env);
    let hub = env.hub();
    hub.repo("acme/tiny").gated(Gate::Manual);
    hub.token("hf_outsider", &[]);
    env.set("HF_TOKEN", "hf_outsider");
    env.hfdl(["download", "acme/tiny"])
        .exits(4)
        .explains("gated")
        .explains("next: wait until the authors grant access");
    assert!(hub.downloads("config.json").is_empty());
    hub.token("hf_insider", &["acme/tiny"]);
    env.set("HF_TOKEN", "hf_insider");
    let ran = env.hfdl(["download", "acme/tiny", "-vvv"]);
    ran.succeeds();
    assert!(!ran.stderr().contains("hf_insider"));
    hub.assert_clean();
}

#[test]
fn a_model_that_could_not_be_checked_is_not_called_current() {
    let env = world();
    publish_tiny(&env);
    env.hfdl(["models", "add", "acme/tiny"]).succeeds();
    env.hfdl(["download", "acme/tiny"]).succeeds();
    env.hub().fault(On::any(), Fault::Status(503));
    env.hfdl(["download", "acme/tiny"])
        .exits(5)
        .explains("could not check `acme/tiny`");
    env.hub().heal();
    env.hub()
        .fault(On::any(), Fault::TooManyRequests(Hint::Nothing));
    env.hfdl(["download", "acme/tiny"])
        .exits(5)
        .explains("could not check");
    env.set("HF_HUB_OFFLINE", "1");
    env.hub().forget_requests();
    env.hfdl(["download", "acme/tiny", "--force"])
        .exits(5)
        .explains("HF_HUB_OFFLINE");
    assert!(env.hub().requests().is_empty());
    let kinds: Vec<String> = outcomes(&env)
        .into_iter()
        .map(|(outcome, _)| outcome)
        .collect();
    assert_eq!(
        kinds,
        [
            "updated",
            "could-not-check",
            "could-not-check",
            "could-not-check"
        ]
    );
}

#[test]
fn a_repository_that_vanished_is_orphaned_and_its_copy_stays() {
    let env = world();
    let commit = publish_tiny(&env);
    env.hfdl(["models", "add", "acme/tiny"]).succeeds();
    env.hfdl(["download", "acme/tiny"]).succeeds();
    env.hub().repo("acme/tiny").delete();
    env.hfdl(["download", "acme/tiny"])
        .exits(1)
        .explains("gone upstream")
        .explains("local copy is kept");
    assert!(snapshot(&env, &commit).join("config.json").exists());
    env.hfdl(["models", "list"]).succeeds().prints("orphaned");
}

#[test]
fn one_bad_model_does_not_stop_the_others() {
    let env = world();
    let commit = publish_tiny(&env);
    let ran = env.hfdl(["download", "acme/none", "acme/tiny"]);
    ran.exits(1).explains("could not update `acme/none`");
    assert_eq!(printed_path(&ran), snapshot(&env, &commit));
}

#[test]
fn a_directory_gets_plain_files_and_keeps_the_users_own() {
    let env = world();
    publish_tiny(&env);
    let dir = env.root().join("out");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("mine.txt"), b"mine").unwrap();
    let to = dir.to_string_lossy().into_owned();
    let ran = env.hfdl(["download", "acme/tiny", "--to", &to]);
    ran.succeeds();
    assert_eq!(printed_path(&ran), dir);
    assert!(!dir.join("model.safetensors").is_symlink());
    assert_eq!(fs::read(dir.join("mine.txt")).unwrap(), b"mine");
    env.hub().forget_requests();
    let again = env.hfdl(["download", "acme/tiny", "--to", &to, "--json"]);
    again.succeeds();
    assert_eq!(again.json()["sessions"][0]["outcome"], "up-to-date");
    assert_eq!(
        env.hub().requests().len(),
        1,
        "{}",
        env.hub().describe_requests()
    );
    env.hub()
        .repo("acme/tiny")
        .commit("main")
        .file("config.json", b"new")
        .publish();
    env.hub().forget_requests();
    env.hfdl(["download", "acme/tiny", "--to", &to]).succeeds();
    assert_eq!(fs::read(dir.join("config.json")).unwrap(), b"new");
    assert!(env.hub().downloads("model.safetensors").is_empty());
    assert!(
        !env.cache().join("models--acme--tiny").exists(),
        "the cache is not touched"
    );

    env.hub()
        .repo("acme/tiny")
        .commit("main")
        .remove("sub/empty.txt")
        .publish();
    env.hfdl(["download", "acme/tiny", "--to", &to]).succeeds();
    assert!(dir.join("sub/empty.txt").exists(), "kept unless asked");
    let ran = env.hfdl(["download", "acme/tiny", "--to", &to, "--delete", "--json"]);
    ran.succeeds();
    assert_eq!(ran.json()["sessions"][0]["files"]["deleted"], 1);
    assert!(!dir.join("sub").exists(), "its folder is empty now");
    assert_eq!(fs::read(dir.join("mine.txt")).unwrap(), b"mine");
}

#[test]
fn a_failure_is_reported_without_a_wait_for_a_file_that_another_process_fetches() {
    let env = world();
    let draft = env.hub().repo("acme/tiny").commit("main");
    let draft = draft.lfs("fails.bin", generated_bytes(2 * MIB, 1));
    let held = generated_bytes(2 * MIB, 2);
    let name = hfdl_test_hub::sha256_hex(&held);
    draft.lfs("held.bin", held).publish();
    env.hub().fault(On::cdn("fails.bin"), Fault::Status(503));
    let private = repo_folder(&env).join(".hfdl");
    fs::create_dir_all(&private).unwrap();
    let lock = fs::File::create(private.join(format!("{name}.incomplete.lock"))).unwrap();
    lock.lock().unwrap();
    let began = Instant::now();
    env.hfdl(["download", "acme/tiny", "-v", "-c", "download.retries=1"])
        .exits(5)
        .explains("answered HTTP 503")
        .explains("`acme/tiny: held.bin`: another process is fetching it; waiting up to 10 s");
    assert!(
        began.elapsed() < Duration::from_secs(6),
        "{:?}",
        began.elapsed()
    );
}

/// Writes the note of a file as the official client does: later than the file.
fn note_officially(dir: &Path, commit: &str, name: &str, bytes: &[u8]) {
    let notes = dir.join(".cache/huggingface/download");
    fs::create_dir_all(&notes).unwrap();
    let etag = hfdl_test_hub::git_blob_id(bytes);
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let note = format!("{commit}\n{etag}\n{}\n", at.as_secs_f64() + 60.0);
    fs::write(notes.join(format!("{name}.metadata")), note).unwrap();
}

#[test]
fn files_that_are_gone_upstream_are_deleted_though_the_official_client_renewed_their_notes() {
    let env = world();
    let dir = env.root().join("out");
    let to = dir.to_string_lossy().into_owned();
    let repo = env.hub().repo("acme/tiny");
    let commit = repo.commit("main").file("config.json", b"{}");
    let commit = commit.file("old.txt", b"old").file("mine.txt", b"theirs");
    let first = commit.file("by-hf.txt", b"hf").publish();
    // The official client has put one of the files there before.
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("by-hf.txt"), b"hf").unwrap();
    note_officially(&dir, &first, "by-hf.txt", b"hf");
    env.hfdl(["download", "acme/tiny", "--to", &to]).succeeds();

    note_officially(&dir, &first, "old.txt", b"old");
    // Notes tell the time and the content of a file, and both may be wrong.
    fs::write(dir.join("mine.txt"), b"changed").unwrap();
    note_officially(&dir, &first, "mine.txt", b"theirs");
    fs::write(dir.join("note.txt"), b"of the user").unwrap();
    note_officially(&dir, &first, "note.txt", b"of the user");
    let gone = repo.commit("main").remove("old.txt").remove("mine.txt");
    gone.remove("by-hf.txt").publish();
    let ran = env.hfdl(["download", "acme/tiny", "--to", &to, "--delete", "--json"]);
    ran.succeeds();
    assert_eq!(ran.json()["sessions"][0]["files"]["deleted"], 2);
    assert!(!dir.join("old.txt").exists(), "the note was renewed");
    assert!(
        !dir.join("by-hf.txt").exists(),
        "of an earlier commit, by hf"
    );
    assert_eq!(fs::read(dir.join("mine.txt")).unwrap(), b"changed");
    assert_eq!(fs::read(dir.join("note.txt")).unwrap(), b"of the user");
}

#[test]
fn a_file_that_the_official_client_holds_is_waited_for_and_not_for_ever() {
    let env = world();
    publish_tiny(&env);
    let dir = env.root().join("out");
    let notes = dir.join(".cache/huggingface/download");
    fs::create_dir_all(&notes).unwrap();
    let lock = fs::File::create(notes.join("config.json.lock")).unwrap();
    lock.lock().unwrap();
    let to = dir.to_string_lossy().into_owned();
    env.hfdl(["download", "acme/tiny", "--to", &to, "-v"])
        .succeeds()
        .explains("config.json.lock` is locked by another program; waiting up to 2 s");
    assert!(dir.join("config.json").exists());
}

#[test]
fn one_file_by_hand_prints_its_path_and_does_not_hide_the_others() {
    let env = world();
    let old = publish_tiny(&env);
    env.hfdl(["download", "acme/tiny"]).succeeds();
    let new = env
        .hub()
        .repo("acme/tiny")
        .commit("main")
        .file("config.json", b"new")
        .publish();
    let ran = env.hfdl(["download", "acme/tiny", "config.json"]);
    ran.succeeds();
    assert_eq!(printed_path(&ran), snapshot(&env, &new).join("config.json"));
    assert_eq!(fs::read(printed_path(&ran)).unwrap(), b"new");
    assert_eq!(
        main_ref(&env),
        old,
        "readers of the branch still see the whole model"
    );
    env.hfdl(["download", "acme/tiny", "nope.json"])
        .exits(2)
        .explains("no file `nope.json`")
        .explains("it has 3 files: `config.json`");
    env.hfdl(["download", "acme/tiny", "config.json", "--include", "x"])
        .exits(2);
}

#[test]
fn patterns_choose_files() {
    let env = world();
    let commit = publish_tiny(&env);
    env.hfdl([
        "download",
        "acme/tiny",
        "--include",
        "*.json",
        "--include",
        "sub/",
        "--exclude",
        "*empty*",
    ])
    .succeeds();
    let names: Vec<_> = fs::read_dir(snapshot(&env, &commit))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["config.json"]);
}

#[test]
fn a_dry_run_tells_the_bytes_and_leaves_no_trace() {
    let env = world();
    publish_tiny(&env);
    let ran = env.hfdl(["download", "acme/tiny", "--dry-run", "--json"]);
    ran.succeeds();
    let plan = ran.json();
    assert_eq!(plan["models"][0]["bytes"]["to_fetch"], 3 * MIB as u64 + 8);
    assert!(!env.home().exists(), "no state");
    assert!(!env.cache().exists(), "no cache");
}

#[test]
fn a_transfer_budget_ends_the_run_and_the_next_goes_on() {
    let env = world();
    env.hub()
        .repo("acme/tiny")
        .commit("main")
        .lfs_generated("model.safetensors", 64 * MIB as u64, 3)
        .publish();
    env.hfdl(["download", "acme/tiny", "--max-transfer", "20M"])
        .exits(8)
        .explains("is incomplete: 20.0 MiB of 64.0 MiB are here");
    assert_eq!(outcomes(&env), [("partial".to_owned(), None)]);
    let ran = env.hfdl(["download", "acme/tiny", "--json"]);
    ran.succeeds();
    assert!(bytes_fetched(&ran) < 64 * MIB as u64);
}

#[test]
fn a_download_that_does_not_fit_is_refused_before_any_byte() {
    let env = world();
    publish_tiny(&env);
    env.hfdl(["download", "acme/tiny", "-c", "disk.reserve=4P"])
        .exits(6)
        .explains("it needs 3.00 MiB more");
    assert!(env.hub().downloads("model.safetensors").is_empty());
}

#[test]
fn a_held_lock_has_its_own_exit_code_and_is_recorded() {
    let env = world();
    publish_tiny(&env);
    env.hfdl(["download", "acme/tiny"]).succeeds();
    let lock = fs::File::options()
        .write(true)
        .open(env.home().join("run.lock"))
        .unwrap();
    lock.lock().unwrap();
    env.hfdl(["download", "acme/tiny"])
        .exits(11)
        .explains("another run holds the lock");
    env.hfdl(["download", "acme/tiny", "--wait=1s"]).exits(11);
    assert!(env.database_content().contains("skipped-locked"));
    drop(lock);
    env.hfdl(["download", "acme/tiny"]).succeeds();
}

#[test]
fn hostile_names_touch_nothing_outside() {
    for name in [
        "../evil",
        "/abs",
        "a/../../evil",
        "C:evil",
        "a\\\\..\\\\evil",
        "a//b",
        "./x",
    ] {
        let env = world();
        let entry = format!(
            r#"{{"type":"file","oid":"{}","size":1,"path":"{name}"}}"#,
            "a".repeat(40)
        );
        env.hub()
            .repo("acme/tiny")
            .commit("main")
            .file("config.json", b"{}")
            .raw_entry(&entry)
            .publish();
        let ran = env.hfdl(["download", "acme/tiny"]);
        assert_ne!(ran.code(), Some(0), "{name}: {}", ran.report());
        assert!(!ran.stderr().contains("panicked"), "{}", ran.report());
        assert!(!repo_folder(&env).join("refs/main").exists());
    }
}

#[test]
fn odd_but_real_mirrors_work() {
    for (name, shape) in [
        ("hugging face", Shape::hugging_face()),
        ("olah", Shape::olah()),
        ("caching proxy", Shape::caching_proxy()),
        ("kohaku", Shape::kohaku()),
    ] {
        let env = world();
        let hub = TestHub::builder()
            .shape(shape)
            .prefix("/artifactory/api/huggingfaceml/x")
            .start();
        let bytes = generated_bytes(20 * MIB, 5);
        let commit = hub
            .repo("acme/tiny")
            .commit("main")
            .file("config.json", b"{}")
            .lfs("model.safetensors", bytes.clone())
            .publish();
        env.set("HF_ENDPOINT", &hub.endpoint());
        let ran = env.hfdl(["download", "acme/tiny"]);
        assert_eq!(
            ran.code(),
            Some(0),
            "{name}: {}\n{}",
            ran.report(),
            hub.describe_requests()
        );
        assert_eq!(
            fs::read(snapshot(&env, &commit).join("model.safetensors")).unwrap(),
            bytes,
            "{name}"
        );
    }
}

#[test]
fn a_revision_that_moves_in_the_middle_does_not_mix() {
    let env = world();
    let old = publish_tiny(&env);
    let repo = env.hub().repo("acme/tiny");
    env.hub().before(On::api(Api::Tree).times(1), move || {
        repo.commit("main").file("config.json", b"moved").publish();
    });
    env.hfdl(["download", "acme/tiny"]).succeeds();
    assert_eq!(main_ref(&env), old);
    assert_eq!(
        fs::read(snapshot(&env, &old).join("config.json")).unwrap(),
        b"{\"a\": 1}"
    );
}

#[test]
fn a_registered_name_uses_what_is_stored_and_its_state_is_kept() {
    let env = world();
    let commit = publish_tiny(&env);
    env.hfdl([
        "models",
        "add",
        "acme/tiny",
        "--name",
        "t",
        "--include",
        "*.json",
        "--tag",
        "x",
    ])
    .succeeds();
    env.hfdl(["download", "--tag", "x"]).succeeds();
    assert!(!snapshot(&env, &commit).join("model.safetensors").exists());
    let shown = env.hfdl(["models", "show", "t", "--json"]);
    let shown = shown.json();
    assert_eq!(shown["published_commit"], commit.as_str());
    assert_eq!(shown["state"], "ok");
    assert_eq!(shown["sessions"][0]["outcome"], "updated");
    env.hfdl(["download", "--tag", "nobody"]).exits(2);
    let nothing = TestEnv::new();
    nothing.hfdl(["download", "--all"]).succeeds().silently();
}

#[test]
fn the_next_process_knows_that_the_hub_allows_no_more_requests() {
    let env = world();
    publish_tiny(&env);
    let hub = env.hub();
    let used_up = Fault::Header("RateLimit".to_owned(), "\"api\";r=0;t=120".to_owned());
    hub.fault(On::any(), used_up);
    env.hfdl(["download", "acme/tiny"]).succeeds();
    hub.heal();
    let waiting = "the Hub allows no more requests until 2026-03-01T09:02:00Z";
    env.hfdl(["download", "acme/tiny", "-v"])
        .succeeds()
        .explains(waiting);
    env.now("2026-03-01T09:02:01Z");
    let later = env.hfdl(["download", "acme/tiny", "-v"]);
    assert!(
        !later.stderr().contains("allows no more"),
        "{}",
        later.report()
    );
}

#[test]
fn a_token_file_that_cannot_be_read_needs_a_person() {
    let env = world();
    publish_tiny(&env);
    // A folder cannot be read as a file, not even by root.
    env.set("HF_TOKEN_PATH", env.root().to_str().unwrap());
    env.hfdl(["download", "acme/tiny"])
        .exits(4)
        .explains("cannot read the token file")
        .explains("HF_TOKEN_PATH");
    assert!(
        env.hub().requests().is_empty(),
        "nothing is asked without it"
    );
}
