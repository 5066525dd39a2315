//! Allowances of a day and a month with the real engine: bytes that the hub sends are
//! counted against them, over runs, kills and clocks.

use hfdl_test_hub::{Api, generated_bytes};
use serde_json::Value;

use crate::support::due::{keep_large, outcomes, roomy_world, sessions};
use crate::support::env::{Ran, TestEnv};

const MIB: u64 = 1 << 20;

/// Each test has one connection: a hard limit holds to the block of each connection.
const ONE: &str = "-c download.connections=1";

fn keep(env: &TestEnv, repo: &str, size: u64) {
    keep_large(env, repo, size as usize, size + repo.len() as u64);
}

/// Returns the body bytes of files that the hub has sent.
fn sent(env: &TestEnv) -> u64 {
    let requests = env.hub().requests();
    let of_files = requests
        .iter()
        .filter(|request| matches!(request.api, Api::Cdn | Api::Resolve | Api::ResolveCache));
    of_files.map(|request| request.bytes_sent).sum()
}

/// Returns the first allowance of `status`.
fn allowance(env: &TestEnv) -> Value {
    env.line("status --json").json()["allowances"][0].clone()
}

fn error(ran: &Ran) -> String {
    let document = ran.json();
    document["sessions"][0]["error"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn a_daily_allowance_stops_a_file_in_the_middle_and_the_next_day_goes_on() {
    let env = roomy_world();
    keep(&env, "acme/large", 7 * MIB);
    env.line("schedules add night --daily 00:30 --tz UTC --all")
        .succeeds();
    env.line("config set limit.daily 3M").succeeds();
    env.line("config set limit.zone UTC").succeeds();
    let mut total = 0;
    for day in 1..=3 {
        let before = sent(&env);
        let ran = env
            .now(&format!("2026-04-{day:02}T01:00:00Z"))
            .line(&format!("run-due --json {ONE}"));
        let here = sent(&env) - before;
        assert!(here <= 3 * MIB + MIB, "day {day}: {here}");
        total += here;
        if day == 3 {
            ran.succeeds();
            break;
        }
        ran.exits(8)
            .explains("hfdl: the allowance of the day for this home is spent");
        assert_eq!(outcomes(&ran)[0].1, "partial");
        assert_eq!(ran.json()["sessions"][0]["error_kind"], "allowance");
        let day = ["Thu 2 Apr", "Fri 3 Apr"][day - 1];
        let message = error(&ran);
        assert!(
            message.starts_with("the allowance of the day is spent"),
            "{message}"
        );
        assert!(
            message.ends_with(&format!("it begins anew on {day}")),
            "{message}"
        );
    }
    assert!(total <= 7 * MIB + MIB, "{total}");
}

#[test]
fn a_tick_with_a_spent_allowance_starts_no_run_until_the_next_slot() {
    let env = roomy_world();
    keep(&env, "acme/large", 7 * MIB);
    env.line("schedules add night --daily 00:30 --tz UTC --all")
        .succeeds();
    for setting in ["limit.monthly 2M", "limit.zone UTC", "limit.billing_day 15"] {
        env.line(&format!("config set {setting}")).succeeds();
    }
    env.now("2026-04-01T01:00:00Z").line("run-due").exits(8);
    env.hub().forget_requests();
    let n_runs = || {
        env.line("runs list --json").json()["runs"]
            .as_array()
            .unwrap()
            .len()
    };
    env.now("2026-04-01T01:15:00Z")
        .line("run-due --trigger timer")
        .exits(8)
        .silently();
    let after_skip = n_runs();
    env.now("2026-04-01T01:30:00Z")
        .line("run-due --trigger timer")
        .exits(8)
        .silently();
    assert_eq!(n_runs(), after_skip, "the skipped run is recorded once");
    assert!(env.hub().requests().is_empty(), "nothing is asked");
    let by_hand = env.line("run-due");
    by_hand
        .exits(8)
        .explains("the allowance of the month is spent");
    by_hand.explains("--ignore-limits");
    // The next slot checks, which costs no allowance, and fetches nothing.
    env.now("2026-04-02T01:00:00Z").line("run-due").exits(8);
    assert!(!env.hub().requests().is_empty());
    assert_eq!(sent(&env), 0);
    assert_eq!(allowance(&env)["renews_at"], "2026-04-15T00:00:00Z");
    env.now("2026-04-15T01:00:00Z").line("run-due").exits(8);
    assert!(sent(&env) >= MIB);
}

#[test]
fn a_timer_tells_once_a_period_that_an_allowance_is_spent() {
    let env = roomy_world();
    keep(&env, "acme/large", 9 * MIB);
    env.line("schedules add night --daily 00:30 --tz UTC --all")
        .succeeds();
    env.line("config set limit.daily 2M").succeeds();
    env.line("config set limit.zone UTC").succeeds();
    let tick = |at: &str| {
        let at = format!("2026-04-{at}:00Z");
        env.now(&at).line(&format!("run-due --trigger timer {ONE}"))
    };
    let line = |day: &str| {
        format!(
            "hfdl: the allowance of the day for this home is spent (2.00 MiB of 2.00 MiB); it \
             begins anew on {day}; `hfdl run-due --ignore-limits` goes beyond it now, and `hfdl \
             config set limit.daily SIZE` changes it\n"
        )
    };
    let first = tick("01T01:00");
    assert_eq!(first.exits(8).stderr(), line("Thu 2 Apr"));
    tick("01T01:15").exits(8).silently();
    tick("01T23:00").exits(8).silently();
    let next = tick("02T01:00");
    assert_eq!(next.exits(8).stderr(), line("Fri 3 Apr"));
    // The day was spent by hand, before the first tick.
    env.now("2026-04-03T00:10:00Z")
        .line(&format!("download acme/large {ONE}"))
        .exits(8);
    tick("03T01:00").exits(8).explains("Sat 4 Apr");
    tick("03T01:15").exits(8).silently();
    // A limit that a person has changed is another one.
    env.line("config set limit.daily 3M").succeeds();
    tick("03T01:30").exits(8).explains("(3.00 MiB of 3.00 MiB)");
    tick("03T01:45").exits(8).silently();
}

#[test]
fn unchanged_models_are_checked_while_the_allowance_is_spent() {
    let env = roomy_world();
    keep(&env, "acme/whole", MIB / 2);
    keep(&env, "acme/large", 7 * MIB);
    env.line("download acme/whole").succeeds();
    env.line("config set limit.daily 2M").succeeds();
    env.line("download acme/large")
        .exits(8)
        .explains("the allowance of the day is spent");
    env.line("download acme/whole").succeeds();
    let again = env.line("download acme/large --json");
    again.exits(8);
    assert_eq!(sessions(&again)[0].2, 0);
}

#[test]
fn one_command_may_go_beyond_the_allowance_and_its_bytes_count() {
    let env = roomy_world();
    keep(&env, "acme/large", 6 * MIB);
    env.line("schedules add night --every 6h --all").succeeds();
    env.line("config set limit.daily 2M").succeeds();
    env.line("run-due").exits(8);
    env.line("run-due --ignore-limits").succeeds();
    let spent = allowance(&env)["spent_bytes"].as_u64().unwrap();
    assert!(spent >= 6 * MIB, "{spent}");
    keep(&env, "acme/more", 2 * MIB);
    env.line("download acme/more").exits(8);
    env.line("download acme/more --ignore-limits").succeeds();
}

#[test]
fn a_soft_allowance_lets_the_file_in_progress_end_and_starts_no_other() {
    let env = roomy_world();
    let draft = env.hub().repo("acme/two").commit("main");
    draft
        .lfs("a.safetensors", generated_bytes(4 << 20, 1))
        .lfs("b.safetensors", generated_bytes(5 << 20, 2))
        .publish();
    env.line("models add acme/two").succeeds();
    env.line("config set limit.daily 2M").succeeds();
    env.line("config set limit.kind soft").succeeds();
    let ran = env.line(&format!(
        "download acme/two --json -c download.files=1 {ONE}"
    ));
    ran.exits(8);
    assert_eq!(sessions(&ran)[0].2, 4 * MIB, "the first file is whole");
    let next = env.line("download acme/two --json");
    next.exits(8);
    assert_eq!(sessions(&next)[0].2, 0);
    assert_eq!(allowance(&env)["kind"], "soft");
}

#[test]
fn a_schedule_has_allowances_of_its_own_in_its_zone() {
    let env = roomy_world();
    keep(&env, "acme/large", 8 * MIB);
    keep(&env, "acme/other", 3 * MIB);
    env.line(
        "schedules add tight --every 6h --model acme/large --limit-daily 2M --tz Pacific/Auckland",
    )
    .succeeds();
    env.line("schedules add free --every 6h --model acme/other")
        .succeeds();
    let ran = env.line("run-due --json");
    ran.exits(8)
        .explains("the allowance of the day for the schedule `tight` is spent")
        .explains("`hfdl schedules set tight --limit-daily SIZE` changes it");
    let outcomes = outcomes(&ran);
    assert_eq!(outcomes[0].1, "partial");
    assert_eq!(outcomes[1].1, "updated");
    assert!(
        error(&ran).contains("for the schedule `tight`"),
        "{}",
        ran.report()
    );
    let spent = allowance(&env);
    assert_eq!(
        (&spent["scope"], &spent["name"]),
        (&"schedule".into(), &"tight".into())
    );
    // 2026-03-01T09:00Z is 22:00 in Auckland: its day ends two hours later.
    assert_eq!(spent["renews_at"], "2026-03-01T11:00:00Z");
    env.now("2026-03-01T11:00:00Z").line("run-due").exits(8);
    env.line("schedules set tight --limit-daily 64M --limit-monthly 4M")
        .succeeds();
    env.line("run-due").exits(8);
    assert_eq!(
        env.line("schedules show tight --json").json()["limit_monthly"],
        "4M"
    );
    env.line("schedules set tight --no-limit-monthly --no-limit-daily")
        .succeeds();
    env.line("run-due").succeeds();
}

#[test]
fn the_models_of_a_tag_share_its_allowance() {
    let env = roomy_world();
    keep(&env, "acme/a", 5 * MIB);
    keep(&env, "acme/b", 6 * MIB);
    keep(&env, "acme/free", 4 * MIB);
    for model in ["acme/a", "acme/b"] {
        env.line(&format!("models set {model} --tag llm"))
            .succeeds();
    }
    env.line("schedules add often --every 6h --all").succeeds();
    env.line("tags set llm --limit-daily 2M --limit-monthly 64M")
        .succeeds();
    let ran = env.line("run-due --json");
    ran.exits(8)
        .explains("the allowance of the day for the tag `llm` is spent")
        .explains("`hfdl tags set llm --limit-daily SIZE` changes it");
    let of_tag: u64 = sessions(&ran)[..2].iter().map(|(_, _, bytes)| bytes).sum();
    assert!(of_tag <= 3 * MIB, "{of_tag}");
    assert_eq!(
        outcomes(&ran)[2],
        ("acme/free".to_owned(), "updated".to_owned())
    );
    assert!(
        error(&ran).contains("for the tag `llm`"),
        "{}",
        ran.report()
    );
    assert_eq!(allowance(&env)["name"], "llm");
    // The slot has nothing left but models of the tag, so that ticks start no run.
    env.hub().forget_requests();
    env.now("2026-03-01T09:15:00Z")
        .line("run-due --trigger timer")
        .exits(8)
        .silently();
    assert!(env.hub().requests().is_empty());
    env.line("download acme/a")
        .exits(8)
        .explains("for the tag `llm`");
    env.line("tags set llm --no-limit-daily --no-limit-monthly")
        .succeeds();
    env.line("run-due").succeeds();
}

#[test]
fn a_killed_run_never_lets_the_day_exceed_its_allowance() {
    let env = roomy_world();
    keep(&env, "acme/large", 14 * MIB);
    env.line("schedules add often --every 15m --all").succeeds();
    env.line("config set limit.daily 8M").succeeds();
    env.line("config set limit.zone UTC").succeeds();
    let mut n_kills = 0;
    for (day, kills) in [(1, 2..5), (2, 1..3)] {
        let before = sent(&env);
        for (tick, times) in kills.enumerate() {
            env.set("HFDL_TEST_CRASH_AT", &format!("bytes recorded:{times}"));
            let minute = 15 * tick;
            let ran = env
                .now(&format!("2026-04-{day:02}T10:{minute:02}:00Z"))
                .line(&format!("run-due {ONE}"));
            n_kills += u32::from(!matches!(ran.code(), Some(0 | 8)));
        }
        env.unset("HFDL_TEST_CRASH_AT");
        let clock = format!("2026-04-{day:02}T11:00:00Z");
        env.now(&clock).line(&format!("run-due {ONE}"));
        let here = sent(&env) - before;
        assert!(here <= 8 * MIB + MIB, "day {day}: {here}");
    }
    assert!(n_kills >= 3, "{n_kills}");
}

#[test]
fn a_clock_set_back_gives_no_second_allowance() {
    let env = roomy_world();
    keep(&env, "acme/large", 20 * MIB);
    env.line("config set limit.daily 2M").succeeds();
    env.now("2026-04-10T10:00:00Z")
        .line("download acme/large")
        .exits(8);
    for earlier in ["2026-04-09T10:00:00Z", "2026-04-01T10:00:00Z"] {
        let ran = env.now(earlier).line("download acme/large --json");
        ran.exits(8);
        assert_eq!(sessions(&ran)[0].2, 0, "{earlier}");
    }
    let ran = env
        .now("2026-04-11T10:00:00Z")
        .line("download acme/large --json");
    assert!(sessions(&ran)[0].2 > 0);
}

#[test]
fn status_and_metrics_tell_the_allowances_and_warn_of_models_that_wait() {
    let env = roomy_world();
    keep(&env, "acme/large", 7 * MIB);
    env.line("schedules add night --every 6h --all").succeeds();
    env.line("config set limit.monthly 64M").succeeds();
    env.line("config set limit.zone UTC").succeeds();
    let file = env.home().join("hfdl.prom");
    env.set("HFDL_METRICS_FILE", file.to_str().unwrap());
    let status = || env.line("status --json").json();
    let kinds = |status: &Value| status["warnings"].to_string();
    assert!(!kinds(&status()).contains("allowance-spent"));
    env.line("config set limit.monthly 2M").succeeds();
    env.line("run-due").exits(8);
    let now = status();
    assert!(kinds(&now).contains("allowance-spent"), "{now:#}");
    let expected = [
        ("scope", Value::from("home")),
        ("name", Value::Null),
        ("period", "month".into()),
        ("kind", "hard".into()),
        ("limit_bytes", (2 * MIB).into()),
        ("is_spent", true.into()),
        ("began_at", "2026-03-01T00:00:00Z".into()),
        ("renews_at", "2026-04-01T00:00:00Z".into()),
    ];
    for (field, value) in expected {
        assert_eq!(now["allowances"][0][field], value, "{field}");
    }
    let shown = env.line("status");
    shown
        .exits(1)
        .prints("allowance of the month: 2.00 MiB of 2.00 MiB spent, new on Wed 1 Apr");
    shown.prints("`acme/large` cannot be fetched now");
    let metrics = std::fs::read_to_string(&file).unwrap();
    let labels = "{scope=\"home\",name=\"\",period=\"month\"}";
    assert!(
        metrics.contains(&format!("hfdl_allowance_limit_bytes{labels} 2097152\n")),
        "{metrics}"
    );
    assert!(
        metrics.contains(&format!("hfdl_allowance_spent_bytes{labels} 2097152\n")),
        "{metrics}"
    );
    // In the next month nothing is spent, and the warning is over.
    env.now("2026-04-01T00:00:00Z");
    let now = status();
    assert!(!kinds(&now).contains("allowance-spent"));
    assert_eq!(now["allowances"][0]["spent_bytes"], 0);
}

#[test]
fn a_forecast_follows_from_past_runs_windows_and_allowances() {
    let env = roomy_world();
    keep(&env, "acme/large", 8 * MIB);
    env.line("schedules add night --daily 01:00 --window 01:00-05:00 --tz UTC --all")
        .succeeds();
    env.line("config set limit.zone UTC").succeeds();
    // The reader has another zone than the schedule.
    env.set("TZ", "Europe/Berlin");
    let forecast = || {
        let status = env.line("status --json").json();
        status["models"][0]["forecast"].clone()
    };
    // Each second of real time is a minute of the run.
    env.unset("HFDL_TEST_NO_PAUSES");
    env.now("2026-04-01T01:00:00Z+60");
    env.line("run-due --max-transfer 3M").exits(8);
    env.now("2026-04-01T05:30:00Z");
    let known = forecast();
    assert_eq!(known["basis"]["days"], 1, "{known:#}");
    assert_eq!(known["obstacle"], Value::Null);
    let at = known["at"].as_str().unwrap();
    assert!(at.starts_with("2026-04-02T01:"), "the next window: {at}");
    assert!(known["earliest"].as_str().unwrap() <= at);
    env.line("status")
        .prints("`acme/large`: no forecast: no timer starts its schedule");
    env.line("run-due --trigger ci").succeeds();
    env.line("status")
        .prints("`acme/large`: whole about Thu 01:");
    env.line("config set limit.daily 2M").succeeds();
    let later = forecast()["at"].as_str().unwrap().to_owned();
    assert!(later.starts_with("2026-04-04T01:"), "2 MiB a day: {later}");
    env.line("schedules disable night").succeeds();
    assert_eq!(forecast()["obstacle"], "no-schedule");
    env.line("schedules enable night").succeeds();
    env.line("pause").succeeds();
    assert_eq!(forecast()["obstacle"], "paused");
}

#[test]
fn a_dry_run_has_the_forecast_of_each_model_to_fetch() {
    let env = roomy_world();
    keep(&env, "acme/large", 8 * MIB);
    env.line("schedules add night --every 6h --all").succeeds();
    let plan = env.line("run-due --dry-run --json").json();
    assert_eq!(plan["models"][0]["forecast"]["obstacle"], "no-history");
    env.line("run-due --dry-run")
        .prints("no forecast: no run has fetched enough yet");
    env.unset("HFDL_TEST_NO_PAUSES");
    env.now("2026-03-01T09:00:00Z+60");
    env.line("run-due --max-transfer 3M").exits(8);
    env.now("2026-03-01T09:45:00Z");
    let plan = env.line("run-due --dry-run --json").json();
    let at = plan["models"][0]["forecast"]["at"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(at.starts_with("2026-03-01T"), "{at}");
    env.line("run-due --dry-run")
        .prints("`acme/large`: whole about Sun ");
}
