//! The subcommands of `hfdl tags`.

use anyhow::Result;
use clap::{Args, Subcommand};

use super::list::list;
use super::set::SetTag;
use super::show::show;
use super::unset::unset;
use crate::cli::context::Context;
use crate::cli::names::Names;
use crate::domain::model::Tag;
use crate::domain::outcome::ExitStatus;

/// Give the models of a tag rules about updates
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl tags set production --policy approve
  hfdl tags list")]
pub struct TagsCommand {
    #[command(subcommand)]
    command: TagsSubcommand,
}

#[derive(Debug, Subcommand)]
enum TagsSubcommand {
    /// List the tags in use and those with defaults
    #[command(visible_alias = "ls")]
    #[command(after_long_help = "Example:
  hfdl tags list")]
    List,
    /// Show the defaults and the models of a tag
    #[command(after_long_help = "Example:
  hfdl tags show production")]
    Show {
        /// Name of the tag
        name: Tag,
    },
    Set(SetTag),
    /// Remove the defaults of tags; the models keep the tags
    #[command(after_long_help = "Example:
  hfdl tags unset production")]
    Unset(Names),
}

impl TagsCommand {
    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        match self.command {
            TagsSubcommand::List => list(context),
            TagsSubcommand::Show { name } => show(context, &name),
            TagsSubcommand::Set(command) => command.run(context),
            TagsSubcommand::Unset(names) => unset(context, &names.distinct()),
        }?;
        Ok(ExitStatus::Ok)
    }
}
