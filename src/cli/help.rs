//! `hfdl help`

use anyhow::{Context as _, Result};
use clap::Args;

use super::context::Context;
use super::explain::Complaint;
use crate::domain::nearest::nearest;
use crate::domain::outcome::ExitStatus;
use crate::manual::{TOPICS, Topic, terminal};
use crate::ui::text;

/// The word that lists the topics.
pub const TOPIC_LIST: &str = "topics";

/// The width of a page that goes to no terminal.
const PIPE_COLUMNS: u16 = 100;

/// Print a page of the manual, or the help of a command
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl help topics                list the pages of the manual
  hfdl help tutorial              read one
  hfdl help unattended | less
  hfdl help models add            as `hfdl models add --help`")]
pub struct Help {
    /// A topic of the manual, or a command; `topics` lists the topics
    #[arg(value_name = "TOPIC|COMMAND")]
    words: Vec<String>,
}

impl Help {
    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        match words[..] {
            [TOPIC_LIST] => context.out.print(&list(context))?,
            [name] if let Some(topic) = Topic::find(name) => show(topic, context)?,
            _ => show_command(&words)?,
        }
        Ok(ExitStatus::Ok)
    }
}

fn list(context: &Context) -> String {
    let width = TOPICS.iter().map(|topic| topic.name.len()).max();
    let width = width.unwrap_or_default();
    let mut text = String::new();
    for topic in TOPICS {
        let name = terminal::bold(topic.name, context.out.colour);
        let fill = width - topic.name.len() + 2;
        let title = text::paragraph(&context.out, topic.title(), width + 2);
        text.push_str(&format!("{name}{:fill$}{title}", ""));
    }
    text
}

fn show(topic: &Topic, context: &Context) -> Result<()> {
    let blocks = topic.blocks();
    let blocks = blocks.with_context(|| format!("cannot show the topic `{}`", topic.name))?;
    let columns = context.out.width.unwrap_or(PIPE_COLUMNS);
    let colour = context.out.colour;
    context
        .out
        .print(&terminal::render(&blocks, columns.into(), colour))
}

/// Prints the help of a command, as its `--help` does.
fn show_command(words: &[&str]) -> Result<()> {
    let root = super::command();
    let mut command = &root;
    for (n_known, word) in words.iter().enumerate() {
        let found = command.find_subcommand(word);
        command =
            found.ok_or_else(|| unknown(&words[..n_known], word, command, words.len() == 1))?;
    }
    let line = ["hfdl"].iter().chain(words).chain(&["--help"]);
    if let Err(help) = super::command().try_get_matches_from(line) {
        // clap writes the help to stdout, in the colours and the width of `--help`.
        let _ = help.print();
    }
    Ok(())
}

fn unknown(parents: &[&str], word: &str, command: &clap::Command, may_be_topic: bool) -> Complaint {
    let commands = command
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    let mut known: Vec<&str> = commands.map(clap::Command::get_name).collect();
    if may_be_topic {
        known.extend(TOPICS.iter().map(|topic| topic.name));
        known.push(TOPIC_LIST);
        return Complaint::unknown("topic or command", word, &known, "hfdl help topics");
    }
    let parent = [&["hfdl"], parents].concat().join(" ");
    if known.is_empty() {
        let headline = format!("`{parent}` has no commands below it, such as `{word}`");
        let next = format!("`{parent} --help` explains the command");
        return Complaint::usage(headline).next(next);
    }
    let help = format!("`{parent} --help` lists the commands");
    Complaint::usage(format!("there is no command `{parent} {word}`")).next(
        match nearest(word, known) {
            Some(near) => format!("did you mean `{parent} {near}`? {help}"),
            None => help,
        },
    )
}
