//! `kill -9` of `run-due` at every named step and at random moments, and disks
//! that fill: the next run heals all, loses no slot and serves none twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use hfdl::domain::time::Timestamp;
use hfdl_test_hub::{Fault, On, generated_bytes};

use crate::support::database::{ask, change, number};
use crate::support::env::TestEnv;
use crate::support::process::{Dice, Victim, was_killed};
use crate::support::sound::{Truth, damage, files_below, open_runs, open_sessions, say};

/// Each step, and how often a run of three models and two schedules takes it at least.
const STEPS: &[(&str, usize)] = &[
    ("run started", 1),
    ("slots claimed", 1),
    ("sessions opened", 1),
    ("checked", 3),
    ("place opened", 3),
    ("first content stored", 3),
    ("before publishing", 3),
    ("snapshot put together", 2),
    ("before the ref", 2),
    ("file in place", 2),
    ("before the session closes", 3),
    ("session closed", 3),
    ("slot served", 2),
    ("run ends", 1),
];

/// A world of some models, and what their revisions hold.
struct CrashEnv {
    env: TestEnv,
    truth: Truth,
    /// The newest commit of each model.
    newest: BTreeMap<String, String>,
}

impl CrashEnv {
    fn new(n_models: usize) -> Self {
        let env = TestEnv::new();
        env.set("HFDL_DISK_RESERVE", "0");
        let mut world = Self {
            env,
            truth: Truth::new(),
            newest: BTreeMap::new(),
        };
        for number in 0..n_models {
            world.publish(number, 0);
        }
        world
    }

    /// Publishes another revision of a model: a small file stays, another
    /// changes, and the large one changes now and then.
    fn publish(&mut self, number: usize, turn: u64) {
        let name = format!("acme/m{number}");
        let large = generated_bytes(20_000 + 1_000 * number, turn / 2);
        let files = BTreeMap::from([
            ("README.md".to_owned(), name.clone().into_bytes()),
            ("config.json".to_owned(), format!("{turn}").into_bytes()),
            ("model.safetensors".to_owned(), large.clone()),
        ]);
        let draft = self.env.hub().repo(&name).commit("main");
        let commit = draft
            .file("README.md", files["README.md"].clone())
            .file("config.json", files["config.json"].clone())
            .lfs("model.safetensors", large)
            .publish();
        self.truth.insert(commit.clone(), files);
        self.newest.insert(name, commit);
    }

    /// Checks what must hold after a run that nothing disturbed.
    fn is_healed(&self, what: &str) {
        let env = &self.env;
        damage(env, &self.truth).unwrap_or_else(|problem| panic!("{what}: {problem}"));
        assert_eq!((open_sessions(env), open_runs(env)), (0, 0), "{what}");
        assert_eq!(ask(env, OPEN_SLOTS), Vec::<String>::new(), "{what}");
        assert_eq!(ask(env, DONE_TWICE), Vec::<String>::new(), "{what}");
    }

    /// Returns what readers of the cache and of the directory see.
    fn visible(&self) -> BTreeMap<String, Vec<u8>> {
        let env = &self.env;
        let mut seen = BTreeMap::new();
        for path in files_below(&env.cache()) {
            let text = path
                .strip_prefix(env.root())
                .unwrap()
                .to_string_lossy()
                .replace('\\', "/");
            let is_newest = self
                .newest
                .values()
                .any(|commit| text.contains(&format!("snapshots/{commit}/")));
            if is_newest || text.contains("/refs/") {
                seen.insert(text, fs::read(&path).unwrap());
            }
        }
        for path in files_below(&env.root().join("out")) {
            let text = path
                .strip_prefix(env.root())
                .unwrap()
                .to_string_lossy()
                .replace('\\', "/");
            if !text.contains("/.") {
                seen.insert(text, fs::read(&path).unwrap());
            }
        }
        seen
    }
}

const OPEN_SLOTS: &str = "SELECT name, open_slot_at FROM schedules WHERE open_slot_at IS NOT NULL";

/// Models that came to their end twice for one slot of one schedule.
const DONE_TWICE: &str = "SELECT model_name, schedule_name, slot_at, count(*) FROM sessions
    WHERE outcome IN ('updated', 'up-to-date', 'repaired')
    GROUP BY model_name, schedule_name, slot_at HAVING count(*) > 1";

const RUNS: &str = "SELECT count(*) FROM runs";

const SERVED: &str = "SELECT name, strftime('%H:%M', last_slot_at, 'unixepoch'), retry_at
    FROM schedules ORDER BY name";

/// Two schedules share one of three models; one model goes to a directory.
fn set_up(world: &CrashEnv) {
    let env = &world.env;
    let dir = env.root().join("out/m2").to_string_lossy().into_owned();
    env.line("models add acme/m0 --no-check").succeeds();
    env.line("models add acme/m1 --tag llm --no-check")
        .succeeds();
    let line = format!("models add acme/m2 --tag llm --no-check --to {dir}");
    env.line(&line).succeeds();
    env.now("2026-03-01T00:00:00Z");
    env.line("schedules add all --daily 03:00 --tz UTC --all")
        .succeeds();
    env.line("schedules add llm --daily 04:00 --tz UTC --tag llm")
        .succeeds();
    env.now("2026-03-01T04:05:00Z");
}

/// Kills a run at some steps and lets the next one heal it.
fn kill_and_heal(steps: &[(&str, usize)]) {
    // The hub names commits by their content, so one clean run speaks for all.
    let clean = CrashEnv::new(3);
    set_up(&clean);
    clean.env.line("run-due").succeeds();
    let clean = clean.visible();
    assert_eq!(clean.len(), 2 * (3 + 1) + 3);
    let cases = steps.iter().flat_map(|(step, times)| {
        let hits = BTreeSet::from([1, *times]);
        hits.into_iter().map(move |hit| format!("{step}:{hit}"))
    });
    for what in cases {
        let world = CrashEnv::new(3);
        set_up(&world);
        let env = &world.env;
        env.set("HFDL_TEST_CRASH_AT", &what);
        let ended = env.command(["run-due"]).output().unwrap();
        assert!(was_killed(ended.status), "{what}: {ended:?}");
        damage(env, &world.truth).unwrap_or_else(|problem| panic!("{what}: {problem}"));
        env.unset("HFDL_TEST_CRASH_AT");

        env.line("run-due").succeeds();
        world.is_healed(&what);
        let served = ["all | 03:00 | -", "llm | 04:00 | -"];
        assert_eq!(ask(env, SERVED), served, "{what}");
        let crashed = "SELECT count(*) FROM runs WHERE outcome = 'crashed'";
        assert_eq!(number(env, crashed), 1, "{what}");
        let n_runs = number(env, RUNS);
        assert_eq!(world.visible(), clean, "{what}: unlike a clean run");

        env.line("run-due").succeeds();
        assert_eq!(number(env, RUNS), n_runs, "{what}: served once more");
    }
}

#[test]
fn a_kill_before_anything_is_published_loses_no_slot_and_serves_none_twice() {
    kill_and_heal(&STEPS[..6]);
}

#[test]
fn a_kill_while_or_after_something_is_published_loses_no_slot_and_serves_none_twice() {
    kill_and_heal(&STEPS[6..]);
}

#[test]
fn a_slot_that_cannot_be_claimed_is_not_fetched() {
    let world = CrashEnv::new(3);
    set_up(&world);
    let env = &world.env;
    // A trigger stands for a database that refuses a write.
    let refuse = "CREATE TRIGGER refuse BEFORE UPDATE OF open_slot_at ON schedules
        WHEN NEW.open_slot_at IS NOT NULL AND OLD.name = 'llm'
        BEGIN SELECT RAISE(ABORT, 'no'); END";
    change(env, refuse);
    env.line("run-due").exits(2).explains("refuses");
    assert_eq!(env.hub().requests().len(), 0);
    assert_eq!(ask(env, OPEN_SLOTS), Vec::<String>::new(), "all or none");
    change(env, "DROP TRIGGER refuse");
    env.line("run-due").succeeds();
    world.is_healed("claimed later");
    assert_eq!(ask(env, SERVED), ["all | 03:00 | -", "llm | 04:00 | -"]);
}

#[test]
fn a_slot_whose_end_cannot_be_written_down_is_looked_at_again() {
    let world = CrashEnv::new(3);
    set_up(&world);
    let env = &world.env;
    let refuse = "CREATE TRIGGER refuse BEFORE UPDATE OF state ON sessions
        WHEN NEW.state = 'finished' AND NEW.model_name = 'acme/m1'
            AND NEW.outcome = 'updated'
        BEGIN SELECT RAISE(ABORT, 'no'); END";
    change(env, refuse);
    env.line("run-due").exits(2).explains("refuses");
    assert_eq!(ask(env, SERVED), ["all | - | -", "llm | - | -"]);
    change(env, "DROP TRIGGER refuse");
    env.hub().forget_requests();
    env.line("run-due").succeeds();
    world.is_healed("written later");
    assert_eq!(ask(env, SERVED), ["all | 03:00 | -", "llm | 04:00 | -"]);
    // Only the one that nobody knew the end of was looked at, and lay there already.
    assert_eq!(env.hub().requests().len(), 1);
    let known = "SELECT count(*) FROM models WHERE published_commit IS NULL";
    assert_eq!(number(env, known), 0);
}

#[test]
fn a_refusal_of_the_database_is_reported_once_and_logged_each_time() {
    let world = CrashEnv::new(3);
    set_up(&world);
    let env = &world.env;
    let refuse = "CREATE TRIGGER refuse BEFORE UPDATE OF state ON sessions
        WHEN NEW.state = 'finished' BEGIN SELECT RAISE(ABORT, 'no'); END";
    change(env, refuse);
    let ran = env.line("run-due");
    ran.exits(2);
    let told = ran.stderr().matches("the database refuses").count();
    assert_eq!(told, 1, "{}", ran.report());
    let log = env.line("logs --last");
    let noted = log.stdout().matches("error the database refuses").count();
    assert_eq!(noted, 3, "one for each session: {}", log.report());
}

/// Registers twenty models and three schedules with selections that overlap.
fn set_up_twenty(world: &CrashEnv) {
    let env = &world.env;
    env.now("2026-03-01T00:00:00Z");
    let mut document = "version: 1\nmodels:\n".to_owned();
    for n in 0..20 {
        let tags = match n % 4 {
            0 => "[a]",
            1 => "[b]",
            2 => "[a, b]",
            _ => "[]",
        };
        document += &format!("  - {{repo: acme/m{n}, tags: {tags}}}\n");
    }
    document += "schedules:
  - {name: a, every: 1h, tags: [a]}
  - {name: b, every: 90m, tags: [b], priority: 60}
  - {name: all, every: 4h, all: true}\n";
    let file = env.root().join("outside");
    fs::create_dir_all(&file).unwrap();
    let file = file.join("hfdl.yaml");
    fs::write(&file, document).unwrap();
    env.hfdl(["apply", "-f", &file.to_string_lossy()])
        .succeeds();
}

/// Starts a run and kills it at a random moment or at a random step; tells
/// whether it was still running.
fn strike(env: &TestEnv, dice: &mut Dice) -> bool {
    if dice.below(2) == 0 {
        let (step, times) = STEPS[dice.below(STEPS.len() as u64) as usize];
        let hit = 1 + dice.below(3 * times as u64);
        env.set("HFDL_TEST_CRASH_AT", &format!("{step}:{hit}"));
        let ended = Victim::start(env.command(["run-due"])).output();
        env.unset("HFDL_TEST_CRASH_AT");
        return was_killed(ended.status);
    }
    let patience = Duration::from_micros(5_000 + dice.below(120_000));
    let started = Instant::now();
    let mut victim = Victim::start(env.command(["run-due"]));
    while started.elapsed() < patience {
        if victim.has_ended().is_some() {
            return false;
        }
        std::thread::yield_now();
    }
    was_killed(victim.kill())
}

/// Sets the clock to so many minutes after all began.
fn minutes(env: &TestEnv, minutes: u64) {
    let start: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
    let at = Timestamp::from_second(start.as_second() + 60 * minutes as i64).unwrap();
    env.now(&at.to_string());
}

/// Checks that in the end all is as a home and a cache that were never disturbed have it.
fn ends_like_a_clean_run(world: &CrashEnv, what: &str) {
    let env = &world.env;
    env.line("run-due").succeeds();
    world.is_healed(what);
    let found = world.visible();
    fs::remove_dir_all(env.cache()).unwrap();
    fs::remove_dir_all(env.home()).unwrap();
    set_up_twenty(world);
    env.line("run-due").succeeds();
    let clean = world.visible();
    assert_eq!(clean.len(), 20 * 4);
    let differing = clean
        .iter()
        .filter(|(name, bytes)| found.get(*name) != Some(*bytes));
    let differing: Vec<&String> = differing.map(|(name, _)| name).collect();
    assert!(differing.is_empty(), "{what}: {differing:?}");
}

#[test]
fn three_hundred_kills_over_twenty_models_end_like_a_clean_run() {
    const KILLS: u64 = 300;
    const SEED: u64 = 20_260_301;
    say(&format!("seed {SEED}"));
    let mut dice = Dice(SEED);
    let mut world = CrashEnv::new(20);
    set_up_twenty(&world);
    let (mut kills, mut starts, mut turn, mut clock) = (0, 0, 0, 0);
    while kills < KILLS {
        starts += 1;
        assert!(
            starts < 10 * KILLS,
            "only {kills} of {starts} starts were hit"
        );
        // Some kills hit one slot again and again, others find a newer one.
        clock += [0, 0, 7, 61, 95][dice.below(5) as usize];
        minutes(&world.env, clock);
        for _ in 0..dice.below(3) {
            turn += 1;
            world.publish(dice.below(20) as usize, turn);
        }
        if dice.below(3) == 0 {
            let pause = Duration::from_micros(dice.below(2_000));
            let slow = Fault::Trickle(4_096, pause);
            world.env.hub().fault(On::cdn("model.safetensors"), slow);
        }
        let was_hit = strike(&world.env, &mut dice);
        world.env.hub().heal();
        kills += u64::from(was_hit);
        if was_hit && kills % 50 == 0 {
            let what = format!("seed {SEED}, kill {kills}");
            damage(&world.env, &world.truth).unwrap_or_else(|problem| panic!("{what}: {problem}"));
            assert_eq!(ask(&world.env, DONE_TWICE), Vec::<String>::new(), "{what}");
        }
    }
    say(&format!("{kills} kills in {starts} starts"));
    minutes(&world.env, clock + 241);
    ends_like_a_clean_run(&world, &format!("seed {SEED}"));
}

#[cfg(target_os = "linux")]
mod full {
    use super::*;
    use crate::support::disk::SmallDisk;
    use std::path::PathBuf;

    /// Mounts small file systems for the folders of a world, or says why not.
    fn small_disks(env: &TestEnv, folders: &[(&str, usize)]) -> Option<Vec<SmallDisk>> {
        let disks = folders
            .iter()
            .map(|(folder, mebibytes)| SmallDisk::mount(env.root().join(folder), *mebibytes));
        match disks.collect::<Result<_, _>>() {
            Ok(disks) => Some(disks),
            Err(why) => {
                say(&format!("not tested: no small file system ({why})"));
                None
            }
        }
    }

    #[test]
    fn a_tick_on_a_full_home_disk_says_so_and_fetches_nothing_unclaimed() {
        let world = CrashEnv::new(3);
        let env = &world.env;
        let Some(disks) = small_disks(env, &[("state", 4)]) else {
            return;
        };
        set_up(&world);
        SmallDisk::fill(&env.home());
        env.line("run-due --trigger timer")
            .exits(6)
            .explains("cannot open the database")
            .explains("the disk is full");
        SmallDisk::give_back(&env.home());
        // Where somebody else reads, it can be opened but not be written.
        let reader = rusqlite::Connection::open(env.database()).unwrap();
        let read = |_: &rusqlite::Row<'_>| Ok(());
        reader.query_row(RUNS, [], read).unwrap();
        SmallDisk::fill(&env.home());
        env.line("run-due --trigger timer")
            .exits(6)
            .explains("cannot record this tick")
            .explains("the disk is full")
            .explains("free some space on the disk that holds `");
        assert_eq!(env.hub().requests().len(), 0);
        // A dry run writes nothing and works.
        env.line("run-due --dry-run").succeeds().prints("due");
        drop(reader);
        SmallDisk::give_back(&env.home());
        env.line("run-due").succeeds();
        world.is_healed("space again");
        assert_eq!(ask(env, SERVED), ["all | 03:00 | -", "llm | 04:00 | -"]);
        drop(disks);
    }

    #[test]
    fn disks_that_fill_and_empty_again_lose_nothing() {
        const ROUNDS: u64 = 40;
        const SEED: u64 = 7;
        say(&format!("seed {SEED}"));
        let mut dice = Dice(SEED);
        let mut world = CrashEnv::new(20);
        let Some(disks) = small_disks(&world.env, &[("state", 4), ("hub", 24)]) else {
            return;
        };
        set_up_twenty(&world);
        let (mut n_full, mut clock) = (0, 0);
        for round in 0..ROUNDS {
            let what = format!("seed {SEED}, round {round}");
            clock += [0, 61, 95][dice.below(3) as usize];
            minutes(&world.env, clock);
            for _ in 0..1 + dice.below(3) {
                world.publish(dice.below(20) as usize, 1 + round);
            }
            let env = &world.env;
            let place: PathBuf = [env.home(), env.cache()][dice.below(2) as usize].clone();
            let is_filled = || place.join("filler").exists();
            match dice.below(3) {
                0 => SmallDisk::fill(&place),
                1 => {
                    let at = place.clone();
                    let on = On::any().skip(dice.below(20) as usize);
                    env.hub().before(on, move || SmallDisk::fill(&at));
                }
                _ => {}
            }
            if dice.below(4) == 0 {
                strike(env, &mut dice);
            } else {
                let ran = env.line("run-due");
                let expected: &[i32] = if is_filled() { &[0, 6] } else { &[0] };
                let code = ran.code().unwrap();
                assert!(expected.contains(&code), "{what}: {}", ran.report());
                n_full += u64::from(code == 6);
            }
            env.hub().heal();
            if is_filled() {
                SmallDisk::give_back(&place);
            }
            damage(env, &world.truth).unwrap_or_else(|problem| panic!("{what}: {problem}"));
            assert_eq!(ask(env, DONE_TWICE), Vec::<String>::new(), "{what}");
        }
        say(&format!(
            "{n_full} of {ROUNDS} rounds ended for want of space"
        ));
        assert!(n_full > 4);
        minutes(&world.env, clock + 241);
        world.env.line("run-due").succeeds();
        world.is_healed("space again");
        let newest = &world.newest;
        for (name, commit) in newest {
            let folder = format!("models--{}", name.replace('/', "--"));
            let reference = world.env.cache().join(folder).join("refs/main");
            assert_eq!(fs::read_to_string(reference).unwrap(), *commit, "{name}");
        }
        drop(disks);
    }
}
