//! Command lines of other tools: the commands and flags that people try, each with the
//! right words.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::explain::Complaint;

/// Words that are no commands here, and the next step after each.
#[rustfmt::skip]
const COMMANDS: &[(&[&str], &str)] = &[
    (&["pull", "get", "fetch", "clone", "snapshot-download"], "`hfdl download org/name` downloads now"),
    (&["sync", "update", "upgrade", "mirror"], "`hfdl run-due` updates the models that are due, `hfdl download --all` all of them now"),
    (&["repo", "repos", "list", "ls"], "`hfdl models list` shows the models, `hfdl schedules list` the schedules"),
    (&["add", "keep"], "`hfdl models add org/name` keeps a model"),
    (&["remove", "rm", "delete", "uninstall"], "`hfdl models remove NAME` removes a model"),
    (&["show", "info", "inspect"], "`hfdl models show NAME` shows a model"),
    (&["path", "where"], "`hfdl models path NAME` prints the folder of a model"),
    (&["check", "outdated", "diff"], "`hfdl models outdated` asks the Hub for newer revisions"),
    (&["cache", "scan-cache", "delete-cache", "gc", "clean"], "`hfdl models list` shows the models of the cache, `hfdl prune` removes old revisions"),
    (&["cron", "timer", "daemon", "install", "enable"], "`hfdl start` has the operating system start hfdl"),
    (&["disable"], "`hfdl stop` removes the timer, `hfdl models disable NAME` leaves out a model"),
    (&["auth", "login", "whoami"], "`hf auth login` stores a token, which hfdl reads; `hfdl doctor` tests it"),
    (&["upload", "push"], "hfdl does not upload; `hf upload` does"),
    (&["settings", "set"], "`hfdl config set KEY VALUE` saves a setting"),
    (&["env"], "`hfdl doctor` tests the environment, `hfdl config list --origin` shows the settings"),
    (&["version"], "`hfdl --version` prints the version"),
];

/// Flags that no command has, the reason, and the next step.
#[rustfmt::skip]
const FLAGS: &[(&str, &str, &str)] = &[
    (
        "--token",
        "every user of this machine can read it in the process list",
        "set `HF_TOKEN`, or store the token with `hf auth login` and choose it with `--token-name`",
    ),
    ("--resume-download", "downloads are always resumed", "leave it out"),
    ("--local-dir-use-symlinks", "the files of a directory are always plain files", "leave it out"),
];

/// Returns the complaint about a command line that clap refused, if another tool would
/// have understood it. `arguments` are those of the process, without the program.
pub fn other_tool(error: &clap::Error, arguments: &[String]) -> Option<Complaint> {
    if error.kind() == ErrorKind::UnknownArgument {
        let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else {
            return None;
        };
        let known = FLAGS.iter().find(|(known, ..)| known == flag);
        return known.map(|(flag, cause, next)| {
            Complaint::usage(format!("`{flag}` is refused"))
                .cause(*cause)
                .next(*next)
        });
    }
    let is_about_the_command = matches!(
        error.kind(),
        ErrorKind::InvalidSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            | ErrorKind::MissingSubcommand
    );
    let word = arguments.iter().find(|word| !word.starts_with('-'))?;
    let known = COMMANDS.iter();
    let mut known = known.filter(|(words, _)| is_about_the_command && words.contains(&&**word));
    known
        .next()
        .map(|(_, next)| Complaint::usage(format!("there is no command `hfdl {word}`")).next(*next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_of_another_tool_is_a_command_or_a_flag_here() {
        let command = crate::cli::command();
        for word in COMMANDS.iter().flat_map(|(words, _)| *words) {
            // `update` alone is no command: it lacks one of `hfdl updates`.
            let found = command.find_subcommand(word);
            assert!(found.is_none() || *word == "update", "{word}");
        }
    }
}
