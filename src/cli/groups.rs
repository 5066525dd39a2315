//! The parts of the help that clap has no words for: groups of commands, and the flags that
//! may be repeated.

use clap::{Arg, ArgAction, Command};

/// The groups in the order of the help. Each command is in exactly one.
const GROUPS: &[(&str, &[&str])] = &[
    ("Keep", &["models", "schedules", "tags", "updates", "lock"]),
    (
        "Run",
        &["run-due", "download", "start", "stop", "pause", "resume"],
    ),
    (
        "Look",
        &[
            "status", "views", "sessions", "runs", "logs", "report", "sbom", "schema",
        ],
    ),
    ("Care", &["verify", "prune", "adopt", "doctor"]),
    (
        "Set up",
        &[
            "init",
            "config",
            "apply",
            "export",
            "completions",
            "man",
            "help",
        ],
    ),
];

/// Gives the program a help that lists the commands in their groups, because clap has
/// headings for options only.
pub fn grouped(command: Command) -> Command {
    let styles = command.get_styles().clone();
    let (header, literal) = (styles.get_header(), styles.get_literal());
    let mut list = String::new();
    for (heading, names) in GROUPS {
        list.push_str(&format!("{header}{heading}:{header:#}\n"));
        for name in *names {
            let about = about(&command, name);
            list.push_str(&format!("  {literal}{name:<11}{literal:#}  {about}\n"));
        }
        list.push('\n');
    }
    command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{list}\
         {header}Global options:{header:#}\n{{options}}{{after-help}}"
    ))
}

/// Says of each flag that collects values that it may be repeated.
pub fn with_repeatable(command: Command) -> Command {
    command
        .mut_args(repeatable)
        .mut_subcommands(with_repeatable)
}

fn repeatable(arg: Arg) -> Arg {
    let collects = matches!(arg.get_action(), ArgAction::Append) && !arg.is_positional();
    match arg.get_help().filter(|_| collects) {
        Some(help) => {
            let help = format!("{help}; may be repeated");
            arg.help(help)
        }
        None => arg,
    }
}

fn about(command: &Command, name: &str) -> String {
    let found = command.find_subcommand(name);
    let about = found.and_then(Command::get_about).map(ToString::to_string);
    let aliases = found.into_iter().flat_map(Command::get_visible_aliases);
    let aliases: Vec<&str> = aliases.collect();
    let mut text = about.unwrap_or_default();
    if !aliases.is_empty() {
        text.push_str(&format!(" [alias: {}]", aliases.join(", ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Calls `look` with each command and its path.
    fn walk(command: &Command, path: &str, look: &mut dyn FnMut(&str, &Command)) {
        look(path, command);
        for sub in command.get_subcommands() {
            walk(sub, format!("{path} {}", sub.get_name()).trim(), look);
        }
    }

    #[test]
    fn every_command_has_a_line_an_example_and_words_for_each_argument() {
        let mut missing = Vec::new();
        walk(&crate::cli::command(), "", &mut |path, command| {
            let long = command.get_after_long_help().map(ToString::to_string);
            let long = long.unwrap_or_default();
            let examples = long.split_once("Example").map_or("", |(_, rest)| rest);
            if command.get_about().is_none() || !examples.contains(&format!("hfdl {path}")) {
                missing.push(format!("{path}: description or example"));
            }
            if examples
                .lines()
                .any(|line| line.chars().count() > 80 && line.starts_with(' '))
            {
                missing.push(format!("{path}: example of more than 80 columns"));
            }
            for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
                if arg.get_help().is_none() {
                    missing.push(format!("{path}: {}", arg.get_id()));
                }
            }
        });
        assert_eq!(missing, [""; 0]);
    }

    #[test]
    fn a_flag_of_several_commands_has_the_same_words_in_all() {
        // Flags whose meaning or default depends on the command.
        #[rustfmt::skip]
        const OWN: &[&str] = &[
            "all", "at", "check", "daily", "dry-run", "every", "file", "keep-revisions", "limit-daily",
            "limit-monthly", "limit-rate", "max-duration", "max-transfer", "model", "name", "output",
            "priority", "revision", "run", "since", "tag", "to", "token-name", "until", "wait",
        ];
        let mut first: BTreeMap<String, String> = BTreeMap::new();
        let mut different = Vec::new();
        walk(&crate::cli::command(), "", &mut |path, command| {
            for arg in command.get_arguments() {
                let flag = arg.get_long().filter(|flag| !OWN.contains(flag));
                let Some(flag) = flag.map(str::to_owned) else {
                    continue;
                };
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                let known = first.entry(flag).or_insert_with(|| help.clone());
                if *known != help {
                    different.push(format!("{path}: `{help}`, elsewhere `{known}`"));
                }
            }
        });
        assert_eq!(different, [""; 0]);
    }

    #[test]
    fn every_command_is_in_exactly_one_group_and_its_line_fits() {
        let command = crate::cli::command();
        let mut listed: Vec<&str> = GROUPS
            .iter()
            .flat_map(|(_, names)| *names)
            .copied()
            .collect();
        listed.sort_unstable();
        let visible = command.get_subcommands().filter(|it| !it.is_hide_set());
        let mut names: Vec<&str> = visible.map(Command::get_name).collect();
        names.sort_unstable();
        assert_eq!(listed, names);
        for name in listed {
            assert!(about(&command, name).len() <= 65, "{name} is too long");
        }
    }
}
