//! The subcommands of `hfdl updates`.

use anyhow::Result;
use clap::{Args, Subcommand};

use super::decide::{Approve, Reject, retry};
use super::list::ListUpdates;
use super::show::ShowUpdate;
use crate::cli::context::Context;
use crate::cli::names::Names;
use crate::domain::outcome::ExitStatus;

/// Look at new commits that are held back, and decide about them
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl updates list
  hfdl updates show org/name
  hfdl updates approve org/name")]
pub struct Updates {
    #[command(subcommand)]
    command: UpdatesSubcommand,
}

#[derive(Debug, Subcommand)]
enum UpdatesSubcommand {
    #[command(visible_alias = "ls")]
    List(ListUpdates),
    Show(ShowUpdate),
    Approve(Approve),
    Reject(Reject),
    /// Let the gate check a held commit again at the next run
    #[command(after_long_help = "Example:
  hfdl updates retry org/name")]
    Retry(Names),
}

impl Updates {
    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        match self.command {
            UpdatesSubcommand::List(command) => command.run(context),
            UpdatesSubcommand::Show(command) => command.run(context),
            UpdatesSubcommand::Approve(command) => command.run(context),
            UpdatesSubcommand::Reject(command) => command.run(context),
            UpdatesSubcommand::Retry(names) => retry(context, &names.distinct()),
        }?;
        Ok(ExitStatus::Ok)
    }
}
