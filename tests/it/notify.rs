//! Hooks, pings and metrics of a run; none of them makes it fail.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use hfdl_test_hub::{Fault, On};
use serde_json::Value;

use crate::support::env::{Ran, TestEnv};
use crate::support::exposition::Exposition;
use crate::support::inbox::Inbox;
use crate::support::schema;

const TOKEN: &str = "hf_geheim_und_lang";

/// A world with a model that is due every hour, and a hook that writes down
/// what it is given.
struct HookEnv {
    env: TestEnv,
    hour: std::cell::Cell<u32>,
}

impl HookEnv {
    fn new() -> Self {
        let env = TestEnv::new();
        env.set("PATH", "/usr/bin:/bin").set("HF_TOKEN", TOKEN);
        env.hub().token(TOKEN, &[]);
        publish(&env, "one");
        env.line("models add acme/tiny").succeeds();
        env.line("schedules add hourly --every 1h --all").succeeds();
        Self {
            env,
            hour: std::cell::Cell::new(9),
        }
    }

    fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.env.root().join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Has all hooks write down their facts in a file each.
    fn write_down(&self) -> &Self {
        let calls = self.env.root().join("calls");
        fs::create_dir(&calls).unwrap();
        let text = format!(
            "n=$(ls '{0}' | wc -l)\ncat > '{0}'/$n-$HFDL_EVENT.json\nenv > '{0}'/$n-$HFDL_EVENT.json.env",
            calls.display()
        );
        let script = self.script("write down", &text);
        let words = format!("[\"{}\", \"an argument\"]", script.display());
        for hook in [
            "on_update",
            "on_failure",
            "on_recovery",
            "on_hold",
            "on_skip",
            "finally",
        ] {
            let key = format!("hooks.{hook}");
            self.env.hfdl(["config", "set", &key, &words]).succeeds();
        }
        self
    }

    /// Returns the calls of hooks since the last time, in order: the events, the
    /// documents and the environments.
    fn hook_calls(&self) -> (Vec<String>, Vec<(Value, String)>) {
        let folder = self.env.root().join("calls");
        let mut files: Vec<PathBuf> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
            .collect();
        let number = |path: &PathBuf| -> u32 {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.split('-').next().unwrap().parse().unwrap()
        };
        files.sort_by_key(number);
        let mut facts = Vec::new();
        for file in &files {
            let environment = PathBuf::from(format!("{}.env", file.display()));
            let document = fs::read_to_string(file).unwrap();
            let document = serde_json::from_str(&document).unwrap();
            schema::check(&document);
            facts.push((document, fs::read_to_string(&environment).unwrap()));
            fs::remove_file(file).unwrap();
            fs::remove_file(environment).unwrap();
        }
        let word = |(document, _): &(Value, String)| {
            let text = |name: &str| document[name].as_str().unwrap().to_owned();
            format!("{} {}", text("event"), text("reason"))
        };
        (facts.iter().map(word).collect(), facts)
    }

    /// Lets an hour pass and has the timer start a run.
    fn tick(&self) -> Ran {
        self.hour.set(self.hour.get() + 1);
        let (day, hour) = (1 + self.hour.get() / 24, self.hour.get() % 24);
        self.env.now(&format!("2026-03-{day:02}T{hour:02}:00:00Z"));
        self.env.line("run-due --trigger timer")
    }

    fn events(&self) -> String {
        let content = self.env.database_content();
        let events = content.lines().filter(|line| line.starts_with("events"));
        events.collect::<Vec<_>>().join("\n")
    }
}

fn publish(env: &TestEnv, text: &str) {
    let commit = env.hub().repo("acme/tiny").commit("main");
    commit.file("config.json", text.as_bytes()).publish();
}

#[test]
fn hooks_run_only_for_changes() {
    let world = HookEnv::new();
    world.write_down();
    let events = |ran: &Ran, code| {
        ran.exits(code);
        world.hook_calls().0.join(", ")
    };
    assert_eq!(
        events(&world.tick(), 0),
        "on_update published, finally ended"
    );
    assert_eq!(events(&world.tick(), 0), "finally ended");
    publish(&world.env, "two");
    assert_eq!(
        events(&world.tick(), 0),
        "on_update published, finally ended"
    );

    // Trouble that passes is kept quiet until it has lasted, also on stderr.
    world.env.hub().fault(On::any(), Fault::Status(503));
    for _ in 0..2 {
        let ran = world.tick();
        ran.exits(5).silently();
        assert_eq!(events(&ran, 5), "finally ended");
    }
    let ran = world.tick();
    ran.explains("hfdl: 1 of 1 model needs a look: acme/tiny: ")
        .explains("has failed 3 times since 2026-03-01 13:00 UTC");
    assert_eq!(events(&ran, 5), "on_failure lasts, finally ended");
    let ran = world.tick();
    ran.exits(5).silently();
    assert_eq!(events(&ran, 5), "finally ended");

    world.env.hub().heal();
    let ran = world.tick();
    ran.explains("hfdl: `acme/tiny` has recovered; it had failed 4 times");
    assert_eq!(events(&ran, 0), "on_recovery recovered, finally ended");

    // A failure that needs a person is reported at once, and again when its kind changes.
    world.env.hub().repo("acme/tiny").private();
    let ran = world.tick();
    ran.explains("acme/tiny");
    let code = ran.code().unwrap();
    assert_eq!(events(&ran, code), "on_failure began, finally ended");
    world.tick().exits(0).silently();
    assert_eq!(
        world.hook_calls().0,
        Vec::<String>::new(),
        "asked about once a day"
    );
}

#[test]
fn a_hook_gets_facts_and_no_secrets() {
    let world = HookEnv::new();
    world.write_down();
    world
        .env
        .set("HUGGING_FACE_HUB_TOKEN", TOKEN)
        .set("HF_TOKEN_PATH", "/nowhere/token")
        .set("HFDL_PING_URL", "http://127.0.0.1:1/geheim")
        .set("HFDL_ERROR", "stale")
        .set("SOMETHING", "else");
    world.tick().exits(0);
    let (_, calls) = world.hook_calls();
    let [(update, environment), (end, of_end)] = calls.as_slice() else {
        panic!("{calls:?}");
    };
    assert_eq!(update["schema"], "hfdl.hook/1");
    assert_eq!(update["run"]["command"], "run-due");
    assert_eq!(update["run"]["exit_code"], 0);
    assert_eq!(update["session"]["model"], "acme/tiny");
    assert_eq!(update["session"]["outcome"], "updated");
    assert_eq!(update["session"]["schedule"], "hourly");
    assert_eq!(update["sessions"].as_array().unwrap().len(), 1);
    assert!(end["session"].is_null());
    let commit = update["session"]["new_commit"].as_str().unwrap();
    let path = update["session"]["path"].as_str().unwrap();
    assert!(fs::metadata(path).unwrap().is_dir());
    let home = world.env.home();
    for line in [
        "HFDL_EVENT=on_update",
        "HFDL_REASON=published",
        "HFDL_MODEL=acme/tiny",
        "HFDL_REPO=acme/tiny",
        "HFDL_REVISION=main",
        "HFDL_SCHEDULE=hourly",
        "HFDL_OUTCOME=updated",
        "HFDL_TRIGGER=timer",
        "HFDL_EXIT_CODE=0",
        "HFDL_BYTES=3",
        "HFDL_DURATION_SECONDS=0",
        "SOMETHING=else",
        &format!("HFDL_NEW_COMMIT={commit}"),
        &format!("HFDL_PATH={path}"),
        &format!("HFDL_HOME={}", home.display()),
        &format!("PWD={}", home.canonicalize().unwrap().display()),
        &format!("HFDL_RUN_ID={}", update["run"]["run_id"].as_str().unwrap()),
    ] {
        let has = environment.lines().any(|found| found == line);
        assert!(has, "{line}\n{environment}");
    }
    assert!(of_end.contains("HFDL_EVENT=finally") && !of_end.contains("HFDL_MODEL="));
    for all in [environment, of_end, &update.to_string()] {
        for secret in [TOKEN, "HF_TOKEN", "/nowhere/token", "geheim", "stale"] {
            assert!(!all.contains(secret), "{secret}\n{all}");
        }
    }
}

#[test]
fn a_failing_hanging_or_missing_hook_is_only_logged() {
    let world = HookEnv::new();
    world.env.line("config set hooks.timeout 1s").succeeds();
    let cases = [
        ("echo told; echo more >&2; exit 3", "it ended with code 3"),
        ("kill -9 $$", "signal 9 ended it"),
        ("sleep 60", "it took longer than 1 s and was ended"),
        ("exit 75", ""),
        ("sleep 60 & exec 0<&- ; exit 0", ""),
    ];
    for (index, (text, why)) in cases.iter().enumerate() {
        let script = world.script("hook", text);
        let set = ["config", "set", "hooks.on_update", script.to_str().unwrap()];
        world.env.hfdl(set).succeeds();
        publish(&world.env, &index.to_string());
        let ran = world.tick();
        ran.exits(0);
        if why.is_empty() {
            ran.silently();
        } else {
            ran.explains(&format!("`hooks.on_update` for `acme/tiny`: {why}"));
            let failed = format!("`hooks.on_update` for `acme/tiny`: {why}");
            assert!(world.events().contains(&failed), "{}", world.events());
        }
    }
    let n_failed = world.events().matches("hook-failed").count();
    assert_eq!(n_failed, 3, "{}", world.events());
    let broken = world.script("broken", "");
    fs::write(&broken, "#!/not/there\n").unwrap();
    for (program, why) in [
        ("not-there", "there is no such program"),
        ("/not/there", "there is no such program"),
        (broken.to_str().unwrap(), "it cannot be started"),
    ] {
        let set = ["config", "set", "hooks.on_update", program];
        world.env.hfdl(set).succeeds();
        publish(&world.env, program);
        world.tick().exits(0).explains(why);
        assert!(world.events().contains(why), "{}", world.events());
    }
    let logs = fs::read_dir(world.env.home().join("logs")).unwrap();
    let logs: String = logs
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    for line in ["says: told", "says: more"] {
        assert!(logs.contains(line), "{line}");
    }
}

#[test]
fn skipped_runs_have_a_hook_of_their_own() {
    let world = HookEnv::new();
    world.write_down();
    let lock = world.env.home().join("run.lock");
    let held = fs::File::create(&lock).unwrap();
    fs2::FileExt::lock_exclusive(&held).unwrap();
    world.tick().exits(11).silently();
    let (events, facts) = world.hook_calls();
    assert_eq!(events, ["on_skip skipped"]);
    assert_eq!(facts[0].0["run"]["outcome"], "skipped-locked");
    assert_eq!(facts[0].0["run"]["exit_code"], 11);
    // A skipped command is reported as it is recorded.
    for (line, command) in [
        ("download acme/tiny", "download"),
        ("verify", "verify"),
        ("prune --dry-run", ""),
    ] {
        let ran = world.env.line(line);
        let (events, facts) = world.hook_calls();
        if command.is_empty() {
            ran.succeeds();
            assert_eq!(events, [""; 0], "{line} needs no lock");
            continue;
        }
        ran.exits(11).explains("another run holds the lock");
        assert_eq!(events, ["on_skip skipped"], "{line}");
        assert_eq!(facts[0].0["run"]["command"], command);
    }
    fs2::FileExt::unlock(&held).unwrap();

    world.env.line("pause --reason move").succeeds();
    world.tick().exits(0).silently();
    let (events, facts) = world.hook_calls();
    assert_eq!(events, ["on_skip skipped"]);
    assert_eq!(facts[0].0["run"]["outcome"], "skipped-paused");
}

#[test]
fn a_held_revision_is_reported_once() {
    let world = HookEnv::new();
    world.write_down();
    world.tick().exits(0);
    publish(&world.env, "two");
    world.tick().exits(0);
    world.env.line("models rollback acme/tiny").succeeds();
    world.hook_calls();
    world.tick().exits(0).silently();
    assert_eq!(world.hook_calls().0, ["on_hold held", "finally ended"]);
    world.tick().exits(0);
    assert_eq!(world.hook_calls().0, ["finally ended"]);
    publish(&world.env, "three");
    world.tick().exits(0);
    assert_eq!(world.hook_calls().0, ["on_hold held", "finally ended"]);
}

#[test]
fn a_hook_may_start_a_run_which_then_starts_no_hook() {
    let world = HookEnv::new();
    let (starts, heard) = (
        world.env.root().join("starts"),
        world.env.root().join("heard"),
    );
    let text = format!(
        "echo start >> '{}'\nHFDL_TEST_NOW=2026-03-02T10:00:00Z '{}' run-due --json > '{}'",
        starts.display(),
        env!("CARGO_BIN_EXE_hfdl"),
        heard.display()
    );
    let script = world.script("hook", &text);
    let set = ["config", "set", "hooks.finally", script.to_str().unwrap()];
    world.env.hfdl(set).succeeds();
    world.tick().exits(0).silently();
    let heard = fs::read_to_string(heard).unwrap();
    let heard: Value = serde_json::from_str(&heard).unwrap();
    assert_eq!(
        heard["sessions"][0]["outcome"], "up-to-date",
        "the lock was free"
    );
    assert_eq!(fs::read_to_string(starts).unwrap(), "start\n");
}

#[test]
fn a_download_by_hand_is_an_update_too() {
    let world = HookEnv::new();
    world.write_down();
    world.env.line("download acme/tiny").succeeds();
    assert_eq!(world.hook_calls().0, ["on_update published"]);
    world.tick().exits(0);
    assert_eq!(world.hook_calls().0, ["finally ended"]);
}

#[test]
fn a_service_is_pinged_at_both_ends_with_the_id_of_the_run() {
    let world = HookEnv::new();
    let inbox = Inbox::answering(200);
    let url = format!("{}/geheim-42?create=1", inbox.base());
    let set = ["config", "set", "ping.url", &url];
    world.env.hfdl(set).succeeds();
    let ran = world
        .env
        .now("2026-03-01T10:00:00Z")
        .hfdl(["run-due", "--json", "-vv"]);
    ran.succeeds();
    let id = ran.json()["run_id"].as_str().unwrap().to_owned();
    let pings = inbox.take();
    let targets: Vec<&str> = pings.iter().map(|ping| ping.target.as_str()).collect();
    assert_eq!(
        targets,
        [
            format!("/geheim-42/start?create=1&rid={id}"),
            format!("/geheim-42?create=1&rid={id}"),
        ]
    );
    assert!(pings[1].body.contains("acme/tiny: updated"), "{pings:?}");
    for ping in &pings {
        assert_eq!(ping.method, "POST");
        assert_eq!(ping.header("authorization"), None);
        assert!(!format!("{ping:?}").contains(TOKEN));
    }
    // The address is in no diary, at any level.
    assert!(ran.stderr().contains("/***"), "{}", ran.report());
    assert!(!ran.stderr().contains("geheim-42"), "{}", ran.report());
    for entry in fs::read_dir(world.env.home().join("logs")).unwrap() {
        let log = fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!log.contains("geheim-42"), "{log}");
    }

    // Nothing is due: no request is sent, and no hook runs.
    world.env.line("run-due").succeeds();
    assert!(inbox.take().is_empty());

    world.env.hub().fault(On::any(), Fault::Status(503));
    world.hour.set(10);
    world.tick().exits(5);
    let pings = inbox.take();
    assert!(
        pings[1].target.starts_with("/geheim-42/5?create=1&rid="),
        "{pings:?}"
    );
    assert!(pings[1].body.contains("could-not-check"), "{pings:?}");
}

#[test]
fn a_ping_that_does_not_arrive_is_a_warning_that_names_the_host_only() {
    let world = HookEnv::new();
    let inbox = Inbox::answering(404);
    for (url, why) in [
        (format!("{}/geheim", inbox.base()), "HTTP 404"),
        ("http://127.0.0.1:1/geheim".to_owned(), "refused"),
    ] {
        let set = ["config", "set", "ping.url", &url];
        world.env.hfdl(set).succeeds().prints("/***");
        let ran = world.tick();
        ran.exits(0)
            .explains("the ping did not arrive")
            .explains(why);
        assert!(!ran.stderr().contains("geheim"), "{}", ran.report());
    }
    // Each is tried twice.
    assert_eq!(inbox.take().len(), 4);
    world.env.set("HF_HUB_OFFLINE", "1");
    let ran = world.tick();
    assert!(!ran.stderr().contains("ping"), "{}", ran.report());
}

/// An environment with a metrics file in a folder of its own.
fn with_metrics() -> (HookEnv, PathBuf) {
    let world = HookEnv::new();
    let folder = world.env.root().join("textfiles");
    fs::create_dir(&folder).unwrap();
    let file = folder.join("hfdl.prom");
    let set = ["config", "set", "metrics.file", file.to_str().unwrap()];
    world.env.hfdl(set).succeeds();
    (world, file)
}

fn read_metrics(file: &Path) -> Exposition {
    let text = fs::read_to_string(file).unwrap();
    Exposition::parse(&text).unwrap_or_else(|why| panic!("{why}\n{text}"))
}

fn of_model(name: &str) -> String {
    format!("{name}{{model=\"acme/tiny\"}}")
}

fn second(time: &str) -> Option<f64> {
    let at: jiff::Timestamp = time.parse().unwrap();
    Some(at.as_second() as f64)
}

#[test]
fn metrics_are_strict_and_readable_by_all() {
    let (world, file) = with_metrics();
    let env = &world.env;
    world.tick().exits(0).silently();
    let metrics = read_metrics(&file);
    let version = format!(
        "hfdl_build_info{{version=\"{}\"}}",
        env!("CARGO_PKG_VERSION")
    );
    let ten = second("2026-03-01T10:00:00Z");
    for (sample, value) in [
        (version.as_str(), Some(1.0)),
        ("hfdl_last_tick_timestamp_seconds", ten),
        ("hfdl_run_last_start_timestamp_seconds", ten),
        ("hfdl_run_last_duration_seconds", Some(0.0)),
        ("hfdl_run_last_exit_code", Some(0.0)),
        ("hfdl_runs_skipped_total{reason=\"locked\"}", Some(0.0)),
        (
            &of_model("hfdl_model_last_check_success_timestamp_seconds"),
            ten,
        ),
        (&of_model("hfdl_model_last_update_timestamp_seconds"), ten),
        (&of_model("hfdl_model_fetched_bytes_total"), Some(3.0)),
        (&of_model("hfdl_model_size_bytes"), Some(3.0)),
        (&of_model("hfdl_model_pending_bytes"), Some(0.0)),
        (
            &of_model("hfdl_model_oldest_verified_timestamp_seconds"),
            ten,
        ),
        (
            "hfdl_model_outcome{model=\"acme/tiny\",outcome=\"updated\"}",
            Some(1.0),
        ),
        (
            "hfdl_model_outcome{model=\"acme/tiny\",outcome=\"failed\"}",
            Some(0.0),
        ),
    ] {
        assert_eq!(metrics.get(sample), value, "{sample}\n{metrics:?}");
    }
    let free = format!("hfdl_disk_free_bytes{{path=\"{}\"}}", env.cache().display());
    assert!(metrics.get(&free).unwrap() > 0.0);
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    assert_eq!(
        fs::read_dir(file.parent().unwrap()).unwrap().count(),
        1,
        "nothing lies aside"
    );
}

#[test]
fn metrics_of_a_tick_with_nothing_due_keep_the_last_run() {
    let (world, file) = with_metrics();
    world.tick().exits(0);
    world.env.now("2026-03-01T10:15:00Z");
    world.env.line("run-due").succeeds();
    let metrics = read_metrics(&file);
    let tick = metrics.get("hfdl_last_tick_timestamp_seconds");
    assert_eq!(tick, second("2026-03-01T10:15:00Z"));
    let run = metrics.get("hfdl_run_last_start_timestamp_seconds");
    assert_eq!(run, second("2026-03-01T10:00:00Z"));
}

#[test]
fn metrics_count_failures_and_bytes_over_runs() {
    let (world, file) = with_metrics();
    world.tick().exits(0);
    publish(&world.env, "two!");
    world.env.hub().fault(On::any(), Fault::Status(503));
    world.tick().exits(5);
    world.env.hub().heal();
    let metrics = read_metrics(&file);
    assert_eq!(metrics.get("hfdl_run_last_exit_code"), Some(5.0));
    let failures = of_model("hfdl_model_consecutive_failures");
    assert_eq!(metrics.get(&failures), Some(1.0));
    world.tick().exits(0);
    let total = of_model("hfdl_model_fetched_bytes_total");
    assert_eq!(read_metrics(&file).get(&total), Some(7.0));
}

#[test]
fn the_flag_names_another_file_and_a_missing_folder_is_a_warning() {
    let world = HookEnv::new();
    let (saved, given) = (
        world.env.root().join("a.prom"),
        world.env.root().join("b.prom"),
    );
    let set = ["config", "set", "metrics.file", saved.to_str().unwrap()];
    world.env.hfdl(set).succeeds();
    let args = ["run-due", "--metrics-file", given.to_str().unwrap()];
    world.env.hfdl(args).succeeds();
    assert!(given.exists() && !saved.exists());
    let args = ["run-due", "--metrics-file", "/nowhere/at/all.prom"];
    world
        .env
        .hfdl(args)
        .succeeds()
        .explains("no metrics: cannot write `/nowhere/at/all.prom`");
    // As `/dev/null` is none, which root would lose.
    let pipe = world.env.root().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let args = ["run-due", "--metrics-file", pipe.to_str().unwrap()];
    let ran = world.env.hfdl(args);
    ran.succeeds().explains("not a regular file");
    assert!(!pipe.is_file());
}

#[test]
fn unwritable_metrics_are_reported_once_a_day() {
    let world = HookEnv::new();
    let folder = world.env.root().join("later");
    let file = folder.join("hfdl.prom");
    let set = ["config", "set", "metrics.file", file.to_str().unwrap()];
    world.env.hfdl(set).succeeds();
    let at = |time: &str| {
        world.env.now(time);
        world.env.line("run-due --trigger timer")
    };
    at("2026-03-01T10:00:00Z").exits(0).explains("no metrics");
    at("2026-03-01T10:15:00Z").exits(0).silently();
    at("2026-03-01T11:00:00Z").exits(0).silently();
    at("2026-03-02T10:00:00Z").exits(0).explains("no metrics");
    fs::create_dir(&folder).unwrap();
    at("2026-03-02T10:15:00Z").exits(0).silently();
    assert!(file.exists());
    fs::remove_dir_all(&folder).unwrap();
    at("2026-03-02T10:30:00Z").exits(0).explains("no metrics");
}

#[test]
fn the_status_is_left_where_others_read_it() {
    let world = HookEnv::new();
    let file = world.env.root().join("status.json");
    let set = ["config", "set", "status.file", file.to_str().unwrap()];
    world.env.hfdl(set).succeeds();
    world.tick().exits(0).silently();
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(
        text,
        fs::read_to_string(world.env.home().join("status.json")).unwrap()
    );
    let document: Value = serde_json::from_str(&text).unwrap();
    assert!(
        document["schema"]
            .as_str()
            .unwrap()
            .starts_with("hfdl.status/")
    );
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);

    world
        .env
        .line("config set status.file /nowhere/status.json")
        .succeeds();
    world
        .tick()
        .exits(0)
        .explains("cannot write `/nowhere/status.json`");
}

#[test]
fn hooks_get_the_change_note_of_an_update_and_of_a_hold() {
    let world = HookEnv::new();
    world.write_down();
    world.tick().exits(0);
    let notes = |world: &HookEnv| -> Vec<Value> {
        let (_, calls) = world.hook_calls();
        let notes = calls
            .iter()
            .map(|(document, _)| document["change_note"].clone());
        notes.collect()
    };
    assert_eq!(
        notes(&world),
        [Value::Null, Value::Null],
        "a first download"
    );
    let commit = |n: usize| {
        let title = format!("commit {n}");
        let draft = world
            .env
            .hub()
            .repo("acme/tiny")
            .commit("main")
            .title(&title);
        (0..30).fold(draft, |draft, file| {
            draft.file(&format!("f{file}"), vec![b'x'; n])
        })
    };
    (1..40).for_each(|n| drop(commit(n).publish()));
    world.tick().exits(0);
    let [update, end] = &notes(&world)[..] else {
        panic!("an update and the end of the run");
    };
    assert_eq!(update["commits"][0]["title"], "commit 39");
    assert_eq!(update["commits"].as_array().unwrap().len(), 25, "bounded");
    assert_eq!(update["more_commits"], true);
    assert_eq!(update["files"]["added"]["files"], 30);
    assert_eq!(update["files"]["list"].as_array().unwrap().len(), 25);
    assert_eq!(update["files"]["more"], 5);
    assert_eq!(
        *end,
        Value::Null,
        "the end of a run is about no single update"
    );
    let emptied = (0..30).fold(commit(1), |draft, file| draft.remove(&format!("f{file}")));
    emptied.remove("config.json").title("gone").publish();
    world.tick().exits(0);
    let hold = &notes(&world)[0];
    assert_eq!(hold["commits"][0]["title"], "gone");
    assert_eq!(hold["files"]["removed"]["files"], 31);
}
