//! The subcommands of `hfdl models`.

use anyhow::Result;
use clap::{Args, Subcommand};

use super::add::AddModel;
use super::list::ListModels;
use super::outdated::Outdated;
use super::path::ModelPath;
use super::release::Release;
use super::remove::RemoveModels;
use super::rollback::Rollback;
use super::set::SetModel;
use super::show::ShowModel;
use super::switch::switch;
use crate::cli::context::Context;
use crate::cli::names::Names;
use crate::domain::outcome::ExitStatus;

/// Choose the repositories, revisions and files to keep
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl models add org/name
  hfdl models list
  hfdl models show org/name")]
pub struct ModelsCommand {
    #[command(subcommand)]
    command: ModelsSubcommand,
}

#[derive(Debug, Subcommand)]
enum ModelsSubcommand {
    Add(AddModel),
    #[command(visible_alias = "ls")]
    List(ListModels),
    Show(ShowModel),
    Path(ModelPath),
    Set(SetModel),
    /// Include models in schedules and in `--all` again
    #[command(after_long_help = "Example:
  hfdl models enable org/one org/two")]
    Enable(Names),
    /// Exclude models from schedules and from `--all` until they are enabled again
    #[command(after_long_help = "Example:
  hfdl models disable org/name")]
    Disable(Names),
    #[command(visible_alias = "rm")]
    Remove(RemoveModels),
    Outdated(Outdated),
    Rollback(Rollback),
    Release(Release),
}

impl ModelsCommand {
    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        match self.command {
            ModelsSubcommand::Add(command) => command.run(context),
            ModelsSubcommand::List(command) => command.run(context),
            ModelsSubcommand::Show(command) => command.run(context),
            ModelsSubcommand::Set(command) => command.run(context),
            ModelsSubcommand::Enable(names) => switch(context, &names.distinct(), true),
            ModelsSubcommand::Disable(names) => switch(context, &names.distinct(), false),
            ModelsSubcommand::Remove(command) => command.run(context),
            ModelsSubcommand::Path(command) => return command.run(context),
            ModelsSubcommand::Outdated(command) => return command.run(context),
            ModelsSubcommand::Rollback(command) => command.run(context),
            ModelsSubcommand::Release(command) => command.run(context),
        }?;
        Ok(ExitStatus::Ok)
    }
}
