//! Many processes at once, people who change things meanwhile, and work that
//! several homes share.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Output;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use hfdl_test_hub::{Api, Fault, On, generated_bytes};
use serde_json::Value;

use crate::support::database::{ask, change, number};
use crate::support::due::roomy_world;
use crate::support::env::TestEnv;
use crate::support::process::{Victim, wait_for_open_file, was_killed};
use crate::support::sound::{open_runs, open_sessions};

const MIB: usize = 1 << 20;

/// A world with two models and a schedule that is due.
fn world() -> TestEnv {
    let env = roomy_world();
    for name in ["tiny", "other"] {
        let draft = env.hub().repo(&format!("acme/{name}")).commit("main");
        let large = generated_bytes(MIB, name.len() as u64);
        draft
            .file("config.json", name.as_bytes())
            .lfs("model.safetensors", large)
            .publish();
        let line = format!("models add acme/{name} --name {name}");
        env.line(&line).succeeds();
    }
    env.line("schedules add often --every 1h --all").succeeds();
    env.hub().forget_requests();
    env
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Starts a run and returns when it waits for an answer that does not come
/// before `heal`.
fn stuck(env: &TestEnv) -> Victim {
    env.hub().fault(On::api(Api::Info), Fault::NoAnswer);
    let victim = Victim::heard(env.command(["run-due"]));
    env.hub().wait_until("the run asks", |requests| {
        requests.iter().any(|request| request.api == Api::Info)
    });
    victim
}

#[test]
fn one_of_fifty_simultaneous_runs_starts_and_the_others_are_recorded() {
    let env = world();
    env.hub().fault(On::api(Api::Info), Fault::NoAnswer);
    let mut crowd: Vec<Victim> = (0..50)
        .map(|_| Victim::heard(env.command(["run-due"])))
        .collect();
    let mut others = Vec::new();
    while crowd.len() > 1 {
        let ended = crowd.iter_mut().position(|one| one.has_ended().is_some());
        match ended {
            Some(place) => others.push(crowd.swap_remove(place).output()),
            None => std::thread::yield_now(),
        }
    }
    env.hub().heal();
    let runner = crowd.pop().unwrap().output();
    assert_eq!(code(&runner), Some(0), "{}", words(&runner));
    for other in &others {
        assert_eq!(code(other), Some(11), "{}", words(other));
        assert!(words(other).contains("another run holds the lock"));
    }
    let outcomes =
        "SELECT outcome, exit_code, count(*) FROM runs GROUP BY outcome ORDER BY outcome";
    assert_eq!(
        ask(&env, outcomes),
        ["ok | 0 | 1", "skipped-locked | 11 | 49"]
    );
    let events = "SELECT kind, count(*), count(DISTINCT run_id) FROM events GROUP BY kind";
    assert_eq!(ask(&env, events), ["skipped | 49 | 49"]);
    assert_eq!(number(&env, "SELECT count(*) FROM sessions"), 2);
    let slots = "SELECT last_slot_at IS NOT NULL, open_slot_at FROM schedules";
    assert_eq!(ask(&env, slots), ["1 | -"]);
    assert_eq!((open_sessions(&env), open_runs(&env)), (0, 0));
}

#[test]
fn a_wait_for_the_lock_ends_with_its_release_or_its_limit() {
    let env = world();
    let mut holder = stuck(&env);
    env.unset("HFDL_TEST_NO_PAUSES");
    let started = Instant::now();
    env.line("run-due --wait=1s")
        .exits(11)
        .explains("run-due has been running on")
        .explains(&format!("process {}", holder.id()));
    assert!(started.elapsed() >= Duration::from_secs(1));
    // The first will find nothing due, the second has a clock a day later.
    let idle = Victim::heard(env.command(["run-due", "--wait=60s"]));
    env.now("2026-03-02T09:00:00Z");
    let busy = Victim::heard(env.command(["run-due", "--wait"]));
    for waiting in [&idle, &busy] {
        wait_for_open_file(waiting.id(), "run.lock");
    }
    assert!(holder.has_ended().is_none());
    env.hub().heal();
    for ended in [holder.output(), idle.output(), busy.output()] {
        assert_eq!(code(&ended), Some(0), "{}", words(&ended));
    }
    let slots = "SELECT DISTINCT date(slot_at, 'unixepoch') FROM sessions ORDER BY 1";
    assert_eq!(ask(&env, slots), ["2026-03-01", "2026-03-02"]);
    let outcomes = "SELECT outcome, count(*) FROM runs GROUP BY outcome ORDER BY outcome";
    assert_eq!(ask(&env, outcomes), ["ok | 2", "skipped-locked | 1"]);
}

#[test]
fn people_can_look_and_change_things_while_a_run_writes() {
    let env = world();
    // Under Wine programs start slowly.
    let pause = Duration::from_millis(if cfg!(windows) { 20 } else { 4 });
    let slow = Fault::Trickle(MIB / 512, pause);
    env.hub().fault(On::cdn("model.safetensors"), slow);
    let mut run = Victim::heard(env.command(["run-due"]));
    env.hub().wait_until("bytes flow", |requests| {
        requests.iter().any(|request| request.api == Api::Cdn)
    });
    for line in [
        "models add acme/new --no-check",
        "models set tiny --tag llm",
        "schedules add nightly --daily 02:30 --tag llm",
        "models list",
        "models show tiny",
        "schedules show often",
        "schedules next",
        "logs --last",
        "config set keep.logs 7d",
        "export",
    ] {
        env.line(line).succeeds();
    }
    assert!(run.has_ended().is_none(), "the run was over too soon");
    env.hub().heal();
    let ended = run.output();
    assert_eq!(code(&ended), Some(0), "{}", words(&ended));
    let outcomes = "SELECT DISTINCT outcome FROM sessions";
    assert_eq!(ask(&env, outcomes), ["updated"]);
    env.line("models show tiny").prints("llm");
}

#[test]
fn the_lock_file_of_a_killed_process_blocks_no_run() {
    let env = world();
    let mut holder = stuck(&env);
    assert!(was_killed(holder.kill()));
    env.hub().heal();
    assert!(env.home().join("run.lock").exists());
    let ran = env.line("run-due");
    ran.succeeds().explains("ended unexpectedly");
    let outcomes = "SELECT outcome, count(*) FROM runs GROUP BY outcome ORDER BY outcome";
    assert_eq!(ask(&env, outcomes), ["crashed | 1", "ok | 1"]);
    assert_eq!((open_sessions(&env), open_runs(&env)), (0, 0));
}

/// Names the models that a shard of a home would do.
fn part(env: &TestEnv, home: usize, shard: &str) -> BTreeSet<String> {
    use_home(env, home);
    let line = format!("run-due --dry-run --json --shard {shard}");
    let plan = env.line(&line).succeeds().json();
    names(&plan["models"])
}

fn names(models: &Value) -> BTreeSet<String> {
    let models = models.as_array().unwrap().iter();
    models
        .map(|model| model["model"].as_str().unwrap().to_owned())
        .collect()
}

const HOMES: usize = 3;

/// Makes a home of its own the one that the program uses.
fn use_home(env: &TestEnv, home: usize) {
    let place = env.root().join("outside").join(home.to_string());
    env.set("HFDL_HOME", &place.to_string_lossy());
}

/// Publishes models and registers them in each home.
fn add_everywhere(env: &TestEnv, models: &BTreeSet<String>) {
    for name in models {
        let draft = env.hub().repo(name).commit("main");
        draft.file("config.json", name.as_bytes()).publish();
        for home in 0..HOMES {
            use_home(env, home);
            env.line(&format!("models add {name} --no-check"))
                .succeeds();
        }
    }
}

/// Three homes that keep the same twelve models.
fn three_homes() -> (TestEnv, BTreeSet<String>) {
    let env = roomy_world();
    let all: BTreeSet<String> = (0..12).map(|n| format!("acme/m{n}")).collect();
    add_everywhere(&env, &all);
    for home in 0..HOMES {
        use_home(&env, home);
        env.line("schedules add often --every 1h --all").succeeds();
    }
    (env, all)
}

fn parts(env: &TestEnv) -> Vec<BTreeSet<String>> {
    let homes = 0..HOMES;
    homes
        .map(|home| part(env, home, &format!("{home}/{HOMES}")))
        .collect()
}

#[test]
fn each_model_is_in_one_shard_and_stays_there() {
    let (env, all) = three_homes();
    let before = parts(&env);
    let union: BTreeSet<String> = before.iter().flatten().cloned().collect();
    assert_eq!(union, all);
    assert_eq!(before.iter().map(BTreeSet::len).sum::<usize>(), all.len());
    assert!(before.iter().all(|part| !part.is_empty()), "{before:?}");

    add_everywhere(&env, &BTreeSet::from(["acme/late".to_owned()]));
    for (before, after) in before.iter().zip(&parts(&env)) {
        assert!(before.is_subset(after), "{before:?} {after:?}");
    }
}

#[test]
fn a_cluster_names_the_shard_by_its_variable() {
    let (env, _) = three_homes();
    let expected = parts(&env);
    for variable in ["JOB_COMPLETION_INDEX", "SLURM_ARRAY_TASK_ID"] {
        for (home, expected) in expected.iter().enumerate() {
            env.set(variable, &home.to_string());
            assert_eq!(part(&env, home, "auto/3"), *expected, "{variable}");
        }
        env.unset(variable);
    }
    env.line("run-due --shard auto/3")
        .exits(2)
        .explains("JOB_COMPLETION_INDEX");
}

#[test]
fn homes_with_a_shard_each_fetch_each_model_once() {
    let (env, all) = three_homes();
    let mut fetched = BTreeMap::new();
    for home in 0..HOMES {
        use_home(&env, home);
        let line = format!("run-due --json --shard {home}/{HOMES}");
        let ran = env.line(&line).succeeds().json();
        for name in names(&ran["sessions"]) {
            assert_eq!(fetched.insert(name, home), None);
        }
    }
    assert_eq!(fetched.len(), all.len());
}

/// Lets somebody do something while the Hub is asked about a model; what that
/// came to can be received.
fn meanwhile(env: &TestEnv, on: On, line: &str) -> Receiver<Output> {
    let (sender, receiver) = channel();
    let mut command = env.command(line.split(' '));
    env.hub().before(on, move || {
        let _ = sender.send(command.output().unwrap());
    });
    receiver
}

#[test]
fn changes_by_a_person_during_a_run_do_not_make_it_fail() {
    // The command; what is then known of the schedule: served, open.
    for (line, state) in [
        (
            "models set tiny --exclude *.md --priority 90",
            &["1 | 0"][..],
        ),
        ("models set tiny --include *.json", &["1 | 0"]),
        ("models disable tiny", &["1 | 0"]),
        ("models remove tiny --yes", &["1 | 0"]),
        ("schedules set often --model other", &["1 | 0"]),
        ("schedules set often --max-transfer 1G", &["1 | 0"]),
        ("schedules disable often", &["1 | 0"]),
        ("schedules remove often --yes", &[]),
        // Another plan: the slot that was begun is none of its.
        ("schedules set often --daily 05:00", &["0 | 0"]),
        ("schedules set often --every 2h", &["0 | 0"]),
        ("schedules set often --window 08:00-10:00", &["0 | 0"]),
    ] {
        let env = world();
        let on = On::api(Api::Info).repo("acme/tiny");
        let done = meanwhile(&env, on, line);
        let ran = env.line("run-due");
        let done = done.try_recv().unwrap();
        assert_eq!(code(&done), Some(0), "{line}: {}", words(&done));
        assert_eq!(ran.code(), Some(0), "{line}: {}", ran.report());
        assert_eq!(ran.stderr(), "", "{line}");
        let slots = "SELECT last_slot_at IS NOT NULL, open_slot_at IS NOT NULL FROM schedules";
        assert_eq!(ask(&env, slots), state, "{line}");
        assert_eq!((open_sessions(&env), open_runs(&env)), (0, 0), "{line}");
        let sessions = "SELECT outcome FROM sessions ORDER BY id";
        assert_eq!(ask(&env, sessions), ["updated"; 2], "{line}");
        env.line("run-due").succeeds();
    }
}

const WHO_DID_WHAT: &str = "SELECT schedule_name, model_name, outcome FROM sessions ORDER BY 1, 2";

#[test]
fn a_model_removed_before_its_session_opens_is_skipped() {
    for (removal, sessions) in [
        (
            "DELETE FROM models WHERE name = 'tiny'",
            &["often | other | updated"][..],
        ),
        (
            // The other schedule takes its model over.
            "DELETE FROM schedules WHERE name = 'first'",
            &["often | other | updated", "often | tiny | updated"],
        ),
        (
            "DELETE FROM schedules WHERE name = 'often'",
            &["first | tiny | updated"],
        ),
        ("DELETE FROM schedules", &[]),
        ("DELETE FROM models", &[]),
    ] {
        let env = world();
        env.line("schedules add first --every 1h --model tiny --priority 90")
            .succeeds();
        // Models have been read by the moment at which slots are claimed.
        let meanwhile = format!(
            "CREATE TRIGGER meanwhile AFTER UPDATE OF open_slot_at ON schedules
                WHEN new.open_slot_at IS NOT NULL BEGIN {removal}; END"
        );
        change(&env, &meanwhile);

        let ran = env.line("run-due -v");

        assert_eq!(ran.code(), Some(0), "{removal}: {}", ran.report());
        assert!(!ran.stderr().contains("rror"), "{}", ran.report());
        ran.explains("has just been removed: skipped");
        assert_eq!(ask(&env, WHO_DID_WHAT), sessions, "{removal}");
        assert_eq!((open_sessions(&env), open_runs(&env)), (0, 0), "{removal}");
        let open = "SELECT name FROM schedules WHERE open_slot_at IS NOT NULL";
        assert!(ask(&env, open).is_empty(), "{removal}");
        env.line("run-due").succeeds().silently();
    }
}

#[test]
fn a_model_cut_short_by_a_limit_goes_to_the_next_schedule_that_still_exists() {
    for (line, is_handed_on) in [
        ("models set tiny --tag llm", true),
        ("models remove tiny --yes", false),
        ("models disable tiny", false),
        ("schedules remove often --yes", false),
        ("schedules set often --daily 05:00", true),
    ] {
        let env = world();
        // Smaller files are not asked for when they are larger than the budget.
        let large = generated_bytes(3 * MIB, 9);
        let draft = env.hub().repo("acme/tiny").commit("main");
        draft.lfs("model.safetensors", large).publish();
        let add = "schedules add first --every 1h --model tiny --priority 90 --max-transfer 64K";
        env.line(add).succeeds();
        // The budget ends before anything is asked for of the large file.
        let on = On::resolve("config.json").repo("acme/tiny");
        let done = meanwhile(&env, on, line);
        let ran = env.line("run-due");
        let done = done.try_recv().unwrap();
        assert_eq!(code(&done), Some(0), "{line}: {}", words(&done));
        assert_eq!(ran.code(), Some(8), "{line}: {}", ran.report());
        assert!(!ran.stderr().contains("error"), "{line}: {}", ran.report());
        assert_eq!((open_sessions(&env), open_runs(&env)), (0, 0), "{line}");
        let open = "SELECT name FROM schedules WHERE open_slot_at IS NOT NULL";
        assert_eq!(ask(&env, open), ["first"], "{line}");
        let mut expected = vec!["first | tiny | partial", "often | other | updated"];
        if is_handed_on {
            expected.push("often | tiny | updated");
        }
        assert_eq!(ask(&env, WHO_DID_WHAT), expected, "{line}");
    }
}
