//! `hfdl status`: how things stand, told by the real binary over real runs.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use hfdl_test_hub::{Fault, Gate, On};
use serde_json::Value;

use super::cli_sessions::{publish, world};
use crate::ownership::bytes_below;
use crate::support::cache::tree;
use crate::support::env::TestEnv;
#[cfg(unix)]
use crate::support::programs::Cron;

const MIB: u64 = 1 << 20;

/// A model that has been downloaded at 09:00 and is checked every six hours.
fn scheduled() -> TestEnv {
    let env = world();
    env.line("schedules add often --every 6h --all").succeeds();
    env.line("download acme/tiny").succeeds();
    env.line("run-due --trigger ci").succeeds();
    env
}

fn status(env: &TestEnv) -> Value {
    let document = env.line("status --json").json();
    assert_eq!(document["schema"], "hfdl.status/1");
    document
}

/// Returns the kinds of warnings, which the exit code must agree with.
fn warnings(env: &TestEnv) -> Vec<String> {
    let ran = env.line("status --json");
    let document = ran.json();
    let warnings = document["warnings"].as_array().unwrap();
    ran.silently().exits(i32::from(!warnings.is_empty()));
    assert_eq!(document["healthy"], warnings.is_empty());
    let kind = |warning: &Value| warning["kind"].as_str().unwrap().to_owned();
    warnings.iter().map(kind).collect()
}

#[test]
fn status_in_an_empty_home_says_so_and_creates_nothing() {
    let env = TestEnv::new();
    env.line("status")
        .succeeds()
        .silently()
        .prints("nothing is set up in");
    assert_eq!(status(&env)["set_up"], false);
    assert!(!env.home().exists());
}

#[test]
fn status_changes_no_file() {
    let env = scheduled();
    let before = bytes_below(env.root());
    env.line("status").succeeds();
    assert!(bytes_below(env.root()) == before, "a file was changed");
}

#[test]
fn a_healthy_home_tells_what_was_and_what_comes_next() {
    let env = scheduled();
    env.line("run-due").succeeds();
    assert_eq!(warnings(&env), Vec::<String>::new());
    let document = status(&env);
    let model = &document["models"][0];
    assert_eq!(model["name"], "acme/tiny");
    assert_eq!(model["state"], "ok");
    assert_eq!(model["scheduled"], true);
    assert_eq!(model["last_outcome"], "up-to-date");
    for time in ["last_check_at", "last_success_at", "last_change_at"] {
        assert_eq!(model[time], "2026-03-01T09:00:00Z", "{time}");
    }
    let next = &document["next_due"][0];
    assert_eq!(next["schedule"], "often");
    assert_eq!(next["slot"], "2026-03-01T15:00:00Z");
    assert_eq!(
        (&document["run"], &document["pause"]["paused"]),
        (&Value::Null, &false.into())
    );
    env.line("status").succeeds().prints("state      healthy");
    assert_eq!(env.line("status -q").succeeds().silently().stdout(), "");
}

#[test]
fn a_quiet_status_says_on_stderr_why_it_fails() {
    let env = scheduled();
    env.hub()
        .fault(On::any().repo("acme/tiny"), Fault::Status(404));
    env.line("download acme/tiny -q").exits(1);
    let quiet = env.line("status -q");
    assert_eq!(quiet.exits(1).stdout(), "");
    quiet.explains("warning: `acme/tiny`").explains(" next: ");
}

#[test]
fn the_next_five_schedules_are_listed_in_order() {
    let env = world();
    for hour in [20, 10, 15, 11, 23, 12] {
        let add = format!(
            "schedules add at{hour} --daily {hour:02}:00 --model acme/tiny --priority {hour}"
        );
        env.line(&add).succeeds();
    }
    env.line("schedules disable at11").succeeds();
    env.line("schedules add windowed --daily 09:30 --all --window 22:00-23:00")
        .succeeds();
    let document = status(&env);
    let due = document["next_due"].as_array().unwrap();
    let names: Vec<&str> = due
        .iter()
        .map(|due| due["schedule"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["at10", "at12", "at15", "at20", "windowed"]);
    assert_eq!(due[4]["slot"], "2026-03-01T09:30:00Z");
    assert_eq!(due[4]["starts"], "2026-03-01T22:00:00Z");
    assert_eq!(due[4]["window_ends"], "2026-03-01T23:00:00Z");
}

#[test]
fn a_failure_that_needs_a_person_is_reported_at_once() {
    let env = scheduled();
    publish(&env, 2);
    env.hub()
        .fault(On::cdn("model.safetensors"), Fault::FlipByteAt(5));
    env.line("download acme/tiny").exits(3);
    assert_eq!(warnings(&env), ["model-failed"]);
    env.line("status")
        .exits(1)
        .prints("needs a person: 1 warning")
        .prints("warning: `acme/tiny` failed: ");
    env.hub().heal();
    env.line("download acme/tiny").succeeds();
    assert_eq!(warnings(&env), Vec::<String>::new());

    env.hub().repo("acme/tiny").gated(Gate::Manual);
    publish(&env, 3);
    env.line("download acme/tiny").exits(4);
    assert_eq!(warnings(&env), ["model-gated"]);
    env.hub().repo("acme/tiny").delete();
    env.line("download acme/tiny").exits(1);
    assert_eq!(warnings(&env), ["model-orphaned"]);
    env.line("models disable acme/tiny").succeeds();
    assert_eq!(warnings(&env), ["schedule-empty"]);
}

#[test]
fn a_hub_that_is_away_needs_a_person_only_when_it_stays_away() {
    let env = scheduled();
    env.hub().fault(On::any(), Fault::Status(503));
    for expected in [vec![], vec![], vec!["model-failed"]] {
        env.line("download acme/tiny").exits(5);
        assert_eq!(warnings(&env), expected);
    }
    let document = status(&env);
    assert_eq!(document["models"][0]["consecutive_failures"], 3);
    assert_eq!(document["models"][0]["last_outcome"], "could-not-check");
}

#[test]
fn a_check_that_is_too_old_is_a_warning() {
    let env = scheduled();
    env.now("2026-03-08T09:00:00Z");
    assert_eq!(warnings(&env), ["timer-missing"]);
    env.now("2026-03-08T09:00:01Z");
    assert_eq!(warnings(&env), ["timer-missing", "stale-check"]);
    env.set("HFDL_CHECK_MAX_AGE", "10d");
    assert_eq!(warnings(&env), ["timer-missing"]);
    env.unset("HFDL_CHECK_MAX_AGE");
    env.line("schedules disable often").succeeds();
    assert_eq!(
        warnings(&env),
        Vec::<String>::new(),
        "no schedule wants a check"
    );
}

#[test]
fn a_disk_below_the_reserve_is_a_warning() {
    let env = scheduled();
    env.set("HFDL_DISK_RESERVE", "4096T");
    assert_eq!(warnings(&env), ["disk-low"]);
    let disks = status(&env)["disks"].clone();
    assert_eq!(disks[0]["used_for"], "cache");
    assert_eq!(disks[0]["reserve_bytes"], 4096_u64 << 40);
    assert_eq!(
        disks[1]["reserve_bytes"],
        64 * MIB,
        "a home needs no room for models"
    );
}

#[test]
fn a_database_that_cannot_be_read_is_part_of_the_answer() {
    let env = scheduled();
    std::fs::write(env.database(), "no database").unwrap();
    assert_eq!(warnings(&env), ["database"]);
    env.line("status")
        .exits(1)
        .prints("is not an SQLite file")
        .prints("next: ");
    assert!(!status(&env)["disks"].as_array().unwrap().is_empty());
}

#[test]
fn ticks_of_the_timer_and_by_hand_are_shown_apart() {
    let env = scheduled();
    env.now("2026-03-01T10:00:00Z");
    env.line("run-due --trigger timer").succeeds();
    env.now("2026-03-01T10:30:00Z");
    env.line("run-due").succeeds();
    let document = status(&env);
    assert_eq!(document["last_timer_tick_at"], "2026-03-01T10:00:00Z");
    assert_eq!(document["last_tick_at"], "2026-03-01T10:30:00Z");
    assert_eq!(
        document["timer"]["missed_ticks"], 0,
        "no timer of ours is installed"
    );
    env.line("status")
        .prints("30 min ago by the timer, just now by hand");
}

/// Starts a download that hangs after some bytes, under the real clock, and
/// waits until it has written down that some are on disk.
fn hanging_download(env: &TestEnv) -> (Child, Value) {
    env.unset("HFDL_TEST_NOW");
    let commit = env.hub().repo("acme/tiny").commit("main");
    commit.lfs_generated("large.bin", 64 * MIB, 7).publish();
    env.hub()
        .fault(On::cdn("large.bin"), Fault::StallAfter(40 * MIB));
    let mut child = env
        .command(["download", "acme/tiny", "-c", "download.connections=1"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    for _ in 0..3_000 {
        let document = status(env);
        if document["run"]["bytes"]["fetched"].as_u64() > Some(0) {
            return (child, document);
        }
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
    }
    let _ = child.kill();
    panic!("no progress was written down: {:#}", status(env));
}

#[test]
fn a_run_in_progress_is_shown_with_its_progress() {
    let env = world();
    let (mut child, document) = hanging_download(&env);
    let run = &document["run"];
    assert_eq!(run["command"], "download");
    assert_eq!(run["pid"], child.id());
    assert_eq!(run["sessions"]["total"], 1);
    assert_eq!(run["sessions"]["finished"], 0);
    let bytes = |name: &str| run["bytes"][name].as_u64().unwrap();
    assert!(bytes("total") > 64 * MIB);
    assert!(bytes("fetched") <= 40 * MIB + 3 * MIB, "{run}");
    assert_eq!(
        bytes("fetched") + bytes("left") + bytes("reused"),
        bytes("total")
    );
    assert_eq!(document["healthy"], true);
    // The run tells its progress to other processes once a second.
    let mut looks = (0..1_000).map(|_| env.line("status"));
    let shown = looks.find(|shown| shown.stdout().contains(" of 3 files"));
    shown
        .expect("the number of files")
        .succeeds()
        .prints("running    download of ")
        .prints(", started ")
        .prints(" of 66.0 MiB");
    env.line("runs list").succeeds().prints("running");
    env.line("sessions list").succeeds().prints("running");
    let listed = env.line("runs list --json").json();
    assert_eq!(listed["runs"][0]["outcome"], Value::Null);
    env.line("pause").succeeds();

    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(warnings(&env), ["crashed-run"]);
    assert_eq!(status(&env)["run"], Value::Null);
    for line in ["runs list", "sessions list", "sessions show 1"] {
        env.line(line).succeeds().prints("crashed");
    }
    env.hub().heal();
    env.line("download acme/tiny").succeeds();
    assert_eq!(warnings(&env), Vec::<String>::new());
}

#[cfg(unix)]
fn interrupt(child: &mut Child) -> Option<i32> {
    crate::support::process::send(child.id(), rustix::process::Signal::INT);
    child.wait().unwrap().code()
}

#[cfg(unix)]
#[test]
fn watching_in_json_is_a_document_a_line_until_ctrl_c() {
    let env = world();
    let (mut run, _) = hanging_download(&env);
    let mut child = env
        .command(["status", "--watch", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    let mut document = next();
    assert_eq!(document["schema"], "hfdl.status/1");
    for _ in 0..30 {
        if !document["run"]["bytes_per_second"].is_null() {
            break;
        }
        document = next();
    }
    let told = &document["run"]["progress"];
    assert!(told["bytes"]["total"].as_u64() > Some(64 * MIB), "{told}");
    assert_eq!(told["unfinished"]["first"], "acme/tiny");
    assert_eq!(told["active"][0]["name"], "acme/tiny: large.bin");
    assert_eq!(interrupt(&mut child), Some(0));
    env.line("schedules add often --every 6h --all").succeeds();
    assert_eq!(warnings(&env)[0], "timer-missing", "a download is no timer");
    run.kill().unwrap();
    run.wait().unwrap();
}

#[cfg(unix)]
#[test]
fn watching_in_yaml_is_a_stream_of_documents() {
    let env = world();
    let mut child = env
        .command(["status", "--watch", "--format", "yaml"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    assert_eq!(
        (next(), next()),
        ("---".into(), "schema: hfdl.status/1".into())
    );
    while next() != "---" {}
    assert_eq!(next(), "schema: hfdl.status/1");
    assert_eq!(interrupt(&mut child), Some(0));
}

#[cfg(unix)]
#[test]
fn watching_into_a_pipe_prints_what_is_new() {
    let env = scheduled();
    let mut child = env
        .command(["status", "--watch"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut until = |wanted: &str| -> usize {
        let found = lines.by_ref().map(Result::unwrap);
        found
            .take_while(|line| !line.contains(wanted))
            .filter(|line| line.starts_with("at  "))
            .count()
    };
    assert_eq!(until("acme/tiny"), 1);
    env.line("pause --reason 'something new'").succeeds();
    assert_eq!(
        until("something new"),
        1,
        "nothing was printed while nothing changed"
    );
    assert_eq!(interrupt(&mut child), Some(0));
}

#[test]
fn a_run_leaves_the_status_in_a_file_for_its_owner() {
    let env = scheduled();
    let path = env.home().join("status.json");
    let left: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let mut now = status(&env);
    // Other programs use the disk, too.
    now["disks"] = left["disks"].clone();
    assert_eq!(left, now);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    env.hub().fault(On::any(), Fault::Status(503));
    env.line("download acme/tiny").exits(5);
    let left: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(left["models"][0]["last_outcome"], "could-not-check");
    assert!(!tree(&env.home()).iter().any(|name| name.ends_with(".new")));
}

#[test]
fn thousands_of_models_are_shown_in_ten_lines() {
    let env = world();
    // As many failures by commands would take minutes.
    let database = rusqlite::Connection::open(env.database()).unwrap();
    let many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
        INSERT INTO models (name, repo_type, repo_id, revision, exclude, destination, priority,
            enabled, consecutive_failures, created_at, updated_at)
        SELECT 'm' || i, 'model', 'm' || i, 'main', '[]', 'cache', 50, 1,
            CASE WHEN i % 100 = 7 THEN 5 ELSE 0 END, 0, 0 FROM n";
    database.execute(many, []).unwrap();
    assert_eq!(warnings(&env).len(), 30);
    assert_eq!(status(&env)["models"].as_array().unwrap().len(), 3001);
    let table = env.line("status");
    table
        .exits(1)
        .prints("and 2991 more; `hfdl models list` shows all")
        .prints("and 20 more warnings");
    assert!(table.stdout().lines().count() < 50, "{}", table.report());
}

#[test]
fn schedules_that_nothing_starts_are_a_warning_until_an_unattended_tick_comes() {
    let env = world();
    env.line("schedules add noon --daily 12:00 --all")
        .succeeds();
    assert_eq!(warnings(&env), ["timer-missing"], "there was never a tick");
    env.line("status")
        .exits(1)
        .prints("none has started `hfdl run-due` yet")
        .prints("next: `hfdl start` installs one");
    env.line("pause").succeeds();
    assert_eq!(warnings(&env), Vec::<String>::new(), "a pause is meant");
    env.line("resume").succeeds();
    env.line("run-due").succeeds();
    assert_eq!(warnings(&env), ["timer-missing"], "a person did");
    env.line("run-due --trigger ci").succeeds();
    // A daily line in a crontab of the user ticks seldom, and serves each slot.
    for at in ["2026-03-01T11:59:00Z", "2026-03-01T12:30:00Z"] {
        env.now(at);
        assert_eq!(warnings(&env), Vec::<String>::new(), "{at}");
    }
    env.now("2026-03-01T12:30:01Z");
    assert_eq!(warnings(&env), ["timer-missing"]);
    env.line("status")
        .exits(1)
        .prints("the slot of `noon` has been due for");
    env.line("run-due").succeeds();
    assert_eq!(warnings(&env), Vec::<String>::new(), "the slot is served");
    env.now("2026-03-05T12:00:00Z");
    env.line("schedules disable noon").succeeds();
    assert_eq!(warnings(&env), Vec::<String>::new(), "nothing is planned");
}

/// Other commands read no page of this index.
#[test]
fn damage_of_an_index_is_found_by_the_next_run_and_shown_until_it_is_mended() {
    let env = scheduled();
    env.line("download --all").succeeds();
    assert!(status(&env)["database_checked_at"].is_string());
    let connection = rusqlite::Connection::open(env.database()).unwrap();
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'session_notes_by_commit'";
    let page: u32 = connection.query_row(sql, [], |row| row.get(0)).unwrap();
    let end = 4096 * page as usize;
    connection
        .pragma_query(None, "wal_checkpoint", |_| Ok(()))
        .unwrap();
    drop(connection);
    let mut bytes = std::fs::read(env.database()).unwrap();
    bytes[end - 4096..end].fill(0xaa);
    std::fs::write(env.database(), &bytes).unwrap();
    assert_eq!(warnings(&env), Vec::<String>::new());
    env.now("2026-03-02T13:00:00Z");
    env.line("download --all")
        .succeeds()
        .explains("the database")
        .explains("is damaged");
    env.line("status")
        .exits(1)
        .prints("is damaged")
        .prints(&format!("move `{}` aside", env.database().display()));
    assert!(warnings(&env).contains(&"database".to_owned()));
    env.line("sessions list").succeeds();
}

#[test]
fn a_schedule_that_includes_no_model_is_a_warning_that_names_the_way_out() {
    let env = scheduled();
    env.line("schedules add named --daily 12:00 --model acme/tiny")
        .succeeds();
    env.line("schedules add tagged --daily 13:00 --tag llm")
        .succeeds();
    assert_eq!(warnings(&env), ["schedule-empty"]);
    env.line("status")
        .exits(1)
        .prints("the schedule `tagged` includes no model: no model has the tag `llm`")
        .prints("`hfdl models set NAME --tag llm`");
    let metrics = |env: &TestEnv| {
        let path = env.root().join("metrics.prom");
        let line = format!("run-due --metrics-file {}", path.display());
        env.line(&line).succeeds();
        std::fs::read_to_string(path).unwrap()
    };
    let told = metrics(&env);
    assert!(
        told.contains("\nhfdl_schedules_without_models 1\n"),
        "{told}"
    );
    env.line("models set acme/tiny --tag llm").succeeds();
    assert_eq!(warnings(&env), Vec::<String>::new());
    let told = metrics(&env);
    assert!(
        told.contains("\nhfdl_schedules_without_models 0\n"),
        "{told}"
    );
    env.line("models remove acme/tiny -y").succeeds();
    assert_eq!(warnings(&env), ["schedule-empty"; 3]);
    env.line("status")
        .prints("the schedule `often` includes no model: there are no models")
        .prints("the schedule `named` includes no model: the models that it named were removed");
    env.line("models add acme/tiny --tag llm").succeeds();
    env.line("models disable acme/tiny").succeeds();
    env.line("schedules set named --model acme/tiny").succeeds();
    assert_eq!(warnings(&env), ["schedule-empty"; 3]);
    for name in ["often", "named", "tagged"] {
        env.line("status").prints(&format!(
            "the schedule `{name}` includes disabled models only"
        ));
    }
    env.line("schedules disable often named tagged").succeeds();
    assert_eq!(warnings(&env), Vec::<String>::new());
}

#[cfg(unix)]
#[test]
fn the_next_tick_of_the_timer_is_shown() {
    let env = scheduled();
    env.has_cron(Cron::Debian);
    env.line("start").succeeds();
    let minutes = env.line("start --json").json()["minutes"].clone();
    let first = minutes[0].as_u64().unwrap();
    env.now("2026-03-01T10:00:00Z");
    let next = if first == 0 { 15 } else { first };
    let at = status(&env)["timer"]["next_tick_at"].clone();
    assert_eq!(at, format!("2026-03-01T10:{next:02}:00Z"));
    let shown = format!("next look Sun 10:{next:02} UTC, in {next} min");
    env.line("status").prints(&shown);
    env.line("stop").succeeds();
    assert_eq!(status(&env)["timer"]["next_tick_at"], Value::Null);
}
