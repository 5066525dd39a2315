//! The log: on stderr at the requested level, in a file at every level.

use std::fs;

use crate::support::env::TestEnv;

/// Returns a world in which one download has been done at 09:00.
fn after_a_download() -> TestEnv {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    env.hub()
        .repo("acme/tiny")
        .commit("main")
        .file("config.json", b"{}")
        .publish();
    env.hfdl(["download", "acme/tiny"]).succeeds().silently();
    env
}

fn log_names(env: &TestEnv) -> Vec<String> {
    let entries = fs::read_dir(env.home().join("logs")).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn each_run_leaves_one_file_of_json_lines() {
    let env = after_a_download();
    let names = log_names(&env);
    assert_eq!(names.len(), 1);
    assert!(names[0].starts_with("20260301T090000Z-"), "{names:?}");
    let text = fs::read_to_string(env.home().join("logs").join(&names[0])).unwrap();
    for line in text.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        for key in ["at", "level", "target", "message"] {
            assert!(entry[key].is_string(), "{line}");
        }
    }
    assert!(text.contains("acme/tiny: updated"), "{text}");
    env.hfdl(["download", "acme/tiny"]).succeeds();
    assert_eq!(log_names(&env).len(), 2);
}

#[test]
fn logs_lists_the_runs_and_shows_one_as_deeply_as_asked() {
    let env = after_a_download();
    let listed = env.hfdl(["logs", "--json"]);
    let id = listed.json()["logs"][0]["run_id"]
        .as_str()
        .unwrap()
        .to_owned();
    env.hfdl(["logs"]).succeeds().prints(&id);
    for args in [
        vec!["logs", "--last"],
        vec!["logs", "--run", &id],
        vec!["logs", "--run", &id[30..]],
    ] {
        env.hfdl(args)
            .succeeds()
            .prints("info  acme/tiny: updated")
            .prints("debug GET ");
    }
    let brief = env.hfdl(["logs", "--last", "--level", "info"]);
    assert!(!brief.stdout().contains("debug"), "{}", brief.report());
    assert_eq!(
        env.hfdl(["logs", "--last", "--level", "error"])
            .succeeds()
            .stdout(),
        ""
    );
    let raw = env.hfdl(["logs", "--last", "--level", "info", "--json"]);
    let first: serde_json::Value =
        serde_json::from_str(raw.stdout().lines().next().unwrap()).unwrap();
    assert_eq!(first["level"], "info");
    env.hfdl(["logs", "--run", "ffffffff"])
        .exits(2)
        .explains("no log of a run `ffffffff`");
    TestEnv::new()
        .hfdl(["logs", "--last"])
        .exits(1)
        .explains("no run has left a log yet");
}

#[test]
fn a_run_prunes_logs_that_are_too_old_or_too_much_and_nothing_else() {
    let env = after_a_download();
    let logs = env.home().join("logs");
    let old = "20260101T000000Z-01936b1e-0000-7000-8000-000000000000.log";
    let recent = "20260228T000000Z-01936b1e-0000-7000-8000-000000000001.log";
    let large = "20260227T000000Z-01936b1e-0000-7000-8000-000000000002.log";
    for name in [old, recent, "notes.txt"] {
        fs::write(logs.join(name), b"{}\n").unwrap();
    }
    // A hole costs no disk, but counts.
    fs::File::create(logs.join(large))
        .unwrap()
        .set_len(65 << 20)
        .unwrap();
    env.hfdl(["download", "acme/tiny"]).succeeds();
    let names = log_names(&env);
    let has = |name: &str| names.iter().any(|other| other == name);
    assert!(!has(old), "older than keep.logs: {names:?}");
    assert!(!has(large), "more than all logs may take: {names:?}");
    assert!(has(recent) && has("notes.txt"), "{names:?}");
    env.hfdl(["download", "acme/tiny", "-c", "keep.logs=12h"])
        .succeeds();
    assert!(!log_names(&env).iter().any(|name| name == recent));
}

#[test]
fn stderr_says_as_much_as_flags_and_variables_ask_for() {
    let env = after_a_download();
    env.hfdl(["download", "acme/tiny", "-v"])
        .explains("info: acme/tiny: up-to-date");
    let deep = env.hfdl(["download", "acme/tiny", "-vv"]);
    deep.explains("debug: GET ");
    env.hfdl(["download", "acme/tiny", "-v", "--log-format", "json"])
        .explains("\"level\":\"info\"");
    env.set("HF_HUB_VERBOSITY", "info");
    env.hfdl(["download", "acme/tiny"])
        .explains("info: acme/tiny: up-to-date");
    env.hfdl(["download", "acme/tiny", "-q"]).silently();
    env.set("HFDL_LOG", "hfdl=debug");
    env.hfdl(["download", "acme/tiny"]).explains("debug: GET ");
}
