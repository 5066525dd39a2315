//! The kind of each value on a command line.

use std::ffi::OsStr;
use std::sync::Arc;

use clap::{Arg, Command, ValueHint};
use clap_complete::engine::ArgValueCompleter;

use super::known::{KnownNames, TICK_PERIODS};
use crate::cli::logs::LogLevel;
use crate::domain::guard::GUARDS;
use crate::domain::model::ModelSummary;
use crate::domain::outcome::{Outcome, Trigger, VerifyOutcome};
use crate::domain::policy::Policy;
use crate::domain::repo::RepoType;
use crate::domain::timer::TimerKind;
use crate::sys::logging::LogFormat;
use crate::ui::{ColourChoice, Format};

/// The values that complete an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueSource {
    /// Any text; nothing is offered.
    Free,
    /// Files and folders, which clap's engine lists.
    Paths,
    /// The word `cache`, or a folder.
    CacheOrFolder,
    Words(Vec<&'static str>),
    /// Words with commas between them.
    Lists(Vec<&'static str>),
    Models,
    Schedules,
    Tags,
    Settings,
    /// The value of the setting before it.
    SettingValue,
    /// `KEY=VALUE`
    SettingPair,
    Runs,
    Schemas,
    Sessions,
    /// Pages of the manual, and commands.
    TopicsAndCommands,
    Zones,
}

/// Gives each argument that takes a value its completion.
pub fn with_values(command: Command, path: &[&str], known: &Arc<KnownNames>) -> Command {
    let names: Vec<String> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    let mut command = command.mut_args(|arg| match values_of(path, &arg) {
        None | Some(ValueSource::Free) => arg,
        Some(ValueSource::Paths) => arg.value_hint(ValueHint::AnyPath),
        Some(values) => {
            let known = known.clone();
            let find = move |typed: &OsStr| known.candidates(&values, &typed.to_string_lossy());
            arg.add(ArgValueCompleter::new(find))
        }
    });
    for name in &names {
        let path = [path, &[name]].concat();
        command = command.mut_subcommand(name, |sub| with_values(sub, &path, known));
    }
    command
}

/// Returns the kind of an argument, by the name of its value and its command; `None` for a
/// flag without a value and for one whose values clap knows.
fn values_of(path: &[&str], arg: &Arg) -> Option<ValueSource> {
    let takes_value = arg.get_action().takes_values() && arg.get_possible_values().is_empty();
    if !takes_value || arg.is_hide_set() {
        return None;
    }
    let id = arg.get_id().as_str();
    let name = arg.get_value_names().and_then(|names| names.first());
    let name = name.map_or_else(|| id.to_uppercase(), ToString::to_string);
    known_kind(path, id, arg.is_positional(), &name)
}

fn known_kind(path: &[&str], id: &str, is_positional: bool, name: &str) -> Option<ValueSource> {
    Some(match (name, path) {
        ("FORMAT", _) => words(Format::ALL, Format::as_str),
        ("FORM", _) => words(LogFormat::ALL, LogFormat::as_str),
        ("WHEN", _) => words(ColourChoice::ALL, ColourChoice::as_str),
        ("STATE", _) => words(ModelSummary::ALL, ModelSummary::as_str),
        ("TYPE", _) => words(&RepoType::ALL, RepoType::as_str),
        ("POLICY", _) => words(Policy::ALL, Policy::as_str),
        ("LEVEL", _) => words(LogLevel::ALL, LogLevel::as_str),
        ("WHO", _) => words(Trigger::ALL, Trigger::as_str),
        ("once|skip", _) => ValueSource::Words(vec!["once", "skip"]),
        ("WORD", _) => {
            let outcomes = Outcome::ALL.iter().map(|word| word.as_str());
            let verified = VerifyOutcome::ALL.iter().map(|word| word.as_str());
            ValueSource::Words(outcomes.chain(verified).collect())
        }
        ("LIST|off", _) => {
            let guards = GUARDS.iter().map(|guard| guard.as_str());
            ValueSource::Lists(["all", "off"].into_iter().chain(guards).collect())
        }
        ("KEY", _) => ValueSource::Settings,
        ("VALUE", _) => ValueSource::SettingValue,
        ("KEY=VALUE", _) => ValueSource::SettingPair,
        ("TAG", _) => ValueSource::Tags,
        ("ZONE", _) => ValueSource::Zones,
        ("DIR" | "FILE" | "PATH" | "LOCKFILE" | "DIR|FILE", _) => ValueSource::Paths,
        ("cache|DIR", _) => ValueSource::CacheOrFolder,
        ("REPO|NAME|FILE" | "NAME|REPO", _) => ValueSource::Models,
        ("DUR", ["start"]) => ValueSource::Words(TICK_PERIODS.to_vec()),
        ("ID", ["sessions", "show"]) => ValueSource::Sessions,
        ("ID", ["run-due"]) => ValueSource::Free,
        ("ID", _) => ValueSource::Runs,
        ("TOPIC|COMMAND", _) => ValueSource::TopicsAndCommands,
        ("NAME", ["schema"]) => ValueSource::Schemas,
        ("NAME", _) => match (id, path) {
            ("backend" | "timer", _) => {
                let kinds = TimerKind::ALL.iter().map(|kind| kind.as_str());
                ValueSource::Words(["auto"].into_iter().chain(kinds).collect())
            }
            ("model", _) => ValueSource::Models,
            ("schedule", _) => ValueSource::Schedules,
            (_, ["schedules", "add"]) => ValueSource::Free,
            (_, ["schedules", ..]) if is_positional => ValueSource::Schedules,
            (_, ["tags", ..]) if is_positional => ValueSource::Tags,
            _ if is_positional => ValueSource::Models,
            _ => ValueSource::Free,
        },
        (
            "0..100" | "COMMIT" | "DATE" | "DAYS@HH:MM" | "DUR" | "DUR|TIME" | "EXPR" | "FILE=PATH"
            | "GLOB" | "HH:MM[,HH:MM]" | "I/N" | "KIND=DIR" | "N" | "NAME[=VALUE]" | "NEW" | "REPO"
            | "REV" | "SIZE" | "TABLE" | "TEXT" | "TIME" | "[DAYS@]HH:MM-HH:MM",
            _,
        ) => ValueSource::Free,
        _ => return None,
    })
}

fn words<T: Copy>(all: &[T], word: fn(T) -> &'static str) -> ValueSource {
    ValueSource::Words(all.iter().map(|it| word(*it)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds the arguments of a command, and of those below it, whose values have no kind.
    fn unknown(command: &Command, path: &[&str], found: &mut Vec<String>) {
        for arg in command.get_arguments() {
            let takes_value =
                arg.get_action().takes_values() && arg.get_possible_values().is_empty();
            if takes_value && !arg.is_hide_set() && values_of(path, arg).is_none() {
                found.push(format!("hfdl {}: {}", path.join(" "), arg.get_id()));
            }
        }
        for sub in command.get_subcommands() {
            unknown(sub, &[path, &[sub.get_name()]].concat(), found);
        }
    }

    #[test]
    fn every_value_is_completed_or_free_by_intention() {
        let mut found = Vec::new();
        unknown(&crate::cli::command(), &[], &mut found);
        assert_eq!(found, [""; 0], "their value names are not in `known_kind`");
    }
}
