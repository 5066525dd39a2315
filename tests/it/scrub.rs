//! Scrub: published files are read again a part each night, and damage is repaired.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use hfdl_test_hub::{generated_bytes, sha256_hex};
use serde_json::Value;

use crate::support::damage::{flip, rot, set_modified};
use crate::support::database::{ask, cell, number};
use crate::support::env::{Ran, TestEnv};
use crate::verify::{blob, in_snapshot, kept, model_bytes, readers_see_all, world};

const MIB: u64 = 1 << 20;

/// Sets the clock to some days after the download, in the small hours.
fn night(env: &TestEnv, day: i64) {
    let first: jiff::Timestamp = "2026-03-01T02:00:00Z".parse().unwrap();
    let at = first + jiff::SignedDuration::from_hours(24 * day);
    env.now(&at.to_string());
}

/// Runs a tick of the timer in a night.
fn tick(env: &TestEnv, day: i64) -> Ran {
    night(env, day);
    env.line("run-due --trigger timer")
}

fn scrub_of(env: &TestEnv) -> Value {
    env.line("status --json").json()["scrub"].clone()
}

/// Returns the position in the only file that was read in part.
fn position(env: &TestEnv) -> i64 {
    number(env, "SELECT position FROM scrub_positions")
}

fn verified_at(env: &TestEnv, path: &Path) -> String {
    let sql = "SELECT datetime(verified_at, 'unixepoch') FROM blobs WHERE path = ";
    cell(env, &format!("{sql}'{}'", path.display()))
}

/// Returns where the bytes of the damaged model are kept.
fn evidence_of(env: &TestEnv) -> PathBuf {
    let name = format!("{}.incomplete.bad", sha256_hex(&model_bytes()));
    env.cache().join("models--acme--tiny/.hfdl").join(name)
}

#[test]
fn a_byte_that_flips_at_any_place_is_found_within_the_time_of_the_setting() {
    const N_FILES: usize = 24;
    const SEED: u64 = 1;
    let mut random = fastrand::Rng::with_seed(SEED);
    let env = world();
    // Large files take several nights, small ones are read at once.
    env.set("HFDL_VERIFY_BUDGET", "40K");
    let mut draft = env.hub().repo("acme/tiny").commit("main");
    let mut contents = Vec::new();
    for index in 0..N_FILES {
        let size = if index == 0 {
            100_000
        } else {
            random.usize(1..9_000)
        };
        let bytes = generated_bytes(size, index as u64);
        draft = draft.lfs(&format!("{index}.bin"), bytes.clone());
        contents.push(bytes);
    }
    let commit = draft.publish();
    night(&env, 0);
    env.hfdl(["models", "add", "acme/tiny"]).succeeds();
    env.hfdl(["download", "acme/tiny"]).succeeds();
    let blobs: Vec<PathBuf> = (0..N_FILES)
        .map(|index| blob(&env, &commit, &format!("{index}.bin")))
        .collect();
    let flips: Vec<i64> = (0..N_FILES).map(|_| random.i64(1..=18)).collect();
    let mut rotten: BTreeMap<usize, i64> = BTreeMap::new();
    for day in 1..=46 {
        for index in (0..N_FILES).filter(|index| flips[*index] == day) {
            flip(&blobs[index], random.usize(..contents[index].len()));
            rotten.insert(index, day);
        }
        // The machine is off in some nights.
        if random.u8(..8) == 0 {
            continue;
        }
        let ran = tick(&env, day);
        ran.succeeds();
        rotten.retain(|index, since| {
            let is_bad = fs::read(&blobs[*index]).unwrap() != contents[*index];
            assert!(!is_bad || day - *since <= 30, "file {index}, day {day}");
            is_bad
        });
        let read = ask(
            &env,
            "SELECT bytes_read FROM scrubs WHERE bytes_read > 40960",
        );
        assert!(read.is_empty(), "{read:?}");
    }
    assert!(rotten.keys().all(|index| flips[*index] > 16), "{rotten:?}");
    let n_found = number(&env, "SELECT count(*) FROM events WHERE kind = 'corrupt'");
    assert!(n_found >= N_FILES as i64 - 3, "{n_found}");
    assert_eq!(scrub_of(&env)["kept"], true);
}

#[test]
fn a_night_reads_a_part_and_leaves_proofs_but_no_sessions() {
    let env = world();
    let mut draft = env.hub().repo("acme/tiny").commit("main");
    for index in 0..8 {
        let bytes = generated_bytes(10_000, index);
        draft = draft.lfs(&format!("{index}.bin"), bytes);
    }
    draft.publish();
    env.hfdl(["models", "add", "acme/tiny"]).succeeds();
    env.hfdl(["download", "acme/tiny"]).succeeds();
    env.hub().forget_requests();
    let n_runs = || number(&env, "SELECT count(*) FROM runs WHERE command = 'run-due'");
    tick(&env, 1).succeeds().silently();
    assert_eq!((scrub_of(&env)["kept"].clone(), n_runs()), (Value::Null, 0));

    tick(&env, 10).succeeds().silently();
    let scrub = scrub_of(&env);
    assert_eq!((&scrub["kept"], &scrub["files"]), (&true.into(), &8.into()));
    assert_eq!(
        scrub["bytes_read"], 10_000,
        "the share of one night of fourteen"
    );
    assert_eq!(scrub["oldest_verified_at"], "2026-03-01T09:00:00Z");
    // A second tick of the night reads nothing.
    env.line("run-due").succeeds();
    assert_eq!(n_runs(), 1);
    for day in 11..26 {
        tick(&env, day).succeeds().silently();
    }
    let oldest = scrub_of(&env)["oldest_verified_at"].clone();
    assert!(oldest.as_str() > Some("2026-03-10"), "{oldest}");
    assert_eq!(
        number(&env, "SELECT count(*) FROM sessions"),
        1,
        "the download alone"
    );
    assert!(env.hub().requests().is_empty());
    env.line("status")
        .prints("read again")
        .prints("all 8 files");
    env.line("doctor").prints("read-again");
}

#[test]
fn nothing_is_read_again_when_the_setting_is_off() {
    let env = world();
    let commit = kept(&env);
    rot(&blob(&env, &commit, "model.safetensors"));
    env.line("config set verify.every off").succeeds();
    tick(&env, 60).succeeds().silently();
    assert_eq!(number(&env, "SELECT count(*) FROM scrubs"), 0);
    assert_eq!(scrub_of(&env)["every"], Value::Null);
    env.line("config set verify.every 7d").succeeds();
    tick(&env, 61).succeeds().explains("damaged on disk");
}

#[test]
fn damage_is_repaired_in_the_same_run_and_told_once() {
    let env = world();
    let commit = kept(&env);
    let path = blob(&env, &commit, "model.safetensors");
    rot(&path);
    let bad = fs::read(&path).unwrap();
    env.hub()
        .repo("acme/tiny")
        .commit("main")
        .file("config.json", b"new")
        .publish();
    env.hub().forget_requests();

    let ran = tick(&env, 40);
    ran.succeeds()
        .explains("`acme/tiny`: 1 file damaged on disk and fetched again");
    readers_see_all(&env, &commit);
    let main = fs::read_to_string(env.cache().join("models--acme--tiny/refs/main")).unwrap();
    assert_eq!(main, commit, "a repair does not update");
    assert!(env.hub().downloads("config.json").is_empty());
    let sessions = ask(
        &env,
        "SELECT outcome, verify_outcome FROM sessions ORDER BY id",
    );
    assert_eq!(sessions[1..], ["repaired | verified"]);
    assert!(
        fs::read(evidence_of(&env)).unwrap() == bad,
        "the bad bytes are kept"
    );
    let status = env.line("status --json").json();
    assert_eq!(status["leftover_bytes"], 0, "no download has left them");

    for day in 41..49 {
        tick(&env, day).succeeds().silently();
    }
    assert!(evidence_of(&env).exists());
    for day in [72, 82] {
        tick(&env, day).succeeds().silently();
    }
    assert!(!evidence_of(&env).exists(), "as old as a log may be");
    let last = env.line("sessions list --json").json();
    assert_eq!(last["sessions"].as_array().unwrap().len(), 2);
}

#[test]
fn a_second_damage_keeps_bytes_of_its_own_while_the_first_are_there() {
    let env = world();
    let commit = kept(&env);
    let path = blob(&env, &commit, "model.safetensors");
    let evidence = evidence_of(&env);
    let later = PathBuf::from(format!("{}.2", evidence.display()));
    let mut damages = Vec::new();
    for (at, day) in [(0, 40), (1, 50), (2, 60)] {
        let mut bytes = fs::read(&path).unwrap();
        bytes[at] ^= 0xff;
        fs::remove_file(&path).unwrap();
        fs::write(&path, &bytes).unwrap();
        tick(&env, day).succeeds().explains("damaged on disk");
        readers_see_all(&env, &commit);
        damages.push(bytes);
    }
    let kept_bytes = [&evidence, &later].map(|path| fs::read(path).unwrap());
    assert!(kept_bytes[..] == damages[..2], "the third one is too many");
    // After a gap of more than a week the clock is not trusted at once.
    for day in [95, 100] {
        night(&env, day);
        env.line("download acme/tiny").succeeds();
    }
    assert!(
        !evidence.exists() && !later.exists(),
        "as old as a log may be"
    );
}

#[test]
fn damage_that_cannot_be_repaired_ends_with_code_3_until_it_can() {
    let env = world();
    let commit = kept(&env);
    let path = blob(&env, &commit, "model.safetensors");
    rot(&path);
    let bad = fs::read(&path).unwrap();
    let model = model_bytes();
    env.hub().repo("acme/tiny").delete();
    let called = env.root().join("called");
    if cfg!(unix) {
        let script = format!("echo $HFDL_EVENT >> '{}'", called.display());
        let hook = format!("[\"/bin/sh\", \"-c\", \"{script}\"]");
        env.hfdl(["config", "set", "hooks.on_failure", &hook])
            .succeeds();
    }
    for day in [40, 41] {
        let ran = tick(&env, day);
        ran.exits(3).explains("cannot be fetched again");
        ran.explains("hfdl: 1 of 1 model needs a look");
    }
    if cfg!(unix) {
        let calls = fs::read_to_string(&called).unwrap();
        assert_eq!(calls, "on_failure\non_failure\n", "once a day");
    }
    assert!(fs::read(&path).unwrap() == bad, "readers keep the file");
    assert!(!evidence_of(&env).exists());
    let scrub = scrub_of(&env);
    assert_eq!(
        (&scrub["kept"], &scrub["oldest_verified_at"]),
        (&false.into(), &Value::Null)
    );
    assert_eq!(scrub["bytes_behind"], 3 * MIB);
    let shown = env.line("models show acme/tiny --json").json();
    assert_eq!(shown["last_verify_outcome"], "damaged");
    env.line("doctor")
        .prints("read-again")
        .prints("not within 30d");

    let draft = env.hub().repo("acme/tiny").commit("main");
    let draft = draft
        .file("config.json", b"{\"a\": 1}")
        .file("sub/empty.txt", b"");
    assert_eq!(draft.lfs("model.safetensors", model).publish(), commit);
    tick(&env, 42).succeeds().explains("fetched again");
    readers_see_all(&env, &commit);
    let shown = env.line("models show acme/tiny --json").json();
    assert_eq!(shown["last_verify_outcome"], "verified");
}

#[test]
fn a_file_is_read_in_parts_over_nights_and_a_killed_run_proves_nothing() {
    let env = world();
    let commit = kept(&env);
    let path = blob(&env, &commit, "model.safetensors");
    env.set("HFDL_VERIFY_BUDGET", "1M");
    tick(&env, 29).succeeds().silently();
    assert_eq!(scrub_of(&env)["bytes_read"], MIB);
    let first = position(&env);
    assert!(first > 1 << 19 && first <= MIB as i64, "{first}");

    env.set("HFDL_TEST_CRASH_AT", "scrub position saved");
    night(&env, 30);
    assert_ne!(env.line("run-due").code(), Some(0));
    env.unset("HFDL_TEST_CRASH_AT");
    let second = position(&env);
    assert_eq!(
        second - first,
        MIB as i64,
        "the killed run has saved its part"
    );
    assert_eq!(verified_at(&env, &path), "2026-03-01 09:00:00");
    assert_eq!(scrub_of(&env)["ended_at"], "2026-03-30T02:00:00Z");

    tick(&env, 31);
    tick(&env, 32).succeeds();
    assert_eq!(number(&env, "SELECT count(*) FROM scrub_positions"), 0);
    assert_eq!(
        verified_at(&env, &path),
        "2026-03-30 02:00:00",
        "as old as the first byte"
    );
}

#[test]
fn a_part_does_not_count_for_another_file_or_a_damaged_record() {
    let env = world();
    let commit = kept(&env);
    let path = blob(&env, &commit, "model.safetensors");
    env.set("HFDL_VERIFY_BUDGET", "1M");
    tick(&env, 29).succeeds();
    // The state of the hash is damaged on disk: no good file is declared bad.
    crate::support::database::change(&env, "UPDATE scrub_positions SET state = zeroblob(300)");
    tick(&env, 30).succeeds().silently();
    assert_eq!(position(&env), MIB as i64, "read from its beginning");
    tick(&env, 31).succeeds().silently();
    assert_eq!(position(&env), 2 * MIB as i64);
    // Another program has written the file again.
    set_modified(&path, std::time::SystemTime::UNIX_EPOCH);
    tick(&env, 32).succeeds().silently();
    assert!(position(&env) <= MIB as i64, "read from its beginning");
    env.set("HFDL_VERIFY_BUDGET", "1G");
    tick(&env, 33).succeeds().silently();
    assert_eq!(verified_at(&env, &path), "2026-04-02 02:00:00");
}

#[test]
fn a_budget_of_time_ends_the_reading() {
    let env = world();
    kept(&env);
    env.set("HFDL_VERIFY_BUDGET", "1s");
    env.set("HFDL_TEST_READ_RATE", "1000000");
    tick(&env, 60).succeeds().silently();
    let scrub = scrub_of(&env);
    let read = scrub["bytes_read"].as_u64().unwrap();
    assert!((1..3 * MIB).contains(&read), "{read}");
    assert_ne!(
        scrub["next_at"],
        Value::Null,
        "the rest is for another night"
    );
    assert_eq!(position(&env) as u64 / MIB, read / MIB);
}

#[test]
fn windows_of_schedules_are_the_time_for_reading() {
    let env = world();
    kept(&env);
    env.line("schedules add nightly --all --daily 01:00 --window 01:00-03:00")
        .succeeds();
    env.now("2026-04-20T09:00:00Z");
    env.line("run-due").succeeds();
    assert_eq!(
        number(&env, "SELECT count(*) FROM scrubs"),
        0,
        "no window is open"
    );

    // The window closes while a file is read.
    env.set("HFDL_TEST_READ_RATE", "1000000");
    env.now("2026-04-21T02:59:59Z+1");
    env.line("run-due").succeeds();
    env.unset("HFDL_TEST_READ_RATE");
    let scrub = scrub_of(&env);
    assert_eq!(
        (&scrub["next_at"], &scrub["kept"]),
        (&Value::Null, &false.into())
    );
    assert!(scrub["bytes_read"].as_u64().unwrap() < 3 * MIB);

    env.now("2026-04-22T01:30:00Z");
    let ran = env.line("run-due --json");
    let sessions = ran.succeeds().json()["sessions"].clone();
    assert_eq!(
        sessions.as_array().unwrap().len(),
        1,
        "the slot comes first"
    );
    assert_eq!(
        scrub_of(&env)["kept"],
        true,
        "after the downloads of the run"
    );
}

#[test]
fn a_clock_that_was_ahead_makes_nothing_look_proven() {
    let env = world();
    let commit = kept(&env);
    let path = blob(&env, &commit, "model.safetensors");
    env.now("2027-03-01T02:00:00Z");
    env.line("verify").succeeds();
    env.line("run-due").succeeds();
    assert_eq!(verified_at(&env, &path), "2027-03-01 02:00:00");
    rot(&path);
    tick(&env, 5).succeeds().explains("damaged on disk");
    readers_see_all(&env, &commit);
    assert_eq!(verified_at(&env, &path), "2026-03-06 02:00:00");
    assert_eq!(scrub_of(&env)["kept"], true);
}

#[test]
fn a_file_that_a_person_has_edited_is_no_damage() {
    let env = world();
    let repo = env.hub().repo("acme/tiny");
    repo.commit("main")
        .file("a.txt", b"one")
        .file("b.txt", b"two")
        .publish();
    let dir = env.root().join("copy");
    let to = dir.display().to_string();
    env.hfdl(["models", "add", "acme/tiny", "--to", &to])
        .succeeds();
    env.hfdl(["download", "acme/tiny"]).succeeds();
    fs::write(dir.join("a.txt"), b"my own").unwrap();
    flip(&dir.join("b.txt"), 1);
    tick(&env, 40).succeeds().explains("1 file damaged on disk");
    assert_eq!(fs::read(dir.join("a.txt")).unwrap(), b"my own");
    assert_eq!(fs::read(dir.join("b.txt")).unwrap(), b"two");
    tick(&env, 41).succeeds().silently();
    assert_eq!(scrub_of(&env)["files"], 1);
}

#[test]
fn a_kept_revision_is_repaired_at_its_own_commit() {
    let env = world();
    let old = kept(&env);
    let draft = env.hub().repo("acme/tiny").commit("main");
    let draft = draft.file("config.json", b"{}").file("sub/empty.txt", b"");
    let new = draft
        .lfs("model.safetensors", generated_bytes(3 << 20, 7))
        .publish();
    env.hfdl(["download", "acme/tiny"]).succeeds();
    let refs = env.cache().join("models--acme--tiny/refs/main");
    assert_eq!(fs::read_to_string(&refs).unwrap(), new);
    rot(&blob(&env, &old, "model.safetensors"));
    tick(&env, 40).succeeds().explains("damaged on disk");
    readers_see_all(&env, &old);
    assert_eq!(fs::read_to_string(&refs).unwrap(), new);
    let read = fs::read(in_snapshot(&env, &new, "model.safetensors")).unwrap();
    assert!(read == generated_bytes(3 << 20, 7));
    // Both revisions share a file, which has a name in each where links are not symbolic.
    let is_symlink = in_snapshot(&env, &new, "config.json").is_symlink();
    assert_eq!(scrub_of(&env)["files"], if is_symlink { 5 } else { 6 });
    tick(&env, 41).succeeds().silently();
}

#[test]
fn a_pause_and_a_named_schedule_read_nothing() {
    let env = world();
    kept(&env);
    env.line("schedules add nightly --all --daily 12:00")
        .succeeds();
    env.line("pause").succeeds();
    tick(&env, 60);
    env.line("resume").succeeds();
    env.line("run-due --schedule nightly").succeeds();
    assert_eq!(number(&env, "SELECT count(*) FROM scrubs"), 0);
    env.line("run-due").succeeds();
    assert_eq!(number(&env, "SELECT count(*) FROM scrubs"), 1);
}

#[test]
fn metrics_tell_the_oldest_proof_and_the_bytes_behind() {
    let env = world();
    kept(&env);
    let file = env.root().join("hfdl.prom");
    env.set("HFDL_VERIFY_BUDGET", "1M");
    night(&env, 60);
    env.hfdl(["run-due", "--metrics-file", &file.display().to_string()])
        .succeeds();
    let text = fs::read_to_string(&file).unwrap();
    for line in [
        "hfdl_scrub_oldest_verified_timestamp_seconds 1772355600",
        "hfdl_scrub_bytes 3145736",
        "hfdl_scrub_behind_bytes 3145728",
        "hfdl_scrub_models_unlisted 0",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn a_model_that_is_held_and_repaired_counts_once() {
    let env = world();
    let commit = kept(&env);
    env.line("models set acme/tiny --policy approve").succeeds();
    env.line("schedules add nightly --all --daily 02:00")
        .succeeds();
    rot(&blob(&env, &commit, "model.safetensors"));
    let draft = env.hub().repo("acme/tiny").commit("main");
    draft.file("config.json", b"new").publish();
    let ran = tick(&env, 40);
    ran.succeeds().explains("hfdl: 1 of 1 model needs a look");
    ran.explains("1 file damaged on disk and fetched again");
    readers_see_all(&env, &commit);
}

#[test]
fn damage_that_a_run_repairs_does_not_stay_in_the_record() {
    let env = world();
    let commit = kept(&env);
    rot(&blob(&env, &commit, "model.safetensors"));
    night(&env, 40);
    env.line("run-due -c run.max_transfer=1M").exits(8);
    assert_eq!(scrub_of(&env)["kept"], false);
    night(&env, 41);
    env.line("download acme/tiny").succeeds();
    tick(&env, 42).succeeds().silently();
    let scrub = scrub_of(&env);
    assert_eq!(
        (&scrub["kept"], &scrub["bytes_behind"]),
        (&true.into(), &0.into())
    );
}

/// Runs a tick some minutes after the beginning of a night.
fn tick_at(env: &TestEnv, day: i64, minutes: i64) -> Ran {
    let first: jiff::Timestamp = "2026-03-01T02:00:00Z".parse().unwrap();
    let at = first + jiff::SignedDuration::from_mins(24 * 60 * day + minutes);
    env.now(&at.to_string());
    env.line("run-due --trigger timer")
}

#[test]
fn a_repair_that_the_transfer_budget_cuts_goes_on_with_the_next_tick() {
    let env = world();
    let commit = kept(&env);
    let path = blob(&env, &commit, "model.safetensors");
    rot(&path);
    env.line("config set run.max_transfer 1M").succeeds();
    tick(&env, 40).exits(8);
    let first = scrub_of(&env);
    assert_eq!(first["bytes_read"], 3 * MIB + 8, "all files");
    let mut minutes = 0;
    while fs::read(&path).unwrap() != model_bytes() {
        minutes += 15;
        assert!(minutes < 90, "the repair does not go on");
        tick_at(&env, 40, minutes);
    }
    let last = scrub_of(&env);
    assert_eq!(last["next_at"], first["next_at"]);
    assert_eq!(
        (&last["kept"], &last["bytes_read"]),
        (&true.into(), &first["bytes_read"])
    );
    let n_runs = || number(&env, "SELECT count(*) FROM runs");
    let before = n_runs();
    tick_at(&env, 40, 120).succeeds().silently();
    assert_eq!(n_runs(), before, "nothing is left to repair");
}

#[test]
fn a_repair_waits_while_an_allowance_is_spent() {
    let env = world();
    let commit = kept(&env);
    rot(&blob(&env, &commit, "model.safetensors"));
    env.line("config set limit.daily 1M").succeeds();
    tick(&env, 40).exits(8);
    let n_runs = || number(&env, "SELECT count(*) FROM runs");
    let before = n_runs();
    tick_at(&env, 40, 15).succeeds();
    assert_eq!(n_runs(), before, "the allowance of the day is spent");
}

#[test]
fn old_evidence_is_removed_by_any_run_although_scrubs_are_off() {
    let env = world();
    let commit = kept(&env);
    let path = blob(&env, &commit, "model.safetensors");
    rot(&path);
    tick(&env, 40).succeeds();
    assert!(evidence_of(&env).exists());
    env.line("config set verify.every off").succeeds();
    night(&env, 60);
    env.line("download acme/tiny").succeeds();
    assert!(evidence_of(&env).exists(), "as young as a log may be");
    for day in [72, 76] {
        night(&env, day);
        env.line("download acme/tiny").succeeds();
    }
    assert!(!evidence_of(&env).exists());
    assert_eq!(number(&env, "SELECT count(*) FROM evidence"), 0);
}

#[test]
fn the_bytes_of_a_damaged_file_that_a_download_repairs_are_kept() {
    let env = world();
    let commit = kept(&env);
    let path = blob(&env, &commit, "model.safetensors");
    rot(&path);
    let bad = fs::read(&path).unwrap();
    env.hub().repo("acme/tiny").delete();
    tick(&env, 40).exits(3);
    let draft = env.hub().repo("acme/tiny").commit("main");
    let draft = draft
        .file("config.json", b"{\"a\": 1}")
        .file("sub/empty.txt", b"");
    draft.lfs("model.safetensors", model_bytes()).publish();
    env.line("download acme/tiny").succeeds();
    readers_see_all(&env, &commit);
    assert!(fs::read(evidence_of(&env)).unwrap() == bad);
    for day in [72, 76, 77] {
        night(&env, day);
        env.line("download acme/tiny --force").succeeds();
    }
    assert!(!evidence_of(&env).exists(), "good bytes are no evidence");
}

#[test]
fn a_night_that_spends_its_transfer_on_downloads_reads_and_repairs_later() {
    let env = world();
    let commit = kept(&env);
    let path = blob(&env, &commit, "model.safetensors");
    rot(&path);
    let big = env.hub().repo("acme/big").commit("main");
    big.lfs("big.bin", generated_bytes(2 << 20, 9)).publish();
    env.line("models add acme/big").succeeds();
    env.line("schedules add nightly --model acme/big --daily 02:00")
        .succeeds();
    env.line("config set run.max_transfer 1M").succeeds();
    tick(&env, 40).exits(8);
    assert_eq!(scrub_of(&env)["bytes_read"], 3 * MIB + 8, "all files");
    assert!(fs::read(&path).unwrap() != model_bytes(), "no byte is left");
    let mut minutes = 0;
    while fs::read(&path).unwrap() != model_bytes() {
        minutes += 15;
        assert!(minutes < 120, "the repair does not go on");
        tick_at(&env, 40, minutes);
    }
    let published = "SELECT count(*) FROM models WHERE published_commit IS NOT NULL";
    assert_eq!(number(&env, published), 2);
    assert_eq!(scrub_of(&env)["kept"], true);
}
