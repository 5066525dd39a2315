//! `hfdl verify` against a real hub on loopback, with the real binary.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use hfdl_test_hub::{Api, Fault, On, generated_bytes};
use serde_json::Value;

use crate::support::cache::has_blobs;
use crate::support::damage::{overwrite, rot};
use crate::support::database::ask;
use crate::support::env::{Ran, TestEnv};
use crate::support::sound::say;

const MIB: usize = 1 << 20;

pub fn world() -> TestEnv {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    env
}

pub fn model_bytes() -> Vec<u8> {
    generated_bytes(3 * MIB, 1)
}

/// Publishes, registers and downloads a model with a large file and two small ones.
pub fn kept(env: &TestEnv) -> String {
    let commit = env
        .hub()
        .repo("acme/tiny")
        .commit("main")
        .file("config.json", b"{\"a\": 1}")
        .file("sub/empty.txt", b"")
        .lfs("model.safetensors", model_bytes())
        .publish();
    env.hfdl(["models", "add", "acme/tiny"]).succeeds();
    env.hfdl(["download", "acme/tiny"]).succeeds();
    env.hub().forget_requests();
    commit
}

fn repo_folder(env: &TestEnv) -> PathBuf {
    env.cache().join("models--acme--tiny")
}

pub fn in_snapshot(env: &TestEnv, commit: &str, file: &str) -> PathBuf {
    repo_folder(env).join("snapshots").join(commit).join(file)
}

/// Returns where the bytes of a published file lie.
pub fn blob(env: &TestEnv, commit: &str, file: &str) -> PathBuf {
    let entry = in_snapshot(env, commit, file);
    if entry.is_symlink() {
        fs::canonicalize(entry).unwrap()
    } else {
        entry
    }
}

/// Returns outcome and kind of error of the last session.
pub fn last_session(env: &TestEnv) -> (String, Option<String>) {
    let list = env.line("sessions list --limit 1 --json").json();
    let word = |name: &str| list["sessions"][0][name].as_str().map(str::to_owned);
    (word("outcome").unwrap(), word("error_kind"))
}

/// Returns the names of the files that were verified at an instant, sorted.
fn verified_at(env: &TestEnv, at: &str) -> Vec<String> {
    let sql = format!("SELECT path FROM blobs WHERE verified_at = unixepoch('{at}') ORDER BY path");
    let name = |path: &String| {
        let name = Path::new(path).file_name().unwrap();
        name.to_str().unwrap().to_owned()
    };
    ask(env, &sql).iter().map(name).collect()
}

pub fn only_model(ran: &Ran) -> Value {
    let document = ran.json();
    assert_eq!(document["schema"], "hfdl.verify/1");
    let models = document["models"].as_array().unwrap().clone();
    assert_eq!(models.len(), 1, "{}", ran.report());
    models[0].clone()
}

/// Checks that every file can be read under its name, with the right bytes.
pub fn readers_see_all(env: &TestEnv, commit: &str) {
    let read = |file: &str| fs::read(in_snapshot(env, commit, file)).unwrap();
    assert_eq!(read("config.json"), b"{\"a\": 1}");
    assert_eq!(read("sub/empty.txt"), b"");
    assert!(read("model.safetensors") == model_bytes());
}

#[test]
fn a_good_cache_is_proven_without_a_request() {
    let env = world();
    kept(&env);
    env.now("2026-03-02T09:00:00Z");
    let ran = env.hfdl(["verify", "--json"]);
    let model = only_model(ran.succeeds().silently());
    assert_eq!(model["outcome"], "up-to-date");
    assert_eq!(model["files"]["verified"], 3);
    assert_eq!(model["bytes"]["verified"], 3 * MIB as u64 + 8);
    assert_eq!(model["bad"], Value::Array(Vec::new()));
    assert!(env.hub().requests().is_empty());
    assert_eq!(verified_at(&env, "2026-03-02T09:00:00Z").len(), 3);
    assert_eq!(last_session(&env), ("up-to-date".to_owned(), None));
    env.hfdl(["verify", "acme/tiny"])
        .succeeds()
        .silently()
        .prints("3 of 3");
    let shown = env.hfdl(["models", "show", "acme/tiny", "--json"]).json();
    assert_eq!(
        shown["last_check_at"], "2026-03-01T09:00:00Z",
        "whoever verifies has not asked the Hub"
    );
}

type Harm = fn(&Path);

#[test]
fn a_bad_file_is_named_and_repaired_alone() {
    let harms: [(&str, Harm); 3] = [
        ("wrong-bytes", |path| rot(path)),
        ("wrong-size", |path| {
            let bytes = fs::read(path).unwrap();
            overwrite(path, &bytes[..MIB]);
        }),
        ("missing", |path| fs::remove_file(path).unwrap()),
    ];
    for (reason, harm) in harms {
        let env = world();
        let commit = kept(&env);
        let path = blob(&env, &commit, "model.safetensors");
        harm(&path);
        let harmed = fs::read(&path).ok();
        // Upstream goes on; the repair does not.
        let newer = env
            .hub()
            .repo("acme/tiny")
            .commit("main")
            .file("config.json", b"new")
            .publish();

        let ran = env.hfdl(["verify", "--json"]);
        ran.exits(3).explains("`acme/tiny` is damaged");
        let model = only_model(&ran);
        assert_eq!(model["bad"][0]["path"], "model.safetensors");
        assert_eq!(model["bad"][0]["reason"], reason);
        assert_eq!(model["bad"][0]["repaired"], false);
        assert_eq!(model["files"]["verified"], 2);
        let failed = ("failed".to_owned(), Some("integrity".to_owned()));
        assert_eq!(last_session(&env), failed);
        assert_eq!(
            fs::read(&path).ok(),
            harmed,
            "without --repair nothing changes"
        );
        assert!(env.hub().requests().is_empty());

        let ran = env.hfdl(["verify", "--repair", "--json"]);
        let model = only_model(ran.succeeds().silently());
        assert_eq!(model["outcome"], "repaired", "{reason}");
        assert_eq!(model["bad"][0]["repaired"], true);
        assert_eq!(model["bytes"]["fetched"], 3 * MIB as u64);
        assert_eq!(last_session(&env), ("repaired".to_owned(), None));
        assert!(!env.hub().downloads("model.safetensors").is_empty());
        assert!(env.hub().downloads("config.json").is_empty());
        assert_eq!(env.hub().count(Api::Tree), 0);
        readers_see_all(&env, &commit);
        let main = fs::read_to_string(repo_folder(&env).join("refs/main")).unwrap();
        assert_eq!(main, commit, "the ref stays, whatever is upstream");
        assert_ne!(main, newer);
        env.hfdl(["verify"]).succeeds().silently();
    }
}

#[test]
fn a_file_that_lost_its_name_gets_it_back_for_nothing_else() {
    let env = world();
    let commit = kept(&env);
    fs::remove_file(in_snapshot(&env, &commit, "config.json")).unwrap();
    env.hfdl(["verify"])
        .exits(3)
        .explains("`config.json` is missing");
    env.hfdl(["verify", "--repair"])
        .succeeds()
        .prints("repaired");
    assert!(env.hub().downloads("model.safetensors").is_empty());
    readers_see_all(&env, &commit);
}

#[test]
fn a_repair_without_the_hub_loses_nothing_and_says_so() {
    let env = world();
    let commit = kept(&env);
    let path = blob(&env, &commit, "model.safetensors");
    rot(&path);
    let rotten = fs::read(&path).unwrap();
    env.hub().fault(On::any(), Fault::Status(503));
    let ran = env.hfdl(["verify", "--repair", "-c", "download.retries=0", "--json"]);
    ran.exits(5)
        .explains("could not repair `acme/tiny`: 1 bad file as before");
    assert_eq!(only_model(&ran)["bad"][0]["repaired"], false);
    assert!(fs::read(&path).unwrap() == rotten);
    env.hub().heal();
    env.hfdl(["verify", "--repair"]).succeeds();
    readers_see_all(&env, &commit);
}

#[test]
fn a_cache_without_symbolic_links_is_repaired_too() {
    let env = world();
    env.set("HF_HUB_DISABLE_SYMLINKS", "1");
    let commit = kept(&env);
    let entry = in_snapshot(&env, &commit, "model.safetensors");
    assert!(!entry.is_symlink());
    rot(&entry);
    env.hfdl(["verify"]).exits(3);
    env.hfdl(["verify", "--repair"]).succeeds();
    assert!(env.hub().downloads("config.json").is_empty());
    readers_see_all(&env, &commit);
    env.hfdl(["verify"]).succeeds().prints("3 of 3");
}

#[test]
fn a_ref_that_another_program_moved_stays_where_that_put_it() {
    let env = world();
    let commit = kept(&env);
    let other = "0123456789".repeat(4);
    fs::create_dir(repo_folder(&env).join("snapshots").join(&other)).unwrap();
    let main = repo_folder(&env).join("refs/main");
    fs::write(&main, &other).unwrap();
    rot(&blob(&env, &commit, "config.json"));
    env.hfdl(["verify", "--repair"]).succeeds();
    readers_see_all(&env, &commit);
    assert_eq!(fs::read_to_string(&main).unwrap(), other);
}

#[test]
fn wrong_bytes_do_not_replace_wrong_bytes() {
    let env = world();
    let commit = kept(&env);
    let path = blob(&env, &commit, "model.safetensors");
    rot(&path);
    let rotten = fs::read(&path).unwrap();
    env.hub()
        .fault(On::cdn("model.safetensors"), Fault::FlipByteAt(1000));
    env.hfdl(["verify", "--repair"]).exits(3);
    assert!(fs::read(&path).unwrap() == rotten);
}

#[test]
fn one_bad_model_does_not_hide_behind_a_good_one() {
    let env = world();
    let commit = kept(&env);
    env.hub()
        .repo("acme/good")
        .commit("main")
        .file("config.json", b"{}")
        .publish();
    env.hfdl(["models", "add", "acme/good"]).succeeds();
    env.hfdl([
        "models",
        "add",
        "acme/tiny",
        "--name",
        "later",
        "--revision",
        &commit,
        "--no-check",
    ])
    .succeeds();
    env.hfdl(["download", "acme/good"]).succeeds();
    rot(&blob(&env, &commit, "config.json"));
    let ran = env.hfdl(["verify", "--json"]);
    ran.exits(3);
    let document = ran.json();
    let outcome = |name: &str| {
        let models = document["models"].as_array().unwrap();
        let found = models.iter().find(|model| model["model"] == name);
        found.unwrap()["outcome"].clone()
    };
    assert_eq!(outcome("acme/good"), "up-to-date");
    assert_eq!(outcome("acme/tiny"), "failed");
    // This model was never downloaded, but the snapshot of its commit is there,
    // and it is damaged.
    assert_eq!(outcome("later"), "failed");
    env.hfdl(["verify", "acme/good"]).succeeds();
}

#[test]
fn a_model_that_was_never_downloaded_is_skipped() {
    let env = world();
    env.hub()
        .repo("acme/tiny")
        .commit("main")
        .file("a.txt", b"a")
        .publish();
    env.hfdl(["models", "add", "acme/tiny"]).succeeds();
    env.hfdl(["verify"]).succeeds().prints("never-downloaded");
    assert_eq!(last_session(&env).0, "skipped");
}

#[test]
fn a_sample_takes_what_was_verified_longest_ago() {
    let env = world();
    let draft = env.hub().repo("acme/tiny").commit("main");
    let files = [("a", 1), ("b", 2), ("c", 3)];
    let draft = files.iter().fold(draft, |draft, (name, seed)| {
        draft.lfs(name, generated_bytes(MIB, *seed))
    });
    let commit = draft.publish();
    env.hfdl(["models", "add", "acme/tiny"]).succeeds();
    env.hfdl(["download", "acme/tiny"]).succeeds();
    let name = |file| {
        let path = blob(&env, &commit, file);
        path.file_name().unwrap().to_str().unwrap().to_owned()
    };
    for (day, file) in [(2, "a"), (3, "b"), (4, "c"), (5, "a")] {
        let at = format!("2026-03-0{day}T09:00:00Z");
        env.now(&at);
        let ran = env.hfdl(["verify", "--sample", "1M", "--json"]);
        assert_eq!(only_model(ran.succeeds())["files"]["verified"], 1);
        assert_eq!(verified_at(&env, &at), [name(file)], "on day {day}");
    }
    rot(&blob(&env, &commit, "c"));
    env.now("2026-03-06T09:00:00Z");
    env.hfdl(["verify", "--sample", "1M"]).succeeds();
    env.hfdl(["verify", "--sample", "1M"])
        .exits(3)
        .explains("`c` does not hash");
    // A missing file costs no byte to find, so a sample does not overlook it.
    fs::remove_file(blob(&env, &commit, "b")).unwrap();
    env.hfdl(["verify", "--sample", "0"])
        .exits(3)
        .explains("`b` is missing");
}

#[test]
fn offline_means_no_request_even_without_a_listing() {
    let env = world();
    let commit = kept(&env);
    for folder in ["trees", ".hfdl/trees"] {
        fs::remove_dir_all(repo_folder(&env).join(folder)).unwrap();
    }
    let ran = env.hfdl(["verify", "--offline", "--json"]);
    ran.succeeds().explains("verified by their names");
    let model = only_model(&ran);
    assert_eq!(model["known_by"], "blob-names");
    if !has_blobs() {
        assert_eq!(model["files"]["unknown"], 3);
        return say("not tested: without links there are no blobs");
    }
    assert_eq!(model["files"]["verified"], 3);
    rot(&blob(&env, &commit, "model.safetensors"));
    env.hfdl(["verify", "--offline"]).exits(3);
    assert!(env.hub().requests().is_empty());
    env.hfdl(["verify", "--offline", "--repair"]).exits(2);

    let ran = env.hfdl(["verify", "--repair", "--json"]);
    assert_eq!(only_model(ran.succeeds())["known_by"], "listing");
    assert_eq!(env.hub().count(Api::Tree), 1);
    readers_see_all(&env, &commit);
}

#[test]
fn a_listing_that_cannot_be_had_is_replaced_by_the_blobs_names() {
    let env = world();
    kept(&env);
    for folder in ["trees", ".hfdl/trees"] {
        fs::remove_dir_all(repo_folder(&env).join(folder)).unwrap();
    }
    env.hub().fault(On::any(), Fault::Status(503));
    let ran = env.hfdl(["verify", "--json"]);
    assert_eq!(only_model(ran.succeeds())["known_by"], "blob-names");
}

#[test]
fn an_unregistered_repository_of_the_cache_is_verified_as_far_as_it_is_there() {
    let env = world();
    let commit = env
        .hub()
        .repo("acme/tiny")
        .commit("main")
        .file("config.json", b"{}")
        .lfs("model.safetensors", model_bytes())
        .publish();
    env.hfdl(["download", "acme/tiny", "config.json"])
        .succeeds();
    let ran = env.hfdl(["verify", "acme/tiny", "--json"]);
    let model = only_model(ran.succeeds());
    assert_eq!(model["files"]["total"], 1);
    assert_eq!(model["model"], Value::Null);
    rot(&blob(&env, &commit, "config.json"));
    env.hub().forget_requests();
    env.hfdl(["verify", "acme/tiny", "--repair"])
        .succeeds()
        .prints("repaired");
    assert!(env.hub().downloads("model.safetensors").is_empty());
    assert!(!in_snapshot(&env, &commit, "model.safetensors").exists());
    env.hfdl(["verify", "acme/none"])
        .exits(2)
        .explains("the cache has no revision `main` of `acme/none`");
}

/// Downloads the model into a directory, and returns that.
pub fn kept_in_directory(env: &TestEnv) -> PathBuf {
    env.hub()
        .repo("acme/tiny")
        .commit("main")
        .file("config.json", b"{\"a\": 1}")
        .lfs("model.safetensors", model_bytes())
        .publish();
    let dir = env.root().join("out");
    let to = dir.to_string_lossy().into_owned();
    env.hfdl(["models", "add", "acme/tiny", "--to", &to])
        .succeeds();
    env.hfdl(["download", "acme/tiny"]).succeeds();
    env.hub().forget_requests();
    dir
}

#[test]
fn a_directory_is_verified_and_repaired_too() {
    let env = world();
    let dir = kept_in_directory(&env);
    env.hfdl(["verify"]).succeeds().silently();
    rot(&dir.join("model.safetensors"));
    let ran = env.hfdl(["verify", "--json"]);
    let model = only_model(ran.exits(3));
    assert_eq!(model["bad"][0]["reason"], "wrong-bytes");
    env.hfdl(["verify", "--repair"]).succeeds();
    assert!(fs::read(dir.join("model.safetensors")).unwrap() == model_bytes());
    assert!(env.hub().downloads("config.json").is_empty());
    fs::remove_file(dir.join("config.json")).unwrap();
    env.hfdl(["verify", "--repair"]).succeeds();
    assert_eq!(fs::read(dir.join("config.json")).unwrap(), b"{\"a\": 1}");
    assert!(!env.cache().join("models--acme--tiny").exists());
}

#[test]
fn an_edited_file_is_replaced_only_with_yes() {
    let env = world();
    let dir = kept_in_directory(&env);
    let config = dir.join("config.json");
    fs::write(&config, b"mine, my own").unwrap();
    let later =
        fs::metadata(&config).unwrap().modified().unwrap() + std::time::Duration::from_secs(3600);
    let file = File::options().write(true).open(&config).unwrap();
    file.set_modified(later).unwrap();
    drop(file);
    rot(&dir.join("model.safetensors"));

    let ran = env.hfdl(["verify", "--repair", "--json"]);
    ran.exits(3).explains("--repair --yes");
    let model = only_model(&ran);
    assert_eq!(model["bad"][0]["reason"], "changed");
    assert_eq!(model["bad"][0]["repaired"], false);
    assert_eq!(model["bad"][1]["reason"], "wrong-bytes");
    assert_eq!(model["bad"][1]["repaired"], true);
    assert_eq!(fs::read(&config).unwrap(), b"mine, my own");
    assert!(fs::read(dir.join("model.safetensors")).unwrap() == model_bytes());
    env.hfdl(["verify", "--repair"]).exits(3);
    assert_eq!(fs::read(&config).unwrap(), b"mine, my own");

    env.hfdl(["verify", "--repair", "--yes"]).succeeds();
    assert_eq!(fs::read(&config).unwrap(), b"{\"a\": 1}");
}

#[test]
fn a_repair_that_does_not_fit_is_refused_before_any_byte() {
    let env = world();
    let commit = kept(&env);
    rot(&blob(&env, &commit, "model.safetensors"));
    env.hfdl(["verify", "--repair", "-c", "disk.reserve=4P"])
        .exits(6)
        .explains("it needs 3.00 MiB more");
    assert!(env.hub().requests().is_empty());
}

#[test]
fn a_held_lock_has_its_own_exit_code_and_is_recorded() {
    let env = world();
    kept(&env);
    let lock = File::options()
        .write(true)
        .open(env.home().join("run.lock"))
        .unwrap();
    lock.lock().unwrap();
    env.hfdl(["verify"])
        .exits(11)
        .explains("another run holds the lock");
    assert!(env.database_content().contains("skipped-locked"));
    drop(lock);
    env.hfdl(["verify", "-q"]).succeeds();
}

#[test]
fn with_nothing_registered_there_is_nothing_to_do() {
    let env = world();
    env.hfdl(["verify"]).succeeds().explains("no models");
    assert!(!env.home().exists());
}

#[test]
fn people_read_one_line_for_each_model_and_each_bad_file() {
    let env = world();
    let commit = kept(&env);
    rot(&blob(&env, &commit, "model.safetensors"));
    insta::assert_snapshot!(env.line("verify").picture(), @r"
    $ hfdl verify
    --- stdout
    MODEL      RESULT   COMMIT      VERIFIED  SIZE  BAD  KNOWN BY
    acme/tiny  damaged  ad2c689de8    2 of 3   8 B    1  listing

    MODEL      FILE               REASON       NOW
    acme/tiny  model.safetensors  wrong-bytes  bad
    --- stderr
    error: `acme/tiny` is damaged
    cause: 1 file is bad: `model.safetensors` does not hash to what it should
     next: `hfdl verify acme/tiny --repair` fetches again what is bad, at the same commit
    --- exit 3
    ");
    insta::assert_snapshot!(env.line("verify --repair").picture(), @r"
    $ hfdl verify --repair
    --- stdout
    MODEL      RESULT    COMMIT      VERIFIED      SIZE  BAD  KNOWN BY
    acme/tiny  repaired  ad2c689de8    3 of 3  3.00 MiB    1  listing

    MODEL      FILE               REASON       NOW
    acme/tiny  model.safetensors  wrong-bytes  repaired
    --- exit 0
    ");
    insta::assert_snapshot!(env.line("verify -q").picture(), @r"
    $ hfdl verify -q
    --- exit 0
    ");
}
