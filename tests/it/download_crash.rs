//! `kill -9` at every named step and at random moments; the next run heals all.

use std::collections::BTreeMap;
use std::fs;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use hfdl_test_hub::Fault;
use hfdl_test_hub::{Api, On, TestHub, generated_bytes};

use crate::support::env::TestEnv;
use crate::support::process::{Dice, Victim, was_killed};
use crate::support::sound::{Truth, damage, files_below, open_runs, open_sessions, say};

const MIB: usize = 1 << 20;

/// From the first line in the database to the last.
pub const STEPS: &[&str] = &[
    "run started",
    "sessions opened",
    "checked",
    "place opened",
    "blobs noted",
    "first content stored",
    "before publishing",
    "snapshot put together",
    "before the ref",
    "before the session closes",
    "run ends",
];

fn world() -> TestEnv {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0");
    env
}

/// Publishes `n_small` small files and a large one; `turn` makes them other ones.
fn publish(hub: &TestHub, n_small: usize, large: usize, turn: u64, truth: &mut Truth) -> String {
    let mut files: BTreeMap<String, Vec<u8>> = (0..n_small)
        .map(|n| {
            let bytes = format!("{n} {}", if n % 4 == 0 { turn } else { 0 }).into_bytes();
            (format!("part-{}/{n}.json", n % 3), bytes)
        })
        .collect();
    let mut draft = hub.repo("acme/tiny").commit("main").files(files.clone());
    let model = generated_bytes(large, turn / 3);
    draft = draft.lfs("model.safetensors", model.clone());
    files.insert("model.safetensors".to_owned(), model);
    let commit = draft.publish();
    truth.insert(commit.clone(), files);
    commit
}

/// Runs to the end and checks that all is as if nothing had ever happened;
/// returns how many bytes that took from the line.
pub fn heals(env: &TestEnv, truth: &Truth, commit: &str, what: &str) -> u64 {
    let ran = env.hfdl(["download", "acme/tiny", "--json"]);
    assert_eq!(ran.code(), Some(0), "{what}: {}", ran.report());
    damage(env, truth).unwrap_or_else(|problem| panic!("{what}: {problem}\n{}", ran.report()));
    let reference = env.cache().join("models--acme--tiny/refs/main");
    assert_eq!(fs::read_to_string(reference).unwrap(), commit, "{what}");
    assert_eq!((open_sessions(env), open_runs(env)), (0, 0), "{what}");
    let session = &ran.json()["sessions"][0];
    session["bytes"]["fetched"].as_u64().unwrap()
}

#[test]
fn a_kill_at_any_step_is_healed_by_the_next_run() {
    for step in STEPS {
        is_healed_after(step, &world());
    }
}

#[test]
fn without_links_a_kill_at_any_step_is_healed_by_the_next_run() {
    for step in STEPS {
        let env = world();
        env.set("HFDL_TEST_LINKS", "none");
        is_healed_after(step, &env);
    }
}

fn is_healed_after(step: &str, env: &TestEnv) {
    let mut truth = Truth::new();
    let commit = publish(env.hub(), 4, 3 * MIB, 0, &mut truth);
    env.set("HFDL_TEST_CRASH_AT", step);
    let ended = env.command(["download", "acme/tiny"]).output().unwrap();
    assert!(was_killed(ended.status), "{step}: {ended:?}");
    damage(env, &truth).unwrap_or_else(|problem| panic!("{step}: {problem}"));
    env.unset("HFDL_TEST_CRASH_AT");
    let fetched = heals(env, &truth, &commit, step);
    let total: usize = truth[&commit].values().map(Vec::len).sum();
    let publishing = STEPS.iter().position(|name| *name == "before publishing");
    if STEPS.iter().position(|name| *name == step) >= publishing {
        assert_eq!(fetched, 0, "{step}: nothing that was stored comes again");
    }
    assert!(fetched <= total as u64, "{step}: {fetched}");
    let waste: Vec<_> = files_below(&env.cache())
        .into_iter()
        .filter(|path| {
            let path = path.to_string_lossy();
            path.contains("staging") || path.contains("/tmp-")
        })
        .collect();
    assert_eq!(waste, Vec::<std::path::PathBuf>::new(), "{step}");
}

#[test]
fn a_kill_in_an_update_leaves_readers_the_old_revision_or_the_new() {
    for step in STEPS {
        let env = world();
        let mut truth = Truth::new();
        let old = publish(env.hub(), 4, MIB, 0, &mut truth);
        env.hfdl(["download", "acme/tiny"]).succeeds();
        let new = publish(env.hub(), 4, MIB, 3, &mut truth);
        env.set("HFDL_TEST_CRASH_AT", step);
        let ended = env.command(["download", "acme/tiny"]).output().unwrap();
        assert!(was_killed(ended.status), "{step}: {ended:?}");
        damage(&env, &truth).unwrap_or_else(|problem| panic!("{step}: {problem}"));
        let reference = env.cache().join("models--acme--tiny/refs/main");
        let is_done = ["before the session closes", "run ends"].contains(step);
        assert_eq!(
            fs::read_to_string(reference).unwrap(),
            if is_done { &*new } else { &*old },
            "{step}"
        );
        env.unset("HFDL_TEST_CRASH_AT");
        heals(&env, &truth, &new, step);
    }
}

#[test]
fn a_kill_while_a_directory_is_filled_is_healed_by_the_next_run() {
    for step in ["place opened", "before publishing", "file in place"] {
        let env = world();
        let mut truth = Truth::new();
        let commit = publish(env.hub(), 4, MIB, 0, &mut truth);
        let dir = env.root().join("out");
        let to = dir.to_string_lossy().into_owned();
        let args = ["download", "acme/tiny", "--to", &to];
        env.set("HFDL_TEST_CRASH_AT", step);
        let ended = env.command(args).output().unwrap();
        assert!(was_killed(ended.status), "{step}: {ended:?}");
        env.unset("HFDL_TEST_CRASH_AT");
        env.hfdl(args).succeeds();
        for (name, bytes) in &truth[&commit] {
            assert_eq!(fs::read(dir.join(name)).unwrap(), *bytes, "{step}: {name}");
        }
        assert_eq!((open_sessions(&env), open_runs(&env)), (0, 0), "{step}");
    }
}

#[test]
fn two_hundred_kills_at_random_moments_lose_nothing() {
    const KILLS: u64 = 200;
    const SEED: u64 = 20_260_301;
    const LARGE: usize = 8 * MIB;
    say(&format!("seed {SEED}"));
    let mut dice = Dice(SEED);
    let env = world();
    let mut truth = Truth::new();
    let mut turn = 0;
    let mut commit = publish(env.hub(), 20, LARGE, turn, &mut truth);
    let reference = env.cache().join("models--acme--tiny/refs/main");
    let (mut kills, mut starts) = (0, 0);
    while kills < KILLS {
        starts += 1;
        assert!(
            starts < 10 * KILLS,
            "only {kills} of {starts} starts were hit"
        );
        let what = format!("seed {SEED}, kill {kills}");
        let is_current = fs::read_to_string(&reference).is_ok_and(|found| found == commit);
        if is_current || dice.below(8) == 0 {
            turn += 1;
            commit = publish(env.hub(), 20, LARGE, turn, &mut truth);
        }
        let moved = (dice.below(16) == 0).then(|| move_in_the_middle(&env, &truth[&commit], turn));
        let was_hit = strike(&env, &mut dice, 6);
        env.hub().heal();
        if let Some((name, files)) = moved.and_then(|moved| moved.try_recv().ok()) {
            truth.insert(name.clone(), files);
            commit = name;
        }
        if !was_hit {
            continue;
        }
        kills += 1;
        if kills % 5 == 0 {
            damage(&env, &truth).unwrap_or_else(|problem| panic!("{what}: {problem}"));
        }
        if kills % 20 == 0 {
            heals(&env, &truth, &commit, &what);
            // A cache of one and many revisions, and none that grows for ever.
            if kills % 40 == 0 {
                fs::remove_dir_all(env.cache()).unwrap();
            }
        }
    }
    say(&format!("{kills} kills in {starts} starts"));
}

/// Lets the branch move between the two questions of the next run; the commit
/// and its files can be received if that happened.
fn move_in_the_middle(
    env: &TestEnv,
    files: &BTreeMap<String, Vec<u8>>,
    turn: u64,
) -> Receiver<(String, BTreeMap<String, Vec<u8>>)> {
    let (sender, receiver) = channel();
    let repo = env.hub().repo("acme/tiny");
    let mut files = files.clone();
    let bytes = format!("moved {turn}").into_bytes();
    files.insert("part-0/0.json".to_owned(), bytes.clone());
    env.hub().before(On::api(Api::Tree).times(1), move || {
        let commit = repo.commit("main").file("part-0/0.json", bytes).publish();
        let _ = sender.send((commit, files));
    });
    receiver
}

/// Starts a download and kills it: after fewer requests than that, and some
/// microseconds. Tells whether it was still running.
pub fn strike(env: &TestEnv, dice: &mut Dice, requests: u64) -> bool {
    env.hub().forget_requests();
    let mut victim = Victim::start(env.command(["download", "acme/tiny"]));
    let n_requests = dice.below(requests) as usize;
    let patience = Duration::from_micros(dice.below(40_000));
    let mut enough_at = None;
    loop {
        if let Some(status) = victim.has_ended() {
            assert!(status.success(), "it ended by itself: {status}");
            return false;
        }
        if enough_at.is_none() && env.hub().requests().len() >= n_requests {
            enough_at = Some(Instant::now());
        }
        if enough_at.is_some_and(|then: Instant| then.elapsed() >= patience) {
            break;
        }
        std::thread::yield_now();
    }
    was_killed(victim.kill())
}

/// The most bytes that each connection loses when the process is killed.
#[cfg(target_os = "linux")]
pub const BLOCK: u64 = 4 << 20;

#[test]
#[cfg(target_os = "linux")]
fn a_kill_costs_at_most_a_block_of_each_connection() {
    const SEED: u64 = 20_261_126;
    const SIZE: usize = 160 * MIB;
    say(&format!("seed {SEED}"));
    let mut dice = Dice(SEED);
    for connections in [1, 3] {
        let env = world();
        let mut truth = Truth::new();
        let commit = publish(env.hub(), 0, SIZE, 0, &mut truth);
        let model = On::content("model.safetensors");
        let pause = Duration::from_millis(2);
        env.hub().fault(model, Fault::Trickle(64 << 10, pause));
        env.set("HFDL_DOWNLOAD_CONNECTIONS", &connections.to_string());
        let mut kills = 0;
        loop {
            let mut victim = Victim::start(env.command(["download", "acme/tiny"]));
            std::thread::sleep(Duration::from_millis(200 + dice.below(1000)));
            if !was_killed(victim.kill()) {
                break;
            }
            kills += 1;
            assert!(kills < 200, "it never gets there");
        }
        heals(&env, &truth, &commit, "killed again and again");
        let answers = env.hub().downloads("model.safetensors");
        let fetched: u64 = answers.iter().map(|answer| answer.bytes_sent).sum();
        let twice = fetched - SIZE as u64;
        let what = format!("{connections} connections, {kills} kills: {twice} bytes came twice");
        say(&what);
        assert!(twice <= kills * connections * BLOCK, "{what}");
        assert!(kills >= 2, "{what}");
    }
}
