//! `hfdl doctor`

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::context::Context;
use crate::domain::outcome::ExitStatus;
use crate::json::document;
use crate::ops::doctor::{Doctor as Work, Finding, FindingLevel, Mending, examine_as_cron, worst};
use crate::ui::{Format, Output};

/// Test the requirements of unattended runs, and how to meet them
///
/// Tries directories, database, clock, token, Hub, storage, hooks and timer by using them, and
/// leaves nothing behind. Ends with 0 when no check fails, and with 1 otherwise; warnings do not fail.
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
        let findings = Work {
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
        let verdict = worst(&findings);
        context.out.result(
            |out| text(out, &findings),
            || {
                let checks: Vec<Value> = findings.iter().map(check).collect();
                document(
                    "hfdl.doctor/1",
                    json!({ "verdict": verdict.as_str(), "checks": checks }),
                )
            },
        )?;
        Ok(match verdict {
            FindingLevel::Fail => ExitStatus::Failed,
            FindingLevel::Ok | FindingLevel::Skipped | FindingLevel::Warn => ExitStatus::Ok,
        })
    }
}

fn check(finding: &Finding) -> Value {
    json!({
        "name": finding.check,
        "verdict": finding.verdict.as_str(),
        "message": finding.what,
        "what": finding.what,
        "why": finding.why,
        "hint": finding.next,
        "next": finding.next,
        "mended": finding.mended,
    })
}

/// Renders a line for each check, and below it the reason and the next step.
fn text(out: &Output, findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.check.len()).max();
    let width = width.unwrap_or(0);
    let mut text = String::new();
    let shown = |finding: &&Finding| {
        !(out.quiet && finding.verdict <= FindingLevel::Skipped && finding.mended.is_none())
    };
    for finding in findings.iter().filter(shown) {
        let verdict = coloured(finding.verdict, out.colour);
        text.push_str(&format!(
            "{verdict}  {:width$}  {}\n",
            finding.check,
            plain(&finding.what)
        ));
        let more = [
            ("why", &finding.why),
            ("next", &finding.next),
            ("mended", &finding.mended),
        ];
        for (label, words) in more {
            if let Some(words) = words {
                text.push_str(&format!(
                    "{:9}{:width$}  {label}: {}\n",
                    "",
                    "",
                    plain(words)
                ));
            }
        }
    }
    let count = |verdict| {
        let of = findings.iter().filter(|finding| finding.verdict == verdict);
        of.count()
    };
    let (n_fail, n_warn) = (count(FindingLevel::Fail), count(FindingLevel::Warn));
    if !out.quiet {
        text.push_str(&match (n_fail, n_warn) {
            (0, 0) => "\nall is well\n".to_owned(),
            _ => format!("\n{n_fail} failed, {n_warn} with a warning\n"),
        });
    }
    text
}

fn coloured(verdict: FindingLevel, colour: bool) -> String {
    let word = format!("{verdict:7}");
    let code = match verdict {
        FindingLevel::Ok => 32,
        FindingLevel::Skipped => 2,
        FindingLevel::Warn => 33,
        FindingLevel::Fail => 31,
    };
    if colour {
        format!("\u{1b}[{code}m{word}\u{1b}[0m")
    } else {
        word
    }
}

/// Replaces control characters, which could move the cursor.
fn plain(text: &str) -> String {
    let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(plain).collect()
}
