//! Checks that hold after every run and every kill: no damaged file under its
//! final name, no file outside, a sound database, no secret in any output.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use hfdl_test_hub::{git_blob_id, sha256_hex};

use super::env::{Ran, TestEnv};

/// The files of each commit that was ever published.
pub type Truth = BTreeMap<String, BTreeMap<String, Vec<u8>>>;

/// No secret of the hub may be in anything that stays or is shown.
const SECRETS: &[&str] = &["hf_geheim", "Signature=", "Policy=", "geheim"];

/// Prints a line into the output of a test: figures that explain a failure, or
/// the reason why a test was skipped.
#[allow(clippy::print_stdout)]
pub fn say(text: &str) {
    println!("{text}");
}

/// Returns all files and links below a folder, links not followed.
pub fn files_below(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Returns the first damage in the cache, the home or the files around them.
///
/// There is none at any moment, also right after a `kill -9`.
pub fn damage(env: &TestEnv, truth: &Truth) -> Result<(), String> {
    blobs_are_what_their_names_say(&env.cache())?;
    refs_lead_to_whole_snapshots(&env.cache(), truth)?;
    nothing_is_outside(env)?;
    database_is_sound(env)
}

fn blobs_are_what_their_names_say(cache: &Path) -> Result<(), String> {
    for path in files_below(cache) {
        let in_blobs = path.parent().is_some_and(|dir| dir.ends_with("blobs"));
        if !in_blobs || path.parent().unwrap().ends_with(".locks") {
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name != sha256_hex(&bytes) && name != git_blob_id(&bytes) {
            return Err(format!("blob `{name}` has other bytes"));
        }
    }
    Ok(())
}

fn refs_lead_to_whole_snapshots(cache: &Path, truth: &Truth) -> Result<(), String> {
    for path in files_below(cache) {
        let Some(folder) = path.ancestors().find(|dir| dir.ends_with("refs")) else {
            continue;
        };
        let commit = fs::read_to_string(&path).unwrap();
        let snapshot = folder.parent().unwrap().join("snapshots").join(&commit);
        let expected = truth
            .get(&commit)
            .ok_or_else(|| format!("`{}` holds `{commit}`", path.display()))?;
        for (name, bytes) in expected {
            match fs::read(snapshot.join(name)) {
                Ok(found) if found == *bytes => {}
                Ok(_) => return Err(format!("`{name}` at {commit} has wrong bytes")),
                Err(err) => return Err(format!("`{name}` at {commit}: {err}")),
            }
        }
        let entries = files_below(&snapshot).len();
        if entries != expected.len() {
            return Err(format!("the snapshot of {commit} has {entries} files"));
        }
    }
    Ok(())
}

fn nothing_is_outside(env: &TestEnv) -> Result<(), String> {
    for entry in fs::read_dir(env.root()).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_empty = || files_below(&entry.path()).is_empty();
        match name.as_str() {
            // The last two belong to tests, which check them themselves.
            "state" | "hub" | "out" | "outside" => {}
            "user" | "work" if is_empty() => {}
            _ => return Err(format!("`{name}` was not expected")),
        }
    }
    Ok(())
}

fn database_is_sound(env: &TestEnv) -> Result<(), String> {
    if !env.database().exists() {
        return Ok(());
    }
    let connection = rusqlite::Connection::open(env.database()).unwrap();
    let told: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .map_err(|err| format!("the database cannot be read: {err}"))?;
    if told == "ok" { Ok(()) } else { Err(told) }
}

/// Returns how many sessions have no end.
pub fn open_sessions(env: &TestEnv) -> i64 {
    count(env, "SELECT count(*) FROM sessions WHERE outcome IS NULL")
}

/// Returns how many runs have no end.
pub fn open_runs(env: &TestEnv) -> i64 {
    count(env, "SELECT count(*) FROM runs WHERE outcome IS NULL")
}

pub fn sessions(env: &TestEnv) -> i64 {
    count(env, "SELECT count(*) FROM sessions")
}

fn count(env: &TestEnv, sql: &str) -> i64 {
    let connection = rusqlite::Connection::open(env.database()).unwrap();
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Returns the first output or file that contains a secret.
pub fn leak(env: &TestEnv, ran: &Ran) -> Option<String> {
    let mut places = vec![
        ("stderr".to_owned(), ran.stderr().to_owned()),
        ("stdout".to_owned(), ran.stdout().to_owned()),
        ("the database".to_owned(), env.database_content()),
    ];
    for path in files_below(&env.home()) {
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        places.push((path.display().to_string(), text));
    }
    let secret_in = |text: &str| {
        SECRETS
            .iter()
            .find(|secret| text.contains(**secret))
            .copied()
    };
    places
        .into_iter()
        .find_map(|(place, text)| secret_in(&text).map(|secret| format!("`{secret}` in {place}")))
}
