//! The layers of the source hold: who may import whom, and which package stays behind which border.
//!
//! The source is read as text: comments and literals are blanked, then each path
//! (`crate::a::b`, `super::c`, `use x::{y, z}`) is looked up in the tables below.
//! Unit tests at the end of a file are left out: they may build what they need.

use std::fs;
use std::path::Path;

use crate::support::source::{paths, tokens};

/// A module of the top level and the other ones that it may import.
const LAYERS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("sys", &["domain"]),
    // Below `notify`, because hooks and the terminal share the shapes.
    ("json", &["domain"]),
    ("manual", &[]),
    ("store", &["domain", "sys"]),
    ("hub", &["domain", "sys"]),
    ("xet", &["domain", "sys"]),
    ("download", &["domain", "sys"]),
    ("cache", &["domain", "sys"]),
    ("view", &["domain", "sys"]),
    ("timer", &["domain", "sys"]),
    ("notify", &["domain", "sys", "json"]),
    (
        "ops",
        &[
            "domain", "sys", "json", "store", "hub", "xet", "download", "cache", "view", "timer",
            "notify",
        ],
    ),
    ("ui", &["domain", "sys", "json"]),
    (
        "cli",
        &["domain", "sys", "json", "manual", "store", "ops", "ui"],
    ),
];

/// Everything but `domain`, which knows values only.
const BEYOND_DOMAIN: &[&str] = &[
    "sys/",
    "json/",
    "store/",
    "hub/",
    "xet/",
    "download/",
    "cache/",
    "view/",
    "timer/",
    "notify/",
    "ops/",
    "ui/",
    "cli/",
];

/// Where errors are gathered for people instead of being told apart by code.
const WITHOUT_TYPED_ERRORS: &[&str] = &[
    "sys/", "store/", "cache/", "view/", "timer/", "notify/", "ops/", "ui/", "cli/",
];

/// A package and the places that may use it: a folder (`cli/`), a file
/// (`ui/yaml.rs`), or files of one name anywhere (`*/wire.rs`).
const BORDERS: &[(&str, &[&str])] = &[
    ("anyhow", WITHOUT_TYPED_ERRORS),
    ("blake3", &["xet/"]),
    ("clap", &["cli/"]),
    ("clap_complete", &["cli/"]),
    ("clap_mangen", &["cli/"]),
    ("console", &["sys/", "ui/"]),
    ("nix", &["sys/"]),
    ("env_logger", &["sys/logging.rs"]),
    ("etcetera", &["sys/"]),
    ("fastrand", BEYOND_DOMAIN),
    ("fs2", &["sys/"]),
    ("gearhash", &["xet/"]),
    ("httpdate", BEYOND_DOMAIN),
    ("jiff", &[""]),
    ("libc", &["sys/"]),
    ("log", BEYOND_DOMAIN),
    ("lz4_flex", &["xet/"]),
    ("percent_encoding", BEYOND_DOMAIN),
    ("rusqlite", &["store/"]),
    ("rustix", &["sys/"]),
    ("rustls", &["sys/http/"]),
    // The output takes any document that can be serialised. Commands build
    // theirs from the shapes in `json/`.
    (
        "serde",
        &["*/wire.rs", "json/", "ui/", "cli/", "ops/document/"],
    ),
    (
        "serde_json",
        &["*/wire.rs", "json/", "ui/", "cli/", "ops/document/"],
    ),
    ("serde_yaml", &["ui/yaml.rs", "ops/document/"]),
    ("sha1", BEYOND_DOMAIN),
    ("sha2", BEYOND_DOMAIN),
    // The database and its copies are made aside and renamed, too.
    ("tempfile", &["sys/", "store/"]),
    ("thiserror", &[""]),
    ("ureq", &["sys/http/", "sys/http.rs"]),
    ("uuid", BEYOND_DOMAIN),
    ("windows_sys", &["sys/"]),
];

/// Two neighbours in a path that open a door to the outside, and who may open it.
const DOORS: &[(&str, &str, &[&str])] = &[
    ("std", "env", &["sys/"]),
    ("SystemTime", "now", &["sys/"]),
    ("Timestamp", "now", &["sys/"]),
    ("Zoned", "now", &["sys/"]),
    // Rates and stalls are measured where the bytes pass; no decision about the future hangs on it.
    ("Instant", "now", &["sys/", "download/"]),
    ("thread", "sleep", &["sys/"]),
    ("io", "stdout", &["ui/"]),
    ("io", "stderr", &["sys/live_lines.rs", "ui/"]),
];

const PRINTING: &[&str] = &["print", "println", "eprint", "eprintln", "dbg"];

/// Allowed exceptions: the file, the thing, the reason. An exception that is no
/// longer needed fails the test.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "domain/repo_arg/address.rs",
        "percent_encoding",
        "a pasted page address is percent-encoded text, a value like any other",
    ),
    (
        "domain/argv.rs",
        "serde_json",
        "a command with arguments is written as a JSON array, a text format like any other",
    ),
    (
        "domain/schedule/jitter.rs",
        "sha2",
        "the offset must be the same on every platform and in every version, which std's hasher does not promise",
    ),
    (
        "domain/shard.rs",
        "sha2",
        "a model's shard must be the same on every machine and in every version, too",
    ),
    (
        "sys/host.rs",
        "io::stdout",
        "asks whether it is a terminal, prints nothing",
    ),
    (
        "sys/logging.rs",
        "io::stderr",
        "the diary, whose lines may wait until a summary has been printed",
    ),
    (
        "sys/host.rs",
        "io::stderr",
        "asks whether it is a terminal, prints nothing",
    ),
];

/// One thing in one file that the tables do not allow.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    thing: String,
    rule: String,
}

/// Checks one file; `file` is its path below `src`, with `/`.
fn check(file: &str, source: &str) -> Vec<Violation> {
    let tokens = tokens(source);
    let home: Vec<&str> = modules(file);
    let mut found = Vec::new();
    let mut complain = |thing: String, rule: String| {
        let violation = Violation { thing, rule };
        if !found.contains(&violation) {
            found.push(violation);
        }
    };
    for path in paths(&tokens) {
        if let Some(target) = resolve(&path, &home)
            && let Some(own) = home.first()
            && target != *own
            && LAYERS.iter().any(|(module, _)| *module == target)
        {
            let allowed = LAYERS.iter().find(|(module, _)| module == own);
            if !allowed.is_some_and(|(_, others)| others.contains(&target.as_str())) {
                complain(target.clone(), format!("`{own}` may not import `{target}`"));
            }
        }
        if let Some((package, places)) = BORDERS.iter().find(|(package, _)| *package == path[0])
            && !lies_in(file, places)
        {
            complain(
                (*package).to_owned(),
                format!("the package `{package}` stays in {places:?}"),
            );
        }
        for pair in path.windows(2) {
            let door = DOORS
                .iter()
                .find(|(a, b, _)| *a == pair[0] && *b == pair[1]);
            if let Some((a, b, places)) = door
                && !lies_in(file, places)
            {
                complain(
                    format!("{a}::{b}"),
                    format!("`{a}::{b}` stays in {places:?}"),
                );
            }
        }
    }
    for pair in tokens.windows(2) {
        if PRINTING.contains(&pair[0].as_str()) && pair[1] == "!" && !lies_in(file, &["ui/"]) {
            complain(format!("{}!", pair[0]), "printing is for `ui`".to_owned());
        }
    }
    found
}

fn lies_in(file: &str, places: &[&str]) -> bool {
    places.iter().any(|place| match place.strip_prefix('*') {
        Some(ending) => file.ends_with(ending),
        None if place.is_empty() || place.ends_with('/') => file.starts_with(place),
        None => file == *place,
    })
}

/// Returns the module that a file is: `hub/client.rs` is `hub::client`.
fn modules(file: &str) -> Vec<&str> {
    let parts: Vec<&str> = file.trim_end_matches(".rs").split('/').collect();
    match parts.as_slice() {
        ["lib" | "main" | "hfdlw"] => Vec::new(),
        [folders @ .., "mod"] => folders.to_vec(),
        all => all.to_vec(),
    }
}

/// Returns the module of the top level that a path leads to, if it is one of ours.
fn resolve(path: &[String], home: &[&str]) -> Option<String> {
    let mut at: Vec<&str> = match path[0].as_str() {
        "crate" | "hfdl" => Vec::new(),
        "self" | "super" => home.to_vec(),
        _ => return None,
    };
    for (index, part) in path.iter().enumerate() {
        match part.as_str() {
            "crate" | "self" | "hfdl" if index == 0 => {}
            "super" => {
                at.pop();
            }
            name => at.push(name),
        }
    }
    at.first().map(|module| (*module).to_owned())
}

/// Returns the source files below `src` but those of unit tests: path with `/`, and text.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let below = path.strip_prefix(&root).unwrap();
                let name = below.to_str().unwrap().replace('\\', "/");
                let text = fs::read_to_string(&path).unwrap();
                found.push((name, text.replace("\r\n", "\n")));
            }
        }
    }
    let test_files: Vec<String> = found
        .iter()
        .flat_map(|(file, text)| test_modules(file, text))
        .collect();
    found.retain(|(file, _)| !test_files.contains(file));
    found.sort();
    found
}

/// Returns the files that a file declares as modules for tests only.
fn test_modules(file: &str, text: &str) -> Vec<String> {
    let folder = modules(file).join("/");
    let declared = text.split("#[cfg(test)]\nmod ").skip(1);
    declared
        .filter_map(|rest| rest.split_once(['\n', ' ', '{'])?.0.strip_suffix(';'))
        .map(|name| format!("{folder}/{name}.rs"))
        .collect()
}

#[test]
fn no_module_imports_against_the_direction_or_crosses_a_border() {
    let mut complaints = Vec::new();
    let mut unused: Vec<_> = EXCEPTIONS.iter().collect();
    let sources = sources();
    assert!(sources.len() > 50, "the source was not found");
    for (file, text) in &sources {
        for violation in check(file, text) {
            let excused =
                |(at, thing, _): &(&str, &str, &str)| at == file && *thing == violation.thing;
            if EXCEPTIONS.iter().any(excused) {
                unused.retain(|exception| !excused(exception));
            } else {
                complaints.push(format!("src/{file}: {}", violation.rule));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert!(unused.is_empty(), "no longer needed: {unused:?}");
}

#[test]
fn every_module_of_the_top_level_has_a_layer() {
    for (file, _) in sources() {
        if let Some(module) = modules(&file).first() {
            assert!(
                LAYERS.iter().any(|(known, _)| known == module),
                "src/{file}: `{module}` is not in the table of layers"
            );
        }
    }
}

#[test]
fn every_package_has_a_border() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Cargo rewrites the manifest of a packaged crate, and keeps the original beside it.
    let manifest = fs::read_to_string(folder.join("Cargo.toml.orig"))
        .or_else(|_| fs::read_to_string(folder.join("Cargo.toml")))
        .unwrap();
    let mut inside = false;
    let mut n_packages = 0;
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]") && !line.contains("dev-");
        } else if let Some((package, _)) = line.split_once(" = ").filter(|_| inside) {
            n_packages += 1;
            let package = package.replace('-', "_");
            assert!(
                BORDERS.iter().any(|(known, _)| *known == package),
                "`{package}` is not in the table of borders"
            );
        }
    }
    assert!(n_packages > 10, "the dependencies were not found");
}

#[test]
fn planted_violations_are_found() {
    let planted = [
        ("domain/a.rs", "use crate::sys::host::Host;", "sys"),
        (
            "domain/a/b.rs",
            "use super::super::super::store::Store;",
            "store",
        ),
        ("domain/a.rs", "use super::{b, super::cli};", "cli"),
        ("sys/a.rs", "fn f() { crate::hub::f() }", "hub"),
        (
            "store/a.rs",
            "use crate::{domain::time, hub::{api, tree}};",
            "hub",
        ),
        ("hub/mod.rs", "use super::store::Store;", "store"),
        ("cache/a/mod.rs", "use crate::download as d;", "download"),
        ("ui/a.rs", "use crate::ops;", "ops"),
        ("ui/a.rs", "fn f(x: &crate::store::Store) {}", "store"),
        ("ops/a.rs", "use crate::cli::explain;", "cli"),
        ("cli/a.rs", "use crate::hub::HubClient;", "hub"),
        ("domain/a.rs", "use serde::Serialize;", "serde"),
        ("domain/a.rs", "use anyhow as a;", "anyhow"),
        ("hub/api.rs", "use anyhow::Result;", "anyhow"),
        ("hub/api.rs", "fn f() -> serde_json::Value {}", "serde_json"),
        ("ops/a.rs", "use ::rusqlite::Connection;", "rusqlite"),
        ("sys/host.rs", "use {std::fs, ureq::Agent};", "ureq"),
        ("ops/a.rs", "#[derive(clap::ValueEnum)] enum E {}", "clap"),
        ("ops/a.rs", "use std::{env, fs};", "std::env"),
        (
            "ops/a.rs",
            "let now = jiff::Timestamp::now();",
            "Timestamp::now",
        ),
        ("cache/a.rs", "let t = Instant::now();", "Instant::now"),
        ("download/a.rs", "std::thread::sleep(d)", "thread::sleep"),
        ("cli/a.rs", "println!(\"x\")", "println!"),
        ("ops/a.rs", "let a = '\"'; eprintln !(\"x\")", "eprintln!"),
        ("ops/a.rs", "let a = r#\"\"\"#; dbg!(a)", "dbg!"),
        (
            "ops/a.rs",
            "fn f<'a>(x: &'a str) { std::io::stdout(); }",
            "io::stdout",
        ),
    ];
    for (file, source, thing) in planted {
        let found: Vec<String> = check(file, source).into_iter().map(|v| v.thing).collect();
        assert_eq!(found, [thing], "{file}: {source}");
    }
}

#[test]
fn allowed_imports_are_no_violations() {
    let allowed = [
        ("domain/a.rs", "use std::fmt;\nuse super::time::Timestamp;"),
        (
            "domain/a.rs",
            "// use crate::sys::host::Host;\n/* crate::hub /* x */ */",
        ),
        ("domain/a.rs", "const A: &str = \"crate::sys println!()\";"),
        (
            "domain/a.rs",
            "const A: &str = r#\"crate::\"sys\" std::env\"#;",
        ),
        (
            "domain/a.rs",
            "#[cfg(test)]\nmod tests {\n    use crate::sys;\n}",
        ),
        (
            "sys/http/agent.rs",
            "use ureq::Agent;\nuse crate::sys::pause::Sleeper;",
        ),
        ("sys/host.rs", "let a = std::env::args(); Instant::now();"),
        (
            "hub/wire.rs",
            "use serde::Deserialize;\nuse super::error::HubError;",
        ),
        (
            "cli/models.rs",
            "use crate::{ops::models, store::Store, ui::table};",
        ),
        (
            "ops/a.rs",
            "let a = env!(\"CARGO_PKG_VERSION\"); writeln!(text, \"\");",
        ),
        ("lib.rs", "pub mod cli; pub use cli::run;"),
    ];
    for (file, source) in allowed {
        assert_eq!(check(file, source), [], "{file}: {source}");
    }
}
