//! The timer's entry knows its database, and the cache and Hub that it was
//! installed with: a tick elsewhere is an error, and not silence.
#![cfg(unix)]

use std::fs;

use crate::support::env::{Ran, TestEnv};
use crate::support::programs::Cron;

/// A world with a timer, and the command line that it starts.
fn installed() -> (TestEnv, String) {
    let env = TestEnv::new();
    env.has_cron(Cron::Debian);
    env.line("start").succeeds();
    let entry = entry(&env);
    (env, entry)
}

fn text(env: &TestEnv) -> String {
    String::from_utf8(env.crontab().unwrap()).unwrap()
}

/// Returns the words of the entry behind the program.
fn entry(env: &TestEnv) -> String {
    let text = text(env);
    let line = text.lines().find(|line| line.contains("run-due")).unwrap();
    line[line.find("--home").unwrap()..].to_owned()
}

fn is_refused(ran: &Ran, why: &str) {
    ran.exits(6)
        .explains(why)
        .explains("a disk may not be mounted")
        .explains("stop` removes the timer");
    assert!(ran.stdout().is_empty(), "{}", ran.report());
}

#[test]
fn a_tick_without_its_database_fails_and_creates_none() {
    let (env, entry) = installed();
    env.line(&entry).succeeds().silently();
    let away = env.root().join("away");
    fs::rename(env.home(), &away).unwrap();
    is_refused(&env.line(&entry), "the database of this timer is missing");
    assert!(!env.home().exists(), "nothing is made, not even the folder");
    // As the mount point of a disk that is not there.
    fs::create_dir(env.home()).unwrap();
    is_refused(&env.line(&entry), "the database of this timer is missing");
    assert_eq!(env.home().read_dir().unwrap().count(), 0);
    env.line("doctor")
        .exits(1)
        .prints("the database of the installed timer is missing");
    env.line("status")
        .exits(1)
        .prints("a timer is installed for it");
    assert_eq!(env.home().read_dir().unwrap().count(), 0);

    fs::remove_dir(env.home()).unwrap();
    fs::rename(&away, env.home()).unwrap();
    env.line(&entry).succeeds().silently();
}

#[test]
fn another_database_in_the_place_of_the_first_is_noticed() {
    let (env, entry_of_first) = installed();
    fs::rename(env.home(), env.root().join("away")).unwrap();
    env.line("config set keep.revisions 3").succeeds();
    let why = "the database of this timer has been replaced by another one";
    is_refused(&env.line(&entry_of_first), why);
    env.line("start").succeeds().prints("timer installed");
    assert_ne!(entry(&env), entry_of_first);
    env.line(&entry(&env)).succeeds().silently();
}

#[test]
fn an_entry_of_an_older_version_works_and_is_to_be_renewed() {
    let (env, entry) = installed();
    let at = entry.find(" --database").unwrap();
    let (old, words) = entry.split_at(at);
    fs::write(env.crontab_file(), text(&env).replace(words, "")).unwrap();
    env.line(old).succeeds().silently();
    env.line("status")
        .exits(1)
        .prints("it was installed by another version")
        .prints("`hfdl start`");
    env.line("doctor")
        .prints("it was installed by another version");
    env.line("start").succeeds().prints("timer installed");
    assert!(text(&env).contains(words));
    env.line("start").succeeds().prints("already installed");
    env.line(&entry).succeeds().silently();
    env.line("status").succeeds();
}

#[test]
fn a_tick_that_would_ask_another_hub_or_use_another_cache_names_both() {
    let (env, entry) = installed();
    let first = env.root().join("hub");
    let ways = [
        ("HF_ENDPOINT", "http://127.0.0.1:2", "http://127.0.0.1:1"),
        ("HF_HUB_CACHE", "/nowhere/hub", first.to_str().unwrap()),
    ];
    for (name, other, installed_with) in ways {
        env.set(name, other);
        env.line(&entry)
            .exits(2)
            .explains(&format!("= `{installed_with}`"))
            .explains(&format!("would use `{other}` (environment ({name}))"))
            .explains("`hfdl start` takes the new one over");
        // By hand everybody may do what they like.
        env.line("run-due").succeeds();
        env.set(name, installed_with);
    }
    env.line(&entry).succeeds().silently();
    // Without the variable the saved setting is found, and a person may change it.
    env.unset("HF_ENDPOINT");
    env.line(&entry).succeeds().silently();
    env.line("config set hub.endpoint http://127.0.0.1:3")
        .succeeds();
    env.line(&entry).succeeds().silently();
}

#[test]
fn a_variable_of_the_entry_may_change_the_cache_of_a_tick() {
    let env = TestEnv::new();
    env.has_cron(Cron::Debian);
    env.line("start --env HF_HUB_CACHE=/nowhere/hub").succeeds();
    // The entry's own `env` sets the variable for the tick.
    env.set("HF_HUB_CACHE", "/nowhere/hub");
    env.line(&entry(&env)).succeeds().silently();
}
