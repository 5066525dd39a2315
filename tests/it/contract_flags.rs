//! Flags and settings of the contract that no other story shows to act.

use std::fs;

use hfdl::sys::lock::FileLock;
use hfdl_test_hub::generated_bytes;
use serde_json::Value;

use crate::support::due::{keep_large, roomy_world, sessions};
use crate::support::process::wait_for_open_file;

const MIB: usize = 1 << 20;

#[test]
fn each_flag_of_schedules_set_changes_its_field() {
    let env = roomy_world();
    keep_large(&env, "acme/a", MIB, 1);
    env.line("models set acme/a --tag llm").succeeds();
    env.line("schedules add s --every 6h --all").succeeds();
    for (flags, field, value) in [
        ("--daily 02:30", "/when", Value::from("02:30")),
        ("--weekly Sat@03:00", "/cadence", "weekly".into()),
        ("--monthly last@03:00", "/cadence", "monthly".into()),
        ("--cron '0 4 * * *'", "/when", "0 4 * * *".into()),
        ("--once '2026-06-01 08:00'", "/cadence", "once".into()),
        ("--every 2h", "/when", "2h".into()),
        ("--tz Europe/Berlin", "/time_zone", "Europe/Berlin".into()),
        ("--model acme/a", "/models/0", "acme/a".into()),
        ("--tag llm", "/tags/0", "llm".into()),
        ("--all", "/all", true.into()),
        ("--window 22:00-07:00", "/windows/0", "22:00-07:00".into()),
        ("--no-window", "/windows", Value::Array(Vec::new())),
        ("--catch-up-within 1h", "/catch_up_within", "1h".into()),
        ("--no-catch-up-within", "/catch_up_within", Value::Null),
        ("--catch-up skip", "/catch_up", "skip".into()),
        ("--jitter 5m", "/jitter", "5m".into()),
        ("--limit-rate 2M", "/limit_rate", "2M".into()),
        ("--no-limit-rate", "/limit_rate", Value::Null),
        ("--max-duration 2h", "/max_duration", "2h".into()),
        ("--no-max-duration", "/max_duration", Value::Null),
        ("--max-transfer 2G", "/max_transfer", "2G".into()),
        ("--no-max-transfer", "/max_transfer", Value::Null),
        ("--limit-daily 2G", "/limit_daily", "2G".into()),
        ("--no-limit-daily", "/limit_daily", Value::Null),
        ("--limit-monthly 50G", "/limit_monthly", "50G".into()),
        ("--no-limit-monthly", "/limit_monthly", Value::Null),
        ("--priority 7", "/priority", 7.into()),
        ("--name t", "/name", "t".into()),
    ] {
        let changed = env.line(&format!("schedules set s {flags} --json"));
        let document = changed.succeeds().json();
        assert_eq!(
            document.pointer(field),
            Some(&value),
            "{}",
            changed.report()
        );
    }
    // The cadence and the limit of time that `add` takes are those that `set` takes.
    env.line("schedules add u --every 6h --all --max-duration 2h --tz Europe/Berlin")
        .succeeds();
    let shown = env.line("schedules show u --json").json();
    assert_eq!(shown["max_duration"], "2h");
}

#[test]
fn limits_hold_as_flags_and_as_settings() {
    let cut = |line: &str, code: i32| {
        let env = roomy_world();
        keep_large(&env, "acme/large", 3 * MIB, 1);
        env.line("schedules add s --every 6h --all").succeeds();
        env.unset("HFDL_TEST_NO_PAUSES");
        // Thirty times as fast: a minute is two seconds of real time.
        env.now("2026-03-01T09:00:00Z+30");
        let ran = env.line(&format!("{line} --json"));
        let (_, outcome, fetched) = sessions(ran.exits(code)).remove(0);
        assert_eq!(outcome, "partial", "{line}");
        assert!(fetched < 2 * MIB as u64, "{line}: {fetched}");
    };
    cut("run-due --max-transfer 1M", 8);
    cut("run-due -c run.max_transfer=1M", 8);
    cut("run-due --limit-rate 64K --max-duration 1m", 10);
    cut(
        "run-due -c download.limit_rate=64K -c run.max_duration=1m",
        10,
    );
    cut("download acme/large --limit-rate 64K --max-duration 1m", 10);
}

#[test]
fn force_fetches_again_what_is_there() {
    let env = roomy_world();
    keep_large(&env, "acme/a", MIB, 1);
    env.line("download acme/a").succeeds();
    let again = env.line("download acme/a --json");
    assert_eq!(
        sessions(&again),
        [("acme/a".to_owned(), "up-to-date".to_owned(), 0)]
    );
    let forced = sessions(&env.line("download acme/a --force --json"));
    assert_eq!(
        (forced[0].1.as_str(), forced[0].2),
        ("repaired", MIB as u64)
    );
}

#[test]
fn a_revision_by_flag_is_fetched() {
    let env = roomy_world();
    let repo = env.hub().repo("acme/a");
    repo.commit("main").file("config.json", b"main").publish();
    let side = env
        .hub()
        .repo("acme/a")
        .commit("side")
        .file("config.json", b"side")
        .publish();
    let ran = env.line("download acme/a --revision side");
    let path = ran.succeeds().stdout().trim_end().to_owned();
    assert!(path.ends_with(&side), "{}", ran.report());
    assert_eq!(fs::read(format!("{path}/config.json")).unwrap(), b"side");
}

#[test]
fn patterns_of_add_select_files() {
    let env = roomy_world();
    let draft = env.hub().repo("acme/a").commit("main");
    let draft = draft.file("config.json", b"{}").file("notes.txt", b"text");
    draft.lfs("model.bin", generated_bytes(64, 1)).publish();
    let added = env
        .line("models add acme/a --exclude '*.bin' --json")
        .json();
    assert_eq!(
        (&added["check"]["files"], &added["check"]["files_total"]),
        (&2.into(), &3.into())
    );
    let path = env
        .line("download acme/a")
        .succeeds()
        .stdout()
        .trim_end()
        .to_owned();
    assert!(fs::exists(format!("{path}/notes.txt")).unwrap());
    assert!(!fs::exists(format!("{path}/model.bin")).unwrap());
}

#[test]
fn verify_waits_for_the_lock_as_long_as_asked() {
    let env = roomy_world();
    keep_large(&env, "acme/a", MIB, 1);
    env.line("download acme/a").succeeds();
    let lock = FileLock::try_acquire(&env.home().join("run.lock"))
        .unwrap()
        .unwrap();
    env.line("verify acme/a --wait=1s").exits(11);
    let mut waiting = env.command(["verify", "acme/a", "--wait"]).spawn().unwrap();
    wait_for_open_file(waiting.id(), "run.lock");
    assert!(waiting.try_wait().unwrap().is_none(), "it did not wait");
    drop(lock);
    assert!(waiting.wait().unwrap().success());
}

#[test]
fn apply_takes_its_file_by_the_long_name_too() {
    let env = roomy_world();
    let file = env.root().join("plan.json");
    fs::write(&file, r#"{"version": 1, "config": {"download.files": 2}}"#).unwrap();
    env.hfdl(["apply", "--file", file.to_str().unwrap()])
        .succeeds();
    env.line("config get download.files").prints("2");
}
