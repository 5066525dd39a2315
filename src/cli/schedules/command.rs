//! The subcommands of `hfdl schedules`.

use anyhow::Result;
use clap::{Args, Subcommand};

use super::add::AddSchedule;
use super::list::list;
use super::next::NextSlots;
use super::remove::remove;
use super::set::SetSchedule;
use super::show::show;
use super::switch::switch;
use crate::cli::context::Context;
use crate::cli::names::Names;
use crate::domain::model::EntryName;
use crate::domain::outcome::ExitStatus;

/// Choose when models are updated, and under which limits
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl schedules add nightly --daily 02:30 --all
  hfdl schedules next")]
pub struct SchedulesCommand {
    #[command(subcommand)]
    command: SchedulesSubcommand,
}

#[derive(Debug, Subcommand)]
enum SchedulesSubcommand {
    Add(AddSchedule),
    /// List all schedules
    #[command(visible_alias = "ls")]
    #[command(after_long_help = "Example:
  hfdl schedules list")]
    List,
    /// Show all fields and the state of a schedule
    #[command(after_long_help = "Example:
  hfdl schedules show nightly")]
    Show {
        /// Name of the schedule
        name: EntryName,
    },
    Set(SetSchedule),
    /// Let schedules run again; slots missed in the meantime are not caught up on
    #[command(after_long_help = "Example:
  hfdl schedules enable nightly")]
    Enable(Names),
    /// Stop schedules until they are enabled again
    #[command(after_long_help = "Example:
  hfdl schedules disable nightly weekly")]
    Disable(Names),
    /// Remove schedules; models and their files stay
    #[command(visible_alias = "rm")]
    #[command(after_long_help = "Example:
  hfdl schedules remove nightly")]
    Remove(Names),
    Next(NextSlots),
}

impl SchedulesCommand {
    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        match self.command {
            SchedulesSubcommand::Add(command) => command.run(context),
            SchedulesSubcommand::List => list(context),
            SchedulesSubcommand::Show { name } => show(context, &name),
            SchedulesSubcommand::Set(command) => command.run(context),
            SchedulesSubcommand::Enable(names) => switch(context, &names.distinct(), true),
            SchedulesSubcommand::Disable(names) => switch(context, &names.distinct(), false),
            SchedulesSubcommand::Remove(names) => remove(context, &names.distinct()),
            SchedulesSubcommand::Next(command) => command.run(context),
        }?;
        Ok(ExitStatus::Ok)
    }
}
