//! Several threads and processes at one database.
//!
//! The second process is this test binary again, told by a variable to play
//! the other part.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use hfdl::domain::outcome::Outcome;
use hfdl::store::{Migration, ModelFilter, SessionFilter, Store, StoreError};

use crate::store_samples::*;

const PART: &str = "HFDL_TEST_STORE_PART";
const DATABASE: &str = "HFDL_TEST_STORE_DATABASE";

/// A second process that runs one test of this file in its other part.
struct Other {
    child: Child,
}

impl Other {
    fn start(test: &str, part: &str, home: &Home) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                &format!("store_processes::{test}"),
                "--nocapture",
            ])
            .env(PART, part)
            .env(DATABASE, home.database())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child }
    }

    /// Waits until the process says that it is at its start line.
    fn is_ready(&mut self) {
        let lines = BufReader::new(self.child.stdout.as_mut().unwrap()).lines();
        let ready = lines.map(Result::unwrap).any(|line| line.contains("READY"));
        assert!(ready, "the other process ended too early");
    }

    fn go(&mut self) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(b"GO\n").unwrap();
    }

    fn succeeds(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

/// Returns the part and the database when this is the second process.
fn other_part() -> Option<(String, PathBuf)> {
    let part = std::env::var(PART).ok()?;
    let database = std::env::var_os(DATABASE).unwrap();
    Some((part, database.into()))
}

fn wait_for_go() {
    let mut out = std::io::stdout();
    out.write_all(b"READY\n").unwrap();
    out.flush().unwrap();
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    assert_eq!(line, "GO\n");
}

fn write_much(store: &Store, who: &str) {
    for number in 0..100 {
        let spec = model(&format!("{who}/{number}"));
        store
            .transaction(|store| {
                // Reads first: what was read must still be true when it writes.
                let n_models = store.models(&ModelFilter::default())?.len() + 1;
                store.insert_model(&spec, at(0))?;
                store.set_setting("n_models", &n_models.to_string(), at(number))
            })
            .unwrap();
    }
}

#[test]
fn two_processes_that_write_at_once_both_succeed() {
    if let Some((who, database)) = other_part() {
        let store = Store::open(&database, at(0)).unwrap();
        wait_for_go();
        return write_much(&store, &who);
    }
    let home = Home::new();
    let store = home.open();
    let mut other = Other::start(
        "two_processes_that_write_at_once_both_succeed",
        "other",
        &home,
    );
    other.is_ready();
    other.go();
    write_much(&store, "own");
    other.succeeds();
    assert_eq!(store.models(&ModelFilter::default()).unwrap().len(), 200);
    // The last writer saw all rows: no update was lost.
    assert_eq!(store.setting("n_models").unwrap().unwrap().value, "200");
    assert_eq!(store.check_integrity().unwrap(), Vec::<String>::new());
}

#[test]
fn processes_that_make_the_database_at_once_make_one() {
    const TEST: &str = "processes_that_make_the_database_at_once_make_one";
    if let Some((who, database)) = other_part() {
        wait_for_go();
        let store = Store::open(&database, at(0)).unwrap();
        let id = store.install_id().unwrap().to_string();
        store.set_setting(&who, &id, at(0)).unwrap();
        return;
    }
    let home = Home::new();
    let mut others = ["a", "b", "c", "d"].map(|who| Other::start(TEST, who, &home));
    others.iter_mut().for_each(Other::is_ready);
    others.iter_mut().for_each(Other::go);
    others.into_iter().for_each(Other::succeeds);
    let store = home.open();
    let id = store.install_id().unwrap().to_string();
    let seen = store.settings().unwrap();
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().all(|one| one.value == id), "{seen:?}");
}

/// Steps that would fail, or count twice, if two processes took one of them.
const STEPS: &[Migration] = &[
    Migration {
        sql: "CREATE TABLE steps (name TEXT NOT NULL) STRICT;",
        then: |_, _| Ok(()),
    },
    Migration {
        sql: "INSERT INTO steps VALUES ('second');",
        then: |_, _| Ok(()),
    },
    Migration {
        sql: "INSERT INTO steps VALUES ('third');",
        then: |_, _| Ok(()),
    },
];

#[test]
fn processes_that_migrate_at_once_take_each_step_once() {
    const TEST: &str = "processes_that_migrate_at_once_take_each_step_once";
    if let Some((_, database)) = other_part() {
        wait_for_go();
        Store::open_with(&database, STEPS, at(0)).unwrap();
        return;
    }
    let home = Home::new();
    Store::open_with(&home.database(), &STEPS[..1], at(0)).unwrap();
    let mut others = ["a", "b", "c", "d"].map(|who| Other::start(TEST, who, &home));
    others.iter_mut().for_each(Other::is_ready);
    others.iter_mut().for_each(Other::go);
    others.into_iter().for_each(Other::succeeds);
    let names = "SELECT group_concat(name) FROM steps";
    let read = |row: &rusqlite::Row<'_>| row.get::<_, Option<String>>(0);
    let names_in = |sql: rusqlite::Connection| sql.query_row(names, [], read).unwrap();
    assert_eq!(names_in(home.sql()).as_deref(), Some("second,third"));
    // The copy is from before the first step, whoever came last.
    let copy = rusqlite::Connection::open(home.path().join("hfdl.db.before-v2")).unwrap();
    assert_eq!(names_in(copy), None);
}

#[test]
fn a_killed_process_leaves_all_of_a_transaction_or_nothing() {
    const TEST: &str = "a_killed_process_leaves_all_of_a_transaction_or_nothing";
    if let Some((_, database)) = other_part() {
        let store = Store::open(&database, at(0)).unwrap();
        store.set_setting("before", "1", at(0)).unwrap();
        let result = store.transaction(|store| {
            store.set_setting("inside", "1", at(0))?;
            wait_for_go();
            Ok::<_, StoreError>(())
        });
        return result.unwrap();
    }
    let home = Home::new();
    let mut other = Other::start(TEST, "victim", &home);
    other.is_ready();
    other.child.kill().unwrap();
    other.child.wait().unwrap();
    let store = home.open();
    let keys: Vec<_> = store
        .settings()
        .unwrap()
        .into_iter()
        .map(|s| s.key)
        .collect();
    assert_eq!(keys, ["before"]);
    store.set_setting("after", "1", at(0)).unwrap();
}

#[test]
fn readers_see_the_last_committed_state_during_a_write() {
    let home = Home::new();
    let store = home.open();
    let run = store.start_run(&run_at(at(0))).unwrap();
    let id = store.open_session(&session(&run, at(1))).unwrap();
    store
        .transaction(|store| {
            store.finish_session(id, &progress(), &ended(Outcome::Updated, at(2)))?;
            store.set_setting("inside", "1", at(0))?;
            // Another connection reads in the middle, without waiting.
            let reader = std::thread::scope(|scope| {
                let read = || {
                    let reader = Store::open_read_only(&home.database(), at(0)).unwrap();
                    let sessions = reader.sessions(&SessionFilter::default()).unwrap();
                    (sessions[0].end.is_some(), reader.settings().unwrap().len())
                };
                scope.spawn(read).join().unwrap()
            });
            assert_eq!(reader, (false, 0));
            Ok::<_, StoreError>(())
        })
        .unwrap();
    let reader = Store::open_read_only(&home.database(), at(0)).unwrap();
    assert!(reader.session(id).unwrap().end.is_some());
    assert_eq!(reader.settings().unwrap().len(), 1);
}
