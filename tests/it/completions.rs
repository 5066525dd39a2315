//! Completion of values: the answers of the program, and Tab in the real shells.

use std::fs;
#[cfg(target_os = "linux")]
use std::process::Command;

use crate::support::cache::tree;
use crate::support::env::{Ran, TestEnv};
#[cfg(target_os = "linux")]
use crate::support::terminal::Terminal;

/// A home with models, a tag, a schedule and a run, and a file in the working directory.
fn prepared() -> TestEnv {
    let env = TestEnv::new();
    for line in [
        "models add acme/tiny:Q4_K_M --no-check --tag llm",
        "models add datasets/acme/corpus --no-check",
        "schedules add nightly --daily 02:30 --all",
    ] {
        env.line(line).succeeds();
    }
    fs::write(env.root().join("work/plan.yaml"), "version: 1\n").unwrap();
    fs::create_dir(env.root().join("work/subfolder")).unwrap();
    env
}

/// Asks for the completion of the last word, as zsh does.
fn ask(env: &TestEnv, words: &[&str]) -> Ran {
    env.hfdl([&["completions", "zsh", "--", "hfdl"], words].concat())
}

/// Returns the values without their descriptions.
fn values(ran: &Ran) -> Vec<String> {
    let lines = ran.succeeds().silently().stdout().lines();
    let values = lines.filter_map(|line| line.split('\t').next());
    values.map(str::to_owned).collect()
}

#[test]
fn names_settings_words_and_paths_are_offered_where_they_belong() {
    let env = prepared();
    for (words, expected) in [
        (
            &["models", "show", ""][..],
            &["acme/tiny:Q4_K_M", "datasets/acme/corpus"][..],
        ),
        (&["models", "rm", "acme/tiny:"], &["acme/tiny:Q4_K_M"]),
        (&["verify", "data"], &["datasets/acme/corpus"]),
        (&["download", "--tag", ""], &["llm"]),
        (
            &["schedules", "add", "x", "--model", "ac"],
            &["acme/tiny:Q4_K_M"],
        ),
        (&["schedules", "disable", "n"], &["nightly"]),
        (&["run", "--schedule", ""], &["nightly"]),
        (&["tags", "show", ""], &["llm"]),
        (&["config", "get", "prune"], &["prune.auto"]),
        (&["config", "set", "prune.auto", ""], &["off", "on"]),
        (&["config", "set", "timer.every", "2"], &["20m", "2m"]),
        (&["-c", "verify.b"], &["verify.budget="]),
        (
            &["status", "--set", "prune.auto=o"],
            &["prune.auto=off", "prune.auto=on"],
        ),
        (&["--format", "j"], &["json"]),
        (
            &["models", "add", "a/b", "--guards", "off,new-"],
            &["off,new-code"],
        ),
        (
            &["schedules", "add", "x", "--tz", "Europe/Berl"],
            &["Europe/Berlin"],
        ),
        (&["apply", "-f", "pl"], &["plan.yaml"]),
        (&["start", "--backend", "s"], &["systemd"]),
        (&["help", "tut"], &["tutorial"]),
        (&["help", "mo"], &["models"]),
        (&["help", "models", "se"], &["set"]),
        (&["help", "models", "tut"], &[]),
        (&["help", "tutorial", "a"], &[]),
        (&["models", "set", "x", "--to", "ca"], &["cache"]),
        (&["download", "x", "--to", "subf"], &["subfolder/"]),
        (&["models", "add", ""], &[]),
        (&["models", "l"], &["list"]),
        (&["schema", "rep"], &["report"]),
        (&["help", "tut"], &["tutorial"]),
        (&["download", "--force-d"], &["--force-download"]),
    ] {
        let ran = ask(&env, words);
        let found = values(&ran).into_iter();
        let mut found: Vec<_> = found.map(|value| value.replace('\\', "/")).collect();
        found.retain(|value| !value.starts_with('-') || words.concat().contains("--force-d"));
        found.sort();
        assert_eq!(found, expected, "{words:?}\n{}", ran.report());
    }
}

#[test]
fn ids_are_offered_newest_first_with_a_description() {
    let env = prepared();
    env.hub()
        .repo("acme/a")
        .commit("main")
        .file("x", b"x")
        .publish();
    env.line("download acme/a").succeeds();
    let runs = env.line("runs list --json").json();
    let id = runs["runs"][0]["run_id"].as_str().unwrap().to_owned();
    let ran = ask(&env, &["runs", "show", ""]);
    assert!(
        ran.stdout().starts_with(&format!("{id}\tdownload ")),
        "{}",
        ran.report()
    );
    assert!(values(&ask(&env, &["logs", "--run", ""])).contains(&id));
    ask(&env, &["sessions", "show", ""]).prints("1\tacme/a updated, ");
}

#[test]
fn flags_come_when_they_are_asked_for_or_when_nothing_else_can_follow() {
    let env = prepared();
    let after_a_name = values(&ask(&env, &["models", "show", ""]));
    assert!(after_a_name.iter().all(|value| !value.starts_with('-')));
    assert!(values(&ask(&env, &["models", "list", "--t"])).contains(&"--tag".to_owned()));
    assert!(values(&ask(&env, &["status", ""])).contains(&"--watch".to_owned()));
    // The flag is for the script only.
    assert!(!values(&ask(&env, &["completions", "bash", "--"])).contains(&"--ending".to_owned()));
}

#[test]
fn bash_gets_the_part_of_a_word_behind_its_last_colon() {
    let env = prepared();
    let ask = |ending: &str, line: &str| {
        let ran = env.hfdl(["completions", "bash", "--ending", ending, "--", line]);
        ran.succeeds().silently().stdout().to_owned()
    };
    assert_eq!(ask("Q", "hfdl models show acme/tiny:Q"), "Q4_K_M\n");
    assert_eq!(ask("", "hfdl models show acme/tiny:"), "Q4_K_M\n");
    assert_eq!(
        ask("acme/t", "hfdl models show acme/t"),
        "acme/tiny:Q4_K_M\n"
    );
    assert_eq!(ask("of", "hfdl -c prune.auto=of"), "off\n");
    assert_eq!(ask("sh", "hfdl --home 'a b' models sh"), "show\n");
}

#[test]
fn the_home_of_the_line_comes_before_that_of_the_environment() {
    let env = prepared();
    let home = env.home().to_str().unwrap().to_owned();
    env.set("HFDL_HOME", "/nowhere/at/all");
    assert_eq!(values(&ask(&env, &["schedules", "show", "n"])), [""; 0]);
    let named = values(&ask(&env, &["--home", &home, "schedules", "show", "n"]));
    assert_eq!(named, ["nightly"]);
}

#[test]
fn a_completion_writes_nothing_asks_nobody_and_says_no_error() {
    let env = TestEnv::new();
    // A request would be to a closed port.
    assert_eq!(values(&ask(&env, &["models", "show", "a"])), [""; 0]);
    assert!(!env.home().exists());
    fs::create_dir(env.home()).unwrap();
    fs::write(env.database(), "this is no database").unwrap();
    let before = tree(env.root());
    assert_eq!(values(&ask(&env, &["models", "show", "a"])), [""; 0]);
    assert_eq!(
        values(&ask(&env, &["config", "set", "no.such.key", "a"])),
        [""; 0]
    );
    assert_eq!(tree(env.root()), before);
}

/// Presses Tab in a shell of a real terminal. `shell` starts it, `source` loads the script.
#[cfg(target_os = "linux")]
fn press_tab(name: &str, shell: &str, source: &str) {
    if Command::new(name).arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "{name} is not installed");
        return;
    }
    let env = prepared();
    let script = env
        .hfdl(["completions", name])
        .succeeds()
        .stdout()
        .to_owned();
    fs::write(env.root().join("script"), script).unwrap();
    let Some(terminal) = Terminal::open(&env, 100, 30) else {
        return;
    };
    terminal.type_line(&format!("exec {shell}"));
    terminal.type_line(&format!("{source}; echo is-loaded"));
    terminal.wait_until("the loaded script", |screen| {
        screen.lines().any(|line| line == "is-loaded")
    });
    for (typed, completed) in [
        (
            "hfdl models show acme/t",
            "hfdl models show acme/tiny:Q4_K_M",
        ),
        (
            "hfdl models show acme/tiny:Q",
            "hfdl models show acme/tiny:Q4_K_M",
        ),
        (
            "hfdl models show da",
            "hfdl models show datasets/acme/corpus",
        ),
        ("hfdl schedules rm ni", "hfdl schedules rm nightly"),
        ("hfdl config get prune.", "hfdl config get prune.auto"),
        (
            "hfdl config set prune.auto of",
            "hfdl config set prune.auto off",
        ),
        ("hfdl -c prune.auto=of", "hfdl -c prune.auto=off"),
        ("hfdl apply -f pla", "hfdl apply -f plan.yaml"),
        ("hfdl help unat", "hfdl help unattended"),
        ("hfdl help schedu", "hfdl help schedules"),
        ("hfdl help models outd", "hfdl help models outdated"),
        ("hfdl download x --to cac", "hfdl download x --to cache"),
        (
            "hfdl models set x --to subf",
            "hfdl models set x --to subfolder/",
        ),
        (
            "true; hfdl schedules show ni",
            "hfdl schedules show nightly",
        ),
    ] {
        terminal.keys(&[typed, "Tab"]);
        terminal.wait_for(completed);
        terminal.keys(&["C-u", "C-l"]);
        terminal.wait_until("an empty line", |screen| !screen.contains("hfdl"));
    }
    let screen = terminal.screen();
    assert!(!screen.contains("error"), "{screen}");
}

#[cfg(target_os = "linux")]
#[test]
fn tab_completes_values_in_bash() {
    press_tab("bash", "bash --norc --noprofile", "source ../script");
}

#[cfg(target_os = "linux")]
#[test]
fn tab_completes_values_in_zsh() {
    press_tab(
        "zsh",
        "zsh -f",
        "autoload -U compinit && compinit -D && source ../script",
    );
}

#[cfg(target_os = "linux")]
#[test]
fn tab_completes_values_in_fish() {
    press_tab("fish", "fish --no-config", "source ../script");
}
