//! The groups of commands in `hfdl --help`.

use clap::Command;

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
        &["config", "apply", "export", "completions", "man", "help"],
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

fn about(command: &Command, name: &str) -> String {
    let Some(found) = command.find_subcommand(name) else {
        // clap adds its own `help` later.
        return "Print this message or the help of a command".to_owned();
    };
    let about = found.get_about().map(ToString::to_string);
    let aliases: Vec<&str> = found.get_visible_aliases().collect();
    let mut text = about.unwrap_or_default();
    if !aliases.is_empty() {
        text.push_str(&format!(" [aliases: {}]", aliases.join(", ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

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
