//! Completions and manual pages: there for every command, and well formed.

use std::process::{Command, Stdio};

use super::cli_pictures::listed_commands;
use crate::support::cache::tree;
use crate::support::env::TestEnv;

/// Returns the names of the commands that the help lists.
fn commands(env: &TestEnv) -> Vec<String> {
    let help = env.line("-h").succeeds().stdout().to_owned();
    let names: Vec<String> = listed_commands(&help).map(str::to_owned).collect();
    assert!(names.contains(&"models".to_owned()), "{names:?}");
    names
}

#[test]
fn generated_completions_know_every_command() {
    let env = TestEnv::new();
    let commands = commands(&env);
    for shell in ["powershell", "elvish"] {
        let ran = env.hfdl(["completions", shell]);
        let script = ran.succeeds().silently().stdout();
        for name in &commands {
            assert!(
                script.contains(name.as_str()),
                "{shell} does not know {name}"
            );
        }
        assert!(
            script.contains("--keep-revisions") || script.contains("keep-revisions"),
            "{shell}"
        );
    }
}

#[test]
fn the_scripts_parse_where_their_shells_exist() {
    let env = TestEnv::new();
    for (shell, flag) in [("bash", "-n"), ("zsh", "-n"), ("fish", "-n")] {
        let file = env.root().join(shell);
        std::fs::write(&file, env.hfdl(["completions", shell]).succeeds().stdout()).unwrap();
        let checked = Command::new(shell)
            .arg(flag)
            .arg(&file)
            .stdin(Stdio::null())
            .output();
        // A shell that is not installed has nothing to say.
        if let Ok(output) = checked {
            assert!(output.status.success(), "{shell}: {output:?}");
        }
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let env = TestEnv::new();
    env.line("man pages/man1").succeeds().silently();
    let pages = env.root().join("work/pages/man1");
    let names = tree(&pages);
    assert!(names.contains(&"hfdl.1".to_owned()), "{names:?}");
    assert!(names.contains(&"hfdl-models-add.1".to_owned()), "{names:?}");
    for name in commands(&env) {
        let page = std::fs::read_to_string(pages.join(format!("hfdl-{name}.1")));
        let page = page.unwrap_or_else(|err| panic!("{name}: {err} in {names:?}"));
        assert!(
            page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"),
            "{name}"
        );
    }
    for name in names {
        let page = std::fs::read_to_string(pages.join(&name)).unwrap();
        assert!(page.contains(".TH ") && page.len() > 250, "{name}: {page}");
    }
    env.line("man").succeeds().prints(".TH HFDL 1");
}

#[test]
fn the_version_is_the_packages() {
    let env = TestEnv::new();
    let expected = format!("hfdl {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(env.line("--version").succeeds().stdout(), expected);
    assert_eq!(env.line("-V").succeeds().stdout(), expected);
}

#[test]
fn help_is_reached_in_every_way() {
    let env = TestEnv::new();
    let long = env.line("models add --help").succeeds().stdout().to_owned();
    assert!(long.contains("Examples:") && long.contains("--keep-revisions"));
    assert_eq!(env.line("help models add").succeeds().stdout(), long);
    assert_eq!(env.line("model add --help").succeeds().stdout(), long);
    let short = env.line("models add -h").succeeds().stdout().to_owned();
    assert!(short.len() < long.len() && !short.contains("Examples:"));
}
