//! Nights in which files, revisions and other programs are not as they were.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use hfdl_test_hub::generated_bytes;

use super::{Night, nights};

const MIB: usize = 1 << 20;

fn commit(night: &Night, seed: u64) -> String {
    let commit = night.env.hub().repo("acme/tiny").commit("main");
    commit
        .lfs("model.bin", generated_bytes(MIB, seed))
        .publish()
}

/// Two revisions that were published one after the other.
fn two_revisions(night: &Night) -> [String; 2] {
    night.usual();
    let first = commit(night, 1);
    night.tick_at("2026-03-01T10:00:00Z").succeeds();
    let second = commit(night, 2);
    night.tick_at("2026-03-01T11:00:00Z").succeeds();
    night.env.now("2026-03-01T12:00:00Z");
    night.forget();
    [first, second]
}

/// Changes four bytes of the large file, as a failing disk does.
fn rot(night: &Night) {
    let blobs = night.env.cache().join("models--acme--tiny/blobs");
    let entries = blobs.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let large = entries
        .max_by_key(|path| path.metadata().unwrap().len())
        .unwrap();
    fs::set_permissions(&large, fs::Permissions::from_mode(0o644)).unwrap();
    let mut bytes = fs::read(&large).unwrap();
    bytes[1_000..1_004].copy_from_slice(b"rot!");
    fs::write(&large, bytes).unwrap();
}

fn empty_repository(night: &Night) -> String {
    let commit = night.env.hub().repo("acme/tiny").commit("main");
    commit.remove("config.json").publish()
}

nights! {
    the_repository_was_emptied: |night| {
        night.usual();
        empty_repository(night);
    } => "
        exit 0
        run ok: acme/tiny held hub
        status 1 update-held
        file same
        metrics 0 held
        hooks on_hold held, finally ended
        ping start, success
        mail hfdl: 1 of 1 model needs a look: acme/tiny: upstream is at [COMMIT] with no selected file, and [COMMIT] is published with 1 selected file (3 B)
    ";
    the_repository_was_emptied_and_it_was_reported: |night| {
        night.usual();
        empty_repository(night);
        night.tick_at("2026-03-01T10:00:00Z");
        night.env.now("2026-03-01T11:00:00Z");
        night.forget();
    } => "
        exit 0
        run ok: acme/tiny held hub
        status 1 update-held
        file same
        metrics 0 held
        hooks finally ended
        ping start, success
        mail -
    ";
    the_empty_repository_was_approved: |night| {
        night.usual();
        let commit = empty_repository(night);
        night.tick_at("2026-03-01T10:00:00Z");
        night.line(&format!("download acme/tiny --accept {commit}"));
        night.env.now("2026-03-01T11:00:00Z");
        night.forget();
    } => "
        exit 0
        run ok: acme/tiny up-to-date
        status 0 healthy
        file same
        metrics 0 up-to-date
        hooks finally ended
        ping start, success
        mail -
    ";
    the_filter_selects_nothing_any_more: |night| {
        night.publish("one");
        night.line("models add acme/tiny --include *.json");
        night.line("schedules add hourly --every 1h --all");
        night.tick_at("2026-03-01T09:00:00Z").succeeds();
        let commit = night.env.hub().repo("acme/tiny").commit("main");
        commit.remove("config.json").file("README.md", "moved").publish();
        night.env.now("2026-03-01T10:00:00Z");
        night.forget();
    } => "
        exit 0
        run ok: acme/tiny held hub
        status 1 update-held
        file same
        metrics 0 held
        hooks on_hold held, finally ended
        ping start, success
        mail hfdl: 1 of 1 model needs a look: acme/tiny: upstream is at [COMMIT] with no selected file, and [COMMIT] is published with 1 selected file (3 B)
    ";
    held_by_a_rollback: |night| {
        let [first, _] = two_revisions(night);
        night.line(&format!("models rollback acme/tiny --to {first}"));
    } => "
        exit 0
        run ok: acme/tiny held
        status 0 healthy
        file same
        metrics 0 held
        hooks on_hold held, finally ended
        ping start, success
        mail -
    ";
    held_by_a_rollback_and_reported: |night| {
        let [first, _] = two_revisions(night);
        night.line(&format!("models rollback acme/tiny --to {first}"));
        night.tick_at("2026-03-01T12:00:00Z").succeeds();
        night.env.now("2026-03-01T13:00:00Z");
        night.forget();
    } => "
        exit 0
        run ok: acme/tiny held
        status 0 healthy
        file same
        metrics 0 held
        hooks finally ended
        ping start, success
        mail -
    ";
    a_rollback_was_killed_before_the_ref_moved: |night| {
        let [first, _] = two_revisions(night);
        night.env.set("HFDL_TEST_CRASH_AT", "rollback remembered");
        let ran = night.env.line(&format!("models rollback acme/tiny --to {first}"));
        assert_eq!(ran.code(), None, "{}", ran.report());
        night.env.unset("HFDL_TEST_CRASH_AT");
    } => "
        exit 0
        run ok: acme/tiny held
        status 0 healthy
        file same
        metrics 0 held
        hooks on_hold held, finally ended
        ping start, success
        mail warn: `acme/tiny` had left the commit that it is held at; it is there again
    ";
    a_hold_was_released: |night| {
        let [first, _] = two_revisions(night);
        night.line(&format!("models rollback acme/tiny --to {first}"));
        night.line("models release acme/tiny");
    } => "
        exit 0
        run ok: acme/tiny updated
        status 0 healthy
        file same
        metrics 0 updated
        hooks on_update published, finally ended
        ping start, success
        mail -
    ";
    a_verification_found_damage_and_the_tick_repairs: |night| {
        two_revisions(night);
        rot(night);
        night.env.line("verify acme/tiny").exits(3);
    } => "
        exit 0
        run ok: acme/tiny repaired
        status 0 healthy
        file same
        metrics 0 repaired
        hooks finally ended
        ping start, success
        mail -
    ";
    a_verification_repaired_the_damage: |night| {
        two_revisions(night);
        rot(night);
        night.env.line("verify acme/tiny --repair").succeeds();
    } => "
        exit 0
        run ok: acme/tiny up-to-date
        status 0 healthy
        file same
        metrics 0 up-to-date
        hooks finally ended
        ping start, success
        mail -
    ";
    damage_was_found_and_the_hub_is_away: |night| {
        two_revisions(night);
        rot(night);
        night.env.line("verify acme/tiny").exits(3);
        night.env.set("HF_ENDPOINT", "http://127.0.0.1:1");
    } => "
        exit 5
        run failed: acme/tiny could-not-check network
        status 1 model-damaged
        file same
        metrics 5 could-not-check
        hooks finally ended
        ping start, 5
        mail -
    ";
    damage_that_nobody_has_found: |night| {
        two_revisions(night);
        rot(night);
    } => "
        exit 0
        run ok: acme/tiny repaired
        status 0 healthy
        file same
        metrics 0 repaired
        hooks finally ended
        ping start, success
        mail warn: `[ROOT]/hub/models--acme--tiny/blobs/8ea8d3cbac8e39294f8ffc6925205f63c8bebd366c90fa40fce9bb6c4be537dd` does not have its hash
    ";
    another_program_left_a_damaged_blob: |night| {
        night.publish("one");
        commit(night, 1);
        night.line("models add acme/tiny");
        night.line("schedules add hourly --every 1h --all");
        night.line("download acme/tiny");
        fs::remove_dir_all(night.env.home()).unwrap();
        rot(night);
        night.line("models add acme/tiny");
        night.line("schedules add hourly --every 1h --all");
        night.forget();
    } => "
        exit 0
        run ok: acme/tiny repaired
        status 0 healthy
        file same
        metrics 0 repaired
        hooks finally ended
        ping start, success
        mail warn: `[ROOT]/hub/models--acme--tiny/blobs/db5c841e2b16c161b225a1798ba137ea6740a891cb47d5911d9a82093302d31f` does not have its hash
    ";
    a_person_removed_a_file_of_the_snapshot: |night| {
        two_revisions(night);
        let snapshots = night.env.cache().join("models--acme--tiny/snapshots");
        for entry in snapshots.read_dir().unwrap() {
            fs::remove_file(entry.unwrap().path().join("config.json")).unwrap();
        }
    } => "
        exit 0
        run ok: acme/tiny repaired
        status 0 healthy
        file same
        metrics 0 repaired
        hooks finally ended
        ping start, success
        mail -
    ";
    the_model_is_disabled: |night| {
        night.usual();
        night.publish("two");
        night.line("models disable acme/tiny");
    } => "
        exit 0
        run ok
        status 1 schedule-empty
        file same
        metrics 0 updated
        hooks -
        ping start, success
        mail -
    ";
    the_model_was_removed: |night| {
        night.usual();
        night.line("models remove acme/tiny --yes");
    } => "
        exit 0
        run ok
        status 1 schedule-empty
        file same
        metrics 0
        hooks -
        ping start, success
        mail -
    ";
    another_home_has_published_the_update: |night| {
        night.usual();
        night.publish("two");
        let home = night.env.home();
        night.env.set("HFDL_HOME", &night.env.root().join("other").to_string_lossy());
        night.line("models add acme/tiny");
        night.line("download acme/tiny");
        night.env.set("HFDL_HOME", &home.to_string_lossy());
        night.forget();
    } => "
        exit 0
        run ok: acme/tiny up-to-date
        status 0 healthy
        file same
        metrics 0 up-to-date
        hooks on_update published, finally ended
        ping start, success
        mail -
    ";
}
