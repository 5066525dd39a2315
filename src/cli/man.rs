//! `hfdl man`

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;

use super::context::Context;
use super::man_sections::{
    EXIT_STATUS_ELSEWHERE, environment, exit_status, files, hooks, settings,
};
use crate::domain::outcome::ExitStatus;
use crate::manual::{TOPICS, Topic, roff};

/// The directories of the sections, for programs that look pages up.
const COMMANDS_FOLDER: &str = "man1";
const TOPICS_FOLDER: &str = "man7";

/// Print the manual page, or write all pages into a directory
///
/// The topics are pages of section 7. If DIR is named man1, they go to man7 beside it.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl man | man -l -
  hfdl man ~/.local/share/man/man1")]
pub struct Man {
    /// Write hfdl.1, hfdl-models.1, … and hfdl-tutorial.7, … here
    dir: Option<PathBuf>,
}

impl Man {
    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        let mut command = without_help(super::command());
        command.build();
        let Some(dir) = self.dir else {
            let page = command_page(&command, true)?;
            context.out.print_bytes(page.as_bytes())?;
            return Ok(ExitStatus::Ok);
        };
        write_commands(&command, &dir, true)?;
        let topics = if dir.ends_with(COMMANDS_FOLDER) {
            dir.with_file_name(TOPICS_FOLDER)
        } else {
            dir
        };
        for topic in TOPICS {
            write(
                &topics,
                &format!("hfdl-{}.7", topic.name),
                &topic_page(topic)?,
            )?;
        }
        Ok(ExitStatus::Ok)
    }
}

/// Removes the `help` commands: their pages would only repeat the others.
fn without_help(command: clap::Command) -> clap::Command {
    let is_ours = command
        .get_subcommands()
        .any(|one| one.get_name() == "help");
    let command = if is_ours {
        command.mut_subcommand("help", |help| help.hide(true))
    } else {
        command
    };
    command
        .disable_help_subcommand(true)
        .mut_subcommands(without_help)
}

fn write_commands(command: &clap::Command, dir: &Path, is_first: bool) -> Result<()> {
    let name = format!("{}.1", page_name(command));
    write(dir, &name, &command_page(command, is_first)?)?;
    for command in shown(command) {
        write_commands(command, dir, false)?;
    }
    Ok(())
}

fn write(dir: &Path, name: &str, page: &str) -> Result<()> {
    let problem = || format!("cannot write manual pages to `{}`", dir.display());
    fs::create_dir_all(dir).with_context(problem)?;
    fs::write(dir.join(name), page).with_context(problem)
}

fn topic_page(topic: &Topic) -> Result<String> {
    let problem = || format!("cannot render the topic `{}`", topic.name);
    let head = roff::PageHead {
        name: &format!("hfdl-{}", topic.name),
        section: 7,
        version: env!("CARGO_PKG_VERSION"),
        summary: &topic.plain_title().with_context(problem)?,
    };
    Ok(roff::topic(&head, &topic.blocks().with_context(problem)?))
}

fn page_name(command: &clap::Command) -> &str {
    command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
}

fn shown(command: &clap::Command) -> impl Iterator<Item = &clap::Command> {
    command.get_subcommands().filter(|one| !one.is_hide_set())
}

/// Renders the page of a command; the first one has the parts that hold for all.
fn command_page(command: &clap::Command, is_first: bool) -> Result<String> {
    let summary = command.get_about().map(ToString::to_string);
    let mut page = roff::head(&roff::PageHead {
        name: page_name(command),
        section: 1,
        version: env!("CARGO_PKG_VERSION"),
        summary: &summary.unwrap_or_default(),
    });
    page.push_str(&synopsis(command));
    page.push_str(&from_clap(command)?);
    let long = command.get_after_long_help().or(command.get_after_help());
    let long = long.map(ToString::to_string).unwrap_or_default();
    page.push_str(&examples(&long));
    if is_first {
        page.push_str(&exit_status());
        page.push_str(&environment());
        page.push_str(&hooks());
        page.push_str(&files());
        page.push_str(&settings());
    } else {
        page.push_str(&roff::section("EXIT STATUS"));
        page.push_str(EXIT_STATUS_ELSEWHERE);
    }
    page.push_str(&see_also(command, is_first));
    Ok(page)
}

/// Renders the sections that the package for clap renders well.
fn from_clap(command: &clap::Command) -> Result<String> {
    let page = clap_mangen::Man::new(command.clone());
    let mut bytes = Vec::new();
    let rendered = page
        .render_description_section(&mut bytes)
        .and_then(|()| page.render_options_section(&mut bytes))
        .and_then(|()| match shown(command).next() {
            Some(_) => page.render_subcommands_section(&mut bytes),
            None => Ok(()),
        });
    rendered.context("cannot render the manual page")?;
    Ok(roff::ascii(&String::from_utf8_lossy(&bytes)))
}

/// Renders the SYNOPSIS: each flag of the command with its value, those of all commands
/// in one word.
fn synopsis(command: &clap::Command) -> String {
    let mut text = roff::section("SYNOPSIS");
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    text.push_str(&format!(".B {}\n", roff::escaped(name)));
    let own = command
        .get_arguments()
        .filter(|arg| !arg.is_global_set() && !arg.is_hide_set());
    for arg in own {
        let id = arg.get_id().as_str();
        if id != "help" && id != "version" {
            text.push_str(&format!("{}\n", usage_of(arg)));
        }
    }
    text.push_str("[\\fIglobal options\\fR]\n");
    if shown(command).next().is_some() {
        text.push_str("\\fICOMMAND\\fR\n");
    }
    text
}

fn usage_of(arg: &clap::Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default().iter();
    let values: Vec<String> = names
        .map(|name| format!("\\fI{}\\fR", roff::escaped(name)))
        .collect();
    let takes_value = arg.get_action().takes_values();
    let values = if takes_value {
        values.join(" ")
    } else {
        String::new()
    };
    let is_many = matches!(arg.get_action(), clap::ArgAction::Append)
        || arg.get_num_args().is_some_and(|n| n.max_values() > 1);
    let dots = if is_many { "..." } else { "" };
    let is_optional = arg.get_num_args().is_some_and(|n| n.min_values() == 0);
    let flag = (arg.get_long().map(|long| format!("--{long}")))
        .or_else(|| arg.get_short().map(|short| format!("-{short}")));
    let usage = match flag {
        None => values,
        Some(flag) => {
            let flag = format!("\\fB{}\\fR", roff::escaped(&flag));
            match (values.is_empty(), is_optional) {
                (true, _) => flag,
                (false, true) => format!("{flag}[={values}]"),
                (false, false) => format!("{flag} {values}"),
            }
        }
    };
    if arg.is_required_set() {
        format!("{usage}{dots}")
    } else {
        format!("[{usage}]{dots}")
    }
}

/// Renders the examples below the help of a command, which keep their lines.
fn examples(long_help: &str) -> String {
    let Some((_, lines)) = long_help.split_once("Examples:\n") else {
        return String::new();
    };
    let lines: Vec<String> = lines
        .lines()
        .take_while(|line| line.starts_with("  ") || line.is_empty())
        .map(|line| line.trim_start().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    format!("{}{}", roff::section("EXAMPLES"), roff::verbatim(&lines))
}

fn see_also(command: &clap::Command, is_first: bool) -> String {
    let mut pages = Vec::new();
    if is_first {
        let topics = TOPICS.iter().map(|topic| format!("hfdl-{}", topic.name));
        pages.extend(topics.map(|page| (page, 7)));
        pages.push(("crontab".to_owned(), 5));
        pages.push(("systemd.timer".to_owned(), 5));
    } else {
        pages.push(("hfdl".to_owned(), 1));
        let name = page_name(command);
        let parent = name.rsplit_once('-').map(|(parent, _)| parent);
        pages.extend(
            parent
                .filter(|parent| parent.contains('-'))
                .map(|parent| (parent.to_owned(), 1)),
        );
        pages.push(("hfdl-tutorial".to_owned(), 7));
    }
    let mut text = roff::section("SEE ALSO");
    let last = pages.len() - 1;
    for (index, (page, number)) in pages.iter().enumerate() {
        let comma = if index < last { "," } else { "" };
        text.push_str(&format!(".BR {} ({number}){comma}\n", roff::escaped(page)));
    }
    text
}
