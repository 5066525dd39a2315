//! The tables in the topics of the manual are those of the code.
//!
//! `HFDL_UPDATE_README=1 cargo test --test it manual` writes them into the topics.

use std::fs;

use hfdl::domain::guard::GUARDS;
use hfdl::domain::outcome::{ExitStatus, Outcome, VerifyOutcome};
use hfdl::domain::settings::SettingKey;
use hfdl::notify::hooks::VARIABLES;
use hfdl::notify::metrics::FAMILIES;

use crate::manual::{root, topic};
use crate::readme::section;

/// Compares the rows of the table below a heading of a topic with those of the code.
fn check_table(name: &str, heading: &str, rows: &[String]) {
    let text = topic(name).text;
    let below = section(text, heading);
    let shown: Vec<&str> = (below.lines().filter(|line| line.starts_with("| ")))
        .skip(2)
        .collect();
    if shown == rows {
        return;
    }
    let expected = rows.join("\n");
    assert!(
        std::env::var_os("HFDL_UPDATE_README").is_some(),
        "the table `{heading}` of src/manual/{name}.md is not:\n{expected}\n(see the head of tests/it/manual_tables.rs)"
    );
    let (before, after) = text.split_at(text.find(below).unwrap());
    let mut lines: Vec<&str> = Vec::new();
    let mut n_table_lines = 0;
    for line in below.lines() {
        n_table_lines += usize::from(line.starts_with("| "));
        if !line.starts_with("| ") || n_table_lines <= 2 {
            lines.push(line);
        }
        if line.starts_with("| ") && n_table_lines == 2 {
            lines.push(&expected);
        }
    }
    let new = format!("{before}{}\n{}", lines.join("\n"), &after[below.len()..]);
    fs::write(root().join(format!("src/manual/{name}.md")), new).unwrap();
}

#[test]
fn the_tables_of_settings_exit_codes_and_outcomes_are_those_of_the_code() {
    let settings = SettingKey::ALL.iter().map(|key| {
        let spec = key.spec();
        let default = spec
            .default
            .map_or("-".to_owned(), |default| format!("`{default}`"));
        format!("| `{key}` | {default} | {} |", spec.help)
    });
    check_table("settings", "Settings", &settings.collect::<Vec<_>>());
    let codes = ExitStatus::ALL.iter().map(|status| {
        let (code, word) = (status.code(), status.word());
        format!("| {code} | `{word}` | {} |", status.meaning())
    });
    check_table("troubleshooting", "Exit codes", &codes.collect::<Vec<_>>());
    for outcome in Outcome::ALL {
        let row = format!("| `{outcome}` | ");
        assert!(topic("json").text.contains(&row), "{outcome}");
    }
    for guard in GUARDS {
        let row = format!("| `{guard}` | ");
        assert!(topic("policies").text.contains(&row), "{guard}");
    }
    for outcome in VerifyOutcome::ALL {
        let row = format!("| `{outcome}` | ");
        assert!(topic("integrity").text.contains(&row), "{outcome}");
    }
}

#[test]
fn the_tables_of_metrics_and_of_hook_variables_are_those_of_the_code() {
    let metrics = FAMILIES.iter();
    let metrics = metrics.map(|(name, kind, help)| format!("| `{name}` | {kind} | {help} |"));
    check_table("metrics", "Metrics", &metrics.collect::<Vec<_>>());
    let variables = VARIABLES.iter();
    let variables = variables.map(|(name, meaning)| format!("| `{name}` | {meaning} |"));
    check_table("hooks", "Variables", &variables.collect::<Vec<_>>());
}
