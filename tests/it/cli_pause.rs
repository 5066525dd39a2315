//! `hfdl pause` and `hfdl resume`.

use serde_json::{Value, json};

use crate::support::env::TestEnv;

fn shown(env: &TestEnv) -> Value {
    env.line("status --json").json()["pause"].clone()
}

#[test]
fn a_pause_holds_until_it_is_resumed() {
    let env = TestEnv::new();
    env.line("pause --reason 'moving house'")
        .succeeds()
        .prints("ticks are paused until `hfdl resume`: moving house");
    let pause = json!({
        "paused": true,
        "since": "2026-03-01T09:00:00Z",
        "until": null,
        "reason": "moving house",
    });
    env.now("2027-03-01T09:00:00Z");
    assert_eq!(shown(&env), pause);
    env.line("status")
        .prints("paused     until `hfdl resume`: moving house");
    env.line("resume").succeeds().prints("ticks work again");
    assert_eq!(shown(&env)["paused"], false);
    env.line("resume")
        .succeeds()
        .prints("ticks were not paused");
}

#[test]
fn a_pause_ends_by_itself() {
    let env = TestEnv::new();
    for line in [
        "pause --for 2h",
        "pause --until '2026-03-01 11:00'",
        "pause --until 2026-03-01T11:00:00Z",
    ] {
        env.now("2026-03-01T09:00:00Z");
        let paused = env.line(&format!("{line} --json")).succeeds().json();
        assert_eq!(paused["until"], "2026-03-01T11:00:00Z", "{line}");
        env.now("2026-03-01T10:59:59Z");
        assert_eq!(shown(&env)["paused"], true, "{line}");
        env.now("2026-03-01T11:00:00Z");
        assert_eq!(shown(&env)["paused"], false, "{line}");
    }
    env.line("resume")
        .succeeds()
        .prints("ticks were not paused");
}

#[test]
fn a_second_pause_replaces_end_and_reason_and_keeps_the_beginning() {
    let env = TestEnv::new();
    env.line("pause --for 2h --reason one").succeeds();
    env.now("2026-03-01T10:00:00Z");
    env.line("pause --reason two").succeeds();
    let pause = json!({
        "paused": true, "since": "2026-03-01T09:00:00Z", "until": null, "reason": "two",
    });
    assert_eq!(shown(&env), pause);
    // A pause that has ended does not affect the next.
    env.line("pause --for 1h").succeeds();
    env.now("2026-03-01T12:00:00Z");
    env.line("pause").succeeds();
    assert_eq!(shown(&env)["since"], "2026-03-01T12:00:00Z");
}

#[test]
fn local_times_are_those_of_the_machine() {
    let env = TestEnv::new();
    env.set("TZ", "Europe/Berlin");
    let paused = env
        .line("pause --until '2026-03-01 11:00' --json")
        .succeeds()
        .json();
    assert_eq!(paused["until"], "2026-03-01T10:00:00Z");
}

#[test]
fn a_pause_does_not_stop_a_download_by_hand() {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    env.hub()
        .repo("acme/tiny")
        .commit("main")
        .file("a", b"a")
        .publish();
    env.line("pause").succeeds();
    let ran = env.line("download acme/tiny");
    let snapshot = std::path::PathBuf::from(ran.succeeds().stdout().trim_end());
    assert_eq!(std::fs::read(snapshot.join("a")).unwrap(), b"a");
}

#[test]
fn resume_in_an_empty_home_creates_nothing() {
    let env = TestEnv::new();
    env.line("resume")
        .succeeds()
        .prints("ticks were not paused");
    assert!(!env.home().exists());
}
