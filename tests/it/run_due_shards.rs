//! Homes that do a part of the work, and parts that share a home.

use hfdl::domain::repo::{Repo, RepoType, Revision};
use hfdl::domain::shard::ShardArg;
use hfdl_test_hub::{Api, Fault, On};
use serde_json::Value;

use crate::support::database::{ask, number};
use crate::support::due::{roomy_world, slots};
use crate::support::env::{Ran, TestEnv};

const N_MODELS: u32 = 8;
const MORNING: &str = "2026-03-01T09:00:00Z";
const AFTERNOON: &str = "2026-03-01T15:00:00Z";

/// A world of some models and one schedule for all.
fn world() -> TestEnv {
    let env = roomy_world();
    for number in 0..N_MODELS {
        let name = format!("acme/m{number}");
        let draft = env.hub().repo(&name).commit("main");
        draft.file("config.json", name.as_bytes()).publish();
        env.hfdl(["models", "add", &name]).succeeds();
    }
    env.line("schedules add often --every 6h --all").succeeds();
    env.hub().forget_requests();
    env
}

/// Returns the models of a shard.
fn of_shard(shard: &str) -> Vec<String> {
    let shard = shard.parse::<ShardArg>().unwrap().resolve(None).unwrap();
    let names = (0..N_MODELS).map(|number| format!("acme/m{number}"));
    let is_held = |name: &String| {
        let repo = Repo::new(RepoType::Model, name.parse().unwrap());
        shard.holds(&repo, &Revision::main())
    };
    names.filter(is_held).collect()
}

fn run(env: &TestEnv, shard: &str) -> Ran {
    env.hfdl(["run-due", "--trigger", "ci", "--json", "--shard", shard])
}

/// Returns the models that a run looked at.
fn looked_at(ran: &Ran) -> Vec<String> {
    let document = ran.json();
    let sessions = document["sessions"].as_array().unwrap().iter();
    let mut names: Vec<String> = sessions
        .map(|session| session["model"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

fn none() -> Vec<String> {
    Vec::new()
}

#[test]
fn shards_in_one_home_each_do_their_part_of_a_slot() {
    let env = world();
    for shard in ["0/4", "1/4", "2/4", "3/4"] {
        assert_eq!(looked_at(&run(&env, shard)), of_shard(shard), "{shard}");
        assert_eq!(looked_at(&run(&env, shard)), none(), "{shard} again");
    }
    assert_eq!(env.hub().count(Api::Info), N_MODELS as usize);
    // Together they are the whole, so that a run of all models finds nothing.
    assert_eq!(looked_at(&env.hfdl(["run-due", "--json"])), none());

    env.now(AFTERNOON);
    assert_eq!(looked_at(&run(&env, "2/4")), of_shard("2/4"));
    assert_eq!(looked_at(&run(&env, "0/4")), of_shard("0/4"));
    // The schedule is shown as the shard that is furthest behind.
    assert_eq!(slots(&env, "often")[0], MORNING);
    let next = env.hfdl(["status", "--json"]).json()["next_due"][0].clone();
    assert_eq!(
        (&next["state"], &next["slot"]),
        (&"due".into(), &AFTERNOON.into())
    );
}

#[test]
fn a_home_of_one_shard_answers_for_the_models_of_that_shard() {
    let env = world();
    run(&env, "1/4").succeeds();
    let status = || env.hfdl(["status", "--json"]).json();
    let names = |status: &Value| -> Vec<String> {
        let models = status["models"].as_array().unwrap().iter();
        models
            .map(|model| model["name"].as_str().unwrap().to_owned())
            .collect()
    };
    // The models of the others are never checked here, and that is no trouble.
    env.now("2026-03-20T09:00:00Z");
    run(&env, "1/4").succeeds();
    let told = status();
    assert_eq!(names(&told), of_shard("1/4"));
    assert_eq!(told["healthy"], true, "{told:#}");
    assert_eq!(told["shards"], serde_json::json!(["1/4"]));
    assert_eq!(told["next_due"][0]["slot"], "2026-03-20T15:00:00Z");
    assert_eq!(slots(&env, "often")[0], "2026-03-20T09:00:00Z");
    env.line("status").succeeds().prints("1/4");
    // A run of all models makes the home answer for all.
    env.hfdl(["run-due"]).succeeds();
    assert_eq!(names(&status()).len(), N_MODELS as usize);
    assert_eq!(status()["shards"], serde_json::json!([]));
}

#[test]
fn a_shard_that_was_killed_goes_on_and_the_others_are_not_held_up() {
    let env = world();
    env.set("HFDL_TEST_CRASH_AT", "session closed:1");
    run(&env, "0/2");
    env.unset("HFDL_TEST_CRASH_AT");
    let first = ask(
        &env,
        "SELECT model_name FROM sessions WHERE outcome = 'updated'",
    );
    assert_eq!(first.len(), 1);
    assert_eq!(looked_at(&run(&env, "1/2")), of_shard("1/2"));
    let mut rest = of_shard("0/2");
    rest.retain(|name| *name != first[0]);
    assert_eq!(looked_at(&run(&env, "0/2")), rest, "one was done");
    assert_eq!(
        slots(&env, "often"),
        [MORNING.into(), Value::Null, Value::Null]
    );
}

#[test]
fn overlapping_shards_and_runs_of_all_look_at_no_model_twice() {
    let env = world();
    assert_eq!(looked_at(&run(&env, "0/2")), of_shard("0/2"));
    assert_eq!(looked_at(&run(&env, "0/4")), none(), "a half of that half");
    assert_eq!(looked_at(&run(&env, "1/4")), of_shard("1/4"));
    assert_eq!(looked_at(&env.hfdl(["run-due", "--json"])), of_shard("3/4"));
    assert_eq!(env.hub().count(Api::Info), N_MODELS as usize);
    assert_eq!(looked_at(&run(&env, "1/2")), none());
}

#[test]
fn a_shard_without_models_serves_only_its_own_slot() {
    let env = world();
    let empty = (0..64).map(|number| format!("{number}/64"));
    let empty = empty.into_iter().find(|shard| of_shard(shard).is_empty());
    let ran = run(&env, &empty.unwrap());
    ran.succeeds();
    assert_eq!(looked_at(&ran), none());
    let ran = env.hfdl(["run-due", "--json"]);
    assert_eq!(looked_at(&ran).len(), N_MODELS as usize);
}

#[test]
fn an_error_of_one_shard_is_tried_again_by_that_shard() {
    let env = world();
    env.hub().fault(On::any(), Fault::Status(503));
    run(&env, "0/2").exits(5);
    env.hub().heal();
    assert_eq!(looked_at(&run(&env, "0/2")), none(), "it is too early");
    assert_eq!(looked_at(&run(&env, "1/2")), of_shard("1/2"));
    env.now("2026-03-01T09:15:00Z");
    assert_eq!(looked_at(&run(&env, "0/2")), of_shard("0/2"));
    assert_eq!(
        slots(&env, "often"),
        [MORNING.into(), Value::Null, Value::Null]
    );
}

#[test]
fn a_closed_window_of_a_shard_is_recorded_once() {
    let env = world();
    env.line("schedules set often --window 10:00-12:00 --tz UTC")
        .succeeds();
    env.now("2026-03-01T15:00:00Z");
    for _ in 0..3 {
        run(&env, "0/2").succeeds();
    }
    let told = "SELECT count(*) FROM events WHERE kind = 'skipped'";
    assert_eq!(number(&env, told), 1);
    env.now("2026-03-02T10:00:00Z");
    assert_eq!(looked_at(&run(&env, "0/2")), of_shard("0/2"));
}

#[test]
fn a_clock_that_was_ahead_hides_no_slot_from_any_shard() {
    for ahead in ["0/2", "0/1"] {
        let env = world();
        env.now("2031-03-01T09:00:00Z");
        run(&env, ahead).succeeds();
        env.now("2026-03-01T12:00:00Z");
        for shard in ["0/2", "1/2", "0/2", "1/2"] {
            run(&env, shard).succeeds();
        }
        let resets = "SELECT count(*) FROM events WHERE kind = 'clock-reset'";
        assert_eq!(number(&env, resets), 1, "{ahead}");
        env.now(AFTERNOON);
        for shard in ["0/2", "1/2"] {
            assert_eq!(looked_at(&run(&env, shard)), of_shard(shard), "{shard}");
        }
    }
}
