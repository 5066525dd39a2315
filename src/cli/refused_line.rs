//! A command line that clap refuses, in the three parts of all errors.
//!
//! clap finds the fault and similar words; the sentences are those of this program. Help
//! and version that were asked for never come here.

use std::error::Error as StdError;
use std::num::ParseIntError;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

use super::explain::Complaint;
use crate::domain::invalid_value::InvalidValue;
use crate::domain::nearest::nearest;

/// Returns the complaint about a line. `arguments` are those of the process, without the
/// program; `root` is the description of all commands.
pub fn complaint(error: &Error, root: &Command, arguments: &[String]) -> Complaint {
    let line = RefusedLine::new(error, root, arguments);
    match error.kind() {
        ErrorKind::InvalidSubcommand => line.unknown_command(),
        ErrorKind::UnknownArgument => line.unknown_argument(),
        ErrorKind::MissingRequiredArgument => line.missing_argument(),
        ErrorKind::ArgumentConflict => line.conflict(),
        ErrorKind::InvalidValue => line.value_outside_list(),
        ErrorKind::ValueValidation => line.wrong_value(),
        ErrorKind::TooManyValues => {
            let headline = format!("`{}` takes no value", line.option_name());
            line.with_help(headline, "")
        }
        ErrorKind::InvalidUtf8 => line.with_help("an argument is not valid UTF-8".to_owned(), ""),
        _ => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            let headline = first.trim_start_matches("error: ").to_owned();
            line.with_help(headline, "")
        }
    }
}

/// Returns the formats of a command, for a sentence.
pub fn formats(command: &str) -> &'static str {
    if command == "hfdl report" {
        "table, json, yaml, markdown or html"
    } else {
        "table, json or yaml"
    }
}

struct RefusedLine<'a> {
    error: &'a Error,
    /// The command that the line names, as far as it exists.
    command: &'a Command,
    /// The words of the command, such as `hfdl models add`.
    words: String,
}

impl<'a> RefusedLine<'a> {
    fn new(error: &'a Error, root: &'a Command, arguments: &[String]) -> Self {
        let (mut command, mut words) = (root, root.get_name().to_owned());
        for argument in arguments {
            if let Some(found) = command.find_subcommand(argument) {
                command = found;
                words = format!("{words} {}", found.get_name());
            }
        }
        Self {
            error,
            command,
            words,
        }
    }

    /// Returns the words that clap names in one part of its error.
    fn named(&self, kind: ContextKind) -> Vec<&str> {
        match self.error.get(kind) {
            Some(ContextValue::String(word)) => vec![word],
            Some(ContextValue::Strings(words)) => words.iter().map(String::as_str).collect(),
            _ => Vec::new(),
        }
    }

    fn one(&self, kind: ContextKind) -> &str {
        self.named(kind).first().copied().unwrap_or_default()
    }

    /// Returns the argument of the error without the name of its value.
    fn option_name(&self) -> &str {
        let argument = self.one(ContextKind::InvalidArg);
        let name = argument.split([' ', '[']).next().unwrap_or(argument);
        if name.starts_with('-') {
            name.trim_end_matches('.')
        } else {
            name
        }
    }

    /// Names the help of the command behind another step.
    fn with_help(&self, headline: String, step: &str) -> Complaint {
        let help = format!("`{} --help` shows the options", self.words);
        let complaint = Complaint::usage(headline);
        if step.is_empty() {
            complaint.next(help)
        } else {
            complaint.next(format!("{step} {help}"))
        }
    }

    fn unknown_command(&self) -> Complaint {
        let wrong = self.one(ContextKind::InvalidSubcommand);
        let names = self.command.get_subcommands().flat_map(|command| {
            let aliases = command.get_visible_aliases();
            std::iter::once(command.get_name()).chain(aliases)
        });
        let suggested = self.named(ContextKind::SuggestedSubcommand);
        let similar = nearest(wrong, names).or(suggested.last().copied());
        let words = &self.words;
        let help = format!("`{words} --help` lists the commands");
        Complaint::usage(format!("there is no command `{words} {wrong}`")).next(match similar {
            Some(near) => format!("did you mean `{words} {near}`? {help}"),
            None => help,
        })
    }

    fn unknown_argument(&self) -> Complaint {
        let wrong = self.one(ContextKind::InvalidArg);
        if !wrong.starts_with('-') {
            return self.with_help(format!("unexpected argument `{wrong}`"), "");
        }
        let flags: Vec<String> = self
            .command
            .get_arguments()
            .filter(|flag| !flag.is_hide_set())
            .filter_map(|flag| Some(format!("--{}", flag.get_long()?)))
            .collect();
        let suggested = self.named(ContextKind::SuggestedArg);
        let similar = nearest(wrong, flags.iter().map(String::as_str));
        let step = match similar.or(suggested.first().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => String::new(),
        };
        self.with_help(format!("`{}` has no option `{wrong}`", self.words), &step)
    }

    fn missing_argument(&self) -> Complaint {
        let missing: Vec<String> = self
            .named(ContextKind::InvalidArg)
            .iter()
            .map(|argument| format!("`{argument}`"))
            .collect();
        let usage = match self.error.get(ContextKind::Usage) {
            Some(usage) => usage.to_string(),
            None => String::new(),
        };
        let usage = usage.trim_start_matches("Usage:").trim();
        let headline = format!("`{}` needs {}", self.words, missing.join(" and "));
        self.with_help(headline, &format!("write `{usage}`;"))
    }

    fn conflict(&self) -> Complaint {
        let (own, prior) = (
            self.one(ContextKind::InvalidArg),
            self.named(ContextKind::PriorArg),
        );
        let others: Vec<String> = prior.iter().map(|other| format!("`{other}`")).collect();
        if others.is_empty() || prior == [own] {
            let headline = format!("`{own}` cannot be used multiple times");
            return Complaint::usage(headline).next("give it once");
        }
        let headline = format!("`{own}` cannot be used with {}", others.join(" and "));
        Complaint::usage(headline).next("leave one of them out")
    }

    /// Explains a value that is none of a fixed list, or is missing.
    fn value_outside_list(&self) -> Complaint {
        let argument = self.one(ContextKind::InvalidArg);
        let value = self.one(ContextKind::InvalidValue);
        let allowed = self.named(ContextKind::ValidValue).join(", ");
        if value.is_empty() {
            let headline = format!("`{}` needs a value", self.option_name());
            return self.with_help(headline, &format!("write `{argument}`;"));
        }
        let headline = format!("`{value}` is not a valid value for `{argument}`");
        let near = self.named(ContextKind::SuggestedValue).first().copied();
        let near = near
            .map(|near| format!("did you mean `{near}`? "))
            .unwrap_or_default();
        Complaint::usage(headline).next(format!("{near}the values are {allowed}"))
    }

    /// Explains a value by the error of its parser.
    fn wrong_value(&self) -> Complaint {
        let option = self.option_name();
        let value = self.one(ContextKind::InvalidValue);
        // The error of a positional argument names its kind itself.
        let subject = if option.starts_with('-') {
            format!("`{option}`: ")
        } else {
            String::new()
        };
        if option == "--format" {
            let headline = format!("`{value}` is not a format of `{}`", self.words);
            return Complaint::usage(headline).next(format!("write {}", formats(&self.words)));
        }
        let Some(source) = self.error.source() else {
            return self.with_help(format!("`{value}` is not a valid value for `{option}`"), "");
        };
        let text = source.to_string();
        if source.is::<ParseIntError>() || text.starts_with("invalid digit") {
            let headline = format!("{subject}`{value}` is not a whole number");
            return self.with_help(headline, "");
        }
        if let Some((number, range)) = text.split_once(" is not in ") {
            let (least, most) = range.split_once("..=").unwrap_or((range, ""));
            return Complaint::usage(format!("{subject}{number} is out of range"))
                .next(format!("write a number from {least} to {most}"));
        }
        let step = source
            .downcast_ref::<InvalidValue>()
            .and_then(InvalidValue::next_step);
        let help = || format!("`{} --help` describes the value", self.words);
        Complaint::usage(format!("{subject}{text}")).next(step.map_or_else(help, str::to_owned))
    }
}
