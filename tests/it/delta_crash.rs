//! `kill -9` in the middle of updates that fetch only what changed.
//!
//! `HFDL_TEST_KILLS` is the number of kills at random moments, for those who
//! want more than the usual ones.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use hfdl_test_hub::{Fault, On};

use crate::delta::edited;
#[cfg(target_os = "linux")]
use crate::download_crash::BLOCK;
use crate::download_crash::{STEPS, heals, strike};
use crate::support::env::TestEnv;
#[cfg(target_os = "linux")]
use crate::support::process::Victim;
use crate::support::process::{Dice, was_killed};
use crate::support::sound::{Truth, damage, files_below, say};
use crate::support::xet::{noise, world_with_xet as world};

const MIB: usize = 1 << 20;
const MODEL: &str = "model.safetensors";

/// A model at its first revision on disk, and at its second on the hub.
struct Update {
    env: TestEnv,
    truth: Truth,
    old: String,
    new: String,
    /// The bytes that the update has to fetch, by its own plan, and the length of the file.
    missing: u64,
    size: u64,
}

impl Update {
    /// Puts that many new bytes in besides some small changes.
    fn new(size: usize, n_more: usize, seed: u64) -> Self {
        let env = world();
        let mut truth = Truth::new();
        let first = noise(size, seed);
        let mut second = edited(&first);
        let middle = second.len() / 3;
        second.splice(middle..middle, noise(n_more, seed + 1000));
        let size = second.len() as u64;
        let mut publish = |model: &[u8], turn: &str| {
            let mut files: BTreeMap<String, Vec<u8>> = (0..4)
                .map(|n| (format!("part/{n}.json"), format!("{n} {turn}").into_bytes()))
                .collect();
            let draft = env.hub().repo("acme/tiny").commit("main");
            let commit = draft.files(files.clone()).stored(MODEL, model).publish();
            files.insert(MODEL.to_owned(), model.to_vec());
            truth.insert(commit.clone(), files);
            commit
        };
        let old = publish(&first, "old");
        env.hfdl(["download", "acme/tiny"]).succeeds();
        let new = publish(&second, "new");
        let plan = env.hfdl(["download", "acme/tiny", "--dry-run", "--json"]);
        let missing = &plan.json()["models"][0]["bytes"]["to_fetch"];
        let missing = missing.as_u64().unwrap();
        env.hub().forget_requests();
        Self {
            env,
            truth,
            old,
            new,
            missing,
            size,
        }
    }

    /// Checks what must hold at any moment: readers see the old revision or
    /// the new one, and all of it.
    fn is_sound(&self, what: &str) {
        damage(&self.env, &self.truth).unwrap_or_else(|problem| panic!("{what}: {problem}"));
        let repo = self.env.cache().join("models--acme--tiny");
        let named = fs::read_to_string(repo.join("refs/main")).unwrap();
        assert!(named == self.old || named == self.new, "{what}: {named}");
        let snapshot = repo.join("snapshots").join(&self.new);
        let n_files = files_below(&snapshot).len();
        assert!([0, 5].contains(&n_files), "{what}: {n_files} files of 5");
    }

    fn is_done(&self) -> bool {
        let reference = self.env.cache().join("models--acme--tiny/refs/main");
        fs::read_to_string(reference).unwrap() == self.new
    }

    /// Returns what the hub has sent of the model since it was asked last.
    fn sent(&self) -> u64 {
        let answers = self.env.hub().downloads(MODEL);
        answers.iter().map(|answer| answer.bytes_sent).sum()
    }
}

#[test]
fn a_kill_at_any_step_of_a_delta_is_healed_by_the_next_run() {
    for step in STEPS.iter().chain(&["copied from an old file"]) {
        let update = Update::new(3 * MIB, 0, 31);
        let env = &update.env;
        env.set("HFDL_TEST_CRASH_AT", step);
        let ended = env.command(["download", "acme/tiny"]).output().unwrap();
        assert!(was_killed(ended.status), "{step}: {ended:?}");
        update.is_sound(step);
        env.unset("HFDL_TEST_CRASH_AT");
        heals(env, &update.truth, &update.new, step);
        let sent = update.sent();
        assert!(
            sent <= 2 * update.missing,
            "{step}: {sent} of {}",
            update.missing
        );
    }
}

#[test]
fn sixty_kills_at_random_moments_of_deltas_lose_nothing() {
    const SEED: u64 = 20_261_125;
    let kills: u64 = std::env::var("HFDL_TEST_KILLS").map_or(60, |n| n.parse().unwrap());
    say(&format!("seed {SEED}"));
    let mut dice = Dice(SEED);
    let (mut n_kills, mut n_starts, mut n_updates, mut n_copying) = (0, 0, 0, 0);
    while n_kills < kills {
        let update = Update::new(3 * MIB, 0, 100 + n_updates);
        n_updates += 1;
        // A slow line is hit while it sends, a fast one while old bytes are copied and hashed.
        if dice.below(2) == 0 {
            let slow = Fault::Trickle(8 << 10, Duration::from_millis(2));
            update.env.hub().fault(On::cdn(MODEL), slow);
        }
        let mut sent = 0;
        let mut starts = 0;
        while starts < 12 && n_kills < kills && !update.is_done() {
            starts += 1;
            let what = format!("seed {SEED}, update {n_updates}, start {starts}");
            if strike(&update.env, &mut dice, 16) {
                n_kills += 1;
            }
            update.is_sound(&what);
            sent += update.sent();
            n_copying += u64::from(has_partial(&update.env));
        }
        n_starts += starts;
        update.env.hub().heal();
        update.env.hub().forget_requests();
        let what = format!("seed {SEED}, update {n_updates}");
        heals(&update.env, &update.truth, &update.new, &what);
        sent += update.sent();
        // Bytes of the old file are never fetched, however often the update was begun.
        let most = update.missing * (starts + 1);
        assert!(sent <= most, "{what}: {sent} bytes, at most {most}");
        assert!(update.missing * 2 < update.size, "{what}: it is a delta");
    }
    let met = format!("{n_kills} kills in {n_starts} starts of {n_updates} updates");
    say(&format!("{met}, {n_copying} left a partial file"));
    assert!(n_copying * 4 > kills, "{met}: {n_copying} in the middle");
}

fn has_partial(env: &TestEnv) -> bool {
    let private = env.cache().join("models--acme--tiny/.hfdl");
    files_below(&private)
        .iter()
        .any(|path| path.extension().is_some_and(|ending| ending == "journal"))
}

/// As for a whole file: what a kill loses is bounded by what was under way.
#[test]
#[cfg(target_os = "linux")]
fn a_kill_of_a_delta_costs_at_most_a_block_of_each_connection() {
    const SEED: u64 = 20_261_124;
    say(&format!("seed {SEED}"));
    let mut dice = Dice(SEED);
    let update = Update::new(6 * MIB, 40 * MIB, 7);
    let env = &update.env;
    let pause = Duration::from_millis(2);
    let slow = Fault::Trickle(64 << 10, pause);
    env.hub().fault(On::content(MODEL), slow);
    env.set("HFDL_DOWNLOAD_CONNECTIONS", "2");
    let mut kills = 0;
    loop {
        let mut victim = Victim::start(env.command(["download", "acme/tiny"]));
        std::thread::sleep(Duration::from_millis(200 + dice.below(600)));
        if !was_killed(victim.kill()) {
            break;
        }
        kills += 1;
        assert!(kills < 200, "it never gets there");
    }
    heals(env, &update.truth, &update.new, "killed again and again");
    let (sent, missing) = (update.sent(), update.missing);
    let what = format!("{kills} kills: {sent} bytes came, {missing} were missing");
    say(&what);
    assert!(sent >= missing, "{what}");
    assert!(sent - missing <= kills * 2 * BLOCK, "{what}");
    assert!(kills >= 2, "{what}");
}
