//! Broken places: something else is where hfdl expects a file or a folder.
//!
//! Each row breaks one place, runs a command, and names the exit code and parts of the
//! error, which always has a next step. Linux only: the texts of the system differ elsewhere.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use hfdl_test_hub::{Fault, On};

use crate::support::database::damage_behind_the_first_pages;
use crate::support::env::TestEnv;

/// A home with one model, which the hub has.
fn world() -> TestEnv {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    let commit = env.hub().repo("acme/tiny").commit("main");
    commit.file("config.json", b"{}").publish();
    env.line("models add acme/tiny").succeeds();
    env
}

struct Row {
    name: &'static str,
    breaks: fn(&TestEnv),
    line: &'static str,
    code: i32,
    says: &'static [&'static str],
}

fn folder_at(path: PathBuf) {
    let _ = fs::remove_file(&path);
    fs::create_dir_all(path).unwrap();
}

fn loop_at(path: PathBuf) {
    let _ = fs::remove_dir_all(&path);
    symlink(path.file_name().unwrap(), &path).unwrap();
}

fn file_at(path: PathBuf) {
    let _ = fs::remove_dir_all(&path);
    fs::write(path, "a file").unwrap();
}

/// Makes an entry of a folder outside the home, and names it in a variable.
fn named_by(env: &TestEnv, variable: &str, make: fn(PathBuf)) {
    let path = env.root().join("work/named");
    make(path.clone());
    env.set(variable, &path.to_string_lossy());
}

const CIRCLE: &str = "next: symbolic links on this path lead round in a circle";

#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row { name: "a folder in place of the lock", breaks: |env| folder_at(env.home().join("run.lock")),
        line: "run-due", code: 6, says: &["run.lock` is a folder where a plain file must be", "next: move it away"] },
    Row { name: "a folder in place of the database", breaks: |env| folder_at(env.database()),
        line: "models list", code: 1, says: &["hfdl.db`", "next: this path is a directory"] },
    Row { name: "an empty database", breaks: |env| file_at(env.database()),
        line: "models list", code: 1, says: &["hfdl.db`", "it is not an SQLite file", "begin anew with `hfdl apply`"] },
    Row { name: "a file in place of the home", breaks: |env| file_at(env.home()),
        line: "run-due", code: 1, says: &["hfdl.db`", "next: a part of this path is a file"] },
    Row { name: "a home that is a circle of links", breaks: |env| loop_at(env.home()),
        line: "download acme/tiny", code: 1, says: &["state", CIRCLE] },
    Row { name: "a file in place of the cache", breaks: |env| file_at(env.cache()),
        line: "download acme/tiny", code: 1, says: &["hub`", "next: something else has this name"] },
    Row { name: "a cache that is a circle of links", breaks: |env| loop_at(env.cache()),
        line: "download acme/tiny", code: 1, says: &["hub", "next: "] },
    Row { name: "a folder in place of the token", breaks: |env| named_by(env, "HF_TOKEN_PATH", folder_at),
        line: "models add acme/two", code: 4, says: &["work/named`", "next: make it a file that this user can read"] },
    Row { name: "a token that is a circle of links", breaks: |env| named_by(env, "HF_TOKEN_PATH", loop_at),
        line: "models add acme/two", code: 4, says: &["work/named`", "next: make it a file that this user can read"] },
    Row { name: "certificates that are no certificates", breaks: |env| named_by(env, "SSL_CERT_FILE", file_at),
        line: "models add acme/two", code: 1, says: &["work/named`", "next: name a readable file of certificates"] },
    Row { name: "a folder in place of a file to apply", breaks: |env| folder_at(env.root().join("work/x.yaml")),
        line: "apply -f x.yaml", code: 2, says: &["x.yaml`", "next: name a file"] },
    Row { name: "an output below a folder that is not there", breaks: |_| {},
        line: "export --format yaml --output missing/x", code: 2, says: &["has no option `--output`", "next: "] },
    Row { name: "a bill of materials below a folder that is not there", breaks: |_| {},
        line: "sbom --output missing/x", code: 1, says: &["missing/x`", "next: check that this path exists"] },
    Row { name: "a file in place of the folder of the manual", breaks: |env| file_at(env.root().join("work/man")),
        line: "man man", code: 1, says: &["`man`", "next: something else has this name"] },
    Row { name: "a path to adopt that is not there", breaks: |_| {},
        line: "adopt missing", code: 2, says: &["`missing`", "next: name files and folders that exist"] },
    Row { name: "a login page in place of the Hub", breaks: |env| answer(env, "text/html; charset=utf-8", b"<html>log in"),
        line: "models add acme/two", code: 1, says: &["sent a web page in place of data", "next: log in to this network with a browser"] },
    Row { name: "a login page in place of the Hub, for a download", breaks: |env| answer(env, "text/html", b"<html>log in"),
        line: "download acme/tiny", code: 1, says: &["sent a web page in place of data", "next: log in to this network with a browser"] },
    Row { name: "an empty answer", breaks: |env| answer(env, "application/json", b""),
        line: "models add acme/two", code: 1, says: &["is not usable: it is empty", "next: check that `HF_ENDPOINT`"] },
    Row { name: "an answer that is not JSON", breaks: |env| answer(env, "application/json", b"Bad gateway"),
        line: "models outdated", code: 1, says: &["it is not JSON", "next: check that `HF_ENDPOINT`"] },
    Row { name: "an error page of a proxy", breaks: |env| refuse(env, 502),
        line: "models outdated", code: 5, says: &["HTTP 502", "next: run it again in some minutes\n"] },
    Row { name: "a Hub that fails while a file is checked", breaks: |env| { refuse(env, 503); wanted(env); },
        line: "apply -f wanted.yaml --check", code: 5, says: &["HTTP 503", "next: run it again in some minutes\n"] },
    Row { name: "a refused connection", breaks: |env| { env.set("HF_ENDPOINT", "http://127.0.0.1:1"); },
        line: "models outdated", code: 5, says: &["the connection was refused", "next: check that the server runs"] },
];

fn answer(env: &TestEnv, kind: &str, body: &[u8]) {
    env.hub()
        .fault(On::any(), Fault::Garbage(kind.to_owned(), body.to_vec()));
}

fn refuse(env: &TestEnv, status: u16) {
    let page = "<html>Bad gateway".to_owned();
    env.hub()
        .fault(On::any(), Fault::Refusal(status, Vec::new(), page));
}

fn wanted(env: &TestEnv) {
    let text = "version: 1\nmodels: [{repo: acme/new}]\n";
    fs::write(env.root().join("work/wanted.yaml"), text).unwrap();
}

#[test]
fn each_broken_place_is_named_with_a_next_step() {
    let mut wrong = String::new();
    for row in ROWS {
        let env = world();
        (row.breaks)(&env);
        let ran = env.line(row.line);
        let mut missing: Vec<&str> = row.says.to_vec();
        missing.push("next: ");
        missing.retain(|words| !ran.stderr().contains(words));
        if !missing.is_empty() || ran.code() != Some(row.code) {
            wrong += &format!("{}: lacks {missing:?}\n{}\n", row.name, ran.report());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn damage_behind_the_first_page_names_the_file_and_the_copy_in_every_command() {
    let env = world();
    damage_behind_the_first_pages(&env);
    fs::write(env.home().join("hfdl.db.before-v13"), "a copy").unwrap();
    let place = format!("`{}`", env.database().display());
    let mut n_named = 0;
    for line in [
        "status",
        "models list",
        "models show acme/tiny",
        "models set acme/tiny --priority 3",
        "models remove acme/tiny --yes",
        "models outdated",
        "schedules list",
        "run-due",
        "download acme/tiny",
        "verify",
        "prune --yes",
        "sessions list",
        "runs list",
        "report",
        "export",
        "pause",
        "config list",
        "updates list",
        "doctor",
        "stop",
        "start --dry-run",
    ] {
        let ran = env.line(line);
        let text = format!("{}{}", ran.stdout(), ran.stderr());
        if !text.contains("damaged") {
            continue;
        }
        n_named += 1;
        assert!(text.contains(&place), "{}", ran.report());
        assert!(text.contains("hfdl.db.before-v13"), "{}", ran.report());
        assert!(!text.contains("malformed"), "{}", ran.report());
    }
    assert!(n_named > 10, "only {n_named} commands found the damage");
}

#[test]
fn too_few_open_files_are_named_with_the_way_to_allow_more() {
    let env = world();
    let ran = env.hfdl_after("ulimit -n 9", ["download", "acme/tiny"]);
    assert_ne!(ran.code(), Some(0), "{}", ran.report());
    ran.explains("ulimit -n");
    env.line("download acme/tiny").succeeds();
}

#[test]
fn an_error_of_a_refused_line_is_json_where_the_line_asks_for_it() {
    let env = world();
    for line in [
        "models lsit --log-format json",
        "--log-format=json models list --tga x",
    ] {
        let ran = env.line(line);
        ran.exits(2);
        let error: serde_json::Value = serde_json::from_str(ran.stderr().trim()).unwrap();
        let next = error["hint"].as_str().unwrap();
        assert!(next.starts_with("did you mean "), "{}", ran.report());
    }
}
