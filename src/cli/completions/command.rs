//! The command: prints a script, or answers one.

use std::ffi::OsString;

use anyhow::Result;
use clap::Args;
use clap_complete::Shell;
use clap_complete::engine::{CompletionCandidate, complete};

use super::known::KnownNames;
use super::line::TypedLine;
use super::values::with_values;
use crate::cli::context::Context;
use crate::domain::outcome::ExitStatus;

/// Print a completion script for a shell
///
/// The scripts for bash, zsh and fish also complete names of models, schedules and tags, settings
/// and their values, ids and paths.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl completions bash > ~/.local/share/bash-completion/completions/hfdl
  hfdl completions zsh > ~/.zfunc/_hfdl
  hfdl completions fish > ~/.config/fish/completions/hfdl.fish")]
pub struct Completions {
    /// The shell
    shell: Shell,

    /// The last word as bash cuts it, for the answer of a script
    #[arg(long, hide = true, allow_hyphen_values = true)]
    ending: Option<String>,

    /// The command line up to the cursor, for the answer of a script
    #[arg(last = true, hide = true)]
    line: Vec<OsString>,
}

impl Completions {
    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        let script = match self.shell {
            _ if !self.line.is_empty() => self.answer(context),
            Shell::Bash => include_str!("script.bash").to_owned(),
            Shell::Zsh => include_str!("script.zsh").to_owned(),
            Shell::Fish => include_str!("script.fish").to_owned(),
            shell => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut crate::cli::command(), "hfdl", &mut script);
                return context.out.print_bytes(&script).map(|()| ExitStatus::Ok);
            }
        };
        context.out.print(&script)?;
        Ok(ExitStatus::Ok)
    }

    /// Returns the candidates for the last word, one a line, with a description behind a tab.
    fn answer(self, context: &Context) -> String {
        let line = match (self.shell, self.line.as_slice()) {
            (Shell::Bash, [text]) => TypedLine::parse(&text.to_string_lossy()),
            _ => TypedLine::of_words(self.line),
        };
        // bash replaces only the part of the word behind the last `:` or `=`.
        let ending = self.ending.as_deref();
        let n_cut = ending.map_or(0, |ending| line.bytes_before(ending));
        let known = KnownNames::new(context, &line);
        let mut command = with_values(crate::cli::command(), &[], &known);
        let last = line.words.len().saturating_sub(1);
        let directory = context.host.current_dir().ok();
        let found = complete(&mut command, line.words, last, directory.as_deref());
        let mut text = String::new();
        for candidate in wanted(found.unwrap_or_default(), &line.current) {
            let value = candidate.get_value().to_string_lossy();
            // A line break in a path would be read as two candidates.
            let Some(value) = value.get(n_cut..).filter(|it| !it.contains('\n')) else {
                continue;
            };
            text.push_str(value);
            if let Some(help) = candidate.get_help().filter(|_| self.shell != Shell::Bash) {
                let help = help.to_string();
                text.push_str(&format!("\t{}", help.lines().next().unwrap_or_default()));
            }
            text.push('\n');
        }
        text
    }
}

/// Leaves flags out unless they are asked for, or nothing else can follow.
fn wanted(mut found: Vec<CompletionCandidate>, current: &str) -> Vec<CompletionCandidate> {
    let is_flag = |it: &CompletionCandidate| it.get_value().to_string_lossy().starts_with('-');
    if current.is_empty() && found.iter().any(|it| !is_flag(it)) {
        found.retain(|it| !is_flag(it));
    }
    found
}
