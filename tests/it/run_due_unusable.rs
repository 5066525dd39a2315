//! Schedules that no run can follow: a row edited by hand, from another
//! machine, or of a newer version. Each is told of, and holds up no other.

use serde_json::Value;

use crate::support::database::{ask, change, number};
use crate::support::due::{roomy_world, slots};
use crate::support::env::TestEnv;

const MORNING: &str = "2026-03-01T09:00:00Z";
const NOON: &str = "2026-03-01T12:00:00Z";
const NEXT_DAY: &str = "2026-03-02T12:30:00Z";

/// Damage of a row, and the message about it.
const SICK: &[(&str, &str)] = &[
    ("time_zone = 'Mars/Base'", "`Mars/Base`"),
    ("windows = '[\"sometimes\"]'", "`windows`: "),
    ("cadence_spec = 'at full moon'", "`cadence_spec`: "),
    (
        "cadence_kind = 'cron', cadence_spec = '0 0 30 2 * 7 7'",
        "`cadence_spec`: ",
    ),
    ("windows = '[3]'", "`windows`: "),
    ("limit_rate = 'slow'", "`limit_rate`: "),
    ("next_due_at = -99999999999999", "`next_due_at`: "),
];

/// A world with two models, each in a schedule of its own.
fn world() -> TestEnv {
    let env = roomy_world();
    for (repo, schedule) in [("acme/one", "sick"), ("acme/two", "well")] {
        let draft = env.hub().repo(repo).commit("main");
        draft.file("config.json", repo.as_bytes()).publish();
        env.hfdl(["models", "add", repo]).succeeds();
        let line = format!("schedules add {schedule} --every 1h --model {repo}");
        env.line(&line).succeeds();
    }
    env
}

/// Damages a row; no command saves such values.
fn make_sick(env: &TestEnv, how: &str) {
    change(
        env,
        &format!("UPDATE schedules SET {how} WHERE name = 'sick'"),
    );
}

const RUNS: &str = "SELECT outcome, exit_code FROM runs ORDER BY id";
const TOLD: &str = "SELECT count(*) FROM events WHERE kind = 'skipped'";

#[test]
fn one_schedule_that_cannot_be_followed_holds_up_no_other() {
    for (how, why) in SICK {
        let env = world();
        make_sick(&env, how);

        let ran = env.hfdl(["run-due", "--json"]);

        ran.exits(2)
            .explains("the schedule `sick` is skipped")
            .explains(why);
        let document = ran.json();
        let sessions = document["sessions"].as_array().unwrap();
        assert_eq!(sessions.len(), 1, "{how}");
        assert_eq!(sessions[0]["model"], "acme/two");
        assert_eq!(sessions[0]["outcome"], "updated");
        let skipped = &document["skipped"][0];
        assert_eq!(skipped["schedule"], "sick");
        assert!(skipped["reason"].as_str().unwrap().contains(why), "{how}");
        assert_eq!(document["exit_code"], 2);
        assert_eq!(slots(&env, "well")[0], MORNING);
        assert_eq!(ask(&env, RUNS), ["failed | 2"]);
        let run = document["run_id"].as_str().unwrap();
        let told = format!("{TOLD} AND run_id = '{run}' AND detail LIKE '%`sick`%'");
        assert_eq!(number(&env, &told), 1, "{how}");
    }
}

#[test]
fn a_timer_tells_of_it_when_it_appears_and_once_a_day_and_its_code_always() {
    let env = world();
    env.hfdl(["run-due"]).succeeds();
    make_sick(&env, "windows = '[3]', next_due_at = 1");
    env.line("schedules disable well").succeeds();
    let tick = |now: &str| {
        env.now(now);
        let ran = env.line("run-due --trigger timer");
        ran.exits(2);
        ran
    };

    let first = tick(NOON);
    let subject = first.stderr().lines().next();
    assert_eq!(
        subject,
        Some("error: the schedule `sick` is skipped"),
        "the subject of a mail"
    );
    first.explains("hfdl schedules remove sick");
    assert_eq!(ask(&env, RUNS), ["ok | 0", "failed | 2"]);
    tick("2026-03-01T12:15:00Z").silently();
    assert_eq!(ask(&env, RUNS).len(), 2, "not a row for every tick");
    assert_eq!(number(&env, TOLD), 1);
    let by_hand = env.hfdl(["run-due", "--json"]);
    by_hand.exits(2).explains("`sick` is skipped");
    assert_eq!(by_hand.json()["exit_code"], 2);
    assert_eq!(by_hand.json()["skipped"][0]["schedule"], "sick");
    tick(NEXT_DAY).explains("`sick` is skipped");
    assert_eq!(number(&env, TOLD), 2);

    env.line("schedules remove sick --yes").succeeds();
    env.line("run-due --trigger timer").succeeds().silently();
}

#[test]
fn a_schedule_is_followed_again_as_soon_as_its_zone_is_known() {
    let env = world();
    make_sick(&env, "time_zone = 'Mars/Base'");
    env.hfdl(["run-due"])
        .exits(2)
        .explains("hfdl schedules set sick --tz");
    env.line("schedules set sick --tz Europe/Berlin").succeeds();
    env.hfdl(["run-due"]).succeeds().silently();
    assert_eq!(slots(&env, "sick")[0], MORNING);
}

#[test]
fn a_paused_home_still_tells_of_it() {
    let env = world();
    make_sick(&env, "windows = '[3]'");
    env.line("pause").succeeds();
    let ran = env.hfdl(["run-due", "--json"]);
    ran.exits(2).explains("`sick` is skipped");
    assert_eq!(ran.json()["outcome"], "skipped-paused");
}

#[test]
fn no_command_falls_over_a_schedule_that_cannot_be_followed() {
    for (how, why) in SICK {
        let env = world();
        make_sick(&env, how);
        let document = |line: &str, code: i32| {
            let ran = env.line(line);
            ran.exits(code);
            ran.json()
        };

        let status = document("status --json", 1);
        let warnings = status["warnings"].as_array().unwrap();
        let kinds: Vec<&Value> = warnings.iter().map(|one| &one["kind"]).collect();
        assert_eq!(kinds, ["timer-missing", "schedule-unusable"], "{how}");
        let message = warnings[1]["message"].as_str().unwrap();
        assert!(message.contains(why), "{message}");
        assert_eq!(status["next_due"].as_array().unwrap().len(), 1);

        env.line("schedules list")
            .succeeds()
            .prints("sick")
            .prints("well")
            .explains(why);
        let listed = document("schedules list --json", 0);
        let count = |field: &str| listed[field].as_array().unwrap().len();
        assert_eq!(count("schedules") + count("unreadable"), 2, "{how}");
        env.line("schedules show well").succeeds().silently();
        env.line("schedules show sick").explains(why);
        env.line("schedules next").succeeds().explains(why);
        env.line("models list").succeeds();
        env.line("models show acme/two").succeeds();

        let plan = document("run-due --dry-run --at 2026-03-01T10:00:00Z --json", 2);
        let of = |name: &str| {
            let all = plan["schedules"].as_array().unwrap().iter();
            let mut found = all.filter(|one| one["schedule"] == name);
            found.next().unwrap().clone()
        };
        assert_eq!(of("sick")["state"], "unusable");
        assert!(of("sick")["error"].as_str().unwrap().contains(why));
        assert_eq!(of("well")["state"], "due");
        assert_eq!(plan["models"].as_array().unwrap().len(), 1);
        env.line("run-due --dry-run").exits(2).prints("unusable");

        let examined = env.line("doctor --json").json();
        let checks = examined["checks"].as_array().unwrap().iter();
        let mut failed =
            checks.filter(|one| one["name"] == "schedules" && one["verdict"] == "fail");
        let what = failed.next().unwrap()["what"].as_str().unwrap();
        assert!(what.contains(why), "{what}");

        // An alarm that is understood can be switched off.
        env.line("schedules add third --every 2h --all").succeeds();
        env.line("schedules disable sick").succeeds();
        env.line("run-due --trigger ci").succeeds();
        env.line("status").succeeds();
        env.line("schedules remove sick --yes").succeeds();
    }
}

#[test]
fn a_copy_of_the_registry_is_whole_or_refused() {
    let env = world();
    make_sick(&env, "windows = '[3]'");
    env.line("export")
        .exits(2)
        .explains("the schedule `sick` cannot run")
        .explains("hfdl schedules remove sick");
    // A zone that is unknown here may be known where the copy goes.
    make_sick(&env, "windows = '[]', time_zone = 'Mars/Base'");
    env.line("export").succeeds().prints("Mars/Base");
}
