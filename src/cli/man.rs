//! `hfdl man`

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;

use super::context::Context;
use crate::domain::outcome::ExitStatus;

/// Print the manual page, or write one per command into a directory
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl man | man -l -
  hfdl man ~/.local/share/man/man1")]
pub struct Man {
    /// Write hfdl.1, hfdl-models.1, … here
    dir: Option<PathBuf>,
}

/// Removes the `help` commands: their pages would only repeat the others.
fn without_help(command: clap::Command) -> clap::Command {
    command
        .disable_help_subcommand(true)
        .mut_subcommands(without_help)
}

impl Man {
    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        let mut command = without_help(super::command());
        command.build();
        match self.dir {
            None => {
                let mut page = Vec::new();
                clap_mangen::Man::new(command)
                    .render(&mut page)
                    .context("cannot render the manual page")?;
                context.out.print_bytes(&page)?;
            }
            Some(dir) => {
                let problem = || format!("cannot write manual pages to `{}`", dir.display());
                std::fs::create_dir_all(&dir).with_context(problem)?;
                clap_mangen::generate_to(command, &dir).with_context(problem)?;
            }
        }
        Ok(ExitStatus::Ok)
    }
}
