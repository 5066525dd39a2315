//! Homes and caches that released versions wrote, in use by this one.
//!
//! `data/releases/record.py` records one for each release.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::Value;

use crate::support::database::ask_file;
use crate::support::env::TestEnv;

#[derive(Deserialize)]
struct Release {
    #[serde(skip)]
    version: String,
    database: Vec<String>,
    files: BTreeMap<String, String>,
    links: BTreeMap<String, String>,
}

/// Returns the recorded releases.
fn releases() -> Vec<Release> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/releases");
    let paths = fs::read_dir(folder).unwrap();
    let paths = paths.map(|entry| entry.unwrap().path());
    let mut recorded: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|it| it == "json"))
        .collect();
    recorded.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let version = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let release = serde_json::from_str::<Release>(&text).unwrap();
        Release { version, ..release }
    };
    recorded.into_iter().map(read).collect()
}

/// The commits of a recorded world, as the hub of this test names them.
struct Commits {
    first: String,
    second: String,
}

fn publish_notes(env: &TestEnv, weights: &str) -> String {
    let draft = env.hub().repo("acme/notes").commit("main").empty();
    let draft = draft.file(
        ".gitattributes",
        "*.bin filter=lfs diff=lfs merge=lfs -text\n",
    );
    let draft = draft.file("config.json", "{}\n");
    draft.lfs("weights.bin", weights.repeat(50)).publish()
}

fn publish_table(env: &TestEnv, rows: usize) -> String {
    let draft = env.hub().repo("datasets/acme/table").commit("main");
    let draft = draft.file("README.md", "A table\n");
    draft
        .file("data/rows.csv", "name,size\n".repeat(rows))
        .publish()
}

/// Puts the home and the cache of a release into a new environment, with a hub that
/// serves the same repositories.
fn restore(release: &Release) -> (TestEnv, Commits) {
    let env = TestEnv::new();
    let table = publish_table(&env, 100);
    let first = publish_notes(&env, "weights of the first version\n");
    let second = publish_notes(&env, "weights of the second version\n");
    let root = env.root().canonicalize().unwrap();
    let filled = |text: &str| {
        text.replace("@ROOT@", root.to_str().unwrap())
            .replace("@HUB@", &env.hub().endpoint())
            .replace("@HOST@", "host")
            .replace("@TABLE@", &table)
            .replace("@FIRST@", &first)
            .replace("@SECOND@", &second)
    };
    let place = |name: &str| {
        let path = root.join(filled(name));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    for (name, text) in &release.files {
        fs::write(place(name), filled(text)).unwrap();
    }
    for (name, target) in &release.links {
        symlink(filled(target), place(name)).unwrap();
    }
    let snapshots = root.join("hub/models--acme--notes/snapshots");
    for (commit, age) in [(&first, 2), (&second, 1)] {
        let folder = fs::File::open(snapshots.join(commit)).unwrap();
        let made = SystemTime::now() - Duration::from_secs(age * 86_400);
        folder.set_modified(made).unwrap();
    }
    let database = rusqlite::Connection::open(place("state/hfdl.db")).unwrap();
    let sql = filled(&release.database.join("\n"));
    // Rows stand in the order of the tables' names.
    let sql = format!("PRAGMA journal_mode = WAL; PRAGMA foreign_keys = OFF; {sql}");
    database.execute_batch(&sql).unwrap();
    env.hub().forget_requests();
    env.now("2026-03-02T03:00:00Z");
    (env, Commits { first, second })
}

fn schema_version(database: &Path) -> i64 {
    ask_file(database, "PRAGMA user_version")[0]
        .parse()
        .unwrap()
}

fn published(env: &TestEnv, name: &str) -> Value {
    let shown = env.hfdl(["models", "show", name, "--json"]);
    shown.succeeds().json()["published_commit"].clone()
}

/// Returns the number of requests for the content of a file.
fn content_requests(env: &TestEnv) -> usize {
    let requests = env.hub().requests();
    requests.iter().filter(|it| it.file.is_some()).count()
}

#[test]
fn every_released_version_has_a_recorded_home() {
    let recorded: Vec<String> = releases().into_iter().map(|it| it.version).collect();
    let log = include_str!("../../CHANGELOG.md").lines();
    let headings = log.filter_map(|line| line.strip_prefix("## "));
    let mut released: Vec<&str> = headings.filter_map(|it| it.split(' ').next()).collect();
    released.retain(|version| *version != env!("CARGO_PKG_VERSION"));
    released.sort_unstable();
    assert_eq!(recorded, released, "see tests/it/data/releases/record.py");
}

#[test]
fn an_old_database_is_read_as_its_own() {
    for release in releases() {
        let (env, commits) = restore(&release);
        let list = env.hfdl(["models", "list", "--json"]).succeeds().json();
        let names: Vec<&str> = list["models"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["name"].as_str().unwrap())
            .collect();
        let expected = ["acme/notes", "copy", "datasets/acme/table"];
        assert_eq!(names, expected, "{}", release.version);
        assert_eq!(published(&env, "acme/notes"), commits.second.as_str());
        env.line("schedules list").succeeds().prints("nightly");
        env.line("sessions list")
            .succeeds()
            .prints("datasets/acme/table");
        assert_eq!(env.hub().requests().len(), 0, "{}", release.version);
    }
}

#[test]
fn a_tick_goes_on_from_each_release_and_fetches_nothing_again() {
    for release in releases() {
        let (env, _) = restore(&release);
        let old = schema_version(&env.database());

        env.line("run-due").succeeds();
        assert_eq!(content_requests(&env), 0, "{}", release.version);
        let today = schema_version(&env.database());
        if old < today {
            let name = format!("hfdl.db.before-v{}", old + 1);
            assert_eq!(schema_version(&env.home().join(name)), old);
        }
        env.line("verify").succeeds();

        publish_table(&env, 101);
        env.line("download --all").succeeds();
        assert_eq!(env.hub().downloads("data/rows.csv").len(), 1);
        let requests = env.hub().requests();
        let files = requests.iter().filter_map(|it| it.file.as_deref());
        let others: Vec<&str> = files.filter(|it| *it != "data/rows.csv").collect();
        assert!(others.is_empty(), "{}: {others:?}", release.version);
    }
}

#[test]
fn the_revision_before_the_upgrade_comes_back_without_the_hub() {
    for release in releases() {
        let (env, commits) = restore(&release);
        env.line("models rollback acme/notes").succeeds();
        assert_eq!(published(&env, "acme/notes"), commits.first.as_str());
        let weights = env.cache().join("models--acme--notes/snapshots");
        let weights = weights.join(&commits.first).join("weights.bin");
        let text = fs::read_to_string(weights).unwrap();
        assert!(text.starts_with("weights of the first"));
        assert_eq!(env.hub().requests().len(), 0, "{}", release.version);
    }
}

#[test]
fn the_copy_of_the_old_database_is_the_way_back() {
    for release in releases() {
        let (env, _) = restore(&release);
        let old = schema_version(&env.database());
        env.line("run-due").succeeds();
        let copy = env.home().join(format!("hfdl.db.before-v{}", old + 1));
        if !copy.exists() {
            continue;
        }
        fs::copy(copy, env.database()).unwrap();
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(env.home().join(format!("hfdl.db{suffix}")));
        }
        assert_eq!(schema_version(&env.database()), old);
        env.line("run-due").succeeds();
        env.line("download --all").succeeds();
        assert_eq!(content_requests(&env), 0, "{}", release.version);
    }
}

#[test]
fn a_lost_database_is_made_anew_from_the_files_on_disk() {
    for release in releases() {
        let (env, commits) = restore(&release);
        let export = env.line("export").succeeds().stdout().to_owned();
        fs::remove_dir_all(env.home()).unwrap();

        let file = env.root().join("hfdl.yaml");
        fs::write(&file, export).unwrap();
        env.hfdl(["apply", "--file", file.to_str().unwrap()])
            .succeeds();
        env.line("download --all").succeeds();
        assert_eq!(content_requests(&env), 0, "{}", release.version);
        assert_eq!(published(&env, "acme/notes"), commits.second.as_str());
        env.line("models rollback acme/notes").succeeds();
        assert_eq!(published(&env, "acme/notes"), commits.first.as_str());
        env.line("verify").succeeds();
    }
}
