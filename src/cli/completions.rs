//! `hfdl completions`

use anyhow::Result;
use clap::Args;
use clap_complete::Shell;

use super::context::Context;
use crate::domain::outcome::ExitStatus;

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl completions bash > ~/.local/share/bash-completion/completions/hfdl
  hfdl completions zsh > ~/.zfunc/_hfdl
  hfdl completions fish > ~/.config/fish/completions/hfdl.fish")]
pub struct Completions {
    /// The shell: bash, zsh, fish, powershell or elvish
    shell: Shell,
}

impl Completions {
    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::command(), "hfdl", &mut script);
        context.out.print_bytes(&script)?;
        Ok(ExitStatus::Ok)
    }
}
