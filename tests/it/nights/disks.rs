//! Nights in which a disk is full, read-only or gone, or the database is not as it should be.

use std::fs;
use std::sync::mpsc::channel;
use std::time::Duration;

use hfdl_test_hub::{On, generated_bytes};
use rusqlite::Connection;

use super::{Night, nights};
use crate::support::database::cell;
use crate::support::disk::{RemovableDisk, SmallDisk};
use crate::support::programs::Cron;

/// Mounts a small disk for the home or the cache before anything is set up.
fn on_small_disk(night: &mut Night, folder: &str, mebibytes: usize) -> bool {
    match SmallDisk::mount(night.env.root().join(folder), mebibytes) {
        Ok(disk) => night.disks.push(disk),
        Err(why) => night.impossible = Some(why),
    }
    night.impossible.is_none()
}

fn publish_large(night: &Night) {
    let commit = night.env.hub().repo("acme/tiny").commit("main");
    commit
        .lfs("model.bin", generated_bytes(3 << 20, 5))
        .publish();
}

/// Installs the timer and gives the tick the id of the database that its entry has.
fn as_installed(night: &mut Night) {
    night.env.has_cron(Cron::Debian);
    night.line("start");
    let sql = "SELECT substr(replace(value, '-', ''), 1, 8) FROM meta WHERE key = 'install-id'";
    let id = cell(&night.env, sql);
    night.args.extend(["--database".to_owned(), id]);
}

nights! {
    the_reserve_does_not_allow_it: |night| {
        night.usual();
        publish_large(night);
        night.env.set("HFDL_DISK_RESERVE", "100T");
    } => "
        exit 6
        run failed: acme/tiny failed disk
        status 1 disk-low model-failed
        file same
        metrics 6 failed
        hooks on_failure began, finally ended
        ping start, 6
        mail hfdl: 1 of 1 model needs a look: acme/tiny: it needs 3.00 MiB more on the file system of `[ROOT]/hub/models--acme--tiny`
    ";
    the_disk_of_the_cache_is_full: |night| {
        if on_small_disk(night, "hub", 4) {
            night.usual();
            publish_large(night);
            SmallDisk::fill(&night.env.cache());
        }
    } => "
        exit 6
        run failed: acme/tiny failed disk
        status 1 model-failed
        file same
        metrics 6 failed
        hooks on_failure began, finally ended
        ping start, 6
        mail hfdl: 1 of 1 model needs a look: acme/tiny: it needs 3.00 MiB more on the file system of `[ROOT]/hub/models--acme--tiny`
    ";
    the_disk_of_the_home_is_full: |night| {
        if on_small_disk(night, "state", 4) {
            night.usual();
            SmallDisk::fill(&night.env.home());
        }
    } => "
        exit 6
        run unreadable
        status 1 database
        file healthy
        metrics 6
        hooks -
        ping fail
        mail error: cannot open the database `[ROOT]/state/hfdl.db`
    ";
    the_home_is_read_only: |night| {
        if on_small_disk(night, "state", 4) {
            night.usual();
            night.disks[0].make_read_only().unwrap();
        }
    } => "
        exit 6
        run unreadable
        status 1 database
        file healthy
        metrics 6
        hooks -
        ping fail
        mail error: cannot open the database `[ROOT]/state/hfdl.db`
    ";
    the_cache_is_read_only: |night| {
        if on_small_disk(night, "hub", 8) {
            night.usual();
            publish_large(night);
            night.disks[0].make_read_only().unwrap();
        }
    } => "
        exit 6
        run failed: acme/tiny failed disk
        status 1 model-failed
        file same
        metrics 6 failed
        hooks on_failure began, finally ended
        ping start, 6
        mail hfdl: 1 of 1 model needs a look: acme/tiny: cannot write to `[ROOT]/hub/models--acme--tiny/.hfdl/homes/[ID]`: Read-only file system (os error 30)
    ";
    the_home_is_read_only_and_the_ping_fails: |night| {
        if on_small_disk(night, "state", 4) {
            night.usual();
            night.disks[0].make_read_only().unwrap();
            night.env.set("HFDL_PING_URL", "http://127.0.0.1:1/check");
        }
    } => "
        exit 6
        run unreadable
        status 1 database
        file healthy
        metrics 6
        hooks -
        ping -
        mail error: cannot open the database `[ROOT]/state/hfdl.db`
    ";
    the_disk_of_the_cache_is_not_mounted: |night| {
        let kept = night.env.root().join("disk");
        let disk = RemovableDisk::mount(night.env.cache(), kept);
        if !disk.is_mounted() {
            night.impossible = Some("the mail names the file system of a mounted disk".to_owned());
            return;
        }
        night.usual();
        night.publish("two");
        disk.take_away();
        night.removable = Some(disk);
    } => "
        exit 6
        run failed: acme/tiny failed disk
        status 1 model-failed
        file same
        metrics 6 failed
        hooks on_failure began, finally ended
        ping start, 6
        mail hfdl: 1 of 1 model needs a look: acme/tiny: `[ROOT]/hub` is not the place that models were published in: it is on another file system, without hfdl's mark
    ";
    the_disk_of_the_home_is_not_mounted: |night| {
        night.usual();
        as_installed(night);
        fs::rename(night.env.home(), night.env.root().join("elsewhere")).unwrap();
    } => "
        exit 6
        run unreadable
        status 1 database
        file none
        metrics 6
        hooks -
        ping fail
        mail error: the database of this timer is missing
    ";
    the_database_is_another_one: |night| {
        night.usual();
        night.args.extend(["--database".to_owned(), "00000000".to_owned()]);
    } => "
        exit 6
        run ok: acme/tiny updated
        status 1 tick-failed
        file same
        metrics 6 updated
        hooks -
        ping fail
        mail error: the database of this timer has been replaced by another one
    ";
    the_database_is_damaged: |night| {
        night.usual();
        for side in ["hfdl.db-wal", "hfdl.db-shm"] {
            let _ = fs::remove_file(night.env.home().join(side));
        }
        fs::write(night.env.database(), vec![b'x'; 40_000]).unwrap();
    } => "
        exit 1
        run unreadable
        status 1 database
        file same
        metrics 1
        hooks -
        ping fail
        mail error: cannot open the database `[ROOT]/state/hfdl.db`
    ";
    the_database_is_empty: |night| {
        night.usual();
        for side in ["hfdl.db-wal", "hfdl.db-shm"] {
            let _ = fs::remove_file(night.env.home().join(side));
        }
        fs::write(night.env.database(), b"").unwrap();
    } => "
        exit 1
        run unreadable
        status 1 database
        file same
        metrics 1
        hooks -
        ping fail
        mail error: cannot open the database `[ROOT]/state/hfdl.db`
    ";
    the_database_is_of_a_newer_version: |night| {
        night.usual();
        let database = Connection::open(night.env.database()).unwrap();
        database.pragma_update(None, "user_version", 9_999).unwrap();
    } => "
        exit 1
        run ok: acme/tiny updated
        status 1 database
        file same
        metrics 1
        hooks -
        ping fail
        mail error: cannot open the database `[ROOT]/state/hfdl.db`
    ";
    another_program_writes_into_the_database_for_ever: |night| {
        night.usual();
        let database = Connection::open(night.env.database()).unwrap();
        database.execute_batch("BEGIN IMMEDIATE").unwrap();
        night.writer = Some(database);
    } => "
        exit 5
        run ok: acme/tiny updated
        status 0 healthy
        file same
        metrics 5 updated
        hooks -
        ping fail
        mail error: cannot record this tick, and nothing is fetched without a record
    ";
    another_program_has_blocked_the_database_for_three_ticks: |night| {
        night.usual();
        let database = Connection::open(night.env.database()).unwrap();
        database.execute_batch("BEGIN IMMEDIATE").unwrap();
        night.writer = Some(database);
        night.tick_at("2026-03-01T09:10:00Z").exits(5);
        night.tick_at("2026-03-01T09:20:00Z").exits(5);
        night.env.now("2026-03-01T09:30:00Z");
        night.forget();
    } => "
        exit 5
        run ok: acme/tiny updated
        status 1 tick-failed
        file same
        metrics 5 updated
        hooks -
        ping fail
        mail error: cannot record this tick, and nothing is fetched without a record
    ";
    another_program_writes_into_the_database_for_six_seconds_in_the_middle: |night| {
        night.usual();
        publish_large(night);
        let path = night.env.database();
        night.env.hub().before(On::cdn("model.bin"), move || {
            let database = Connection::open(path).unwrap();
            database.busy_timeout(Duration::from_secs(5)).unwrap();
            database.execute_batch("BEGIN IMMEDIATE").unwrap();
            // Longer than SQLite itself waits outside of a run.
            std::thread::spawn(move || {
                let (_open, never) = channel::<()>();
                let _ = never.recv_timeout(Duration::from_secs(6));
                drop(database);
            });
        });
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
    the_metrics_have_no_place: |night| {
        night.usual();
        night.metrics_file = "/nowhere/metrics.prom".into();
    } => "
        exit 0
        run ok: acme/tiny up-to-date
        status 0 healthy
        file same
        metrics none
        hooks finally ended
        ping start, success
        mail warn: no metrics: cannot write `/nowhere/metrics.prom`: No such file or directory (os error 2)
    ";
}
