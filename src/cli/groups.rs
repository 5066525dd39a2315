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
            "status", "views", "sessions", "runs", "logs", "report", "sbom",
        ],
    ),
    ("Care", &["verify", "prune", "adopt", "doctor"]),
    (
        "Set up",
        &[
            "config",
            "apply",
            "export",
            "schema",
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
    let Some(found) = command.find_subcommand(name) else {
        // clap adds its own `help` later.
        return "Print this message or the help of a command".to_owned();
    };
    let about = found.get_about().map(ToString::to_string);
    let aliases: Vec<&str> = found.get_visible_aliases().collect();
    let mut text = about.unwrap_or_default();
    if !aliases.is_empty() {
        text.push_str(&format!(" [alias: {}]", aliases.join(", ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls `look` with each command and its path.
    fn walk(command: &Command, path: &str, look: &mut dyn FnMut(&str, &Command)) {
        look(path, command);
        for sub in command
            .get_subcommands()
            .filter(|it| it.get_name() != "help")
        {
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
                    missing.push(format!("{path}: {arg}"));
                }
            }
        });
        assert_eq!(missing, [""; 0]);
    }

    #[test]
    fn a_flag_of_several_commands_has_the_same_words_in_all() {
        // Words that differ because the flags do: a place, a moment, a number of each command.
        const OWN: &[&str] = &[];
        let mut words: std::collections::BTreeMap<String, (String, String)> = Default::default();
        let mut different = Vec::new();
        walk(&crate::cli::command(), "", &mut |path, command| {
            for arg in command.get_arguments().filter(|arg| !arg.is_positional()) {
                let (flag, help) = (arg.to_string(), arg.get_help().map(ToString::to_string));
                let help = help.unwrap_or_default();
                let first = words
                    .entry(flag.clone())
                    .or_insert((path.to_owned(), help.clone()));
                if first.1 != help && !OWN.contains(&flag.as_str()) {
                    different.push(format!("{flag}: {path}: {help} | {}: {}", first.0, first.1));
                }
            }
        });
        assert_eq!(different, [""; 0]);
    }

    #[test]
    fn every_command_is_in_exactly_one_group_and_its_line_fits() {
        let mut command = crate::cli::command();
        command.build();
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
