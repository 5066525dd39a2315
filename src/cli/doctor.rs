//! `hfdl doctor`

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::context::Context;
use crate::domain::outcome::ExitStatus;
use crate::json::document;
use crate::ops::doctor::{
    CheckLevel, CheckResult, Doctor as Work, Mending, examine_as_cron, worst,
};
use crate::ui::{Clock, Format, Output, text};

/// Test the set-up for unattended runs, and say how to mend it
///
/// Tests directories, database, clock, token, Hub, storage, hooks and timer by using them, and
/// leaves nothing behind. Exits with 0 when no check fails, and with 1 otherwise; warnings are no
/// failure.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl doctor
  hfdl doctor --as-cron     with the environment that a timer gives
  hfdl doctor --fix
  hfdl doctor --json | jq '.checks[] | select(.verdict == \"fail\")'")]
pub struct DoctorCommand {
    /// Test in the environment in which a timer starts runs
    #[arg(long)]
    as_cron: bool,

    /// Repair files and entries of hfdl where that is safe, and list the repairs
    #[arg(long)]
    fix: bool,
}

impl DoctorCommand {
    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        if self.as_cron {
            if context.out.format == Format::Table && !context.out.quiet {
                context
                    .out
                    .say("examined as cron starts a run: without the variables of this shell\n");
            }
            return Ok(match examine_as_cron(&context.host, &context.home)? {
                0 => ExitStatus::Ok,
                2 => ExitStatus::Usage,
                _ => ExitStatus::Failed,
            });
        }
        let results = Work {
            host: &context.host,
            home: &context.home,
            flags: context.flags.clone(),
            mending: if self.fix {
                Mending::Mend
            } else {
                Mending::LookOnly
            },
        }
        .examine();
        let verdict = worst(&results);
        context.out.result(
            |out| text(out, &context.clock(), &results),
            || {
                let checks: Vec<Value> = results.iter().map(check).collect();
                document(
                    "hfdl.doctor/1",
                    json!({ "verdict": verdict.as_str(), "checks": checks }),
                )
            },
        )?;
        Ok(match verdict {
            CheckLevel::Fail => ExitStatus::Failed,
            CheckLevel::Ok | CheckLevel::Skipped | CheckLevel::Warn => ExitStatus::Ok,
        })
    }
}

fn check(result: &CheckResult) -> Value {
    json!({
        "name": result.check,
        "verdict": result.verdict.as_str(),
        "message": result.what,
        "what": result.what,
        "why": result.why,
        "hint": result.next,
        "next": result.next,
        "mended": result.mended,
    })
}

/// Renders a line for each check, and below it the reason and the next step.
fn text(out: &Output, clock: &Clock, results: &[CheckResult]) -> String {
    let width = results.iter().map(|result| result.check.len()).max();
    let width = width.unwrap_or(0);
    // The verdict has seven columns, and two blanks follow each column.
    let indent = 7 + 2 + width + 2;
    let mut text = String::new();
    let shown = |result: &&CheckResult| {
        !(out.quiet && result.verdict <= CheckLevel::Skipped && result.mended.is_none())
    };
    for result in results.iter().filter(shown) {
        let verdict = coloured(result.verdict, out.colour);
        let what = text::paragraph(out, &clock.told(&result.what), indent);
        text.push_str(&format!("{verdict}  {:width$}  {what}", result.check));
        let more = [
            ("why", &result.why),
            ("next", &result.next),
            ("mended", &result.mended),
        ];
        for (label, words) in more {
            if let Some(words) = words {
                let words = clock.told(&format!("{label}: {words}"));
                let words = text::paragraph(out, &words, indent);
                text.push_str(&format!("{:indent$}{words}", ""));
            }
        }
    }
    let count = |verdict| {
        let of = results.iter().filter(|result| result.verdict == verdict);
        of.count()
    };
    let (n_fail, n_warn) = (count(CheckLevel::Fail), count(CheckLevel::Warn));
    if !out.quiet {
        text.push_str(&match (n_fail, n_warn) {
            (0, 0) => "\nall is well\n".to_owned(),
            _ => format!("\n{n_fail} failed, {n_warn} with a warning\n"),
        });
    }
    text
}

fn coloured(verdict: CheckLevel, colour: bool) -> String {
    let word = format!("{verdict:7}");
    let code = match verdict {
        CheckLevel::Ok => 32,
        CheckLevel::Skipped => 2,
        CheckLevel::Warn => 33,
        CheckLevel::Fail => 31,
    };
    if colour {
        format!("\u{1b}[{code}m{word}\u{1b}[0m")
    } else {
        word
    }
}
