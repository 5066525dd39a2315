//! The truth table driven through the real binary, and clocks that cannot be trusted.
//!
//! Zones are those of the machine or of the program here. Rows with a jitter
//! are no exception: a home is sought whose share of the jitter is the row's.

use std::fs;
use std::path::Path;
use std::time::Duration;

use hfdl::domain::model::ModelSpec;
use hfdl::domain::repo::{Repo, RepoType};
use hfdl::domain::schedule::{
    DueContext, DueState, Schedule, ScheduleId, Selection, assess, find_zone, jitter_offset,
};
use hfdl::domain::time::{Timestamp, render_utc};
use hfdl::domain::units::Seconds;
use hfdl::store::{MetaKey, Store};
use hfdl::sys::host::Host;
use hfdl::sys::lock::FileLock;
use hfdl_test_hub::{Api, Fault, On};
use serde_json::Value;
use uuid::Uuid;

use crate::support::database::{ask, number};
use crate::support::due::roomy_world;
use crate::support::env::TestEnv;
use crate::support::sound::say;
use crate::support::truth_table::{Row, instant, normalise, rows};

const STATE: &str = "SELECT last_slot_at, open_slot_at, retry_at, not_before_at, next_due_at
    FROM schedules";
const RUNS: &str = "SELECT outcome FROM runs";
const EVENTS: &str = "SELECT kind, detail FROM events
    WHERE kind IN ('missed-slot', 'clock-reset', 'clock-back', 'missed-tick') ORDER BY id";

fn world() -> TestEnv {
    let env = roomy_world();
    let draft = env.hub().repo("acme/tiny").commit("main");
    draft.file("config.json", b"{}").publish();
    env
}

/// Makes a home in which a row's schedule is as the row says, and covers one model.
fn prepare(env: &TestEnv, row: &Row<'_>) -> Schedule {
    let _ = fs::remove_dir_all(env.home());
    env.now(&render_utc(row.now));
    let store = Store::open(&env.database(), row.not_before).unwrap();
    let (mut spec, mut state, look) = row.inputs();
    spec.jitter = look.offset;
    spec.selection = Selection {
        all: true,
        ..Selection::default()
    };
    // The cached time of an earlier run, whose clock may have been ahead.
    state.next_due_at = Some(row.last_slot.unwrap_or(row.not_before));
    let id = store
        .insert_schedule(&spec, &state, row.not_before)
        .unwrap();
    assert_eq!(id, ScheduleId(1));
    if look.offset != Seconds(0) {
        store
            .set_meta(MetaKey::InstallId, &home_with_offset(look.offset))
            .unwrap();
    }
    if let Some(ahead) = row.last_slot.filter(|last| *last > row.now) {
        store
            .set_meta(MetaKey::LastTick, &render_utc(ahead))
            .unwrap();
    }
    let repo = Repo::new(RepoType::Model, "acme/tiny".parse().unwrap());
    let model = ModelSpec::new("tiny".parse().unwrap(), repo);
    store.insert_model(&model, row.not_before).unwrap();
    store.schedule_by_id(id).unwrap().unwrap()
}

/// Finds a home whose share of the first schedule's jitter is all of it.
fn home_with_offset(jitter: Seconds) -> String {
    let host = Host::from_process().name();
    let mut homes = (0..u128::MAX).map(|n| Uuid::from_u128(n).to_string());
    let offset = |home: &String| jitter_offset(home, &host, ScheduleId(1), jitter);
    homes.find(|home| offset(home) == jitter).unwrap()
}

/// Writes what a dry run answers in the words of the table.
fn words_of(schedules: &[Value]) -> String {
    let [schedule] = schedules else {
        assert!(schedules.is_empty());
        // Only enabled ones are named.
        return "disabled".to_owned();
    };
    let state = schedule["state"].as_str().unwrap();
    let mut words = vec![state.to_owned()];
    let is_resumed = schedule["resume"] == Value::Bool(true);
    for (key, is_told) in [
        ("slot", true),
        ("coalesced", !is_resumed),
        ("late", !is_resumed),
        ("missed", true),
        ("next", true),
    ] {
        match &schedule[key] {
            Value::String(text) if is_told => words.push(format!("{key}={text}")),
            Value::Number(number) if is_told => words.push(format!("{key}={number}")),
            Value::Null if key == "next" && state == "expired" => words.push("next=none".into()),
            _ => {}
        }
    }
    if is_resumed {
        words.push("resume".to_owned());
    }
    if let Some(deadline) = schedule["deadline"].as_str() {
        words.push(format!("deadline={deadline}"));
    }
    words.join(" ")
}

/// Asks again a second before an instant and at it: is there something to do?
fn looks(schedule: &Schedule, offset: Seconds, at: Timestamp) -> [DueState; 2] {
    let zone = find_zone(&schedule.spec.time_zone).unwrap();
    [-1, 0].map(|seconds| {
        let look = DueContext {
            now: Timestamp::from_second(at.as_second() + seconds).unwrap(),
            offset,
            tick: Seconds(900),
        };
        assess(&schedule.spec, &schedule.state, &zone, &look).state
    })
}

/// The answer of a row, in the words of the table.
struct Answer {
    text: String,
    is_clock_reset: bool,
}

impl Answer {
    fn of(row: &Row<'_>) -> Self {
        let text = normalise(row.expected);
        let (answer, clock) = text.split_once(" [").unwrap_or((&text, ""));
        Self {
            is_clock_reset: clock == "clock-reset]",
            text: answer.to_owned(),
        }
    }

    fn kind(&self) -> &str {
        self.text.split(' ').next().unwrap()
    }

    fn word(&self, key: &str) -> Option<&str> {
        let mut words = self.text.split(' ');
        words.find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    fn instant(&self, key: &str) -> Option<Timestamp> {
        self.word(key)?.parse().ok()
    }
}

/// Writes an instant as the database has it.
fn seconds(at: Option<Timestamp>) -> String {
    at.map_or("-".to_owned(), |at| at.as_second().to_string())
}

/// Runs a row and returns the first difference between the row and the home.
fn problem(env: &TestEnv, row: &Row<'_>) -> Option<String> {
    let before = prepare(env, row);
    let answer = Answer::of(row);
    wrong_plan(env, &answer)
        .or_else(|| {
            env.line("run-due").succeeds();
            wrong_history(env, row, &answer, &before)
        })
        .or_else(|| wrong_next_check(env, row, &answer, &before))
        .or_else(|| wrong_sessions(env, &answer))
        .or_else(|| wrong_events(env, row, &answer))
        .or_else(|| wrong_second_tick(env))
        .map(|why| format!("{} ({}): {why}", row.number, row.why))
}

fn wrong_plan(env: &TestEnv, answer: &Answer) -> Option<String> {
    // Nothing has been fetched in this home, so a due model is asked about.
    let planned = env.line("run-due --dry-run --json").succeeds().json();
    let n_due = usize::from(answer.kind() == "due");
    let is_right = planned["models"].as_array().unwrap().len() == n_due;
    let told = words_of(planned["schedules"].as_array().unwrap());
    let expected = &answer.text;
    (!is_right || told != *expected).then(|| format!("expected {expected}\n  but told {planned}"))
}

/// Returns the slots of the schedule in the database, and the time of the next check.
fn state_in_database(env: &TestEnv) -> (String, String) {
    let state = ask(env, STATE).pop().unwrap();
    let (history, next) = state.rsplit_once(" | ").unwrap();
    (history.to_owned(), next.to_owned())
}

fn wrong_history(
    env: &TestEnv,
    row: &Row<'_>,
    answer: &Answer,
    before: &Schedule,
) -> Option<String> {
    let state = &before.state;
    let (mut last, mut open, mut retry) = (state.last_slot_at, state.open_slot_at, state.retry_at);
    let mut not_before = state.not_before_at.as_second();
    if ["due", "expired"].contains(&answer.kind()) {
        (last, open, retry) = (answer.instant("slot"), None, None);
    }
    if answer.is_clock_reset {
        (last, not_before) = (None, row.now.as_second() + 1);
    }
    let [last, open, retry] = [last, open, retry].map(seconds);
    let expected = format!("{last} | {open} | {retry} | {not_before}");
    let (history, _) = state_in_database(env);
    (history != expected).then(|| format!("expected {expected}\n  but left {history}"))
}

fn wrong_next_check(
    env: &TestEnv,
    row: &Row<'_>,
    answer: &Answer,
    before: &Schedule,
) -> Option<String> {
    let (_, next) = state_in_database(env);
    let expected = match answer.kind() {
        "disabled" => before.state.next_due_at,
        "due" => return wrong_check_after_a_run(env, row, before, &next),
        _ => answer.instant("next"),
    };
    (next != seconds(expected)).then(|| format!("looks again at {next}"))
}

/// Checks that there is work at the next check of a served schedule, and none before.
fn wrong_check_after_a_run(
    env: &TestEnv,
    row: &Row<'_>,
    before: &Schedule,
    next: &str,
) -> Option<String> {
    let at = Timestamp::from_second(next.parse().ok()?).unwrap();
    let store = Store::open(&env.database(), row.now).unwrap();
    let after = store.schedule_by_id(before.id).unwrap().unwrap();
    let [early, then] = looks(&after, row.inputs().2.offset, at);
    let is_work = |state: &DueState| matches!(state, DueState::Due(_) | DueState::Expired { .. });
    let is_right = at > row.now
        && !is_work(&early)
        && (is_work(&then) || matches!(then, DueState::Closed { .. }));
    (!is_right).then(|| format!("looks again at {at}: {early:?}, {then:?}"))
}

fn wrong_sessions(env: &TestEnv, answer: &Answer) -> Option<String> {
    let sessions = ask(
        env,
        "SELECT slot_at, schedule_name, outcome IS NOT NULL FROM sessions",
    );
    let runs = ask(env, RUNS);
    let slot = seconds(answer.instant("slot"));
    let (expected_sessions, expected_runs) = match answer.kind() {
        "due" => (vec![format!("{slot} | row | 1")], vec!["ok"]),
        "closed" => (vec![], vec!["ok"]),
        _ => (vec![], vec![]),
    };
    let is_right = sessions == expected_sessions && runs == expected_runs;
    (!is_right).then(|| format!("sessions {sessions:?}, runs {runs:?}"))
}

fn wrong_events(env: &TestEnv, row: &Row<'_>, answer: &Answer) -> Option<String> {
    let mut expected = Vec::new();
    if row.last_slot.is_some_and(|last| last > row.now) {
        expected.push("clock-back | the clock went back".to_owned());
    }
    if answer.kind() == "expired" {
        let slots = match answer.word("missed").unwrap() {
            "1" => "the slot".to_owned(),
            n => format!("{n} slots, the last one"),
        };
        let slot = answer.word("slot").unwrap();
        expected.push(format!("missed-slot | `row`: {slots} of {slot},"));
    }
    if answer.is_clock_reset {
        expected.push("clock-reset | `row`: its history lies in the future".to_owned());
    }
    let events = ask(env, EVENTS);
    let mut pairs = events.iter().zip(&expected);
    let is_right = events.len() == expected.len()
        && pairs.all(|(event, start)| event.starts_with(start.as_str()));
    (!is_right).then(|| format!("expected events {expected:?}\n  but found {events:?}"))
}

fn wrong_second_tick(env: &TestEnv) -> Option<String> {
    let records = || (ask(env, RUNS), ask(env, EVENTS));
    let before = records();
    env.line("run-due").succeeds();
    (records() != before).then(|| "a second tick did something".to_owned())
}

fn check(numbers: std::ops::RangeInclusive<usize>) {
    let env = world();
    let rows = rows()
        .into_iter()
        .filter(|row| numbers.contains(&row.number));
    let wrong: Vec<String> = rows.filter_map(|row| problem(&env, &row)).collect();
    assert!(
        wrong.is_empty(),
        "{} rows differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn rows_1_to_33_hold_in_the_real_program() {
    check(1..=33);
}

#[test]
fn rows_34_to_66_hold_in_the_real_program() {
    check(34..=66);
}

#[test]
fn rows_67_to_105_hold_in_the_real_program() {
    check(67..=105);
}

fn runs(env: &TestEnv) -> i64 {
    number(env, "SELECT count(*) FROM runs WHERE outcome = 'ok'")
}

fn slots_served(env: &TestEnv) -> Vec<String> {
    ask(
        env,
        "SELECT datetime(slot_at, 'unixepoch') FROM sessions ORDER BY id",
    )
}

/// A world with one model and a schedule for it.
fn nightly() -> TestEnv {
    let env = world();
    env.line("models add acme/tiny").succeeds();
    env.line("schedules add nightly --daily 03:00 --tz UTC --all")
        .succeeds();
    env
}

fn tick_at(env: &TestEnv, at: &str) {
    env.now(at).line("run-due").succeeds();
}

#[test]
fn a_clock_that_jumps_by_hours_and_years_loses_no_slot_and_serves_none_twice() {
    let env = nightly();
    // Five years on, the history would be too old to be kept.
    env.line("config set keep.sessions 10000d").succeeds();
    // A proof of the future would be renewed in a run of its own.
    env.line("config set verify.every off").succeeds();
    tick_at(&env, "2026-03-02T03:05:00Z");
    // Two hours back and forward again over the slot.
    for at in ["2026-03-02T01:05:00Z", "2026-03-02T03:10:00Z"] {
        tick_at(&env, at);
    }
    assert_eq!(slots_served(&env), ["2026-03-02 03:00:00"]);
    // Five years ahead: one run for all that was missed.
    tick_at(&env, "2031-03-02T09:00:00Z");
    tick_at(&env, "2031-03-02T09:15:00Z");
    assert_eq!(slots_served(&env)[1..], ["2031-03-02 03:00:00"]);
    // And back: what was served then is no history any more.
    tick_at(&env, "2026-03-02T12:00:00Z");
    assert_eq!(runs(&env), 2);
    tick_at(&env, "2026-03-03T03:05:00Z");
    assert_eq!(slots_served(&env)[2..], ["2026-03-03 03:00:00"]);
    let events: Vec<String> = ask(&env, EVENTS);
    let kinds: Vec<&str> = events
        .iter()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert_eq!(
        kinds,
        ["clock-back", "clock-back", "clock-reset"],
        "{events:?}"
    );
}

#[test]
fn a_step_of_the_clock_by_seconds_is_no_news() {
    let env = nightly();
    tick_at(&env, "2026-03-02T03:05:00Z");
    env.now("2026-03-02T03:04:58Z");
    env.line("run-due").succeeds().silently();
    assert_eq!(ask(&env, EVENTS), Vec::<String>::new());
    assert_eq!(runs(&env), 1);
}

#[test]
fn a_tick_that_found_the_lock_taken_does_not_hide_that_the_clock_went_back() {
    let env = nightly();
    tick_at(&env, "2031-03-02T09:00:00Z");
    let held = FileLock::try_acquire(&env.home().join("run.lock")).unwrap();
    assert!(held.is_some());
    env.now("2026-03-02T12:00:00Z").line("run-due").exits(11);
    drop(held);
    tick_at(&env, "2026-03-02T12:15:00Z");
    tick_at(&env, "2026-03-03T03:05:00Z");
    assert_eq!(slots_served(&env)[1..], ["2026-03-03 03:00:00"]);
}

#[test]
fn a_schedule_that_was_made_or_changed_under_a_clock_far_ahead_is_not_forgotten() {
    for line in [
        "schedules add other --daily 04:00 --tz UTC --all",
        "schedules set nightly --daily 04:00",
    ] {
        let env = nightly();
        tick_at(&env, "2026-03-02T03:05:00Z");
        env.now("2031-03-02T09:00:00Z").line(line).succeeds();
        tick_at(&env, "2026-03-02T12:00:00Z");
        tick_at(&env, "2026-03-03T04:05:00Z");
        let served = "SELECT datetime(last_slot_at, 'unixepoch') FROM schedules ORDER BY id DESC";
        assert_eq!(ask(&env, served)[0], "2026-03-03 04:00:00", "{line}");
    }
}

#[test]
fn a_clock_that_goes_back_during_a_run_hides_no_schedule() {
    let env = nightly();
    // The answer takes three seconds, which are days by its clock; that is put right afterwards.
    let slow = Fault::Trickle(1, Duration::from_millis(10));
    env.hub().fault(On::api(Api::Info), slow);
    tick_at(&env, "2026-03-02T03:05:00Z+100000");
    env.hub().heal();
    let planned = number(&env, "SELECT next_due_at FROM schedules");
    assert!(
        planned > instant("2026-03-03T03:00:00Z").as_second(),
        "{planned}"
    );
    tick_at(&env, "2026-03-02T12:00:00Z");
    tick_at(&env, "2026-03-03T03:05:00Z");
    assert_eq!(
        slots_served(&env),
        ["2026-03-02 03:00:00", "2026-03-03 03:00:00"]
    );
}

#[test]
fn a_clock_from_before_this_program_is_believed_in_nothing() {
    let env = nightly();
    let before = env.database_content();
    env.now("2025-12-31T23:59:59Z");
    env.line("run-due --trigger timer")
        .exits(5)
        .explains("the clock is wrong")
        .explains("2025-12-31 23:59 UTC");
    assert_eq!(env.database_content(), before);
    // Not even that the lock was held is worth a row with such a date.
    let lock = FileLock::try_acquire(&env.home().join("run.lock")).unwrap();
    env.line("run-due").exits(5);
    assert_eq!(env.database_content(), before);
    drop(lock);
    assert_eq!(env.hub().count(Api::Info), 1, "only `models add` asked");
    tick_at(&env, "2026-03-02T03:05:00Z");
    assert_eq!(runs(&env), 1);
}

#[test]
fn missed_ticks_of_a_timer_are_recorded_once_and_those_by_hand_never() {
    let env = nightly();
    let tick = |at: &str, trigger: &str| {
        env.now(at);
        env.line(&format!("run-due --trigger {trigger}")).succeeds();
    };
    let missed = || ask(&env, "SELECT detail FROM events WHERE kind = 'missed-tick'");
    // By hand nobody promised anything.
    tick("2026-03-01T10:00:00Z", "manual");
    tick("2026-03-01T20:00:00Z", "manual");
    tick("2026-03-01T20:00:00Z", "timer");
    tick("2026-03-01T20:30:00Z", "timer");
    assert_eq!(missed(), Vec::<String>::new(), "two periods are no gap");
    // A night without the machine; a run by hand in between is no tick.
    tick("2026-03-02T02:00:00Z", "manual");
    tick("2026-03-02T08:00:00Z", "timer");
    let told = "45 timer ticks were missed between 2026-03-01T20:30:00Z and 2026-03-02T08:00:00Z";
    assert_eq!(missed(), [told]);
    tick("2026-03-02T08:15:00Z", "timer");
    assert_eq!(missed(), [told]);
    // `timer.every` says what to expect.
    env.line("config set timer.every 1h").succeeds();
    tick("2026-03-02T10:15:00Z", "timer");
    assert_eq!(missed(), [told]);
}

#[test]
fn new_rules_of_a_time_zone_are_noticed_and_every_slot_is_planned_anew() {
    let data = Path::new("/usr/share/zoneinfo");
    if !data.join("Europe/Berlin").exists() {
        return say("this machine keeps no zone files; nothing to change");
    }
    let env = world();
    let zones = env.root().join("outside");
    fs::create_dir_all(zones.join("Europe")).unwrap();
    let berlin_is_like = |zone: &str| {
        fs::copy(data.join(zone), zones.join("Europe/Berlin")).unwrap();
    };
    env.set("TZDIR", &zones.to_string_lossy());
    env.line("models add acme/tiny").succeeds();
    berlin_is_like("America/New_York");
    for name in ["one", "two"] {
        let line = format!("schedules add {name} --daily 03:00 --tz Europe/Berlin --all");
        // The second is a twin but for its priority, and has a window of its own.
        let window = if name == "two" {
            " --window 02:00-05:00"
        } else {
            ""
        };
        env.line(&format!("{line}{window}")).succeeds();
    }
    tick_at(&env, "2026-03-01T10:00:00Z");
    let next = || {
        ask(
            &env,
            "SELECT datetime(next_due_at, 'unixepoch') FROM schedules",
        )
    };
    assert_eq!(next(), ["2026-03-02 08:00:00"; 2]);
    // A government decides; the slot is earlier now than anybody planned.
    berlin_is_like("Europe/Berlin");
    tick_at(&env, "2026-03-02T02:05:00Z");
    assert_eq!(slots_served(&env), ["2026-03-02 02:00:00"]);
    assert_eq!(next(), ["2026-03-03 02:00:00"; 2]);
    let told = "SELECT count(*) FROM events WHERE kind = 'zone-data-changed'";
    assert_eq!(number(&env, told), 1);
    tick_at(&env, "2026-03-02T02:20:00Z");
    assert_eq!(number(&env, told), 1);
}

#[test]
fn a_share_of_the_jitter_is_stable_and_belongs_to_home_and_schedule() {
    let env = world();
    let plan = |home: &str, name: &str| {
        env.set(
            "HFDL_HOME",
            &env.root().join("outside").join(home).to_string_lossy(),
        );
        env.now("2026-03-01T09:00:00Z");
        let known = env.line("schedules list --json").json();
        if known["schedules"].as_array().unwrap().is_empty() {
            for name in ["a", "b"] {
                let line = format!("schedules add {name} --daily 03:00 --tz UTC --jitter 2h");
                let window = if name == "b" {
                    " --window 03:00-06:00"
                } else {
                    ""
                };
                env.line(&format!("{line} --all{window}")).succeeds();
            }
        }
        let line = format!("schedules next {name} --count 5 --json");
        let slots = env.line(&line).succeeds().json()["slots"].clone();
        let all = slots.as_array().unwrap().iter().map(|slot| {
            let at = |key: &str| instant(slot[key].as_str().unwrap()).as_second();
            (at("slot"), at("starts") - at("slot"))
        });
        all.collect::<Vec<(i64, i64)>>()
    };
    let mut offsets = std::collections::BTreeSet::new();
    for home in ["1", "2", "3"] {
        for name in ["a", "b"] {
            let slots = plan(home, name);
            assert_eq!(slots, plan(home, name), "asked again");
            let days: Vec<i64> = slots.iter().map(|(slot, _)| slot % 86_400).collect();
            assert_eq!(days, [3 * 3600; 5], "the slots are those of the cadence");
            let offset = slots[0].1;
            assert!((0..=7200).contains(&offset));
            assert!(slots.iter().all(|(_, other)| *other == offset));
            offsets.insert(offset);
        }
    }
    assert!(offsets.len() >= 5, "{offsets:?}");
}
