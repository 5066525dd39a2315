//! `hfdl stop`

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::context::Context;
use super::explain::{Complaint, explain};
use crate::domain::outcome::ExitStatus;
use crate::domain::timer::TimerKind;
use crate::domain::units::Seconds;
use crate::json::document;
use crate::ops::stop::{StopAsked, ask_to_stop, is_held, wait_for_end};
use crate::ops::timer;
use crate::store::Store;
use crate::ui::text;

/// Remove the timer, and ask a run in progress to end
///
/// Removes the entry of `hfdl start` for this home and nothing else: every other line of a crontab
/// stays as it is. A run in progress keeps the fetched bytes; the next one resumes there.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl stop
  hfdl stop --timer-only          let the run in progress finish
  hfdl stop --run-only --wait     end the run, and return when it has ended")]
pub struct StopCommand {
    /// Remove the timer and leave a run in progress alone
    #[arg(long, conflicts_with_all = ["run_only", "wait"])]
    timer_only: bool,

    /// Ask the run in progress to end and leave the timer alone
    #[arg(long)]
    run_only: bool,

    /// Wait until the run has ended (at most DUR, or without limit)
    #[arg(long, value_name = "DUR", num_args = 0..=1, require_equals = true, default_missing_value = "36500d")]
    wait: Option<Seconds>,
}

/// The result of removing the timer.
struct TimerRemoval {
    removed: Vec<TimerKind>,
    warnings: Vec<String>,
}

impl StopCommand {
    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        // The timer is removed even if the database cannot be read.
        let (store, problem) = match context.existing_store() {
            Ok(store) => (store, None),
            Err(err) => (None, Some(explain(&err))),
        };
        // The timer first, so that no tick starts another run.
        let timer = if self.run_only {
            None
        } else {
            Some(self.remove_timer(context, store.as_ref())?)
        };
        let run = if self.timer_only {
            None
        } else {
            Some(ask_to_stop(&context.host, &context.home, store.as_ref())?)
        };
        let mut has_ended = true;
        if let Some(limit) = self.wait
            && !matches!(run, Some(StopAsked::NothingRuns))
        {
            has_ended = wait_for_end(&context.host, &context.home, limit)?;
        }
        let was_awaited = self.wait.is_some() && has_ended;
        report(context, timer.as_ref(), run.as_ref(), was_awaited)?;
        let warnings = timer.iter().flat_map(|timer| &timer.warnings);
        for warning in warnings {
            context.warn(warning);
        }
        if let Some(problem) = &problem {
            context.show_problem(problem);
        }
        if has_ended {
            return Ok(ExitStatus::Ok);
        }
        Err(
            Complaint::new(ExitStatus::Locked, "the run has not ended yet")
                .cause("it has been asked to, and saves its state first")
                .next("wait longer, or look at it with `hfdl logs --follow`")
                .into(),
        )
    }

    fn remove_timer(&self, context: &Context, store: Option<&Store>) -> Result<TimerRemoval> {
        let was_running = is_held(&context.home)?;
        let (removed, mut warnings) = timer::remove(&context.host, &context.home, store)?;
        if self.timer_only && was_running && removed.contains(&TimerKind::Launchd) {
            warnings.push(
                "launchd ends what it has started together with the agent: if the run in progress \
                 is a tick, it saves its state and ends"
                    .to_owned(),
            );
        }
        Ok(TimerRemoval { removed, warnings })
    }
}

/// Shows the result for the timer and for the run.
fn report(
    context: &Context,
    timer: Option<&TimerRemoval>,
    run: Option<&StopAsked>,
    was_awaited: bool,
) -> Result<()> {
    context.out.done(
        || {
            let timer = timer.map(timer_sentence);
            let run = run.map(|run| run_sentence(context, run, was_awaited));
            timer.into_iter().chain(run).collect::<Vec<_>>().join("\n")
        },
        || {
            let removed = timer.map(|timer| {
                let kinds = timer.removed.iter().map(|kind| kind.as_str());
                kinds.collect::<Vec<_>>()
            });
            let run = run.map(|run| run_document(run, was_awaited));
            document("hfdl.stop/1", json!({"timer_removed": removed, "run": run}))
        },
    )
}

fn timer_sentence(timer: &TimerRemoval) -> String {
    if timer.removed.is_empty() {
        "no timer was installed for this home".to_owned()
    } else {
        format!("timer removed ({})", text::list(timer.removed.iter()))
    }
}

fn run_sentence(context: &Context, run: &StopAsked, has_ended: bool) -> String {
    match run {
        StopAsked::NothingRuns => "no run is in progress".to_owned(),
        StopAsked::Nameless if has_ended => "the command that held the lock has ended".to_owned(),
        StopAsked::Nameless => {
            "another command of hfdl holds the lock and cannot be asked to end; it is a short one"
                .to_owned()
        }
        StopAsked::Asked(asked) => {
            let process = &asked.start.process;
            let run = format!(
                "{} (process {} on {}, since {})",
                asked.start.command,
                process.pid,
                process.host,
                context.clock().local(asked.start.at)
            );
            if has_ended {
                format!("{run} has ended")
            } else {
                format!("{run} is asked to save its state and end")
            }
        }
    }
}

fn run_document(run: &StopAsked, has_ended: bool) -> Value {
    match run {
        StopAsked::NothingRuns => json!({"state": "none"}),
        _ if has_ended => json!({"state": "ended", "run_id": run_id(run)}),
        _ => json!({"state": "asked", "run_id": run_id(run)}),
    }
}

fn run_id(run: &StopAsked) -> Option<&str> {
    match run {
        StopAsked::Asked(run) => Some(run.id.as_str()),
        StopAsked::NothingRuns | StopAsked::Nameless => None,
    }
}
