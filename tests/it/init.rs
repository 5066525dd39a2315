//! `hfdl init`: a home is set up by answers or by flags, through an apply file.

use std::fs;

use crate::support::cache::tree;
use crate::support::env::TestEnv;
use crate::support::programs::Cron;
use crate::support::terminal::Terminal;

fn world() -> TestEnv {
    let env = TestEnv::new();
    env.set("NO_COLOR", "1").has_cron(Cron::Debian);
    env.unset("HF_HUB_CACHE");
    for name in ["acme/tiny", "acme/other"] {
        let commit = env.hub().repo(name).commit("main");
        commit.file("config.json", b"{}").publish();
    }
    env
}

/// Checks that neither a home nor a file nor a timer was made.
fn nothing_was_changed(env: &TestEnv) {
    assert!(!env.home().exists());
    assert_eq!(tree(&env.root().join("work")), Vec::<String>::new());
    assert_eq!(env.crontab(), None);
}

#[test]
fn flags_answer_every_question_and_twice_is_the_same_as_once() {
    let env = world();
    let cache = env.root().join("elsewhere");
    let line = format!(
        "init --yes --model acme/tiny --model acme/other --cache {} --daily 03:15 \
         --tz Europe/Berlin --window 22:00-07:00 --timer crontab --file f.yaml",
        cache.display()
    );
    let ran = env.line(&line);
    ran.succeeds()
        .prints("+ model acme/tiny")
        .prints("+ schedule nightly: daily 03:15")
        .prints("timer installed (crontab)");
    let file = fs::read_to_string(env.root().join("work/f.yaml")).unwrap();
    for part in [
        "version: 1",
        "cache.dir: ",
        "- repo: acme/other",
        "daily: '03:15'",
    ] {
        assert!(file.contains(part), "{part}: {file}");
    }
    env.line("apply -f f.yaml --dry-run")
        .succeeds()
        .prints("nothing to do");
    let schedule = env.line("schedules show nightly --json").json();
    assert_eq!(schedule["time_zone"], "Europe/Berlin");
    assert_eq!(schedule["windows"][0], "22:00-07:00");
    assert_eq!(schedule["all"], true);
    let setting = env.line("config get cache.dir --json").json();
    assert_eq!(setting["value"], *cache.to_string_lossy());
    let crontab = env.crontab().unwrap();
    assert!(String::from_utf8_lossy(&crontab).contains("run-due --trigger timer"));

    let before = env.database_content();
    env.line(&line)
        .succeeds()
        .explains("`acme/tiny` is kept already")
        .prints("already installed");
    assert_eq!(env.crontab().unwrap(), crontab);
    assert_eq!(env.database_content(), before);
    let again = fs::read_to_string(env.root().join("work/f.yaml")).unwrap();
    assert_eq!(again, file);
}

#[test]
fn the_defaults_are_the_official_cache_each_night_and_the_timer_of_the_system() {
    let env = world();
    env.line("init -y --model acme/tiny").succeeds();
    let file = fs::read_to_string(env.root().join("work/hfdl.yaml")).unwrap();
    assert!(!file.contains("cache.dir"), "{file}");
    assert!(file.contains("daily: '02:30'"), "{file}");
    assert!(env.crontab().is_some());
    env.line("status").exits(0);

    let env = world();
    env.line("init -y --model acme/tiny --daily no").succeeds();
    assert_eq!(
        env.crontab(),
        None,
        "without a schedule a timer is of no use"
    );
    let schedules = env.line("schedules list --json").json();
    assert_eq!(schedules["schedules"], serde_json::json!([]));
}

#[test]
fn the_minutes_of_the_timer_are_those_that_a_dry_run_has_shown() {
    let env = world();
    let shown = env.line("start --dry-run --json").json();
    env.line("init -y --model acme/tiny").succeeds();
    let installed = env.line("start --json").json();
    assert_eq!(installed["minutes"], shown["minutes"]);
    assert_eq!(installed["changed"], false);
}

#[test]
fn the_minutes_of_the_timer_do_not_depend_on_the_database() {
    let env = world();
    let shown = env.line("start --dry-run --json").json();
    env.line("models add acme/tiny").succeeds();
    assert_eq!(
        env.line("start --dry-run --json").json()["minutes"],
        shown["minutes"]
    );
    let installed = env.line("start --json").json();
    assert_eq!(installed["minutes"], shown["minutes"]);
    env.line("stop").succeeds();
    assert_eq!(env.line("start --json").json()["minutes"], shown["minutes"]);
}

#[test]
fn a_time_outside_of_its_hours_is_refused() {
    let env = world();
    let line = "init -y --model acme/tiny --window 22:00-07:00 --daily";
    env.line(&format!("{line} 02:00,12:00"))
        .exits(2)
        .explains("the daily check at 12:00 is outside of the hours 22:00-07:00")
        .explains("next: give a time within the hours");
    nothing_was_changed(&env);
    let weekend = "init -y --model acme/tiny --timer none --daily 12:00 --window Sat@00:00-24:00";
    env.line(weekend).succeeds();
}

#[test]
fn a_variable_that_sets_the_cache_wins_and_is_named() {
    let env = world();
    env.set("HF_HUB_CACHE", "/srv/hub");
    env.line("init -y --model acme/tiny --cache /srv/other")
        .exits(2)
        .explains("`HF_HUB_CACHE` sets the cache to `/srv/hub`")
        .explains("unset `HF_HUB_CACHE`");
    nothing_was_changed(&env);
    env.line("init -y --model acme/tiny --timer none")
        .succeeds()
        .explains("`HF_HUB_CACHE` sets the cache to `/srv/hub`");
}

#[test]
fn without_a_terminal_or_with_a_wrong_flag_nothing_is_changed() {
    let env = world();
    env.line("init --model acme/tiny")
        .exits(2)
        .explains("there is no terminal to ask on")
        .explains("`hfdl init --yes --model org/name`");
    for (line, reason) in [
        ("", "no model is given"),
        ("--model acme/tiny --daily 25:00", "is not a daily time"),
        ("--model acme/tiny --tz Nowhere/Land", "Nowhere/Land"),
        ("--model acme/tiny --window 7-8", "window"),
        ("--model acme/tiny --timer cron", "did you mean `crontab`?"),
        (
            "--model acme/tiny --timer sundial",
            "auto, crontab, systemd, launchd, task-scheduler, none",
        ),
        ("--model acme/tiny --cache /etc/passwd/x", "is no directory"),
        ("--model 'a b'", "a b"),
    ] {
        env.line(&format!("init --yes {line}"))
            .exits(2)
            .explains(reason);
        nothing_was_changed(&env);
    }
    env.line("init --yes --model acme/none")
        .exits(1)
        .explains("cannot keep `acme/none`");
    nothing_was_changed(&env);
}

#[test]
fn a_hub_that_does_not_answer_is_no_obstacle() {
    let env = world();
    env.set("HF_ENDPOINT", "http://127.0.0.1:1");
    env.line("init --yes --model acme/tiny --timer none")
        .succeeds()
        .explains("the Hub does not answer, so `acme/tiny` is taken as it was typed");
    assert_eq!(
        env.line("models list --json").json()["models"][0]["name"],
        "acme/tiny"
    );
}

#[test]
fn another_file_of_the_name_is_not_replaced_unasked() {
    let env = world();
    let path = env.root().join("work/hfdl.yaml");
    fs::write(&path, "mine").unwrap();
    env.line("init --yes --model acme/tiny")
        .exits(2)
        .explains("exists and has other content")
        .explains("--file");
    assert_eq!(fs::read(&path).unwrap(), b"mine");
    assert!(!env.home().exists());
    assert_eq!(env.crontab(), None);
}

#[test]
fn a_second_time_adds_to_the_file_unless_it_was_edited() {
    let env = world();
    let path = env.root().join("work/hfdl.yaml");
    env.line("init -y --model acme/tiny --timer none")
        .succeeds();
    let cache = env.root().join("elsewhere");
    env.line("models set acme/tiny --tag llm").succeeds();
    let second = format!(
        "init -y --model acme/other --timer none --cache {}",
        cache.display()
    );
    env.line(&second)
        .succeeds()
        .prints("+ model acme/other")
        .prints("+ setting cache.dir");
    let file = fs::read_to_string(&path).unwrap();
    for part in [
        "repo: acme/tiny",
        "repo: acme/other",
        "cache.dir: ",
        "daily:",
    ] {
        assert_eq!(file.matches(part).count(), 1, "{part}: {file}");
    }
    let kept = env.line("models show acme/tiny --json").json();
    assert_eq!(
        kept["tags"][0], "llm",
        "the earlier entry is not applied again"
    );

    env.line("models remove acme/other --yes").succeeds();
    env.line("init -y --model acme/other --timer none")
        .succeeds();
    let again = fs::read_to_string(&path).unwrap();
    assert_eq!(again.matches("repo: acme/other").count(), 1, "{again}");
    env.line("apply -f hfdl.yaml --dry-run").succeeds();

    env.line("models remove acme/other --yes").succeeds();
    fs::write(&path, format!("{again}# mine\n")).unwrap();
    env.line("init -y --model acme/other")
        .exits(2)
        .explains("exists and has other content");
    assert_eq!(env.crontab(), None);
}

#[test]
fn a_file_with_nothing_to_write_is_refused_before_the_timer() {
    let env = world();
    env.line("init -y --model acme/tiny --timer none")
        .succeeds();
    let before = env.database_content();
    env.line("init -y --file /proc/x")
        .exits(2)
        .explains("there is nothing to write to `/proc/x`")
        .explains("leave `--file` out");
    assert_eq!(env.crontab(), None);
    assert_eq!(env.database_content(), before);
}

#[test]
fn a_home_that_is_set_up_keeps_what_it_has_and_gets_the_answers() {
    let env = world();
    env.line("models add acme/tiny --include '*.json' --tag llm")
        .succeeds();
    env.line("schedules add hourly --every 1h --all").succeeds();
    env.line("init -y --model acme/tiny --model acme/other --timer none")
        .succeeds()
        .explains("is set up, with 1 model and 1 schedule")
        .explains("the schedule `hourly` includes all models already");
    let models = env.line("models list --json").json();
    assert_eq!(models["models"].as_array().unwrap().len(), 2);
    let kept = env.line("models show acme/tiny --json").json();
    assert_eq!(kept["include"][0], "*.json");
    env.line("init -y --daily 04:00 --timer none --file g.yaml")
        .succeeds()
        .prints("+ schedule nightly: daily 04:00");
}

#[test]
fn a_dialogue_asks_wrong_answers_again_and_sets_everything_up() {
    let env = world();
    let Some(terminal) = Terminal::open(&env, 160, 50) else {
        return;
    };
    terminal.type_line("hfdl init");
    terminal.wait_for("free]:");
    terminal.type_line("/etc/passwd/x");
    terminal.wait_for("`/etc/passwd` is no directory");
    terminal.keys(&["Enter"]);
    terminal.wait_for(
        "there is no token, and public repositories need none; `hf auth login` keeps one",
    );
    terminal.wait_for("Repository to keep");
    terminal.keys(&["Enter"]);
    terminal.wait_for("there is no repository to keep yet");
    terminal.wait_for("Ctrl-C leaves, and changes nothing");
    terminal.type_line("acme/none");
    terminal.wait_for("cannot keep `acme/none`");
    terminal.type_line("acme/tiny");
    terminal.wait_for("`acme/tiny`: 1 file, 2 B");
    terminal.type_line("acme/tiny");
    terminal.wait_for("`acme/tiny` is kept already");
    terminal.keys(&["Enter"]);
    terminal.wait_for("Time of the daily check in UTC, or `no` [02:30]:");
    terminal.type_line("25:00");
    terminal.wait_for("is not a daily time");
    terminal.type_line("12:00");
    terminal.wait_for("Fetch only within hours");
    terminal.type_line("22:00-07:00");
    terminal.wait_for("the daily check at 12:00 is outside of the hours 22:00-07:00");
    terminal.wait_until("the question once more", |screen| {
        screen.matches("Time of the daily check").count() == 3
    });
    terminal.type_line("03:15");
    terminal.wait_until("the hours once more", |screen| {
        screen.matches("Fetch only within hours").count() == 2
    });
    terminal.type_line("22:00-07:00");
    terminal.wait_for("Have crontab start hfdl every 15 minutes, at :");
    nothing_was_changed(&env);
    terminal.type_line("maybe");
    terminal.wait_for("`maybe` is neither yes nor no");
    terminal.wait_until("the timer once more", |screen| {
        screen.matches("Have crontab start").count() == 2
    });
    terminal.keys(&["Enter"]);
    let asked = terminal.wait_for("apply it, and start the timer? [Y/n]");
    for part in [
        "- repo: acme/tiny",
        "daily: 03:15",
        "22:00-07:00",
        "work/hfdl.yaml`",
    ] {
        assert!(asked.replace('\'', "").contains(part), "{part}:\n{asked}");
    }
    terminal.type_line("none");
    terminal.wait_for("`none` is neither yes nor no");
    nothing_was_changed(&env);
    terminal.keys(&["Enter"]);
    terminal.wait_for("timer installed (crontab)");
    terminal.wait_for("nothing is fetched yet: `nightly` starts ");
    terminal.wait_for("`hfdl download --all` does it now");
    let model = env.line("models list --json").json();
    assert_eq!(model["models"][0]["name"], "acme/tiny");
    assert_eq!(
        env.line("schedules show nightly --json").json()["when"],
        "03:15"
    );
    assert!(env.crontab().is_some());
    terminal.type_line("hfdl init");
    terminal.wait_for("is set up, with 1 model and 1 schedule");
    terminal.wait_for("Add to it? [Y/n]");
    terminal.type_line("n");
    terminal.wait_for("nothing was changed");
}

#[test]
fn an_end_at_any_question_changes_nothing() {
    let env = world();
    let Some(terminal) = Terminal::open(&env, 160, 50) else {
        return;
    };
    let questions = [
        ("free]:", ""),
        ("Repository to keep", "acme/tiny"),
        ("One more", ""),
        ("Time of the daily check", ""),
        ("Fetch only within hours", ""),
        ("Have crontab start", ""),
        ("apply it, and start the timer?", "n"),
    ];
    for end in ["C-c", "C-d"] {
        for last in 0..questions.len() {
            terminal.run("true");
            terminal.type_line("hfdl init");
            for (question, answer) in &questions[..last] {
                terminal.wait_for(question);
                terminal.type_line(answer);
            }
            terminal.wait_for(questions[last].0);
            terminal.keys(&[end]);
            let ended = |screen: &str| screen.trim_end().lines().last() == Some("$");
            let shown = terminal.wait_until("the prompt", ended);
            assert!(
                end == "C-c" || shown.contains("nothing was changed"),
                "{shown}"
            );
            nothing_was_changed(&env);
        }
    }
}
