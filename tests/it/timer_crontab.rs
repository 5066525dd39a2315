//! `hfdl start` and `stop` with a crontab: what the programs of several
//! systems say, and that nothing is written when anything is unclear.
#![cfg(unix)]

use std::fs;

use crate::support::env::TestEnv;
use crate::support::programs::Cron;

fn world(cron: Cron) -> TestEnv {
    let env = TestEnv::new();
    env.has_cron(cron);
    env
}

fn text(env: &TestEnv) -> String {
    String::from_utf8(env.crontab().expect("there is a crontab")).unwrap()
}

#[test]
fn start_and_stop_leave_any_crontab_as_it_was() {
    let contents: [Option<&[u8]>; 6] = [
        None,
        Some(b""),
        Some(b"MAILTO=me\r\n5 4 * * * a %b\r\n"),
        Some(b"# caf\xe9\n30 1 * * * x"),
        Some(b"\n\n \t\n"),
        Some(b"# >>> hfdl 00c0ffee >>> managed by\n1 * * * * hfdl run-due --trigger timer\n# <<< hfdl 00c0ffee <<<\n"),
    ];
    for cron in [Cron::Debian, Cron::BusyBox, Cron::Vixie] {
        for before in contents {
            let env = world(cron);
            if let Some(before) = before {
                fs::write(env.crontab_file(), before).unwrap();
            }
            let started = env.line("start");
            started.succeeds().prints("timer installed (crontab)");
            let with = env.crontab().unwrap();
            assert!(with.starts_with(before.unwrap_or_default()), "{cron:?}");
            assert_eq!(env.crontab_writes(), 1);
            env.line("start").succeeds().prints("already installed");
            assert_eq!(env.crontab_writes(), 1, "twice is once");
            env.line("stop")
                .succeeds()
                .prints("timer removed (crontab)");
            assert_eq!(env.crontab().as_deref(), before, "{cron:?}");
            env.line("stop").succeeds().prints("no timer was installed");
        }
    }
}

#[test]
fn the_line_starts_the_program_with_its_home() {
    let env = world(Cron::Debian);
    env.set("HFDL_HOME", &env.root().join("my state").to_string_lossy());
    env.line("start --every 30m").succeeds();
    let text = text(&env);
    let line = text.lines().nth(1).unwrap();
    let (line, database) = line.split_once(" --database ").unwrap();
    assert_eq!(database.len(), 8, "{database}");
    let expected = format!(
        " * * * * '{}' --home '{}' run-due --trigger timer",
        env!("CARGO_BIN_EXE_hfdl"),
        env.root().join("my state").display()
    );
    let minutes = line
        .strip_suffix(&expected)
        .unwrap_or_else(|| panic!("{line}"));
    let minutes: Vec<u8> = minutes.split(',').map(|m| m.parse().unwrap()).collect();
    assert!(
        minutes.len() == 2 && minutes[0] + 30 == minutes[1],
        "{minutes:?}"
    );
}

#[test]
fn another_period_changes_the_minutes_and_stays() {
    let env = world(Cron::Debian);
    env.line("start").succeeds();
    env.line("start --every 1h")
        .succeeds()
        .prints("timer installed (crontab): hfdl looks for due schedules every hour");
    let hourly = text(&env);
    assert_eq!(hourly.lines().count(), 3);
    env.line("config get timer.every").succeeds().prints("1h");
    env.line("start").succeeds().prints("already installed");
    assert_eq!(text(&env), hourly);
    env.line("start --every 7m")
        .exits(2)
        .explains("it must be 1m, 2m");
    env.line("start -c timer.every=5m").succeeds();
    env.line("config get timer.every").succeeds().prints("5m");
}

#[test]
fn a_listing_that_fails_for_an_unknown_reason_is_no_empty_crontab() {
    let failures = [
        (
            "echo 'You (me) are not allowed to use this program (crontab)' >&2; exit 1",
            "not allowed to use this program",
        ),
        (
            "echo 'no crontab for me' >&2; echo half; exit 1",
            "no crontab for me",
        ),
        (
            "echo \"crontab: can't open 'me': Permission denied\" >&2; exit 1",
            "Permission denied",
        ),
        ("exit 1", "exit code 1"),
        ("kill -9 $$", "it was killed"),
        ("exec sleep 60", "did not end within"),
    ];
    for (script, why) in failures {
        let env = TestEnv::new();
        let file = env.crontab_file();
        fs::write(&file, b"precious\n").unwrap();
        let script = format!(
            "PATH=/usr/bin:/bin\nif [ \"$1\" != -l ]; then echo gone >'{}'; exit; fi\n{script}",
            file.display()
        );
        env.program("crontab", &script);
        let ran = env.line("start");
        ran.exits(1)
            .explains("nothing was written to the crontab")
            .explains(why)
            .explains("add these lines to it yourself:")
            .explains("run-due --trigger timer")
            .explains("# <<< hfdl ");
        assert_eq!(env.crontab().unwrap(), b"precious\n");
    }
}

#[test]
fn damaged_markers_and_files_of_other_programs_are_left_alone() {
    let env = world(Cron::Debian);
    env.line("start").succeeds();
    let good = text(&env);
    for damaged in [
        good.replace("# <<<", "#"),
        format!("{good}{good}"),
        good.replace("# >>>", "MAILTO=x\n# >>>")
            .replacen("# <<<", "* * * * * y\n# <<<", 1),
    ] {
        fs::write(env.crontab_file(), &damaged).unwrap();
        for line in ["start --every 5m", "stop"] {
            env.line(line)
                .exits(1)
                .explains("the markers of hfdl ")
                .explains("by hand with `crontab -e`");
            assert_eq!(text(&env), damaged);
        }
    }
    let owned = "# Autogenerated by a panel, DO NOT EDIT\n0 1 * * * x\n";
    fs::write(env.crontab_file(), owned).unwrap();
    env.line("start")
        .exits(1)
        .explains("another program generates this crontab")
        .explains("add these lines to it yourself:");
    assert_eq!(text(&env), owned);
}

#[test]
fn a_crontab_that_changes_meanwhile_is_read_again_and_then_given_up() {
    let env = world(Cron::Debian);
    let file = env.crontab_file();
    fs::write(&file, b"a\n").unwrap();
    // Somebody adds a line after every look.
    env.program(
        "crontab",
        &format!(
            "PATH=/usr/bin:/bin\ncase $1 in\n-l) cat '{0}'; echo b >>'{0}' ;;\n*) echo written >'{0}' ;;\nesac",
            file.display()
        ),
    );
    env.line("start")
        .exits(1)
        .explains("another program keeps changing the crontab");
    assert!(text(&env).starts_with("a\nb\n"));
}

#[test]
fn a_crontab_that_differs_after_the_write_is_an_error() {
    let env = world(Cron::Debian);
    let script =
        "[ \"$1\" = -l ] && { echo 'no crontab for me' >&2; exit 1; }\nexec /bin/cat >/dev/null";
    env.program("crontab", script);
    env.line("start")
        .exits(1)
        .explains("does not hold what was written to it");
}

#[test]
fn two_homes_have_two_entries_and_stop_removes_its_own() {
    let env = world(Cron::Debian);
    fs::write(env.crontab_file(), b"0 1 * * * x").unwrap();
    env.line("start").succeeds();
    let other = env.root().join("other").to_string_lossy().into_owned();
    env.hfdl(["start", "--home", &other]).succeeds();
    assert_eq!(text(&env).matches("run-due").count(), 2);
    env.line("stop").succeeds();
    assert!(text(&env).contains(&format!("--home '{other}'")));
    env.hfdl(["stop", "--home", &other]).succeeds();
    assert_eq!(text(&env), "0 1 * * * x");
}

#[test]
fn paths_that_cron_cannot_hold_are_refused_before_anything_is_done() {
    let env = world(Cron::Debian);
    for name in ["50%", "it's", "a\\b"] {
        let home = env.root().join(name).to_string_lossy().into_owned();
        env.hfdl(["start", "--home", &home])
            .exits(2)
            .explains("which a crontab cannot")
            .explains("make a link with a plain name");
        assert_eq!(env.crontab(), None);
    }
}

#[test]
fn a_missing_cron_daemon_is_reported() {
    let env = world(Cron::Debian);
    env.unset("HFDL_UPDATE_GUARDS");
    assert_eq!(env.start_warnings(), [""; 0]);
    fs::write(env.root().join("processes/77/comm"), "bash\n").unwrap();
    env.line("start")
        .succeeds()
        .explains("no cron daemon seems to run here");
}
